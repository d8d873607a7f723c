<?php

namespace Bam;

/**
 * What a schedule keeps of each period, as the configuration says it: `last: 7, daily: 7, within: 14d`.
 */
final class Keep
{
    /** Whose last backups are counted. */
    public const PERIODS = ['last', 'hourly', 'daily', 'weekly', 'monthly', 'yearly'];

    /** All that can be said. */
    public const WORDS = ['last', 'hourly', 'daily', 'weekly', 'monthly', 'yearly', 'within'];

    /**
     * Whether a word can have this value: a number or `all`, and `within` a time such as 14d.
     */
    public static function isValue(string $word, string $value): bool
    {
        return (bool) preg_match($word === 'within' ? '/^[1-9]\d{0,5}[smhdw]$/D' : '/^([1-9]\d{0,5}|all)$/D', $value);
    }

    /**
     * What is said, without the words that keep nothing.
     *
     * @param array<mixed> $said Values by word, from a form or a configuration.
     * @return array<string, string>
     */
    public static function said(array $said): array
    {
        $words = [];
        foreach (self::WORDS as $word) {
            $value = $said[$word] ?? '';
            $value = is_int($value) || is_string($value) ? trim((string) $value) : '?';
            if ($value !== '' && $value !== '0') {
                $words[$word] = $value;
            }
        }
        return $words;
    }

    /**
     * What cannot be of what is said; null where nothing is wrong with it.
     *
     * @param array<mixed> $said
     */
    public static function problem(array $said): ?string
    {
        $unknown = array_diff(array_map('strval', array_keys($said)), self::WORDS);
        if ($unknown !== []) {
            return Format::name((string) reset($unknown)) . ' is no period: there are ' . implode(', ', self::WORDS);
        }
        foreach (self::said($said) as $word => $value) {
            if (!self::isValue($word, $value)) {
                return $word === 'within' ? 'within is a time such as 14d' : "$word is a number of backups, or all";
            }
        }
        return self::said($said) === [] ? 'it names nothing that is kept' : null;
    }

    /**
     * What a line of words and values says, `last 7, daily 7, within 14d`; null where it is none.
     *
     * @return array<string, string>|null
     */
    public static function ofLine(string $line): ?array
    {
        $said = [];
        foreach (explode(',', $line) as $part) {
            if (!preg_match('/^\s*([a-z]+)[\s:=]+(\w+)\s*$/D', $part, $found)) {
                return null;
            }
            $said[$found[1]] = $found[2];
        }
        return $said;
    }
}
