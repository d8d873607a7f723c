<?php

declare(strict_types=1);

namespace Drupal\bam\Controller;

use Drupal\bam\FirstSteps;
use Drupal\bam\JobResult;
use Drupal\bam\Jobs;
use Drupal\Component\Utility\Unicode;
use Drupal\Core\Controller\ControllerBase;
use Drupal\Core\StringTranslation\ByteSizeMarkup;
use Drupal\Core\Url;
use Symfony\Component\DependencyInjection\ContainerInterface;
use Symfony\Component\HttpFoundation\JsonResponse;
use Symfony\Component\HttpFoundation\RedirectResponse;

/**
 * The page that shows how a run goes, and the JSON that keeps it up to date.
 */
final class JobController extends ControllerBase {

  /**
   * How often the page asks, in seconds; without JavaScript it reloads itself.
   */
  private const POLL = 2;

  public function __construct(
    private readonly Jobs $jobs,
    private readonly JobResult $results,
    private readonly FirstSteps $steps,
  ) {}

  /**
   * {@inheritdoc}
   */
  public static function create(ContainerInterface $container): static {
    return new static($container->get('bam.jobs'), $container->get('bam.job_result'), $container->get('bam.first_steps'));
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
  public function page(string $job): array|RedirectResponse {
    $this->jobs->collect();
    $record = (array) $this->jobs->load($job);
    $view = $this->jobs->view($record);
    $next = self::next($record, $view);
    if ($next?->access()) {
      return new RedirectResponse($next->toString());
    }
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
      '#attributes' => ['class' => ['bam-progress']],
      'phase' => ['#type' => 'html_tag', '#tag' => 'p', '#attributes' => ['class' => ['bam-phase']], 'text' => ['#plain_text' => $progress['phase']]],
      'bar' => [
        '#type' => 'html_tag',
        '#tag' => 'progress',
        '#attributes' => ['max' => 100, 'aria-label' => $this->t('Progress')] + ($progress['percent'] === NULL ? [] : ['value' => $progress['percent']]),
      ],
      'heard' => ['#type' => 'html_tag', '#tag' => 'p', '#attributes' => ['class' => ['bam-heard', 'visually-hidden'], 'role' => 'status'], 'text' => ['#plain_text' => $progress['heard']]],
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
   * The page on which a run goes on when it has ended, if there is one.
   */
  private static function next(array $job, array $view): ?Url {
    $ended = !in_array($view['state'], ['waiting', 'running'], TRUE);
    return match (TRUE) {
      $ended && $job['kind'] === 'try' => Url::fromRoute('bam.place.try', ['name' => $job['place']]),
      $view['state'] === 'done' && $job['kind'] === 'preview' => Url::fromRoute('bam.restore.confirm', ['job' => $job['id']]),
      default => NULL,
    };
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
   * @return array{phase: string, percent: int|null, heard: string, detail: string, current: string}
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
    $total = max($progress['bytes_total'], $progress['bytes_in']);
    // All of it is read a moment before all is done.
    $percent = $progress['bytes_total'] > 0 ? min(99, (int) floor(100 * $progress['bytes_in'] / $total)) : NULL;
    return [
      'phase' => (string) $phase,
      'percent' => $percent,
      // Heard are the stage and each tenth; numbers that change every other
      // second are to be seen.
      'heard' => $percent === NULL ? (string) $phase : "$phase: " . ($percent - $percent % 10) . ' %',
      'detail' => html_entity_decode(implode(', ', $this->detail($view, $progress)), ENT_QUOTES),
      'current' => Unicode::truncate((string) $progress['current'], 120, FALSE, TRUE),
    ];
  }

  /**
   * How much, how fast, how long still.
   */
  private function detail(array $view, array $progress): array {
    $detail = [];
    if ($progress['bytes_in'] > 0) {
      $detail[] = $this->t('@read read, @written written', [
        '@read' => ByteSizeMarkup::create($progress['bytes_in']),
        '@written' => ByteSizeMarkup::create($progress['bytes_out']),
      ]);
      $seconds = isset($view['status']['started']) ? max(1, time() - (int) $view['status']['started']) : 0;
      // Of late: one stage may be a good deal slower than the one before.
      $rate = (float) (($view['status']['rate'] ?? 0) ?: $progress['bytes_in'] / max(1, $seconds));
      if ($seconds > 2) {
        $detail[] = $this->t('@rate a second', ['@rate' => ByteSizeMarkup::create($rate)]);
      }
      if ($seconds > 5 && $progress['bytes_total'] > $progress['bytes_in']) {
        $left = (int) (($progress['bytes_total'] - $progress['bytes_in']) / $rate) + 1;
        $detail[] = $this->t('about @time left', ['@time' => \Drupal::service('date.formatter')->formatInterval($left, 1)]);
      }
    }
    return $detail;
  }

  /**
   * What came of a run, and where to go from there.
   */
  private function result(array $view, array $job): array {
    $build = $this->results->build($job, $view);
    $links = [];
    if ($job['kind'] === 'rekey') {
      $links[] = [$this->t('Keys'), Url::fromRoute('bam.keys')];
    }
    if ($job['kind'] === 'look') {
      $links[] = [$this->t('Look at another place'), Url::fromRoute('bam.elsewhere')];
    }
    $start = Url::fromRoute('bam.start');
    if ($start->access() && $this->steps->areLeft()) {
      $links[] = [$this->t('Go on with the first steps'), $start];
    }
    $overview = Url::fromRoute('bam.overview');
    $links[] = $overview->access() ? [$this->t('All backups'), $overview] : [$this->t('Log in'), Url::fromRoute('user.login')];
    $build['links'] = ['#type' => 'container'];
    foreach ($links as [$title, $url]) {
      $build['links'][] = ['#type' => 'link', '#title' => $title, '#url' => $url, '#attributes' => ['class' => ['button']], '#access' => $url->access()];
    }
    return $build;
  }

}
