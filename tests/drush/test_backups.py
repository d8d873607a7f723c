"""Backing up, listing, checking and restoring the site through Drush."""

import glob
import os
import shutil
import signal
import subprocess
import time

from drupalsite import BAM, EXPORTS, LIMIT, SiteTest

PECE = [os.path.join(EXPORTS, name) for name in ("settings_profile.txt", "schedule_profile.txt", "source_pece_bkp.txt")]


class Backups(SiteTest):
    def setUp(self):
        super().setUp()
        self.files = os.path.join(self.root, "sites/default/files")

    def checksums(self, folder):
        found = {}
        for path, folders, names in os.walk(folder):
            folders.sort()
            for name in names:
                full = os.path.join(path, name)
                if os.path.islink(full):
                    found[os.path.relpath(full, folder)] = os.readlink(full)
                    continue
                with open(full, "rb") as file:
                    found[os.path.relpath(full, folder)] = file.read()
        return found

    def test_the_three_commands_of_the_readme(self):
        for module in ("enabled", "disabled"):
            with self.subTest(module):
                self.drush("-y", "bam-import-settings", *PECE)
                made = self.drush("bam-backup", "pece_bkp")
                self.assertIn("pece_backup", made.err)
                listed = self.json("bam-backups")
                self.assertEqual((listed[0]["source"], listed[0]["profile"], listed[0]["encryption"]),
                                 ("pece_bkp", "pece_backup", "aes256"))
                self.assertTrue(listed[0]["file"].endswith(".tar.gz.enc"), listed[0]["file"])
                told = self.json("bam-stats")
                self.assertEqual((told["backups"], told["sources"]["pece_bkp"]["bytes"]), (1, listed[0]["size"]))
                self.assertIn("pece_bkp", self.drush("bam-stats", "--source=pece_bkp").out)
                before = self.checksums(self.files)
                for name in os.listdir(self.files):
                    path = os.path.join(self.files, name)
                    shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
                self.drush("-y", "bam-restore", str(listed[0]["id"]))
                after = self.checksums(self.files)
                left_out = ("styles/", "css/", "js/", "ctools/", "less/", "backup_migrate/")
                self.assertEqual({name: data for name, data in before.items() if not name.startswith(left_out)},
                                 {name: data for name, data in after.items() if not name.startswith(left_out)})
                self.drush("-y", "bam-delete", str(listed[0]["id"]))
                self.assertEqual(self.backups(), [])
            self.drush("-y", "pm-disable", "backup_migrate")

    def test_a_file_is_found_and_backups_are_compared(self):
        first = self.json("bam-backup", "files", "manual")
        path = os.path.join(self.root, "sites/default/files/field/--new ü.txt")
        with open(path, "w") as file:
            file.write("new")
        second = self.json("bam-backup", "files", "manual")
        found = self.json("bam-find", "*NEW ü.txt", "--ignore-case", "--source=files")["found"]
        self.assertEqual([(one["path"], one["size"], one["backups"]) for one in found], [("field/--new ü.txt", 3, [second["id"]])])
        self.assertIn(f"in one backup, {second['id']}", self.drush("bam-find", "*--new ü.txt").out)
        changes = self.json("bam-diff", str(first["id"]), "latest")["changes"]
        self.assertIn(("added", "field/--new ü.txt"), [(one["change"], one["path"]) for one in changes])
        self.assertIn("+  field/--new ü.txt  (3 B)", self.drush("bam-diff", str(first["id"]), str(second["id"])).out)
        # Failures have the program's code.
        self.drush("bam-diff", str(first["id"]), "12345", expect=1)
        self.drush("bam-find", "x", "--since=soon", expect=2)

    def test_a_site_with_an_empty_database_is_restored_and_answers(self):
        nodes = self.sql("select nid, title from node order by nid")
        self.drush("-y", "bam-import-settings", *PECE)
        made = self.json("bam-backup", "archive", "manual", "pece_backup")
        self.sql("drop database site; create database site character set utf8mb4")
        shutil.rmtree(os.path.join(self.files))
        listed = self.drush("bam-backups")
        self.assertIn(str(made["id"]), listed.out)
        self.assertIn("using the copy of", " ".join(listed.err.split()))
        restored = self.drush("-y", "bam-restore", str(made["id"]))
        self.assertEqual(self.sql("select nid, title from node order by nid"), nodes)
        self.assertEqual(self.php("echo variable_get('maintenance_mode', 0), isset($GLOBALS['conf']['bam_maintenance']);"),
                         "0", restored)
        status, page = self.front_page()
        self.assertEqual(status, 200, page)
        newest = self.sql("select nid from node where promote = 1 and status = 1 order by sticky desc, created desc limit 1")
        self.assertIn(f'id="node-{newest.strip()}"', page)

    def test_the_arguments_of_backup_and_migrate_restore_too(self):
        made = self.json("bb")
        self.sql("delete from node")
        self.drush("-y", "bam-restore", "db", "manual", made["file"])
        self.assertNotEqual(self.sql("select count(*) from node").strip(), "0")

    def test_a_file_anywhere_is_restored(self):
        made = self.json("bb", "files")
        usb = os.path.join(self.top, "usb")
        shutil.move(os.path.join(self.private, "backup_migrate/manual"), usb)
        shutil.rmtree(self.files)
        self.drush("-y", "bam-restore", os.path.join(usb, made["file"]))
        self.assertTrue(os.listdir(self.files))

    def test_a_part_of_a_backup_and_what_it_would_do(self):
        made = str(self.json("bb", "archive")["id"])
        before = self.checksums(self.files)
        nodes, users = (self.sql(f"select * from {table}") for table in ("node", "users"))
        lost = next(name for name in sorted(before) if name.startswith("field"))
        os.unlink(os.path.join(self.files, lost))
        with open(os.path.join(self.files, "later.txt"), "w") as file:
            file.write("later")
        self.sql("delete from node; update users set mail = 'changed@example.org'")
        changed = self.sql("select * from users")

        plan = self.json("bam-restore", made, "--dry-run")
        self.assertEqual((plan["files"]["added"]["count"], plan["files"]["lost"]["count"]), (1, 1), plan["files"])
        told = self.drush("bam-restore", made, "--dry-run").out
        self.assertIn("later.txt", told)
        self.assertIn("node (", told)
        self.assertFalse(os.path.exists(os.path.join(self.files, lost)))

        self.drush("-y", "bam-restore", made, "--path=sites/default/files/" + lost)
        self.assertEqual(self.checksums(self.files), {**before, "later.txt": b"later"})
        self.drush("-y", "bam-restore", made, "--table=node")
        self.assertEqual(self.sql("select * from node"), nodes)
        self.assertEqual(self.sql("select * from users"), changed)
        self.drush("-y", "bam-restore", made)
        self.assertEqual((self.checksums(self.files), self.sql("select * from users")), (before, users))

    def test_without_confirmation_nothing_changes(self):
        made = self.json("bb", "files")
        with open(os.path.join(self.files, "new"), "w"):
            pass
        before = self.checksums(self.files)
        self.assertIn("n", self.drush("-n", "bam-restore", str(made["id"]), expect=75).out)
        self.assertEqual(self.checksums(self.files), before)

    def test_one_flipped_bit_is_refused_and_nothing_restored(self):
        self.drush("-y", "bam-import-settings", *PECE)
        made = self.json("bam-backup", "pece_bkp")
        path = os.path.join(self.private, "backup_migrate/manual", made["file"])
        with open(path, "r+b") as file:
            file.seek(os.path.getsize(path) // 2)
            byte = file.read(1)[0]
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 1]))
        before = self.checksums(self.files)
        self.drush("bam-verify", str(made["id"]), expect=4)
        self.drush("-y", "bam-restore", str(made["id"]), expect=4)
        self.assertEqual(self.checksums(self.files), before)

    def test_mistakes_have_an_exit_code_and_a_next_step(self):
        for arguments, code, words in (
                (["bb", "pece_bkb"], 2, "pece_bkb"),
                (["bb", "db", "manul"], 2, 'did you mean "manual"'),
                (["bb", "db", "manual", "nope"], 2, "nope"),
                (["bam-backups", "manul"], 2, 'did you mean "manual"'),
                (["-y", "bam-restore", "12345"], 1, "12345"),
                (["-y", "bam-restore", "a", "b"], 2, "one argument or three"),
                (["bam-schedule", "nope"], 2, "nope")):
            with self.subTest(" ".join(arguments)):
                result = self.drush(*arguments, expect=code)
                self.assertIn(words, " ".join(result.err.split()))
                self.assertIn("What to do", result.err)
        self.assertEqual(self.backups(), [])

    def test_a_destination_that_fails_does_not_spoil_the_other(self):
        with open(os.path.join(self.top, "file"), "w"):
            pass
        self.php("variable_set('backup_migrate_destinations_defaults', array(array('machine_name' => 'broken', "
                 f"'subtype' => 'file', 'name' => 'Broken', 'location' => '{self.top}/file/below')));")
        made = self.drush("bb", "db", "manual,broken", expect=3)
        self.assertIn("broken", made.err)
        self.assertEqual(len(self.backups()), 1)

    def test_a_schedule_is_run_by_its_name_and_backup_and_migrate_knows(self):
        self.drush("-y", "bam-import-settings", *PECE)
        before = int(time.time())
        made = self.json("bam-schedule", "pece_backup")
        self.assertEqual((made["source"], made["schedule"]), ("archive", "pece_backup"))
        last = int(self.php("echo variable_get('backup_migrate_schedule_last_run_pece_backup');"))
        self.assertLessEqual(before, last)
        self.assertEqual(self.json("bam-schedules")["pece_backup"]["last_run"], last)
        # The module is not enabled; its words serve all the same.
        mails = self.mails()
        self.assertEqual([mail["to"] for mail in mails], [self.php("echo variable_get('site_mail');")])
        body = " ".join(mails[0]["body"].split())
        for words in ("PECE Backup: the backup was made", made["file"], f"Backup ID: {made['id']}", "Size:", "Time taken:",
                      "Copy at", f"To restore it: drush bam-restore {made['id']}"):
            self.assertIn(words, body)

    def test_a_schedule_that_fails_says_so_by_mail_and_one_that_is_locked_out_says_nothing(self):
        self.drush("-y", "bam-import-settings", *PECE)
        self.sql("update backup_migrate_schedules set source_id = 'gone'")
        self.drush("bam-schedule", "pece_backup", expect=2)
        self.assertEqual(len(self.mails()), 1)
        self.assertIn("FAILED", self.mails()[0]["subject"])
        self.assertIn("gone", self.mails()[0]["body"])
        self.assertIn("What to do:", self.mails()[0]["body"])


