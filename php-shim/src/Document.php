<?php

namespace Bam;

/**
 * The configuration document (docs/configuration.md): what a site has and where its backups go. Holds secrets.
 */
final class Document implements \JsonSerializable
{
    /** The parts that are maps by machine name. */
    public const MAPS = ['databases', 'sources', 'destinations', 'profiles', 'schedules'];

    /** Which of its members are maps, besides the parts themselves; `*` is each of a map, whatever its name. */
    private const WITHIN = [
        'databases' => ['*' => []],
        'sources' => ['*' => []],
        'destinations' => ['*' => self::DESTINATION],
        'profiles' => ['*' => ['notify' => [], 'sources' => ['*' => []]]],
        'schedules' => ['*' => ['keep' => []]],
        'encryption' => ['aes_module' => []],
        '*' => [],
    ];
    private const DESTINATION = ['credential_files' => []];

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
     * JSON knows lists and maps apart; PHP's arrays don't, least of all with machine names like "7", or with nothing
     * in them.
     */
    public function jsonSerialize(): object
    {
        return self::asMap($this->data, self::WITHIN);
    }

    /**
     * One entry of the destinations, as JSON has it.
     *
     * @param array<string, mixed> $destination
     */
    public static function destination(array $destination): object
    {
        return self::asMap($destination, self::DESTINATION);
    }

    /**
     * @param array<mixed> $map
     * @param array<string, array<mixed>> $within What of it is a map, too.
     */
    private static function asMap(array $map, array $within): object
    {
        foreach ($map as $name => $value) {
            $inner = $within[$name] ?? $within['*'] ?? null;
            if ($inner !== null && is_array($value)) {
                $map[$name] = self::asMap($value, $inner);
            }
        }
        return (object) $map;
    }
}
