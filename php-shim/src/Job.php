<?php

namespace Bam;

/**
 * One piece of work of the engine, running on threads of its own.
 *
 * Dropping the object cancels the work and leaves nothing behind.
 */
final class Job
{
    /** How long one poll waits. Short enough for Ctrl-C to feel immediate. */
    private const POLL_MS = 200;

    private Native $native;
    /** The handle; null once it is freed. */
    private ?object $handle;

    /**
     * Starts a request on a configuration document (docs/json.md).
     *
     * @param array<string, mixed> $request
     */
    public function __construct(Document $document, array $request, ?Native $native = null)
    {
        $this->native = $native ?? Native::get();
        $this->handle = null;
        $this->handle = $this->native->startJob(Json::encode(['config' => $document, 'request' => $request]));
    }

    public function __destruct()
    {
        if ($this->handle !== null) {
            $this->native->freeJob($this->handle);
        }
    }

    /**
     * Waits at most so long for the end and tells the counters.
     */
    public function poll(int $milliseconds = self::POLL_MS): Progress
    {
        return $this->native->pollJob($this->handle(), $milliseconds);
    }

    /**
     * Asks the work to stop; the result is then a BamException of the kind `cancelled`.
     */
    public function cancel(): void
    {
        $this->native->cancelJob($this->handle());
    }

    /**
     * Waits for the end. Ctrl-C and `kill` cancel the work first where the pcntl extension is there; without it they
     * end PHP, and what the work had written under a hidden name is removed by the next run.
     *
     * @param callable(Progress): void|null $onProgress
     * @return array<string, mixed>
     */
    public function run(?callable $onProgress = null): array
    {
        $interrupts = new Interrupts();
        try {
            do {
                $progress = $this->poll();
                if ($onProgress !== null) {
                    $onProgress($progress);
                }
                if ($interrupts->pending()) {
                    $this->cancel();
                }
            } while (!$progress->finished);
        } finally {
            $interrupts->release();
        }
        return Json::decode($this->native->finishJob($this->handle()));
    }

    /**
     * What the work has had to say so far. A result holds these notes, too; a failure has none but these.
     *
     * @return array<array{kind: string, text: string}>
     */
    public function notes(): array
    {
        return $this->native->jobNotes($this->handle());
    }

    private function handle(): object
    {
        if ($this->handle === null) {
            throw new \LogicException('the job was not started');
        }
        return $this->handle;
    }
}
