<?php

namespace Bam\Tests;

use Bam\BamException;
use Bam\Site\Configuration;
use Bam\Site\Drupal10\Drupal10Site;
use Bam\Site\Drupal10\Maintenance;
use Bam\Site\Drupal10\Project;
use Bam\Site\Sites;

/**
 * A Drupal 10 that is read without Drupal: settings.php in its shapes, the tables config and key_value.
 *
 * settings.php may define constants and classes once in a process only: what needs a process of its own is read by
 * bin/bam-export-config.
 */
final class Drupal10Test extends Scratch
{
    /**
     * A Composer project with a database.
     *
     * @param array<string, array<string, mixed>> $config
     * @param array<string, array<string, mixed>> $values By collection.
     */
    private function project(
        string $settings,
        array $config = [],
        array $values = [],
        string $docroot = 'web',
        string $site = 'default'
    ): string {
        $this->write('p/composer.json', json_encode([
            'require' => ['drupal/core-recommended' => '^10'],
            'extra' => ['drupal-scaffold' => ['locations' => ['web-root' => "./$docroot/"]]],
        ]));
        $this->write("p/$docroot/core/lib/Drupal.php", "<?php\nclass Drupal {\n  const VERSION = '10.6.15';\n}\n");
        $database = var_export(['driver' => 'sqlite', 'database' => str_repeat('../', substr_count($docroot, '/') + 2) . 'site.sqlite', 'prefix' => ''], true);
        $settings = str_replace('DATABASE', "\$databases['default']['default'] = $database;", $settings);
        $this->write("p/$docroot/sites/$site/settings.php", "<?php\n$settings\n");
        $pdo = new \PDO("sqlite:$this->folder/site.sqlite");
        $pdo->setAttribute(\PDO::ATTR_ERRMODE, \PDO::ERRMODE_EXCEPTION);
        $pdo->exec('CREATE TABLE IF NOT EXISTS config (collection TEXT, name TEXT, data BLOB, PRIMARY KEY (collection, name))');
        $pdo->exec('CREATE TABLE IF NOT EXISTS key_value (collection TEXT, name TEXT, value BLOB, PRIMARY KEY (collection, name))');
        $config += ['system.site' => ['name' => 'Lab', 'mail' => 'a@example.org']];
        foreach ($config as $name => $data) {
            $pdo->prepare("REPLACE INTO config VALUES ('', ?, ?)")->execute([$name, serialize($data)]);
        }
        // A translation is no configuration of its own.
        $pdo->prepare("REPLACE INTO config VALUES ('language.de', 'system.site', ?)")->execute([serialize(['name' => 'Labor'])]);
        foreach ($values as $collection => $pairs) {
            foreach ($pairs as $name => $value) {
                $pdo->prepare('REPLACE INTO key_value VALUES (?, ?, ?)')->execute([$collection, $name, serialize($value)]);
            }
        }
        return "$this->folder/p";
    }

    private function read(string $root, string $uri = ''): Configuration
    {
        return Configuration::of(Sites::open($root, $uri));
    }

    /**
     * The document and the remarks of the exporter, which has a process of its own.
     *
     * @return array{0: array<string, mixed>, 1: string}
     */
    private function export(string $root, array $environment = []): array
    {
        $program = dirname(__DIR__) . '/bin/bam-export-config';
        [$code, $output, $error] = $this->execute([PHP_BINARY, $program, '--root', $root], $environment);
        $this->assertSame(0, $code, $error);
        return [json_decode($output, true, 512, JSON_THROW_ON_ERROR), $error];
    }

    public function testProjectAndDocrootAreTheSameSite(): void
    {
        $root = $this->project(
            'DATABASE $settings["file_private_path"] = "../../private"; $settings["config_sync_directory"] = "../../config/sync";',
            ['system.date' => ['timezone' => ['default' => 'Europe/Berlin']]],
            [],
            'public/cms'
        );
        $document = $this->read($root)->document();
        $this->assertEquals($document, $this->read("$root/public/cms")->document());
        $this->assertSame([
            'root' => $root,
            'conf_path' => 'public/cms/sites/default',
            'name' => 'Lab',
            'mail' => 'a@example.org',
            'timezone' => 'Europe/Berlin',
            'drupal_version' => '10.6.15',
            'private_path' => "$root/private",
        ], $document->toArray()['site']);
        $this->assertSame(
            ['url' => "sqlite:$root/public/cms/../../../site.sqlite"],
            $document->map('databases')['db'],
            'relative to the docroot'
        );
        $this->assertSame('private://backup_migrate/manual', $document->map('destinations')['manual']['path']);
    }

