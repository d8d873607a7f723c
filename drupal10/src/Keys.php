<?php

declare(strict_types=1);

namespace Drupal\bam;

use Drupal\Component\Render\PlainTextOutput;
use Drupal\Core\Config\ConfigFactoryInterface;
use Drupal\Core\File\FileSystemInterface;
use Drupal\Core\StringTranslation\StringTranslationTrait;

/**
 * Key files: where they may lie, making them, and making keys to log in with.
 */
final class Keys {

  use StringTranslationTrait;

  public function __construct(
    private readonly Program $program,
    private readonly ConfigFactoryInterface $config,
    private readonly FileSystemInterface $files,
    private readonly Folders $folders,
    private readonly string $root,
  ) {}

  /**
   * The key file in use; empty where there is none.
   */
  public function file(): string {
    $document = \Drupal::service('bam.site')->complete();
    return (string) ($document['encryption']['key_file'] ?? '');
  }

  /**
   * Whether there is a key, in a file or elsewhere.
   *
   * @param array<string, mixed> $document
   *   The configuration document.
   */
  public static function isSet(array $document): bool {
    return array_intersect_key((array) ($document['encryption'] ?? []), ['key' => 1, 'key_file' => 1, 'key_env' => 1, 'recipients' => 1]) !== [];
  }

  /**
   * The user of the system that PHP runs as here.
   */
  public static function user(): string {
    $me = function_exists('posix_getpwuid') ? posix_getpwuid(Program::uid()) : FALSE;
    return $me ? $me['name'] : (string) Program::uid();
  }

  /**
   * A folder for keys that this user can write to, outside of what is served.
   *
   * @return string|null
   *   Its path, be it there already or not; NULL if there is none.
   */
  public function folder(): ?string {
    if (!$this->program->loadShim()) {
      return NULL;
    }
    $set = (string) $this->config->get('bam.settings')->get('key_file');
    $home = (string) ($this->program->environment()['HOME'] ?? '');
    $places = [
      $set === '' ? '' : dirname($set),
      '/etc/bam',
      // Beside the project, which is backed up.
      dirname($this->program->site()->root()) . '/bam-keys',
      $home === '' || $home === '/' ? '' : "$home/.config/bam",
    ];
    foreach (array_filter($places) as $place) {
      for ($there = $place; !is_dir($there) && $there !== '/'; $there = dirname($there));
      if ($this->problem("$place/x") === NULL && @is_writable($there)) {
        return $place;
      }
    }
    return NULL;
  }

  /**
   * Why a key may not lie at a path; NULL if it may.
   */
  public function problem(string $path): ?string {
    $real = str_starts_with($path, '/') ? $this->folders->behind($path) : NULL;
    if ($real === NULL) {
      return (string) $this->t('Give a full path, without “..”.');
    }
    $project = $this->program->site()->root();
    $places = [$this->root, $project, ...array_map([$this->files, 'realpath'], ['public://', 'private://'])];
    foreach (array_filter($places) as $folder) {
      if (str_starts_with($real, rtrim((string) realpath($folder), '/') . '/')) {
        return PlainTextOutput::renderFromHtml($this->t('@path lies in @folder, which is backed up or served: a key does not belong there.', [
          '@path' => $path,
          '@folder' => $folder,
        ]));
      }
    }
    return NULL;
  }

  /**
   * What is wrong with a key file.
   *
   * @return string[]
   *   Sentences in plain text.
   */
  public static function problems(string $file): array {
    if (!is_file($file)) {
      return [PlainTextOutput::renderFromHtml(t('The key file @file is not there, or PHP may not see it.', ['@file' => $file]))];
    }
    return array_map('strval', array_filter([
      is_readable($file) ? NULL : t('PHP may not read the key file @file.', ['@file' => $file]),
      (fileperms($file) & 077) === 0 ? NULL : t('Others can read the key file @file: chmod 600.', ['@file' => $file]),
    ]));
  }

  /**
   * The files of older keys, which old backups may still need.
   *
   * @return string[]
   *   Paths.
   */
  public function older(): array {
    return array_values(array_filter((array) (\Drupal::service('bam.site')->complete()['encryption']['keys'] ?? []), 'is_string'));
  }

