"""Runs that are stopped, doubled or watched half-way. A table lock holds them in the middle, so nothing is left to
timing: the dump waits for the lock while the files are already being written."""

import os
import signal
import unittest

from bamtest import SiteTest, descendants, tree
from mariadb import missing, server, state
from test_secrets import spellings

PASSWORD = "db-Passw0rd-nobody-may-see"


@unittest.skipIf(missing(), "mariadbd is not installed")
class InTheMiddle(SiteTest):
    def setUp(self):
        super().setUp()
        self.name = "bam_" + os.path.basename(self.top).replace("-", "_").lower()
        self.server = server()
        self.server.sql(f"create database `{self.name}`; "
                        f"create user '{self.name}'@localhost identified by '{PASSWORD}'; "
                        f"grant all on `{self.name}`.* to '{self.name}'@localhost; "
                        f"grant all on `{self.name}\\_%`.* to '{self.name}'@localhost;")
        self.addCleanup(self.server.sql, f"drop database if exists `{self.name}`; drop user '{self.name}'@localhost")
        self.server.sql("create table node (nid int primary key, title text); "
                        "insert into node select seq, sha2(seq, 512) from seq_1_to_5000;", self.name)
        self.document["databases"] = {
            "db": {"url": f"mysql://{self.name}:{PASSWORD}@localhost/{self.name}", "socket": self.server.socket}}
        self.document["sources"] |= {"db": {"type": "database"}, "archive": {"type": "archive"}}
        self.write("index.php", "<?php\n")
        self.write("sites/default/files/noise", os.urandom(3 << 20))

    def held_backup(self):
        """A backup that has written something and now waits for a table; the process and the session in its way."""
        session = self.server.hold("lock tables node write", self.name)
        self.addCleanup(self.let_go, session)
        process = self.start("backup", "archive", "manual", "secret")
        self.wait(lambda: self.waiting(), process)
        self.wait(lambda: any(self.parts().values()), process)
        return process, session

    def waiting(self):
        """Whether some session of the site's user waits for a lock."""
        states = self.server.sql("select state from information_schema.processlist "
                                 f"where user = '{self.name}'")
        return "metadata lock" in states or "table lock" in states or "Waiting" in states

    def parts(self):
        """Hidden, unfinished files and their sizes."""
        try:
            return {name: os.path.getsize(os.path.join(self.destination(), name))
                    for name in os.listdir(self.destination()) if name.startswith(".")}
        except FileNotFoundError:
            return {}

    def let_go(self, session):
        if session.poll() is None:
            session.communicate()

    def test_a_second_run_is_turned_away(self):
        process, session = self.held_backup()
        self.assertSays(self.bam("backup", "files", expect=5), "another run")
        self.let_go(session)
        self.finish(process, expect=0)
        self.bam("verify", "latest")

    def test_it_leaves_no_core(self):
        self.within = ("prlimit", "--core=unlimited")
        process, session = self.held_backup()
        self.within = ()
        with open(f"/proc/{process.pid}/limits") as file:
            self.assertRegex(file.read(), r"Max core file size +0 ")
        process.send_signal(signal.SIGABRT)
        # Else it were CLD_DUMPED.
        self.assertEqual(os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT).si_code, os.CLD_KILLED)
        self.let_go(session)
        self.assertEqual(self.finish(process).code, -signal.SIGABRT)
        self.bam("backup", "archive", "manual", "secret")
        self.assertEqual(self.parts(), {})

    def test_a_schedule_that_was_turned_away_is_still_due(self):
        self.document["schedules"] = {"daily": {"source": "files", "destinations": ["manual"], "every": "1d"}}
        process, session = self.held_backup()
        # As cron does, over a run by hand.
        for _ in range(2):
            self.assertSays(self.bam("run", expect=5), "another run")
        self.let_go(session)
        self.finish(process, expect=0)
        self.bam("run")
        self.bam("run")
        made = [backup for backup in self.bam_json("backups")["backups"] if backup["schedule"] == "daily"]
        self.assertEqual(len(made), 1, "made when it could be, and once")

    def test_nothing_secret_shows_while_it_runs(self):
        if self.server.mysql:
            self.skipTest("MySQL has no tables that only its dump client reads")
        # The rows of such a table are read by a client, which waits for them, whatever reads those of others.
        self.server.sql("alter table node add system versioning", self.name)
        process, session = self.held_backup()
        secrets = [PASSWORD.encode(), b"correct horse battery staple"]
        forms = [form for secret in secrets for form in spellings(secret)]
        seen = descendants(process.pid)
        self.assertGreater(len(seen), 1, "the dump client runs")
        for pid in seen:
            for what in ("cmdline", "environ"):
                try:
                    with open(f"/proc/{pid}/{what}", "rb") as file:
                        content = file.read()
                except (FileNotFoundError, ProcessLookupError):
                    continue
                for form in forms:
                    self.assertNotIn(form, content, f"{what} of process {pid}")
        self.assertNoReadableSecret(secrets)
        self.let_go(session)
        result = self.finish(process, expect=0)
        for secret in secrets:
            self.assertNotIn(secret.decode(), result.out + result.err)

    def assertNoReadableSecret(self, secrets):
        """No file that a run made holds a secret, whoever may read it."""
        own = {self.key, self.path("bam.yml")}
        for parent, _, files in os.walk(self.top):
            for path in (os.path.join(parent, name) for name in files):
                if path in own or not os.path.isfile(path):
                    continue
                with open(path, "rb") as file:
                    content = file.read()
                for secret in secrets:
                    self.assertNotIn(secret, content, path)

    def test_killed_it_leaves_nothing_visible_and_the_next_run_clears_up(self):
        process, session = self.held_backup()
        process.kill()
        process.wait()
        self.assertEqual(self.visible(), [])
        self.assertEqual(self.bam_json("backups")["backups"], [])
        self.let_go(session)
        made = self.backup("files")
        self.assertEqual(self.visible(), sorted([made["file"], made["file"] + ".info"]))
        self.assertEqual(self.parts(), {}, "leftovers of the killed run")

    def test_ctrl_c_cancels_and_leaves_nothing(self):
        for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(stop):
                process, session = self.held_backup()
                children = [pid for pid in descendants(process.pid) if pid != process.pid]
                process.send_signal(stop)
                # Impatience changes nothing.
                process.send_signal(stop)
                result = self.finish(process, expect=130)
                self.assertSays(result, "cancelled")
                self.assertEqual(self.visible(), [])
                self.assertEqual(self.parts(), {})
                self.assertEqual([pid for pid in children if os.path.exists(f"/proc/{pid}")], [])
                self.let_go(session)

    def sessions(self, state=""):
        """The site's user's sessions at the server that are in this state."""
        return self.server.sql("select id from information_schema.processlist "
                               f"where user = '{self.name}' and state like '%{state}%'").split()

    def kill(self, process):
        """As by the kernel, with no time for anything; what it has asked the server for goes on."""
        process.kill()
        process.wait()

    def test_a_restore_killed_in_the_swap_is_finished_while_its_orphan_still_waits(self):
        before = (state(self.name), tree(self.files))
        made = self.backup("archive", "manual", "secret")
        self.server.sql("delete from node where nid > 10", self.name)
        self.write("sites/default/files/noise", "damaged")
        # Whoever reads the table keeps it from being replaced.
        session = self.server.hold("start transaction; select count(*) from node", self.name)
        self.addCleanup(self.let_go, session)
        process = self.start("restore", str(made["id"]), "--yes")
        self.wait(lambda: self.sessions("metadata lock"), process)
        orphan = self.sessions("metadata lock")
        self.kill(process)
        recovering = self.start("recover")
        self.wait(lambda: set(self.sessions("metadata lock")) - set(orphan), recovering)
        self.assertEqual(set(self.sessions()) & set(orphan), set(), "the orphan went first")
        self.let_go(session)
        self.assertIn("finished", self.finish(recovering, expect=0).out)
        self.assertEqual((state(self.name), tree(self.files)), before)
        # And the same restore goes through afterwards.
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual((state(self.name), tree(self.files)), before)

    def dump_with_a_gate(self):
        """A dump with a statement that waits as long as somebody else has the lock `gate`; and who has it."""
        path = self.path("gate.mysql")
        with open(path, "w") as file:
            file.write("CREATE TABLE node (nid int, title text);\n"
                       f"INSERT INTO node VALUES (1, GET_LOCK('{self.name}', 100000));\n"
                       "INSERT INTO node VALUES (2, 'after');\n")
        session = self.server.hold(f"do get_lock('{self.name}', 0)", self.name)
        self.addCleanup(self.let_go, session)
        return path, session

    def test_killed_in_a_long_statement_it_is_taken_back_at_once(self):
        before = state(self.name)
        path, _ = self.dump_with_a_gate()
        process = self.start("restore", "--file", path, "--source", "db", "--unauthenticated", "--yes")
        self.wait(lambda: self.sessions("User lock"), process)
        self.kill(process)
        # The statement never ends by itself: recovering ends it.
        self.bam("recover")
        self.assertEqual(self.sessions(), [])
        self.assertEqual(state(self.name), before)
        self.assertEqual(self.server.sql(f"show databases like '{self.name}\\_%'"), "", "scratch databases go")
        self.assertEqual(os.listdir(self.path("state")), ["lock"])

    def test_killed_while_it_loads_into_the_live_database_it_is_finished(self):
        self.server.sql(f"revoke all on `{self.name}\\_%`.* from '{self.name}'@localhost")
        path, session = self.dump_with_a_gate()
        process = self.start("restore", "--file", path, "--source", "db", "--unauthenticated", "--yes")
        self.wait(lambda: self.sessions("User lock"), process)
        orphan = self.sessions("User lock")
        self.kill(process)
        recovering = self.start("recover")
        self.wait(lambda: set(self.sessions("User lock")) - set(orphan), recovering)
        self.assertEqual(set(self.sessions()) & set(orphan), set(), "the orphan went first")
        self.let_go(session)
        self.assertIn("finished", self.finish(recovering, expect=0).out)
        self.assertEqual(self.server.sql("select * from node", self.name), "1\t1\n2\tafter\n")

    def test_a_restore_cancelled_changes_nothing(self):
        made = self.backup("db")
        self.server.sql("delete from node where nid > 10", self.name)
        damaged = state(self.name)
        session = self.server.hold("start transaction; select count(*) from node", self.name)
        self.addCleanup(self.let_go, session)
        for stop in (signal.SIGINT, signal.SIGHUP):
            with self.subTest(stop):
                process = self.start("restore", str(made["id"]), "--yes")
                self.wait(lambda: self.waiting(), process)
                seen = self.bam("status", expect=None)
                self.assertSays(seen, "is running", f"process {process.pid}")
                self.assertNotIn("was stopped", seen.err)
                process.send_signal(stop)
                self.assertSays(self.finish(process, expect=130), "Everything is as it was before the restore")
        self.let_go(session)
        self.assertEqual(state(self.name), damaged)
        self.assertEqual(self.server.sql(f"show databases like '{self.name}\\_%'"), "", "scratch databases go")


if __name__ == "__main__":
    unittest.main()
