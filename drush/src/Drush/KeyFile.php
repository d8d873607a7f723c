<?php

declare(strict_types=1);

namespace Bam\Drush;

use Bam\BamException;
use Bam\Native;
use Bam\Site\Drupal10\Drupal10Site;
use Psr\Log\LoggerInterface;

/**
 * The key file of a site: found, or made and put into the configuration.
 */
final class KeyFile {

  /**
   * The file and its key's ID; where there is none it is made.
   *
   * @param \Bam\Site\Drupal10\Drupal10Site $site
   *   The site.
   * @param string|null $asked
   *   Where somebody wants it.
   * @param \Psr\Log\LoggerInterface $logger
   *   Tells people.
   *
   * @return array{file: string, id: string}
   *   For printing.
   */
  public static function of(Drupal10Site $site, ?string $asked, LoggerInterface $logger): array {
    $settings = $site->config('bam.settings');
    $set = (string) ($site->setting('bam_key_file') ?? $settings['key_file'] ?? '');
    $file = $asked ?? ($set === '' ? self::place($site) : $set);
    if (!str_starts_with($file, '/')) {
      throw new BamException('usage', "the key file needs a full path, not \"$file\"", '', 2);
    }
    if (self::liesIn($file, $site->root())) {
      throw new BamException('usage', "$file lies in {$site->root()}, which is backed up, and where the web server might hand it out", 'choose a place outside, such as ' . self::place($site), 2);
    }
    if (!file_exists($file)) {
      if ($set !== '' && $set !== $file) {
        $logger->warning(dt('Backups made so far need the key in !file: keep it.', ['!file' => $set]));
      }
      if (!is_dir(dirname($file)) && !@mkdir(dirname($file), 0700, TRUE)) {
        throw new BamException('permission', 'cannot make the folder ' . dirname($file), 'make it, or choose another place with --file');
      }
      Native::get()->createKey($file);
      $logger->warning(dt('Made a new key. Without it no backup that it encrypts can ever be opened again: keep a copy of !file on another machine, now.', ['!file' => $file]));
      if (function_exists('posix_geteuid') && posix_geteuid() === 0) {
        $logger->warning(dt('Only root can read it. Where cron runs as another user, that user needs it, too: chown USER !file', ['!file' => $file]));
      }
    }
    $report = Native::get()->checkKey($file);
    foreach ($report['notes'] as $note) {
      $logger->warning($note['text']);
    }
    if ($set !== $file) {
      self::use($site, $settings, $file, $logger);
    }
    return ['file' => $file, 'id' => $report['id']];
  }

  /**
   * Puts it into the module's settings, or tells where to write it.
   */
  private static function use(Drupal10Site $site, array $settings, string $file, LoggerInterface $logger): void {
    $store = $site->store();
    $stored = $store?->config('bam.settings')['bam.settings'] ?? NULL;
    if ($store === NULL || $stored === NULL || $site->setting('bam_key_file') !== NULL) {
      $logger->warning(dt("To use it, write into settings.php: \$settings['bam_key_file'] = '!file';", ['!file' => $file]));
      return;
    }
    $settings = ['key_file' => $file] + $stored;
    // Who makes a key wants encryption, unless somebody has chosen otherwise.
    $encrypt = ($stored['default_profile'] ?? '') === '' && $store->config('bam.profile.') === [];
    if ($encrypt) {
      $store->setConfig('bam.profile.encrypted', self::profile());
      $settings['default_profile'] = 'encrypted';
    }
    $store->setConfig('bam.settings', $settings);
    $store->dropCaches(['config', 'bootstrap', 'discovery', 'entity', 'dynamic_page_cache', 'page']);
    $logger->notice($encrypt
      ? dt('Backups are encrypted with this key from now on, with the profile "encrypted", unless another one is named (bam.settings:default_profile).')
      : dt('Backups use this key from now on where their profile encrypts (bam.settings:key_file).'));
  }

  /**
   * A profile that encrypts, as the page Keys makes it.
   */
  private static function profile(): array {
    $random = bin2hex(random_bytes(16));
    $uuid = substr($random, 0, 8) . '-' . substr($random, 8, 4) . '-4' . substr($random, 13, 3) . '-a' . substr($random, 17, 3) . '-' . substr($random, 20);
    return [
      'uuid' => $uuid,
      'langcode' => 'en',
      'status' => TRUE,
      'dependencies' => [],
      'id' => 'encrypted',
      'label' => 'Encrypted',
      'filename' => '[site:name]',
      'append_timestamp' => 1,
      'timestamp_format' => 'Y-m-d\TH-i-s',
      'compression' => 'gzip',
      'encryption' => 'aes256',
      'description' => '',
      'site_offline' => FALSE,
      'site_offline_message' => '',
      'ignore_errors' => FALSE,
      'notify' => ['success' => '', 'failure' => ''],
      'sources' => [],
    ];
  }

  /**
   * Where a new key goes when nobody says.
   */
  private static function place(Drupal10Site $site): string {
    $name = trim((string) preg_replace('/[^A-Za-z0-9.-]+/', '-', $site->root() . '/' . $site->confPath()), '-') . '.key';
    if (!function_exists('posix_geteuid') || posix_geteuid() === 0) {
      return "/etc/bam/$name";
    }
    $user = posix_getpwuid(posix_geteuid());
    return "{$user['dir']}/.config/bam/$name";
  }

  /**
   * Whether a path, existing or not, lies in a folder.
   */
  private static function liesIn(string $path, string $folder): bool {
    $folder = realpath($folder);
    // The part of the path that is there, links followed.
    for ($real = FALSE; $real === FALSE && $path !== '/'; $path = dirname($path)) {
      $real = realpath($path);
    }
    return $folder !== FALSE && $real !== FALSE && str_starts_with("$real/", rtrim($folder, '/') . '/');
  }

}
