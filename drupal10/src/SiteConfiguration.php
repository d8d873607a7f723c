<?php

declare(strict_types=1);

namespace Drupal\bam;

use Bam\Site\Configuration;
use Drupal\bam\Entity\Profile;
use Drupal\Core\StringTranslation\StringTranslationTrait;
use Drupal\Core\Url;
use Symfony\Component\HttpKernel\Exception\NotFoundHttpException;
use Symfony\Component\HttpKernel\Exception\ServiceUnavailableHttpException;

/**
 * What can be backed up, where to, how and when; and which backups there are.
 */
final class SiteConfiguration {

  use StringTranslationTrait;

  /**
   * What complete() has found.
   */
  private ?array $complete = NULL;

  /**
   * The lists of which the places were asked anew for something not in them.
   *
   * @var array<string, true>
   */
  private array $anew = [];

  public function __construct(
    private readonly Program $program,
    private readonly Remembered $remembered,
  ) {}

  /**
   * The configuration document. It holds passwords: not for pages, nor caches.
   *
   * @return array<string, mixed>
   *   As in docs/configuration.md.
   *
   * @throws \Exception
   */
  public function document(): array {
    // It makes the class known, too.
    $site = $this->program->site();
    return Configuration::of($site)->document()->toArray();
  }

  /**
   * The same with all that is built in, and without passwords: for pages.
   *
   * @return array<string, mixed>
   *   The document; with the key `error` where it cannot be had.
   */
  public function complete(): array {
    $this->complete ??= $this->program->ask(['config', 'export', '--format', 'json'])
      + ['sources' => [], 'destinations' => [], 'profiles' => [], 'schedules' => []];
    return $this->complete;
  }

  /**
   * What an item is called, as plain text.
   */
  public function label(string $section, string $name): string {
    $named = $this->complete()[$section][$name]['name'] ?? '';
    if ($named !== '') {
      return $named;
    }
    $builtIn = [
      'db' => $this->t('Database'),
      'files' => $this->t('Public files'),
      'files_private' => $this->t('Private files'),
      'archive' => $this->t('The whole site'),
    ];
    return $section === 'sources' && isset($builtIn[$name]) ? (string) $builtIn[$name] : $name;
  }

  /**
   * The items of a section as options of a form.
   *
   * @return array<string, string>
   *   Label by machine name.
   */
  public function options(string $section): array {
    $options = [];
    foreach (array_keys($this->complete()[$section]) as $name) {
      $label = $this->label($section, (string) $name);
      $options[$name] = $label === (string) $name ? $label : "$label ($name)";
    }
    return $options;
  }

  /**
   * What the program answers to a quick verb, as it was last seen.
   *
   * @see \Drupal\bam\Remembered::ask()
   */
  public function ask(string $verb, float $patience = 3.0): ?array {
    return $this->remembered->ask($verb, $patience);
  }

  /**
   * Something was changed: places are asked anew, settings read anew.
   */
  public function forget(): void {
    $this->complete = NULL;
    $this->remembered->forget();
  }

  /**
   * What several items are called, as one line of plain text.
   */
  public function labels(string $section, array $names): string {
    return implode(', ', array_map(fn ($name): string => $this->label($section, (string) $name), $names));
  }

  /**
   * The page that edits a profile: of one that is built in, an own one like it.
   */
  public function profileUrl(string $name): Url {
    return Profile::load($name) === NULL
      ? Url::fromRoute('entity.bam_profile.add_form', [], ['query' => ['like' => $name]])
      : Url::fromRoute('entity.bam_profile.edit_form', ['bam_profile' => $name]);
  }

  /**
   * The settings of a backup of everything: its schedule's, if it has one.
   *
   * @return array{destinations: string[], profile: string}
   *   Names; no destination where there is none.
   */
  public function usual(): array {
    $document = $this->complete();
    foreach ($document['schedules'] as $schedule) {
      if ($schedule['source'] === 'archive' && $schedule['destinations']) {
        return ['destinations' => $schedule['destinations'], 'profile' => $schedule['profile']];
      }
    }
    $names = array_map('strval', array_keys($document['destinations']));
    return [
      'destinations' => in_array('manual', $names, TRUE) ? ['manual'] : array_slice($names, 0, 1),
      'profile' => $this->usualProfile('archive'),
    ];
  }

