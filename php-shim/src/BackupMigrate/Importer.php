<?php

namespace Bam\BackupMigrate;

use Bam\BamException;
use Bam\Native;

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

    private Native $native;
    private Store $store;
    /** @var array<string, array<string, array<string, mixed>>> Items to store: type, machine name, columns. */
    private array $items = [];
    /** @var string[] */
    private array $notes = [];

    public function __construct(?Native $native = null)
    {
        $this->native = $native ?? Native::get();
        $this->store = new Store();
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
            $known = $this->store->items($type);
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
                $this->store->save($type, $items);
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
        if (!Store::isName($name)) {
            throw new BamException(
                'config',
                "$file: the machine_name of this $type has more than letters, digits and _.:- in it",
                '',
                2
            );
        }
        try {
            $columns = Store::columns($type, $name, $item);
        } catch (BamException $failure) {
            throw new BamException('config', "$file: " . $failure->getMessage(), '', 2, $failure);
        }
        if (strlen((string) ($columns['timestamp_format'] ?? '')) > 14) {
            throw new BamException(
                'config',
                "$file: the timestamp_format of the profile $name is longer than the 14 characters that are stored",
                'shorten it, e.g. to Y-m-d\TH-i-s',
                2
            );
        }
        $this->items[$type][$name] = $columns;
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
}
