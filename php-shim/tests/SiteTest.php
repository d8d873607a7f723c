<?php

namespace Bam\Tests;

use Bam\Site\Configuration;
use Bam\Site\Drupal7\BareSite;

/**
 * A site that is read without Drupal: settings.php, the variables, Backup and Migrate's tables.
 */
final class SiteTest extends Scratch
{
    public function testVariablesAndConfMakeTheDocument(): void
    {
        $root = $this->site(
            ['site_name' => 'Lab', 'site_mail' => 'a@example.org', 'file_private_path' => '../private', 'cron_key' => false],
            "\$conf['site_name'] = 'Lab, overridden';\n\$base_url = 'https://lab.example.org';"
        );
        $document = Configuration::of(BareSite::open($root))->document();
        $this->assertSame('Lab, overridden', $document->get('site', 'name'));
        $this->assertSame('a@example.org', $document->get('site', 'mail'));
        $this->assertSame('https://lab.example.org', $document->get('site', 'url'));
        $this->assertSame(['url' => "sqlite:$this->folder/site.sqlite"], $document->map('databases')['db']);
        $this->assertSame('private://backup_migrate/manual', $document->map('destinations')['manual']['path']);
    }

    public function testRowsOverrideVariables(): void
    {
        $root = $this->site([
            'file_private_path' => '/srv/private',
            'backup_migrate_profiles_defaults' => [
                'one' => ['machine_name' => 'one', 'name' => 'From a variable', 'filters' => ['compression' => 'zip']],
                'two' => ['machine_name' => 'two', 'name' => 'Two', 'filters' => []],
            ],
        ]);
        $database = new \PDO("sqlite:$this->folder/site.sqlite");
        $database->exec('CREATE TABLE backup_migrate_profiles (machine_name, name, filename, append_timestamp, timestamp_format, filters)');
        $database->prepare('INSERT INTO backup_migrate_profiles VALUES (?, ?, ?, ?, ?, ?)')
            ->execute(['one', 'From the table', 'f', '2', 'Y', serialize(['compression' => 'bzip2'])]);
        $profiles = Configuration::of(BareSite::open($root))->document()->map('profiles');
        $this->assertSame('From the table', $profiles['one']['name']);
        $this->assertSame('bzip2', $profiles['one']['compression']);
        $this->assertSame(2, $profiles['one']['append_timestamp']);
        $this->assertSame('Two', $profiles['two']['name']);
    }

    public function testSchedulesKnowTheirLastRun(): void
    {
        $schedule = ['machine_name' => 's', 'source_id' => 'archive', 'destination_id' => 'scheduled',
            'copy_destination_id' => 'offsite', 'profile_id' => 'p', 'period' => '3600', 'enabled' => '1', 'keep' => '-2'];
        $root = $this->site([
            'backup_migrate_schedules_defaults' => [$schedule, ['machine_name' => 'cron', 'cron' => 'elysia',
                'cron_schedule' => '0 4 * * 6', 'keep' => 0] + $schedule, ['machine_name' => 'never', 'cron' => 'none', 'keep' => 0] + $schedule],
            'backup_migrate_schedule_last_run_s' => 1700000000,
            'bam_schedule_keep' => ['s' => ['daily' => '7'], 'cron' => ['daily' => '7', 'within' => '14d', 'last' => ''],
                'never' => ['daily' => 'lots'], 'gone' => ['last' => '1'], 'odd' => 5],
        ]);
        $configuration = Configuration::of(BareSite::open($root));
        $schedules = $configuration->document()->map('schedules');
        $this->assertSame([['daily' => '7', 'within' => '14d'], 0], [$schedules['cron']['keep'], $schedules['never']['keep']]);
        $this->assertStringContainsString('schedule never keeps all: daily is a number', implode("\n", $configuration->notes()));
        $this->assertEquals(
            ['every' => 3600, 'cron' => null, 'destinations' => ['scheduled', 'offsite'], 'keep' => -2, 'last_run' => 1700000000],
            array_intersect_key($schedules['s'], array_flip(['every', 'cron', 'destinations', 'keep', 'last_run']))
        );
        $this->assertSame([0, '0 4 * * 6'], [$schedules['cron']['every'], $schedules['cron']['cron']]);
        $this->assertSame([0, null], [$schedules['never']['every'], $schedules['never']['cron']]);
    }

