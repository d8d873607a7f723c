<?php

declare(strict_types=1);

namespace Drupal\bam\Controller;

use Drupal\bam\Jobs;
use Drupal\bam\SiteConfiguration;
use Drupal\Core\Controller\ControllerBase;
use Drupal\Core\Datetime\DateFormatterInterface;
use Drupal\Core\Link;
use Drupal\Core\StringTranslation\ByteSizeMarkup;
use Drupal\Core\Url;
use Symfony\Component\DependencyInjection\ContainerInterface;

/**
 * The backups that there are, what is under way, and what is missing.
 */
final class OverviewController extends ControllerBase {

  public function __construct(
    private readonly SiteConfiguration $site,
    private readonly Jobs $jobs,
    private readonly DateFormatterInterface $dates,
  ) {}

  /**
   * {@inheritdoc}
   */
  public static function create(ContainerInterface $container): static {
    return new static($container->get('bam.site'), $container->get('bam.jobs'), $container->get('date.formatter'));
  }

  /**
   * The page.
   */
  public function page(): array {
    $this->jobs->collect();
    $build = [
      '#attached' => ['library' => ['bam/pages']],
      // What other machines hold changes without Drupal's knowing.
      '#cache' => ['max-age' => 0],
    ];
    $found = $this->site->backups();
    if ($found['error'] !== NULL) {
      $build['error'] = self::message('error', [$found['error']['message'], $found['error']['hint'] ?? '']);
      return $build;
    }
    if ($found['notes'] !== []) {
      $build['notes'] = self::message('warning', $found['notes']);
    }
    if ($found['time'] === NULL) {
      $build['waiting'] = self::message('status', [$this->t('The places have not answered yet. Load this page again in a while.')]);
    }
    elseif ($found['asking']) {
      $build['waiting'] = self::message('status', [$this->t('As the places answered @time ago; they are being asked anew.', [
        '@time' => $this->dates->formatInterval(max(1, time() - $found['time']), 1),
      ])]);
    }
    $open = $this->open();
    if ($open !== []) {
      $build['open'] = ['#theme' => 'item_list', '#title' => $this->t('Under way'), '#items' => $open];
    }
    $build['backups'] = [
      '#type' => 'table',
      '#header' => [
        $this->t('Date'),
        $this->t('What'),
        $this->t('Where'),
        $this->t('Size'),
        $this->t('Encrypted'),
        $this->t('Verified'),
        $this->t('File'),
        $this->t('Operations'),
      ],
      '#empty' => $found['time'] === NULL ? '' : $this->t('There are no backups yet. <a href=":url">Back up now</a>', [':url' => Url::fromRoute('bam.backup')->toString()]),
    ];
    foreach ($found['backups'] as $id => $backup) {
      $build['backups'][$id] = $this->row((string) $id, $backup);
    }
    return $build;
  }

  /**
   * One backup.
   */
  private function row(string $id, array $backup): array {
    $places = array_map(fn (array $copy): string => $this->site->label('destinations', $copy['destination'])
      . ($copy['whole'] ? '' : ' (' . $this->t('incomplete') . ')'), $backup['copies']);
    return [
      'date' => ['#plain_text' => $this->dates->format((int) $id, 'short')],
      'what' => ['#plain_text' => $this->site->label('sources', (string) $backup['source'])],
      'where' => ['#plain_text' => implode(', ', $places)],
      'size' => ['#markup' => ByteSizeMarkup::create((float) $backup['size'])],
      'encrypted' => ['#plain_text' => $backup['encryption'] === 'none' ? $this->t('No') : $this->t('Yes')],
      'verified' => ['#plain_text' => empty($backup['verified']) ? $this->t('Never') : $this->dates->format($backup['verified'], 'short')],
      'file' => [
        '#type' => 'html_tag',
        '#tag' => 'span',
        '#attributes' => ['class' => ['bam-file'], 'title' => (string) ($backup['description'] ?? '')],
        'name' => ['#plain_text' => $backup['file']],
      ],
      'operations' => ['#type' => 'operations', '#links' => $this->operations($id)],
    ];
  }

  /**
   * What may be done with a backup.
   */
  private function operations(string $id): array {
    $links = [];
    foreach ([
      'bam.restore' => $this->t('Restore'),
      'bam.verify' => $this->t('Verify'),
      'bam.download' => $this->t('Download'),
      'bam.delete' => $this->t('Erase'),
    ] as $route => $title) {
      $url = Url::fromRoute($route, ['id' => $id]);
      if ($url->access()) {
        $links[$route] = ['title' => $title, 'url' => $url];
      }
    }
    return $links;
  }

  /**
   * Links to the runs that are under way.
   */
  private function open(): array {
    $links = [];
    foreach ($this->jobs->open() as $id) {
      $job = $this->jobs->load($id);
      $url = Url::fromRoute('bam.job', ['job' => $id]);
      if ($job !== NULL && $url->access()) {
        $links[] = Link::fromTextAndUrl($job['title'], $url);
      }
    }
    return $links;
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
