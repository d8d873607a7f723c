"""The static program in a root that holds nothing but it and a shell."""

import os
import shutil
import sqlite3
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))
from bamtest import SiteTest  # noqa: E402, in another suite

PROGRAM = os.environ["BAM_STATIC"]
CHROOT = shutil.which("chroot", path="/usr/sbin:/sbin:/usr/bin:/bin")


@unittest.skipUnless(os.path.isfile(PROGRAM), "the static program is not built")
class Empty(SiteTest):
    def setUp(self):
        super().setUp()
        self.empty = self.path("empty")
        os.makedirs(self.empty + "/bin")
        shutil.copy(PROGRAM, self.empty + "/bin/bam")

    def run_in(self, *command, expect=0):
        done = subprocess.run([CHROOT, self.empty, *command], env={"PATH": "/bin"}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
        self.assertEqual(done.returncode, expect, done.stdout)
        return done.stdout

    def test_it_restores_files_and_a_sqlite_database(self):
        database = self.path("site.sqlite")
        with sqlite3.connect(database) as connection:
            connection.execute("CREATE TABLE node (title TEXT)")
            connection.execute("INSERT INTO node VALUES ('field note')")
        connection.close()
        self.write("sites/default/files/a b.txt", "in a file")
        self.document["databases"] = {"db": {"url": f"sqlite:{database}"}}
        self.document["sources"]["db"] = {"type": "database", "database": "db"}
        for source in ("files", "db"):
            self.bam("backup", source, "manual", "secret")
        shutil.copytree(self.path("backups"), self.empty + "/disk")
        shutil.copy(self.key, self.empty + "/key")
        self.assertIn("files", self.run_in("/bin/bam", "backups", "--from", "/disk", "--key", "/key"))
        restore = ["/bin/bam", "restore", "--from", "/disk", "--key", "/key", "--yes", "latest"]
        self.run_in(*restore, "--source", "files", "--into", "/srv/files")
        self.run_in(*restore, "--source", "db", "--into-database", "sqlite:/srv/site.sqlite")
        with open(self.empty + "/srv/files/a b.txt") as file:
            self.assertEqual(file.read(), "in a file")
        with sqlite3.connect(self.empty + "/srv/site.sqlite") as connection:
            self.assertEqual(connection.execute("SELECT title FROM node").fetchall(), [("field note",)])
        connection.close()

    def test_export_puts_it_beside_the_backup(self):
        self.write("sites/default/files/a.txt", "x")
        self.bam("backup", "files")
        usb = self.path("usb")
        os.mkdir(usb)
        shutil.copy(PROGRAM, self.path("bam"))
        done = subprocess.run([self.path("bam"), "--config", self.write_document(), "export", "latest", usb, "--with-program"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertNotIn("libraries", done.stdout)
        shutil.copytree(usb, self.empty + "/usb")
        self.assertRegex(self.run_in("/usb/bam", "--version"), r"^bam \d")


if __name__ == "__main__":
    unittest.main()
