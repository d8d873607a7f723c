<?php

namespace Bam;

/**
 * The program `bam` beside these classes.
 */
final class Program
{
    /**
     * Its path; null where it is not installed. A checkout's own comes before what is in PATH.
     */
    public static function path(): ?string
    {
        $top = dirname(__DIR__, 2);
        $folders = array_merge(
            // PREFIX/share/bam/php-shim has it in PREFIX/bin; then a checkout of the sources.
            [dirname($top, 2) . '/bin', "$top/target/release", "$top/target/debug"],
            explode(PATH_SEPARATOR, (string) getenv('PATH'))
        );
        foreach ($folders as $folder) {
            // A relative one would depend on where somebody stands.
            if (strncmp($folder, '/', 1) === 0 && is_file("$folder/bam") && is_executable("$folder/bam")) {
                return "$folder/bam";
            }
        }
        return null;
    }

    /**
     * Runs a verb of it, which prints for itself what it finds: nothing of that is kept in memory here.
     *
     * @param string[] $arguments
     * @param string $root The docroot of the site.
     * @param string $uri Its address, where there are several.
     * @return int The exit code.
     * @throws BamException
     */
    public static function run(array $arguments, string $root, string $uri = ''): int
    {
        $program = self::path();
        if ($program === null) {
            $hint = 'install it: it is what reads the backups for this';
            throw new BamException('not_found', 'the program bam is not installed here', $hint);
        }
        $command = array_merge([$program, '--root', $root], $uri === '' ? [] : ['--uri', $uri], $arguments);
        if (!function_exists('proc_open')) {
            $hint = 'allow proc_open in php.ini (disable_functions)';
            throw new BamException('unsupported', 'no program can be started from PHP', $hint);
        }
        $environment = ['BAM_PHP_SHIM' => dirname(__DIR__)] + getenv();
        $process = proc_open($command, [['file', '/dev/null', 'r'], STDOUT, STDERR], $pipes, null, $environment);
        $code = is_resource($process) ? proc_close($process) : -1;
        // It was killed, or not even started.
        return $code < 0 ? 1 : $code;
    }

    /**
     * Options as its command line has them: those that are set, `--name=value` or `--name`.
     *
     * @param array<string, mixed> $options
     * @return string[]
     */
    public static function options(array $options): array
    {
        $words = [];
        foreach ($options as $name => $value) {
            if (is_string($value) && $value !== '') {
                $words[] = "--$name=$value";
            } elseif ($value === true) {
                $words[] = "--$name";
            }
        }
        return $words;
    }
}
