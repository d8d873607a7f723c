<?php

namespace Bam\Site\Drupal10;

/**
 * Stands for \Drupal\Core\Installer\InstallerKernel while a settings.php is read whose Drupal is not there: hosts' and
 * distributions' settings ask it whether the site is being installed.
 */
final class InstallerStandIn
{
    public static function installationAttempted(): bool
    {
        return false;
    }
}
