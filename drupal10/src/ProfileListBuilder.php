<?php

declare(strict_types=1);

namespace Drupal\bam;

use Drupal\Core\Config\Entity\ConfigEntityListBuilder;
use Drupal\Core\Entity\EntityInterface;

/**
 * The page of profiles.
 */
final class ProfileListBuilder extends ConfigEntityListBuilder {

  /**
   * {@inheritdoc}
   */
  public function buildHeader(): array {
    return [
      'label' => $this->t('Name'),
      'id' => $this->t('Machine name'),
      'compression' => $this->t('Compression'),
      'encryption' => $this->t('Encryption'),
    ] + parent::buildHeader();
  }

  /**
   * {@inheritdoc}
   */
  public function buildRow(EntityInterface $entity): array {
    return [
      'label' => $entity->label(),
      'id' => $entity->id(),
      'compression' => $entity->get('compression'),
      'encryption' => $entity->get('encryption'),
    ] + parent::buildRow($entity);
  }

}
