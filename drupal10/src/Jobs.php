<?php

declare(strict_types=1);

namespace Drupal\bam;

use Bam\Process;
use Drupal\bam\Event\BamEvents;
use Drupal\bam\Event\JobEvent;
use Drupal\Component\Datetime\TimeInterface;
use Drupal\Component\Render\PlainTextOutput;
use Drupal\Core\Session\AccountInterface;
use Drupal\Core\StringTranslation\StringTranslationTrait;
use Psr\Log\LoggerInterface;
use Symfony\Contracts\EventDispatcher\EventDispatcherInterface;

/**
 * Runs of the program in the background, their records, their end.
 *
 * Of a run there are, in Program::stateFolder(): ID.job, what was asked for;
 * ID.status, which the program keeps up to date while it works; ID.log, what it
 * said besides. Whoever notices its end first renames ID.job to ID.done, and
 * does what there is to do then: so it is done once.
 */
final class Jobs {

  use StringTranslationTrait;

  /**
   * How long the records of runs that have ended are kept, in seconds.
   */
  private const KEEP = 7 * 86400;

  /**
   * How long is kept what was typed to restore from elsewhere, in seconds.
   */
  private const KEEP_TYPED = 86400;

  /**
   * After so many seconds without any progress a run is said to stand still.
   */
  private const STILL = 3 * 3600;

  /**
   * The permission that a kind of run needs.
   */
  private const PERMISSIONS = [
    'restore' => 'restore from backup',
    'recover' => 'restore from backup',
    'preview' => 'restore from backup',
    'look' => 'restore from backup',
    'import' => 'restore from backup',
    'delete' => 'delete backup files',
    'try' => 'administer bam',
    'init' => 'administer bam',
    'rekey' => 'administer bam',
  ];

  public function __construct(
    private readonly Program $program,
    private readonly LastRuns $lastRuns,
    private readonly Mails $mails,
    private readonly EventDispatcherInterface $events,
    private readonly Remembered $remembered,
    private readonly Places $places,
    private readonly AccountInterface $user,
    private readonly TimeInterface $time,
    private readonly LoggerInterface $logger,
  ) {}

  /**
   * The permission that a kind of run needs.
   */
  public static function permission(string $kind): string {
    return self::PERMISSIONS[$kind] ?? 'perform backup';
  }

  /**
   * Starts runs, one after the other in one chain.
   *
   * @param array<array<string, mixed>> $jobs
   *   For each: `kind`, `title` in plain text, `arguments` for the program, and
   *   what is to be remembered.
   * @param bool $wait
   *   Whether to wait for their end; else they go on by themselves.
   *
   * @return string[]
   *   The IDs, in the same order.
   *
   * @throws \RuntimeException
   *   If they cannot be started. None is then.
   */
  public function start(array $jobs, bool $wait = FALSE): array {
    if (!$this->program->isInstalled()) {
      throw new \RuntimeException(implode(' ', $this->program->missing()));
    }
    $folder = $this->program->stateFolder(TRUE);
    if ($folder === NULL) {
      throw new \RuntimeException((string) $this->t('The folder for status files cannot be created, or belongs to another user. Choose a folder of the user that PHP runs as in the settings, outside of the docroot.'));
    }
    foreach ($jobs as $job) {
      $event = new JobEvent($job['kind'], $job);
      $this->events->dispatch($event, BamEvents::START);
      if ($event->refused !== NULL) {
        throw new Refused($event->refused);
      }
    }
    $chain = [];
    $records = [];
    try {
      foreach ($jobs as $job) {
        $id = bin2hex(random_bytes(16));
        $records[$id] = $job + ['uid' => (int) $this->user->id(), 'created' => time(), 'pid' => 0, 'process' => ''];
        $this->write($id, $records[$id]);
        $words = array_map([Program::class, 'quote'], $this->program->command($job['arguments'], "$folder/$id.status"));
        $chain[] = implode(' ', $words) . ' </dev/null >/dev/null 2>' . Program::quote("$folder/$id.log");
      }
      $this->startChain('umask 077; ' . implode('; ', $chain), $wait, $records);
    }
    catch (\RuntimeException $cause) {
      foreach (array_keys($records) as $id) {
        @unlink("$folder/$id.job");
      }
      throw $cause;
    }
    return array_keys($records);
  }

