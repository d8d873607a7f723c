<?php

declare(strict_types=1);

namespace Drupal\bam;

use Drupal\Core\Entity\EntityInterface;

/**
 * The page of sources.
 */
final class SourceListBuilder extends ItemListBuilder {

  /**
   * {@inheritdoc}
   */
  protected function columns(): array {
    return [
      'type' => $this->t('Kind'),
      'where' => $this->t('Where'),
    ];
  }

  /**
   * {@inheritdoc}
   */
  protected function cell(EntityInterface $entity, string $column): mixed {
    return match ($column) {
      'where' => $entity->get('path') ?: $entity->get('database'),
      default => parent::cell($entity, $column),
    };
  }

}
