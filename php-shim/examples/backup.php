<?php

/**
 * Backs up a source of a site: php backup.php /var/www/drupal db
 */

require __DIR__ . '/../autoload.php';

$configuration = Bam\Site\Configuration::of(Bam\Site\Sites::open($argv[1]));
$line = Bam\ProgressLine::onTerminal();
try {
    $job = new Bam\Job($configuration->document(), ['job' => 'backup', 'what' => $argv[2] ?? 'db']);
    $result = $job->run($line === null ? null : [$line, 'show']);
    echo "Backup {$result['id']} is {$result['file']}.\n";
} catch (Bam\BamException $failure) {
    fwrite(STDERR, $failure->explain() . "\n");
    exit($failure->exitCode());
}
