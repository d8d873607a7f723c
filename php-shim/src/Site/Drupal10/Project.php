<?php

namespace Bam\Site\Drupal10;

/**
 * Where a Drupal of the generation that began with 8 lies: its docroot, and the Composer project around it.
 *
 * Found by what is there, so that a site whose code is lost can be restored: composer.json, Drupal's core, and at
 * last a settings.php that speaks of $settings.
 */
final class Project
{
    /** Docroots as the templates for Composer projects, and the larger hosts, call them. */
    private const DOCROOTS = ['web', 'docroot', 'html', 'public', 'public_html', 'httpdocs', 'www', 'drupal'];

    /** How deep in its project a docroot may lie. */
    private const LEVELS = 3;

    private string $root;
    private string $docroot;

    private function __construct(string $root, string $docroot)
    {
        $this->root = $root;
        $this->docroot = $docroot;
    }

    /**
     * The project that a folder is the root or the docroot of; null where it is neither.
     */
    public static function around(string $folder): ?self
    {
        $folder = realpath($folder);
        if ($folder === false) {
            return null;
        }
        $inside = self::docrootOf($folder);
        if ($inside !== null) {
            return new self($folder, $inside);
        }
        // A docroot: does one of the folders above say that it is its?
        for ($above = dirname($folder), $level = 0; $level < self::LEVELS; $above = dirname($above), $level++) {
            $path = ltrim(substr($folder, strlen($above)), '/');
            if ($path !== '' && self::docrootOf($above) === $path) {
                return new self($above, $path);
            }
        }
        return self::isDocroot($folder) ? new self($folder, '') : null;
    }

    /**
     * The folder around everything, absolute.
     */
    public function root(): string
    {
        return $this->root;
    }

    /**
     * The docroot, absolute.
     */
    public function docroot(): string
    {
        return $this->docroot === '' ? $this->root : "$this->root/$this->docroot";
    }

    /**
     * A path in the docroot, relative to the root: sites/default is web/sites/default.
     */
    public function fromRoot(string $path): string
    {
        return $this->docroot === '' ? $path : "$this->docroot/$path";
    }

    /**
     * The version of Drupal's code; empty where it is not there.
     */
    public function version(): string
    {
        $code = @file_get_contents($this->docroot() . '/core/lib/Drupal.php', false, null, 0, 16384);
        return preg_match("/const VERSION = '([^']+)'/", (string) $code, $found) ? $found[1] : '';
    }

    /**
     * The docroot of a Composer project, relative to it ('' where they are one); null where this is no such project.
     */
    private static function docrootOf(string $folder): ?string
    {
        $composer = json_decode((string) @file_get_contents("$folder/composer.json"), true);
        $isProject = is_array($composer) && self::requiresDrupal($composer);
        if ($isProject) {
            $named = $composer['extra']['drupal-scaffold']['locations']['web-root'] ?? null;
            $named = is_string($named) ? trim(preg_replace('#^(\./)+#', '', $named), '/') : null;
            $named = $named === '.' ? '' : $named;
            if ($named !== null && strpos("/$named/", '/../') === false && is_dir(rtrim("$folder/$named", '/'))) {
                return $named;
            }
        }
        if (self::isDocroot($folder)) {
            return $isProject ? '' : null;
        }
        foreach (self::DOCROOTS as $name) {
            // Without a composer.json any folder that holds a docroot called "web" would do: vendor tells it apart.
            if (self::isDocroot("$folder/$name") && ($isProject || is_dir("$folder/vendor"))) {
                return $name;
            }
        }
        return null;
    }

    /**
     * @param array<mixed> $composer
     */
    private static function requiresDrupal(array $composer): bool
    {
        foreach (array_keys((array) ($composer['require'] ?? [])) as $package) {
            if (preg_match('#^drupal/(core(-recommended|-composer-scaffold)?|drupal)$#', $package)) {
                return true;
            }
        }
        return isset($composer['extra']['drupal-scaffold']['locations']['web-root']);
    }

    private static function isDocroot(string $folder): bool
    {
        if (is_file("$folder/core/lib/Drupal.php")) {
            return true;
        }
        if (is_file("$folder/includes/bootstrap.inc")) {
            return false;
        }
        foreach (glob("$folder/sites/*/settings.php") ?: [] as $settings) {
            // Its code may be lost. Drupal 7 calls them $conf.
            if (preg_match('/^\s*\$settings\[/m', (string) @file_get_contents($settings))) {
                return true;
            }
        }
        return false;
    }
}