  /**
   * The profile of a source where nobody names one, as the program chooses it.
   */
  public function usualProfile(string $source): string {
    $profiles = $this->complete()['profiles'];
    $set = (string) ($this->complete()['default_profile'] ?? '');
    if ($set !== '' && isset($profiles[$set])) {
      return $set;
    }
    $having = array_keys(array_filter($profiles, static fn (array $profile): bool => isset($profile['sources'][$source])));
    return count($having) === 1 ? (string) $having[0] : 'default';
  }

  /**
   * All backups of this site, newest first.
   *
   * @return array{backups: array<string, array>, passed: int, notes: string[], error: array|null, time: int|null, asking: bool}
   *   Backups by ID; how many of other sites there are; sentences about what is
   *   missing from the list; when the places were asked (NULL: they have not
   *   answered yet), and whether they are being asked now.
   */
  public function backups(): array {
    return $this->listing('backups');
  }

  /**
   * The same of other sites with backups at the same places, by otherKey().
   */
  public function others(): array {
    return $this->listing('others');
  }

  /**
   * What tells a backup of another site: those of two may have one ID.
   */
  public static function otherKey(array $backup): string {
    return $backup['id'] . '-' . substr(hash('sha256', self::siteOf($backup) . "\0" . $backup['file']), 0, 8);
  }

  /**
   * By what the program knows the site that a backup is of.
   */
  public static function siteOf(array $backup): string {
    return (string) (($backup['site_url'] ?? '') ?: ($backup['site'] ?? ''));
  }

  /**
   * What the program told of backups.
   */
  private function listing(string $verb, float $patience = 3.0, bool $anew = FALSE): array {
    $known = $this->remembered->ask($verb, $patience, $anew);
    $answer = $known['answer'] ?? [];
    $backups = [];
    $times = array_count_values(array_column($answer['backups'] ?? [], 'id'));
    foreach ($answer['backups'] ?? [] as $backup) {
      $backup['destinations'] = array_column($backup['copies'], 'destination');
      if ($verb === 'backups') {
        $backups[self::key($backup, $times[$backup['id']] > 1)] = $backup;
      }
      elseif (($backup['own'] ?? NULL) === FALSE) {
        $backups[self::otherKey($backup)] = $backup;
      }
    }
    $notes = array_filter($answer['notes'] ?? [], static fn (array $note): bool => $note['kind'] !== 'info');
    return [
      'backups' => $backups,
      'passed' => array_sum(array_column($answer['other_sites'] ?? [], 'backups')),
      'notes' => array_column($notes, 'text'),
      'error' => $answer['error'] ?? NULL,
      'time' => $known['time'] ?? NULL,
      'asking' => $known['asking'] ?? TRUE,
    ];
  }

  /**
   * By what pages name a backup: its ID; its file, too, if others have that ID.
   *
   * Backup and Migrate makes several in one second, and uploads keep their IDs.
   */
  private static function key(array $backup, bool $twin): string {
    return $backup['id'] . ($twin ? '-' . substr(hash('sha256', $backup['file']), 0, 8) : '');
  }

  /**
   * One backup by its key.
   *
   * @throws \Symfony\Component\HttpKernel\Exception\HttpExceptionInterface
   *   For the page: there is none, or the places have not told.
   */
  public function backup(string $id): array {
    return $this->find('backups', $id);
  }

  /**
   * One backup of another site by its otherKey().
   *
   * @throws \Symfony\Component\HttpKernel\Exception\HttpExceptionInterface
   *   For the page: there is none, or the places have not told.
   */
  public function other(string $key): array {
    return $this->find('others', $key);
  }

  /**
   * One backup of a list: it may be newer than what was told last.
   */
  private function find(string $verb, string $key): array {
    $listing = $this->listing($verb);
    if (!isset($listing['backups'][$key]) && !isset($this->anew[$verb])) {
      // Once for each page, which has nothing to show without it.
      $this->anew[$verb] = TRUE;
      $listing = $this->listing($verb, 20.0, TRUE);
    }
    return $listing['backups'][$key] ?? throw ($listing['asking'] || $listing['error']
      ? new ServiceUnavailableHttpException(10, 'The places have not told yet which backups there are.')
      : new NotFoundHttpException());
  }

}
