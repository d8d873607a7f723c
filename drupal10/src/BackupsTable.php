<?php

declare(strict_types=1);

namespace Drupal\bam;

use Drupal\bam\Form\FilterForm;
use Drupal\Component\Utility\Unicode;
use Drupal\Core\Datetime\DateFormatterInterface;
use Drupal\Core\Form\FormBuilderInterface;
use Drupal\Core\Pager\PagerManagerInterface;
use Drupal\Core\StringTranslation\ByteSizeMarkup;
use Drupal\Core\StringTranslation\StringTranslationTrait;
use Drupal\Core\Url;
use Drupal\Core\Utility\TableSort;
use Symfony\Component\HttpFoundation\Request;

/**
 * The list of backups: filtered by the address, sorted, a page at a time.
 */
final class BackupsTable {

  use StringTranslationTrait;

  /**
   * How many backups a page shows.
   */
  private const PAGE = 50;

  public function __construct(
    private readonly SiteConfiguration $site,
    private readonly PagerManagerInterface $pagers,
    private readonly FormBuilderInterface $forms,
    private readonly DateFormatterInterface $dates,
  ) {}

  /**
   * The list.
   *
   * @param array $found
   *   As SiteConfiguration tells it.
   * @param bool $others
   *   Whether they are those of other sites.
   * @param \Symfony\Component\HttpFoundation\Request $request
   *   What is asked for.
   */
  public function build(array $found, bool $others, Request $request): array {
    $backups = $this->filter($found['backups'], $request);
    $header = [
      ['data' => $this->t('Date'), 'field' => 'id', 'sort' => 'desc'],
      ['data' => $this->t('What'), 'field' => 'source'],
      $this->t('Note'),
      ['data' => $this->t('Size'), 'field' => 'size'],
      $this->t('Where'),
      $this->t('Encrypted'),
      ['data' => $this->t('Verified'), 'field' => 'verified'],
      $this->t('ID'),
      $this->t('Operations'),
    ];
    $order = TableSort::getContextFromRequest($header, $request);
    $field = (string) ($order['sql'] ?? '') ?: 'id';
    $down = ($order['sort'] ?? 'desc') === 'desc';
    uasort($backups, static fn (array $a, array $b): int => ($down ? -1 : 1) * ([$a[$field] ?? NULL, (int) $a['id']] <=> [$b[$field] ?? NULL, (int) $b['id']]));
    $page = $this->pagers->createPager(count($backups), self::PAGE)->getCurrentPage();
    $rows = [];
    foreach (array_slice($backups, $page * self::PAGE, self::PAGE, TRUE) as $key => $backup) {
      $rows[] = $this->row((string) $key, $backup, $others);
    }
    return [
      'filter' => count($found['backups']) > 1 && !$others ? $this->forms->getForm(FilterForm::class) : [],
      'table' => [
        '#type' => 'table',
        '#caption' => $others ? $this->t('Backups of other sites') : $this->t('Backups'),
        '#header' => $header,
        '#rows' => $rows,
        '#empty' => $this->none($found),
      ],
      'pager' => ['#type' => 'pager'],
    ];
  }

  /**
   * Those that the address asks for.
   */
  private function filter(array $backups, Request $request): array {
    $want = FilterForm::wanted($request);
    $since = $want['since'] === '' ? FALSE : strtotime($want['since']);
    return array_filter($backups, static fn (array $backup): bool => ($want['source'] === '' || (string) $backup['source'] === $want['source'])
      && ($want['place'] === '' || in_array($want['place'], $backup['destinations'], TRUE))
      && ($since === FALSE || (int) $backup['id'] >= $since));
  }

  /**
   * One backup.
   */
  private function row(string $key, array $backup, bool $others): array {
    $places = [];
    foreach ($backup['copies'] as $copy) {
      $place = $this->site->label('destinations', $copy['destination']);
      $places[] = $copy['whole'] ? $place : $this->t('@place (damaged)', ['@place' => $place]);
    }
    foreach ($others ? [] : $this->lacking($backup) as $name) {
      $places[] = [
        '#type' => 'html_tag',
        '#tag' => 'strong',
        '#attributes' => ['class' => ['bam-lacking']],
        'text' => ['#markup' => $this->t('missing at @place', ['@place' => $this->site->label('destinations', $name)])],
      ];
    }
    $what = [$backup['source'] === NULL ? $this->t('unknown') : $this->site->label('sources', (string) $backup['source'])];
    if ($others) {
      $what[] = SiteConfiguration::siteOf($backup);
    }
    return [
      ['data' => $this->dates->format((int) $backup['id'], 'short')],
      ['data' => ['#theme' => 'item_list', '#items' => $what, '#attributes' => ['class' => ['bam-plain']]], 'title' => $backup['file']],
      ['data' => Unicode::truncate((string) ($backup['description'] ?? ''), 80, FALSE, TRUE), 'class' => ['bam-file']],
      ['data' => ByteSizeMarkup::create((float) $backup['size']), 'class' => ['bam-number']],
      ['data' => ['#theme' => 'item_list', '#items' => $places, '#attributes' => ['class' => ['bam-plain']]]],
      $backup['encryption'] === 'none' ? $this->t('no') : $this->t('yes'),
      empty($backup['verified']) ? $this->t('never') : $this->dates->format((int) $backup['verified'], 'short'),
      (string) $backup['id'],
      ['data' => ['#type' => 'operations', '#links' => $this->operations($others ? (string) $backup['id'] : $key, $others ? ['query' => ['of' => $key]] : [])]],
    ];
  }

  /**
   * Where a backup should be by its schedule, and is not.
   */
  private function lacking(array $backup): array {
    $schedule = $this->site->complete()['schedules'][$backup['schedule'] ?? ''] ?? NULL;
    return $schedule === NULL ? [] : array_diff($schedule['destinations'], $backup['destinations']);
  }

  /**
   * What may be done with a backup, the likeliest first.
   */
  private function operations(string $id, array $options): array {
    $routes = [
      'bam.restore' => $this->t('Restore'),
      'bam.download' => $this->t('Download'),
      'bam.sidecar' => $this->t('Sidecar'),
      'bam.verify' => $this->t('Verify'),
      'bam.backup_drill' => $this->t('Drill'),
      'bam.delete' => $this->t('Erase'),
    ];
    $links = [];
    // Of other sites' backups nothing but a restore is this site's business.
    foreach ($options === [] ? $routes : array_slice($routes, 0, 1) as $route => $title) {
      $url = Url::fromRoute($route, ['id' => $id], $options);
      if ($url->access()) {
        $links[$route] = ['title' => $title, 'url' => $url];
      }
    }
    return $links;
  }

  /**
   * Why the list is empty.
   */
  private function none(array $found): array|string {
    if ($found['time'] === NULL) {
      return '';
    }
    $link = static fn ($title, Url $url): array => ['#type' => 'link', '#title' => $title, '#url' => $url, '#access' => $url->access()];
    return $found['backups'] !== []
      ? ['text' => ['#markup' => $this->t('No backup is as asked for.') . ' '], 'all' => $link($this->t('Show all'), Url::fromRoute('bam.overview'))]
      : [
        'text' => ['#markup' => $this->t('There are no backups yet.') . ' '],
        'start' => $link($this->t('Set it up in six steps'), Url::fromRoute('bam.start')),
        'now' => $link($this->t('Back up now'), Url::fromRoute('bam.backup')) + ['#prefix' => ' '],
      ];
  }

}
