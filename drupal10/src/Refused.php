<?php

declare(strict_types=1);

namespace Drupal\bam;

/**
 * Another module does not want a run to be started now.
 */
final class Refused extends \RuntimeException {
}
