<?php

declare(strict_types=1);

namespace Drupal\bam;

use Drupal\Component\Render\PlainTextOutput;
use Drupal\Component\Utility\Bytes;
use Drupal\Core\Session\AccountInterface;
use Drupal\Core\StringTranslation\StringTranslationTrait;

/**
 * Backup files that come from an administrator's own machine, in pieces.
 *
 * Each piece is an ordinary small request, so that PHP's limits of uploads do
 * not matter; an upload that broke off goes on where it stopped. In
 * Program::stateFolder() there are: upload-USER-ID.part, what is there of a
 * file; upload-USER-RANDOM/NAME, a whole one until the program has taken it in.
 */
final class Uploads {

  use StringTranslationTrait;

  /**
   * Bytes of a piece; less where PHP's post_max_size wants it.
   */
  private const PIECE = 1048576;

  /**
   * So many seconds an upload waits for somebody to go on with it.
   */
  private const KEEP = 2 * 86400;

  public function __construct(
    private readonly Program $program,
    private readonly AccountInterface $user,
  ) {}

  /**
   * How large a piece may be, in bytes.
   */
  public static function piece(): int {
    $post = (int) Bytes::toNumber((string) ini_get('post_max_size'));
    return $post > 0 ? max(65536, min(self::PIECE, intdiv($post, 2))) : self::PIECE;
  }

  /**
   * The file of an upload under way; NULL for what is no ID of one.
   *
   * The ID is made by the browser of the file's name, size and date, so that
   * the same file goes on; the user's number keeps users apart.
   */
  public function part(string $id): ?string {
    $folder = $this->program->stateFolder(TRUE);
    return $folder !== NULL && preg_match('/^[0-9a-f]{16,64}$/D', $id) ? "$folder/upload-{$this->user->id()}-$id.part" : NULL;
  }

  /**
   * How many bytes of a file are there.
   */
  public static function size(string $part): int {
    clearstatcache(TRUE, $part);
    return is_file($part) ? (int) filesize($part) : 0;
  }

  /**
   * Appends a piece, if it begins where the file ends.
   *
   * @param string $part
   *   The file, as part() tells it.
   * @param int $offset
   *   Where the piece begins.
   * @param resource $from
   *   The piece.
   *
   * @return string|null
   *   What went wrong; NULL where nothing did.
   */
  public function append(string $part, int $offset, $from): ?string {
    $umask = umask(077);
    $to = @fopen($part, 'ab');
    umask($umask);
    if (!$to) {
      return PlainTextOutput::renderFromHtml($this->t('It cannot be stored in @folder.', ['@folder' => dirname($part)]));
    }
    $wrote = TRUE;
    // The same file may be sent from two windows: one of them waits its turn.
    if (flock($to, LOCK_EX | LOCK_NB) && self::size($part) === $offset) {
      $wrote = stream_copy_to_stream($from, $to) !== FALSE;
    }
    return fclose($to) && $wrote ? NULL : PlainTextOutput::renderFromHtml($this->t('It cannot be stored: is the disk full?'));
  }

  /**
   * Gives a whole file its name, in a folder of its own.
   *
   * @param string $name
   *   The name.
   * @param array<string, string> $files
   *   The files by what comes after the name: '' and perhaps `.info`.
   *
   * @return string
   *   The folder.
   *
   * @throws \RuntimeException
   *   If it cannot be put in place.
   */
  public function settle(string $name, array $files): string {
    $folder = $this->program->stateFolder(TRUE) . "/upload-{$this->user->id()}-" . bin2hex(random_bytes(8));
    $umask = umask(077);
    $moved = @mkdir($folder);
    foreach ($files as $extension => $file) {
      // Not rename(), which PHP replaces by a copy between file systems.
      $to = "$folder/$name$extension";
      $moved = $moved && (is_uploaded_file($file) ? move_uploaded_file($file, $to) : rename($file, $to));
    }
    umask($umask);
    if (!$moved) {
      self::remove(dirname($folder), basename($folder));
      throw new \RuntimeException(PlainTextOutput::renderFromHtml($this->t('The file cannot be put in place: is the disk full?')));
    }
    return $folder;
  }

  /**
   * Deletes uploads that nobody went on with.
   */
  public function prune(): void {
    $folder = $this->program->stateFolder();
    foreach ($folder === NULL ? [] : (glob("$folder/upload-*", GLOB_NOSORT) ?: []) as $file) {
      if (time() - (int) @filemtime($file) > self::KEEP) {
        is_dir($file) ? self::remove($folder, basename($file)) : @unlink($file);
      }
    }
  }

  /**
   * Removes what was uploaded, once the program has taken it in or refused it.
   */
  public static function remove(string $state, string $upload): void {
    if (preg_match('/^upload-\d+-[0-9a-f]{16}$/D', $upload)) {
      array_map('unlink', glob("$state/$upload/*", GLOB_NOSORT) ?: []);
      @rmdir("$state/$upload");
    }
  }

}
