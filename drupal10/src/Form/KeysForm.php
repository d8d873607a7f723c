<?php

declare(strict_types=1);

namespace Drupal\bam\Form;

use Bam\Process;
use Drupal\bam\Controller\OverviewController;
use Drupal\bam\Entity\Profile;
use Drupal\bam\FirstSteps;
use Drupal\bam\Jobs;
use Drupal\bam\Keys;
use Drupal\bam\SiteConfiguration;
use Drupal\Component\Utility\Html;
use Drupal\Core\Form\FormBase;
use Drupal\Core\Form\FormStateInterface;
use Drupal\Core\State\StateInterface;
use Drupal\Core\Url;
use Symfony\Component\DependencyInjection\ContainerInterface;

/**
 * The key: making one, and the sheet with it that is kept elsewhere.
 */
final class KeysForm extends FormBase {

  use StartsRun;

  public function __construct(
    private readonly Keys $keys,
    protected readonly SiteConfiguration $site,
    protected readonly Jobs $jobs,
    private readonly FirstSteps $steps,
    private readonly StateInterface $state,
  ) {}

  /**
   * {@inheritdoc}
   */
  public static function create(ContainerInterface $container): static {
    return new static(
      $container->get('bam.keys'),
      $container->get('bam.site'),
      $container->get('bam.jobs'),
      $container->get('bam.first_steps'),
      $container->get('state'),
    );
  }

  /**
   * {@inheritdoc}
   */
  public function getFormId(): string {
    return 'bam_keys_form';
  }

  /**
   * {@inheritdoc}
   */
  public function buildForm(array $form, FormStateInterface $form_state): array {
    $form['#attached']['library'][] = 'bam/pages';
    $form['#cache'] = ['max-age' => 0];
    $error = $this->site->complete()['error'] ?? NULL;
    if ($error !== NULL) {
      return ['error' => OverviewController::message('error', [$error['message'], $error['hint'] ?? ''])];
    }
    if ($form_state->get('sheet')) {
      return $this->sheet($form);
    }
    $form['why'] = ['#markup' => '<p>' . $this->t('Backups are encrypted with a key. Without it nobody can open them: no thief, and not you either. So a copy of it belongs on paper or in a password safe, away from this machine.') . '</p>'];
    $file = $this->keys->file();
    $form['actions'] = ['#type' => 'actions'];
    if ($file === '') {
      $folder = $this->keys->folder();
      if ($folder === NULL) {
        $user = Keys::user();
        $form['none'] = OverviewController::message('warning', [$this->t('There is no key yet, and no folder outside of the project in which the user @user may make one. An administrator of this machine runs: sudo install -d -o @user -m 700 /etc/bam', ['@user' => $user])]);
        return $form;
      }
      $form['file'] = [
        '#type' => 'textfield',
        '#title' => $this->t('The file for the new key'),
        '#default_value' => "$folder/key",
        '#required' => TRUE,
      ];
      $form['passphrase'] = [
        '#type' => 'password',
        '#title' => $this->t('A key that there is already'),
        '#description' => $this->t('To open backups that were made before, type in the line that is on the sheet. Empty: a new key is made.'),
        '#maxlength' => 1024,
        '#attributes' => ['autocomplete' => 'off'],
      ];
      $form['encrypt'] = [
        '#type' => 'checkbox',
        '#title' => $this->t('Encrypt backups with it from now on, unless a profile says otherwise'),
        '#default_value' => TRUE,
      ];
      $form['actions']['make'] = [
        '#type' => 'submit',
        '#value' => $this->t('Make a key'),
        '#button_type' => 'primary',
        '#validate' => ['::validateFile'],
        '#submit' => ['::makeKey'],
      ];
      return $form;
    }
    $good = $this->t('good');
    $state = static fn (string $key): array => [$key, implode(' ', Keys::problems($key)) ?: $good];
    [$path, $now] = $state($file);
    $rows = [[$path, $this->t('new backups, and old ones made with it'), $now]];
    foreach ($this->keys->older() as $older) {
      [$path, $now] = $state($older);
      $rows[] = [$path, $this->t('old backups only'), $now];
    }
    $form['state'] = [
      '#type' => 'table',
      '#header' => [$this->t('Key file'), $this->t('Used for'), $this->t('State')],
      '#rows' => $rows,
    ];
    $form['told'] = $this->isCopied()
      ? ['#markup' => '<p>' . $this->t('Somebody has said that a copy of the key is kept elsewhere.') . '</p>']
      : OverviewController::message('warning', [$this->t('Nobody has said yet that a copy of the key is kept elsewhere. Print the sheet, and put it where this machine is not.')]);
    $form['use'] = ['#markup' => '<p>' . $this->t('Which backups are encrypted with it is said in the <a href=":profiles">profiles</a>.', [':profiles' => Url::fromRoute('entity.bam_profile.collection')->toString()]) . '</p>'];
    $form['actions']['sheet'] = [
      '#type' => 'submit',
      '#value' => $this->t('Show the sheet to print'),
      '#submit' => ['::showSheet'],
      '#access' => $this->keys->read() !== NULL,
    ];
    $form['actions']['copied'] = $this->copied() + ['#access' => !$this->isCopied()];
    if ($this->state->get('bam.rekey_open')) {
      $form['actions']['rekey'] = [
        '#type' => 'submit',
        '#value' => $this->t('Go on encrypting backups with the new key'),
        '#submit' => ['::rekey'],
        '#limit_validation_errors' => [],
      ];
    }
    $form['rotate'] = [
      '#type' => 'details',
      '#title' => $this->t('Change to a new key'),
      '#description' => $this->t('If somebody may have seen the key. A new one is made, the old one is kept for backups that exist, and these are encrypted anew in the background. Copies on disks that were taken away still need the old key.'),
      'rotate' => $this->keys->isOurs() ? [
        '#type' => 'submit',
        '#value' => $this->t('Change to a new key'),
        '#submit' => ['::rotate'],
        '#limit_validation_errors' => [],
      ] : ['#markup' => '<p>' . $this->t('The key is set in settings.php or by the Key module: change it there, and name the old file in bam.settings:keys.') . '</p>'],
    ];
    return $form;
  }

