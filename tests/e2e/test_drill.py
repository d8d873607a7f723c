"""`bam drill`: what it restores is what was backed up, the site stays untouched, and nothing is left behind."""

import os
import shutil
import sqlite3
import unittest

from bamtest import TOP, SiteTest, tree
from mariadb import missing, server, state


class DrillTest(SiteTest):
    def setUp(self):
        super().setUp()
        self.write("index.php", "<?php\n")
        self.write("sites/default/files/page.html", "<p>secret</p>" * 1000)
        self.write("sites/default/files/noise", os.urandom(300_000))
        self.write("sites/default/files/empty")
        os.symlink("page.html", os.path.join(self.files, "link"))
        os.link(os.path.join(self.files, "noise"), os.path.join(self.files, "twin"))
        self.document["sources"]["archive"] = {"type": "archive"}

    def left_behind(self):
        """What a drill must not leave."""
        drill = self.path("state/drill")
        return [name for name in os.listdir(drill) if name != "lock"]

    def drills(self, *arguments):
        return {drill["source"]: drill for drill in self.bam_json("drill", *arguments)["drills"]}


class Files(DrillTest):
    def setUp(self):
        super().setUp()
        del self.document["sources"]["archive"]

    def test_a_good_backup_passes_and_the_status_says_so(self):
        made = self.backup("files", "manual", "secret")
        before = tree(self.root)
        told = self.drills()["files"]
        self.assertEqual((told["id"], told["ok"], told["files"], told["differences"]), (made["id"], True, 3, []))
        self.assertEqual(told["bytes"], 300_000 + 13 * 1000)
        self.assertEqual((tree(self.root), self.left_behind()), (before, []))
        self.bam("verify")
        self.assertEqual(self.bam_json("status")["drills"]["files"]["id"], made["id"])
        self.assertIn(f"restored {made['id']} whole", self.bam("status").out)
        self.assertIn("3 files", self.bam("drill", "latest").out)

    def test_a_count_that_does_not_fit_what_was_recorded_fails(self):
        # With a key the MAC would show it before.
        del self.document["encryption"]
        made = self.backup("files")
        with open(made["path"] + ".info") as file:
            text = file.read()
        self.assertIn('bam_files = "3"', text)
        with open(made["path"] + ".info", "w") as file:
            file.write(text.replace('bam_files = "3"', 'bam_files = "4"'))
        result = self.bam("drill", expect=4)
        self.assertSays(result, "3 files instead of the 4")
        self.assertEqual(self.left_behind(), [])
        status = self.bam("status", expect=3)
        self.assertSays(status, "drill failed", "3 files instead of the 4")

    def test_a_damaged_copy_is_passed_over_while_there_is_another(self):
        self.document["destinations"]["second"] = {"type": "directory", "path": self.path("second")}
        made = self.backup("files", "manual,second", "secret")
        with open(made["path"], "r+b") as file:
            file.truncate(1000)
        self.assertTrue(self.drills()["files"]["ok"])
        self.bam("drill", "--destination", "manual", expect=4)

    def test_the_copy_that_was_drilled_counts_as_verified(self):
        self.document["policy"] = {"verify_every": "30d"}
        self.document["destinations"]["second"] = {"type": "directory", "path": self.path("second")}
        self.backup("files", "manual,second", "secret")
        self.assertSays(self.bam("status", expect=3), "ever verified")
        self.bam("drill", "--destination", "second")
        copies = self.bam_json("backups")["backups"][0]["copies"]
        self.assertEqual({copy["destination"]: copy["verified"] is not None for copy in copies},
                         {"manual": False, "second": True})
        self.bam("status")

    def test_the_policy_has_it_done(self):
        self.backup("files")
        self.document["policy"] = {"verify_every": "30d"}
        self.bam("verify")
        self.bam("run")
        first = self.bam_json("status")["drills"]["files"]
        self.assertTrue(first["ok"])
        self.bam("run")
        self.assertEqual(self.bam_json("status")["drills"]["files"], first)

    def test_killed_it_is_cleared_away_by_the_next(self):
        self.write("sites/default/files/big", os.urandom(20 << 20))
        self.backup("files")
        before = tree(self.root)

        def restoring():
            try:
                return any(name != "lock" for name in os.listdir(self.path("state/drill/restore")))
            except FileNotFoundError:
                return False

        process = self.start("drill")
        self.wait(restoring, process)
        process.kill()
        process.communicate()
        self.assertNotEqual(self.left_behind(), [])
        self.assertTrue(self.drills()["files"]["ok"])
        self.assertEqual((tree(self.root), self.left_behind()), (before, []))


class Sqlite(DrillTest):
    def test_database_and_whole_site(self):
        path = self.path("site/sites/default/files/.ht.sqlite")
        with sqlite3.connect(path) as database:
            database.execute("create table node (nid integer primary key, title text)")
            database.executemany("insert into node values (?, ?)", [(at, "x" * at) for at in range(500)])
        database.close()
        self.document["databases"] = {"db": {"url": "sqlite:" + path}}
        self.document["sources"]["db"] = {"type": "database"}
        self.backup("db", "manual", "secret")
        self.backup("archive", "manual", "secret")
        before = tree(self.root)
        told = self.drills()
        for source in ("db", "archive"):
            self.assertEqual((told[source]["ok"], told[source]["rows"]), (True, 500), told)
        self.assertEqual((tree(self.root), self.left_behind()), (before, []))


