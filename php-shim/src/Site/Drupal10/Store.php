<?php

namespace Bam\Site\Drupal10;

use Bam\Site\DatabaseInfo;
use Bam\Site\Serialized;

/**
 * The tables `config` and `key_value` of a Drupal 10 site, without Drupal: its configuration and its state.
 *
 * What is written here Drupal may have in a cache; dropCaches() sees to those that lie in the database.
 */
final class Store
{
    private \PDO $pdo;
    private DatabaseInfo $database;

    public function __construct(\PDO $pdo, DatabaseInfo $database)
    {
        $this->pdo = $pdo;
        $this->database = $database;
        $pdo->setAttribute(\PDO::ATTR_ERRMODE, \PDO::ERRMODE_EXCEPTION);
    }

    /**
     * The active configuration whose names begin so, by name.
     *
     * @return array<string, array<string, mixed>>
     */
    public function config(string ...$beginnings): array
    {
        $table = $this->database->table('config');
        $found = [];
        foreach ($beginnings as $beginning) {
            $query = $this->pdo->prepare(
                "SELECT name, data FROM $table WHERE collection = '' AND name LIKE ? ESCAPE '#'"
            );
            $query->execute([strtr($beginning, ['_' => '#_', '%' => '#%', '#' => '##']) . '%']);
            foreach ($query->fetchAll(\PDO::FETCH_ASSOC) as $row) {
                $data = Serialized::read($row['data']);
                if (is_array($data)) {
                    $found[$row['name']] = $data;
                }
            }
        }
        ksort($found);
        return $found;
    }

    /**
     * Replaces one object of the configuration; null takes it away.
     *
     * @param array<string, mixed>|null $data
     */
    public function setConfig(string $name, ?array $data): void
    {
        $table = $this->database->table('config');
        $this->pdo->prepare("DELETE FROM $table WHERE collection = '' AND name = ?")->execute([$name]);
        if ($data !== null) {
            $insert = $this->pdo->prepare("INSERT INTO $table (collection, name, data) VALUES ('', ?, ?)");
            $insert->bindValue(1, $name);
            $insert->bindValue(2, serialize($data), \PDO::PARAM_LOB);
            $insert->execute();
        }
    }

    /**
     * A collection of the key-value store; Drupal's state is the collection `state`.
     *
     * @return array<string, mixed> By key.
     */
    public function values(string $collection): array
    {
        $table = $this->database->table('key_value');
        $query = $this->pdo->prepare("SELECT name, value FROM $table WHERE collection = ?");
        $query->execute([$collection]);
        $values = [];
        foreach ($query->fetchAll(\PDO::FETCH_ASSOC) as $row) {
            $values[$row['name']] = Serialized::read($row['value']);
        }
        return $values;
    }

    /**
     * Sets a value. With $new it fails with a \PDOException where there is one already: who succeeds is the only one.
     *
     * @param mixed $value
     */
    public function set(string $collection, string $name, $value, bool $new = false): void
    {
        if (!$new) {
            $this->delete($collection, $name);
        }
        $insert = $this->pdo->prepare(
            'INSERT INTO ' . $this->database->table('key_value') . ' (collection, name, value) VALUES (?, ?, ?)'
        );
        $insert->bindValue(1, $collection);
        $insert->bindValue(2, $name);
        $insert->bindValue(3, serialize($value), \PDO::PARAM_LOB);
        $insert->execute();
    }

    public function delete(string $collection, string $name): void
    {
        $this->pdo->prepare('DELETE FROM ' . $this->database->table('key_value') . ' WHERE collection = ? AND name = ?')
            ->execute([$collection, $name]);
    }

    /**
     * The caches that have tables, without `cache_`.
     *
     * @return string[]
     */
    public function cacheBins(): array
    {
        $beginning = $this->database->table('cache_');
        $sql = $this->database->driver() === 'sqlite'
            ? "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE ? ESCAPE '#'"
            : 'SELECT table_name FROM information_schema.tables WHERE table_schema = '
                . ($this->database->driver() === 'mysql' ? 'database()' : 'current_schema()')
                . " AND table_name LIKE ? ESCAPE '#'";
        $query = $this->pdo->prepare($sql);
        $query->execute([strtr($beginning, ['_' => '#_', '%' => '#%', '#' => '##']) . '%']);
        return array_map(static function (string $table) use ($beginning): string {
            return substr($table, strlen($beginning));
        }, $query->fetchAll(\PDO::FETCH_COLUMN));
    }

    /**
     * Empties cache tables, those that are there.
     *
     * @param string[] $bins Without `cache_`.
     */
    public function dropCaches(array $bins): void
    {
        foreach ($bins as $bin) {
            try {
                $this->pdo->exec('DELETE FROM ' . $this->database->table("cache_$bin"));
            } catch (\PDOException $missing) {
                // Tables of caches come into being when they are first written to.
                continue;
            }
        }
    }
}
