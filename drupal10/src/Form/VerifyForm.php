<?php

declare(strict_types=1);

namespace Drupal\bam\Form;

use Drupal\Core\StringTranslation\TranslatableMarkup;

/**
 * Verify a backup.
 */
final class VerifyForm extends BackupConfirmForm {

  protected const VERB = 'verify';

  /**
   * {@inheritdoc}
   */
  public function getQuestion(): TranslatableMarkup {
    return $this->t('Verify the backup of @source from @date?', $this->words());
  }

  /**
   * {@inheritdoc}
   */
  public function getDescription(): TranslatableMarkup {
    return $this->t('Every byte of every copy is read, decrypted and checked. That takes about as long as making the backup did.', $this->words());
  }

  /**
   * {@inheritdoc}
   */
  public function getConfirmText(): TranslatableMarkup {
    return $this->t('Verify');
  }

  /**
   * {@inheritdoc}
   */
  protected function title(string $id): TranslatableMarkup {
    return $this->t('Verification of backup @id', ['@id' => $id]);
  }

}
