<?php

namespace Bam\Site;

use Bam\Site\Drupal10\Drupal10Site;
use Bam\Site\Drupal10\Project;
use Bam\Site\Drupal7\BareSite;

/**
 * Opens a site of whichever generation lies in a folder.
 */
final class Sites
{
    /**
     * Reads the site in a docroot, or in the Composer project around one. No Drupal that works is needed.
     *
     * @param string $folder The docroot or the project.
     * @param string $uri The site's address, as much of it as is known: which of several sites is meant.
     */
    public static function open(string $folder, string $uri = ''): Site
    {
        $project = self::isDrupal7($folder) ? null : Project::around($folder);
        return $project === null ? BareSite::open($folder, $uri) : Drupal10Site::open($project, $uri);
    }

    /**
     * Whether a docroot is that of a Drupal 7, whose code tells.
     */
    public static function isDrupal7(string $folder): bool
    {
        return is_file("$folder/includes/bootstrap.inc");
    }
}
