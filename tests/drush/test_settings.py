"""What the commands know of the site: from Backup and Migrate, from its tables, from variables, from modules' code."""

import json
import os
import shutil

from drupalsite import TOP, SiteTest
from sshd import Sshd


class Lists(SiteTest):
    def test_they_answer_with_backup_and_migrate_and_without(self):
        self.assertEqual(set(self.json("bam-sources")), {"archive", "db", "files", "files_private"})
        self.assertEqual(set(self.json("bam-destinations")), {"manual", "scheduled"})
        self.assertEqual(set(self.json("bam-profiles")), {"default"})
        # Nothing is JSON, too.
        self.assertEqual((self.json("bam-schedules"), self.json("bam-backups")), ({}, []))
        self.drush("-y", "pm-disable", "backup_migrate")
        self.assertEqual(set(self.json("bam-sources")), {"archive", "db", "files", "files_private"})
        self.drush("-y", "pm-uninstall", "backup_migrate")
        self.assertEqual(set(self.json("bam-destinations")), {"manual", "scheduled"})
        self.assertEqual(set(self.json("bam-profiles")), {"default"})

    def test_rows_and_variables_are_found_in_each_case(self):
        self.php("db_insert('backup_migrate_profiles')->fields(array('machine_name' => 'row', 'name' => 'Row', "
                 "'filename' => 'f', 'append_timestamp' => 2, 'timestamp_format' => 'Y', "
                 "'filters' => serialize(array('compression' => 'bzip2', 'encryption' => 'aes'))))->execute(); "
                 "variable_set('backup_migrate_profiles_defaults', array('variable' => array('machine_name' => 'variable', "
                 "'name' => 'Variable', 'filename' => 'v', 'filters' => array('compression' => 'zip'))));")
        for module in ("enabled", "disabled"):
            with self.subTest(module):
                profiles = self.json("bam-profiles")
                self.assertEqual(set(profiles), {"default", "row", "variable"})
                row = profiles["row"]
                self.assertEqual((row["compression"], row["encryption"], row["append_timestamp"]), ("bzip2", "aes256", 2))
                self.assertEqual(profiles["variable"]["compression"], "zip")
            self.drush("-y", "pm-disable", "backup_migrate")

    def test_items_in_a_modules_code_are_found_with_and_without_backup_and_migrate(self):
        shutil.copytree(os.path.join(TOP, "tests/drush/fixtures/bam_test_feature"),
                        os.path.join(self.root, "sites/all/modules/bam_test_feature"))
        self.drush("-y", "pm-enable", "bam_test_feature")
        self.assertEqual(self.json("bam-profiles")["in_code"]["compression"], "bzip2")
        self.assertEqual(self.json("bam-schedules")["in_code"]["every"], 604800)
        self.drush("-y", "pm-disable", "backup_migrate")
        self.assertEqual(self.json("bam-profiles")["in_code"]["compression"], "bzip2")
        self.assertNotIn("switched_off", self.json("bam-profiles"))
        # Without Drupal running they are known from the copy that was kept.
        with open(self.kept_copy()) as file:
            self.assertEqual(json.load(file)["code"]["profiles"], ["in_code"])

    def test_the_default_profile_of_the_site_is_the_one_chosen_last(self):
        self.php("variable_set('backup_migrate_profiles_defaults', array('mine' => array('machine_name' => 'mine', "
                 "'name' => 'Mine', 'filename' => 'mine', 'filters' => array()))); "
                 "variable_set('backup_migrate_profile_id', 'mine');")
        self.assertEqual(self.json("bam-backup", "db")["profile"], "mine")

    def test_the_configuration_is_printed_without_secrets_unless_asked(self):
        self.php("variable_set('backup_migrate_destinations_defaults', array(array('machine_name' => 'offsite', "
                 "'name' => 'Off site', 'subtype' => 'sftp', 'location' => 'sftp://me:hunter2@example.org/b')));")
        plain = self.drush("bam-export-config").out
        self.assertIn("sftp://me:", plain)
        self.assertNotIn("hunter2", plain)
        self.assertIn("hunter2", self.drush("bam-export-config", "--secrets").out)
        self.assertEqual(self.json("bam-export-config")["site"]["root"], self.root)

    def test_backup_and_migrate_gets_its_commands_when_asked(self):
        made = self.drush("bb", "--engine=backup_migrate")
        self.assertIn("backed up successfully", made.err)
        self.assertEqual(len(self.backups()), 1)
        self.assertIn("Default Settings", self.drush("bam-profiles", "--engine=backup_migrate").out)
        self.drush("bb", "nope", "--engine=backup_migrate", expect=1)
        self.drush("bb", "--engine=nothing", expect=2)
        self.drush("-y", "pm-disable", "backup_migrate")
        self.assertIn("not enabled", self.drush("bb", "--engine=backup_migrate", expect=2).err)

    def test_commands_of_other_modules_stay_known(self):
        """What Drush remembers of a run of ours must not hide them: Backup and Migrate's own are such."""
        self.require_module("backup_migrate")
        self.drush("cache-clear", "drush")
        for ours in (["bam-backup", "files"], ["bam-sources", "--engine=backup_migrate"], ["bam-backups"]):
            with self.subTest(ours):
                self.drush(*ours)
                self.assertIn("Default Database", self.drush("bam-sources", include=False).out)

    def test_the_commands_are_ours_wherever_the_command_file_lies(self):
        places = {"the site": os.path.join(self.root, "sites/all/drush/bam"),
                  "the user's folder": os.path.join(self.top, "home/.drush/bam")}
        for name, place in places.items():
            with self.subTest(name):
                os.makedirs(os.path.dirname(place), exist_ok=True)
                os.symlink(os.path.join(TOP, "drush"), place)
                self.drush("cache-clear", "drush", include=False)
                for command in ("bam-backup", "bb"):
                    self.assertIn("the whole site", self.drush("help", command, include=False).out)
                    self.drush(command, "no-such-source", include=False, expect=2)
                os.unlink(place)


