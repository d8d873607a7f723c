<?php

declare(strict_types=1);

namespace Drupal\bam\Form;

use Drupal\bam\Controller\OverviewController;
use Drupal\bam\Entity\Destination;
use Drupal\bam\FirstSteps;
use Drupal\bam\Jobs;
use Drupal\bam\Places;
use Drupal\bam\SiteConfiguration;
use Drupal\Component\Render\PlainTextOutput;
use Drupal\Core\Form\FormBase;
use Drupal\Core\Form\FormStateInterface;
use Drupal\Core\StringTranslation\TranslatableMarkup;
use Drupal\Core\Url;
use Symfony\Component\DependencyInjection\ContainerInterface;
use Symfony\Component\HttpKernel\Exception\NotFoundHttpException;

/**
 * Try a place, and trust the key that its server shows.
 */
final class TryPlaceForm extends FormBase {

  /**
   * The place.
   */
  private string $name = '';

  public function __construct(
    private readonly SiteConfiguration $site,
    private readonly Jobs $jobs,
    private readonly Places $places,
    private readonly FirstSteps $steps,
  ) {}

  /**
   * {@inheritdoc}
   */
  public static function create(ContainerInterface $container): static {
    return new static($container->get('bam.site'), $container->get('bam.jobs'), $container->get('bam.places'), $container->get('bam.first_steps'));
  }

  /**
   * {@inheritdoc}
   */
  public function getFormId(): string {
    return 'bam_place_try_form';
  }

  /**
   * The title of the page.
   */
  public function title(string $name): TranslatableMarkup {
    return $this->t('The place @name', ['@name' => $this->site->label('destinations', $name)]);
  }

  /**
   * {@inheritdoc}
   */
  public function buildForm(array $form, FormStateInterface $form_state, string $name = ''): array {
    if (!isset($this->site->complete()['destinations'][$name])) {
      throw new NotFoundHttpException();
    }
    $this->name = $name;
    $form['#cache'] = ['max-age' => 0];
    $tried = $this->places->tried($name);
    $form['actions'] = ['#type' => 'actions'];
    if ($tried === NULL) {
      $form['state'] = ['#markup' => '<p>' . $this->t('It has not been tried yet: whether it can be reached, takes a file and gives it back.') . '</p>'];
    }
    else {
      $place = Destination::load($name);
      $unknown = !empty($tried['key']['fingerprint']) && empty($tried['key']['known']) && $place !== NULL;
      // Not one that shows another key than before.
      $new = $unknown && $place->get('host_key') === '' && empty($tried['key']['warning']);
      $text = match (TRUE) {
        $new => $this->t('The server answers. This site does not know it yet, so nothing was sent to it.'),
        $tried['problems'] === [] => $this->t('It is reached, takes a file and gives it back.'),
        default => $this->places->answer($name),
      };
      $form['state'] = OverviewController::message($tried['problems'] === [] ? 'status' : 'warning', [$text]);
      if ($unknown) {
        $form['key'] = [
          '#type' => 'item',
          '#title' => $this->t('The server @host shows this key:', ['@host' => $tried['key']['host']]),
          '#description' => $this->t('Compare it with what its administrator says, letter for letter. Whoever stands between this site and the server would show another one.'),
          'key' => ['#type' => 'html_tag', '#tag' => 'code', 'text' => ['#plain_text' => "{$tried['key']['key_type']} {$tried['key']['fingerprint']}"]],
        ];
        $form['actions']['trust'] = [
          '#type' => 'submit',
          '#value' => $this->t('It is the same: trust this server'),
          '#submit' => ['::trust'],
        ];
      }
    }
    if ($tried === NULL || $tried['problems'] !== []) {
      $form['login'] = $this->loginLine();
    }
    $form['actions']['submit'] = ['#type' => 'submit', '#value' => $tried === NULL ? $this->t('Try it') : $this->t('Try it again')];
    if ($tried !== NULL && $tried['problems'] === [] && $this->steps->areLeft()) {
      $form['actions']['steps'] = ['#type' => 'link', '#title' => $this->t('Go on with the first steps'), '#url' => Url::fromRoute('bam.start'), '#attributes' => ['class' => ['button']]];
    }
    if (Destination::load($name) !== NULL) {
      $form['actions']['edit'] = ['#type' => 'link', '#title' => $this->t('Edit'), '#url' => Url::fromRoute('entity.bam_destination.edit_form', ['bam_destination' => $name]), '#attributes' => ['class' => ['button']]];
    }
    $form['actions']['all'] = ['#type' => 'link', '#title' => $this->t('All places'), '#url' => Url::fromRoute('entity.bam_destination.collection')];
    return $form;
  }

  /**
   * Pins the key that the server has shown.
   */
  public function trust(array &$form, FormStateInterface $form_state): void {
    $place = Destination::load($this->name);
    $key = $this->places->tried($this->name)['key'] ?? NULL;
    if ($place !== NULL && $key !== NULL) {
      $place->set('host_key', $key['fingerprint'])->save();
      $this->messenger()->addStatus($this->t('The server is known by that key from now on. If it ever shows another one, nothing is sent to it.'));
    }
    $this->submitForm($form, $form_state);
  }

  /**
   * {@inheritdoc}
   */
  public function submitForm(array &$form, FormStateInterface $form_state): void {
    try {
      [$id] = $this->jobs->start([self::job($this->name, $this->site->label('destinations', $this->name))]);
      $form_state->setRedirect('bam.job', ['job' => $id]);
    }
    catch (\RuntimeException $cause) {
      $this->messenger()->addError($cause->getMessage());
    }
  }

  /**
   * What is asked of the program.
   */
  public static function job(string $name, string $label): array {
    return [
      'kind' => 'try',
      'place' => $name,
      'title' => PlainTextOutput::renderFromHtml(t('Trying the place @name', ['@name' => $label])),
      'arguments' => ['destination', 'try', '--', $name],
    ];
  }

  /**
   * What the administrator of the server has to know: the login key to let in.
   */
  private function loginLine(): array {
    $place = Destination::load($this->name);
    $file = (string) $place?->get('identity_file');
    $line = $file === '' ? '' : trim((string) @file_get_contents("$file.pub", FALSE, NULL, 0, 16384));
    if (!preg_match('/^(ssh|ecdsa|sk)-[^\n]+$/D', $line)) {
      return [];
    }
    return [
      '#type' => 'item',
      '#title' => $this->t('So that this site may log in, the administrator of the server puts this line into the file .ssh/authorized_keys in the home of the user there:'),
      'line' => ['#type' => 'html_tag', '#tag' => 'pre', '#attributes' => ['class' => ['bam-copy']], 'text' => ['#plain_text' => $line]],
    ];
  }

}
