<?php

declare(strict_types=1);

namespace Drupal\bam\Form;

use Drupal\bam\Keys;
use Drupal\Component\Render\PlainTextOutput;
use Drupal\Core\Entity\EntityInterface;
use Drupal\Core\Form\FormStateInterface;

/**
 * A destination: where backups go.
 */
final class DestinationForm extends ItemForm {

  /**
   * {@inheritdoc}
   */
  public function form(array $form, FormStateInterface $form_state): array {
    $form = parent::form($form, $form_state);
    $form['type'] = $this->choice('type', $this->t('Kind'), [
      'directory' => $this->t('A folder of this machine'),
      'sftp' => $this->t('Another machine, by SFTP'),
      'rsync' => $this->t('Another machine, by rsync'),
      's3' => $this->t('Object storage, by S3'),
      'webdav' => $this->t('Another machine, by WebDAV'),
      'restic' => $this->t('A repository, by restic: each run adds what has changed'),
    ], ['#required' => TRUE]);
    $form['path'] = $this->text('path', $this->t('Folder'), $this->t('A full path outside of the docroot, or private://….'), self::onlyFor('directory'));
    $far = self::onlyFor('sftp', 'rsync');
    $away = self::onlyFor('sftp', 'rsync', 's3', 'webdav');
    $object = self::onlyFor('s3', 'webdav', 'restic');
    $form['url'] = $this->text('url', $this->t('Address'), $this->t('For instance sftp://backup@host/backups, s3://bucket/folder or https://user@host/folder. Without a password.'), $away);
    $form += $this->repositoryFields();
    $form['endpoint'] = $this->text('endpoint', $this->t('Server'), $this->t('For instance https://s3.example.org. Leave it empty for Amazon.'), self::onlyFor('s3'));
    $form['region'] = $this->text('region', $this->t('Region'), $this->t('For instance eu-central-1.'), self::onlyFor('s3'));
    $form['access_key'] = $this->text('access_key', $this->t('Access key'), $this->t('The ID of the key. Its secret goes into a password file, or the Key module.'), self::onlyFor('s3'));
    $form['ca_file'] = $this->text('ca_file', $this->t('Certificates'), $this->t('A file with certificates that are trusted besides those of the system, if the server has one of your own.'), $object);
    $form['append_only'] = $object + [
      '#type' => 'checkbox',
      '#title' => $this->t('The server lets nothing be deleted'),
      '#description' => $this->t('Old backups then go by its own rules, and nobody who breaks into this site can erase them.'),
      '#default_value' => $this->entity->get('append_only'),
    ];
    $form['identity_file'] = $this->text('identity_file', $this->t('Private key file'), $this->t('For SSH, readable by the user that cron runs as.'), self::onlyFor('sftp', 'rsync', 'restic'));
    $folder = \Drupal::service('bam.keys')->folder();
    $form['make_identity'] = [
      '#type' => 'checkbox',
      '#title' => $this->t('Make a login key; its public half is shown next, for the administrator of the server'),
      '#default_value' => $this->entity->isNew() && $folder !== NULL,
      '#disabled' => $folder === NULL,
    ];
    // Asked for where it is of use: for another machine, and without a key.
    foreach ($far['#states']['visible'] as $condition) {
      $form['make_identity']['#states']['visible'][] = $condition + [':input[name="identity_file"]' => ['value' => '']];
    }
    $form['host_key'] = $this->text('host_key', $this->t('Key of the server'), $this->t('SHA256:… as ssh-keygen -lf prints it. Leave it empty: when the place is tried, the key that the server shows is put before you.'), self::onlyFor('sftp', 'rsync', 'restic'));
    $form['password_file'] = $this->text('password_file', $this->t('Password file'), $this->t('The password itself is never stored in the configuration: it would be exported with it.'), self::onlyFor('sftp', 'rsync', 's3', 'webdav', 'restic'));
    if (\Drupal::moduleHandler()->moduleExists('key')) {
      $form['password_key'] = $away + [
        '#type' => 'key_select',
        '#title' => $this->t('Password key'),
        '#default_value' => $this->entity->get('password_key'),
        '#empty_option' => $this->t('- None -'),
      ];
    }
    return $form;
  }

