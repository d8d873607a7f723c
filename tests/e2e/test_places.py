"""Places that fail, are shared, or lie: one that does spoils only itself, and nothing is touched that is not bam's."""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

from bamtest import LIMIT, SiteTest, peak_memory, program_for_others, run
from sshd import PROGRAM, Sshd

NOBODY = pwd.getpwnam("nobody")
IS_ROOT = os.geteuid() == 0
# Mebibytes: an SFTP server that sends without end is given up when a run has grown by 96.
MOST = 128


def hidden(folder):
    return sorted(name for name in os.listdir(folder) if name.startswith("."))


class Places(SiteTest):
    def setUp(self):
        super().setUp()
        self.write("sites/default/files/note", "field note")

    def as_nobody(self):
        """What starts bam as an ordinary user; the test's folders are opened for him to pass."""
        if not IS_ROOT:
            self.skipTest("only root can become another user")
        for folder in (self.top, self.root, self.path("site/sites"), self.path("site/sites/default"), self.files):
            os.chmod(folder, 0o755)
        self.document["state_dir"] = self.path("his-state")
        os.makedirs(self.path("his-state"), exist_ok=True)
        os.chown(self.path("his-state"), NOBODY.pw_uid, NOBODY.pw_gid)
        config = self.write_document()
        os.chmod(config, 0o644)
        return {"config": config, "user": NOBODY.pw_uid, "group": NOBODY.pw_gid, "extra_groups": []}

    def test_a_sidecar_that_cannot_be_read_is_told_and_the_others_are_listed(self):
        first, second = self.backup("files"), self.backup("files")
        folder = self.destination()
        os.chmod(folder, 0o777)
        for name in os.listdir(folder):
            os.chmod(os.path.join(folder, name), 0o644)
        os.chmod(first["path"] + ".info", 0o600)
        nobody = self.as_nobody()
        listed = self.bam("backups", expect=3, **nobody)
        self.assertIn(second["file"], listed.out)
        self.assertNotIn(first["file"], listed.out)
        self.assertSays(listed, first["file"], "sidecar")
        self.document["encryption"] = {}
        self.document["profiles"]["default"]["filename"] = "his"
        nobody = self.as_nobody()
        made = json.loads(self.bam("--json", "backup", "files", **nobody).out)
        self.assertTrue(os.path.exists(os.path.join(folder, made["file"])))

    def test_files_of_others_are_never_touched(self):
        folder = self.destination()
        os.makedirs(folder)
        names = [".notes.part", "notes.info", ".bashrc.old", ".site.tar.gz.part", "site.tar.gz.info", ".x.tar.lease",
                 ".x.tar.part", ".y.tar.info.new", ".z.tar.info.part", ".profile"]
        for name in names:
            with open(os.path.join(folder, name), "w") as file:
                file.write("mine")
            os.utime(os.path.join(folder, name), (0, 0))
        for _ in range(2):
            self.backup("files")
            self.bam("verify")
            self.bam("delete", "latest", "--yes")
        for name in names:
            with open(os.path.join(folder, name)) as file:
                self.assertEqual(file.read(), "mine", name)
        self.assertEqual(self.visible(), ["notes.info", "site.tar.gz.info"])

    def test_a_destination_whose_settings_are_wrong_spoils_only_its_own_copy(self):
        self.document["destinations"]["broken"] = {"type": "sftp", "url": "sftp://u@127.0.0.1:1/x",
                                                   "password_file": self.path("none")}
        made = self.bam("--json", "backup", "files", "manual,broken", expect=3)
        self.assertSays(made, "broken", self.path("none"))
        self.assertEqual(len(self.visible()), 2)
        self.assertIn(json.loads(made.out)["file"], self.bam("backups", expect=3).out)
        self.bam("restore", "latest", "--yes", expect=3)

    def test_a_schedule_that_failed_is_due_again_but_not_at_once(self):
        self.document["schedules"] = {"weekly": {"source": "files", "destinations": ["manual"], "every": 604800}}
        os.rename(self.files, self.files + ".away")
        self.assertNotEqual(self.bam("run", expect=None).code, 0)
        failed = self.path("state/failed.json")
        with open(failed) as file:
            ((name, told),) = json.load(file).items()
        self.assertEqual((name.split()[0], told["runs"]), ("weekly", 1))
        os.rename(self.files + ".away", self.files)
        self.bam("run")
        self.assertEqual(self.visible(), [], "five minutes have not passed")
        with open(failed, "w") as file:
            json.dump({name: {"runs": 1, "time": int(time.time()) - 301}}, file)
        self.bam("run")
        self.assertEqual(len(self.visible()), 2)
        with open(failed) as file:
            self.assertEqual(json.load(file), {})
        self.bam("run")
        self.assertEqual(len(self.visible()), 2, "it ran")

    def test_what_can_only_be_read_is_verified_all_the_same(self):
        os.chmod(self.key, 0o640)
        os.chown(self.key, -1, NOBODY.pw_gid if IS_ROOT else -1)
        made = self.backup("files")
        folder = self.destination()
        os.chmod(folder, 0o755)
        for name in os.listdir(folder):
            os.chmod(os.path.join(folder, name), 0o644)
        verified = self.bam("verify", **self.as_nobody())
        self.assertSays(verified, made["file"], "is good", "could not be noted")

    def test_a_key_that_anybody_can_read_is_told_of_once(self):
        os.chmod(self.key, 0o644)
        said = self.bam("backup", "files", "manual", "secret")
        self.assertEqual(said.err.count("anybody can read it"), 1, said)
        os.chmod(self.key, 0o640)
        self.assertNotIn("anybody", self.bam("backups").err)

    def test_roots_backups_are_for_the_group_of_their_folder(self):
        if not IS_ROOT:
            self.skipTest("only root can give a folder to a group")
        folder = self.destination()
        os.makedirs(folder)
        os.chown(folder, NOBODY.pw_uid, NOBODY.pw_gid)
        os.chmod(folder, 0o700)
        made = self.backup("files")
        for path in (made["path"], made["path"] + ".info"):
            found = os.stat(path)
            self.assertEqual((found.st_uid, found.st_gid, found.st_mode & 0o777), (0, NOBODY.pw_gid, 0o640))
        self.assertIn(made["file"], self.bam("backups", **self.as_nobody()).out)

    @unittest.skipUnless(os.geteuid() == 0, "root makes folders for somebody else")
    def test_folders_that_root_makes_belong_to_whose_folder_they_are_in(self):
        theirs = self.path("theirs")
        os.mkdir(theirs, 0o700)
        os.chown(theirs, 65534, 65534)
        self.document["destinations"]["manual"]["path"] = os.path.join(theirs, "backup_migrate/manual")
        self.bam("backup", "files")
        for folder in ("backup_migrate", "backup_migrate/manual"):
            found = os.stat(os.path.join(theirs, folder))
            self.assertEqual((found.st_uid, found.st_gid, found.st_mode & 0o777), (65534, 65534, 0o700))
        for file in self.visible():
            found = os.stat(os.path.join(self.destination(), file))
            self.assertEqual((found.st_gid, found.st_mode & 0o777), (65534, 0o640))

    def test_root_refuses_a_state_folder_of_another_user(self):
        if not IS_ROOT:
            self.skipTest("only root can give a folder away")
        os.mkdir(self.path("state"))
        os.chown(self.path("state"), NOBODY.pw_uid, -1)
        self.assertSays(self.bam("backup", "files", expect=1), "state folder", "belongs to", "install -d -o root")