class Maintenance(SiteTest):
    def setUp(self):
        super().setUp()
        self.drush("-y", "bam-import-settings", *PECE)
        self.php("variable_set('maintenance_mode_message', 'The old message.');")

    def mode(self):
        return self.sql("select value from variable where name = 'maintenance_mode'").strip() in ("i:1;", 's:1:"1";')

    def message(self):
        return self.php("echo variable_get('maintenance_mode_message');")

    def hold(self):
        """Holds a table so that a backup of the database cannot come to its end."""
        return self.server.hold("lock tables node write", "site")

    def wait(self, condition, process):
        last = time.monotonic() + LIMIT
        while not condition():
            if process.poll() is not None:
                self.fail(f"drush ended before: {self.finish(process)}")
            self.assertLess(time.monotonic(), last, "this never came to be")
            time.sleep(0.02)

    def interrupted(self, number):
        parts = os.path.join(self.private, "backup_migrate/manual/.*.part")
        # What a run before was killed over is no sign of this one.
        before = set(glob.glob(parts))
        holder = self.hold()
        process = self.start("bam-backup", "db", "manual", "pece_backup", start_new_session=True)
        self.wait(self.mode, process)
        # The signal a moment too early would meet Drush before its work.
        self.wait(lambda: set(glob.glob(parts)) - before
                  or "dump" in subprocess.run(["ps", "-o", "args=", "-g", str(process.pid)], stdout=subprocess.PIPE)
                  .stdout.decode(), process)
        process.send_signal(number)
        return holder, process

    def test_the_site_is_offline_while_it_is_backed_up_and_only_then(self):
        made = self.drush("bam-backup", "db", "manual", "pece_backup")
        self.assertIn("in maintenance mode", made.err)
        self.assertEqual((self.mode(), self.message()), (False, "The old message."))

    def test_a_site_that_was_offline_stays_so(self):
        self.php("variable_set('maintenance_mode', 1);")
        self.drush("bam-backup", "db", "manual", "pece_backup")
        self.assertTrue(self.mode())

    def test_ctrl_c_leaves_nothing_behind(self):
        holder, process = self.interrupted(signal.SIGINT)
        result = self.finish(process, 130)
        holder.communicate()
        self.assertIn("cancelled", result.err)
        self.assertEqual((self.mode(), self.message(), self.backups()), (False, "The old message.", []))
        self.assertEqual(glob.glob(os.path.join(self.private, "backup_migrate/manual/.*.part")), [])

    def test_after_kill_9_the_next_command_puts_the_site_online(self):
        holder, process = self.interrupted(signal.SIGKILL)
        self.finish(process)
        holder.communicate()
        self.assertTrue(self.mode())
        self.assertIn("killed", self.drush("bam-sources").err)
        self.assertEqual((self.mode(), self.message()), (False, "The old message."))
        self.drush("bam-backup", "db")
        self.assertEqual(glob.glob(os.path.join(self.private, "backup_migrate/manual/.*.part")), [])

    def test_after_kill_9_the_status_puts_the_site_online(self):
        native = [BAM, "--root", self.root, "status"]
        for status in (lambda: self.drush("bam-status", expect=3).err,
                       lambda: subprocess.run(native, env=self.environment(), capture_output=True, text=True).stderr):
            holder, process = self.interrupted(signal.SIGKILL)
            self.finish(process)
            holder.communicate()
            self.assertTrue(self.mode())
            said = status()
            self.assertIn("still in maintenance mode from a run that was killed", said)
            self.assertEqual((self.mode(), self.message()), (False, "The old message."), said)

    def test_a_second_backup_meanwhile_is_told_to_wait(self):
        holder, process = self.interrupted(0)
        self.assertIn("another", self.drush("bam-backup", "db", expect=5).err.lower())
        holder.communicate()
        self.finish(process, 0)
        self.assertEqual(len(self.backups()), 1)


