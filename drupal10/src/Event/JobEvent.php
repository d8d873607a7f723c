<?php

declare(strict_types=1);

namespace Drupal\bam\Event;

use Drupal\Component\EventDispatcher\Event;

/**
 * A run that starts, or has ended.
 */
final class JobEvent extends Event {

  /**
   * Why it shall not start; NULL where nobody minds.
   */
  public ?string $refused = NULL;

  /**
   * A run.
   *
   * @param string $kind
   *   One of: backup, schedule, restore, preview (of a restore), verify, drill,
   *   replicate, delete, import, rekey, try (a place), look (into one that is
   *   not the site's).
   * @param array<string, mixed> $job
   *   What was asked for: `title`, of a schedule `schedule`.
   * @param array<string, mixed>|null $view
   *   How it ended: `state` (done, failed, locked, cancelled, interrupted),
   *   `exit_code`, `error`, `status` with the program's `result`. NULL at the
   *   start.
   */
  public function __construct(
    public readonly string $kind,
    public readonly array $job,
    public readonly ?array $view = NULL,
  ) {}

  /**
   * Keeps the run from starting.
   */
  public function refuse(string $why): void {
    $this->refused ??= $why;
  }

}
