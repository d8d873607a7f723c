"""A Drupal 10 of the tests' own: a copy of the given project's code, installed into a database of this run.

Its shape is that of larger sites: private files and exported configuration outside of the docroot, the database's password in
settings.local.php, settings that look at the environment. bam's commands come through drush.yml, as after `make install`.
"""

import atexit
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import mariadb
import postgres

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GIVEN = os.environ.get("BAM_TEST_DRUPAL10_ROOT", "")
DRUSH = os.environ.get("BAM_TEST_DRUSH10", "")
BAM = os.path.abspath(os.environ.get("BAM_BIN", os.path.join(TOP, "target/debug/bam")))
COMMANDS = os.path.join(TOP, "drush/src/Drush/Commands/BamDrushCommands.php")
# A hang is a failure. Nothing here takes a tenth of it.
LIMIT = 600

SETTINGS = """<?php
use Drupal\\Core\\Installer\\InstallerKernel;
$settings['hash_salt'] = 'only for tests';
$settings['config_sync_directory'] = '../config/sync';
$settings['file_private_path'] = '../private';
$settings['update_free_access'] = FALSE;
if (getenv('DRUPAL_ENV') === 'never' || !$class_loader) {
  throw new \\RuntimeException('the environment is not as expected');
}
if (!InstallerKernel::installationAttempted()) {
  $config['system.performance']['css']['preprocess'] = FALSE;
}
include $app_root . '/' . $site_path . '/settings.local.php';
"""


def project():
    """The folder of the given project: the nearest above the docroot with a vendor folder."""
    folder = os.path.abspath(GIVEN)
    while folder != "/" and not os.path.isdir(os.path.join(folder, "vendor")):
        folder = os.path.dirname(folder)
    return folder


