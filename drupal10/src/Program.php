<?php

declare(strict_types=1);

namespace Drupal\bam;

use Bam\BamException;
use Bam\Site\Drupal10\Drupal10Site;
use Drupal\Component\Render\PlainTextOutput;
use Drupal\Core\Config\ConfigFactoryInterface;
use Drupal\Core\File\FileSystemInterface;
use Drupal\Core\StringTranslation\StringTranslationTrait;

/**
 * The program `bam` and the PHP classes beside it: finding and running them.
 *
 * Nothing secret is ever in its arguments: it asks the site for its settings.
 */
final class Program {

  use StringTranslationTrait;

  /**
   * Whether the classes of php-shim are there; NULL where nobody has looked.
   */
  private ?bool $shim = NULL;

  public function __construct(
    private readonly ConfigFactoryInterface $config,
    private readonly FileSystemInterface $files,
    private readonly string $root,
    private readonly string $sitePath,
  ) {}

  /**
   * Where the program is: as set, else where it may be installed.
   *
   * @return string|null
   *   An absolute path, or NULL if there is none.
   */
  public function path(): ?string {
    $set = (string) $this->config->get('bam.settings')->get('program');
    if ($set !== '') {
      return $this->problem($set) === NULL ? $set : NULL;
    }
    $here = (string) realpath(dirname(__DIR__));
    $places = [
      // PREFIX/share/bam/drupal10 -> PREFIX/bin; then a checkout of sources.
      dirname($here, 3) . '/bin/bam',
      '/usr/local/bin/bam',
      '/usr/bin/bam',
      dirname($here) . '/target/release/bam',
      dirname($here) . '/target/debug/bam',
    ];
    foreach ($places as $place) {
      if (@is_file($place) && @is_executable($place) && $this->problem($place) === NULL) {
        return $place;
      }
    }
    return NULL;
  }

  /**
   * Tells why a path cannot be the backup program, or NULL if it can.
   */
  public function problem(string $path): ?string {
    if (!str_starts_with($path, '/')) {
      return PlainTextOutput::renderFromHtml($this->t('@path is not an absolute path.', ['@path' => $path]));
    }
    $real = @realpath($path);
    if ($real === FALSE || !is_file($real)) {
      return PlainTextOutput::renderFromHtml($this->t('There is no file @path.', ['@path' => $path]));
    }
    if (!is_executable($real)) {
      return PlainTextOutput::renderFromHtml($this->t('@path is not executable for the user that PHP runs as.', ['@path' => $path]));
    }
    // What a visitor could upload must never be run.
    $places = array_map([$this->files, 'realpath'], ['public://', 'private://', 'temporary://']);
    foreach (array_filter([$this->root, ...$places]) as $folder) {
      if (str_starts_with($real, rtrim($folder, '/') . '/')) {
        return PlainTextOutput::renderFromHtml($this->t('@path lies in @folder, where files can be uploaded to. Install the program elsewhere.', [
          '@path' => $path,
          '@folder' => $folder,
        ]));
      }
    }
    return NULL;
  }

  /**
   * Makes the classes of php-shim known, unless Composer did.
   *
   * @return bool
   *   Whether they are there.
   */
  public function loadShim(): bool {
    if ($this->shim === NULL) {
      $program = (string) $this->path();
      $places = [
        dirname((string) realpath(dirname(__DIR__))) . '/php-shim',
        // PREFIX/bin/bam, or what a link there points to.
        dirname($program, 2) . '/share/bam/php-shim',
        dirname((string) realpath($program), 2) . '/share/bam/php-shim',
        '/usr/local/share/bam/php-shim',
        '/usr/share/bam/php-shim',
      ];
      $places = array_filter($places, static fn (string $place): bool => @is_file("$place/autoload.php"));
      if (!class_exists(BamException::class) && $places !== []) {
        require_once reset($places) . '/autoload.php';
      }
      $this->shim = class_exists(BamException::class);
    }
    return $this->shim;
  }

  /**
   * Whether backups can be made at all.
   */
  public function isInstalled(): bool {
    return $this->loadShim() && $this->path() !== NULL;
  }

  /**
   * What of it is missing and what to do, as one sentence each.
   *
   * @return array{message: string, hint: string}
   *   Plain text.
   */
  public function missing(): array {
    return $this->path() === NULL ? [
      'message' => (string) $this->t('The program bam was not found.'),
      'hint' => (string) $this->t('Install it, or say in the settings where it is.'),
    ] : [
      'message' => (string) $this->t('The program bam is there, but not the PHP classes that belong to it (php-shim).'),
      'hint' => (string) $this->t('Require bam/bam-php with Composer, or have the module as a link into the folder share/bam where bam is installed.'),
    ];
  }

