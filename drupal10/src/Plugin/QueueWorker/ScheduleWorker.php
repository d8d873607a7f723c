<?php

declare(strict_types=1);

namespace Drupal\bam\Plugin\QueueWorker;

use Drupal\bam\Cron;
use Drupal\bam\Refused;
use Drupal\Core\Plugin\ContainerFactoryPluginInterface;
use Drupal\Core\Queue\QueueWorkerBase;
use Psr\Log\LoggerInterface;
use Symfony\Component\DependencyInjection\ContainerInterface;

/**
 * Starts the program for a schedule that is due.
 *
 * @QueueWorker(
 *   id = "bam_schedule",
 *   title = @Translation("Scheduled backups"),
 *   cron = {"time" = 60}
 * )
 */
final class ScheduleWorker extends QueueWorkerBase implements ContainerFactoryPluginInterface {

  public function __construct(
    array $configuration,
    $plugin_id,
    $plugin_definition,
    private readonly Cron $cron,
    private readonly LoggerInterface $logger,
  ) {
    parent::__construct($configuration, $plugin_id, $plugin_definition);
  }

  /**
   * {@inheritdoc}
   */
  public static function create(ContainerInterface $container, array $configuration, $plugin_id, $plugin_definition): static {
    return new static($configuration, $plugin_id, $plugin_definition, $container->get('bam.cron'), $container->get('logger.channel.bam'));
  }

  /**
   * {@inheritdoc}
   */
  public function processItem($data): void {
    $name = (string) ($data['schedule'] ?? '');
    // It may have been run by hand since it was put into the queue.
    if (!in_array($name, $this->cron->due(), TRUE)) {
      return;
    }
    try {
      $this->cron->start($name, PHP_SAPI === 'cli');
    }
    catch (Refused $cause) {
      // It stays due: the next cron run tries again.
      $this->logger->error('The schedule %name cannot be started: @error', ['%name' => $name, '@error' => $cause->getMessage()]);
    }
    catch (\RuntimeException $cause) {
      $this->cron->failed($name, $cause->getMessage());
    }
  }

}
