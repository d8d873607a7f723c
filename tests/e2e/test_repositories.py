"""Several repositories: `bam replicate` between them, through the real `restic copy`."""

import contextlib
import errno
import os
import random
import shutil
import signal
import subprocess
import threading
import time
import unittest

from bamtest import descendants, tree
from repositories import RepositoryTest
from sshd import PROGRAM, Sshd


NEEDS_FUSE = unittest.skipUnless(os.path.exists("/dev/fuse") and shutil.which("fusermount"), "there is no FUSE here")


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

    def parts_at_other(self):
        """A restic whose bam was killed goes on, and may copy what the next one copies, too: the same twice."""
        return {number: sorted(set(parts)) for number, parts in self.at_other().items()}

    def test_what_one_lacks_comes_from_the_other(self):
        self.init()
        made = self.bam_json("backup", "files", "inc,off", expect=3)
        self.init("off")
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

    def one_repository(self):
        """With two names of it."""
        made = self.bam_json("backup", "files", "inc,off", expect=3)
        self.assertSays(self.bam("backup", "files", "inc,off", expect=3), "no copy at off", "the same place as inc")
        checked = self.finish(self.start("config", "check"))
        self.assertEqual(checked.code, 2, checked)
        self.assertIn("off is the same place as inc", checked.out)
        self.assertEqual(len(self.restic_backups()), 2, "each is there once")
        self.document["policy"] = {"copies": 2}
        (source,) = self.bam_json("status", expect=3)["sources"]
        self.assertEqual((source["copies"], source["destinations"]), (1, ["inc"]))
        self.assertSays(self.bam("delete", str(made["id"]), "--destination", "off", "--yes", expect=2),
                        "off is the same place as inc", "nothing is erased")
        self.assertEqual(len(self.restic_backups()), 2)
        self.bam("delete", str(made["id"]), "--yes")
        self.assertEqual(len(self.restic_backups()), 1)

    def test_one_repository_under_two_names_is_one_place(self):
        self.init()
        os.symlink(self.repository, self.path("link"))
        self.document["destinations"]["off"] = {"type": "restic", "repository": self.path("site/../link")}
        self.one_repository()

    @unittest.skipUnless(os.path.exists(PROGRAM), "sshd is not installed")
    def test_one_repository_here_and_at_a_server_is_one_place(self):
        self.init()
        server = Sshd()
        self.addCleanup(server.close)
        address = server.url.removeprefix("sftp:").replace(server.backups, "/" + self.repository)
        off = {"type": "restic", "repository": "sftp:" + address, **server.keys}
        self.document["destinations"]["off"] = off
        self.one_repository()
        # And twice at the server.
        os.symlink(self.repository, server.path("link"))
        again = {**off, "repository": off["repository"].replace(self.repository, server.path("link"))}
        self.document["destinations"].update(inc=again, off=off)
        self.assertSays(self.bam("backup", "files", "inc,off", expect=3), "no copy at off", "the same place as inc")
        self.assertEqual(len(self.restic_backups()), 2)

    def test_one_that_nobody_made_matters_to_nobody_who_needs_it_not(self):
        self.init()
        first = self.bam_json("backup", "files", "inc")
        number, note = str(first["id"]), "there is no repository at " + self.other
        for arguments in (["backups"], ["ls", number], ["ls", "latest"], ["cat", "latest", "plain"], ["find", "plain"],
                          ["restore", "latest", "--yes"], ["restore", number, "--yes"], ["verify"], ["drill"], ["replicate"]):
            with self.subTest(arguments[0]):
                result = self.bam(*arguments)
                self.assertEqual(result.err.count(note), 0 if arguments == ["replicate"] else 1, result)
        # Those who write there do.
        self.assertSays(self.bam("status", expect=3), note)
        self.wait_for_the_next_second(first)
        self.assertSays(self.bam("backup", "files", "inc,off", expect=3), note, "destination init off")
        result = self.bam("replicate", expect=3)
        self.assertEqual(result.err.count(note), 1, result)
        # Nor is it nobody's fault where there was one.
        self.init("off")
        self.bam("replicate")
        os.rename(self.other, self.other + ".away")
        self.assertSays(self.bam("backups", expect=3), note + " any more")
        self.bam("restore", number, "--yes")
        self.assertSays(self.bam("restore", "latest", "--yes", expect=3), note + " any more")

    def test_a_place_out_of_reach_hides_the_latest_and_no_other(self):
        self.document["destinations"]["far"] = {"type": "sftp", "url": "sftp://nobody@127.0.0.1:1/x", "timeout": 1,
                                                "identity_file": self.key}
        self.init()
        number = str(self.bam_json("backup", "files", "inc")["id"])
        for verb, more in (("restore", ["--yes"]), ("ls", []), ("cat", ["plain"]), ("drill", [])):
            words = {"drill": ["drill", number]}.get(verb, [verb, number, *more])
            self.assertEqual(self.bam(*words).err.count("destination far is left out"), 1)
            if verb != "drill":
                self.assertSays(self.bam(verb, "latest", *more, expect=3), "destination far is left out")
        # All copies are meant.
        self.bam("verify", number, expect=3)
        self.bam("delete", number, "--yes", expect=3)

    def test_what_was_mended_is_not_missing(self):
        self.init()
        self.init("off")
        made = self.bam_json("backup", "files", "inc,off")
        [files] = [one["id"] for one in self.snapshots() if "bam_part=files" in one["tags"]]
        self.restic("forget", files)
        self.assertSays(self.bam("backups", expect=3), "is not whole")
        self.bam("replicate")
        self.bam("backups")
        self.assertEqual(self.at_other(), self.restic_backups())
        self.assertEqual(self.bam_json("replicate")["copies"], [])
        self.bam("verify", str(made["id"]))

    def test_nothing_is_copied_that_retention_would_take_at_once(self):
        self.document["schedules"] = {"nightly": {"source": "files", "profile": "default", "destinations": ["inc", "off"],
                                                  "every": 1, "keep": 2}}
        self.init()
        for _ in range(2):
            self.bam("run", "nightly", expect=3)
        made = self.bam_json("backups")["backups"]
        self.document["schedules"]["nightly"]["keep"] = 1
        self.init("off")
        self.bam("replicate")
        self.assertEqual(self.at_other(), {str(made[0]["id"]): ["backup", "files"]})

    def test_a_place_that_a_schedule_does_not_name_is_not_told_to_lack_anything(self):
        self.document["schedules"] = {"nightly": {"source": "files", "profile": "default", "destinations": ["inc"], "every": 1}}
        self.init()
        self.init("off")
        self.bam("backup", "files", "inc,off")
        self.bam("run", "nightly")

    def test_archives_and_repositories_do_not_become_each_other(self):
        self.init()
        self.init("off")
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
        self.init("off")
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
                self.assertEqual(self.parts_at_other(), whole)
        self.bam("replicate")
        self.assertEqual(self.parts_at_other(), whole)
        self.bam("verify", "latest", "--destination", "off")
        self.restic("check", "--read-data", repository=self.other, password="another battery staple")

    def test_secrets_are_in_no_argument_and_no_environment(self):
        self.write("sites/default/files/more", os.urandom(20_000_000))
        self.init()
        self.bam("backup", "files", "inc,off", expect=3)
        self.init("off")
        process = self.start("replicate")
        seen = self.seen_until_the_end(process)
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
        self.init("off")
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


