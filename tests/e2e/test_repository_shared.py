"""Repositories that others use, too, and what faults leave of them and of what is remembered."""

import copy
import glob
import json
import os
import shutil
import sys
import unittest

from bamtest import tree
from repositories import RepositoryTest

# A restic before which, when a backup is about to be made whole, another one forgets its files.
FORGETTING = """#!{python}
import json, os, subprocess, sys
if "bam.json" in sys.argv:
    other = [{restic!r}, "-r", {repository!r}, "--password-file", {key!r}]
    told = subprocess.run([*other, "snapshots", "--json", "--tag", "bam_part=files"], capture_output=True, check=True).stdout
    subprocess.run([*other, "forget", "--quiet", *[one["id"] for one in json.loads(told)]], check=True)
os.execv({restic!r}, sys.argv)
"""


class Shared(RepositoryTest):
    def setUp(self):
        super().setUp()
        del self.document["destinations"]["manual"]
        self.init()
        self.write("sites/default/files/mine", "first")

    def second(self, url):
        """The configuration of another site of the same name, on another machine."""
        document = copy.deepcopy(self.document)
        document["state_dir"] = self.path("second state")
        document["site"] |= {"url": url, "root": self.path("second")}
        shutil.copytree(self.root, self.path("second"))
        with open(self.path("second/sites/default/files/mine"), "w") as file:
            file.write("second")
        with open(self.path("second.yml"), "w") as file:
            json.dump(document, file)
        os.chmod(self.path("second.yml"), 0o600)
        return self.path("second.yml")

    def tagged(self, made, name):
        """The snapshots of a backup, and the value of a tag of each that has it."""
        all_tags = {one["id"]: dict(tag.split("=", 1) for tag in one["tags"]) for one in self.snapshots()}
        return {id: tags.get(name) for id, tags in all_tags.items() if tags["bam_id"] == str(made["id"])}

    def as_if_at_once(self, first, second, *names):
        """The second backup as it is where both runs begin in the same second and do not know of each other."""
        for name in names:
            wanted = next(value for value in self.tagged(first, name).values() if value)
            for id, value in self.tagged(second, name).items():
                if value:
                    self.restic("tag", "--remove", f"{name}={value}", "--add", f"{name}={wanted}", id)

    def test_two_sites_whose_backups_have_one_name_and_number(self):
        second = self.second("http://stage.example.org")
        made = [self.bam_json("backup", "files", "inc"), self.bam_json("backup", "files", "inc", config=second)]
        self.as_if_at_once(*made, "bam_file", "bam_id")
        for state in ("state", "second state"):
            shutil.rmtree(self.path(state))
        self.assertEqual(self.bam("cat", "latest", "mine").out, "first")
        self.assertEqual(self.bam("cat", "latest", "mine", config=second).out, "second")
        self.bam("restore", "latest", "--yes")
        with open(self.files + "/mine") as file:
            self.assertEqual(file.read(), "first")
        self.bam("delete", "latest", "--yes", config=second)
        self.assertEqual(self.bam_json("backups", config=second)["backups"], [])
        self.assertEqual(self.bam("cat", "latest", "mine").out, "first")

    def test_two_machines_of_one_site_in_one_second(self):
        second = self.second(self.document["site"]["url"])
        made = [self.bam_json("backup", "files", "inc"), self.bam_json("backup", "files", "inc", config=second)]
        self.as_if_at_once(*made, "bam_file", "bam_site", "bam_id")
        shutil.rmtree(self.path("state"))
        listed = [backup["file"] for backup in self.bam_json("backups")["backups"]]
        self.assertEqual(len(set(listed)), 2, listed)
        self.assertEqual(sorted(self.bam("cat", file, "mine").out for file in listed), ["first", "second"])
        self.bam("delete", listed[0], "--yes")
        self.assertEqual(len(self.bam_json("backups")["backups"]), 1)
        self.assertEqual(self.parts(), ["backup", "files"])

    def test_what_somebody_forgets_meanwhile_is_no_backup(self):
        programs = self.path("programs")
        os.mkdir(programs)
        with open(programs + "/restic", "w") as file:
            file.write(FORGETTING.format(python=sys.executable, restic=shutil.which("restic"), repository=self.repository, key=self.key))
        os.chmod(programs + "/restic", 0o755)
        result = self.bam("backup", "files", "inc", expect=1, env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"})
        self.assertSays(result, "somebody forgot")
        self.assertEqual(self.snapshots(), [])
        self.bam("backup", "files", "inc")
        self.assertEqual(self.bam("cat", "latest", "mine").out, "first")

    def test_what_is_remembered_and_broken_is_read_again(self):
        self.bam("backup", "files", "inc")
        listed = self.bam("--json", "ls", "latest").out
        for number in range(3):
            files = glob.glob(self.path("state/restic-*.json")) + glob.glob(self.path("state/restic-*-small/*"))
            self.assertGreater(len(files), 1)
            for path in files:
                with open(path, "rb") as file:
                    text = file.read()
                with open(path, "wb") as file:
                    file.write([text[:len(text) // 2], b"", text.replace(b"files", b"filex")][number])
            self.assertEqual(len(self.bam_json("backups")["backups"]), 1)
            self.assertEqual(self.bam("--json", "ls", "latest").out, listed)


class Damaged(RepositoryTest):
    def setUp(self):
        super().setUp()
        self.fill()
        self.write("sites/default/files/noise", os.urandom(1 << 18))
        del self.document["destinations"]["manual"]
        self.document["destinations"]["off"] = {"type": "restic", "repository": self.path("off")}
        for name in ("inc", "off"):
            self.init(name)
        self.bam("backup", "files", "inc,off")
        packs = [os.path.join(folder, name) for folder, _, names in os.walk(self.repository + "/data") for name in names]
        self.pack = max(packs, key=os.path.getsize)
        os.chmod(self.pack, 0o600)

    def flip(self):
        """One bit, which no look at the structure finds."""
        with open(self.pack, "r+b") as file:
            file.seek(os.path.getsize(self.pack) // 2)
            byte = file.read(1)[0]
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 4]))

    def assertStatus(self, inc, sample=None):
        told = self.bam_json("status", expect=0 if inc else 3)["repositories"]
        self.assertEqual((told["inc"]["check"]["ok"], told["inc"]["check"]["sample"], told["off"]["check"]["ok"]), (inc, sample, True))
        self.assertEqual("DAMAGED" in self.bam("status", expect=None).out, not inc)
        self.assertEqual(told["inc"]["backups"], 1, "what is damaged is there all the same")

    def test_what_reading_found_no_look_at_the_structure_takes_back(self):
        self.bam("verify")
        self.assertStatus(True)
        self.flip()
        for number in range(2):
            result = self.bam("verify", expect=4)
            self.assertSays(result, "at inc: ", "is damaged", "1 of 2 copies")
            self.assertStatus(False)
        self.bam("cat", "latest", "sub/big", "--destination", "inc", expect=4)
        before = tree(self.files)
        shutil.rmtree(self.files)
        self.assertNotIn("inc", self.bam("restore", "latest", "--yes").err)
        self.assertEqual(tree(self.files), before)
        self.bam("verify", "--destination", "off")
        self.assertStatus(False)
        self.flip()
        self.bam("verify")
        self.assertStatus(True)

    def test_what_a_sample_found_all_data_has_to_disprove(self):
        self.bam("verify")
        self.flip()
        self.bam("verify", "--sample", "100", expect=4)
        self.assertSays(self.bam("status", expect=3), "verify --sample 100")
        self.bam("verify", expect=4)
        self.flip()
        self.bam("verify")
        self.assertSays(self.bam("status", expect=3), "verify --sample 100")
        self.bam("verify", "--sample", "100")
        self.assertStatus(True, 100.0)

    def test_whoever_reads_it_remembers(self):
        ways = (("drill", "latest", "--destination", "inc"), ("restore", "latest", "--destination", "inc", "--yes"),
                ("restore", "latest", "--destination", "inc", "--into", self.path("elsewhere"), "--yes"))
        for way in ways:
            with self.subTest(way):
                self.flip()
                self.bam(*way, expect=4)
                self.assertSays(self.bam("status", expect=3), "at inc was read and is damaged", "docs/repositories.md")
                self.flip()
                self.bam("verify", "--destination", "inc")
                if way[0] == "drill":
                    self.bam("drill", "latest", "--destination", "inc")
                self.bam("status")

    def test_it_is_mended_as_the_documents_say(self):
        made = self.bam_json("backups")["backups"][0]
        self.flip()
        self.bam("verify", expect=4)
        self.assertIn(os.path.basename(self.pack), self.restic_fails("check", "--read-data"))
        os.rename(self.pack, self.path("pack"))
        self.restic("rebuild-index")
        self.bam("verify", expect=4)
        self.bam("delete", str(made["id"]), "--destination", "inc", "--yes")
        self.bam("replicate")
        self.bam("verify")
        self.assertStatus(True)
        self.restic("check", "--read-data")

    def test_a_server_that_is_gone_or_what_may_not_be_read_is_no_damage(self):
        self.bam("verify")
        os.rename(self.repository, self.repository + ".away")
        self.assertNotEqual(self.bam("verify", expect=None).code, 4)
        os.rename(self.repository + ".away", self.repository)
        self.assertStatus(True)

    def test_a_drill_takes_the_copy_that_is_whole(self):
        with open(self.pack, "r+b") as file:
            file.write(b"garbage" * 1000)
        result = self.bam("drill", "latest")
        self.assertSays(result, "the copy at inc is of no use")
        self.assertNotIn("retrying", result.err)
        # Now it is known.
        self.assertNotIn("inc", self.bam("drill", "latest").err)
        self.bam("restore", "latest", "--into", self.path("to"), "--yes")
        result = self.bam("restore", "latest", "--destination", "inc", "--into", self.path("other"), "--yes", expect=4)
        self.assertSays(result, "--destination")

    def test_a_repository_that_was_found_damaged_is_read_last(self):
        os.truncate(self.pack, os.path.getsize(self.pack) - 1)
        before = tree(self.files)
        self.bam("verify", "latest", expect=4)
        shutil.rmtree(self.files)
        self.bam("restore", "latest", "--yes")
        self.assertEqual(tree(self.files), before)

    def test_a_copy_that_fails_says_why(self):
        shutil.rmtree(self.path("off"))
        self.init("off")
        with open(self.pack, "r+b") as file:
            file.write(b"garbage" * 1000)
        result = self.bam("replicate", expect=3)
        self.assertNotIn("goexit", result.err)
        self.assertNotIn(".go:", result.err)


if __name__ == "__main__":
    unittest.main()
