"""Looking into backups, restoring a part of one, and telling before what a restore would do."""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import time
import unittest

from bamtest import SiteTest, digest, run, tree
from mariadb import missing, server, state

LATIN1 = b"caf\xe9.txt"


class Part(SiteTest):
    def setUp(self):
        super().setUp()
        self.write("index.php", "<?php // as it was\n")
        self.write("sites/default/settings.php", "<?php // this machine\n")
        self.write("sites/default/files/field/one.jpg", "one", mode=0o640)
        self.write("sites/default/files/field/deep/two.jpg", "two")
        self.write("sites/default/files/logo.png", b"\x89PNG" + os.urandom(100_000))
        os.link(os.path.join(self.files, "logo.png"), os.path.join(self.files, "second-name.png"))
        os.symlink("logo.png", os.path.join(self.files, "link"))
        self.write(os.fsdecode(b"sites/default/files/" + LATIN1), "latin")
        with open(os.path.join(self.files, "holes"), "wb") as file:
            file.write(b"begin")
            file.seek(5 << 20)
            file.write(b"end")
        # As Drupal 7 sites often have it: the private files below the public ones.
        self.write("sites/default/files/private/minutes.txt", "private")
        self.database = self.path("site.sqlite")
        with contextlib.closing(sqlite3.connect(self.database)) as db, db:
            for table in ("node", "node_revision", "users"):
                db.execute(f"create table {table} (id integer, title text)")
                db.executemany(f"insert into {table} values (?, 'old')", [(1,), (2,)])
        self.document["site"]["private_path"] = "sites/default/files/private"
        self.document["databases"] = {"db": {"url": "sqlite:" + self.database}}
        self.document["sources"].update({"db": {"type": "database"}, "archive": {"type": "archive"}})

    def change(self):
        """Everything is other than in the backup."""
        for name in ("index.php", "sites/default/settings.php", "sites/default/files/field/one.jpg",
                     "sites/default/files/private/minutes.txt", "sites/default/files/field/later.jpg"):
            self.write(name, "changed since")
        os.unlink(self.path("site/sites/default/files/second-name.png"))
        shutil.rmtree(self.path("site/sites/default/files/field/deep"))
        with contextlib.closing(sqlite3.connect(self.database)) as db, db:
            for table in ("node", "node_revision", "users"):
                db.execute(f"update {table} set title = 'changed'")
            db.execute("create table later (id integer)")

    def titles(self):
        with contextlib.closing(sqlite3.connect(self.database)) as db:
            return {table: db.execute(f"select distinct title from {table}").fetchone()[0]
                    for table in ("node", "node_revision", "users")}

    def site(self):
        """All there is, by path: to see what a restore touched."""
        return tree(self.root)

    def differences(self, before, after, besides=()):
        """Paths that are not what they were; of folders the time is not looked at."""
        def plain(what):
            return {path: {key: value for key, value in facts.items()
                           if not (key == "mtime" and facts["mode"].startswith("d"))} for path, facts in what.items()}
        before, after = plain(before), plain(after)
        return sorted(os.fsdecode(path) for path in before.keys() | after.keys() if before.get(path) != after.get(path))

    def test_ls_and_cat_of_every_kind(self):
        for profile in ("default", "secret"):
            with self.subTest(profile):
                made = self.backup("archive", "manual", profile)
                said = self.bam("ls", str(made["id"])).out.splitlines()
                self.assertTrue(any(line.startswith("-rw-r-----") and line.endswith(" docroot/sites/default/files/field/one.jpg")
                                    for line in said), said)
                self.assertTrue(any(line.endswith("files/link -> logo.png") for line in said), said)
                listed = [entry["path"] for entry in self.bam_json("ls", str(made["id"]))["entries"]]
                if profile == "default":
                    shown = run("tar", "tf", made["path"]).decode().replace("\\351", "\\xe9").splitlines()
                    self.assertEqual(listed, [path.rstrip("/") for path in shown])
                few = self.bam_json("ls", str(made["id"]), "sites/default/files/field/")
                self.assertEqual([entry["path"].rsplit("files/")[-1] for entry in few["entries"] if entry["type"] == "file"],
                                 ["field/deep/two.jpg", "field/one.jpg"])
                for path in ("logo.png", "second-name.png", "holes", LATIN1):
                    path = os.fsdecode(path)
                    got = self.bam("cat", str(made["id"]), "sites/default/files/" + path)
                    with open(os.path.join(self.files, path), "rb") as file:
                        self.assertEqual(got.raw, file.read(), path)
                self.assertIn("docroot", self.bam("cat", "latest", "MANIFEST.ini").out)
                tables = self.bam_json("ls", "latest", "--tables")["entries"]
                self.assertEqual([(table["name"], table["rows"]) for table in tables],
                                 [("node", 2), ("node_revision", 2), ("users", 2)])
                dumped = self.backup("db", "manual", profile)
                with open(self.path("copy.sqlite"), "wb") as file:
                    file.write(self.bam("cat", str(dumped["id"])).raw)
                with contextlib.closing(sqlite3.connect(self.path("copy.sqlite"))) as db:
                    self.assertEqual(db.execute("select count(*) from users").fetchone(), (2,))
                self.assertEqual(len(self.bam_json("ls", str(dumped["id"]))["entries"]), 3)
                for path, words in (("sites/default/files", "a folder"), ("sites/default/files/link", "logo.png"),
                                    ("nowhere", "holds no nowhere")):
                    self.assertSays(self.bam("cat", str(made["id"]), path, expect=None), words)
        files = self.backup("files")
        self.assertEqual(self.bam("cat", "--file", files["path"], "field/one.jpg", config=False).out, "one")

    def test_nothing_is_shown_of_a_damaged_backup(self):
        # Both are of what is looked at first: the sum of a gzip file; of the index the last block that is no mere padding.
        for profile, place in (("secret", -24), ("default", -8)):
            made = self.backup("files", "manual", profile)
            with open(made["path"], "r+b") as file:
                file.seek(place, os.SEEK_END)
                byte = file.read(1)
                file.seek(-1, os.SEEK_CUR)
                file.write(bytes([byte[0] ^ 1]))
            for verb in (("ls", made["path"]), ("cat", made["path"], "field/one.jpg")):
                said = self.bam(verb[0], "--file", *verb[1:], expect=4)
                self.assertEqual(said.raw, b"")
            # Without its sidecar a file is read to its end first.
            os.unlink(made["path"] + ".info")
            said = self.bam("cat", "--unauthenticated", "--file", made["path"], "field/one.jpg", expect=4)
            self.assertEqual(said.raw, b"")

    def test_single_paths_come_back_and_nothing_else_is_touched(self):
        for profile in ("default", "secret"):
            self.tearDown()
            with self.subTest(profile):
                made = self.backup("archive", "manual", profile)
                old = self.site()
                self.change()
                before = self.site()
                self.bam("restore", str(made["id"]), "--path", "sites/default/files/field/one.jpg", "--yes")
                self.assertEqual(self.differences(before, self.site()), ["sites/default/files/field/one.jpg"])
                self.assertEqual(self.site()[b"sites/default/files/field/one.jpg"], old[b"sites/default/files/field/one.jpg"])

                before = self.site()
                self.bam("restore", str(made["id"]), "--path", "docroot/sites/default/files/field/deep/",
                         "--path", self.files + "/second-name.png", "--path", "sites/default/files/private", "--yes")
                self.assertEqual(self.differences(before, self.site()),
                                 ["sites/default/files/field/deep", "sites/default/files/field/deep/two.jpg",
                                  "sites/default/files/private/minutes.txt", "sites/default/files/second-name.png"])
                with open(os.path.join(self.files, "second-name.png"), "rb") as one, \
                        open(os.path.join(self.files, "logo.png"), "rb") as other:
                    self.assertEqual(one.read(), other.read())

                before = self.site()
                self.bam("restore", str(made["id"]), "--path", "sites/default/files/field", "--yes")
                self.assertEqual(self.differences(before, self.site()), ["sites/default/files/field/later.jpg"])
                before = self.site()
                self.bam("restore", str(made["id"]), "--path", "index.php", "--yes")
                self.assertEqual(self.differences(before, self.site()), ["index.php"])
                self.assertEqual(set(self.titles().values()), {"changed"})
                # As it was, for the second turn.
                self.bam("restore", str(made["id"]), "--yes", "--code")
                self.write("sites/default/settings.php", "<?php // this machine\n")

    def test_settings_php_is_never_replaced_unasked(self):
        made = self.backup("archive")
        # Backups of ours leave it out; those of others may not.
        opened = self.path("opened")
        os.mkdir(opened)
        run("tar", "xf", made["path"], "-C", opened)
        with open(opened + "/docroot/sites/default/settings.php", "w") as file:
            file.write("<?php // of the backup\n")
        theirs = self.path("theirs.sitearchive.tar.gz")
        run("tar", "czf", theirs, "-C", opened, *sorted(os.listdir(opened)))
        live = self.path("site/sites/default/settings.php")
        said = self.bam("restore", "--file", theirs, "--unauthenticated", "--path", "sites/default/settings.php", "--yes", expect=2)
        self.assertSays(said, "--settings")
        self.write("sites/default/settings.local.php", "<?php // this machine\n")
        said = self.bam("restore", "--file", theirs, "--unauthenticated", "--path", "sites/default/settings.local.php", "--yes", expect=2)
        self.assertSays(said, "settings.local.php", "--settings")
        self.bam("restore", "--file", theirs, "--unauthenticated", "--path", "sites/default", "--yes")
        self.bam("restore", "--file", theirs, "--unauthenticated", "--code", "--yes")
        with open(live) as file:
            self.assertIn("this machine", file.read())
        self.bam("restore", "--file", theirs, "--unauthenticated", "--path", "sites/default/settings.php", "--settings", "--yes")
        with open(live) as file:
            self.assertIn("of the backup", file.read())

    def test_single_tables(self):
        made = self.backup("archive")
        self.change()
        before = self.site()
        self.assertSays(self.bam("restore", str(made["id"]), "--table", "node,node_rev*", "--yes"), "look at the site afterwards")
        self.assertEqual(self.titles(), {"node": "old", "node_revision": "old", "users": "changed"})
        self.assertEqual(self.differences(before, self.site()), [])
        said = self.bam("restore", str(made["id"]), "--table", "users,nodes", "--yes", expect=1)
        self.assertSays(said, "no table nodes")
        self.assertEqual(self.titles()["users"], "changed")
        with contextlib.closing(sqlite3.connect(self.database)) as db:
            db.execute("select * from later")

    def test_killed_at_any_moment_all_paths_are_old_or_all_are_new(self):
        # Whole, so that both states of the site are known.
        made = self.backup("archive", "manual", "secret")
        paths = ["index.php", "sites/default/files/field", "sites/default/files/private/minutes.txt",
                 "sites/default/files/second-name.png"]
        arguments = ["restore", str(made["id"]), "--yes", *(word for path in paths for word in ("--path", path))]
        new = self.site()
        self.change()
        aside = self.path("aside")
        shutil.copytree(self.root, aside, symlinks=True)
        old = self.site()
        started = time.monotonic()
        self.bam(*arguments)
        whole = time.monotonic() - started
        restored = self.site()
        # The second name is a file of its own now.
        self.assertEqual(self.differences(new, restored), ["sites/default/files/logo.png",
                         "sites/default/files/second-name.png", "sites/default/settings.php"])
        outcomes = []
        for turn in range(30):
            run("rsync", "-a", "--delete", aside + "/", self.root + "/")
            process = self.start(*arguments)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(whole * turn / 25)
            process.kill()
            process.wait()
            self.bam("recover")
            now = self.site()
            outcomes.append(not self.differences(restored, now))
            if not outcomes[-1]:
                self.assertEqual(self.differences(old, now), [], f"turn {turn}")
        self.assertIn(False, outcomes)

    def test_what_is_not_in_the_backup_changes_nothing(self):
        made = self.backup("archive")
        self.change()
        before = self.site()
        said = self.bam("restore", str(made["id"]), "--path", "index.php", "--path", "nowhere/at/all", "--yes", expect=1)
        self.assertSays(said, "nowhere/at/all")
        self.assertEqual(self.differences(before, self.site()), [])
        self.assertFalse(os.path.exists(self.path("site/nowhere")))
        files, database = self.backup("files"), self.backup("db")
        self.assertSays(self.bam("restore", str(files["id"]), "--table", "node", "--yes", expect=2), "no database")
        self.assertSays(self.bam("restore", str(database["id"]), "--path", "x", "--yes", expect=2), "no files")
        self.assertSays(self.bam("restore", str(files["id"]), "--path", "sites/default/files", "--yes", expect=2), "all of it")

    def test_single_tables_do_not_go_into_a_database_that_cannot_be_read(self):
        made = self.backup("archive")
        with open(self.database, "r+b") as file:
            file.write(b"no header any more")
        before = digest(self.database)
        refused = self.bam("restore", str(made["id"]), "--table", "node", "--yes", expect=1)
        self.assertSays(refused, self.database, "restore all of the database")
        self.assertEqual(digest(self.database), before)
        self.bam("restore", str(made["id"]), "--yes")
        self.assertTrue(self.titles())

    def test_paths_of_a_files_backup(self):
        made = self.backup("files")
        self.change()
        self.bam("restore", str(made["id"]), "--path", "field/one.jpg", "--path", "sites/default/files/field/deep", "--yes")
        with open(os.path.join(self.files, "field/one.jpg")) as file:
            self.assertEqual(file.read(), "one")
        self.assertTrue(os.path.exists(os.path.join(self.files, "field/deep/two.jpg")))
        self.assertTrue(os.path.exists(os.path.join(self.files, "field/later.jpg")))

    def test_a_dry_run_tells_and_changes_nothing(self):
        made = self.backup("archive")
        self.change()
        before, titles = self.site(), self.titles()
        plan = self.bam_json("restore", str(made["id"]), "--dry-run")
        files, tables = plan["files"], plan["tables"]
        self.assertEqual((plan["dry_run"], files["added"]["count"], files["replaced"]["count"], files["lost"]["count"]),
                         (True, 2, 2, 1), plan)
        self.assertEqual(files["lost"]["first"], [self.files + "/field/later.jpg"])
        self.assertEqual([(table["name"], table["rows"], table["live_rows"]) for table in tables["replaced"]],
                         [("node", 2, 2), ("node_revision", 2, 2), ("users", 2, 2)])
        self.assertEqual([(table["name"], table["live_rows"]) for table in tables["lost"]], [("later", 0)])
        said = self.bam("restore", str(made["id"]), "--dry-run", "--code").out
        self.assertIn("index.php", said)
        self.assertNotIn("settings.php", said)
        self.assertIn("Nothing was changed", said)
        part = self.bam_json("restore", str(made["id"]), "--dry-run", "--path", "sites/default/files/field")
        self.assertEqual((part["files"]["replaced"]["count"], part["files"]["lost"]["count"], part["tables"]), (1, 1, None))
        part = self.bam_json("restore", str(made["id"]), "--dry-run", "--table", "users")
        self.assertEqual(([table["name"] for table in part["tables"]["replaced"]], part["tables"]["lost"], part["files"]),
                         (["users"], [], None))
        self.assertEqual((self.site(), self.titles()), (before, titles))
        # And what was told happens.
        self.bam("restore", str(made["id"]), "--yes")
        after = self.bam_json("restore", str(made["id"]), "--dry-run")
        self.assertEqual([after["files"][group]["count"] for group in ("added", "replaced", "lost")], [0, 0, 0])

    def test_a_link_to_a_folder_is_not_replaced_by_a_folder(self):
        made = self.backup("archive")
        shutil.rmtree(self.files + "/field")
        os.symlink("private", self.files + "/field")
        before = self.site()
        for more in (["--dry-run"], ["--yes"]):
            with self.subTest(more):
                said = self.bam("restore", str(made["id"]), "--path", "sites/default/files/field", *more, expect=2)
                self.assertSays(said, "a symbolic link to one here")
        self.assertEqual(self.differences(before, self.site()), [])

    def test_nothing_is_put_below_a_link_to_nothing_or_a_file(self):
        made = self.backup("archive")
        shutil.rmtree(self.files)
        wanted = ["restore", str(made["id"]), "--path", "sites/default/files/field/one.jpg"]
        os.symlink(self.path("unmounted"), self.files)
        for more in (["--dry-run"], ["--yes"]):
            self.assertSays(self.bam(*wanted, *more, expect=1), self.files, "is a link to " + self.path("unmounted"),
                            "where nothing is", "mount what it leads to")
        os.unlink(self.files)
        self.write("sites/default/files", "a file")
        before = self.site()
        for more in (["--dry-run"], ["--yes"]):
            self.assertSays(self.bam(*wanted, *more, expect=1), self.files + " is no folder", "move it away")
        self.assertEqual(self.differences(before, self.site()), [])

    def test_private_files_below_the_public_ones_come_back_with_them(self):
        made = self.backup("archive")
        old = self.site()
        self.change()
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual(self.differences(old, self.site()), ["index.php", "sites/default/settings.php"])


