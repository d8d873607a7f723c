<?php

declare(strict_types=1);

namespace Drupal\bam\Form;

use Drupal\bam\Controller\OverviewController;
use Drupal\bam\Jobs;
use Drupal\bam\SiteConfiguration;
use Drupal\bam\Uploads;
use Drupal\Component\Render\PlainTextOutput;
use Drupal\Component\Utility\Environment;
use Drupal\Core\Access\CsrfTokenGenerator;
use Drupal\Core\Form\FormBase;
use Drupal\Core\Form\FormStateInterface;
use Drupal\Core\StringTranslation\ByteSizeMarkup;
use Drupal\Core\Url;
use Symfony\Component\DependencyInjection\ContainerInterface;
use Symfony\Component\HttpFoundation\File\UploadedFile;

/**
 * Take in a backup file from the administrator's own machine.
 *
 * A script sends it in pieces before the form; without one it comes with it.
 */
final class UploadForm extends FormBase {

  use StartsRun;

  public function __construct(
    protected readonly SiteConfiguration $site,
    protected readonly Jobs $jobs,
    private readonly Uploads $uploads,
    private readonly CsrfTokenGenerator $token,
  ) {}

  /**
   * {@inheritdoc}
   */
  public static function create(ContainerInterface $container): static {
    return new static($container->get('bam.site'), $container->get('bam.jobs'), $container->get('bam.uploads'), $container->get('csrf_token'));
  }

  /**
   * {@inheritdoc}
   */
  public function getFormId(): string {
    return 'bam_upload_form';
  }

  /**
   * {@inheritdoc}
   */
  public function buildForm(array $form, FormStateInterface $form_state): array {
    $error = $this->site->complete()['error'] ?? NULL;
    if ($error !== NULL) {
      return ['error' => OverviewController::message('error', [$error['message'], $error['hint'] ?? ''])];
    }
    $places = $this->site->options('destinations');
    if ($places === []) {
      return [
        'none' => OverviewController::message('warning', [
          $this->t('There is no place for backups yet. <a href=":url">Add one</a>.', [':url' => Url::fromRoute('entity.bam_destination.add_form')->toString()]),
        ]),
      ];
    }
    $form['why'] = ['#markup' => '<p>' . $this->t('A backup file that this module or Backup and Migrate has made. It is checked, and then is in the list, from where it can be restored. If the connection breaks, choose the same file again: it goes on where it stopped.') . '</p>'];
    $form['file'] = ['#type' => 'file', '#title' => $this->t('The backup file')];
    $form['sidecar'] = [
      '#type' => 'file',
      '#title' => $this->t('Its sidecar'),
      '#description' => $this->t('The small file of the same name with .info after it. It proves that the backup is unchanged.'),
    ];
    $form['place'] = [
      '#type' => 'select',
      '#title' => $this->t('Where it is kept'),
      '#options' => $places,
      '#default_value' => isset($places['manual']) ? 'manual' : NULL,
      '#required' => TRUE,
    ];
    $form['unauthenticated'] = [
      '#type' => 'checkbox',
      '#title' => $this->t('Also if nothing proves that the backup is unchanged'),
      '#description' => $this->t('For files of Backup and Migrate, and those without a sidecar.'),
    ];
    $form['uploaded'] = ['#type' => 'hidden', '#default_value' => '', '#attributes' => ['class' => ['bam-uploaded']]];
    $form['progress'] = ['#type' => 'container', '#attributes' => ['id' => 'bam-upload']];
    $form['limit'] = [
      '#type' => 'html_tag',
      '#tag' => 'p',
      '#noscript' => TRUE,
      'text' => ['#plain_text' => $this->t('Without JavaScript a file of at most @size can be sent.', ['@size' => ByteSizeMarkup::create(Environment::getUploadMaxSize())])],
    ];
    $form['actions'] = ['#type' => 'actions'];
    $form['actions']['submit'] = ['#type' => 'submit', '#value' => $this->t('Upload and check'), '#button_type' => 'primary'];
    $form['#attached']['library'][] = 'bam/upload';
    $form['#attached']['drupalSettings']['bamUpload'] = [
      'url' => Url::fromRoute('bam.upload')->toString() . '/piece',
      // In the address of a route it would be a placeholder, which is replaced
      // in HTML alone.
      'token' => $this->token->get(Url::fromRoute('bam.upload.piece')->getInternalPath()),
      'piece' => Uploads::piece(),
    ];
    $form['#cache'] = ['contexts' => ['session'], 'max-age' => 0];
    return $form;
  }

  /**
   * {@inheritdoc}
   */
  public function validateForm(array &$form, FormStateInterface $form_state): void {
    $told = (string) $form_state->getValue('uploaded');
    $sent = $this->sent('file');
    if ($told !== '') {
      $told = json_decode($told, TRUE);
      $file = $this->uploads->part(is_string($told['id'] ?? NULL) ? $told['id'] : '');
      $name = is_string($told['name'] ?? NULL) ? $told['name'] : '';
      if ($file === NULL || !is_file($file) || Uploads::size($file) !== (int) ($told['size'] ?? -1)) {
        $form_state->setErrorByName('file', $this->t('The file has not arrived whole; choose it again, and it goes on where it stopped.'));
        return;
      }
    }
    elseif ($sent?->isValid()) {
      $file = $sent->getPathname();
      $name = $sent->getClientOriginalName();
    }
    else {
      $large = in_array($sent?->getError(), [UPLOAD_ERR_INI_SIZE, UPLOAD_ERR_FORM_SIZE], TRUE);
      $form_state->setErrorByName('file', $large
        ? $this->t('The file is larger than PHP takes in one piece; with JavaScript it is sent in many.')
        : $this->t('Which file?'));
      return;
    }
    // The name says what the file is; nothing else of it is kept.
    $name = (string) preg_replace('/^[^\x00-\x7f]+/', '_', basename(str_replace('\\', '/', $name)));
    $name = (string) preg_replace('/[^A-Za-z0-9._-]+/', '-', $name);
    if (!preg_match('/^[A-Za-z0-9_][A-Za-z0-9._-]{0,199}$/D', $name)) {
      $form_state->setErrorByName('file', $this->t('The name of the file is not one of a backup.'));
      return;
    }
    $sidecar = $this->sent('sidecar');
    $form_state->set('bam_name', $name);
    $form_state->set('bam_files', ['' => $file] + ($sidecar?->isValid() ? ['.info' => $sidecar->getPathname()] : []));
  }

  /**
   * {@inheritdoc}
   */
  public function submitForm(array &$form, FormStateInterface $form_state): void {
    $name = $form_state->get('bam_name');
    try {
      $folder = $this->uploads->settle($name, $form_state->get('bam_files'));
    }
    catch (\RuntimeException $cause) {
      $this->messenger()->addError($cause->getMessage());
      return;
    }
    $this->start($form_state, [
      'kind' => 'import',
      'title' => PlainTextOutput::renderFromHtml($this->t('Taking in @name', ['@name' => $name])),
      'arguments' => [
        'import',
        ...($form_state->getValue('unauthenticated') ? ['--unauthenticated'] : []),
        '--',
        "$folder/$name",
        (string) $form_state->getValue('place'),
      ],
      'upload' => basename($folder),
    ]);
  }

  /**
   * A file that came with the form.
   */
  private function sent(string $name): ?UploadedFile {
    $file = $this->getRequest()->files->all('files')[$name] ?? NULL;
    return $file instanceof UploadedFile ? $file : NULL;
  }

}
