<?php

declare(strict_types=1);

namespace Drupal\bam\Form;

use Bam\Site\Rights;
use Drupal\bam\Controller\OverviewController;
use Drupal\bam\DryRun;
use Drupal\bam\Jobs;
use Drupal\bam\Keys;
use Drupal\Component\Render\PlainTextOutput;
use Drupal\Core\Database\Database;
use Drupal\Core\Form\FormBase;
use Drupal\Core\Form\FormStateInterface;
use Drupal\Core\Url;
use Symfony\Component\HttpFoundation\RedirectResponse;
use Symfony\Component\HttpKernel\Exception\NotFoundHttpException;

/**
 * What a restore would change, and the question, which wants the site's name.
 */
final class RestoreConfirmForm extends FormBase {

  use StartsRun;

  /**
   * For so many seconds a preview is good: later the site may be another.
   */
  private const GOOD = 900;

  /**
   * The dry run.
   */
  private array $job = [];

  /**
   * {@inheritdoc}
   */
  public function getFormId(): string {
    return 'bam_restore_confirm_form';
  }

  /**
   * {@inheritdoc}
   */
  public function buildForm(array $form, FormStateInterface $form_state, string $job = ''): array|RedirectResponse {
    $this->job = $this->jobs->load($job) ?? [];
    if (($this->job['kind'] ?? '') !== 'preview') {
      throw new NotFoundHttpException();
    }
    $view = $this->jobs->view($this->job);
    if ($view['state'] !== 'done') {
      return new RedirectResponse(Url::fromRoute('bam.job', ['job' => $job])->toString());
    }
    $result = (array) $view['status']['result'];
    $form['#cache'] = ['max-age' => 0];
    if ($this->isOld()) {
      $form['old'] = OverviewController::message('warning', [$this->t('The site may be another by now than when this was looked at.')]);
      $form['actions'] = ['#type' => 'actions'];
      $form['actions']['again'] = ['#type' => 'submit', '#value' => $this->t('Look again'), '#submit' => ['::lookAgain'], '#validate' => ['::validateNothing']];
      return $form;
    }
    $form['#attached']['library'][] = 'bam/pages';
    $form['preview'] = DryRun::tables($result);
    $other = array_filter((array) ($result['notes'] ?? []), static fn (array $note): bool => $note['kind'] !== 'missing');
    $notes = [...Jobs::missing($view), ...array_column($other, 'text')];
    if ($notes !== []) {
      $form['notes'] = ['#theme' => 'item_list', '#title' => $this->t('Worth knowing'), '#items' => $notes];
    }
    $form['warning'] = OverviewController::message('warning', [
      $this->t('What is there now is replaced, and what was changed since the backup is lost.'),
      ...$this->warnings(!empty($result['tables'])),
    ]);
    $form['name'] = [
      '#type' => 'textfield',
      '#title' => $this->t('The name of the site'),
      '#description' => $this->t('To make sure that this is the right one, type: @name', ['@name' => $this->name()]),
      '#required' => TRUE,
      '#attributes' => ['autocomplete' => 'off'],
    ];
    $form['actions'] = ['#type' => 'actions'];
    $form['actions']['submit'] = ['#type' => 'submit', '#value' => $this->t('Restore'), '#button_type' => 'danger'];
    $form['actions']['cancel'] = ['#type' => 'link', '#title' => $this->t('Cancel'), '#url' => Url::fromRoute('bam.overview'), '#attributes' => ['class' => ['button']]];
    return $form;
  }

  /**
   * {@inheritdoc}
   */
  public function validateForm(array &$form, FormStateInterface $form_state): void {
    if ($this->isOld()) {
      $form_state->setErrorByName('', $this->t('The site may be another by now than when this was looked at.'));
    }
    elseif (mb_strtolower(trim((string) $form_state->getValue('name'))) !== mb_strtolower($this->name())) {
      $form_state->setErrorByName('name', $this->t('That is not the name of this site.'));
    }
  }

