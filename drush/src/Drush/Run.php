<?php

declare(strict_types=1);

namespace Bam\Drush;

use Bam\BamException;
use Bam\Document;
use Bam\Format;
use Bam\Job;
use Bam\Native;
use Bam\Progress;
use Bam\Site\Configuration;
use Bam\Site\Drupal10\Drupal10Site;
use Bam\Site\Drupal10\Maintenance;
use Bam\Site\Drupal10\MaintenanceProgram;
use Bam\Site\Sites;
use Psr\Log\LoggerInterface;
use Symfony\Component\Console\Helper\ProgressBar;
use Symfony\Component\Console\Output\ConsoleOutputInterface;
use Symfony\Component\Console\Output\OutputInterface;

/**
 * One run of a command on one site: reads it without booting it, runs jobs, and tells what they have to say.
 */
final class Run {

  /**
   * The exit code that this run has come to.
   */
  public int $exitCode = 0;

  private Drupal10Site $site;
  private ?Document $document = NULL;

  /**
   * The notes that were told.
   *
   * @var string[]
   */
  private array $told = [];

  /**
   * Opens the site that Drush has found.
   *
   * @param string $root
   *   Its docroot; empty where Drush found none.
   * @param string $uri
   *   Its address; what Drush makes up ("default") chooses none.
   * @param \Psr\Log\LoggerInterface $logger
   *   Tells people.
   * @param \Symfony\Component\Console\Output\OutputInterface $output
   *   For progress.
   */
  public function __construct(
    string $root,
    string $uri,
    private readonly LoggerInterface $logger,
    private readonly OutputInterface $output,
  ) {
    if ($root === '') {
      throw new BamException('usage', 'there is no Drupal here', 'go to its folder, or say --root=DIR or @alias', 2);
    }
    if (class_exists('\Drupal') && \Drupal::hasContainer()) {
      $this->site = Drupal10Site::running();
      return;
    }
    $site = Sites::open($root, in_array(parse_url($uri, PHP_URL_HOST) ?: $uri, ['default', ''], TRUE) ? '' : $uri);
    if (!$site instanceof Drupal10Site) {
      throw new BamException('usage', "$root is no Drupal 10 or 11", 'Drupal 7 has Drush 8', 2);
    }
    $this->site = $site;
  }

  /**
   * The site.
   */
  public function site(): Drupal10Site {
    return $this->site;
  }

  /**
   * The site's configuration, its remarks told.
   */
  public function document(): Document {
    if ($this->document === NULL) {
      $this->bringBack();
      $configuration = Configuration::of($this->site);
      foreach ($configuration->notes() as $note) {
        $this->logger->warning(Format::name($note));
      }
      $this->document = $this->withProgram($configuration->document());
    }
    return $this->document;
  }

  /**
   * The configuration with what is built in, and without secrets unless they are asked for.
   */
  public function complete(bool $secrets = FALSE): Document {
    $configuration = Configuration::of($this->site);
    foreach ($configuration->notes() as $note) {
      $this->logger->warning(Format::name($note));
    }
    return Native::get()->completeConfig($configuration->document(), $secrets);
  }

  /**
   * Runs a job.
   *
   * @param array<string, mixed> $request
   *   A request (docs/json.md).
   *
   * @return array<string, mixed>
   *   The result, its notes told.
   */
  public function job(array $request): array {
    $job = new Job($this->document(), $request);
    $bar = $this->progress();
    try {
      $result = $job->run($bar === NULL ? NULL : static fn (Progress $progress) => self::advance($bar, $progress));
    }
    finally {
      $bar?->clear();
      // Those of a failed job, too: they may say why.
      foreach ($job->notes() as $note) {
        $text = Format::name($note['text']);
        // What asked first which backup is meant may have said it.
        if (in_array($text, $this->told, TRUE)) {
          continue;
        }
        $this->told[] = $text;
        $note['kind'] === 'info' ? $this->logger->info($text) : $this->logger->warning($text);
      }
    }
    $this->exitCode = max($this->exitCode, (int) ($result['exit_code'] ?? 0));
    return $result;
  }

  /**
   * Makes a backup, in maintenance mode where the profile says so.
   *
   * @param array<string, mixed> $request
   *   A request to back up, or to run a schedule.
   *
   * @return array<string, mixed>
   *   The result.
   */
  public function backup(array $request): array {
    $choice = Native::get()->chooseBackup($this->document(), $request);
    $store = $this->site->store();
    if (isset($request['schedule']) && $store !== NULL) {
      // A run counts from its beginning, and whether or not it succeeds.
      $store->set('bam.last_run', $request['schedule'], time());
    }
    $this->logger->notice(dt('Backing up !source with the profile !profile to !destinations.', [
      '!source' => $choice['source'],
      '!profile' => $choice['profile'],
      '!destinations' => implode(', ', $choice['destinations']),
    ]));
    $maintenance = $store === NULL || !$choice['site_offline'] ? NULL : new Maintenance($this->site, $store);
    $message = MaintenanceProgram::message($this->site, (string) ($choice['site_offline_message'] ?? ''));
    if ($maintenance === NULL || !$maintenance->begin($message, getmypid())) {
      return $this->job($request);
    }
    $pid = getmypid();
    register_shutdown_function(static function () use ($maintenance, $pid): void {
      // A fatal error or an exit; where the run ended well there is nothing left to repair.
      if (getmypid() === $pid) {
        $maintenance->endOwn($pid);
      }
    });
    $this->logger->notice(dt('The site is in maintenance mode.'));
    try {
      return $this->job($request);
    }
    finally {
      // The server may have closed the connection meanwhile: backups take longer than many a wait_timeout.
      (new Maintenance($this->site, $this->site->freshStore()))->end();
      $this->logger->notice(dt('The site is online again.'));
    }
  }

  /**
   * Puts the site back online where a killed run left it in maintenance mode.
   */
  private function bringBack(): void {
    $store = $this->site->store();
    if ($store !== NULL && $this->site->problem() === NULL && (new Maintenance($this->site, $store))->repair()) {
      $this->logger->warning(dt('The site was still in maintenance mode from a backup that was killed; it is online again.'));
    }
  }

  /**
   * Tells the engine which program puts this site into maintenance mode, and starts it anew after a restore.
   */
  private function withProgram(Document $document): Document {
    $command = [PHP_BINARY, \Bam\Maintenance::program(), '--root', $this->site->root()];
    if ($this->site->url() !== '') {
      array_push($command, '--uri', $this->site->url());
    }
    $site = $document->toArray()['site'];
    return $document->with('site', ['maintenance_command' => $command] + $site);
  }

  /**
   * A progress bar on standard error; NULL where that is no terminal.
   */
  private function progress(): ?ProgressBar {
    $output = $this->output instanceof ConsoleOutputInterface ? $this->output->getErrorOutput() : $this->output;
    if (!stream_isatty(STDERR) || $output->isQuiet() || !$output->isDecorated()) {
      return NULL;
    }
    $bar = new ProgressBar($output, 100);
    $bar->setFormat(' %message%  [%bar%] %percent:3s%%  %elapsed:6s%');
    $bar->setMessage('');
    return $bar;
  }

  /**
   * Shows how far a job is.
   */
  private static function advance(ProgressBar $bar, Progress $progress): void {
    $part = $progress->bytesTotal > 0 ? min(1.0, $progress->bytesIn / $progress->bytesTotal) : 0.0;
    $bar->setMessage(ucfirst(strtr($progress->phase, '_', ' ')) . ' ' . Format::bytes($progress->bytesIn));
    $bar->setProgress((int) floor($part * 100));
  }

}
