<?php

/**
 * Makes a small sample site in the shape of Drupal 7 on SQLite: `php make-site.php FOLDER`.
 *
 * FOLDER/docroot is the docroot, FOLDER/private the private files, FOLDER/data/site.sqlite the database, FOLDER/key
 * where the key is looked for. None of it is Drupal's code: just enough that settings, variables, files and tables
 * lie where Drupal 7 keeps them, and index.php answers a page from them.
 */

[$script, $folder] = $argv + [null, null];
if ($folder === null || file_exists("$folder/docroot")) {
    fwrite(STDERR, "usage: php $script FOLDER (one that holds no site yet)\n");
    exit(2);
}
foreach (['data', 'private', 'tmp', 'docroot/includes', 'docroot/sites/default/files'] as $name) {
    mkdir("$folder/$name", 0755, true);
}
$folder = realpath($folder);
$docroot = "$folder/docroot";

$put = static function (string $name, string $content) use ($docroot): void {
    $path = "$docroot/$name";
    if (!is_dir(dirname($path))) {
        mkdir(dirname($path), 0755, true);
    }
    file_put_contents($path, $content);
    // The same site on every machine and every day.
    touch($path, 1500000000);
};

$put('includes/bootstrap.inc', <<<'PHP'
<?php

// The few of Drupal 7's functions that programs call to read and write a site's variables, over PDO.

define('VERSION', '7.103');
define('DRUPAL_BOOTSTRAP_CONFIGURATION', 0);
define('DRUPAL_BOOTSTRAP_VARIABLES', 4);
define('DRUPAL_BOOTSTRAP_FULL', 7);

function drupal_override_server_variables(array $variables) {
}

function drupal_bootstrap($phase) {
  global $conf;
  require DRUPAL_ROOT . '/sites/default/settings.php';
  foreach (db_query('SELECT name, value FROM {variable}')->fetchAllKeyed() as $name => $value) {
    $conf += array($name => unserialize($value));
  }
}

// This site has none.
function drupal_flush_all_caches() {
}

function conf_path() {
  return 'sites/default';
}

function check_plain($text) {
  return htmlspecialchars($text, ENT_QUOTES, 'UTF-8');
}

function variable_get($name, $default = NULL) {
  return isset($GLOBALS['conf'][$name]) ? $GLOBALS['conf'][$name] : $default;
}

function variable_set($name, $value) {
  db_query('REPLACE INTO {variable} VALUES (:name, :value)', array(':name' => $name, ':value' => serialize($value)));
  $GLOBALS['conf'][$name] = $value;
}

function variable_del($name) {
  db_query('DELETE FROM {variable} WHERE name = :name', array(':name' => $name));
  unset($GLOBALS['conf'][$name]);
}

function lock_acquire($name) {
  return TRUE;
}

function lock_wait($name, $delay) {
  return FALSE;
}

function lock_release($name) {
}

class Database {
  private static $pdo;

  public static function getConnection() {
    require DRUPAL_ROOT . '/sites/default/settings.php';
    if (!self::$pdo) {
      self::$pdo = new PDO('sqlite:' . $databases['default']['default']['database']);
      self::$pdo->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
      self::$pdo->setAttribute(PDO::ATTR_STATEMENT_CLASS, array('Statement'));
    }
    return self::$pdo;
  }

  public static function closeConnection() {
    self::$pdo = NULL;
  }
}

class Statement extends PDOStatement {
  public function fetchAllKeyed() {
    return $this->fetchAll(PDO::FETCH_KEY_PAIR);
  }

  public function fetchField() {
    return $this->fetchColumn();
  }
}

class Transaction {
  public function __construct() {
    Database::getConnection()->beginTransaction();
  }

  public function rollback() {
    Database::getConnection()->rollBack();
  }

  public function __destruct() {
    if (Database::getConnection()->inTransaction()) {
      Database::getConnection()->commit();
    }
  }
}

// Lists take the place of their placeholder, as in Drupal.
function db_query($sql, array $values = array()) {
  foreach ($values as $placeholder => $list) {
    if (is_array($list)) {
      unset($values[$placeholder]);
      $names = array();
      foreach (array_values($list) as $n => $value) {
        $values[$names[] = $placeholder . '_' . $n] = $value;
      }
      $sql = str_replace($placeholder, implode(', ', $names), $sql);
    }
  }
  $statement = Database::getConnection()->prepare(strtr($sql, array('{' => '', '}' => '')));
  $statement->execute($values);
  return $statement;
}

function db_table_exists($table) {
  $sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = :name";
  return (bool) db_query($sql, array(':name' => $table))->fetchField();
}

function db_transaction() {
  return new Transaction();
}

PHP);
$put('index.php', <<<'PHP'
<?php

// Answers one page: the site's name and its newest articles.
require __DIR__ . '/sites/default/settings.php';
$db = new PDO('sqlite:' . $databases['default']['default']['database'], null, null, [
    PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
]);
$name = unserialize($db->query("SELECT value FROM variable WHERE name = 'site_name'")->fetchColumn());
echo "$name\n";
foreach ($db->query('SELECT title FROM node ORDER BY nid DESC LIMIT 2') as $row) {
    echo "  $row[title]\n";
}

PHP);
$put('sites/default/settings.php', "<?php\n\n" . implode("\n", [
    '$databases[\'default\'][\'default\'] = ' . var_export([
        'driver' => 'sqlite',
        'database' => "$folder/data/site.sqlite",
        'prefix' => '',
    ], true) . ';',
    '$conf[\'bam_key_file\'] = ' . var_export("$folder/key", true) . ';',
    '$conf[\'bam_state_dir\'] = ' . var_export("$folder/tmp/bam", true) . ';',
]) . "\n");

