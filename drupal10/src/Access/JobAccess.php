<?php

declare(strict_types=1);

namespace Drupal\bam\Access;

use Drupal\bam\Jobs;
use Drupal\Core\Access\AccessResult;
use Drupal\Core\Access\AccessResultInterface;
use Drupal\Core\DependencyInjection\ContainerInjectionInterface;
use Drupal\Core\Session\AccountInterface;
use Symfony\Component\DependencyInjection\ContainerInterface;

/**
 * Who may watch and stop a run.
 */
final class JobAccess implements ContainerInjectionInterface {

  public function __construct(private readonly Jobs $jobs) {}

  /**
   * {@inheritdoc}
   */
  public static function create(ContainerInterface $container): static {
    return new static($container->get('bam.jobs'));
  }

  /**
   * Who may start a run may watch it.
   *
   * A restore replaces the sessions, too, and so logs out whoever started it.
   * Its progress is shown to everybody who knows its ID: 128 random bits.
   */
  public function watch(AccountInterface $account, string $job): AccessResultInterface {
    $found = $this->jobs->load($job);
    if ($found === NULL) {
      return AccessResult::forbidden()->setCacheMaxAge(0);
    }
    return AccessResult::allowedIf($found['kind'] === 'restore' || $account->hasPermission(Jobs::permission($found['kind'])))
      ->cachePerPermissions()
      ->setCacheMaxAge(0);
  }

  /**
   * Stopping needs the permission, whatever the run.
   */
  public function cancel(AccountInterface $account, string $job): AccessResultInterface {
    $found = $this->jobs->load($job);
    return AccessResult::allowedIf($found !== NULL && $account->hasPermission(Jobs::permission($found['kind'])))
      ->cachePerPermissions()
      ->setCacheMaxAge(0);
  }

}