  /**
   * The IDs of runs that were started and not yet collected, oldest first.
   *
   * @return string[]
   *   Usually none; costs one look into a folder.
   */
  public function open(): array {
    $folder = $this->program->stateFolder();
    $started = [];
    foreach ($folder === NULL ? [] : (glob("$folder/*.job", GLOB_NOSORT) ?: []) as $file) {
      $started[basename($file, '.job')] = (int) @filemtime($file);
    }
    asort($started);
    return array_map('strval', array_keys($started));
  }

  /**
   * The IDs of runs under way that keep others from working.
   *
   * @return string[]
   *   Those that take the lock of the site, which only one run has.
   */
  public function locking(): array {
    return array_values(array_filter($this->open(), fn (string $id): bool => self::locks($this->load($id))));
  }

  /**
   * The runs under way that have made no progress for hours.
   *
   * What a run has done is kept beside its record, to be compared: the program
   * goes on writing its status while the work hangs.
   *
   * @return array<string, array{title: string, since: int, locks: bool}>
   *   By ID.
   */
  public function still(): array {
    $still = [];
    $folder = $this->program->stateFolder();
    foreach ($this->open() as $id) {
      $job = $this->load($id);
      $status = $this->status($id);
      // One that waits for another stands still with it.
      if ($job === NULL || $status === []) {
        continue;
      }
      $done = json_encode($status['progress'] ?? NULL);
      $file = "$folder/$id.still";
      $since = (int) @filemtime($file);
      if ($since === 0 || $since > time() || @file_get_contents($file) !== $done) {
        @file_put_contents($file, $done);
        clearstatcache(TRUE, $file);
      }
      elseif (time() - $since > self::STILL) {
        $still[$id] = ['title' => $job['title'], 'since' => $since, 'locks' => self::locks($job)];
      }
    }
    return $still;
  }

  /**
   * Whether a run takes the lock of the site.
   */
  private static function locks(?array $job): bool {
    return in_array($job['kind'] ?? '', ['backup', 'schedule', 'restore', 'delete', 'import', 'rekey', 'replicate', 'drill', 'recover'], TRUE);
  }

  /**
   * Marks a run; whether nobody has done so before.
   */
  public function mark(string $id, string $mark): bool {
    $file = @fopen($this->program->stateFolder() . "/$id.$mark", 'x');
    return $file && fclose($file);
  }

  /**
   * Whether a run has a mark.
   */
  public function isMarked(string $id, string $mark): bool {
    return is_file($this->program->stateFolder() . "/$id.$mark");
  }

  /**
   * The records of runs that have ended, newest first.
   *
   * @return array[]
   *   As load() tells them.
   */
  public function past(int $count): array {
    $folder = $this->program->stateFolder();
    $ended = [];
    foreach ($folder === NULL ? [] : (glob("$folder/*.done", GLOB_NOSORT) ?: []) as $file) {
      $ended[basename($file, '.done')] = (int) @filemtime($file);
    }
    arsort($ended);
    return array_filter(array_map(fn ($id): ?array => $this->load((string) $id), array_keys(array_slice($ended, 0, $count, TRUE))));
  }

  /**
   * The record of a run, running or not, or NULL if there is none of this ID.
   */
  public function load(string $id): ?array {
    $folder = $this->program->stateFolder();
    if ($folder === NULL || !preg_match('/^[0-9a-f]{32}$/D', $id)) {
      return NULL;
    }
    foreach (['job', 'done'] as $extension) {
      $job = json_decode((string) @file_get_contents("$folder/$id.$extension"), TRUE);
      if (is_array($job)) {
        return ['id' => $id, 'open' => $extension === 'job'] + $job;
      }
    }
    return NULL;
  }

  /**
   * Where a run is.
   *
   * @return array{state: string, status: array, exit_code: int|null, error: string, hint: string}
   *   `state`: waiting, running, done (maybe not everywhere), failed, locked,
   *   cancelled or interrupted; `status` as the program wrote it; `error`: what
   *   failed, and `hint`, plain text.
   */
  public function view(array $job): array {
    $status = $this->status($job['id']);
    if (!self::hasEnded($status)) {
      if ($this->isAlive($job, $status)) {
        return ['state' => $status ? 'running' : 'waiting', 'status' => $status, 'exit_code' => NULL, 'error' => '', 'hint' => ''];
      }
      // It may have ended between the two looks.
      $status = $this->status($job['id']);
    }
    $view = ['state' => 'failed', 'status' => $status, 'exit_code' => NULL, 'error' => '', 'hint' => ''];
    if (!self::hasEnded($status)) {
      $log = $this->log($job['id']);
      // A program that does not get as far as its status file says why.
      $view['state'] = $status || $log === '' ? 'interrupted' : 'failed';
      $view['error'] = $log === '' ? PlainTextOutput::renderFromHtml($this->t('The run was stopped from outside: killed, or the machine went down.')) : $log;
      return $view;
    }
    $view['exit_code'] = (int) ($status['exit_code'] ?? 0);
    $view['state'] = [0 => 'done', 3 => 'done', 5 => 'locked', 130 => 'cancelled'][$view['exit_code']] ?? 'failed';
    foreach (['message' => 'error', 'hint' => 'hint'] as $from => $to) {
      if (is_string($status['error'][$from] ?? NULL)) {
        $view[$to] = $status['error'][$from];
      }
    }
    return $view;
  }

