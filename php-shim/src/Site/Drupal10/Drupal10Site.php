<?php

namespace Bam\Site\Drupal10;

use Bam\BamException;
use Bam\Site\DatabaseInfo;
use Bam\Site\DocumentBuilder;
use Bam\Site\Locator;
use Bam\Site\Site;

/**
 * A site of Drupal 8 to 11, known by its settings.php and, as far as it answers, its database: the tables `config` and
 * `key_value`. Needs no Drupal that works.
 */
final class Drupal10Site implements Site
{
    /** The configuration that is read, by the beginnings of its names. */
    private const READ = ['system.site', 'system.date', 'system.file', 'bam.', 'backup_migrate.', 'key.key.'];
    /** Backends of caches that are neither the database nor this process's. */
    private const ELSEWHERE = '/^cache\.backend\.(?!database|null|memory|chainedfast|apcu|php)(\w+)/';
    /** `uri` below `options` in a drush.yml. */
    private const URI = '/^options:\s*\n(?:[ \t]+.*\n|\s*\n)*?[ \t]+uri:\s*[\'"]?([^\s\'"]+)/m';

    private Project $project;
    private string $sitePath;
    private string $uri;
    private SettingsFile $settings;
    private ?Store $store = null;
    private ?string $problem = null;
    /** @var array<string, array<string, mixed>> The configuration that is ours to read, by name, overrides applied. */
    private array $config = [];
    /** @var array<string, array<string, mixed>> What of the key-value store is ours to read, by collection. */
    private array $values = [];

    private function __construct(Project $project, string $sitePath, SettingsFile $settings, string $uri)
    {
        $this->project = $project;
        $this->sitePath = $sitePath;
        $this->settings = $settings;
        $this->uri = $uri;
        $this->read();
    }

    /**
     * Finds the site in a project and reads its settings.php.
     */
    public static function open(Project $project, string $uri = ''): self
    {
        $sitePath = Locator::confPath($project->docroot(), $uri);
        return new self($project, $sitePath, SettingsFile::load($project, $sitePath, $uri), $uri);
    }

    /**
     * The site of the Drupal that runs in this process.
     *
     * @param string $uri Its address, where that is known.
     */
    public static function running(string $uri = ''): self
    {
        $docroot = \Drupal::root();
        $project = Project::around($docroot);
        if ($project === null) {
            throw new BamException('not_found', "$docroot is not the docroot of a Drupal 10 site");
        }
        $sitePath = (string) \Drupal::getContainer()->getParameter('site.path');
        return new self($project, $sitePath, SettingsFile::ofRunningDrupal(), $uri);
    }

    public function project(): Project
    {
        return $this->project;
    }

    /**
     * The site's folder, relative to the docroot.
     */
    public function sitePath(): string
    {
        return $this->sitePath;
    }

    public function root(): string
    {
        return $this->project->root();
    }

    public function confPath(): string
    {
        return $this->project->fromRoot($this->sitePath);
    }

    public function version(): string
    {
        return $this->project->version();
    }

    public function url(): string
    {
        $asked = self::address([$this->uri, (string) getenv('DRUSH_OPTIONS_URI')]);
        return $asked === '' ? $this->setUrl() : $asked;
    }

    public function urlIsSet(): bool
    {
        return $this->url() === $this->setUrl();
    }

    /**
     * The address that drush.yml or the site's state names.
     */
    private function setUrl(): string
    {
        $known = $this->values['state']['bam.url'] ?? '';
        return self::address([$this->drushUri(), is_string($known) ? $known : '']);
    }

    /**
     * The first of these that is an address.
     *
     * @param string[] $candidates
     */
    private static function address(array $candidates): string
    {
        foreach ($candidates as $candidate) {
            [$host] = Locator::split($candidate);
            // A bare word chooses among sites; what Drush makes up names none.
            if (strpos($host, '.') !== false || strncmp($host, 'localhost', 9) === 0) {
                return rtrim((string) preg_replace('#^(?!https?://)#', 'http://', $candidate), '/');
            }
        }
        return '';
    }

    public function databases(): array
    {
        return $this->settings->databases;
    }

    public function problem(): ?string
    {
        return $this->problem;
    }

    /**
     * What could not be read of settings.php.
     *
     * @return string[]
     */
    public function notes(): array
    {
        return $this->settings->notes;
    }

    /**
     * A value of $settings.
     *
     * @return mixed
     */
    public function setting(string $name)
    {
        return $this->settings->settings[$name] ?? null;
    }

    /**
     * One object of the configuration.
     *
     * @return array<string, mixed> Empty where there is none.
     */
    public function config(string $name): array
    {
        return $this->config[$name] ?? [];
    }

