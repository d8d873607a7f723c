<?php

namespace Bam\Tests;

use Bam\BamException;
use Bam\Document;
use Bam\Native;

/**
 * Each routine of the library, called from PHP.
 */
final class NativeTest extends Scratch
{
    public function testKeysAreMadeCheckedAndNeverReplaced(): void
    {
        $key = "$this->folder/key";
        Native::get()->createKey($key);
        $this->assertSame(0600, fileperms($key) & 07777);
        $report = Native::get()->checkKey($key);
        $this->assertMatchesRegularExpression('/^[0-9a-f]{16}$/', $report['id']);
        $this->assertSame([], $report['notes']);
        $before = file_get_contents($key);
        $this->assertFails('key', 'exists already', function () use ($key): void {
            Native::get()->createKey($key);
        });
        $this->assertSame($before, file_get_contents($key));
    }

    public function testOpensslReadsWhatWeEncryptAndWeReadWhatItDoes(): void
    {
        $plain = $this->write('plain', str_repeat("\x00\xff backup \n", 100000));
        $key = "$this->folder/key";
        Native::get()->createKey($key);
        $openssl = ['openssl', 'enc', '-aes-256-cbc', '-pbkdf2', '-iter', '1000', '-pass', "file:$key"];

        Native::get()->encryptFile($plain, "$this->folder/ours.enc", $key, 1000);
        [$status] = $this->execute(array_merge($openssl, ['-d', '-in', "$this->folder/ours.enc", '-out', "$this->folder/a"]));
        $this->assertSame(0, $status);
        $this->assertFileEquals($plain, "$this->folder/a");

        [$status] = $this->execute(array_merge($openssl, ['-e', '-in', $plain, '-out', "$this->folder/theirs.enc"]));
        $this->assertSame(0, $status);
        Native::get()->decryptFile("$this->folder/theirs.enc", "$this->folder/b", $key, 1000);
        $this->assertFileEquals($plain, "$this->folder/b");
    }

    public function testFilesOfTheAesModuleAreDecrypted(): void
    {
        $key = $this->write('key', "LegacyKey-PECE-2016-abcdefghijkl");
        $fixtures = dirname(__DIR__, 2) . '/tests/fixtures/backup_migrate';
        $out = "$this->folder/dump.gz";
        Native::get()->decryptFile("$fixtures/sitename-2026-11-22T23-50-58.mysql.gz.aes", $out, $key);
        $this->assertStringContainsString('CREATE TABLE', implode('', gzfile($out)));
    }

    public function testTarReadsWhatWeArchiveAndWeReadWhatItDoes(): void
    {
        $this->write('tree/a', 'content');
        $this->write('tree/styles/b', 'made again');
        symlink('a', "$this->folder/tree/link");
        $native = Native::get();
        $report = $native->createArchive("$this->folder/tree", "$this->folder/tree.tar.bz2", ['styles']);
        $this->assertSame([1, 1], [$report['files'], $report['links']]);
        [$status, $listing] = $this->execute(['tar', 'tjf', "$this->folder/tree.tar.bz2"]);
        $this->assertSame([0, "./\na\nlink\n"], [$status, $listing]);

        $this->execute(['tar', '-C', "$this->folder/tree", '-czf', "$this->folder/gnu.tar.gz", '.']);
        $members = iterator_to_array($native->archiveMembers("$this->folder/gnu.tar.gz"), false);
        $paths = array_column($members, 'path');
        sort($paths);
        $this->assertSame(['.', 'a', 'link', 'styles', 'styles/b'], $paths);
        mkdir("$this->folder/out");
        $native->extractArchive("$this->folder/gnu.tar.gz", "$this->folder/out");
        $this->assertFileEquals("$this->folder/tree/styles/b", "$this->folder/out/styles/b");
        $this->assertSame('a', readlink("$this->folder/out/link"));
    }

    public function testExportsAreParsedWithTheirPlaceInTheTextWhereTheyAreWrong(): void
    {
        $fixtures = dirname(__DIR__, 2) . '/tests/fixtures/exports';
        $parsed = Native::get()->parseSettings(file_get_contents("$fixtures/settings_profile.txt"));
        $this->assertSame('pece_backup', $parsed['items'][0]['machine_name']);
        $this->assertSame('/tmp', $parsed['items'][0]['item']['filters']['sources']['archive']['exclude_filepaths']);
        $this->assertFails('config', 'line 2, column 7', function (): void {
            Native::get()->parseSettings("array(\n  'a' 'b',\n)");
        });
    }