  /**
   * The site, as the classes of php-shim see it.
   *
   * @throws \Bam\BamException
   */
  public function site(): Drupal10Site {
    if (!$this->loadShim()) {
      throw new \RuntimeException(implode(' ', $this->missing()));
    }
    return Drupal10Site::running($this->uri());
  }

  /**
   * The command line for a verb of the program, as a list.
   *
   * @param string[] $arguments
   *   The verb and its arguments.
   * @param string|null $statusFile
   *   Where it shall tell how far it is.
   *
   * @return string[]
   *   The program and its arguments.
   */
  public function command(array $arguments, ?string $statusFile = NULL): array {
    $command = [(string) $this->path(), '--root', $this->root, '--json', '--quiet'];
    if ($this->uri() !== '') {
      array_push($command, '--uri', $this->uri());
    }
    if ($statusFile !== NULL) {
      array_push($command, '--status-file', $statusFile);
    }
    return [...$command, ...$arguments];
  }

  /**
   * The environment for the program: ours, with what a web server leaves out.
   *
   * @return array<string, string>
   *   Variables.
   */
  public function environment(): array {
    $environment = getenv() + ['PATH' => '/usr/local/bin:/usr/bin:/bin', 'LANG' => 'C.UTF-8'];
    if (!isset($environment['HOME']) && function_exists('posix_getpwuid')) {
      $me = posix_getpwuid(self::uid());
      // SSH looks for keys and known hosts there.
      $environment['HOME'] = $me ? $me['dir'] : '/';
    }
    if ($this->loadShim()) {
      $environment['BAM_PHP_SHIM'] = dirname((string) (new \ReflectionClass(BamException::class))->getFileName(), 2);
    }
    // The copy of the configuration needs a place that can be written to:
    // users of web servers have no home to speak of.
    $folder = $this->stateFolder(TRUE);
    if (PHP_SAPI !== 'cli' && $folder !== NULL) {
      $environment += ['XDG_STATE_HOME' => $folder];
    }
    return $environment;
  }

  /**
   * The folder with the records of runs; one for each site and system user.
   *
   * Not in the database, which a restore replaces, nor below the docroot.
   *
   * @param bool $create
   *   Whether to create it if it is missing.
   *
   * @return string|null
   *   Its path, or NULL if it does not exist, or belongs to somebody else.
   */
  public function stateFolder(bool $create = FALSE): ?string {
    $me = self::uid();
    $base = (string) $this->config->get('bam.settings')->get('state_dir');
    if ($base === '') {
      // /var/tmp survives a restart of the machine. It may be closed to PHP by
      // open_basedir, the site's own temporary folder never is.
      $base = @is_writable('/var/tmp') ? '/var/tmp' : $this->files->getTempDirectory();
    }
    $folder = "$base/bam-jobs-$me-" . substr(hash('sha256', "$this->root\0$this->sitePath"), 0, 16);
    if ($create && !is_dir($folder)) {
      @mkdir($folder, 0700, TRUE);
    }
    // Anybody may create a folder of that name in /var/tmp: only ours will do.
    $found = @lstat($folder);
    $ours = $found && ($found['mode'] & 0170000) === 0040000 && $found['uid'] === $me && ($found['mode'] & 022) === 0;
    return $ours ? $folder : NULL;
  }

  /**
   * Starts a program in the docroot, with our environment: proc_open().
   *
   * A function that php.ini switches off is none: calling it ends the request.
   *
   * @param string[] $command
   *   Program and arguments.
   * @param array<int, mixed> $descriptors
   *   Its open files, by their numbers.
   * @param array<int, resource>|null $pipes
   *   Our ends of pipes among them.
   *
   * @return resource|false
   *   FALSE where that cannot be, or what has to be done with it later cannot.
   */
  public function open(array $command, array $descriptors, ?array &$pipes) {
    foreach (['proc_open', 'proc_close', 'proc_terminate'] as $function) {
      if (!function_exists($function)) {
        return FALSE;
      }
    }
    return @proc_open($command, $descriptors, $pipes, $this->root, $this->environment());
  }

  /**
   * The number of the system's user that PHP runs as.
   *
   * The functions that tell it may be switched off in php.ini.
   */
  public static function uid(): int {
    if (function_exists('posix_geteuid')) {
      return posix_geteuid();
    }
    $owner = @fileowner('/proc/self');
    return is_int($owner) ? $owner : (int) @fileowner(__FILE__);
  }

