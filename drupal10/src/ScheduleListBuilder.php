<?php

declare(strict_types=1);

namespace Drupal\bam;

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
    ];
  }

  /**
   * {@inheritdoc}
   */
  protected function cell(EntityInterface $entity, string $column): mixed {
    return match ($column) {
      'status' => $entity->status() ? $this->t('Yes') : $this->t('No'),
      'when' => self::when($entity),
      'destinations' => implode(', ', $entity->get('destinations')),
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
   * When a schedule runs, in words.
   */
  private static function when(EntityInterface $entity): string {
    if ($entity->get('cron') !== '') {
      return $entity->get('cron');
    }
    $every = $entity->get('every');
    return $every > 0
      ? (string) t('every @time', ['@time' => \Drupal::service('date.formatter')->formatInterval($every)])
      : (string) t('when asked');
  }

}