  /**
   * Notices runs that have ended, and does what there is to do at their end.
   *
   * @return array<string, array>
   *   The views of those that ended, by ID.
   */
  public function collect(): array {
    $ended = [];
    $folder = $this->program->stateFolder();
    foreach ($this->open() as $id) {
      $job = $this->load($id);
      if ($job === NULL) {
        // Not readable as a record: in no state to be asked again each time.
        @rename("$folder/$id.job", "$folder/$id.broken");
        continue;
      }
      $view = $this->view($job);
      if (in_array($view['state'], ['waiting', 'running'], TRUE)) {
        continue;
      }
      // What is to be done in a restored site can only be done by a request
      // that has seen nothing of the old one.
      if ($job['kind'] === 'restore' && (int) @filemtime("$folder/$id.status") >= $this->time->getRequestTime()) {
        continue;
      }
      // Only one of those who notice succeeds in this.
      if ($job['open'] && @rename("$folder/$id.job", "$folder/$id.done")) {
        $this->ended($job, $view);
        $ended[$id] = $view;
      }
    }
    if ($ended !== []) {
      $this->prune((string) $folder);
    }
    return $ended;
  }

  /**
   * The sentences that tell what is missing from a run that ended with code 3.
   *
   * @return string[]
   *   Plain text.
   */
  public static function missing(array $view): array {
    $notes = array_filter((array) ($view['status']['result']['notes'] ?? []), static fn ($note): bool => ($note['kind'] ?? '') === 'missing');
    return array_column($notes, 'text');
  }

  /**
   * Whether a run can be told to stop: its process is known, and may be ours.
   */
  public static function canCancel(array $view): bool {
    return $view['state'] === 'running' && !empty($view['status']['pid']) && function_exists('posix_kill');
  }

  /**
   * Tells a run to stop.
   *
   * @return bool
   *   Whether it could be told.
   */
  public function cancel(array $job): bool {
    $view = $this->view($job);
    // Looked at just now: the number is still that of this run.
    return !self::canCancel($view) || !$job['open'] || posix_kill((int) $view['status']['pid'], 15);
  }

  /**
   * Runs a line of shell in a process group of its own, and notes its number.
   */
  private function startChain(string $line, bool $wait, array $records): void {
    // A session of its own, so that nothing that ends this request ends the
    // run; setsid is missing on some systems. In the foreground Ctrl-C should
    // reach it.
    $shell = 'exec sh -c ' . Program::quote($line);
    $script = $wait
      ? 'echo $$; exec >/dev/null; ' . $shell
      : '(if command -v setsid >/dev/null; then exec setsid sh -c ' . Program::quote($line) . '; else ' . $shell . '; fi) >/dev/null 2>&1 & echo $!';
    $descriptors = [['file', '/dev/null', 'r'], ['pipe', 'w'], ['file', '/dev/null', 'w']];
    $process = $this->program->open(['/bin/sh', '-c', $script], $descriptors, $pipes);
    if (!is_resource($process)) {
      throw new \RuntimeException((string) $this->t('No program can be started from PHP; is proc_open() switched off in php.ini (disable_functions)?'));
    }
    $pid = (int) fgets($pipes[1]);
    fclose($pipes[1]);
    foreach ($records as $id => $record) {
      $this->write((string) $id, ['pid' => $pid, 'process' => Process::identify($pid)] + $record);
    }
    proc_close($process);
  }

