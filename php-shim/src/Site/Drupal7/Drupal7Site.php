<?php

namespace Bam\Site\Drupal7;

use Bam\Site\Site;

/**
 * What has to be known about a Drupal 7 site, however it is found out.
 */
interface Drupal7Site extends Site
{
    /**
     * A variable; $conf in settings.php wins over the database.
     *
     * @param mixed $default
     * @return mixed
     */
    public function variable(string $name, $default = null);

    /**
     * Backup and Migrate's items of a type (Items::TYPES), in the shape in which it exports them.
     */
    public function items(string $type): Items;
}
