<?php

declare(strict_types=1);

namespace Drupal\bam\Form;

use Drupal\Core\Form\FormStateInterface;
use Drupal\Core\StringTranslation\TranslatableMarkup;

/**
 * Erase a backup, after a confirmation.
 */
final class EraseForm extends BackupConfirmForm {

  protected const VERB = 'delete';

  /**
   * {@inheritdoc}
   */
  public function getQuestion(): TranslatableMarkup {
    return $this->t('Erase the backup of @source from @date?', $this->words());
  }

  /**
   * {@inheritdoc}
   */
  public function getDescription(): TranslatableMarkup {
    return $this->t('The file @file is erased at every destination: @places. This cannot be undone.', $this->words());
  }

  /**
   * {@inheritdoc}
   */
  public function getConfirmText(): TranslatableMarkup {
    return $this->t('Erase');
  }

  /**
   * {@inheritdoc}
   */
  protected function title(string $id): TranslatableMarkup {
    return $this->t('Erasing of backup @id', ['@id' => $id]);
  }

  /**
   * {@inheritdoc}
   */
  protected function options(FormStateInterface $form_state): array {
    return ['--yes'];
  }

}
