<?php

namespace Bam\Site;

/**
 * What has to be known about a Drupal site of any generation, however it is found out.
 */
interface Site
{
    /**
     * The folder that all of the site lies in, absolute: the docroot, or the Composer project around it.
     */
    public function root(): string;

    /**
     * The folder of settings.php, relative to the root: sites/default, web/sites/default.
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
     * Whether the site's settings name that address. Else it is the one that a request or a command line happened to
     * use, and does not tell whose a backup is.
     */
    public function urlIsSet(): bool;

    /**
     * The $databases of settings.php.
     *
     * @return array<string, array<string, array<mixed>>>
     */
    public function databases(): array;

    /**
     * Why the site's database gave nothing; null where it answered.
     */
    public function problem(): ?string;

    /**
     * What makes the site's document.
     */
    public function builder(): DocumentBuilder;

    /**
     * Whether a copy of the configuration may be kept for the day when the database gives none.
     */
    public function keepsCopy(): bool;

    /**
     * The names of what is in modules' code instead of the database, by part of the document.
     *
     * @return array<string, string[]>
     */
    public function inCode(): array;

    /**
     * Whether inCode() is all: only a running Drupal can tell what its modules keep in code.
     */
    public function seesCode(): bool;
}
