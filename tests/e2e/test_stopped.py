"""Restores that are killed: each state of the journal ends as it is told to, or by itself."""

import contextlib
import json
import os
import shutil
import signal
import tarfile
import unittest

from bamtest import run, tree
from test_ends import Site


class Stopped(Site):
    def stop_at(self, state, *arguments, journal=None):
        """Kills a restore as soon as its journal tells a state; whether it was caught."""
        process = self.start("restore", *arguments)
        journal = journal or self.path("state/restore.json")
        while process.poll() is None:
            with contextlib.suppress(FileNotFoundError, json.JSONDecodeError, KeyError):
                with open(journal) as file:
                    if json.load(file)["state"] == state:
                        process.send_signal(signal.SIGKILL)
                        break
        process.wait()
        self.finish(process)
        return process.returncode == -signal.SIGKILL and os.path.exists(journal)

    def state(self):
        with open(self.path("state/restore.json")) as file:
            return json.load(file)["state"]

    def test_each_state_ends_as_it_is_told(self):
        for n in range(400):
            self.write(f"sites/default/files/many/{n}", "backed up")
        made = self.backup("archive")
        new = tree(self.files), tree(self.private)
        shutil.rmtree(self.files + "/many")
        self.write("sites/default/files/a", "live")
        self.put(self.private, "minutes", "live")
        # Much to remove takes long enough to be caught.
        for n in range(400):
            self.write(f"sites/default/files/old/{n}", "live")
        run("cp", "-a", self.root, self.path("kept-site"))
        run("cp", "-a", self.private, self.path("kept-private"))
        old = tree(self.files), tree(self.private)
        ends = {"staging": {"--take-back": old, "--finish": None, "": old},
                "staged": {"--take-back": old, "--finish": None, "": old},
                "checked": {"--take-back": old, "--finish": new, "": old},
                "swapping": {"--take-back": old, "--finish": new, "": new},
                "swapped": {"--take-back": old, "--finish": new, "": new},
                "tidying": {"--take-back": None, "--finish": new, "": new}}
        caught = set()
        for asked in ends:
            for way in ("--take-back", "--finish", ""):
                run("rm", "-rf", self.root, self.private)
                run("cp", "-a", self.path("kept-site"), self.root)
                run("cp", "-a", self.path("kept-private"), self.private)
                if not self.stop_at(asked, str(made["id"]), "--yes"):
                    continue
                state = self.state()
                expected = ends[state][way]
                caught.add(state)
                self.assertIn("recover`", self.bam("status", expect=3).err)
                self.bam("recover", *way.split(), expect=2 if expected is None else 0)
                if expected is None:
                    self.bam("recover")
                    expected = old if state in ("staging", "staged") else new
                self.assertEqual((tree(self.files), tree(self.private)), expected, (asked, state, way))
                self.assertEqual(self.strays(), [], (asked, state, way))
        self.assertIn("staging", caught)
        self.assertIn("tidying", caught)

    def test_its_own_state_among_the_files_stays_where_it_is(self):
        own = os.path.join(self.private, "of bam")
        self.document["state_dir"] = own
        self.write_document()
        made = self.backup("archive")
        with tarfile.open(made["path"]) as tar:
            self.assertEqual([name for name in tar.getnames() if "of bam" in name], [])
        new = tree(self.files)
        for n in range(400):
            self.write(f"sites/default/files/old/{n}", "live")
        self.put(self.private, "minutes", "live")
        result = self.bam("restore", str(made["id"]), "--yes", "--path", self.private, expect=2)
        self.assertSays(result, "bam keeps its own state")
        caught = set()
        for state in ("staging", "staged", "checked", "swapping", "swapped", "tidying"):
            if self.stop_at(state, str(made["id"]), "--yes", journal=own + "/restore.json"):
                caught.add(state)
                self.bam("recover")
                self.assertEqual(self.strays(), [], state)
            self.assertIn("made.json", os.listdir(own), state)
            self.assertEqual(self.bam_json("backups")["backups"][0]["id"], made["id"])
        self.assertTrue(caught & {"swapping", "swapped", "tidying"}, caught)
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual(tree(self.files), new)
        self.assertIn("made.json", os.listdir(own))

    def test_its_own_state_is_nothing_that_a_link_leads_to(self):
        own = self.path("state")
        link = os.path.join(self.files, "elsewhere")
        os.mkdir(self.path("storage"))
        os.symlink(self.path("storage"), link)
        made = self.backup("archive")
        os.unlink(link)
        os.symlink(own, link)
        self.assertSays(self.bam("restore", str(made["id"]), "--yes", expect=3), "bam keeps its own state there")
        self.assertIn("made.json", os.listdir(own))

    def test_one_that_cannot_be_ended_keeps_no_backup_from_being_made(self):
        # As it is where the server is gone for good.
        os.makedirs(self.path("state"), mode=0o700)
        with open(self.path("state/restore.json"), "w") as file:
            json.dump({"backup": "x.sqlite", "state": "swapping", "trees": [], "offline": False, "database": [
                "gone", {"sqlite": {"new": "/nowhere/new", "old": "/nowhere/old", "missing": False, "loaded": True}}]}, file)
        self.bam("recover", expect=2)
        result = self.bam("backup", "files", expect=3)
        self.assertSays(result, "cannot be ended", "half old and half new")
        self.assertSays(self.bam("restore", "latest", "--source", "files", "--yes", expect=2), "cannot be ended")
        self.assertTrue(os.path.exists(self.path("state/restore.json")))

    def test_a_journal_of_old_is_finished(self):
        """As written before there were more states than three: the trees have traded places, what stays has not."""
        old, staged = self.files + "/../.files.bam-old-7", self.files + "/../.files.bam-new-7"
        os.rename(self.files, old)
        self.write("sites/default/files/a", "new")
        name = {"Unix": list(os.path.realpath(self.files).encode())}
        beside = lambda path: {"Unix": list(os.path.join(os.path.realpath(self.files + "/.."), os.path.basename(path)).encode())}
        os.makedirs(self.path("state"), mode=0o700)
        with open(self.path("state/restore.json"), "w") as file:
            json.dump({"backup": "x.tar", "state": "settling", "database": None, "trees": [{
                "live": name, "staged": beside(staged), "old": beside(old), "inode": os.stat(self.files).st_ino,
                "inside": False, "keep": [{"Unix": list(b"styles")}]}]}, file)
        self.assertIn("finished", self.bam("recover").out)
        self.assertEqual(self.get("sites/default/files/a"), "new")
        self.assertEqual(self.get("sites/default/files/styles/thumb/a"), "derived")
        self.assertEqual(self.strays(), [])


if __name__ == "__main__":
    unittest.main()
