"""Backup, wreck, restore: pages, nodes, files and configuration are the same, on each kind of database."""

import json
import os
import shutil
import tarfile

from site10 import TOP, SiteTest


class OnMariadb(SiteTest):
    prefix = "x_"

    def test_a_wrecked_site_comes_back(self):
        site = self.site
        site.fill("before")
        expected = site.facts()
        made = site.backup("archive")
        site.fill("after")
        self.assertNotEqual(site.facts(), expected)
        for name in ("public.txt", "private.txt", "sync.yml"):
            os.unlink(site.file(name))
        shutil.rmtree(os.path.join(site.docroot, "core/modules/node"))
        self.wreck()
        site.drush("bam:restore", str(made["id"]), "--code", "--yes")
        self.assertEqual(site.facts(), expected)
        ask, end = site.serve()
        self.addCleanup(end)
        for path, text in (("/user/login", "Log in"), ("/node/1", "before ü😀")):
            status, page = ask(path)
            self.assertEqual(status, 200, page[:500])
            self.assertIn(text, page)

    def wreck(self):
        """The database is gone: Drush must not need it."""
        site = self.site
        site.php("""
            $database = \\Drupal::database();
            foreach ($database->schema()->findTables('%') as $table) { $database->schema()->dropTable($table); }""")

    def test_what_belongs_to_the_machine_or_the_moment_is_in_no_archive(self):
        site = self.site
        site.fill("content")
        os.makedirs(site.conf + "/files/php/twig", exist_ok=True)
        site.write(site.conf + "/files/php/twig/compiled.php", "<?php // compiled")
        site.write(site.root + "/.env", "SECRET=1\n")
        file = site.backup("archive")["file"]
        with tarfile.open(os.path.join(site.root, "private/backup_migrate/manual", file)) as archive:
            names = archive.getnames()
            where = os.path.relpath(site.conf, site.root)
            for name in ("vendor/autoload.php", "composer.json", "config/sync/sync.yml", "private/private.txt",
                         f"{where}/files/public.txt", f"{where}/default.settings.php"):
                self.assertIn(f"docroot/{name}", names)
            for name in (f"{where}/settings.php", f"{where}/settings.local.php", f"{where}/files/php", ".env",
                         f"{where}/files/.ht.sqlite"):
                self.assertNotIn(f"docroot/{name}", names)
            self.assertFalse([name for name in names if "backup_migrate/manual" in name])

    def test_the_commands_work_as_in_drupal_7(self):
        site = self.site
        site.fill("one")
        made = site.backup("db", "--description=before the update")
        listed = json.loads(site.drush("bam-backups", "--format=json"))
        self.assertEqual((listed[0]["id"], listed[0]["description"]), (made["id"], "before the update"))
        self.assertIn(str(made["id"]), site.drush("bam:backups"))
        self.assertEqual(json.loads(site.drush("bam:stats", "--format=json"))["backups"], len(listed))
        self.assertIn(made["source"], site.drush("bam:stats"))
        site.write(site.conf + "/files/found ü.txt", "x")
        with_files = site.backup("files")
        found = json.loads(site.drush("bam:find", "found*.txt", "--format=json"))["found"]
        self.assertEqual([(one["path"], one["backups"]) for one in found], [("found ü.txt", [with_files["id"]])])
        self.assertIn(f"in one backup, {with_files['id']}", site.drush("bam:find", "FOUND*.txt", "--ignore-case", "--source=files"))
        self.assertEqual(json.loads(site.drush("bam:diff", str(made["id"]), str(made["id"]), "--format=json"))["tables"]["changed"], 0)
        self.assertIn("Tables: 0 added", site.drush("bam-diff", str(made["id"]), "latest", "--source=db"))
        site.drush("bam:diff", str(made["id"]), "12345", expect=1)
        site.drush("bam:delete", str(with_files["id"]), "--yes")
        self.assertEqual(site.drush("bam:backups", "--format=list").split()[0], str(made["id"]))
        self.assertIn("good", site.drush("bam:verify", "latest"))
        self.assertIn("archive", site.drush("bam:sources"))
        plan = json.loads(site.drush("bam:restore", "latest", "--dry-run", "--format=json"))
        self.assertTrue(plan["dry_run"])
        error = json.loads(site.drush("bam:verify", "12345", "--format=json", expect=1))
        self.assertEqual(error["error"]["code"], "not_found")
        # Nobody is there to confirm.
        site.drush("bam:restore", "latest", expect=1)
        site.drush("bam:delete", str(made["id"]), "--yes")
        ids = [backup["id"] for backup in json.loads(site.drush("bam:backups", "--format=json"))]
        self.assertNotIn(made["id"], ids)

    def test_an_offline_site_stays_offline_and_an_online_one_comes_back(self):
        site = self.site
        site.fill("mode")
        made = site.backup("db")
        for mode in (True, False):
            site.drush("state:set", "system.maintenance_mode", str(int(mode)), "--input-format=integer")
            site.bam("restore", str(made["id"]), "--yes")
            self.assertEqual(site.facts()["offline"], mode)
        self.assertEqual(site.drush("state:get", "bam.maintenance").strip(), "")

    def test_maintenance_mode_shows_the_profiles_words_and_goes(self):
        site = self.site
        site.php("""\\Drupal::configFactory()->getEditable('system.maintenance')->set('message', 'Ours.')->save();""")
        ask, end = site.serve()
        self.addCleanup(end)
        site.fill("page")
        # Twice: the second comes from the cache of pages.
        for _ in range(2):
            self.assertEqual(ask("/node/1")[0], 200)
        program = [*self.maintenance(), "begin", str(os.getpid())]
        site.run(program)
        # Empty words keep the site's own.
        status, page = ask("/node/1")
        self.assertEqual(status, 503)
        self.assertIn("Ours.", page)
        site.run([*self.maintenance(), "end"])
        self.assertEqual(ask("/node/1")[0], 200)
        self.assertFalse(site.facts()["offline"])

    def maintenance(self):
        return ["php", os.path.join(TOP, "php-shim/bin/bam-maintenance"), "--root", self.site.root]

    def test_with_an_empty_machine_the_site_comes_back_from_a_file(self):
        site = self.site
        site.fill("elsewhere")
        expected = site.facts()
        made = site.backup("archive")
        kept = os.path.join(site.top, made["file"])
        shutil.copy(os.path.join(site.root, "private/backup_migrate/manual", made["file"]), kept)
        shutil.copy(os.path.join(site.root, "private/backup_migrate/manual", made["file"] + ".info"), kept + ".info")
        saved = {}
        for name in ("settings.php", "settings.local.php"):
            with open(os.path.join(site.conf, name)) as file:
                saved[name] = file.read()
        self.wreck()
        os.chmod(site.conf, 0o755)
        shutil.rmtree(site.root)
        os.makedirs(site.conf)
        os.makedirs(site.root + "/vendor")
        for name, text in saved.items():
            site.write(os.path.join(site.conf, name), text)
        # The environment of the settings, which ask for a class loader, is not there yet.
        site.write(os.path.join(site.conf, "settings.php"), saved["settings.php"].replace("|| !$class_loader", ""))
        site.bam("import", kept, "manual")
        site.bam("restore", str(made["id"]), "--code", "--yes")
        self.assertEqual(site.facts(), expected)

    def test_a_project_leaves_contributed_code_to_composer(self):
        site = self.site
        if not os.path.isfile(os.path.join(site.root, "composer.lock")):
            self.skipTest("the given project has no composer.lock")
        site.php("""\\Drupal\\bam\\Entity\\Source::create(['id' => 'own', 'label' => 'Own code', 'type' => 'archive',
            'code' => 'composer'])->save();""")
        self.addCleanup(site.php, "\\Drupal\\bam\\Entity\\Source::load('own')->delete();")
        made = site.backup("own")
        with tarfile.open(os.path.join(site.root, "private/backup_migrate/manual", made["file"])) as archive:
            names = archive.getnames()
        self.assertIn("docroot/composer.lock", names)
        self.assertFalse([name for name in names if name.startswith("docroot/vendor/")])
        self.assertFalse([name for name in names if "/core/lib/" in name])
        site.drush("bam:restore", str(made["id"]), "--code", "--yes")
        self.assertTrue(os.path.isfile(os.path.join(site.root, "vendor/autoload.php")), "it stays")


class OnSqlite(SiteTest):
    kind = "sqlite"

    def test_a_wrecked_site_comes_back(self):
        site = self.site
        site.fill("before")
        expected = site.facts()
        made = site.backup("archive")
        site.fill("after")
        site.drush("bam:restore", str(made["id"]), "--yes")
        restored = site.facts()
        # Exported configuration goes with the code.
        self.assertEqual(restored.pop("sync.yml"), "sync.yml: after\n")
        self.assertEqual(restored, {key: value for key, value in expected.items() if key != "sync.yml"})
        site.drush("bam:restore", str(made["id"]), "--code", "--yes")
        self.assertEqual(site.facts(), expected)
        with tarfile.open(os.path.join(site.root, "private/backup_migrate/manual", made["file"])) as archive:
            self.assertFalse([name for name in archive.getnames() if ".ht.sqlite" in name], "it is in there as a dump")
        ask, end = site.serve()
        self.addCleanup(end)
        self.assertEqual(ask("/node/1")[0], 200)


del SiteTest
