<?php

namespace Bam\Site\Drupal10;

use Bam\Document;
use Bam\Site\DocumentBuilder;

/**
 * Makes the configuration document of a Drupal 10 site: from the module's configuration entities, and from those of
 * Backup and Migrate 5 where the module has none of that name. The entities' keys are the document's, but for `label`,
 * and for secrets, which are in files, in the environment, or in keys of the Key module.
 */
final class Drupal10DocumentBuilder extends DocumentBuilder
{
    /** What every configuration entity has besides. */
    private const ENTITY = [
        'uuid', 'langcode', 'status', 'dependencies', 'third_party_settings', '_core', 'id', 'label',
    ];

    private Drupal10Site $site;
    private BackupMigrate5 $theirs;

    public function __construct(Drupal10Site $site)
    {
        $this->site = $site;
        $this->theirs = new BackupMigrate5($site);
    }

    public function notes(): array
    {
        return array_values(array_unique(array_merge($this->site->notes(), $this->notes, $this->theirs->notes())));
    }

    public function build(): Document
    {
        $settings = $this->site->config('bam.settings');
        $databases = $this->databasesOf($this->site, $this->site->project()->docroot());
        $databases += $this->theirs->databases();
        return new Document([
            'site' => $this->site(),
            'databases' => $databases,
            'sources' => $this->sound('sources', $this->entities('source') + $this->theirs->sources()),
            'destinations' => $this->sound('destinations', $this->destinations()),
            'profiles' => $this->sound('profiles', $this->profiles() + $this->theirs->profiles()),
            'schedules' => $this->sound('schedules', $this->schedules()),
            'encryption' => $this->encryption($settings),
            'policy' => array_filter(self::map($settings['policy'] ?? null), static function ($value): bool {
                return $value !== null && $value !== '';
            }),
            'smart_keep' => array_filter(self::map($settings['smart_keep'] ?? null), 'is_int'),
        ] + self::optional([
            'default_profile' => (string) ($settings['default_profile'] ?? ''),
            'state_dir' => (string) ($settings['state_dir'] ?? ''),
        ]));
    }

    /**
     * The items of a section but those that cannot be worked with, which are told.
     *
     * @param array<string, array<string, mixed>> $items
     * @return array<string, array<string, mixed>>
     */
    private function sound(string $section, array $items): array
    {
        foreach ($items as $name => $item) {
            $problem = Sound::problem($section, $item);
            if ($problem !== null) {
                unset($items[$name]);
                $this->notes[] = substr($section, 0, -1) . " $name is left out: $problem; correct its configuration";
            }
        }
        return $items;
    }

    /**
     * @return array<string, string>
     */
    private function site(): array
    {
        $own = $this->site->config('system.site');
        $private = (string) $this->site->setting('file_private_path');
        $public = (string) $this->site->setting('file_public_path');
        $sync = $this->site->setting('config_sync_directory');
        $root = $this->site->root();
        $sync = is_string($sync) && $sync !== '' ? $this->site->fromDocroot($sync) : $root;
        if (strncmp("$sync/", "$root/", strlen($root) + 1) !== 0) {
            $this->notes[] = "the folder of exported configuration, $sync, lies outside of $root and is in no backup "
                . 'of the whole site: make a source of type files of it';
        }
        return [
            'root' => $root,
            'conf_path' => $this->site->confPath(),
        ] + self::identity($this->site, $this->site->setting('bam_site_aliases')) + self::optional([
            'name' => (string) ($own['name'] ?? ''),
            'mail' => (string) ($own['mail'] ?? ''),
            'timezone' => (string) ($this->site->config('system.date')['timezone']['default'] ?? ''),
            'drupal_version' => $this->site->version(),
            'public_path' => $public === '' ? '' : $this->fromRoot($public),
            'private_path' => $private === '' ? '' : $this->site->fromDocroot($private),
            'temporary_path' => (string) ($this->site->setting('file_temp_path')
                ?? $this->site->config('system.file')['path']['temporary'] ?? ''),
        ]);
    }

    private function fromRoot(string $path): string
    {
        return strncmp($path, '/', 1) === 0 ? $path : $this->site->project()->fromRoot($path);
    }

    /**
     * @return array<string, array<string, mixed>>
     */
    private function destinations(): array
    {
        $found = [];
        foreach ($this->entities('destination') as $name => $destination) {
            // PHP knows no empty map, only a list.
            if (($destination['credential_files'] ?? null) === []) {
                unset($destination['credential_files']);
            }
            $found[$name] = $this->secret($destination, "destination $name");
        }
        $found += $this->theirs->destinations();
        if ((string) $this->site->setting('file_private_path') !== '') {
            foreach (['manual' => 'Manual', 'scheduled' => 'Scheduled'] as $name => $title) {
                $found += [$name => [
                    'type' => 'directory',
                    'name' => "$title backups",
                    'path' => "private://backup_migrate/$name",
                ]];
            }
        } elseif (!isset($found['manual'])) {
            $this->notes[] = 'the site has no private file system path, so there is no destination "manual": set '
                . '$settings[\'file_private_path\'] in settings.php, or make a destination of your own';
        }
        return $found;
    }

