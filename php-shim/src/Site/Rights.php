<?php

namespace Bam\Site;

/**
 * What a user of MariaDB or MySQL may do, as `SHOW GRANTS` tells it.
 */
final class Rights
{
    /**
     * Whether a restore may make databases beside the site's; without them it loads into the live one.
     *
     * @param string[] $grants The lines of SHOW GRANTS.
     * @param string $database The site's.
     */
    public static function makeBeside(array $grants, string $database): bool
    {
        foreach ($grants as $line) {
            if (!preg_match('/^GRANT (.+?) ON (?:`((?:[^`]|``)*)`|\*)\.\* TO /s', $line, $found)) {
                continue;
            }
            $all = preg_match('/(^|, )(ALL PRIVILEGES|CREATE)(,|$)/', $found[1]) === 1;
            $pattern = isset($found[2]) ? str_replace('``', '`', $found[2]) : '%';
            if ($all && self::matches($pattern, $database . '_bam_0123')) {
                return true;
            }
        }
        return false;
    }

    /**
     * A name and a pattern of LIKE.
     */
    private static function matches(string $pattern, string $name): bool
    {
        $expression = preg_replace_callback('/\\\\(.)|[_%]|[^\\\\_%]+/s', static function (array $part): string {
            if (isset($part[1])) {
                return preg_quote($part[1], '/');
            }
            return ['_' => '.', '%' => '.*'][$part[0]] ?? preg_quote($part[0], '/');
        }, $pattern);
        return preg_match("/^$expression\$/s", $name) === 1;
    }
}
