"""Putting a database in place: what could spoil it is tried before anything changes; what hangs on it from outside, who holds
it, and dumps that nobody vouches for."""

import os
import signal
import subprocess
import time
import unittest

import mariadb
from bamtest import SiteTest

HEADER = "-- MySQL dump 10.13\nCREATE TABLE node (a int primary key);\nINSERT INTO node VALUES (2);\n"
FOOTER = "\n-- Dump completed\n"
AS_BEFORE = "Everything is as it was before the restore"
# Each tries to change the database next door, in a way of its own.
HOSTILE = (
    "/*!80000 INSERT INTO node VALUES (5) -- */ DROP TABLE {other}.t;",
    "/*!99999 CREATE TABLE x (a int) */ UPDATE {other}.t SET a = 9;",
    "UPDATE node, {other}.t SET {other}.t.a = 9;",
    "UPDATE node JOIN {other}.t SET {other}.t.a = 9;",
    "DELETE {other}.t FROM node JOIN {other}.t;",
    "DELETE FROM {other}.t USING {other}.t JOIN node;",
    "DELIMITER //\nINSERT INTO node VALUES (11); DROP TABLE {other}.t //\n",
    "SET sql_mode='NO_BACKSLASH_ESCAPES'; CREATE TABLE q (a varchar(200));\nINSERT INTO q VALUES ('\\'); DROP TABLE {other}.t; -- ');",
    "CREATE SEQUENCE s; SELECT SETVAL(s, 1, 0) INTO OUTFILE '{out}';",
    "CREATE TRIGGER evil BEFORE INSERT ON {other}.t FOR EACH ROW SET NEW.a = 9;",
    "CREATE FUNCTION evil RETURNS integer SONAME 'evil.so';",
    "ALTER TABLE node RENAME TO {other}.node;",
    # What the statement before it made is not to be lost, either.
    "DROP TABLE node, bystander; CREATE TABLE nonsense (x no_such_type);",
)


