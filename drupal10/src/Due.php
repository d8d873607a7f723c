<?php

declare(strict_types=1);

namespace Drupal\bam;

/**
 * Whether a schedule is due. Needs no Drupal.
 */
final class Due {

  /**
   * The part of a period that cron may come too early.
   *
   * Without it a daily backup, found not due by a cron run that comes a second
   * early, would wait for the next run.
   */
  private const SLACK = 0.01;

  /**
   * Seconds until a schedule is tried again that failed once, twice, and so on.
   *
   * Neither at each cron run, with a mail each time, nor only when its period
   * is over.
   */
  private const WAITS = [300, 900, 3600, 14400];

  /**
   * Tells whether it is time for a schedule.
   *
   * @param array<string, mixed> $schedule
   *   As in the configuration document: `enabled`, `every`, `cron`.
   * @param int $last
   *   When it was last started; 0 for never.
   * @param int $now
   *   Unix time, as the others.
   * @param int|null $next
   *   Of a crontab expression: the first time that it names after the last run.
   * @param array<string, mixed> $result
   *   What is kept of its last run.
   */
  public static function isDue(array $schedule, int $last, int $now, ?int $next = NULL, array $result = []): bool {
    if (!($schedule['enabled'] ?? TRUE)) {
      return FALSE;
    }
    $retry = self::retry($schedule, $result, $now);
    if ($retry !== NULL && $retry <= $now) {
      return TRUE;
    }
    if (($schedule['cron'] ?? '') !== '') {
      return $next !== NULL && $next <= $now;
    }
    $every = (int) ($schedule['every'] ?? 0);
    return $every > 0 && $now - $last >= $every - $every * self::SLACK;
  }

  /**
   * A last run as far as it can be believed: the program's rule.
   *
   * One further in the future than a period (a day with a crontab expression)
   * was noted while a clock was wrong, and must not stop backups until then.
   *
   * @return int
   *   Unix time, 0 for never.
   */
  public static function believed(array $schedule, int $last, int $now): int {
    $reach = ($schedule['cron'] ?? '') === '' && isset($schedule['every']) ? (int) $schedule['every'] : 86400;
    return $last > $now + $reach ? 0 : $last;
  }

  /**
   * Tells when a schedule whose last runs failed is due again.
   *
   * @param array<string, mixed> $schedule
   *   As in the configuration document.
   * @param array<string, mixed> $result
   *   What is kept of its last run: `failures`, how many failed in a row, and
   *   `time`, when the last of them ended.
   * @param int|null $now
   *   Unix time: a failure that is yet to come was noted while a clock was wrong.
   *
   * @return int|null
   *   Unix time; NULL if the last run did not fail, or it runs only when asked.
   */
  public static function retry(array $schedule, array $result, ?int $now = NULL): ?int {
    $cron = (string) ($schedule['cron'] ?? '');
    $by_itself = $cron === '' ? !empty($schedule['every']) : $cron !== 'none';
    $failures = (int) ($result['failures'] ?? 0);
    if (!($schedule['enabled'] ?? TRUE) || !$by_itself || $failures < 1) {
      return NULL;
    }
    if ($now !== NULL && $result['time'] > $now) {
      return $now;
    }
    return (int) $result['time'] + self::WAITS[min($failures, count(self::WAITS)) - 1];
  }

  /**
   * Tells what a schedule needs and the configuration does not have.
   *
   * @param array<string, mixed> $schedule
   *   As in the configuration document.
   * @param array<string, mixed> $document
   *   The document.
   *
   * @return array{0: string, 1: string}|null
   *   The section and the name that is missing there; NULL if all is there.
   */
  public static function problem(array $schedule, array $document): ?array {
    $profile = (string) ($schedule['profile'] ?? 'default');
    // That one is built in.
    if ($profile !== 'default' && !isset($document['profiles'][$profile])) {
      return ['profiles', $profile];
    }
    foreach ((array) ($schedule['destinations'] ?? []) ?: [''] as $destination) {
      if (!isset($document['destinations'][$destination])) {
        return ['destinations', (string) $destination];
      }
    }
    return NULL;
  }

}
