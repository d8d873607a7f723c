<?php

namespace Bam\Site\Drupal7;

use Bam\BamException;
use Bam\Site\DatabaseInfo;
use Bam\Site\DocumentBuilder;
use Bam\Site\Locator;
use Bam\Site\Serialized;

/**
 * A site known by its settings.php and, as far as it answers, its database. Needs no Drupal that works.
 */
final class BareSite implements Drupal7Site
{
    private string $root;
    private string $confPath;
    private string $uri;
    private SettingsFile $settings;
    private ?\PDO $pdo = null;
    private ?DatabaseInfo $database = null;
    private ?string $problem = null;
    /** @var array<string, mixed> What the table `variable` holds. */
    private array $stored = [];

    public function __construct(string $root, string $confPath, SettingsFile $settings, string $uri = '')
    {
        $this->root = $root;
        $this->confPath = $confPath;
        $this->settings = $settings;
        $this->uri = $uri;
        $this->readVariables();
    }

    /**
     * Finds the site in a docroot and reads its settings.php.
     */
    public static function open(string $root, string $uri = ''): self
    {
        $real = realpath($root);
        $root = $real === false ? $root : $real;
        $confPath = Locator::confPath($root, $uri);
        return new self($root, $confPath, SettingsFile::load($root, $confPath, $uri), $uri);
    }

    public function root(): string
    {
        return $this->root;
    }

    public function confPath(): string
    {
        return $this->confPath;
    }

    public function version(): string
    {
        if (defined('VERSION')) {
            return (string) constant('VERSION');
        }
        $code = @file_get_contents($this->root . '/includes/bootstrap.inc', false, null, 0, 4096);
        return preg_match("/define\('VERSION', '([^']+)'\)/", (string) $code, $found) ? $found[1] : '';
    }

    public function url(): string
    {
        if ($this->settings->baseUrl !== '') {
            return $this->settings->baseUrl;
        }
        return strpos($this->uri, '.') === false ? $this->lastUrl()
            : preg_replace('#^(?!https?://)#', 'http://', $this->uri);
    }

    /**
     * The address at which the pages were opened last, if it leads to this site or the site was named otherwise.
     *
     * Programs are given it as --uri, and would find another site by an address that sites/ does not know.
     */
    private function lastUrl(): string
    {
        $url = $this->variable('bam_url', '');
        if (!is_string($url) || strpos($url, '://') === false) {
            return '';
        }
        try {
            $leads = $this->uri === 'default' || Locator::confPath($this->root, $url) === $this->confPath;
        } catch (BamException $unknown) {
            $leads = false;
        }
        return $leads ? $url : '';
    }

    public function urlIsSet(): bool
    {
        return $this->settings->baseUrl !== '';
    }

    public function databases(): array
    {
        return $this->settings->databases;
    }

    public function variable(string $name, $default = null)
    {
        return $this->settings->conf[$name] ?? $this->stored[$name] ?? $default;
    }

    public function items(string $type): Items
    {
        $items = new Items();
        $items->addDefaults($this->variable("backup_migrate_{$type}s_defaults"));
        if ($this->pdo !== null && $this->database !== null) {
            try {
                $table = $this->database->table("backup_migrate_{$type}s");
                $items->addRows($this->pdo->query("SELECT * FROM $table", \PDO::FETCH_ASSOC));
            } catch (\PDOException $missing) {
                // Backup and Migrate was never installed here.
            }
        }
        return $items;
    }

    public function cronModule(): string
    {
        if ($this->pdo === null || $this->database === null) {
            return '';
        }
        $names = "'" . implode("', '", self::CRON_MODULES) . "'";
        try {
            $table = $this->database->table('system');
            $found = $this->pdo->query(
                "SELECT name FROM $table WHERE type = 'module' AND status = 1 AND name IN ($names)"
            )->fetchAll(\PDO::FETCH_COLUMN);
        } catch (\PDOException $missing) {
            return '';
        }
        return current(array_intersect(self::CRON_MODULES, $found)) ?: '';
    }

    public function problem(): ?string
    {
        return $this->problem;
    }

    public function builder(): DocumentBuilder
    {
        return new Drupal7DocumentBuilder($this);
    }

    public function keepsCopy(): bool
    {
        return (bool) $this->variable('bam_keep_configuration', true);
    }

    public function inCode(): array
    {
        return Items::inCodeOf($this);
    }

    public function seesCode(): bool
    {
        return false;
    }

    private function readVariables(): void
    {
        $info = $this->settings->databases['default']['default'] ?? null;
        if (!is_array($info)) {
            $this->problem = "{$this->confPath}/settings.php names no default database";
            return;
        }
        $this->database = new DatabaseInfo($info, $this->root);
        try {
            $pdo = $this->database->connect();
            $rows = $pdo->query('SELECT name, value FROM ' . $this->database->table('variable'), \PDO::FETCH_ASSOC);
            foreach ($rows as $row) {
                $this->stored[$row['name']] = Serialized::read($row['value']);
            }
        } catch (\PDOException $cause) {
            $this->problem = self::plain($cause);
            return;
        }
        // No Drupal is without variables: an empty table is the ruin of one.
        if ($this->stored === []) {
            $this->problem = 'its table "variable" is empty';
            return;
        }
        $this->pdo = $pdo;
    }

    /**
     * The server's sentence without the SQLSTATE codes around it.
     */
    private static function plain(\PDOException $cause): string
    {
        return (string) preg_replace('/^SQLSTATE\[\w*\]:?(?: \[\d+\])?\s*/', '', $cause->getMessage());
    }
}
