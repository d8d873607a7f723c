<?php

namespace Bam\Site\Drupal10;

use Bam\Crontab;
use Bam\Keep;

/**
 * Whether configuration that was imported or edited by hand has values that can be worked with. What has not is left
 * out and told: one odd schedule must not take the restore away.
 */
final class Sound
{
    private const CHOICES = [
        'sources' => ['type' => ['database', 'files', 'archive'], 'code' => ['all', 'composer']],
        'destinations' => ['type' => ['directory', 'sftp', 'rsync', 's3', 'webdav', 'restic']],
        'profiles' => [
            'compression' => ['gzip', 'zstd', 'bzip2', 'zip', 'none'],
            'encryption' => ['aes256', 'aes', 'aes-module', 'age', 'none'],
            'append_timestamp' => ['0', '1', '2'],
        ],
        'schedules' => [],
    ];

    /**
     * What of an item cannot be; null where nothing is wrong with it.
     *
     * @param string $section Of the document: `sources`, `destinations`, `profiles` or `schedules`.
     * @param array<string, mixed> $item
     */
    public static function problem(string $section, array $item): ?string
    {
        foreach (self::CHOICES[$section] as $key => $choices) {
            if (isset($item[$key]) && !(is_scalar($item[$key]) && in_array((string) $item[$key], $choices, true))) {
                return "$key is " . self::show($item[$key]) . ', not one of ' . implode(', ', $choices);
            }
        }
        if ($section !== 'schedules') {
            return null;
        }
        if (isset($item['every']) && !preg_match('/^\d{1,12}[smhdw]?$/D', self::text($item['every']))) {
            return 'every is ' . self::show($item['every']) . ', not a number of seconds';
        }
        if (is_array($item['keep'] ?? null)) {
            $problem = Keep::problem($item['keep']);
            if ($problem !== null) {
                return "keep: $problem";
            }
        } elseif (isset($item['keep']) && !preg_match('/^(\d{1,9}|-2)$/D', self::text($item['keep']))) {
            return 'keep is ' . self::show($item['keep']) . ', neither a number of backups, nor 0 for all, nor -2';
        }
        if (isset($item['cron']) && (!is_string($item['cron']) || !Crontab::isExpression($item['cron']))) {
            return 'cron is ' . self::show($item['cron']) . ', which is no crontab expression';
        }
        return null;
    }

    /**
     * A value as one word; what is none is empty.
     *
     * @param mixed $value
     */
    private static function text($value): string
    {
        return is_int($value) || is_string($value) ? (string) $value : '';
    }

    /**
     * @param mixed $value
     */
    private static function show($value): string
    {
        return (string) json_encode($value, JSON_UNESCAPED_SLASHES | JSON_PARTIAL_OUTPUT_ON_ERROR);
    }
}
