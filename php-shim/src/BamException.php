<?php

namespace Bam;

/**
 * A failure, as the engine tells it: what failed and why, what to do about it, and a word that scripts can rely on.
 */
class BamException extends \RuntimeException
{
    private string $kind;
    private string $hint;
    private int $exitCode;

    /** @var array<string, ?string> */
    private array $facts = [];

    public function __construct(
        string $kind,
        string $message,
        string $hint = '',
        int $exitCode = 1,
        ?\Throwable $previous = null
    ) {
        parent::__construct($message, 0, $previous);
        $this->kind = $kind;
        $this->hint = $hint;
        $this->exitCode = $exitCode;
    }

    /**
     * The stable word: usage, config, not_found, integrity, cancelled … (bam_last_error in include/bam.h).
     */
    public function kind(): string
    {
        return $this->kind;
    }

    /**
     * What to do about it; empty where nobody knows.
     */
    public function hint(): string
    {
        return $this->hint;
    }

    /**
     * The exit code that a command should end with.
     */
    public function exitCode(): int
    {
        return $this->exitCode;
    }

    /**
     * The same with what it is about, as docs/json.md has it.
     *
     * @param array<string, ?string> $facts
     */
    public function withFacts(array $facts): self
    {
        $this->facts = $facts;
        return $this;
    }

    /**
     * What scripts read (docs/json.md): code, message, hint, and what it is about where that is known.
     *
     * @return array<string, ?string>
     */
    public function toArray(): array
    {
        $told = ['code' => $this->kind, 'message' => $this->getMessage(), 'hint' => $this->hint];
        return $told + $this->facts;
    }

    /**
     * Message and hint in one text.
     */
    public function explain(): string
    {
        return $this->hint === '' ? $this->getMessage() : $this->getMessage() . ' (' . $this->hint . ')';
    }
}
