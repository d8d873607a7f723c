"""A copy of the real site for each test: its files in a scratch folder, its database in the tests' own MariaDB."""

import atexit
import glob
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

import mariadb

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GIVEN = os.environ.get("BAM_TEST_DRUPAL_ROOT", "")
DRUSH = os.environ.get("BAM_TEST_DRUSH", "")
EXPORTER = os.path.join(TOP, "php-shim/bin/bam-export-config")
BAM = os.path.abspath(os.environ.get("BAM_BIN", os.path.join(TOP, "target/debug/bam")))
EXPORTS = os.path.join(TOP, "tests/fixtures/exports")
# A hang is a failure. Nothing here takes a tenth of it.
LIMIT = 300
# As odd as Drush 8 can write it into the option file of its own database client: no " and no \.
PASSWORD = "p@ss'w ör#d%1"
# Modules that tests work with, where the given site's code has them.
WANTED = ("backup_migrate", "ctools")


class Origin:
    """The given site, read once: files, private files, a dump."""

    _only = None

    @classmethod
    def get(cls):
        """The given site. What makes it unfit for the tests is found out once, and said for each of them."""
        if cls._only is None:
            try:
                cls._only = cls()
            except (OSError, RuntimeError, KeyError, subprocess.SubprocessError) as unfit:
                cls._only = unfit
        if isinstance(cls._only, Exception):
            raise cls._only
        return cls._only

    def __init__(self):
        if "BAM_BIN" not in os.environ:
            subprocess.run(["cargo", "build", "--quiet", "--package", "bam-cli", "--package", "bam-capi"], cwd=TOP,
                           check=True, timeout=1800)
        beside = os.path.join(os.path.dirname(BAM), "libbam.so")
        if os.path.exists(beside):
            os.environ.setdefault("BAM_LIBRARY", beside)
        self.top = tempfile.mkdtemp(prefix="bam-drush-origin-")
        atexit.register(shutil.rmtree, self.top, ignore_errors=True)
        read = subprocess.run(["php", EXPORTER, "--root", GIVEN], capture_output=True, text=True,
                              env={**os.environ, "XDG_STATE_HOME": os.path.join(self.top, "state")})
        if read.returncode:
            raise RuntimeError(f"BAM_TEST_DRUPAL_ROOT={GIVEN} is no site that can be read: {read.stderr}")
        document = json.loads(read.stdout)
        if not document["databases"]["db"]["url"].startswith("mysql"):
            raise RuntimeError(f"BAM_TEST_DRUPAL_ROOT={GIVEN} must have its data in MariaDB or MySQL")
        version = subprocess.run([DRUSH, "version", "--pipe"], capture_output=True, text=True)
        if not re.match(r"8\.", version.stdout.strip()):
            raise RuntimeError(f"BAM_TEST_DRUSH={DRUSH} must be Drush 8: {version.stdout}{version.stderr}")
        copy(GIVEN, os.path.join(self.top, "drupal"))
        private = document["site"].get("private_path")
        os.mkdir(os.path.join(self.top, "private"))
        if private and os.path.isdir(os.path.join(GIVEN, private)):
            copy(os.path.join(GIVEN, private), os.path.join(self.top, "private"))
        self.raw = self.dump = os.path.join(self.top, "site.sql")
        self.dump_database(document["databases"]["db"])

    def dump_database(self, database):
        url = urllib.parse.urlsplit(database["url"])
        options = {"user": url.username, "password": url.password, "host": url.hostname, "port": url.port or 3306,
                   "socket": database.get("socket", "")}
        settings = os.path.join(self.top, "my.cnf")
        with open(os.open(settings, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write("[client]\n")
            for name, value in options.items():
                if value:
                    text = urllib.parse.unquote(str(value)).replace("\\", "\\\\").replace('"', '\\"')
                    file.write(f'{name}="{text}"\n')
        with open(self.dump, "wb") as file:
            subprocess.run(["mariadb-dump", f"--defaults-file={settings}", "--single-transaction", "--hex-blob",
                            "--default-character-set=utf8mb4", url.path.lstrip("/")], stdout=file, check=True)


def copy(source, target):
    subprocess.run(["cp", "-a", "--reflink=auto", source + "/.", target + "/"] if os.path.isdir(target)
                   else ["cp", "-a", "--reflink=auto", source, target], check=True)


class Result:
    """What a finished Drush said."""

    def __init__(self, arguments, code, out, err):
        self.arguments, self.code, self.out, self.err = arguments, code, out, err

    def __str__(self):
        return f"drush {' '.join(self.arguments)}: exit code {self.code}\n{self.out}{self.err}"


class SiteTest(unittest.TestCase):
    """One test, one copy of the site."""

    # Whether the copy has a key already.
    has_key = True

    def setUp(self):
        if not GIVEN or not DRUSH:
            self.skipTest("BAM_TEST_DRUPAL_ROOT and BAM_TEST_DRUSH name no site")
        origin = Origin.get()
        self.top = tempfile.mkdtemp(prefix="bam-drush-")
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        self.root = os.path.join(self.top, "drupal")
        self.private = os.path.join(self.top, "private")
        self.state = os.path.join(self.top, "home/.local/state")
        self.mailbox = os.path.join(self.top, "mailbox")
        copy(os.path.join(origin.top, "drupal"), self.root)
        copy(os.path.join(origin.top, "private"), self.private)
        for folder in ("home", "tmp"):
            os.mkdir(os.path.join(self.top, folder))
        self.server = mariadb.server()
        self.load(origin.dump)
        self.settings = os.path.join(self.root, "sites/default/settings.php")
        os.chmod(self.settings, 0o600)
        with open(self.settings, "a", encoding="utf-8") as file:
            # What the given site says of bam, and of other settings that tests make, is not for its copies.
            file.write("\nforeach (array_keys(isset($conf) ? $conf : array()) as $name) {\n"
                       "  if (preg_match('/^(bam_|aes_|backup_migrate_|mail_system|site_|maintenance_)/', $name)) {\n"
                       "    unset($conf[$name]);\n  }\n}\nunset($name);\n$base_url = NULL;\n")
            file.write("\n$databases['default']['default'] = array('driver' => 'mysql', 'database' => 'site', "
                       "'username' => 'site', 'host' => 'localhost', 'prefix' => '', 'charset' => 'utf8mb4', "
                       "'collation' => 'utf8mb4_general_ci', "
                       f"'password' => {php(PASSWORD)}, 'unix_socket' => {php(self.server.socket)});\n"
                       f"$conf['file_private_path'] = {php(self.private)};\n"
                       f"$conf['file_temporary_path'] = {php(os.path.join(self.top, 'tmp'))};\n"
                       f"$conf['mailbox'] = {php(self.mailbox)};\n"
                       f"require_once {php(os.path.join(TOP, 'tests/drush/mailbox.php'))};\n")
            if self.has_key:
                key = os.path.join(self.top, "site.key")
                with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "w") as line:
                    line.write("a key of the tests, long enough\n")
                file.write(f"$conf['bam_key_file'] = {php(key)};\n")
        # Files of visitors, beside those that the given site may have.
        for name in ("field/image/a b.txt", "field/ünï.txt", "note.txt"):
            path = os.path.join(self.root, "sites/default/files", name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(name)
        if origin.dump == origin.raw:
            self.prepare(origin)

    def prepare(self, origin):
        """Once: a database with what the tests look at, whatever the given site has."""
        self.sql("create table if not exists bam_odd (id int primary key, data longblob, words text) engine=InnoDB "
                 "default charset=utf8mb4; replace into bam_odd values (1, x'00ff0a0d275c', 'ünï \\\\ words'), "
                 "(2, null, ''), (3, repeat('x', 70000), null); "
                 "delete from variable where name like 'bam\\_%' or name like 'aes\\_%' or "
                 "name like 'backup\\_migrate\\_%' or name = 'maintenance_mode'; delete from cache_bootstrap;")
        known = json.loads(self.php("echo json_encode(array_keys(system_rebuild_module_data()));"))
        for module in WANTED:
            if module in known:
                self.drush("-y", "pm-enable", module)
        if "backup_migrate" in known:
            for items in ("profiles", "schedules", "destinations", "sources"):
                self.sql(f"delete from backup_migrate_{items}")
        self.php("for ($n = 0; $n < 3; $n++) { node_save((object) array('type' => key(node_type_get_types()), "
                 "'title' => \"A node, ünï $n\", 'language' => 'und', 'uid' => 1, 'status' => 1, 'promote' => 1)); }")
        command = [word.replace("mariadb", "mariadb-dump", 1) if word == "mariadb" else word
                   for word in self.server.client() if word != "--binary-mode"]
        prepared = os.path.join(origin.top, "prepared.sql")
        with open(prepared, "wb") as file:
            subprocess.run([*command, "--hex-blob", "site"], stdout=file, check=True)
        origin.dump = prepared

    def require_module(self, name):
        """Skips a test of what only comes with a module, by name."""
        if not glob.glob(os.path.join(glob.escape(self.root), f"sites/*/modules/**/{name}.module"), recursive=True):
            self.skipTest(f"the given site has no module {name}")

    def load(self, dump):
        """The database as the given site has it."""
        password = PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
        self.server.sql("drop database if exists site; create database site character set utf8mb4; "
                        f"create user if not exists site@localhost identified by '{password}'; "
                        "grant all on site.* to site@localhost; grant all on `site\\_%`.* to site@localhost;")
        with open(dump, "rb") as file:
            subprocess.run(self.server.client("site"), stdin=file, check=True)

    def environment(self):
        return {**os.environ, "HOME": os.path.join(self.top, "home"), "XDG_STATE_HOME": self.state,
                "TMPDIR": os.path.join(self.top, "tmp")}

    def start(self, *arguments, include=True, **options):
        """Starts Drush on the copy, with the commands of this checkout in its global folder."""
        for word, module in (("backup_migrate", "backup_migrate"), ("--engine=backup_migrate", "backup_migrate"),
                             ("bam_test_feature", "ctools")):
            if word in arguments:
                self.require_module(module)
        command = [DRUSH, "-r", self.root, *(["--include=" + os.path.join(TOP, "drush")] if include else []), *arguments]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=self.environment(), cwd=self.top, **options)
        self.addCleanup(end, process)
        return process

    def finish(self, process, expect=None):
        out, err = process.communicate(timeout=LIMIT)
        result = Result(process.args[1:], process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))
        if expect is not None:
            self.assertEqual(result.code, expect, result)
        return result

    def drush(self, *arguments, expect=0, **options):
        return self.finish(self.start(*arguments, **options), expect)

    def json(self, *arguments, **options):
        result = self.drush(*arguments, "--format=json", **options)
        self.assertTrue(result.out.strip(), result)
        return json.loads(result.out)

    def sql(self, statements):
        if re.search("backup_migrate_(profile|schedule|source|destination)s", statements):
            self.require_module("backup_migrate")
        return self.server.sql(statements, "site")

    def php(self, code):
        """What PHP prints inside the bootstrapped site."""
        return self.drush("php-eval", code).out.strip()

    def mails(self):
        """What the site has sent, oldest first."""
        if not os.path.exists(self.mailbox):
            return []
        with open(self.mailbox) as file:
            return [json.loads(line) for line in file]

    def kept_copy(self):
        """The copy of the last good configuration."""
        folder = os.path.join(self.state, "bam")
        found = [name for name in os.listdir(folder) if name.endswith(".json")]
        self.assertEqual(len(found), 1, found)
        return os.path.join(folder, found[0])

    def backups(self):
        """The backup files at the destination `manual`, without sidecars."""
        folder = os.path.join(self.private, "backup_migrate/manual")
        names = os.listdir(folder) if os.path.isdir(folder) else []
        return sorted(name for name in names if not name.startswith(".") and not name.endswith(".info"))

    def front_page(self):
        """What a visitor gets for /: HTTP status and page."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        log = os.path.join(self.top, "web.log")
        with open(log, "wb") as file:
            server = subprocess.Popen(["php", "-d", "error_reporting=8191", "-d", "display_errors=0", "-d", "log_errors=1",
                                       "-S", f"127.0.0.1:{port}", "-t", self.root], stdout=file, stderr=file,
                                      stdin=subprocess.DEVNULL, env=self.environment(), cwd=self.root)
        self.addCleanup(end, server)
        last = time.monotonic() + LIMIT
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=LIMIT) as answer:
                    return answer.status, answer.read().decode(errors="replace")
            except urllib.error.HTTPError as refused:
                with open(log, errors="replace") as file:
                    return refused.code, refused.read().decode(errors="replace") + file.read()
            except urllib.error.URLError:
                # Not listening yet.
                if server.poll() is not None or time.monotonic() > last:
                    raise
                time.sleep(0.05)


def php(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def end(process):
    if process.poll() is None:
        process.kill()
    process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe:
            pipe.close()
