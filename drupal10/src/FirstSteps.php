<?php

declare(strict_types=1);

namespace Drupal\bam;

use Drupal\Core\State\StateInterface;
use Drupal\Core\StringTranslation\StringTranslationTrait;
use Drupal\Core\Url;

/**
 * The first run: six steps from nothing to a verified copy elsewhere.
 *
 * Each step is seen from what is there, so they can be left and taken up, and
 * done in any other way, too.
 */
final class FirstSteps {

  use StringTranslationTrait;

  public function __construct(
    private readonly Program $program,
    private readonly SiteConfiguration $site,
    private readonly Keys $keys,
    private readonly Places $places,
    private readonly StateInterface $state,
  ) {}

  /**
   * Whether a step is left to do.
   */
  public function areLeft(): bool {
    return array_filter($this->all(), static fn (array $step): bool => !$step['done']) !== [];
  }

  /**
   * The steps, in order.
   *
   * @return array<string, array{title: mixed, why: mixed, done: bool, state: mixed, links: array}>
   *   By name; `state` in words, each link a title and a Url.
   */
  public function all(): array {
    $document = $this->site->complete();
    $status = $this->site->ask('status', 1.0)['answer'] ?? [];
    $away = $this->away($document);
    return [
      'key' => $this->key($document),
      'place' => $this->place($away),
      'schedule' => $this->schedule($document, $away),
      'backup' => $this->backup($status),
      'drill' => $this->drill($status),
      'mail' => $this->mail($document),
    ];
  }

  /**
   * The places off this machine, and whether a try of each went well.
   */
  private function away(array $document): array {
    $away = [];
    foreach ($document['destinations'] as $name => $place) {
      if ($place['type'] !== 'directory') {
        $tried = $this->places->tried((string) $name);
        $away[(string) $name] = $tried !== NULL && $tried['problems'] === [];
      }
    }
    return $away;
  }

  /**
   * Program and key.
   */
  private function key(array $document): array {
    $installed = $this->program->isInstalled();
    $file = $installed ? $this->keys->file() : '';
    $good = $file !== '' && Keys::problems($file) === [];
    // One that the environment or the Key module has is looked after there.
    $elsewhere = $file === '' && Keys::isSet($document);
    $copied = $elsewhere || ($good && $this->state->get('bam.key_copied') === $file);
    return [
      'title' => $this->t('Program and key'),
      'why' => $this->t('Backups leave this machine; only the key keeps strangers from reading them.'),
      'done' => $copied,
      'state' => match (TRUE) {
        !$installed => $this->t('The program bam is not installed.'),
        $elsewhere => $this->t('The key is there, and not in a file.'),
        $file === '' => $this->t('There is no key yet.'),
        !$good => $this->t('Something is wrong with the key.'),
        $copied => $this->t('The key is there, and a copy of it is kept elsewhere.'),
        default => $this->t('The key is there; print its sheet.'),
      },
      'links' => [
        $installed
          ? [$file === '' ? $this->t('Make a key') : $this->t('Keys'), Url::fromRoute('bam.keys')]
          : [$this->t('Settings'), Url::fromRoute('bam.settings')],
      ],
    ];
  }

  /**
   * A place off this machine.
   */
  private function place(array $away): array {
    $answers = in_array(TRUE, $away, TRUE);
    $untried = array_search(FALSE, $away, TRUE);
    return [
      'title' => $this->t('A place off this machine'),
      'why' => $this->t('What takes this machine, a fire or a break-in, takes the backups on it along.'),
      'done' => $answers,
      'state' => match (TRUE) {
        $away === [] => $this->t('All places are on this machine.'),
        $answers => $this->t('There is one that answers.'),
        default => $this->t('There is one, but it has not been tried with success.'),
      },
      'links' => [
        match (TRUE) {
          $away === [] => [$this->t('Add a place'), Url::fromRoute('entity.bam_destination.add_form')],
          $answers => [$this->t('Places'), Url::fromRoute('entity.bam_destination.collection')],
          default => [$this->t('Try it'), Url::fromRoute('bam.place.try', ['name' => (string) $untried])],
        },
      ],
    ];
  }

  /**
   * What and when.
   */
  private function schedule(array $document, array $away): array {
    $names = array_map('strval', array_keys($away));
    $leaving = array_filter($document['schedules'], static fn (array $schedule): bool => ($schedule['enabled'] ?? TRUE)
      && array_intersect($schedule['destinations'], $names) !== []);
    $any = $document['schedules'] !== [];
    return [
      'title' => $this->t('What and when'),
      'why' => $this->t('A backup that somebody has to remember is not made when it counts.'),
      'done' => $leaving !== [],
      'state' => match (TRUE) {
        $leaving !== [] => $this->t('A schedule takes backups off this machine.'),
        $any => $this->t('No enabled schedule takes backups off this machine.'),
        default => $this->t('There is no schedule yet.'),
      },
      'links' => [
        $any
          ? [$this->t('Schedules'), Url::fromRoute('entity.bam_schedule.collection')]
          : [$this->t('Add a schedule'), Url::fromRoute('entity.bam_schedule.add_form')],
      ],
    ];
  }

  /**
   * The first backup.
   */
  private function backup(array $status): array {
    $made = array_filter(array_column($status['sources'] ?? [], 'newest')) !== [];
    return [
      'title' => $this->t('The first backup'),
      'why' => $this->t('It shows whether all that was set up works together.'),
      'done' => $made,
      'state' => $made ? $this->t('There is a backup.') : $this->t('There is no backup yet.'),
      'links' => [[$this->t('Back up now'), Url::fromRoute('bam.backup')]],
    ];
  }

  /**
   * The first drill.
   */
  private function drill(array $status): array {
    $drilled = array_filter(array_column((array) ($status['drills'] ?? []), 'ok')) !== [];
    return [
      'title' => $this->t('The first drill'),
      'why' => $this->t('It restores a backup aside, compares it, and throws it away: what was never restored is only hoped for.'),
      'done' => $drilled,
      'state' => $drilled ? $this->t('A backup was restored aside, and was right.') : $this->t('No backup has been tried yet.'),
      'links' => [[$this->t('Start a drill'), Url::fromRoute('bam.drill')]],
    ];
  }

  /**
   * Who gets mail.
   */
  private function mail(array $document): array {
    $mailed = FALSE;
    foreach ($document['profiles'] as $profile) {
      $mailed = $mailed || !empty($profile['notify']['failure']);
    }
    return [
      'title' => $this->t('Who gets mail'),
      'why' => $this->t('Somebody should hear of it when a backup fails, and not when it is needed.'),
      'done' => $mailed,
      'state' => $mailed ? $this->t('Failures are told by mail.') : $this->t('Nobody is told of failures.'),
      'links' => [[$this->t('Edit the profile'), $this->site->profileUrl($this->site->usual()['profile'])]],
    ];
  }

}
