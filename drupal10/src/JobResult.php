<?php

declare(strict_types=1);

namespace Drupal\bam;

use Drupal\bam\Controller\OverviewController;
use Drupal\bam\Form\RestoreForm;
use Drupal\Core\Datetime\DateFormatterInterface;
use Drupal\Core\StringTranslation\ByteSizeMarkup;
use Drupal\Core\StringTranslation\PluralTranslatableMarkup;
use Drupal\Core\StringTranslation\StringTranslationTrait;
use Drupal\Core\Url;

/**
 * What came of a run, as parts of its page.
 */
final class JobResult {

  use StringTranslationTrait;

  public function __construct(private readonly DateFormatterInterface $dates) {}

  /**
   * All of it: the verdict, facts, what was looked at, what is worth knowing.
   */
  public function build(array $job, array $view): array {
    $result = (array) ($view['status']['result'] ?? []);
    $warnings = array_filter((array) ($result['notes'] ?? []), static fn (array $note): bool => $note['kind'] === 'warning');
    return array_filter([
      'verdict' => $this->verdict($job, $view),
      'facts' => $this->facts($job, $result),
      'notes' => $warnings === [] ? [] : ['#theme' => 'item_list', '#title' => $this->t('Worth knowing'), '#items' => array_column($warnings, 'text')],
      'found' => $job['kind'] === 'recover' && $view['state'] === 'done'
        ? ['#prefix' => '<p>', '#plain_text' => is_string($result['found'] ?? NULL) ? $result['found'] : $this->t('There was nothing to end.'), '#suffix' => '</p>'] : [],
      'looked' => $this->looked($result),
      'drills' => $this->drills($result),
      'seen' => $job['kind'] === 'look' ? $this->seen($job, $view) : [],
    ]);
  }

  /**
   * How it ended, in a box.
   */
  private function verdict(array $job, array $view): array {
    if ($view['state'] === 'done' && $view['exit_code'] !== 0) {
      $missing = Jobs::missing($view);
      return OverviewController::message('warning', match (TRUE) {
        $missing !== [] => [$this->t('Done, but something is missing:'), ...$missing],
        $view['error'] !== '' => [$this->t('Done. Not all is as it should be:'), $view['error'], $view['hint']],
        default => [$this->t('Done. Not all is as it should be: see below.')],
      });
    }
    return match ($view['state']) {
      'done' => OverviewController::message('status', [$this->t('Done.')]),
      'locked' => OverviewController::message('warning', [$this->t('Another run is working on this site. Wait for its end, then start this again.')]),
      'cancelled' => OverviewController::message('warning', [$this->cancelled($job, $view)]),
      'interrupted' => OverviewController::message('error', [$this->t('Interrupted.'), $view['error'], $view['hint']]),
      default => OverviewController::message('error', [$this->t('It failed.'), $view['error'], $view['hint']]),
    };
  }

  /**
   * What a cancelled run has left behind, as far as it says so.
   */
  private function cancelled(array $job, array $view): string|\Stringable {
    $left = preg_match('/cancelled\. (.+)$/s', $view['error'], $found) ? $found[1] : '';
    if ($left !== '' && !str_starts_with($left, 'Everything is as it was')) {
      return $this->t('Cancelled. @left.', ['@left' => $left]);
    }
    // These do one thing after the other.
    return $left === '' && in_array($job['kind'], ['rekey', 'schedule', 'replicate', 'prune', 'delete'], TRUE) && !empty($job['pid'])
      ? $this->t('Cancelled. What was done before stays done.')
      : $this->t('Cancelled. Nothing was changed.');
  }

  /**
   * Numbers, and what became of each copy.
   */
  private function facts(array $job, array $result): array {
    $rows = [];
    $add = static function ($name, $value) use (&$rows): void {
      $rows[] = [['data' => $name, 'header' => TRUE], $value];
    };
    if (isset($result['id'])) {
      $add($this->t('Backup ID'), $result['id']);
    }
    if (isset($result['file'])) {
      $add($this->t('File'), $result['file']);
    }
    if (!empty($result['bytes_out'])) {
      $add($this->t('Size'), ByteSizeMarkup::create($result['bytes_out']));
    }
    if (isset($result['seconds'])) {
      $add($this->t('Time taken'), $this->dates->formatInterval(max(1, (int) round($result['seconds']))));
    }
    // Each kind of run tells of the copies in its own way.
    $copies = [];
    foreach ((array) ($result['destinations'] ?? []) as $copy) {
      $copies[] = [$copy['name'], $copy['error'] ?? $this->t('there')];
    }
    foreach ((array) ($result['copies'] ?? []) as $copy) {
      $copies[] = [$copy['destination'], $copy['error'] ?? $this->t('good'), $copy['file'] ?? ''];
    }
    foreach ((array) ($result['erased'] ?? []) as $name) {
      $copies[] = [$name, $this->t('erased')];
    }
    foreach ((array) ($result['failed'] ?? []) as $copy) {
      $copies[] = [$copy['name'], $copy['error']];
    }
    // Of several backups each says which it is.
    $several = count(array_unique(array_column($copies, 2))) > 1;
    foreach ($copies as $copy) {
      $words = ['@name' => $job['labels'][$copy[0]] ?? $copy[0], '@file' => $copy[2] ?? ''];
      $add($several ? $this->t('Copy at @name: @file', $words) : $this->t('Copy at @name', $words), $copy[1]);
    }
    return $rows === [] ? [] : ['#type' => 'table', '#rows' => $rows, '#attributes' => ['class' => ['bam-file']]];
  }

