<?php

namespace Bam\Site\Drupal7;

use Bam\Site\Serialized;

/**
 * Backup and Migrate's items of one type: those in the database over those in variables over those in code.
 */
final class Items
{
    public const TYPES = ['profile', 'schedule', 'source', 'destination'];

    /** @var array<string, array<string, mixed>> By machine name. */
    private array $items = [];
    /** @var array<string, bool> The machine names whose item is in code. */
    private array $inCode = [];

    /**
     * Adds an item that overrides one of the same name.
     *
     * @param array<string, mixed> $item
     */
    public function add(array $item, bool $inCode = false): void
    {
        $name = (string) ($item['machine_name'] ?? '');
        if ($name !== '') {
            $this->items[$name] = $item;
            unset($this->inCode[$name]);
            if ($inCode) {
                $this->inCode[$name] = true;
            }
        }
    }

    /**
     * Adds what the variable backup_migrate_…_defaults holds.
     *
     * @param mixed $defaults
     */
    public function addDefaults($defaults): void
    {
        foreach (is_array($defaults) ? $defaults : [] as $item) {
            if (is_array($item)) {
                $this->add($item);
            }
        }
    }

    /**
     * Adds rows of a backup_migrate_… table.
     *
     * @param iterable<array<string, mixed>> $rows
     */
    public function addRows(iterable $rows): void
    {
        foreach ($rows as $row) {
            foreach (['filters', 'settings'] as $serialized) {
                if (isset($row[$serialized])) {
                    $value = Serialized::read($row[$serialized]);
                    $row[$serialized] = is_array($value) ? $value : [];
                }
            }
            $this->add($row);
        }
    }

    /**
     * @return array<string, array<string, mixed>>
     */
    public function all(): array
    {
        return $this->items;
    }

    /**
     * @return string[]
     */
    public function namesInCode(): array
    {
        return array_map('strval', array_keys($this->inCode));
    }

    /**
     * The names of a site's items that are in code, by part of the document.
     *
     * @return array<string, string[]>
     */
    public static function inCodeOf(Drupal7Site $site): array
    {
        $code = [];
        foreach (self::TYPES as $type) {
            $code["{$type}s"] = $site->items($type)->namesInCode();
        }
        return $code;
    }
}
