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

    /**
     * Whether an expression names any time at all: the 30th of February never comes.
     */
    public static function comes(string $text): bool
    {
        $fields = preg_split('/\s+/', trim($text)) ?: [];
        if (count($fields) !== count(self::FIELDS) || !preg_match('~^[*?](/|$)~', $fields[4])) {
            return true;
        }
        $longest = [1 => 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        $months = self::numbers($fields[3], 3);
        foreach (explode(',', $fields[2]) as $part) {
            // The last day, or the weekday nearest to one.
            if (!preg_match('~^([*?]|\d+)(?:[-/]|$)~', $part, $first)) {
                return true;
            }
            foreach ($months as $month) {
                if ((int) $first[1] <= $longest[$month]) {
                    return true;
                }
            }
        }
        return false;
    }

    /**
     * The numbers that a field without specials names.
     *
     * @return int[]
     */
    private static function numbers(string $field, int $place): array
    {
        $names = explode('|', self::NAMES[$place] ?? '');
        [$least, $most] = self::FIELDS[$place];
        $found = [];
        foreach (explode(',', strtolower($field)) as $part) {
            [$span, $step] = explode('/', $part) + [1 => ''];
            $ends = array_map(static function (string $end) use ($names, $least): int {
                $name = array_search($end, $names, true);
                return $name === false ? (int) $end : $name + $least;
            }, explode('-', $span));
            if ($span === '*' || $span === '?') {
                $ends = [$least, $most];
            } elseif (count($ends) === 1) {
                $ends[] = $step === '' ? $ends[0] : $most;
            }
            for ($number = max($least, $ends[0]); $number <= min($most, $ends[1]); $number += max(1, (int) $step)) {
                $found[] = $number;
            }
        }
        return $found;
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
