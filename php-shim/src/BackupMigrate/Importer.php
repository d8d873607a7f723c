<?php

namespace Bam\BackupMigrate;

use Bam\BamException;
use Bam\Native;
use Bam\Site\Items;

/**
 * Imports what Backup and Migrate exported: into its tables where they exist, else into the variables
 * backup_migrate_…_defaults, which it also reads, so that nothing is lost when it is installed later.
 *
 * First all files are read and checked, then all of it is stored or nothing. Needs a bootstrapped Drupal 7.
 */
final class Importer
{
    public const NEW = 'new';
    public const REPLACED = 'replaced';
    public const UNCHANGED = 'unchanged';

    /** The columns of the tables (7.x-3.x) with what is stored where the export says nothing. */
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

    private Native $native;
    /** @var array<string, array<string, array<string, mixed>>> Items to store: type, machine name, columns. */
    private array $items = [];
    /** @var string[] */
    private array $notes = [];

    public function __construct(?Native $native = null)
    {
        $this->native = $native ?? Native::get();
    }

    /**
     * Reads an export file. Nothing is stored yet.
     */
    public function read(string $file): void
    {
        $text = @file_get_contents($file);
        if ($text === false) {
            throw new BamException('not_found', "cannot read $file", 'check the name of the file', 2);
        }
        try {
            $parsed = $this->native->parseSettings($text);
        } catch (BamException $failure) {
            throw new BamException(
                $failure->kind(),
                "$file: " . $failure->getMessage(),
                $failure->hint(),
                $failure->exitCode(),
                $failure
            );
        }
        $this->notes = array_merge($this->notes, $parsed['notes']);
        foreach ($parsed['items'] as $item) {
            $this->notes = array_merge($this->notes, $item['notes']);
            $this->add($item['type'], $item['machine_name'], $item['item'], $file);
        }
    }

    /**
     * What was left out of the files, and what bam does otherwise.
     *
     * @return string[]
     */
    public function notes(): array
    {
        return $this->notes;
    }

    /**
     * What apply() will do: type, machine name, name, and one of the constants.
     *
     * @return array<array{type: string, id: string, name: string, action: string}>
     */
    public function plan(): array
    {
        $plan = [];
        foreach ($this->items as $type => $items) {
            $known = $this->stored($type);
            foreach ($items as $name => $columns) {
                $action = self::NEW;
                if (isset($known[$name])) {
                    $action = self::same($known[$name], $columns) ? self::UNCHANGED : self::REPLACED;
                }
                $plan[] = ['type' => $type, 'id' => (string) $name, 'name' => $columns['name'], 'action' => $action];
            }
        }
        return $plan;
    }

    /**
     * Stores everything that was read, or nothing.
     */
    public function apply(): void
    {
        $transaction = db_transaction('bam_import');
        try {
            foreach ($this->items as $type => $items) {
                if (self::hasTable($type)) {
                    $this->storeRows($type, $items);
                } else {
                    variable_set(self::variable($type), $items + $this->stored($type));
                }
            }
        } catch (\Exception $cause) {
            $transaction->rollback();
            throw new BamException(
                'database',
                'cannot store the settings; nothing was imported: ' . $cause->getMessage(),
                '',
                1,
                $cause
            );
        }
    }

    /**
     * Checks an item and keeps it for apply().
     *
     * @param array<string, mixed> $item
     */
    private function add(string $type, string $name, array $item, string $file): void
    {
        // Names are given on command lines, with commas between them.
        if (!preg_match('/^[A-Za-z0-9_.:-]{1,255}$/D', $name)) {
            throw new BamException(
                'config',
                "$file: the machine_name of this $type has more than letters, digits and _.:- in it",
                '',
                2
            );
        }
        $columns = [];
        foreach (self::COLUMNS[$type] as $column => $default) {
            $value = $item[$column] ?? $default;
            if (is_array($value) !== is_array($default)) {
                throw new BamException(
                    'config',
                    "$file: \"$column\" must be " . (is_array($default) ? 'an array' : 'a text or a number'),
                    '',
                    2
                );
            }
            $columns[$column] = is_int($default) ? (int) $value : (is_array($value) ? $value : (string) $value);
        }
        $columns = ['machine_name' => $name] + $columns;
        $columns['name'] = $columns['name'] === '' ? $name : $columns['name'];
        $this->items[$type][$name] = $columns;
    }

    /**
     * What is stored of a type now, by machine name.
     *
     * @return array<string, array<string, mixed>>
     */
    private function stored(string $type): array
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
     * @param array<string, array<string, mixed>> $items
     */
    private function storeRows(string $type, array $items): void
    {
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

    /**
     * @param array<string, mixed> $stored
     * @param array<string, mixed> $columns
     */
    private static function same(array $stored, array $columns): bool
    {
        foreach ($columns as $column => $value) {
            $now = $stored[$column] ?? null;
            // Databases give numbers back as text.
            if (is_array($value) ? $now != $value : (string) $now !== (string) $value) {
                return false;
            }
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
