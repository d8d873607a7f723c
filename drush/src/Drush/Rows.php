<?php

declare(strict_types=1);

namespace Bam\Drush;

use Bam\Document;
use Bam\Format;
use Consolidation\OutputFormatters\StructuredData\PropertyList;
use Consolidation\OutputFormatters\StructuredData\RowsOfFields;

/**
 * Results of jobs as people read them; for scripts they stay as docs/json.md has them.
 */
final class Rows {

  /**
   * A backup that was made.
   */
  public static function backup(array $result, bool $forPeople): array|PropertyList {
    if (!$forPeople) {
      return $result;
    }
    $stored = array_filter($result['destinations'], static fn (array $destination): bool => $destination['ok']);
    return self::list([
      'destinations' => implode(', ', array_column($stored, 'name')),
      'size' => dt('!out, made of !in', [
        '!out' => Format::bytes($result['bytes_out']),
        '!in' => Format::bytes($result['bytes_in']),
      ]),
      'seconds' => sprintf('%.1f s', $result['seconds']),
    ] + $result, ['id', 'file', 'source', 'profile', 'destinations', 'size', 'seconds']);
  }

  /**
   * The backups that there are.
   */
  public static function backups(array $result, bool $forPeople): array|RowsOfFields {
    if (!$forPeople) {
      return $result['backups'];
    }
    $rows = [];
    foreach ($result['backups'] as $backup) {
      $copies = array_map(static fn (array $copy): string => $copy['whole']
        ? $copy['destination'] : dt('!destination (incomplete)', ['!destination' => $copy['destination']]), $backup['copies']);
      // What --format=list prints; those of two sites may have one ID.
      $rows[isset($rows[$backup['id']]) ? "{$backup['id']} {$backup['file']}" : $backup['id']] = [
        'id' => $backup['id'],
        'source' => $backup['source'],
        'date' => Format::time($backup['id']),
        'age' => Format::age(time() - $backup['id']),
        'size' => Format::bytes($backup['size']),
        'encrypted' => $backup['encryption'] === 'none' ? dt('no') : dt('yes'),
        'verified' => empty($backup['verified']) ? '-' : Format::time($backup['verified']),
        'destinations' => implode(', ', $copies),
        'file' => Format::name($backup['file']),
      ];
    }
    return new RowsOfFields($rows);
  }

  /**
   * What the backups of each source take.
   */
  public static function stats(array $result, bool $forPeople): array|RowsOfFields {
    if (!$forPeople) {
      return $result;
    }
    $rows = [];
    foreach ($result['sources'] as $source => $told) {
      $rows[$source] = [
        'source' => Format::name((string) $source),
        'backups' => $told['backups'],
        'size' => Format::bytes($told['bytes']),
        'stored' => Format::bytes($told['stored']),
        'oldest' => Format::time($told['oldest']),
        'first_size' => Format::bytes($told['first_size']),
        'newest' => Format::time($told['newest']),
        'last_size' => Format::bytes($told['last_size']),
      ];
    }
    return new RowsOfFields($rows);
  }

  /**
   * A restore, or what it would do.
   */
  public static function restored(array $result, bool $forPeople): array|PropertyList {
    if (!$forPeople) {
      return $result;
    }
    $told = ['seconds' => sprintf('%.1f s', $result['seconds'])] + $result;
    if (empty($result['dry_run'])) {
      return self::list($told, ['id', 'file', 'source', 'seconds']);
    }
    foreach (['replaced', 'added', 'lost'] as $group) {
      $told[$group] = self::group($result, $group);
    }
    return self::list($told, ['id', 'file', 'source', 'replaced', 'added', 'lost', 'seconds']);
  }

  /**
   * What would be replaced, added or lost.
   */
  private static function group(array $result, string $group): string {
    $parts = [];
    if (isset($result['files'])) {
      $files = $result['files'][$group];
      $parts[] = dt('!count files (!size)', ['!count' => $files['count'], '!size' => Format::bytes($files['bytes'])])
        . ($files['count'] > 0 ? ': ' . Format::name(implode(', ', $files['first'])) : '')
        . ($files['count'] > count($files['first']) ? ', …' : '');
    }
    if (isset($result['tables'])) {
      $tables = [];
      foreach ($result['tables'][$group] as $table) {
        $rows = $group === 'lost' ? $table['live_rows'] : $table['rows'];
        $now = $group === 'replaced' ? dt(', now !rows', ['!rows' => $table['live_rows']]) : '';
        $tables[] = Format::name($table['name']) . ' (' . dt('!rows rows', ['!rows' => $rows]) . $now . ')';
      }
      $parts[] = dt('!count tables', ['!count' => count($tables)]) . ($tables === [] ? '' : ': ' . implode(', ', $tables));
    }
    return implode('; ', $parts);
  }

