<?php

namespace Bam\Tests;

use Bam\Format;
use Bam\Progress;
use Bam\ProgressLine;
use PHPUnit\Framework\TestCase;

/**
 * What people see.
 */
final class FormatTest extends TestCase
{
    public function testSizesAreWhatTheProgramPrints(): void
    {
        $sizes = [0 => '0 B', 999 => '999 B', 1000 => '1.0 kB', 12345 => '12.3 kB', 999949 => '999.9 kB',
            999950 => '1.0 MB', 5368709120 => '5.4 GB', 70000000 => '70.0 MB'];
        foreach ($sizes as $bytes => $text) {
            $this->assertSame($text, Format::bytes($bytes));
        }
    }

    public function testAgesHaveOneUnit(): void
    {
        $ages = [-5 => '0 seconds', 59 => '59 seconds', 60 => '1 minute', 7200 => '2 hours', 86400 => '1 day',
            604800 => '7 days', 31536000 => '1 year'];
        foreach ($ages as $seconds => $text) {
            $this->assertSame($text, Format::age($seconds));
        }
    }

    public function testPeriodsAreWords(): void
    {
        $this->assertSame('daily 7, yearly all, within 14d', Format::keep(['daily' => 7, 'yearly' => 'all', 'within' => '14d']));
    }

    public function testNamesCannotSteerTheTerminal(): void
    {
        $this->assertSame('a?[2J?b é', Format::name("a\e[2J\nb é"));
        $this->assertSame('?', Format::name("\xc2\x9b"));
    }

    public function testTheProgressLineFitsItsLine(): void
    {
        $stream = fopen('php://memory', 'w+');
        $line = ProgressLine::on($stream, 60);
        $line->show(new Progress('backing_up', false, 50, 20, 200, 3, str_repeat('ü', 300) . "\n"));
        rewind($stream);
        $text = (string) stream_get_contents($stream);
        $this->assertStringStartsWith("\r\e[KBacking up [=====", $text);
        $this->assertStringContainsString(' 25 % 50 B -> 20 B', $text);
        $this->assertSame(59, mb_strlen(substr($text, 4), 'UTF-8'));
    }
}
