<?php

namespace Bam\Tests;

use Bam\BackupMigrate\Converter;
use Bam\Native;
use PHPUnit\Framework\TestCase;

/**
 * Backup and Migrate's items in the words of the document. The engine says the same of export files: both are asked here,
 * so that neither changes its mind alone.
 */
final class ConverterTest extends TestCase
{
    /**
     * @dataProvider exports
     */
    public function testPhpAndTheEngineSayTheSame(string $text): void
    {
        $items = Native::get()->parseSettings($text)['items'];
        $this->assertNotSame([], $items);
        foreach ($items as $item) {
            $converter = new Converter();
            $document = $converter->{$item['type']}($item['item']);
            $this->assertEquals($item['document'], $document, $item['machine_name']);
            $this->assertCount(count($item['notes']), $converter->notes());
        }
    }

    public function exports(): array
    {
        $cases = [];
        foreach (glob(dirname(__DIR__, 2) . '/tests/fixtures/exports/*') as $file) {
            $cases[basename($file)] = [file_get_contents($file)];
        }
        $items = [
            'an empty profile' => ['type_name' => 'profile', 'machine_name' => 'p'],
            'an old profile' => ['type_name' => 'profile', 'machine_name' => 'p', 'append_timestamp' => false, 'filters' => [
                'compression' => '', 'encryption' => '0', 'nodata_tables' => ['a' => 'a', 'b' => 0, 'c' => '0'],
                'exclude_filepaths' => " one \r\n\r\n/two", 'utils_lock_tables' => '1', 'notify_success_enable' => '1',
                'notify_success_email' => 'a@b.c, d@e.f',
            ]],
            'encryption of another module' => ['type_name' => 'profile', 'machine_name' => 'p', 'filters' => [
                'compression' => 'none', 'encryption' => 'encrypt', 'sources' => ['x' => ['exclude_filepaths' => '']],
            ]],
            'an empty schedule' => ['type_name' => 'schedule', 'machine_name' => 's'],
            'a crontab' => ['type_name' => 'schedule', 'machine_name' => 's', 'cron' => 'elysia', 'enabled' => '0',
                'cron_schedule' => '0 4 * * 6', 'destination_id' => 'a', 'copy_destination_id' => 'a', 'keep' => '-2'],
            'never' => ['type_name' => 'schedule', 'machine_name' => 's', 'cron' => 'none', 'copy_destination_id' => '0'],
            'a folder' => ['type_name' => 'destination', 'machine_name' => 'd', 'subtype' => 'file', 'name' => 'D',
                'location' => '/srv', 'settings' => ['chmod' => '0640', 'chgrp' => '']],
            'a server' => ['type_name' => 'destination', 'machine_name' => 'd', 'subtype' => 'sftp', 'name' => 'D',
                'location' => 'sftp://u:p@h/b', 'settings' => ['host_key' => 'SHA256:x', 'other' => 'y']],
            'a repository' => ['type_name' => 'destination', 'machine_name' => 'd', 'subtype' => 'restic', 'name' => 'D',
                'location' => 's3:https://h/b', 'settings' => ['key_file' => '/k', 'credential_files' => ['A' => '/a', 'B' => '/b']]],
            'a repository without credentials' => ['type_name' => 'destination', 'machine_name' => 'd', 'subtype' => 'restic',
                'name' => 'D', 'location' => '/srv/repo', 'settings' => ['credential_files' => []]],
            'an unknown server' => ['type_name' => 'destination', 'machine_name' => 'd', 'subtype' => 'ftp',
                'location' => 'ftp://u:p@h/b'],
            'a database' => ['type_name' => 'source', 'machine_name' => 'x', 'subtype' => 'mysql', 'name' => 'X',
                'location' => 'mysql://u:p@h/d'],
            'an unknown source' => ['type_name' => 'source', 'machine_name' => 'x', 'subtype' => 'moon', 'location' => 'x'],
        ];
        foreach ($items as $name => $item) {
            $cases[$name] = [var_export($item, true)];
        }
        return $cases;
    }
}
