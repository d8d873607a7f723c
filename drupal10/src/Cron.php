<?php

declare(strict_types=1);

namespace Drupal\bam;

use Bam\BamException;
use Drupal\Component\Datetime\TimeInterface;
use Drupal\Component\Render\PlainTextOutput;
use Drupal\Core\Queue\QueueFactory;
use Drupal\Core\State\StateInterface;
use Drupal\Core\StringTranslation\StringTranslationTrait;
use Psr\Log\LoggerInterface;

/**
 * Which schedules are due, and starting them.
 *
 * What is due goes into a queue; its worker starts the program. From the
 * command line the backups are made before cron ends; from the web they go on
 * in the background.
 */
final class Cron {

  use StringTranslationTrait;

  public function __construct(
    private readonly Program $program,
    private readonly SiteConfiguration $site,
    private readonly Jobs $jobs,
    private readonly LastRuns $lastRuns,
    private readonly QueueFactory $queues,
    private readonly StateInterface $state,
    private readonly TimeInterface $time,
    private readonly Mails $mails,
    private readonly Alarm $alarm,
    private readonly LoggerInterface $logger,
  ) {}

  /**
   * Puts what is due into the queue.
   */
  public function run(): void {
    $this->jobs->collect();
    $this->jobs->forgetTyped();
    try {
      $document = $this->site->document();
      $still = array_filter($this->jobs->still(), static fn (array $job): bool => $job['locks']);
      $still !== [] ? $this->alarm->raise(Alarm::still(reset($still)), $document) : $this->alarm->over();
      $this->enqueue();
    }
    catch (\Throwable $cause) {
      // Whatever it is: the cron runs of other modules come after this one.
      $this->alarm->raise($cause instanceof BamException ? $cause->explain() : $cause->getMessage());
    }
  }

  /**
   * Puts what is due into the queue; without the program it has failed already.
   */
  private function enqueue(): void {
    if (!$this->program->isInstalled()) {
      foreach ($this->due() as $name) {
        $this->failed($name, implode(' ', $this->program->missing()));
      }
      return;
    }
    $queue = $this->queues->get('bam_schedule');
    // One at a time: what is due stays due until the next cron run.
    if ($this->jobs->locking() !== [] || $queue->numberOfItems() > 0) {
      return;
    }
    foreach ($this->due() as $name) {
      $queue->createItem(['schedule' => $name]);
    }
  }

  /**
   * A schedule could not even be started: as a run that failed.
   *
   * @param string $name
   *   The schedule.
   * @param string $why
   *   Plain text.
   */
  public function failed(string $name, string $why): void {
    $document = $this->site->document();
    $job = $this->job($name);
    $view = Alarm::failure($why);
    $this->logger->error('%title: no backup could be made. @error', ['%title' => $job['title'], '@error' => $why]);
    $this->lastRuns->set($name, $job['started']);
    $this->lastRuns->ended($job, $view, $job['started']);
    // The program, which tells of others, was not there to do it.
    $profile = $document['schedules'][$name]['profile'] ?? 'default';
    $this->mails->notify(['title' => $job['title'], 'notify' => $document['profiles'][$profile]['notify'] ?? []], $view);
  }

  /**
   * The schedules that are due, longest waiting first.
   *
   * @return string[]
   *   Names.
   */
  public function due(): array {
    $now = $this->time->getCurrentTime();
    $document = $this->site->document();
    $results = $this->lastRuns->results();
    $due = [];
    foreach ($document['schedules'] as $name => $schedule) {
      $told = $this->lastRuns->get((string) $name);
      $last = Due::believed($schedule, $told, $now);
      $next = NULL;
      if (($schedule['enabled'] ?? TRUE) && ($schedule['cron'] ?? '') !== '') {
        // Without the program nobody knows when it is due: now, then.
        $next = $this->program->path() === NULL && !isset($results[$name]) ? $now : $this->nextByCrontab((string) $name, $schedule, $last);
      }
      if (!Due::isDue($schedule, $last, $now, $next, $results[$name] ?? [])) {
        continue;
      }
      if ($last !== $told) {
        $this->logger->warning('The last run of the schedule %name is noted for @time, which is yet to come: a clock was wrong. It counts as none.', [
          '%name' => $name,
          '@time' => date('Y-m-d H:i', $told),
        ]);
      }
      $problem = Due::problem($schedule, $document);
      if ($problem === NULL) {
        $due[$name] = $last;
      }
      else {
        $this->logger->error('The schedule %name is due but cannot run: there is no %missing among the @section.', [
          '%name' => $name,
          '%missing' => $problem[1],
          '@section' => $problem[0],
        ]);
      }
    }
    asort($due);
    return array_map('strval', array_keys($due));
  }

  /**
   * Starts a schedule now, due or not.
   *
   * @return string
   *   The run's ID.
   *
   * @throws \RuntimeException
   *   If it cannot be started.
   */
  public function start(string $name, bool $wait): string {
    if (!isset($this->site->document()['schedules'][$name])) {
      throw new \RuntimeException(PlainTextOutput::renderFromHtml($this->t('There is no schedule @name.', ['@name' => $name])));
    }
    $job = $this->job($name);
    $before = $job['previous_run'];
    // Before it starts: whoever looks now, in another cron run or in Backup and
    // Migrate, must not find it due.
    $this->lastRuns->set($name, $job['started']);
    try {
      [$id] = $this->jobs->start([$job], $wait);
    }
    catch (\RuntimeException $cause) {
      $this->lastRuns->set($name, $before);
      throw $cause;
    }
    if ($wait) {
      $this->jobs->collect();
    }
    return $id;
  }

  /**
   * What Jobs::start() is told of a run of a schedule.
   */
  private function job(string $name): array {
    return [
      'kind' => 'schedule',
      'schedule' => $name,
      'started' => $this->time->getCurrentTime(),
      'previous_run' => $this->lastRuns->get($name),
      'title' => PlainTextOutput::renderFromHtml($this->t('Scheduled backup @name', ['@name' => $this->site->label('schedules', $name)])),
      'arguments' => ['run', '--', $name],
    ];
  }

  /**
   * The first time after the last run that a crontab expression names.
   *
   * The program works it out. It is asked once, not at each cron run.
   */
  private function nextByCrontab(string $name, array $schedule, int $last): ?int {
    $key = [$schedule['cron'], $last, date_default_timezone_get()];
    $known = $this->state->get('bam.next_runs') ?? [];
    if (($known[$name]['key'] ?? NULL) !== $key) {
      $answer = $this->program->ask(['schedules'], 20);
      $told = $answer['schedules'][$name] ?? [];
      if (!isset($told['next_run'])) {
        $this->logger->error('When is the schedule %name due? @error', [
          '%name' => $name,
          '@error' => $told['problem'] ?? $answer['error']['message'] ?? '',
        ]);
        return NULL;
      }
      $known[$name] = ['key' => $key, 'next' => (int) $told['next_run']];
      $this->state->set('bam.next_runs', $known);
    }
    return $known[$name]['next'];
  }

}
