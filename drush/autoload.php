<?php

/**
 * @file
 * Loads the classes of the commands for Drush 12 and 13, and php-shim, where Composer does not.
 */

spl_autoload_register(static function (string $class): void {
  if (strncmp($class, 'Bam\\Drush\\', 10) === 0) {
    $file = __DIR__ . '/src/' . strtr(substr($class, 4), '\\', '/') . '.php';
    if (is_file($file)) {
      require $file;
    }
  }
});
if (!class_exists('Bam\BamException')) {
  // Beside this folder, in a checkout as after `make install`.
  require_once dirname(__DIR__) . '/php-shim/autoload.php';
}
