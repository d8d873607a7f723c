<?php

namespace Bam\Site;

use Bam\Document;
use Bam\Json;

/**
 * A copy of the last good configuration, for the day when the site's database cannot tell it any more.
 *
 * It lies in the home of whoever runs bam, and in that user's folder of the site's state where root has made one
 * (job/state.rs of the engine), so that the web server's user has root's copy and root the web server's; never below
 * the docroot, never readable by others: it holds the passwords of destinations and the key of the aes module, which
 * in Drupal are in the database only, so that without this copy a lost database would take the means to restore it
 * along. What settings.php says (databases) is not in it.
 *
 * Root also reads the copy of the user to whom the site belongs: who writes that could as well write the settings
 * themselves, from which root would read the same.
 */
final class KeptCopy
{
    private const FORMAT = 1;

    /** Where the engine keeps what is remembered of sites: SITE/uUID/. */
    private const STATE = '/var/lib/bam';

    /** @var string Where we keep ours. */
    private string $file;
    /** @var string|null Where we keep it for others, if there is such a folder. */
    private ?string $shared;
    /** @var string[] Where copies may be, ours first. */
    private array $places;
    /** @var int[] Whose copies are believed. */
    private array $owners;

    /**
     * @param string[] $places
     * @param int[] $owners
     */
    private function __construct(string $file, ?string $shared, array $places, array $owners)
    {
        $this->file = $file;
        $this->shared = $shared;
        $this->places = array_merge([$file], $places);
        $this->owners = $owners;
    }

    /**
     * The place for a site; null where there is none that is safe.
     */
    public static function of(string $root, string $confPath): ?self
    {
        $us = function_exists('posix_geteuid') ? posix_geteuid() : null;
        $state = (string) getenv('XDG_STATE_HOME');
        if (strncmp($state, '/', 1) !== 0) {
            $state = self::stateOf($us);
        }
        if (strncmp($state, '/', 1) !== 0 || strncmp("$state/", rtrim($root, '/') . '/', strlen($root) + 1) === 0) {
            return null;
        }
        $hash = hash('sha256', "$root\0$confPath");
        $name = preg_replace('/[^A-Za-z0-9.-]+/', '-', trim($root, '/')) . '-' . substr($hash, 0, 12) . '.json';
        $places = [];
        $owners = $us === null ? [] : [$us, 0];
        // The web server's user, whose files are there.
        $owner = @fileowner("$root/$confPath/files");
        if ($us === 0 && is_int($owner) && $owner !== 0) {
            $owners[] = $owner;
            $places[] = self::stateOf($owner) . "/bam/$name";
        }
        $all = self::STATE . '/' . substr($hash, 0, 16);
        foreach ($owners as $user) {
            $places[] = "$all/u$user/configuration.json";
        }
        return new self("$state/bam/$name", $us === null ? null : "$all/u$us/configuration.json", $places, $owners);
    }

    /**
     * The folder for state in somebody's home.
     */
    private static function stateOf(?int $uid): string
    {
        $user = $uid !== null && function_exists('posix_getpwuid') ? posix_getpwuid($uid) : false;
        return ($user !== false ? $user['dir'] : (string) getenv('HOME')) . '/.local/state';
    }

    public function path(): string
    {
        return $this->file;
    }

    /**
     * The newest copy; null where there is none that is to be believed.
     *
     * @return array{saved: int, document: Document, code: array<string, string[]>}|null
     */
    public function load(): ?array
    {
        $newest = null;
        foreach ($this->places as $file) {
            $found = $this->read($file);
            if ($found !== null && ($newest === null || $found['saved'] > $newest['saved'])) {
                $newest = $found;
            }
        }
        return $newest;
    }

    /**
     * @return array{saved: int, document: Document, code: array<string, string[]>}|null
     */
    private function read(string $file): ?array
    {
        clearstatcache(true, $file);
        $stat = @lstat($file);
        // A regular file that others can neither read nor write: nobody slipped us another site's passwords. The group
        // is that of the site's folder.
        if ($stat === false || ($stat['mode'] & 0170037) !== 0100000) {
            return null;
        }
        if ($this->owners !== [] && !in_array($stat['uid'], $this->owners, true)) {
            return null;
        }
        try {
            $kept = Json::decode((string) @file_get_contents($file));
        } catch (\JsonException $damaged) {
            return null;
        }
        if (($kept['format'] ?? null) !== self::FORMAT || !is_array($kept['document'] ?? null)) {
            return null;
        }
        return [
            'saved' => (int) $stat['mtime'],
            'document' => new Document($kept['document']),
            'code' => is_array($kept['code'] ?? null) ? $kept['code'] : [],
        ];
    }

    /**
     * Keeps a configuration, in one step.
     *
     * @param array<string, string[]> $code Which items are in code, by part of the document: a site that is read
     *   without Drupal has them from here.
     * @return bool Whether it could be kept.
     */
    public function save(Document $document, array $code): bool
    {
        $json = Json::encode([
            'format' => self::FORMAT,
            'document' => $document->with('databases', []),
            'code' => (object) $code,
        ]);
        $folder = dirname($this->file);
        $kept = (@is_dir($folder) || @mkdir($folder, 0700, true)) && self::write($this->file, $json, 0600);
        if ($this->shared !== null && @is_dir(dirname($this->shared))) {
            $kept = self::write($this->shared, $json, 0640) || $kept;
        }
        return $kept;
    }

    /**
     * By a file that nobody else made and that is written through its handle: others may write in the folder, too.
     */
    private static function write(string $file, string $json, int $mode): bool
    {
        $part = dirname($file) . '/.kept' . bin2hex(random_bytes(8));
        $mask = umask(0777 & ~$mode);
        $handle = @fopen($part, 'x');
        umask($mask);
        if ($handle === false) {
            return false;
        }
        $written = fwrite($handle, $json) === strlen($json);
        $written = fclose($handle) && $written;
        if (!$written || !@rename($part, $file)) {
            @unlink($part);
            return false;
        }
        return true;
    }
}
