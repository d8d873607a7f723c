"""The policy as a whole: PECE's weekly backup of the whole site, by cron, on this machine and on another."""

import glob
import hashlib
import os
import shutil
import unittest

from drupalsite import EXPORTS, php
from modulesite import ModuleTest
from sshd import PROGRAM, Sshd

LAST_RUN = "backup_migrate_schedule_last_run_pece_backup"


@unittest.skipUnless(os.path.exists(PROGRAM), "openssh-server is not installed")
class Offsite(ModuleTest):
    def setUp(self):
        super().setUp()
        self.sshd = Sshd()
        self.addCleanup(self.sshd.close)
        for name in ("settings_profile", "schedule_profile"):
            self.drush("bam-import-settings", os.path.join(EXPORTS, f"{name}.txt"))
        self.drush("bam-import-settings", self.export_of_the_server())
        self.sql("update backup_migrate_schedules set copy_destination_id = 'offsite' where machine_name = 'pece_backup'")

    def export_of_the_server(self):
        """The destination as Backup and Migrate exports it."""
        settings = ", ".join(f"{php(name)} => {php(value)}" for name, value in self.sshd.keys.items())
        path = os.path.join(self.top, "destination_offsite.txt")
        with open(path, "w") as file:
            file.write(f"array ('destination_id' => '7', 'machine_name' => 'offsite', 'name' => 'The other machine', "
                       f"'subtype' => 'sftp', 'location' => {php(self.sshd.url)}, 'settings' => array ({settings}), "
                       "'type_name' => 'destination')")
        return path

    def assert_weekly_backup_by_cron(self):
        self.drush("cron")
        made = self.stored("scheduled")
        self.assertEqual(len(made), 1, self.log())
        self.assertRegex(made[0], r"\.sitearchive\.tar\.gz\.(enc|aes)$")
        self.assertEqual(self.sshd.visible(), [made[0], f"{made[0]}.info"], self.log())
        here = os.path.join(self.private, "backup_migrate/scheduled", made[0])
        self.assertEqual(digest(os.path.join(self.sshd.backups, made[0])), digest(here))

        mails = self.mails()
        self.assertEqual([mail["to"] for mail in mails], [self.variable("site_mail")])
        body = " ".join(mails[0]["body"].split())
        for words in ("the backup was made", made[0], "Size:", "Time taken:", "Copy at Scheduled Backups Directory: there",
                      "Copy at The other machine: there", "To restore it: drush bam-restore"):
            self.assertIn(words, body)
        last_run = self.variable(LAST_RUN)
        self.drush("cron")
        self.assertEqual((self.stored("scheduled"), self.stored("manual"), self.sshd.visible(), len(self.mails()),
                          self.variable(LAST_RUN)), (made, [], [made[0], f"{made[0]}.info"], 1, last_run),
                         "a second cron run does nothing")
        self.assertEqual(self.variable("maintenance_mode"), 0)

    def test_weekly_on_disk_and_on_the_server_with_backup_and_migrate_enabled(self):
        self.assertEqual(self.php("echo (int) module_exists('backup_migrate');"), "1")
        self.assert_weekly_backup_by_cron()

    def test_weekly_on_disk_and_on_the_server_without_backup_and_migrate(self):
        self.drush("-y", "pm-disable", "backup_migrate")
        [module] = glob.glob(os.path.join(self.root, "sites/all/modules/**/backup_migrate"), recursive=True)
        shutil.rmtree(module)
        self.assert_weekly_backup_by_cron()

    def test_a_dead_server_spoils_nothing_and_gets_its_copy_later(self):
        self.sshd.stop()
        self.drush("cron")
        made = self.stored("scheduled")
        self.assertEqual(len(made), 1, self.log())
        body = " ".join(self.mails()[0]["body"].split())
        self.assertIn("INCOMPLETE", self.mails()[0]["subject"])
        self.assertIn("Copy at The other machine: MISSING", body)
        self.assertEqual(self.drush("bam-status", expect=3).code, 3)
        self.sshd.start()
        self.drush("bam-replicate")
        self.assertEqual(self.sshd.visible(), [made[0], f"{made[0]}.info"])


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
