<?php

declare(strict_types=1);

namespace Drupal\bam\Form;

use Drupal\bam\Program;
use Drupal\Core\Form\ConfigFormBase;
use Drupal\Core\Form\FormStateInterface;
use Symfony\Component\DependencyInjection\ContainerInterface;

/**
 * The backup program, the key and the policy.
 */
final class SettingsForm extends ConfigFormBase {

  /**
   * The program.
   */
  private Program $program;

  /**
   * {@inheritdoc}
   */
  public static function create(ContainerInterface $container): static {
    $form = parent::create($container);
    $form->program = $container->get('bam.program');
    return $form;
  }

  /**
   * {@inheritdoc}
   */
  public function getFormId(): string {
    return 'bam_settings_form';
  }

  /**
   * {@inheritdoc}
   */
  protected function getEditableConfigNames(): array {
    return ['bam.settings'];
  }

  /**
   * {@inheritdoc}
   */
  public function buildForm(array $form, FormStateInterface $form_state): array {
    $settings = $this->config('bam.settings');
    $form['program'] = [
      '#type' => 'textfield',
      '#title' => $this->t('Program'),
      '#description' => $this->t('The full path of bam. Empty: it is looked for; now found at @path.', ['@path' => $this->program->path() ?? $this->t('no place')]),
      '#default_value' => $settings->get('program'),
    ];
    $form['key_file'] = [
      '#type' => 'textfield',
      '#title' => $this->t('Key file'),
      '#description' => $this->t('The full path of the file whose first line encrypts backups. The page Keys makes one.'),
      '#default_value' => $settings->get('key_file'),
    ];
    if ($this->moduleHandler()->moduleExists('key')) {
      $form['key'] = [
        '#type' => 'key_select',
        '#title' => $this->t('Key'),
        '#description' => $this->t('A key of the Key module, in a file or in the environment, where no key file is named.'),
        '#default_value' => $settings->get('key'),
        '#empty_option' => $this->t('- None -'),
      ];
    }
    $form['state_dir'] = [
      '#type' => 'textfield',
      '#title' => $this->t('Folder for records of runs'),
      '#description' => $this->t('Outside of the docroot, for the user that PHP runs as. Empty: /var/tmp.'),
      '#default_value' => $settings->get('state_dir'),
    ];
    $form['policy'] = [
      '#type' => 'details',
      '#title' => $this->t('Policy'),
      '#description' => $this->t('What the status report compares with.'),
      '#open' => TRUE,
      '#tree' => TRUE,
    ];
    $form['policy']['copies'] = [
      '#type' => 'number',
      '#title' => $this->t('Copies of the newest backup'),
      '#min' => 0,
      '#default_value' => $settings->get('policy.copies'),
    ];
    $form['policy']['distinct_hosts'] = [
      '#type' => 'checkbox',
      '#title' => $this->t('Each on a machine of its own'),
      '#default_value' => $settings->get('policy.distinct_hosts'),
    ];
    $form['policy']['max_age'] = [
      '#type' => 'textfield',
      '#title' => $this->t('Age of the newest backup'),
      '#description' => $this->t('For instance 8d, 12h.'),
      '#default_value' => $settings->get('policy.max_age'),
      '#size' => 12,
    ];
    $form['policy']['verify_every'] = [
      '#type' => 'textfield',
      '#title' => $this->t('Verified at least every'),
      '#description' => $this->t('For instance 30d.'),
      '#default_value' => $settings->get('policy.verify_every'),
      '#size' => 12,
    ];
    return parent::buildForm($form, $form_state);
  }

  /**
   * {@inheritdoc}
   */
  public function validateForm(array &$form, FormStateInterface $form_state): void {
    parent::validateForm($form, $form_state);
    $program = trim((string) $form_state->getValue('program'));
    $problem = $program === '' ? NULL : $this->program->problem($program);
    if ($problem !== NULL) {
      $form_state->setErrorByName('program', $problem);
    }
    $key = trim((string) $form_state->getValue('key_file'));
    if ($key !== '' && !is_file($key)) {
      $form_state->setErrorByName('key_file', $this->t('There is no file @path, or PHP may not see it.', ['@path' => $key]));
    }
    elseif ($key !== '' && str_starts_with((string) realpath($key), \Drupal::root() . '/')) {
      $form_state->setErrorByName('key_file', $this->t('@path lies in the docroot, where the web server might hand it out.', ['@path' => $key]));
    }
    $folder = trim((string) $form_state->getValue('state_dir'));
    if ($folder !== '' && (!str_starts_with($folder, '/') || !is_dir($folder) || !is_writable($folder))) {
      $form_state->setErrorByName('state_dir', $this->t('@path is no folder that PHP may write to.', ['@path' => $folder]));
    }
    foreach (['max_age', 'verify_every'] as $span) {
      $value = trim((string) $form_state->getValue(['policy', $span]));
      if ($value !== '' && !preg_match('/^(\d+\s*[smhdw]?\s*)+$/D', $value)) {
        $form_state->setErrorByName("policy][$span", $this->t('@value is no span of time; write for instance 8d.', ['@value' => $value]));
      }
    }
  }

  /**
   * {@inheritdoc}
   */
  public function submitForm(array &$form, FormStateInterface $form_state): void {
    $settings = $this->config('bam.settings');
    foreach (['program', 'key_file', 'key', 'state_dir'] as $name) {
      $settings->set($name, trim((string) $form_state->getValue($name)));
    }
    $policy = $form_state->getValue('policy');
    $settings->set('policy', [
      'copies' => $policy['copies'] === '' ? NULL : (int) $policy['copies'],
      'distinct_hosts' => (bool) $policy['distinct_hosts'],
      'max_age' => trim($policy['max_age']),
      'verify_every' => trim($policy['verify_every']),
    ]);
    $settings->save();
    parent::submitForm($form, $form_state);
  }

  /**
   * The module handler.
   */
  private function moduleHandler(): object {
    return \Drupal::moduleHandler();
  }

}