    public function testObjectsInTheDatabaseAreNotMade(): void
    {
        $root = $this->site(['site_name' => new \ArrayObject([1])]);
        $this->assertArrayNotHasKey('name', Configuration::of(BareSite::open($root))->document()->toArray()['site']);
    }

    public function testTheAesModulesKeyIsFoundWhereverItIs(): void
    {
        $stored = ['aes_key' => 'k', 'aes_implementation' => 'phpseclib', 'aes_encryption_iv' => 'iv=='];
        $document = Configuration::of(BareSite::open($this->site($stored)))->document();
        $this->assertSame(
            ['key' => 'k', 'implementation' => 'phpseclib', 'cipher' => 'rijndael-128', 'iv' => 'iv=='],
            $document->get('encryption', 'aes_module')
        );
        $file = ['aes_key_storage_method' => 'File', 'aes_key_path' => '/etc/aes.key'] + $stored;
        $document = Configuration::of(BareSite::open($this->site($file)))->document();
        $this->assertSame('/etc/aes.key', $document->get('encryption', 'aes_module')['key_file']);
        $this->assertArrayNotHasKey('key', $document->get('encryption', 'aes_module'));
    }

    public function testFurtherDatabasesHaveNamesOfTheirOwn(): void
    {
        $root = $this->site(['site_name' => 'Lab'], "\$databases['legacy']['default'] = ['driver' => 'mysql', 'database' => 'old', 'username' => 'u',
            'password' => 'p', 'host' => 'h'];\n\$databases['odd']['default'] = ['driver' => 'oracle'];");
        $configuration = Configuration::of(BareSite::open($root));
        $this->assertSame(['db', 'db:legacy:default'], array_keys($configuration->document()->map('databases')));
        $this->assertStringContainsString('oracle', implode(' ', $configuration->notes()));
    }

    public function testABrokenDatabaseIsCoveredByTheCopyOfItsLastGoodAnswer(): void
    {
        $root = $this->site([
            'site_name' => 'Lab',
            'aes_key' => 'only here',
            'file_private_path' => '/srv/private',
            'backup_migrate_destinations_defaults' => [['machine_name' => 'offsite', 'subtype' => 'sftp',
                'location' => 'sftp://u:p@h/backups']],
        ]);
        $good = Configuration::of(BareSite::open($root))->document();

        $copies = glob(getenv('XDG_STATE_HOME') . '/bam/*' . basename($this->folder) . '*.json');
        $this->assertCount(1, $copies);
        $this->assertSame(0600, fileperms($copies[0]) & 07777);
        $this->assertSame(0700, fileperms(dirname($copies[0])) & 07777);
        $this->assertStringNotContainsString('site.sqlite', file_get_contents($copies[0]), 'settings.php is asked anew');

        $ruins = [
            'empty' => static function (\PDO $database): void {
                $database->exec('DROP TABLE variable');
            },
            'without a row' => static function (\PDO $database): void {
                $database->exec('CREATE TABLE variable (name, value)');
            },
        ];
        foreach ($ruins as $name => $ruin) {
            $ruin(new \PDO("sqlite:$this->folder/site.sqlite"));
            $configuration = Configuration::of(BareSite::open($root));
            $this->assertEquals($good, $configuration->document(), $name);
            $this->assertStringContainsString('using the copy of', $configuration->notes()[0]);
        }
        unlink("$this->folder/site.sqlite");
        $this->assertEquals($good, Configuration::of(BareSite::open($root))->document(), 'gone');

        chmod($copies[0], 0644);
        $configuration = Configuration::of(BareSite::open($root));
        $this->assertSame([], $configuration->document()->map('profiles'), 'others could have written it');
        $this->assertStringContainsString('no copy', $configuration->notes()[0]);
    }

    public function testNoCopyIsKeptWhereTheSiteForbidsIt(): void
    {
        Configuration::of(BareSite::open($this->site(['site_name' => 'Lab', 'bam_keep_configuration' => false])));
        $this->assertSame([], glob(getenv('XDG_STATE_HOME') . '/bam/*' . basename($this->folder) . '*.json'));
    }
}
