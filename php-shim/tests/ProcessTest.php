<?php

namespace Bam\Tests;

use Bam\Process;
use PHPUnit\Framework\TestCase;

/**
 * Real processes, alive, dead, and dead but not yet asked for.
 */
final class ProcessTest extends TestCase
{
    public function testThisProcessIsAliveUnderItsOwnIdentityOnly(): void
    {
        $me = Process::identify(getmypid());
        $this->assertNotSame('', $me);
        $this->assertTrue(Process::isAlive(getmypid(), $me));
        $this->assertTrue(Process::isAlive(getmypid()));
        $this->assertFalse(Process::isAlive(getmypid(), $me . '0'), 'the number was taken by another process');
        $this->assertFalse(Process::isAlive(getmypid(), '00000000-boot:1'), 'the machine was started anew');
    }

    public function testAProcessOfAnotherUserIsAlive(): void
    {
        $this->assertTrue(Process::isAlive(1, Process::identify(1)));
    }

    public function testOneThatWasKilledIsNotEvenIfNobodyHasAskedForItYet(): void
    {
        $process = proc_open(['sleep', '600'], [], $pipes);
        $pid = proc_get_status($process)['pid'];
        $identity = Process::identify($pid);
        $this->assertTrue(Process::isAlive($pid, $identity));
        posix_kill($pid, SIGKILL);
        // A zombie until proc_close().
        while (strpos((string) file_get_contents("/proc/$pid/stat"), ') Z ') === false) {
            usleep(1000);
        }
        $this->assertFalse(Process::isAlive($pid, $identity));
        proc_close($process);
        $this->assertFalse(Process::isAlive($pid, $identity));
    }

    public function testNoProcessHasNumberZeroOrBelow(): void
    {
        $this->assertFalse(Process::isAlive(0));
        $this->assertFalse(Process::isAlive(-1));
    }
}
