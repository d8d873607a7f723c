<?php

declare(strict_types=1);

namespace Drupal\bam;

use Drupal\Core\File\FileSystemInterface;
use Drupal\Core\StringTranslation\StringTranslationTrait;
use Drupal\Core\StringTranslation\TranslatableMarkup;
use Symfony\Component\HttpFoundation\RequestStack;

/**
 * Where paths lead to, and whether the web server might hand out what is there.
 */
final class Folders {

  use StringTranslationTrait;

  public function __construct(
    private readonly FileSystemInterface $files,
    private readonly RequestStack $requests,
    private readonly string $root,
  ) {}

  /**
   * The path behind links, as far as it is there; NULL for what leads nowhere.
   *
   * @param string $path
   *   A full path, or one of a stream wrapper that is a folder.
   */
  public function behind(string $path): ?string {
    if (str_contains($path, '://')) {
      [$scheme, $target] = explode('://', $path, 2);
      $folder = $this->files->realpath("$scheme://");
      // Where that folder is not made yet, its wrapper says nothing of it.
      $path = $folder ? "$folder/$target" : '';
    }
    if (!str_starts_with($path, '/') || preg_match('#(^|/)\.\.(/|$)#', $path)) {
      return NULL;
    }
    $path = (string) preg_replace('#/(\./|/)+#', '/', "$path/");
    for ($there = rtrim($path, '/'); $there !== '' && !file_exists($there); $there = dirname($there) === '/' ? '' : dirname($there));
    return rtrim(rtrim((string) realpath($there === '' ? '/' : $there), '/') . substr($path, strlen($there)), '/');
  }

  /**
   * Why what is at a path might be handed out to anybody; NULL if it is not.
   */
  public function servedProblem(string $path): ?TranslatableMarkup {
    if (preg_match('#(^|/)\.\.(/|$)#', $path)) {
      return $this->t('@path goes up with “..”; write the path without it.', ['@path' => $path]);
    }
    $behind = $this->behind($path);
    if ($behind === NULL) {
      return str_starts_with($path, 'private://')
        ? $this->t('This site has no private file system path yet: set one in settings.php, outside of the docroot.')
        : $this->t('@path is not a full path.', ['@path' => $path]);
    }
    // Where Drupal is in a folder of the web server's, that is above it.
    $above = (string) $this->requests->getCurrentRequest()?->server->get('DOCUMENT_ROOT', '');
    foreach (array_filter([$this->root, $this->files->realpath('public://'), $above]) as $folder) {
      if (str_starts_with("$behind/", rtrim((string) realpath($folder), '/') . '/')) {
        return $this->t('@path lies below @folder, where the web server might hand backups out. Choose a folder outside.', ['@path' => $path, '@folder' => $folder]);
      }
    }
    return NULL;
  }

}
