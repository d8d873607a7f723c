"""What `bam status` must not call good: nothing to count on, half a backup, a key that is gone, a place without its copy."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest

from bamtest import SiteTest
from sshd import PROGRAM, Sshd

# Before a folder, another one that it is mounted on, and a program.
MOUNTED = ("unshare", "--mount", "sh", "-c", 'mount --bind "$1" "$2" && shift 2 && exec "$@"', "sh")


def can_mount():
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([*MOUNTED, folder, folder, "true"], capture_output=True, check=False) if shutil.which("unshare") else None
    return done is not None and done.returncode == 0


class Status(SiteTest):
    def setUp(self):
        super().setUp()
        self.write("sites/default/files/page", "backed up")
        self.document["destinations"]["full"] = {"type": "directory", "path": self.path("full")}
        os.mkdir(self.path("full"))

    def test_a_policy_that_nothing_meets(self):
        self.assertIn("no backup", self.bam("status").out, "without a policy nothing is wanted")
        for policy in ({"copies": 2}, {"max_age": "1d"}, {"verify_every": "7d"}):
            with self.subTest(policy):
                self.document["policy"] = policy
                told = self.bam_json("status", expect=3)
                self.assertEqual((told["ok"], told["sources"]), (False, []))
                self.assertSays(self.bam("status", expect=3), "there is no backup", "the policy wants")
        self.document["policy"] = {"max_age": "1d"}
        self.bam("backup", "files", "manual", "secret")
        self.bam("status")
        self.bam("delete", "latest", "--yes")
        self.assertSays(self.bam("status", expect=3), "there is no backup")

    def test_a_backup_that_lacks_something(self):
        self.document["profiles"]["secret"]["ignore_errors"] = True
        # Over the disks of one test all belongs to one user.
        bam = lambda *arguments, **options: self.bam(*arguments, **options, **self.as_ordinary_user())
        told = lambda *arguments, **options: json.loads(bam("--json", *arguments, **options).out)
        good = told("backup", "files", "manual", "secret")
        bam("status")
        self.wait_for_the_next_second(good)
        self.write("sites/default/files/locked", "locked", mode=0)
        made = told("backup", "files", "manual", "secret", expect=3)
        self.assertEqual([backup["incomplete"] for backup in told("backups")["backups"]], [True, False])
        self.assertIn(made["file"] + " (lacks something)", bam("backups").out)
        (source,) = told("status", expect=3)["sources"]
        self.assertIn("lacks something", " ".join(source["missing"]))
        self.assertSays(bam("verify", made["file"]), "lacks something")
        self.assertNotIn("lacks something", bam("verify", good["file"]).err)
        self.assertEqual([copy["incomplete"] for copy in told("verify")["copies"]], [True, False])
        self.assertSays(bam("drill", expect=3), "lacks something", "1 thing could not be read", "locked")
        (drill,) = told("drill", expect=3)["drills"]
        self.assertEqual((drill["ok"], drill["incomplete"]), (True, True))
        self.assertIn("locked", " ".join(drill["lacks"]))
        said = bam("status", expect=3)
        self.assertIn(f"restored {made['id']}, but not whole: ", said.out)
        self.assertIn("locked", said.out)
        # What an earlier version remembered of a drill.
        with open(self.path("state/drills.json")) as file:
            text = file.read()
        with open(self.path("state/drills.json"), "w") as file:
            file.write(text.replace('"lacks"', '"laces"'))
        self.assertIn(f"restored {made['id']}, but not whole: the backup lacks something", bam("status", expect=3).out)

    def test_a_key_that_is_gone(self):
        self.bam("backup", "files", "manual", "secret")
        self.bam("status")
        older = self.path("older")
        self.bam("keygen", older)
        os.rename(self.key, self.path("away"))
        for memory in (True, False):
            if not memory:
                os.unlink(self.path("state/made.json"))
            result = self.bam("status", expect=3)
            self.assertSays(result, "key: ", self.key)
            self.assertNotIn("MAC", result.err)
        os.rename(self.path("away"), self.key)
        self.bam("status")
        self.document["encryption"]["keys"] = [older]
        os.unlink(older)
        self.assertSays(self.bam("status", expect=3), "key: ", older)

    def test_a_folder_under_two_names_is_one_place(self):
        os.mkdir(self.destination())
        os.symlink(self.destination(), self.path("link"))
        for number, path in enumerate((self.path("link"), self.destination() + "/../backups")):
            with self.subTest(path):
                self.document["destinations"]["full"]["path"] = path
                result = self.finish(self.start("--json", "config", "check"))
                self.assertEqual(result.code, 2, result)
                looked = json.loads(result.out)["looked"]
                (double,) = [one for one in looked if one["state"] == "wrong" and "the same place" in one["text"]]
                self.assertEqual([one for one in looked if one["name"] == double["name"]], [double])
                result = self.bam("backup", "files", "manual,full", "secret", expect=3)
                self.assertSays(result, "no copy at full", "the same place as manual")
                self.assertEqual(len(self.visible()), 2)
                self.one_copy_each()

    def one_copy_each(self):
        """With a backup at `manual`, of which `full` is the same place."""
        last, first = sorted(("manual", "full"), reverse=True)
        self.document["policy"] = {"copies": 2, "distinct_hosts": False}
        told = self.bam("--json", "status", expect=3)
        self.assertIn(f"{last} is the same place as {first}", told.out)
        (source,) = json.loads(told.out)["sources"]
        self.assertEqual((source["copies"], source["destinations"]), (1, [first]))
        del self.document["policy"]
        self.bam("status")
        told = self.bam_json("backups")
        self.assertEqual([copy["destination"] for copy in told["backups"][0]["copies"]], [first])
        self.assertEqual([copy["destination"] for copy in self.bam_json("backups", last)["backups"][0]["copies"]], [last])
        self.assertEqual([(note["kind"], note["text"].split(":")[0]) for note in told["notes"] if "the same place" in note["text"]],
                         [("warning", f"{last} is the same place as {first}")])
        told = self.bam_json("stats")
        self.assertEqual((told["copies"], list(told["destinations"])), (1, [first]))
        for verb in (("verify",), ("verify", "--sample", "100")):
            self.assertEqual([copy["destination"] for copy in self.bam_json(*verb)["copies"]], [first])
        self.assertEqual(self.bam_json("replicate")["copies"], [])
        before = self.visible()
        refused = self.bam("delete", "latest", "--destination", last, "--yes", expect=2)
        self.assertSays(refused, f"{last} is the same place as {first}", "nothing is erased", f"--destination {first}", "everywhere")
        self.assertEqual(self.visible(), before)
        self.assertEqual(self.bam_json("delete", "latest", "--yes")["erased"], [first])
        self.assertEqual(self.visible(), [])
        made = str(self.bam_json("backup", "files", first, "secret")["id"])
        self.bam("delete", made, "--destination", first, "--yes")
        self.assertEqual(self.visible(), [])
        # What is lost is copied once, and retention asks nothing to go twice.
        self.document["destinations"]["other"] = {"type": "directory", "path": self.path("other")}
        for _ in range(2):
            made = self.bam_json("backup", "files", "manual,other", "secret")
            self.wait_for_the_next_second(made)
        os.remove(os.path.join(self.path("backups"), made["file"]))
        os.remove(os.path.join(self.path("backups"), made["file"] + ".info"))
        copies = self.bam_json("replicate")["copies"]
        self.assertEqual([(copy["destination"], copy["ok"]) for copy in copies], [(first, True)])
        with open(os.path.join(self.path("backups"), made["file"]), "r+b") as file:
            file.seek(100)
            file.write(b"damaged")
        self.bam("verify", expect=4)
        copies = self.bam_json("replicate")["copies"]
        self.assertEqual([(copy["destination"], copy["ok"]) for copy in copies], [(first, True)])
        self.bam("verify")
        for name in ("manual", "other"):
            self.bam("delete", str(made["id"]), "--destination", first if name == "manual" else name, "--yes")
        self.bam("delete", "latest", "--yes")
        del self.document["destinations"]["other"]

    @unittest.skipUnless(can_mount(), "mounting is not allowed here")
    def test_a_folder_that_is_mounted_twice_is_one_place(self):
        os.makedirs(self.destination())
        self.within = (*MOUNTED, self.destination(), self.path("full"))
        self.bam("backup", "files", "manual", "secret")
        self.one_copy_each()

    def test_of_one_place_retention_takes_nothing_twice(self):
        os.mkdir(self.destination())
        os.symlink(self.destination(), self.path("link"))
        self.document["destinations"]["full"]["path"] = self.path("link")
        self.document["schedules"] = {"daily": {"source": "files", "destinations": ["manual", "full"], "every": 86400, "keep": 1,
                                                "profile": "secret"}}
        for _ in range(2):
            made = self.bam_json("backup", "daily", expect=3)
            self.wait_for_the_next_second(made)
        told = self.bam_json("prune")
        self.assertEqual([(one["destination"], one["keep"]) for one in told["decisions"]], [("manual", True), ("manual", False)])
        self.assertEqual(len(self.visible()), 2)

    def test_a_schedule_one_of_whose_places_lacks_the_copy(self):
        self.document["schedules"] = {"daily": {"source": "files", "destinations": ["manual", "full"], "every": 86400}}
        os.rmdir(self.path("full"))
        with open(self.path("full"), "w"):
            pass
        self.bam("run", "daily", expect=3)
        os.unlink(self.path("full"))
        os.mkdir(self.path("full"))
        told = self.bam_json("status", expect=3)
        self.assertIn("should be at full", " ".join(told["sources"][0]["missing"]))
        # It never lay there: lists have nothing to miss.
        self.bam("backups")
        self.bam("replicate")
        self.bam("status")

    def test_a_disk_that_is_not_mounted_is_no_empty_place(self):
        """It is the folder below the mount point that is seen then."""
        for places in ("full", "manual,full"):
            with self.subTest(places):
                made = self.bam_json("backup", "files", places, "secret")
                os.rename(self.path("full"), self.path("disk"))
                os.mkdir(self.path("full"))
                self.assertSays(self.bam("backups", "full", expect=3), f"({made['id']})", "should be at full", "mounted")
                self.assertSays(self.bam("backups", expect=3), f"({made['id']})")
                self.assertSays(self.bam("status", expect=3), f"({made['id']})")
                self.assertSays(self.bam("verify", expect=3), f"({made['id']})")
                os.rmdir(self.path("full"))
                os.rename(self.path("disk"), self.path("full"))
                for verb in (("backups", "full"), ("backups",), ("status",), ("verify",)):
                    self.bam(*verb)
                # Taken from one of its places on purpose.
                self.bam("delete", "latest", "--destination", "full", "--yes")
                self.bam("status", expect=None)
                self.assertNotIn("should be at", self.bam("backups", "full", expect=None).err)
                shutil.rmtree(self.path("state"))
                shutil.rmtree(self.destination(), ignore_errors=True)


@unittest.skipUnless(os.path.exists(PROGRAM), "openssh-server is not installed")
class Servers(SiteTest):
    """What lies at a server, under two names of it or of its folder."""

    def setUp(self):
        super().setUp()
        self.write("sites/default/files/page", "backed up")
        self.sshd = Sshd()
        self.addCleanup(self.sshd.close)
        self.known_as("localhost", self.sshd)

    def known_as(self, host, server):
        with open(self.sshd.path("host.pub")) as key, open(self.sshd.path("known_hosts"), "a") as known:
            known.write(f"[{host}]:{server.port} {key.read()}")

    def at(self, url, **more):
        return {**self.sshd.settings, "url": url, **more}

    def wrong(self):
        """What `config check` says of places that are one."""
        looked = json.loads(self.finish(self.start("--json", "config", "check")).out)["looked"]
        return [one["name"] for one in looked if one["state"] == "wrong" and "the same place" in one["text"]]

    def test_one_folder_under_two_names_is_one_place(self):
        folder, url = self.sshd.backups, self.sshd.url
        os.symlink(folder, self.sshd.path("link"))
        dotted = folder.replace("/backups", "/.//backups")
        for other in (self.at(url.replace("127.0.0.1", "LocalHost").replace(folder, dotted)), self.at(url.replace(folder, dotted)),
                      self.at(url.replace(folder, self.sshd.path("link"))), self.at(url, type="rsync"),
                      {"type": "directory", "path": self.sshd.path("link")}):
            for names in (("a", "b"), ("b", "a")):
                with self.subTest(other=other, names=names):
                    self.document["destinations"] = dict(zip(names, (self.sshd.settings, other)))
                    self.one_copy()

    def one_copy(self):
        self.document["policy"] = {"copies": 2, "distinct_hosts": True}
        self.assertEqual(self.wrong(), ["b"])
        self.assertSays(self.bam("backup", "files", "a,b", "secret", expect=3), "no copy at b", "the same place as a")
        self.assertEqual(len(self.sshd.visible()), 2)
        told = self.bam("--json", "status", expect=3)
        self.assertIn("b is the same place as a", told.out)
        (source,) = json.loads(told.out)["sources"]
        self.assertEqual((source["copies"], source["destinations"]), (1, ["a"]))
        for _ in range(2):
            refused = self.bam("delete", "latest", "--destination", "b", "--yes", expect=2)
            self.assertSays(refused, "b is the same place as a", "nothing is erased", "--destination a", "everywhere")
            # Whatever else there is that cannot be used.
            self.document["destinations"]["aa"] = self.at("sftp://u@127.0.0.1:1/x", timeout=1)
        del self.document["destinations"]["aa"]
        self.assertEqual(len(self.sshd.visible()), 2)
        self.assertEqual(self.bam_json("delete", "latest", "--destination", "a", "--yes")["erased"], ["a"])
        self.assertEqual(os.listdir(self.sshd.backups), [], "nothing that was put there to see which place it is")

    @unittest.skipUnless(can_mount() and os.geteuid() == 0, "wants root, to become somebody else, and to mount")
    def test_one_folder_of_two_logins_is_one_place(self):
        """At a server that sees another folder there than this machine."""
        other = self.path("other")
        os.mkdir(other)
        self.sshd.command = lambda *words: [*MOUNTED, other, self.sshd.backups, *words]
        self.sshd.stop()
        self.sshd.start()
        for folder, mode in ((self.sshd.top, 0o755), (self.top, 0o755), (other, 0o777), (self.sshd.path("authorized_keys"), 0o644)):
            os.chmod(folder, mode)
        nobody = self.at(self.sshd.url.replace("//root@", "//nobody@"))
        for one, another in ((self.sshd.settings, nobody), (nobody, self.sshd.settings)):
            self.document["destinations"] = {"a": one, "b": another}
            self.assertEqual(self.wrong(), ["b"])
            self.assertSays(self.bam("backup", "files", "a,b", "secret", expect=3), "no copy at b", "the same place as a")
            self.assertEqual(len(os.listdir(other)), 2)
            refused = self.finish(self.start("delete", "latest", "--destination", "b", "--yes"))
            # What root put there for itself alone nobody can read either.
            self.assertIn(refused.code, (2,) if one is nobody else (1, 2, 3), refused)
            self.assertEqual(len(os.listdir(other)), 2)
            self.bam("delete", "latest", "--destination", "a", "--yes")
            self.assertEqual(os.listdir(other), [])

    @unittest.skipUnless(can_mount(), "mounting is not allowed here")
    def test_two_folders_of_one_path_are_two_places(self):
        """Of this machine, of a server that runs on it and sees another folder there, and of one with its key."""
        clones = []
        for number in range(2):
            other = self.path(f"other{number}")
            os.mkdir(other, 0o700)
            clone = Sshd(command=lambda *words, other=other: [*MOUNTED, other, self.sshd.backups, *words])
            self.addCleanup(clone.close)
            clone.stop()
            shutil.copy(self.sshd.path("host"), clone.path("host"))
            shutil.copy(self.sshd.path("authorized_keys"), clone.path("authorized_keys"))
            clone.start()
            self.known_as("127.0.0.1", clone)
            clones.append((self.at(self.sshd.url.replace(str(self.sshd.port), str(clone.port))), other))
        (one, there), (other, elsewhere) = clones
        here = {"type": "directory", "path": self.sshd.backups}
        for places, folders in (((here, one), (self.sshd.backups, there)), ((one, other), (there, elsewhere))):
            with self.subTest(places):
                self.document["destinations"] = dict(zip("ab", places))
                self.assertEqual(self.wrong(), [])
                made = self.bam_json("backup", "files", "a,b", "secret")
                # Both may have come in one second.
                os.utime(os.path.join(folders[1], made["file"]), (0, 0))
                self.document["policy"] = {"copies": 2, "distinct_hosts": False}
                self.bam("status")
                self.bam("delete", made["file"], "--destination", "b", "--yes")
                self.assertEqual([len(os.listdir(folder)) for folder in folders], [2, 0])
                self.bam("delete", made["file"], "--yes")
                self.assertEqual([os.listdir(folder) for folder in folders], [[], []])


if __name__ == "__main__":
    unittest.main()