class Import(SiteTest):
    def test_items_go_into_the_tables_and_again_changes_nothing(self):
        self.drush("-y", "bam-import-settings", *PECE)
        self.assertEqual(self.sql("select count(*) from backup_migrate_profiles where machine_name = 'pece_backup'").strip(), "1")
        again = self.json("bam-import-settings", *PECE)
        self.assertEqual({item["action"] for item in again}, {"unchanged"})
        # As Backup and Migrate itself reads them.
        self.assertIn("pece_backup", self.drush("bam-profiles", "--engine=backup_migrate").out)
        self.assertEqual(self.php("module_load_include('inc', 'backup_migrate', 'includes/profiles'); "
                                  "print backup_migrate_get_profile('pece_backup')->filters['sources']['archive']"
                                  "['exclude_filepaths'];"), "/tmp")

    def test_without_the_tables_they_wait_in_variables(self):
        self.drush("-y", "pm-disable", "backup_migrate")
        self.drush("-y", "pm-uninstall", "backup_migrate")
        self.drush("bam-import-settings", *PECE)
        self.assertIn("pece_backup", self.json("bam-profiles"))
        self.drush("-y", "pm-enable", "backup_migrate")
        self.assertIn("pece_backup", self.drush("bam-profiles", "--engine=backup_migrate").out)
        self.assertIn("pece_bkp", self.drush("bam-sources", "--engine=backup_migrate").out)

    def test_what_is_there_is_replaced_after_a_question_only(self):
        self.drush("bam-import-settings", *PECE)
        self.sql("update backup_migrate_profiles set name = 'Mine' where machine_name = 'pece_backup'")
        self.drush("-n", "bam-import-settings", *PECE, expect=75)
        self.assertEqual(self.sql("select name from backup_migrate_profiles").strip(), "Mine")
        self.drush("-y", "bam-import-settings", *PECE)
        self.assertEqual(self.sql("select name from backup_migrate_profiles").strip(), "PECE Backup")

    def test_a_malformed_file_is_told_with_line_and_column_and_nothing_is_imported(self):
        with open(PECE[0]) as file:
            lines = file.read().splitlines()
        lines[6] = "  'timestamp_format' = 'Y',"
        broken = os.path.join(self.top, "broken.txt")
        with open(broken, "w") as file:
            file.write("\n".join(lines))
        result = self.drush("bam-import-settings", PECE[1], broken, expect=2)
        told = " ".join(result.err.split())
        self.assertIn("line 7, column 22", told)
        self.assertIn("=>", told)
        self.assertEqual(self.sql("select count(*) from backup_migrate_schedules").strip(), "0")

    def test_code_in_an_export_is_never_run(self):
        trap = os.path.join(self.top, "trap")
        evil = os.path.join(self.top, "evil.txt")
        with open(evil, "w") as file:
            file.write(f"array('type_name' => 'profile', 'machine_name' => touch('{trap}'))")
        self.drush("bam-import-settings", evil, expect=2)
        self.assertFalse(os.path.exists(trap))

    def test_an_error_of_the_database_imports_nothing(self):
        self.sql("alter table backup_migrate_schedules modify name varchar(3) not null")
        self.sql("set global sql_mode = 'STRICT_ALL_TABLES'")
        self.drush("-y", "bam-import-settings", *PECE, expect=1)
        self.assertEqual(self.sql("select count(*) from backup_migrate_profiles").strip(), "0")