  /**
   * Copies and what became of them.
   */
  public static function copies(array $result, string $good, bool $forPeople): array|RowsOfFields {
    if (!$forPeople) {
      return $result;
    }
    return new RowsOfFields(array_map(static fn (array $copy): array => [
      'id' => $copy['id'] ?? '',
      'file' => Format::name($copy['file']),
      'destination' => $copy['destination'],
      'result' => $copy['ok'] ? $good : Format::name((string) $copy['error']),
    ], $result['copies']));
  }

  /**
   * Copies of which all was read, or a sample.
   */
  public static function verified(array $result, bool $forPeople): array|RowsOfFields {
    if (!$forPeople) {
      return $result;
    }
    return new RowsOfFields(array_map(static fn (array $copy): array => [
      'id' => $copy['id'],
      'file' => Format::name($copy['file']),
      'destination' => $copy['destination'],
      'result' => $copy['ok'] ? self::read($copy) : Format::name((string) $copy['error']),
    ], $result['copies']));
  }

  /**
   * How much of a copy was read.
   */
  private static function read(array $copy): string {
    if (!array_key_exists('read', $copy)) {
      return dt('good');
    }
    return $copy['read'] === NULL
      ? dt('only its size was compared: it cannot be read in parts')
      : dt('!read of !size read, as it was written', ['!read' => Format::bytes($copy['read']), '!size' => Format::bytes($copy['size'])]);
  }

  /**
   * Drills and how they went.
   */
  public static function drills(array $result, bool $forPeople): array|RowsOfFields {
    if (!$forPeople) {
      return $result;
    }
    return new RowsOfFields(array_map(static fn (array $drill): array => [
      'id' => $drill['id'],
      'file' => Format::name($drill['file']),
      'source' => $drill['source'] ?? '',
      'result' => self::drilled($drill),
      'seconds' => isset($drill['seconds']) ? sprintf('%.1f s', $drill['seconds']) : '',
    ], $result['drills']));
  }

  /**
   * How a drill went, in words.
   */
  private static function drilled(array $drill): string {
    if (empty($drill['ok'])) {
      return dt('not drilled: !why', ['!why' => Format::name((string) ($drill['error'] ?? $drill['skipped'] ?? ''))]);
    }
    $parts = [];
    if (!empty($drill['tables'])) {
      $parts[] = dt('!tables tables with !rows rows', ['!tables' => $drill['tables'], '!rows' => $drill['rows']]);
    }
    if (!empty($drill['files'])) {
      $parts[] = dt('!count files (!size)', ['!count' => $drill['files'], '!size' => Format::bytes($drill['bytes'])]);
    }
    return dt('restores: !parts', ['!parts' => implode('; ', $parts)]);
  }

  /**
   * Copies that were encrypted anew.
   */
  public static function rekeyed(array $result, bool $forPeople): array|RowsOfFields {
    if (!$forPeople) {
      return $result;
    }
    $words = ['rekeyed' => dt('encrypted anew'), 'current' => dt('has the current key already')];
    return new RowsOfFields(array_map(static fn (array $copy): array => [
      'id' => $copy['id'],
      'file' => Format::name($copy['file']),
      'destination' => $copy['destination'],
      'result' => $words[$copy['done']] ?? Format::name((string) $copy['error']),
    ], $result['copies']));
  }

  /**
   * What a look found.
   */
  public static function findings(array $result, bool $forPeople): array|RowsOfFields {
    if (!$forPeople) {
      return $result;
    }
    return new RowsOfFields(array_map(static fn (array $finding): array => [
      'state' => in_array($finding['state'], ['wrong', 'missing'], TRUE) ? strtoupper($finding['state']) : $finding['state'],
      'what' => trim($finding['area'] . ' ' . $finding['name']),
      'text' => Format::name($finding['text']),
      'hint' => isset($finding['hint']) ? Format::name($finding['hint']) : '',
    ], $result['looked']));
  }

