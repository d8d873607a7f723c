"""Dumps of one server restored on another: by its own dump client and by bam, older on newer and newer on older.

`here` is this machine's server, the others run in the roots of `tests/servers/run`."""

import functools
import itertools
import os
import subprocess
import unittest

import mariadb
import postgres
from bamtest import SiteTest

ROOTS = os.environ.get("BAM_TEST_ROOTS", "/nowhere")
# What Drupal makes and what modules may: text of every kind, keys, views, routines, triggers, events.
SCHEMA = r"""
set names utf8mb4 collate utf8mb4_general_ci; set time_zone = '+00:00';
create table node (nid int unsigned not null auto_increment primary key, title varchar(191) collate utf8mb4_unicode_ci not null default '',
  body longtext collate utf8mb4_general_ci, changed int not null default 0, score float, price decimal(10,2), data longblob, doc json,
  made timestamp not null default current_timestamp on update current_timestamp, key title (title), key changed (changed, nid))
  engine=InnoDB default charset=utf8mb4 collate=utf8mb4_general_ci comment='The base table; for "nodes"';
insert into node (title, body, changed, score, price, data, doc, made) values
  ('Hello \\ ''quoted'' 😀', repeat('Wörter; -- \n', 5000), 7, 0.5, 12.5, x'00275c0a0d1a22ff', '{"a": [1, "b;\\n", null]}', '2024-02-29 12:00:00'),
  ('', null, 0, null, null, '', '[]', '2020-01-01 00:00:01');
insert into node (title, changed, made) select concat('node ', seq), seq, '2021-01-01 00:00:00' from seq_3_to_3000;
create table legacy (id int primary key, a varchar(50), b text) engine=MyISAM default charset=latin1;
insert into legacy values (1, 'straße', 'ÄÖÜ €');
create table users (uid int unsigned primary key, name varchar(60) collate utf8mb4_bin, pass varbinary(128)) default charset=utf8mb3 collate=utf8mb3_general_ci;
insert into users values (0, '', ''), (1, 'admin', x'ff00');
create table author (nid int unsigned primary key, uid int unsigned, len int generated always as (uid * 2) stored,
  constraint of_node foreign key (nid) references node (nid) on delete cascade, constraint of_user foreign key (uid) references users (uid));
insert into author (nid, uid) values (1, 1), (2, 0);
create view titles as select nid, title from node where changed > 5;
create function twice(a int) returns int deterministic return a * 2;
create procedure touch(in n int) update node set changed = changed + 1 where nid = n;
create trigger before_node before insert on node for each row set new.title = trim(new.title);
create event nightly on schedule every 1 day starts '2030-01-01 03:00:00' disable do delete from legacy;
"""
# What tells whether it all came back, whatever the server calls things.
QUESTIONS = """
set time_zone = '+00:00';
select table_name, table_type, lower(engine), table_comment from information_schema.tables where table_schema = database()
  and table_type = 'BASE TABLE' order by 1;
select table_name, column_name, ordinal_position, is_nullable, replace(character_set_name, 'utf8mb3', 'utf8'), replace(collation_name, 'utf8mb3', 'utf8')
  from information_schema.columns where table_schema = database() and column_name <> 'doc' order by 1, 3;
select table_name, index_name, seq_in_index, column_name, non_unique from information_schema.statistics where table_schema = database() order by 1, 2, 3;
select constraint_name, table_name, referenced_table_name, replace(delete_rule, 'NO ACTION', 'RESTRICT') from information_schema.referential_constraints
  where constraint_schema = database() order by 1;
select nid, title, sha2(body, 256), changed, format(score, 7), price, hex(data), json_extract(doc, '$.a[1]'), json_valid(doc), made from node order by nid;
select id, hex(convert(a using utf8mb4)), hex(convert(b using utf8mb4)) from legacy; select uid, name, hex(pass) from users; select * from author order by nid;
select count(*) from titles; select twice(21); call touch(2); select changed from node where nid = 2; update node set changed = changed - 1 where nid = 2;
select routine_name, routine_type from information_schema.routines where routine_schema = database() order by 1;
select trigger_name, action_timing, event_manipulation from information_schema.triggers where trigger_schema = database();
select event_name, interval_value, interval_field, starts, status from information_schema.events where event_schema = database();
"""
SERVERS = ("here", "mariadb", "mysql")


