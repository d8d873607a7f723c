"""Whole sites on SQLite: backed up, broken, restored; and bam without bam.yml, through the PHP shim."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import unittest
from pathlib import Path

from bamtest import BAM, TOP, SiteTest, run, tree


class WholeSite(SiteTest):
    def setUp(self):
        super().setUp()
        self.write("index.php", "<?php echo 'Drupal';\n")
        self.write("modules/system/system.module", "<?php\n")
        self.write("sites/default/settings.php", "<?php $databases = array();\n", mode=0o440)
        self.write("sites/default/files/picture.jpg", os.urandom(50_000))
        self.private = self.path("private")
        os.mkdir(self.private)
        with open(self.private + "/minutes.txt", "w") as file:
            file.write("private")
        self.database = self.path("data/site.sqlite")
        os.mkdir(self.path("data"))
        with contextlib.closing(sqlite3.connect(self.database)) as db, db:
            db.execute("create table node (nid integer, title text)")
            db.execute("insert into node values (1, 'Hello')")
        self.document["site"]["private_path"] = self.private
        self.document["databases"] = {"db": {"url": "sqlite:" + self.database}}
        self.document["sources"]["archive"] = {"type": "archive"}

    def rows(self):
        with contextlib.closing(sqlite3.connect(self.database)) as db:
            return db.execute("select * from node").fetchall()

    def test_files_and_database_come_back_and_settings_php_stays(self):
        files, private = tree(self.files), tree(self.private)
        made = self.backup("archive", "manual", "secret")
        shutil.rmtree(self.files)
        shutil.rmtree(self.private)
        with contextlib.closing(sqlite3.connect(self.database)) as db, db:
            db.execute("drop table node")
        os.chmod(self.path("site/sites/default/settings.php"), 0o640)
        self.write("sites/default/settings.php", "<?php // of this machine\n")
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual((tree(self.files), tree(self.private)), (files, private))
        self.assertEqual(self.rows(), [(1, "Hello")])
        with open(self.path("site/sites/default/settings.php")) as file:
            self.assertIn("of this machine", file.read())

    def test_files_that_cannot_be_looked_at_are_missing(self):
        # Outside of the docroot, behind a folder that is closed to whoever makes the backup.
        closed = self.path("closed")
        os.makedirs(closed + "/public")
        self.document["site"] |= {"public_path": closed + "/public", "private_path": closed + "/private"}
        made = self.bam("backup", "archive", expect=3)
        self.assertSays(made, f"the private files' folder {closed}/private does not exist", "mount it")
        user = self.as_ordinary_user()
        os.chown(closed, 0, 0) if user else None
        os.chmod(closed, 0 if not user else 0o700)
        self.addCleanup(os.chmod, closed, 0o700)
        made = self.bam("backup", "archive", expect=3, **user)
        self.assertSays(made, "the public files are left out", "the private files are left out", closed, "Permission denied")

    def test_backups_below_what_is_restored_survive(self):
        # Where Backup and Migrate keeps them, and with a profile that has excludes of its own, as PECE's has.
        self.document["destinations"]["manual"]["path"] = self.private + "/backup_migrate/manual"
        self.document["profiles"]["secret"]["sources"] = {"archive": {"exclude": ["/tmp"]}}
        first = self.backup("archive", "manual", "secret")
        second = self.backup("archive", "manual", "secret")
        before = tree(self.destination())
        for made in (second, first):
            self.bam("restore", str(made["id"]), "--yes")
            self.assertEqual(tree(self.destination()), before)
        self.bam("verify")

    def comes_back(self, **site):
        """With the site's folders written so: all of it, the files alone, and single paths."""
        self.document["site"] |= site
        public = os.path.realpath(self.document["site"].get("public_path", self.files))
        private = os.path.realpath(self.document["site"]["private_path"])
        with open(private + "/.htaccess", "w") as file:
            file.write("# as it was\n")
        picture, minutes, index = public + "/picture.jpg", private + "/minutes.txt", os.path.realpath(self.root + "/index.php")
        before = tree(self.top)
        made = self.backup("archive")
        if not public.startswith(private):
            listed = self.bam("ls", str(made["id"])).out
            self.assertEqual((listed.count("minutes.txt"), listed.count("picture.jpg")), (1, 1), listed)
        written = self.document["site"]["private_path"]
        for what in (["--code"], [], ["--path", written + "/minutes.txt"], ["--path", minutes]):
            with self.subTest(what):
                for path in (picture, minutes, index, private + "/.htaccess", public + "/later", private + "/later"):
                    with open(path, "w") as file:
                        file.write("changed")
                self.bam("restore", "latest", "--dry-run", *what)
                self.bam("restore", "latest", "--yes", *what)
                read = lambda path: Path(path).read_bytes()
                restored = {"--code": (picture, minutes, index), "--path": (minutes,)}.get("".join(what[:1]), (picture, minutes))
                for path in (picture, minutes, index):
                    self.assertEqual(read(path) != b"changed", path in restored, path)
                self.assertEqual(read(private + "/.htaccess"), b"changed")
                for folder in (public, private):
                    self.assertEqual(os.path.exists(folder + "/later"), what[:1] == ["--path"], folder)
                left = [path for path in tree(self.top) if b".bam-" in path]
                self.assertEqual(left, [])
        links = lambda found: {path: facts for path, facts in found.items() if facts["mode"].startswith("l")}
        self.assertEqual(links(tree(self.top)), links(before))

    def test_public_files_behind_a_link_are_in_an_archive_once(self):
        store = self.path("store")
        os.rename(self.files, store)
        os.symlink(store, self.files)
        self.write("sites/default/files/deep/noise", os.urandom(300_000))
        # Another way to them is a link in the archive, as it was.
        os.symlink(store, self.path("site/xyz"))
        made = self.backup("archive")
        self.assertLess(os.path.getsize(made["path"]), 500_000)
        listed = self.bam("ls", str(made["id"])).out
        self.assertEqual((listed.count("deep/noise"), listed.count("picture.jpg")), (1, 1), listed)
        self.bam("drill", "latest")
        before = tree(self.top)
        for what in (["--code"], [], ["--path", "sites/default/files/deep/noise"]):
            with self.subTest(what):
                self.write("sites/default/files/deep/noise", "changed")
                if "--code" in what:
                    os.unlink(self.path("site/xyz"))
                self.bam("restore", str(made["id"]), "--yes", *what)
                after = tree(self.top)
                for path in (b"site/sites/default/files", b"site/xyz", b"store/deep/noise", b"store/picture.jpg"):
                    same = [{key: value for key, value in found[path].items() if key != "target"} for found in (before, after)]
                    self.assertEqual(*same, path)
                self.assertEqual(os.path.realpath(self.path("site/xyz")), store)
        into = self.path("into")
        self.bam("restore", str(made["id"]), "--into", into)
        self.assertEqual(sorted(os.listdir(into + "/docroot/sites/default/files")), ["deep", "picture.jpg"])

    def test_private_files_in_public_ones_behind_a_link(self):
        os.rename(self.files, self.path("store"))
        os.symlink(self.path("store"), self.files)
        os.rename(self.private, self.path("store/private"))
        self.comes_back(private_path=self.path("store/private"))

    def test_private_files_in_a_root_behind_a_link(self):
        os.rename(self.root, self.path("release"))
        os.symlink("release", self.root)
        os.rename(self.private, self.path("release/sites/default/files/private"))
        self.comes_back(private_path=self.path("release/sites/default/files/private"))

    def test_a_root_by_its_real_path_and_files_through_a_link(self):
        os.symlink("site", self.path("current"))
        os.rename(self.private, self.files + "/private")
        self.comes_back(public_path=self.path("current/sites/default/files"),
                        private_path=self.path("current/sites/default/files/private"))

    def test_public_files_by_their_real_path_and_a_link_of_the_docroot_to_them(self):
        os.rename(self.files, self.path("store"))
        os.symlink(self.path("store"), self.files)
        self.comes_back(public_path=self.path("store"))

    def test_public_files_in_private_ones_behind_a_link(self):
        os.rename(self.files, self.private + "/public")
        os.symlink("private", self.path("way"))
        self.comes_back(public_path=self.private + "/public", private_path=self.path("way"))

    def test_other_sites_of_the_docroot_are_not_its_own(self):
        self.write("sites/all/modules/x/x.module", "<?php\n")
        self.write("sites/two/files/theirs", "as it was")
        # Made when nothing told that the folder is a site's.
        with_theirs = self.backup("archive")
        self.write("sites/two/settings.php", "<?php\n")
        self.write("sites/two/files/.ht.sqlite", "in use")
        self.write("sites/two/modules/y", "code")
        os.symlink("default", self.path("site/sites/alias"))
        made = self.backup("archive")
        members = run("tar", "tzf", made["path"]).decode().splitlines()
        self.assertEqual([name for name in members if "sites/two/files" in name], [])
        for name in ("docroot/sites/all/modules/x/x.module", "docroot/sites/two/modules/y", "docroot/sites/alias", "docroot/sites/default/files/picture.jpg"):
            self.assertIn(name, members)
        self.assertTrue(any("sites/two" in note["text"] for note in made["notes"]), made)
        self.write("sites/two/files/theirs", "as it is")
        self.write("sites/two/files/new", "later")
        now = tree(self.path("site/sites/two/files"))
        for backup in (with_theirs, made):
            for words in ([], ["--code"]):
                self.bam("restore", str(backup["id"]), "--yes", *words)
                self.assertEqual(tree(self.path("site/sites/two/files")), now, words)
        self.assertTrue(os.path.exists(self.path("site/sites/all/modules/x/x.module")))

    def test_the_archive_is_laid_out_as_backup_and_migrate_and_drush_expect(self):
        made = self.backup("archive")
        self.assertTrue(made["file"].endswith(".sitearchive.tar.gz"), made["file"])
        members = run("tar", "tzf", made["path"]).decode().splitlines()
        self.assertEqual(members[0], "MANIFEST.ini")
        self.assertIn("docroot/index.php", members)
        self.assertIn("docroot/sites/default/files/picture.jpg", members)
        self.assertIn("database.sqlite", members)
        manifest = run("tar", "xzOf", made["path"], "MANIFEST.ini").decode()
        for key in ("database-file-default", "docroot", "sitedir", "files-public", "database-default-file"):
            self.assertIn(key, manifest)
        self.assertNotIn("\nfiles-private", manifest)
        target = self.path("opened")
        os.mkdir(target)
        run("tar", "xzf", made["path"], "-C", target)
        with contextlib.closing(sqlite3.connect(target + "/database.sqlite")) as db:
            self.assertEqual(db.execute("select title from node").fetchall(), [("Hello",)])


