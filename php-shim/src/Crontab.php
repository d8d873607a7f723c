<?php

namespace Bam;

/**
 * Crontab expressions: whether a text is one. When it comes due the engine works out.
 */
final class Crontab
{
    private const FIELDS = [[0, 59], [0, 23], [1, 31], [1, 12], [0, 7]];
    private const NAMES = [
        3 => 'jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec',
        4 => 'sun|mon|tue|wed|thu|fri|sat',
    ];

    /**
     * Five fields, each a list of `*`, numbers, names and ranges with steps; or `@daily` and its kin; or `none`.
     */
    public static function isExpression(string $text): bool
    {
        if ($text === 'none' || preg_match('/^@(yearly|annually|monthly|weekly|daily|midnight|hourly)$/Di', $text)) {
            return true;
        }
        $fields = preg_split('/\s+/', trim($text)) ?: [];
        if (count($fields) !== count(self::FIELDS)) {
            return false;
        }
        foreach ($fields as $place => $field) {
            foreach (explode(',', $field) as $part) {
                if (!self::isPart($part, $place)) {
                    return false;
                }
            }
        }
        return true;
    }

    private static function isPart(string $part, int $place): bool
    {
        [$least, $most] = self::FIELDS[$place];
        // The last day of a month or its nearest weekday; the last or the nth weekday of a month.
        $special = [2 => '/^(L|LW|[1-9]\d?W)$/Di', 4 => '/^([0-7]|[a-z]{3})(L|#[1-5])$/Di'][$place] ?? null;
        if ($special !== null && preg_match($special, $part)) {
            return true;
        }
        $one = '\d{1,2}' . (isset(self::NAMES[$place]) ? '|' . self::NAMES[$place] : '');
        if (!preg_match("~^(\\*|\\?|($one)(?:-($one))?)(?:/([1-9]\\d?))?$~Di", $part, $found)) {
            return false;
        }
        $numbers = array_filter([$found[2] ?? '', $found[3] ?? ''], 'ctype_digit');
        foreach ($numbers as $number) {
            if ($number < $least || $number > $most) {
                return false;
            }
        }
        return count($numbers) < 2 || (int) $numbers[0] <= (int) $numbers[1];
    }
}