class Check(SiteTest):
    """What bam-check and the commands about destinations see, and what they change."""

    has_key = False

    def setUp(self):
        super().setUp()
        self.sshd = Sshd()
        self.addCleanup(self.sshd.close)

    def add(self, *arguments, **options):
        return self.drush("-y", "bam-destination-add", self.sshd.url, f"--identity={self.sshd.path('id')}", *arguments,
                          **options)

    def test_a_destination_is_shown_tried_stored_and_used(self):
        added = self.add()
        self.assertIn(self.sshd.fingerprint().split()[1], added.err)
        self.assertIn("good", added.out)
        # Whoever makes backups, with whatever known_hosts.
        made = self.json("bam-backup", "db", "offsite")
        self.assertEqual([name for name in os.listdir(self.sshd.backups) if not name.endswith(".info")], [made["file"]])
        self.assertEqual(self.json("bam-destinations")["offsite"]["host_key"], self.sshd.fingerprint().split()[1])
        self.drush("bam-destination-try", "offsite")
        self.drush("-y", "bam-destination-trust", "offsite")
        self.add(expect=2)
        self.sshd.stop()
        self.drush("bam-destination-try", "offsite", expect=3)

    def test_what_does_not_work_is_not_added(self):
        self.add("--host-key=SHA256:" + "A" * 43, expect=1)
        self.drush("-n", "bam-destination-add", self.sshd.url, f"--identity={self.sshd.path('id')}", expect=75)
        self.drush("bam-destination-add", "sftp://me:pass-word@127.0.0.1/b", expect=2)
        self.drush("bam-destination-add", os.path.join(self.top, "no-folder"), expect=2)
        self.assertNotIn("offsite", self.json("bam-destinations"))

    def test_a_folder_is_added_too(self):
        os.mkdir(os.path.join(self.top, "nas"))
        self.drush("bam-destination-add", os.path.join(self.top, "nas"))
        self.drush("bam-backup", "db", "nas")
        self.assertEqual(len(os.listdir(os.path.join(self.top, "nas"))), 2)

    def test_check_looks_at_the_site(self):
        self.drush("bam-key", f"--file={self.top}/keys/key")
        looked = self.json("bam-check")["looked"]
        states = {(one["area"], one["name"]): one["state"] for one in looked}
        self.assertEqual((states["site", ""], states["key", ""], states["database", "db"]), ("good",) * 3, looked)
        os.chmod(f"{self.top}/keys/key", 0o644)
        shown = self.drush("bam-check", expect=2)
        self.assertIn("WRONG", shown.out)
        self.assertIn("chmod 600", shown.out)

    def test_hints_name_commands_that_can_be_typed(self):
        failed = self.drush("bam-restore", "12345", expect=1)
        # Drush breaks lines where the terminal ends.
        said = " ".join(failed.err.split())
        self.assertIn("`drush bam-", said)
        self.assertNotIn("`bam backup", said)


