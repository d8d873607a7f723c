<?php

declare(strict_types=1);

namespace Bam\Drush\Commands;

use Bam\BamException;
use Bam\Drush\KeyFile;
use Bam\Drush\Rows;
use Bam\Drush\Run;
use Bam\Drush\Upkeep;
use Bam\Format;
use Bam\Program;
use Bam\Site\Drupal10\Importer;
use Consolidation\AnnotatedCommand\CommandResult;
use Consolidation\OutputFormatters\StructuredData\PropertyList;
use Consolidation\OutputFormatters\StructuredData\RowsOfFields;
use Drush\Attributes as CLI;
use Drush\Boot\DrupalBootLevels;
use Drush\Commands\DrushCommands;
use Drush\Drush;
use Symfony\Component\Console\Completion\CompletionInput;
use Symfony\Component\Console\Completion\CompletionSuggestions;

// Where Composer does not load the classes: named in a drush.yml (docs/drupal10.md).
if (!class_exists(Run::class)) {
  require_once dirname(__DIR__, 3) . '/autoload.php';
}

/**
 * The commands of bam for Drush 12 and 13: backs up and restores Drupal 10 and 11 sites.
 *
 * None of them boots Drupal, but for the import of settings: a broken database must not take the restore away.
 */
final class BamDrushCommands extends DrushCommands {

  use Upkeep;

  /**
   * Formats that keep the structure of a result; others show what people see.
   */
  private const STRUCTURED = ['json', 'yaml', 'xml', 'php', 'print-r', 'var_dump', 'var_export'];

