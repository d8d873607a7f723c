"""Servers that lie in any of their answers: nothing is lost, nothing is believed that was not checked, and neither memory nor time
is theirs to take."""

import os
import random
import shutil
import signal
import socketserver
import sys
import threading
import time
import unittest

from bamtest import SiteTest, digest, peak_memory, tree
from sshd import PROGRAM, Sshd

HERE = os.path.dirname(os.path.abspath(__file__))
# What the whole of a run may take; docs/performance.md promises it.
MOST = 64 << 20
# A backup tries again for five minutes, as a server may reboot: here somebody loses patience before, and cancels.
PATIENCE = 20
LONGEST = 60
SEED = int(os.environ.get("BAM_TEST_SEED") or random.randrange(1 << 32))
ROUNDS = int(os.environ.get("BAM_TEST_ROUNDS", "3"))


class Liars(SiteTest):
    def measured(self, *words):
        """Runs bam, whatever comes of it: it ends in time, in memory, and without a panic."""
        begun = time.monotonic()
        process = self.start(*words)
        said = []
        reading = threading.Thread(target=lambda: said.append(process.communicate()))
        timers = [threading.Timer(PATIENCE, process.send_signal, [signal.SIGINT]), threading.Timer(LONGEST, process.kill)]
        reading.start()
        for timer in timers:
            timer.start()
        peak = peak_memory(process)
        reading.join()
        for timer in timers:
            timer.cancel()
        seconds = time.monotonic() - begun
        text = b"".join(said[0]).decode(errors="replace") if said else ""
        note = f"seed {SEED}: bam {' '.join(words)}: exit code {process.returncode} after {seconds:.0f} s, {peak >> 20} MiB\n{text}"
        self.assertIn(process.returncode, (0, 1, 2, 3, 4, *([130] if seconds > PATIENCE else [])), note)
        self.assertNotIn("panicked", text, note)
        self.assertNotIn("bug in bam", text, note)
        self.assertLess(seconds, LONGEST, note)
        self.assertLessEqual(peak, MOST, note)
        return process.returncode, note