  /**
   * A new key for new backups; old ones follow.
   */
  public function rotate(array &$form, FormStateInterface $form_state): void {
    try {
      $file = $this->keys->rotate();
      $this->messenger()->addWarning($this->t('The new key is @file. Print its sheet when this is done.', ['@file' => $file]));
      // Until all backups have it: whatever stops this, it is told and goes on.
      $this->state->set('bam.rekey_open', TRUE);
      $this->rekey($form, $form_state);
    }
    catch (\RuntimeException $cause) {
      $this->messenger()->addError($cause->getMessage());
    }
  }

  /**
   * Brings old backups to the key in use.
   */
  public function rekey(array &$form, FormStateInterface $form_state): void {
    $this->start($form_state, [
      'kind' => 'rekey',
      'title' => (string) $this->t('Encrypting backups with the new key'),
      'arguments' => ['rekey', '--all'],
    ]);
  }

  /**
   * Where a new key may lie.
   */
  public function validateFile(array &$form, FormStateInterface $form_state): void {
    $file = trim((string) $form_state->getValue('file'));
    $problem = $this->keys->problem($file);
    $known = trim((string) $form_state->getValue('passphrase'));
    if (preg_match('/[\x00-\x1f\x7f]/', $known) || ($known !== '' && strlen($known) < 8)) {
      $form_state->setErrorByName('passphrase', $this->t('A key is one line of at least 8 characters.'));
    }
    if ($problem !== NULL) {
      $form_state->setErrorByName('file', $problem);
    }
    elseif (file_exists($file)) {
      $form_state->setErrorByName('file', $this->t('There is a file @path already. If it is a key, name it in the <a href=":settings">settings</a>.', ['@path' => $file, ':settings' => Url::fromRoute('bam.settings')->toString()]));
    }
  }

  /**
   * Makes the first key.
   */
  public function makeKey(array &$form, FormStateInterface $form_state): void {
    try {
      $file = trim((string) $form_state->getValue('file'));
      $known = trim((string) $form_state->getValue('passphrase'));
      $known === '' ? $this->keys->make($file) : $this->keys->takeIn($file, $known);
      if ($form_state->getValue('encrypt')) {
        $this->encrypt();
      }
      if ($known === '') {
        $this->showSheet($form, $form_state);
        return;
      }
      // Its sheet is there already.
      $this->state->set('bam.key_copied', $file);
      $this->messenger()->addStatus($this->t('Backups that were made with this key can be opened now.'));
    }
    catch (\RuntimeException $cause) {
      $this->messenger()->addError($cause->getMessage());
    }
  }

