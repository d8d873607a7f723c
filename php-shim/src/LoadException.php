<?php

namespace Bam;

/**
 * libbam.so cannot be used: why, and what to do. One named constructor for each reason.
 */
final class LoadException extends BamException
{
    /**
     * PHP was built or installed without FFI.
     */
    public static function extensionMissing(): self
    {
        return new self(
            'ffi_missing',
            'this PHP (' . PHP_VERSION . ', ' . PHP_SAPI . ') has no FFI extension, which bam needs',
            'install or enable it: on Debian `apt-get install php-common && phpenmod ffi`, elsewhere '
            . '`extension=ffi` in php.ini; the `bam` command works without PHP'
        );
    }

    /**
     * ffi.enable forbids it, for this kind of PHP.
     */
    public static function disabled(string $setting, string $sapi): self
    {
        $remedy = $sapi === 'cli'
            ? 'run PHP with `-d ffi.enable=preload`, or set `ffi.enable=preload` in '
                . (php_ini_loaded_file() ?: 'the php.ini of the command line')
            : 'that is as it should be for web requests: work started from a web page runs the `bam` command; '
                . 'on the command line use drush or bam';
        return new self('ffi_disabled', "FFI is switched off here (ffi.enable=$setting, $sapi)", $remedy);
    }

    /**
     * No library where it could be.
     *
     * @param string[] $looked
     */
    public static function libraryNotFound(array $looked): self
    {
        return new self(
            'library_not_found',
            'libbam.so was not found; looked for ' . implode(', ', $looked),
            'install the package libbam1, or run `make install` in the bam sources, or name it in the environment '
                . 'variable BAM_LIBRARY'
        );
    }

    /**
     * The file is there, but the system or PHP refuses it.
     */
    public static function notLoadable(string $library, \Throwable $cause): self
    {
        return new self(
            'library_not_loadable',
            "cannot load $library: " . $cause->getMessage(),
            'it may be built for another machine or miss a library (`ldd ' . $library . '` tells): build it here with '
            . '`make install`',
            1,
            $cause
        );
    }

    /**
     * Library and shim come from different versions.
     */
    public static function wrongAbi(string $library, string $version, int $found, int $wanted): self
    {
        return new self(
            'library_abi',
            "$library (bam $version) speaks version $found of the interface, this PHP package version $wanted",
            $found < $wanted ? 'install the newer library' : 'install the PHP package of the same version'
        );
    }
}