@unittest.skipUnless(shutil.which("php"), "php is not installed")
class ThroughPhp(SiteTest):
    """`bam --root`: the site's own settings, read by the shim."""

    def setUp(self):
        super().setUp()
        self.site = self.path("sample")
        run("php", os.path.join(TOP, "tests/demo/make-site.php"), self.site)
        # The key that the sample site's settings name.
        shutil.copy(self.key, os.path.join(self.site, "key"))

    def test_php_does_not_see_variables_of_bams_own(self):
        seen = self.path("seen")
        settings = os.path.join(self.site, "docroot/sites/default/settings.php")
        os.chmod(settings, 0o644)
        with open(settings, "a") as file:
            file.write(f"\nfile_put_contents('{seen}', json_encode(getenv()), FILE_APPEND);\n")
        secrets = {"BAM_KEY": "correct horse battery staple", "SITE_WORD": "for settings.php"}
        subprocess.run([BAM, "--root", self.site + "/docroot", "sources"], stdin=subprocess.DEVNULL, check=True,
                       capture_output=True, env={**os.environ, **secrets})
        with open(seen) as file:
            told = file.read()
        self.assertNotIn("correct horse", told)
        self.assertIn("for settings.php", told)

    def at_root(self, *arguments, check=True):
        done = subprocess.run([BAM, "--root", self.site + "/docroot", *arguments], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if check:
            self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done

    def test_the_sites_settings_are_found(self):
        self.at_root("config", "check", "--offline")
        said = self.at_root("sources").stdout.decode()
        for source in ("db", "files", "archive"):
            self.assertIn(source, said)

    def test_a_backup_and_its_restore(self):
        files = self.site + "/docroot/sites/default/files"
        # Drupal makes these again; the default settings leave them out.
        for derived in ("styles", "css"):
            shutil.rmtree(os.path.join(files, derived))
        before = tree(files)
        self.at_root("backup", "files")
        shutil.rmtree(files)
        self.at_root("restore", "latest", "--yes")
        self.assertEqual(tree(files), before)

    def test_a_folder_that_is_no_drupal(self):
        self.site = self.top
        os.mkdir(self.top + "/docroot")
        done = self.at_root("sources", check=False)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn(b"settings", done.stderr)


if __name__ == "__main__":
    unittest.main()
