<?php

declare(strict_types=1);

namespace Bam\Drush;

use Bam\BamException;
use Consolidation\AnnotatedCommand\CommandResult;
use Consolidation\OutputFormatters\StructuredData\PropertyList;
use Consolidation\OutputFormatters\StructuredData\RowsOfFields;
use Drush\Attributes as CLI;
use Drush\Boot\DrupalBootLevels;

/**
 * The commands that look after what is there: bam:check, bam:drill, bam:recover, bam:rekey.
 */
trait Upkeep {

  /**
   * Look whether all is as it should be: site, keys, databases, destinations. Exit code 2 where settings have to be changed, 3 where something is missing.
   */
  #[CLI\Command(name: 'bam:check', aliases: ['bam-check'])]
  #[CLI\Option(name: 'destination', description: 'Only this one: a small file goes there and back.')]
  #[CLI\FieldLabels(labels: ['state' => 'State', 'what' => 'What', 'text' => 'Seen', 'hint' => 'What to do'])]
  #[CLI\Bootstrap(level: DrupalBootLevels::NONE)]
  public function check(array $options = ['format' => 'table', 'destination' => self::REQ]): RowsOfFields|CommandResult|array {
    return $this->run($options, fn (Run $run) => Rows::findings(
      $run->job(array_filter(['job' => 'check', 'destination' => $options['destination']])),
      $this->forPeople($options),
    ));
  }

  /**
   * Restore into a scratch folder and database, compare, and throw it away: shows that backups restore.
   */
  #[CLI\Command(name: 'bam:drill', aliases: ['bam-drill'])]
  #[CLI\Argument(name: 'id', description: 'A backup by its ID, its file name, or "latest". Without it: the newest of every source.')]
  #[CLI\Option(name: 'destination', description: 'Only there; several with commas. Without it: everywhere.')]
  #[CLI\Option(name: 'source', description: 'Only of this source.')]
  #[CLI\Option(name: 'site', description: 'Of which site, where several have one folder: its address or name, or "all". Without it: this one.')]
  #[CLI\Option(name: 'unauthenticated', description: 'Drill also what nothing proves to be unchanged.')]
  #[CLI\FieldLabels(labels: ['id' => 'ID', 'file' => 'File', 'source' => 'Source', 'result' => 'Result', 'seconds' => 'Time'])]
  #[CLI\Complete(method_name_or_callable: 'completeId')]
  #[CLI\Bootstrap(level: DrupalBootLevels::NONE)]
  public function drill(?string $id = NULL, array $options = ['format' => 'table', 'destination' => self::REQ, 'source' => self::REQ, 'site' => self::REQ, 'unauthenticated' => FALSE]): RowsOfFields|CommandResult|array {
    return $this->run($options, fn (Run $run) => Rows::drills($run->job(array_filter([
      'job' => 'drill',
      'id' => $id,
      'destinations' => self::names($options['destination']),
      'unauthenticated' => (bool) $options['unauthenticated'],
    ] + self::which($options))), $this->forPeople($options)));
  }

  /**
   * Finish or take back a restore that was killed. The next backup or restore does the same by itself.
   */
  #[CLI\Command(name: 'bam:recover', aliases: ['bam-recover'])]
  #[CLI\Option(name: 'take-back', description: 'Make the old data live again, as long as it is there.')]
  #[CLI\Option(name: 'finish', description: 'Make the new data live, where it is whole.')]
  #[CLI\FieldLabels(labels: ['found' => 'Found'])]
  #[CLI\Bootstrap(level: DrupalBootLevels::NONE)]
  public function recover(array $options = ['format' => 'table', 'take-back' => FALSE, 'finish' => FALSE]): PropertyList|CommandResult|array {
    return $this->run($options, function (Run $run) use ($options): mixed {
      if ($options['take-back'] && $options['finish']) {
        throw new BamException('usage', 'either --take-back or --finish', '', 2);
      }
      $way = $options['take-back'] ? 'take_back' : ($options['finish'] ? 'finish' : 'either');
      $result = $run->job(['job' => 'recover', 'way' => $way]);
      return $this->forPeople($options) ? new PropertyList(['found' => $result['found'] ?? dt('No restore was interrupted.')]) : $result;
    });
  }

  /**
   * Encrypt existing backups anew, with the current key.
   */
  #[CLI\Command(name: 'bam:rekey', aliases: ['bam-rekey'])]
  #[CLI\Argument(name: 'ids', description: 'One or more backups by ID or file name, or "latest".')]
  #[CLI\Option(name: 'all', description: 'All backups that are encrypted.')]
  #[CLI\Option(name: 'destination', description: 'Only there; several with commas. Without it: everywhere.')]
  #[CLI\Option(name: 'to', description: 'With the key (aes256), or to the public keys (age). Without it: what each is now.')]
  #[CLI\Option(name: 'site', description: 'Of which site, where several have one folder: its address or name, or "all". Without it: this one.')]
  #[CLI\Option(name: 'unauthenticated', description: 'Take backups that no MAC proves, although the new file will have one.')]
  #[CLI\FieldLabels(labels: ['id' => 'ID', 'file' => 'File', 'destination' => 'Destination', 'result' => 'Result'])]
  #[CLI\Bootstrap(level: DrupalBootLevels::NONE)]
  public function rekey(array $ids, array $options = ['format' => 'table', 'all' => FALSE, 'destination' => self::REQ, 'to' => self::REQ, 'site' => self::REQ, 'unauthenticated' => FALSE]): RowsOfFields|CommandResult|array {
    return $this->run($options, function (Run $run) use ($ids, $options): mixed {
      if ((bool) $options['all'] === ($ids !== [])) {
        throw new BamException('usage', $ids === [] ? 'which backups?' : 'either backups or --all', 'give their IDs or file names, or --all', 2);
      }
      if (!in_array($options['to'], [NULL, 'aes256', 'age'], TRUE)) {
        throw new BamException('usage', "--to={$options['to']} is no encryption to change to", 'aes256 or age', 2);
      }
      return Rows::rekeyed($run->job(array_filter([
        'job' => 'rekey',
        'ids' => $ids,
        'to' => $options['to'],
        'destinations' => self::names($options['destination']),
        'unauthenticated' => (bool) $options['unauthenticated'],
      ] + self::which($options))), $this->forPeople($options));
    });
  }

  /**
   * A percentage as it is typed; NULL where none is.
   */
  private static function percent(?string $text): ?float {
    if ($text === NULL) {
      return NULL;
    }
    $number = rtrim(trim($text), '% ');
    if (!is_numeric($number) || $number <= 0 || $number > 100) {
      throw new BamException('usage', "\"$text\" is no percentage", 'e.g. --sample=5%', 2);
    }
    return (float) $number;
  }

}
