<?php

namespace Bam\Site;

use Bam\Document;
use Bam\Json;

/**
 * A copy of the last good configuration, for the day when the site's database cannot tell it any more.
 *
 * It lies in the home of whoever runs bam, never below the docroot, readable by nobody else: it holds the passwords
 * of destinations and the key of the aes module, which in Drupal are in the database only, so that without this copy
 * a lost database would take the means to restore it along. What settings.php says (databases) is not in it.
 */
final class KeptCopy
{
    private const FORMAT = 1;

    private string $file;

    private function __construct(string $file)
    {
        $this->file = $file;
    }

    /**
     * The place for a site; null where there is none that is safe.
     */
    public static function of(string $root, string $confPath): ?self
    {
        $state = (string) getenv('XDG_STATE_HOME');
        if (strncmp($state, '/', 1) !== 0) {
            $user = function_exists('posix_geteuid') ? posix_getpwuid(posix_geteuid()) : false;
            $home = $user !== false ? $user['dir'] : (string) getenv('HOME');
            $state = "$home/.local/state";
        }
        if (strncmp($state, '/', 1) !== 0 || strncmp("$state/", rtrim($root, '/') . '/', strlen($root) + 1) === 0) {
            return null;
        }
        $name = preg_replace('/[^A-Za-z0-9.-]+/', '-', trim($root, '/'));
        return new self("$state/bam/$name-" . substr(hash('sha256', "$root\0$confPath"), 0, 12) . '.json');
    }

    public function path(): string
    {
        return $this->file;
    }

    /**
     * The copy; null where there is none, or where it is not ours alone.
     *
     * @return array{saved: int, document: Document, code: array<string, string[]>}|null
     */
    public function load(): ?array
    {
        clearstatcache(true, $this->file);
        $stat = @lstat($this->file);
        // A regular file of ours that others can neither read nor write: nobody slipped us another site's passwords.
        if ($stat === false || ($stat['mode'] & 0170077) !== 0100000) {
            return null;
        }
        if (function_exists('posix_geteuid') && $stat['uid'] !== posix_geteuid()) {
            return null;
        }
        try {
            $kept = Json::decode((string) file_get_contents($this->file));
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
        if (!is_dir($folder) && !@mkdir($folder, 0700, true)) {
            return false;
        }
        $mask = umask(0077);
        $part = @tempnam($folder, '.kept');
        umask($mask);
        if ($part === false || dirname($part) !== $folder) {
            return false;
        }
        if (@file_put_contents($part, $json) !== strlen($json) || !@rename($part, $this->file)) {
            @unlink($part);
            return false;
        }
        return true;
    }
}
