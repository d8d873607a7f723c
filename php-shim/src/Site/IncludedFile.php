<?php

namespace Bam\Site;

use Bam\BamException;

/**
 * A settings.php that is included outside of its Drupal, in a world as Drupal makes it for its own include on a command
 * line.
 */
final class IncludedFile
{
    /**
     * Includes a file from the docroot, and keeps what it prints to itself.
     *
     * @param string $file Its path.
     * @param string $docroot The folder that relative paths in it count from.
     * @param callable(): mixed $include Includes it.
     *
     * @return mixed What $include gives.
     *
     * @throws BamException If it cannot be read, or throws.
     */
    public static function read(string $file, string $docroot, callable $include)
    {
        if (!is_readable($file)) {
            throw new BamException('permission', "cannot read $file", 'run this as the user that owns the site', 1);
        }
        $before = getcwd();
        chdir($docroot);
        ob_start();
        try {
            return $include();
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
     * The server variables of a request for the site's front page.
     *
     * @param string $uri The site's address, maybe without a scheme.
     *
     * @return array<string, mixed>
     */
    public static function server(string $uri): array
    {
        $https = strncmp($uri, 'https://', 8) === 0;
        [$host, $path] = Locator::split($uri);
        return [
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
}