@unittest.skipIf(mariadb.missing(), "mariadbd is not installed")
class Replace(SiteTest):
    def setUp(self):
        super().setUp()
        self.server = mariadb.server()
        self.use(self.server, "root")
        self.server.sql(f"create database {self.name}; create database {self.other}")
        self.addCleanup(self.server.sql, f"drop database if exists {self.other}; drop database if exists {self.name}")

    def use(self, server, user, password=""):
        self.name = "bam_" + os.path.basename(self.top).replace("-", "_").lower()
        # With a letter first: 7e0… would be a number.
        self.other = "o" + self.name[::-1]
        login = f"{user}:{password}" if password else user
        self.document["databases"] = {"db": {"url": f"mysql://{login}@localhost/{self.name}", "socket": server.socket}}
        self.document["sources"]["db"] = {"type": "database", "database": "db"}

    def user(self, name, grants):
        """A user of the server with these rights, whom bam then is."""
        account = f"'{name}_{self.name}'@localhost"
        self.server.sql(f"create user {account} identified by 'p'; " + "; ".join(f"grant {one} to {account}" for one in grants))
        self.addCleanup(self.server.sql, f"drop user {account}")
        self.use(self.server, f"{name}_{self.name}", "p")

    def assertClean(self, server=None):
        server = server or self.server
        self.assertEqual(server.sql(f"show databases like '{self.name}\\_bam%'"), "")
        self.assertEqual(server.sql("select user from mysql.user where user like 'bam\\_%' and length(user) < 24"), "")
        self.assertEqual(server.sql(f"select table_name from information_schema.tables where table_schema = '{self.name}' "
                                    "and table_name like 'bam%'"), "")

    def test_what_a_binary_log_forbids_shows_before_anything_changes(self):
        server = mariadb.Server(["--log-bin=bin", "--server-id=1"])
        self.addCleanup(server.stop)
        self.use(server, "u", "p")
        name = self.name
        server.sql(f"create database {name}; create user u@localhost identified by 'p'; grant all on {name}.* to u@localhost; "
                   f"grant all on `{name}\\_bam\\_%`.* to u@localhost; use {name}; create table node (nid int primary key); "
                   "insert into node values (1); create definer=u@localhost function f() returns int reads sql data return (select count(*) from node); "
                   "create definer=u@localhost view v as select count(*) as n from node; create definer=u@localhost procedure p() select 1")
        made = self.backup("db")
        server.sql("insert into node values (2)", name)
        result = self.bam("restore", str(made["id"]), "--yes", expect=1)
        self.assertSays(result, "log_bin_trust_function_creators")
        self.assertEqual(server.sql("select f(); select n from v; call p()", name), "2\n2\n1\n")
        self.assertClean(server)
        self.backup("db")
        server.sql("set global log_bin_trust_function_creators = 1")
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual(server.sql("select f(); select n from v", name), "1\n1\n")

    def test_a_missing_right_is_named_with_its_grant(self):
        self.server.sql("create table node (a int); create view v as select a from node", self.name)
        made = self.backup("db")
        self.user("less", [f"select, insert, update, create, drop, alter, index, lock tables on `{self.name}`.*",
                           f"all on `{self.name}\\_bam\\_%`.*"])
        before = mariadb.state(self.name)
        result = self.bam("restore", str(made["id"]), "--yes", expect=1)
        self.assertSays(result, "grant", "create view", f"on `{self.name}`.*")
        self.assertEqual(mariadb.state(self.name), before)
        self.assertClean()

    def test_a_key_from_another_database_is_named(self):
        self.server.sql("create table users (uid int primary key); insert into users values (1)", self.name)
        self.server.sql(f"create table contact (uid int, constraint theirs foreign key (uid) references {self.name}.users (uid) "
                        "on delete cascade)", self.other)
        made = self.backup("db")
        result = self.bam("restore", str(made["id"]), "--yes", expect=1)
        self.assertSays(result, f"{self.other}.contact", "theirs", "add constraint", "on delete cascade")
        self.server.sql("insert into contact values (1)", self.other)
        self.assertClean()

    def test_a_key_that_nobody_may_see_keeps_what_it_refers_to(self):
        self.server.sql("create table users (uid int primary key); insert into users values (1)", self.name)
        self.server.sql(f"create table contact (uid int, foreign key (uid) references {self.name}.users (uid))", self.other)
        self.user("site", [f"all on `{self.name}`.*", f"all on `{self.name}\\_bam\\_%`.*"])
        made = self.backup("db")
        result = self.bam("restore", str(made["id"]), "--yes", expect=None)
        self.addCleanup(self.server.sql, "; ".join(
            ["set foreign_key_checks=0"] + [f"drop database `{one}`" for one in
             self.server.sql(f"show databases like '{self.name}\\_bam%'").split()]))
        self.assertSays(result, "foreign key", "the old tables stay")
        self.server.sql("insert into contact values (1)", self.other)

    def test_a_view_on_a_table_that_stays(self):
        self.server.sql("create table node (a int); create table log (b int); create view v as select b from log; "
                        "create trigger t after insert on node for each row insert into log values (new.a)", self.name)
        self.document["profiles"]["less"] = {"encryption": "none", "sources": {"db": {"exclude_tables": ["log"]}}}
        made = self.backup("db", "manual", "less")
        self.server.sql("insert into log values (5); drop view v", self.name)
        self.bam("restore", str(made["id"]), "--yes")
        self.server.sql("insert into node values (6)", self.name)
        self.assertEqual(self.server.sql("select b from v order by b", self.name), "5\n6\n")
        self.assertClean()

    def test_events_do_not_run_before_they_are_live(self):
        self.server.sql("set global event_scheduler = on; create table log (place varchar(64)); "
                        "create event e on schedule every 1 second starts '2020-01-01 00:00:00' do insert into log select database()",
                        self.name)
        self.addCleanup(self.server.sql, "set global event_scheduler = off")
        made = self.backup("db")
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual(self.server.sql("select distinct place from log where place <> database()", self.name), "")
        self.wait(lambda: self.server.sql("select count(*) from log where place = database()", self.name) != "0\n")

    def test_a_visitor_who_holds_a_table_is_waited_for_and_then_left(self):
        self.server.sql("create table a (i int); create table b (i int); insert into b values (1); "
                        "create trigger ta before insert on a for each row set new.i = 1; "
                        "create trigger tb before insert on b for each row set new.i = 1", self.name)
        made = self.backup("db")
        self.server.sql("insert into b values (2)", self.name)
        before = mariadb.state(self.name)
        visitor = self.server.hold("begin; select * from b", self.name)
        try:
            begun = time.monotonic()
            result = self.bam("restore", str(made["id"]), "--yes", expect=1)
            self.assertGreater(time.monotonic() - begun, 25)
            self.assertSays(result, "lock wait timeout", AS_BEFORE)
            self.assertEqual(mariadb.state(self.name), before)
            self.assertClean()
            self.backup("db")
        finally:
            visitor.communicate()
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual(self.server.sql("select count(*) from b", self.name), "1\n")

    def waits(self):
        """Whether some session waits for a table."""
        return "metadata lock" in self.server.sql("select state from information_schema.processlist where state is not null")

    def test_the_site_goes_on_while_a_table_is_waited_for_and_a_cancel_is_seen(self):
        beside = [f"all on `{self.name}`.*", f"all on `{self.name}\\_bam\\_%`.*"]
        trigger = "create trigger t before insert on a for each row set new.i = new.i + 100"
        for way, grants, trigger in (("beside", beside, ""), ("with a trigger", None, trigger), ("direct", beside[:1], "")):
            with self.subTest(way):
                self.server.sql("drop table if exists a; drop table if exists z; create table a (i int); create table z (i int); "
                                f"insert into z values (1); {trigger}", self.name)
                self.use(self.server, "root")
                if grants:
                    self.user(way, grants)
                made = self.backup("db")
                self.server.sql("insert into z values (2)", self.name)
                before = mariadb.state(self.name)
                visitor = self.server.hold("begin; select * from z", self.name)
                process = self.start("restore", str(made["id"]), "--yes")
                for n in range(2):
                    self.wait(self.waits, process)
                    # That is answered, and the restore goes on waiting.
                    self.server.sql(f"insert into a values ({n})", self.name)
                self.wait(self.waits, process)
                process.send_signal(signal.SIGINT)
                self.assertSays(self.finish(process, expect=130), AS_BEFORE)
                self.assertIn(b"still here", visitor.communicate(b"select 'still here';\n")[0])
                add = 100 if trigger else 0
                self.assertEqual(self.server.sql("select * from a order by i", self.name), f"{add}\n{add + 1}\n")
                self.server.sql("delete from a", self.name)
                self.assertEqual(mariadb.state(self.name), before)
                self.assertClean()
                self.bam("restore", str(made["id"]), "--yes")
                self.assertEqual(self.server.sql("select * from z", self.name), "1\n")

    def test_a_busy_site_gets_its_tables_swapped_all_the_same(self):
        self.server.sql("create table z (i int); insert into z values (1)", self.name)
        made = self.backup("db")
        for seconds in (0.3, 4):
            with self.subTest(seconds):
                self.server.sql("update z set i = 2", self.name)
                visitors = []
                for n in range(4):
                    # One for each: the one before may still be read.
                    with open(self.path(f"visits{n}"), "w") as file:
                        file.write(f"do sleep({n * seconds / 4});\n" + f"select sleep({seconds}) from z;\n" * 2000)
                    with open(self.path(f"visits{n}")) as file:
                        visitors.append(subprocess.Popen(self.server.client("--batch", self.name), stdin=file,
                                                         stdout=subprocess.DEVNULL))
                reading = "select count(*) from information_schema.processlist where info like 'select sleep%'"
                self.wait(lambda: self.server.sql(reading) == "4\n")
                try:
                    self.bam("restore", str(made["id"]), "--yes")
                finally:
                    for visitor in visitors:
                        visitor.kill()
                        visitor.wait()
                self.assertEqual(self.server.sql("select * from z", self.name), "1\n")
                self.assertClean()

    def test_hostile_dumps_change_nothing_elsewhere(self):
        self.server.sql("create table node (a int primary key); insert into node values (1); "
                        "create table bystander (x int); insert into bystander values (7)", self.name)
        self.server.sql("create table t (a int); insert into t values (1)", self.other)
        rights = {"root": None, "beside": [f"all on `{self.name}`.*", f"all on `{self.name}\\_bam\\_%`.*"],
                  "direct": [f"all on `{self.name}`.*"]}
        before = mariadb.state(self.name), mariadb.state(self.other)
        out = os.path.join(self.server.top, "outfile")
        for user, grants in rights.items():
            if grants:
                self.user(user, grants)
            for text in HOSTILE:
                dump = self.path("evil.mysql")
                with open(dump, "w") as file:
                    file.write(HEADER + text.format(other=self.other, out=out) + FOOTER)
                with self.subTest(user=user, text=text):
                    result = self.bam("restore", "--file", dump, "--source", "db", "--unauthenticated", "--yes", expect=None)
                    self.assertIn(result.code, (0, 1), result)
                    self.assertEqual(mariadb.state(self.other), before[1])
                    self.assertFalse(os.path.exists(out))
                    if result.code:
                        self.assertEqual(mariadb.state(self.name), before[0])
                    else:
                        # Left out, and said.
                        self.assertSays(result, "were not run")
                        self.server.sql("delete from node; insert into node values (1)", self.name)
                    self.assertClean()

    def test_without_a_whole_safety_dump_nothing_is_restored(self):
        self.server.sql("create table node (a int); insert into node values (1); "
                        "create table broken (a varchar(50)) engine=MyISAM; insert into broken values ('x')", self.name)
        made = self.backup("db")
        self.user("direct", [f"all on `{self.name}`.*"])
        self.server.sql("update node set a = 2; flush tables", self.name)
        os.unlink(os.path.join(self.server.top, "data", self.name, "broken.MYD"))
        result = self.bam("restore", str(made["id"]), "--yes", expect=1)
        self.assertSays(result, "safety dump", "grant all on")
        self.assertEqual(self.server.sql("select a from node", self.name), "2\n")

    def test_what_a_dump_only_drops_stays_whatever_the_users_rights(self):
        dump = self.path("foreign.mysql")
        with open(dump, "w") as file:
            file.write("DROP TABLE IF EXISTS users;\nDROP TABLE IF EXISTS node;\nCREATE TABLE node (a int);\n"
                       "INSERT INTO node VALUES (2);\n")
        for name, grants in (("wide", [f"all on `{self.name}`.*", f"all on `{self.name}\\_bam\\_%`.*"]),
                             ("direct", [f"all on `{self.name}`.*"])):
            with self.subTest(name):
                self.server.sql("create or replace table node (a int); insert into node values (1); "
                                "create table if not exists users (a int)", self.name)
                self.user(name, grants)
                seen = self.bam("restore", "--file", dump, "--source", "db", "--unauthenticated", "--dry-run")
                self.assertIn("stay as they are: users", seen.out)
                self.bam("restore", "--file", dump, "--source", "db", "--unauthenticated", "--yes")
                self.assertEqual(self.server.sql("show tables; select a from node", self.name), "node\nusers\n2\n")
                self.assertClean()


if __name__ == "__main__":
    unittest.main()
