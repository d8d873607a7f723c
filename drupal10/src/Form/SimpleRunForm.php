<?php

declare(strict_types=1);

namespace Drupal\bam\Form;

use Drupal\Core\Form\ConfirmFormBase;
use Drupal\Core\Form\FormStateInterface;
use Drupal\Core\StringTranslation\TranslatableMarkup;
use Drupal\Core\Url;

/**
 * For what needs no more than a yes, such as a drill with all sources.
 */
final class SimpleRunForm extends ConfirmFormBase {

  use StartsRun;

  /**
   * The verb: replicate, verify, recover or drill.
   */
  private string $verb = '';

  /**
   * {@inheritdoc}
   */
  public function getFormId(): string {
    return 'bam_simple_run_form';
  }

  /**
   * {@inheritdoc}
   */
  public function buildForm(array $form, FormStateInterface $form_state, string $verb = ''): array {
    $this->verb = $verb;
    return parent::buildForm($form, $form_state);
  }

  /**
   * {@inheritdoc}
   */
  public function getQuestion(): TranslatableMarkup {
    return match ($this->verb) {
      'replicate' => $this->t('Complete the copies?'),
      'verify' => $this->t('Verify all backups?'),
      'recover' => $this->t('End the restore that was stopped?'),
      default => $this->t('Start a drill?'),
    };
  }

  /**
   * {@inheritdoc}
   */
  public function getDescription(): TranslatableMarkup {
    return match ($this->verb) {
      'replicate' => $this->t('Backups that are missing at a place are copied there from another.'),
      'verify' => $this->t('Every byte of every copy is read, decrypted and checked.'),
      'recover' => $this->t('It is finished where all of the backup is there, else the site is put back as it was before. If nothing was changed yet, what it has left behind is removed.'),
      default => DrillForm::explanation(),
    };
  }

  /**
   * {@inheritdoc}
   */
  public function getConfirmText(): TranslatableMarkup {
    return match ($this->verb) {
      'replicate' => $this->t('Complete the copies'),
      'verify' => $this->t('Verify'),
      'recover' => $this->t('End it'),
      default => $this->t('Start the drill'),
    };
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
    $this->start($form_state, [
      'kind' => $this->verb,
      'title' => (string) match ($this->verb) {
        'replicate' => $this->t('Completing the copies'),
        'verify' => $this->t('Verification of all backups'),
        'recover' => $this->t('Ending a restore that was stopped'),
        default => $this->t('Drill'),
      },
      'arguments' => [$this->verb],
    ]);
  }

}
