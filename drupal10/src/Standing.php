<?php

declare(strict_types=1);

namespace Drupal\bam;

use Drupal\bam\Controller\OverviewController;
use Drupal\Component\Datetime\TimeInterface;
use Drupal\Component\Render\PlainTextOutput;
use Drupal\Component\Utility\Unicode;
use Drupal\Core\Datetime\DateFormatterInterface;
use Drupal\Core\State\StateInterface;
use Drupal\Core\StringTranslation\StringTranslationTrait;
use Drupal\Core\Url;

/**
 * How the site stands: what is to be done, and how each source is looked after.
 */
final class Standing {

  use StringTranslationTrait;

  public function __construct(
    private readonly SiteConfiguration $site,
    private readonly LastRuns $lastRuns,
    private readonly StateInterface $state,
    private readonly DateFormatterInterface $dates,
    private readonly TimeInterface $time,
    private readonly Jobs $jobs,
    private readonly Alarm $alarm,
  ) {}

  /**
   * What must be done, each with the button that does it; or that all is well.
   *
   * @param array<string, mixed> $status
   *   What `status` told last.
   */
  public function verdict(array $status): array {
    $todo = [...$this->hanging(), ...$this->stopped($status), ...$this->key(), ...$this->places(), ...$this->sources($status), ...$this->unreachable($status), ...$this->schedules()];
    if ($todo !== []) {
      $rows = [];
      foreach ($todo as [$text, $title, $url]) {
        $button = [];
        if ($url?->access()) {
          $button = ['#type' => 'link', '#title' => $title, '#url' => $url, '#attributes' => ['class' => ['button', 'button--small']]];
        }
        $rows[] = ['data' => [['data' => $text], ['data' => $button]], 'class' => ['color-error']];
      }
      return ['#type' => 'table', '#caption' => $this->t('To do'), '#rows' => $rows, '#attributes' => ['class' => ['bam-todo']]];
    }
    if (!isset($status['sources'])) {
      return [];
    }
    $policy = array_filter(array_intersect_key((array) ($status['policy'] ?? []), ['copies' => 1, 'max_age' => 1, 'verify_every' => 1]));
    return OverviewController::message('status', [
      $policy === []
        ? $this->t('Nothing is known to be wrong. But no policy says how many copies there must be, and how new: <a href=":settings">set one</a>, and this page watches over it.', [':settings' => Url::fromRoute('bam.settings')->toString()])
        : $this->t('All is as the policy wants it.'),
    ]);
  }

  /**
   * How each source is looked after, one line for each.
   *
   * @param array<string, mixed> $status
   *   What `status` told last.
   */
  public function table(array $status): array {
    if (empty($status['sources'])) {
      return [];
    }
    $now = $this->time->getRequestTime();
    $next = $this->nextRuns($status);
    $rows = [];
    foreach ($status['sources'] as $source) {
      $name = $source['source'];
      $drill = $status['drills'][$name] ?? [];
      $drilled = empty($drill['time']) ? $this->t('never') : $this->age((int) $drill['time']);
      $missing = ['#theme' => 'item_list', '#items' => $source['missing']];
      $rows[] = [
        'data' => [
          ['data' => $this->site->label('sources', $name), 'header' => TRUE],
          empty($source['newest']) ? $this->t('none') : $this->age((int) $source['newest']),
          implode(', ', $source['hosts']),
          empty($source['verified']) ? $this->t('never') : $this->age((int) $source['verified']),
          empty($drill['time']) || !empty($drill['ok']) ? $drilled : $this->t('failed, @age', ['@age' => $drilled]),
          match (TRUE) {
            !isset($next[$name]) => $this->t('not scheduled'),
            $next[$name] <= $now => $this->t('at the next cron run'),
            default => $this->dates->format($next[$name], 'short'),
          },
          ['data' => $source['missing'] === [] ? $this->t('nothing') : $missing],
        ],
        'class' => $source['missing'] === [] ? [] : ['color-warning'],
      ];
    }
    return [
      '#type' => 'table',
      '#caption' => $this->t('What is backed up'),
      '#header' => [
        $this->t('Source'),
        $this->t('Newest backup'),
        $this->t('Copies at'),
        $this->t('Verified'),
        $this->t('Last drill'),
        $this->t('Next run'),
        $this->t('Missing'),
      ],
      '#rows' => $rows,
    ];
  }

  /**
   * How long ago something was.
   */
  public function age(int $time): string {
    return PlainTextOutput::renderFromHtml($this->t('@time ago', ['@time' => $this->dates->formatInterval(max(0, $this->time->getRequestTime() - $time), 1)]));
  }

  /**
   * The next run of each source, by any schedule.
   */
  private function nextRuns(array $status): array {
    $next = [];
    foreach ($this->site->complete()['schedules'] as $name => $schedule) {
      $run = (int) ($status['schedules'][$name]['next_run'] ?? 0);
      if (($schedule['enabled'] ?? TRUE) && $run > 0) {
        $next[$schedule['source']] = min($next[$schedule['source']] ?? $run, $run);
      }
    }
    return $next;
  }

