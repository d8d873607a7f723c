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
 * answer; VERB.asking, while it is being asked; and `changed`, touched when
 * answers of before are old.
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
   *
   * @return array{answer: array<string, mixed>, time: int, asking: bool}|null
   *   `answer`: the program's JSON, or an `error`; `time`: when it was asked;
   *   `asking`: whether a newer one is on its way. NULL while there is none.
   */
  public function ask(string $verb, float $patience = 3.0): ?array {
    $folder = $this->program->isInstalled() ? $this->program->stateFolder(TRUE) : NULL;
    if ($folder === NULL) {
      $error = $this->program->isInstalled()
        ? ['message' => (string) $this->t('The folder for status files cannot be created.'), 'hint' => '']
        : $this->program->missing();
      return ['answer' => ['error' => $error], 'time' => $this->time->getRequestTime(), 'asking' => FALSE];
    }
    $known = self::read("$folder/$verb.answer");
    $wanted = max(time() - self::FRESH, (int) @filemtime("$folder/changed"));
    if ($known !== NULL && $known['time'] > $wanted) {
      return $known;
    }
    $this->start($folder, $verb);
    $deadline = microtime(TRUE) + $patience;
    do {
      $newer = self::read("$folder/$verb.answer");
      if ($newer !== NULL && ($known === NULL || $newer['file'] !== $known['file']) && $newer['time'] >= $wanted) {
        return $newer;
      }
      $left = $deadline - microtime(TRUE);
      if ($left > 0) {
        usleep((int) (min(0.05, $left) * 1000000));
      }
    } while ($left > 0);
    return $known === NULL ? NULL : ['asking' => TRUE] + $known;
  }

  /**
   * Forgets that the last answers are fresh: something was changed.
   */
  public function forget(): void {
    $folder = $this->program->stateFolder();
    if ($folder !== NULL) {
      @touch("$folder/changed");
    }
  }

  /**
   * Reads a remembered answer; NULL if there is none that is whole.
   */
  private static function read(string $file): ?array {
    clearstatcache(TRUE, $file);
    $answer = json_decode((string) @file_get_contents($file), TRUE);
    if (!is_array($answer)) {
      return NULL;
    }
    // It has the time of the question. Each answer is another file: times have
    // only whole seconds.
    return ['answer' => $answer, 'time' => (int) @filemtime($file), 'asking' => FALSE, 'file' => (int) @fileinode($file)];
  }

  /**
   * Asks in the background, unless somebody asks already.
   */
  private function start(string $folder, string $verb): void {
    $lock = @fopen("$folder/$verb.asking", 'c');
    if (!$lock) {
      return;
    }
    // The lock is inherited by what is started here, and held until it ends.
    if (flock($lock, LOCK_EX | LOCK_NB)) {
      $new = "$folder/$verb.new";
      touch($new);
      [$new, $out, $errors, $answer] = array_map([Program::class, 'quote'], [$new, "$new.out", "$new.err", "$folder/$verb.answer"]);
      $ask = $verb === 'others' ? ['backups', '--site', 'all'] : [$verb];
      $words = implode(' ', array_map([Program::class, 'quote'], $this->program->command($ask)));
      // What misses something has another exit code than 0, and is an answer.
      $line = "umask 077; $words </dev/null >$out 2>$errors; if [ -s $out ]; then touch -r $new $out; mv $out $answer; fi";
      $this->program->background($line, [3 => $lock]);
    }
    fclose($lock);
  }

}
