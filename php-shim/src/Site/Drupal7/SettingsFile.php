<?php

namespace Bam\Site\Drupal7;

use Bam\BamException;
use Bam\Site\Locator;

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
        if (!is_readable($file)) {
            throw new BamException('permission', "cannot read $file", 'run this as the user that owns the site', 1);
        }
        self::prepare($root, $uri);
        $before = getcwd();
        chdir($root);
        ob_start();
        try {
            return self::take(self::evaluate($file, $confPath));
        } catch (\Throwable $cause) {
            throw new BamException(
                'config',
                "$file stopped with: " . $cause->getMessage() . ' (line ' . $cause->getLine() . ' of '
                . $cause->getFile() . ')',
                'mend it, or write a bam.yml and use the bam command',
                2,
                $cause
            );
        } finally {
            ob_end_clean();
            chdir((string) $before);
        }
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
        [$host, $path] = Locator::split($uri);
        $_SERVER = [
            'HTTP_HOST' => $host,
            'SERVER_NAME' => explode(':', $host)[0],
            'SCRIPT_NAME' => "$path/index.php",
            'PHP_SELF' => "$path/index.php",
            'REQUEST_URI' => "$path/",
            'REQUEST_METHOD' => 'GET',
            'REMOTE_ADDR' => '127.0.0.1',
            'SERVER_SOFTWARE' => null,
            'HTTP_USER_AGENT' => 'bam',
        ] + $_SERVER;
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
