<?php

namespace Bam\Tests;

use Bam\Site\Rights;
use PHPUnit\Framework\TestCase;

final class RightsTest extends TestCase
{
    public function testWhoMayMakeDatabasesBesideTheSites(): void
    {
        $usage = "GRANT USAGE ON *.* TO `d7`@`localhost` IDENTIFIED BY PASSWORD '*00'";
        $own = 'GRANT ALL PRIVILEGES ON `d7`.* TO `d7`@`localhost`';
        foreach (
            [
                [false, []],
                [false, [$usage, $own]],
                [false, [$own, 'GRANT SELECT, CREATE VIEW ON `d7\_bam\_%`.* TO `d7`@`localhost`']],
                [false, ['GRANT ALL PRIVILEGES ON `d8\_bam\_%`.* TO `d7`@`localhost`']],
                [false, ['GRANT ALL PRIVILEGES ON `d7\_bam\_%`.`one` TO `d7`@`localhost`']],
                [true, [$usage, $own, 'GRANT ALL PRIVILEGES ON `d7\_bam\_%`.* TO `d7`@`localhost`']],
                [true, ['GRANT ALL PRIVILEGES ON `d7%`.* TO `d7`@`localhost`']],
                [true, ['GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION']],
                [true, ['GRANT SELECT, INSERT, CREATE, DROP ON *.* TO `root`@`%`']],
            ] as [$expected, $grants]
        ) {
            $this->assertSame($expected, Rights::makeBeside($grants, 'd7'), implode('; ', $grants));
        }
    }
}
