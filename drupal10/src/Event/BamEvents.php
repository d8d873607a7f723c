<?php

declare(strict_types=1);

namespace Drupal\bam\Event;

/**
 * The events around runs that this site's pages and cron start.
 *
 * Runs of Drush and of the program itself have none: Drupal does not run there.
 */
final class BamEvents {

  /**
   * Before a run is started; a listener may keep it from starting.
   *
   * @Event
   */
  public const START = 'bam.start';

  /**
   * After a run has ended, however it ended.
   *
   * @Event
   */
  public const END = 'bam.end';

}
