<?php

/**
 * Loads the classes of this package where there is no Composer.
 */

spl_autoload_register(static function (string $class): void {
    if (strncmp($class, 'Bam\\', 4) === 0) {
        $file = __DIR__ . '/src/' . strtr(substr($class, 4), '\\', '/') . '.php';
        if (is_file($file)) {
            require $file;
        }
    }
});