    public function testADestinationOnItsOwn(): void
    {
        $destination = ['type' => 'directory', 'path' => "$this->folder/backups"];
        $file = $this->write('data', 'some bytes');
        $native = Native::get();
        $native->put($destination, $file, 'a.tar');
        $this->assertSame('a.tar', $native->listing($destination)[0]['name']);
        $native->fetch($destination, 'a.tar', "$this->folder/back");
        $this->assertFileEquals($file, "$this->folder/back");
        $native->delete($destination, 'a.tar');
        $this->assertSame([], $native->listing($destination));
        $failure = $this->assertFails('not_found', 'a.tar', function () use ($native, $destination): void {
            $native->delete($destination, 'a.tar');
        });
        $this->assertSame('not_found', $failure->toArray()['code']);
        $this->assertArrayHasKey('destination', $failure->toArray());
    }

    public function testADocumentIsCompletedWithoutItsSecrets(): void
    {
        $document = new Document([
            'site' => ['root' => '/var/www'],
            'databases' => ['db' => ['url' => 'mysql://user:hunter2@localhost/d7']],
            'destinations' => ['7' => ['type' => 'directory', 'path' => '/srv/backups']],
            'profiles' => [],
        ]);
        $completed = Native::get()->completeConfig($document);
        $this->assertSame(['archive', 'db', 'files'], array_keys($completed->map('sources')));
        $this->assertSame([7], array_keys($completed->map('destinations')), 'a name of digits stays a name');
        $this->assertStringNotContainsString('hunter2', (string) json_encode($completed));
        $this->assertStringContainsString('hunter2', (string) json_encode(Native::get()->completeConfig($document, true)));
    }

    public function testMapsWithNothingInThemStayMaps(): void
    {
        $repository = ['type' => 'restic', 'repository' => '/srv/repo', 'credential_files' => []];
        $document = new Document([
            'site' => ['root' => '/var/www'],
            'databases' => ['db' => ['url' => 'sqlite:/srv/db']],
            'sources' => ['all' => ['type' => 'archive'], '0' => ['type' => 'files', 'path' => '/srv/files']],
            'destinations' => ['0' => $repository],
            'profiles' => ['0' => ['notify' => [], 'sources' => ['0' => [], 'db' => ['nodata_tables' => []]]], 'p' => []],
            'schedules' => [],
            'encryption' => ['keys' => []],
            'policy' => [],
            'smart_keep' => [],
        ]);
        $completed = Native::get()->completeConfig($document);
        $this->assertSame([0], array_keys($completed->map('destinations')));
        // Throws where a list stands for a map.
        Native::get()->checkConfig($document);
        $json = json_decode((string) json_encode(new Document([
            'schedules' => ['s' => ['keep' => [], 'destinations' => []]],
            'encryption' => ['aes_module' => [], 'recipients' => []],
        ])));
        $this->assertEquals((object) [], $json->schedules->s->keep);
        $this->assertEquals((object) [], $json->encryption->aes_module);
        $this->assertSame([[], []], [$json->schedules->s->destinations, $json->encryption->recipients], 'lists stay lists');
        $folder = ['type' => 'directory', 'path' => $this->folder, 'credential_files' => []];
        $this->assertSame([], Native::get()->listing($folder));
    }

    public function testMistakesNameTheKeyAndTheNextStep(): void
    {
        $wrong = new Document(['site' => ['rot' => '/var/www']]);
        $failure = $this->assertFails('config', 'rot', function () use ($wrong): void {
            Native::get()->checkConfig($wrong);
        });
        $this->assertSame(2, $failure->exitCode());
        $this->assertStringContainsString('root', $failure->explain());
    }

    public function testTextThatIsNotUtf8IsRefusedWithWords(): void
    {
        $this->assertFails('config', 'not UTF-8', function (): void {
            Native::get()->checkConfig(new Document(['site' => ['name' => "caf\xe9"]]));
        });
    }

    private function assertFails(string $kind, string $message, callable $work): BamException
    {
        try {
            $work();
        } catch (BamException $failure) {
            $this->assertSame($kind, $failure->kind(), $failure->explain());
            $this->assertStringContainsString($message, $failure->getMessage());
            return $failure;
        }
        $this->fail("it did not fail with $kind");
    }
}
