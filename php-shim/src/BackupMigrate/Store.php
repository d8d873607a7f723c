<?php

namespace Bam\BackupMigrate;

use Bam\BamException;
use Bam\Site\Drupal7\Items;

/**
 * Where Backup and Migrate's items are stored: its tables where they exist, else the variables
 * backup_migrate_…_defaults, which it also reads, so that nothing is lost when it is installed later.
 *
 * Needs a bootstrapped Drupal 7.
 */
final class Store
{
    /** The columns of the tables (7.x-3.x) with what is stored where an item says nothing. */
    private const COLUMNS = [
        'profile' => [
            'name' => '',
            'filename' => '[site:name]',
            'append_timestamp' => 1,
            'timestamp_format' => 'Y-m-d\TH-i-s',
            'filters' => [],
        ],
        'schedule' => [
            'name' => '',
            'source_id' => 'db',
            'destination_id' => '',
            'copy_destination_id' => '',
            'profile_id' => '',
            'keep' => 0,
            'period' => 86400,
            'enabled' => 0,
            'cron' => 'builtin',
            'cron_schedule' => '0 4 * * *',
        ],
        'source' => ['name' => '', 'subtype' => '', 'location' => '', 'settings' => []],
        'destination' => ['name' => '', 'subtype' => '', 'location' => '', 'settings' => []],
    ];

    /**
     * Whether a text can be a machine name: names are given on command lines, with commas between them.
     */
    public static function isName(string $name): bool
    {
        return (bool) preg_match('/^[A-Za-z0-9_.:-]{1,255}$/D', $name);
    }

    /**
     * An item with all columns of its table, each of the right type.
     *
     * @param array<string, mixed> $item
     * @return array<string, mixed>
     */
    public static function columns(string $type, string $name, array $item): array
    {
        $columns = ['machine_name' => $name];
        foreach (self::COLUMNS[$type] as $column => $default) {
            $value = $item[$column] ?? $default;
            if (is_array($value) !== is_array($default)) {
                throw new BamException(
                    'config',
                    "\"$column\" must be " . (is_array($default) ? 'an array' : 'a text or a number'),
                    '',
                    2
                );
            }
            $columns[$column] = is_int($default) ? (int) $value : (is_array($value) ? $value : (string) $value);
        }
        $columns['name'] = $columns['name'] === '' ? $name : $columns['name'];
        return $columns;
    }

    /**
     * What is stored of a type now, by machine name. Items that modules keep in code are not among them.
     *
     * @return array<string, array<string, mixed>>
     */
    public function items(string $type): array
    {
        $items = new Items();
        if (self::hasTable($type)) {
            $table = self::table($type);
            $items->addRows(db_query("SELECT * FROM {{$table}}", [], ['fetch' => \PDO::FETCH_ASSOC]));
        } else {
            $items->addDefaults(variable_get(self::variable($type)));
        }
        return $items->all();
    }

    /**
     * Stores items, in place of those of the same names.
     *
     * @param array<string, array<string, mixed>> $items By machine name, each as columns() makes it.
     */
    public function save(string $type, array $items): void
    {
        if (!self::hasTable($type)) {
            variable_set(self::variable($type), $items + $this->items($type));
            return;
        }
        foreach ($items as $name => $columns) {
            $row = array_map(static function ($value) {
                return is_array($value) ? serialize($value) : $value;
            }, $columns);
            // The machine name is no key of the table, so a merge query could not find the row.
            $update = db_update(self::table($type))->fields($row)->condition('machine_name', (string) $name);
            $changed = $update->execute();
            $exists = $changed > 0 || (bool) db_query(
                'SELECT 1 FROM {' . self::table($type) . '} WHERE machine_name = :name',
                [':name' => (string) $name]
            )->fetchField();
            if (!$exists) {
                db_insert(self::table($type))->fields($row)->execute();
            }
        }
    }

    /**
     * Removes an item. One of the same name that a module keeps in code is in force again then.
     */
    public function delete(string $type, string $name): void
    {
        if (self::hasTable($type)) {
            db_delete(self::table($type))->condition('machine_name', $name)->execute();
            return;
        }
        $items = $this->items($type);
        unset($items[$name]);
        variable_set(self::variable($type), $items);
    }

    private static function hasTable(string $type): bool
    {
        if (!db_table_exists(self::table($type))) {
            return false;
        }
        if (!db_field_exists(self::table($type), 'machine_name')) {
            throw new BamException(
                'unsupported',
                'the tables of Backup and Migrate here are those of its version 2',
                'update the module to 7.x-3.x and run update.php first'
            );
        }
        return true;
    }

    private static function table(string $type): string
    {
        return "backup_migrate_{$type}s";
    }

    private static function variable(string $type): string
    {
        return self::table($type) . '_defaults';
    }
}
