<?php

namespace Bam\Tests;

use Bam\BamException;
use Bam\Site\Locator;

/**
 * Which folder below sites/ an address means: the rules of Drupal's conf_path().
 */
final class LocatorTest extends Scratch
{
    /**
     * @dataProvider addresses
     */
    public function testAnAddressFindsItsSite(string $uri, string $confPath): void
    {
        $sites = ['default', 'example.org', 'sub.example.org', '8080.example.org', 'example.org.lab', 'mapped'];
        foreach ($sites as $site) {
            $this->write("root/sites/$site/settings.php", '<?php');
        }
        $this->write('root/sites/sites.php', "<?php\n\$sites['alias.net'] = 'mapped';\n");
        $this->assertSame($confPath, Locator::confPath("$this->folder/root", $uri));
    }

    public function addresses(): array
    {
        return [
            'none' => ['', 'sites/default'],
            'what Drush makes up' => ['http://default', 'sites/default'],
            'a host' => ['http://example.org/', 'sites/example.org'],
            'a host below a known one' => ['http://www.example.org', 'sites/example.org'],
            'the nearest host' => ['https://sub.example.org', 'sites/sub.example.org'],
            'a port' => ['http://example.org:8080', 'sites/8080.example.org'],
            'another port' => ['http://example.org:81', 'sites/example.org'],
            'a path' => ['http://example.org/lab', 'sites/example.org.lab'],
            'a path below it' => ['http://example.org/lab/more', 'sites/example.org.lab'],
            'a bare name' => ['example.org', 'sites/example.org'],
            'sites.php' => ['http://alias.net', 'sites/mapped'],
            'a bare default' => ['default', 'sites/default'],
        ];
    }

    /**
     * @dataProvider typos
     */
    public function testAnAddressThatNoSiteHasIsNotTakenForTheDefault(string $uri): void
    {
        $this->write('root/sites/default/settings.php', "<?php\n\$base_url = 'http://main.org/sub';\n");
        $this->assertSame('sites/default', Locator::confPath("$this->folder/root", $uri), 'there is no other');
        $this->write('root/sites/shop.example.org/settings.php', '<?php');
        $this->assertSame('sites/default', Locator::confPath("$this->folder/root", 'https://main.org/sub/'));
        $this->assertSame('sites/default', Locator::confPath("$this->folder/root"));
        try {
            Locator::confPath("$this->folder/root", $uri);
            $this->fail('it found one');
        } catch (BamException $failure) {
            $this->assertSame(2, $failure->exitCode());
            $this->assertStringContainsString($uri, $failure->getMessage());
            $this->assertStringContainsString('default, shop.example.org', $failure->hint());
        }
    }

    public function typos(): array
    {
        return [['shpo.example.org'], ['http://elsewhere.com'], ['http://../../etc'], ['main.org']];
    }

    public function testWhereThereIsNoneTheOthersAreNamed(): void
    {
        $this->write('root/sites/one/settings.php', '<?php');
        $this->write('root/sites/two/settings.php', '<?php');
        try {
            Locator::confPath("$this->folder/root");
            $this->fail('it found one');
        } catch (BamException $failure) {
            $this->assertSame(2, $failure->exitCode());
            $this->assertStringContainsString('--uri: one, two', $failure->hint());
        }
    }

    public function testAFolderThatIsNoDocrootIsToldSo(): void
    {
        $this->expectException(BamException::class);
        $this->expectExceptionMessage('not the docroot');
        Locator::confPath($this->folder);
    }
}