    /**
     * @return array<string, array<string, mixed>>
     */
    private function profiles(): array
    {
        $profiles = $this->entities('profile');
        foreach ($profiles as $name => $profile) {
            $sources = [];
            foreach (self::map($profile['sources'] ?? null) as $settings) {
                if (is_array($settings) && isset($settings['source'])) {
                    $sources[$settings['source']] = array_diff_key($settings, ['source' => 1]);
                }
            }
            $profiles[$name]['sources'] = $sources;
        }
        return $profiles;
    }

    /**
     * @return array<string, array<string, mixed>>
     */
    private function schedules(): array
    {
        $schedules = [];
        foreach ($this->site->entities('bam.schedule.') as $name => $entity) {
            $schedules[$name] = $this->plain($entity) + ['enabled' => (bool) ($entity['status'] ?? true)];
            $periods = self::map($schedules[$name]['keep_periods'] ?? null);
            unset($schedules[$name]['keep_periods']);
            if ($periods !== []) {
                $schedules[$name]['keep'] = $periods;
            }
        }
        $schedules += $this->theirs->schedules();
        foreach ($this->site->values('bam.last_run') as $name => $time) {
            if (isset($schedules[$name])) {
                $schedules[$name]['last_run'] = max((int) $time, (int) ($schedules[$name]['last_run'] ?? 0));
            }
        }
        return $schedules;
    }

    /**
     * @param array<string, mixed> $settings
     * @return array<string, mixed>
     */
    private function encryption(array $settings): array
    {
        $file = (string) ($this->site->setting('bam_key_file') ?? $settings['key_file'] ?? '');
        $encryption = self::optional([
            'key_file' => $file,
            'iterations' => (int) ($settings['iterations'] ?? 0) ?: null,
        ]);
        foreach (['keys', 'recipients'] as $list) {
            $values = array_values(self::map($settings[$list] ?? null));
            if ($values !== []) {
                $encryption[$list] = $values;
            }
        }
        $key = (string) ($settings['key'] ?? '');
        if ($file === '' && $key !== '') {
            $names = ['value' => 'key', 'file' => 'key_file', 'env' => 'key_env'];
            foreach ($this->key($key, 'encryption') as $kind => $value) {
                $encryption[$names[$kind]] = $value;
            }
        }
        return $encryption;
    }

    /**
     * @return array<string, array<string, mixed>>
     */
    private function entities(string $type): array
    {
        return array_map([$this, 'plain'], $this->site->entities("bam.$type."));
    }

    /**
     * An entity as the document has it: what is empty is left to the engine's defaults.
     *
     * @param array<string, mixed> $entity
     * @return array<string, mixed>
     */
    private function plain(array $entity): array
    {
        $plain = array_diff_key($entity, array_flip(self::ENTITY));
        if (isset($plain['notify']) && is_array($plain['notify'])) {
            $plain['notify'] = self::optional($plain['notify']);
        }
        return self::optional($plain + ['name' => (string) ($entity['label'] ?? '')]);
    }

    /**
     * Puts in the place of a key's name where its value is.
     *
     * @param array<string, mixed> $destination
     * @return array<string, mixed>
     */
    private function secret(array $destination, string $what): array
    {
        $key = (string) ($destination['password_key'] ?? '');
        unset($destination['password_key']);
        $names = ['value' => 'password', 'file' => 'password_file', 'env' => 'password_env'];
        foreach ($key === '' ? [] : $this->key($key, $what) as $kind => $value) {
            $destination[$names[$kind]] = $value;
        }
        return $destination;
    }

    /**
     * A key of the Key module, as far as its provider is one of that module's own.
     *
     * @return array<string, string> `value`, `file` or `env`; empty where only Drupal could tell.
     */
    private function key(string $id, string $what): array
    {
        $key = $this->site->config("key.key.$id");
        $settings = self::map($key['key_provider_settings'] ?? null);
        $value = static function (string $name) use ($settings): string {
            return is_string($settings[$name] ?? null) ? $settings[$name] : '';
        };
        $encoded = !empty($settings['base64_encoded']);
        switch ($encoded ? 'encoded' : ($key['key_provider'] ?? '')) {
            case 'file':
                return ['file' => $this->site->fromDocroot($value('file_location'))];

            case 'env':
                return ['env' => $value('env_variable')];

            case 'config':
                return ['value' => $value('key_value')];
        }
        $this->notes[] = $key === []
            ? "$what: there is no key \"$id\" in the Key module"
            : "$what: the key \"$id\" can be told by a running Drupal only (provider "
                . ($key['key_provider'] ?? '') . ($encoded ? ', Base64' : '')
                . '); use a key in a file or in the environment';
        return [];
    }
}
