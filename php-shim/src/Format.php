<?php

namespace Bam;

/**
 * Numbers, times and names for people.
 */
final class Format
{
    private const SPANS = ['year' => 31536000, 'month' => 2592000, 'day' => 86400, 'hour' => 3600, 'minute' => 60];

    /**
     * 1.4 GB, in steps of 1000 as disks and ISO 80000 count: the same text as `bam` prints.
     */
    public static function bytes(int $bytes): string
    {
        $units = ['B', 'kB', 'MB', 'GB', 'TB'];
        $size = (float) $bytes;
        for ($unit = 0; $size >= 999.95 && $unit < count($units) - 1; $unit++) {
            $size /= 1000;
        }
        return ($unit === 0 ? $bytes : number_format($size, 1, '.', '')) . ' ' . $units[$unit];
    }

    /**
     * The date and time, in PHP's time zone.
     */
    public static function time(int $time): string
    {
        return date('Y-m-d H:i:s', $time);
    }

    /**
     * How long ago: 3 days.
     */
    public static function age(int $seconds): string
    {
        foreach (self::SPANS as $span => $length) {
            if ($seconds >= $length) {
                $count = intdiv($seconds, $length);
                return "$count $span" . ($count === 1 ? '' : 's');
            }
        }
        return max($seconds, 0) . ' seconds';
    }

    /**
     * So many of each period, as a schedule keeps them: daily 7, weekly 5.
     *
     * @param array<string, int|string> $keep
     */
    public static function keep(array $keep): string
    {
        $words = [];
        foreach ($keep as $period => $number) {
            $words[] = "$period $number";
        }
        return implode(', ', $words);
    }

    /**
     * A name from the file system, fit for a terminal: control characters could move the cursor, or worse.
     */
    public static function name(string $name): string
    {
        $shown = preg_replace('/[\x00-\x1F\x7F]|\xC2[\x80-\x9F]/', '?', $name);
        return (string) $shown;
    }
}
