<?php

declare(strict_types=1);

namespace Drupal\bam\Controller;

use Drupal\bam\BackupsTable;
use Drupal\bam\Jobs;
use Drupal\bam\SiteConfiguration;
use Drupal\bam\Standing;
use Drupal\Component\Utility\Unicode;
use Drupal\Core\Controller\ControllerBase;
use Drupal\Core\Datetime\DateFormatterInterface;
use Drupal\Core\Link;
use Drupal\Core\StringTranslation\PluralTranslatableMarkup;
use Drupal\Core\Url;
use Symfony\Component\DependencyInjection\ContainerInterface;
use Symfony\Component\HttpFoundation\Request;

/**
 * Whether the site is safe, what is under way, the backups that there are.
 */
final class OverviewController extends ControllerBase {

  /**
   * How many of the last runs are shown.
   */
  private const LAST = 15;

  public function __construct(
    private readonly SiteConfiguration $site,
    private readonly Jobs $jobs,
    private readonly Standing $standing,
    private readonly BackupsTable $table,
    private readonly DateFormatterInterface $dates,
  ) {}

  /**
   * {@inheritdoc}
   */
  public static function create(ContainerInterface $container): static {
    return new static(
      $container->get('bam.site'),
      $container->get('bam.jobs'),
      $container->get('bam.standing'),
      $container->get('bam.backups_table'),
      $container->get('date.formatter'),
    );
  }

  /**
   * The page.
   */
  public function page(Request $request): array {
    $this->jobs->collect();
    $build = [
      '#attached' => ['library' => ['bam/pages']],
      // What other machines hold changes without Drupal's knowing.
      '#cache' => ['max-age' => 0],
    ];
    $error = $this->site->complete()['error'] ?? NULL;
    if ($error !== NULL) {
      $build['error'] = self::message('error', [$error['message'], $error['hint'] ?? '']);
      return $build;
    }
    // Those of other sites are for those who could put one here.
    $restores = $this->currentUser()->hasPermission('restore from backup');
    $others = $restores && $request->query->get('site') === 'others';
    $status = $this->site->ask('status');
    $found = $others ? $this->site->others() : $this->site->backups();
    if ($found['error'] !== NULL) {
      $build['error'] = self::message('error', [$found['error']['message'], $found['error']['hint'] ?? '']);
      return $build;
    }
    if ($status === NULL || $status['asking'] || $found['time'] === NULL || $found['asking']) {
      $build['asking'] = $this->asking($found['time']);
    }
    if (isset($status['answer']['error'])) {
      // Without it nobody knows whether the site is safe.
      $told = $status['answer']['error'];
      $build['unknown'] = self::message('error', [$told['message'], $told['hint'] ?? '']);
    }
    if ($found['notes'] !== []) {
      $build['notes'] = self::message('warning', $found['notes']);
    }
    $open = $this->open();
    if ($open !== []) {
      $build['open'] = ['#theme' => 'item_list', '#title' => $this->t('Under way'), '#items' => $open];
    }
    $build['verdict'] = $this->standing->verdict($status['answer'] ?? []);
    $build['standing'] = $this->standing->table($status['answer'] ?? []);
    foreach (['access backup files', 'restore from backup', 'delete backup files'] as $permission) {
      if ($this->currentUser()->hasPermission($permission)) {
        $build['backups'] = $this->table->build($found, $others, $request);
      }
    }
    if ($others) {
      $build['own'] = ['#type' => 'link', '#title' => $this->t('Back to the backups of this site'), '#url' => Url::fromRoute('bam.overview')];
    }
    elseif ($restores && $found['passed'] > 0) {
      $build['others'] = [
        '#type' => 'container',
        'text' => ['#markup' => new PluralTranslatableMarkup($found['passed'], 'One backup of another site lies in the same places.', '@count backups of other sites lie in the same places.')],
        'link' => ['#prefix' => ' ', '#type' => 'link', '#title' => $this->t('Show them'), '#url' => Url::fromRoute('bam.overview', [], ['query' => ['site' => 'others']])],
      ];
    }
    $build['jobs'] = $this->past();
    return $build;
  }

  /**
   * Says that an answer is on its way, and looks again by itself.
   */
  private function asking(?int $time): array {
    $text = $time === NULL
      ? $this->t('The places are being asked what they hold. This page looks again by itself.')
      : $this->t('The places are being asked anew; this is what they said @age.', ['@age' => $this->standing->age($time)]);
    return self::message('status', [$text]) + [
      '#attached' => [
        'html_head' => [[['#tag' => 'meta', '#attributes' => ['http-equiv' => 'refresh', 'content' => 5]], 'bam_refresh']],
      ],
    ];
  }

  /**
   * Links to the runs that are under way.
   */
  private function open(): array {
    $links = [];
    foreach ($this->jobs->open() as $id) {
      $job = $this->jobs->load($id);
      if ($job !== NULL && $this->currentUser()->hasPermission(Jobs::permission($job['kind']))) {
        $links[] = Link::fromTextAndUrl($job['title'], Url::fromRoute('bam.job', ['job' => $id]));
      }
    }
    return $links;
  }

  /**
   * The last runs and what came of them.
   */
  private function past(): array {
    $rows = [];
    foreach ($this->jobs->past(self::LAST) as $job) {
      if (!$this->currentUser()->hasPermission(Jobs::permission($job['kind']))) {
        continue;
      }
      $view = $this->jobs->view($job);
      $failed = in_array($view['state'], ['failed', 'interrupted'], TRUE);
      $rows[] = [
        'data' => [
          $this->dates->format($job['created'], 'short'),
          ['data' => ['#type' => 'link', '#title' => $job['title'], '#url' => Url::fromRoute('bam.job', ['job' => $job['id']])]],
          match ($view['state']) {
            'done' => $view['exit_code'] === 0 ? $this->t('done') : $this->t('done, but something is missing'),
            'locked' => $this->t('another run was working'),
            'cancelled' => $this->t('cancelled'),
            'interrupted' => $this->t('interrupted'),
            default => $this->t('failed'),
          },
          ['data' => Unicode::truncate($view['error'], 160, FALSE, TRUE), 'class' => ['bam-file']],
        ],
        'class' => $failed ? ['color-error'] : ($view['exit_code'] ? ['color-warning'] : []),
      ];
    }
    return $rows === [] ? [] : [
      '#type' => 'table',
      '#caption' => $this->t('Last runs'),
      '#header' => [$this->t('Started'), $this->t('What'), $this->t('How it ended'), $this->t('Why')],
      '#rows' => $rows,
    ];
  }

  /**
   * Sentences in a box.
   */
  public static function message(string $type, array $sentences): array {
    return [
      '#theme' => 'status_messages',
      '#message_list' => [$type => array_values(array_filter($sentences))],
      '#status_headings' => ['error' => t('Error message'), 'warning' => t('Warning message'), 'status' => t('Status message')],
    ];
  }

}