  /**
   * Where a repository is, and what opens it.
   */
  private function repositoryFields(): array {
    $only = self::onlyFor('restic');
    $form['repository'] = $this->text('repository', $this->t('Repository'), $this->t('A full path outside of the docroot, or as restic takes it: sftp:backup@host:/repository, s3:https://host/bucket/folder, rest:https://user@host/. Without a password.'), $only);
    $form['make_repository'] = $only + [
      '#type' => 'checkbox',
      '#title' => $this->t('Make the repository; one that is there already stays as it is'),
      '#default_value' => $this->entity->isNew(),
    ];
    $form['key_file'] = $this->text('key_file', $this->t('Key file of the repository'), $this->t('Its first line is the password of the repository. Leave it empty for the key of this site.'), $only);
    $lines = [];
    foreach ($this->entity->get('credential_files') as $variable => $file) {
      $lines[] = "$variable: $file";
    }
    $form['credential_files'] = $only + [
      '#type' => 'textarea',
      '#title' => $this->t('Files with what restic logs in with'),
      '#description' => $this->t('One a line: the variable that restic knows, and the file whose first line is its value, such as AWS_ACCESS_KEY_ID: /etc/bam/s3-id.'),
      '#rows' => 3,
      '#default_value' => implode("\n", $lines),
    ];
    return $form;
  }

  /**
   * {@inheritdoc}
   */
  public function validateForm(array &$form, FormStateInterface $form_state): void {
    parent::validateForm($form, $form_state);
    $this->validateRepository($form_state);
    if ($form_state->getValue('type') === 'directory') {
      $path = trim((string) $form_state->getValue('path'));
      if (!preg_match('#^(/|private://)#', $path)) {
        $form_state->setErrorByName('path', $this->t('Which folder? Give a full path, or private://….'));
      }
      elseif ($problem = \Drupal::service('bam.folders')->servedProblem($path)) {
        $form_state->setErrorByName('path', $problem);
      }
      foreach (['url', 'endpoint', 'region', 'access_key', 'ca_file', 'identity_file', 'host_key', 'password_file', 'password_key'] as $key) {
        $form_state->setValue($key, '');
      }
      $form_state->setValue('append_only', FALSE);
      $form_state->setValue('path', $path);
      return;
    }
    $form_state->setValue('path', '');
    $this->validateFiles($form_state);
    if ($form_state->getValue('type') === 'restic') {
      foreach (['url', 'endpoint', 'region', 'access_key', 'password_key'] as $key) {
        $form_state->setValue($key, '');
      }
      return;
    }
    if (!in_array($form_state->getValue('type'), ['s3', 'webdav'], TRUE)) {
      foreach (['endpoint', 'region', 'access_key', 'ca_file'] as $key) {
        $form_state->setValue($key, '');
      }
      $form_state->setValue('append_only', FALSE);
    }
    $url = trim((string) $form_state->getValue('url'));
    if ($url === '') {
      $form_state->setErrorByName('url', $this->t('Which machine? Give an address such as sftp://backup@host/backups.'));
    }
    elseif (preg_match('#^\w+://[^/@]*:[^/@]*@#', $url)) {
      $form_state->setErrorByName('url', $this->t('Leave the password out: configuration is exported. Use a key, a password file, or the Key module.'));
    }
    elseif (in_array($form_state->getValue('type'), ['s3', 'webdav'], TRUE)) {
      $this->validateObject($form_state, $url);
    }
    elseif (!self::isAddress($url, $form_state->getValue('type'))) {
      $form_state->setErrorByName('url', $this->t('That is no address of a server: write for instance sftp://backup@host:22/backups.'));
    }
    $form_state->setValue('url', $url);
  }

