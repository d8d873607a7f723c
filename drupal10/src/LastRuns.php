<?php

declare(strict_types=1);

namespace Drupal\bam;

use Drupal\Core\KeyValueStore\KeyValueFactoryInterface;
use Drupal\Core\State\StateInterface;

/**
 * When schedules were last started, and how that ended.
 *
 * The times of Backup and Migrate's schedules are kept where it looks, too, so
 * that nothing runs twice while both modules are enabled.
 */
final class LastRuns {

  private const THEIRS = 'backup_migrate.schedule.last_run';

  public function __construct(
    private readonly KeyValueFactoryInterface $stores,
    private readonly StateInterface $state,
  ) {}

  /**
   * When a schedule was last started; 0 for never.
   */
  public function get(string $name): int {
    $theirs = $this->state->get(self::THEIRS) ?? [];
    return max((int) $this->stores->get('bam.last_run')->get($name, 0), (int) ($theirs[$name] ?? 0));
  }

  /**
   * Notes when a schedule was started.
   */
  public function set(string $name, int $time): void {
    $this->stores->get('bam.last_run')->set($name, $time);
    $theirs = $this->state->get(self::THEIRS) ?? [];
    if (isset($theirs[$name])) {
      $this->state->set(self::THEIRS, [$name => $time] + $theirs);
    }
  }

  /**
   * How the last runs ended, by schedule.
   *
   * @return array<string, array{state: string, failures: int, exit_code: int|null, error: string, time: int}>
   *   Plain text.
   */
  public function results(): array {
    return $this->stores->get('bam.result')->getAll();
  }

  /**
   * What the end of a scheduled run means for the schedule.
   *
   * A run that failed is due again soon: see Due::retry(). One that another run
   * locked out is due again at once; so is one that was killed, but not twice
   * in a row, for it may be what brings the machine down.
   */
  public function ended(array $job, array $view, int $now): void {
    $name = $job['schedule'];
    $before = $this->results()[$name]['state'] ?? '';
    $again = $view['state'] === 'locked' || ($view['state'] === 'interrupted' && $before !== 'interrupted');
    // Unless somebody has started it anew meanwhile.
    if ($again && $this->get($name) === $job['started']) {
      $this->set($name, $job['previous_run']);
    }
    if ($view['state'] !== 'locked') {
      $this->stores->get('bam.result')->set($name, [
        'state' => $view['state'],
        'failures' => $view['state'] === 'failed' ? (int) ($this->results()[$name]['failures'] ?? 0) + 1 : 0,
        'exit_code' => $view['exit_code'],
        'error' => $view['error'],
        'time' => $now,
      ]);
    }
  }

}
