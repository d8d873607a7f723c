<?php

namespace Bam\Site;

use Bam\BamException;

/**
 * Finds a site's folder inside a docroot, as Drupal 7's conf_path() and Drupal 10's
 * DrupalKernel::findSitePath() do.
 */
final class Locator
{
    /**
     * The folder with settings.php, relative to the docroot.
     *
     * Drupal takes sites/default for every address that it does not know. A program that overwrites does not, where
     * there are several sites: the address may be mistyped. The default site is then meant by "default", by its
     * $base_url, or by what sites.php says.
     *
     * @param string $uri The site's address, as much of it as is known: http://example.org/sub, example.org, default.
     */
    public static function confPath(string $root, string $uri = ''): string
    {
        // What we may not look into is not taken for missing.
        foreach ([$root, "$root/sites", "$root/sites/default"] as $folder) {
            if (is_dir($folder) && !is_executable($folder)) {
                $hint = 'run this as the user that owns the site';
                throw new BamException('permission', "cannot look into $folder: permission denied", $hint, 1);
            }
        }
        if (!is_dir($root . '/sites')) {
            throw new BamException(
                'not_found',
                "$root is not the docroot of a Drupal site: there is no folder \"sites\" in it",
                'give the folder that holds index.php and sites',
                2
            );
        }
        [$host, $path] = self::split($uri);
        $found = self::search($root, $host, $path);
        if ($found !== null) {
            return $found;
        }
        $sites = self::sites($root);
        if (in_array('default', $sites, true)) {
            if ($host === 'default' || count($sites) === 1 || self::isDefault($root, $host, $path)) {
                return 'sites/default';
            }
            throw new BamException(
                'not_found',
                "no site in $root/sites has the address \"$uri\"",
                'there are: ' . implode(', ', $sites) . '. Drupal would take sites/default: if that is meant, say '
                    . "--uri default, or name the address in sites.php (\$sites['$host'] = 'default';)",
                2
            );
        }
        throw new BamException(
            'not_found',
            "there is no settings.php for " . ($uri === '' ? 'the default site' : "\"$uri\"") . " in $root/sites",
            $sites === [] ? 'without it nobody knows the database: write a bam.yml and use the bam command'
                : 'name one of the sites that are there with --uri: ' . implode(', ', $sites),
            2
        );
    }

    /**
     * Host (with port) and path of an address. A bare word is a host, as Drush takes it.
     *
     * @return array{0: string, 1: string}
     */
    public static function split(string $uri): array
    {
        if ($uri === '') {
            return ['default', ''];
        }
        $parts = parse_url(strpos($uri, '://') === false ? "http://$uri" : $uri);
        $parts = is_array($parts) ? $parts : [];
        $host = ($parts['host'] ?? 'default') . (isset($parts['port']) ? ':' . $parts['port'] : '');
        return [$host, rtrim($parts['path'] ?? '', '/')];
    }

    private static function search(string $root, string $host, string $path): ?string
    {
        $aliases = self::aliases($root);
        $uri = explode('/', "$path/index.php");
        $server = explode('.', implode('.', array_reverse(explode(':', rtrim($host, '.')))));
        for ($i = count($uri) - 1; $i > 0; $i--) {
            for ($j = count($server); $j > 0; $j--) {
                $folder = implode('.', array_slice($server, -$j)) . implode('.', array_slice($uri, 0, $i));
                if (isset($aliases[$folder]) && is_dir("$root/sites/{$aliases[$folder]}")) {
                    $folder = $aliases[$folder];
                }
                if (is_file("$root/sites/$folder/settings.php")) {
                    return "sites/$folder";
                }
            }
        }
        return null;
    }

    /**
     * The folders below sites/ that have a settings.php.
     *
     * @return string[]
     */
    private static function sites(string $root): array
    {
        return array_map(static function (string $file): string {
            return basename(dirname($file));
        }, glob($root . '/sites/*/settings.php') ?: []);
    }

    /**
     * Whether the default site's settings.php says that it has this address.
     */
    private static function isDefault(string $root, string $host, string $path): bool
    {
        $text = (string) @file_get_contents("$root/sites/default/settings.php");
        if (!preg_match('/^[ \t]*\$base_url\s*=\s*([\'"])([^\'"]+)\1/m', $text, $found)) {
            return false;
        }
        return self::split($found[2]) === [$host, $path];
    }

    /**
     * What sites/sites.php says.
     *
     * @return array<string, string>
     */
    private static function aliases(string $root): array
    {
        $sites = [];
        if (is_file("$root/sites/sites.php")) {
            include "$root/sites/sites.php";
        }
        return $sites;
    }
}
