<?php

declare(strict_types=1);

namespace Drupal\bam;

use Drupal\Core\Config\Entity\ConfigEntityListBuilder;
use Drupal\Core\Entity\EntityInterface;

/**
 * The page of destinations.
 */
final class DestinationListBuilder extends ConfigEntityListBuilder {

  /**
   * {@inheritdoc}
   */
  public function buildHeader(): array {
    return [
      'label' => $this->t('Name'),
      'id' => $this->t('Machine name'),
      'type' => $this->t('Kind'),
      'where' => $this->t('Where'),
    ] + parent::buildHeader();
  }

  /**
   * {@inheritdoc}
   */
  public function buildRow(EntityInterface $entity): array {
    return [
      'label' => $entity->label(),
      'id' => $entity->id(),
      'type' => $entity->get('type'),
      'where' => $entity->get('path') ?: $entity->get('url'),
    ] + parent::buildRow($entity);
  }

}