@unittest.skipUnless(IS_ROOT and shutil.which("nsenter") and shutil.which("setpriv"), "needs root, nsenter and setpriv")
class Shared(SiteTest):
    """Root and the web server's user of one site, with /var/lib and /var/tmp of their own."""

    def setUp(self):
        super().setUp()
        del self.document["state_dir"]
        self.write("sites/default/files/note", "field note")
        os.chmod(self.top, 0o755)
        for folder in (self.files, self.path("backups")):
            os.makedirs(folder, exist_ok=True)
            shutil.chown(folder, NOBODY.pw_uid, NOBODY.pw_gid)
        os.chmod(self.key, 0o640)
        shutil.chown(self.key, 0, NOBODY.pw_gid)
        mount = "mount -t tmpfs -o mode=755 tmpfs /var/lib && mount -t tmpfs -o mode=1777 tmpfs /var/tmp && echo up && exec cat"
        self.space = subprocess.Popen(["unshare", "--mount", "sh", "-c", mount], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE)
        self.addCleanup(self.leave)
        if self.space.stdout.readline().strip() != b"up":
            self.skipTest("no file system can be mounted here")

    def leave(self):
        self.space.stdin.close()
        self.space.wait()
        self.space.stdout.close()

    def inside(self, *command, **options):
        return subprocess.run(["nsenter", "--target", str(self.space.pid), "--mount", *command], capture_output=True,
                              text=True, timeout=300, **options)

    def site_bam(self, *arguments, web=False):
        config = self.write_document()
        os.chmod(config, 0o644)
        who = ["setpriv", f"--reuid={NOBODY.pw_uid}", f"--regid={NOBODY.pw_gid}", "--clear-groups"] if web else []
        return self.inside(*who, program_for_others(), "--config", config, *arguments)

    def place(self):
        return "/var/lib/bam/" + self.inside("ls", "/var/lib/bam").stdout.strip()

    def test_they_meet_one_lock_and_see_each_others_unfinished_restore(self):
        alone = self.site_bam("status", web=True)
        self.assertIn("as root", alone.stderr, alone)
        made = self.site_bam("backup", "files")
        self.assertEqual(made.returncode, 0, made)
        place = self.place()
        self.assertEqual(self.inside("stat", "-c", "%u %g %a", place).stdout.split(), ["0", str(NOBODY.pw_gid), "3770"])
        self.assertEqual(self.inside("stat", "-c", "%a", place + "/lock").stdout.strip(), "660")
        self.assertEqual(self.site_bam("backup", "files", web=True).returncode, 0)
        mine, his = place + "/u0", f"{place}/u{NOBODY.pw_uid}"
        for folder in (mine, his):
            self.assertEqual(self.inside("stat", "-c", "%a", folder).stdout.strip(), "2750")
        # Whoever holds the lock, the other is told.
        for web in (False, True):
            held = subprocess.Popen(["nsenter", "--target", str(self.space.pid), "--mount", "flock", place + "/lock", "cat"],
                                    stdin=subprocess.PIPE)
            self.wait(lambda: self.inside("flock", "-n", place + "/lock", "true").returncode != 0)
            self.assertEqual(self.site_bam("backup", "files", web=web).returncode, 5)
            held.stdin.close()
            held.wait()
        # Nobody acts on what the other left, and is told how he can. Backups go on.
        for folder, web in ((mine, True), (his, False)):
            self.inside("sh", "-c", f"echo '{{}}' > {folder}/restore.json && chmod 644 {folder}/restore.json; "
                                    f"chown --reference {folder} {folder}/restore.json")
            for verb in (("restore", "latest", "--yes"), ("recover",)):
                refused = self.site_bam(*verb, web=web)
                self.assertEqual(refused.returncode, 1, refused)
                self.assertIn("bam recover", refused.stderr)
            if not web:
                self.assertIn("runuser -u nobody -- bam recover", refused.stderr)
            went_on = self.site_bam("backup", "files", web=web)
            self.assertEqual(went_on.returncode, 3, went_on)
            self.assertIn("restore", went_on.stderr)
            self.inside("rm", folder + "/restore.json")

    def test_the_web_servers_user_can_take_nothing_of_roots_away(self):
        made = self.site_bam("backup", "files")
        self.assertEqual(made.returncode, 0, made)
        place = self.place()
        web = ["setpriv", f"--reuid={NOBODY.pw_uid}", f"--regid={NOBODY.pw_gid}", "--clear-groups"]
        for attack in (f"rm {place}/lock", f"mv {place}/lock {place}/x", f"mv {place}/u0 {place}/x", f"touch {place}/u0/x",
                       f"rmdir {place}", "mkdir /var/lib/bam/other"):
            self.assertNotEqual(self.inside(*web, "sh", "-c", attack).returncode, 0, attack)

    def test_what_a_user_knew_alone_goes_with_him(self):
        self.document["schedules"] = {"weekly": {"source": "files", "destinations": ["manual"], "every": 604800}}
        self.assertEqual(self.site_bam("run", web=True).returncode, 0)
        count = len(self.visible())
        self.site_bam("status")
        again = self.site_bam("run", web=True)
        self.assertEqual((again.returncode, len(self.visible())), (0, count), again)
        # Root believes nobody but himself; what he did, the others know.
        ran = self.site_bam("run")
        self.assertEqual(ran.returncode, 0, ran)
        self.assertEqual(len(self.visible()), count + 2)


