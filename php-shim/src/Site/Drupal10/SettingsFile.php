<?php

namespace Bam\Site\Drupal10;

use Bam\BamException;
use Bam\Site\Locator;
use Drupal\Core\Database\Database;
use Drupal\Core\Site\Settings;

/**
 * What settings.php says, and the files that it includes.
 */
final class SettingsFile
{
    /** How many complaints of PHP are worth telling. */
    private const TELL = 3;

    /** @var array<string, array<string, array<mixed>>> */
    public array $databases = [];
    /** @var array<string, mixed> */
    public array $settings = [];
    /** @var array<string, mixed> The overrides of configuration, by its name. */
    public array $config = [];
    /** @var string[] What could not be read, for people. */
    public array $notes = [];

    private function __construct()
    {
    }

    /**
     * Takes what the Drupal that runs in this process has read: settings.php may not bear being included twice.
     */
    public static function ofRunningDrupal(): self
    {
        $read = new self();
        $read->databases = Database::getAllConnectionInfo();
        $read->settings = Settings::getAll();
        $read->config = is_array($GLOBALS['config'] ?? null) ? $GLOBALS['config'] : [];
        return $read;
    }

    /**
     * Includes the file, in a world as Drupal makes it for its own include on a command line.
     *
     * @param string $sitePath The site's folder, relative to the docroot.
     */
    public static function load(Project $project, string $sitePath, string $uri): self
    {
        $file = $project->docroot() . "/$sitePath/settings.php";
        if (!is_readable($file)) {
            throw new BamException('permission', "cannot read $file", 'run this as the user that owns the site', 1);
        }
        $read = new self();
        self::prepare($uri);
        $before = getcwd();
        chdir($project->docroot());
        ob_start();
        // PHP's complaints are for whoever maintains the site, told in a line each; nothing here is worth stopping for.
        set_error_handler(static function (int $level, string $text, string $where, int $line) use ($read): bool {
            if ((error_reporting() & $level & ~(E_DEPRECATED | E_USER_DEPRECATED | E_NOTICE)) !== 0) {
                $read->note("$text (line $line of $where)");
            }
            return true;
        });
        try {
            $loader = self::autoloader($project, $read);
            self::standIn();
            // Drupal's code, where it was loaded, has defined it.
            if (!defined('DRUPAL_ROOT')) {
                define('DRUPAL_ROOT', $project->docroot());
            }
            $said = self::evaluate($file, $project->docroot(), $sitePath, $loader);
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
            restore_error_handler();
            ob_end_clean();
            chdir((string) $before);
        }
        foreach (['databases', 'settings', 'config'] as $name) {
            $read->$name = is_array($said[$name] ?? null) ? $said[$name] : [];
        }
        return $read;
    }

    /**
     * The site's autoloader: settings.php uses classes of Drupal's, and files that Composer loads set the environment.
     */
    private static function autoloader(Project $project, self $read): ?object
    {
        foreach ([$project->docroot() . '/autoload.php', $project->root() . '/vendor/autoload.php'] as $file) {
            if (!is_file($file)) {
                continue;
            }
            try {
                $loader = (static function () use ($file) {
                    return require $file;
                })();
                if (is_object($loader)) {
                    return $loader;
                }
            } catch (\Throwable $damaged) {
                // A restore must work where the code is not whole; what comes next may need none of it.
                $read->note('the code of the site does not load: ' . $damaged->getMessage());
            }
        }
        return null;
    }

    private static function standIn(): void
    {
        $missing = 'Drupal\Core\Installer\InstallerKernel';
        try {
            if (class_exists($missing)) {
                return;
            }
        } catch (\Throwable $damaged) {
            // The class is there, but what it builds on is not.
        }
        if (!class_exists($missing, false)) {
            class_alias(InstallerStandIn::class, $missing);
        }
    }

    /**
     * Runs the file in a scope with no variables but Drupal's (\Drupal\Core\Site\Settings::initialize()).
     *
     * @return array<string, mixed>
     */
    private static function evaluate(string $file, string $app_root, string $site_path, ?object $class_loader): array
    {
        $databases = [];
        $settings = [];
        $config = [];
        require $file;
        return ['databases' => $databases, 'settings' => $settings, 'config' => $config];
    }

    private static function prepare(string $uri): void
    {
        $https = strncmp($uri, 'https://', 8) === 0;
        [$host, $path] = Locator::split($uri);
        $_SERVER = [
            'HTTP_HOST' => $host,
            'SERVER_NAME' => explode(':', $host)[0],
            'SERVER_PORT' => (string) (explode(':', $host)[1] ?? ($https ? 443 : 80)),
            'SCRIPT_NAME' => "$path/index.php",
            'PHP_SELF' => "$path/index.php",
            'REQUEST_URI' => "$path/",
            'REQUEST_METHOD' => 'GET',
            'REMOTE_ADDR' => '127.0.0.1',
            'SERVER_SOFTWARE' => '',
            'HTTP_USER_AGENT' => 'bam',
        ] + ($https ? ['HTTPS' => 'on'] : []) + $_SERVER;
    }

    private function note(string $text): void
    {
        $text = "settings.php: $text";
        if (!in_array($text, $this->notes, true) && count($this->notes) < self::TELL) {
            $this->notes[] = $text;
        }
    }
}
