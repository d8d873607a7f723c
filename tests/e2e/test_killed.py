"""A restore of a whole site - database, files, private files - killed at random moments. After `bam recover` the site is
wholly the old one or wholly the new one, and nothing is left lying about.

The moments are spread over the time that a restore takes; none of them decides what is right. A failure names the seed:
`BAM_TEST_SEED=… tests/e2e/run killed` tries the same moments again, `BAM_TEST_KILLS=…` more or fewer of them."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
import unittest

import mariadb
import postgres
from bamtest import SiteTest, descendants, run, tree

PASSWORD = "db-Passw0rd"
KILLS = int(os.environ.get("BAM_TEST_KILLS", "12"))
SEED = int(os.environ.get("BAM_TEST_SEED", random.SystemRandom().randrange(1 << 32)))
# Most of the time goes by before anything is swapped; so many more kills while it is, as the journal tells.
LATE_KILLS = KILLS // 5
# Enough to be caught in the middle of, little enough to be put back 50 times.
TABLES, ROWS, FILES = 6, 200, 60


class Killed:
    """Once for each kind of database."""

    def setUp(self):
        super().setUp()
        self.private = self.path("private")
        self.document["site"]["private_path"] = self.private
        self.document["sources"] |= {"db": {"type": "database"}, "archive": {"type": "archive"}}
        self.make_database()

    def fill(self, version, tables, files):
        """Every table and file tells its version; each version has some that the other has not."""
        self.fill_database(version, tables)
        for n in files:
            self.write(f"sites/default/files/d{n % 7}/f{n}", f"{version} " * (n * 20))
            with open(os.path.join(self.private, f"p{n}"), "w") as file:
                file.write(f"{version} " * n)

    def clear(self):
        self.clear_database()
        for folder in (self.files, self.private):
            shutil.rmtree(folder, ignore_errors=True)
            os.makedirs(folder)

    def found(self):
        return {"database": self.database_state(), "files": contents(self.files), "private": contents(self.private)}

    def test_at_random_moments_it_leaves_the_old_site_or_the_new(self):
        self.write("index.php", "<?php\n")
        self.clear()
        self.fill(2, range(2, TABLES), range(10, FILES))
        new = self.found()
        backup = self.backup("archive", "manual", "secret")["id"]
        self.clear()
        self.fill(1, range(TABLES - 2), range(FILES - 10))
        old = self.found()
        self.keep_old()
        started = time.monotonic()
        self.bam("restore", str(backup), "--yes")
        takes = time.monotonic() - started
        self.assertEqual(self.found(), new)
        print(f"# seed {SEED}, a restore takes {takes:.2f} s", flush=True)
        moments = random.Random(SEED)
        count = {"old": 0, "new": 0, "too late": 0}
        for n in range(KILLS + LATE_KILLS):
            with_clients = moments.random() < 0.5
            while True:
                self.put_old_back()
                if n < KILLS:
                    # The n-th of as many equal parts of the time that it takes, and somewhere in that.
                    part = (n + moments.random()) / KILLS
                    moment = part * takes
                else:
                    # Somewhere in the time behind the last kills above.
                    moment = moments.random() * 0.1
                lived = self.kill_after(moment, backup, with_clients, swapping=n >= KILLS)
                if lived is None:
                    break
                count["too late"] += 1
                self.assertLess(count["too late"], 10 * KILLS, "restores that can be caught")
                # Faster than thought: the same moment of the shorter time.
                takes = min(takes, lived)
            told = f"seed {SEED}, kill {n} after {moment:.3f} of {takes:.2f} s, clients killed too: {with_clients}"
            recovered = self.bam("recover")
            which = self.judge(old, new, f"{told}\n{recovered}")
            # What the clients still had under way is done now; it must have changed nothing.
            self.wait(lambda: not self.sessions())
            self.assertEqual(self.judge(old, new, told), which, told)
            self.assertEqual(self.leftovers(), [], told)
            count[which] += 1
        print(f"# killed {KILLS} times, and {LATE_KILLS} times while it swapped: {count['old']} times the old site, {count['new']} times the new one "
              f"({count['too late']} kills came too late and were repeated)", flush=True)
        self.assertGreater(count["old"], 0, "kills before the swap")
        self.assertGreater(count["new"], 0, "kills after it began")

    def judge(self, old, new, told):
        found = self.found()
        if found == old:
            return "old"
        if found == new:
            return "new"
        parts = {part: "old" if found[part] == old[part] else "new" if found[part] == new[part] else "neither"
                 for part in found}
        self.fail(f"a mixture: {parts}\n{told}")

    def leftovers(self):
        found = self.leftovers_in_database()
        for parent, folders, files in os.walk(self.top):
            found += [os.path.join(parent, name) for name in folders + files if ".bam-" in name]
        kept = ("lock", "damaged.json", "ids.json", "made.json", "read.json", "runs.json", "verified.json")
        found += [name for name in os.listdir(self.path("state")) if name not in kept]
        return found

    def swapping(self):
        """Whether the restore has begun to put the new data in place, or is over."""
        try:
            with open(self.path("state/restore.json")) as file:
                return json.load(file)["state"] not in ("staging", "staged", "checked")
        except FileNotFoundError:
            return False

    def kill_after(self, seconds, backup, with_clients, swapping=False):
        """Kills a restore, alone or with its clients, so long after its beginning, or after it began to swap. If it ended
        before, the time that it took."""
        started = time.monotonic()
        process = self.start("restore", str(backup), "--yes")
        while swapping and process.poll() is None and not self.swapping():
            time.sleep(0.001)
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            for pid in descendants(process.pid) if with_clients else [process.pid]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        ended = time.monotonic() - started
        self.finish(process)
        if process.returncode == -signal.SIGKILL:
            return None
        self.assertEqual(process.returncode, 0)
        return ended

    def keep_old(self):
        """A copy of the old site, so that putting it back takes no time."""
        for folder in (self.files, self.private):
            run("cp", "-a", folder, self.path("old-" + os.path.basename(folder)))
        self.old_dump = self.dump_database()

    def put_old_back(self):
        self.clear_database()
        self.load_database(self.old_dump)
        for folder in (self.files, self.private):
            shutil.rmtree(folder)
            run("cp", "-a", self.path("old-" + os.path.basename(folder)), folder)


@unittest.skipIf(mariadb.missing(), "mariadbd is not installed")
class MariaDb(Killed, SiteTest):
    # Starts among the first (tests/tap.py).
    long = True

    def make_database(self):
        self.name = "bam_" + os.path.basename(self.top).replace("-", "_").lower()
        self.server = mariadb.server()
        self.server.sql(f"create database `{self.name}`; "
                        f"create user '{self.name}'@localhost identified by '{PASSWORD}'; "
                        f"grant all on `{self.name}`.* to '{self.name}'@localhost; "
                        f"grant all on `{self.name}\\_%`.* to '{self.name}'@localhost;")
        self.addCleanup(self.server.sql, f"drop database if exists `{self.name}`; drop user '{self.name}'@localhost")
        self.document["databases"] = {
            "db": {"url": f"mysql://{self.name}:{PASSWORD}@localhost/{self.name}", "socket": self.server.socket}}

    def fill_database(self, version, tables):
        self.server.sql("".join(
            f"create table t{n} (id int primary key, version int, filling text) engine=InnoDB; "
            f"insert into t{n} select seq, {version}, sha2(seq + {n}, 512) from seq_1_to_{ROWS}; " for n in tables)
            + f"create view newest as select max(version) v from t{tables[0]};", self.name, self.name, PASSWORD)

    def clear_database(self):
        self.server.sql(f"drop database `{self.name}`; create database `{self.name}`")

    def database_state(self):
        """In one conversation: 200 times over, each costs."""
        tables = self.server.sql("show full tables", self.name)
        names = ", ".join(line.split("\t")[0] for line in tables.splitlines() if line.endswith("BASE TABLE"))
        view = self.server.sql("show create view newest", self.name) if "newest" in tables else None
        return tables, view, self.server.sql(f"checksum table {names} extended", self.name) if names else None

    def leftovers_in_database(self):
        return self.server.sql(f"show databases like '{self.name}\\_%'").split()

    def sessions(self):
        return self.server.sql(f"select id from information_schema.processlist where user = '{self.name}'").split()

    def dump_database(self):
        return run(*self.server.dump_client(self.name))

    def load_database(self, dump):
        self.server.sql(dump, self.name)


@unittest.skipIf(postgres.missing(), f"not installed: {postgres.missing()}")
class PostgreSql(Killed, SiteTest):
    # Starts among the first (tests/tap.py).
    long = True

    def make_database(self):
        self.name = "bam_" + os.path.basename(self.top).replace("-", "_").lower()
        self.server = postgres.server()
        self.server.sql(f"create role {self.name} login password '{PASSWORD}'; create database {self.name} owner {self.name}")
        self.addCleanup(self.server.sql, f"drop database if exists {self.name} with (force);\ndrop role {self.name};")
        self.document["databases"] = {
            "db": {"url": f"pgsql://{self.name}:{PASSWORD}@localhost/{self.name}", "socket": self.server.top}}

    def sql(self, statements):
        return self.server.sql(statements, self.name, self.name, PASSWORD)

    def fill_database(self, version, tables):
        self.sql("".join(
            f"create table t{n} (id serial primary key, version int, filling text); insert into t{n} (version, filling) "
            f"select {version}, md5(n::text) || {n} from generate_series(1, {ROWS}) n; " for n in tables)
            + f"create view newest as select max(version) v from t{tables[0]};")

    def clear_database(self):
        self.sql("drop schema if exists public cascade; create schema public; "
                 "comment on schema public is 'standard public schema'")

    def database_state(self):
        return self.server.dump(self.name)

    def leftovers_in_database(self):
        return self.sql("select nspname from pg_namespace where nspname like 'bam%'").split()

    def sessions(self):
        return self.server.sql(f"select pid from pg_stat_activity where usename = '{self.name}'").split()

    def dump_database(self):
        return self.server.dump(self.name).replace("CREATE SCHEMA public;", "")

    def load_database(self, dump):
        self.sql(dump)


def contents(folder):
    """Names and bytes: what tells the versions apart."""
    return {name: what.get("sha256") for name, what in tree(folder).items()}


if __name__ == "__main__":
    unittest.main()