  /**
   * What is wrong with the key, and what is not encrypted with it.
   *
   * @return array[]
   *   Each a sentence, the words on a button, and where it leads or NULL.
   */
  private function key(): array {
    $document = $this->site->complete();
    $keys = Url::fromRoute('bam.keys');
    if (!Keys::isSet($document)) {
      return [[$this->t('There is no key: backups are not encrypted.'), $this->t('Make a key'), $keys]];
    }
    $file = (string) ($document['encryption']['key_file'] ?? '');
    $todo = [];
    foreach ($file === '' ? [] : Keys::problems($file) as $problem) {
      $todo[] = [$problem, $this->t('Keys'), $keys];
    }
    $enabled = array_filter($document['schedules'], static fn (array $schedule): bool => $schedule['enabled'] ?? TRUE);
    $used = $document['schedules'] === [] ? [$this->site->usual()['profile']] : array_unique(array_column($enabled, 'profile'));
    foreach ($used as $profile) {
      if (in_array($document['profiles'][$profile]['encryption'] ?? 'none', ['', 'none'], TRUE)) {
        $todo[] = [
          $this->t('There is a key, but backups with the profile @name are not encrypted.', ['@name' => $this->site->label('profiles', $profile)]),
          $this->t('Edit the profile'),
          $this->site->profileUrl($profile),
        ];
      }
    }
    if ($this->state->get('bam.rekey_open')) {
      $todo[] = [$this->t('Backups are still encrypted with an old key: bringing them to the new one goes on, was stopped, or did not reach all of them.'), $this->t('Keys'), $keys];
    }
    if ($file !== '' && $this->state->get('bam.key_copied') !== $file) {
      $todo[] = [$this->t('Nobody has said yet that a copy of the key is kept elsewhere.'), $this->t('Print the sheet'), $keys];
    }
    return $todo;
  }

  /**
   * Whether there are places, and one off this machine.
   */
  private function places(): array {
    $places = $this->site->complete()['destinations'];
    $add = Url::fromRoute('entity.bam_destination.add_form');
    if ($places === []) {
      return [[$this->t('Backups have nowhere to go.'), $this->t('Add a place'), $add]];
    }
    return array_diff(array_column($places, 'type'), ['directory']) !== [] ? [] : [
      [$this->t('All backups stay on this machine: what takes it takes them along.'), $this->t('Add a place off this machine'), $add],
    ];
  }

  /**
   * What the policy misses of each source.
   */
  private function sources(array $status): array {
    $todo = [];
    foreach ($status['sources'] ?? [] as $source) {
      foreach ($source['missing'] as $missing) {
        $button = match (TRUE) {
          empty($source['newest']), str_contains($missing, 'old'), str_contains($missing, 'gone from') => [
            $this->t('Back up'),
            Url::fromRoute('bam.backup', [], ['query' => ['source' => $source['source']]]),
          ],
          stripos($missing, 'verif') !== FALSE => [$this->t('Verify'), Url::fromRoute('bam.verify_all')],
          default => [$this->t('Complete the copies'), Url::fromRoute('bam.replicate')],
        };
        $todo[] = [$this->site->label('sources', $source['source']) . ": $missing", ...$button];
      }
    }
    return $todo;
  }

  /**
   * A restore that was killed, which `status` alone tells.
   */
  private function stopped(array $status): array {
    $todo = [];
    foreach ((array) ($status['notes'] ?? []) as $note) {
      if ($note['kind'] !== 'info' && str_contains($note['text'], 'restore') && str_contains($note['text'], 'was stopped')) {
        $text = preg_replace('/`[^`]*recover[^`]*`/', PlainTextOutput::renderFromHtml($this->t('the button here')), $note['text']);
        $todo[] = [$text, $this->t('End the restore'), Url::fromRoute('bam.recover')];
      }
    }
    return $todo;
  }

  /**
   * Runs that stand still, and what cron said of why no backup is made.
   */
  private function hanging(): array {
    $todo = [];
    foreach ($this->jobs->still() as $id => $job) {
      $todo[] = [Alarm::still($job), $this->t('Look at it'), Url::fromRoute('bam.job', ['job' => $id])];
    }
    $told = $this->alarm->told();
    if ($todo === [] && $told !== NULL) {
      $todo[] = [$this->t('No scheduled backup is made: @error', ['@error' => $told]), '', NULL];
    }
    return $todo;
  }

  /**
   * The places that did not answer.
   */
  private function unreachable(array $status): array {
    $todo = [];
    foreach ((array) ($status['unreachable'] ?? []) as $line) {
      [$name, $why] = explode(': ', (string) $line, 2) + [1 => ''];
      $todo[] = [
        $this->t('@place is not reached: @why', ['@place' => $this->site->label('destinations', $name), '@why' => $why]),
        $this->t('Try it'),
        Url::fromRoute('bam.place.try', ['name' => $name]),
      ];
    }
    return $todo;
  }

  /**
   * The schedules whose last run did not do all it should.
   */
  private function schedules(): array {
    $todo = [];
    $results = $this->lastRuns->results();
    foreach (array_keys($this->site->complete()['schedules']) as $name) {
      $result = $results[$name] ?? ['exit_code' => 0, 'state' => 'done'];
      if ($result['exit_code'] !== 0 && $result['state'] !== 'cancelled') {
        $todo[] = [
          $this->t('The schedule @name: @result', ['@name' => $this->site->label('schedules', (string) $name), '@result' => self::result($result)]),
          $this->t('Run it now'),
          Url::fromRoute('bam.schedule.run', ['name' => (string) $name]),
        ];
      }
    }
    return $todo;
  }

  /**
   * How the last run of a schedule ended, in words.
   */
  public static function result(array $result): string {
    return PlainTextOutput::renderFromHtml(match ($result['state']) {
      'done' => $result['exit_code'] === 0 ? t('done') : t('done, but not everywhere'),
      'cancelled' => t('cancelled'),
      default => t('failed: @error', ['@error' => Unicode::truncate((string) $result['error'], 200, FALSE, TRUE)]),
    });
  }

}