@unittest.skipUnless(os.path.exists(PROGRAM), "openssh-server is not installed")
class Servers(SiteTest):
    def setUp(self):
        super().setUp()
        self.write("sites/default/files/note", "field note")
        self.server = Sshd()
        self.addCleanup(self.server.close)
        self.document["destinations"]["far"] = dict(self.server.settings)

    def test_files_of_others_are_never_touched_there_by_sftp_and_rsync(self):
        names = [".notes.part", "notes.info", ".bashrc.old", ".site.tar.gz.part", ".x.tar.lease", ".x.tar.part"]
        for name in names:
            with open(os.path.join(self.server.backups, name), "w") as file:
                file.write("mine")
            os.utime(os.path.join(self.server.backups, name), (0, 0))
        for kind in ("sftp", "rsync"):
            self.document["destinations"]["far"]["type"] = kind
            self.bam("backup", "files", "far")
            self.bam("delete", "latest", "--yes")
        for name in names:
            with open(os.path.join(self.server.backups, name)) as file:
                self.assertEqual(file.read(), "mine", name)
        self.assertEqual(sorted(os.listdir(self.server.backups)), sorted(names))

    def test_the_part_of_a_live_run_is_left_alone_by_another_site(self):
        self.write("sites/default/files/large", os.urandom(24 << 20))
        self.document["profiles"]["default"]["compression"] = "none"
        first = self.start("backup", "files", "far")
        parts = lambda: [name for name in hidden(self.server.backups) if name.endswith(".part")]
        self.wait(lambda: parts(), first)
        first.send_signal(signal.SIGSTOP)
        try:
            before = hidden(self.server.backups)
            self.document["site"]["url"] = "http://other.example.org"
            self.document["state_dir"] = self.path("other-state")
            self.document["profiles"]["default"]["filename"] = "other"
            self.bam("backup", "files", "far")
            self.assertEqual(hidden(self.server.backups), before)
        finally:
            first.send_signal(signal.SIGCONT)
        self.finish(first, 0)
        self.assertEqual(hidden(self.server.backups), [])
        self.assertEqual(len(self.server.visible()), 4)

    def test_what_a_killed_run_left_goes_with_the_next(self):
        self.write("sites/default/files/large", os.urandom(24 << 20))
        self.document["profiles"]["default"]["compression"] = "none"
        first = self.start("backup", "files", "far")
        self.wait(lambda: any(name.endswith(".part") for name in hidden(self.server.backups)), first)
        first.kill()
        first.wait()
        self.assertTrue(hidden(self.server.backups))
        self.bam("backup", "files", "far")
        self.assertEqual(hidden(self.server.backups), [])

    def test_a_server_that_says_nothing_is_given_up_and_the_rest_listed(self):
        made = self.backup("files", "manual")
        os.kill(self.server.process.pid, signal.SIGSTOP)
        try:
            # Far less than the minute that a server may be silent otherwise, and enough for a busy machine.
            self.document["destinations"]["far"]["timeout"] = 3
            began = time.monotonic()
            listed = self.bam("backups", expect=3)
            self.assertLess(time.monotonic() - began, 45)
            self.assertIn(made["file"], listed.out)
            self.assertSays(listed, "far", "no answer")
            # Remembered: whoever looks again does not wait as long.
            self.document["destinations"]["far"]["timeout"] = 120
            began = time.monotonic()
            self.bam("backups", expect=3)
            self.assertLess(time.monotonic() - began, 60)
            # A cancel is heard while it waits.
            self.document["destinations"]["far"]["timeout"] = LIMIT
            waiting = self.start("backup", "files", "manual,far")
            time_to_connect = lambda: self.connections() > 0
            self.wait(time_to_connect, waiting)
            waiting.send_signal(signal.SIGINT)
            began = time.monotonic()
            self.finish(waiting, 130)
            self.assertLess(time.monotonic() - began, LIMIT / 4)
        finally:
            os.kill(self.server.process.pid, signal.SIGCONT)
        self.bam("backups")
        self.assertEqual([name for name in os.listdir(self.path("state")) if name.startswith("silent")], [])

    def connections(self):
        """Connections of ours to the server that are established, by the kernel's table (state 01)."""
        port = f"{self.server.port:04X}"
        with open("/proc/net/tcp") as table:
            rows = [line.split() for line in table.readlines()[1:]]
        return sum(1 for row in rows if row[2].endswith(":" + port) and row[3] == "01")

    def test_a_refused_login_is_not_tried_again_and_again(self):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path("stranger"))
        self.document["destinations"]["far"]["identity_file"] = self.path("stranger")
        self.bam("backup", "files", "manual,far", expect=3)
        self.assertLessEqual(self.server.log().count("Connection from"), 2, self.server.log())

    def test_keys_of_every_kind_let_us_in(self):
        kinds = {"ed25519": [], "ecdsa": [], "rsa": [], "rsa-pem": ["-m", "PEM"], "ecdsa-pem": ["-m", "PEM"], "rsa-pkcs8": ["-m", "PKCS8"]}
        for kind, how in kinds.items():
            with self.subTest(kind):
                key = self.path(kind)
                run("ssh-keygen", "-q", "-t", kind.split("-")[0], *how, "-N", "", "-f", key)
                with open(key + ".pub") as public, open(self.server.path("authorized_keys"), "a") as authorized:
                    authorized.write(public.read())
                # Whoever has the one needs not the other.
                os.remove(key + ".pub")
                self.document["destinations"]["far"]["identity_file"] = key
                self.bam("backups", "far")

    def test_a_key_that_cannot_be_read_is_not_put_down_to_its_format(self):
        key = self.document["destinations"]["far"]["identity_file"] = self.path("id")
        os.mkdir(key)
        self.assertSays(self.bam("backups", "far", expect=1), key, "Is a directory")
        os.rmdir(key)
        said = self.bam("backups", "far", expect=1)
        self.assertEqual(said.err.count("far"), 1, said)
        with open(self.server.path("id")) as file:
            private = file.read()
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path("new"))
        with open(self.path("new.pub")) as file:
            public = file.read()
        for how in ([], ["-m", "PEM"]):
            run("ssh-keygen", "-q", "-t", "rsa", "-b", "2048", *how, "-N", "a passphrase", "-f", self.path("locked" + "".join(how)))
        with open(self.path("locked")) as new, open(self.path("locked-mPEM")) as old:
            locked = [new.read(), old.read()]
        for text, words in (("no key at all\n", ["is no private key", "ssh-keygen"]), ("", ["is empty"]), (public, ["is a public key", ".pub"]),
                            ("\ufeff" + private, ["byte order mark"]), (private[:200], ["cut short"]),
                            ("PuTTY-User-Key-File-3: ssh-ed25519\n", ["PuTTY", "puttygen"]),
                            ("".join(private.splitlines(True)[:2] + private.splitlines(True)[3:]), ["damaged"]),
                            *((text, ["has a passphrase", "ssh-keygen -p"]) for text in locked)):
            with self.subTest(text[:40]):
                with open(key, "w") as file:
                    file.write(text)
                said = self.bam("backups", "far", expect=1)
                self.assertSays(said, f"the identity_file {key}", *words)
                self.assertNotIn("does not let", said.err)
        self.document["destinations"]["far"]["identity_file"] = self.path("new")
        self.assertSays(self.bam("backups", "far", expect=1), "does not let", "authorized_keys of ", self.path("new"))

    def test_a_file_in_the_folders_place(self):
        place = os.path.join(self.server.backups, "place")
        with open(place, "w"):
            self.document["destinations"]["far"]["url"] = self.server.url + "/place"
        for words in (["backups", "far"], ["backup", "files", "far"]):
            said = self.bam(*words, expect=1)
            self.assertSays(said, "is not a folder", "correct the path")

    def test_a_greeting_without_end_is_given_up(self):
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def babble():
            while True:
                try:
                    connection, _ = listener.accept()
                    while True:
                        connection.sendall(b"Welcome to our server, please read this.\r\n" * 100)
                except OSError:
                    if listener.fileno() < 0:
                        return

        threading.Thread(target=babble, daemon=True).start()
        self.document["destinations"]["far"].update(url=f"sftp://u@127.0.0.1:{listener.getsockname()[1]}/x", timeout=2)
        began = time.monotonic()
        made = self.bam("backup", "files", "manual,far", expect=3)
        self.assertLess(time.monotonic() - began, LIMIT / 3)
        self.assertSays(made, "far")
        listener.shutdown(socket.SHUT_RDWR)