class DatabaseDown(SiteTest):
    """What goes on while the site's database does not answer."""

    def take_down(self):
        with open(self.settings, "a") as file:
            file.write("$databases['default']['default']['unix_socket'] = '/nonexistent/socket';\n")

    def test_backups_are_listed_restored_and_made_from_the_copy_of_the_settings(self):
        made = self.json("bam-backup", "files")
        self.take_down()
        self.assertEqual([one["id"] for one in self.json("bam-backups")], [made["id"]])
        tried = self.drush("bam-restore", str(made["id"]), "--dry-run")
        self.assertIn("gives no settings", " ".join(tried.err.split()))
        self.assertEqual(self.json("bam-backup", "files")["source"], "files")
        failed = self.drush("bam-backup", "db", expect=1)
        self.assertIn("database", failed.err)
        self.assertNotIn("could not find a Drupal site", failed.err)
        self.assertIn("does not answer", " ".join(self.drush("bam-key", expect=1).err.split()))

    def test_without_a_copy_it_is_not_said_that_there_are_no_backups(self):
        made = self.json("bam-backup", "files")
        shutil.rmtree(self.state)
        self.take_down()
        # settings.php names the private folder, so some destinations are known. The database may know more.
        listed = self.drush("bam-restore", "12345", "--dry-run", expect=1)
        self.assertIn("only the database of this site knows", " ".join(listed.err.split()))
        self.assertEqual(self.json("bam-backups")[0]["id"], made["id"])
        shutil.rmtree(self.state, ignore_errors=True)
        with open(self.settings, "a") as file:
            file.write("unset($conf['file_private_path']);\n")
        for command in (["bam-restore", "latest", "--dry-run"], ["bam-backups"], ["bam-backup", "files"]):
            said = " ".join(self.drush(*command, expect=2).err.split())
            self.assertIn("where the backups of this site are is not known", said)
            self.assertNotIn("no backups", said)
            self.assertIn("bam restore --from", said)


class Keys(SiteTest):
    has_key = False

    def test_a_key_is_made_once_outside_the_docroot_and_used(self):
        key = os.path.join(self.top, "keys/site.key")
        made = self.json("bam-key", f"--file={key}")
        self.assertEqual(made["file"], key)
        self.assertEqual(os.stat(key).st_mode & 0o777, 0o600)
        self.assertEqual(self.php("echo variable_get('bam_key_file');"), key)
        again = self.drush("bam-key")
        self.assertIn(made["id"], again.out)
        self.assertIn("do NOT encrypt: default", " ".join(again.err.split()))
        looked = [item for item in self.json("bam-check", expect=None)["looked"] if item["area"] == "encryption"]
        self.assertIn(("default", "notice"), [(item["name"], item["state"]) for item in looked])
        self.drush("bam-profile-add", "sealed", "--encryption=aes256")
        self.assertNotIn("do NOT encrypt", self.drush("bam-key").err)
        self.assertNotIn("default", [item["name"] for item in self.json("bam-check", expect=None)["looked"] if item["area"] == "encryption"])
        self.assertNotIn("Made a new key", again.err)
        new = f"{key}-new"
        self.assertNotEqual(self.json("bam-key", f"--file={new}")["id"], made["id"])
        self.assertEqual(self.php("echo variable_get('bam_key_file'), ' ', implode(',', variable_get('bam_keys'));"), f"{new} {key}")

    def test_a_key_in_the_docroot_is_refused_and_one_in_a_backup_warned_about(self):
        refused = self.drush("bam-key", f"--file={self.root}/sites/default/files/key", expect=2)
        self.assertIn("docroot", refused.err)
        self.assertFalse(os.path.exists(f"{self.root}/sites/default/files/key"))
        warned = self.drush("bam-key", f"--file={self.private}/key")
        self.assertIn("lies inside the source files_private", " ".join(warned.err.split()))
        self.drush("bam-key", "--file=relative", expect=2)
