<?php

declare(strict_types=1);

namespace Drupal\bam\EventSubscriber;

use Bam\Site\Drupal10\Maintenance;
use Drupal\bam\Jobs;
use Drupal\bam\Program;
use Drupal\Core\State\StateInterface;
use Psr\Log\LoggerInterface;
use Symfony\Component\EventDispatcher\EventSubscriberInterface;
use Symfony\Component\HttpKernel\Event\RequestEvent;
use Symfony\Component\HttpKernel\KernelEvents;

/**
 * Notices runs that have ended, and takes the site out of a maintenance mode.
 *
 * The latter if a run was killed that had put it there. With nothing under way
 * this costs one look into a folder, after the page is sent. And remembers the
 * address of the site.
 */
final class EndOfRequest implements EventSubscriberInterface {

  public function __construct(
    private readonly Jobs $jobs,
    private readonly Program $program,
    private readonly StateInterface $state,
    private readonly LoggerInterface $logger,
  ) {}

  /**
   * {@inheritdoc}
   */
  public static function getSubscribedEvents(): array {
    // Routes are found, and access to them is checked, before.
    return [KernelEvents::REQUEST => 'onRequest', KernelEvents::TERMINATE => 'onTerminate'];
  }

  /**
   * Remembers the address at which the site is reached, for runs that know none.
   *
   * Any visitor may write an address into a request: only requests count of
   * whom may see the pages here, or who knows cron's key.
   */
  public function onRequest(RequestEvent $event): void {
    $route = (string) $event->getRequest()->attributes->get('_route');
    $trusted = str_starts_with($route, 'bam.') || in_array($route, ['system.cron', 'system.run_cron'], TRUE);
    $url = $GLOBALS['base_url'] ?? '';
    if ($trusted && PHP_SAPI !== 'cli' && parse_url($url, PHP_URL_HOST) && $this->state->get('bam.url') !== $url) {
      $this->state->set('bam.url', $url);
    }
    if (str_starts_with($route, 'bam.')) {
      $this->jobs->forgetTyped();
    }
  }

  /**
   * After the page is sent.
   */
  public function onTerminate(): void {
    if ($this->jobs->open() !== []) {
      $this->jobs->collect();
    }
    if ($this->state->get('bam.maintenance') === NULL || !$this->program->loadShim()) {
      return;
    }
    $site = $this->program->site();
    if ($site->store() !== NULL && (new Maintenance($site, $site->store()))->repair()) {
      $this->state->resetCache();
      $this->logger->warning('The site was still offline after a backup or restore that was killed; it is back online.');
    }
  }

}
