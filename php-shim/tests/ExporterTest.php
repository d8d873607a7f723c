<?php

namespace Bam\Tests;

/**
 * bin/bam-export-config: the document and nothing else on standard output, whatever settings.php does.
 */
final class ExporterTest extends Scratch
{
    public function testItPrintsTheDocument(): void
    {
        $root = $this->site(['site_name' => 'Lab'], 'echo "chatter"; $conf["file_private_path"] = "/srv/private";');
        [$status, $output, $error] = $this->export(['--root', $root]);
        $this->assertSame([0, ''], [$status, $error]);
        $document = json_decode($output, true);
        $this->assertSame('Lab', $document['site']['name']);
        $this->assertSame('sites/default', $document['site']['conf_path']);
    }

    public function testItNeedsNoFfi(): void
    {
        $root = $this->site(['site_name' => 'Lab'], '$conf["file_private_path"] = "/srv/private";');
        [$status, $output] = $this->execute(
            ['php', '-d', 'ffi.enable=0', dirname(__DIR__) . '/bin/bam-export-config', '--root', $root],
            ['BAM_LIBRARY' => '/nowhere']
        );
        $this->assertSame([0, 'Lab'], [$status, json_decode($output, true)['site']['name'] ?? null]);
    }

    public function testSitesAreToldApartByUri(): void
    {
        $this->site(['site_name' => 'Lab']);
        $root = $this->site([], '$conf["site_name"] = "Other, at $_SERVER[HTTP_HOST]";', 'other.example.org');
        [, $output] = $this->export(['--root', $root, '--uri', 'http://other.example.org']);
        $site = json_decode($output, true)['site'];
        $this->assertSame(
            ['Other, at other.example.org', 'sites/other.example.org', 'http://other.example.org'],
            [$site['name'], $site['conf_path'], $site['url']]
        );
    }

    public function testSettingsMayUseWhatDrupalGivesThem(): void
    {
        $this->write('docroot/sites/default/local.php', '<?php $conf["site_name"] = "From local.php";');
        $root = $this->site(['x' => 1], 'include DRUPAL_ROOT . "/sites/default/local.php"; include "sites/default/local.php";
            function lab_helper() { global $conf; $conf["site_mail"] = "set@example.org"; } lab_helper();');
        [$status, $output, $error] = $this->export(['--root', $root]);
        $this->assertSame(0, $status, $error);
        $site = json_decode($output, true)['site'];
        $this->assertSame(['From local.php', 'set@example.org'], [$site['name'], $site['mail']]);
    }

    /**
     * @dataProvider ruins
     */
    public function testRuinsAreToldWithoutHalfADocument(string $settings, string $words): void
    {
        [$status, $output, $error] = $this->export(['--root', $this->site(['x' => 1], $settings)]);
        $this->assertSame([2, ''], [$status, $output]);
        $this->assertStringContainsString($words, $error);
    }

    public function ruins(): array
    {
        return [
            'exit' => ['exit("bye");', 'calls exit'],
            'a syntax error' => ['$conf[', 'settings.php stopped with'],
            'a function that is not there' => ['no_such_function();', 'no_such_function'],
            'an exception' => ['throw new Exception("on purpose");', 'on purpose'],
        ];
    }

    public function testNoDatabaseAtAllIsANoteAndNotTheEnd(): void
    {
        $this->write('docroot/sites/default/settings.php', '<?php $conf["file_private_path"] = "/srv/private";');
        [$status, $output, $error] = $this->export(['--root', "$this->folder/docroot"]);
        $this->assertSame(0, $status);
        $this->assertStringContainsString('no default database', $error);
        $this->assertArrayHasKey('manual', json_decode($output, true)['destinations']);
    }

    public function testWrongUsageIsToldApart(): void
    {
        foreach ([[], ['--root'], ['--root', '/nowhere'], ['--root', $this->folder, 'more']] as $arguments) {
            [$status, $output, $error] = $this->export($arguments);
            $this->assertSame([2, ''], [$status, $output], implode(' ', $arguments));
            $this->assertNotSame('', $error);
        }
    }

    /**
     * @param string[] $arguments
     * @return array{0: int, 1: string, 2: string}
     */
    private function export(array $arguments): array
    {
        return $this->execute(array_merge(['php', dirname(__DIR__) . '/bin/bam-export-config'], $arguments));
    }
}
