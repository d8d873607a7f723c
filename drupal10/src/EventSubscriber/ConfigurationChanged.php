<?php

declare(strict_types=1);

namespace Drupal\bam\EventSubscriber;

use Drupal\bam\SiteConfiguration;
use Drupal\Core\Config\ConfigCrudEvent;
use Drupal\Core\Config\ConfigEvents;
use Symfony\Component\EventDispatcher\EventSubscriberInterface;

/**
 * With other settings the places may answer otherwise: they are asked anew.
 */
final class ConfigurationChanged implements EventSubscriberInterface {

  public function __construct(private readonly SiteConfiguration $site) {}

  /**
   * {@inheritdoc}
   */
  public static function getSubscribedEvents(): array {
    return [ConfigEvents::SAVE => 'onChange', ConfigEvents::DELETE => 'onChange'];
  }

  /**
   * After a change of configuration.
   */
  public function onChange(ConfigCrudEvent $event): void {
    if (str_starts_with($event->getConfig()->getName(), 'bam.')) {
      $this->site->forget();
    }
  }

}
