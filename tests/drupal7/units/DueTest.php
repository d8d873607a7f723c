<?php

namespace Bam\Tests\Drupal7;

use PHPUnit\Framework\TestCase;

require_once __DIR__ . '/../../../drupal7/bam.due.inc';

/**
 * When a schedule is due, as backup_migrate_schedule::cron() of 7.x-3.9 decides it.
 */
final class DueTest extends TestCase
{
    private const DAY = 86400;
    private const NOW = 1795397231;

    private static function isDue(array $schedule, int $ago, float $slack = 0.01): bool
    {
        return bam_schedule_is_due($schedule + ['enabled' => true], self::NOW - $ago, self::NOW, $slack);
    }

    public function testAPeriodIsDueOnePartInAHundredEarly(): void
    {
        $daily = ['every' => self::DAY, 'cron' => null];
        $this->assertTrue(self::isDue($daily, self::DAY));
        $this->assertTrue(self::isDue($daily, self::DAY - 864));
        $this->assertFalse(self::isDue($daily, self::DAY - 865));
        $this->assertFalse(self::isDue($daily, 0));
    }

    public function testTheSlackIsTheSitesOwn(): void
    {
        $daily = ['every' => self::DAY];
        $this->assertFalse(self::isDue($daily, self::DAY - 1, 0.0));
        $this->assertTrue(self::isDue($daily, self::DAY / 2, 0.5));
    }

    public function testOneThatNeverRanIsDue(): void
    {
        $this->assertTrue(bam_schedule_is_due(['enabled' => true, 'every' => 604800], 0, self::NOW));
    }

    public function testDisabledOrWithoutAPeriodItIsNever(): void
    {
        $this->assertFalse(bam_schedule_is_due(['enabled' => false, 'every' => 60], 0, self::NOW));
        $this->assertFalse(bam_schedule_is_due(['every' => 60], 0, self::NOW));
        $this->assertFalse(self::isDue(['every' => 0, 'cron' => null], 10 * self::DAY));
    }

    public function testACrontabExpressionIsDueFromTheTimeItNames(): void
    {
        $schedule = ['enabled' => true, 'every' => 60, 'cron' => '0 4 * * 6'];
        $this->assertTrue(bam_schedule_is_due($schedule, 1, self::NOW, 0.01, self::NOW));
        $this->assertFalse(bam_schedule_is_due($schedule, 1, self::NOW, 0.01, self::NOW + 1));
        $this->assertFalse(bam_schedule_is_due($schedule, 1, self::NOW, 0.01, null), 'one that nobody understands');
    }

    public function testARunThatFailedIsDueAgainSoonAndThenLessOften(): void
    {
        $schedule = ['enabled' => true, 'every' => 604800, 'cron' => null];
        $retry = static function (array $schedule, int $failures): ?int {
            return bam_schedule_retry($schedule, ['failures' => $failures, 'time' => 1000]);
        };
        $this->assertNull(bam_schedule_retry($schedule, []));
        $this->assertNull($retry($schedule, 0));
        $waits = array_map(static fn (int $failures): int => $retry($schedule, $failures) - 1000, [1, 2, 3, 4, 50]);
        $this->assertSame([300, 900, 3600, 14400, 14400], $waits);
        foreach ([['cron' => 'none'], ['every' => 0], ['enabled' => false]] as $asked) {
            $this->assertNull($retry($asked + $schedule, 1), 'it runs only when asked');
        }
        $this->assertSame(1300, $retry(['cron' => '0 4 * * 6'] + $schedule, 1));
    }

    public function testWhatAScheduleNeedsAndIsNotThereIsTold(): void
    {
        $document = ['profiles' => ['mine' => []], 'destinations' => ['manual' => [], '7' => []]];
        $problem = static function (array $schedule) use ($document): ?array {
            return bam_schedule_problem($schedule, $document);
        };
        $this->assertNull($problem(['profile' => 'mine', 'destinations' => ['manual', '7']]));
        $this->assertNull($problem(['profile' => 'default', 'destinations' => ['manual']]), 'that profile is built in');
        $this->assertSame(['profiles', 'gone'], $problem(['profile' => 'gone', 'destinations' => ['manual']]));
        $this->assertSame(['destinations', 'off'], $problem(['profile' => 'mine', 'destinations' => ['manual', 'off']]));
        $this->assertSame(['destinations', ''], $problem(['profile' => 'mine', 'destinations' => []]));
    }
}
