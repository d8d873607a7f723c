"""No lock of restic's stays in a repository, whatever ended what it did: bam that had read enough, a signal, a failure."""

import os
import signal
import subprocess
import time
import unittest

from bamtest import BAM, descendants
from mariadb import missing
from repositories import RepositoryTest
from sshd import PROGRAM, Sshd


def locks(repository):
    """Those that are whole."""
    return [name for name in os.listdir(repository + "/locks") if len(name) == 64]


class LockTest(RepositoryTest):
    def locks(self):
        return locks(self.repository)

    def fill(self):
        super().fill()
        # More than what waits in all the pipes on the way.
        self.write("sites/default/files/sub/larger", os.urandom(20_000_000))

    def cancelled(self, *arguments):
        """Starts bam, cancels it as soon as restic has taken a lock, and looks for the lock afterwards."""
        process = self.start(*arguments)
        while not self.locks() and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(signal.SIGTERM)
        result = self.finish(process)
        self.assertIn(result.code, (0, 130), result)
        self.assertEqual(self.locks(), [], result)


class Locks(LockTest):
    def setUp(self):
        super().setUp()
        self.fill()
        self.init()

    def test_a_cancel_leaves_none(self):
        made = self.bam_json("backup", "files", "inc")
        number = str(made["id"])
        for arguments in (["ls", number], ["cat", number, "sub/larger"], ["find", "nothing"],
                          ["restore", number, "--into", self.path("into"), "--yes"], ["drill", number],
                          ["verify", number, "--sample", "5"], ["backup", "files", "inc"], ["delete", number, "--yes"]):
            with self.subTest(arguments[0]):
                self.cancelled(*arguments)
        self.restic("check", "--read-data")

    def test_a_cancel_while_one_is_copied_leaves_none_at_either(self):
        other = self.path("other")
        self.document["destinations"]["off"] = {"type": "restic", "repository": other}
        self.bam("backup", "files", "inc,off", expect=3)
        self.init("off")
        self.cancelled("replicate")
        self.assertEqual(locks(other), [])

    def test_a_reader_that_leaves_takes_it_along(self):
        made = self.bam_json("backup", "files", "inc")
        for arguments in (["ls", str(made["id"])], ["cat", str(made["id"]), "sub/larger"]):
            with self.subTest(arguments[0]):
                process = subprocess.Popen([BAM, "--config", self.write_document(), *arguments], stdout=subprocess.PIPE)
                self.addCleanup(process.kill)
                self.assertTrue(process.stdout.read(1))
                process.stdout.close()
                process.wait()
                self.assertEqual(self.locks(), [])

    def test_one_that_was_killed_leaves_none_when_bam_lives(self):
        process = self.start("backup", "files", "inc")
        self.wait(self.locks, process)
        for pid in descendants(process.pid):
            with open(f"/proc/{pid}/comm") as file:
                if file.read().strip() == "restic":
                    os.kill(pid, signal.SIGKILL)
        self.assertSays(self.finish(process, expect=1), "ended from outside")
        self.assertEqual(self.locks(), [])


@unittest.skipIf(missing(), "mariadbd is not installed")
class OfSites(LockTest):
    def setUp(self):
        super().setUp()
        self.whole_site("create table node (nid int primary key, body longblob); insert into node select seq, "
                        "random_bytes(1000) from seq_1_to_20000")
        self.init()

    def test_a_search_that_needs_no_dump_leaves_none(self):
        made = self.bam_json("backup", "archive", "inc")
        for arguments in (["find", "big"], ["ls", str(made["id"]), "docroot/index.php"], ["cat", str(made["id"]), "docroot/index.php"],
                          ["restore", str(made["id"]), "--path", "index.php", "--yes"]):
            with self.subTest(arguments[0]):
                self.bam(*arguments)
                self.assertEqual(self.locks(), [])

    def test_a_dump_that_fails_leaves_none(self):
        self.backup_whose_dump_fails()
        self.assertEqual(self.locks(), [])


@unittest.skipUnless(os.path.exists(PROGRAM), "sshd is not installed")
class OverSsh(LockTest):
    def setUp(self):
        super().setUp()
        self.fill()
        sshd = Sshd()
        self.addCleanup(sshd.close)
        self.repository = sshd.backups + "/repo"
        address = sshd.url.removeprefix("sftp:").replace(sshd.backups, "/" + self.repository)
        self.document["destinations"]["inc"] = {"type": "restic", "repository": "sftp:" + address, **sshd.keys}
        self.init()

    def test_a_cancel_leaves_none(self):
        made = self.bam_json("backup", "files", "inc")
        for arguments in (["cat", str(made["id"]), "sub/larger"], ["backup", "files", "inc"]):
            with self.subTest(arguments[0]):
                self.cancelled(*arguments)


if __name__ == "__main__":
    unittest.main()