  /**
   * Backups that name no profile are encrypted.
   */
  private function encrypt(): void {
    $settings = $this->configFactory()->getEditable('bam.settings');
    $name = (string) $settings->get('default_profile') ?: 'encrypted';
    $profile = Profile::load($name) ?? Profile::create(['id' => $name, 'label' => (string) $this->t('Encrypted')]);
    $profile->set('encryption', 'aes256')->save();
    $settings->set('default_profile', $name)->save();
  }

  /**
   * Shows the sheet.
   */
  public function showSheet(array &$form, FormStateInterface $form_state): void {
    // Built anew when it is shown, the key is in no cache of forms.
    $form_state->disableCache();
    $form_state->set('sheet', TRUE)->setRebuild();
  }

  /**
   * A copy of the key is kept elsewhere.
   */
  public function noteCopy(array &$form, FormStateInterface $form_state): void {
    $this->state->set('bam.key_copied', $this->keys->file());
    $this->messenger()->addStatus($this->t('Good. Tell somebody else where it is, too.'));
    if ($this->steps->areLeft()) {
      $form_state->setRedirect('bam.start');
    }
  }

  /**
   * {@inheritdoc}
   */
  public function submitForm(array &$form, FormStateInterface $form_state): void {
    // Each button has a handler of its own.
  }

  /**
   * Whether somebody has said that a copy of this key is kept elsewhere.
   */
  private function isCopied(): bool {
    return $this->state->get('bam.key_copied') === $this->keys->file();
  }

  /**
   * The button that says that a copy is kept.
   */
  private function copied(): array {
    return [
      '#type' => 'submit',
      '#name' => 'bam_copied',
      '#value' => $this->t('A copy of the key is kept elsewhere'),
      '#submit' => ['::noteCopy'],
      '#limit_validation_errors' => [],
    ];
  }

  /**
   * The sheet with the key and how to use it.
   */
  private function sheet(array $form): array {
    $document = $this->site->complete();
    $rounds = (int) ($document['encryption']['iterations'] ?? 0) ?: 600000;
    $form['#attached']['http_header'][] = ['Cache-Control', 'private, no-store'];
    $places = [];
    foreach ($document['destinations'] as $name => $place) {
      // On another machine nobody knows what private:// was.
      $folder = isset($place['path']) ? \Drupal::service('file_system')->realpath($place['path']) ?: $place['path'] : NULL;
      $where = $folder === NULL ? (string) ($place['url'] ?? '') : "$folder @ " . Process::host();
      $places[] = $this->site->label('destinations', (string) $name) . ": $where";
    }
    $code = static fn (string $text): array => ['#type' => 'html_tag', '#tag' => 'code', 'text' => ['#plain_text' => $text]];
    $form['sheet'] = [
      '#type' => 'container',
      '#attributes' => ['class' => ['bam-sheet']],
      'title' => ['#type' => 'html_tag', '#tag' => 'h2', 'text' => ['#markup' => $this->t('Key of the backups of @site', ['@site' => $this->config('system.site')->get('name')])]],
      'when' => ['#markup' => '<p>' . Html::escape($GLOBALS['base_url'] . ', ' . gmdate('Y-m-d')) . '</p>'],
      'key' => ['#type' => 'html_tag', '#tag' => 'p', '#attributes' => ['class' => ['bam-key']], 'key' => $code((string) $this->keys->read())],
      'what' => ['#markup' => '<p>' . $this->t('One line of text; upper and lower case matter. Whoever has this sheet and a backup can read all that is in the backup.') . '</p>'],
      'use' => [
        '#theme' => 'item_list',
        '#title' => $this->t('To use it on a new machine'),
        '#list_type' => 'ol',
        '#items' => [
          $this->t('In Drupal: type it in on this page. Else write it into a file named key.'),
          ['#markup' => $this->t('With bam:') . ' ', 'code' => $code('bam restore --from PLACE --key key latest --into /srv/site')],
          ['#markup' => $this->t('Without it:') . ' ', 'code' => $code("openssl enc -d -aes-256-cbc -pbkdf2 -iter $rounds -in FILE.tar.gz.enc -pass file:key | tar xz")],
        ],
      ],
      'where' => ['#theme' => 'item_list', '#title' => $this->t('Where the backups are'), '#items' => $places],
      'later' => ['#markup' => '<p>' . $this->t('Places that are added later are not on this sheet: print it again then.') . '</p>'],
    ];
    $form['actions'] = [
      '#type' => 'actions',
      'copied' => $this->copied(),
      'back' => ['#type' => 'link', '#title' => $this->t('Keys'), '#url' => Url::fromRoute('bam.keys')],
    ];
    return $form;
  }

}
