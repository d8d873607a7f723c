<?php

declare(strict_types=1);

namespace Drupal\bam;

use Drupal\Component\Render\PlainTextOutput;
use Drupal\Core\Entity\EntityInterface;
use Drupal\Core\Url;

/**
 * The page of schedules.
 */
final class ScheduleListBuilder extends ItemListBuilder {

  /**
   * {@inheritdoc}
   */
  protected function columns(): array {
    return [
      'status' => $this->t('Enabled'),
      'when' => $this->t('When'),
      'source' => $this->t('Source'),
      'destinations' => $this->t('Destinations'),
      'last' => $this->t('Last run'),
      'next' => $this->t('Next run'),
    ];
  }

  /**
   * {@inheritdoc}
   */
  protected function cell(EntityInterface $entity, string $column): mixed {
    return match ($column) {
      'status' => $entity->status() ? $this->t('Yes') : $this->t('No'),
      'when' => self::when($entity),
      'source' => $this->site()->label('sources', $entity->get('source')),
      'destinations' => $this->site()->labels('destinations', $entity->get('destinations')),
      'last' => $this->last((string) $entity->id()),
      'next' => $this->next($entity),
      default => parent::cell($entity, $column),
    };
  }

  /**
   * {@inheritdoc}
   */
  public function getDefaultOperations(EntityInterface $entity): array {
    $operations = parent::getDefaultOperations($entity);
    $url = Url::fromRoute('bam.schedule.run', ['name' => $entity->id()]);
    if ($url->access()) {
      $operations['run'] = ['title' => $this->t('Run now'), 'weight' => 20, 'url' => $url];
    }
    return $operations;
  }

  /**
   * {@inheritdoc}
   */
  public function render(): array {
    $build = parent::render();
    // Runs change without a change of configuration.
    $build['table']['#cache']['max-age'] = 0;
    return $build;
  }

  /**
   * When a schedule was last started, and how that ended.
   */
  private function last(string $name): string {
    $runs = \Drupal::service('bam.last_runs');
    $time = $runs->get($name);
    $result = $runs->results()[$name] ?? NULL;
    $ago = match (TRUE) {
      $time === 0 => (string) $this->t('never'),
      // Clocks of several servers differ by seconds.
      $time > time() + 60 => (string) $this->t('@time, which is yet to come: a clock was wrong', ['@time' => date('Y-m-d H:i', $time)]),
      default => \Drupal::service('bam.standing')->age($time),
    };
    return $result === NULL ? $ago : "$ago: " . Standing::result($result);
  }

  /**
   * When it runs next, as the program has worked it out.
   */
  private function next(EntityInterface $entity): string {
    if (!$entity->status()) {
      return '';
    }
    $status = $this->site()->ask('status', 0.0)['answer'] ?? [];
    $next = (int) ($status['schedules'][$entity->id()]['next_run'] ?? 0);
    return match (TRUE) {
      $next === 0 => '',
      $next <= time() => (string) $this->t('at the next cron run'),
      default => \Drupal::service('date.formatter')->format($next, 'short'),
    };
  }

  /**
   * What the site has.
   */
  private function site(): SiteConfiguration {
    return \Drupal::service('bam.site');
  }

  /**
   * When a schedule runs, in words.
   */
  private static function when(EntityInterface $entity): string {
    if ($entity->get('cron') !== '') {
      return $entity->get('cron');
    }
    $every = $entity->get('every');
    return $every > 0
      ? PlainTextOutput::renderFromHtml(t('every @time', ['@time' => \Drupal::service('date.formatter')->formatInterval($every)]))
      : (string) t('when asked');
  }

}
