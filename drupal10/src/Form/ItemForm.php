<?php

declare(strict_types=1);

namespace Drupal\bam\Form;

use Drupal\bam\SiteConfiguration;
use Drupal\Core\Entity\EntityForm;
use Drupal\Core\Form\FormStateInterface;
use Symfony\Component\DependencyInjection\ContainerInterface;

/**
 * What the forms of sources, destinations, profiles and schedules share.
 */
abstract class ItemForm extends EntityForm {

  /**
   * What the site has.
   */
  protected SiteConfiguration $site;

  /**
   * {@inheritdoc}
   */
  public static function create(ContainerInterface $container): static {
    $form = parent::create($container);
    $form->site = $container->get('bam.site');
    return $form;
  }

  /**
   * {@inheritdoc}
   */
  public function form(array $form, FormStateInterface $form_state): array {
    $form = parent::form($form, $form_state);
    $form['label'] = [
      '#type' => 'textfield',
      '#title' => $this->t('Name'),
      '#maxlength' => 255,
      '#default_value' => $this->entity->label(),
      '#required' => TRUE,
    ];
    $form['id'] = [
      '#type' => 'machine_name',
      '#default_value' => $this->entity->id(),
      '#machine_name' => ['exists' => [$this, 'exists']],
      '#disabled' => !$this->entity->isNew(),
    ];
    return $form;
  }

  /**
   * Whether there is one of this name.
   */
  public function exists(string $id): bool {
    return $this->entityTypeManager->getStorage($this->entity->getEntityTypeId())->load($id) !== NULL;
  }

  /**
   * {@inheritdoc}
   */
  public function save(array $form, FormStateInterface $form_state): int {
    $saved = parent::save($form, $form_state);
    $this->messenger()->addStatus($this->t('@name is saved.', ['@name' => $this->entity->label()]));
    $form_state->setRedirectUrl($this->entity->toUrl('collection'));
    return $saved;
  }

  /**
   * A text field of the entity.
   */
  protected function text(string $key, $title, $description = '', array $more = []): array {
    return $more + [
      '#type' => 'textfield',
      '#title' => $title,
      '#description' => $description,
      '#default_value' => $this->entity->get($key),
      '#maxlength' => 1024,
    ];
  }

  /**
   * A choice of the entity.
   */
  protected function choice(string $key, $title, array $options, array $more = []): array {
    return $more + [
      '#type' => 'select',
      '#title' => $title,
      '#options' => $options,
      '#default_value' => $this->entity->get($key),
    ];
  }

  /**
   * Shows a field only where the kind is one of these.
   */
  protected static function onlyFor(string ...$kinds): array {
    $any = [];
    foreach ($kinds as $kind) {
      $any[] = [':input[name="type"]' => ['value' => $kind]];
    }
    return ['#states' => ['visible' => $any]];
  }

}