  /**
   * Back up a source, now: a database, a folder, or the whole site.
   */
  #[CLI\Command(name: 'bam:backup', aliases: ['bam-backup'])]
  #[CLI\Argument(name: 'what', description: "A source, else a profile, else a schedule (bam:sources, bam:profiles, bam:schedules list them). Without it: the database. A profile or a schedule alone backs up the schedule's source, or else the whole site, to the schedule's destinations.")]
  #[CLI\Argument(name: 'destination', description: 'Where to; several with commas. Without it: to "manual".')]
  #[CLI\Argument(name: 'profile', description: 'The settings to use. Without it, of a source: the only profile that has settings for it, else the one called "default".')]
  #[CLI\Option(name: 'description', description: 'A text kept with the backup.')]
  #[CLI\Usage(name: 'drush bam:backup', description: 'Back up the database.')]
  #[CLI\Usage(name: 'drush bam:backup archive manual,offsite', description: 'Back up the whole site to two destinations at once.')]
  #[CLI\Usage(name: 'drush bam:backup db --format=json', description: 'The same for a script.')]
  #[CLI\FieldLabels(labels: [
    'id' => 'ID',
    'file' => 'File',
    'source' => 'Source',
    'profile' => 'Profile',
    'destinations' => 'Destinations',
    'size' => 'Size',
    'seconds' => 'Time',
  ])]
  #[CLI\Complete(method_name_or_callable: 'completeWhat')]
  #[CLI\Bootstrap(level: DrupalBootLevels::NONE)]
  public function backup(?string $what = NULL, ?string $destination = NULL, ?string $profile = NULL, array $options = ['format' => 'table', 'description' => self::REQ]): PropertyList|CommandResult|array {
    return $this->run($options, fn (Run $run) => Rows::backup($run->backup(array_filter([
      'job' => 'backup',
      'what' => $what,
      'destinations' => self::names($destination),
      'profile' => $profile,
      'description' => $options['description'],
    ])), $this->forPeople($options)));
  }

  /**
   * Run a schedule now, whether or not it is due.
   */
  #[CLI\Command(name: 'bam:schedule', aliases: ['bam-schedule'])]
  #[CLI\Argument(name: 'schedule', description: 'The schedule (bam:schedules lists them).')]
  #[CLI\FieldLabels(labels: [
    'id' => 'ID',
    'file' => 'File',
    'source' => 'Source',
    'profile' => 'Profile',
    'destinations' => 'Destinations',
    'size' => 'Size',
    'seconds' => 'Time',
  ])]
  #[CLI\Bootstrap(level: DrupalBootLevels::NONE)]
  public function schedule(string $schedule, array $options = ['format' => 'table']): PropertyList|CommandResult|array {
    return $this->run($options, fn (Run $run) => Rows::backup(
      $run->backup(['job' => 'run', 'schedule' => $schedule]),
      $this->forPeople($options),
    ));
  }

  /**
   * List the backups, newest first.
   */
  #[CLI\Command(name: 'bam:backups', aliases: ['bam-backups'])]
  #[CLI\Argument(name: 'destination', description: 'List those of one destination; several with commas. Without it: all.')]
  #[CLI\Usage(name: 'drush bam:backups', description: 'All backups, with their ID numbers.')]
  #[CLI\Usage(name: 'drush bam:backups manual --format=json', description: 'Those in one place, for a script.')]
  #[CLI\Option(name: 'site', description: 'Of which site, where several have one folder: its address or name, or "all". Without it: this one.')]
  #[CLI\FieldLabels(labels: [
    'id' => 'ID',
    'source' => 'Source',
    'date' => 'Date',
    'age' => 'Age',
    'size' => 'Size',
    'encrypted' => 'Encrypted',
    'verified' => 'Verified',
    'destinations' => 'Destinations',
    'file' => 'File',
  ])]
  #[CLI\Bootstrap(level: DrupalBootLevels::NONE)]
  public function backups(?string $destination = NULL, array $options = ['format' => 'table', 'site' => self::REQ]): RowsOfFields|CommandResult|array {
    return $this->run($options, fn (Run $run) => Rows::backups(
      $run->job(['job' => 'backups', 'destinations' => self::names($destination)] + self::which($options)),
      $this->forPeople($options),
    ));
  }

  /**
   * Tell how many backups there are, how much they take, and how they grow.
   */
  #[CLI\Command(name: 'bam:stats', aliases: ['bam-stats'])]
  #[CLI\Argument(name: 'destination', description: 'Count those of one destination; several with commas. Without it: all.')]
  #[CLI\Usage(name: 'drush bam:stats', description: 'By source: number, size, the oldest and the newest.')]
  #[CLI\Usage(name: 'drush bam:stats --format=json', description: 'By destination and month, too, and the largest.')]
  #[CLI\Option(name: 'source', description: 'Only of this source.')]
  #[CLI\Option(name: 'site', description: 'Of which site, where several have one folder: its address or name, or "all". Without it: this one.')]
  #[CLI\FieldLabels(labels: [
    'source' => 'Source',
    'backups' => 'Backups',
    'size' => 'Size',
    'stored' => 'With copies',
    'oldest' => 'Oldest',
    'first_size' => 'Was',
    'newest' => 'Newest',
    'last_size' => 'Is',
  ])]
  #[CLI\Bootstrap(level: DrupalBootLevels::NONE)]
  public function stats(?string $destination = NULL, array $options = ['format' => 'table', 'source' => self::REQ, 'site' => self::REQ]): RowsOfFields|CommandResult|array {
    return $this->run($options, fn (Run $run) => Rows::stats(
      $run->job(['job' => 'stats', 'destinations' => self::names($destination)] + self::which($options)),
      $this->forPeople($options),
    ));
  }

  /**
   * Tell in which backups a file is, since when, with what size. It needs the program bam.
   */
  #[CLI\Command(name: 'bam:find', aliases: ['bam-find'])]
  #[CLI\Argument(name: 'pattern', description: "A name, a path, or a pattern of one: '*.pdf'.")]
  #[CLI\Option(name: 'ignore-case', description: 'Take upper and lower case for the same.')]
  #[CLI\Option(name: 'source', description: 'Only in backups of this source.')]
  #[CLI\Option(name: 'since', description: 'Only in backups since then: 30d, 12h, 2026-11-01.')]
  #[CLI\Option(name: 'limit', description: 'Only in so many of the newest backups.')]
  #[CLI\Option(name: 'destination', description: 'Only there; several with commas. Without it: everywhere.')]
  #[CLI\Option(name: 'site', description: 'Of which site, where several have one folder: its address or name, or "all". Without it: this one.')]
  #[CLI\Option(name: 'unauthenticated', description: 'Look also into what nothing proves to be unchanged.')]
  #[CLI\Option(name: 'format', description: 'json for a script.')]
  #[CLI\Usage(name: 'drush bam:find logo.png', description: 'Every state of every file of that name.')]
  #[CLI\Usage(name: "drush bam:find '*.pdf' --since=30d", description: 'Those of the last thirty days.')]
  #[CLI\Bootstrap(level: DrupalBootLevels::NONE)]
  public function find(
    string $pattern,
    array $options = [
      'format' => 'table',
      'ignore-case' => FALSE,
      'source' => self::REQ,
      'since' => self::REQ,
      'limit' => self::REQ,
      'destination' => self::REQ,
      'site' => self::REQ,
      'unauthenticated' => FALSE,
    ],
  ): CommandResult|array|null {
    return $this->program('find', $options, ['ignore-case', 'source', 'since', 'limit', 'destination', 'site', 'unauthenticated'], [$pattern]);
  }

  /**
   * Tell what changed between two backups: files by content, tables by rows. It needs the program bam.
   */
  #[CLI\Command(name: 'bam:diff', aliases: ['bam-diff'])]
  #[CLI\Argument(name: 'id', description: 'The first backup: its ID, its file name, or "latest" (bam:backups lists them).')]
  #[CLI\Argument(name: 'other', description: 'The second one, likewise.')]
  #[CLI\Option(name: 'source', description: 'With "latest": the newest backup of this source.')]
  #[CLI\Option(name: 'destination', description: 'Take both from this destination, and not from the nearest that has each.')]
  #[CLI\Option(name: 'site', description: 'Of which site, where several have one folder: its address or name, or "all". Without it: this one.')]
  #[CLI\Option(name: 'unauthenticated', description: 'Go on although nothing proves that the backups are unchanged.')]
  #[CLI\Option(name: 'format', description: 'json for a script.')]
  #[CLI\Usage(name: 'drush bam:diff 1795388661 latest', description: 'What changed since that backup.')]
  #[CLI\Bootstrap(level: DrupalBootLevels::NONE)]
  public function diff(
    string $id,
    string $other,
    array $options = [
      'format' => 'table',
      'source' => self::REQ,
      'destination' => self::REQ,
      'site' => self::REQ,
      'unauthenticated' => FALSE,
    ],
  ): CommandResult|array|null {
    return $this->program('diff', $options, ['source', 'destination', 'site', 'unauthenticated'], [$id, $other]);
  }

  /**
   * Restore a backup in place of what is there now.
   */
  #[CLI\Command(name: 'bam:restore', aliases: ['bam-restore'])]
  #[CLI\Argument(name: 'id', description: 'A backup by its ID, its file name, or "latest" (bam:backups lists them); or the path of a backup file. Alternatively three arguments: source, destination, file.')]
  #[CLI\Argument(name: 'destination', description: 'Of three arguments: where the file is.')]
  #[CLI\Argument(name: 'file', description: 'Of three arguments: its name.')]
  #[CLI\Option(name: 'source', description: 'Restore onto this source instead of the one that was backed up.')]
  #[CLI\Option(name: 'from', description: 'Take it from this destination, and not from the nearest that has it.')]
  #[CLI\Option(name: 'code', description: 'Of a whole site, restore the code too. Settings of this machine stay as they are.')]
  #[CLI\Option(name: 'settings', description: 'Replace settings.php and the like too, where the backup has them.')]
  #[CLI\Option(name: 'path', description: 'Restore only this file or folder, several with commas.')]
  #[CLI\Option(name: 'table', description: 'Restore only these tables, with commas; cache_* stands for all that begin so.')]
  #[CLI\Option(name: 'only', description: 'Of a SQL dump of several databases (mysqldump --databases) only this one.')]
  #[CLI\Option(name: 'dry-run', description: 'Only tell what would be replaced, added and lost.')]
  #[CLI\Option(name: 'unauthenticated', description: 'Restore although nothing proves that the backup is unchanged.')]
  #[CLI\Usage(name: 'drush bam:restore 1795388661', description: 'Restore that backup, after a confirmation.')]
  #[CLI\Usage(name: 'drush -y bam:restore latest', description: 'Restore the newest, without one.')]
  #[CLI\Usage(name: 'drush bam:restore latest --dry-run', description: 'What would that replace, add and lose?')]
  #[CLI\Option(name: 'site', description: 'Of which site, where several have one folder: its address or name, or "all". Without it: this one.')]
  #[CLI\FieldLabels(labels: [
    'id' => 'ID',
    'file' => 'File',
    'source' => 'Source',
    'replaced' => 'Replaced',
    'added' => 'Added',
    'lost' => 'Lost',
    'seconds' => 'Time',
  ])]
  #[CLI\Complete(method_name_or_callable: 'completeId')]
  #[CLI\Bootstrap(level: DrupalBootLevels::NONE)]
  public function restore(
    string $id,
    ?string $destination = NULL,
    ?string $file = NULL,
    array $options = [
      'format' => 'table',
      'source' => self::REQ,
      'site' => self::REQ,
      'from' => self::REQ,
      'code' => FALSE,
      'settings' => FALSE,
      'path' => self::REQ,
      'table' => self::REQ,
      'only' => self::REQ,
      'dry-run' => FALSE,
      'unauthenticated' => FALSE,
    ],
  ): PropertyList|CommandResult|array {
    return $this->run($options, function (Run $run) use ($id, $destination, $file, $options): mixed {
      $request = array_filter([
        'job' => 'restore',
        'source' => $options['source'],
        'site' => $options['site'],
        'destination' => $options['from'],
        'unauthenticated' => (bool) $options['unauthenticated'],
        'code' => (bool) $options['code'],
        'settings' => (bool) $options['settings'],
        'paths' => self::names($options['path']),
        'tables' => self::names($options['table']),
        'only' => $options['only'],
        'dry_run' => (bool) $options['dry-run'],
      ]);
      if ($destination !== NULL && $file === NULL) {
        throw new BamException('usage', 'bam:restore takes one argument or three', 'drush bam:restore ID, or drush bam:restore SOURCE DESTINATION FILE', 2);
      }
      if ($file !== NULL) {
        $request = ['id' => $file, 'source' => $id, 'destination' => $destination] + $request;
      }
      elseif (str_contains($id, '/')) {
        $request['file'] = self::path($id);
      }
      else {
        $request['id'] = $id;
      }
      if (empty($request['dry_run'])) {
        $parts = [...($request['paths'] ?? []), ...($request['tables'] ?? [])];
        $what = $request['file'] ?? $this->describe($run, array_intersect_key($request, array_flip(['id', 'source', 'destination', 'site'])));
        $this->confirmed(dt('Restore !parts!what!onto, replacing what is there now?', [
          '!parts' => $parts === [] ? '' : implode(', ', $parts) . ' of ',
          '!what' => $what,
          '!onto' => isset($request['source']) ? " onto {$request['source']}" : '',
        ]));
      }
      $result = $run->job($request);
      if (!empty($request['dry_run']) && $this->forPeople($options)) {
        $this->logger()->notice(dt('Nothing was changed.'));
      }
      return Rows::restored($result, $this->forPeople($options));
    });
  }

  /**
   * Check backups: reads every byte of every copy.
   */
  #[CLI\Command(name: 'bam:verify', aliases: ['bam-verify'])]
  #[CLI\Argument(name: 'id', description: 'A backup by its ID, its file name, or "latest". Without it: all.')]
  #[CLI\Argument(name: 'destination', description: 'Check the copies of one destination; several with commas. Without it: all.')]
  #[CLI\Option(name: 'source', description: 'Only of this source.')]
  #[CLI\Option(name: 'site', description: 'Of which site, where several have one folder: its address or name, or "all". Without it: this one.')]
  #[CLI\Option(name: 'sample', description: 'Read only a random part of each copy, e.g. 5%. It proves no more than it reads.')]
  #[CLI\Option(name: 'unauthenticated', description: 'Read also what nothing proves to be unchanged; it does not count as verified.')]
  #[CLI\FieldLabels(labels: ['id' => 'ID', 'file' => 'File', 'destination' => 'Destination', 'result' => 'Result'])]
  #[CLI\Bootstrap(level: DrupalBootLevels::NONE)]
  public function verify(?string $id = NULL, ?string $destination = NULL, array $options = ['format' => 'table', 'source' => self::REQ, 'site' => self::REQ, 'sample' => self::REQ, 'unauthenticated' => FALSE]): RowsOfFields|CommandResult|array {
    return $this->run($options, fn (Run $run) => Rows::verified($run->job(array_filter([
      'job' => 'verify',
      'id' => $id,
      'destinations' => self::names($destination),
      'sample' => self::percent($options['sample']),
      'unauthenticated' => (bool) $options['unauthenticated'],
    ] + self::which($options))), $this->forPeople($options)));
  }

  /**
   * Complete copies that are missing at destinations which their backup was made for.
   */
  #[CLI\Command(name: 'bam:replicate', aliases: ['bam-replicate'])]
  #[CLI\Option(name: 'site', description: 'Of which site, where several have one folder: its address or name, or "all". Without it: this one.')]
  #[CLI\FieldLabels(labels: ['file' => 'File', 'destination' => 'Destination', 'result' => 'Result'])]
  #[CLI\Bootstrap(level: DrupalBootLevels::NONE)]
  public function replicate(array $options = ['format' => 'table', 'site' => self::REQ]): RowsOfFields|CommandResult|array {
    return $this->run($options, fn (Run $run) => Rows::copies($run->job(['job' => 'replicate'] + self::which($options)), dt('copied'), $this->forPeople($options)));
  }

  /**
   * Erase a backup, at every destination unless told otherwise.
   */
  #[CLI\Command(name: 'bam:delete', aliases: ['bam-delete'])]
  #[CLI\Argument(name: 'id', description: 'A backup by its ID or its file name.')]
  #[CLI\Option(name: 'destination', description: 'Only there; several with commas. Without it: everywhere.')]
  #[CLI\Option(name: 'source', description: 'Only of this source.')]
  #[CLI\Option(name: 'site', description: 'Of which site, where several have one folder: its address or name, or "all". Without it: this one.')]
  #[CLI\FieldLabels(labels: ['file' => 'File', 'destination' => 'Destination', 'result' => 'Result'])]
  #[CLI\Bootstrap(level: DrupalBootLevels::NONE)]
  public function delete(string $id, array $options = ['format' => 'table', 'destination' => self::REQ, 'source' => self::REQ, 'site' => self::REQ]): RowsOfFields|CommandResult|array {
    return $this->run($options, function (Run $run) use ($id, $options): mixed {
      $where = self::names($options['destination']);
      $one = count($where) === 1 ? ['destination' => $where[0]] : [];
      $this->confirmed(dt('Erase !what at !where, for good?', [
        '!what' => $this->describe($run, ['id' => $id] + $one + self::which($options)),
        '!where' => $where === [] ? dt('every destination') : implode(', ', $where),
      ]));
      return Rows::erased($run->job(['job' => 'delete', 'id' => $id, 'destinations' => $where] + self::which($options)), $this->forPeople($options));
    });
  }

  /**
   * Delete the backups that are too old by what their schedules keep.
   */
  #[CLI\Command(name: 'bam:prune', aliases: ['bam-prune'])]
  #[CLI\Argument(name: 'schedules', description: 'One or more schedules. Without it: all.')]
  #[CLI\Option(name: 'dry-run', description: 'Only tell what would go, and why.')]
  #[CLI\Option(name: 'site', description: 'Of which site, where several have one folder: its address or name, or "all". Without it: this one.')]
  #[CLI\FieldLabels(labels: ['file' => 'File', 'schedule' => 'Schedule', 'destination' => 'Destination', 'action' => 'What happens', 'reason' => 'Why'])]
  #[CLI\Bootstrap(level: DrupalBootLevels::NONE)]
  public function prune(array $schedules, array $options = ['format' => 'table', 'dry-run' => FALSE, 'site' => self::REQ]): RowsOfFields|CommandResult|array {
    return $this->run($options, function (Run $run) use ($schedules, $options): mixed {
      if (!$options['dry-run']) {
        $this->confirmed(dt('Delete the backups that are too old, for good?'));
      }
      $request = ['job' => 'prune', 'schedules' => $schedules, 'dry_run' => (bool) $options['dry-run']] + self::which($options);
      return Rows::pruned($run->job($request), $this->forPeople($options));
    });
  }

  /**
   * Tell how the backups stand against the policy. Exit code 3 where something is missing.
   */
  #[CLI\Command(name: 'bam:status', aliases: ['bam-status'])]
  #[CLI\Option(name: 'site', description: 'Of which site, where several have one folder: its address or name, or "all". Without it: this one.')]
  #[CLI\FieldLabels(labels: [
    'source' => 'Source',
    'state' => 'State',
    'newest' => 'Newest',
    'age' => 'Age',
    'copies' => 'Copies',
    'verified' => 'Verified',
    'hosts' => 'Hosts',
  ])]
  #[CLI\Bootstrap(level: DrupalBootLevels::NONE)]
  public function status(array $options = ['format' => 'table', 'site' => self::REQ]): RowsOfFields|CommandResult|array {
    return $this->run($options, fn (Run $run) => Rows::status($run->job(['job' => 'status'] + self::which($options)), $this->forPeople($options)));
  }

  /**
   * Write a backup to a disk that is then taken away, with a checksum and instructions.
   */
  #[CLI\Command(name: 'bam:export', aliases: ['bam-export'])]
  #[CLI\Argument(name: 'id', description: 'A backup by its ID, its file name, or "latest". With --forget also a path, a disk or a host.')]
  #[CLI\Argument(name: 'path', description: 'A folder that exists.')]
  #[CLI\Option(name: 'source', description: 'Only of this source.')]
  #[CLI\Option(name: 'site', description: 'Of which site, where several have one folder: its address or name, or "all". Without it: this one.')]
  #[CLI\Option(name: 'host', description: 'The machine that the copy counts as. Without it: by the file system that it lies on.')]
  #[CLI\Option(name: 'create', description: 'Make the folder where it is missing.')]
  #[CLI\Option(name: 'with-program', description: 'Put the program bam beside it.')]
  #[CLI\Option(name: 'forget', description: 'Do not export: forget copies that were, because the disk was lost, overwritten or given away.')]
  #[CLI\Option(name: 'unauthenticated', description: 'Take it although nothing proves that it is unchanged.')]
  #[CLI\FieldLabels(labels: ['id' => 'ID', 'path' => 'Written to', 'sha256' => 'SHA-256'])]
  #[CLI\Bootstrap(level: DrupalBootLevels::NONE)]
  public function export(
    string $id,
    ?string $path = NULL,
    array $options = [
      'format' => 'table',
      'source' => self::REQ,
      'site' => self::REQ,
      'host' => self::REQ,
      'create' => FALSE,
      'with-program' => FALSE,
      'forget' => FALSE,
      'unauthenticated' => FALSE,
    ],
  ): PropertyList|CommandResult|array {
    return $this->run($options, function (Run $run) use ($id, $path, $options): mixed {
      if ($options['forget']) {
        // A path is as typed; a disk's or a host's name is none.
        $what = str_contains($id, '/') || is_dir(self::path($id)) ? self::path($id) : $id;
        $result = $run->job(array_filter(['job' => 'forget', 'what' => $what, 'path' => $path === NULL ? NULL : self::path($path)]));
        foreach ($this->forPeople($options) ? $result['forgotten'] : [] as $copy) {
          $this->logger()->notice(dt('!path is forgotten.', ['!path' => Format::name($copy['path'])]));
        }
        return Rows::one($result, $this->forPeople($options));
      }
      if ($path === NULL) {
        throw new BamException('usage', 'bam:export wants a folder to write to', 'drush bam:export ID FOLDER', 2);
      }
      $program = $options['with-program'] ? Program::path() : NULL;
      if ($options['with-program'] && $program === NULL) {
        throw new BamException('not_found', 'the program bam is not installed here', 'leave out --with-program, or install it');
      }
      return Rows::one($run->job(array_filter(['program' => $program]) + [
        'job' => 'export',
        'id' => $id,
        'path' => self::path($path),
        'create' => (bool) $options['create'],
        'unauthenticated' => (bool) $options['unauthenticated'],
      ] + self::which($options)), $this->forPeople($options));
    });
  }

  /**
   * Take a backup file in, Backup and Migrate's too, after checking it.
   */
  #[CLI\Command(name: 'bam:import', aliases: ['bam-import'])]
  #[CLI\Argument(name: 'file', description: 'The file; a sidecar beside it comes along.')]
  #[CLI\Argument(name: 'destination', description: 'Where it goes.')]
  #[CLI\Option(name: 'unauthenticated', description: 'Take it although nothing proves that it is unchanged.')]
  #[CLI\FieldLabels(labels: ['id' => 'ID', 'file' => 'File', 'destination' => 'Destination'])]
  #[CLI\Bootstrap(level: DrupalBootLevels::NONE)]
  public function import(string $file, string $destination = 'manual', array $options = ['format' => 'table', 'unauthenticated' => FALSE]): PropertyList|CommandResult|array {
    return $this->run($options, fn (Run $run) => Rows::one($run->job([
      'job' => 'import',
      'file' => self::path($file),
      'destination' => $destination,
      'unauthenticated' => (bool) $options['unauthenticated'],
    ]), $this->forPeople($options)));
  }

  /**
   * List what can be backed up.
   */
  #[CLI\Command(name: 'bam:sources', aliases: [])]
  #[CLI\FieldLabels(labels: ['id' => 'ID', 'name' => 'Name', 'type' => 'Type', 'where' => 'Where'])]
  #[CLI\Bootstrap(level: DrupalBootLevels::NONE)]
  public function sources(array $options = ['format' => 'table']): RowsOfFields|CommandResult|array {
    return $this->part('sources', $options);
  }

  /**
   * List where backups can go.
   */
  #[CLI\Command(name: 'bam:destinations', aliases: [])]
  #[CLI\FieldLabels(labels: ['id' => 'ID', 'name' => 'Name', 'type' => 'Type', 'where' => 'Where'])]
  #[CLI\Bootstrap(level: DrupalBootLevels::NONE)]
  public function destinations(array $options = ['format' => 'table']): RowsOfFields|CommandResult|array {
    return $this->part('destinations', $options);
  }

  /**
   * List the settings profiles: how backups are made.
   */
  #[CLI\Command(name: 'bam:profiles', aliases: [])]
  #[CLI\FieldLabels(labels: [
    'id' => 'ID',
    'name' => 'Name',
    'compression' => 'Compression',
    'encryption' => 'Encryption',
    'site_offline' => 'Maintenance mode',
    'sources' => 'Sources',
  ])]
  #[CLI\Bootstrap(level: DrupalBootLevels::NONE)]
  public function profiles(array $options = ['format' => 'table']): RowsOfFields|CommandResult|array {
    return $this->part('profiles', $options);
  }

  /**
   * List the schedules: when backups are made.
   */
  #[CLI\Command(name: 'bam:schedules', aliases: [])]
  #[CLI\FieldLabels(labels: [
    'id' => 'ID',
    'name' => 'Name',
    'enabled' => 'Enabled',
    'when' => 'When',
    'source' => 'Source',
    'destinations' => 'Destinations',
    'profile' => 'Profile',
    'keep' => 'Keep',
    'last_run' => 'Last run',
  ])]
  #[CLI\Bootstrap(level: DrupalBootLevels::NONE)]
  public function schedules(array $options = ['format' => 'table']): RowsOfFields|CommandResult|array {
    return $this->part('schedules', $options);
  }

  /**
   * Print the configuration of this site, as bam.yml has it.
   */
  #[CLI\Command(name: 'bam:export-config', aliases: ['bam-export-config'])]
  #[CLI\Option(name: 'secrets', description: 'Passwords and keys, too: the output must not be readable by others.')]
  #[CLI\Usage(name: '(umask 077; drush bam:export-config --secrets > bam.yml)', description: 'Make a configuration file for the bam command.')]
  #[CLI\Bootstrap(level: DrupalBootLevels::NONE)]
  public function exportConfig(array $options = ['format' => 'yaml', 'secrets' => FALSE]): CommandResult|array {
    return $this->run($options, static fn (Run $run) => $run->complete((bool) $options['secrets'])->toArray());
  }

  /**
   * Import profiles, schedules, sources and destinations: Backup and Migrate's exports, or a document of bam's.
   */
  #[CLI\Command(name: 'bam:import-settings', aliases: ['bam-import-settings'])]
  #[CLI\Argument(name: 'files', description: 'One or more files: what Backup and Migrate of Drupal 7 exported (parsed, never evaluated), or what bam:export-config printed, of a Drupal 7 too. Either all of what they hold is imported or nothing.')]
  #[CLI\FieldLabels(labels: ['type' => 'Type', 'id' => 'ID', 'name' => 'Name', 'action' => 'What happened'])]
  #[CLI\Bootstrap(level: DrupalBootLevels::FULL)]
  public function importSettings(array $files, array $options = ['format' => 'table']): RowsOfFields|CommandResult|array {
    return $this->run($options, function () use ($files, $options): mixed {
      $importer = new Importer();
      foreach ($files as $file) {
        $importer->read(self::path($file));
      }
      foreach ($importer->notes() as $note) {
        $this->logger()->warning(Format::name($note));
      }
      $plan = $importer->plan();
      if (in_array(Importer::REPLACED, array_column($plan, 'action'), TRUE)) {
        $this->confirmed(dt('Some of it is there already, with other settings. Replace it?'));
      }
      $importer->apply();
      return $this->forPeople($options) ? new RowsOfFields($plan) : $plan;
    });
  }

  /**
   * Show the key file that backups are encrypted with; make one where there is none.
   */
  #[CLI\Command(name: 'bam:key', aliases: ['bam-key'])]
  #[CLI\Option(name: 'file', description: 'Where to make it, or, where it is there already, use this one. Outside of the project.')]
  #[CLI\FieldLabels(labels: ['file' => 'Key file', 'id' => 'Key ID'])]
  #[CLI\Bootstrap(level: DrupalBootLevels::NONE)]
  public function key(array $options = ['format' => 'table', 'file' => self::REQ]): PropertyList|CommandResult|array {
    return $this->run($options, function (Run $run) use ($options): mixed {
      $key = KeyFile::of($run->site(), $options['file'], $this->logger());
      return $this->forPeople($options) ? new PropertyList($key) : $key;
    });
  }

  /**
   * Completes what can be backed up.
   */
  public function completeWhat(CompletionInput $input, CompletionSuggestions $suggestions): void {
    if (!$input->mustSuggestArgumentValuesFor('what')) {
      return;
    }
    try {
      $document = $this->open()->complete();
      foreach (['sources', 'profiles', 'schedules'] as $part) {
        $suggestions->suggestValues(array_map('strval', array_keys($document->map($part))));
      }
    }
    catch (BamException) {
      // Somebody is typing: there is nothing to say.
    }
  }

  /**
   * Completes a backup, without asking other machines.
   */
  public function completeId(CompletionInput $input, CompletionSuggestions $suggestions): void {
    if ($input->mustSuggestArgumentValuesFor('id')) {
      $suggestions->suggestValue('latest');
    }
  }

  /**
   * One part of the configuration, with what is built in and without passwords.
   */
  private function part(string $part, array $options): RowsOfFields|CommandResult|array {
    return $this->run($options, fn (Run $run) => Rows::part($run->complete(), $part, $this->forPeople($options)));
  }

  /**
   * Runs a command on the site. Every failure becomes an error with its next step, and bam's exit code.
   *
   * @param array<string, mixed> $options
   *   The options of the command.
   * @param callable(\Bam\Drush\Run): mixed $work
   *   What it does; its result is printed.
   */
  private function run(array $options, callable $work): RowsOfFields|PropertyList|CommandResult|array|null {
    try {
      $run = $this->open();
      $data = $work($run);
    }
    catch (BamException $failure) {
      if (!$this->forPeople($options) && ($options['format'] ?? '') === 'json') {
        // Scripts read the failure where they read the result (docs/json.md).
        $this->output()->writeln((string) json_encode(['error' => $failure->toArray()], JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_INVALID_UTF8_SUBSTITUTE));
      }
      $message = Format::name($failure->getMessage());
      if ($failure->hint() !== '') {
        $message .= "\n" . dt('What to do: !hint', ['!hint' => Format::name($failure->hint())]);
      }
      $this->logger()->error($message);
      return CommandResult::exitCode($failure->exitCode() ?: 1);
    }
    if ($data instanceof RowsOfFields) {
      // It would break IDs and file names into pieces that nobody can copy: lines may be as long as they need.
      $this->commandData?->formatterOptions()?->setWidth(0);
    }
    return $run->exitCode === 0 ? $data : CommandResult::dataWithExitCode($data, $run->exitCode);
  }

  /**
   * Has the program print what it finds in backups, which may be very much.
   *
   * @param string $verb
   *   Of the program.
   * @param array<string, mixed> $options
   *   The options of the command.
   * @param string[] $known
   *   Those that the program has, too.
   * @param string[] $arguments
   *   What else is typed.
   */
  private function program(string $verb, array $options, array $known, array $arguments): CommandResult|array|null {
    $words = Program::options(['json' => !$this->forPeople($options)] + array_intersect_key($options, array_flip($known)));
    return $this->run($options, function (Run $run) use ($verb, $words, $arguments): ?array {
      $uri = (string) Drush::bootstrapManager()->getUri();
      $uri = in_array(parse_url($uri, PHP_URL_HOST) ?: $uri, ['default', ''], TRUE) ? '' : $uri;
      $run->exitCode = Program::run([$verb, ...$words, '--', ...$arguments], $run->site()->project()->docroot(), $uri);
      return NULL;
    });
  }

  /**
   * The site that Drush has found, or that an alias or --root and --uri name.
   */
  private function open(): Run {
    $manager = Drush::bootstrapManager();
    return new Run((string) $manager->getRoot(), (string) $manager->getUri(), $this->logger(), $this->output());
  }

  /**
   * Whether the output is for people: then sizes and times are spelled out.
   */
  private function forPeople(array $options): bool {
    return !in_array($options['format'] ?? 'table', self::STRUCTURED, TRUE);
  }

  /**
   * Asks whether to go on; --yes says so.
   */
  private function confirmed(string $question): void {
    if (!$this->io()->confirm($question, FALSE)) {
      throw new BamException('cancelled', dt('Not confirmed; nothing was changed.'));
    }
  }

  /**
   * The backup that somebody means, in words.
   */
  private function describe(Run $run, array $which): string {
    $found = $run->job(['job' => 'find'] + $which);
    $backup = $found['backup'];
    return dt('backup !id of !source!site from !date (!file)', [
      '!id' => $backup['id'],
      '!source' => $backup['source'],
      '!site' => isset($found['other_site']) ? dt(' of ANOTHER SITE, !site,', ['!site' => Format::name($found['other_site'])]) : '',
      '!date' => Format::time($backup['time']),
      '!file' => Format::name($backup['file']),
    ]);
  }

  /**
   * Whose backups a command works on, and what else narrows them.
   *
   * @return array<string, string>
   *   The keys of a request.
   */
  private static function which(array $options): array {
    $known = array_intersect_key($options, array_flip(['site', 'source', 'host']));
    return array_filter($known, static fn ($value): bool => is_string($value) && $value !== '');
  }

  /**
   * The parts of a list with commas.
   *
   * @return string[]
   *   Those that are not empty.
   */
  private static function names(?string $list): array {
    return array_values(array_filter(array_map('trim', explode(',', (string) $list)), 'strlen'));
  }

  /**
   * A path as typed: Drush may have changed to the docroot meanwhile.
   */
  private static function path(string $path): string {
    return str_starts_with($path, '/') ? $path : Drush::config()->cwd() . '/' . $path;
  }

}
