<?php

namespace Bam\Site;

/**
 * Values that Drupal stored with serialize().
 */
final class Serialized
{
    /**
     * The value; null where the text is damaged. Objects are never made: nobody knows what their classes would do.
     *
     * @param string|resource|null $stored PostgreSQL gives its bytea columns as streams.
     * @return mixed
     */
    public static function read($stored)
    {
        $text = is_resource($stored) ? (string) stream_get_contents($stored) : (string) $stored;
        if ($text === 'b:0;') {
            return false;
        }
        $value = @unserialize($text, ['allowed_classes' => false]);
        return $value === false ? null : $value;
    }
}
