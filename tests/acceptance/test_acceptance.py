"""Backup, wreck, restore: nodes, files, configuration and pages are the same as before."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest

import drupalsite
import mariadb
import site10

ELEVEN = os.environ.get("BAM_TEST_DRUPAL11_ROOT", "")


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


class Acceptance:
    """What each generation has to go through. Its class says how things are done there."""

    # Code of Drupal's own, which is lost as well.
    code = ()

    def test_a_wrecked_site_comes_back(self):
        self.fill("before ü")
        expected = self.facts()
        self.assertIn("before ü", json.dumps(expected, ensure_ascii=False))
        made = self.backup()
        self.fill("after")
        self.assertNotEqual(self.facts(), expected)
        self.wreck()
        for path in (*self.files(), *self.code):
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        self.restore(made)
        self.assertEqual(self.facts(), expected)
        for path in self.code:
            self.assertTrue(os.path.exists(path), path)
        self.look()

    def contents(self):
        found = {}
        for path in self.files():
            with open(path, encoding="utf-8") as file:
                found[os.path.basename(path)] = file.read()
        return found

    def write_files(self, word):
        for path in self.files():
            write(path, f"{os.path.basename(path)}: {word}\n")


class Drupal7(Acceptance, drupalsite.SiteTest):
    def setUp(self):
        super().setUp()
        self.code = (self.root + "/includes/menu.inc", self.root + "/modules/node")

    def files(self):
        return (self.root + "/sites/default/files/public ü.txt", self.private + "/private.txt")

    def fill(self, word):
        self.php("node_save((object) array('type' => key(node_type_get_types()), 'language' => 'und', 'uid' => 1, 'status' => 1, "
                 f"'promote' => 1, 'title' => '{word}')); variable_set('site_slogan', '{word}');")
        self.write_files(word)

    def facts(self):
        return {"nodes": self.sql("select nid, title from node order by nid"),
                "slogan": self.sql("select value from variable where name = 'site_slogan'"), "files": self.contents()}

    def backup(self):
        return self.json("bam-backup", "archive", "manual")["id"]

    def wreck(self):
        self.server.sql("drop database site; create database site character set utf8mb4")

    def restore(self, made):
        self.drush("-y", "bam-restore", str(made), "--code")

    def look(self):
        status, page = self.front_page()
        self.assertEqual(status, 200, page[-2000:])
        self.assertIn("before ü", page)


class Drupal10(Acceptance, site10.SiteTest):
    def setUp(self):
        self.code = (self.site.root + "/vendor/twig", self.site.docroot + "/core/modules/node")

    def files(self):
        site = self.site
        return (site.conf + "/files/public ü.txt", site.root + "/private/private.txt", site.root + "/config/sync/sync.yml")

    def fill(self, word):
        self.site.fill(word)
        self.write_files(word)

    def facts(self):
        return {**self.site.facts(), "files": self.contents()}

    def backup(self):
        return self.site.backup("archive")["id"]

    def wreck(self):
        self.site.php("foreach (\\Drupal::database()->schema()->findTables('%') as $table) {"
                      " \\Drupal::database()->schema()->dropTable($table); }")

    def restore(self, made):
        # Without all of vendor there is no Drush.
        self.site.bam("restore", str(made), "--code", "--yes")

    def look(self):
        ask, end = self.site.serve()
        self.addCleanup(end)
        for path, text in (("/user/login", "Log in"), ("/node/1", "before ü")):
            status, page = ask(path)
            self.assertEqual(status, 200, page[:2000])
            self.assertIn(text, page)


class Drupal11(Acceptance, unittest.TestCase):
    """Its code, with a database of the few tables that bam itself reads: it needs a PHP that many a machine does not have."""

    def setUp(self):
        if not os.path.isfile(os.path.join(ELEVEN, "core/lib/Drupal.php")):
            self.skipTest("BAM_TEST_DRUPAL11_ROOT names no site")
        self.top = tempfile.mkdtemp(prefix="bam-drupal11-")
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        given = os.path.dirname(os.path.abspath(ELEVEN))
        self.root = os.path.join(self.top, "project")
        self.docroot = os.path.join(self.root, os.path.basename(os.path.abspath(ELEVEN)))
        subprocess.run(["cp", "-a", "--reflink=auto", given, self.root], check=True)
        conf = self.docroot + "/sites/default"
        os.chmod(conf, 0o755)
        for path in (conf + "/files", self.root + "/private", self.root + "/config"):
            shutil.rmtree(path, ignore_errors=True)
        self.server, self.name = mariadb.server(), "eleven" + os.urandom(4).hex()
        name = self.name
        self.server.sql(f"create database {name} character set utf8mb4; create user {name}@localhost identified by 'p#ss'; "
                        f"grant all on {name}.* to {name}@localhost; grant all on `{name}\\_bam\\_%`.* to {name}@localhost")
        self.sql("create table x_config (collection varchar(255) default '', name varchar(255), data longblob, "
                 "primary key (collection, name)); "
                 "create table x_key_value (collection varchar(128), name varchar(128), value longblob, primary key (collection, name)); "
                 "create table x_node_field_data (nid int primary key auto_increment, title varchar(255)); "
                 "insert into x_config values ('', 'system.site', 'a:1:{s:4:\"name\";s:6:\"Eleven\";}')")
        for file in ("settings.php", "settings.local.php"):
            if os.path.exists(f"{conf}/{file}"):
                os.chmod(f"{conf}/{file}", 0o644)
                os.unlink(f"{conf}/{file}")
        write(conf + "/settings.php", f"""<?php
$settings['hash_salt'] = 'only for tests';
$settings['config_sync_directory'] = '../config/sync';
$settings['file_private_path'] = '../private';
$databases['default']['default'] = ['driver' => 'mysql', 'database' => '{name}', 'username' => '{name}', 'password' => 'p#ss',
  'host' => 'localhost', 'unix_socket' => '{self.server.socket}', 'prefix' => 'x_'];
""")
        os.makedirs(self.root + "/private")
        self.code = (self.docroot + "/core/lib/Drupal.php", self.docroot + "/core/modules/node")

    def sql(self, statements):
        return self.server.sql(statements, self.name)

    def bam(self, *arguments, expect=(0,)):
        environment = {**os.environ, "HOME": self.top, "XDG_STATE_HOME": self.top + "/state"}
        done = subprocess.run([site10.BAM, "--root", self.docroot, *arguments], env=environment, cwd=self.top,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
        self.assertIn(done.returncode, expect, done.stdout + done.stderr)
        return done.stdout

    def files(self):
        return (self.docroot + "/sites/default/files/public ü.txt", self.root + "/private/private.txt",
                self.root + "/config/sync/sync.yml")

    def fill(self, word):
        self.sql(f"insert into x_node_field_data (title) values ('{word}'); "
                 f"replace into x_config values ('', 'bam.test', 's:{len(word.encode())}:\"{word}\";')")
        self.write_files(word)

    def facts(self):
        return {"nodes": self.sql("select nid, title from x_node_field_data order by nid"),
                "config": self.sql("select name, data from x_config order by name"), "files": self.contents()}

    def backup(self):
        return json.loads(self.bam("--json", "backup", "archive", "manual"))["id"]

    def wreck(self):
        self.sql("drop table x_config, x_key_value, x_node_field_data")

    def restore(self, made):
        # With few of its tables, and on an older PHP, it does not start: that is said, and the restore is done.
        self.bam("restore", str(made), "--code", "--yes", expect=(3,))

    def look(self):
        self.assertIn("11.", self.bam("config", "export"))
