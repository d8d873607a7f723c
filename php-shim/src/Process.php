<?php

namespace Bam;

/**
 * Processes of this machine, told from others that get the same number later.
 */
final class Process
{
    /**
     * What tells the process apart from every other one with its number: the boot and the tick it was started at.
     * Empty where the system does not say (no /proc, or open_basedir).
     */
    public static function identify(int $pid): string
    {
        $stat = self::stat($pid);
        return $stat === null ? '' : self::boot() . ':' . $stat['start'];
    }

    /**
     * Whether the process still runs. $identity is what identify() said when it was known to run.
     */
    public static function isAlive(int $pid, string $identity = ''): bool
    {
        if ($pid <= 0) {
            return false;
        }
        $boot = self::boot();
        if ($identity !== '' && $boot !== '' && strpos($identity, $boot . ':') !== 0) {
            return false;
        }
        $stat = self::stat($pid);
        if ($stat !== null) {
            return $stat['state'] !== 'Z' && ($identity === '' || $identity === $boot . ':' . $stat['start']);
        }
        // Other people's processes may be hidden (hidepid), but a signal still tells "not permitted" from "not there".
        if (function_exists('posix_kill')) {
            return posix_kill($pid, 0) || (function_exists('posix_get_last_error') && posix_get_last_error() === 1);
        }
        return !is_dir('/proc/self');
    }

    /**
     * Root becomes the user whom a site's files belong to, for good: what Drupal writes the web server must be able to
     * replace, and code of the site has no business with root's rights.
     *
     * @param string $folder the site's public files
     */
    public static function becomeOwner(string $folder): void
    {
        if (!function_exists('posix_geteuid') || posix_geteuid() !== 0) {
            return;
        }
        $owner = @stat($folder);
        if ($owner === false || $owner['uid'] === 0) {
            return;
        }
        $user = posix_getpwuid($owner['uid']);
        if ($user !== false) {
            posix_initgroups($user['name'], $user['gid']);
        }
        posix_setgid($user === false ? $owner['gid'] : $user['gid']);
        posix_setuid($owner['uid']);
    }

    /**
     * A word for a command line of the shell, as it is. escapeshellarg() drops bytes that the locale has no letter for:
     * in the C locale, which Drupal sets, all beyond ASCII, so that a path may become that of the folder above.
     */
    public static function quote(string $word): string
    {
        if (strpos($word, "\0") !== false) {
            throw new \InvalidArgumentException('a word of a command line has no NUL byte in it');
        }
        return "'" . str_replace("'", "'\\''", $word) . "'";
    }

    /**
     * What this machine is called. The function that tells it may be switched off (disable_functions).
     */
    public static function host(): string
    {
        return function_exists('php_uname') ? php_uname('n')
            : trim((string) @file_get_contents('/proc/sys/kernel/hostname'));
    }

    private static function boot(): string
    {
        return trim((string) @file_get_contents('/proc/sys/kernel/random/boot_id'));
    }

    /**
     * State and start time, see proc(5). The name in parentheses may itself hold spaces and parentheses.
     */
    private static function stat(int $pid): ?array
    {
        $line = (string) @file_get_contents("/proc/$pid/stat");
        $fields = explode(' ', substr($line, (int) strrpos($line, ')') + 2));
        return isset($fields[19]) ? ['state' => $fields[0], 'start' => $fields[19]] : null;
    }
}
