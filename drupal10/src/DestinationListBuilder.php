<?php

declare(strict_types=1);

namespace Drupal\bam;

use Drupal\Core\Entity\EntityInterface;
use Drupal\Core\Url;

/**
 * The page of places.
 */
final class DestinationListBuilder extends ItemListBuilder {

  /**
   * {@inheritdoc}
   */
  protected function columns(): array {
    return [
      'type' => $this->t('Kind'),
      'where' => $this->t('Where'),
      'answer' => $this->t('Last answer'),
    ];
  }

  /**
   * {@inheritdoc}
   */
  protected function cell(EntityInterface $entity, string $column): mixed {
    return match ($column) {
      'where' => $entity->get('path') ?: $entity->get('url') ?: $entity->get('repository'),
      'answer' => \Drupal::service('bam.places')->answer((string) $entity->id()),
      default => parent::cell($entity, $column),
    };
  }

  /**
   * {@inheritdoc}
   */
  public function render(): array {
    $build = parent::render();
    // What places answered changes without a change of configuration.
    $build['table']['#cache']['max-age'] = 0;
    $build['built_in'] = $this->builtIn();
    return $build;
  }

  /**
   * The places that are there by themselves, or come from another module.
   */
  private function builtIn(): array {
    $site = \Drupal::service('bam.site');
    $rows = [];
    foreach (array_diff_key($site->complete()['destinations'], $this->storage->loadMultiple()) as $name => $place) {
      $url = Url::fromRoute('bam.place.try', ['name' => (string) $name]);
      $rows[] = [
        $site->label('destinations', (string) $name),
        (string) $name,
        $place['type'],
        $place['path'] ?? $place['url'] ?? $place['repository'] ?? '',
        \Drupal::service('bam.places')->answer((string) $name),
        ['data' => ['#type' => 'operations', '#links' => ['try' => ['title' => $this->t('Try'), 'url' => $url]]]],
      ];
    }
    return $rows === [] ? [] : [
      '#type' => 'table',
      '#caption' => $this->t('There by themselves'),
      '#header' => [$this->t('Name'), $this->t('Machine name'), $this->t('Kind'), $this->t('Where'), $this->t('Last answer'), $this->t('Operations')],
      '#rows' => $rows,
    ];
  }

  /**
   * {@inheritdoc}
   */
  public function getDefaultOperations(EntityInterface $entity): array {
    $operations = parent::getDefaultOperations($entity);
    $operations['try'] = [
      'title' => $this->t('Try'),
      'weight' => 20,
      'url' => Url::fromRoute('bam.place.try', ['name' => $entity->id()]),
    ];
    return $operations;
  }

}
