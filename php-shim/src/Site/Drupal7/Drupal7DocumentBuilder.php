<?php

namespace Bam\Site\Drupal7;

use Bam\BackupMigrate\Converter;
use Bam\Document;
use Bam\Keep;
use Bam\Site\DocumentBuilder;

/**
 * Makes the configuration document of a Drupal 7 site: from its variables and from Backup and Migrate's items.
 */
final class Drupal7DocumentBuilder extends DocumentBuilder
{
    private Drupal7Site $site;
    private Converter $converter;

    public function __construct(Drupal7Site $site)
    {
        $this->site = $site;
        $this->converter = new Converter();
    }

    public function notes(): array
    {
        return array_merge($this->notes, $this->converter->notes());
    }

    public function build(): Document
    {
        $databases = $this->databasesOf($this->site, $this->site->root());
        $sources = $this->sources($databases);
        return new Document([
            'site' => $this->site(),
            'databases' => $databases,
            'sources' => $sources,
            'destinations' => $this->destinations(),
            'profiles' => $this->profiles(),
            'schedules' => $this->schedules(),
            'encryption' => $this->encryption(),
            'policy' => self::map($this->site->variable('bam_policy')),
            'smart_keep' => $this->smartKeep(),
        ] + self::optional([
            'default_profile' => $this->text('backup_migrate_profile_id'),
            'state_dir' => $this->text('bam_state_dir'),
        ]));
    }

    /**
     * @return array<string, mixed>
     */
    private function site(): array
    {
        return [
            'root' => $this->site->root(),
            'conf_path' => $this->site->confPath(),
        ] + self::identity($this->site, $this->site->variable('bam_site_aliases')) + self::optional([
            'name' => $this->text('site_name'),
            'mail' => $this->text('site_mail'),
            'timezone' => $this->text('date_default_timezone'),
            'cron' => $this->site->cronModule(),
            'drupal_version' => $this->site->version(),
            'public_path' => $this->text('file_public_path'),
            'private_path' => $this->text('file_private_path'),
            'temporary_path' => $this->text('file_temporary_path'),
        ]);
    }

    /**
     * @param array<string, array<string, string>> $databases Those that sources name are added.
     * @return array<string, array<string, mixed>>
     */
    private function sources(array &$databases): array
    {
        $sources = [];
        foreach ($this->site->items('source')->all() as $name => $item) {
            // The databases of settings.php: the engine makes a source of each.
            if (isset($databases[$name])) {
                continue;
            }
            $source = $this->converter->source($item);
            if ($source !== null && $source['type'] === 'database') {
                $databases[$name] = ['url' => (string) ($item['location'] ?? '')];
            }
            if ($source !== null) {
                $sources[$name] = $source;
            }
        }
        return $sources;
    }

    /**
     * @return array<string, array<string, mixed>>
     */
    private function destinations(): array
    {
        $items = $this->site->items('destination')->all();
        if ($this->text('file_private_path') !== '') {
            foreach (['manual' => 'Manual', 'scheduled' => 'Scheduled'] as $name => $title) {
                $items += [$name => [
                    'machine_name' => $name,
                    'name' => "$title Backups Directory",
                    'subtype' => 'file',
                    'location' => "private://backup_migrate/$name",
                ]];
            }
        } elseif (!isset($items['manual'])) {
            $this->notes[] = 'the site has no private file system path, so there is no destination "manual": set one '
                . 'at admin/config/media/file-system, or make a destination of your own';
        }
        return array_filter(array_map([$this->converter, 'destination'], $items));
    }

    /**
     * @return array<string, array<string, mixed>>
     */
    private function profiles(): array
    {
        $items = $this->site->items('profile');
        $all = $items->all();
        // The default profile that nobody has changed is built in; Backup and Migrate's own says the same, but names
        // every source, as if somebody had made settings for it.
        if (in_array('default', $items->namesInCode(), true)) {
            unset($all['default']);
        }
        return array_map([$this->converter, 'profile'], $all);
    }

    /**
     * @return array<string, array<string, mixed>>
     */
    private function schedules(): array
    {
        $schedules = array_map([$this->converter, 'schedule'], $this->site->items('schedule')->all());
        $more = self::map($this->site->variable('bam_schedule_destinations'));
        $keep = self::map($this->site->variable('bam_schedule_keep'));
        foreach ($schedules as $name => $schedule) {
            // Backup and Migrate's schedules have room for two.
            $further = array_filter(self::map($more[$name] ?? null), 'is_string');
            $schedules[$name]['destinations'] = array_values(
                array_unique(array_merge($schedule['destinations'], $further))
            );
            // Nor have they periods. A number that they got since is the later word.
            $periods = self::map($keep[$name] ?? null);
            if ($periods !== [] && $schedule['keep'] === 0) {
                $problem = Keep::problem($periods);
                $schedules[$name]['keep'] = $problem === null ? Keep::said($periods) : 0;
                if ($problem !== null) {
                    $this->notes[] = "schedule $name keeps all: $problem; correct the variable bam_schedule_keep";
                }
            }
            $lastRun = (int) $this->site->variable("backup_migrate_schedule_last_run_$name", 0);
            if ($lastRun > 0) {
                $schedules[$name]['last_run'] = $lastRun;
            }
        }
        return $schedules;
    }

    /**
     * @return array<string, mixed>
     */
    private function encryption(): array
    {
        $encryption = self::optional([
            'key_file' => $this->text('bam_key_file'),
            'keys' => array_values(array_filter(self::map($this->site->variable('bam_keys')), 'is_string')) ?: null,
            'iterations' => (int) $this->site->variable('bam_kdf_iterations', 0) ?: null,
        ]);
        $inFile = $this->text('aes_key_storage_method') === 'File';
        $key = self::optional([
            'key' => $inFile ? '' : $this->text('aes_key'),
            'key_file' => $inFile ? $this->text('aes_key_path') : '',
        ]);
        if ($key !== []) {
            $encryption['aes_module'] = $key + self::optional([
                'implementation' => $this->text('aes_implementation') ?: 'mcrypt',
                'cipher' => $this->text('aes_cipher') ?: 'rijndael-128',
                'iv' => $this->text('aes_encryption_iv'),
            ]);
        }
        return $encryption;
    }

    /**
     * @return array<string, int>
     */
    private function smartKeep(): array
    {
        $keep = [];
        foreach (['subhourly', 'hourly', 'daily', 'weekly'] as $span) {
            $value = $this->site->variable("backup_migrate_smart_keep_$span");
            if (is_numeric($value)) {
                $keep[$span] = (int) $value;
            }
        }
        return $keep;
    }

    private function text(string $variable): string
    {
        $value = $this->site->variable($variable);
        return is_scalar($value) ? (string) $value : '';
    }
}
