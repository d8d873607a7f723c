<?php

declare(strict_types=1);

namespace Drupal\bam\Form;

use Drupal\Component\Render\PlainTextOutput;
use Drupal\Core\Form\ConfirmFormBase;
use Drupal\Core\Form\FormStateInterface;
use Drupal\Core\StringTranslation\TranslatableMarkup;
use Drupal\Core\Url;

/**
 * Does something with one backup, after a confirmation.
 */
abstract class BackupConfirmForm extends ConfirmFormBase {

  use StartsRun;

  /**
   * What it does: a verb of the program.
   */
  protected const VERB = '';

  /**
   * The backup.
   */
  protected array $backup = [];

  /**
   * {@inheritdoc}
   */
  public function getFormId(): string {
    return 'bam_' . static::VERB . '_form';
  }

  /**
   * {@inheritdoc}
   */
  public function buildForm(array $form, FormStateInterface $form_state, string $id = ''): array {
    $this->backup = $this->site->backup($id);
    return parent::buildForm($form, $form_state);
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
      'kind' => static::VERB,
      'title' => PlainTextOutput::renderFromHtml($this->title($id)),
      'arguments' => [static::VERB, ...$this->options($form_state), '--', $this->backup['file']],
    ]);
  }

  /**
   * What the run is called.
   */
  abstract protected function title(string $id): TranslatableMarkup;

  /**
   * The options of the verb.
   *
   * @return string[]
   *   Words of the command line.
   */
  protected function options(FormStateInterface $form_state): array {
    return [];
  }

  /**
   * The backup in words.
   */
  protected function words(): array {
    return [
      '@id' => $this->backup['id'],
      '@source' => $this->site->label('sources', (string) $this->backup['source']),
      '@date' => \Drupal::service('date.formatter')->format((int) $this->backup['id'], 'medium'),
      '@file' => $this->backup['file'],
      '@places' => implode(', ', $this->backup['destinations']),
    ];
  }

}
