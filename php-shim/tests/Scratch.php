<?php

namespace Bam\Tests;

use PHPUnit\Framework\TestCase;

/**
 * A test with a folder of its own and processes that it may start.
 */
abstract class Scratch extends TestCase
{
    protected string $folder;

    protected function setUp(): void
    {
        $this->folder = (string) getenv('TMPDIR') . '/' . strtr(static::class, '\\', '-') . '-' . bin2hex(random_bytes(4));
        mkdir($this->folder, 0700, true);
    }

    /**
     * Writes a file below the test's folder, making the folders on the way.
     */
    protected function write(string $name, string $text): string
    {
        $path = "$this->folder/$name";
        if (!is_dir(dirname($path))) {
            mkdir(dirname($path), 0755, true);
        }
        file_put_contents($path, $text);
        return $path;
    }

    /**
     * Runs a program to its end.
     *
     * @param string[] $command
     * @param array<string, string> $environment Added to ours.
     * @return array{0: int, 1: string, 2: string} Exit code, standard output, standard error.
     */
    protected function execute(array $command, array $environment = []): array
    {
        $error = tmpfile();
        $process = proc_open($command, [['file', '/dev/null', 'r'], ['pipe', 'w'], $error], $pipes, null, $environment + getenv());
        $output = (string) stream_get_contents($pipes[1]);
        $code = proc_close($process);
        rewind($error);
        return [$code, $output, (string) stream_get_contents($error)];
    }

    /**
     * A docroot with a settings.php and a SQLite database that holds what is given.
     *
     * @param array<string, mixed> $variables
     * @param string $settings More PHP for settings.php.
     */
    protected function site(array $variables = [], string $settings = '', string $folder = 'default'): string
    {
        $root = "$this->folder/docroot";
        $this->write("docroot/sites/$folder/settings.php", "<?php\n\$databases['default']['default'] = "
            . var_export(['driver' => 'sqlite', 'database' => "$this->folder/site.sqlite", 'prefix' => ''], true)
            . ";\n$settings\n");
        $database = new \PDO("sqlite:$this->folder/site.sqlite");
        $database->setAttribute(\PDO::ATTR_ERRMODE, \PDO::ERRMODE_EXCEPTION);
        $database->exec('CREATE TABLE IF NOT EXISTS variable (name TEXT PRIMARY KEY, value BLOB)');
        $insert = $database->prepare('REPLACE INTO variable VALUES (?, ?)');
        foreach ($variables as $name => $value) {
            $insert->execute([$name, serialize($value)]);
        }
        return $root;
    }
}
