<?php

namespace Bam\BackupMigrate;

/**
 * Says in the words of the configuration document what Backup and Migrate's items say in its own.
 *
 * The engine does the same for export files (`config::import`); a test holds the two together.
 */
final class Converter
{
    /** What a destination's settings may say beyond Backup and Migrate. */
    private const OBJECT_SETTINGS = [
        'endpoint',
        'region',
        'path_style',
        'access_key',
        'password_file',
        'profile',
        'credentials_file',
        'credentials',
        'ca_file',
        'append_only',
    ];
    private const SSH_SETTINGS = ['identity_file', 'known_hosts', 'host_key', 'password_file'];
    private const REPOSITORY_SETTINGS = [
        'key_file', 'ca_file', 'identity_file', 'known_hosts', 'host_key', 'password_file', 'timeout', 'append_only',
    ];

    /** @var string[] What could not be said. */
    private array $notes = [];

    /**
     * @return string[]
     */
    public function notes(): array
    {
        return $this->notes;
    }

    /**
     * @param array<string, mixed> $item
     * @return array<string, mixed>
     */
    public function profile(array $item): array
    {
        $filters = self::map($item['filters'] ?? null);
        $sources = self::map($filters['sources'] ?? null);
        // Backup and Migrate 2.x had no settings per source; 3.x still honours its keys.
        $common = array_intersect_key(
            $filters,
            ['nodata_tables' => 1, 'exclude_tables' => 1, 'utils_lock_tables' => 1, 'exclude_filepaths' => 1]
        );
        if ($common !== []) {
            $sources += ['db' => [], 'files' => []];
        }
        $settings = [];
        foreach ($sources as $name => $source) {
            $settings[$name] = $this->sourceSettings(self::map($source) + $common);
        }
        return [
            'name' => self::text($item, 'name'),
            'filename' => self::text($item, 'filename') ?: '[site:name]',
            'append_timestamp' => (int) ($item['append_timestamp'] ?? 1),
            'timestamp_format' => self::text($item, 'timestamp_format') ?: 'Y-m-d\TH-i-s',
            // Backup and Migrate adds its default to profiles that say nothing.
            'compression' => isset($filters['compression']) ? (self::text($filters, 'compression') ?: 'none') : 'gzip',
            'encryption' => $this->encryption($item, self::text($filters, 'encryption')),
            'description' => self::text($filters, 'utils_description'),
            'site_offline' => !empty($filters['utils_site_offline']),
            'site_offline_message' => self::text($filters, 'utils_site_offline_message'),
            'ignore_errors' => !empty($filters['ignore_errors']),
            'notify' => [
                'success' => self::addresses($filters, 'notify_success'),
                'failure' => self::addresses($filters, 'notify_failure'),
            ],
            'sources' => $settings,
        ];
    }

    /**
     * @param array<string, mixed> $item
     * @return array<string, mixed>
     */
    public function schedule(array $item): array
    {
        $cron = self::text($item, 'cron') ?: 'builtin';
        return [
            'name' => self::text($item, 'name'),
            'source' => self::text($item, 'source_id') ?: 'db',
            'destinations' => array_values(array_unique(array_filter(
                [self::text($item, 'destination_id'), self::text($item, 'copy_destination_id')]
            ))),
            'profile' => self::text($item, 'profile_id') ?: 'default',
            // Neither a period nor an expression: it runs only when it is asked for by name.
            'every' => $cron === 'builtin' ? (int) ($item['period'] ?? 86400) : 0,
            'cron' => $cron === 'elysia' ? self::text($item, 'cron_schedule') : null,
            'keep' => (int) ($item['keep'] ?? 0),
            'enabled' => !empty($item['enabled'] ?? true),
        ];
    }

    /**
     * @param array<string, mixed> $item
     * @return array<string, mixed>|null Null where it is nothing the document knows.
     */
    public function source(array $item): ?array
    {
        $entry = ['name' => self::text($item, 'name')];
        switch (self::text($item, 'subtype')) {
            case 'filesource':
                return ['type' => 'files', 'path' => self::text($item, 'location')] + $entry;

            case 'archive':
                return ['type' => 'archive'] + $entry;

            case 'mysql':
            case 'db':
                return ['type' => 'database', 'database' => self::text($item, 'machine_name')] + $entry;
        }
        $this->notes[] = sprintf(
            'source %s: bam knows databases, folders and the whole site, not the kind "%s"; it is left out',
            self::text($item, 'machine_name'),
            self::text($item, 'subtype')
        );
        return null;
    }

