<?php

namespace Bam;

/**
 * A job's counters at one moment.
 */
final class Progress
{
    /** The names of bam_phase, by number. */
    public const PHASES = ['preparing', 'backing_up', 'finishing', 'verifying', 'restoring', 'done'];

    public string $phase;
    public bool $finished;
    /** Bytes read from the source (on a restore: from the backup). */
    public int $bytesIn;
    /** Bytes written to the destinations, counted once. */
    public int $bytesOut;
    /** What $bytesIn will reach; 0 while unknown. */
    public int $bytesTotal;
    /** Files, folders, links and tables so far. */
    public int $entries;
    /** What is being worked on. */
    public string $current;

    public function __construct(
        string $phase,
        bool $finished,
        int $bytesIn,
        int $bytesOut,
        int $bytesTotal,
        int $entries,
        string $current
    ) {
        $this->phase = $phase;
        $this->finished = $finished;
        $this->bytesIn = $bytesIn;
        $this->bytesOut = $bytesOut;
        $this->bytesTotal = $bytesTotal;
        $this->entries = $entries;
        $this->current = $current;
    }
}
