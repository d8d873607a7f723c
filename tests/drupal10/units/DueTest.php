<?php

namespace Bam\Tests\Drupal10;

use Drupal\bam\Due;
use PHPUnit\Framework\TestCase;

require_once __DIR__ . '/../../../drupal10/src/Due.php';

/**
 * When a schedule is due.
 */
final class DueTest extends TestCase
{
    private const DAY = 86400;
    private const NOW = 1795397231;

    public function testAPeriodIsDueOnePartInAHundredEarly(): void
    {
        $daily = ['every' => self::DAY];
        $this->assertTrue(Due::isDue($daily, self::NOW - self::DAY, self::NOW));
        $this->assertTrue(Due::isDue($daily, self::NOW - self::DAY + 864, self::NOW));
        $this->assertFalse(Due::isDue($daily, self::NOW - self::DAY + 865, self::NOW));
        $this->assertTrue(Due::isDue($daily, 0, self::NOW), 'one that never ran');
    }

    public function testDisabledOrWithoutAPeriodItIsNever(): void
    {
        $this->assertFalse(Due::isDue(['enabled' => false, 'every' => 60], 0, self::NOW));
        $this->assertFalse(Due::isDue(['every' => 0, 'cron' => ''], 0, self::NOW));
        $failed = ['failures' => 3, 'time' => 0];
        $this->assertFalse(Due::isDue(['enabled' => false, 'every' => 60], 0, self::NOW, null, $failed));
        $this->assertFalse(Due::isDue(['every' => 0], 0, self::NOW, null, $failed));
    }

    public function testACrontabExpressionIsDueFromTheTimeThatItNames(): void
    {
        $weekly = ['cron' => '0 4 * * 6', 'every' => 60];
        $this->assertTrue(Due::isDue($weekly, 0, self::NOW, self::NOW));
        $this->assertFalse(Due::isDue($weekly, 0, self::NOW, self::NOW + 1));
        $this->assertFalse(Due::isDue($weekly, 0, self::NOW), 'one that is not understood');
    }

    public function testOneThatFailedIsTriedAgainMoreAndMoreSeldom(): void
    {
        $daily = ['every' => self::DAY];
        $waits = [1 => 300, 2 => 900, 3 => 3600, 4 => 14400, 9 => 14400];
        foreach ($waits as $failures => $wait) {
            $result = ['failures' => $failures, 'time' => self::NOW - $wait];
            $this->assertTrue(Due::isDue($daily, self::NOW - 60, self::NOW, null, $result), "after $failures failures");
            $this->assertFalse(Due::isDue($daily, self::NOW - 60, self::NOW - 1, null, $result), "before that");
        }
        $this->assertNull(Due::retry($daily, ['failures' => 0, 'time' => self::NOW]));
    }

    public function testWhatIsMissingIsNamed(): void
    {
        $document = ['profiles' => ['weekly' => []], 'destinations' => ['manual' => []]];
        $problem = static function (array $schedule) use ($document): ?array {
            return Due::problem($schedule, $document);
        };
        $this->assertNull($problem(['profile' => 'weekly', 'destinations' => ['manual']]));
        $this->assertNull($problem(['destinations' => ['manual']]), 'the profile default is built in');
        $this->assertSame(['profiles', 'lost'], $problem(['profile' => 'lost', 'destinations' => ['manual']]));
        $this->assertSame(['destinations', 'lost'], $problem(['destinations' => ['manual', 'lost']]));
        $this->assertSame(['destinations', ''], $problem([]));
    }
}