    /**
     * @param array<string, mixed> $item
     * @return array<string, mixed>|null
     */
    public function destination(array $item): ?array
    {
        $settings = self::map($item['settings'] ?? null);
        $entry = ['name' => self::text($item, 'name')];
        switch (self::text($item, 'subtype')) {
            case 'file':
            case 'file_manual':
            case 'file_scheduled':
                $kept = array_intersect_key($settings, ['chmod' => 1, 'chgrp' => 1]);
                return ['type' => 'directory', 'path' => self::text($item, 'location')] + $entry
                    + array_filter(array_map('strval', $kept));

            case 'sftp':
            case 'rsync':
                $kept = array_intersect_key($settings, array_flip(self::SSH_SETTINGS));
                return ['type' => $item['subtype'], 'url' => self::text($item, 'location')] + $entry
                    + array_filter(array_map('strval', $kept));

            case 'restic':
                // A repository, which only bam knows.
                $kept = array_intersect_key($settings, array_flip(self::REPOSITORY_SETTINGS));
                $files = array_filter(array_map('strval', self::map($settings['credential_files'] ?? null)));
                return ['type' => 'restic', 'repository' => self::text($item, 'location')] + $entry
                    + array_filter(array_map('strval', $kept) + ['credential_files' => $files]);

            case 's3':
            case 'webdav':
                // Backup and Migrate has a kind "s3" of its own, whose places are written otherwise.
                $url = self::text($item, 'location');
                if (preg_match($item['subtype'] === 's3' ? '#^s3://#' : '#^https?://#', $url)) {
                    $kept = array_intersect_key($settings, array_flip(self::OBJECT_SETTINGS));
                    return ['type' => $item['subtype'], 'url' => $url]
                        + $entry
                        + array_filter(array_map('strval', $kept));
                }
                if ($item['subtype'] === 's3') {
                    $this->notes[] = sprintf(
                        'destination %s: Backup and Migrate\'s own kind "s3" is not taken over; write the bucket '
                        . 'into the configuration (docs/object-storage.md)',
                        self::text($item, 'machine_name')
                    );
                    return null;
                }
        }
        // Backup and Migrate's own for its web pages, which it gives no subtype.
        if (in_array(self::text($item, 'machine_name'), ['download', 'upload'], true)) {
            return null;
        }
        $this->notes[] = sprintf(
            'destination %s: bam knows folders, sftp, rsync, restic, s3 and webdav, not the kind "%s"; it is left out',
            self::text($item, 'machine_name'),
            self::text($item, 'subtype')
        );
        return null;
    }

    /**
     * @param array<string, mixed> $settings
     * @return array<string, mixed>
     */
    private function sourceSettings(array $settings): array
    {
        $said = [];
        foreach (['nodata_tables', 'exclude_tables'] as $key) {
            if (isset($settings[$key])) {
                $said[$key] = self::tables($settings[$key]);
            }
        }
        if (isset($settings['utils_lock_tables'])) {
            $said['lock_tables'] = !empty($settings['utils_lock_tables']);
        }
        // An empty text means "leave out nothing", no text at all "what is usual".
        if (isset($settings['exclude_filepaths']) && is_string($settings['exclude_filepaths'])) {
            $said['exclude'] = self::lines($settings['exclude_filepaths']);
        }
        return $said;
    }

    /**
     * @param array<string, mixed> $item
     */
    private function encryption(array $item, string $kind): string
    {
        switch ($kind) {
            case '':
            case '0':
            case 'none':
                return 'none';

            case 'aes':
            case 'aes256':
                return 'aes256';

            case 'aes-module':
                return 'aes-module';
        }
        $this->notes[] = sprintf(
            'profile %s: encryption "%s" is that of another module; bam encrypts with AES-256 instead',
            self::text($item, 'machine_name'),
            $kind
        );
        return 'aes256';
    }

    /**
     * The names that are chosen in a list of tables. Forms store those that are not as 0.
     *
     * @param mixed $tables
     * @return string[]
     */
    private static function tables($tables): array
    {
        return array_values(array_unique(array_filter(array_map('strval', self::map($tables)))));
    }

    /**
     * @return string[]
     */
    private static function lines(string $text): array
    {
        return array_values(array_filter(array_map('trim', explode("\n", $text)), 'strlen'));
    }

    /**
     * @param array<string, mixed> $filters
     * @return string[]
     */
    private static function addresses(array $filters, string $key): array
    {
        if (empty($filters["{$key}_enable"])) {
            return [];
        }
        return array_values(array_filter(array_map('trim', explode(',', self::text($filters, "{$key}_email")))));
    }

    /**
     * @param array<mixed> $from
     */
    private static function text(array $from, string $key): string
    {
        return isset($from[$key]) && is_scalar($from[$key]) ? (string) $from[$key] : '';
    }

    /**
     * @param mixed $value
     * @return array<mixed>
     */
    private static function map($value): array
    {
        return is_array($value) ? $value : [];
    }
}