  /**
   * What was looked at, and how each thing is.
   */
  private function looked(array $result): array {
    $rows = [];
    foreach ((array) ($result['looked'] ?? []) as $finding) {
      $bad = !in_array($finding['state'], ['good', 'notice', 'unseen'], TRUE);
      $hint = empty($finding['hint']) ? '' : " ({$finding['hint']})";
      $rows[] = [
        'data' => [
          $finding['state'] === 'good' ? $this->t('good') : ($bad ? $this->t('wrong') : $this->t('notice')),
          $finding['text'] . $hint,
        ],
        'class' => $bad ? ['color-error'] : [],
      ];
    }
    return $rows === [] ? [] : ['#type' => 'table', '#rows' => $rows];
  }

  /**
   * What was restored for trial, and how that went.
   */
  private function drills(array $result): array {
    $rows = [];
    foreach ((array) ($result['drills'] ?? []) as $drill) {
      $drill += ['tables' => 0, 'rows' => 0, 'files' => 0, 'bytes' => 0, 'error' => '', 'differences' => []];
      $items = [
        $this->t('@files with @size, @tables with @rows', [
          '@files' => new PluralTranslatableMarkup((int) $drill['files'], 'one file', '@count files'),
          '@size' => ByteSizeMarkup::create($drill['bytes']),
          '@tables' => new PluralTranslatableMarkup((int) $drill['tables'], 'one table', '@count tables'),
          '@rows' => new PluralTranslatableMarkup((int) $drill['rows'], 'one row', '@count rows'),
        ]),
      ];
      foreach ($drill['error'] ? [$drill['error']] : (array) $drill['differences'] as $difference) {
        $items[] = is_string($difference) ? $difference : json_encode($difference);
      }
      $rows[] = [
        'data' => [
          ['data' => $drill['file'], 'class' => ['bam-file']],
          match ($drill['ok']) {
            TRUE => $this->t('good'),
            FALSE => $this->t('wrong'),
            default => $this->t('not tried'),
          },
          ['data' => ['#theme' => 'item_list', '#items' => $items]],
        ],
        'class' => $drill['ok'] === FALSE ? ['color-error'] : ($drill['ok'] ? [] : ['color-warning']),
      ];
    }
    return $rows === [] ? [] : [
      '#type' => 'table',
      '#header' => [$this->t('Backup'), $this->t('State'), $this->t('What was restored for trial')],
      '#rows' => $rows,
    ];
  }

  /**
   * The backups that lie at a place which is not one of the site's.
   */
  private function seen(array $job, array $view): array {
    $rows = [];
    foreach (RestoreForm::seen($view) as $key => $backup) {
      $restore = Url::fromRoute('bam.restore', ['id' => $backup['id']], ['query' => ['look' => $job['id'], 'of' => $key]]);
      $rows[] = [
        $this->dates->format((int) $backup['id'], 'short'),
        (string) ($backup['source_name'] ?? '') ?: (string) $backup['source'],
        SiteConfiguration::siteOf($backup),
        ByteSizeMarkup::create((float) $backup['size']),
        ['data' => $backup['file'], 'class' => ['bam-file']],
        ['data' => $restore->access() ? ['#type' => 'link', '#title' => $this->t('Restore'), '#url' => $restore] : []],
      ];
    }
    return [
      '#type' => 'table',
      '#caption' => $this->t('Backups at @place', ['@place' => $job['place_name'] ?? '']),
      '#header' => [$this->t('Date'), $this->t('What'), $this->t('Site'), $this->t('Size'), $this->t('File'), $this->t('Operations')],
      '#rows' => $rows,
      '#empty' => $this->t('There are no backups there.'),
    ];
  }

}