  /**
   * A backup that was erased.
   */
  public static function erased(array $result, bool $forPeople): array|RowsOfFields {
    if (!$forPeople) {
      return $result;
    }
    $file = Format::name($result['file']);
    $rows = array_map(static fn (string $name): array => [
      'file' => $file,
      'destination' => $name,
      'result' => dt('erased'),
    ], $result['erased']);
    foreach ($result['failed'] as $failed) {
      $rows[] = ['file' => $file, 'destination' => $failed['name'], 'result' => Format::name($failed['error'])];
    }
    return new RowsOfFields($rows);
  }

  /**
   * What a pruning decided.
   */
  public static function pruned(array $result, bool $forPeople): array|RowsOfFields {
    if (!$forPeople) {
      return $result;
    }
    return new RowsOfFields(array_map(static fn (array $decision): array => [
      'file' => Format::name($decision['file']),
      'schedule' => $decision['schedule'],
      'destination' => $decision['destination'],
      'action' => isset($decision['error'])
        ? Format::name($decision['error'])
        : ($decision['keep'] ? dt('stays') : ($result['dry_run'] ? dt('would go') : dt('deleted'))),
      'reason' => $decision['reason'],
    ], $result['decisions']));
  }

  /**
   * How backups stand against the policy.
   */
  public static function status(array $result, bool $forPeople): array|RowsOfFields {
    if (!$forPeople) {
      return $result;
    }
    return new RowsOfFields(array_map(static fn (array $source): array => [
      'source' => $source['source'],
      'state' => $source['ok'] ? dt('good') : dt('NOT GOOD'),
      'newest' => $source['newest'] ?? '-',
      'age' => isset($source['age']) ? Format::age($source['age']) : '-',
      'copies' => $source['copies'],
      'verified' => isset($source['verified']) ? Format::time($source['verified']) : dt('never'),
      'hosts' => Format::name(implode(', ', $source['hosts'])),
    ], $result['sources']));
  }

  /**
   * A result with one line for each of its fields.
   */
  public static function one(array $result, bool $forPeople): array|PropertyList {
    return $forPeople ? new PropertyList(array_filter($result, 'is_scalar')) : $result;
  }

  /**
   * A part of the configuration.
   */
  public static function part(Document $document, string $part, bool $forPeople): array|RowsOfFields {
    $rows = [];
    foreach ($document->map($part) as $id => $item) {
      $item = ['id' => (string) $id] + $item + ['name' => (string) $id];
      $rows[$id] = $forPeople ? self::$part($item) + $item : $item;
    }
    return $forPeople ? new RowsOfFields($rows) : $rows;
  }

  /**
   * What people see otherwise of a source.
   */
  private static function sources(array $source): array {
    return ['where' => $source['path'] ?? $source['database'] ?? ''];
  }

  /**
   * What people see otherwise of a destination.
   */
  private static function destinations(array $destination): array {
    return ['where' => $destination['path'] ?? $destination['url'] ?? $destination['repository'] ?? ''];
  }

  /**
   * What people see otherwise of a profile.
   */
  private static function profiles(array $profile): array {
    return [
      'site_offline' => empty($profile['site_offline']) ? dt('no') : dt('yes'),
      'sources' => implode(', ', array_keys($profile['sources'] ?? [])),
    ];
  }

  /**
   * What people see otherwise of a schedule.
   */
  private static function schedules(array $schedule): array {
    $every = $schedule['every'] > 0 ? dt('every !span', ['!span' => Format::age($schedule['every'])]) : dt('when asked');
    $keep = $schedule['keep'];
    $words = [0 => dt('all'), -2 => dt('fewer of the older ones')];
    return [
      'enabled' => $schedule['enabled'] ? dt('yes') : dt('no'),
      'when' => $schedule['cron'] ?? $every,
      'destinations' => implode(', ', $schedule['destinations'] ?? []),
      'keep' => is_array($keep) ? Format::keep($keep) : ($words[$keep] ?? (string) $keep),
      'last_run' => empty($schedule['last_run']) ? dt('never') : Format::time($schedule['last_run']),
    ];
  }

  /**
   * Some fields, in this order.
   */
  private static function list(array $result, array $fields): PropertyList {
    $list = [];
    foreach ($fields as $field) {
      $value = $result[$field] ?? '';
      $list[$field] = is_scalar($value) ? Format::name((string) $value) : '';
    }
    return new PropertyList($list);
  }

}
