<?php

declare(strict_types=1);

namespace Drupal\bam\Form;

use Drupal\Core\Form\FormStateInterface;
use Drupal\Core\StringTranslation\TranslatableMarkup;

/**
 * Restore a backup.
 */
final class RestoreForm extends BackupConfirmForm {

  protected const VERB = 'restore';

  /**
   * {@inheritdoc}
   */
  public function buildForm(array $form, FormStateInterface $form_state, string $id = ''): array {
    $form = parent::buildForm($form, $form_state, $id);
    $sources = $this->site->options('sources');
    $form['source'] = [
      '#type' => 'select',
      '#title' => $this->t('Onto'),
      '#options' => $sources,
      '#default_value' => isset($sources[$this->backup['source']]) ? $this->backup['source'] : NULL,
      '#required' => TRUE,
    ];
    if ($this->backup['kind'] === 'sitearchive') {
      $form['code'] = [
        '#type' => 'checkbox',
        '#title' => $this->t('The code, too'),
        '#description' => $this->t('Else only the database and the files are restored. Settings of this machine stay as they are in any case.'),
      ];
    }
    $form['unauthenticated'] = [
      '#type' => 'checkbox',
      '#title' => $this->t('Also if nothing proves that the backup is unchanged'),
      '#description' => $this->t('Backups made by Backup and Migrate carry no such proof, nor do those whose sidecar is lost. Leave this off for others: a backup that was tampered with is then refused.'),
    ];
    return $form;
  }

  /**
   * {@inheritdoc}
   */
  public function getQuestion(): TranslatableMarkup {
    return $this->t('Restore the backup of @source from @date?', $this->words());
  }

  /**
   * {@inheritdoc}
   */
  public function getDescription(): TranslatableMarkup {
    return $this->t('What is there now is replaced, and what was changed since then is lost. The backup is checked first; if something is wrong with it, nothing is changed. Restoring the database brings back its accounts and sessions, too: you may have to log in again. The page that shows the progress stays open to you.', $this->words());
  }

  /**
   * {@inheritdoc}
   */
  public function getConfirmText(): TranslatableMarkup {
    return $this->t('Restore');
  }

  /**
   * {@inheritdoc}
   */
  protected function title(string $id): TranslatableMarkup {
    return $this->t('Restore of backup @id', ['@id' => $id]);
  }

  /**
   * {@inheritdoc}
   */
  protected function options(FormStateInterface $form_state): array {
    $options = ['--yes', '--source=' . $form_state->getValue('source')];
    foreach (['unauthenticated', 'code'] as $option) {
      if ($form_state->getValue($option)) {
        $options[] = "--$option";
      }
    }
    return $options;
  }

}
