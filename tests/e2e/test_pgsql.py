"""PostgreSQL, on a server of the tests' own: dumps that stock psql reads, restores that are whole or not at all."""

import contextlib
import gzip
import os
import signal
import subprocess
import unittest
from urllib.parse import quote

import postgres
from bamtest import SiteTest, descendants, peak_memory, tree

PASSWORD = "p@ss'w\"\\ö:r d"

# What Drupal 7 makes on PostgreSQL, and what it does not.
SCHEMA = r"""
create table node (nid serial primary key, title varchar(255) not null default '', body text,
                   constraint node_nid_check check (nid >= 0));
create index node_title_idx on node (title, substr(title, 1, 4));
comment on table node is 'The base table for nodes; it''s "the" table.';
create table variable (name varchar(128) primary key, value bytea not null);
create table cache (cid varchar(255) primary key, data bytea, expire int not null default 0, created int, serialized smallint);
create table sessions (sid text primary key, hostname inet);
create table "we""ird na.me" ("a;b" text, "c\d" numeric(30,10), flags bit(3), happened timestamptz, list text[], doc jsonb);
create view titles as select nid, title from node;
create materialized view counts as select count(*) as n from node;
create function greatest_of(a numeric, b numeric) returns numeric language sql immutable as
  $$ select case when $1 > $2 then $1 else $2 end; -- ; ' $$;
create function touch() returns trigger language plpgsql as $body$ begin new.title := new.title || ';'; return new; end $body$;
create trigger touch before update on node for each row execute function touch();
create sequence alone start 77;
create type mood as enum ('sad', 'it''s ok');
create table moods (m mood);
insert into node (title, body) select 'node ' || n, repeat(E'a\\b\t\'"\n', n % 50) from generate_series(1, 2000) n;
insert into variable values ('maintenance_mode', 'i:0;'), ('site_name', convert_to('s:4:"Lab€";', 'UTF8')),
  ('every byte', decode((select string_agg(lpad(to_hex(b), 2, '0'), '') from generate_series(0, 255) b), 'hex'));
insert into cache values ('x', 'old', 0, 1, 0);
insert into sessions values ('s1', '::1');
insert into "we""ird na.me" values (E'\\.\n\\N', 12345678901234567890.0123456789, B'101', '2001-02-03 04:05:06.789+02', '{a,"b,c",NULL}',
  '{"k": "\\u00e9 \\\\"}'), (null, null, null, null, null, null), ('', 0, B'000', 'infinity', '{}', 'null'), ('\! touch x; copy', 1, null, null, null, null);
insert into moods values ('it''s ok');
select nextval('alone');
refresh materialized view counts;
"""


