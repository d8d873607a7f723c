<?php

namespace Bam\Site\Drupal10;

use Bam\BamException;
use Bam\Process;
use Bam\Site\Sites;

/**
 * What bin/bam-maintenance does on Drupal 8 to 11.
 */
final class MaintenanceProgram
{
    /**
     * @param string $verb begin, end, repair, refresh or rebuild.
     * @param int $pid Of begin: for which process.
     * @param string $journal Of begin: that of a restore, or ''.
     * @param resource $input Of begin: the message.
     *
     * @return string What is printed.
     *
     * @throws \Throwable Why it could not be done.
     */
    public static function run(string $root, string $uri, string $verb, int $pid, string $journal, $input): string
    {
        $site = Sites::open($root, $uri);
        if (!$site instanceof Drupal10Site) {
            throw new BamException('usage', "$root is not a Drupal 8 to 11", '', 2);
        }
        if ($verb === 'rebuild') {
            // Where modules are is looked for anew by every refresh.
            return '';
        }
        if ($verb === 'refresh') {
            return self::refresh($site);
        }
        $store = $site->store();
        if ($store === null || $site->problem() !== null) {
            throw new BamException('database', 'the database of this site does not answer: ' . $site->problem(), '', 1);
        }
        $maintenance = new Maintenance($site, $store);
        switch ($verb) {
            case 'begin':
                $message = self::message($site, (string) stream_get_contents($input));
                $taken = $maintenance->begin($message, $pid, $journal);
                // Who asked may have been killed meanwhile: then whoever looked after that has looked too early.
                if ($taken && !Process::isAlive($pid)) {
                    $maintenance->end();
                }
                return $taken ? "taken\n" : "kept\n";

            case 'end':
                $pid > 0 ? $maintenance->endOwn($pid) : $maintenance->end();
                return '';

            default:
                return $maintenance->repair() ? "repaired\n" : '';
        }
    }

    /**
     * Tokens replaced by what the site is called.
     */
    public static function message(Drupal10Site $site, string $message): string
    {
        $own = $site->config('system.site');
        $values = [];
        foreach (['name', 'mail', 'slogan'] as $token) {
            $values["[site:$token]"] = htmlspecialchars((string) ($own[$token] ?? ''), ENT_QUOTES);
        }
        return strtr(trim($message), $values);
    }

    private static function refresh(Drupal10Site $site): string
    {
        Process::becomeOwner($site->publicFolder());
        // Before Drupal starts: what it compiled is of another state of the site.
        self::removeCompiled($site);
        if ($site->store() !== null) {
            $site->store()->dropCaches($site->store()->cacheBins());
        }
        (new Kernel($site, true))->rebuild();
        $elsewhere = $site->cachesElsewhere();
        return ($elsewhere === [] ? '' : "\nemptied, too: " . implode(', ', $elsewhere)) . "\nworks\n";
    }

    private static function removeCompiled(Drupal10Site $site): void
    {
        $storage = $site->setting('php_storage');
        $named = is_array($storage) ? $storage['default']['directory'] ?? null : null;
        $folder = is_string($named) && $named !== '' ? $site->fromDocroot($named) : $site->publicFolder() . '/php';
        foreach (['twig', 'service_container'] as $bin) {
            self::remove("$folder/$bin");
        }
    }

    /**
     * Removes a folder. What cannot be removed stays: Drupal asks for other names after a rebuild.
     */
    private static function remove(string $path): void
    {
        if (is_link($path) || !is_dir($path)) {
            @unlink($path);
            return;
        }
        // Drupal takes the right to write from those who own compiled code.
        @chmod($path, 0700);
        foreach (array_diff(scandir($path) ?: [], ['.', '..']) as $name) {
            self::remove("$path/$name");
        }
        @rmdir($path);
    }
}
