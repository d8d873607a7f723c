<?php

declare(strict_types=1);

namespace Drupal\bam;

use Bam\Site\Configuration;
use Drupal\Core\StringTranslation\StringTranslationTrait;

/**
 * What can be backed up, where to, how and when; and which backups there are.
 */
final class SiteConfiguration {

  use StringTranslationTrait;

  private ?array $complete = NULL;

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
    return Configuration::of($this->program->site())->document()->toArray();
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
   * All backups, newest first.
   *
   * @return array{backups: array<string, array>, notes: string[], error: array|null, time: int|null, asking: bool}
   *   Backups by ID; sentences about what is missing from the list; when the
   *   places were asked (NULL: they have not answered yet), and whether they are
   *   being asked now.
   */
  public function backups(): array {
    $known = $this->ask('backups');
    $answer = $known['answer'] ?? [];
    $backups = [];
    foreach ($answer['backups'] ?? [] as $backup) {
      $backup['destinations'] = array_column($backup['copies'], 'destination');
      $backups[(string) $backup['id']] = $backup;
    }
    $notes = array_filter($answer['notes'] ?? [], static fn (array $note): bool => $note['kind'] !== 'info');
    return [
      'backups' => $backups,
      'notes' => array_column($notes, 'text'),
      'error' => $answer['error'] ?? NULL,
      'time' => $known['time'] ?? NULL,
      'asking' => $known['asking'] ?? TRUE,
    ];
  }

  /**
   * One backup by its ID, or NULL.
   */
  public function backup(string $id): ?array {
    return $this->backups()['backups'][$id] ?? NULL;
  }

}
