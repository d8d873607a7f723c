<?php

declare(strict_types=1);

namespace Drupal\bam\Form;

use Drupal\Core\Form\ConfirmFormBase;
use Drupal\Core\Form\FormStateInterface;
use Drupal\Core\StringTranslation\TranslatableMarkup;
use Drupal\Core\Url;
use Symfony\Component\HttpKernel\Exception\NotFoundHttpException;

/**
 * Verify a backup.
 */
final class VerifyForm extends ConfirmFormBase {

  use StartsRun;

  /**
   * The backup.
   */
  private array $backup = [];

  /**
   * {@inheritdoc}
   */
  public function getFormId(): string {
    return 'bam_verify_form';
  }

  /**
   * {@inheritdoc}
   */
  public function buildForm(array $form, FormStateInterface $form_state, string $id = ''): array {
    $this->backup = $this->site->backup($id) ?? throw new NotFoundHttpException();
    return parent::buildForm($form, $form_state);
  }

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
  public function getCancelUrl(): Url {
    return Url::fromRoute('bam.overview');
  }

  /**
   * {@inheritdoc}
   */
  public function submitForm(array &$form, FormStateInterface $form_state): void {
    $id = (string) $this->backup['id'];
    $this->start($form_state, [
      'kind' => 'verify',
      'title' => (string) $this->t('Verification of backup @id', ['@id' => $id]),
      'arguments' => ['verify', '--', $id],
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
