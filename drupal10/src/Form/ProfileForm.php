<?php

declare(strict_types=1);

namespace Drupal\bam\Form;

use Drupal\Core\Form\FormStateInterface;

/**
 * A profile: how backups are made.
 */
final class ProfileForm extends ItemForm {

  /**
   * {@inheritdoc}
   *
   * A profile that is built in, or another module's, is changed by one of the
   * same name, which takes its place: this starts it.
   */
  protected function prepareEntity(): void {
    $like = $this->getRequest()->query->get('like');
    $profile = is_string($like) ? $this->site->complete()['profiles'][$like] ?? NULL : NULL;
    if (!$this->entity->isNew() || $profile === NULL || $this->exists($like)) {
      return;
    }
    $this->entity->set('id', $like)->set('label', $this->site->label('profiles', $like));
    foreach (['filename', 'append_timestamp', 'timestamp_format', 'compression', 'encryption', 'description', 'site_offline', 'site_offline_message', 'ignore_errors'] as $key) {
      if (isset($profile[$key])) {
        $this->entity->set($key, $profile[$key]);
      }
    }
    $this->entity->set('notify', array_map(static fn ($to): string => implode(', ', (array) $to), (array) ($profile['notify'] ?? []))
      + $this->entity->get('notify'));
    $own = [];
    foreach ((array) ($profile['sources'] ?? []) as $source => $settings) {
      $lists = array_intersect_key($settings, ['nodata_tables' => 1, 'exclude_tables' => 1, 'exclude' => 1]);
      $own[] = ['source' => (string) $source] + $lists;
    }
    $this->entity->set('sources', $own);
  }

  /**
   * {@inheritdoc}
   */
  public function form(array $form, FormStateInterface $form_state): array {
    $form = parent::form($form, $form_state);
    $form['filename'] = $this->text('filename', $this->t('File name'), $this->t('With tokens: [site:name], [current-date:custom:Y-m-d].'), ['#required' => TRUE]);
    $form['append_timestamp'] = $this->choice('append_timestamp', $this->t('Timestamp'), [
      1 => $this->t('Add one'),
      0 => $this->t('None; add a number where the name is taken'),
      2 => $this->t('None; overwrite the old backup'),
    ]);
    $form['timestamp_format'] = $this->text('timestamp_format', $this->t('Format of the timestamp'), $this->t("In letters of PHP's date()."));
    $form['compression'] = $this->choice('compression', $this->t('Compression'), [
      'gzip' => 'gzip',
      'zstd' => 'zstd',
      'bzip2' => 'bzip2',
      'zip' => 'zip',
      'none' => $this->t('None'),
    ]);
    $form['encryption'] = $this->choice('encryption', $this->t('Encryption'), [
      'none' => $this->t('None'),
      'aes256' => $this->t('With the key of the settings (AES-256)'),
    ]);
    $form['description'] = $this->text('description', $this->t('Note'), $this->t('Kept with the backups.'));
    $form['site_offline'] = [
      '#type' => 'checkbox',
      '#title' => $this->t('Maintenance mode while a backup is made'),
      '#default_value' => $this->entity->get('site_offline'),
    ];
    $form['site_offline_message'] = [
      '#type' => 'textarea',
      '#title' => $this->t('What visitors read then'),
      '#rows' => 2,
      '#default_value' => $this->entity->get('site_offline_message'),
      '#states' => ['visible' => [':input[name="site_offline"]' => ['checked' => TRUE]]],
    ];
    $form['ignore_errors'] = [
      '#type' => 'checkbox',
      '#title' => $this->t('Go on without files and tables that cannot be read'),
      '#description' => $this->t('They are named, and the backup counts as incomplete.'),
      '#default_value' => $this->entity->get('ignore_errors'),
    ];
    $form['notify'] = ['#type' => 'details', '#title' => $this->t('Mail'), '#open' => TRUE, '#tree' => TRUE];
    foreach (['success' => $this->t('After a success, to'), 'failure' => $this->t('After a failure, to')] as $when => $title) {
      $form['notify'][$when] = [
        '#type' => 'textfield',
        '#title' => $title,
        '#description' => $this->t('Addresses with commas; tokens such as [site:mail].'),
        '#default_value' => $this->entity->get('notify')[$when] ?? '',
      ];
    }
    $form['sources'] = ['#tree' => TRUE];
    $settings = array_column($this->entity->get('sources'), NULL, 'source');
    foreach ($this->site->complete()['sources'] as $name => $source) {
      $form['sources'][$name] = $this->source((string) $name, $source['type'], $settings[$name] ?? NULL);
    }
    return $form;
  }

  /**
   * What of one source is left out.
   */
  private function source(string $name, string $type, ?array $settings): array {
    $element = [
      '#type' => 'details',
      '#title' => $this->t('Left out of @source', ['@source' => $this->site->label('sources', $name)]),
      '#open' => $settings !== NULL,
      'own' => [
        '#type' => 'checkbox',
        '#title' => $this->t('Settings of its own'),
        '#default_value' => $settings !== NULL,
      ],
    ];
    $lists = $type === 'database' ? [
      'nodata_tables' => $this->t('Tables without their rows'),
      'exclude_tables' => $this->t('Tables left out'),
    ] : ['exclude' => $this->t('Paths left out')];
    $start = ['nodata_tables' => ['cache_*', 'cachetags', 'key_value_expire', 'queue', 'semaphore', 'sessions', 'watchdog']];
    foreach ($lists as $key => $title) {
      $element[$key] = [
        '#type' => 'textarea',
        '#title' => $title,
        '#description' => $key === 'exclude'
          ? $this->t('One a line: relative to the source, full paths, public://…, or patterns such as *.mp4.')
          : $this->t('One a line; cache_* stands for all that begin so.'),
        '#rows' => 4,
        '#default_value' => implode("\n", $settings === NULL ? ($start[$key] ?? []) : ($settings[$key] ?? [])),
        '#states' => ['visible' => [":input[name=\"sources[$name][own]\"]" => ['checked' => TRUE]]],
      ];
    }
    return $element;
  }

  /**
   * {@inheritdoc}
   */
  public function validateForm(array &$form, FormStateInterface $form_state): void {
    parent::validateForm($form, $form_state);
    $form_state->setValue('append_timestamp', (int) $form_state->getValue('append_timestamp'));
    foreach (['site_offline', 'ignore_errors'] as $key) {
      $form_state->setValue($key, (bool) $form_state->getValue($key));
    }
    $list = [];
    foreach ((array) $form_state->getValue('sources') as $name => $settings) {
      if (empty($settings['own'])) {
        continue;
      }
      $lines = [];
      foreach (array_diff_key($settings, ['own' => 1]) as $key => $text) {
        $lines[$key] = array_values(array_filter(array_map('trim', explode("\n", (string) $text)), 'strlen'));
      }
      $list[] = ['source' => (string) $name] + $lines;
    }
    $form_state->setValue('sources', $list);
  }

}
