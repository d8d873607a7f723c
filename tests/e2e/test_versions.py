"""What earlier versions wrote is read by this one; what later ones write is refused as too new."""

import glob
import json
import os
import shutil
import sqlite3
import unittest

from bamtest import TOP, SiteTest

FIXTURES = os.path.join(TOP, "tests/fixtures/versions")
VERSIONS = sorted(name for name in os.listdir(FIXTURES) if name[0].isdigit())


class Left(SiteTest):
    """A site as the version left it, in this test's folder."""

    def leave(self, version):
        shutil.rmtree(self.top)
        shutil.copytree(os.path.join(FIXTURES, version), self.top, symlinks=True)
        os.chmod(self.top, 0o700)
        os.chmod(self.key, 0o600)
        for folder in ("state", "killed/state"):
            os.chmod(self.path(folder), 0o700)
            for name in os.listdir(self.path(folder)):
                self.change(f"{folder}/{name}", lambda told: here(told, self.top))
        self.config = self.path("bam.yml")
        with open(self.config) as file:
            text = file.read()
        self.configure(text.replace("@HERE@", self.top))

    def configure(self, text):
        with open(self.config, "w") as file:
            file.write(text)
        os.chmod(self.config, 0o600)

    def change(self, name, how):
        with open(self.path(name)) as file:
            told = how(json.load(file))
        with open(self.path(name), "w") as file:
            json.dump(told, file)

    def ask(self, *arguments, expect=0):
        return self.bam(*arguments, expect=expect, config=self.config)

    def ask_json(self, *arguments, expect=0):
        return self.bam_json(*arguments, expect=expect, config=self.config)


def here(told, top):
    """The same, with the folder for @HERE@; also in paths that are written as lists of bytes."""
    if isinstance(told, str):
        return told.replace("@HERE@", top)
    if isinstance(told, list):
        return [here(each, top) for each in told]
    if not isinstance(told, dict):
        return told
    if list(told) == ["Unix"]:
        return {"Unix": list(bytes(told["Unix"]).replace(b"@HERE@", top.encode()))}
    return {here(key, top): here(value, top) for key, value in told.items()}


def tree(folder):
    found = {}
    for path, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(path, name), "rb") as file:
                found[os.path.relpath(os.path.join(path, name), folder)] = file.read()
    return found


def titles(database):
    with sqlite3.connect(database) as connection:
        found = connection.execute("SELECT title FROM node ORDER BY nid").fetchall()
    connection.close()
    return found


class Earlier(Left):
    def for_each(self, test):
        self.assertIn("0.1.0", VERSIONS)
        for version in VERSIONS:
            with self.subTest(version):
                self.leave(version)
                test()

    def test_backups_are_listed_verified_and_restored(self):
        self.for_each(self.read_all)

    def read_all(self):
        self.ask("config", "check", "--offline")
        listed = self.ask_json("backups")["backups"]
        infos = glob.glob(glob.escape(self.path("manual")) + "/*.info")
        self.assertEqual(len(infos), 4)
        self.assertEqual(sorted(backup["file"] + ".info" for backup in listed), sorted(map(os.path.basename, infos)))
        self.assertTrue(all(backup["own"] for backup in listed), listed)
        self.assertEqual(sorted(backup["encryption"] for backup in listed), ["aes256"] * 3 + ["none"])
        self.ask("verify")
        self.ask("drill", "latest", "--source", "files")
        before = tree(self.root)
        self.assertIn("sites/default/files/field notes/naïve café.txt", before)
        for backup in listed:
            into = self.path(f"into-{backup['id']}")
            if backup["source"] == "db":
                self.ask("restore", str(backup["id"]), "--into-database", f"sqlite:{into}", "--yes")
                self.assertEqual(titles(into), titles(self.files + "/.ht.sqlite"))
            else:
                self.ask("restore", str(backup["id"]), "--into", into)
                files = into + ("/docroot/sites/default/files" if backup["source"] == "archive" else "")
                wanted = tree(self.files)
                del wanted[".ht.sqlite"]
                self.assertEqual(tree(files), wanted)
        # In place, all of it, out of a damaged site.
        rows = titles(self.files + "/.ht.sqlite")
        shutil.rmtree(self.files)
        self.ask("restore", "latest", "--source", "archive", "--yes")
        self.assertEqual(titles(self.files + "/.ht.sqlite"), rows)
        after = tree(self.root)
        for path in (before.keys() | after.keys()) - {"sites/default/files/.ht.sqlite"}:
            self.assertEqual(after.get(path), before.get(path), path)

    def test_what_is_remembered_counts(self):
        self.for_each(self.go_on)

    def go_on(self):
        with open(self.path("state/schedules.json")) as file:
            ran = json.load(file)
        whole = self.ask_json("schedules")["schedules"]["whole"]
        self.assertIn(whole["last_run"], ran.values())
        self.assertEqual(self.ask("run").out, "", "it is not due")
        # The exported copy is one.
        said = self.ask_json("status", expect=None)
        self.assertIn("a disk", json.dumps(said))
        # What was encrypted is not taken in the clear, nor are numbers given twice.
        known = {backup["id"] for backup in self.ask_json("backups")["backups"]}
        with open(self.config) as file:
            text = file.read()
        self.configure(text.replace("every: 36500d", "every: 1s"))
        self.assertIn("of archive", self.ask("run").out)
        self.ask("run", "whole")
        now = self.ask_json("backups")["backups"]
        new = [backup for backup in now if backup["id"] not in known]
        self.assertEqual(len(new), 2)
        left = [backup["id"] for backup in now if backup["source"] == "archive"]
        self.assertEqual(sorted(left), sorted(backup["id"] for backup in new), "keep: 2 counts the old one, too")
        self.ask("verify")

    def test_a_killed_restore_is_ended(self):
        self.for_each(self.end_restore)

    def end_restore(self):
        before = tree(self.root)
        shutil.rmtree(self.root)
        os.rename(self.path("killed/site"), self.root)
        os.rename(self.path("killed/state/restore.json"), self.path("state/restore.json"))
        (staged,) = glob.glob(glob.escape(self.root) + "/sites/default/.files.bam-*")
        self.change("state/restore.json", lambda told: {**told, "trees": [{**told["trees"][0], "inode": os.stat(staged).st_ino}]})
        self.ask("recover")
        self.assertEqual(tree(self.root), before)
        self.assertFalse(os.path.exists(self.path("state/restore.json")))