  /**
   * Runs a program to its end, without a shell, and takes what it prints.
   *
   * @param string[] $command
   *   Program and arguments.
   * @param int $seconds
   *   It is stopped when it takes longer.
   *
   * @return array{exit_code: int|null, output: string, errors: string}
   *   The exit code is NULL if it could not be started or was stopped.
   */
  public function execute(array $command, int $seconds): array {
    $result = ['exit_code' => NULL, 'output' => '', 'errors' => ''];
    $process = $this->open($command, [['file', '/dev/null', 'r'], ['pipe', 'w'], ['pipe', 'w']], $pipes);
    if (!is_resource($process)) {
      $result['errors'] = PlainTextOutput::renderFromHtml($this->t('@program cannot be started; is proc_open() switched off in php.ini (disable_functions)?', ['@program' => $command[0]]));
      return $result;
    }
    $open = ['output' => $pipes[1], 'errors' => $pipes[2]];
    $limits = ['output' => 16 << 20, 'errors' => 1 << 16];
    $deadline = microtime(TRUE) + $seconds;
    $late = FALSE;
    while ($open !== []) {
      $ready = array_values($open);
      $none = [];
      $wait = max(0, $deadline - microtime(TRUE));
      $late = !@stream_select($ready, $none, $none, (int) $wait, (int) (fmod($wait, 1) * 1000000));
      if ($late) {
        break;
      }
      foreach ($ready as $pipe) {
        $name = array_search($pipe, $open, TRUE);
        $bytes = fread($pipe, 65536);
        if ($bytes === '' || $bytes === FALSE) {
          unset($open[$name]);
        }
        elseif (strlen($result[$name]) < $limits[$name]) {
          $result[$name] .= $bytes;
        }
      }
    }
    if ($late) {
      proc_terminate($process);
      $result['errors'] = PlainTextOutput::renderFromHtml($this->t('It took longer than @count seconds and was stopped.', ['@count' => $seconds]));
    }
    array_map('fclose', $pipes);
    $code = proc_close($process);
    $result['exit_code'] = $late ? NULL : $code;
    return $result;
  }

  /**
   * A word for a line of shell, as it is.
   *
   * Not escapeshellarg(), which drops bytes that are no characters of the
   * locale: under C those beyond ASCII, and then a path is another path.
   */
  public static function quote(string $word): string {
    return "'" . str_replace("'", "'\\''", $word) . "'";
  }

  /**
   * Starts a line of shell that nobody waits for.
   *
   * In a session of its own where the system has setsid, so that nothing that
   * ends this request ends it.
   *
   * @param string $line
   *   The line. What it prints is lost.
   * @param array<int, resource> $inherited
   *   Open files for it, by their numbers.
   *
   * @return bool
   *   Whether it could be started.
   */
  public function background(string $line, array $inherited = []): bool {
    $line = self::quote($line);
    $script = "(if command -v setsid >/dev/null; then exec setsid sh -c $line; else exec sh -c $line; fi) >/dev/null 2>&1 &";
    $none = ['file', '/dev/null', 'w'];
    $process = $this->open(['/bin/sh', '-c', $script], [['file', '/dev/null', 'r'], $none, $none] + $inherited, $pipes);
    return is_resource($process) && proc_close($process) === 0;
  }

  /**
   * Runs a quick verb of the program and returns what it answers.
   *
   * @param string[] $arguments
   *   The verb and its arguments.
   * @param int $seconds
   *   How long it may take.
   *
   * @return array<string, mixed>
   *   The program's JSON; on failure with the key `error`: `message` and
   *   `hint`, plain text.
   */
  public function ask(array $arguments, int $seconds = 60): array {
    if ($this->path() === NULL) {
      return ['error' => $this->missing()];
    }
    $run = $this->execute($this->command($arguments), $seconds);
    $answer = json_decode($run['output'], TRUE);
    if (is_array($answer) && $answer !== []) {
      return $answer;
    }
    $message = trim($run['errors']);
    $nothing = PlainTextOutput::renderFromHtml($this->t('It ended with code @code and said nothing.', ['@code' => $run['exit_code'] ?? '-']));
    return ['error' => ['message' => $message !== '' ? $message : $nothing, 'hint' => '']];
  }

  /**
   * Which of several sites this is; empty where there is one.
   */
  private function uri(): string {
    return $this->sitePath === 'sites/default' ? '' : $GLOBALS['base_url'] ?? basename($this->sitePath);
  }

}
