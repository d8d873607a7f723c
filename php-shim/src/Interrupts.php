<?php

namespace Bam;

/**
 * Turns Ctrl-C, `kill` and a closed terminal into a question that a loop asks, while the object is held.
 */
final class Interrupts
{
    /** @var array<int, callable|int> */
    private array $before = [];
    private bool $async = false;
    private bool $pending = false;

    public function __construct()
    {
        if (!function_exists('pcntl_async_signals')) {
            return;
        }
        $this->async = pcntl_async_signals(true);
        foreach ([SIGINT, SIGTERM, SIGHUP] as $signal) {
            $this->before[$signal] = pcntl_signal_get_handler($signal);
            pcntl_signal($signal, function (): void {
                $this->pending = true;
            });
        }
    }

    /**
     * Whether somebody asked to stop.
     */
    public function pending(): bool
    {
        return $this->pending;
    }

    /**
     * Gives the signals back to whoever had them.
     */
    public function release(): void
    {
        foreach ($this->before as $signal => $handler) {
            pcntl_signal($signal, $handler);
        }
        if ($this->before !== []) {
            pcntl_async_signals($this->async);
        }
        $this->before = [];
    }
}
