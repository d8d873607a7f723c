<?php

namespace Bam\Site;

/**
 * One entry of $databases: how to connect, and how the configuration document says it.
 */
final class DatabaseInfo
{
    /** Seconds until a server that does not answer is given up. */
    private const PATIENCE = 5;

    /** What the drivers of a kind of server are called, by the beginnings of their names. */
    private const FAMILIES = ['mysql' => 'mysql', 'mariadb' => 'mysql', 'pgsql' => 'pgsql', 'postgis' => 'pgsql'];

    /** @var array<string, mixed> */
    private array $info;
    private string $root;

    /**
     * @param array<mixed> $info As in settings.php; a list of several is a pool of which Drupal takes any.
     */
    public function __construct(array $info, string $root)
    {
        if (!isset($info['driver']) && isset($info[0]) && is_array($info[0])) {
            $info = $info[0];
        }
        $this->info = $info;
        $this->root = $root;
    }

    /**
     * The kind of server. Drivers of modules are named after the one they build on: mysql57, mariadb, postgis.
     */
    public function driver(): string
    {
        $driver = $this->text('driver');
        foreach (self::FAMILIES as $beginning => $kind) {
            if (strncmp($driver, $beginning, strlen($beginning)) === 0) {
                return $kind;
            }
        }
        return $driver;
    }

    public function isSupported(): bool
    {
        return in_array($this->driver(), ['mysql', 'pgsql', 'sqlite'], true);
    }

    /**
     * The entry of the document (docs/configuration.md).
     *
     * @return array<string, string>
     */
    public function entry(): array
    {
        if ($this->driver() === 'sqlite') {
            return ['url' => 'sqlite:' . str_replace('%2F', '/', rawurlencode($this->sqliteFile()))];
        }
        $url = $this->driver() . '://' . rawurlencode($this->text('username'));
        if ($this->text('password') !== '') {
            $url .= ':' . rawurlencode($this->text('password'));
        }
        $host = $this->text('host') === '' ? 'localhost' : $this->text('host');
        $url .= '@' . (strpos($host, ':') === false ? rawurlencode($host) : '[' . trim($host, '[]') . ']');
        if ($this->text('port') !== '') {
            $url .= ':' . (int) $this->text('port');
        }
        $entry = ['url' => $url . '/' . rawurlencode($this->text('database'))];
        if ($this->prefix() !== '') {
            $entry['prefix'] = $this->prefix();
        }
        if ($this->text('unix_socket') !== '') {
            $entry['socket'] = $this->text('unix_socket');
        }
        return $entry;
    }

    /**
     * Whether some tables have a prefix of their own, which the document cannot say.
     */
    public function hasTablePrefixes(): bool
    {
        $prefix = $this->info['prefix'] ?? '';
        return is_array($prefix) && array_diff_key($prefix, ['default' => 1]) !== [];
    }

    /**
     * A table's name with its prefix. SQLite keeps prefixed tables in a file of their own, without the prefix.
     */
    public function table(string $table): string
    {
        return ($this->driver() === 'sqlite' ? '' : $this->prefix($table)) . $table;
    }

    /**
     * Opens the database for reading.
     *
     * @throws \PDOException
     */
    public function connect(): \PDO
    {
        $options = [\PDO::ATTR_ERRMODE => \PDO::ERRMODE_EXCEPTION, \PDO::ATTR_TIMEOUT => self::PATIENCE];
        // What settings.php says, certificates for instance, comes first.
        $options = (is_array($this->info['pdo'] ?? null) ? $this->info['pdo'] : []) + $options;
        switch ($this->driver()) {
            case 'sqlite':
                if (!is_file($this->sqliteFile())) {
                    throw new \PDOException('there is no file ' . $this->sqliteFile());
                }
                $pdo = new \PDO('sqlite:' . $this->sqliteFile(), null, null, $options);
                // Drupal 10's columns compare so; without it SQLite refuses to touch their indexes.
                $pdo->sqliteCreateCollation('NOCASE_UTF8', static function (string $one, string $other): int {
                    return strcmp(mb_strtolower($one), mb_strtolower($other));
                });
                return $pdo;

            case 'mysql':
                $where = $this->text('unix_socket') !== ''
                    ? 'unix_socket=' . $this->text('unix_socket')
                    : 'host=' . $this->text('host') . ';port=' . ($this->text('port') ?: '3306');
                $charset = preg_replace('/\W/', '', $this->text('charset')) ?: 'utf8';
                $dsn = "mysql:$where;charset=$charset;dbname=" . $this->text('database');
                break;

            case 'pgsql':
                $dsn = 'pgsql:host=' . ($this->text('host') ?: 'localhost')
                    . ';port=' . ($this->text('port') ?: '5432') . ';dbname=' . $this->text('database');
                break;

            default:
                throw new \PDOException('bam cannot read databases of the kind "' . $this->driver() . '"');
        }
        return new \PDO($dsn, $this->text('username'), $this->text('password'), $options);
    }

    /**
     * The prefix of a table, or the default one. As in Drupal, nothing but letters, digits, `_` and `.`.
     */
    private function prefix(string $table = 'default'): string
    {
        $prefix = $this->info['prefix'] ?? '';
        if (is_array($prefix)) {
            $prefix = $prefix[$table] ?? $prefix['default'] ?? '';
        }
        return (string) preg_replace('/[^A-Za-z0-9_.]+/', '', (string) $prefix);
    }

    private function sqliteFile(): string
    {
        $file = $this->text('database');
        if (strncmp($file, '/', 1) !== 0) {
            $file = $this->root . '/' . $file;
        }
        return $this->prefix() === '' ? $file : $file . '-' . $this->prefix();
    }

    private function text(string $key): string
    {
        return isset($this->info[$key]) && is_scalar($this->info[$key]) ? (string) $this->info[$key] : '';
    }
}