def root(name):
    return "/" if name == "here" else os.path.join(ROOTS, name)


@functools.lru_cache(maxsize=None)
def mysql_server(name):
    # No default of the server's, which others do not know.
    return mariadb.Server(["--character-set-server=utf8mb4", "--collation-server=utf8mb4_general_ci"], root=root(name))


@functools.lru_cache(maxsize=None)
def pgsql_server(name):
    return postgres.Server(root(name))


class MariaDbAndMySql(SiteTest):
    """The same site on every pair of servers."""

    def setUp(self):
        super().setUp()
        self.name = "bam_" + os.path.basename(self.top).replace("-", "_").lower()
        self.document["sources"]["db"] = {"type": "database"}

    def use(self, server):
        self.document["databases"] = {"db": {"url": f"mysql://root@localhost/{self.name}", "socket": server.socket}}

    def make(self, server, schema=SCHEMA):
        server.sql(f"drop database if exists {self.name}; create database {self.name}")
        self.addCleanup(server.sql, f"drop database if exists {self.name}")
        server.sql(schema, self.name)

    def on_each_pair(self, test):
        for one, other in itertools.permutations(SERVERS, 2):
            with self.subTest(f"from {one} to {other}"):
                test(mysql_server(one), mysql_server(other))

    def test_a_dump_clients_dump_is_restored(self):
        def dumped(server):
            dump = self.path("theirs.sql")
            with open(dump, "wb") as file:
                subprocess.run(server.dump_client("--routines", "--events", "--triggers", "--single-transaction", self.name), stdout=file,
                               stderr=subprocess.DEVNULL, check=True)
            return dump

        def comes_over(one, other):
            self.make(one)
            dump = dumped(one)
            self.make(other, "create table node (a int); create table newer (b int)")
            self.use(other)
            if other.mysql:
                # MariaDB's dump client writes down what is computed; MySQL takes none of it.
                result = self.bam("restore", "--file", dump, "--source", "db", "--unauthenticated", "--yes", expect=1)
                self.assertSays(result, "generated column", "back up with bam")
                self.assertEqual(other.sql("show tables", self.name), "newer\nnode\n")
                one.sql("alter table author drop len", self.name)
                dump = dumped(one)
            expected = one.sql(QUESTIONS, self.name)
            self.bam("restore", "--file", dump, "--source", "db", "--unauthenticated", "--yes")
            other.sql("drop table newer", self.name)
            self.assertEqual(other.sql(QUESTIONS, self.name), expected)
        self.on_each_pair(comes_over)

    def test_a_backup_is_restored(self):
        def comes_over(one, other):
            self.make(one)
            self.use(one)
            made = self.backup("db")
            expected = one.sql(QUESTIONS, self.name)
            self.make(other, "create table node (a int); create table newer (b int)")
            self.use(other)
            self.bam("restore", str(made["id"]), "--yes")
            self.assertEqual(other.sql(QUESTIONS, self.name), expected)
        self.on_each_pair(comes_over)

    def test_a_collation_that_the_other_does_not_know_is_named_with_the_remedy(self):
        for one, other, collation, instead in (("mysql", "here", "utf8mb4_0900_ai_ci", "utf8mb4_unicode_520_ci"),
                                               ("mariadb", "mysql", "utf8mb4_uca1400_ai_ci", "utf8mb4_unicode_520_ci")):
            with self.subTest(f"from {one} to {other}"):
                self.make(mysql_server(one), f"create table t (a varchar(20)) default charset=utf8mb4 collate={collation}; insert into t values ('ä')")
                self.use(mysql_server(one))
                made = self.backup("db")
                self.make(mysql_server(other), "create table t (a int)")
                self.use(mysql_server(other))
                result = self.bam("restore", str(made["id"]), "--yes", expect=1)
                self.assertSays(result, collation, "SHOW COLLATION", f"s/{collation}/{instead}/g")
                self.assertEqual(mysql_server(other).sql("select count(*) from t", self.name), "0\n")
                # The remedy as it is written.
                dump = self.path("dump.sql")
                with open(dump, "wb") as file:
                    subprocess.run(["gzip", "-dc", made["path"]], stdout=file, check=True)
                subprocess.run(["sed", "-i", f"s/{collation}/{instead}/g", dump], check=True)
                self.bam("restore", "--file", dump, "--source", "db", "--unauthenticated", "--yes")
                self.assertEqual(mysql_server(other).sql("select hex(convert(a using utf8mb4)) from t", self.name), "C3A4\n")


