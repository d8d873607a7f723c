<?php

declare(strict_types=1);

namespace Drupal\bam;

use Drupal\Component\Datetime\TimeInterface;
use Drupal\Component\Render\PlainTextOutput;
use Drupal\Core\Config\ConfigFactoryInterface;
use Drupal\Core\State\StateInterface;
use Drupal\Core\StringTranslation\StringTranslationTrait;
use Psr\Log\LoggerInterface;

/**
 * What keeps all scheduled backups from being made, and who hears of it.
 */
final class Alarm {

  use StringTranslationTrait;

  public function __construct(
    private readonly Mails $mails,
    private readonly StateInterface $state,
    private readonly ConfigFactoryInterface $config,
    private readonly TimeInterface $time,
    private readonly LoggerInterface $logger,
  ) {}

  /**
   * Tells that no scheduled backup can be made: log, mail, overview, report.
   *
   * The mail goes out as that of a schedule that fails: at first, after a while,
   * and then less often.
   *
   * @param string $message
   *   Plain text.
   * @param array<string, mixed>|null $document
   *   The configuration; NULL where it cannot be had.
   */
  public function raise(string $message, ?array $document = NULL): void {
    $this->logger->error('No scheduled backup is made: @error', ['@error' => $message]);
    $now = $this->time->getCurrentTime();
    $known = $this->state->get('bam.alarm') ?? [];
    $again = Due::retry(['every' => 1], $known, $now);
    if ($again !== NULL && $again > $now && $known['error'] === $message) {
      return;
    }
    $this->state->set('bam.alarm', ['error' => $message, 'time' => $now, 'failures' => ($known['failures'] ?? 0) + 1]);
    $this->mails->notify([
      'title' => PlainTextOutput::renderFromHtml($this->t('Scheduled backups')),
      'notify' => ['failure' => $document === NULL ? [$this->config->get('system.site')->get('mail')] : self::addresses($document)],
    ], self::failure($message));
  }

  /**
   * What was told last is over.
   */
  public function over(): void {
    if ($this->state->get('bam.alarm') !== NULL) {
      $this->state->delete('bam.alarm');
    }
  }

  /**
   * What was told last, as plain text; NULL if all is well.
   */
  public function told(): ?string {
    return $this->state->get('bam.alarm')['error'] ?? NULL;
  }

  /**
   * How a run ended that could not even be started.
   *
   * @return array<string, mixed>
   *   As Jobs::view() tells it.
   */
  public static function failure(string $message): array {
    return ['state' => 'failed', 'status' => [], 'exit_code' => NULL, 'error' => $message, 'hint' => ''];
  }

  /**
   * That a run stands still, as plain text.
   *
   * @param array{title: string, since: int, locks: bool} $job
   *   As Jobs::still() tells it.
   */
  public static function still(array $job): string {
    $words = ['@title' => $job['title'], '@time' => \Drupal::service('date.formatter')->formatInterval(time() - $job['since'], 1)];
    return PlainTextOutput::renderFromHtml($job['locks']
      ? t('@title has made no progress for @time. No other backup is made until it ends: cancel it.', $words)
      : t('@title has made no progress for @time.', $words));
  }

  /**
   * Everybody who wants to hear of a scheduled backup that fails.
   */
  private static function addresses(array $document): array {
    $found = [];
    foreach ($document['schedules'] as $schedule) {
      if ($schedule['enabled'] ?? TRUE) {
        $found[] = (array) ($document['profiles'][$schedule['profile'] ?? 'default']['notify']['failure'] ?? []);
      }
    }
    return array_values(array_unique(array_merge(...$found)));
  }

}