@unittest.skipIf(missing(), "mariadbd is not installed")
class Tables(SiteTest):
    def setUp(self):
        super().setUp()
        self.server = server()
        self.name = f"bam_{os.path.basename(self.top).replace('-', '_').lower()}"
        self.server.sql(f"create database {self.name} character set utf8mb4")
        self.addCleanup(self.server.sql, f"drop database {self.name}")
        self.server.sql(
            "create table p_node (nid int primary key, title text, x blob); "
            "insert into p_node values (1, 'it''s (1),(2) `p_users` 😀', unhex('00275c28')), (2, 'REFERENCES `p_x`', null); "
            "create table p_users (uid int primary key, nid int, constraint fk foreign key (nid) references p_node (nid)); "
            "insert into p_users values (1, 1), (2, null), (3, 2); create table other (a int)", self.name)
        self.document["databases"] = {"db": {"url": f"mysql://root@localhost/{self.name}", "prefix": "p_",
                                             "socket": self.server.socket}}
        self.document["sources"]["db"] = {"type": "database"}
        self.write("sites/default/files/a", "a")

    def test_rows_are_counted_as_they_are(self):
        made = self.backup("db")
        tables = self.bam_json("ls", str(made["id"]))["entries"]
        self.assertEqual([(table["name"], table["rows"]) for table in tables], [("other", 0), ("p_node", 2), ("p_users", 3)])
        self.assertIn("CREATE TABLE `p_node`", self.bam("cat", str(made["id"])).out)

    def test_one_table_comes_back_alone(self):
        made = self.backup("db")
        before = state(self.name)
        self.server.sql("set foreign_key_checks=0; alter table p_users drop foreign key fk; delete from p_node; "
                        "delete from p_users; insert into other values (5)", self.name)
        plan = self.bam_json("restore", str(made["id"]), "--dry-run")
        self.assertEqual([(table["name"], table["rows"], table["live_rows"]) for table in plan["tables"]["replaced"]],
                         [("other", 0, 1), ("p_node", 2, 0), ("p_users", 3, 0)])
        self.bam("restore", str(made["id"]), "--table", "node", "--yes")
        after = state(self.name)
        self.assertEqual(after["p_node"], before["p_node"])
        self.assertEqual(self.server.sql("select count(*) from p_users; select a from other", self.name).split(), ["0", "5"])

    def test_a_table_that_comes_back_alone_refers_to_those_that_stay(self):
        self.server.sql("create table p_own (id int primary key, up int, uid int, constraint up foreign key (up) references p_own (id), "
                        "constraint who foreign key (uid) references p_users (uid) on delete cascade); insert into p_own values (1, 1, 3)",
                        self.name)
        made = self.backup("db")
        shown = lambda: [self.server.sql(f"show create table {table}", self.name) for table in ("p_users", "p_own")]
        before = shown()
        self.server.sql("update p_own set up = null; delete from p_own; delete from p_users", self.name)
        self.bam("restore", str(made["id"]), "--table", "users,own", "--yes")
        self.assertEqual(shown(), before)
        self.server.sql("update p_own set up = null; delete from p_own", self.name)
        self.bam("restore", str(made["id"]), "--table", "own", "--yes")
        self.assertEqual(shown(), before)
        self.server.sql("insert into p_own values (2, 1, 1); delete from p_users where uid = 1", self.name)
        self.assertEqual(self.server.sql("select id from p_own", self.name).split(), ["1"], "the cascade goes on")

    def test_a_table_whose_key_fits_no_more_is_not_restored_alone(self):
        made = self.backup("db")
        before = self.server.sql("show create table p_users", self.name)
        self.server.sql("alter table p_users drop foreign key fk; alter table p_node modify nid bigint", self.name)
        result = self.bam("restore", str(made["id"]), "--table", "users", "--yes", expect=1)
        self.assertSays(result, "p_users", "fk", "p_node", "restore the two together")
        self.bam("restore", str(made["id"]), "--table", "users,node", "--yes")
        self.assertEqual(self.server.sql("show create table p_users", self.name), before)

    def test_a_site_with_another_prefix_gets_its_tables_by_its_own(self):
        made = self.backup("db")
        rows = self.server.sql("select title, hex(x) from p_node", self.name)
        for prefix in ("new_", ""):
            with self.subTest(prefix):
                copy = f"{self.name}_{prefix or 'bare'}"
                self.server.sql(f"create database {copy}")
                self.addCleanup(self.server.sql, f"drop database {copy}")
                self.document["databases"]["db"].update(url=f"mysql://root@localhost/{copy}", prefix=prefix)
                said = self.bam("restore", str(made["id"]), "--yes")
                self.assertSays(said, "prefix")
                self.assertEqual(self.server.sql("show tables", copy).split(), sorted([prefix + "node", "other", prefix + "users"]))
                self.assertEqual(self.server.sql(f"select title, hex(x) from {prefix}node", copy), rows)
                self.assertIn(f"REFERENCES `{prefix}node`", self.server.sql(f"show create table {prefix}users", copy))
        # What names tables in text of its own is not guessed at.
        self.document["databases"]["db"].update(url=f"mysql://root@localhost/{self.name}", prefix="p_")
        self.server.sql("create view p_titles as select title from p_node", self.name)
        made = self.backup("db")
        copy = self.name + "_bare"
        before = state(copy)
        self.document["databases"]["db"].update(url=f"mysql://root@localhost/{copy}", prefix="")
        self.assertSays(self.bam("restore", str(made["id"]), "--yes", expect=1), "p_titles", "--into-database")
        self.assertEqual(state(copy), before)

    def test_a_dump_that_does_not_tell_its_prefix_is_warned_of(self):
        sql = "".join(f"CREATE TABLE d_{table} (a int);\n" for table in ("system", "users", "variable"))
        with open(self.path("old.mysql"), "w") as file:
            file.write(sql)
        said = self.bam("restore", "--file", self.path("old.mysql"), "--source", "db", "--unauthenticated", "--yes")
        self.assertSays(said, 'prefix "d_"', 'say "p_"')

    def test_another_kind_of_database_is_refused(self):
        made = self.backup("db")
        self.document["databases"]["db"] = {"url": "sqlite:" + self.path("x.sqlite")}
        self.assertSays(self.bam("restore", str(made["id"]), "--yes", expect=2), "MySQL", "SQLite")


if __name__ == "__main__":
    unittest.main()
