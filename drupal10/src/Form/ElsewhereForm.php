<?php

declare(strict_types=1);

namespace Drupal\bam\Form;

use Drupal\bam\Controller\OverviewController;
use Drupal\bam\Jobs;
use Drupal\bam\Program;
use Drupal\bam\SiteConfiguration;
use Drupal\Component\Render\PlainTextOutput;
use Drupal\Core\Form\FormBase;
use Drupal\Core\Form\FormStateInterface;
use Symfony\Component\DependencyInjection\ContainerInterface;

/**
 * Look for backups at a place that is not one of the site's, to restore one.
 *
 * As on a machine that has nothing but an address and the sheet with the key.
 */
final class ElsewhereForm extends FormBase {

  use StartsRun;

  public function __construct(
    protected readonly SiteConfiguration $site,
    protected readonly Jobs $jobs,
    private readonly Program $program,
  ) {}

  /**
   * {@inheritdoc}
   */
  public static function create(ContainerInterface $container): static {
    return new static($container->get('bam.site'), $container->get('bam.jobs'), $container->get('bam.program'));
  }

  /**
   * {@inheritdoc}
   */
  public function getFormId(): string {
    return 'bam_elsewhere_form';
  }

  /**
   * {@inheritdoc}
   */
  public function buildForm(array $form, FormStateInterface $form_state): array {
    $error = $this->site->complete()['error'] ?? NULL;
    if ($error !== NULL) {
      return ['error' => OverviewController::message('error', [$error['message'], $error['hint'] ?? ''])];
    }
    $form['why'] = ['#markup' => '<p>' . $this->t('Backups at a place that this site does not know yet: a disk, a server, of this site or another one. They are listed, and can be restored from there; nothing is stored of it.') . '</p>'];
    $form['place'] = [
      '#type' => 'textfield',
      '#title' => $this->t('Place'),
      '#description' => $this->t('A folder of this machine, or an address such as sftp://backup@host/backups. Without a password.'),
      '#maxlength' => 1024,
      '#required' => TRUE,
    ];
    $form['passphrase'] = [
      '#type' => 'password',
      '#title' => $this->t('Key of the backups'),
      '#description' => $this->t('The line on the sheet. Empty: the keys of this site.'),
      '#maxlength' => 1024,
      '#attributes' => ['autocomplete' => 'off'],
    ];
    $form['server'] = ['#type' => 'details', '#title' => $this->t('Of a server')];
    $form['server']['identity'] = [
      '#type' => 'textfield',
      '#title' => $this->t('Private key file'),
      '#description' => $this->t('For SSH, readable by the user that PHP runs as.'),
      '#maxlength' => 1024,
    ];
    $form['server']['password_file'] = [
      '#type' => 'textfield',
      '#title' => $this->t('Password file'),
      '#description' => $this->t('Its first line is the password at the server.'),
      '#maxlength' => 1024,
    ];
    $form['server']['host_key'] = [
      '#type' => 'textfield',
      '#title' => $this->t('Key of the server'),
      '#description' => $this->t('SHA256:… as ssh-keygen -lf prints it. Where it is missing and the server is not known, its key is told.'),
    ];
    $form['actions'] = ['#type' => 'actions'];
    $form['actions']['submit'] = ['#type' => 'submit', '#value' => $this->t('Look for backups'), '#button_type' => 'primary'];
    return $form;
  }

  /**
   * {@inheritdoc}
   */
  public function validateForm(array &$form, FormStateInterface $form_state): void {
    foreach (['place', 'passphrase', 'identity', 'password_file', 'host_key'] as $field) {
      $value = trim((string) $form_state->getValue($field));
      $form_state->setValue($field, $value);
      if (preg_match('/[\x00-\x1f\x7f]/', $value)) {
        $form_state->setErrorByName($field, $this->t('There is a control character in it.'));
      }
    }
    $place = $form_state->getValue('place');
    if (preg_match('#^\w+://[^/@]*:[^/@]*@#', $place)) {
      $form_state->setErrorByName('place', $this->t('Leave the password out: give it in a file.'));
    }
    elseif (!preg_match('#^(/|\w+://|[^/:]+:)#', $place)) {
      $form_state->setErrorByName('place', $this->t('Give a full path, or an address such as sftp://backup@host/backups.'));
    }
    foreach (['identity', 'password_file'] as $field) {
      $file = $form_state->getValue($field);
      if ($file !== '' && (!str_starts_with($file, '/') || !@is_readable($file))) {
        $form_state->setErrorByName($field, $this->t('@file is not a file that PHP can read.', ['@file' => $file]));
      }
    }
    $host_key = $form_state->getValue('host_key');
    if ($host_key !== '' && !preg_match('#^SHA256:[A-Za-z0-9+/]{43}=?$#D', $host_key)) {
      $form_state->setErrorByName('host_key', $this->t('A fingerprint begins with SHA256: and has 43 characters after it.'));
    }
  }

  /**
   * {@inheritdoc}
   */
  public function submitForm(array &$form, FormStateInterface $form_state): void {
    $place = $form_state->getValue('place');
    $words = ["--from=$place"];
    foreach (['identity' => '--identity', 'password_file' => '--password-file', 'host_key' => '--host-key'] as $field => $option) {
      if ($form_state->getValue($field) !== '') {
        $words[] = "$option=" . $form_state->getValue($field);
      }
    }
    if ($form_state->getValue('passphrase') !== '') {
      $file = $this->keep($form_state->getValue('passphrase'));
      if ($file === NULL) {
        $this->messenger()->addError($this->t('The folder for status files cannot be written to: is the disk full?'));
        return;
      }
      $words[] = "--key=$file";
    }
    $this->start($form_state, [
      'kind' => 'look',
      'title' => PlainTextOutput::renderFromHtml($this->t('Looking for backups at @place', ['@place' => $place])),
      'arguments' => ['backups', ...$words, '--site=all'],
      'place_words' => $words,
      'place_name' => $place,
    ]);
  }

  /**
   * Keeps a key for a day, for this user alone.
   */
  private function keep(string $passphrase): ?string {
    $folder = $this->program->stateFolder(TRUE);
    $file = "$folder/elsewhere-" . bin2hex(random_bytes(8)) . '.key';
    $umask = umask(077);
    $kept = $folder !== NULL && @file_put_contents($file, "$passphrase\n") === strlen($passphrase) + 1;
    umask($umask);
    return $kept ? $file : NULL;
  }

}
