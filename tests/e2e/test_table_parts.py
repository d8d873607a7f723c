"""Single tables out of a backup by its index: little is read, nothing else matters, and nothing is lost where it says wrong."""

import gzip
import os
import re
import secrets
import unittest

import postgres
from bamtest import SiteTest
from indexed import Backup
from mariadb import missing, server
from objects import KEY, S3, SECRET
from relay import Relay
from sshd import PROGRAM, Sshd

MEBI = 1 << 20
ODD = "o'd\\d `näme\" (x)"


def quoted(name):
    return "`" + name.replace("`", "``") + "`"


class Parts(SiteTest):
    def sidecar(self, made):
        with open(made["path"] + ".info") as file:
            return dict(line.rstrip("\n").split(" = ", 1) for line in file)

    def change_sidecar(self, made, **fields):
        """None takes a field away."""
        told = {**self.sidecar(made), **fields}
        with open(made["path"] + ".info", "w") as file:
            file.writelines(f"{key} = {value}\n" for key, value in told.items() if value is not None)

    def restore(self, made, *tables, expect=0):
        return self.bam("restore", str(made["id"]), *(word for table in tables for word in ("--table", table)), "--yes", expect=expect)

    def assertSameAsWhole(self, made):
        """What is told by the index is what reading everything tells."""
        for arguments in (("ls", str(made["id"]), "--tables"), ("restore", str(made["id"]), "--dry-run", "--table", "node")):
            told = [self.bam_json(*arguments, *more) for more in ((), ("--unauthenticated",))]
            for each in told:
                each.pop("notes", None)
                each.pop("seconds", None)
            self.assertEqual(told[0], told[1])