    public function testADocrootBelowAProjectFindsTheProject(): void
    {
        $root = $this->project('DATABASE');
        foreach ([$root, "$root/web"] as $folder) {
            $project = Project::around($folder);
            $this->assertSame([$root, "$root/web"], [$project->root(), $project->docroot()]);
        }
        unlink("$root/composer.json");
        $alone = Project::around("$root/web");
        $this->assertSame(["$root/web", "$root/web"], [$alone->root(), $alone->docroot()]);
        $this->assertNull(Project::around("$root/web/core"));
        $this->assertNull(Project::around("$root/gone"));
    }

    public function testASiteWhoseCodeIsLostIsKnownByItsSettings(): void
    {
        $root = $this->project("DATABASE\n\$settings['hash_salt'] = 'x';");
        unlink("$root/web/core/lib/Drupal.php");
        $this->assertSame("$root/web", Project::around("$root/web")->docroot());
        $this->assertSame('Lab', $this->read("$root/web")->document()->get('site', 'name'));
        $this->write('seven/sites/default/settings.php', "<?php\n\$conf['x'] = 1;\n\$databases = [];\n");
        $this->assertNull(Project::around("$this->folder/seven"), 'that is a Drupal 7');
    }

    public function testFilesThatSettingsIncludeAreRead(): void
    {
        $root = $this->project(
            'include $app_root . "/" . $site_path . "/settings.local.php"; $settings["file_public_path"] = "sites/default/f";'
        );
        $this->write('p/web/sites/default/settings.local.php', '<?php $databases["default"]["default"] = ["driver" => "mysql",'
            . '"namespace" => "Drupal\\\\mysql\\\\Driver\\\\Database\\\\mysql", "autoload" => "core/modules/mysql/src/Driver/Database/mysql/",'
            . '"database" => "d10", "username" => "u", "password" => "p#1", "host" => "db.invalid", "prefix" => "x_"];'
            . '$databases["default"]["replica"][] = ["driver" => "mysql57", "database" => "r1", "username" => "u", "host" => "r1.invalid"];'
            . '$databases["default"]["replica"][] = ["driver" => "mysql", "database" => "r2", "host" => "r2.invalid"];'
            . '$databases["migrate"]["default"] = ["driver" => "pgsql", "database" => "old", "username" => "m", "host" => "m.invalid"];');
        $configuration = $this->read($root);
        $this->assertSame([
            'db' => ['url' => 'mysql://u:p%231@db.invalid/d10', 'prefix' => 'x_'],
            'db:default:replica' => ['url' => 'mysql://u@r1.invalid/r1'],
            'db:migrate:default' => ['url' => 'pgsql://m@m.invalid/old'],
        ], $configuration->document()->map('databases'));
        $this->assertSame('web/sites/default/f', $configuration->document()->get('site', 'public_path'));
        $this->assertStringContainsString("the site's database gives no settings", $configuration->notes()[0]);
    }

    public function testWhatSettingsCannotIncludeIsSaid(): void
    {
        $root = $this->project('DATABASE include __DIR__ . "/settings.gone.php"; $unused = $nothing ?? 1;');
        $this->assertStringContainsString('settings.gone.php', implode(' ', $this->read($root)->notes()));
    }

