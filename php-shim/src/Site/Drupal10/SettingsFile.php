<?php

namespace Bam\Site\Drupal10;

use Bam\Site\IncludedFile;
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
        $read = new self();
        $_SERVER = IncludedFile::server($uri);
        $docroot = $project->docroot();
        $include = static function () use ($read, $project, $docroot, $sitePath, $file): array {
            $loader = self::autoloader($project, $read);
            self::standIn();
            // Drupal's code, where it was loaded, has defined it.
            if (!defined('DRUPAL_ROOT')) {
                define('DRUPAL_ROOT', $docroot);
            }
            return self::evaluate($file, $docroot, $sitePath, $loader);
        };
        $said = IncludedFile::read($file, $docroot, static function () use ($read, $include): array {
            return $read->complaints($include);
        });
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

    /**
     * Runs something, and notes what PHP complains of meanwhile, in a line each, for who maintains the site. Nothing
     * of it is worth stopping for.
     *
     * @param callable(): array<string, mixed> $work
     * @return array<string, mixed>
     */
    private function complaints(callable $work): array
    {
        set_error_handler(function (int $level, string $text, string $where, int $line): bool {
            if ((error_reporting() & $level & ~(E_DEPRECATED | E_USER_DEPRECATED | E_NOTICE)) !== 0) {
                $this->note("$text (line $line of $where)");
            }
            return true;
        });
        try {
            return $work();
        } finally {
            restore_error_handler();
        }
    }

    private function note(string $text): void
    {
        $text = "settings.php: $text";
        if (!in_array($text, $this->notes, true) && count($this->notes) < self::TELL) {
            $this->notes[] = $text;
        }
    }
}
