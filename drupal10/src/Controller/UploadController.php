<?php

declare(strict_types=1);

namespace Drupal\bam\Controller;

use Drupal\bam\Uploads;
use Drupal\Core\Controller\ControllerBase;
use Symfony\Component\DependencyInjection\ContainerInterface;
use Symfony\Component\HttpFoundation\JsonResponse;
use Symfony\Component\HttpFoundation\Request;

/**
 * Takes a piece of a backup file, or tells how much of it is there.
 */
final class UploadController extends ControllerBase {

  public function __construct(private readonly Uploads $uploads) {}

  /**
   * {@inheritdoc}
   */
  public static function create(ContainerInterface $container): static {
    return new static($container->get('bam.uploads'));
  }

  /**
   * The body of the request is the piece; `id` and `offset` are in the query.
   *
   * Answers with `size`, what is there now, and perhaps `error`.
   */
  public function piece(Request $request): JsonResponse {
    $part = $this->uploads->part((string) $request->query->get('id', ''));
    if ($part === NULL) {
      return new JsonResponse(['error' => (string) $this->t('This page is too old; load it anew.')], 400);
    }
    $this->uploads->prune();
    $offset = (string) $request->query->get('offset', '');
    $error = ctype_digit($offset) && (int) $offset === Uploads::size($part)
      ? $this->uploads->append($part, (int) $offset, $request->getContent(TRUE)) : NULL;
    $answer = ['size' => Uploads::size($part)] + ($error === NULL ? [] : ['error' => $error]);
    return new JsonResponse($answer, 200, ['Cache-Control' => 'private, no-store']);
  }

}
