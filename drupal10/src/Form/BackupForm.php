<?php

declare(strict_types=1);

namespace Drupal\bam\Form;

use Drupal\bam\Controller\OverviewController;
use Drupal\Component\Render\PlainTextOutput;
use Drupal\Core\Form\FormBase;
use Drupal\Core\Form\FormStateInterface;
use Drupal\Core\Url;

/**
 * Back up now.
 */
final class BackupForm extends FormBase {

  use StartsRun;

  /**
   * {@inheritdoc}
   */
  public function getFormId(): string {
    return 'bam_backup_form';
  }

  /**
   * {@inheritdoc}
   */
  public function buildForm(array $form, FormStateInterface $form_state): array {
    $error = $this->site->complete()['error'] ?? NULL;
    if ($error !== NULL) {
      return ['error' => OverviewController::message('error', [$error['message'], $error['hint'] ?? ''])];
    }
    $sources = $this->site->options('sources');
    $destinations = $this->site->options('destinations');
    if ($destinations === []) {
      $form['none'] = OverviewController::message('warning', [
        $this->t('There is no place for backups yet. <a href=":url">Add one</a>.', [':url' => Url::fromRoute('entity.bam_destination.add_form')->toString()]),
      ]);
    }
    $asked = (string) $this->getRequest()->query->get('source', '');
    $usual = $this->site->usual();
    if (isset($sources['archive']) && $usual['destinations'] !== []) {
      $form['everything'] = [
        '#type' => 'details',
        '#open' => TRUE,
        '#title' => $this->t('Everything'),
        '#description' => $this->t('Code, files and database, to @places, as the profile @profile says.', [
          '@places' => $this->site->labels('destinations', $usual['destinations']),
          '@profile' => $this->site->label('profiles', $usual['profile']),
        ]),
        'all' => [
          '#type' => 'submit',
          '#name' => 'everything',
          '#value' => $this->t('Back up everything now'),
          '#button_type' => 'primary',
          '#submit' => ['::everything'],
          '#limit_validation_errors' => [],
        ],
      ];
    }
    $form['source'] = [
      '#type' => 'select',
      '#title' => $this->t('What'),
      '#options' => $sources,
      '#default_value' => isset($sources[$asked]) ? $asked : (isset($sources['db']) ? 'db' : NULL),
      '#required' => TRUE,
    ];
    $form['destinations'] = [
      '#type' => 'checkboxes',
      '#title' => $this->t('Where to'),
      '#description' => $this->t('Several at once cost no more time than the slowest of them.'),
      '#options' => $destinations,
      '#default_value' => isset($destinations['manual']) ? ['manual'] : array_slice(array_keys($destinations), 0, 1),
      '#required' => TRUE,
    ];
    $form['profile'] = [
      '#type' => 'select',
      '#title' => $this->t('How'),
      '#description' => $this->t('Compression, encryption, what is left out, and who hears of it, are said in the profile.'),
      '#options' => ['' => $this->t('as usual for it')] + $this->site->options('profiles'),
      '#default_value' => '',
    ];
    $form['description'] = [
      '#type' => 'textfield',
      '#title' => $this->t('Note'),
      '#description' => $this->t('A few words to keep with the backup, such as: before the update.'),
      '#maxlength' => 255,
    ];
    $form['actions'] = ['#type' => 'actions'];
    $form['actions']['submit'] = ['#type' => 'submit', '#value' => $this->t('Back up now')];
    return $form;
  }

  /**
   * {@inheritdoc}
   */
  public function submitForm(array &$form, FormStateInterface $form_state): void {
    $source = (string) $form_state->getValue('source');
    $profile = (string) $form_state->getValue('profile') ?: $this->site->usualProfile($source);
    $destinations = array_map('strval', array_values(array_filter($form_state->getValue('destinations'), 'is_string')));
    $this->backUp($form_state, $source, $destinations, $profile, trim((string) $form_state->getValue('description')));
  }

  /**
   * Back up everything, with the usual settings.
   */
  public function everything(array &$form, FormStateInterface $form_state): void {
    $usual = $this->site->usual();
    $this->backUp($form_state, 'archive', $usual['destinations'], $usual['profile']);
  }

  /**
   * Starts a backup.
   */
  private function backUp(FormStateInterface $form_state, string $source, array $destinations, string $profile, string $note = ''): void {
    $arguments = ['backup'];
    if ($note !== '') {
      // One word with its value: nothing that it says is taken for an option.
      $arguments[] = "--description=$note";
    }
    array_push($arguments, '--', $source, implode(',', $destinations), $profile);
    $this->start($form_state, [
      'kind' => 'backup',
      'title' => PlainTextOutput::renderFromHtml($this->t('Backup of @source', ['@source' => $this->site->label('sources', $source)])),
      'arguments' => $arguments,
      'notify' => $this->site->complete()['profiles'][$profile]['notify'] ?? [],
    ]);
  }

}
