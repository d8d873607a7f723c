"""What Backup and Migrate itself and drush archive-restore make of our backups, on a real site."""

import os
import shutil

from drupalsite import EXPORTS, SiteTest, php

KEY = "a key that is longer than 32 bytes, é"


class Peers(SiteTest):
    def setUp(self):
        super().setUp()
        self.files = os.path.join(self.root, "sites/default/files")
        self.sql("replace into variable values ('site_name', 's:13:\"In the backup\";')")
        # Left out of files backups, but not of what is compared.
        for name in ("styles", "css", "js", "ctools", "backup_migrate"):
            shutil.rmtree(os.path.join(self.files, name), ignore_errors=True)
        self.write("a b ünï.txt", "in the backup")
        self.write("sub/deep/x.txt", "x")
        self.drush("cc", "all")
        self.before = self.everything()

    def write(self, name, text):
        path = os.path.join(self.files, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)

    def everything(self):
        return {"nodes": self.rows("site"), "files": contents(self.files)}

    def rows(self, database):
        return self.server.sql("select nid, title from node order by nid; select * from users order by uid; "
                               "select * from bam_odd; select value from variable where name = 'site_name'", database)

    def change(self):
        self.sql("update node set title = 'changed since'; replace into variable values ('site_name', 's:5:\"Later\";'); "
                 "truncate table bam_odd")
        self.write("a b ünï.txt", "of today")
        shutil.rmtree(os.path.join(self.files, "sub"))

    def profile(self, encryption):
        """PECE's profile, encrypting otherwise."""
        with open(os.path.join(EXPORTS, "settings_profile.txt")) as file:
            profile = file.read()
        path = os.path.join(self.top, "profile.txt")
        with open(path, "w") as file:
            file.write(profile.replace("'encryption' => 'aes'", f"'encryption' => '{encryption}'"))
        self.drush("-y", "bam-import-settings", path)
        if encryption == "aes-module":
            self.php("variable_set('aes_implementation', 'phpseclib'); "
                     f"variable_set('aes_key_storage_method', 'Database'); variable_set('aes_key', {php(KEY)});")

    def backup_and_migrate_restores(self, encryption, ending):
        self.profile("none")
        base = str(self.json("bam-backup", "archive", "manual", "pece_backup")["id"])
        for source, kind in (("db", ".mysql.gz"), ("files", ".tar.gz"), ("archive", ".sitearchive.tar.gz")):
            with self.subTest(source, encryption=encryption):
                # The turn before has put back the one that the base has.
                self.profile(encryption)
                made = self.json("bam-backup", source, "manual", "pece_backup")
                self.assertTrue(made["file"].endswith(kind + ending), made["file"])
                self.change()
                # Without our commands: its own is what runs.
                result = self.drush("-y", "bam-restore", source, "manual", made["file"], include=False, expect=None)
                after = self.everything()
                # As it was, for the next turn.
                self.drush("-y", "bam-restore", base)
                self.assertEqual(result.code, 0, result)
                if source != "files":
                    self.assertEqual(after["nodes"], self.before["nodes"], result)
                if source != "db":
                    self.assertEqual(after["files"], self.before["files"], result)

    def test_backup_and_migrate_restores_what_we_write(self):
        self.require_module("backup_migrate")
        self.backup_and_migrate_restores("none", "")

    def test_backup_and_migrate_restores_what_we_encrypt_for_it(self):
        self.require_module("backup_migrate")
        self.require_module("aes")
        self.drush("-y", "pm-enable", "aes")
        self.backup_and_migrate_restores("aes-module", ".aes")

    def test_drush_archive_restore_takes_our_site_archives(self):
        self.profile("none")
        made = self.json("bam-backup", "archive", "manual", "pece_backup")
        file = os.path.join(self.private, "backup_migrate/manual", made["file"])
        there = os.path.join(self.top, "restored")
        self.server.sql("create user if not exists peer@localhost identified by 'secret'; "
                        "grant all on site_restored.* to peer@localhost; drop database if exists site_restored; create database site_restored")
        self.addCleanup(self.server.sql, "drop database if exists site_restored; drop user peer@localhost")
        # Where Drush's client finds "localhost", as a URL names no socket.
        with open(os.path.join(self.top, "home/.my.cnf"), "w") as settings:
            settings.write(f"[client]\nsocket={self.server.socket}\n")
        result = self.drush("-y", "archive-restore", file, "--destination=" + there,
                            "--db-url=mysql://peer:secret@localhost/site_restored", include=False)
        self.assertEqual(self.rows("site_restored"), self.before["nodes"], result)
        self.assertEqual(contents(os.path.join(there, "sites/default/files")), self.before["files"])
        with open(os.path.join(there, "sites/default/settings.php"), "a") as settings:
            settings.write(f"\n$databases['default']['default']['unix_socket'] = {php(self.server.socket)};\n")
        self.root = there
        self.assertEqual(self.php("echo variable_get('site_name'), ' ', count(node_load_multiple(FALSE));"),
                         "In the backup " + self.server.sql("select count(*) from node", "site_restored").strip())


def contents(folder):
    """Every file's bytes, every link's target, by path."""
    found, folder = {}, os.fsencode(folder)
    for path, _, names in os.walk(folder):
        for name in names:
            full = os.path.join(path, name)
            if os.path.islink(full):
                found[os.path.relpath(full, folder)] = os.readlink(full)
                continue
            with open(full, "rb") as file:
                found[os.path.relpath(full, folder)] = file.read()
    return found