class Mount(RepositoryTest):
    def setUp(self):
        super().setUp()
        self.fill()
        self.init()
        self.at = self.path("mounted")
        os.mkdir(self.at)

    def mount(self, made):
        """The process that shows a backup, once it does."""
        process = self.start("mount", str(made["id"]), self.at)
        # Also where its process is gone.
        self.addCleanup(subprocess.run, ["fusermount", "-q", "-u", "-z", self.at])
        self.wait(lambda: os.path.ismount(self.at), process)
        return process

    @NEEDS_FUSE
    def test_shared_storage_that_does_not_answer_stops_a_backup_and_a_restore(self):
        link = os.path.join(self.files, "shared")
        os.mkdir(self.path("storage"))
        with open(self.path("storage/film"), "w") as film:
            film.write("film")
        os.symlink(self.path("storage"), link)
        made = self.backup("files", "inc,manual")
        # A file system whose program is gone answers nothing but ENOTCONN, as network storage that was lost does.
        process = self.mount(made)
        for each in descendants(process.pid):
            os.kill(each, signal.SIGKILL)
        process.wait()
        os.unlink(link)
        os.symlink(self.at, link)
        self.wait(lambda: self.answers(self.at) == errno.ENOTCONN)
        self.assertSays(self.bam("backup", "files", "manual", expect=1), link, "not connected", "ignore_errors")
        self.assertSays(self.bam("restore", str(made["id"]), "--yes", "--destination", "manual", expect=1), link, "not connected")
        self.assertEqual(os.readlink(link), self.at)

    @staticmethod
    def answers(path):
        try:
            os.stat(path)
        except OSError as cause:
            return cause.errno

    @NEEDS_FUSE
    def test_a_backup_is_shown_as_a_folder(self):
        made = self.bam_json("backup", "files", "inc")
        self.write("sites/default/files/later", "later")
        self.wait_for_the_next_second(made)
        self.bam("backup", "files", "inc")
        os.remove(self.files + "/later")
        wanted = tree(self.files)
        process = self.mount(made)
        shown = os.listdir(self.at + "/ids")
        self.assertEqual(len(shown), 2, "of this backup alone")
        [files] = [name for name in shown if os.path.isdir(f"{self.at}/ids/{name}{self.files}")]
        self.assertEqual(tree(f"{self.at}/ids/{files}{self.files}").keys(), wanted.keys())
        with open(f"{self.at}/ids/{files}{self.files}/sub/big", "rb") as one, open(self.files + "/sub/big", "rb") as other:
            self.assertEqual(one.read(), other.read())
        process.send_signal(signal.SIGTERM)
        self.finish(process, expect=0)
        self.assertFalse(os.path.ismount(self.at))
        self.assertEqual(os.listdir(self.repository + "/locks"), [])

    def test_what_cannot_be_shown_is_said(self):
        made = self.bam_json("backup", "files", "manual")
        self.assertSays(self.bam("mount", str(made["id"]), self.at, expect=1), "no repository", " ls`", " cat`")
        made = self.bam_json("backup", "files", "inc")
        self.assertSays(self.bam("mount", str(made["id"]), self.files, expect=2), "not empty")
        programs = self.path("programs")
        os.mkdir(programs)
        os.symlink(shutil.which("restic"), programs + "/restic")
        result = self.bam("mount", str(made["id"]), self.at, expect=1, env={**os.environ, "PATH": programs})
        self.assertSays(result, "fusermount", "apt-get install fuse3", " ls`")


