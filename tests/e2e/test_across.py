"""Questions about several backups: what changed between two, which hold a file, how many there are and how they grow."""

import contextlib
import os
import pwd
import re
import sqlite3
import subprocess
import unittest

import mariadb
import postgres
import sshd
from bamtest import BAM, SiteTest, peak_memory
from test_pgsql import SCHEMA

LATIN1 = b"caf\xe9.txt"


class Across(SiteTest):
    def setUp(self):
        super().setUp()
        self.write("index.php", "<?php // as it was\n")
        self.write("sites/default/files/stays.txt", "the same")
        self.write("sites/default/files/goes.txt", "gone")
        self.write("sites/default/files/grows.txt", "short")
        self.write("sites/default/files/other bytes.txt", "as long")
        self.write("sites/default/files/mode.txt", "permissions", mode=0o644)
        self.write("sites/default/files/a.b/deep.txt", "deep")
        self.write("sites/default/files/a/deep.txt", "deep")
        self.write(os.fsdecode(b"sites/default/files/" + LATIN1), "latin")
        os.symlink("stays.txt", os.path.join(self.files, "link"))
        self.database = self.path("site.sqlite")
        with contextlib.closing(sqlite3.connect(self.database)) as db, db:
            for table in ("node", "users", "old", "cache"):
                db.execute(f"create table {table} (id integer primary key, title text)")
                db.executemany(f"insert into {table} (title) values (?)", [("one",), ("two",)])
        self.document["databases"] = {"db": {"url": "sqlite:" + self.database}}
        self.document["sources"].update({"db": {"type": "database"}, "archive": {"type": "archive"}})

    def change(self):
        os.unlink(os.path.join(self.files, "goes.txt"))
        self.write("sites/default/files/grows.txt", "much longer")
        same_time = os.stat(os.path.join(self.files, "other bytes.txt"))
        self.write("sites/default/files/other bytes.txt", "so long")
        os.utime(os.path.join(self.files, "other bytes.txt"), ns=(same_time.st_atime_ns, same_time.st_mtime_ns))
        os.chmod(os.path.join(self.files, "mode.txt"), 0o600)
        os.utime(os.path.join(self.files, "stays.txt"), (1, 1))
        os.unlink(os.path.join(self.files, "link"))
        os.symlink("grows.txt", os.path.join(self.files, "link"))
        self.write("sites/default/files/new\nline.txt", "new")
        with contextlib.closing(sqlite3.connect(self.database)) as db, db:
            db.execute("insert into node (title) values ('three')")
            db.execute("update users set title = 'other' where id = 1")
            db.execute("drop table old")
            db.execute("create table fresh (id integer)")
            # Rows that come back in another order are the same rows.
            db.execute("delete from cache")
            db.executemany("insert into cache values (?, ?)", [(2, "two"), (1, "one")])

    def two(self, *arguments):
        first = self.backup(*arguments)
        self.wait_for_the_next_second(first)
        self.change()
        return first, self.backup(*arguments)

    EXPECTED = {
        ("changed", "grows.txt"): (["content"], 5, 11),
        ("changed", "other bytes.txt"): (["content"], 7, 7),
        ("changed", "mode.txt"): (["mode"], 11, 11),
        ("changed", "link"): (["content"], None, None),
        ("removed", "goes.txt"): ([], 4, None),
        ("added", r"new\nline.txt"): ([], None, 3),
    }
    TABLES = {
        ("changed", "node"): (["rows"], 2, 3),
        ("changed", "users"): (["rows"], 2, 2),
        ("removed", "old"): ([], 2, None),
        ("added", "fresh"): ([], None, 0),
    }

    def told(self, *arguments):
        result = self.bam_json("diff", *arguments)
        paths = {(item["change"], item["path"]): (item["what"], item["before"], item["after"])
                 for item in result["changes"] if "path" in item}
        tables = {(item["change"], item["table"]): (item["what"], item["before"], item["after"])
                  for item in result["changes"] if "table" in item}
        return result, paths, tables

    def test_what_changed_is_told(self):
        self.check_what_is_told("default")

    def test_what_changed_is_told_of_encrypted_ones(self):
        self.check_what_is_told("secret")

    def check_what_is_told(self, profile):
        first, second = self.two("archive", "manual", profile)
        result, paths, tables = self.told(str(first["id"]), "latest", "--source", "archive")
        below = {(change, f"docroot/sites/default/files/{path}"): what
                 for (change, path), what in self.EXPECTED.items()}
        self.assertEqual((paths, tables), (below, self.TABLES))
        self.assertEqual((result["from"]["id"], result["to"]["id"]), (first["id"], second["id"]))
        self.assertEqual({key: result["files"][key] for key in ("added", "removed", "changed", "bytes")},
                         {"added": 1, "removed": 1, "changed": 4, "bytes": 11 + 7 + 3})
        self.assertEqual(result["tables"], {"added": 1, "removed": 1, "changed": 2, "same": 1, "bytes": 0})
        self.assertIs(result["other_objects_differ"], False)
        # Backwards it is the other way round.
        _, back, _ = self.told(str(second["id"]), str(first["id"]))
        self.assertEqual({(change, path) for change, path in back if change != "changed"},
                         {("added", "docroot/sites/default/files/goes.txt"),
                          ("removed", r"docroot/sites/default/files/new\nline.txt")})

    def test_nothing_changed_says_so(self):
        made = self.backup("files")
        result, paths, tables = self.told(made["file"], made["file"])
        self.assertEqual((paths, tables, result["tables"], result["other_objects_differ"]), ({}, {}, None, None))
        text = self.bam("diff", made["file"], made["file"]).out
        self.assertRegex(text, r"^Files: 0 added, 0 removed, 0 changed, \d+ the same; 0 B are new.\n$")

    def test_people_read_lines(self):
        first, second = self.two("archive")
        text = self.bam("diff", first["file"], second["file"]).out
        folder = "docroot/sites/default/files/"
        for line in (f"-  {folder}goes.txt  (4 B)", f"M  {folder}grows.txt  (11 B, was 5 B)",
                     f"U  {folder}mode.txt  (mode, 11 B)", rf"+  {folder}new\nline.txt  (3 B)", f"M  {folder}link",
                     "M  table node  (rows, 3 rows, were 2)", "-  table old  (2 rows)", "+  table fresh  (0 rows)"):
            self.assertIn(line + "\n", text)

    def test_what_cannot_be_compared_is_refused(self):
        files, archive = self.backup("files"), self.backup("archive")
        self.assertSays(self.bam("diff", files["file"], archive["file"], expect=2), "nothing to compare")
        with open(archive["path"], "r+b") as file:
            file.seek(-300, os.SEEK_END)
            file.write(b"damaged")
        self.bam("diff", archive["file"], archive["file"], expect=4)
        self.bam("diff", files["file"], "1", expect=1)

    def test_what_was_left_out_is_said(self):
        first = self.backup("files")
        self.document["profiles"]["default"]["sources"] = {"files": {"exclude": ["a", "stays.txt"]}}
        second = self.backup("files")
        told = self.bam("diff", first["file"], second["file"])
        self.assertIn("-  stays.txt", told.out)
        self.assertSays(told, "leave out different paths")

    def test_a_file_is_found_in_the_backups_that_have_it(self):
        first, second = self.two("archive", "manual", "secret")
        self.wait_for_the_next_second(second)
        third = self.backup("files")
        self.backup("db")
        found = self.bam_json("find", "grows.txt")
        states = [(item["path"], item["source"], item["size"], item["count"], item["backups"]) for item in found["found"]]
        self.assertEqual(states, [
            ("grows.txt", "files", 11, 1, [third["id"]]),
            ("sites/default/files/grows.txt", "archive", 11, 1, [second["id"]]),
            ("sites/default/files/grows.txt", "archive", 5, 1, [first["id"]]),
        ])
        self.assertEqual((found["read"], found["without_paths"], found["unread"]), (3, 1, 0))
        stays = self.bam_json("find", "/sites/**/st?ys.*", "--source", "archive")["found"]
        self.assertEqual(len(stays), 2, "its time is another")
        self.assertEqual(self.bam_json("find", "a.b/*", "--source", "archive")["found"][0]["count"], 2)
        self.assertEqual(self.bam_json("find", r"caf\xe9.txt", "--limit", "1")["read"], 1)
        self.assertEqual(len(self.bam_json("find", r"new\nline.txt")["found"]), 2)
        text = self.bam("find", "deep.txt", "--source", "archive")
        self.assertIn(f"in 2 backups, from {first['id']} of ", text.out)
        self.assertIn("Read for this: 2 backups", text.err)
        self.assertSays(self.bam("find", "nothing-like-it", expect=1), "none of 3 backups")
        self.assertSays(self.bam("find", "grows.txt", "--since", "2100-01-01", expect=1), "no backup of files")
        self.bam("find", "grows.txt", "--since", "1d")
        self.bam("find", "grows.txt", "--since", "one day", expect=2)
        self.bam("find", "[", expect=2)
        # What cannot be read is said, and the others are looked into.
        with open(third["path"], "r+b") as file:
            # In its index: no more is read of it.
            file.seek(-300, os.SEEK_END)
            file.write(b"damaged")
        told = self.bam_json("find", "grows.txt", expect=3)
        self.assertEqual((len(told["found"]), told["read"], told["unread"]), (2, 2, 1))

    def test_numbers(self):
        first = self.backup("files")
        self.wait_for_the_next_second(first)
        second = self.backup("files", "manual", "secret")
        database = self.backup("db")
        self.document["destinations"]["same"] = {"type": "directory", "path": self.path("backups")}
        told = self.bam_json("stats")
        sizes = [os.path.getsize(made["path"]) for made in (first, second, database)]
        self.assertEqual((told["backups"], told["bytes"]), (3, sum(sizes)))
        self.assertEqual((told["copies"], told["stored"]), (3, sum(sizes)), "two names of one folder are one copy")
        self.assertEqual({name: (it["backups"], it["bytes"], it["first_size"], it["last_size"])
                          for name, it in told["sources"].items()},
                         {"files": (2, sizes[0] + sizes[1], sizes[0], sizes[1]), "db": (1, sizes[2], sizes[2], sizes[2])})
        self.assertEqual(sum(month["bytes"] for month in told["months"]), sum(sizes))
        self.assertEqual(told["largest"][0]["size"], max(sizes))
        self.assertEqual(self.bam_json("stats", "--source", "db")["backups"], 1)
        self.assertIn("3 backups", self.bam("stats").out)
        self.assertSays(self.bam("stats", "--source", "nothing", expect=2), "nothing")

    @unittest.skipUnless(os.path.exists(sshd.PROGRAM), "not installed: sshd")
    def test_on_a_server_and_encrypted(self):
        server = sshd.Sshd()
        self.addCleanup(server.close)
        self.document["destinations"]["far"] = server.settings
        first, second = self.two("archive", "far", "secret")
        _, paths, tables = self.told(first["file"], second["file"])
        self.assertEqual((len(paths), tables), (len(self.EXPECTED), self.TABLES))
        self.assertEqual(self.bam_json("find", "goes.txt", "--destination", "far")["found"][0]["backups"], [first["id"]])

    def test_memory_does_not_grow_with_the_number_of_files(self):
        peaks = []
        for number in (2_000, 20_000):
            folder = os.path.join(self.files, f"many{number}")
            os.makedirs(folder)
            for name in range(number):
                with open(os.path.join(folder, f"file with a rather long name {name:09}"), "w") as file:
                    file.write(str(name))
            made = self.backup("files")
            for verb in (("diff", made["file"], made["file"]), ("find", "file*", "--limit", "1")):
                process = subprocess.Popen([BAM, "--config", self.write_document(), *verb], stdout=subprocess.DEVNULL,
                                           stderr=subprocess.DEVNULL)
                peaks.append(peak_memory(process))
                self.assertEqual(process.wait(), 0, verb)
        for small, large in zip(peaks[:2], peaks[2:]):
            self.assertLess(large, 64 << 20)
            self.assertLess(large, small + (12 << 20), peaks)


