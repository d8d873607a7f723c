<?php

namespace Bam\Site\Drupal10;

/**
 * What Backup and Migrate 5 has configured, as parts of the document (docs/configuration.md): its entities
 * `backup_migrate_source`, `_destination`, `_schedule` and `_settings`, under the names they have there.
 *
 * What the document cannot say becomes a note.
 */
final class BackupMigrate5
{
    /** The names that it stores its settings for a source's exclusions under. */
    private const DATABASE_EXCLUDE = 'db_exclude';
    private const SPANS = ['seconds' => 1, 'minutes' => 60, 'hours' => 3600, 'days' => 86400, 'weeks' => 604800];

    private Drupal10Site $site;
    /** @var string[] */
    private array $notes = [];

    public function __construct(Drupal10Site $site)
    {
        $this->site = $site;
    }

    /**
     * @return string[]
     */
    public function notes(): array
    {
        return $this->notes;
    }

    /**
     * The further databases that sources of its kind MySQL name.
     *
     * @return array<string, array<string, string>>
     */
    public function databases(): array
    {
        $found = [];
        foreach ($this->entities('source') as $name => $source) {
            if (($source['type'] ?? '') !== 'MySQL') {
                continue;
            }
            $config = $this->map($source['config'] ?? null);
            $text = static function (string $key) use ($config): string {
                return is_scalar($config[$key] ?? null) ? (string) $config[$key] : '';
            };
            $url = 'mysql://' . rawurlencode($text('username'));
            $url .= $text('password') === '' ? '' : ':' . rawurlencode($text('password'));
            $url .= '@' . ($text('host') ?: 'localhost') . ($text('port') === '' ? '' : ':' . (int) $text('port'));
            $found[$name] = ['url' => $url . '/' . rawurlencode($text('database'))];
        }
        return $found;
    }

    /**
     * @return array<string, array<string, mixed>>
     */
    public function sources(): array
    {
        $found = [];
        foreach ($this->entities('source') as $name => $source) {
            $title = ['name' => (string) ($source['label'] ?? $name)];
            $folder = $this->map($source['config'] ?? null)['directory'] ?? '';
            switch ($source['type'] ?? '') {
                case 'DefaultDB':
                    $found[$name] = ['type' => 'database', 'database' => 'db'] + $title;
                    break;

                case 'MySQL':
                    $found[$name] = ['type' => 'database', 'database' => $name] + $title;
                    break;

                case 'DrupalFiles':
                case 'FileDirectory':
                    if (is_string($folder) && $folder !== '' && $this->exists($folder)) {
                        $found[$name] = ['type' => 'files', 'path' => $this->path($folder)] + $title;
                    }
                    break;

                case 'EntireSite':
                    // Its own label says "do not use": that is true of Backup and Migrate's, not of this.
                    $found[$name] = ['type' => 'archive', 'name' => 'Entire site'];
                    break;

                default:
                    $this->notes[] = "source $name: bam knows no sources of Backup and Migrate's kind \""
                        . ($source['type'] ?? '') . '"';
            }
        }
        return $found;
    }

    /**
     * @return array<string, array<string, mixed>>
     */
    public function destinations(): array
    {
        $found = [];
        foreach ($this->entities('destination') as $name => $destination) {
            $folder = $this->map($destination['config'] ?? null)['directory'] ?? '';
            if (($destination['type'] ?? '') !== 'Directory' || !is_string($folder)) {
                $this->notes[] = "destination $name: bam knows no destinations of Backup and Migrate's kind \""
                    . ($destination['type'] ?? '') . '"';
            } elseif ($this->exists($folder)) {
                $found[$name] = [
                    'type' => 'directory',
                    'name' => (string) ($destination['label'] ?? $name),
                    'path' => $this->path($folder),
                ];
            }
        }
        return $found;
    }

    /**
     * @return array<string, array<string, mixed>>
     */
    public function schedules(): array
    {
        $ran = $this->site->values('state')['backup_migrate.schedule.last_run'] ?? [];
        $found = [];
        foreach ($this->entities('schedule') as $name => $schedule) {
            // The entity that the module installs counts in other units.
            $every = (int) ($schedule['period'] ?? 0)
                ?: (int) ($schedule['period_number'] ?? 1) * (self::SPANS[$schedule['period_type'] ?? 'days'] ?? 86400);
            $profile = (string) ($schedule['settings_profile_id'] ?? '');
            $found[$name] = [
                'name' => (string) ($schedule['label'] ?? $name),
                'source' => (string) ($schedule['source_id'] ?? 'default_db'),
                'destinations' => array_filter([(string) ($schedule['destination_id'] ?? '')]),
                'every' => $every,
                'keep' => max(0, (int) ($schedule['keep'] ?? 0)),
                'enabled' => !empty($schedule['enabled']),
            ] + ($profile === '' ? [] : ['profile' => $profile]);
            $last = is_array($ran) ? (int) ($ran[$name] ?? 0) : 0;
            if ($last > 0) {
                $found[$name]['last_run'] = $last;
            }
        }
        return $found;
    }

