<?php

namespace Bam;

/**
 * The gateway to libbam.so, and the only class that knows of \FFI.
 *
 * Strings go in and come out as PHP strings, failures come out as BamException; a handle is an opaque object.
 */
final class Native
{
    /** The version of include/bam.h that this class was written for. */
    public const ABI = 1;

    /** FFI::cdef cannot be asked which symbols a library has, so the version is asked for on its own first. */
    private const VERSIONS = 'uint32_t bam_abi_version(void); const char *bam_version(void);';

    private static ?self $shared = null;

    private \FFI $ffi;

    private function __construct(\FFI $ffi)
    {
        $this->ffi = $ffi;
    }

    /**
     * The library, loaded once.
     */
    public static function get(): self
    {
        if (self::$shared === null) {
            self::requireFfi();
            [$library, $header] = Library::find();
            self::$shared = self::load($library, $header);
        }
        return self::$shared;
    }

    /**
     * Loads a library by its path.
     */
    public static function load(string $library, string $header): self
    {
        self::requireFfi();
        try {
            $versions = \FFI::cdef(self::VERSIONS, $library);
        } catch (\FFI\Exception $cause) {
            throw LoadException::notLoadable($library, $cause);
        }
        $abi = $versions->bam_abi_version();
        if ($abi !== self::ABI) {
            throw LoadException::wrongAbi($library, $versions->bam_version(), $abi, self::ABI);
        }
        // PHP's parser knows no preprocessor; the header needs none but its include guard.
        $declarations = preg_replace('/^#.*$/m', '', (string) file_get_contents($header));
        try {
            return new self(\FFI::cdef($declarations, $library));
        } catch (\FFI\Exception $cause) {
            throw LoadException::notLoadable($library, $cause);
        }
    }

    /**
     * The version of the library.
     */
    public function version(): string
    {
        return $this->ffi->bam_version();
    }

    /**
     * Starts a job; give the handle back to freeJob().
     */
    public function startJob(string $json): object
    {
        $handle = $this->ffi->new('bam_job *');
        $this->check($this->ffi->bam_job_start($json, \FFI::addr($handle)));
        return $handle;
    }

    /**
     * Waits at most so long for the end of a job and tells its counters.
     */
    public function pollJob(object $job, int $milliseconds): Progress
    {
        $progress = $this->ffi->new('bam_progress');
        $this->check($this->ffi->bam_job_poll($job, $milliseconds, \FFI::addr($progress)));
        return new Progress(
            Progress::PHASES[(int) $progress->phase] ?? 'done',
            (bool) $progress->finished,
            (int) $progress->bytes_in,
            (int) $progress->bytes_out,
            (int) $progress->bytes_total,
            (int) $progress->entries,
            \FFI::string(\FFI::addr($progress->current[0]))
        );
    }

    public function cancelJob(object $job): void
    {
        $this->check($this->ffi->bam_job_cancel($job));
    }

    /**
     * Waits for the end of a job and takes its result, as JSON.
     */
    public function finishJob(object $job): string
    {
        return $this->text(function ($result) use ($job) {
            return $this->ffi->bam_job_finish($job, $result);
        });
    }

    /**
     * What a job has had to say so far, also after it failed.
     *
     * @return array<array{kind: string, text: string}>
     */
    public function jobNotes(object $job): array
    {
        return Json::decode($this->text(function ($result) use ($job) {
            return $this->ffi->bam_job_notes($job, $result);
        }));
    }

    public function freeJob(object $job): void
    {
        $this->ffi->bam_job_free($job);
    }

    /**
     * What a backup request means: source, profile, destinations, schedule, maintenance mode.
     *
     * @param array<string, mixed> $request
     * @return array<string, mixed>
     */
    public function chooseBackup(Document $document, array $request): array
    {
        $json = Json::encode(['config' => $document, 'request' => $request]);
        return Json::decode($this->text(function ($result) use ($json) {
            return $this->ffi->bam_backup_choose($json, $result);
        }));
    }

    /**
     * The document with what is built in; without secrets unless asked.
     */
    public function completeConfig(Document $document, bool $withSecrets = false): Document
    {
        $json = Json::encode($document);
        return new Document(Json::decode($this->text(function ($result) use ($json, $withSecrets) {
            return $this->ffi->bam_config_complete($json, $withSecrets, $result);
        })));
    }

    /**
     * Warnings about a document. Contradictions in it are thrown.
     *
     * @return array<array{kind: string, text: string}>
     */
    public function checkConfig(Document $document): array
    {
        $json = Json::encode($document);
        return Json::decode($this->text(function ($result) use ($json) {
            return $this->ffi->bam_config_check($json, $result);
        }));
    }

    /**
     * Parses what Backup and Migrate, CTools or Features export. Nothing is evaluated.
     *
     * @return array{items: array<array<string, mixed>>, notes: string[]} Of each item its type, machine_name, item (as
     *   it stands there) and document (as an entry of the configuration document).
     */
    public function parseSettings(string $export): array
    {
        return Json::decode($this->text(function ($result) use ($export) {
            return $this->ffi->bam_settings_parse($export, $result);
        }));
    }

    /**
     * Makes a key file; never replaces one.
     */
    public function createKey(string $file): void
    {
        $this->check($this->ffi->bam_key_create($file));
    }