@unittest.skipUnless(os.path.exists(PROGRAM), "openssh-server is not installed")
class Liars(SiteTest):
    """A real sshd with an SFTP server that does not do what it says."""

    def lie(self, *lies):
        self.write("sites/default/files/note", "field note")
        self.write("sites/default/files/large", os.urandom(3 << 20))
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lying_sftp.py")
        server = Sshd(extra=f"ForceCommand {sys.executable} {program} {' '.join(lies)}")
        self.addCleanup(server.close)
        self.document["destinations"]["far"] = {**server.settings, "timeout": 5}
        return server

    def peak(self, process):
        """The most memory of a process that has ended, in MiB."""
        return peak_memory(process) / 1048576

    def test_an_honest_one_is_believed(self):
        server = self.lie()
        self.bam("backup", "files", "far")
        self.assertEqual(hidden(server.backups), [])
        self.bam("verify")

    def test_short_answers_are_put_together(self):
        self.lie("short")
        made = self.bam_json("backup", "files", "far")
        self.bam("verify")
        shutil.rmtree(self.files)
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual(os.path.getsize(os.path.join(self.files, "large")), 3 << 20)

    def test_a_rename_that_was_none_is_noticed(self):
        self.lie("rename")
        made = self.bam("backup", "files", "manual,far", expect=3)
        self.assertSays(made, "far", "put in place", "not there")

    def test_a_listing_without_end_is_given_up(self):
        self.lie("endless")
        made = self.backup("files", "manual")
        began = time.monotonic()
        process = self.start("backups")
        reader = threading.Thread(target=process.stderr.read)
        reader.start()
        peak = self.peak(process)
        reader.join()
        self.assertEqual(process.wait(), 3)
        self.assertLess(time.monotonic() - began, LIMIT / 2)
        self.assertLess(peak, MOST)
        self.assertIn(made["file"].encode(), process.stdout.read())

    def test_answers_without_end_are_given_up(self):
        self.lie("flood")
        self.backup("files", "manual")
        began = time.monotonic()
        process = self.start("--quiet", "backup", "files", "manual,far")
        peak = self.peak(process)
        self.assertEqual(process.wait(), 3)
        self.assertLess(time.monotonic() - began, LIMIT / 2)
        self.assertLess(peak, MOST)
        self.assertIn(b"no copy at far", process.stderr.read())


if __name__ == "__main__":
    unittest.main()