@unittest.skipIf(postgres.missing(), f"not installed: {postgres.missing()}")
class Pgsql(SiteTest):
    def setUp(self):
        super().setUp()
        self.server = postgres.server()
        self.name = "bam_" + os.path.basename(self.top).replace("-", "_").lower()
        escaped = PASSWORD.replace("'", "''")
        self.server.sql(f"set standard_conforming_strings = on; create role {self.name} login password '{escaped}'; "
                        f"create database {self.name} owner {self.name}")
        self.addCleanup(self.server.sql, f"drop database if exists {self.name} with (force);\ndrop role {self.name};")
        self.document["databases"] = {
            "db": {"url": f"pgsql://{self.name}:{quote(PASSWORD, safe='')}@localhost/{self.name}", "socket": self.server.top}}
        self.document["sources"] |= {"db": {"type": "database"}, "archive": {"type": "archive"}}
        self.sql(SCHEMA)
        self.write("index.php", "<?php\n")
        self.write("sites/default/files/a", "A")

    def sql(self, statements):
        return self.server.sql(statements, self.name, self.name, PASSWORD)

    def state(self):
        """Definitions and rows; those have no order."""
        return sorted(self.server.dump(self.name).splitlines())

    def damage(self):
        self.sql("delete from node where nid > 10; drop table moods; drop view titles; create table later (id int); "
                 "alter table sessions add x int; insert into variable values ('maintenance_mode_message', 's:0:\"\";')")

    def assertClean(self):
        self.assertEqual(self.sql("select nspname from pg_namespace where nspname like 'bam%'"), "")
        self.assertNotIn("restore.json", os.listdir(self.path("state")))

    def restored(self):
        """The state as a restore leaves it: without caches, in the live site's maintenance mode."""
        self.sql("truncate cache")
        return self.state()

    def test_everything_comes_back(self):
        made = self.backup("db", "manual", "secret")
        self.assertTrue(made["file"].endswith(".pgsql.gz.enc"), made["file"])
        before = self.restored()
        self.damage()
        self.sql("delete from variable where name = 'maintenance_mode_message'")
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual(self.state(), before)
        self.assertClean()
        # And again, onto a database that a restore made, with the clients that are in users' PATH; all else here leaves Debian's scripts out.
        theirs = {**os.environ, "PATH": postgres.PATH}
        made = self.bam_json("backup", "db", "manual", "secret", env=theirs)
        self.bam("restore", str(made["id"]), "--yes", env=theirs)
        self.assertEqual(self.state(), before)
        self.bam("verify", str(made["id"]))

    def test_stock_psql_reads_the_dump(self):
        made = self.backup("db")
        before = self.state()
        self.server.sql(f"drop database {self.name} with (force);\ncreate database {self.name} owner {self.name};")
        with gzip.open(made["path"]) as file:
            subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", self.name, "-f", "-"], input=file.read(), check=True,
                           stdout=subprocess.DEVNULL, env=self.server.environment(self.name, PASSWORD))
        self.assertEqual(self.state(), before)

    def test_a_whole_site_comes_back(self):
        made = self.backup("archive", "manual", "secret")
        before, files = self.restored(), tree(self.files)
        self.damage()
        self.sql("delete from variable where name = 'maintenance_mode_message'")
        self.write("sites/default/files/a", "damaged")
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual((self.state(), tree(self.files)), (before, files))

    def test_onto_an_empty_or_missing_schema(self):
        made = self.backup("db")
        before = self.restored()
        self.server.sql(f"drop database {self.name} with (force);\ncreate database {self.name} owner {self.name};")
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual(self.state(), before)
        self.sql("drop schema public cascade")
        self.bam("restore", str(made["id"]), "--yes")
        self.assertIn("2000", self.sql("select count(*) from public.node"))
        self.assertClean()

    def test_tables_are_left_out_and_then_left_alone(self):
        self.document["profiles"]["less"] = {"compression": "none", "encryption": "none", "sources": {
            "db": {"nodata_tables": ["cache*", 'we"ird na.me'], "exclude_tables": ["sessions"]}}}
        made = self.backup("db", "manual", "less")
        with open(made["path"]) as file:
            dump = file.read()
        self.assertNotIn("COPY public.sessions", dump)
        self.assertNotIn('COPY public."we', dump)
        self.assertIn('CREATE TABLE public."we""ird na.me"', dump)
        self.sql("insert into sessions values ('of today', '::2'); delete from node")
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual(self.sql("select count(*) from node"), "2000\n")
        self.assertEqual(self.sql("select count(*) from sessions"), "2\n")
        self.assertEqual(self.sql('select count(*) from "we""ird na.me"'), "0\n")

    def test_single_tables(self):
        self.sql("create table alike (a serial primary key, b int references alike, check (b > 0)); insert into alike default values")
        made = self.backup("db")
        self.sql("delete from variable; drop table alike; truncate sessions")
        self.bam("restore", str(made["id"]), "--table", "alike,sessions", "--yes")
        self.assertEqual(self.sql("select a from alike"), "1\n")
        self.assertEqual(self.sql("select hostname from sessions"), "::1\n")
        self.assertEqual(self.sql("select count(*) from variable"), "0\n")
        self.assertClean()
        # The view on it would follow the old table.
        self.assertSays(self.bam("restore", str(made["id"]), "--table", "node", "--yes", expect=1), "view", "which stays")
        self.assertEqual(self.sql("select count(*) from titles"), "2000\n")
        # Its column would go with the type, which stays behind.
        self.assertSays(self.bam("restore", str(made["id"]), "--table", "moods", "--yes", expect=1), "table moods", "type mood")
        self.assertEqual(self.sql("select m from moods"), "it's ok\n")
        self.assertClean()

    def test_a_table_that_could_not_be_read_is_named_and_stays(self):
        self.document["profiles"]["default"]["ignore_errors"] = True
        self.sql(f"revoke all on sessions from {self.name}")
        for source in ("db", "archive"):
            made = self.bam_json("backup", source, "manual", expect=3)
        self.sql(f"grant all on sessions to {self.name}; delete from node")
        for how in (["--dry-run"], ["--yes", "--table", "cache"], ["--yes"]):
            result = self.bam("restore", str(made["id"]), *how, expect=3)
            self.assertSays(result, "1 thing could not be read", "table sessions; where the site has them, they stay")
        self.assertEqual(self.sql("select (select count(*) from sessions), (select count(*) from node)").split("|")[0].strip()[:1], "1")
        self.assertSays(self.bam("restore", str(made["id"]), "--into", self.path("into"), expect=3), "table sessions")

    def test_extensions_and_grants_stay_usable(self):
        self.server.sql("create extension pg_trgm; create role reader_of_all; grant usage on schema public to reader_of_all; ", self.name)
        self.addCleanup(self.server.sql, f"drop database {self.name} with (force);\ndrop role reader_of_all;")
        self.server.sql("alter extension pg_trgm set schema public", self.name)
        self.sql("create index node_trgm on node using gin (title gin_trgm_ops)")
        made = self.backup("db")
        result = self.bam("restore", str(made["id"]), "--yes", expect=None)
        if result.code == 0:
            self.assertEqual(self.sql("select count(*) from node where title % 'node 77'") != "0\n", True)
            self.assertIn("t", self.sql("select has_schema_privilege('reader_of_all', 'public', 'usage')"))
        else:
            # The dump needs it, and the site's user cannot take the administrator's along.
            self.assertSays(result, "pg_trgm", "SET SCHEMA extensions")
            self.assertEqual(self.sql("select count(*) from node"), "2000\n")
        self.assertClean()

    def test_an_extension_that_cannot_be_moved_stays_with_its_schema(self):
        # A trusted one is its maker's, the functions in it are not.
        self.server.sql(f"grant create on database {self.name} to {self.name}", self.name)
        self.sql("create extension pg_trgm; create type temper as enum ('good', 'bad'); "
                 "create function twice(x temper) returns text language sql as $$ select x::text || x::text $$; "
                 "create domain word as text check (value <> ''); create table odd (id serial primary key, m temper, w word, "
                 "at int generated always as identity, parent int references odd); "
                 "insert into odd (m, w) values ('good', 'one'), ('bad', 'two'); "
                 "create view moody as select twice(m) from odd; create index on odd (lower(w)); "
                 "create statistics odd_rows on m, w from odd")
        before = self.restored()
        made = self.backup("db")
        self.sql("insert into odd (m, w) values ('bad', 'three'); create table added (x int); drop view moody; "
                 "create function other() returns int language sql as 'select 1'")
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual(self.state(), before)
        self.assertEqual(self.sql("select similarity('a', 'a')"), "1\n")
        self.sql("insert into odd (m, w) values ('bad', 'next')")
        self.assertEqual(self.sql("select max(id), max(at) from odd"), "3\t3\n")
        self.assertClean()

    def test_large_objects_come_back_where_they_were(self):
        self.sql("create table doc (id int primary key, content oid); "
                 "insert into doc values (1, lo_from_bytea(0, 'hello')), (2, lo_from_bytea(0, 'same')), "
                 "(3, lo_from_bytea(0, decode(repeat('00ff27', 1000000), 'hex'))), (4, lo_from_bytea(0, 'gone'))")
        content = "select id, md5(lo_get(content)) from doc order by id"
        numbers = self.sql("select array_agg(content order by id) from doc")
        before = self.sql(content)
        made = self.backup("db")
        self.sql("select lo_put(content, 0, 'HELLO, and more') from doc where id = 1; "
                 "select lo_put(content, 2999990, 'changed') from doc where id = 3; select lo_unlink(content) from doc where id = 4; "
                 "insert into doc values (5, lo_from_bytea(0, 'new'))")
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual(self.sql(content), before)
        self.assertEqual(self.sql("select array_agg(content order by id) from doc"), numbers)
        # The one that is of no table any more, and none of ours besides.
        self.assertEqual(self.sql("select count(*) from pg_largeobject_metadata"), "5\n")
        self.sql("select lo_put(content, 0, 'HELLO') from doc where id < 3")
        self.bam("restore", str(made["id"]), "--table", "doc", "--yes")
        self.assertEqual(self.sql(content), before)
        self.assertClean()
        # One of somebody else's is not changed, nor read, and that is said.
        self.server.sql(f"alter large object {self.sql('select content from doc where id = 1').strip()} owner to admin", self.name)
        self.server.sql("select lo_put(content, 0, 'theirs') from doc where id = 1", self.name)
        self.assertSays(self.bam("restore", str(made["id"]), "--yes", expect=1), "large object", "belongs to admin")
        self.assertClean()
        self.assertSays(self.bam("backup", "db", expect=3), "large object")

    def test_what_hangs_on_the_site_from_outside_is_named(self):
        made = self.backup("db")
        for makes, named, gone in (
                ("create view report.v as select count(*) c from public.node", "view report.v", "drop view report.v"),
                ("create table report.r (nid int references public.node)", "table report.r", "drop table report.r"),
                ("create table report.c (m public.mood default 'sad'); insert into report.c default values", "table report.c",
                 "drop table report.c"),
                ("create table report.d (a numeric, b numeric generated always as (public.greatest_of(a, 1)) stored)", "table report.d",
                 "drop table report.d"),
                ("create materialized view report.m as select * from public.titles", "materialized view report.m",
                 "drop materialized view report.m")):
            self.sql(f"create schema if not exists report; {makes}")
            before = self.state()
            self.assertSays(self.bam("restore", str(made["id"]), "--yes", expect=1), named, "which stays")
            self.assertEqual(self.state(), before)
            self.assertClean()
            self.sql(gone)
        self.sql("create table report.own (a int); create function report.f() returns bigint language sql as 'select count(*) from public.node'")
        self.assertSays(self.bam("backup", "db"), "it has others: report")
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual(self.sql("select report.f()"), "2000\n")

    def test_owners_and_privileges_stay_what_they_were(self):
        self.server.sql("create role bam_reader; create role bam_auditor")
        self.addCleanup(self.server.sql, f"drop database if exists {self.name} with (force);\ndrop role bam_reader;\ndrop role bam_auditor;")
        self.sql("grant select on node, titles to bam_reader; grant select (title) on node to bam_auditor; "
                 "grant usage on sequence alone to bam_reader; revoke execute on function greatest_of from public; "
                 "alter default privileges in schema public grant select on tables to bam_auditor")
        rights = ("select table_name, grantee, privilege_type from information_schema.table_privileges where grantee like 'bam\\_%' "
                  "order by 1, 2, 3; select relname, relowner::regrole from pg_class where relnamespace = 'public'::regnamespace order by 1; "
                  "select has_function_privilege('bam_reader', 'greatest_of(numeric, numeric)', 'execute'), "
                  "has_column_privilege('bam_auditor', 'node', 'title', 'select'), has_sequence_privilege('bam_reader', 'alone', 'usage'); "
                  "select defaclobjtype, defaclacl from pg_default_acl")
        before = self.sql(rights)
        made = self.backup("db")
        # By the administrator: the site must be able to read what comes back.
        self.document["databases"]["db"]["url"] = f"pgsql://admin:{quote(postgres.ADMIN, safe='')}@localhost/{self.name}"
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual(self.sql(rights), before)
        self.assertEqual(self.sql("select count(*) from node"), "2000\n")

    def test_an_extension_in_a_schema_of_its_own_comes_along(self):
        self.server.sql(f"create schema ext; create extension pg_trgm with schema ext; grant usage on schema ext to {self.name}", self.name)
        self.sql("create index node_trgm on node using gin (title ext.gin_trgm_ops)")
        made = self.backup("db")
        self.bam("restore", str(made["id"]), "--yes")
        self.assertIn("gin_trgm_ops", self.sql("select indexdef from pg_indexes where indexname = 'node_trgm'"))
        self.server.sql(f"drop database {self.name} with (force);\ncreate database {self.name} owner {self.name};")
        self.bam("restore", str(made["id"]), "--yes")
        self.assertIn("gin_trgm_ops", self.sql("select indexdef from pg_indexes where indexname = 'node_trgm'"))

    def test_what_a_dump_of_a_schema_cannot_hold_is_said(self):
        self.sql("create function on_ddl() returns event_trigger language plpgsql as 'begin end'")
        self.server.sql("create event trigger watch on ddl_command_end execute function public.on_ddl()", self.name)
        self.assertSays(self.bam("backup", "db", expect=3), "event trigger watch")

    def test_odd_kinds_of_tables(self):
        self.sql("create table ident (id int generated always as identity (start 7), up text generated always as (upper(t)) stored, t text); "
                 "insert into ident (t) values ('a'), ('b'); "
                 "create table parts (d date, v int) partition by range (d); "
                 "create table parts_1 partition of parts for values from ('2020-01-01') to ('2021-01-01'); "
                 "create table parts_default partition of parts default; insert into parts values ('2020-05-05', 1), ('2030-01-01', 2); "
                 "create table child (more int) inherits (moods); insert into child values ('sad', 3); "
                 "create unlogged table \"Gro\u00df \"\"; drop\" (a int); create domain positive as int check (value > 0); "
                 "create table doms (p positive); insert into doms values (3); create materialized view later as select 1 as a with no data; "
                 "create rule no_delete as on delete to doms do instead nothing; create type pair as (a int, b text); "
                 "create table pairs (p pair[]); insert into pairs values (array[row(1, 'x')::pair]); "
                 "create aggregate sum_of (int) (sfunc = int4pl, stype = int, initcond = '0'); "
                 "alter table node enable row level security; create policy all_rows on node using (true); "
                 "create statistics node_stats on nid, title from node; create collation odd (locale = 'C')")
        before = self.restored()
        made = self.backup("db")
        self.sql("drop table ident, parts, child; delete from node; drop policy all_rows on node")
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual(self.state(), before)
        self.sql("insert into ident (t) values ('c')")
        self.assertEqual(self.sql("select max(id) from ident"), "9\n")

    def test_a_visitor_who_reads_keeps_nobody_out(self):
        made = self.backup("db")
        self.sql("update node set title = 'live'")
        visitor = subprocess.Popen(["psql", "-X", "-q", "-At", "-d", self.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   env=self.server.environment())
        self.addCleanup(lambda: visitor.poll() is None and visitor.communicate())
        visitor.stdin.write(b"begin; select count(*) from node;\n")
        visitor.stdin.flush()
        self.assertEqual(visitor.stdout.readline(), b"2000\n")
        self.assertSays(self.bam("restore", str(made["id"]), "--yes", expect=None), "still in use")
        self.assertEqual(self.sql("select count(*) from node where title = 'live'"), "0\n")
        visitor.communicate()
        self.backup("db")
        self.bam("restore", str(made["id"]), "--yes")
        self.assertClean()

    def test_hostile_statements_are_refused(self):
        self.server.sql(f"create schema report; create table report.r (a int); insert into report.r values (1); "
                        f"grant all on schema report to {self.name}; grant all on report.r to {self.name}", self.name)
        before = self.state()
        out = self.path("out")
        for text in (f"copy public.evil from program 'touch {out}'", f"copy public.evil to '{out}'", "alter system set x.y = 'z'",
                     "create role evil superuser", "do $$ begin delete from report.r; end $$", "set session authorization postgres",
                     "select pg_read_file('/etc/passwd')", "delete from report.r", "insert into report.r values (2)",
                     "truncate report.r", "drop table report.r"):
            dump = self.path("evil.sql")
            with open(dump, "w") as file:
                file.write(f"create table public.evil (id text);\n{text};\n-- PostgreSQL database dump complete\n")
            for user in (self.name, "admin"):
                password = PASSWORD if user == self.name else postgres.ADMIN
                self.document["databases"]["db"]["url"] = f"pgsql://{user}:{quote(password, safe='')}@localhost/{self.name}"
                with self.subTest(text=text, user=user):
                    self.bam("restore", "--file", dump, "--source", "db", "--unauthenticated", "--yes", expect=1)
                    self.assertEqual(self.state(), before)
                    self.assertFalse(os.path.exists(out))
                    self.assertClean()

    def test_pg_dumps_own_dump_is_restored(self):
        dump = self.path("theirs.sql")
        with open(dump, "wb") as file:
            # By the administrator, with owners and grants.
            self.server.sql("grant select on node to public", self.name)
            subprocess.run(["pg_dump", "-d", self.name], stdout=file, check=True, env=self.server.environment())
        self.damage()
        self.bam("restore", "--file", dump, "--source", "db", "--unauthenticated", "--yes")
        self.assertEqual(self.sql("select count(*) from node"), "2000\n")
        # What a dump of others does not have may have been left out on purpose.
        self.assertEqual(self.sql("select count(*) from later"), "0\n")
        self.assertClean()

    def test_a_long_row_comes_through_without_being_held(self):
        """A row of 80 MB, as COPY has it and as an INSERT does."""
        self.sql("create table long (x int, value bytea); insert into long values (1, decode(repeat('0a5c27ff', 10000000), 'hex')), (2, 'b')")
        before = self.sql("select x, length(value), md5(value) from long order by x")
        made = self.backup("db")
        inserts = self.path("inserts.sql")
        with open(inserts, "wb") as file:
            subprocess.run(["pg_dump", "-d", self.name, "--inserts"], stdout=file, check=True, env=self.server.environment())
        self.assertGreater(os.path.getsize(inserts), 80_000_000)
        for words in (["verify", "latest"], ["restore", str(made["id"]), "--yes"],
                      ["restore", "--file", inserts, "--source", "db", "--unauthenticated", "--yes"]):
            with self.subTest(words[-1]):
                self.sql("delete from long")
                process = self.start(*words)
                peak = peak_memory(process)
                self.finish(process, expect=0)
                self.assertLess(peak, 64 << 20)
                if words[0] == "restore":
                    self.assertEqual(self.sql("select x, length(value), md5(value) from long order by x"), before)

    def test_pg_dumps_custom_format_is_named_with_what_makes_sql_of_it(self):
        path = self.path("site.pgdump")
        subprocess.run(["pg_dump", "-Fc", "-f", path, "-d", self.name], check=True, env=self.server.environment())
        before = self.state()
        for options in (["--source", "db"], ["--into", self.path("elsewhere")]):
            with self.subTest(options):
                result = self.bam("restore", "--file", path, *options, "--unauthenticated", "--yes", expect=1)
                self.assertSays(result, "pg_dump custom-format", "pg_restore -f dump.sql")
        self.assertEqual(self.state(), before)
        dump = self.path("dump.sql")
        subprocess.run(["pg_restore", "-f", dump, path], check=True)
        self.damage()
        self.bam("restore", "--file", dump, "--source", "db", "--unauthenticated", "--yes")
        self.assertEqual(self.sql("select count(*) from node"), "2000\n")

    def test_a_dump_of_a_newer_pg_dump_is_restored(self):
        done = subprocess.run(["pg_dump", "-d", self.name], stdout=subprocess.PIPE, check=True, env=self.server.environment())
        # As 17.6 writes it, and one that no server knows yet would be refused as what it may be.
        lines = [line for line in done.stdout.decode().split("\n") if not line.startswith(("\\restrict", "\\unrestrict"))]
        at = next(number for number, line in enumerate(lines) if line.startswith("SET statement_timeout"))
        dump = self.path("theirs.sql")
        self.damage()
        for more, expect in (([], 0), (["SET time_travel = on;"], 1)):
            with open(dump, "w") as file:
                file.write("\n".join([*lines[:3], "\\restrict Nb5zPq7xC1w", "", *lines[3:at + 1], "SET transaction_timeout = 0;",
                                      *more, *lines[at + 1:], "\\unrestrict Nb5zPq7xC1w", ""]))
            before = self.state()
            self.bam("restore", "--file", dump, "--source", "db", "--unauthenticated", "--yes", expect=expect)
            self.assertEqual(self.state() == before, expect != 0)
            self.assertClean()

    def test_a_dump_is_no_program(self):
        for line in ("\\! touch /tmp/bam-was-here", "select 1 \\g |touch /tmp/bam-was-here", "\\connect postgres"):
            dump = self.path("evil.sql")
            with open(dump, "w") as file:
                file.write(f"create table evil (id int);\n{line}\n;\n-- PostgreSQL database dump complete\n")
            before = self.state()
            self.assertSays(self.bam("restore", "--file", dump, "--source", "db", "--unauthenticated", "--yes", expect=4), "command to psql")
            self.assertEqual(self.state(), before)
            self.assertFalse(os.path.exists("/tmp/bam-was-here"))
            self.assertClean()

    def test_cut_short_or_wrong_it_changes_nothing(self):
        made = self.backup("db")
        with gzip.open(made["path"], "rt") as file:
            text = file.read()
        before = self.state()
        for broken, code in ((text[:len(text) // 2], 4), (text.replace("2000", "2000\tx", 1), None),
                             (text.replace("CREATE VIEW", "CREATE VIEEW"), 1)):
            dump = self.path("broken.sql")
            with open(dump, "w") as file:
                file.write(broken)
            result = self.bam("restore", "--file", dump, "--source", "db", "--unauthenticated", "--yes", expect=None)
            self.assertIn(result.code, (1, 4) if code is None else (code,), result)
            self.assertEqual(self.state(), before)
            self.assertClean()

    def test_logins_that_fail_say_what_to_do_and_no_secret(self):
        self.document["databases"]["db"]["url"] = f"pgsql://{self.name}:wrong-Passw0rd@localhost/{self.name}"
        result = self.bam("backup", "db", expect=1)
        self.assertSays(result, "password authentication failed", "check the user and the password")
        self.assertNotIn("wrong-Passw0rd", result.err)
        self.document["databases"]["db"]["url"] = f"pgsql://{self.name}:{quote(PASSWORD, safe='')}@localhost/no_such"
        self.assertSays(self.bam("backup", "db", expect=1), "no_such", "create the database")
        self.document["databases"]["db"]["socket"] = self.path("nowhere")
        self.assertSays(self.bam("backup", "db", expect=1), "server is running")
        self.assertEqual(self.visible(), [])

    def test_who_does_not_own_the_schema_is_told_before_anything_changes(self):
        made = self.backup("db")
        self.server.sql("alter schema public owner to admin; grant all on schema public to public", self.name)
        before = self.state()
        self.assertSays(self.bam("restore", str(made["id"]), "--yes", expect=1), "owner", "alter schema public owner to")
        self.assertEqual(self.state(), before)
        self.assertClean()

    def test_a_dump_of_another_kind_of_database_is_refused(self):
        dump = self.path("site.mysql")
        with open(dump, "w") as file:
            file.write("-- MySQL dump 10.13\nCREATE TABLE `node` (`nid` int) ENGINE=InnoDB;\n")
        before = self.state()
        self.assertSays(self.bam("restore", "--file", dump, "--source", "db", "--unauthenticated", "--yes", expect=2), "MySQL", "PostgreSQL")
        self.assertEqual(self.state(), before)

    def test_killed_it_leaves_the_old_site_or_the_new(self):
        made = self.backup("archive")
        self.sql("truncate cache; delete from node where nid > 10")
        self.write("sites/default/files/a", "damaged")
        before = self.state()
        # The load waits for its turn, which somebody else has.
        holder = subprocess.Popen(["psql", "-X", "-q", "-d", self.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  env=self.server.environment())
        self.addCleanup(lambda: holder.poll() is None and holder.communicate())
        holder.stdin.write(b"begin; lock table pg_namespace in access exclusive mode;\n\\echo held\n")
        holder.stdin.flush()
        self.assertEqual(holder.stdout.readline(), b"held\n")
        process = self.start("restore", str(made["id"]), "--yes")
        self.wait(lambda: len(descendants(process.pid)) > 1, process)
        secret = PASSWORD.encode()
        for pid in descendants(process.pid):
            for what in ("cmdline", "environ"):
                # One that has ended meanwhile shows nothing.
                with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/{what}", "rb") as file:
                    self.assertNotIn(secret, file.read(), what)
        process.kill()
        process.wait()
        holder.communicate()
        self.bam("recover")
        self.assertEqual(self.state(), before)
        self.assertClean()
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual(self.sql("select count(*) from node"), "2000\n")

    def test_the_site_goes_on_while_a_table_is_waited_for_and_a_cancel_is_seen(self):
        made = self.backup("db")
        self.sql("delete from sessions; delete from variable")
        visitor = subprocess.Popen(["psql", "-X", "-q", "-d", self.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   env=self.server.environment())
        self.addCleanup(lambda: visitor.poll() is None and visitor.communicate())
        visitor.stdin.write(b"begin; select * from variable;\n\\echo held\n")
        visitor.stdin.flush()
        while visitor.stdout.readline() != b"held\n":
            self.assertIsNone(visitor.poll())
        waits = lambda: self.server.sql("select count(*) from pg_stat_activity where wait_event_type = 'Lock'") != "0\n"
        restore = ("restore", str(made["id"]), "--table", "sessions,variable", "--yes")
        process = self.start(*restore)
        for n in range(2):
            self.wait(waits, process)
            # That is answered, and the restore goes on waiting.
            self.sql(f"insert into sessions values ('visitor {n}')")
        self.wait(waits, process)
        process.send_signal(signal.SIGTERM)
        self.assertSays(self.finish(process, expect=130), "Everything is as it was before the restore")
        self.assertEqual(self.sql("select sid from sessions order by sid"), "visitor 0\nvisitor 1\n")
        self.assertClean()
        visitor.communicate()
        self.bam(*restore)
        self.assertEqual(self.sql("select sid from sessions; select count(*) from variable where name = 'site_name'"), "s1\n1\n")

    def test_the_server_going_away_is_a_failure_like_any_other(self):
        made = self.backup("db")
        before = self.state()
        # A server without its disk would do the same, but all tests would see it: this session alone is ended.
        self.server.sql(f"alter role {self.name} connection limit 1")
        other = subprocess.Popen(["psql", "-X", "-q", "-d", self.name, "-c", "select pg_sleep(600)"],
                                 env=self.server.environment(self.name, PASSWORD), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(other.wait)
        self.addCleanup(other.kill)
        self.wait(lambda: self.server.sql(f"select count(*) from pg_stat_activity where usename = '{self.name}'") == "1\n")
        self.assertSays(self.bam("restore", str(made["id"]), "--yes", expect=1), "too many connections")
        self.server.sql(f"alter role {self.name} connection limit -1")
        self.assertEqual(self.state(), before)


if __name__ == "__main__":
    unittest.main()
