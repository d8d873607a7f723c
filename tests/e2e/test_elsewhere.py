"""Restoring elsewhere than onto the site: --into, --into-database, --from. No configuration is needed."""

import contextlib
import os
import sqlite3
import unittest

from bamtest import SiteTest, run, tree
from mariadb import missing, server, state


class Elsewhere(SiteTest):
    def setUp(self):
        super().setUp()
        self.write("index.php", "<?php\n")
        self.write("sites/default/files/a b.txt", "kept")
        self.write("sites/default/files/field/one.jpg", os.urandom(10_000), mode=0o600)
        os.symlink("a b.txt", os.path.join(self.files, "link"))
        os.mkdir(self.path("private"))
        with open(self.path("private/minutes.txt"), "w") as file:
            file.write("private")
        self.database = self.path("site.sqlite")
        self.put_row("Hello")
        self.document["site"]["private_path"] = self.path("private")
        self.document["databases"] = {"db": {"url": "sqlite:" + self.database}}
        self.document["sources"].update({"db": {"type": "database"}, "archive": {"type": "archive"}})
        self.empty = self.path("empty")
        os.mkdir(self.empty)

    def put_row(self, title):
        with contextlib.closing(sqlite3.connect(self.database)) as db, db:
            db.execute("create table if not exists node (title text)")
            db.execute("insert into node values (?)", (title,))

    def rows(self, path):
        with contextlib.closing(sqlite3.connect(path)) as db:
            return [row[0] for row in db.execute("select title from node")]

    def bare(self, *arguments, expect=0):
        """bam on a machine without any configuration."""
        result = self.bam(*arguments, expect=expect, config=False, cwd=self.empty)
        self.assertEqual(os.listdir(self.empty), [])
        return result

    def nothing_left(self, *besides):
        """Whatever failed left no trace beside where it should have gone."""
        known = {"site", "key", "private", "site.sqlite", "backups", "state", "bam.yml", "empty", *besides}
        self.assertEqual(set(os.listdir(self.top)) - known, set())

    def test_a_whole_site_into_a_new_folder(self):
        made = self.backup("archive", "manual", "secret")
        there = self.path("deep/look")
        self.bare("restore", "--file", made["path"], "--key", self.key, "--into", there)
        self.assertEqual(sorted(os.listdir(there)), ["MANIFEST.ini", "database.sqlite", "docroot", "private"])
        self.assertEqual(os.stat(there).st_mode & 0o777, 0o700)
        self.assertEqual(tree(there + "/docroot"), tree(self.root))
        self.assertEqual(tree(there + "/private"), tree(self.path("private")))
        self.assertEqual(self.rows(there + "/database.sqlite"), ["Hello"])
        self.nothing_left("deep")

    def test_files_into_an_empty_folder_that_stays_the_folder_it_is(self):
        made = self.backup("files")
        there = self.path("there")
        os.mkdir(there)
        inode = os.stat(there).st_ino
        self.bam("restore", str(made["id"]), "--into", there)
        self.assertEqual(os.stat(there).st_ino, inode)
        self.assertEqual(tree(there), tree(self.files))

    def test_no_site_lies_in_the_clear_among_backups_or_state(self):
        made = self.backup("archive", "manual", "secret")
        os.symlink(self.destination(), self.path("link"))
        for place, why in ((self.destination(), "destination manual"), (self.destination() + "/x/y", "destination manual"),
                           (self.path("link/x"), "destination manual"), (self.path("state/x"), "bam's own")):
            self.assertSays(self.bam("restore", str(made["id"]), "--into", place, expect=2), why, "elsewhere")
        self.assertEqual(len(self.visible()), 2)
        self.bam("restore", str(made["id"]), "--into", self.path("there"))

    def test_a_database_into_a_folder_and_into_a_database(self):
        made = self.backup("db", "manual", "secret")
        self.bare("restore", "--file", made["path"], "--key", self.key, "--into", self.path("look"))
        self.assertEqual(self.rows(self.path("look/database.sqlite")), ["Hello"])
        self.bare("restore", "--from", self.destination(), "latest", "--key", self.key,
                  "--into-database", "sqlite:" + self.path("copy.sqlite"))
        self.assertEqual(self.rows(self.path("copy.sqlite")), ["Hello"])
        self.put_row("newer")
        newer = self.backup("db", "manual", "secret")
        said = self.bare("restore", "--file", newer["path"], "--key", self.key,
                         "--into-database", "sqlite:" + self.path("copy.sqlite"), expect=2)
        self.assertSays(said, "not empty", "node", "--yes")
        self.assertEqual(self.rows(self.path("copy.sqlite")), ["Hello"])
        self.bare("restore", "--file", newer["path"], "--key", self.key, "--yes",
                  "--into-database", "sqlite:" + self.path("copy.sqlite"))
        self.assertEqual(self.rows(self.path("copy.sqlite")), ["Hello", "newer"])

    def test_what_is_there_is_never_replaced(self):
        made = self.backup("files")
        full = self.path("private")
        said = self.bam("restore", str(made["id"]), "--into", full, expect=2)
        self.assertSays(said, "not empty")
        self.assertEqual(os.listdir(full), ["minutes.txt"])
        said = self.bam("restore", str(made["id"]), "--into", self.key, expect=2)
        self.assertSays(said, "not a folder")

    def test_a_damaged_backup_or_another_key_leaves_nothing(self):
        made = self.backup("archive", "manual", "secret")
        other = self.path("backups/other")
        with open(other, "w") as file:
            file.write("another key\n")
        arguments = ["restore", "--file", made["path"], "--into", self.path("new")]
        self.bare(*arguments, "--key", other, expect=4)
        self.nothing_left()
        with open(made["path"], "r+b") as file:
            file.seek(made["bytes_out"] // 2)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))
        self.bare(*arguments, "--key", self.key, expect=4)
        # Found out only while it is extracted: the sidecar is not there to tell.
        os.unlink(made["path"] + ".info")
        self.bare(*arguments, "--key", self.key, "--unauthenticated", expect=4)
        self.nothing_left()

    def test_what_makes_no_sense_is_said(self):
        files, database = self.backup("files"), self.backup("db")
        for arguments, words in [
                ((files["path"], "--into-database", "sqlite:x"), ["no database"]),
                ((database["path"], "--into", "x", "--into-database", "sqlite:x"), ["nothing but a database"]),
                ((database["path"], "--into-database", "mysql://u:s3cret@localhost/x"), ["--into-password-file"]),
        ]:
            said = self.bam("restore", "--file", *arguments, expect=None, config=False, cwd=self.empty)
            self.assertIn(said.code, (1, 2), said)
            self.assertSays(said, *words)
            self.assertNotIn("s3cret", said.err)
        self.assertSays(self.bare("restore", "latest", "--into", "x", expect=2), "--from")
        self.assertSays(self.bare("restore", "--from", self.path("nowhere"), "latest", "--into", "x", expect=1),
                        "there is no folder")
        self.assertSays(self.bare("restore", "--from", "sftp://u:s3cret@h/x", "latest", "--into", "x", expect=2),
                        "--password-file")
        self.nothing_left()

    def test_the_list_of_a_place_without_a_configuration(self):
        made = self.backup("files")
        said = self.bare("backups", "--from", self.destination())
        self.assertIn(made["file"], said.out)
        self.bare("restore", "--from", self.destination(), str(made["id"]), "--into", self.path("by-id"))
        self.bare("restore", "--from", self.destination(), made["file"], "--into", self.path("by-name"))
        self.assertEqual(tree(self.path("by-id")), tree(self.path("by-name")))


@unittest.skipIf(missing(), "mariadbd is not installed")
class IntoMariadb(SiteTest):
    def setUp(self):
        super().setUp()
        self.server = server()
        base = f"bam_{os.path.basename(self.top).replace('-', '_').lower()}"
        self.names = [f"{base}_{which}" for which in ("live", "copy")]
        for name in self.names:
            self.server.sql(f"drop database if exists {name}")
            self.addCleanup(self.server.sql, f"drop database if exists {name}")
        self.server.sql(f"create database {self.names[0]} character set utf8mb4")
        self.server.sql("create table x_node (nid int primary key, title text); insert into x_node values (1, 'Hello 😀');"
                        "create view x_titles as select title from x_node", self.names[0])
        self.write("sites/default/files/a.txt", "kept")
        self.document["databases"] = {"db": {"url": f"mysql://root@localhost/{self.names[0]}", "prefix": "x_",
                                             "socket": self.server.socket}}
        self.document["sources"]["archive"] = {"type": "archive"}
        self.made = self.backup("archive", "manual", "secret")

    def restore(self, *arguments, expect=0):
        return self.bam("restore", "--file", self.made["path"], "--key", self.key, *arguments, expect=expect, config=False)

    def test_the_database_of_a_site_goes_into_another_one(self):
        url = f"mysql://root@localhost/{self.names[1]}"
        before = state(self.names[0])
        self.restore("--into", self.path("clone"), "--into-database", url, "--into-socket", self.server.socket)
        self.assertEqual(state(self.names[1]), before)
        self.assertEqual(sorted(os.listdir(self.path("clone"))), ["MANIFEST.ini", "docroot"])
        self.server.sql("insert into x_node values (2, 'of the clone')", self.names[1])
        said = self.restore("--into-database", url, "--into-socket", self.server.socket, expect=2)
        self.assertSays(said, "not empty")
        self.restore("--into-database", url, "--into-socket", self.server.socket, "--yes")
        self.assertEqual(state(self.names[1]), before)
        self.assertEqual(state(self.names[0]), before)
        self.assertNotIn("_bam_new_", self.server.sql("show databases"))
        said = self.restore("--into-database", "sqlite:" + self.path("x.sqlite"), expect=2)
        self.assertSays(said, "MySQL", "SQLite")

    def test_the_password_comes_from_a_file(self):
        user = "into_" + os.path.basename(self.top)[-8:]
        self.server.sql(f"create user '{user}'@localhost identified by 'p w#\\'\"'; "
                        f"grant all on `{self.names[1]}`.* to '{user}'@localhost; "
                        f"grant all on `{self.names[1]}\\_bam\\_%`.* to '{user}'@localhost")
        self.addCleanup(self.server.sql, f"drop user '{user}'@localhost")
        url = f"mysql://{user}@localhost/{self.names[1]}"
        self.restore("--into-database", url, "--into-socket", self.server.socket, expect=1)
        with open(self.path("password"), "w") as file:
            file.write("p w#'\"\n")
        self.restore("--into-database", url, "--into-socket", self.server.socket,
                     "--into-password-file", self.path("password"))
        self.assertEqual(state(self.names[1])["x_node"], state(self.names[0])["x_node"])


if __name__ == "__main__":
    unittest.main()
