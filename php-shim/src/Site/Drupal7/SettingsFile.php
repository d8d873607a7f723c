<?php

namespace Bam\Site\Drupal7;

use Bam\Site\IncludedFile;

/**
 * What settings.php says.
 */
final class SettingsFile
{
    /** @var array<string, array<string, array<mixed>>> */
    public array $databases;
    /** @var array<string, mixed> */
    public array $conf;
    public string $baseUrl;

    /**
     * @param array<string, array<string, array<mixed>>> $databases
     * @param array<string, mixed> $conf
     */
    private function __construct(array $databases, array $conf, string $baseUrl)
    {
        $this->databases = $databases;
        $this->conf = $conf;
        $this->baseUrl = $baseUrl;
    }

    /**
     * Takes what Drupal has read already.
     */
    public static function fromGlobals(): self
    {
        return self::take($GLOBALS);
    }

    /**
     * Includes the file, in a world as Drupal makes it for its own include on a command line.
     */
    public static function load(string $root, string $confPath, string $uri): self
    {
        $file = "$root/$confPath/settings.php";
        self::prepare($root, $uri);
        return IncludedFile::read($file, $root, static function () use ($file, $confPath): self {
            return self::take(self::evaluate($file, $confPath));
        });
    }

    /**
     * Runs the file in a scope with no variables but Drupal's.
     *
     * @return array<string, mixed>
     */
    private static function evaluate(string $file, string $confPath): array
    {
        global $base_url, $databases, $cookie_domain, $conf, $installed_profile, $update_free_access, $drupal_hash_salt;
        $conf = [];
        $databases = [];
        include $file;
        return ['databases' => $databases, 'conf' => $conf, 'base_url' => $base_url];
    }

    /**
     * Gives settings.php the constants, functions and server variables that it may use.
     */
    private static function prepare(string $root, string $uri): void
    {
        $_SERVER = ['SERVER_SOFTWARE' => null] + IncludedFile::server($uri);
        if (!defined('DRUPAL_ROOT')) {
            define('DRUPAL_ROOT', $root);
        }
        // Drupal's own functions where its code is whole; a restore must work where it is not.
        try {
            if (!function_exists('conf_path') && is_readable("$root/includes/bootstrap.inc")) {
                require_once "$root/includes/bootstrap.inc";
            }
        } catch (\Throwable $damaged) {
            // settings.php rarely needs more than DRUPAL_ROOT.
        }
    }

    /**
     * @param array<string, mixed> $from
     */
    private static function take(array $from): self
    {
        $array = static function (string $name) use ($from): array {
            return isset($from[$name]) && is_array($from[$name]) ? $from[$name] : [];
        };
        return new self($array('databases'), $array('conf'), (string) ($from['base_url'] ?? ''));
    }
}
