"""Copies on another machine: a real sshd, disks that fill up, hosts that are gone, and what `bam status` says of it."""

import os
import re
import shutil
import signal
import subprocess
import unittest

from bamtest import SiteTest, descendants
from sshd import PROGRAM, Sshd

MIB = 1 << 20


@unittest.skipUnless(os.path.exists(PROGRAM), "openssh-server is not installed")
class OffsiteTest(SiteTest):
    def setUp(self):
        super().setUp()
        self.sshd = Sshd()
        self.addCleanup(self.sshd.close)
        self.document["destinations"]["far"] = self.sshd.settings
        self.document["profiles"]["plain"] = {"compression": "none", "encryption": "none"}

    def test_a_name_that_is_taken_at_the_server_alone_is_found_out_before_anything_is_written(self):
        self.write("sites/default/files/page", "x" * 5000)
        self.document["profiles"]["plain"] |= {"append_timestamp": 0, "filename": "always"}
        folder = self.sshd.backups
        taken = os.path.join(folder, ".always.tar.part")
        for number, kind in enumerate(("sftp", "rsync")):
            with self.subTest(kind):
                self.document["destinations"]["far"] = {**self.sshd.settings, "type": kind}
                with open(taken, "w") as file:
                    file.write("of somebody else")
                made = self.bam_json("backup", "files", "manual,far", "plain")
                self.assertEqual(made["file"], f"always-{number + 1}.tar")
                for place in (self.destination(), folder):
                    self.assertIn(made["file"], os.listdir(place))
                    self.assertNotIn("always.tar", os.listdir(place))
                with open(taken) as file:
                    self.assertEqual(file.read(), "of somebody else")

    def mount(self, name, size):
        """A small disk of its own."""
        folder = self.path(name)
        os.mkdir(folder)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True)
        if mounted.returncode:
            self.skipTest(f"no small disk can be mounted: {mounted.stderr.decode().strip()}")
        self.addCleanup(subprocess.run, ["umount", folder], check=True)
        return folder


class FullDisk(OffsiteTest):
    def backup_that_only_the_server_has_room_for(self):
        self.write("sites/default/files/noise", os.urandom(48 * MIB))
        result = self.bam("backup", "files", "manual,far", "plain", expect=3)
        self.assertSays(result, "no copy at manual", "No space left")
        self.assertEqual(os.listdir(self.destination()), [], "nothing is left of the copy that failed")
        self.assertEqual(len(self.sshd.visible()), 2)
        # Brings the copy here.
        self.document["state_dir"] = self.path("state")
        self.bam("verify", "latest", "--destination", "far")

    def test_the_copy_on_the_server_goes_on_from_a_temporary_file(self):
        self.document["destinations"]["manual"]["path"] = self.mount("small", 16 * MIB)
        self.backup_that_only_the_server_has_room_for()

    def test_the_copy_on_the_server_goes_on_without_any_room_here(self):
        small = self.mount("small", 16 * MIB)
        self.document["destinations"]["manual"]["path"] = os.path.join(small, "backups")
        self.document["state_dir"] = os.path.join(small, "state")
        self.backup_that_only_the_server_has_room_for()

    def test_another_folder_has_what_the_server_needs(self):
        self.document["destinations"]["manual"]["path"] = self.mount("small", 16 * MIB)
        self.document["destinations"]["second"] = {"type": "directory", "path": self.path("second")}
        self.write("sites/default/files/noise", os.urandom(48 * MIB))
        self.bam("backup", "files", "manual,second,far", "plain", expect=3)
        self.assertEqual((len(self.visible("second")), len(self.sshd.visible())), (2, 2))
        self.bam("verify", "latest", "--destination", "second,far")

    def test_a_full_disk_on_the_server_spoils_nothing_here(self):
        self.sshd.settings["url"] = re.sub(r"(:\d+)/.*", rf"\1{self.mount('small', 16 * MIB)}", self.sshd.url)
        self.write("sites/default/files/noise", os.urandom(48 * MIB))
        result = self.bam("backup", "files", "manual,far", "plain", expect=3)
        self.assertSays(result, "no copy at far", "the disk is full")
        self.assertEqual(len(self.visible()), 2)
        self.assertEqual(os.listdir(self.path("small")), [])


