<?php

declare(strict_types=1);

namespace Drupal\bam\Form;

use Drupal\bam\Keys;
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
    ], ['#required' => TRUE]);
    $form['path'] = $this->text('path', $this->t('Folder'), $this->t('A full path outside of the docroot, or private://….'), self::onlyFor('directory'));
    $far = self::onlyFor('sftp', 'rsync');
    $away = self::onlyFor('sftp', 'rsync', 's3', 'webdav');
    $object = self::onlyFor('s3', 'webdav');
    $form['url'] = $this->text('url', $this->t('Address'), $this->t('For instance sftp://backup@host/backups, s3://bucket/folder or https://user@host/folder. Without a password.'), $away);
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
    $form['identity_file'] = $this->text('identity_file', $this->t('Private key file'), $this->t('For SSH, readable by the user that cron runs as.'), $far);
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
    $form['host_key'] = $this->text('host_key', $this->t('Key of the server'), $this->t('SHA256:… as ssh-keygen -lf prints it. Leave it empty: when the place is tried, the key that the server shows is put before you.'), $far);
    $form['password_file'] = $this->text('password_file', $this->t('Password file'), $this->t('The password itself is never stored in the configuration: it would be exported with it.'), $away);
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
   * {@inheritdoc}
   */
  public function validateForm(array &$form, FormStateInterface $form_state): void {
    parent::validateForm($form, $form_state);
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
    $file = trim((string) $form_state->getValue('identity_file'));
    if ($file !== '' && (!str_starts_with($file, '/') || !@is_readable($file))) {
      $form_state->setErrorByName('identity_file', $this->t('@file is not a file that the user @user can read.', ['@file' => $file, '@user' => Keys::user()]));
    }
    $key = trim((string) $form_state->getValue('host_key'));
    if ($key !== '' && !preg_match('#^SHA256:[A-Za-z0-9+/]{43}=?$#D', $key)) {
      $form_state->setErrorByName('host_key', $this->t('A fingerprint begins with SHA256: and has 43 characters after it.'));
    }
    $form_state->setValue('identity_file', $file)->setValue('host_key', $key);
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
    $file = trim((string) $form_state->getValue('ca_file'));
    if ($file !== '' && (!str_starts_with($file, '/') || !@is_readable($file))) {
      $form_state->setErrorByName('ca_file', $this->t('@file is not a file that the user @user can read.', ['@file' => $file, '@user' => Keys::user()]));
    }
    foreach (['endpoint', 'region', 'access_key'] as $key) {
      $form_state->setValue($key, $s3 ? trim((string) $form_state->getValue($key)) : '');
    }
    $form_state->setValue('ca_file', $file);
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
    $far = $this->entity->get('type') !== 'directory';
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
      [$id] = \Drupal::service('bam.jobs')->start([TryPlaceForm::job($name, (string) $this->entity->label())]);
      $form_state->setRedirect('bam.job', ['job' => $id]);
    }
    catch (\RuntimeException $cause) {
      $this->messenger()->addError($cause->getMessage());
      $form_state->setRedirect('bam.place.try', ['name' => $name]);
    }
    return $saved;
  }

}