  /**
   * {@inheritdoc}
   */
  public function submitForm(array &$form, FormStateInterface $form_state): void {
    // One question, one restore: a second click finds the mark of the first.
    if (!$this->jobs->mark($this->job['id'], 'used')) {
      $this->messenger()->addWarning($this->t('That restore was started already.'));
      $form_state->setRedirect('bam.overview');
      return;
    }
    $this->start($form_state, [
      'kind' => 'restore',
      'title' => PlainTextOutput::renderFromHtml($this->t('Restore of backup @id', ['@id' => $this->job['backup']])),
      'arguments' => ['restore', '--yes', ...$this->job['words'], '--', $this->job['file'] ?? $this->job['backup']],
    ]);
  }

  /**
   * What whoever restores should know before.
   */
  private function warnings(bool $tables): array {
    $warnings = [];
    if (!$tables || self::beside()) {
      $warnings[] = $this->t('If something goes wrong on the way, the site is as it was.');
      if ($tables) {
        $warnings[] = $this->t('Restoring the database brings back its accounts and sessions, too: you may have to log in again; the page that shows the progress stays open to you.');
      }
    }
    else {
      $name = Database::getConnectionInfo()['default']['database'];
      $warnings[] = $this->t('The database user of this site may not make databases called @name_bam_…, so that the tables are loaded into the live database: as long as that takes, the site and the page that shows the progress answer with errors. A dump of what is there now is made first and put back if something goes wrong; if that is stopped, too, it takes a shell: bam recover. It is safer to give that right before: @grant', [
        '@name' => $name,
        '@grant' => 'GRANT ALL ON `' . str_replace('_', '\\_', $name) . '\\_bam\\_%`.* TO …',
      ]);
      $warnings[] = $this->t('You may have to log in again afterwards.');
    }
    if ($tables && ($this->job['foreign'] ?? TRUE)) {
      $warnings[] = $this->t('Nothing tells whether the module bam is enabled in this backup. If it is not, these pages are gone afterwards: log in as the backup knows you, and enable it anew (drush pm:install bam, or the list of modules).');
    }
    if (in_array('--code', $this->job['words'], TRUE) && !is_writable(\Drupal::root())) {
      $warnings[] = $this->t('The user @user, as whom this would run, may not write to @root: the code cannot be restored from here. Use a shell: drush bam:restore @id --code, as the owner of the code.', [
        '@user' => Keys::user(),
        '@root' => \Drupal::root(),
        '@id' => $this->job['backup'],
      ]);
    }
    return $warnings;
  }

  /**
   * Whether a restore of the database may make others beside it.
   */
  private static function beside(): bool {
    $connection = Database::getConnection();
    if ($connection->databaseType() !== 'mysql') {
      return TRUE;
    }
    try {
      return \Drupal::service('bam.program')->loadShim()
        && Rights::makeBeside($connection->query('SHOW GRANTS')->fetchCol(), $connection->getConnectionOptions()['database']);
    }
    catch (\Exception) {
      return FALSE;
    }
  }

  /**
   * Makes the preview anew.
   */
  public function lookAgain(array &$form, FormStateInterface $form_state): void {
    $this->start($form_state, array_intersect_key($this->job, array_flip(['kind', 'title', 'arguments', 'backup', 'file', 'foreign', 'words'])));
  }

  /**
   * Nothing is asked where a preview is made anew.
   */
  public function validateNothing(array &$form, FormStateInterface $form_state): void {}

  /**
   * Whether the preview is too old, or was made before another restore.
   */
  private function isOld(): bool {
    $later = array_filter($this->jobs->past(20), fn (array $other): bool => $other['kind'] === 'restore' && $other['created'] >= $this->job['created']);
    return time() - $this->job['created'] > self::GOOD || $later !== [] || $this->jobs->isMarked($this->job['id'], 'used');
  }

  /**
   * The name that has to be typed; the host where the site has none.
   */
  private function name(): string {
    $name = trim((string) $this->config('system.site')->get('name'));
    return $name !== '' ? $name : $this->getRequest()->getHost();
  }

}
