<?php

declare(strict_types=1);

namespace Drupal\bam\Form;

use Drupal\bam\Controller\OverviewController;
use Drupal\bam\SiteConfiguration;
use Drupal\Component\Render\PlainTextOutput;
use Drupal\Core\Form\FormBase;
use Drupal\Core\Form\FormStateInterface;
use Drupal\Core\StringTranslation\TranslatableMarkup;
use Drupal\Core\Url;
use Symfony\Component\HttpKernel\Exception\NotFoundHttpException;

/**
 * What to restore of a backup, and onto what.
 *
 * Then a dry run shows what that would change, and RestoreConfirmForm asks.
 */
final class RestoreForm extends FormBase {

  use StartsRun;

  /**
   * The backup.
   */
  private array $backup = [];

  /**
   * Words of the command line that say where it is, if not at the site's own.
   */
  private array $place = [];

  /**
   * {@inheritdoc}
   */
  public function getFormId(): string {
    return 'bam_restore_form';
  }

  /**
   * The title of the page.
   */
  public function title(string $id): TranslatableMarkup {
    return $this->t('Restore the backup from @date', ['@date' => \Drupal::service('date.formatter')->format((int) $id, 'medium')]);
  }

  /**
   * {@inheritdoc}
   */
  public function buildForm(array $form, FormStateInterface $form_state, string $id = ''): array {
    $this->find($id);
    $form['#cache'] = ['max-age' => 0];
    $targets = $this->targets();
    if ($targets === []) {
      return [
        'none' => OverviewController::message('warning', [
          $this->t('This site has nothing that this backup could be put back onto. It can be restored elsewhere with the command bam restore @id --into FOLDER.', ['@id' => $id]),
        ]),
      ];
    }
    $form['what'] = [
      '#type' => 'item',
      '#title' => $this->t('Backup'),
      'file' => ['#plain_text' => $this->backup['file'] . ', ' . $this->site->label('sources', (string) $this->backup['source'])],
    ];
    if (!$this->isOwn()) {
      $site = SiteConfiguration::siteOf($this->backup);
      $form['other'] = [
        '#type' => 'checkbox',
        '#title' => $this->t('This is a backup of another site, @site. It is meant to take the place of this one.', ['@site' => $site === '' ? $this->t('it does not say which') : $site]),
        '#required' => TRUE,
      ];
    }
    $source = (string) $this->backup['source'];
    $form['source'] = [
      '#type' => 'select',
      '#title' => $this->t('Restore onto'),
      '#options' => $targets,
      '#default_value' => isset($targets[$source]) ? $source : (count($targets) === 1 ? array_key_first($targets) : NULL),
      '#required' => TRUE,
    ];
    $kind = self::kind($this->backup);
    $form['part'] = [
      '#type' => 'radios',
      '#title' => $this->t('How much of it'),
      '#options' => ['all' => $this->t('All of it')]
      + ($kind === 'database' ? [] : ['path' => $this->t('Only some files or folders')])
      + ($kind === 'archive' ? ['database' => $this->t('Only the database')] : [])
      + ($kind === 'files' ? [] : ['table' => $this->t('Only some tables')]),
      '#default_value' => 'all',
    ];
    $form['path'] = [
      '#type' => 'textarea',
      '#title' => $this->t('Files or folders'),
      '#description' => $this->t('One on each line, as paths in the backup, such as @example. Nothing else is touched.', ['@example' => $kind === 'files' ? 'field/picture.jpg' : 'web/sites/default/files/field']),
      '#rows' => 3,
      '#access' => $kind !== 'database',
      '#states' => ['visible' => [':input[name="part"]' => ['value' => 'path']]],
    ];
    $form['table'] = [
      '#type' => 'textfield',
      '#title' => $this->t('Tables'),
      '#description' => $this->t('With commas between them, such as node,node_revision,field_*.'),
      '#access' => $kind !== 'files',
      '#states' => ['visible' => [':input[name="part"]' => ['value' => 'table']]],
    ];
    $form['code'] = [
      '#type' => 'checkbox',
      '#title' => $this->t('The code of the site, too'),
      '#description' => $this->t('Drupal, its modules and themes, and exported configuration. Without this the code stays as it is now; what an intruder has put into it stays, too. Settings of this machine stay in either case.'),
      '#access' => $kind === 'archive',
      '#states' => ['visible' => [':input[name="part"]' => ['value' => 'all']]],
    ];
    $form['unauthenticated'] = [
      '#type' => 'checkbox',
      '#title' => $this->t('Also if nothing proves that the backup is unchanged'),
      '#description' => $this->t('Backups made by Backup and Migrate carry no such proof, nor do those whose sidecar is lost. Leave this off for others: a backup that was tampered with is then refused.'),
    ];
    $form['next'] = ['#markup' => '<p>' . $this->t('Nothing is changed yet.') . '</p>'];
    $form['actions'] = ['#type' => 'actions'];
    $form['actions']['submit'] = ['#type' => 'submit', '#value' => $this->t('Show what would change'), '#button_type' => 'primary'];
    $form['actions']['cancel'] = ['#type' => 'link', '#title' => $this->t('Cancel'), '#url' => Url::fromRoute('bam.overview'), '#attributes' => ['class' => ['button']]];
    return $form;
  }

