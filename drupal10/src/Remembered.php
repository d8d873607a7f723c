<?php

declare(strict_types=1);

namespace Drupal\bam;

use Drupal\Component\Datetime\TimeInterface;
use Drupal\Core\StringTranslation\StringTranslationTrait;

/**
 * What the program answered last, and when; asked anew in the background.
 *
 * Its answers may take as long as a server that is silent: no page waits for
 * one. Of each verb there are in Program::stateFolder(): VERB.answer, the last
 * answer; VERB.new, with the time of the last question; VERB.asking, while it
 * is being asked; and `changed`, touched when answers of before are old.
 *
 * Times of files have whole seconds, in which much can happen: what comes later
 * here gets a later time, though it be one that has yet to come. A question is
 * later than the last change, and a change no earlier than the last question.
 */
final class Remembered {

  use StringTranslationTrait;

  /**
   * After so many seconds an answer is asked for anew.
   */
  private const FRESH = 60;

  public function __construct(
    private readonly Program $program,
    private readonly TimeInterface $time,
  ) {}

  /**
   * The last answer to a quick verb of the program.
   *
   * @param string $verb
   *   For instance `backups`, or `others`: the backups of other sites, too.
   * @param float $patience
   *   So many seconds a page may wait for a first or fresher answer: local
   *   places answer at once, and then it need not show an old one.
   * @param bool $anew
   *   Whether only the answer to a question of from now on will do.
   *
   * @return array{answer: array<string, mixed>, time: int, asking: bool}|null
   *   `answer`: the program's JSON, or an `error`; `time`: when it was asked;
   *   `asking`: whether a newer one is on its way. NULL while there is none.
   */
  public function ask(string $verb, float $patience = 3.0, bool $anew = FALSE): ?array {
    $folder = $this->program->isInstalled() ? $this->program->stateFolder(TRUE) : NULL;
    if ($folder === NULL) {
      $error = $this->program->isInstalled()
        ? ['message' => (string) $this->t('The folder for status files cannot be created.'), 'hint' => '']
        : $this->program->missing();
      return ['answer' => ['error' => $error], 'time' => $this->time->getRequestTime(), 'asking' => FALSE];
    }
    $known = self::read("$folder/$verb.answer");
    $old = max(time() - self::FRESH, self::time("$folder/changed"), $anew ? self::time("$folder/$verb.new") : 0);
    if ($known !== NULL && $known['time'] > $old) {
      return $known;
    }
    $deadline = microtime(TRUE) + $patience;
    $started = FALSE;
    do {
      // What somebody else is asking may have been asked too early.
      $started = $started || $this->start($folder, $verb, $old);
      $newer = self::read("$folder/$verb.answer");
      if ($newer !== NULL && $newer['time'] > $old) {
        return $newer;
      }
      $left = $deadline - microtime(TRUE);
      if ($left > 0) {
        usleep((int) (min(0.05, $left) * 1000000));
      }
    } while ($left > 0);
    return $newer === NULL ? NULL : ['asking' => TRUE] + $newer;
  }

  /**
   * Forgets that the last answers are fresh: something was changed.
   */
  public function forget(): void {
    $folder = $this->program->stateFolder();
    if ($folder !== NULL) {
      @touch("$folder/changed", max(time(), 0, ...array_map([self::class, 'time'], glob("$folder/*.new") ?: [])));
    }
  }

  /**
   * The time of a file; 0 where it has none, or one before the clock was set back.
   */
  private static function time(string $file): int {
    clearstatcache(TRUE, $file);
    $time = (int) @filemtime($file);
    return $time > time() + self::FRESH ? 0 : $time;
  }

  /**
   * Reads a remembered answer; NULL if there is none that is whole.
   */
  private static function read(string $file): ?array {
    // It has the time of its question.
    $time = self::time($file);
    $answer = json_decode((string) @file_get_contents($file), TRUE);
    return is_array($answer) ? ['answer' => $answer, 'time' => $time, 'asking' => FALSE] : NULL;
  }

  /**
   * Asks in the background, unless somebody asks already.
   *
   * @param string $folder
   *   Where the answer goes.
   * @param string $verb
   *   What is asked.
   * @param int $old
   *   The question gets a time after this one.
   *
   * @return bool
   *   Whether it was asked.
   */
  private function start(string $folder, string $verb, int $old): bool {
    $lock = @fopen("$folder/$verb.asking", 'c');
    if (!$lock) {
      return FALSE;
    }
    // The lock is inherited by what is started here, and held until it ends.
    $free = flock($lock, LOCK_EX | LOCK_NB);
    if ($free) {
      $new = "$folder/$verb.new";
      touch($new, max(time(), $old + 1));
      [$new, $out, $errors, $answer] = array_map([Program::class, 'quote'], [$new, "$new.out", "$new.err", "$folder/$verb.answer"]);
      $ask = $verb === 'others' ? ['backups', '--site', 'all'] : [$verb];
      $words = implode(' ', array_map([Program::class, 'quote'], $this->program->command($ask)));
      // What misses something has another exit code than 0, and is an answer.
      $line = "umask 077; $words </dev/null >$out 2>$errors; if [ -s $out ]; then touch -r $new $out; mv $out $answer; fi";
      $this->program->background($line, [3 => $lock]);
    }
    fclose($lock);
    return $free;
  }

}
