<?php

declare(strict_types=1);

namespace Drupal\bam\Form;

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
    ], ['#required' => TRUE]);
    $form['path'] = $this->text('path', $this->t('Folder'), $this->t('A full path outside of the docroot, or private://….'), self::onlyFor('directory'));
    $far = self::onlyFor('sftp', 'rsync');
    $form['url'] = $this->text('url', $this->t('Address'), $this->t('For instance sftp://backup@host/backups. Without a password.'), $far);
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
    $form['password_file'] = $this->text('password_file', $this->t('Password file'), $this->t('The password itself is never stored in the configuration: it would be exported with it.'), $far);
    if (\Drupal::moduleHandler()->moduleExists('key')) {
      $form['password_key'] = $far + [
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
      elseif (str_starts_with(rtrim($path, '/') . '/', \Drupal::root() . '/')) {
        $form_state->setErrorByName('path', $this->t('That folder lies in the docroot, where the web server might hand backups out.'));
      }
      foreach (['url', 'identity_file', 'host_key', 'password_file', 'password_key'] as $key) {
        $form_state->setValue($key, '');
      }
      $form_state->setValue('path', $path);
      return;
    }
    $form_state->setValue('path', '');
    $url = trim((string) $form_state->getValue('url'));
    if ($url === '') {
      $form_state->setErrorByName('url', $this->t('Which machine? Give an address such as sftp://backup@host/backups.'));
    }
    elseif (preg_match('#^\w+://[^/@]*:[^/@]*@#', $url)) {
      $form_state->setErrorByName('url', $this->t('Leave the password out: configuration is exported. Use a key, a password file, or the Key module.'));
    }
    $form_state->setValue('url', $url);
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
    $form_state->setRedirect('bam.place.try', ['name' => $this->entity->id()]);
    return $saved;
  }

}
