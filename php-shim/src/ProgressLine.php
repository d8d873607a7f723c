<?php

namespace Bam;

/**
 * One line of a terminal that tells how far a job is. Without a terminal there is none of it.
 */
final class ProgressLine
{
    private const PHASES = [
        'preparing' => 'Preparing',
        'backing_up' => 'Backing up',
        'finishing' => 'Finishing',
        'verifying' => 'Checking',
        'restoring' => 'Restoring',
        'done' => 'Done',
    ];
    private const BAR = 20;

    /** @var resource */
    private $stream;
    private int $width;

    /**
     * @param resource $stream
     */
    private function __construct($stream, int $width)
    {
        $this->stream = $stream;
        $this->width = max(20, $width);
    }

    /**
     * A line on standard error, null where that is no terminal.
     */
    public static function onTerminal(int $width = 80): ?self
    {
        return PHP_SAPI === 'cli' && stream_isatty(STDERR) ? new self(STDERR, $width) : null;
    }

    /**
     * A line on any stream.
     *
     * @param resource $stream
     */
    public static function on($stream, int $width = 80): self
    {
        return new self($stream, $width);
    }

    public function show(Progress $progress): void
    {
        if ($progress->finished) {
            $this->clear();
            return;
        }
        $text = (self::PHASES[$progress->phase] ?? $progress->phase) . ' ';
        if ($progress->bytesTotal > 0) {
            $part = min(1.0, $progress->bytesIn / $progress->bytesTotal);
            $done = (int) round($part * self::BAR);
            $text .= '[' . str_repeat('=', $done) . str_repeat(' ', self::BAR - $done) . '] '
                . sprintf('%3d %% ', (int) floor($part * 100));
        }
        if ($progress->bytesIn > 0) {
            $text .= Format::bytes($progress->bytesIn) . ' ';
        }
        if ($progress->bytesOut > 0) {
            $text .= '-> ' . Format::bytes($progress->bytesOut) . ' ';
        }
        $text .= Format::name($progress->current);
        fwrite($this->stream, "\r\e[K" . self::cut($text, $this->width - 1));
    }

    public function clear(): void
    {
        fwrite($this->stream, "\r\e[K");
    }

    /**
     * As many whole characters as fit; a line that wraps could not be drawn over.
     */
    private static function cut(string $text, int $width): string
    {
        return preg_match('/^.{0,' . $width . '}/u', $text, $found) ? $found[0] : substr($text, 0, $width);
    }
}
