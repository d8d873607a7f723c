<?php

declare(strict_types=1);

namespace Drupal\bam;

use Drupal\Component\Datetime\TimeInterface;
use Drupal\Component\Render\PlainTextOutput;
use Drupal\Core\Datetime\DateFormatterInterface;
use Drupal\Core\KeyValueStore\KeyValueFactoryInterface;
use Drupal\Core\StringTranslation\StringTranslationTrait;

/**
 * What came of trying places.
 */
final class Places {

  use StringTranslationTrait;

  public function __construct(
    private readonly KeyValueFactoryInterface $stores,
    private readonly TimeInterface $time,
    private readonly DateFormatterInterface $dates,
  ) {}

  /**
   * The last try of a place; NULL if there was none.
   *
   * @return array{time: int, problems: string[], key: array|null}|null
   *   Plain text; `key`: the key that its server shows, with `host`,
   *   `key_type`, `fingerprint`, `known`.
   */
  public function tried(string $name): ?array {
    return $this->stores->get('bam.place_check')->get($name);
  }

  /**
   * The same as one line of plain text.
   */
  public function answer(string $name): string {
    $tried = $this->tried($name);
    if ($tried === NULL) {
      return (string) $this->t('not tried yet');
    }
    $ago = ['@time' => $this->dates->formatInterval(max(0, $this->time->getRequestTime() - $tried['time']), 1)];
    return $tried['problems'] === []
      ? PlainTextOutput::renderFromHtml($this->t('good, @time ago', $ago))
      : PlainTextOutput::renderFromHtml($this->t('@time ago: @problem', ['@problem' => implode(' ', $tried['problems'])] + $ago));
  }

  /**
   * Remembers what came of a try. Called once, at the end of the job.
   */
  public function ended(array $job, array $view): void {
    $result = (array) ($view['status']['result'] ?? []);
    $problems = [];
    foreach ((array) ($result['looked'] ?? []) as $finding) {
      if (!in_array($finding['state'], ['good', 'notice'], TRUE)) {
        $problems[] = $finding['text'] . (empty($finding['hint']) ? '' : " ({$finding['hint']})");
      }
    }
    if ($result === [] && $view['error'] !== '') {
      $problems[] = $view['error'];
    }
    $this->stores->get('bam.place_check')->set($job['place'], [
      'time' => $this->time->getRequestTime(),
      'problems' => $problems,
      'key' => $result['host_key'] ?? NULL,
    ]);
  }

}