class Later(Left):
    def setUp(self):
        super().setUp()
        self.leave(VERSIONS[-1])

    def test_a_configuration_is_too_new(self):
        with open(self.config) as file:
            text = file.read()
        # With keys that nobody knows yet.
        self.configure("format: 2\nnovelty: { wonder: true }\n" + text)
        self.assertSays(self.ask("backups", expect=2), "too new", "format is 2", "install")
        as_json = self.path("bam.json")
        with open(as_json, "w") as file:
            json.dump({"site": {"wonder": 1}, "format": 7}, file)
        self.assertSays(self.bam("backups", config=as_json, expect=2), "too new", "format is 7")
        self.configure("format: 1\n" + text)
        self.ask("backups")

    def test_a_state_folder_is_too_new(self):
        with open(self.path("state/format.json"), "w") as file:
            json.dump({"format": 2, "bam": "7.8.9"}, file)
        before = tree(self.top)
        for arguments in (["run"], ["backup", "files"], ["restore", "latest", "--yes"], ["recover"], ["schedules"], ["status"]):
            self.assertSays(self.ask(*arguments, expect=1), "state folder", "too new", "bam 7.8.9")
        self.assertEqual(tree(self.top), before)
        # A restore elsewhere needs nothing of it.
        self.bam("restore", "--from", self.path("manual"), "--key", self.key, "latest", "--source", "files", "--yes",
                 "--into", self.path("elsewhere"), config=False)

    def test_a_journal_is_too_new(self):
        with open(self.path("state/restore.json"), "w") as file:
            json.dump({"bam": "7.8.9", "backup": "x", "state": "teleporting", "trees": [], "database": None}, file)
        before = tree(self.top)
        for arguments in (["recover"], ["restore", "latest", "--source", "files", "--yes"]):
            said = self.ask(*arguments, expect=1)
            self.assertSays(said, "too new", "7.8.9")
            self.assertNotIn("remove", said.err)
        for path in before:
            self.assertEqual(tree(self.top)[path], before[path])

    def test_a_backup_is_too_new(self):
        (info,) = glob.glob(glob.escape(self.path("manual")) + "/plain-*.info")
        with open(info) as file:
            text = file.read()
        with open(info, "w") as file:
            file.write(text.replace('bam_format = "1"', 'bam_format = "2"').replace('generatorversion = "', 'generatorversion = "7'))
        said = self.ask("restore", os.path.basename(info)[:-5], "--into", self.path("into"), expect=None)
        self.assertNotEqual(said.code, 0)
        self.assertSays(said, "too new")
        self.assertFalse(os.path.exists(self.path("into")))


if __name__ == "__main__":
    unittest.main()
