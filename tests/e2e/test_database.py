"""Databases through `bam backup` and `bam restore`: a real MariaDB, and SQLite."""

import contextlib
import gzip
import io
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import tarfile
import unittest

from bamtest import TOP, SiteTest
from mariadb import missing, server, state

# Everything that quoting can get wrong, in a client's option file or a URL.
PASSWORD = "p@ss'w\"ör#d\\1 %/:?"
AS_BEFORE = "Everything is as it was before the restore"
URL_PASSWORD = "p%40ss'w%22%C3%B6r%23d%5C1%20%25%2F%3A%3F"


@unittest.skipIf(missing(), "mariadbd is not installed")
def nothing_in_it(test, source="db"):
    """A backup of a database without tables is made, is told, and counts as what lacks something."""
    said = test.bam("--json", "backup", source, expect=3)
    made = json.loads(said.out)
    test.assertEqual([note["kind"] for note in made["notes"] if "holds no tables" in note["text"]], ["missing"], said)
    (listed,) = [backup for backup in test.bam_json("backups")["backups"] if backup["id"] == made["id"]]
    test.assertTrue(listed["incomplete"])
    test.assertIn("lacks something", test.bam("status", expect=3).err)
    checked = test.finish(test.start("--json", "config", "check"))
    (found,) = [one for one in json.loads(checked.out)["looked"] if one["area"] == "database" and one["state"] in ("good", "missing")]
    test.assertEqual(found["state"], "missing", found)
    test.assertIn("holds no tables", found["text"])
    test.wait_for_the_next_second(made)


