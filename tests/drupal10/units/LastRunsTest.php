<?php

namespace Bam\Tests\Drupal10;

use Drupal\bam\LastRuns;
use Drupal\Core\KeyValueStore\KeyValueMemoryFactory;
use Drupal\Core\State\StateInterface;
use PHPUnit\Framework\TestCase;

require_once __DIR__ . '/../../../drupal10/src/LastRuns.php';

/**
 * What the end of a run means for its schedule, on Drupal's own stores in memory.
 */
final class LastRunsTest extends TestCase
{
    private const NOW = 1795397231;

    private array $state = [];
    private LastRuns $runs;

    protected function setUp(): void
    {
        $root = getenv('BAM_TEST_DRUPAL10_ROOT');
        if (!$root || !is_file("$root/autoload.php")) {
            $this->markTestSkipped('BAM_TEST_DRUPAL10_ROOT names no site');
        }
        require_once "$root/autoload.php";
        $state = $this->createMock(StateInterface::class);
        $state->method('get')->willReturnCallback(function ($key) {
            return $this->state[$key] ?? null;
        });
        $state->method('set')->willReturnCallback(function ($key, $value): void {
            $this->state[$key] = $value;
        });
        $this->runs = new LastRuns(new KeyValueMemoryFactory(), $state);
    }

    private function end(string $state): void
    {
        $job = ['schedule' => 'nightly', 'started' => self::NOW, 'previous_run' => self::NOW - 86400];
        $this->runs->set('nightly', self::NOW);
        $view = ['state' => $state, 'exit_code' => 1, 'error' => 'why'];
        $this->runs->ended($job, $view, self::NOW + 5);
    }

    public function testFailuresInARowAreCounted(): void
    {
        foreach ([1, 2, 3] as $failures) {
            $this->end('failed');
            $this->assertSame($failures, $this->runs->results()['nightly']['failures']);
            $this->assertSame(self::NOW + 5, $this->runs->results()['nightly']['time']);
            $this->assertSame(self::NOW, $this->runs->get('nightly'));
        }
        $this->end('done');
        $this->assertSame(0, $this->runs->results()['nightly']['failures']);
    }

    public function testOneThatWasLockedOutIsDueAtOnceAndSaysNothing(): void
    {
        $this->end('locked');
        $this->assertSame(self::NOW - 86400, $this->runs->get('nightly'));
        $this->assertSame([], $this->runs->results());
    }

    public function testOneThatWasKilledIsDueAgainOnce(): void
    {
        $this->end('interrupted');
        $this->assertSame(self::NOW - 86400, $this->runs->get('nightly'));
        $this->end('interrupted');
        $this->assertSame(self::NOW, $this->runs->get('nightly'), 'it may be what brings the machine down');
    }

    public function testBackupAndMigrateSeesTheTimesOfItsOwnSchedules(): void
    {
        $this->state['backup_migrate.schedule.last_run'] = ['nightly' => 5, 'other' => 7];
        $this->assertSame(5, $this->runs->get('nightly'));
        $this->end('done');
        $this->assertSame(['nightly' => self::NOW, 'other' => 7], $this->state['backup_migrate.schedule.last_run']);
        $this->runs->set('ours', self::NOW);
        $this->assertArrayNotHasKey('ours', $this->state['backup_migrate.schedule.last_run']);
    }
}