  /**
   * Writes the record of a run, whole or not at all.
   */
  private function write(string $id, array $job): void {
    $file = $this->program->stateFolder() . "/$id.job";
    $umask = umask(077);
    $record = (string) json_encode($job, JSON_INVALID_UTF8_SUBSTITUTE);
    // A full disk takes a part.
    $written = @file_put_contents("$file.new", $record) === strlen($record);
    umask($umask);
    if (!$written || !@rename("$file.new", $file)) {
      @unlink("$file.new");
      throw new \RuntimeException(PlainTextOutput::renderFromHtml($this->t('@file cannot be written.', ['@file' => $file])));
    }
  }

  /**
   * What the program says of a run while it works and at its end.
   */
  private function status(string $id): array {
    $status = json_decode((string) @file_get_contents($this->program->stateFolder() . "/$id.status"), TRUE);
    return is_array($status) ? $status : [];
  }

  /**
   * Whether a status is the last one.
   */
  private static function hasEnded(array $status): bool {
    return in_array($status['state'] ?? '', ['done', 'failed'], TRUE);
  }

  /**
   * Whether a run still goes on, or waits for the one before it in its chain.
   */
  private function isAlive(array $job, array $status): bool {
    // Between its record and its start there are milliseconds; a machine under
    // load gets ten seconds.
    if (empty($job['pid'])) {
      return abs(time() - $job['created']) < 10;
    }
    if (!$this->program->loadShim() || !Process::isAlive($job['pid'], $job['process'])) {
      return FALSE;
    }
    return empty($status['pid']) || Process::isAlive((int) $status['pid']);
  }

  /**
   * The end of what the program said on its standard error.
   */
  private function log(string $id): string {
    $file = $this->program->stateFolder() . "/$id.log";
    $size = (int) @filesize($file);
    $text = (string) @file_get_contents($file, FALSE, NULL, max(0, $size - 2000));
    return trim(mb_check_encoding($text, 'UTF-8') ? $text : (string) preg_replace('/[^\x20-\x7e\n]/', '?', $text));
  }

  /**
   * What there is to do once, at the end of a run: the log, the schedule, mail.
   */
  private function ended(array $job, array $view): void {
    $this->remembered->forget();
    $words = ['%title' => $job['title'], '@error' => $view['error'], '@hint' => $view['hint']];
    match (TRUE) {
      $view['state'] === 'done' && $view['exit_code'] === 0 => $this->logger->notice('%title: done.', $words),
      $view['state'] === 'done' => $this->logger->warning('%title: done, but something is missing. @error', ['@error' => implode('; ', self::missing($view))] + $words),
      $view['state'] === 'locked' => $this->logger->notice('%title: another run works on this site; it is tried again at the next cron run.', $words),
      $view['state'] === 'cancelled' => $this->logger->warning('%title: cancelled.', $words),
      default => $this->logger->error('%title: failed. @error @hint', $words),
    };
    if (isset($job['schedule'])) {
      $this->lastRuns->ended($job, $view, $this->time->getRequestTime());
    }
    if ($job['kind'] === 'try') {
      $this->places->ended($job, $view);
    }
    if ($job['kind'] === 'rekey' && $view['state'] === 'done' && $view['exit_code'] === 0) {
      \Drupal::state()->delete('bam.rekey_open');
    }
    if (isset($job['upload'])) {
      Uploads::remove((string) $this->program->stateFolder(), $job['upload']);
    }
    if ($job['kind'] === 'restore' && in_array($view['state'], ['done', 'interrupted'], TRUE)) {
      // The program did, too, but not those that only web requests have.
      drupal_flush_all_caches();
    }
    $this->mails->notify($job, $view);
    $this->events->dispatch(new JobEvent($job['kind'], $job, $view), BamEvents::END);
  }

  /**
   * Forgets keys that were typed long ago to restore from elsewhere.
   */
  public function forgetTyped(): void {
    $folder = $this->program->stateFolder();
    foreach ($folder === NULL ? [] : (glob("$folder/elsewhere-*.key", GLOB_NOSORT) ?: []) as $file) {
      // Or in a future that a wrong clock told.
      if (abs(time() - (int) @filemtime($file)) > self::KEEP_TYPED) {
        @unlink($file);
      }
    }
  }

  /**
   * Deletes records that nobody asks for any more.
   */
  private function prune(string $folder): void {
    foreach (glob("$folder/*.*", GLOB_NOSORT) ?: [] as $file) {
      $job = (string) preg_replace('/\.[a-z.]+$/', '.job', $file);
      if (!file_exists($job) && time() - (int) @filemtime($file) > self::KEEP) {
        @unlink($file);
      }
    }
  }

}
