"""Servers that lie in any of their answers: nothing is lost, nothing is believed that was not checked, and neither memory nor time
is theirs to take."""

import itertools
import os
import random
import shutil
import signal
import socketserver
import subprocess
import sys
import threading
import time
import unittest

import bombs
import lying_databases
import mariadb
import postgres
from bamtest import SiteTest, digest, peak_memory, tree
from relay import Relay
from sshd import PROGRAM, Sshd

HERE = os.path.dirname(os.path.abspath(__file__))
# What the whole of a run may take; docs/performance.md promises it.
MOST = 64 << 20
# A backup tries again for five minutes, as a server may reboot: here somebody loses patience before, and cancels.
PATIENCE = 20
LONGEST = 60
SEED = int(os.environ.get("BAM_TEST_SEED") or random.randrange(1 << 32))
ROUNDS = int(os.environ.get("BAM_TEST_ROUNDS", "3"))
# What a hostile file unpacks to, in mebibytes: more than a run may take by so much that it shows. And its members.
SIZE = 40 * ROUNDS
MEMBERS = 3_000 * ROUNDS
BLOCK = 1 << 20
# What a sidecar, and an export of Backup and Migrate, may have.
SIDECAR = EXPORT = 1 << 20


class Liars(SiteTest):
    def measured(self, *words, alone=False, most=MOST):
        """Runs bam, whatever comes of it: it ends in time, in memory, and without a panic; `alone`: nobody cancels it."""
        begun = time.monotonic()
        process = self.start(*words)
        said = []
        reading = threading.Thread(target=lambda: said.append(process.communicate()))
        timers = [threading.Timer(LONGEST, process.kill)]
        if not alone:
            timers.append(threading.Timer(PATIENCE, process.send_signal, [signal.SIGINT]))
        reading.start()
        for timer in timers:
            timer.start()
        peak = peak_memory(process)
        reading.join()
        for timer in timers:
            timer.cancel()
        seconds = time.monotonic() - begun
        text = b"".join(said[0]).decode(errors="replace") if said else ""
        note = f"seed {SEED}: bam {' '.join(words)}: exit code {process.returncode} after {seconds:.1f} s, {peak >> 20} MiB\n{text}"
        if os.environ.get("BAM_TEST_TELL"):
            print("#", note[:400].replace("\n", " | "), flush=True)
        self.assertIn(process.returncode, (0, 1, 2, 3, 4, *([130] if seconds > PATIENCE and not alone else [])), note)
        self.assertNotIn("panicked", text, note)
        self.assertNotIn("bug in bam", text, note)
        self.assertLess(seconds, LONGEST, note)
        self.assertLessEqual(peak, most, note)
        return process.returncode, note


