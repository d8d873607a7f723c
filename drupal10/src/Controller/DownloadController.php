<?php

declare(strict_types=1);

namespace Drupal\bam\Controller;

use Drupal\bam\Program;
use Drupal\bam\SiteConfiguration;
use Drupal\Component\Render\PlainTextOutput;
use Drupal\Component\Utility\Environment;
use Drupal\Core\Controller\ControllerBase;
use Symfony\Component\DependencyInjection\ContainerInterface;
use Symfony\Component\HttpFoundation\BinaryFileResponse;
use Symfony\Component\HttpFoundation\Request;
use Symfony\Component\HttpFoundation\Response;
use Symfony\Component\HttpFoundation\StreamedResponse;

/**
 * Hands a backup out, as it is: encrypted ones stay so.
 *
 * From a folder of this machine where there is a copy, else from where one is.
 */
final class DownloadController extends ControllerBase {

  public function __construct(
    private readonly SiteConfiguration $site,
    private readonly Program $program,
  ) {}

  /**
   * {@inheritdoc}
   */
  public static function create(ContainerInterface $container): static {
    return new static($container->get('bam.site'), $container->get('bam.program'));
  }

  /**
   * The backup.
   */
  public function file(string $id, Request $request): Response {
    $backup = $this->site->backup($id);
    $path = $this->path($backup, '');
    return $path === NULL ? $this->far($backup, $request) : self::near($path);
  }

  /**
   * The sidecar that belongs beside it.
   */
  public function sidecar(string $id): Response {
    $backup = $this->site->backup($id);
    $path = $this->path($backup, '.info');
    if ($path !== NULL) {
      return self::near($path);
    }
    $run = ['errors' => ''];
    foreach (self::whole($backup) as $place) {
      $run = $this->program->execute($this->program->command(['cat', '--raw', '--sidecar', "--destination=$place", '--', $backup['file']]), 60);
      if ($run['exit_code'] === 0) {
        return new Response($run['output'], 200, self::headers($backup['file'] . '.info'));
      }
    }
    return $this->refuse(PlainTextOutput::renderFromHtml($this->t('The sidecar cannot be fetched: @error', ['@error' => trim($run['errors'])])));
  }

  /**
   * A file of this machine; answers to requests for a part of it, too.
   */
  private static function near(string $path): Response {
    return new BinaryFileResponse($path, 200, self::headers(basename($path)), FALSE, NULL, FALSE, FALSE);
  }

  /**
   * From a place that is not on this machine.
   */
  private function far(array $backup, Request $request): Response {
    $size = (int) $backup['size'];
    [$first, $last] = self::range((string) $request->headers->get('Range', ''), $size);
    $headers = self::headers($backup['file']) + ['Accept-Ranges' => 'bytes'];
    if ($first === NULL) {
      return new Response('', 416, ['Content-Range' => "bytes */$size"] + $headers);
    }
    $null = ['file', '/dev/null', 'r'];
    $begin = '';
    // Nothing is promised before the first byte is here.
    foreach (self::whole($backup) as $place) {
      $command = $this->program->command(['cat', '--raw', "--offset=$first", "--destination=$place", '--', $backup['file']]);
      $process = $this->program->open($command, [$null, ['pipe', 'w'], ['file', '/dev/null', 'w']], $pipes);
      $begin = is_resource($process) ? (string) fread($pipes[1], 8192) : '';
      if ($begin !== '') {
        break;
      }
    }
    if ($begin === '') {
      return $this->refuse(PlainTextOutput::renderFromHtml($this->t('No place has this backup at hand: none can be reached, or none has it whole.')));
    }
    $left = $last - $first + 1;
    $headers['Content-Length'] = (string) $left;
    $part = $left < $size;
    return new StreamedResponse(static function () use ($process, $pipes, $begin, $left): void {
      Environment::setTimeLimit(0);
      // Of a file of many gigabytes no more is in memory than a block.
      while (ob_get_level() > 0) {
        ob_end_clean();
      }
      $bytes = substr($begin, 0, $left);
      do {
        echo $bytes;
        flush();
        $left -= strlen($bytes);
        $bytes = $left > 0 && !connection_aborted() ? (string) fread($pipes[1], min($left, 1 << 20)) : '';
      } while ($bytes !== '');
      fclose($pipes[1]);
      proc_terminate($process);
      proc_close($process);
    }, $part ? 206 : 200, ($part ? ['Content-Range' => "bytes $first-$last/$size"] : []) + $headers);
  }

  /**
   * The first and the last byte that a Range header asks for (RFC 9110, 14.2).
   *
   * @return array
   *   Of a header with one range that the file has; the whole file for none,
   *   for several, and for what is not understood; NULLs where none of it is
   *   there.
   */
  public static function range(string $header, int $size): array {
    if (!preg_match('/^bytes=(\d{0,15})-(\d{0,15})$/D', trim($header), $found) || $found[1] . $found[2] === '') {
      return [0, $size - 1];
    }
    if ($found[1] === '') {
      return (int) $found[2] === 0 ? [NULL, NULL] : [max(0, $size - (int) $found[2]), $size - 1];
    }
    $first = (int) $found[1];
    if ($found[2] !== '' && (int) $found[2] < $first) {
      return [0, $size - 1];
    }
    return $first >= $size ? [NULL, NULL] : [$first, $found[2] === '' ? $size - 1 : min((int) $found[2], $size - 1)];
  }

  /**
   * Back to the list, with what went wrong.
   */
  private function refuse(string $why): Response {
    $this->messenger()->addError($why);
    return $this->redirect('bam.overview');
  }

  /**
   * What browsers have to know.
   */
  private static function headers(string $name): array {
    return [
      'Content-Type' => 'application/octet-stream',
      'Content-Disposition' => 'attachment; filename="' . preg_replace('/[^A-Za-z0-9._-]/', '_', $name) . '"; filename*=UTF-8\'\'' . rawurlencode($name),
      'Cache-Control' => 'private, no-store',
      'X-Content-Type-Options' => 'nosniff',
    ];
  }

  /**
   * The places of the whole copies of a backup.
   *
   * Of one without a sidecar nobody knows whether it is whole: then all count.
   */
  private static function whole(array $backup): array {
    $whole = array_column(array_filter($backup['copies'], static fn (array $copy): bool => (bool) $copy['whole']), 'destination');
    return $whole !== [] ? $whole : $backup['destinations'];
  }

  /**
   * Where a whole copy, or its sidecar, lies on this machine, or NULL.
   */
  private function path(array $backup, string $extension): ?string {
    $destinations = $this->site->complete()['destinations'];
    $site = $this->program->site();
    // The name comes from a listing, but files are made by others, too.
    $name = $backup['file'] . $extension;
    foreach ($name === basename($name) && $name[0] !== '.' ? self::whole($backup) : [] as $place) {
      $folder = $destinations[$place]['path'] ?? '';
      if (($destinations[$place]['type'] ?? '') !== 'directory') {
        continue;
      }
      // The document counts relative paths from the project.
      $folder = str_contains($folder, '://') || str_starts_with($folder, '/') ? $folder : $site->root() . "/$folder";
      $path = \Drupal::service('file_system')->realpath($folder) . "/$name";
      // The list may be of before.
      $same = $extension !== '' || @filesize($path) === (int) $backup['size'];
      if (!is_link($path) && is_file($path) && is_readable($path) && $same) {
        return $path;
      }
    }
    return NULL;
  }

}
