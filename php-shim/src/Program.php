<?php

namespace Bam;

/**
 * The program `bam` beside these classes.
 */
final class Program
{
    /**
     * Its path; null where it is not installed. A checkout's own comes before what is in PATH.
     */
    public static function path(): ?string
    {
        $top = dirname(__DIR__, 2);
        $folders = array_merge(
            // PREFIX/share/bam/php-shim has it in PREFIX/bin; then a checkout of the sources.
            [dirname($top, 2) . '/bin', "$top/target/release", "$top/target/debug"],
            explode(PATH_SEPARATOR, (string) getenv('PATH'))
        );
        foreach ($folders as $folder) {
            // A relative one would depend on where somebody stands.
            if (strncmp($folder, '/', 1) === 0 && is_file("$folder/bam") && is_executable("$folder/bam")) {
                return "$folder/bam";
            }
        }
        return null;
    }
}
