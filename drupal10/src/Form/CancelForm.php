<?php

declare(strict_types=1);

namespace Drupal\bam\Form;

use Drupal\Core\Form\ConfirmFormBase;
use Drupal\Core\Form\FormStateInterface;
use Drupal\Core\StringTranslation\TranslatableMarkup;
use Drupal\Core\Url;

/**
 * Stop a run, after a confirmation.
 */
final class CancelForm extends ConfirmFormBase {

  use StartsRun;

  /**
   * The run's ID.
   */
  private string $id = '';

  /**
   * {@inheritdoc}
   */
  public function getFormId(): string {
    return 'bam_cancel_form';
  }

  /**
   * {@inheritdoc}
   */
  public function buildForm(array $form, FormStateInterface $form_state, string $job = ''): array {
    $this->id = $job;
    return parent::buildForm($form, $form_state);
  }

  /**
   * {@inheritdoc}
   */
  public function getQuestion(): TranslatableMarkup {
    return $this->t('Cancel: @title?', ['@title' => $this->jobs->load($this->id)['title'] ?? '']);
  }

  /**
   * {@inheritdoc}
   */
  public function getDescription(): TranslatableMarkup {
    return $this->t('It stops at the next good moment, and leaves everything as it was before.');
  }

  /**
   * {@inheritdoc}
   */
  public function getConfirmText(): TranslatableMarkup {
    return $this->t('Cancel it');
  }

  /**
   * {@inheritdoc}
   */
  public function getCancelText(): TranslatableMarkup {
    return $this->t('Go on');
  }

  /**
   * {@inheritdoc}
   */
  public function getCancelUrl(): Url {
    return Url::fromRoute('bam.job', ['job' => $this->id]);
  }

  /**
   * {@inheritdoc}
   */
  public function submitForm(array &$form, FormStateInterface $form_state): void {
    $job = $this->jobs->load($this->id);
    if ($job !== NULL && !$this->jobs->cancel($job)) {
      $this->messenger()->addError($this->t('The run cannot be told to stop: it belongs to another user of the system.'));
    }
    $form_state->setRedirect('bam.job', ['job' => $this->id]);
  }

}
