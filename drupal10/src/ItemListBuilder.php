<?php

declare(strict_types=1);

namespace Drupal\bam;

use Drupal\Core\Config\Entity\ConfigEntityListBuilder;
use Drupal\Core\Entity\EntityInterface;

/**
 * What the pages of sources, destinations, profiles and schedules share.
 */
abstract class ItemListBuilder extends ConfigEntityListBuilder {

  /**
   * {@inheritdoc}
   */
  public function buildHeader(): array {
    return ['label' => $this->t('Name'), 'id' => $this->t('Machine name')] + $this->columns() + parent::buildHeader();
  }

  /**
   * {@inheritdoc}
   */
  public function buildRow(EntityInterface $entity): array {
    $row = ['label' => $entity->label(), 'id' => $entity->id()];
    foreach (array_keys($this->columns()) as $column) {
      $row[$column] = $this->cell($entity, $column);
    }
    return $row + parent::buildRow($entity);
  }

  /**
   * The columns besides the names: titles by key.
   */
  abstract protected function columns(): array;

  /**
   * What a column shows of an item; else the value of that name.
   */
  protected function cell(EntityInterface $entity, string $column): mixed {
    return $entity->get($column);
  }

}
