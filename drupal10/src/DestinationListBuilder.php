<?php

declare(strict_types=1);

namespace Drupal\bam;

use Drupal\Core\Entity\EntityInterface;
use Drupal\Core\Url;

/**
 * The page of places.
 */
final class DestinationListBuilder extends ItemListBuilder {

  /**
   * {@inheritdoc}
   */
  protected function columns(): array {
    return [
      'type' => $this->t('Kind'),
      'where' => $this->t('Where'),
      'answer' => $this->t('Last answer'),
    ];
  }

  /**
   * {@inheritdoc}
   */
  protected function cell(EntityInterface $entity, string $column): mixed {
    return match ($column) {
      'where' => $entity->get('path') ?: $entity->get('url'),
      'answer' => \Drupal::service('bam.places')->answer((string) $entity->id()),
      default => parent::cell($entity, $column),
    };
  }

  /**
   * {@inheritdoc}
   */
  public function getDefaultOperations(EntityInterface $entity): array {
    $operations = parent::getDefaultOperations($entity);
    $operations['try'] = [
      'title' => $this->t('Try'),
      'weight' => 20,
      'url' => Url::fromRoute('bam.place.try', ['name' => $entity->id()]),
    ];
    return $operations;
  }

}