@unittest.skipIf(missing(), "mariadbd is not installed")
class MariaDb(DrillTest):
    def setUp(self):
        super().setUp()
        self.name = "bam_" + os.path.basename(self.top).replace("-", "_").lower()
        self.server = server()
        self.server.sql(f"create database `{self.name}` character set utf8mb4; "
                        f"create user '{self.name}'@localhost identified by 'p/w'; "
                        f"grant all on `{self.name}`.* to '{self.name}'@localhost; "
                        f"grant all on `{self.name}\\_%`.* to '{self.name}'@localhost;")
        self.addCleanup(self.server.sql, f"drop database if exists `{self.name}`; drop user '{self.name}'@localhost")
        self.document["databases"] = {
            "db": {"url": f"mysql://{self.name}:p%2Fw@localhost/{self.name}", "socket": self.server.socket}}
        self.document["sources"]["db"] = {"type": "database"}
        with open(os.path.join(TOP, "tests/e2e/every_type.sql")) as file:
            self.server.sql(file.read(), self.name, self.name, "p/w")

    def databases(self):
        return [name for name in self.server.sql("show databases").split() if name.startswith(self.name)]

    def test_every_row_of_every_type_is_compared(self):
        self.backup("db", "manual", "secret")
        self.backup("archive", "manual", "secret")
        before = tree(self.root), state(self.name)
        told = self.drills()
        tables = [line for line in self.server.sql("show full tables", self.name).splitlines() if "BASE" in line]
        rows = sum(int(self.server.sql(f"select count(*) from `{line.split(chr(9))[0]}`", self.name)) for line in tables)
        for source in ("db", "archive"):
            drill = told[source]
            self.assertEqual((drill["ok"], drill["rows_compared"], drill["rows"]), (True, True, rows), drill)
            self.assertGreaterEqual(drill["tables"], len(tables))
        self.assertEqual(told["archive"]["files"], 4)
        self.assertEqual((tree(self.root), state(self.name)), before)
        self.assertEqual((self.databases(), self.left_behind()), ([self.name], []))

    def test_backup_and_migrates_files_are_drilled_too(self):
        place, fixtures = self.destination(), os.path.join(TOP, "tests/fixtures/backup_migrate")
        os.makedirs(place)
        for name in os.listdir(fixtures):
            if not name.startswith("mcrypt"):
                shutil.copy(os.path.join(fixtures, name), place)
        self.document["encryption"]["aes_module"] = {"implementation": "phpseclib",
                                                     "key": "LegacyKey-PECE-2016-abcdefghijkl"}
        self.document["sources"]["pece_bkp"] = {"type": "files", "path": "sites/default/files"}
        self.assertSays(self.bam("drill", expect=4), "no MAC", "--unauthenticated")
        told = self.drills("--unauthenticated")
        self.assertEqual(sorted(told), ["archive", "db", "pece_bkp"])
        for drill in told.values():
            self.assertTrue(drill["ok"], drill)
        self.assertGreater(told["db"]["rows"], 100)
        self.assertEqual(self.databases(), [self.name])

    def test_a_database_that_no_drill_made_is_left_alone(self):
        self.backup("db")
        theirs = self.name + "_bam_drill"
        self.server.sql(f"create database `{theirs}`; create table `{theirs}`.precious (a int)")
        self.addCleanup(self.server.sql, f"drop database if exists `{theirs}`")
        self.assertSays(self.bam("drill", expect=3), theirs, "not empty")
        self.assertEqual(self.server.sql("show tables", theirs).split(), ["precious"])

    def test_killed_while_it_loads_it_is_cleared_away_by_the_next(self):
        self.server.sql("create table many (a int primary key, b text); "
                        "insert into many select seq, sha2(seq, 512) from seq_1_to_200000", self.name)
        self.backup("db")
        before = state(self.name)
        process = self.start("drill")
        self.wait(lambda: len(self.databases()) > 1, process)
        process.kill()
        process.communicate()
        # Its client ends when it notices.
        self.wait(lambda: not self.server.sql("select 1 from information_schema.processlist "
                                              f"where user = '{self.name}'").strip())
        self.assertTrue(self.drills()["db"]["ok"])
        self.assertEqual((state(self.name), self.databases(), self.left_behind()), (before, [self.name], []))

    def test_without_the_right_to_make_one_it_says_what_is_missing(self):
        self.server.sql(f"revoke all on `{self.name}\\_%`.* from '{self.name}'@localhost")
        self.backup("db")
        result = self.bam("drill", expect=1)
        self.assertSays(result, self.name + "_bam_drill")
        self.assertEqual(self.left_behind(), [])


if __name__ == "__main__":
    unittest.main()
