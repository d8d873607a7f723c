<?php

declare(strict_types=1);

namespace Drupal\bam\Form;

use Drupal\bam\SiteConfiguration;
use Drupal\Core\Form\FormBase;
use Drupal\Core\Form\FormStateInterface;
use Drupal\Core\Url;
use Symfony\Component\DependencyInjection\ContainerInterface;
use Symfony\Component\HttpFoundation\Request;

/**
 * Which backups the list shows. By GET: it changes nothing.
 */
final class FilterForm extends FormBase {

  public function __construct(private readonly SiteConfiguration $site) {}

  /**
   * {@inheritdoc}
   */
  public static function create(ContainerInterface $container): static {
    return new static($container->get('bam.site'));
  }

  /**
   * {@inheritdoc}
   */
  public function getFormId(): string {
    return 'bam_filter_form';
  }

  /**
   * What a request asks for: `source`, `place`, `since`; empty for anything.
   */
  public static function wanted(Request $request): array {
    $wanted = [];
    foreach (['source', 'place', 'since'] as $key) {
      $value = $request->query->all()[$key] ?? '';
      $wanted[$key] = is_string($value) ? $value : '';
    }
    return $wanted;
  }

  /**
   * {@inheritdoc}
   */
  public function buildForm(array $form, FormStateInterface $form_state): array {
    $want = self::wanted($this->getRequest());
    $form['#method'] = 'get';
    $form['#action'] = Url::fromRoute('bam.overview')->toString();
    $form['#token'] = FALSE;
    $form['#attributes']['class'][] = 'form--inline';
    $form['source'] = [
      '#type' => 'select',
      '#title' => $this->t('What'),
      '#options' => ['' => $this->t('everything')] + $this->site->options('sources'),
      '#value' => $want['source'],
    ];
    $form['place'] = [
      '#type' => 'select',
      '#title' => $this->t('Where'),
      '#options' => ['' => $this->t('everywhere')] + $this->site->options('destinations'),
      '#value' => $want['place'],
    ];
    $form['since'] = ['#type' => 'date', '#title' => $this->t('Since'), '#value' => $want['since']];
    $form['actions'] = ['#type' => 'actions'];
    $form['actions']['submit'] = ['#type' => 'submit', '#value' => $this->t('Show'), '#name' => ''];
    $form['#after_build'][] = [self::class, 'bare'];
    return $form;
  }

  /**
   * Leaves out of the address what only forms by POST need.
   */
  public static function bare(array $form): array {
    unset($form['form_build_id'], $form['form_id'], $form['form_token']);
    return $form;
  }

  /**
   * {@inheritdoc}
   */
  public function submitForm(array &$form, FormStateInterface $form_state): void {
    // By GET there is nothing to submit.
  }

}
