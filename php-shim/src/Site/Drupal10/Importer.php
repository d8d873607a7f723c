<?php

namespace Bam\Site\Drupal10;

use Bam\BamException;
use Bam\Native;
use Symfony\Component\Yaml\Exception\ParseException;
use Symfony\Component\Yaml\Yaml;

/**
 * Imports sources, destinations, profiles and schedules into the module's configuration: from what Backup and Migrate
 * of Drupal 7 exported, and from documents of bam (docs/configuration.md), those of a Drupal 7 site among them.
 *
 * First all files are read and checked, then all of it is stored or nothing. Needs a Drupal that runs, with the module.
 */
final class Importer
{
    public const NEW = 'new';
    public const REPLACED = 'replaced';
    public const UNCHANGED = 'unchanged';

    private const SECTIONS = [
        'sources' => 'source',
        'destinations' => 'destination',
        'profiles' => 'profile',
        'schedules' => 'schedule',
    ];

    private const BUILT_IN = ['db', 'files', 'files_private', 'archive'];

    /** @var array<string, array<string, array<string, mixed>>> What is to be stored: type, machine name, values. */
    private array $items = [];
    /** @var string[] */
    private array $notes = [];

    public function __construct()
    {
        if (!\Drupal::hasService('bam.jobs')) {
            throw new BamException('config', 'the module bam is not enabled', 'drush pm:install bam', 2);
        }
    }

    /**
     * Reads a file. Nothing is stored yet.
     */
    public function read(string $file): void
    {
        $text = @file_get_contents($file);
        if ($text === false) {
            throw new BamException('not_found', "cannot read $file", 'check the name of the file', 2);
        }
        foreach ($this->parse($file, $text) as $section => $items) {
            foreach ($items as $name => $item) {
                $this->add($section, (string) $name, $item);
            }
        }
    }

    /**
     * What was left out, for people.
     *
     * @return string[]
     */
    public function notes(): array
    {
        return array_values(array_unique($this->notes));
    }

    /**
     * What applying would do.
     *
     * @return array<array{type: string, id: string, name: string, action: string}>
     */
    public function plan(): array
    {
        $plan = [];
        foreach ($this->items as $type => $items) {
            foreach ($items as $id => $values) {
                $there = $this->storage($type)->load($id);
                $action = self::NEW;
                if ($there !== null) {
                    $same = array_intersect_key($there->toArray(), $values) == $values;
                    $action = $same ? self::UNCHANGED : self::REPLACED;
                }
                $plan[] = ['type' => $type, 'id' => $id, 'name' => $values['label'], 'action' => $action];
            }
        }
        return $plan;
    }

    /**
     * Stores it all.
     */
    public function apply(): void
    {
        $transaction = \Drupal::database()->startTransaction();
        try {
            foreach ($this->items as $type => $items) {
                foreach ($items as $id => $values) {
                    $entity = $this->storage($type)->load($id) ?? $this->storage($type)->create(['id' => $id]);
                    foreach ($values as $key => $value) {
                        $entity->set($key, $value);
                    }
                    $entity->save();
                }
            }
        } catch (\Throwable $cause) {
            $transaction->rollBack();
            throw $cause;
        }
    }

    /**
     * @return array<string, array<string, mixed>> The sections of a document.
     */
    private function parse(string $file, string $text): array
    {
        $document = json_decode($text, true);
        if (!is_array($document) && !preg_match('/^\s*(<\?php\b|\$\w+\s*=|array\s*\(|\[)/', $text)) {
            try {
                $document = Yaml::parse($text);
            } catch (ParseException $cause) {
                throw new BamException('config', "$file: " . $cause->getMessage(), 'correct the file', 2, $cause);
            }
        }
        if (is_array($document)) {
            return array_filter(array_intersect_key($document, self::SECTIONS), 'is_array');
        }
        try {
            $parsed = Native::get()->parseSettings($text);
        } catch (BamException $failure) {
            $message = "$file: " . $failure->getMessage();
            throw new BamException($failure->kind(), $message, $failure->hint(), $failure->exitCode(), $failure);
        }
        $this->notes = array_merge($this->notes, $parsed['notes']);
        $sections = [];
        foreach ($parsed['items'] as $item) {
            foreach ($item['notes'] ?? [] as $note) {
                $this->notes[] = "{$item['machine_name']}: $note";
            }
            if (is_array($item['document'] ?? null)) {
                $sections["{$item['type']}s"][$item['machine_name']] = $item['document'];
            }
        }
        return $sections;
    }

    /**
     * @param mixed $item
     */
    private function add(string $section, string $name, $item): void
    {
        $type = self::SECTIONS[$section];
        // Built in, or made of what settings.php says.
        if (!is_array($item) || ($type === 'source' && in_array($name, self::BUILT_IN, true))) {
            return;
        }
        $id = (string) preg_replace('/[^a-z0-9_]+/', '_', strtolower($name));
        $label = (string) ($item['name'] ?? $name);
        $url = isset($item['url']) ? parse_url((string) $item['url']) : [];
        if (isset($item['password']) || isset($url['pass'])) {
            $this->notes[] = "$type $name: its password is not imported, since configuration is exported to files: put "
                . 'it into a file or into a key of the Key module, and name that';
            $item['url'] = (string) preg_replace('#^(\w+://[^:/@]+):[^@]*@#', '$1@', (string) ($item['url'] ?? ''));
        }
        if ($type === 'schedule') {
            $item['status'] = (bool) ($item['enabled'] ?? true);
        }
        if ($type === 'profile') {
            $item['sources'] = self::ofSources((array) ($item['sources'] ?? []));
            $notify = (array) ($item['notify'] ?? []);
            $item['notify'] = [
                'success' => self::line($notify['success'] ?? ''),
                'failure' => self::line($notify['failure'] ?? ''),
            ];
            if (($item['encryption'] ?? '') === 'aes-module') {
                $item['encryption'] = 'aes256';
                $this->notes[] = "profile $name: the aes module is Drupal 7's; bam encrypts with its own key "
                    . '(drush bam:key)';
            }
        }
        $entity = $this->storage($type)->create(['id' => $id]);
        $known = array_diff_key($entity->toArray(), ['uuid' => 1, 'langcode' => 1, 'dependencies' => 1, 'id' => 1]);
        $values = ['label' => $label] + array_intersect_key($item, $known);
        $left = array_diff_key($item, $known, ['name' => 1, 'enabled' => 1, 'last_run' => 1, 'password' => 1]);
        foreach (array_keys($left) as $key) {
            $this->notes[] = "$type $name: \"$key\" is left out; only bam.yml knows it";
        }
        $this->items[$type][$id] = array_filter($values, static function ($value): bool {
            return $value !== null;
        });
    }

    /**
     * @param array<string, mixed> $sources
     * @return array<array<string, mixed>>
     */
    private static function ofSources(array $sources): array
    {
        $list = [];
        foreach ($sources as $source => $settings) {
            $settings = array_filter((array) $settings, 'is_array');
            $known = array_flip(['nodata_tables', 'exclude_tables', 'exclude']);
            $settings = array_map('array_values', array_intersect_key($settings, $known));
            $list[] = ['source' => (string) $source] + $settings;
        }
        return $list;
    }

    /**
     * @param mixed $addresses
     */
    private static function line($addresses): string
    {
        return implode(', ', array_map('strval', (array) $addresses));
    }

    private function storage(string $type): object
    {
        return \Drupal::entityTypeManager()->getStorage("bam_$type");
    }
}