  /**
   * {@inheritdoc}
   */
  public function validateForm(array &$form, FormStateInterface $form_state): void {
    $part = $form_state->getValue('part');
    if ($part === 'path' && self::paths($form_state) === []) {
      $form_state->setErrorByName('path', $this->t('Which files or folders?'));
    }
    $tables = self::tables($form_state);
    if ($part === 'table' && ($tables === [] || preg_grep('/[\x00-\x1f]/', $tables))) {
      $form_state->setErrorByName('table', $this->t('Which tables?'));
    }
  }

  /**
   * {@inheritdoc}
   */
  public function submitForm(array &$form, FormStateInterface $form_state): void {
    $id = (string) $this->backup['id'];
    // With one word each: nothing of it is taken for an option.
    $words = [...$this->place, '--source=' . $form_state->getValue('source')];
    if ($form_state->getValue('unauthenticated')) {
      $words[] = '--unauthenticated';
    }
    $part = $form_state->getValue('part');
    foreach ($part === 'path' ? self::paths($form_state) : [] as $path) {
      $words[] = "--path=$path";
    }
    if ($part === 'table') {
      $words[] = '--table=' . implode(',', self::tables($form_state));
    }
    if ($part === 'database') {
      $words[] = '--table=*';
    }
    if ($part === 'all' && $form_state->getValue('code')) {
      $words[] = '--code';
    }
    $this->start($form_state, [
      'kind' => 'preview',
      'title' => PlainTextOutput::renderFromHtml($this->t('What the restore of backup @id would change', ['@id' => $id])),
      'arguments' => ['restore', '--dry-run', ...$words, '--', $this->backup['file']],
      // What is done when somebody says yes: the same, and nothing else.
      'backup' => $id,
      'file' => $this->backup['file'],
      'words' => $words,
      'foreign' => !$this->isOwn() || ($this->backup['generator'] ?? '') !== 'bam',
    ]);
  }

  /**
   * Finds the backup: here, of another site (`of`), elsewhere (`look`).
   */
  private function find(string $id): void {
    $query = $this->getRequest()->query;
    if ($query->has('look')) {
      $look = $this->jobs->load((string) $query->get('look'));
      $found = $look === NULL || $look['kind'] !== 'look' ? [] : self::seen($this->jobs->view($look));
      $this->backup = $found[(string) $query->get('of')] ?? throw new NotFoundHttpException();
      $this->place = $look['place_words'];
    }
    elseif ($query->has('of')) {
      $this->backup = $this->site->other((string) $query->get('of'));
    }
    else {
      $this->backup = $this->site->backup($id);
    }
    if (explode('-', $id)[0] !== (string) $this->backup['id']) {
      throw new NotFoundHttpException();
    }
    $site = SiteConfiguration::siteOf($this->backup);
    if (!$this->isOwn() && $site !== '') {
      $this->place[] = "--site=$site";
    }
  }

  /**
   * Whether it is a backup of this site.
   */
  private function isOwn(): bool {
    return ($this->backup['own'] ?? TRUE) === TRUE;
  }

  /**
   * The backups that a look into a place has found, by otherKey().
   *
   * @return array<string, array>
   *   As the program tells them.
   */
  public static function seen(array $view): array {
    $found = [];
    foreach ((array) ($view['status']['result']['backups'] ?? []) as $backup) {
      $found[SiteConfiguration::otherKey($backup)] = $backup;
    }
    return $found;
  }

  /**
   * What a backup holds: archive, files or database.
   */
  private static function kind(array $backup): string {
    $archive = str_contains($backup['file'], '.sitearchive.');
    return $archive ? 'archive' : (preg_match('/\.tar(\.|$)/', $backup['file']) ? 'files' : 'database');
  }

  /**
   * The sources of this site that the backup can be put back onto.
   *
   * @return array<string, string>
   *   Options of a form.
   */
  private function targets(): array {
    $sources = $this->site->complete()['sources'];
    $kind = self::kind($this->backup);
    return array_filter($this->site->options('sources'), static fn ($name): bool => $sources[$name]['type'] === $kind, ARRAY_FILTER_USE_KEY);
  }

  /**
   * The paths that are asked for, without empty lines.
   */
  private static function paths(FormStateInterface $form_state): array {
    $lines = preg_split('/\R/', (string) $form_state->getValue('path')) ?: [];
    return array_values(array_filter(array_map('trim', $lines), 'strlen'));
  }

  /**
   * The tables that are asked for.
   */
  private static function tables(FormStateInterface $form_state): array {
    return array_values(array_filter(array_map('trim', explode(',', (string) $form_state->getValue('table'))), 'strlen'));
  }

}
