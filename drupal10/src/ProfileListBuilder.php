<?php

declare(strict_types=1);

namespace Drupal\bam;

/**
 * The page of profiles.
 */
final class ProfileListBuilder extends ItemListBuilder {

  /**
   * {@inheritdoc}
   */
  protected function columns(): array {
    return [
      'compression' => $this->t('Compression'),
      'encryption' => $this->t('Encryption'),
    ];
  }

}
