<?php

namespace Bam\Site\Drupal7;

use Bam\Site\Site;

/**
 * What has to be known about a Drupal 7 site, however it is found out.
 */
interface Drupal7Site extends Site
{
    /** Modules that run Backup and Migrate's schedules; the first that is enabled does. */
    public const CRON_MODULES = ['bam', 'backup_migrate'];

    /**
     * A variable; $conf in settings.php wins over the database.
     *
     * @param mixed $default
     * @return mixed
     */
    public function variable(string $name, $default = null);

    /**
     * The module whose cron runs the schedules; empty where none of them is enabled, or nobody can tell.
     */
    public function cronModule(): string;

    /**
     * Backup and Migrate's items of a type (Items::TYPES), in the shape in which it exports them.
     */
    public function items(string $type): Items;
}