class Site:
    """An installed site; `kind` is mysql, sqlite or pgsql."""

    def __init__(self, kind, prefix=""):
        self.kind, self.prefix = kind, prefix
        # What the environment has besides.
        self.around = {}
        self.top = tempfile.mkdtemp(prefix="bam-drupal10-")
        atexit.register(self.remove)
        self.root = os.path.join(self.top, "project")
        given = project()
        subprocess.run(["cp", "-a", "--reflink=auto", given, self.root], check=True)
        self.docroot = os.path.join(self.root, os.path.relpath(os.path.abspath(GIVEN), given))
        self.conf = os.path.join(self.docroot, "sites/default")
        for path in (self.conf + "/files", self.root + "/private", self.root + "/config"):
            shutil.rmtree(path, ignore_errors=True)
        os.makedirs(self.root + "/config/sync")
        os.makedirs(self.root + "/private")
        os.makedirs(self.root + "/drush", exist_ok=True)
        os.chmod(self.conf, 0o755)
        # What is tested is this tree, not what the project has of it.
        shutil.rmtree(self.root + "/vendor/bam", ignore_errors=True)
        module = os.path.join(self.docroot, "modules/contrib/bam")
        if os.path.islink(module):
            os.unlink(module)
        shutil.rmtree(module, ignore_errors=True)
        os.makedirs(os.path.dirname(module), exist_ok=True)
        # A link that leaves the project is archived as what it points to.
        shutil.copytree(os.path.join(TOP, "drupal10"), module)
        # The module finds the classes beside it.
        shutil.copytree(os.path.join(TOP, "php-shim"), os.path.join(os.path.dirname(module), "php-shim"), dirs_exist_ok=True)
        self.write(self.conf + "/settings.php", SETTINGS)
        self.write(self.conf + "/settings.local.php", f"<?php\n$databases['default']['default'] = {self.database()};\n")
        self.write(self.root + "/drush/drush.yml",
                   f"drush:\n  commands:\n    '\\Bam\\Drush\\Commands\\BamDrushCommands': '{COMMANDS}'\n")
        inside = os.path.abspath(DRUSH).startswith(given + "/")
        self.program = os.path.join(self.root, os.path.relpath(DRUSH, given)) if inside else os.path.abspath(DRUSH)
        # Backup and Migrate 5 knows no sockets of its own.
        os.mkdir(self.top + "/php")
        self.write(self.top + "/php/socket.ini", f"mysqli.default_socket={self.socket}\n" if self.kind == "mysql" else "")
        self.drush("site:install", "minimal", "--site-name=Lab", "--account-pass=admin", "--yes")
        self.drush("pm:install", "bam", "node", "--yes")

    def database(self):
        name = "d" + os.urandom(4).hex()
        common = f"'prefix' => '{self.prefix}', 'driver' => '{self.kind}'," \
                 f" 'namespace' => 'Drupal\\\\{self.kind}\\\\Driver\\\\Database\\\\{self.kind}'," \
                 f" 'autoload' => 'core/modules/{self.kind}/src/Driver/Database/{self.kind}/'"
        if self.kind == "sqlite":
            # Where Drupal puts it by default, below the public files.
            return f"['database' => 'sites/default/files/.ht.sqlite', {common}]"
        if self.kind == "mysql":
            server = mariadb.server()
            self.socket = server.socket
            server.sql(f"create database {name} character set utf8mb4; create user {name}@localhost identified by 'p#ss';"
                       f" grant all on *.* to {name}@localhost")
            return (f"['database' => '{name}', 'username' => '{name}', 'password' => 'p#ss', 'host' => 'localhost',"
                    f" 'unix_socket' => '{server.socket}',"
                    f" 'init_commands' => ['isolation_level' => 'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED'], {common}]")
        if postgres.missing():
            raise unittest.SkipTest(f"not installed: {postgres.missing()}")
        server = postgres.server()
        server.sql(f"create role {name} login createdb password 'p#ss'")
        server.sql(f"create database {name} owner {name}")
        return f"['database' => '{name}', 'username' => '{name}', 'password' => 'p#ss', 'host' => '{server.top}', {common}]"

    def require(self, module):
        """Skips what only comes with a module, by name."""
        if not os.path.isdir(os.path.join(self.docroot, "modules/contrib", module)):
            raise unittest.SkipTest(f"the given project has no module {module}")

    @staticmethod
    def write(path, text):
        if os.path.exists(path):
            os.chmod(path, 0o644)
        with open(path, "w") as file:
            file.write(text)

    def environment(self):
        return {**os.environ, "HOME": self.top, "XDG_STATE_HOME": self.top + "/state", "DRUPAL_ENV": "test",
                "PHP_INI_SCAN_DIR": ":" + self.top + "/php",
                "BAM_LIBRARY": os.path.join(os.path.dirname(BAM), "libbam.so"), "COLUMNS": "200", **self.around}

    def run(self, command, expect=0):
        done = subprocess.run(command, cwd=self.top, env=self.environment(), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT)
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        if done.returncode != expect:
            raise AssertionError(f"{command} ended with {done.returncode}, not {expect}:\n{out}\n{err}")
        return out, err

    def drush(self, *arguments, expect=0):
        return self.run([self.program, "--root", self.docroot, *arguments], expect)[0]

    def bam(self, *arguments, expect=0):
        return self.run([BAM, "--root", self.root, *arguments], expect)[0]

    def php(self, code):
        return self.drush("php:eval", code)

    def backup(self, what="archive", *more):
        return json.loads(self.drush("bam:backup", what, "manual", *more, "--format=json"))

    def facts(self):
        """What must be the same after a restore."""
        told = self.php("""
            $nodes = \\Drupal::database()->query('SELECT nid, title FROM {node_field_data} ORDER BY nid')->fetchAllKeyed();
            echo json_encode(['nodes' => $nodes, 'slogan' => \\Drupal::config('system.site')->get('slogan'),
              'users' => \\Drupal::database()->query('SELECT COUNT(*) FROM {users}')->fetchField(),
              'offline' => (bool) \\Drupal::state()->get('system.maintenance_mode')]);""")
        facts = json.loads(told)
        for name in ("public.txt", "private.txt", "sync.yml"):
            try:
                with open(self.file(name)) as file:
                    facts[name] = file.read()
            except FileNotFoundError:
                facts[name] = None
        return facts

    def file(self, name):
        folder = {"public": self.conf + "/files", "private": self.root + "/private", "sync": self.root + "/config/sync"}
        return os.path.join(folder[name.split(".")[0]], name)

    def fill(self, word):
        """Content of every kind."""
        self.php(f"""
            if (!\\Drupal\\node\\Entity\\NodeType::load('page')) {{
              \\Drupal\\node\\Entity\\NodeType::create(['type' => 'page', 'name' => 'Page'])->save();
            }}
            \\Drupal\\node\\Entity\\Node::create(['type' => 'page', 'title' => '{word} ü😀', 'uid' => 1])->save();
            \\Drupal::configFactory()->getEditable('system.site')->set('slogan', '{word}')->save();""")
        for name in ("public.txt", "private.txt", "sync.yml"):
            self.write(self.file(name), f"{name}: {word}\n")

    def serve_at(self, **ini):
        """The site on PHP's own server, with these settings of PHP: its address, and a function that ends it."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        log = open(os.path.join(self.top, "server.log"), "ab")
        settings = [word for name, value in ini.items() for word in ("-d", f"{name}={value}")]
        process = subprocess.Popen(["php", *settings, "-S", f"127.0.0.1:{port}", ".ht.router.php"], cwd=self.docroot,
                                   env=self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        atexit.register(process.kill)
        last = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if time.monotonic() > last or process.poll() is not None:
                    raise
                time.sleep(0.05)

        def end():
            process.terminate()
            process.wait()

        return f"http://127.0.0.1:{port}", end

    def serve(self):
        """As serve_at(): a function that asks the site, and one that ends it."""
        address, end = self.serve_at()

        def ask(path="/"):
            try:
                with urllib.request.urlopen(address + path, timeout=120) as answer:
                    return answer.status, answer.read().decode(errors="replace")
            except urllib.error.HTTPError as answer:
                return answer.code, answer.read().decode(errors="replace")

        return ask, end

    def remove(self):
        subprocess.run(["chmod", "-R", "u+w", self.top], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.top, ignore_errors=True)


class SiteTest(unittest.TestCase):
    """A class of tests that share one installed site."""

    kind, prefix = "mysql", ""

    @classmethod
    def setUpClass(cls):
        if not (GIVEN and DRUSH):
            raise unittest.SkipTest("BAM_TEST_DRUPAL10_ROOT and BAM_TEST_DRUSH10 name no site")
        cls.site = Site(cls.kind, cls.prefix)
        cls.addClassCleanup(cls.site.remove)
