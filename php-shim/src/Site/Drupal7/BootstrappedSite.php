<?php

namespace Bam\Site\Drupal7;

use Bam\Site\DocumentBuilder;

/**
 * A site whose Drupal 7 runs in this process. Sees what only Drupal can tell: items that modules keep in code.
 */
final class BootstrappedSite implements Drupal7Site
{
    public function root(): string
    {
        return DRUPAL_ROOT;
    }

    public function confPath(): string
    {
        return conf_path();
    }

    public function version(): string
    {
        return VERSION;
    }

    public function url(): string
    {
        $url = (string) ($GLOBALS['base_url'] ?? '');
        // What Drush makes up where nobody told it the address; the module's pages remember theirs.
        return parse_url($url, PHP_URL_HOST) === 'default' ? (string) variable_get('bam_url', '') : $url;
    }

    public function urlIsSet(): bool
    {
        // Drupal makes one of the request where settings.php names none.
        $scheme = ($GLOBALS['is_https'] ?? false) ? 'https' : 'http';
        $folder = rtrim(dirname((string) ($_SERVER['SCRIPT_NAME'] ?? '')), '\\/');
        return $this->url() !== '' && $this->url() !== "$scheme://" . ($_SERVER['HTTP_HOST'] ?? '') . $folder;
    }

    public function databases(): array
    {
        return (array) $GLOBALS['databases'];
    }

    public function variable(string $name, $default = null)
    {
        return variable_get($name, $default);
    }

    public function cronModule(): string
    {
        foreach (self::CRON_MODULES as $module) {
            if (module_exists($module)) {
                return $module;
            }
        }
        return '';
    }

    public function problem(): ?string
    {
        return null;
    }

    public function builder(): DocumentBuilder
    {
        return new Drupal7DocumentBuilder($this);
    }

    public function keepsCopy(): bool
    {
        return (bool) $this->variable('bam_keep_configuration', true);
    }

    public function inCode(): array
    {
        return Items::inCodeOf($this);
    }

    public function seesCode(): bool
    {
        return true;
    }

    public function items(string $type): Items
    {
        return module_exists('backup_migrate') ? $this->ask($type) : $this->gather($type);
    }

    /**
     * Asks Backup and Migrate.
     */
    private function ask(string $type): Items
    {
        // On PHP 8.2 every one of its objects has several deprecations to tell, and Drupal shows them on the page.
        $level = error_reporting(error_reporting() & ~E_DEPRECATED);
        try {
            module_load_include('inc', 'backup_migrate', 'includes/crud');
            $items = new Items();
            foreach ((array) backup_migrate_crud_get_items($type) as $item) {
                $array = $item->to_array();
                // Its own source and destination objects put no machine name of theirs in to_array() where the schema
                // is another one's.
                $array['machine_name'] = $item->get_id();
                $items->add($array, (int) $item->storage === BACKUP_MIGRATE_STORAGE_NONE);
            }
            return $items;
        } finally {
            error_reporting($level);
        }
    }

    /**
     * Reads what Backup and Migrate would read, where it is not enabled.
     */
    private function gather(string $type): Items
    {
        $items = new Items();
        foreach ($this->exported($type) as $item) {
            $items->add($item, true);
        }
        $items->addDefaults(variable_get("backup_migrate_{$type}s_defaults"));
        $table = "backup_migrate_{$type}s";
        if (db_table_exists($table)) {
            $items->addRows(db_query("SELECT * FROM {{$table}}", [], ['fetch' => \PDO::FETCH_ASSOC]));
        }
        return $items;
    }

    /**
     * CTools exports (hook_exportables_backup_migrate_profiles and its siblings) of the enabled modules. CTools itself
     * would ask for the table's schema, which only an enabled Backup and Migrate has.
     *
     * @return array<array<string, mixed>>
     */
    private function exported(string $type): array
    {
        foreach (module_list() as $module) {
            $file = drupal_get_path('module', $module) . "/$module.backup_migrate_exportables.inc";
            if (is_file(DRUPAL_ROOT . "/$file")) {
                require_once DRUPAL_ROOT . "/$file";
            }
        }
        $found = [];
        foreach (module_list() as $module) {
            $function = "{$module}_exportables_backup_migrate_{$type}s";
            foreach (function_exists($function) ? (array) $function() : [] as $item) {
                $item = (array) $item;
                if (empty($item['disabled'])) {
                    $found[] = $item;
                }
            }
        }
        return $found;
    }
}
