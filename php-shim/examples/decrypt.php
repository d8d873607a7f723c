<?php

/**
 * Decrypts a backup: php decrypt.php BACKUP.tar.gz.enc BACKUP.tar.gz KEYFILE
 */

require __DIR__ . '/../autoload.php';

try {
    Bam\Native::get()->decryptFile($argv[1], $argv[2], $argv[3]);
} catch (Bam\BamException $failure) {
    fwrite(STDERR, $failure->explain() . "\n");
    exit($failure->exitCode());
}
