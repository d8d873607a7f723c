<?php

namespace Bam\Tests;

/**
 * Why libbam.so cannot be used: each reason with a message of its own, and what to do.
 */
final class LoadTest extends Scratch
{
    /**
     * @dataProvider reasons
     * @param string[] $options
     * @param array<string, string> $environment
     */
    public function testEachReasonHasItsRemedy(array $options, array $environment, string $kind, string $message, string $hint): void
    {
        $code = 'require ' . var_export(dirname(__DIR__) . '/autoload.php', true) . ';
            try { Bam\Native::get(); echo "loaded"; }
            catch (Bam\LoadException $e) { echo json_encode([$e->kind(), $e->getMessage(), $e->hint()]); }';
        [$status, $output, $error] = $this->execute(array_merge(['php'], $options, ['-r', $code]), $environment);
        $this->assertSame([0, ''], [$status, $error]);
        $told = json_decode($output, true);
        $this->assertIsArray($told, $output);
        $this->assertSame($kind, $told[0]);
        $this->assertStringContainsString($message, $told[1]);
        $this->assertStringContainsString($hint, $told[2]);
    }

    public function reasons(): array
    {
        $other = (string) getenv('BAM_TEST_OTHER_ABI');
        return [
            'no extension' => [['-n'], [], 'ffi_missing', 'no FFI extension', 'phpenmod ffi'],
            'switched off' => [['-d', 'ffi.enable=0'], [], 'ffi_disabled', 'ffi.enable=0', 'ffi.enable=preload'],
            'nowhere' => [[], ['BAM_LIBRARY' => '/nowhere/libbam.so'], 'library_not_found', '/nowhere/libbam.so', 'make install'],
            'no library' => [[], ['BAM_LIBRARY' => __FILE__], 'library_not_loadable', basename(__FILE__), 'ldd'],
            'another version' => [[], ['BAM_LIBRARY' => $other], 'library_abi', 'version 99', 'PHP package'],
        ];
    }

    public function testTheWebMayNotUseFfiAndIsToldSo(): void
    {
        if (trim((string) shell_exec('command -v php-cgi')) === '') {
            $this->markTestSkipped('php-cgi is not installed');
        }
        $script = $this->write('web.php', '<?php require ' . var_export(dirname(__DIR__) . '/autoload.php', true) . ';
            try { Bam\Native::get(); } catch (Bam\LoadException $e) { echo $e->kind(), " ", $e->hint(); }');
        [, $output] = $this->execute(['php-cgi', '-q', $script]);
        $this->assertStringContainsString('ffi_disabled', $output);
        $this->assertStringContainsString('bam', $output);
    }
}