class PostgreSql(SiteTest):
    SCHEMA = """
create table node (nid serial primary key, title varchar(255) not null default '', body text, doc jsonb, data bytea, made timestamptz,
  up text generated always as (upper(title)) stored);
insert into node (title, body, doc, data, made) select 'node ' || n, repeat(E'a\\\\b\\t''"\\n', n % 50), '{"k": [1, "é"]}', '\\x00ff', '2024-02-29 12:00+01'
  from generate_series(1, 2000) n;
create view titles as select nid, title from node where nid > 5;
create function twice(a int) returns int language sql immutable as 'select a * 2';
create materialized view counts as select count(*) as n from node;
create type mood as enum ('sad', 'ok'); create table moods (m mood); insert into moods values ('ok');
"""
    QUESTIONS = ("select nid, title, md5(body), doc, encode(data, 'hex'), made at time zone 'UTC', up from node order by nid; select count(*) from titles; "
                 "select twice(21); select n from counts; select m from moods; insert into node (title) values ('x') returning nid; delete from node where title = 'x'; "
                 "select conname, contype from pg_constraint where connamespace = 'public'::regnamespace and contype <> 'n' order by 1; "
                 "select relname, relkind from pg_class where relnamespace = 'public'::regnamespace order by 1")

    def setUp(self):
        super().setUp()
        self.name = "bam_" + os.path.basename(self.top).replace("-", "_").lower()
        self.document["sources"]["db"] = {"type": "database"}

    def use(self, server):
        self.document["databases"] = {"db": {"url": f"pgsql://{self.name}:p@localhost/{self.name}", "socket": server.top}}
        # With that server's own clients.
        self.within = server.within

    def make(self, server, schema):
        server.sql(f"drop database if exists {self.name} with (force);\ndrop role if exists {self.name};\n"
                   f"create role {self.name} login password 'p';\ncreate database {self.name} owner {self.name};")
        self.addCleanup(server.sql, f"drop database if exists {self.name} with (force);\ndrop role if exists {self.name};")
        server.sql(schema, self.name, self.name, "p")

    def on_each_pair(self, test):
        for one, other in itertools.permutations(("here", "postgresql-17", "postgresql-18"), 2):
            with self.subTest(f"from {one} to {other}"):
                test(pgsql_server(one), pgsql_server(other))

    def expected(self, server):
        text = server.sql(self.QUESTIONS, self.name, self.name, "p")
        self.assertIn("2001", text)
        return text

    def test_a_backup_is_restored(self):
        def comes_over(one, other):
            self.make(one, self.SCHEMA)
            self.use(one)
            made = self.backup("db")
            expected = self.expected(one)
            self.make(other, "create table node (a int); create table newer (b int)")
            self.use(other)
            self.bam("restore", str(made["id"]), "--yes")
            self.assertEqual(self.expected(other), expected)
        self.on_each_pair(comes_over)

    def test_pg_dumps_own_dump_is_restored(self):
        def comes_over(one, other):
            self.make(one, self.SCHEMA)
            dump = self.path("theirs.sql")
            with open(dump, "wb") as file:
                subprocess.run([*one.within, "pg_dump", "-d", self.name], stdout=file, check=True, env=one.environment())
            expected = self.expected(one)
            self.make(other, "create table node (a int)")
            self.use(other)
            self.bam("restore", "--file", dump, "--source", "db", "--unauthenticated", "--yes")
            self.assertEqual(self.expected(other), expected)
        self.on_each_pair(comes_over)

    def test_a_client_older_than_the_server_is_told(self):
        server = pgsql_server("postgresql-18")
        self.make(server, self.SCHEMA)
        self.use(server)
        self.within = []
        self.assertSays(self.bam("backup", "db", expect=1), "server version", "postgresql-client")
        self.assertEqual(self.visible(), [])


if __name__ == "__main__":
    unittest.main()
