<?php

namespace Bam;

/**
 * Where libbam.so and its header are.
 */
final class Library
{
    /**
     * Library and header that belong together, the first that exist.
     *
     * @return array{0: string, 1: string}
     */
    public static function find(): array
    {
        $looked = [];
        foreach (self::places() as [$library, $header]) {
            if (is_file($library) && is_file($header)) {
                return [$library, $header];
            }
            $looked[] = is_file($library) ? "$header (for $library)" : $library;
        }
        throw LoadException::libraryNotFound($looked);
    }

    /**
     * In order: what the environment says, the checkout this file lies in, what `make install` or a package put near
     * it, the system. Debian's packages have the library in a folder of the architecture, and the header beside this
     * shim or, where Composer brought that, in the development package.
     *
     * @return array<array{0: string, 1: string}>
     */
    private static function places(): array
    {
        $shim = dirname(__DIR__);
        $named = getenv('BAM_LIBRARY');
        if (is_string($named) && $named !== '') {
            $headers = [
                dirname($named) . '/bam.h',
                dirname($named, 2) . '/include/bam.h',
                dirname($shim) . '/include/bam.h',
                dirname($shim, 3) . '/include/bam.h',
            ];
            return [[$named, current(array_filter($headers, 'is_file')) ?: $headers[0]]];
        }
        $places = [];
        foreach (self::newestFirst([dirname($shim) . '/target/release', dirname($shim) . '/target/debug']) as $folder) {
            $places[] = ["$folder/libbam.so", dirname($shim) . '/include/bam.h'];
        }
        foreach (array_unique([dirname($shim, 3), '/usr/local', '/usr']) as $prefix) {
            foreach (["$prefix/include/bam.h", "$prefix/share/bam/include/bam.h"] as $header) {
                foreach (self::installed($prefix) as $library) {
                    $places[] = [$library, $header];
                }
            }
        }
        return $places;
    }

    /**
     * The libraries of this interface below a prefix: by the name that carries its version, where there is one.
     *
     * @return string[]
     */
    private static function installed(string $prefix): array
    {
        $name = 'libbam.so.' . Native::ABI;
        return array_merge(["$prefix/lib/$name"], glob("$prefix/lib/*-linux-*/$name") ?: [], ["$prefix/lib/libbam.so"]);
    }

    /**
     * A checkout may hold a debug and a release build: the newer one is meant. Folders without one are left out.
     *
     * @param string[] $folders
     * @return string[]
     */
    private static function newestFirst(array $folders): array
    {
        $times = [];
        foreach ($folders as $folder) {
            if (is_file("$folder/libbam.so")) {
                $times[$folder] = (int) filemtime("$folder/libbam.so");
            }
        }
        arsort($times);
        return array_keys($times);
    }
}
