<?php

/**
 * @file
 * For PHP's own web server: files as they are, clean URLs through index.php.
 */

$path = rawurldecode(parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH));
if ($path !== '/' && is_file($_SERVER['DOCUMENT_ROOT'] . $path) && !preg_match('/\.php$/', $path)) {
  return FALSE;
}
$script = $path === '/cron.php' ? $path : '/index.php';
chdir($_SERVER['DOCUMENT_ROOT']);
$_SERVER['SCRIPT_NAME'] = $_SERVER['PHP_SELF'] = $script;
$_SERVER['SCRIPT_FILENAME'] = $_SERVER['DOCUMENT_ROOT'] . $script;
if ($script === '/index.php') {
  $_GET['q'] = $_REQUEST['q'] = ltrim($path, '/');
}
require $_SERVER['SCRIPT_FILENAME'];
