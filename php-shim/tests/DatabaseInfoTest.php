<?php

namespace Bam\Tests;

use Bam\Document;
use Bam\Native;
use Bam\Site\DatabaseInfo;
use PHPUnit\Framework\TestCase;

/**
 * What settings.php says of a database, in the words of the document, and as the engine understands them.
 */
final class DatabaseInfoTest extends TestCase
{
    /**
     * @dataProvider databases
     * @param array<mixed> $info
     * @param array<string, string> $entry
     */
    public function testEachKindHasItsUrl(array $info, array $entry): void
    {
        $database = new DatabaseInfo($info, '/var/www');
        $this->assertTrue($database->isSupported());
        $this->assertSame($entry, $database->entry());
        $this->assertIsArray(Native::get()->checkConfig(new Document(['databases' => ['db' => $entry]])));
    }

    public function databases(): array
    {
        $mysql = ['driver' => 'mysql', 'database' => 'd7', 'username' => 'u', 'password' => 'p', 'host' => 'h'];
        return [
            'plain' => [$mysql, ['url' => 'mysql://u:p@h/d7']],
            'an ugly password' => [
                ['password' => 'p@ss\'w"ör#d\\1/%', 'username' => 'u:x'] + $mysql,
                ['url' => 'mysql://u%3Ax:p%40ss%27w%22%C3%B6r%23d%5C1%2F%25@h/d7'],
            ],
            'no password' => [['password' => ''] + $mysql, ['url' => 'mysql://u@h/d7']],
            'port and prefix' => [['port' => 3307, 'prefix' => 'pre_'] + $mysql, [
                'url' => 'mysql://u:p@h:3307/d7',
                'prefix' => 'pre_',
            ]],
            'a socket' => [['unix_socket' => '/run/m.sock', 'host' => ''] + $mysql, [
                'url' => 'mysql://u:p@localhost/d7',
                'socket' => '/run/m.sock',
            ]],
            'IPv6' => [['host' => '::1'] + $mysql, ['url' => 'mysql://u:p@[::1]/d7']],
            'prefixes for some tables' => [
                ['prefix' => ['default' => 'a_', 'users' => 'shared.']] + $mysql,
                ['url' => 'mysql://u:p@h/d7', 'prefix' => 'a_'],
            ],
            'a pool' => [[$mysql, ['host' => 'other'] + $mysql], ['url' => 'mysql://u:p@h/d7']],
            'PostgreSQL' => [['driver' => 'pgsql'] + $mysql, ['url' => 'pgsql://u:p@h/d7']],
            'SQLite' => [['driver' => 'sqlite', 'database' => '/srv/a b.sqlite'], ['url' => 'sqlite:/srv/a%20b.sqlite']],
            'SQLite in the docroot' => [
                ['driver' => 'sqlite', 'database' => 'sites/default/files/.ht.sqlite'],
                ['url' => 'sqlite:/var/www/sites/default/files/.ht.sqlite'],
            ],
            'SQLite with a prefix is another file' => [
                ['driver' => 'sqlite', 'database' => '/srv/d7', 'prefix' => 'pre'],
                ['url' => 'sqlite:/srv/d7-pre'],
            ],
        ];
    }

    public function testTablesHaveTheirPrefixes(): void
    {
        $info = ['driver' => 'mysql', 'prefix' => ['default' => 'a_', 'users' => 'shared.']];
        $database = new DatabaseInfo($info, '/var/www');
        $this->assertSame(['a_variable', 'shared.users'], [$database->table('variable'), $database->table('users')]);
        $this->assertTrue($database->hasTablePrefixes());
        $wild = new DatabaseInfo(['driver' => 'mysql', 'prefix' => 'x; DROP TABLE y --'], '/var/www');
        $this->assertSame('xDROPTABLEyvariable', $wild->table('variable'));
    }
}