  /**
   * Whether the key in use is the one of these settings, and so can be changed.
   */
  public function isOurs(): bool {
    $file = $this->file();
    return $file !== '' && $file === $this->config->getEditable('bam.settings')->get('key_file');
  }

  /**
   * Makes a new key beside the one in use, which is kept for old backups.
   *
   * @return string
   *   The new file.
   *
   * @throws \RuntimeException
   *   With what to do.
   */
  public function rotate(): string {
    $old = $this->file();
    $file = $day = dirname($old) . '/key-' . gmdate('Y-m-d');
    for ($n = 2; file_exists($file); $n++) {
      $file = "$day-$n";
    }
    $settings = $this->config->getEditable('bam.settings');
    // Before the new key takes its place: at no moment is it forgotten.
    $settings->set('keys', array_values(array_unique([$old, ...(array) $settings->get('keys')])))->save();
    $this->make($file);
    return $file;
  }

  /**
   * Stores a key that somebody has typed in from a sheet, and uses it.
   *
   * @throws \RuntimeException
   *   If it cannot be stored.
   */
  public function takeIn(string $file, string $passphrase): void {
    $this->makeFolder(dirname($file));
    $umask = umask(077);
    $to = @fopen($file, 'x');
    umask($umask);
    $stored = $to && fwrite($to, "$passphrase\n") !== FALSE;
    if (!$to || !fclose($to) || !$stored) {
      throw new \RuntimeException(PlainTextOutput::renderFromHtml($this->t('@file cannot be written.', ['@file' => $file])));
    }
    $this->config->getEditable('bam.settings')->set('key_file', $file)->save();
  }

  /**
   * Makes a key for encryption, and uses it from now on.
   *
   * @throws \RuntimeException
   *   With what to do.
   */
  public function make(string $file): void {
    $this->makeFolder(dirname($file));
    $run = $this->program->execute([(string) $this->program->path(), 'keygen', '--json', '--', $file], 30);
    if ($run['exit_code'] !== 0) {
      $answer = json_decode($run['output'], TRUE);
      throw new \RuntimeException($answer['error']['message'] ?? trim($run['errors']));
    }
    $this->config->getEditable('bam.settings')->set('key_file', $file)->save();
  }

  /**
   * The passphrase of the key file, its first line; NULL where PHP cannot read.
   */
  public function read(): ?string {
    $lines = $this->file() === '' ? FALSE : @file($this->file(), FILE_IGNORE_NEW_LINES);
    return $lines ? rtrim($lines[0], "\r") : NULL;
  }

  /**
   * Makes a pair of SSH keys to log in at a server with.
   *
   * @return string
   *   The file with the private key; the public one has .pub after it.
   *
   * @throws \RuntimeException
   *   With what to do.
   */
  public function makeIdentity(string $name): string {
    $folder = $this->folder();
    if ($folder === NULL) {
      throw new \RuntimeException(PlainTextOutput::renderFromHtml($this->t('There is no folder outside of the project in which the user @user may write. An administrator of this machine makes one: sudo install -d -o @user -m 700 /etc/bam', ['@user' => self::user()])));
    }
    $this->makeFolder($folder);
    $file = "$folder/login-" . preg_replace('/[^a-z0-9_]/', '', $name);
    if (is_file($file) && is_file("$file.pub")) {
      return $file;
    }
    $run = $this->program->execute(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', "bam-$name", '-f', $file], 30);
    if ($run['exit_code'] !== 0 || !is_file("$file.pub")) {
      throw new \RuntimeException(PlainTextOutput::renderFromHtml($this->t('No login key was made: @error. Is the program ssh-keygen installed?', ['@error' => trim($run['errors'] . ' ' . $run['output'])])));
    }
    return $file;
  }

  /**
   * Makes a folder for keys where it is missing.
   */
  private function makeFolder(string $folder): void {
    if (!is_dir($folder) && !@mkdir($folder, 0700, TRUE) && !is_dir($folder)) {
      throw new \RuntimeException(PlainTextOutput::renderFromHtml($this->t('The folder @folder cannot be made.', ['@folder' => $folder])));
    }
  }

}