    /**
     * The configuration entities whose names begin so, by what comes after that.
     *
     * @return array<string, array<string, mixed>>
     */
    public function entities(string $beginning): array
    {
        $found = [];
        foreach ($this->config as $name => $data) {
            if (strncmp($name, $beginning, strlen($beginning)) === 0) {
                $found[substr($name, strlen($beginning))] = $data;
            }
        }
        return $found;
    }

    /**
     * A collection of the key-value store, of those that are read: state, bam.last_run.
     *
     * @return array<string, mixed>
     */
    public function values(string $collection): array
    {
        return $this->values[$collection] ?? [];
    }

    /**
     * The tables, for writing; null where the database does not answer.
     */
    public function store(): ?Store
    {
        return $this->store;
    }

    /**
     * The tables over a connection of their own: the server may have closed another one meanwhile, and a restore may
     * have exchanged what it was connected to.
     *
     * @throws \PDOException
     */
    public function freshStore(): Store
    {
        $database = new DatabaseInfo($this->settings->databases['default']['default'] ?? [], $this->project->docroot());
        return new Store($database->connect(), $database);
    }

    public function builder(): DocumentBuilder
    {
        return new Drupal10DocumentBuilder($this);
    }

    public function keepsCopy(): bool
    {
        return (bool) ($this->config('bam.settings')['keep_configuration'] ?? true);
    }

    /**
     * Configuration is in the database, all of it.
     */
    public function inCode(): array
    {
        return [];
    }

    public function seesCode(): bool
    {
        return true;
    }

    /**
     * Where the private files, and others that settings.php names, are: absolute, or relative to the docroot as Drupal
     * takes them.
     */
    public function fromDocroot(string $path): string
    {
        return strncmp($path, '/', 1) === 0 ? $path : self::plain($this->project->docroot() . "/$path");
    }

    /**
     * The folder of the public files, absolute.
     */
    public function publicFolder(): string
    {
        $path = (string) $this->setting('file_public_path');
        return $this->fromDocroot($path === '' ? "$this->sitePath/files" : $path);
    }

    /**
     * Which caches are kept elsewhere than in the database, by the names of their backends: Redis, Memcache.
     *
     * @return string[]
     */
    public function cachesElsewhere(): array
    {
        $cache = $this->setting('cache');
        $backends = [];
        $named = is_array($cache) ? array_merge([$cache['default'] ?? ''], (array) ($cache['bins'] ?? [])) : [];
        foreach ($named as $name) {
            if (is_string($name) && preg_match(self::ELSEWHERE, $name, $found)) {
                $backends[$found[1]] = $found[1];
            }
        }
        return array_values($backends);
    }

    private function read(): void
    {
        $info = $this->settings->databases['default']['default'] ?? null;
        if (!is_array($info)) {
            $this->problem = "{$this->confPath()}/settings.php names no default database";
        } else {
            try {
                $store = $this->freshStore();
                $this->config = $store->config(...self::READ);
                // No site is without a name: an empty table is the ruin of one.
                if (!isset($this->config['system.site'])) {
                    $this->problem = 'its table "config" has no site in it';
                }
                foreach (['state', 'bam.last_run'] as $collection) {
                    $this->values[$collection] = $store->values($collection);
                }
                $this->store = $store;
            } catch (\PDOException $cause) {
                // The server's sentence without the SQLSTATE codes around it.
                $codes = '/^SQLSTATE\[\w*\]:?(?: \[\d+\])?\s*/';
                $this->problem = (string) preg_replace($codes, '', $cause->getMessage());
            }
        }
        foreach ($this->settings->config as $name => $override) {
            if (is_string($name) && is_array($override)) {
                $this->config[$name] = array_replace_recursive($this->config[$name] ?? [], $override);
            }
        }
    }

    /**
     * The `uri` of the project's or the site's drush.yml.
     */
    private function drushUri(): string
    {
        $folders = [$this->project->root() . '/drush', $this->project->docroot() . "/$this->sitePath"];
        foreach ($folders as $folder) {
            $text = (string) @file_get_contents("$folder/drush.yml", false, null, 0, 65536);
            if (preg_match(self::URI, "$text\n", $found)) {
                return $found[1];
            }
        }
        return '';
    }

    /**
     * A path without `.` and `..`, by its text alone: what it names need not exist.
     */
    private static function plain(string $path): string
    {
        $parts = [];
        foreach (explode('/', $path) as $part) {
            if ($part === '..') {
                array_pop($parts);
            } elseif ($part !== '' && $part !== '.') {
                $parts[] = $part;
            }
        }
        return '/' . implode('/', $parts);
    }
}
