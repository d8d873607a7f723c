<?php

namespace Bam\Tests;

use Bam\Crontab;
use PHPUnit\Framework\TestCase;

final class CrontabTest extends TestCase
{
    public function testWhatNeverComes(): void
    {
        foreach (['0 0 31 2 *', '0 0 30 feb *', '0 0 31 2,4,jun *', '0 0 30-31 2 *'] as $never) {
            $this->assertTrue(Crontab::isExpression($never), $never);
            $this->assertFalse(Crontab::comes($never), $never);
        }
        $come = ['0 0 29 2 *', '0 0 31 * *', '0 0 31 2 0', '0 0 L 2 *', '0 0 30,1 2 *', '*/5 * * * *', '@daily', 'none', '', '0 0 31 1-2 *'];
        foreach ($come as $comes) {
            $this->assertTrue(Crontab::comes($comes), $comes);
        }
    }
}