    public function testSettingsThatAskForDrupalsClassesAreReadWithoutThem(): void
    {
        $root = $this->project('use Drupal\Core\Installer\InstallerKernel; DATABASE
            if (!InstallerKernel::installationAttempted() && $class_loader === NULL) { $config["system.site"]["name"] = "Read"; }');
        [$document, $said] = $this->export($root);
        $this->assertSame('Read', $document['site']['name']);
        $this->assertStringNotContainsString('settings.php:', $said);
    }

    public function testTheSitesAutoloaderRunsFirst(): void
    {
        $root = $this->project('DATABASE
            $class_loader->known(); $settings["file_private_path"] = getenv("LAB_PRIVATE"); if (getenv("DRUPAL_ENV") === "prod") {
            $config["system.site"]["name"] = DRUPAL_ROOT; }');
        $this->write('p/web/autoload.php', '<?php return require __DIR__ . "/../vendor/autoload.php";');
        $this->write('p/vendor/autoload.php', '<?php putenv("LAB_PRIVATE=/srv/lab"); class Loader { function known() {} } return new Loader();');
        [$document, $said] = $this->export($root, ['DRUPAL_ENV' => 'prod']);
        $this->assertSame(["$root/web", '/srv/lab'], [$document['site']['name'], $document['site']['private_path']]);
        $this->assertSame('', $said);

        $this->write('p/vendor/autoload.php', '<?php throw new RuntimeException("half a vendor folder");');
        $this->write('p/web/sites/default/settings.php', "<?php\n\$settings = [];\n\$databases['default']['default'] = ['driver' => 'sqlite', 'database' => '$this->folder/site.sqlite'];");
        [$document, $said] = $this->export($root);
        $this->assertSame('Lab', $document['site']['name']);
        $this->assertStringContainsString('half a vendor folder', $said);
    }

    public function testSettingsThatStopAreTold(): void
    {
        $this->expectException(BamException::class);
        $this->expectExceptionMessage('no such service');
        $this->read($this->project('throw new \RuntimeException("no such service");'));
    }

    public function testOneOfSeveralSitesIsChosenByItsAddress(): void
    {
        $root = $this->project('DATABASE');
        $this->project('DATABASE $config["system.site"]["name"] = "Other";', [], [], 'web', 'other');
        $this->write('p/web/sites/sites.php', "<?php\n\$sites['8443.other.example.org'] = 'other';\n");
        $document = $this->read($root, 'https://other.example.org:8443')->document();
        $this->assertSame('web/sites/other', $document->get('site', 'conf_path'));
        $this->assertSame('Other', $document->get('site', 'name'));
        $this->assertSame('https://other.example.org:8443', $document->get('site', 'url'));
        $this->assertNull($this->read($root, 'default')->document()->get('site', 'url'));
    }

    public function testTheAddressIsFoundWhereDrushHasIt(): void
    {
        $root = $this->project('DATABASE', [], ['state' => ['bam.url' => 'https://seen.example.org']]);
        $this->assertSame('https://seen.example.org', $this->read($root)->document()->get('site', 'url'));
        $this->write('p/drush/drush.yml', "drush:\n  paths: {}\noptions:\n  # the address\n  verbose: true\n  uri: 'https://lab.example.org'\n");
        $this->assertSame('https://lab.example.org', $this->read($root)->document()->get('site', 'url'));
    }

    public function testWhatCannotBeWorkedWithIsLeftOutAndToldAndTheRestStays(): void
    {
        $schedule = ['source' => 'db', 'destinations' => ['manual'], 'profile' => 'default'];
        $odd = ['every' => -5] + $schedule;
        $root = $this->project('DATABASE', [
            'bam.schedule.good' => $schedule + ['every' => 3600, 'cron' => '', 'keep' => -2],
            'bam.schedule.fixed' => $schedule + ['cron' => '0 4 * * sat'],
            'bam.schedule.negative' => $odd,
            'bam.schedule.list' => ['every' => [1]] + $odd,
            'bam.schedule.periods' => $schedule + ['keep' => 0, 'keep_periods' => ['last' => '7', 'within' => '14d']],
            'bam.schedule.map' => $schedule + ['keep' => ['daily' => 7, 'yearly' => 'all']],
            'bam.schedule.nothing' => $schedule + ['keep' => 0, 'keep_periods' => []],
            'bam.schedule.century' => $schedule + ['keep_periods' => ['century' => '1']],
            'bam.schedule.lots' => $schedule + ['keep_periods' => ['daily' => 'lots']],
            'bam.schedule.keeps' => $schedule + ['keep' => -7],
            'bam.schedule.words' => $schedule + ['cron' => 'quatsch'],
            'bam.schedule.eighth' => $schedule + ['cron' => '0 4 * * 8'],
            'bam.profile.good' => ['compression' => 'zstd', 'append_timestamp' => 2],
            'bam.profile.odd' => ['compression' => 'rar'],
            'bam.destination.odd' => ['type' => 'ftp', 'url' => 'ftp://h/x'],
            'bam.source.odd' => ['type' => ['database']],
        ]);
        $configuration = $this->read($root);
        $document = $configuration->document();
        $schedules = $document->map('schedules');
        ksort($schedules);
        $this->assertSame(['fixed', 'good', 'map', 'nothing', 'periods'], array_keys($schedules));
        $this->assertSame(['last' => '7', 'within' => '14d'], $schedules['periods']['keep']);
        $this->assertSame([['daily' => 7, 'yearly' => 'all'], 0], [$schedules['map']['keep'], $schedules['nothing']['keep']]);
        $this->assertSame(['good'], array_keys($document->map('profiles')));
        $this->assertArrayNotHasKey('odd', $document->map('destinations'));
        $this->assertArrayNotHasKey('odd', $document->map('sources'));
        $notes = implode("\n", $configuration->notes());
        $odd = ['schedule negative', 'schedule list', 'schedule keeps', 'schedule words', 'schedule eighth',
            'schedule century', 'schedule lots'];
        foreach (array_merge($odd, ['profile odd', 'destination odd', 'source odd']) as $item) {
            $this->assertStringContainsString("$item is left out", $notes);
        }
    }

    public function testTheModulesEntitiesMakeTheDocument(): void
    {
        $base = ['uuid' => 'u', 'langcode' => 'en', 'status' => true, 'dependencies' => []];
        $root = $this->project('DATABASE $config["bam.destination.offsite"]["url"] = "sftp://b@h/live";', [
            'bam.settings' => ['key' => 'bam', 'policy' => ['copies' => 2, 'max_age' => ''], 'default_profile' => 'nightly'],
            'bam.source.docs' => $base + ['id' => 'docs', 'label' => 'Documents', 'type' => 'files', 'path' => '/srv/docs'],
            'bam.destination.offsite' => $base + ['id' => 'offsite', 'label' => 'Offsite', 'type' => 'sftp',
                'url' => 'sftp://b@h/x', 'path' => '', 'password_key' => 'pass', 'credential_files' => []],
            'bam.destination.inc' => $base + ['id' => 'inc', 'label' => 'Inc', 'type' => 'restic', 'repository' => 's3:https://h/b',
                'url' => '', 'key_file' => '', 'credential_files' => ['AWS_ACCESS_KEY_ID' => '/etc/bam/id']],
            'bam.profile.nightly' => $base + ['id' => 'nightly', 'label' => 'Nightly', 'compression' => 'zstd',
                'notify' => ['success' => '', 'failure' => 'a@example.org'],
                'sources' => [['source' => 'db', 'nodata_tables' => ['cache_*']]]],
            'bam.schedule.nightly' => ['status' => false] + $base + ['id' => 'nightly', 'label' => 'Nightly',
                'source' => 'archive', 'destinations' => ['offsite'], 'every' => 86400, 'cron' => '', 'keep' => '7'],
            'key.key.bam' => ['key_provider' => 'file', 'key_provider_settings' => ['file_location' => '../key']],
            'key.key.pass' => ['key_provider' => 'env', 'key_provider_settings' => ['env_variable' => 'BACKUP_PASSWORD']],
        ], ['bam.last_run' => ['nightly' => 1700000000]]);
        $configuration = $this->read($root);
        $document = $configuration->document();
        $this->assertSame(['type' => 'files', 'path' => '/srv/docs', 'name' => 'Documents'], $document->map('sources')['docs']);
        $this->assertEquals(
            ['type' => 'sftp', 'url' => 'sftp://b@h/live', 'name' => 'Offsite', 'password_env' => 'BACKUP_PASSWORD'],
            $document->map('destinations')['offsite']
        );
        $this->assertEquals(['type' => 'restic', 'repository' => 's3:https://h/b', 'name' => 'Inc',
            'credential_files' => ['AWS_ACCESS_KEY_ID' => '/etc/bam/id']], $document->map('destinations')['inc']);
        $this->assertEquals(['name' => 'Nightly', 'compression' => 'zstd', 'notify' => ['failure' => 'a@example.org'],
            'sources' => ['db' => ['nodata_tables' => ['cache_*']]]], $document->map('profiles')['nightly']);
        $this->assertEquals(['name' => 'Nightly', 'source' => 'archive', 'destinations' => ['offsite'], 'every' => 86400,
            'keep' => '7', 'enabled' => false, 'last_run' => 1700000000], $document->map('schedules')['nightly']);
        $this->assertSame("$root/key", $document->get('encryption', 'key_file'));
        $this->assertSame(['copies' => 2], $document->toArray()['policy']);
        $this->assertSame('nightly', $document->toArray()['default_profile']);
    }

    public function testKeysThatOnlyDrupalCanTellAreSaid(): void
    {
        $root = $this->project('DATABASE', [
            'bam.settings' => ['key' => 'vault'],
            'key.key.vault' => ['key_provider' => 'lockr', 'key_provider_settings' => []],
        ]);
        $configuration = $this->read($root);
        $this->assertSame([], $configuration->document()->toArray()['encryption']);
        $this->assertStringContainsString('lockr', implode(' ', $configuration->notes()));
    }

    public function testBackupAndMigrate5IsRead(): void
    {
        $root = $this->project('DATABASE $settings["file_private_path"] = "/srv/private";', [
            'backup_migrate.backup_migrate_source.default_db' => ['label' => 'Database', 'type' => 'DefaultDB'],
            'backup_migrate.backup_migrate_source.public_files' => ['label' => 'Files', 'type' => 'DrupalFiles', 'config' => ['directory' => 'public://']],
            'backup_migrate.backup_migrate_source.entire_site' => ['label' => 'Entire Site (do not use)', 'type' => 'EntireSite'],
            'backup_migrate.backup_migrate_destination.private_files' => ['label' => 'Private', 'type' => 'Directory',
                'config' => ['directory' => 'private://backup_migrate/']],
            'backup_migrate.backup_migrate_destination.cloud' => ['label' => 'Cloud', 'type' => 'awss3'],
            'backup_migrate.backup_migrate_schedule.daily' => ['label' => 'Daily', 'enabled' => true, 'source_id' => 'default_db',
                'destination_id' => 'private_files', 'period' => 172800, 'keep' => 5, 'settings_profile_id' => 'slim'],
            'backup_migrate.backup_migrate_settings.slim' => ['label' => 'Slim', 'config' => [
                'namer' => ['filename' => 'x', 'timestamp' => true, 'timestamp_format' => 'Y'],
                'compressor' => ['compression' => 'bzip2'],
                'utils' => ['site_offline' => true],
                'notify' => ['notify_failure_enable' => true, 'notify_failure_email' => 'a@b.org', 'notify_success_email' => 'no@b.org'],
                'db_exclude' => ['exclude_tables' => ['old' => 'old'], 'nodata_tables' => ['watchdog' => 'watchdog']],
                'public_files_exclude' => ['exclude_filepaths' => ['styles', 'tmp*']],
            ]],
        ], ['state' => ['backup_migrate.schedule.last_run' => ['daily' => 1700000000]]]);
        $configuration = $this->read($root);
        $document = $configuration->document();
        $this->assertSame(['default_db', 'entire_site', 'public_files'], array_keys($document->map('sources')));
        $this->assertSame('private://backup_migrate/', $document->map('destinations')['private_files']['path']);
        $this->assertArrayNotHasKey('cloud', $document->map('destinations'));
        $this->assertEquals(['name' => 'Daily', 'source' => 'default_db', 'destinations' => ['private_files'], 'every' => 172800,
            'keep' => 5, 'enabled' => true, 'profile' => 'slim', 'last_run' => 1700000000], $document->map('schedules')['daily']);
        $tables = ['exclude_tables' => ['old'], 'nodata_tables' => ['watchdog']];
        $this->assertEquals(
            ['name' => 'Slim', 'filename' => 'x', 'append_timestamp' => 1, 'timestamp_format' => 'Y', 'compression' => 'bzip2',
                'site_offline' => true, 'notify' => ['failure' => 'a@b.org'],
                'sources' => ['default_db' => $tables, 'db' => $tables, 'public_files' => ['exclude' => ['styles']]]],
            $document->map('profiles')['slim']
        );
        $notes = implode(' ', $configuration->notes());
        $this->assertStringContainsString('awss3', $notes);
        $this->assertStringContainsString('tmp*', $notes);
    }

    public function testARuinedDatabaseIsCoveredByTheCopyOfItsLastGoodAnswer(): void
    {
        $root = $this->project('DATABASE $settings["file_private_path"] = "/srv/private";', [
            'bam.schedule.nightly' => ['id' => 'nightly', 'label' => 'Nightly', 'status' => true, 'source' => 'db', 'destinations' => ['manual']],
        ]);
        $good = $this->read($root)->document();
        foreach (["DELETE FROM config WHERE name = 'system.site'", 'DROP TABLE config'] as $ruin) {
            (new \PDO("sqlite:$this->folder/site.sqlite"))->exec($ruin);
            $configuration = $this->read($root);
            $this->assertEquals($good, $configuration->document(), $ruin);
            $this->assertStringContainsString('using the copy of', $configuration->notes()[0]);
        }
    }

    public function testObjectsInTheDatabaseAreNotMade(): void
    {
        $root = $this->project('DATABASE', ['bam.source.x' => ['label' => 'X', 'type' => 'files', 'path' => new \ArrayObject([1])]]);
        $this->assertInstanceOf(Drupal10Site::class, Sites::open($root));
        $this->assertNotInstanceOf(\ArrayObject::class, $this->read($root)->document()->map('sources')['x']['path']);
    }

    public function testMaintenanceModeIsTakenAndGivenBackWithItsMessageAndItsCaches(): void
    {
        $root = $this->project('DATABASE', ['system.maintenance' => ['message' => 'Ours', 'langcode' => 'en']]);
        $pdo = new \PDO("sqlite:$this->folder/site.sqlite");
        $pdo->exec('CREATE TABLE cache_page (cid TEXT); CREATE TABLE cache_bootstrap (cid TEXT)');
        $fill = static function () use ($pdo): void {
            $pdo->exec("INSERT INTO cache_page VALUES ('x'); INSERT INTO cache_bootstrap VALUES ('state')");
        };
        $rows = static function () use ($pdo): int {
            return (int) $pdo->query('SELECT (SELECT COUNT(*) FROM cache_page) + (SELECT COUNT(*) FROM cache_bootstrap)')->fetchColumn();
        };
        $site = Sites::open($root);
        $store = $site->store();
        $maintenance = new Maintenance($site, $store);
        $mode = static function () use ($store): array {
            $state = $store->values('state');
            return [$state['system.maintenance_mode'] ?? null, isset($state['bam.maintenance'])];
        };

        $fill();
        $this->assertTrue($maintenance->begin('Back soon', getmypid()));
        $this->assertSame([true, true], $mode());
        $this->assertSame('Back soon', $store->config('system.maintenance')['system.maintenance']['message']);
        $this->assertSame(0, $rows(), 'core serves cached pages in maintenance mode, too');
        $this->assertFalse($maintenance->begin('', getmypid()), 'it is offline');
        $this->assertFalse($maintenance->repair(), 'this process lives');
        $fill();
        $maintenance->end();
        $this->assertSame([false, false], $mode());
        $this->assertSame(['message' => 'Ours', 'langcode' => 'en'], $store->config('system.maintenance')['system.maintenance']);
        $this->assertSame(0, $rows());

        // A site that is offline by its own wish stays so.
        $store->set('state', 'system.maintenance_mode', true);
        $this->assertFalse($maintenance->begin('', getmypid()));
        $this->assertSame([true, false], $mode());

        // A run that is gone.
        $process = proc_open(['true'], [], $pipes);
        $gone = proc_get_status($process)['pid'];
        proc_close($process);
        $store->set('state', 'bam.maintenance', ['pid' => $gone, 'host' => php_uname('n'), 'since' => time()]);
        $this->assertTrue($maintenance->repair());
        $this->assertSame([false, false], $mode());

        // One that stopped between old and new: what is live is neither.
        $journal = "$this->folder/restore.json";
        $this->assertTrue($maintenance->begin('', $gone, $journal));
        foreach (['swapping' => false, 'reverting' => false, 'swapped' => true] as $state => $online) {
            file_put_contents($journal, json_encode(['state' => $state]));
            $this->assertSame($online, $maintenance->repair(), $state);
            $this->assertSame([!$online, !$online], $mode(), $state);
        }
        $maintenance->begin('', $gone, $journal);
        unlink($journal);
        $this->assertTrue($maintenance->repair(), 'it was ended');
    }

    public function testCachesElsewhereAreNamed(): void
    {
        $root = $this->project('DATABASE $settings["cache"]["default"] = "cache.backend.redis";'
            . '$settings["cache"]["bins"] = ["bootstrap" => "cache.backend.chainedfast", "form" => "cache.backend.database"];');
        $this->assertSame(['redis'], Sites::open($root)->cachesElsewhere());
    }
}