    /**
     * @return array<string, array<string, mixed>>
     */
    public function profiles(): array
    {
        $found = [];
        foreach ($this->entities('settings') as $name => $settings) {
            $config = $this->map($settings['config'] ?? null);
            $part = function (string $key) use ($config): array {
                return $this->map($config[$key] ?? null);
            };
            $profile = ['name' => (string) ($settings['label'] ?? $name)];
            $file = (string) ($part('namer')['filename'] ?? '');
            if ($file !== '') {
                $profile['filename'] = $file;
            }
            $profile['append_timestamp'] = (int) ($part('namer')['timestamp'] ?? true);
            $format = (string) ($part('namer')['timestamp_format'] ?? '');
            if ($format !== '') {
                $profile['timestamp_format'] = $format;
            }
            $compression = (string) ($part('compressor')['compression'] ?? '');
            if (in_array($compression, ['gzip', 'bzip2', 'zip', 'none'], true)) {
                $profile['compression'] = $compression;
            }
            $profile['site_offline'] = !empty($part('utils')['site_offline']);
            $description = (string) ($part('metadata')['description'] ?? '');
            if ($description !== '') {
                $profile['description'] = $description;
            }
            if (!empty($part('encrypt')['encrypt'])) {
                $profile['encryption'] = 'aes256';
                $this->notes[] = "profile $name: Backup and Migrate encrypts with a password of its own; bam does with "
                    . 'its key (drush bam:key), and cannot read files that were encrypted so';
            }
            $notify = $this->notify($part('notify'));
            if ($notify !== []) {
                $profile['notify'] = $notify;
            }
            $profile['sources'] = $this->exclusions($name, $config);
            $found[$name] = $profile;
        }
        return $found;
    }

    /**
     * @param array<string, mixed> $settings
     * @return array<string, string>
     */
    private function notify(array $settings): array
    {
        $notify = [];
        foreach (['success', 'failure'] as $when) {
            $to = (string) ($settings["notify_{$when}_email"] ?? '');
            if (!empty($settings["notify_{$when}_enable"]) && $to !== '') {
                $notify[$when] = $to;
            }
        }
        return $notify;
    }

    /**
     * @param array<string, mixed> $config
     * @return array<string, array<string, mixed>>
     */
    private function exclusions(string $profile, array $config): array
    {
        $found = [];
        foreach ($this->entities('source') as $name => $source) {
            $type = $source['type'] ?? '';
            $database = in_array($type, ['DefaultDB', 'MySQL'], true);
            $settings = $this->map($config[$database ? self::DATABASE_EXCLUDE : "{$name}_exclude"] ?? null);
            $list = function (string $key) use ($settings): array {
                return array_values(array_filter($this->map($settings[$key] ?? null), static function ($value): bool {
                    return is_string($value) && $value !== '';
                }));
            };
            if ($database && $settings !== []) {
                $found[$name] = [
                    'exclude_tables' => $list('exclude_tables'),
                    'nodata_tables' => $list('nodata_tables'),
                ];
                if ($type === 'DefaultDB') {
                    // The dump in an archive of the whole site follows the settings of `db`.
                    $found['db'] = $found[$name];
                }
            } elseif (!$database && $settings !== []) {
                $paths = [];
                foreach ($list('exclude_filepaths') as $path) {
                    if (strpbrk($path, '*?[') === false) {
                        $paths[] = $path;
                    } else {
                        $this->notes[] = "profile $profile: the exclusion \"$path\" of $name has wildcards and is left "
                            . 'out; name whole paths';
                    }
                }
                $found[$name] = ['exclude' => $paths];
            }
        }
        return $found;
    }

    /**
     * @return array<string, array<string, mixed>>
     */
    private function entities(string $type): array
    {
        return $this->site->entities("backup_migrate.backup_migrate_$type.");
    }

    /**
     * Whether a path's place exists: private:// without private files is none.
     */
    private function exists(string $path): bool
    {
        return strncmp($path, 'private://', 10) !== 0 || (string) $this->site->setting('file_private_path') !== '';
    }

    /**
     * A path as the document says it: Drupal takes relative ones from the docroot.
     */
    private function path(string $path): string
    {
        return strpos($path, '://') !== false ? $path : $this->site->fromDocroot($path);
    }

    /**
     * @param mixed $value
     * @return array<mixed>
     */
    private function map($value): array
    {
        return is_array($value) ? $value : [];
    }
}
