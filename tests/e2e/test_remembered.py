"""What a site remembers of its runs: damaged, it is told and kept, and alarms do not fall silent with it."""

import json
import os
import shutil
import signal
import time
import unittest

from bamtest import ITERATIONS, SiteTest
from repositories import RepositoryTest

DAMAGE = {"empty": b"", "half": None, "noise": b"\x00\xff\x1f", "null": b"null", "list": b"[]"}


class Damaged(SiteTest):
    def setUp(self):
        super().setUp()
        self.write("sites/default/files/page", "backed up")

    def damage(self, name, how):
        path = self.path("state/" + name)
        if how == "folder":
            os.unlink(path)
            os.makedirs(os.path.join(path, "x"))
            return
        with open(path, "rb") as file:
            text = file.read()
        with open(path, "wb") as file:
            file.write(text[:len(text) // 2] if how == "half" else DAMAGE[how])

    def kept(self, name):
        return [file for file in os.listdir(self.path("state")) if file.startswith(name + ".damaged-")]

    def test_what_was_made(self):
        for how in [*DAMAGE, "folder"]:
            with self.subTest(how):
                old = self.backup("files", "manual", "secret")
                self.wait_for_the_next_second(old)
                new = self.backup("files", "manual", "secret")
                os.unlink(new["path"])
                os.unlink(new["path"] + ".info")
                self.assertSays(self.bam("status", expect=3), f"({new['id']})", "is gone")
                self.damage("made.json", how)
                for verb in ("status", "backups", "verify", "status"):
                    self.assertSays(self.bam(verb, expect=3), "made.json is damaged", "none that is gone is missed")
                    self.assertEqual(self.kept("made.json"), [], verb)
                self.assertSays(self.bam("backup", "files", "manual", "secret", expect=3), "made.json is damaged")
                (kept,) = self.kept("made.json")
                self.bam("status")
                shutil.rmtree(self.path("state"))
                shutil.rmtree(self.destination())

    def test_what_was_found_damaged(self):
        for how in ("empty", "half", "folder"):
            with self.subTest(how):
                made = self.backup("files", "manual", "secret")
                with open(made["path"], "r+b") as file:
                    file.seek(os.path.getsize(made["path"]) // 2)
                    (byte,) = file.read(1)
                    file.seek(-1, os.SEEK_CUR)
                    file.write(bytes([byte ^ 1]))
                self.bam("verify", expect=4)
                self.assertSays(self.bam("status", expect=3), "was read and is damaged")
                self.damage("damaged.json", how)
                self.assertSays(self.bam("status", expect=3), "damaged.json is damaged", "verify` finds")
                self.bam("verify", expect=4)
                self.assertEqual(len(self.kept("damaged.json")), 1)
                result = self.bam("status", expect=3)
                self.assertSays(result, "was read and is damaged")
                self.assertNotIn("damaged.json", str(result))
                # Where nothing is damaged any more, a look at all of it ends this, too.
                self.bam("delete", made["file"], "--yes")
                self.damage("damaged.json", "noise")
                self.backup_and_verify()
                self.bam("status")
                shutil.rmtree(self.path("state"))
                shutil.rmtree(self.destination())

    def backup_and_verify(self):
        self.bam("backup", "files", "manual", "secret", expect=3)
        self.bam("verify", expect=3)

    def test_what_cannot_be_read_is_told_and_stays(self):
        self.backup("files", "manual", "secret")
        for name in ("made.json", "damaged.json", "exports.json"):
            path = self.path("state/" + name)
            if os.path.exists(path):
                os.unlink(path)
            os.symlink(name, path)
            self.assertSays(self.bam("status", expect=3), "cannot read " + path)
            self.assertTrue(os.path.islink(path))
            os.unlink(path)

    def test_which_copies_were_exported(self):
        made = self.backup("files", "manual", "secret")
        os.mkdir(self.path("disk"))
        self.bam("export", made["file"], self.path("disk"), "--host", "usb")
        self.damage("exports.json", "half")
        result = self.bam("status", expect=3)
        self.assertSays(result, "exports.json is damaged", "export them again")
        self.assertNotIn("remove it", result.err)
        os.mkdir(self.path("disk2"))
        self.bam("export", made["file"], self.path("disk2"), "--host", "usb", expect=3)
        self.assertEqual(len(self.kept("exports.json")), 1)
        self.bam("status")

    def test_when_schedules_ran_is_no_reason_not_to(self):
        self.document["schedules"] = {"daily": {"source": "files", "destinations": ["manual"], "every": 86400}}
        for name in ("schedules.json", "failed.json"):
            with self.subTest(name):
                self.bam("run")
                self.assertEqual(self.bam("run").out, "", "nothing is due")
                with open(self.path("state/" + name), "w") as file:
                    file.write("{")
                self.assertSays(self.bam("status", expect=3), name + " is damaged")
                if name == "schedules.json":
                    self.assertSays(self.bam("schedules", expect=3), name + " is damaged")
                    self.assertSays(self.bam("run", expect=3), name + " is damaged")
                    self.assertEqual(len(self.visible()), 4)
                    with open(self.path("state/" + name)) as file:
                        self.assertEqual(len(json.load(file)), 1)
                    self.assertEqual(self.bam("run").out, "")
                else:
                    self.assertSays(self.bam("run", "daily", expect=3), name + " is damaged")


class Erased(SiteTest):
    def test_a_delete_that_was_killed_before_it_erased_silences_nothing(self):
        """Killed where it has said what it is about to do, and not begun."""
        if shutil.which("strace") is None:
            self.skipTest("strace is not installed")
        self.document["encryption"]["iterations"] = ITERATIONS
        self.write("sites/default/files/page", "backed up")
        old = self.backup("files", "manual", "secret")
        self.wait_for_the_next_second(old)
        new = self.backup("files", "manual", "secret")
        self.within = ("strace", "-f", "-o", self.path("trace"), "-e", "trace=unlink,unlinkat",
                       "-e", "inject=unlink,unlinkat:signal=SIGKILL:when=1")
        self.assertEqual(self.bam("delete", "latest", "--yes", expect=None).code, -9)
        self.within = ()
        with open(self.path("state/made.json")) as file:
            self.assertIn('"erasing":{', file.read())
        self.bam("verify", new["file"])
        self.bam("status")
        for path in (new["path"], new["path"] + ".info"):
            os.unlink(path)
        for verb in ("status", "backups"):
            self.assertSays(self.bam(verb, expect=3), f"({new['id']})", "is gone")


class ErasedInPart(RepositoryTest):
    """A delete that was killed between two places is not undone by a later run."""

    def two_backups(self, *settings):
        self.document["destinations"] = dict(zip(("one", "two"), settings))
        if settings[0]["type"] == "restic":
            for name in ("one", "two"):
                self.init(name)
        self.write("sites/default/files/page", "backed up")
        old = self.bam_json("backup", "files", "one,two")
        self.wait_for_the_next_second(old)
        return self.bam_json("backup", "files", "one,two")["file"]

    def places(self, file):
        listed = self.bam_json("backups")["backups"]
        return [copy["destination"] for backup in listed if backup["file"] == file for copy in backup["copies"]]

    def assertNotUndone(self, file, verb):
        """Whichever verb looks first."""
        done = self.bam(*verb)
        self.assertSays(done, f"{file} was erased only in part", "what is at two")
        self.assertNotIn("should be at", done.err + self.bam("backups").err)
        self.bam("replicate")
        self.assertEqual(self.places(file), ["two"])
        self.bam("delete", file, "--yes")
        self.assertEqual(self.places(file), [])
        self.bam("status")

    def test_in_folders(self):
        if shutil.which("strace") is None:
            self.skipTest("strace is not installed")
        self.document["encryption"]["iterations"] = ITERATIONS
        for verb in (["backups"], ["replicate"]):
            with self.subTest(verb=verb):
                file = self.two_backups(*({"type": "directory", "path": self.path(f"{verb[0]}-{name}")} for name in "12"))
                # Two unlinks for each place.
                self.within = ("strace", "-f", "-o", self.path("trace"), "-e", "trace=unlink,unlinkat",
                               "-e", "inject=unlink,unlinkat:signal=SIGKILL:when=3")
                self.assertEqual(self.bam("delete", "latest", "--yes", expect=None).code, -9)
                self.within = ()
                self.assertNotUndone(file, verb)
                os.unlink(self.path("state/made.json"))

    def test_in_repositories(self):
        folders = [self.path("one"), self.path("two")]
        file = self.two_backups(*({"type": "restic", "repository": folder} for folder in folders))
        snapshots = [os.path.join(folder, "snapshots") for folder in folders]
        before = [len(os.listdir(folder)) for folder in snapshots]
        process = self.start("delete", "latest", "--yes")
        # Between the last snapshot here and the first one there lies a prune.
        while len(os.listdir(snapshots[0])) == before[0]:
            self.assertIsNone(process.poll())
            time.sleep(0.01)
        process.kill()
        self.assertEqual(self.finish(process).code, -signal.SIGKILL)
        self.assertEqual(len(os.listdir(snapshots[1])), before[1])
        self.assertNotUndone(file, ["replicate"])


if __name__ == "__main__":
    unittest.main()
