<?php

declare(strict_types=1);

namespace Drupal\bam;

use Drupal\Core\StringTranslation\ByteSizeMarkup;
use Drupal\Core\StringTranslation\PluralTranslatableMarkup;

/**
 * What a restore would change, as tables of a page.
 */
final class DryRun {

  /**
   * The tables: of files, and of tables of the database.
   *
   * @param array<string, mixed> $result
   *   What the program told, as in docs/json.md.
   */
  public static function tables(array $result): array {
    return array_filter([
      'files' => empty($result['files']) ? [] : self::files($result['files']),
      'tables' => empty($result['tables']) ? [] : self::database($result['tables']),
    ]);
  }

  /**
   * What becomes of things, in words.
   */
  private static function words(): array {
    return [
      'replaced' => t('replaced'),
      'added' => t('added'),
      'lost' => t('lost: they are here now, and not in the backup'),
      'unchanged' => t('as they are'),
    ];
  }

  /**
   * Of files.
   */
  private static function files(array $found): array {
    $rows = [];
    foreach (array_intersect_key(self::words(), $found) as $key => $words) {
      $first = $key === 'unchanged' ? [] : (array) ($found[$key]['first'] ?? []);
      $more = $found[$key]['count'] - count($first);
      $items = $first === [] || $more <= 0 ? $first : [...$first, new PluralTranslatableMarkup($more, 'and one more', 'and @count more')];
      $rows[] = [
        'data' => [
          ['data' => $words, 'header' => TRUE],
          ['data' => (int) $found[$key]['count'], 'class' => ['bam-number']],
          ['data' => ByteSizeMarkup::create($found[$key]['bytes']), 'class' => ['bam-number']],
          ['data' => ['#theme' => 'item_list', '#items' => $items], 'class' => ['bam-file']],
        ],
        'class' => $key === 'lost' && $found[$key]['count'] > 0 ? ['color-warning'] : [],
      ];
    }
    return [
      '#type' => 'table',
      '#caption' => t('Files'),
      '#header' => [t('What becomes of them'), t('Files'), t('Size'), t('Which')],
      '#rows' => $rows,
    ];
  }

  /**
   * Of tables of the database.
   */
  private static function database(array $found): array {
    $rows = [];
    $same = 0;
    foreach (array_intersect_key(self::words(), ['lost' => 1, 'added' => 1, 'replaced' => 1]) as $key => $words) {
      foreach ((array) ($found[$key] ?? []) as $table) {
        if ($key === 'replaced' && isset($table['rows'], $table['live_rows']) && $table['rows'] === $table['live_rows']) {
          $same++;
          continue;
        }
        $rows[] = [
          'data' => [
            $table['name'],
            $words,
            ['data' => $table['live_rows'] ?? '', 'class' => ['bam-number']],
            ['data' => $table['rows'] ?? '', 'class' => ['bam-number']],
          ],
          'class' => $key === 'lost' ? ['color-warning'] : [],
        ];
      }
    }
    if ($same > 0) {
      $rows[] = [
        [
          'data' => new PluralTranslatableMarkup($same, 'One table more is replaced; it has as many rows in the backup as now.', '@count tables more are replaced; they have as many rows in the backup as now.'),
          'colspan' => 4,
        ],
      ];
    }
    return [
      '#type' => 'table',
      '#caption' => t('Tables'),
      '#header' => [t('Table'), t('What becomes of it'), t('Rows now'), t('Rows in the backup')],
      '#rows' => $rows,
    ];
  }

}
