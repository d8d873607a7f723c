"""Schedules by cron: due, once, in the background, told of, and taken up again after a kill."""

import fcntl
import glob
import json
import os
import signal
import subprocess
import time

from drupalsite import EXPORTS
from modulesite import PAGES, ModuleTest

LAST_RUN = "backup_migrate_schedule_last_run_"


class Cron(ModuleTest):
    def cron_page(self, browser):
        self.assertEqual(browser.get(f"cron.php?cron_key={self.variable('cron_key')}"), 200)

    def hold_dump(self):
        """Makes the next dump of the database wait, until the session that is returned ends."""
        self.sql("create table zz_hold (a int) engine=InnoDB")
        session = self.server.hold("lock tables zz_hold write", "site")
        self.addCleanup(session.stdout.close)
        self.addCleanup(session.wait)
        self.addCleanup(session.stdin.close)
        return session

    def dump_is_held(self):
        """Whether a run has come to that table."""
        return self.sql("select count(*) from information_schema.processlist where state like 'Waiting for table%'").strip() != "0"

    def test_peces_schedule_runs_once_with_backup_and_migrate_enabled(self):
        for name in ("settings_profile", "schedule_profile"):
            self.drush("bam-import-settings", os.path.join(EXPORTS, f"{name}.txt"))
        before = int(time.time())
        self.drush("cron")
        made = self.stored("scheduled")
        self.assertEqual(len(made), 1, self.log())
        self.assertIn(".sitearchive.tar.gz", made[0])
        self.assertGreaterEqual(self.variable(LAST_RUN + "pece_backup"), before)
        mails = self.mails()
        self.assertEqual([mail["to"] for mail in mails], [self.variable("site_mail")])
        for words in (made[0], "Backup ID:", "Size:", "Time taken:", "Scheduled Backups Directory: there", "drush bam-restore"):
            self.assertIn(words, " ".join(mails[0]["body"].split()))
        self.drush("cron")
        self.assertEqual((self.stored("scheduled"), len(self.mails())), (made, 1), "a second cron run does nothing")
        self.assertEqual(self.stored("manual"), [])

    def test_backup_and_migrate_is_left_out_and_comes_back(self):
        cron = "module_implements('cron', FALSE, TRUE); echo json_encode(array_values(array_intersect(" \
               "module_implements('cron'), array('bam', 'backup_migrate'))));"
        self.assertEqual(json.loads(self.php(cron)), ["bam"])
        self.php("variable_set('bam_results', array('x' => array())); variable_set('backup_migrate_schedule_last_run_x', 7);")
        self.drush("-y", "pm-disable", "bam")
        self.assertEqual(json.loads(self.php(cron)), ["backup_migrate"])
        self.drush("-y", "pm-uninstall", "bam")
        self.assertEqual(self.sql("select name from variable where name like 'bam\\_%'"), "")
        self.assertEqual(self.variable(LAST_RUN + "x"), 7, "shared with Backup and Migrate")
        self.assertEqual(os.listdir(self.jobs_top), [])

    def test_web_cron_does_not_wait_and_its_result_is_mailed_once(self):
        self.profile(notify_success_email="a@example.org, b@example.org; not an address")
        self.schedule("nightly")
        self.schedule("second", period=3600)
        session = self.hold_dump()
        browser = self.serve()
        self.cron_page(browser)
        self.assertEqual(len(self.jobs()), 2, "both run, one after the other")
        self.cron_page(browser)
        self.assertEqual(len(self.jobs()), 2, "no more while they do")
        self.assertEqual(self.mails(), [])
        session.stdin.close()
        self.ended()
        # Several look at once; one of them tells.
        processes = [subprocess.Popen(["curl", "-s", "-o", "/dev/null", browser.base]) for _ in range(6)]
        self.assertEqual([process.wait() for process in processes], [0] * 6)
        self.assertEqual(sorted(mail["to"] for mail in self.mails()), ["a@example.org"] * 2 + ["b@example.org"] * 2)
        self.assertEqual(len(self.stored("scheduled")), 2)
        self.assertEqual(self.log().count("not a mail address"), 2)

    def test_a_killed_run_is_told_of_and_the_site_comes_back(self):
        self.profile(utils_site_offline=1, utils_site_offline_message="[site:name] is resting")
        self.schedule("nightly", period=604800)
        self.php(f"variable_set('{LAST_RUN}nightly', 1000);")
        self.hold_dump()
        browser = self.serve()
        self.cron_page(browser)
        self.wait(lambda: self.variable("maintenance_mode") == 1)
        # Before that whoever put it offline may still be there to see that the run is gone.
        self.wait(self.dump_is_held)
        self.assertEqual(browser.get(""), 503)
        self.assertIn(f"{self.variable('site_name')} is resting", browser.said)
        with open(self.jobs()[0].replace(".job", ".status")) as file:
            pid = json.load(file)["pid"]
        os.kill(pid, signal.SIGKILL)
        self.wait(lambda: not os.path.exists(f"/proc/{pid}"))
        self.assertEqual(browser.get(""), 200, "the next request puts the site back online")
        self.assertEqual((self.variable("maintenance_mode"), self.variable("maintenance_mode_message")), (0, None))
        self.assertIn("it is back online", self.log())
        self.wait(lambda: browser.get("") == 200 and not self.jobs())
        mails = self.mails()
        self.assertEqual([mail["to"] for mail in mails], ["sos@example.org"])
        self.assertIn("FAILED", mails[0]["subject"])
        self.assertEqual(self.variable(LAST_RUN + "nightly"), 1000, "due again, once")

    def test_a_site_that_was_offline_stays_so(self):
        self.profile(utils_site_offline=1, utils_site_offline_message="resting")
        self.schedule("nightly")
        self.php("variable_set('maintenance_mode', 1); variable_set('maintenance_mode_message', 'mine');")
        self.drush("cron")
        self.assertEqual(len(self.stored("scheduled")), 1, self.log())
        self.assertEqual((self.variable("maintenance_mode"), self.variable("maintenance_mode_message")), (1, "mine"))

    def test_a_run_that_another_locks_out_is_tried_again_without_a_word(self):
        self.profile()
        self.schedule("nightly")
        self.drush("bam-backup", "db")
        locks = glob.glob(os.path.join(self.jobs_top, "lock"))
        self.assertEqual(len(locks), 1, os.listdir(self.jobs_top))
        with open(locks[0]) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.drush("cron")
        self.assertEqual((self.stored("scheduled"), self.mails()), ([], []))
        self.assertIn("another run works on this site", self.log())
        self.drush("cron")
        self.assertEqual((len(self.stored("scheduled")), len(self.mails())), (1, 1))

    def test_a_failure_is_told_with_what_to_do_and_tried_again_after_a_while(self):
        self.profile()
        self.schedule("nightly", source_id="gone")
        self.drush("cron")
        self.drush("cron")
        mails = self.mails()
        self.assertEqual([mail["to"] for mail in mails], ["sos@example.org"], self.log())
        self.assertIn("gone", mails[0]["body"])
        self.assertIn("What to do", mails[0]["body"])
        self.php("$results = variable_get('bam_results'); $results['nightly']['time'] -= 301; "
                 "variable_set('bam_results', $results);")
        self.drush("cron")
        self.assertEqual(len(self.mails()), 2, self.log())

    def test_crontab_expressions(self):
        self.profile(notify_success_enable=0)
        self.schedule("weekly", cron="elysia", cron_schedule="0 4 * * 6")
        self.schedule("nonsense", cron="elysia", cron_schedule="99 4 * * *")
        self.schedule("asked", cron="none", period=1)
        self.drush("cron")
        self.assertEqual(self.stored("scheduled"), [], "one that never ran waits for its first time")
        self.assertIn("nonsense", self.log())
        eight_days_ago = int(time.time()) - 8 * 86400
        self.php(f"variable_set('{LAST_RUN}weekly', {eight_days_ago});")
        self.drush("cron")
        self.drush("cron")
        self.assertEqual(len(self.stored("scheduled")), 1, self.log())

    def told_that_nothing_is_made(self, why):
        """By mail, by the overview, by the status report, in the log; and nobody else made an archive."""
        self.assertEqual(self.stored("scheduled"), [])
        mails = self.mails()
        self.assertEqual([mail["to"] for mail in mails], ["sos@example.org"], self.log())
        self.assertIn(why, " ".join(mails[0]["body"].split()))
        self.assertIn(why, self.log())
        self.drush("cron")
        self.assertEqual(len(self.mails()), 1, "again after a while")
        self.assertIn(why, self.php("require_once 'includes/install.inc'; module_load_include('install', 'bam'); $report = bam_requirements('runtime'); "
                                    "echo strip_tags(implode(' ', $report['bam']));"))

    def test_without_the_program_nothing_is_made_and_those_who_want_to_hear_of_it_do(self):
        self.require_module("backup_migrate")
        self.profile()
        self.schedule("nightly")
        self.schedule("weekly", cron="elysia", cron_schedule="0 4 * * 6", profile_id="default")
        self.set_conf(bam_binary="/nowhere/bam")
        self.drush("cron")
        self.told_that_nothing_is_made("The program bam was not found")

    def test_a_run_that_cannot_be_started_is_one_that_failed(self):
        self.profile()
        self.schedule("nightly")
        folder = self.php("echo bam_state_dir(TRUE);")
        os.rename(folder, folder + ".old")
        os.symlink(folder + ".old", folder)
        self.drush("cron")
        self.told_that_nothing_is_made("The folder for status files cannot be created")
        self.assertIn("nightly", self.mails()[0]["body"])

    def test_a_run_that_hangs_is_told_of_and_one_without_the_lock_keeps_nobody(self):
        self.profile(notify_success_enable=0)
        self.schedule("nightly")
        sleeping = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        self.addCleanup(sleeping.wait)
        self.addCleanup(sleeping.kill)
        # A verification that was started and never goes on.
        self.php(f"""module_load_include('inc', 'bam', 'bam.job'); $id = bin2hex(random_bytes(16)); bam_shim();
            bam_state_dir(TRUE); bam_job_write($id, array('kind' => 'verify', 'title' => 'Verify all', 'uid' => 1, 'created' => time(),
              'pid' => {sleeping.pid}, 'process' => Bam\\Process::identify({sleeping.pid})));
            file_put_contents(bam_state_dir() . "/$id.status", json_encode(array('state' => 'running', 'pid' => {sleeping.pid})));""")
        self.drush("cron")
        self.assertEqual(len(self.stored("scheduled")), 1, self.log())
        self.php(f"variable_set('{LAST_RUN}nightly', 1000);")
        session = self.hold_dump()
        browser = self.serve()
        self.cron_page(browser)
        self.wait(self.dump_is_held)
        # Of its last steps it tells a moment later.
        told = {(os.stat(file).st_mtime_ns, file) for file in self.jobs("status")}
        for _ in range(3):
            self.wait(lambda: len(told ^ {(os.stat(file).st_mtime_ns, file) for file in self.jobs("status")}) > 1)
            told = {(os.stat(file).st_mtime_ns, file) for file in self.jobs("status")}
        self.cron_page(browser)
        before = time.time() - 4 * 3600
        for file in self.jobs("still"):
            os.utime(file, (before, before))
        self.cron_page(browser)
        self.cron_page(browser)
        mails = self.mails()
        self.assertEqual([mail["to"] for mail in mails], ["sos@example.org"], self.log())
        self.assertIn("Scheduled backup nightly has made no progress for 4 hours", " ".join(mails[0]["body"].split()))
        administrator = self.log_in(["perform backup", "administer bam"])
        administrator.get(PAGES)
        self.assertRegex(administrator.said, "To do.* Verify all has made no progress for 4 hours.*nightly has made no progress")
        session.stdin.close()

    def test_what_was_typed_to_restore_from_elsewhere_is_forgotten_after_a_day(self):
        folder = self.php("echo bam_state_dir(TRUE);")
        browser = self.serve()
        user = self.log_in(["access backup files"])
        for look in (lambda: self.drush("cron"), lambda: user.get(PAGES)):
            for name, age in (("old", 90000), ("ahead", -90000 * 400), ("new", 80000)):
                os.makedirs(f"{folder}/from-1-{name}", exist_ok=True)
                for file in ("key", "password", "place.json"):
                    with open(f"{folder}/from-1-{name}/{file}", "w") as typed:
                        typed.write("{}")
                    os.utime(typed.name, (time.time() - age,) * 2)
            browser.get("")
            look()
            self.assertEqual(glob.glob(f"{folder}/from-*"), [f"{folder}/from-1-new"])

    def test_a_last_run_that_is_yet_to_come_stops_nothing(self):
        self.profile(notify_success_enable=0)
        self.schedule("nightly", period=3600)
        self.schedule("weekly", cron="elysia", cron_schedule="* * * * *")
        later = int(time.time()) + 400 * 86400
        self.php(f"foreach (array('nightly', 'weekly') as $name) {{ variable_set('{LAST_RUN}' . $name, {later}); }} "
                 f"variable_set('bam_results', array('nightly' => array('state' => 'failed', 'failures' => 9, 'exit_code' => 1, "
                 f"'error' => 'x', 'time' => {later})));")
        self.serve()
        administrator = self.log_in(["administer bam"])
        administrator.get(f"{PAGES}/schedules")
        self.assertIn("which is yet to come", administrator.said)
        self.drush("cron")
        self.assertEqual(len(self.stored("scheduled")), 2, self.log())
        self.assertIn("a clock was wrong", self.log())
        for name in ("nightly", "weekly"):
            self.assertLess(self.variable(LAST_RUN + name), later)

    def served_place(self):
        """A place that the web server hands out, imported by Drush; where it lies."""
        export = os.path.join(self.top, "web.txt")
        with open(export, "w") as file:
            file.write("return array('type_name' => 'destination', 'machine_name' => 'web', 'name' => 'The web', "
                       "'subtype' => 'file', 'location' => 'public://bk', 'settings' => array());")
        self.assertRegex(" ".join(self.drush("bam-import-settings", export).err.split()), "lies in the docroot.* to anybody")
        self.profile(notify_success_enable=0)
        self.schedule("nightly", destination_id="web")
        return os.path.join(self.root, "sites/default/files/bk")

    def refused(self, served):
        self.assertEqual(glob.glob(f"{served}/*.gz"), [])
        self.assertIn("the web server hands out what is in it", self.log())
        self.assertIn("the web server hands out", self.mails()[0]["body"].replace("\n", " "))

    def test_cron_leaves_no_dump_where_the_web_server_hands_it_out(self):
        served = self.served_place()
        self.serve()
        self.log_in(["perform backup"]).get(PAGES)
        self.drush("cron")
        self.refused(served)

    def test_web_cron_asks_the_web_server_by_the_address_it_is_called_at(self):
        served = self.served_place()
        browser = self.serve()
        # What anybody may send is not remembered.
        browser.get("", headers={"Host": "example.org"})
        browser.get(PAGES, headers={"Host": "example.org"})
        self.assertIsNone(self.variable("bam_url"))
        self.cron_page(browser)
        self.ended()
        browser.get("")
        self.refused(served)

    def test_what_is_missing_is_told(self):
        self.schedule("nightly", profile_id="gone")
        self.drush("cron")
        self.assertEqual(self.stored("scheduled"), [])
        self.assertIn("there is no gone among the profiles", self.log())

    def test_a_dump_made_while_offline_does_not_leave_the_restored_site_offline(self):
        self.profile(utils_site_offline=1)
        self.drush("bam-backup", "db", "manual", "mailed")
        browser = self.serve()
        administrator = self.log_in(["restore from backup", "access backup files"])
        backup = self.newest(administrator)
        administrator.submit(f"{PAGES}/backups/{backup}/restore", "bam_restore_form", source="db")
        self.ended()
        self.wait(lambda: browser.get("") == 200)
        self.assertEqual((self.variable("maintenance_mode"), self.variable("bam_maintenance")), (0, None))
