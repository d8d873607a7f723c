<?php

declare(strict_types=1);

namespace Drupal\bam\Form;

use Drupal\Core\Form\FormStateInterface;

/**
 * A source: what is backed up.
 */
final class SourceForm extends ItemForm {

  /**
   * {@inheritdoc}
   */
  public function form(array $form, FormStateInterface $form_state): array {
    $form = parent::form($form, $form_state);
    $databases = array_keys($this->site->complete()['databases'] ?? []);
    $form['type'] = $this->choice('type', $this->t('Kind'), [
      'database' => $this->t('A database'),
      'files' => $this->t('A folder'),
      'archive' => $this->t('The whole site'),
    ], ['#required' => TRUE]);
    $form['database'] = $this->choice('database', $this->t('Database'), array_combine($databases, $databases), [
      '#empty_option' => $this->t("The site's own"),
      '#empty_value' => '',
    ] + self::onlyFor('database', 'archive'));
    $form['path'] = $this->text('path', $this->t('Folder'), $this->t('A full path, or public://… or private://….'), self::onlyFor('files'));
    $form['code'] = $this->choice('code', $this->t('Code'), [
      '' => $this->t('All of it'),
      'composer' => $this->t('Only what Composer cannot bring back: custom code, patches, composer.json and composer.lock'),
    ], self::onlyFor('archive'));
    return $form;
  }

  /**
   * {@inheritdoc}
   */
  public function validateForm(array &$form, FormStateInterface $form_state): void {
    parent::validateForm($form, $form_state);
    $files = $form_state->getValue('type') === 'files';
    $path = trim((string) $form_state->getValue('path'));
    if ($files && !preg_match('#^(/|(public|private|temporary)://)#', $path)) {
      $form_state->setErrorByName('path', $this->t('Which folder? Give a full path, public://… or private://….'));
    }
    // What belongs to another kind is not kept.
    $form_state->setValue('path', $files ? $path : '');
    $form_state->setValue('database', $files ? '' : $form_state->getValue('database'));
    $form_state->setValue('code', $form_state->getValue('type') === 'archive' ? $form_state->getValue('code') : '');
  }

}
