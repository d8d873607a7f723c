"""Erasing a backup: what cannot be erased whole stays whole, and what was not erased is not taken for erased."""

import os
import signal
import subprocess
import unittest

from bamtest import BAM, SiteTest, run
from sshd import PROGRAM, Sshd
from test_ends import can_be_immutable


class Erasing(SiteTest):
    def hold(self, folder):
        """Makes the sidecars of a folder such as nobody can remove."""
        if os.geteuid() != 0 or not can_be_immutable(folder):
            self.skipTest("files cannot be made immutable here")
        held = [os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".info")]
        self.addCleanup(subprocess.run, ["chattr", "-R", "-i", folder], capture_output=True)
        for path in held:
            run("chattr", "+i", path)
        return lambda: [run("chattr", "-i", path) for path in held]

    def assertStays(self, place, folder):
        """A backup whose sidecar cannot be erased is whole afterwards, in lists and after the next run."""
        self.write("sites/default/files/page", "backed up")
        made = self.bam_json("backup", "files", place)
        before = sorted(os.listdir(folder))
        let_go = self.hold(folder)
        self.assertSays(self.bam("delete", "latest", "--yes", expect=1), "could not be erased anywhere", "cannot remove")
        self.assertEqual(sorted(os.listdir(folder)), before)
        self.bam("verify", made["file"])
        self.wait_for_the_next_second(made)
        next_one = self.bam_json("backup", "files", place)
        listed = [backup["file"] for backup in self.bam_json("backups")["backups"]]
        self.assertEqual(listed, [next_one["file"], made["file"]])
        let_go()
        self.bam("delete", made["file"], "--yes")
        self.assertEqual(len(os.listdir(folder)), 2)

    def test_what_cannot_be_erased_whole_stays_whole(self):
        self.assertStays("manual", self.destination())

    def test_what_could_not_be_erased_at_one_place_does_not_come_back_from_there(self):
        self.document["destinations"]["two"] = {"type": "directory", "path": self.path("two")}
        made = self.bam_json("backup", "files", "manual,two")
        let_go = self.hold(self.path("two"))
        self.assertSays(self.bam("delete", "latest", "--yes", expect=3), "still at two")
        self.bam("replicate")
        self.assertEqual(self.visible(), [])
        let_go()
        self.bam("delete", made["file"], "--yes")
        self.assertEqual(os.listdir(self.path("two")), [])
        # One that was erased at one place alone is copied there again.
        made = self.bam_json("backup", "files", "manual,two")
        self.bam("delete", made["file"], "--destination", "manual", "--yes")
        self.bam("replicate")
        self.assertEqual(len(self.visible()), 2)

    @unittest.skipUnless(os.path.exists(PROGRAM), "openssh-server is not installed")
    def test_the_same_at_a_server(self):
        sshd = Sshd()
        self.addCleanup(sshd.close)
        self.document["destinations"] = {"far": sshd.settings}
        self.assertStays("far", sshd.backups)


if __name__ == "__main__":
    unittest.main()
