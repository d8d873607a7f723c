<?php

declare(strict_types=1);

namespace Drupal\bam\Controller;

use Drupal\bam\FirstSteps;
use Drupal\Core\Controller\ControllerBase;
use Symfony\Component\DependencyInjection\ContainerInterface;

/**
 * The page of the first steps.
 */
final class StartController extends ControllerBase {

  public function __construct(private readonly FirstSteps $steps) {}

  /**
   * {@inheritdoc}
   */
  public static function create(ContainerInterface $container): static {
    return new static($container->get('bam.first_steps'));
  }

  /**
   * The page.
   */
  public function page(): array {
    $rows = [];
    $next = TRUE;
    foreach (array_values($this->steps->all()) as $number => $step) {
      $links = [];
      foreach ($step['links'] as [$title, $url]) {
        // The button is that of the step which comes next.
        $button = $next && !$step['done'] ? ['#attributes' => ['class' => ['button', 'button--primary', 'button--small']]] : [];
        $links[] = ['#type' => 'link', '#title' => $title, '#url' => $url] + $button;
      }
      $next = $next && $step['done'];
      $rows[] = [
        ['data' => ($number + 1) . '. ' . $step['title'], 'header' => TRUE],
        ['data' => ['why' => ['#prefix' => '<p>', '#plain_text' => $step['why'], '#suffix' => '</p>'], 'state' => ['#plain_text' => $step['state']]]],
        $step['done'] ? $this->t('done') : $this->t('to do'),
        ['data' => $links],
      ];
    }
    return [
      '#cache' => ['max-age' => 0],
      '#attached' => ['library' => ['bam/pages']],
      'why' => ['#markup' => '<p>' . $this->t('Six steps to backups that can be trusted. They can be left and taken up at any time.') . '</p>'],
      'steps' => [
        '#type' => 'table',
        '#header' => [$this->t('Step'), $this->t('Why, and where it stands'), $this->t('State'), $this->t('Go')],
        '#rows' => $rows,
      ],
    ];
  }

}
