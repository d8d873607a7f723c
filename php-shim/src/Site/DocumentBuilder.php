<?php

namespace Bam\Site;

use Bam\Document;

/**
 * Makes the configuration document of a site (docs/configuration.md): the part that all generations of Drupal share.
 *
 * What every site has (the sources db, files, archive; the default profile) the engine adds by itself.
 */
abstract class DocumentBuilder
{
    /** @var string[] What the document cannot say, for people. */
    protected array $notes = [];

    abstract public function build(): Document;

    /**
     * What the document cannot say, for people.
     *
     * @return string[]
     */
    public function notes(): array
    {
        return $this->notes;
    }

    /**
     * What tells the site from others.
     *
     * @param mixed $aliases Addresses that it had or has besides.
     * @return array<string, mixed>
     */
    protected static function identity(Site $site, $aliases): array
    {
        $url = $site->url();
        $aliases = array_values(array_filter((array) $aliases, 'is_string'));
        return ($url === '' ? [] : ['url' => $url] + ($site->urlIsSet() ? [] : ['url_uncertain' => true]))
            + ($aliases === [] ? [] : ['aliases' => $aliases]);
    }

    /**
     * The databases of settings.php.
     *
     * @param string $base The folder that relative paths of SQLite files count from.
     * @return array<string, array<string, string>>
     */
    protected function databasesOf(Site $site, string $base): array
    {
        $found = [];
        foreach ($site->databases() as $key => $targets) {
            foreach ($targets as $target => $info) {
                $database = new DatabaseInfo((array) $info, $base);
                $name = "$key:$target" === 'default:default' ? 'db' : "db:$key:$target";
                if (!$database->isSupported()) {
                    $this->notes[] = "database $key:$target: bam knows no databases of the kind "
                        . "\"{$database->driver()}\"; it is left out";
                    continue;
                }
                if ($database->hasTablePrefixes()) {
                    $this->notes[] = "database $key:$target: some tables have a prefix of their own in settings.php; "
                        . 'bam backs up the tables with the default prefix';
                }
                $found[$name] = $database->entry();
            }
        }
        return $found;
    }

    /**
     * Without what is not set.
     *
     * @param array<string, mixed> $values
     * @return array<string, mixed>
     */
    protected static function optional(array $values): array
    {
        return array_filter($values, static function ($value): bool {
            return $value !== '' && $value !== null;
        });
    }

    /**
     * @param mixed $value
     * @return array<mixed>
     */
    protected static function map($value): array
    {
        return is_array($value) ? $value : [];
    }
}