class Files(Liars):
    """Files that are small and say much: whoever looks into them, checks them or restores them ends alone, and in memory."""

    def setUp(self):
        super().setUp()
        self.document["databases"] = {"db": {"url": "sqlite:" + self.path("site.sqlite")}}
        self.document["sources"]["db"] = {"type": "database"}
        self.document["destinations"]["second"] = {"type": "directory", "path": self.path("second")}
        os.makedirs(self.destination())
        self.write("sites/default/files/a", "A")

    def put(self, name, content):
        with open(os.path.join(self.destination(), name), "wb") as file:
            file.write(content)
        return file.name

    def looked_at(self, name, content, verbs=("import", "ls", "verify", "restore")):
        """The verbs that read a file which nothing proves."""
        path, site, into = self.put(name, content), tree(self.root), self.path("into")
        commands = {"import": ["import", self.path(name), "second", "--unauthenticated"], "ls": ["ls", "--file", path],
                    "verify": ["verify", name],
                    "restore": ["restore", "--file", path, "--unauthenticated", "--yes", "--source", "files", "--into", into]}
        with self.subTest(name):
            self.assertLess(len(content), 8 << 20)
            shutil.copy(path, self.path(name))
            for verb in verbs:
                self.measured(*commands[verb], alone=True)
            self.assertEqual(tree(self.root), site)
        shutil.rmtree(into, ignore_errors=True)
        os.unlink(path)

    def test_what_is_compressed_to_nothing(self):
        size = SIZE << 20
        tar = bombs.header("big", size - size % BLOCK), bytes(BLOCK), size, bytes(1024)
        self.looked_at("bomb.tar.gz", bombs.bomb("gz", *tar))
        for kind in ("bz2", *(["zst"] if bombs.HAS_ZSTD else [])):
            self.looked_at(f"bomb.tar.{kind}", bombs.bomb(kind, *tar), ["verify", "restore"])
        # No dump, but zeros.
        self.looked_at("zeros.mysql.gz", bombs.bomb("gz", b"", bytes(BLOCK), size), ["import"])
        self.looked_at("bomb.tar.zip", bombs.zip_bomb("bomb.tar", *tar), ["ls", "restore"])

    def test_archives_of_headers_alone(self):
        self.looked_at("many.tar.gz", bombs.many_members(MEMBERS))
        self.looked_at("headers.tar.gz", bombs.many_headers(100, (1 << 20) - 100))
        self.looked_at("longer.tar.gz", bombs.many_headers(100, 1 << 20))

    def test_dumps_without_end(self):
        mysql, pgsql = b"-- MySQL dump 10.13\n", b"--\n-- PostgreSQL database dump\n--\n"
        copy = b"COPY public.t (a) FROM stdin;\n"
        verbs = itertools.cycle(["import", "ls", "verify"])
        # One thing that does not end, and a million that do.
        for name, start, unit in (
                ("line.mysql", b"-- ", b"x"), ("delimiter.mysql", b"DELIMITER ", b"x"), ("set.mysql", b"SET @a = '", b"x"),
                ("create.mysql", b"CREATE TABLE t (", b"a int, "), ("comment.mysql", b"/* ", b"x"),
                ("line.pgsql", b"-- ", b"x"), ("header.pgsql", b"-- bam-excluded: [", b'"a",'), ("copy.pgsql", copy, b"x"),
                ("create.pgsql", b"CREATE TABLE t (", b"a int, "), ("comment.pgsql", b"/* ", b"x"),
                ("command.pgsql", b"\\restrict ", b"x"), ("insert.pgsql", b"INSERT INTO t VALUES ('", b"x")):
            begin = pgsql * (name != "header.pgsql") if name.endswith("pgsql") else mysql
            self.looked_at(name + ".gz", bombs.bomb("gz", begin + start, unit, SIZE << 20), [next(verbs)])
        for name, begin, unit in (
                ("blank.mysql", mysql, b"\n"), ("semicolons.mysql", mysql, b";"), ("comments.mysql", mysql, b"-- x\n"),
                ("rows.mysql", mysql, b"INSERT INTO `t` VALUES (1),(2),(3);\n"), ("blank.pgsql", pgsql, b"\n"),
                ("semicolons.pgsql", pgsql, b";"), ("rows.pgsql", pgsql + copy, b"x\n"), ("tables.pgsql", pgsql, b"CREATE TABLE a(b);")):
            self.looked_at(name + ".gz", bombs.bomb("gz", begin, unit, ROUNDS * BLOCK // 3), [next(verbs)])

    def test_sidecars_of_a_mebibyte(self):
        made = self.backup("files")
        with open(made["path"] + ".info") as file:
            info = file.read()
        for number in range(38):
            name = f"long-{number}.tar.gz"
            os.link(made["path"], os.path.join(self.destination(), name))
            text = info.replace(str(made["id"]), str(made["id"] - 1 - number))
            # Up to what a sidecar may have, in one line or in very many.
            unit = "x" if number % 2 else "x\n; "
            self.put(name + ".info", (text + "; " + unit * ((SIDECAR - len(text) - 2) // len(unit))).encode())
        for words in (["backups"], ["status"], ["verify", "latest"], ["prune"], ["ls", "latest"],
                      ["restore", "latest", "--source", "files", "--into", self.path("into"), "--yes"]):
            self.measured(*words, alone=True)

    def test_exports_of_backup_and_migrate_at_the_limit(self):
        for name, start, unit in (("flat", b"<?php\n$a = array(", b"'a' => 'b', "), ("deep", b"<?php\n$a = ", b"array("),
                                  ("one", b"<?php\n$a = '", b"\\'"), ("stars", b"<?php\n$a = 1; /*", b"*"),
                                  ("steps", b"<?php\n", b"$a->b['c'] = 1;\n"), ("lines", b"<?php\n", b"\n")):
            for size in (EXPORT, EXPORT + 100) if name == "one" else (EXPORT,):
                with self.subTest(name, size=size):
                    text = start + unit * ((size - len(start)) // len(unit))
                    with open(self.path("export"), "wb") as file:
                        file.write(text)
                    self.measured("import-settings", self.path("export"), alone=True)


@unittest.skipUnless(os.path.exists(PROGRAM), "openssh-server is not installed")
class Sftp(Liars):
    # Starts among the first (tests/tap.py).
    long = True

    def setUp(self):
        super().setUp()
        self.write("sites/default/files/big", random.Random(1).randbytes(300_000))
        self.write("sites/default/files/a", "A")

    def test_any_answer_may_be_a_lie(self):
        """Each verb against a server that lies in one answer in ten, or in thirty; and afterwards against an honest one."""
        log = self.path("lies")
        open(log, "w").close()
        os.chmod(log, 0o666)
        done = 0
        for number in range(ROUNDS):
            with self.subTest(seed=SEED, round=number):
                honest = Sshd()
                self.addCleanup(honest.close)
                self.document["destinations"] = {"manual": self.document["destinations"]["manual"],
                                                 "far": {**honest.settings, "timeout": 5}}
                first = self.backup("files", "manual,far", "secret")
                here, site = digest(first["path"]), tree(self.files)
                liar = Sshd(extra=f"ForceCommand {sys.executable} {HERE}/lying_sftp.py seed={SEED}-{number} "
                                  f"one-in={(10, 30)[number % 2]} log={log}")
                self.addCleanup(liar.close)
                # The same folder, told of by somebody else.
                shutil.rmtree(liar.backups)
                os.symlink(honest.backups, liar.backups)
                self.document["destinations"]["far"] = {**liar.settings, "timeout": 5}
                for words in (["backups"], ["verify"], ["backup", "files", "manual,far", "secret"], ["replicate"], ["status"],
                              ["restore", str(first["id"]), "--destination", "far", "--into", self.path(f"look-{number}"), "--yes"],
                              ["prune"], ["rekey", "--all"], ["delete", "latest", "--destination", "far", "--yes"]):
                    self.measured(*words)
                    done += 1
                self.assertEqual(digest(first["path"]), here, "the copy on this machine is as it was")
                self.assertEqual(tree(self.files), site, "nothing was restored onto the site")
                look = self.path(f"look-{number}")
                if os.path.exists(look):
                    self.assertEqual(tree(look), site, "what was restored is what was backed up")
                # The honest server has what it has: bam says so, and takes up from there.
                self.document["destinations"]["far"] = {**honest.settings, "timeout": 5}
                self.bam("backup", "files", "manual,far", "secret")
                self.measured("verify")
                self.bam("verify", "--destination", "manual")
                honest.close()
                liar.close()
        with open(log) as file:
            self.assertGreater(sum(" lie_" in line for line in file), done // 3, "it did lie")


class Nonsense(socketserver.BaseRequestHandler):
    """A server of which every connection brings something else: nothing, noise, half a greeting, a flood."""

    def handle(self):
        chance = self.server.chance
        with self.server.guard:
            what = chance.randrange(6)
        greeting = b"\x0a5.5.5-10.11.6-MariaDB\x00" + bytes(4) + b"abcdefgh\x00\xff\xf7\x08\x02\x00\xff\x81\x15" + bytes(10) + b"x" * 13
        try:
            if what == 0:
                return
            if what == 1:
                self.request.sendall(chance.randbytes(5000))
            elif what == 2:
                self.request.sendall(len(greeting).to_bytes(3, "little") + b"\0" + greeting[:chance.randrange(len(greeting))])
            elif what == 3:
                self.request.sendall(b"\xff\xff\xff\0" + b"\x0a" * 100)
                while True:
                    self.request.sendall(b"y" * 65536)
            else:
                self.request.sendall(len(greeting).to_bytes(3, "little") + b"\0" + greeting)
                while self.request.recv(65536):
                    noise = chance.randbytes(chance.randrange(1, 3000))
                    self.request.sendall(len(noise).to_bytes(3, "little") + bytes([chance.randrange(4)]) + noise)
        except OSError:
            # It has hung up.
            pass


@unittest.skipUnless(shutil.which("mariadb") or shutil.which("mysql"), "mariadb-client is not installed")
class Database(Liars):
    def test_a_database_server_that_talks_nonsense(self):
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Nonsense)
        server.daemon_threads = True
        server.chance, server.guard = random.Random(SEED), threading.Lock()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.write("sites/default/files/a", "A")
        self.document["databases"] = {"db": {"url": f"mysql://u:p@127.0.0.1:{server.server_address[1]}/d"}}
        self.document["sources"] |= {"db": {"type": "database"}, "archive": {"type": "archive"}}
        self.bam("backup", "files")
        before = self.visible()
        for number in range(4 * ROUNDS):
            with self.subTest(seed=SEED, round=number):
                code, note = self.measured("backup", ("db", "archive")[number % 2])
                self.assertNotEqual(code, 0, note)
                self.assertEqual(self.visible(), before, note)


class Answers(Liars):
    """Database servers that let everybody in: the end comes from bam, not from whoever waits for it."""

    def endless(self, scheme, handler, lies, dump):
        self.write("sites/default/files/a", "A")
        self.document["sources"] |= {"db": {"type": "database"}, "archive": {"type": "archive"}}
        path = self.path("dump.sql")
        with open(path, "w") as file:
            file.write(dump)
        for lie in lies:
            with self.subTest(lie):
                server = lying_databases.Server(handler, lie)
                self.addCleanup(server.close)
                self.document["databases"] = {"db": {"url": f"{scheme}://u:p@127.0.0.1:{server.port}/d"}}
                for words in (["backup", "archive"], ["restore", "--file", path, "--source", "db", "--unauthenticated", "--yes"]):
                    code, note = self.measured(*words, alone=True)
                    self.assertNotEqual(code, 0, note)
                    self.assertEqual(self.visible(), [], note)
                if lie not in ("greeting", "notices"):
                    self.assertGreater(server.asked, 1, "it came to a question")

    @unittest.skipUnless(shutil.which("mariadb") or shutil.which("mysql"), "mariadb-client is not installed")
    def test_a_mysql_server_that_answers_without_end(self):
        self.endless("mysql", lying_databases.Mysql, lying_databases.MYSQL,
                     "-- MySQL dump 10.13\nCREATE TABLE `t` (`a` int);\n-- Dump completed\n")

    @unittest.skipUnless(shutil.which("psql"), "postgresql-client is not installed")
    def test_a_postgresql_server_that_answers_without_end(self):
        # That one ends when psql has worked for its seconds.
        lies = [lie for lie in lying_databases.PGSQL if lie != "rows" or ROUNDS > 3]
        self.endless("pgsql", lying_databases.Pgsql, lies,
                     "--\n-- PostgreSQL database dump\n--\nCREATE TABLE public.t (a int);\n--\n-- PostgreSQL database dump complete\n--\n")


class Lines(Liars):
    """The line to a real server is dropped, wherever that may be: in the dump, while it loads, while the tables trade places."""

    def cut(self, url, target, change, state, count):
        """`state()` is what a visitor sees, `change()` makes another of it."""
        self.document["sources"]["db"] = {"type": "database"}
        relay = Relay(target)
        self.addCleanup(relay.close)
        self.document["databases"] = {"db": {"url": url(relay.own)}}
        new, chance = state(), random.Random(SEED)
        made, passed = self.bam_json("backup", "db"), relay.passed
        change()
        self.bam("restore", str(made["id"]), "--yes")
        restored = relay.passed - passed
        self.assertEqual(state(), new)
        change()
        passed = relay.passed
        self.bam("backup", "db")
        backed_up = relay.passed - passed
        for number in range(count):
            for words, whole in ((["backup", "db"], backed_up), (["restore", str(made["id"]), "--yes"], restored)):
                # Anywhere, or at the end, where the tables trade places.
                at = chance.randrange(whole) if number % 2 else whole - chance.randrange(min(8000, whole))
                with self.subTest(words[0], seed=SEED, at=at, of=whole):
                    change()
                    old, before = state(), self.visible()
                    relay.passed, relay.cut_after = 0, at
                    code, note = self.measured(*words, alone=True)
                    relay.cut_after = None
                    self.assertIn(code, (0, 1, 3), note)
                    if code == 1:
                        self.assertRegex(note, "(?i)lost connection|lost the connection|connection .* lost|server closed|does not answer")
                    if words[0] == "backup":
                        self.assertEqual((state(), self.visible() != before), (old, code in (0, 3)), note)
                    elif code == 0:
                        self.assertEqual(state(), new, note)
                    self.bam("recover")
                    self.assertIn(state(), (old, new), note)
                    self.assertNotIn("restore.json", os.listdir(self.path("state")), note)
        # What could not be removed over a line that was gone goes with the next run.
        self.bam("backup", "db")

    @unittest.skipIf(mariadb.missing(), "mariadb-server is not installed")
    def test_to_mariadb(self):
        server, name = mariadb.server(), "bam_lines"
        server.sql(f"create database {name}")
        self.addCleanup(server.sql, f"drop database if exists {name}")
        server.sql("create table node (nid int primary key, title text); insert into node select seq, repeat(seq, 20) from seq_1_to_5000; "
                   "create table other (x int); insert into other values (1); create view titles as select title from node", name)

        def change():
            server.sql("delete from node where nid > 10; update other set x = x + 1", name)

        def state():
            return mariadb.state(name)

        self.cut(lambda port: f"mysql://root@127.0.0.1:{port}/{name}", server.socket, change, state, ROUNDS)
        self.assertEqual(server.sql(f"show databases like '%{name}%'"), name + "\n")

    @unittest.skipIf(postgres.missing(), f"not installed: {postgres.missing()}")
    def test_to_postgresql(self):
        server, name = postgres.server(), "bam_lines"
        server.sql(f"create role {name} login password 'p'; create database {name} owner {name}")
        self.addCleanup(server.sql, f"drop database if exists {name} with (force);\ndrop role {name};")
        server.sql("create table node (nid int primary key, title text); insert into node select n, repeat(n::text, 20) "
                   "from generate_series(1, 5000) n; create table other (x int); insert into other values (1)", name, name, "p")

        def change():
            server.sql("delete from node where nid > 10; update other set x = x + 1", name, name, "p")

        def state():
            return server.sql("select n.nspname, c.relname, c.relkind from pg_class c join pg_namespace n on n.oid = relnamespace where "
                              "n.nspname = 'public' order by 2; select * from node order by nid; select * from other; select proname from pg_proc p "
                              "where pronamespace = 'public'::regnamespace", name)

        self.cut(lambda port: f"pgsql://{name}:p@127.0.0.1:{port}/{name}", os.path.join(server.top, ".s.PGSQL.5432"), change, state, ROUNDS)
        self.assertEqual(server.sql("select nspname from pg_namespace where nspname like 'bam%'", name), "")


class Full(Liars):
    """A server whose disk is full."""

    def disk(self, size):
        """The folder of a file system of this size."""
        place = self.path("disk")
        os.mkdir(place)
        if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=777", "none", place], capture_output=True).returncode:
            self.skipTest("a file system can only be mounted by root")
        self.addCleanup(subprocess.run, ["umount", "-l", place])
        # The server is no user who may enter it.
        os.chmod(self.top, 0o755)
        return place

    @unittest.skipIf(mariadb.missing() or mariadb.is_mysql(), "not installed: mariadbd")
    def test_a_restore_that_fills_mariadbs_leaves_the_site(self):
        place = self.disk("300m")
        server = mariadb.Server(["--innodb-log-file-size=8M"], data=place)
        self.addCleanup(server.stop)
        server.sql("create database site; create table site.node (nid int, title text); insert into site.node values (1, 'live')")
        space = os.statvfs(place)
        with open(place + "/others", "wb") as file:
            os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_frsize - (30 << 20))
        self.document["sources"]["db"] = {"type": "database"}
        self.document["databases"] = {"db": {"url": "mysql://root@localhost/site", "socket": server.socket}}
        path = self.path("large.mysql.gz")
        line = b"INSERT INTO `node` VALUES " + b",".join([b"(1,'" + b"0123456789" * 20 + b"')"] * 500) + b";\n"
        with open(path, "wb") as file:
            file.write(bombs.bomb("gz", b"CREATE TABLE `node` (nid int, title text);\n", line, 60 << 20, b"-- Dump completed\n"))
        for table in ([], ["--table", "node"]):
            code, note = self.measured("restore", "--file", path, "--source", "db", "--unauthenticated", "--yes", *table, alone=True)
            self.assertEqual(code, 1, note)
            self.assertIn("full", note)
            self.assertEqual(server.sql("select * from site.node"), "1\tlive\n")
            self.assertEqual(server.sql("show databases like '%bam%'") + server.sql("show tables from site like '%bam%'"), "")
            self.assertNotIn("restore.json", os.listdir(self.path("state")), note)

    @unittest.skipIf(postgres.missing(), f"not installed: {postgres.missing()}")
    def test_a_restore_that_fills_it_leaves_the_site(self):
        place = self.disk("40m")
        server = postgres.server()
        for statement in ("drop role if exists bam_full", "drop tablespace if exists small", "drop database if exists bam_full with (force)"):
            self.addCleanup(server.sql, statement)
        os.chown(place, *postgres.unprivileged())
        server.sql("create role bam_full login password 'p'")
        server.sql(f"create tablespace small location '{place}'")
        server.sql("create database bam_full owner bam_full tablespace small")
        server.sql("create table node (nid int, title text); insert into node values (1, 'live')", "bam_full", "bam_full", "p")
        self.document["sources"]["db"] = {"type": "database"}
        self.document["databases"] = {"db": {"url": "pgsql://bam_full:p@localhost/bam_full", "socket": server.top}}
        path = self.path("large.pgsql.gz")
        with open(path, "wb") as file:
            file.write(bombs.bomb("gz", b"--\n-- PostgreSQL database dump\n--\nCREATE TABLE public.node (nid int, title text);\n"
                                  b"COPY public.node (nid, title) FROM stdin;\n", b"1\t" + b"0123456789" * 20 + b"\n", 60 << 20,
                                  b"\\.\n--\n-- PostgreSQL database dump complete\n--\n"))
        code, note = self.measured("restore", "--file", path, "--source", "db", "--unauthenticated", "--yes", alone=True)
        self.assertEqual(code, 1, note)
        self.assertIn("disk is full", note)
        self.assertEqual(server.sql("select * from node", "bam_full"), "1\tlive\n")
        self.assertEqual(server.sql("select nspname from pg_namespace where nspname like 'bam%'", "bam_full"), "")
        self.assertNotIn("restore.json", os.listdir(self.path("state")), note)


@unittest.skipUnless(shutil.which("rsync") and os.path.exists(PROGRAM), "rsync or openssh-server is not installed")
class Rsync(Liars):
    def test_an_rsync_that_lies(self):
        """At the other end another program answers: it says nothing, noise, the truth cut short, or that all is well."""
        self.write("sites/default/files/a", random.Random(2).randbytes(100_000))
        lies = ["exit 0", "exit 12", "head -c 3000 /dev/urandom", "exec sleep 20", "cat /dev/zero",
                "{ eval \"$SSH_ORIGINAL_COMMAND\"; } | head -c 300", "eval \"$SSH_ORIGINAL_COMMAND\"; exit 23"]
        for lie in lies:
            with self.subTest(lie=lie):
                program = self.path("lie")
                with open(program, "w") as file:
                    # Only rsync lies: what else bam asks the server is answered.
                    file.write(f"#!/bin/sh\ncase $SSH_ORIGINAL_COMMAND in rsync*) {lie} ;; "
                               "*sftp*) exec /usr/lib/openssh/sftp-server ;; *) eval \"$SSH_ORIGINAL_COMMAND\" ;; esac\n")
                os.chmod(program, 0o755)
                server = Sshd(extra=f"ForceCommand {program}")
                self.addCleanup(server.close)
                self.document["destinations"] = {"manual": self.document["destinations"]["manual"],
                                                 "far": {**server.settings, "type": "rsync", "timeout": 2}}
                code, note = self.measured("backup", "files", "manual,far", "secret")
                self.assertNotEqual(code, 2, note)
                self.bam("verify", "--destination", "manual")
                shown = {name for name in os.listdir(server.backups) if not name.startswith(".") and not name.endswith(".info")}
                for name in shown:
                    self.assertEqual(digest(os.path.join(server.backups, name)), digest(os.path.join(self.destination(), name)),
                                     "what shows there is whole")
                if code == 0:
                    self.assertTrue(shown, note)
                server.close()


if __name__ == "__main__":
    unittest.main()