// Files as editors upload them, and derived ones, which profiles leave out.
mt_srand(7);
$noise = static function (int $kilobytes): string {
    $bytes = '';
    while (strlen($bytes) < $kilobytes * 1024) {
        $bytes .= pack('N', mt_rand());
    }
    return $bytes;
};
$files = 'sites/default/files';
$put("$files/field recording 1.mp3", $noise(300));
$put("$files/Ethnographie – Übersicht.pdf", $noise(120));
$put("$files/styles/thumbnail/photo.jpg", $noise(20));
$put("$files/css/css_abc.css", str_repeat("body { color: #333; }\n", 500));
for ($n = 1; $n <= 40; $n++) {
    $put("$files/photos/photo-$n.jpg", $noise(10));
}
file_put_contents("$folder/private/interview notes.txt", "Not for everyone.\n");
touch("$folder/private/interview notes.txt", 1500000000);

$db = new PDO("sqlite:$folder/data/site.sqlite", null, null, [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
$db->exec('CREATE TABLE variable (name VARCHAR(128) NOT NULL PRIMARY KEY, value BLOB NOT NULL)');
$db->exec('CREATE TABLE node (nid INTEGER PRIMARY KEY, type VARCHAR(32), title VARCHAR(255), body TEXT)');
$db->exec('CREATE TABLE cache (cid VARCHAR(255) NOT NULL PRIMARY KEY, data BLOB, expire INTEGER)');
$db->exec('CREATE TABLE sessions (uid INTEGER, sid VARCHAR(128) NOT NULL PRIMARY KEY, session BLOB)');
$db->exec('CREATE TABLE watchdog (wid INTEGER PRIMARY KEY, message TEXT)');
$db->beginTransaction();
$variable = $db->prepare('INSERT INTO variable VALUES (?, ?)');
foreach (
    [
        'site_name' => 'PECE Lab',
        'site_mail' => 'lab@example.org',
        'file_public_path' => $files,
        'file_private_path' => "$folder/private",
        'file_temporary_path' => "$folder/tmp",
        'maintenance_mode' => 0,
    ] as $name => $value
) {
    $variable->execute([$name, serialize($value)]);
}
$node = $db->prepare('INSERT INTO node VALUES (?, ?, ?, ?)');
for ($n = 1; $n <= 300; $n++) {
    $node->execute([$n, 'article', "Field note $n", str_repeat("Observation $n, with \u{1F4D3} and “quotes”. ", 40)]);
}
$db->exec("INSERT INTO cache VALUES ('menu', x'00ff', 0)");
$db->commit();
