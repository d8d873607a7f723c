"""Restoring a real site: maintenance mode around it and as it was after it, caches, and whether the site starts."""

import json
import os
import subprocess
import time

from bamtest import descendants
from drupalsite import LIMIT, TOP, SiteTest

BAM = os.path.abspath(os.environ.get("BAM_BIN", os.path.join(TOP, "target/debug/bam")))
ON, OFF = "i:1;", "i:0;"


class Restore(SiteTest):
    def bam_start(self, *arguments):
        return self.start_command([BAM, "--root", self.root, *arguments])

    def bam(self, *arguments, expect=0):
        return self.finish(self.bam_start(*arguments), expect)

    def start_command(self, command):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=self.environment(), cwd=self.top)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        return process

    def backup(self, what="db"):
        return str(json.loads(self.bam("--json", "backup", what, "manual", "default").out)["id"])

    def variable(self, name):
        return self.sql(f"select value from variable where name = '{name}'").strip()

    def wait(self, condition, process):
        last = time.monotonic() + LIMIT
        while not condition():
            if process.poll() is not None:
                self.fail(f"it ended before: {self.finish(process)}")
            self.assertLess(time.monotonic(), last, "this never came to be")
            time.sleep(0.02)

    def begin(self):
        """As a run that goes on elsewhere would: its record lies in the database."""
        subprocess.run(["php", os.path.join(TOP, "php-shim/bin/bam-maintenance"), "--root", self.root, "begin",
                        str(os.getpid())], input=b"Behind this a backup is made.", check=True, env=self.environment())

    def test_maintenance_mode_is_after_it_what_it_was_before(self):
        """Whatever the backup says, and whoever restores."""
        self.php("variable_set('maintenance_mode_message', 'Mine.');")
        made = {"online": self.backup()}
        self.sql(f"replace into variable values ('maintenance_mode', '{ON}')")
        made["offline"] = self.backup()
        self.sql(f"replace into variable values ('maintenance_mode', '{OFF}')")
        self.begin()
        made["offline for a backup"] = self.backup()
        for what, before, how in (("online", ON, "bam"), ("offline", OFF, "drush"), ("offline for a backup", OFF, "bam"),
                                  ("offline for a backup", ON, "drush")):
            with self.subTest(what, before=before, how=how):
                self.sql("delete from variable where name = 'bam_maintenance'; truncate cache_bootstrap; "
                         f"replace into variable values ('maintenance_mode', '{before}'); "
                         "replace into variable values ('maintenance_mode_message', 's:4:\"Now!\";')")
                if how == "bam":
                    self.bam("restore", made[what], "--yes")
                else:
                    self.drush("-y", "bam-restore", made[what])
                found = [self.variable(name) for name in
                         ("maintenance_mode", "maintenance_mode_message", "bam_maintenance")]
                self.assertEqual(found, [before, 's:4:"Now!";', ""])

    def test_onto_an_empty_database_the_site_comes_online(self):
        self.begin()
        backup = self.backup()
        self.server.sql("drop database site; create database site character set utf8mb4")
        self.bam("restore", backup, "--yes")
        self.assertEqual(self.variable("bam_maintenance"), "")
        self.assertEqual(self.front_page()[0], 200)

    def test_caches_of_another_time_do_not_come_back(self):
        self.sql("insert into cache (cid, data, created) values ('from another time', 'x', 1)")
        backup = self.backup()
        result = self.bam("restore", backup, "--yes")
        self.assertIn("starts", result.err)
        self.assertEqual(self.sql("select count(*) from cache where cid = 'from another time'").strip(), "0")

    def test_a_site_that_does_not_start_is_told(self):
        backup = self.backup()
        with open(os.path.join(self.root, "modules/node/node.module"), "a") as file:
            file.write("\nbam_no_such_function();\n")
        for result in (self.bam("restore", backup, "--yes", expect=3), self.drush("-y", "bam-restore", backup, expect=3)):
            told = " ".join(result.err.split())
            for words in ("does not start", "bam_no_such_function", "restore ID`"):
                self.assertIn(words, told)
            self.assertIn(self.variable("maintenance_mode"), (OFF, ""))

    def killed(self, start):
        """A restore that is killed while it waits for a reader of the live site, which is offline by then."""
        holder = self.server.hold("start transaction; select count(*) from node", "site")
        process = start()
        self.wait(lambda: "metadata lock" in self.server.sql("select state from information_schema.processlist"), process)
        self.assertEqual(self.variable("maintenance_mode"), ON, "offline while it is restored")
        for pid in self.family(process.pid):
            os.kill(pid, 9)
        self.finish(process)
        holder.communicate()
        self.wait_until_quiet()

    def family(self, pid):
        return [one for one in descendants(pid) if b"mariadb" not in self.command(one)]

    def command(self, pid):
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()

    def wait_until_quiet(self):
        """The server ends what the killed client had asked for."""
        last = time.monotonic() + LIMIT
        while self.server.sql("select id from information_schema.processlist where user = 'site'"):
            self.assertLess(time.monotonic(), last, "the server never came to rest")
            time.sleep(0.02)

    def test_killed_it_is_finished_by_bam_recover_and_the_site_is_online(self):
        self.php("variable_set('site_name', 'In the backup');")
        backup = self.backup("archive")
        self.php("variable_set('site_name', 'Of today');")
        self.killed(lambda: self.bam_start("restore", backup, "--yes"))
        result = self.bam("recover")
        self.assertIn("finished now", result.out)
        self.assertEqual(self.php("echo variable_get('site_name'), variable_get('maintenance_mode', 0);"), "In the backup0")
        self.assertEqual(self.variable("bam_maintenance"), "")
        self.assertEqual(self.front_page()[0], 200)

    def test_killed_under_drush_it_is_finished_by_the_next_restore(self):
        self.php("variable_set('site_name', 'In the backup');")
        backup = self.backup()
        self.php("variable_set('site_name', 'Of today');")
        self.killed(lambda: self.start("-y", "bam-restore", backup))
        self.drush("-y", "bam-restore", backup)
        self.assertEqual(self.php("echo variable_get('site_name'), variable_get('maintenance_mode', 0);"), "In the backup0")
        self.assertEqual(self.variable("bam_maintenance"), "")