@unittest.skipIf(missing(), "mariadbd is not installed")
class MariaDb(Parts):
    def setUp(self):
        super().setUp()
        self.name = "bam_" + os.path.basename(self.top).replace("-", "_").lower()
        self.server = server()
        self.server.sql(f"create database `{self.name}` character set utf8mb4")
        self.addCleanup(self.server.sql, f"drop database if exists `{self.name}`")
        self.document["databases"] = {"db": {"url": f"mysql://root@localhost/{self.name}", "socket": self.server.socket}}
        self.document["sources"].update({"db": {"type": "database"}, "archive": {"type": "archive"}})
        self.tables = ["node", "other", "logged", "empty", "select", ODD]
        for table in self.tables:
            engine = "MyISAM" if table == "logged" else "InnoDB"
            self.sql(f"create table {quoted(table)} (id int primary key, title varchar(30), body longblob) engine={engine}")
        for table, rows in (("node", 40), ("logged", 30), (ODD, 40), ("select", 3)):
            self.fill(table, rows, 40_000)
        self.fill("other", 100, 60_000)
        self.sql("create view shown as select id from other; create view shown2 as select id from node; "
                 "create trigger told after update on node for each row update empty set title = 'x;\\n'; "
                 "create procedure p() insert into node values (0, 'INSERT INTO `node` VALUES\\n(1);', '')")

    def sql(self, statements):
        return self.server.sql(statements, self.name)

    def fill(self, table, rows, size, first=1):
        """Rows that do not compress, with all that quoting can get wrong."""
        row = "({0}, 'it''s {0};\\n\\\\', 0x{1})"
        for start in range(first, first + rows, 20):
            some = (row.format(number, secrets.token_hex(size)) for number in range(start, min(start + 20, first + rows)))
            self.sql(f"insert into {quoted(table)} values {', '.join(some)}")

    def state(self):
        found = {}
        for table in self.tables:
            found[table] = (self.sql(f"show create table {quoted(table)}"), self.sql(f"checksum table {quoted(table)}"))
        return found

    def age(self):
        identity = self.path("identity")
        self.document["encryption"]["recipients"] = [self.bam_json("keygen", "--age", identity)["recipient"]]
        self.document["encryption"]["keys"] = [identity]
        self.document["profiles"]["public"] = {"compression": "gzip", "encryption": "age"}

    def spoil(self):
        for table in self.tables:
            self.sql(f"update {quoted(table)} set title = 'spoilt'; insert ignore into {quoted(table)} values (-1, '', '')")

    def test_each_table_comes_back_alone(self):
        self.age()
        before = self.state()
        for source, profile in (("db", "secret"), ("db", "public"), ("archive", "default")):
            with self.subTest(source=source, profile=profile):
                made = self.backup(source, "manual", profile)
                self.assertIn("bam_index_tables", self.sidecar(made))
                self.assertSameAsWhole(made)
                self.spoil()
                spoilt = self.state()
                for table in self.tables:
                    self.restore(made, table)
                    spoilt[table] = before[table]
                    self.assertEqual(self.state(), spoilt)
                self.assertIn("told", self.sql("show triggers"))
                self.spoil()
                self.restore(made, "node", "oth*")
                now = self.state()
                self.assertEqual([now["node"], now["other"]], [before["node"], before["other"]])
                self.assertNotEqual(now["select"], before["select"])
                self.restore(made, *self.tables)
                self.assertEqual(self.state(), before)
                self.assertSays(self.restore(made, "none", expect=1), "no table none")
                self.bam("verify", str(made["id"]))
                self.wait_for_the_next_second(made)

    def test_what_is_told_of_tables_is_so(self):
        made = self.backup("archive", "manual", "secret")
        backup = Backup(self, made)
        self.assertEqual(backup.lines[0], {"prefix": ""})
        counted = {name: rows for name, rows, _ in (line for line in backup.lines[1:] if isinstance(line[0], str))}
        for table in self.tables:
            self.assertEqual(counted[table], int(self.sql(f"select count(*) from {quoted(table)}")))
            rows = backup.rows_of(table)
            self.assertEqual(rows.count(b"INSERT INTO "), rows.count(b"INSERT INTO " + quoted(table).encode() + b" VALUES\n"))
            self.assertEqual(rows.count(b"),\n(") + rows.count(b" VALUES\n("), counted[table])
        at = 0
        outside = b""
        for _, span in backup.ranges:
            outside += backup.dump[at:span.start]
            at = span.stop
        outside += backup.dump[at:]
        self.assertNotIn(b"INSERT INTO `", re.sub(rb"(?s)DELIMITER.*?DELIMITER ;|CREATE .*?PROCEDURE.*?;\n", b"", outside))
        opened = gzip.decompress(backup.data)
        self.assertEqual(opened, gzip.decompress(backup.data[:backup.claim("bam_index")[0]]))

    def test_damage_elsewhere_does_not_matter_and_in_its_own_pieces_is_refused(self):
        before = self.state()
        for source, profile in (("db", "default"), ("archive", "secret")):
            with self.subTest(source=source, profile=profile):
                made = self.backup(source, "manual", profile)
                backup = Backup(self, made)
                others = backup.own_pieces("other")
                self.assertGreater(len(others), 3)
                backup.damage(others)
                self.spoil()
                spoilt = self.state()
                for table in ("node", ODD, "logged"):
                    self.restore(made, table)
                    spoilt[table] = before[table]
                self.assertEqual(self.state(), spoilt)
                self.bam("ls", str(made["id"]), "--tables")
                self.bam("restore", str(made["id"]), "--dry-run", "--table", "other")
                self.assertSays(self.restore(made, "other", expect=4), made["file"])
                self.assertSays(self.restore(made, "node", "other", expect=4), made["file"])
                self.bam("verify", str(made["id"]), expect=4)
                self.assertEqual(self.state(), spoilt)
                if source == "db":
                    result = self.bam("cat", str(made["id"]), expect=4)
                    self.assertEqual(result.raw, b"")
                self.sql("update other set title = 'spoilt'")
                # What says where the tables are is proven itself.
                offset, length, _ = backup.claim("bam_index_tables")
                with open(made["path"], "r+b") as file:
                    file.seek(backup.before + offset + length // 2)
                    byte = file.read(1)[0]
                    file.seek(-1, os.SEEK_CUR)
                    file.write(bytes([byte ^ 1]))
                self.assertSays(self.restore(made, "node", expect=4), made["file"])
                self.bam("ls", str(made["id"]), "--tables", expect=4)
                for table in self.tables:
                    self.sql(f"truncate {quoted(table)}")
                self.wait_for_the_next_second(made)
                for table, rows in (("node", 40), ("logged", 30), (ODD, 40), ("select", 3)):
                    self.fill(table, rows, 40_000)
                self.fill("other", 100, 60_000)
                before = self.state()

    def test_without_the_places_everything_is_read(self):
        del self.document["encryption"]
        before = self.state()
        for source in ("db", "archive"):
            with self.subTest(source):
                made = self.backup(source)
                others = Backup(self, made).own_pieces("other")
                # As earlier versions left it: of an archive an index, of a dump none.
                self.change_sidecar(made, bam_index_tables=None, **({"bam_index": None} if source == "db" else {}))
                self.assertSameAsWhole(made)
                self.sql("update node set title = 'spoilt'")
                self.restore(made, "node")
                self.assertEqual(self.state(), before)
                self.change_sidecar(made, bam_index_tables='""')
                self.restore(made, "node")
                self.assertEqual(self.state(), before)
                packed = os.path.getsize(made["path"])
                with open(made["path"], "r+b") as file:
                    file.seek(packed // 2)
                    byte = file.read(1)[0]
                    file.seek(-1, os.SEEK_CUR)
                    file.write(bytes([byte ^ 1]))
                self.restore(made, "node", expect=4)
                self.assertEqual(self.state(), before)
                self.assertTrue(others)
                self.wait_for_the_next_second(made)

    def test_a_wrong_place_loses_no_row(self):
        del self.document["encryption"]
        made = self.backup("db")
        backup = Backup(self, made)
        node, other = backup.tables["node"], backup.tables["other"]
        tables = [line for line in backup.lines if isinstance(line, dict) or isinstance(line[0], str)]
        ranges = backup.lines[len(tables):]
        self.sql("update node set title = 'spoilt'; update other set title = 'spoilt'")
        before = self.state()
        # All rows are told to be another table's; some of them; and of one table more than there are.
        half = []
        for number, after, length in ranges:
            if number == node:
                cut = backup.rows_of("node").index(b"INSERT", 10)
                half += [[node, after, cut], [other, 0, length - cut]]
            else:
                half.append([number, after, length])
        more = [[name, rows + (name == "node"), size] for name, rows, size in tables[1:]]
        for lines in ([*tables, *([other if number == node else number, *rest] for number, *rest in ranges)],
                      [*tables, *half], [tables[0], *more, *ranges]):
            backup.tell_wrong(lines)
            self.assertSays(self.restore(made, "node", expect=4), "table node has", "index")
            self.assertEqual(self.state(), before)
        for lines in ([], [*tables, [99, 0, 1]], [*tables, [0, -1, 1]], [*tables, *ranges, [0, 1 << 50, 1]]):
            backup.tell_wrong(lines)
            self.restore(made, "node", expect=4)
            self.assertEqual(self.state(), before)
        backup.tell_wrong(backup.lines)
        self.restore(made, "node")
        self.assertNotEqual(self.state(), before)

    def test_names_that_look_like_the_end_of_a_statement(self):
        odd = "a;\nb"
        self.sql(f"create table {quoted(odd)} (id int); insert into {quoted(odd)} values (1), (2)")
        made = self.backup("db")
        self.assertNotIn("bam_index_tables", self.sidecar(made))
        before = self.state()
        self.sql(f"update node set title = 'spoilt'; delete from {quoted(odd)}")
        self.restore(made, "node", odd)
        self.assertEqual(self.state(), before)
        self.assertEqual(self.sql(f"select count(*) from {quoted(odd)}"), "2\n")

    def test_a_name_is_taken_as_it_is_shown(self):
        names = ["a,b", "a", "b", "line\nbreak", "star*", "starry", "back\\slash", "it's", "\u200bzero"]
        for name in names:
            self.sql(f"create table {quoted(name)} (id int); insert into {quoted(name)} values (1)")
        made = self.backup("db")
        listed = self.bam("ls", str(made["id"]), "--tables").out.splitlines()
        shown = dict(zip((table["name"] for table in self.bam_json("ls", str(made["id"]), "--tables")["entries"]),
                         (line[26:] for line in listed)))
        self.assertEqual(len(shown), len(listed), "one line for each")
        planned = self.bam("restore", str(made["id"]), "--dry-run").out
        for name in names:
            self.assertIn(f" {shown[name]}: ", planned)
            self.sql("".join(f"delete from {quoted(name)};" for name in names))
            self.restore(made, shown[name])
            self.assertEqual([other for other in names if self.sql(f"select * from {quoted(other)}")], [name])

    def test_tables_that_take_turns_in_the_dump(self):
        # As much as takes several connections to read.
        self.sql("create table long1 (id int primary key, body longtext); create table long2 like long1; "
                 "insert into long1 select seq, repeat(char(65 + seq % 26), 20000) from seq_1_to_2000; "
                 "insert into long2 select * from long1; "
                 "insert into node select seq, 'more', repeat('y', 9000) from seq_1001_to_2000; analyze table long1, long2, node")
        self.tables += ["long1", "long2"]
        made = self.backup("db", "manual", "secret")
        backup = Backup(self, made)
        turns = [number for number, _ in backup.ranges if number in (backup.tables["long1"], backup.tables["long2"])]
        if len(os.sched_getaffinity(0)) > 1:
            self.assertGreater(len(turns), 4)
        before = self.state()
        self.spoil_long()
        for table in ("node", "long2", "long1"):
            self.restore(made, table)
        self.assertEqual(self.state(), before)

    def spoil_long(self):
        self.sql("update node set title = 'spoilt'; delete from long1 where id > 3; update long2 set body = ''")

    def test_a_prefix_is_translated(self):
        self.document["databases"]["db"]["prefix"] = "d7_"
        self.sql("drop view shown2; drop trigger told; rename table node to d7_node")
        made = self.backup("db")
        self.sql("rename table d7_node to new_node")
        expected = self.sql("checksum table new_node").split("\t")[1]
        self.document["databases"]["db"]["prefix"] = "new_"
        self.sql("update new_node set title = 'spoilt'")
        for name in ("node", "new_node", "no*"):
            self.restore(made, name)
            self.assertEqual(self.sql("checksum table new_node").split("\t")[1], expected, name)
            self.sql("update new_node set title = 'spoilt'")

    def counted_from(self, kind):
        """What comes for one small table from a server, and for a list of all."""
        self.fill("other", 160, 100_000, first=1000)
        relays, settings = self.relay_to(kind)
        self.document["destinations"] = {"far": settings}
        for source in ("db", "archive"):
            made = self.bam_json("backup", source, "far", "secret")
            number = str(made["id"])
            _, came = relays.counted(lambda: self.bam("ls", number, "--tables"))
            self.assertLess(came, 3 * MEBI)
            before = self.state()
            self.sql("update `select` set title = 'spoilt'")
            _, came = relays.counted(lambda: self.bam("restore", number, "--table", "select", "--yes"))
            self.assertEqual(self.state(), before)
            self.assertLess(came, 6 * MEBI)
            _, came = relays.counted(lambda: self.bam("restore", number, "--table", "other", "--yes"))
            self.assertGreater(came, 16 * MEBI)
            self.wait_for_the_next_second(made)

    def relay_to(self, kind):
        far = kind()
        self.addCleanup(far.close)
        relay = Relay(far.port)
        self.addCleanup(relay.close)
        if kind is Sshd:
            with open(far.path("known_hosts")) as file:
                known = file.read()
            with open(far.path("known_hosts"), "w") as file:
                file.write(known.replace(str(far.port), str(relay.own)))
            return relay, {**far.settings, "url": far.url.replace(f":{far.port}", f":{relay.own}")}
        secret = self.path("secret")
        with open(secret, "w") as file:
            file.write(SECRET + "\n")
        os.chmod(secret, 0o600)
        return relay, {"type": "s3", "url": "s3://backups/sites/pece", "endpoint": f"http://127.0.0.1:{relay.own}",
                       "access_key": KEY, "password_file": secret}

    @unittest.skipUnless(os.path.exists(PROGRAM), "no sshd")
    def test_little_comes_from_a_server(self):
        self.counted_from(Sshd)

    def test_little_comes_from_object_storage(self):
        self.counted_from(S3)


@unittest.skipIf(postgres.missing(), "PostgreSQL is not installed")
class PostgreSql(Parts):
    def setUp(self):
        super().setUp()
        self.name = "bam_" + os.path.basename(self.top).replace("-", "_").lower()
        self.server = postgres.server()
        self.server.sql(f'create database "{self.name}"')
        self.addCleanup(self.server.sql, f'drop database if exists "{self.name}" with (force)')
        self.document["databases"] = {"db": {"url": f"pgsql://admin@localhost/{self.name}", "socket": self.server.top,
                                             "password_file": self.path("password")}}
        with open(self.path("password"), "w") as file:
            file.write(postgres.ADMIN + "\n")
        os.chmod(self.path("password"), 0o600)
        self.document["sources"].update({"db": {"type": "database"}, "archive": {"type": "archive"}})
        self.tables = ["node", "other", 'o"dd n\u00e4me', "empty", "select"]
        for table in self.tables:
            self.sql(f"create table {self.quoted(table)} (id serial primary key, title text, body text)")
        for table, rows in (("node", 300), ("other", 4000), (self.tables[2], 300), ("select", 3)):
            self.sql(f"insert into {self.quoted(table)} (title, body) select E'\\\\.\\n' || i, (select string_agg(md5(random()::text), '') "
                     f"from generate_series(1, 60 + 0 * i)) from generate_series(1, {rows}) i")
        self.sql("create function f() returns int language sql as $$\nselect 1;\n$$; create view shown as select id from other")

    def quoted(self, name):
        return '"' + name.replace('"', '""') + '"'

    def sql(self, statements):
        return self.server.sql(statements, self.name)

    def state(self):
        ask = "select md5(string_agg(t::text, ',' order by id)) from {} t"
        return {table: self.sql(ask.format(self.quoted(table))) for table in self.tables}

    def spoil(self):
        for table in self.tables:
            self.sql(f"update {self.quoted(table)} set title = 'spoilt'")

    def test_each_table_comes_back_alone(self):
        before = self.state()
        for source, profile in (("db", "default"), ("archive", "secret")):
            with self.subTest(source=source, profile=profile):
                made = self.backup(source, "manual", profile)
                backup = Backup(self, made)
                self.assertSameAsWhole(made)
                others = backup.own_pieces("other")
                self.assertGreater(len(others), 3)
                backup.damage(others)
                self.spoil()
                spoilt = self.state()
                for table in self.tables:
                    if table not in ("other", "empty"):
                        self.restore(made, table)
                        spoilt[table] = before[table]
                        self.assertEqual(self.state(), spoilt)
                self.restore(made, "other", expect=4)
                self.bam("verify", str(made["id"]), expect=4)
                self.assertEqual(self.state(), spoilt)
                self.sql("drop view shown")
                backup.damage(others)
                self.restore(made, "other")
                self.assertEqual(self.state(), before)
                self.sql("create view shown as select id from other")
                self.wait_for_the_next_second(made)

    def test_a_wrong_place_loses_no_row(self):
        del self.document["encryption"]
        made = self.backup("db")
        backup = Backup(self, made)
        self.spoil()
        before = self.state()
        node, other = backup.tables["node"], backup.tables["other"]
        backup.tell_wrong([[other, *line[1:]] if isinstance(line, list) and line[0] == node else line for line in backup.lines])
        self.assertSays(self.restore(made, "node", expect=4), "table node has 300 rows", "index")
        self.assertEqual(self.state(), before)
