<?php

declare(strict_types=1);

namespace Drupal\bam\Controller;

use Drupal\bam\Program;
use Drupal\bam\SiteConfiguration;
use Drupal\Core\Controller\ControllerBase;
use Symfony\Component\DependencyInjection\ContainerInterface;
use Symfony\Component\HttpFoundation\StreamedResponse;
use Symfony\Component\HttpKernel\Exception\NotFoundHttpException;

/**
 * Hands a backup out, as it is: encrypted ones stay so.
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
   * The file, from a folder of this machine.
   */
  public function file(string $id): StreamedResponse {
    $backup = $this->site->backup($id);
    $path = $backup === NULL ? NULL : $this->path($backup);
    if ($path === NULL) {
      throw new NotFoundHttpException((string) $this->t('There is no copy of this backup on this machine.'));
    }
    $file = fopen($path, 'rb');
    $headers = [
      'Content-Type' => 'application/octet-stream',
      'Content-Length' => (string) filesize($path),
      'Content-Disposition' => 'attachment; filename="' . preg_replace('/[^A-Za-z0-9._-]/', '_', basename($path)) . '"',
      'Cache-Control' => 'private, no-store',
      'X-Content-Type-Options' => 'nosniff',
    ];
    return new StreamedResponse(static function () use ($file): void {
      // Of a file of many gigabytes no more is in memory than a block.
      while (ob_get_level() > 0) {
        ob_end_clean();
      }
      fpassthru($file);
      fclose($file);
    }, 200, $headers);
  }

  /**
   * Where a whole copy lies on this machine; NULL where there is none.
   */
  private function path(array $backup): ?string {
    $destinations = $this->site->complete()['destinations'];
    $site = $this->program->site();
    foreach ($backup['copies'] as $copy) {
      $folder = $destinations[$copy['destination']]['path'] ?? '';
      if (($destinations[$copy['destination']]['type'] ?? '') !== 'directory' || !$copy['whole']) {
        continue;
      }
      // The document counts relative paths from the project.
      $folder = str_contains($folder, '://') || str_starts_with($folder, '/') ? $folder : $site->root() . "/$folder";
      $path = "$folder/" . basename($backup['file']);
      if (is_file($path) && is_readable($path)) {
        return $path;
      }
    }
    return NULL;
  }

}
