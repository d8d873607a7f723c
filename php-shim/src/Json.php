<?php

namespace Bam;

/**
 * JSON as the engine speaks it.
 */
final class Json
{
    /**
     * @param mixed $value
     */
    public static function encode($value, int $flags = 0): string
    {
        try {
            return json_encode($value, $flags | JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE);
        } catch (\JsonException $cause) {
            throw new BamException(
                'config',
                'the settings of this site hold text that is not UTF-8: ' . $cause->getMessage(),
                'look for names or paths in another encoding in settings.php and in the backup settings',
                2,
                $cause
            );
        }
    }

    /**
     * @return array<mixed>
     */
    public static function decode(string $json): array
    {
        return json_decode($json, true, 512, JSON_THROW_ON_ERROR);
    }
}
