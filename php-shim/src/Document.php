<?php

namespace Bam;

/**
 * The configuration document (docs/configuration.md): what a site has and where its backups go. Holds secrets.
 */
final class Document implements \JsonSerializable
{
    /** The parts that are maps by machine name. */
    public const MAPS = ['databases', 'sources', 'destinations', 'profiles', 'schedules'];

    /** @var array<string, mixed> */
    private array $data;

    /**
     * @param array<string, mixed> $data
     */
    public function __construct(array $data)
    {
        $this->data = $data;
    }

    /**
     * One of the maps: machine name => settings.
     *
     * @return array<string, array<string, mixed>>
     */
    public function map(string $part): array
    {
        return $this->data[$part] ?? [];
    }

    /**
     * A setting of one of the other parts: get('site', 'root').
     *
     * @return mixed Null where it is not set.
     */
    public function get(string $part, string $key)
    {
        return $this->data[$part][$key] ?? null;
    }

    /**
     * The same document with a part replaced.
     *
     * @param array<string, mixed> $value
     */
    public function with(string $part, array $value): self
    {
        return new self([$part => $value] + $this->data);
    }

    /**
     * @return array<string, mixed>
     */
    public function toArray(): array
    {
        return $this->data;
    }

    /**
     * JSON knows lists and maps apart; PHP's arrays don't, least of all with machine names like "7".
     */
    public function jsonSerialize(): object
    {
        $data = $this->data;
        foreach ($data['profiles'] ?? [] as $name => $profile) {
            $data['profiles'][$name]['sources'] = (object) array_map(static function ($settings): object {
                return (object) $settings;
            }, $profile['sources'] ?? []);
        }
        foreach ($data as $part => $value) {
            if (is_array($value)) {
                $data[$part] = (object) $value;
            }
        }
        return (object) $data;
    }
}
