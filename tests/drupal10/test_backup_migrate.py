"""Backup and Migrate 5, beside this module: its configuration, its files, and what it makes of ours."""

import json
import os
import shutil

from site10 import SiteTest

LONG = "l" * 150 + ".txt"


class BesideBackupAndMigrate(SiteTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.site.require("backup_migrate")
        cls.site.drush("pm:install", "backup_migrate", "--yes")

    def theirs(self, source):
        """A backup that Backup and Migrate makes."""
        site = self.site
        site.drush("backup_migrate:quick_backup", f"--source_id={source}", "--destination_id=private_files")
        listed = json.loads(site.drush("bam:backups", "private_files", "--format=json"))
        # It knows no IDs: two in one second differ by their names alone.
        return max((backup for backup in listed if backup["source"] == source), key=lambda backup: backup["id"])

    def extra(self):
        """Files of the kinds that its writer treats each in a way of its own."""
        files = os.path.join(self.site.conf, "files")
        for name, text in (("b c/ü 1.txt", "x"), (LONG, "long"), ("deep/er/x", "")):
            path = os.path.join(files, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            self.site.write(path, text)
        return {name: os.path.join(files, name) for name in ("b c/ü 1.txt", LONG, "deep/er/x")}

    def test_its_files_come_back(self):
        site = self.site
        site.fill("before")
        extra = self.extra()
        expected = site.facts()
        # By their files: those of one second share an ID.
        made = [self.theirs(source)["file"] for source in ("default_db", "public_files", "private_files")]
        site.fill("after")
        new = [os.path.join(folder, "new.txt") for folder in (site.conf + "/files", site.root + "/private")]
        for path in new:
            site.write(path, "new")
        for path in extra.values():
            os.unlink(path)
        for backup in made:
            site.drush("bam:restore", backup, "--yes")
        restored = site.facts()
        self.assertEqual(restored.pop("sync.yml"), "sync.yml: after\n", "it is in none of them")
        self.assertEqual(restored, {key: value for key, value in expected.items() if key != "sync.yml"})
        for path in extra.values():
            self.assertTrue(os.path.isfile(path), path)
        for path in new:
            self.assertFalse(os.path.exists(path), path)

    def test_its_whole_site_goes_into_the_docroot_and_leaves_the_project_alone(self):
        site = self.site
        site.fill("before")
        expected = site.facts()
        made = self.theirs("entire_site")
        site.fill("after")
        site.write(site.docroot + "/added.php", "<?php")
        shutil.rmtree(site.docroot + "/core/modules/node")
        private = site.root + "/private/private.txt"
        planned = json.loads(site.drush("bam:restore", str(made["id"]), "--code", "--dry-run", "--format=json", expect=3))
        lost = planned["files"]["lost"]["first"]
        self.assertTrue([path for path in lost if path.endswith("added.php")], lost)
        self.assertFalse([path for path in lost if path == private], "its manifest promises them, and has none")
        # It has no private files, and nothing of the project around the docroot: that is said.
        out, err = site.run([site.program, "--root", site.docroot, "bam:restore", str(made["id"]), "--code", "--yes"], 3)
        self.assertIn("holds no private files", err)
        self.assertIn("without the project around it", err)
        restored = site.facts()
        for name in ("private.txt", "sync.yml"):
            self.assertEqual(restored.pop(name), f"{name}: after\n")
            expected.pop(name)
        self.assertEqual(restored, expected)
        self.assertFalse(os.path.exists(site.docroot + "/added.php"))
        for name in ("vendor/autoload.php", "composer.json", "private/backup_migrate"):
            self.assertTrue(os.path.exists(os.path.join(site.root, name)), name)
        with open(site.conf + "/settings.local.php") as file:
            self.assertIn("p#ss", file.read(), "this machine's")
        ask, end = site.serve()
        self.addCleanup(end)
        self.assertEqual(ask("/node/1")[0], 200)

    def test_it_restores_our_databases(self):
        site = self.site
        site.fill("ours")
        expected = site.facts()["nodes"]
        made = json.loads(site.drush("bam:backup", "default_db", "private_files", "--format=json"))
        site.fill("later")
        said = site.php(f"""backup_migrate_perform_restore('default_db', 'private_files', '{made["file"]}');
            echo json_encode(\\Drupal::messenger()->all());""")
        self.assertIn("Restore completed", said)
        self.assertEqual(site.facts()["nodes"], expected)

    def test_what_it_has_configured_is_read(self):
        site = self.site
        site.php("""
            \\Drupal::entityTypeManager()->getStorage('backup_migrate_settings')->create(['id' => 'small', 'label' => 'Small',
              'config' => ['namer' => ['filename' => 'small-[site:name]', 'timestamp' => TRUE],
                'compressor' => ['compression' => 'bzip2'], 'db_exclude' => ['nodata_tables' => ['watchdog' => 'watchdog']],
                'public_files_exclude' => ['exclude_filepaths' => ['tmp', '*.bak']]]])->save();
            \\Drupal::entityTypeManager()->getStorage('backup_migrate_schedule')->create(['id' => 'nightly',
              'label' => 'Nightly', 'enabled' => TRUE, 'source_id' => 'default_db', 'destination_id' => 'private_files',
              'settings_profile_id' => 'small', 'period' => 86400, 'keep' => 5])->save();
            \\Drupal::state()->set('backup_migrate.schedule.last_run', ['nightly' => 1700000000]);""")
        document = json.loads(site.bam("config", "export", "--format", "json"))
        self.assertEqual(document["profiles"]["small"]["compression"], "bzip2")
        self.assertEqual(document["profiles"]["small"]["sources"]["default_db"]["nodata_tables"], ["watchdog"])
        self.assertEqual(document["profiles"]["small"]["sources"]["public_files"]["exclude"], ["tmp"])
        nightly = document["schedules"]["nightly"]
        self.assertEqual((nightly["every"], nightly["keep"], nightly["last_run"]), (86400, 5, 1700000000))
        made = json.loads(site.drush("bam:schedule", "nightly", "--format=json"))
        self.assertRegex(made["file"], r"^small-Lab-.*\.mysql\.bz2$")


del SiteTest