class MariaDb(SiteTest):
    def setUp(self):
        super().setUp()
        self.name = "bam_" + os.path.basename(self.top).replace("-", "_").lower()
        self.server = server()
        quoted = PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
        self.server.sql(f"create database `{self.name}` character set utf8mb4; "
                        f"create user '{self.name}'@localhost identified by '{quoted}'; "
                        f"grant all on `{self.name}`.* to '{self.name}'@localhost; "
                        f"grant all on `{self.name}\\_%`.* to '{self.name}'@localhost;")
        self.addCleanup(self.server.sql, f"drop database if exists `{self.name}`; drop user '{self.name}'@localhost")
        self.document["databases"] = {"db": {
            "url": f"mysql://{self.name}:{URL_PASSWORD}@localhost/{self.name}", "socket": self.server.socket}}
        self.document["sources"]["db"] = {"type": "database", "database": "db"}

    def sql(self, statements):
        """Runs SQL as the site's own user, who then is the definer of views and triggers."""
        return self.server.sql(statements, self.name, self.name, PASSWORD)

    def fill(self):
        with open(os.path.join(TOP, "tests/e2e/every_type.sql")) as file:
            self.sql(file.read())

    def test_every_column_type_comes_back_identical(self):
        self.fill()
        before = state(self.name)
        self.assertEqual(len(before), 19)
        made = self.backup("db", "manual", "secret")
        self.sql("set foreign_key_checks = 0; drop view shown; drop table children; drop table texts; "
                 "truncate parents; update numbers set a = 1; delete from bytes; drop trigger counted; "
                 "alter table `select` add new int;")
        self.assertNotEqual(state(self.name), before)
        self.bam("restore", str(made["id"]), "--yes")
        after = state(self.name)
        self.assertEqual(sorted(after), sorted(before))
        for name, what in before.items():
            self.assertEqual(after[name], what, name)

    def test_names_that_look_like_the_end_of_a_statement(self):
        names = ["`a;\nx`", "`b``;\nx`", "`c;\n;\nx`", "`d;\nx`", "`e;\nx`", "plain"]
        for name in names:
            # Each row is longer than what is written of one table before it is another's turn.
            self.sql(f"create table {name} (`c;\nx` int primary key, v longtext); "
                     f"insert into {name} select seq, repeat(sha2(seq, 512), 16000) from seq_1_to_3")
        before = self.sql(f"checksum table {', '.join(names)}")
        made = self.backup("db")
        self.sql(f"drop table {', '.join(names[1:])}; truncate {names[0]}")
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual(self.sql(f"checksum table {', '.join(names)}"), before)

    def test_the_dump_is_one_that_the_mariadb_client_loads(self):
        self.fill()
        before = state(self.name)
        made = self.backup("db")
        self.sql("set foreign_key_checks = 0; drop table children, parents, numbers, bytes, texts")
        with gzip.open(made["path"]) as dump:
            self.sql(dump.read())
        self.assertEqual(state(self.name), before)

    def test_an_empty_database_is_restored_into(self):
        self.fill()
        before = state(self.name)
        made = self.backup("db")
        self.server.sql(f"drop database `{self.name}`; create database `{self.name}` character set utf8mb4")
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual(state(self.name), before)

    def test_a_database_without_tables_makes_no_good_backup(self):
        nothing_in_it(self)

    def test_nodata_and_excluded_tables_and_names_that_do_not_exist(self):
        self.fill()
        self.document["profiles"]["default"]["sources"] = {
            "db": {"nodata_tables": ["texts", "cache_nowhere"], "exclude_tables": ["bytes", "nor_this"]}}
        made = self.backup("db")
        with gzip.open(made["path"], "rt", errors="replace") as dump:
            text = dump.read()
        self.assertIn("`texts`", text)
        self.assertNotIn("INSERT INTO `texts`", text)
        self.assertNotIn("`bytes`", text)
        self.assertNotIn("nowhere", text)

    def test_a_server_that_is_down(self):
        self.document["databases"]["db"]["socket"] = self.path("no-such-socket")
        self.assertSays(self.bam("backup", "db", expect=1), "no-such-socket")
        self.assertEqual(self.visible(), [])

    def test_a_server_that_takes_connections_and_says_nothing(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            for scheme in ("mysql", "pgsql"):
                if scheme == "pgsql" and not shutil.which("psql"):
                    continue
                self.document["databases"]["db"] = {"url": f"{scheme}://root@127.0.0.1:{port}/zeta"}
                with self.subTest(scheme):
                    self.assertSays(self.bam("backup", "db", expect=1), "127.0.0.1", str(port), "server is running")
                    self.assertEqual(self.visible(), [])

    def test_a_wrong_password(self):
        self.sql("create table t (a int)")
        self.document["databases"]["db"]["url"] = f"mysql://{self.name}:wr0ng-s3cret@localhost/{self.name}"
        result = self.bam("backup", "db", expect=1)
        self.assertSays(result, "denied", self.name)
        self.assertNotIn("wr0ng-s3cret", result.out + result.err)
        self.assertEqual(self.visible(), [])

    def test_half_a_dump_changes_nothing(self):
        self.fill()
        made = self.backup("db")
        before = state(self.name)
        half = self.path("half.mysql.gz")
        with gzip.open(made["path"]) as dump, gzip.open(half, "wb") as copy:
            text = dump.read()
            copy.write(text[:len(text) // 2])
        result = self.bam("restore", "--file", half, "--source", "db", "--unauthenticated", "--yes", expect=4)
        self.assertSays(result, AS_BEFORE)
        self.assertEqual(state(self.name), before)


@unittest.skipIf(missing(), "mariadbd is not installed")
class Unread(SiteTest):
    """Tables that could not be read, or not to their end, when the backup was made: the live ones are better."""

    # What is read last of a damaged table may be what the server does not take again.
    check = ", check (b regexp '^a*$')"

    def setUp(self):
        super().setUp()
        self.name = "bam_" + os.path.basename(self.top).replace("-", "_").lower()
        self.server = server()
        self.server.sql(f"create database `{self.name}` character set utf8mb4; "
                        f"create user '{self.name}'@localhost; grant all on `{self.name}`.* to '{self.name}'@localhost; "
                        f"grant all on `{self.name}\\_%`.* to '{self.name}'@localhost;")
        self.addCleanup(self.server.sql, f"drop database if exists `{self.name}`; drop user '{self.name}'@localhost")
        self.url = f"mysql://{self.name}@localhost/{self.name}"
        self.document["databases"] = {"db": {"url": self.url, "socket": self.server.socket}}
        self.document["sources"].update({"db": {"type": "database", "database": "db"}, "archive": {"type": "archive"}})
        self.document["profiles"]["default"]["ignore_errors"] = True
        self.sql("create table node (nid int primary key); insert into node values (1); "
                 "create table log (id int primary key)")
        self.make()

    def sql(self, statements, database=None):
        return self.server.sql(statements, database or self.name)

    def make(self, options=""):
        self.sql(f"drop table if exists h; create table h (id int primary key, b varchar(400){self.check}) engine=MyISAM {options}"
                 "; insert into h (id, b) select seq, repeat('a', 300) from seq_1_to_3000; "
                 "create trigger counted after insert on h for each row insert ignore into log values (new.id)")

    def damage(self, what):
        """Of the table's rows, or of the file without which it cannot even be opened."""
        self.sql("flush tables")
        file = os.path.join(self.server.top, "data", self.name, "h." + what)
        with open(file, "r+b") as damaged:
            damaged.seek(600_000 if what == "MYD" else 0)
            damaged.write(b"\xff" * 2000)

    def changed(self):
        """The table is whole again, and the site has changed."""
        self.make()
        self.sql("update node set nid = 2; delete from log")

    def rows(self, table="h", database=None):
        return int(self.sql(f"select count(*) from {table}", database))

    def node(self):
        return self.sql("select nid from node").split()

    def clone(self, *arguments, expect=3):
        return self.bam("restore", *arguments, "--into-database", self.url + "_clone", "--into-socket", self.server.socket,
                        "--yes", expect=expect)

    def test_half_a_table_takes_no_place_of_a_whole_one(self):
        self.damage("MYD")
        made = self.bam_json("backup", "db", "manual", expect=3)
        self.changed()
        told = self.bam_json("restore", str(made["id"]), "--dry-run", expect=3)
        self.assertEqual([change["name"] for change in told["tables"]["replaced"]], ["log", "node"])
        self.assertEqual(told["tables"]["kept"], ["h"])
        self.assertSays(self.bam("verify", expect=0), "lacks something")
        for rights in (True, False):
            if not rights:
                # So that it is loaded in place.
                self.server.sql(f"revoke all on `{self.name}\\_%`.* from '{self.name}'@localhost")
            for how in ([], ["--table", "node"], ["--table", "h*,node"]):
                with self.subTest(rights=rights, how=how):
                    result = self.bam("restore", str(made["id"]), "--yes", *how, expect=3)
                    self.assertSays(result, "1 thing could not be read", "table h;", "stay")
                    self.assertEqual((self.rows(), self.node()), (3000, ["1"]))
                    self.sql("update node set nid = 2; delete from log; insert into h values (3001, '')")
                    self.assertEqual(self.rows("log"), 1, "its trigger is as it was")
                    self.sql("delete from h where id = 3001")
            for how in (["--dry-run"], ["--yes"]):
                for named in ("h", "h,node"):
                    with self.subTest(rights=rights, how=how, named=named):
                        result = self.bam("restore", str(made["id"]), *how, "--table", named, expect=1)
                        self.assertSays(result, "table h could not be read, or not to its end", "--into-database")
                        self.assertEqual((self.rows(), self.node()), (3000, ["2"]))
            # Where there is no other, half of one is better than none.
            for how in (["--table", "h"], []):
                with self.subTest(rights=rights, gone=how):
                    self.sql("drop table h")
                    self.assertSays(self.bam("restore", str(made["id"]), "--yes", *how, expect=3), "it gets the rows")
                    self.assertTrue(0 < self.rows() < 3000)
            self.changed()

    def test_half_a_table_in_an_archive_and_elsewhere(self):
        self.damage("MYD")
        for source in ("db", "archive"):
            with self.subTest(source):
                made = self.bam_json("backup", source, "manual", expect=3)
                self.changed()
                self.assertSays(self.bam("restore", str(made["id"]), "--yes", expect=3), "1 thing could not be read", "table h;")
                self.assertEqual((self.rows(), self.node()), (3000, ["1"]))
                self.assertSays(self.clone(str(made["id"])), "1 thing could not be read", "table h")
                self.assertTrue(0 < self.rows(database=self.name + "_clone") < 3000)
                self.server.sql(f"drop database `{self.name}_clone`")
                self.assertSays(self.bam("restore", str(made["id"]), "--into", self.path("into-" + source), expect=3), "table h")
                self.assertSays(self.bam("drill", str(made["id"]), expect=3), "lacks something", "table h")
                self.damage("MYD")

    def test_half_a_table_without_a_sidecar(self):
        self.check = ""
        for source in ("db", "archive"):
            with self.subTest(source):
                self.make()
                self.damage("MYD")
                made = self.bam_json("backup", source, "manual", expect=3)
                path = os.path.join(self.destination(), made["file"])
                self.changed()
                os.unlink(path + ".info")
                result = self.bam("restore", "--file", path, "--source", source, "--yes", "--unauthenticated", expect=3)
                self.assertSays(result, "table h could not be read, or not to its end")
                self.assertEqual((self.rows(), self.node()), (3000, ["1"]))
                os.unlink(path)

    def test_a_table_that_could_not_be_read_at_all_is_named(self):
        self.damage("MYI")
        made = self.bam_json("backup", "db", "manual", expect=3)
        self.changed()
        said = ("could not be read when this backup was made", "table h")
        for how in (["--dry-run"], ["--yes"], ["--yes", "--table", "node"]):
            self.assertSays(self.bam("restore", str(made["id"]), *how, expect=3), *said)
            self.assertEqual(self.rows(), 3000)
        self.assertSays(self.bam("restore", str(made["id"]), "--yes", "--table", "h", expect=1), "h could not be read")
        self.assertSays(self.clone(str(made["id"])), *said)
        self.assertEqual(self.sql("show tables", self.name + "_clone").split(), ["log", "node"])
        self.server.sql(f"drop database `{self.name}_clone`")
        self.assertSays(self.bam("drill", expect=3), "lacks something", *said)
        self.assertTrue(self.bam_json("drill", expect=3)["drills"][0]["ok"])
        # Earlier versions named none, and counted it.
        self.document["encryption"] = {}
        self.damage("MYI")
        made = self.bam_json("backup", "db", "manual", expect=3)
        self.changed()
        sidecar = os.path.join(self.destination(), made["file"] + ".info")
        with open(sidecar) as file:
            text = file.read()
        self.assertIn('bam_tables = "2"', text)
        text = text.replace('bam_tables = "2"', 'bam_tables = "3"')
        with open(sidecar, "w") as file:
            file.writelines(line for line in text.splitlines(True) if not line.startswith("bam_unread_tables"))
        self.assertSays(self.bam("restore", str(made["id"]), "--yes", expect=3), said[0], "not record which")
        self.assertSays(self.bam("drill", expect=3), said[0])

    def test_what_a_client_could_not_read_is_named_too(self):
        # Without a user it is the clients that connect, as where the server is on another machine.
        versioned = [] if self.server.mysql else ["with system versioning"]
        for options, column, left in [("", "int", []), ("", "float", ["log"]), *((it, "", []) for it in versioned)]:
            with self.subTest(options=options, column=column):
                url = self.url if options else self.url.replace(self.name + "@", "")
                self.document["databases"]["db"]["url"] = url
                self.make(options)
                self.sql("update node set nid = 1")
                for table in ("h", "log") if column else ():
                    self.sql(f"alter table {table} add f {column}")
                self.damage("MYD")
                made = self.bam_json("backup", "db", "manual", expect=3)
                self.changed()
                result = self.bam("restore", str(made["id"]), "--yes", expect=3)
                self.assertSays(result, "2 things could not" if left else "1 thing could not")
                # A client that gives rows as they are gives none after an error.
                self.assertSays(result, *(f"table {name}" for name in ["h", *left]))
                self.assertEqual((self.rows(), self.node()), (3000, ["1"]))
                self.sql("drop table log; create table log (id int primary key)")
                with gzip.open(os.path.join(self.destination(), made["file"]), "rt", errors="replace") as dump:
                    self.assertIn('-- bam-unread: ["' + '","'.join(["h", *left]), dump.read())


class Sqlite(SiteTest):
    def setUp(self):
        super().setUp()
        self.database = self.path("site/sites/default/files/.ht.sqlite")
        self.document["databases"] = {"db": {"url": "sqlite:" + self.database}}
        self.document["sources"]["db"] = {"type": "database", "database": "db"}
        with contextlib.closing(sqlite3.connect(self.database)) as db, db:
            db.execute("create table node (nid integer primary key, title text, body blob)")
            noise = random.Random(3)
            db.executemany("insert into node values (?, ?, ?)",
                           [(n, f"Node {n} \U0001f4be", noise.randbytes(5000)) for n in range(500)])

    def rows(self):
        with contextlib.closing(sqlite3.connect(self.database)) as db:
            return db.execute("select * from node order by nid").fetchall()

    def test_a_database_comes_back(self):
        before = self.rows()
        made = self.backup("db", "manual", "secret")
        self.assertIn(".sqlite.gz.enc", made["file"])
        with contextlib.closing(sqlite3.connect(self.database)) as db, db:
            db.execute("delete from node where nid % 2")
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual(self.rows(), before)

    def test_one_that_is_damaged_makes_no_backup_and_pushes_none_out(self):
        self.document["schedules"] = {"s": {"source": "db", "destinations": ["manual"], "keep": 1, "every": "1d"}}
        self.write_document()
        before = self.rows()
        self.bam("run", "s")
        good = self.visible()
        with open(self.database, "r+b") as file:
            file.seek(40_000)
            file.write(random.Random(5).randbytes(3000))
        for _ in range(2):
            self.assertSays(self.bam("run", "s", expect=1), self.database, "damaged", ".recover")
            self.assertEqual(self.visible(), good)
        self.document["profiles"]["default"]["ignore_errors"] = True
        self.write_document()
        self.assertSays(self.bam("backup", "db", expect=3), "damaged", "as it is")
        self.bam("restore", next(name for name in good if not name.endswith(".info")), "--yes")
        self.assertEqual(self.rows(), before)

    def test_readers_go_on_while_one_is_waited_for_and_a_cancel_is_seen(self):
        made = self.backup("db")
        with contextlib.closing(sqlite3.connect(self.database)) as db, db:
            db.execute("delete from node where nid % 2")
        before = self.rows()
        journal = self.path("state/restore.json")

        def swapping():
            with contextlib.suppress(FileNotFoundError, ValueError, KeyError), open(journal) as file:
                return json.load(file)["state"] == "swapping"
        with contextlib.closing(sqlite3.connect(self.database)) as visitor:
            visitor.execute("begin")
            visitor.execute("select * from node").fetchone()
            process = self.start("restore", str(made["id"]), "--yes")
            self.wait(swapping, process)
            for _ in range(20):
                self.assertEqual(self.rows(), before)
            self.assertTrue(swapping())
            process.send_signal(signal.SIGINT)
            # The visitor is still there: what was not changed is not taken back.
            self.assertSays(self.finish(process, expect=130), AS_BEFORE)
        self.assertEqual(self.rows(), before)
        self.assertEqual([name for name in os.listdir(self.path("state")) if "-" in name], [])
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual(len(self.rows()), 500)

    def test_caches_come_back_empty_and_maintenance_mode_stays_as_it_is(self):
        with contextlib.closing(sqlite3.connect(self.database)) as db, db:
            db.execute("create table variable (name text primary key, value blob)")
            db.execute("create table cache_page (cid text primary key, data blob, expire int, created int, serialized int)")
            db.execute("insert into cache_page values ('front', 'old', 0, 0, 0)")
            db.execute("insert into variable values ('site_name', 'as it was')")
        made = self.backup("db")
        with contextlib.closing(sqlite3.connect(self.database)) as db, db:
            db.execute("insert into variable values ('maintenance_mode', 'i:1;')")
            db.execute("update variable set value = 'later' where name = 'site_name'")
        self.bam("restore", str(made["id"]), "--yes")
        with contextlib.closing(sqlite3.connect(self.database)) as db:
            self.assertEqual(db.execute("select count(*) from cache_page").fetchone(), (0,))
            mode = db.execute("select cast(value as text) from variable order by name").fetchall()
            self.assertEqual(mode, [("i:1;",), ("as it was",)])

    def test_a_backup_while_the_site_writes_is_one_moment_of_it(self):
        with contextlib.closing(sqlite3.connect(self.database)) as db:
            db.execute("pragma journal_mode = wal")
            db.execute("begin")
            db.execute("insert into node values (1000, 'not committed', x'00')")
            made = self.backup("db")
            db.rollback()
        with gzip.open(made["path"]) as copy, open(self.path("copy"), "wb") as out:
            shutil.copyfileobj(copy, out)
        with contextlib.closing(sqlite3.connect(self.path("copy"))) as db:
            self.assertEqual(db.execute("pragma integrity_check").fetchone(), ("ok",))
            self.assertEqual(db.execute("select count(*), max(nid) from node").fetchone(), (500, 499))

    def test_a_database_without_tables_makes_no_good_backup(self):
        self.document["sources"]["archive"] = {"type": "archive", "database": "db"}
        # That they are left out on purpose is another matter.
        self.document["profiles"]["less"] = {"encryption": "none", "sources": {"db": {"exclude_tables": ["node"]}}}
        self.backup("db", "manual", "less")
        with open(self.database, "wb"):
            pass
        nothing_in_it(self)
        with contextlib.closing(sqlite3.connect(self.database)) as db, db:
            db.execute("create table node (nid integer)")
            db.execute("drop table node")
        nothing_in_it(self, "archive")

    def test_an_empty_or_missing_database_is_restored(self):
        before = self.rows()
        made = self.backup("db")
        os.unlink(self.database)
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual(self.rows(), before)

    def test_what_the_application_defines_is_no_reason_to_refuse(self):
        def nocase(a, b):
            return (a.upper() > b.upper()) - (a.upper() < b.upper())
        with contextlib.closing(sqlite3.connect(self.database)) as db, db:
            db.create_collation("NOCASE_UTF8", nocase)
            db.create_collation("ODD", lambda a, b: nocase(a[::-1], b[::-1]))
            db.create_function("weird", 1, lambda value: 1, deterministic=True)
            db.execute("create table users (uid integer primary key, name text collate NOCASE_UTF8)")
            db.execute("create unique index users_name on users (name)")
            db.executemany("insert into users (name) values (?)", [("\u00e4rger",), ("Zoo",), ("apfel",), ("\u00c4pfel",)])
        self.document["profiles"]["less"] = {"encryption": "none", "sources": {"db": {"exclude_tables": ["users"]}}}
        whole, less = self.backup("db", "manual", "default"), self.backup("db", "manual", "less")
        self.bam("verify", str(whole["id"]))
        with contextlib.closing(sqlite3.connect(self.database)) as db, db:
            db.execute("delete from node")
        # A table that is kept is sorted anew, in Drupal's order.
        self.bam("restore", str(less["id"]), "--yes")
        with contextlib.closing(sqlite3.connect(self.database)) as db, db:
            db.create_collation("NOCASE_UTF8", nocase)
            self.assertEqual(db.execute("pragma integrity_check").fetchone(), ("ok",))
            self.assertEqual(db.execute("select uid from users where name = '\u00c4RGER'").fetchall(), [(1,)])
            self.assertEqual(db.execute("select count(*) from node").fetchone(), (500,))
            db.create_collation("ODD", lambda a, b: nocase(a[::-1], b[::-1]))
            db.create_function("weird", 1, lambda value: 1, deterministic=True)
            db.execute("create table odd (a text collate ODD, b int check (weird(b)))")
            db.execute("create index odd_a on odd (a)")
            db.executemany("insert into odd values (?, ?)", [("ab", 1), ("ba", 2), ("cz", 3)])
        odd = self.backup("db", "manual", "default")
        self.assertSays(self.bam("restore", str(odd["id"]), "--yes"), "ODD", "was not looked at")
        self.assertSays(self.bam("restore", str(odd["id"]), "--table", "odd", "--yes", expect=1), "ODD")

    def test_the_database_in_use_is_no_file_among_files(self):
        self.write("sites/default/files/a", "A")
        with contextlib.closing(sqlite3.connect(self.database)) as db:
            db.execute("pragma journal_mode = wal")
            db.execute("pragma wal_autocheckpoint = 0")
            with db:
                db.execute("insert into node values (1000, 'in the log', x'00')")
            before = self.rows()
            made = self.backup("files")
            with tarfile.open(made["path"]) as tar:
                self.assertEqual([name for name in tar.getnames() if "sqlite" in name], [])
            # One of before, with a stale copy in it.
            old = self.path("old.tar")
            with tarfile.open(old, "w") as tar:
                for name in ("a", ".ht.sqlite"):
                    info = tarfile.TarInfo(name)
                    info.size = 5
                    tar.addfile(info, io.BytesIO(b"stale"))
            for backup in ([str(made["id"])], ["--file", old]):
                self.bam("restore", *backup, "--source", "files", "--unauthenticated", "--yes")
                self.assertEqual(self.rows(), before)
            self.document["sources"]["archive"] = {"type": "archive"}
            site = self.backup("archive")
            with tarfile.open(site["path"]) as tar:
                self.assertEqual([name for name in tar.getnames() if "sqlite" in name], ["database.sqlite"])
        self.bam("restore", str(site["id"]), "--yes")
        self.assertEqual(self.rows(), before)

    def test_a_missing_database_is_named(self):
        os.unlink(self.database)
        self.assertSays(self.bam("backup", "db", expect=1), self.database)
        self.assertFalse(os.path.exists(self.database))


if __name__ == "__main__":
    unittest.main()