  /**
   * Files that the program reads, and the key of a server.
   */
  private function validateFiles(FormStateInterface $form_state): void {
    foreach (['identity_file', 'ca_file', 'key_file'] as $name) {
      $file = trim((string) $form_state->getValue($name));
      $form_state->setValue($name, $file);
      $this->validateFile($form_state, $name, $file);
    }
    $key = trim((string) $form_state->getValue('host_key'));
    if ($key !== '' && !preg_match('#^SHA256:[A-Za-z0-9+/]{43}=?$#D', $key)) {
      $form_state->setErrorByName('host_key', $this->t('A fingerprint begins with SHA256: and has 43 characters after it.'));
    }
    $form_state->setValue('host_key', $key);
  }

  /**
   * A file that is named has to be one that can be read.
   */
  private function validateFile(FormStateInterface $form_state, string $name, string $file): void {
    if ($file !== '' && (!str_starts_with($file, '/') || !@is_readable($file))) {
      $form_state->setErrorByName($name, $this->t('@file is not a file that the user @user can read.', ['@file' => $file, '@user' => Keys::user()]));
    }
  }

  /**
   * A repository: where it is, and what restic logs in with.
   */
  private function validateRepository(FormStateInterface $form_state): void {
    if ($form_state->getValue('type') !== 'restic') {
      $form_state->setValue('repository', '')->setValue('key_file', '')->setValue('credential_files', '');
      return;
    }
    $place = trim((string) $form_state->getValue('repository'));
    $form_state->setValue('repository', $place);
    if (!preg_match('#^(/|(sftp|s3|rest|b2|azure|gs|swift|rclone):)[^\x00-\x1f]+$#D', $place)) {
      $form_state->setErrorByName('repository', $this->t('Where is it? Give a full path, or for instance sftp:backup@host:/repository.'));
    }
    elseif (preg_match('#://[^/@]*:[^/@]*@#', $place)) {
      $form_state->setErrorByName('repository', $this->t('Leave the password out: configuration is exported. Use a password file, or the files below.'));
    }
    elseif ($place[0] === '/' && ($problem = \Drupal::service('bam.folders')->servedProblem($place))) {
      $form_state->setErrorByName('repository', $problem);
    }
    foreach (self::files((string) $form_state->getValue('credential_files')) as $variable => $file) {
      if (!preg_match('/^[A-Z][A-Z0-9_]*$/D', (string) $variable)) {
        $form_state->setErrorByName('credential_files', $this->t('@line is no variable with a file: write for instance AWS_ACCESS_KEY_ID: /etc/bam/s3-id.', ['@line' => "$variable $file"]));
        continue;
      }
      $this->validateFile($form_state, 'credential_files', $file);
    }
  }

  /**
   * Files by variable, of lines that say both.
   *
   * @return array<string, string>
   *   As the entity has them.
   */
  private static function files(string $lines): array {
    $files = [];
    foreach (array_filter(array_map('trim', explode("\n", $lines)), 'strlen') as $line) {
      [$variable, $file] = preg_split('/\s*[:=]\s*/', $line, 2) + [1 => ''];
      $files[$variable] = $file;
    }
    return $files;
  }

  /**
   * {@inheritdoc}
   *
   * What is copied into the entity is of its types even while it is not valid.
   */
  public function buildEntity(array $form, FormStateInterface $form_state): EntityInterface {
    $lines = (string) $form_state->getValue('credential_files');
    $form_state->setValue('credential_files', self::files($lines));
    $form_state->setValue('append_only', (bool) $form_state->getValue('append_only'));
    $entity = parent::buildEntity($form, $form_state);
    $form_state->setValue('credential_files', $lines);
    return $entity;
  }

