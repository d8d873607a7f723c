"""Commands that look after what is there: drills, keys, exports, samples; and those that change what is set up."""

import os
import subprocess

from drupalsite import SiteTest, php


class Upkeep(SiteTest):
    def test_a_drill_shows_that_backups_restore(self):
        self.drush("bam-backup", "files")
        made = self.json("bam-backup", "db")
        told = self.json("bam-drill")["drills"]
        self.assertEqual({drill["source"]: drill["ok"] for drill in told}, {"db": True, "files": True})
        shown = self.drush("bam-drill", str(made["id"]), "--destination=manual")
        self.assertIn("restores", shown.out)
        self.assertNotIn("files (", shown.out)
        self.drush("bam-drill", "--source=nope", expect=2)
        self.assertEqual(self.server.sql("show databases like '%drill%'").strip(), "")

    def test_nothing_to_recover_is_said(self):
        self.assertIn("No restore was interrupted", self.drush("bam-recover").out)
        self.assertIsNone(self.json("bam-recover", "--finish")["found"])
        self.drush("bam-recover", "--finish", "--take-back", expect=2)

    def test_backups_get_a_new_key(self):
        self.php("variable_set('backup_migrate_profiles_defaults', array('strong' => array('machine_name' => 'strong', "
                 "'name' => 'Strong', 'filename' => 's', 'filters' => array('encryption' => 'aes'))));")
        made = self.json("bam-backup", "files", "manual", "strong")
        old = os.path.join(self.top, "site.key")
        key = os.path.join(self.top, "new.key")
        with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "w") as line:
            line.write("another key of the tests, long enough\n")
        with open(self.settings, "a") as file:
            file.write(f"$conf['bam_key_file'] = {php(key)};\n$conf['bam_keys'] = array({php(old)});\n")
        self.drush("bam-rekey", expect=2)
        self.drush("bam-rekey", "--all", "--to=none", expect=2)
        (copy,) = self.json("bam-rekey", "--all")["copies"]
        self.assertEqual((copy["file"], copy["done"]), (made["file"], "rekeyed"))
        self.assertIn("has the current key", self.drush("bam-rekey", str(made["id"])).out)
        os.unlink(old)
        self.drush("bam-verify", str(made["id"]))

    def test_a_sample_is_told_as_one(self):
        made = self.json("bam-backup", "files")
        shown = self.drush("bam-verify", "--sample=50%")
        self.assertIn("read, as it was written", " ".join(shown.out.split()))
        self.assertIsNone(self.json("bam-backups")[0]["verified"])
        for wrong in ("0", "101%", "some"):
            self.drush("bam-verify", f"--sample={wrong}", expect=2)
        self.drush("bam-verify", str(made["id"]))
        self.assertIsNotNone(self.json("bam-backups")[0]["verified"])

    def test_one_copy_is_erased_and_the_other_stays(self):
        os.mkdir(os.path.join(self.top, "nas"))
        self.drush("bam-destination-add", os.path.join(self.top, "nas"))
        made = self.json("bam-backup", "files", "manual,nas")
        self.drush("-y", "bam-delete", str(made["id"]), "--destination=nas")
        self.assertEqual((self.backups(), os.listdir(os.path.join(self.top, "nas"))), ([made["file"]], []))

    def test_an_export_brings_the_program_and_is_forgotten_again(self):
        usb = os.path.join(self.top, "usb")
        os.mkdir(usb)
        self.drush("bam-backup", "files")
        self.drush("bam-export", "latest", expect=2)
        told = self.json("bam-export", "latest", usb, "--with-program")
        self.assertIn("bam ", subprocess.run([os.path.join(usb, "bam"), "--version"], capture_output=True, text=True).stdout)
        (forgotten,) = self.json("bam-export", usb, "--forget")["forgotten"]
        self.assertEqual(forgotten["path"], told["path"])
        self.drush("bam-export", usb, "--forget", expect=1)

    def test_of_a_dump_of_several_databases_one_is_restored(self):
        self.server.sql("create database bam_other; create table bam_other.strange (id int primary key)")
        self.addCleanup(self.server.sql, "drop database bam_other")
        dump = os.path.join(self.top, "both.sql")
        command = [word.replace("mariadb", "mariadb-dump", 1) if word == "mariadb" else word
                   for word in self.server.client() if word != "--binary-mode"]
        with open(dump, "wb") as file:
            subprocess.run([*command, "--hex-blob", "--databases", "site", "bam_other"], stdout=file, check=True)
        self.sql("truncate table bam_odd")
        self.drush("-y", "bam-restore", dump, "--source=db", "--unauthenticated", expect=1)
        self.assertEqual(self.sql("select count(*) from bam_odd").strip(), "0")
        self.drush("-y", "bam-restore", dump, "--source=db", "--unauthenticated", "--only=site")
        self.assertEqual(self.sql("select count(*) from bam_odd; show tables like 'strange'").strip(), "3")


