<?php

declare(strict_types=1);

namespace Drupal\bam\Form;

use Drupal\Core\Form\ConfirmFormBase;
use Drupal\Core\Form\FormStateInterface;
use Drupal\Core\StringTranslation\TranslatableMarkup;
use Drupal\Core\Url;
use Symfony\Component\HttpKernel\Exception\NotFoundHttpException;

/**
 * Restore a backup.
 */
final class RestoreForm extends ConfirmFormBase {

  use StartsRun;

  /**
   * The backup.
   */
  private array $backup = [];

  /**
   * {@inheritdoc}
   */
  public function getFormId(): string {
    return 'bam_restore_form';
  }

  /**
   * {@inheritdoc}
   */
  public function buildForm(array $form, FormStateInterface $form_state, string $id = ''): array {
    $this->backup = $this->site->backup($id) ?? throw new NotFoundHttpException();
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
    return parent::buildForm($form, $form_state);
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
  public function getCancelUrl(): Url {
    return Url::fromRoute('bam.overview');
  }

  /**
   * {@inheritdoc}
   */
  public function submitForm(array &$form, FormStateInterface $form_state): void {
    $id = (string) $this->backup['id'];
    $source = (string) $form_state->getValue('source');
    $arguments = ['restore', '--yes', "--source=$source"];
    foreach (['unauthenticated', 'code'] as $option) {
      if ($form_state->getValue($option)) {
        $arguments[] = "--$option";
      }
    }
    array_push($arguments, '--', $id);
    $this->start($form_state, [
      'kind' => 'restore',
      'title' => (string) $this->t('Restore of backup @id', ['@id' => $id]),
      'arguments' => $arguments,
    ]);
  }

  /**
   * The backup in words.
   */
  private function words(): array {
    return [
      '@id' => $this->backup['id'],
      '@source' => $this->site->label('sources', (string) $this->backup['source']),
      '@date' => \Drupal::service('date.formatter')->format((int) $this->backup['id'], 'medium'),
      '@file' => $this->backup['file'],
      '@places' => implode(', ', $this->backup['destinations']),
    ];
  }

}
