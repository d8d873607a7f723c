<?php

namespace Bam\Site;

/**
 * What has to be known about a Drupal 7 site, however it is found out.
 */
interface Site
{
    /**
     * The docroot, absolute.
     */
    public function root(): string;

    /**
     * The folder of settings.php, relative to the docroot: sites/default.
     */
    public function confPath(): string;

    /**
     * Drupal's version, e.g. 7.103; empty where nobody knows.
     */
    public function version(): string;

    /**
     * The site's address; empty where nobody knows.
     */
    public function url(): string;

    /**
     * The $databases of settings.php.
     *
     * @return array<string, array<string, array<mixed>>>
     */
    public function databases(): array;

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

    /**
     * Why the site's database gave nothing; null where it answered.
     */
    public function problem(): ?string;
}