class Items(SiteTest):
    def test_a_schedule_is_added_switched_and_removed(self):
        for folder in ("one", "two"):
            os.mkdir(os.path.join(self.top, folder))
            self.drush("bam-destination-add", os.path.join(self.top, folder))
        self.drush("bam-schedule-add", "weekly", "files", "manual,one,two", "--every=2w", "--keep=3")
        schedule = self.json("bam-schedules")["weekly"]
        self.assertEqual((schedule["source"], schedule["destinations"], schedule["every"], schedule["keep"], schedule["enabled"]),
                         ("files", ["manual", "one", "two"], 1209600, 3, True))
        self.drush("bam-schedule-add", "weekly", "files", "manual", expect=2)
        self.drush("bam-schedule", "weekly")
        self.assertEqual(len(self.backups()), 1)
        self.drush("bam-schedule", "weekly", "--disable")
        self.assertFalse(self.json("bam-schedules")["weekly"]["enabled"])
        self.assertIn("--enable", self.drush("bam-schedule", "weekly", expect=2).err)
        self.drush("bam-schedule", "weekly", "--enable")
        self.assertTrue(self.json("bam-schedules")["weekly"]["enabled"])
        self.drush("-n", "bam-schedule", "weekly", "--remove", expect=75)
        self.drush("-y", "bam-schedule", "weekly", "--remove")
        self.assertNotIn("weekly", self.json("bam-schedules"))
        self.drush("bam-schedule", "weekly", "--remove", expect=2)
        # A new one of that name has none of its places.
        self.drush("bam-schedule-add", "weekly", "db", "manual", "--cron=0 4 * * *", "--keep=smart", "--disabled")
        schedule = self.json("bam-schedules")["weekly"]
        self.assertEqual((schedule["destinations"], schedule["cron"], schedule["keep"], schedule["enabled"]),
                         (["manual"], "0 4 * * *", -2, False))

    def test_a_schedule_keeps_so_many_of_each_period(self):
        for wrong in ("daily 7, monthly", "fortnightly 2", "daily -1", "within 14", "daily 0"):
            with self.subTest(wrong):
                self.drush("bam-schedule-add", "nightly", "db", "manual", f"--keep={wrong}", expect=2)
        self.drush("bam-schedule-add", "nightly", "db", "manual", "--keep=last 1, weekly:5, within 2h")
        schedules = self.json("bam-schedules")
        self.assertEqual(schedules["nightly"]["keep"], {"last": 1, "weekly": 5, "within": "2h"})
        self.assertIn("last 1, weekly 5, within 2h", self.drush("bam-schedules").out)
        self.drush("-y", "bam-schedule", "nightly", "--remove")
        self.drush("bam-schedule-add", "nightly", "db", "manual")
        self.assertEqual(self.json("bam-schedules")["nightly"]["keep"], 0)

    def test_a_schedule_that_could_not_run_is_not_added(self):
        for wrong in (["nope", "manual"], ["files", "nope"], ["files", "manual", "nope"], ["files", "manual", "--every=soon"],
                      ["files", "manual", "--keep=-1"], ["files", "manual", "--every=0"]):
            with self.subTest(wrong):
                self.drush("bam-schedule-add", "wrong", *wrong, expect=2)
                self.assertNotIn("wrong", self.json("bam-schedules"))

    def test_profiles_and_sources_come_and_go(self):
        self.drush("bam-profile-add", "sealed", "--encryption=aes256", "--compression=zstd", "--mail-failure=sos@example.org", "--offline")
        profile = self.json("bam-profiles")["sealed"]
        self.assertEqual((profile["encryption"], profile["compression"], profile["site_offline"], profile["notify"]["failure"]),
                         ("aes256", "zstd", True, ["sos@example.org"]))
        self.drush("bam-profile-add", "sealed", expect=2)
        self.drush("bam-profile-add", "odd", "--encryption=rot13", expect=2)
        self.drush("bam-source-add", "fields", "public://field")
        self.drush("bam-source-add", "nowhere", "/no/such/folder", expect=2)
        self.drush("bam-source-add", "db", "public://field", expect=2)
        made = self.json("bam-backup", "fields", "manual", "sealed")
        self.assertRegex(made["file"], r"\.tar\.zst\.enc$")
        for kind, name in (("profile", "sealed"), ("source", "fields")):
            with self.subTest(kind):
                self.drush("-n", f"bam-{kind}-remove", name, expect=75)
                self.drush("-y", f"bam-{kind}-remove", name)
                self.assertNotIn(name, self.json(f"bam-{kind}s"))
                self.drush("-y", f"bam-{kind}-remove", name, expect=2)
        self.assertEqual(self.backups(), [made["file"]])

    def test_a_destination_is_removed_and_its_backups_stay(self):
        nas = os.path.join(self.top, "nas")
        os.mkdir(nas)
        self.drush("bam-destination-add", nas)
        self.drush("bam-schedule-add", "nightly", "files", "nas")
        self.drush("bam-backup", "files", "nas")
        kept = os.listdir(nas)
        removed = self.drush("-y", "bam-destination-remove", "nas")
        self.assertIn("nightly", removed.err)
        self.assertNotIn("nas", self.json("bam-destinations"))
        self.assertEqual(os.listdir(nas), kept)
        self.drush("-y", "bam-destination-remove", "nas", expect=2)
        self.drush("-y", "bam-destination-remove", "manual", expect=2)