    /**
     * What a key file is called in sidecars, and what is wrong with it.
     *
     * @return array{id: string, notes: array<array{kind: string, text: string}>}
     */
    public function checkKey(string $file): array
    {
        return Json::decode($this->text(function ($result) use ($file) {
            return $this->ffi->bam_key_check($file, $result);
        }));
    }

    /**
     * Encrypts a file as `openssl enc -aes-256-cbc -pbkdf2` does; 0 iterations are the default, 600 000.
     */
    public function encryptFile(string $from, string $to, string $keyFile, int $iterations = 0): void
    {
        $this->check($this->ffi->bam_encrypt_file($from, $to, $keyFile, $iterations));
    }

    /**
     * Decrypts what encryptFile() or openssl wrote.
     */
    public function decryptFile(string $from, string $to, string $keyFile, int $iterations = 0): void
    {
        $this->check($this->ffi->bam_decrypt_file($from, $to, $keyFile, $iterations));
    }

    /**
     * Archives a folder into a tar file, compressed as its extension says.
     *
     * @param string[] $exclude Paths relative to the folder, or absolute; or patterns as in a .gitignore.
     * @return array<string, mixed> How many files, folders, links, bytes; notes.
     */
    public function createArchive(string $folder, string $file, array $exclude = []): array
    {
        $options = Json::encode(['exclude' => array_values($exclude)]);
        return Json::decode($this->text(function ($result) use ($folder, $file, $options) {
            return $this->ffi->bam_archive_create($folder, $file, $options, $result);
        }));
    }

    /**
     * Extracts a tar file, compressed or not, into a folder that exists, and nowhere else.
     *
     * @return array<string, mixed> How many files, folders, links, bytes; notes.
     */
    public function extractArchive(string $file, string $folder): array
    {
        return Json::decode($this->text(function ($result) use ($file, $folder) {
            return $this->ffi->bam_archive_extract($file, $folder, null, $result);
        }));
    }

    /**
     * The members of a tar file, one after the other: path, type, size, mode, uid, gid, mtime, target.
     *
     * @return \Generator<array<string, mixed>>
     */
    public function archiveMembers(string $file): \Generator
    {
        $archive = $this->ffi->new('bam_archive *');
        $this->check($this->ffi->bam_archive_open($file, \FFI::addr($archive)));
        try {
            while (true) {
                $member = $this->ffi->new('char *');
                $this->check($this->ffi->bam_archive_next($archive, \FFI::addr($member)));
                if (\FFI::isNull($member)) {
                    return;
                }
                $text = \FFI::string($member);
                $this->ffi->bam_string_free($member);
                yield Json::decode($text);
            }
        } finally {
            $this->ffi->bam_archive_free($archive);
        }
    }

    /**
     * Copies a local file to a destination (an entry of the document's destinations, with absolute paths).
     *
     * @param array<string, mixed> $destination
     */
    public function put(array $destination, string $file, string $name, bool $replace = false): void
    {
        $json = Json::encode(Document::destination($destination));
        $this->check($this->ffi->bam_transfer_put($json, $file, $name, $replace));
    }

    /**
     * Copies a file of a destination here.
     *
     * @param array<string, mixed> $destination
     */
    public function fetch(array $destination, string $name, string $file): void
    {
        $this->check($this->ffi->bam_transfer_get(Json::encode(Document::destination($destination)), $name, $file));
    }

    /**
     * The files of a destination.
     *
     * @param array<string, mixed> $destination
     * @return array<array{name: string, size: int, mtime: int, sidecar: ?string}>
     */
    public function listing(array $destination): array
    {
        $json = Json::encode(Document::destination($destination));
        return Json::decode($this->text(function ($result) use ($json) {
            return $this->ffi->bam_transfer_list($json, $result);
        }));
    }

    /**
     * Removes a file of a destination.
     *
     * @param array<string, mixed> $destination
     */
    public function delete(array $destination, string $name): void
    {
        $this->check($this->ffi->bam_transfer_delete(Json::encode(Document::destination($destination)), $name));
    }

    private static function requireFfi(): void
    {
        if (!extension_loaded('ffi')) {
            throw LoadException::extensionMissing();
        }
        $setting = strtolower((string) ini_get('ffi.enable'));
        $on = in_array($setting, ['1', 'on', 'yes', 'true'], true);
        // `preload` means: on the command line and in preloaded scripts.
        if (!$on && !($setting === 'preload' && PHP_SAPI === 'cli')) {
            throw LoadException::disabled($setting === '' ? '0' : $setting, PHP_SAPI);
        }
    }

    /**
     * Calls a function whose result is a string, and takes the string over.
     *
     * @param callable(object): int $call
     */
    private function text(callable $call): string
    {
        $pointer = $this->ffi->new('char *');
        $this->check($call(\FFI::addr($pointer)));
        $text = \FFI::string($pointer);
        $this->ffi->bam_string_free($pointer);
        return $text;
    }

    private function check(int $status): void
    {
        if ($status !== 0) {
            $error = $this->ffi->new('bam_error');
            $this->ffi->bam_last_error(\FFI::addr($error));
            $failure = new BamException($error->code, $error->message, $error->hint, (int) $error->exit_code);
            throw $failure->withFacts(Json::decode($this->text(
                fn ($facts) => $this->ffi->bam_last_error_json($facts)
            )));
        }
    }
}