@unittest.skipUnless(os.path.exists(PROGRAM), "openssh-server is not installed")
class Sftp(Liars):
    # Starts among the first (tests/tap.py).
    long = True

    def setUp(self):
        super().setUp()
        self.write("sites/default/files/big", random.Random(1).randbytes(300_000))
        self.write("sites/default/files/a", "A")

    def test_any_answer_may_be_a_lie(self):
        """Each verb against a server that lies in one answer in ten, or in thirty; and afterwards against an honest one."""
        log = self.path("lies")
        open(log, "w").close()
        os.chmod(log, 0o666)
        done = 0
        for number in range(ROUNDS):
            with self.subTest(seed=SEED, round=number):
                honest = Sshd()
                self.addCleanup(honest.close)
                self.document["destinations"] = {"manual": self.document["destinations"]["manual"],
                                                 "far": {**honest.settings, "timeout": 5}}
                first = self.backup("files", "manual,far", "secret")
                here, site = digest(first["path"]), tree(self.files)
                liar = Sshd(extra=f"ForceCommand {sys.executable} {HERE}/lying_sftp.py seed={SEED}-{number} "
                                  f"one-in={(10, 30)[number % 2]} log={log}")
                self.addCleanup(liar.close)
                # The same folder, told of by somebody else.
                shutil.rmtree(liar.backups)
                os.symlink(honest.backups, liar.backups)
                self.document["destinations"]["far"] = {**liar.settings, "timeout": 5}
                for words in (["backups"], ["verify"], ["backup", "files", "manual,far", "secret"], ["replicate"], ["status"],
                              ["restore", str(first["id"]), "--destination", "far", "--into", self.path(f"look-{number}"), "--yes"],
                              ["prune"], ["rekey", "--all"], ["delete", "latest", "--destination", "far", "--yes"]):
                    self.measured(*words)
                    done += 1
                self.assertEqual(digest(first["path"]), here, "the copy on this machine is as it was")
                self.assertEqual(tree(self.files), site, "nothing was restored onto the site")
                look = self.path(f"look-{number}")
                if os.path.exists(look):
                    self.assertEqual(tree(look), site, "what was restored is what was backed up")
                # The honest server has what it has: bam says so, and takes up from there.
                self.document["destinations"]["far"] = {**honest.settings, "timeout": 5}
                self.bam("backup", "files", "manual,far", "secret")
                self.measured("verify")
                self.bam("verify", "--destination", "manual")
                honest.close()
                liar.close()
        with open(log) as file:
            self.assertGreater(sum(" lie_" in line for line in file), done // 3, "it did lie")


class Nonsense(socketserver.BaseRequestHandler):
    """A server of which every connection brings something else: nothing, noise, half a greeting, a flood."""

    def handle(self):
        chance = self.server.chance
        with self.server.guard:
            what = chance.randrange(6)
        greeting = b"\x0a5.5.5-10.11.6-MariaDB\x00" + bytes(4) + b"abcdefgh\x00\xff\xf7\x08\x02\x00\xff\x81\x15" + bytes(10) + b"x" * 13
        try:
            if what == 0:
                return
            if what == 1:
                self.request.sendall(chance.randbytes(5000))
            elif what == 2:
                self.request.sendall(len(greeting).to_bytes(3, "little") + b"\0" + greeting[:chance.randrange(len(greeting))])
            elif what == 3:
                self.request.sendall(b"\xff\xff\xff\0" + b"\x0a" * 100)
                while True:
                    self.request.sendall(b"y" * 65536)
            else:
                self.request.sendall(len(greeting).to_bytes(3, "little") + b"\0" + greeting)
                while self.request.recv(65536):
                    noise = chance.randbytes(chance.randrange(1, 3000))
                    self.request.sendall(len(noise).to_bytes(3, "little") + bytes([chance.randrange(4)]) + noise)
        except OSError:
            # It has hung up.
            pass


@unittest.skipUnless(shutil.which("mariadb") or shutil.which("mysql"), "mariadb-client is not installed")
class Database(Liars):
    def test_a_database_server_that_talks_nonsense(self):
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Nonsense)
        server.daemon_threads = True
        server.chance, server.guard = random.Random(SEED), threading.Lock()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.write("sites/default/files/a", "A")
        self.document["databases"] = {"db": {"url": f"mysql://u:p@127.0.0.1:{server.server_address[1]}/d"}}
        self.document["sources"] |= {"db": {"type": "database"}, "archive": {"type": "archive"}}
        self.bam("backup", "files")
        before = self.visible()
        for number in range(4 * ROUNDS):
            with self.subTest(seed=SEED, round=number):
                code, note = self.measured("backup", ("db", "archive")[number % 2])
                self.assertNotEqual(code, 0, note)
                self.assertEqual(self.visible(), before, note)


@unittest.skipUnless(shutil.which("rsync") and os.path.exists(PROGRAM), "rsync or openssh-server is not installed")
class Rsync(Liars):
    def test_an_rsync_that_lies(self):
        """At the other end another program answers: it says nothing, noise, the truth cut short, or that all is well."""
        self.write("sites/default/files/a", random.Random(2).randbytes(100_000))
        lies = ["exit 0", "exit 12", "head -c 3000 /dev/urandom", "exec sleep 20", "cat /dev/zero",
                "{ eval \"$SSH_ORIGINAL_COMMAND\"; } | head -c 300", "eval \"$SSH_ORIGINAL_COMMAND\"; exit 23"]
        for lie in lies:
            with self.subTest(lie=lie):
                program = self.path("lie")
                with open(program, "w") as file:
                    # Only rsync lies: what else bam asks the server is answered.
                    file.write(f"#!/bin/sh\ncase $SSH_ORIGINAL_COMMAND in rsync*) {lie} ;; "
                               "*sftp*) exec /usr/lib/openssh/sftp-server ;; *) eval \"$SSH_ORIGINAL_COMMAND\" ;; esac\n")
                os.chmod(program, 0o755)
                server = Sshd(extra=f"ForceCommand {program}")
                self.addCleanup(server.close)
                self.document["destinations"] = {"manual": self.document["destinations"]["manual"],
                                                 "far": {**server.settings, "type": "rsync", "timeout": 2}}
                code, note = self.measured("backup", "files", "manual,far", "secret")
                self.assertNotEqual(code, 2, note)
                self.bam("verify", "--destination", "manual")
                shown = {name for name in os.listdir(server.backups) if not name.startswith(".") and not name.endswith(".info")}
                for name in shown:
                    self.assertEqual(digest(os.path.join(server.backups, name)), digest(os.path.join(self.destination(), name)),
                                     "what shows there is whole")
                if code == 0:
                    self.assertTrue(shown, note)
                server.close()


if __name__ == "__main__":
    unittest.main()