class Locks(RepositoryTest):
    def setUp(self):
        super().setUp()
        self.fill()
        self.init()

    def hold(self):
        """A real `restic prune` with the exclusive lock, stopped in the middle of its work. Returns the process."""
        self.document["destinations"]["inc"]["timeout"] = 120
        environment = {**os.environ, "RESTIC_PASSWORD": self.password()}
        while True:
            process = subprocess.Popen(["restic", "--no-cache", "-r", self.repository, "prune", "--max-unused", "0"],
                                       env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            self.addCleanup(self.let_go, process)
            while not self.locks() and process.poll() is None:
                time.sleep(0.001)
            process.send_signal(signal.SIGSTOP)
            if self.locks() and process.poll() is None:
                return process
            self.let_go(process)

    def locks(self):
        """Those that are whole."""
        return [name for name in os.listdir(self.repository + "/locks") if len(name) == 64]

    def let_go(self, process):
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
        process.wait()

    def waits(self, *arguments):
        """Starts bam and returns it once it waits for the lock: it looked for a stale one."""
        before = os.stat(self.repository + "/locks").st_mtime_ns
        process = self.start(*arguments)
        self.wait(lambda: any(b"unlock" in line for line in self.lines_of(process)), process)
        self.assertEqual(os.stat(self.repository + "/locks").st_mtime_ns, before, "nobody took the lock away")
        return process

    def lines_of(self, process):
        for pid in descendants(process.pid):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as line:
                yield line.read()

    def test_what_another_program_holds_is_waited_for_and_told(self):
        made = self.bam_json("backup", "files", "inc")
        before = tree(self.files)
        for arguments in (["backup", "files", "inc"], ["restore", str(made["id"]), "--yes"], ["cat", str(made["id"]), "plain"],
                          ["verify", str(made["id"]), "--sample", "5"]):
            with self.subTest(arguments[0]):
                holder = self.hold()
                process = self.waits(*arguments)
                self.let_go(holder)
                result = self.finish(process, expect=0)
                if arguments[0] != "cat":
                    self.assertSays(result, "is in use", "locked exclusively")
        self.assertEqual(tree(self.files), before)
        self.restic("check", "--read-data")

    def test_a_wait_ends_at_once_when_it_is_cancelled(self):
        holder = self.hold()
        process = self.waits("backup", "files", "inc")
        process.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        self.finish(process, expect=130)
        self.assertLess(time.monotonic() - begun, 10)
        self.assertEqual(len(self.locks()), 1, "the other's lock is where it was")
        self.let_go(holder)
        self.assertEqual(self.bam_json("backups")["backups"], [])

    def test_patience_has_an_end(self):
        holder = self.hold()
        self.document["destinations"]["inc"]["timeout"] = 1
        self.assertSays(self.bam("backup", "files", "inc", expect=1), "is in use", "restic unlock")
        self.let_go(holder)

    def test_what_restic_holds_for_stale_is_taken_away(self):
        holder = self.hold()
        holder.kill()
        holder.wait()
        self.assertEqual(len(self.locks()), 1)
        self.bam("backup", "files", "inc")
        self.assertEqual(self.locks(), [])


if __name__ == "__main__":
    unittest.main()