class Killed(OffsiteTest):
    def setUp(self):
        super().setUp()
        self.write("sites/default/files/noise", os.urandom(96 * MIB))

    def part(self):
        """Bytes of the part on the server."""
        sizes = [entry.stat().st_size for entry in os.scandir(self.sshd.backups) if entry.name.endswith(".part")]
        return max(sizes, default=0)

    def stop_in_the_middle(self):
        """Starts a backup and lets the server fall silent in the middle of its upload."""
        process = self.start("backup", "files", "manual,far", "plain")
        self.wait(lambda: self.part() > 20 * MIB, process)
        self.sessions = descendants(self.sshd.process.pid)[1:]
        for session in self.sessions:
            os.kill(session, signal.SIGSTOP)
        self.addCleanup(self.end_sessions)
        return process

    def end_sessions(self):
        for session in self.sessions:
            os.kill(session, signal.SIGKILL)
        self.sessions = []

    def test_a_killed_run_shows_no_half_file_and_the_next_resumes(self):
        process = self.stop_in_the_middle()
        self.wait(self.visible, process)
        process.kill()
        process.wait()
        self.end_sessions()
        self.assertEqual(self.sshd.visible(), [])
        (part,) = (entry.path for entry in os.scandir(self.sshd.backups) if entry.name.endswith(".part"))
        # Open, so that no new file gets its number.
        with open(part, "rb") as file:
            number = os.fstat(file.fileno()).st_ino
            copied = self.bam_json("replicate")
        self.assertEqual([copy["ok"] for copy in copied["copies"]], [True])
        uploaded = os.stat(os.path.join(self.sshd.backups, self.sshd.visible()[0]))
        self.assertEqual(uploaded.st_ino, number, "it went on with what was there")
        self.assertEqual(self.sshd.visible(), self.visible())
        self.bam("verify")

    def test_a_server_killed_in_the_middle_is_waited_for(self):
        process = self.stop_in_the_middle()
        self.sshd.stop()
        self.end_sessions()
        self.assertEqual(self.sshd.visible(), [])
        self.sshd.start()
        self.finish(process, 0)
        self.assertEqual(self.sshd.visible(), self.visible())


class Status(OffsiteTest):
    """What the policy of three copies is told of."""

    def setUp(self):
        super().setUp()
        self.write("sites/default/files/note", "field note")
        self.document["schedules"] = {"weekly": {"source": "files", "destinations": ["manual", "far"], "profile": "secret",
                                                 "every": 604800}}
        self.document["policy"] = {"copies": 2, "max_age": "8d", "verify_every": "30d"}

    def status(self, expect):
        """What is missing, by sentences, as scripts and as people read it."""
        told = self.bam_json("status", expect=expect)
        notes = [note["text"] for note in told["notes"] if note["kind"] == "missing"]
        # The second call comes later: an age has grown.
        ageless = lambda text: re.sub(r"\d+\w (old|ago)", r"\1", text)
        said = ageless(self.bam("status", expect=expect).err)
        for note in notes:
            self.assertIn(ageless(note), said)
        return told, notes

    def test_all_good(self):
        self.bam("run")
        self.bam("verify")
        told, notes = self.status(0)
        (files,) = told["sources"]
        self.assertEqual((notes, files["ok"], files["copies"], files["missing"]), ([], True, 2, []))
        self.assertEqual(files["hosts"], sorted(["127.0.0.1", os.uname().nodename]))
        self.assertRegex(self.bam("status").out, r"(?ms)^files +good .*^Schedule weekly runs next at .*^Looked at: ")

    def test_one_copy_missing(self):
        self.bam("run")
        self.bam("verify")
        shutil.rmtree(self.destination())
        copies, place = self.status(3)[1]
        self.assertEqual(copies, f"files: 2 copies on as many machines are wanted of {self.sshd.visible()[0]}, there is 1")
        self.assertIn("should be at manual and is not there", place)
        self.bam("replicate")
        self.status(0)

    def test_a_copy_that_became_shorter(self):
        self.bam("run")
        self.bam("verify")
        os.truncate(os.path.join(self.sshd.backups, self.sshd.visible()[0]), 10)
        self.assertIn("files: the copy at far is damaged or has no sidecar", self.status(3)[1])

    def test_too_old(self):
        self.bam("run")
        self.bam("verify")
        self.document["policy"]["max_age"] = "1s"
        self.wait(lambda: self.bam_json("status", expect=None)["sources"][0]["age"] > 1)
        (note,) = self.status(3)[1]
        self.assertRegex(note, "^files: the newest backup is .* old, allowed are 1s$")

    def test_never_verified_and_not_for_too_long(self):
        # Without a schedule's name it drills, too, which counts.
        self.bam("run", "weekly")
        self.assertEqual(self.status(3)[1], ["files: no backup was ever verified"])
        self.bam("verify")
        self.status(0)
        self.document["policy"]["verify_every"] = "1s"
        self.wait(lambda: self.bam("status", expect=None).code == 3)
        self.assertRegex(self.status(3)[1][0], "^files: backups were last verified .* ago, wanted is every 1s$")

    def test_destination_unreachable(self):
        self.bam("run")
        self.bam("verify")
        self.sshd.stop()
        told, notes = self.status(3)
        self.assertEqual(told["sources"][0]["copies"], 1, "what cannot be seen is not counted")
        self.assertTrue(any(re.match("not reached: far: .*127.0.0.1", note) for note in notes), notes)
        self.sshd.start()
        self.status(0)

    def test_no_backup_at_all(self):
        self.assertEqual(self.status(3)[1], ["files: there is no backup"])

    def test_two_names_of_one_folder_are_one_copy(self):
        os.symlink(self.destination(), self.path("alias"))
        self.document["destinations"]["again"] = {"type": "directory", "path": self.path("alias")}
        self.document["destinations"]["far_again"] = {**self.sshd.settings, "url": self.sshd.url + "/"}
        self.bam("run")
        self.bam("verify")
        for distinct in (True, False):
            self.document["policy"]["distinct_hosts"] = distinct
            self.assertEqual(self.status(0)[0]["sources"][0]["copies"], 2)
