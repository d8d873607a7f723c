<?php

declare(strict_types=1);

namespace Drupal\bam;

use Drupal\Component\Utility\EmailValidatorInterface;
use Drupal\Core\Language\LanguageManagerInterface;
use Drupal\Core\Mail\MailManagerInterface;
use Drupal\Core\StringTranslation\ByteSizeMarkup;
use Drupal\Core\StringTranslation\StringTranslationTrait;
use Drupal\Core\Utility\Token;
use Psr\Log\LoggerInterface;

/**
 * Who hears of a backup that was started here, and what.
 *
 * Scheduled runs send their mail themselves, as the program does everywhere.
 */
final class Mails {

  use StringTranslationTrait;

  public function __construct(
    private readonly MailManagerInterface $mail,
    private readonly LanguageManagerInterface $languages,
    private readonly Token $token,
    private readonly EmailValidatorInterface $validator,
    private readonly LoggerInterface $logger,
  ) {}

  /**
   * Sends the mail that a run calls for; none for one that another locked out.
   */
  public function notify(array $job, array $view): void {
    if (empty($job['notify']) || isset($job['schedule']) || $view['state'] === 'locked') {
      return;
    }
    $key = $view['state'] === 'done' && $view['exit_code'] === 0 ? 'success' : 'failure';
    foreach ($this->addresses((array) ($job['notify'][$key] ?? [])) as $address) {
      $sent = $this->mail->mail('bam', $key, $address, $this->languages->getDefaultLanguage()->getId(), ['job' => $job, 'view' => $view]);
      if (empty($sent['result'])) {
        $this->logger->error('The mail about %title could not be sent to %address.', ['%title' => $job['title'], '%address' => $address]);
      }
    }
  }

  /**
   * Writes a mail: what, where, how big, how long, what to do.
   */
  public function compose(array &$message, array $job, array $view): void {
    $result = (array) ($view['status']['result'] ?? []);
    $options = ['langcode' => $message['langcode']];
    $names = ['@title' => $job['title'], '@site' => \Drupal::config('system.site')->get('name')];
    $subject = match (TRUE) {
      $view['state'] !== 'done' => $this->t('@site: @title FAILED', $names, $options),
      $view['exit_code'] !== 0 => $this->t('@site: @title INCOMPLETE', $names, $options),
      default => $this->t('@site: @title done', $names, $options),
    };
    // A subject is no HTML.
    $message['subject'] = trim((string) preg_replace('/[\x00-\x1f\x7f]+/', ' ', html_entity_decode((string) $subject, ENT_QUOTES)));
    $lines = array_filter([$view['error'], $view['hint'], ...Jobs::missing($view)]);
    foreach (['id' => $this->t('Backup ID', [], $options), 'file' => $this->t('File', [], $options)] as $key => $name) {
      if (isset($result[$key])) {
        $lines[] = "$name: {$result[$key]}";
      }
    }
    if (!empty($result['bytes_out'])) {
      $lines[] = $this->t('Size', [], $options) . ': ' . ByteSizeMarkup::create($result['bytes_out']);
    }
    $message['body'][] = implode("\n", array_map(static fn ($line): string => htmlspecialchars((string) $line, ENT_QUOTES), $lines));
  }

  /**
   * The addresses that a profile means: tokens replaced, wrong ones left out.
   *
   * @return string[]
   *   Addresses.
   */
  private function addresses(array $wanted): array {
    $addresses = [];
    foreach ($wanted as $text) {
      $text = $this->token->replacePlain((string) $text, [], ['clear' => TRUE]);
      foreach (array_filter(array_map('trim', preg_split('/[,;]/', $text) ?: []), 'strlen') as $address) {
        if ($this->validator->isValid($address)) {
          $addresses[$address] = $address;
        }
        else {
          $this->logger->warning('%address, which a backup profile names, is not a mail address.', ['%address' => $address]);
        }
      }
    }
    return $addresses;
  }

}
