<?php

declare(strict_types=1);

namespace Drupal\bam\Form;

use Drupal\bam\Jobs;
use Drupal\bam\SiteConfiguration;
use Drupal\Core\Form\FormStateInterface;
use Symfony\Component\DependencyInjection\ContainerInterface;

/**
 * For forms that start something.
 *
 * Names reach the program only after they were found among those it knows.
 */
trait StartsRun {

  public function __construct(
    protected readonly SiteConfiguration $site,
    protected readonly Jobs $jobs,
  ) {}

  /**
   * {@inheritdoc}
   */
  public static function create(ContainerInterface $container): static {
    return new static($container->get('bam.site'), $container->get('bam.jobs'));
  }

  /**
   * Starts a run, and goes to the page that shows its progress.
   */
  protected function start(FormStateInterface $form_state, array $job): void {
    // The page of the run may be read when the configuration is another one.
    foreach (array_keys($this->site->complete()['destinations']) as $name) {
      $job['labels'][$name] = $this->site->label('destinations', (string) $name);
    }
    try {
      [$id] = $this->jobs->start([$job]);
      $form_state->setRedirect('bam.job', ['job' => $id]);
    }
    catch (\RuntimeException $cause) {
      $this->messenger()->addError($cause->getMessage());
      $form_state->setRedirect('bam.overview');
    }
  }

}
