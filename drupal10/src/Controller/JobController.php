<?php

declare(strict_types=1);

namespace Drupal\bam\Controller;

use Drupal\bam\Jobs;
use Drupal\Component\Utility\Unicode;
use Drupal\Core\Controller\ControllerBase;
use Drupal\Core\StringTranslation\ByteSizeMarkup;
use Drupal\Core\Url;
use Symfony\Component\DependencyInjection\ContainerInterface;
use Symfony\Component\HttpFoundation\JsonResponse;

/**
 * The page that shows how a run goes, and the JSON that keeps it up to date.
 */
final class JobController extends ControllerBase {

  /**
   * How often the page asks, in seconds; without JavaScript it reloads itself.
   */
  private const POLL = 2;

  public function __construct(private readonly Jobs $jobs) {}

  /**
   * {@inheritdoc}
   */
  public static function create(ContainerInterface $container): static {
    return new static($container->get('bam.jobs'));
  }

  /**
   * What was asked for.
   */
  public function title(string $job): string {
    return (string) ($this->jobs->load($job)['title'] ?? '');
  }

  /**
   * Where a run is, or what came of it.
   */
  public function page(string $job): array {
    $this->jobs->collect();
    $record = (array) $this->jobs->load($job);
    $view = $this->jobs->view($record);
    $build = [
      '#cache' => ['max-age' => 0],
      // The ID in the address is a key: it goes nowhere else.
      '#attached' => [
        'http_header' => [['Referrer-Policy', 'no-referrer'], ['Cache-Control', 'private, no-store']],
        'library' => ['bam/progress'],
      ],
    ];
    if (!in_array($view['state'], ['waiting', 'running'], TRUE)) {
      return $build + $this->result($view, $record);
    }
    $progress = $this->progress($view);
    $build['progress'] = [
      '#type' => 'container',
      '#attributes' => ['class' => ['bam-progress'], 'aria-live' => 'polite'],
      'phase' => ['#type' => 'html_tag', '#tag' => 'p', '#attributes' => ['class' => ['bam-phase']], 'text' => ['#plain_text' => $progress['phase']]],
      'bar' => [
        '#type' => 'html_tag',
        '#tag' => 'progress',
        '#attributes' => ['max' => 100] + ($progress['percent'] === NULL ? [] : ['value' => $progress['percent']]),
      ],
      'detail' => ['#type' => 'html_tag', '#tag' => 'p', '#attributes' => ['class' => ['bam-detail']], 'text' => ['#plain_text' => $progress['detail']]],
      'current' => ['#type' => 'html_tag', '#tag' => 'p', '#attributes' => ['class' => ['bam-current']], 'text' => ['#plain_text' => $progress['current']]],
    ];
    $build['#attached']['drupalSettings']['bam'] = [
      'status' => Url::fromRoute('bam.job.status', ['job' => $job])->toString(),
      'every' => self::POLL * 1000,
    ];
    $build['#attached']['html_head'][] = [
      [
        '#tag' => 'meta',
        '#noscript' => TRUE,
        '#attributes' => ['http-equiv' => 'refresh', 'content' => self::POLL * 2],
      ],
      'bam_refresh',
    ];
    $cancel = Url::fromRoute('bam.job.cancel', ['job' => $job]);
    if (Jobs::canCancel($view) && $cancel->access()) {
      $build['cancel'] = ['#type' => 'link', '#title' => $this->t('Cancel'), '#url' => $cancel, '#attributes' => ['class' => ['button']]];
    }
    return $build;
  }

  /**
   * Where a run is, as JSON.
   */
  public function status(string $job): JsonResponse {
    $this->jobs->collect();
    $view = $this->jobs->view((array) $this->jobs->load($job));
    $finished = !in_array($view['state'], ['waiting', 'running'], TRUE);
    return new JsonResponse(['finished' => $finished] + $this->progress($view), 200, [
      'Cache-Control' => 'private, no-store',
      'Referrer-Policy' => 'no-referrer',
    ]);
  }

