<?php

declare(strict_types=1);

namespace Drupal\bam\Form;

use Drupal\bam\Cron;
use Drupal\bam\SiteConfiguration;
use Drupal\Core\Form\ConfirmFormBase;
use Drupal\Core\Form\FormStateInterface;
use Drupal\Core\StringTranslation\TranslatableMarkup;
use Drupal\Core\Url;
use Symfony\Component\DependencyInjection\ContainerInterface;
use Symfony\Component\HttpKernel\Exception\NotFoundHttpException;

/**
 * Run a schedule now, due or not.
 */
final class RunForm extends ConfirmFormBase {

  /**
   * The schedule.
   */
  private string $name = '';

  public function __construct(
    private readonly SiteConfiguration $site,
    private readonly Cron $cron,
  ) {}

  /**
   * {@inheritdoc}
   */
  public static function create(ContainerInterface $container): static {
    return new static($container->get('bam.site'), $container->get('bam.cron'));
  }

  /**
   * {@inheritdoc}
   */
  public function getFormId(): string {
    return 'bam_run_form';
  }

  /**
   * {@inheritdoc}
   */
  public function buildForm(array $form, FormStateInterface $form_state, string $name = ''): array {
    if (!isset($this->site->document()['schedules'][$name])) {
      throw new NotFoundHttpException();
    }
    $this->name = $name;
    return parent::buildForm($form, $form_state);
  }

  /**
   * {@inheritdoc}
   */
  public function getQuestion(): TranslatableMarkup {
    return $this->t('Run the schedule @name now?', ['@name' => $this->site->label('schedules', $this->name)]);
  }

  /**
   * {@inheritdoc}
   */
  public function getDescription(): TranslatableMarkup {
    return $this->t('Its next run by itself counts from now.');
  }

  /**
   * {@inheritdoc}
   */
  public function getConfirmText(): TranslatableMarkup {
    return $this->t('Run now');
  }

  /**
   * {@inheritdoc}
   */
  public function getCancelUrl(): Url {
    return Url::fromRoute('bam.overview');
  }

  /**
   * {@inheritdoc}
   */
  public function submitForm(array &$form, FormStateInterface $form_state): void {
    try {
      $form_state->setRedirect('bam.job', ['job' => $this->cron->start($this->name, FALSE)]);
    }
    catch (\RuntimeException $cause) {
      $this->messenger()->addError($cause->getMessage());
      $form_state->setRedirect('bam.overview');
    }
  }

}