class Dumps(SiteTest):
    """Two dumps of unchanged data are the same bytes; of changed data what changed is told."""

    def connect(self, url, **settings):
        self.document["databases"] = {"db": {"url": url, **settings}}
        self.document["sources"]["db"] = {"type": "database"}
        self.document["profiles"]["plain"] = {"compression": "none", "encryption": "none"}

    def same(self):
        """Two dumps, in different seconds."""
        contents = []
        for _ in range(2):
            made = self.backup("db", "manual", "plain")
            with open(made["path"], "rb") as file:
                contents.append(re.sub(rb"(?m)^\\(un)?restrict .*", b"", file.read()))
            self.wait_for_the_next_second(made)
        if contents[0] != contents[1]:
            lines = [content.split(b"\n") for content in contents]
            other = [pair for pair in zip(*lines) if pair[0] != pair[1]][:3]
            self.fail(f"two dumps of the same data differ: {[len(it) for it in contents]} {other}")
        return made

    @unittest.skipIf(mariadb.missing(), f"not installed: {mariadb.missing()}")
    def test_mariadb(self):
        server = mariadb.server()
        name = "across_" + os.path.basename(self.top).replace("-", "_").lower()
        server.sql(f"create database {name} character set utf8mb4")
        self.addCleanup(server.sql, f"drop database if exists {name}")
        user = pwd.getpwuid(os.geteuid()).pw_name if not server.mysql else "root"
        self.connect(f"mysql://{user}@localhost/{name}", socket=server.socket)
        # Without a key, with one of several columns, with one that is not the order of insertion, and larger than one piece.
        server.sql("""
            create table heap (a int, b varchar(200));
            create table pairs (a int, b int, c text, primary key (a, b));
            create table words (w varchar(64) primary key, n int auto_increment unique);
            create table large (id int primary key, body longtext);
            create table mine (id int primary key, t text) engine=MyISAM;
            insert into heap select seq % 7, repeat(char(65 + seq % 26), seq % 150) from seq_1_to_4000;
            insert into pairs select seq % 13, seq, seq from seq_1_to_4000;
            insert into words (w) select md5(seq) from seq_1_to_4000;
            insert into large select seq, repeat(md5(seq), 2000) from seq_1_to_300;
            insert into mine select seq, seq from seq_1_to_1000;
            create view v as select a from pairs;
            create trigger t before insert on pairs for each row set new.c = 'x';
            """, name)
        first = self.same()
        # What comes and goes leaves the counter behind, and is no change.
        server.sql("insert into words (w) values ('later'); delete from words where w = 'later'", name)
        second = self.backup("db", "manual", "plain")
        self.assertEqual(self.bam_json("diff", first["file"], second["file"])["changes"], [])
        server.sql("update pairs set c = 'other' where a = 1 and b = 1; delete from heap where a = 3; drop trigger t; "
                   "alter table large add column more int", name)
        third = self.backup("db", "manual", "default")
        told = self.bam_json("diff", second["file"], third["file"])
        self.assertEqual({(item["table"], *item["what"]) for item in told["changes"]},
                         {("pairs", "rows"), ("heap", "rows"), ("large", "rows", "definition")})
        self.assertIs(told["other_objects_differ"], True)

    @unittest.skipIf(postgres.missing(), f"not installed: {postgres.missing()}")
    def test_postgresql(self):
        server = postgres.server()
        name = "across_" + os.path.basename(self.top).replace("-", "_").lower()
        server.sql(f"create role {name} login password 'secret'; create database {name} owner {name}")
        self.addCleanup(server.sql, f"drop database if exists {name} with (force);\ndrop role {name};")
        sql = lambda text: server.sql(text, name, name, "secret")
        sql(SCHEMA)
        self.connect(f"pgsql://{name}:secret@localhost/{name}", socket=server.top)
        first = self.same()
        sql("select nextval('alone')")
        second = self.backup("db", "manual", "plain")
        self.assertEqual(self.bam_json("diff", first["file"], second["file"])["changes"], [])
        sql("update node set title = 'other' where nid = 1; delete from moods; create table later (id int); "
            "alter table sessions add x int; drop view titles")
        third = self.backup("db", "manual", "default")
        told = self.bam_json("diff", second["file"], third["file"])
        self.assertEqual({(item["change"], item["table"], *item["what"]) for item in told["changes"]},
                         {("changed", "node", "rows"), ("changed", "moods", "rows"), ("added", "later"),
                          ("changed", "sessions", "rows", "definition")})
        self.assertIs(told["other_objects_differ"], True)

    def test_sqlite(self):
        path = self.path("site.sqlite")
        with contextlib.closing(sqlite3.connect(path)) as db, db:
            db.execute("create table node (id integer primary key, title text)")
            db.executemany("insert into node (title) values (?)", [(str(n),) for n in range(5000)])
        self.connect("sqlite:" + path)
        self.same()


if __name__ == "__main__":
    unittest.main()
