"""PostgreSQL, on a server of the tests' own: dumps that stock psql reads, restores that are whole or not at all."""

import gzip
import os
import subprocess
import unittest
from urllib.parse import quote

import postgres
from bamtest import SiteTest, descendants, tree

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
        # And again, onto a database that a restore made.
        self.bam("restore", str(made["id"]), "--yes")
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
        made = self.backup("db")
        self.sql("delete from variable; drop table moods; truncate sessions")
        self.bam("restore", str(made["id"]), "--table", "moods,sessions", "--yes")
        self.assertEqual(self.sql("select count(*) from moods"), "1\n")
        self.assertEqual(self.sql("select hostname from sessions"), "::1\n")
        self.assertEqual(self.sql("select count(*) from variable"), "0\n")
        self.assertClean()
        # The view on it would follow the old table.
        self.assertSays(self.bam("restore", str(made["id"]), "--table", "node", "--yes", expect=1), "view", "which stays")
        self.assertEqual(self.sql("select count(*) from titles"), "2000\n")

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
            # Only who owns an extension can take it along: the administrator, here.
            self.assertSays(result, "extension", "owner")
            self.assertEqual(self.sql("select count(*) from node"), "2000\n")
        self.assertClean()

    def test_pg_dumps_own_dump_is_restored(self):
        dump = self.path("theirs.sql")
        with open(dump, "wb") as file:
            # By the administrator, with owners and grants.
            self.server.sql("grant select on node to public", self.name)
            subprocess.run(["pg_dump", "-d", self.name], stdout=file, check=True, env=self.server.environment())
        self.damage()
        self.bam("restore", "--file", dump, "--source", "db", "--yes")
        self.assertEqual(self.sql("select count(*) from node"), "2000\n")
        # What a dump of others does not have may have been left out on purpose.
        self.assertEqual(self.sql("select count(*) from later"), "0\n")
        self.assertClean()

    def test_a_dump_is_no_program(self):
        for line in ("\\! touch /tmp/bam-was-here", "select 1 \\g |touch /tmp/bam-was-here", "\\connect postgres"):
            dump = self.path("evil.sql")
            with open(dump, "w") as file:
                file.write(f"create table evil (id int);\n{line}\n;\n-- PostgreSQL database dump complete\n")
            before = self.state()
            self.assertSays(self.bam("restore", "--file", dump, "--source", "db", "--yes", expect=4), "command to psql")
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
            result = self.bam("restore", "--file", dump, "--source", "db", "--yes", expect=None)
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
        self.assertSays(self.bam("restore", "--file", dump, "--source", "db", "--yes", expect=2), "MySQL", "PostgreSQL")
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
                with open(f"/proc/{pid}/{what}", "rb") as file:
                    self.assertNotIn(secret, file.read(), what)
        process.kill()
        process.wait()
        holder.communicate()
        self.bam("recover")
        self.assertEqual(self.state(), before)
        self.assertClean()
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual(self.sql("select count(*) from node"), "2000\n")

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