  /**
   * Object storage: its address, and the keys to it.
   */
  private function validateObject(FormStateInterface $form_state, string $url): void {
    $s3 = $form_state->getValue('type') === 's3';
    if ($s3 && !preg_match('#^s3://[A-Za-z0-9._-]+(/[^\x00-\x1f]*)?$#D', $url)) {
      $form_state->setErrorByName('url', $this->t('That is no bucket: write for instance s3://bucket/folder.'));
    }
    if (!$s3 && !preg_match('#^https?://[^\s/]+/[^\x00-\x1f]*$#D', $url)) {
      $form_state->setErrorByName('url', $this->t('That is no folder on a WebDAV server: write for instance https://user@host/folder.'));
    }
    if ($s3 && trim((string) $form_state->getValue('access_key')) === '') {
      $form_state->setErrorByName('access_key', $this->t('Which key? Give its ID.'));
    }
    $endpoint = trim((string) $form_state->getValue('endpoint'));
    if ($s3 && $endpoint !== '' && !preg_match('#^https?://[^\s/@]+/?$#D', $endpoint)) {
      $form_state->setErrorByName('endpoint', $this->t('That is no address of a server: write for instance https://s3.example.org.'));
    }
    foreach (['endpoint', 'region', 'access_key'] as $key) {
      $form_state->setValue($key, $s3 ? trim((string) $form_state->getValue($key)) : '');
    }
    foreach (['identity_file', 'host_key'] as $key) {
      $form_state->setValue($key, '');
    }
  }

  /**
   * Whether an address names a server: a URL, or for rsync user@host:path.
   */
  private static function isAddress(string $url, string $type): bool {
    if ($type === 'rsync' && preg_match('#^([^\s@:/]+@)?[A-Za-z0-9._-]+:[^\s:][^\x00-\x1f]*$#D', $url) && !str_contains($url, '://')) {
      return TRUE;
    }
    $found = [];
    return preg_match('#^(sftp|ssh)://([^\s@/]+@)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][A-Za-z0-9._-]*)(:\d{1,5})?(/[^\x00-\x1f]*)?$#D', $url, $found)
      && (int) ltrim($found[4] ?? ':22', ':') < 65536
      && ltrim($found[4] ?? '') !== ':0';
  }

  /**
   * {@inheritdoc}
   */
  protected function actions(array $form, FormStateInterface $form_state): array {
    $actions = parent::actions($form, $form_state);
    $actions['submit']['#value'] = $this->t('Save and try it');
    return $actions;
  }

  /**
   * {@inheritdoc}
   */
  public function save(array $form, FormStateInterface $form_state): int {
    $far = in_array($this->entity->get('type'), ['sftp', 'rsync'], TRUE);
    $secret = $this->entity->get('password_file') . $this->entity->get('password_key');
    if ($far && $form_state->getValue('make_identity') && $this->entity->get('identity_file') === '' && $secret === '') {
      try {
        $this->entity->set('identity_file', \Drupal::service('bam.keys')->makeIdentity((string) $this->entity->id()));
      }
      catch (\RuntimeException $cause) {
        $this->messenger()->addWarning($cause->getMessage());
      }
    }
    $saved = parent::save($form, $form_state);
    $name = (string) $this->entity->id();
    try {
      $jobs = [TryPlaceForm::job($name, (string) $this->entity->label())];
      if ($this->entity->get('type') === 'restic' && $form_state->getValue('make_repository')) {
        array_unshift($jobs, self::making($name, (string) $this->entity->label()));
      }
      // What came of it is seen when the place is tried.
      $started = \Drupal::service('bam.jobs')->start($jobs);
      $form_state->setRedirect('bam.job', ['job' => end($started)]);
    }
    catch (\RuntimeException $cause) {
      $this->messenger()->addError($cause->getMessage());
      $form_state->setRedirect('bam.place.try', ['name' => $name]);
    }
    return $saved;
  }

  /**
   * What is asked of the program to make a repository.
   */
  private static function making(string $name, string $label): array {
    return [
      'kind' => 'init',
      'title' => PlainTextOutput::renderFromHtml(t('Making the repository @name', ['@name' => $label])),
      'arguments' => ['destination', 'init', '--', $name],
    ];
  }

}
