"""Several repositories: `bam replicate` between them, through the real `restic copy`."""

import os
import random
import shutil
import signal
import threading
import unittest

from bamtest import descendants, tree
from repositories import RepositoryTest
from sshd import PROGRAM, Sshd


class Replicate(RepositoryTest):
    def setUp(self):
        super().setUp()
        self.fill()
        self.other = self.path("other repository")
        self.other_key = self.path("other key")
        with open(self.other_key, "w") as file:
            file.write("another battery staple\n")
        os.chmod(self.other_key, 0o600)
        self.document["destinations"]["off"] = {"type": "restic", "repository": self.other, "key_file": self.other_key}

    def at_other(self):
        return self.restic_backups(repository=self.other, password="another battery staple")

    def test_what_one_lacks_comes_from_the_other(self):
        self.init()
        made = self.bam_json("backup", "files", "inc,off", expect=3)
        self.bam("destination", "init", "off")
        before = tree(self.files)
        copied = self.bam_json("replicate")["copies"]
        self.assertEqual([(copy["destination"], copy["ok"]) for copy in copied], [("off", True)])
        listed = self.bam_json("backups")["backups"]
        self.assertEqual([copy["destination"] for copy in listed[0]["copies"]], ["inc", "off"])
        self.assertEqual(self.at_other(), self.restic_backups())
        self.assertEqual(self.bam_json("replicate")["copies"], [], "nothing is lacking any more")
        shutil.rmtree(self.repository)
        shutil.rmtree(self.files)
        self.bam("restore", str(made["id"]), "--destination", "off", "--yes")
        self.assertEqual(tree(self.files), before)
        self.restic("check", "--read-data", repository=self.other, password="another battery staple")

    def test_nothing_is_copied_that_retention_would_take_at_once(self):
        self.document["schedules"] = {"nightly": {"source": "files", "profile": "default", "destinations": ["inc", "off"],
                                                  "every": 1, "keep": 2}}
        self.init()
        for _ in range(2):
            self.bam("run", "nightly", expect=3)
        made = self.bam_json("backups", expect=3)["backups"]
        self.document["schedules"]["nightly"]["keep"] = 1
        self.bam("destination", "init", "off")
        self.bam("replicate")
        self.assertEqual(self.at_other(), {str(made[0]["id"]): ["backup", "files"]})

    def test_archives_and_repositories_do_not_become_each_other(self):
        self.init()
        self.bam("destination", "init", "off")
        self.bam("backup", "files", "inc,off,manual")
        shutil.rmtree(self.destination())
        for one in self.snapshots(repository=self.other, password="another battery staple"):
            self.restic("forget", one["id"], repository=self.other, password="another battery staple")
        result = self.bam("replicate", expect=3)
        self.assertSays(result, "lacks a copy at manual", "new backup")
        self.assertNotIn("lacks a copy at off", result.err)

    def test_kills_leave_nothing_that_looks_whole(self):
        self.write("sites/default/files/more", os.urandom(40_000_000))
        self.init()
        made = self.bam_json("backup", "files", "inc,off", expect=3)
        self.bam("destination", "init", "off")
        whole = {str(made["id"]): ["backup", "files"]}
        seed = random.randrange(1 << 32)
        print(f"# seed {seed}")
        chance = random.Random(seed)
        for number in range(8):
            process = self.start("replicate")
            timer = threading.Timer(chance.uniform(0.05, 3), process.send_signal, [signal.SIGKILL if number % 2 else signal.SIGTERM])
            timer.start()
            self.finish(process)
            timer.cancel()
            copies = self.bam_json("backups")["backups"][0]["copies"]
            if "off" in [copy["destination"] for copy in copies]:
                self.assertEqual(self.at_other(), whole)
        self.bam("replicate")
        self.assertEqual(self.at_other(), whole, "each is there once")
        self.bam("verify", "latest", "--destination", "off")
        self.restic("check", "--read-data", repository=self.other, password="another battery staple")

    def test_secrets_are_in_no_argument_and_no_environment(self):
        self.write("sites/default/files/more", os.urandom(20_000_000))
        self.init()
        self.bam("backup", "files", "inc,off", expect=3)
        self.bam("destination", "init", "off")
        process = self.start("replicate")
        seen = []
        while process.poll() is None:
            for pid in descendants(process.pid):
                try:
                    with open(f"/proc/{pid}/cmdline", "rb") as line, open(f"/proc/{pid}/environ", "rb") as variables:
                        seen.append((line.read(), variables.read()))
                except OSError:
                    pass
        self.finish(process, expect=0)
        self.assertTrue([line for line, _ in seen if b"--from-password-file" in line], "restic copy was seen")
        for line, variables in seen:
            self.assertNotIn(b"battery staple", line + variables)

    @unittest.skipUnless(os.path.exists(PROGRAM), "sshd is not installed")
    def test_each_server_is_known_by_its_own_key(self):
        servers = [Sshd(), Sshd()]
        for name, sshd in zip(("inc", "off"), servers):
            self.addCleanup(sshd.close)
            address = sshd.url.removeprefix("sftp:").replace(sshd.backups, "/" + sshd.backups) + "/repo"
            self.document["destinations"][name].update(
                {"repository": "sftp:" + address, "identity_file": sshd.path("id"), "host_key": sshd.fingerprint().split()[1]})
        self.init()
        self.bam("backup", "files", "inc,off", expect=3)
        self.bam("destination", "init", "off")
        for name in ("inc", "off"):
            pinned = self.document["destinations"][name]["host_key"]
            self.document["destinations"][name]["host_key"] = "SHA256:" + "A" * 43
            self.assertSays(self.bam("replicate", expect=3), "not the server it should be")
            self.document["destinations"][name]["host_key"] = pinned
        self.bam("replicate")
        found = self.restic_backups(repository=servers[1].backups + "/repo", password="another battery staple")
        self.assertEqual(found, self.restic_backups(repository=servers[0].backups + "/repo"))
        self.assertTrue(found)
        self.restic("check", "--read-data", repository=servers[1].backups + "/repo", password="another battery staple")


if __name__ == "__main__":
    unittest.main()