  /**
   * What a page shows of a run: plain text, and percent where known.
   *
   * @return array{phase: string, percent: int|null, detail: string, current: string}
   *   For the page and its script.
   */
  private function progress(array $view): array {
    $progress = (array) ($view['status']['progress'] ?? [])
      + ['phase' => '', 'bytes_in' => 0, 'bytes_out' => 0, 'bytes_total' => 0, 'current' => ''];
    $phase = match (TRUE) {
      $view['state'] === 'waiting' => $this->t('Waiting to start'),
      $progress['phase'] === 'preparing' => $this->t('Preparing'),
      $progress['phase'] === 'backing_up' => $this->t('Backing up'),
      $progress['phase'] === 'finishing' => $this->t('Finishing'),
      $progress['phase'] === 'verifying' => $this->t('Checking'),
      $progress['phase'] === 'restoring' => $this->t('Restoring'),
      $progress['phase'] === 'done' => $this->t('Done'),
      default => $this->t('Starting'),
    };
    $detail = $progress['bytes_in'] > 0 ? $this->t('@read read, @written written', [
      '@read' => ByteSizeMarkup::create($progress['bytes_in']),
      '@written' => ByteSizeMarkup::create($progress['bytes_out']),
    ]) : '';
    return [
      'phase' => (string) $phase,
      // All of it is read a moment before all is done.
      'percent' => $progress['bytes_total'] > 0
        ? min(99, (int) floor(100 * $progress['bytes_in'] / max($progress['bytes_total'], $progress['bytes_in']))) : NULL,
      'detail' => html_entity_decode((string) $detail, ENT_QUOTES),
      'current' => Unicode::truncate((string) $progress['current'], 120, FALSE, TRUE),
    ];
  }

  /**
   * What came of a run.
   */
  private function result(array $view, array $record): array {
    [$type, $text] = match ($view['state']) {
      'done' => ['status', $this->t('Done.')],
      'locked' => ['warning', $this->t('Another run is working on this site. Wait for its end, then start this again.')],
      'cancelled' => ['warning', $this->t('Cancelled. Nothing was changed.')],
      'interrupted' => ['error', $this->t('Interrupted.')],
      default => ['error', $this->t('It failed.')],
    };
    $sentences = [$text];
    if (($record['place'] ?? '') !== '' && !empty($view['status']['result']['looked'])) {
      // Its own page tells what is to be done.
      [$type, $sentences] = $view['exit_code'] === 0
        ? ['status', [$this->t('The place is reached, takes a file and gives it back.')]]
        : ['warning', [$this->t('The place cannot be used yet.')]];
    }
    elseif ($view['state'] === 'done' && $view['exit_code'] !== 0) {
      $type = 'warning';
      $sentences = [$this->t('Done, but something is missing:'), ...Jobs::missing($view)];
    }
    elseif ($type === 'error') {
      array_push($sentences, $view['error'], $view['hint']);
    }
    $build['verdict'] = OverviewController::message($type, $sentences);
    $result = (array) ($view['status']['result'] ?? []);
    $rows = [];
    foreach (['id' => $this->t('Backup ID'), 'file' => $this->t('File')] as $key => $name) {
      if (isset($result[$key])) {
        $rows[] = [['data' => $name, 'header' => TRUE], (string) $result[$key]];
      }
    }
    if (!empty($result['bytes_out'])) {
      $rows[] = [['data' => $this->t('Size'), 'header' => TRUE], ByteSizeMarkup::create($result['bytes_out'])];
    }
    foreach ([...(array) ($result['destinations'] ?? []), ...(array) ($result['copies'] ?? [])] as $copy) {
      $rows[] = [
        ['data' => $this->t('Copy at @name', ['@name' => $copy['name'] ?? $copy['destination']]), 'header' => TRUE],
        isset($copy['error']) ? (string) $copy['error'] : $this->t('good'),
      ];
    }
    if ($rows !== []) {
      $build['facts'] = ['#type' => 'table', '#rows' => $rows, '#attributes' => ['class' => ['bam-file']]];
    }
    $warnings = array_filter((array) ($result['notes'] ?? []), static fn (array $note): bool => $note['kind'] === 'warning');
    if ($warnings !== []) {
      $build['notes'] = ['#theme' => 'item_list', '#title' => $this->t('Worth knowing'), '#items' => array_column($warnings, 'text')];
    }
    if (($record['place'] ?? '') !== '') {
      $build['place'] = ['#type' => 'link', '#title' => $this->t('What came of it'), '#url' => Url::fromRoute('bam.place.try', ['name' => $record['place']]), '#attributes' => ['class' => ['button']]];
    }
    $overview = Url::fromRoute('bam.overview');
    $build['back'] = $overview->access()
      ? ['#type' => 'link', '#title' => $this->t('All backups'), '#url' => $overview]
      : ['#type' => 'link', '#title' => $this->t('Log in'), '#url' => Url::fromRoute('user.login')];
    return $build;
  }

}
