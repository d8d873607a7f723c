"""Repositories at servers: OpenSSH; a REST server and a remote of rclone, both of the real rclone; S3, of moto."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest

from bamtest import tree
from objects import BUCKET, KEY, S3, SECRET
from repositories import RepositoryTest
from sshd import PROGRAM, Sshd


class Silent:
    """Takes connections on a port of this machine and never says a word. Runs until close()."""

    def __init__(self, port):
        self.socket = socket.create_server(("127.0.0.1", port))
        self.taken = []
        self.thread = threading.Thread(target=self.take)
        self.thread.start()

    def take(self):
        with contextlib.suppress(OSError):
            while True:
                self.taken.append(self.socket.accept()[0])

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        for taken in [*self.taken, self.socket]:
            taken.close()


class RemoteTest(RepositoryTest):
    def secret(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        os.chmod(self.path(name), 0o600)
        return self.path(name)

    def round_trip(self):
        """Everything that a repository here does, it does there."""
        result = self.bam("backups")
        self.assertSays(result, "there is no repository at", "destination init inc")
        self.assertEqual(result.err.count("destination init inc"), 1, "what to do is said once")
        self.document["schedules"] = {"nightly": {"source": "files", "profile": "default", "destinations": ["inc"],
                                                  "every": 1, "keep": 1}}
        self.fill()
        self.assertSays(self.bam("backup", "files", "inc", expect=1), "destination init inc")
        self.init()
        self.bam("destination", "try", "inc")
        self.bam("run", "nightly")
        self.write("sites/default/files/later", "later")
        self.bam("run", "nightly")
        before = tree(self.files)
        listed = self.bam_json("backups")["backups"]
        self.assertEqual([len(backup["copies"]) for backup in listed], [1], "the older one went")
        self.assertEqual(self.bam("cat", "latest", "later").out, "later")
        shutil.rmtree(self.files)
        self.bam("restore", "latest", "--yes")
        self.assertEqual(tree(self.files), before)
        self.bam("verify", "--sample", "100")
        told = self.bam_json("status", expect=None)["repositories"]["inc"]
        self.assertGreater(told["size"], 2_000_000)
        self.assertEqual((told["check"]["ok"], told["check"]["sample"]), (True, 100))

    def listed(self, restic, **options):
        """The numbers of the backups. `restic`: whether it has to be started for that."""
        counted, calls = self.counted()
        listed = self.bam_json("backups", env=counted, **options)["backups"]
        self.assertEqual(calls(), ["snapshots"] if restic else [])
        return [backup["id"] for backup in listed]

    def cannot_be_asked(self, *words):
        """Whoever lists it, with nothing remembered of it, gets these words, and nobody says that there is no repository."""
        shutil.rmtree(self.path("state"), ignore_errors=True)
        for arguments, code in ((["backups"], 1), (["destination", "init", "inc"], 1),
                                (["destination", "try", "inc"], 3), (["config", "check"], 3)):
            with self.subTest(" ".join(arguments)):
                result = self.bam(*arguments, expect=code)
                for word in words:
                    self.assertIn(word, result.out + result.err)
                self.assertNotIn("there is no repository", result.out + result.err)

    def hangs(self, process, word):
        """The server takes connections and answers nothing: whoever looks, with nothing remembered, ends and says so."""
        self.document["destinations"]["inc"]["timeout"] = 1
        os.killpg(process.pid, signal.SIGSTOP)
        try:
            self.cannot_be_asked(word)
        finally:
            os.killpg(process.pid, signal.SIGCONT)

    def is_not_made_over(self, config):
        """Nor does anybody say that there is no repository where one has lost its file `config`; `config` takes it away."""
        self.document["destinations"].pop("manual", None)
        self.fill()
        self.init()
        self.bam("backup", "files", "inc")
        config()
        self.assertNotMadeOver()

    def ids(self, number, repository):
        """The snapshots of a backup."""
        return [one["id"] for one in self.snapshots(repository=repository) if f"bam_id={number}" in one["tags"]]

    def is_remembered(self, repository):
        """What is there is remembered, whoever changes it. `repository`: as restic takes it."""
        # Where another machine brings a backup from.
        side = self.path("side")
        self.document["destinations"]["side"] = {"type": "restic", "repository": side}
        self.fill()
        for name in ("inc", "side"):
            self.init(name)
        made = [self.bam_json("backup", "files", "inc,side")["id"] for _ in range(2)]
        del self.document["destinations"]["side"]
        self.assertEqual(self.listed(restic=False), made[::-1], "what was saved from here is known")
        shutil.rmtree(self.path("state"))
        self.assertEqual(self.listed(restic=True), made[::-1])
        self.assertEqual(self.listed(restic=False), made[::-1])
        self.restic("forget", *self.ids(made[1], repository), repository=repository)
        self.assertEqual(self.listed(restic=False), made[:1], "another machine forgot one")
        self.restic("copy", "--from-repo", side, *self.ids(made[1], side), repository=repository)
        self.assertEqual(self.listed(restic=True), made[::-1], "another machine added one")
        self.assertEqual(self.listed(restic=False), made[::-1])
        self.bam("delete", str(made[0]), "--yes")
        self.assertEqual(self.listed(restic=False), made[1:])

    def silence(self, port, word):
        """The server on that port has ended, and what is there now says nothing: it is waited for once."""
        silent = Silent(port)
        self.addCleanup(silent.close)
        counted, calls = self.counted()
        self.assertSays(self.bam("backups", expect=1, env=counted), "inc", word)
        self.assertEqual((calls(), len(silent.taken)), ([], 1))


@unittest.skipUnless(os.path.exists(PROGRAM), "sshd is not installed")
class Ssh(RemoteTest):
    def setUp(self):
        super().setUp()
        self.server = Sshd()
        self.addCleanup(self.server.close)
        address = self.server.url.removeprefix("sftp:").replace(self.server.backups, "/" + self.server.backups) + "/repo"
        self.document["destinations"] = {"inc": {"type": "restic", "repository": "sftp:" + address, **self.server.keys}}

    def test_its_list_is_remembered(self):
        self.is_remembered(self.server.backups + "/repo")

    def test_no_new_one_is_made_over_one(self):
        self.is_not_made_over(lambda: os.remove(self.server.backups + "/repo/config"))

    def test_one_that_does_not_answer_is_waited_for_once(self):
        self.document["destinations"]["inc"]["timeout"] = 1
        self.init()
        self.bam("backups")
        self.server.stop()
        self.silence(self.server.port, "no answer")

    def test_another_server_in_its_place_is_told_nothing(self):
        self.fill()
        self.init()
        made = self.bam_json("backup", "files", "inc")["id"]
        self.assertEqual(self.listed(restic=False), [made])
        os.remove(self.server.path("known_hosts"))
        self.assertSays(self.bam("backups", expect=1), "is unknown", "destination trust inc")


@unittest.skipUnless(shutil.which("rclone"), "rclone is not installed")
class Rest(RemoteTest):
    def serve(self, *options):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.served = self.folder = self.path("served")
        os.makedirs(self.served, exist_ok=True)
        with open(self.path("log"), "ab") as log:
            process = subprocess.Popen(["rclone", "--config", self.path("rclone.conf"), "serve", "restic", "--addr", f"127.0.0.1:{port}",
                                        "--htpasswd", self.path("htpasswd"), *options, self.served],
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.addCleanup(self.stop, process)
        last = time.monotonic() + 60
        while True:
            with socket.socket() as there:
                if not there.connect_ex(("127.0.0.1", port)):
                    break
            self.assertLess(time.monotonic(), last, "rclone did not start")
            time.sleep(0.05)
        self.document["destinations"]["inc"] = {"type": "restic", "repository": f"rest:http://lab@127.0.0.1:{port}/",
                                                "password_file": self.secret("rest password", "a secret of REST\n")}
        return process

    def stop(self, process):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def setUp(self):
        super().setUp()
        hashed = subprocess.run(["openssl", "passwd", "-apr1", "a secret of REST"], check=True, capture_output=True, text=True).stdout
        self.secret("htpasswd", "lab:" + hashed)
        self.secret("rclone.conf", "")

    def test_a_rest_server(self):
        self.serve()
        self.round_trip()
        self.restic("check", "--read-data", repository=self.served)
        self.secret("rest password", "another\n")
        result = self.bam("backup", "files", "inc", expect=1)
        self.assertNotIn("another", result.err.replace("another backup", ""))

    def test_a_server_that_hangs_is_not_waited_for_for_ever(self):
        process = self.serve()
        del self.document["destinations"]["manual"]
        self.hangs(process, "inc")
        # As restic alone asks it.
        inc = self.document["destinations"]["inc"]
        del inc["password_file"]
        inc["repository"] += "?"
        self.hangs(process, "no answer within 5 s")

    def test_no_new_one_is_made_over_one(self):
        # It would tell for a while of what is gone.
        self.serve("--cache-objects=false")
        self.is_not_made_over(lambda: os.remove(self.served + "/config"))
        # Of one that was not even finished, either.
        for left in ("snapshots", "data", "index"):
            shutil.rmtree(os.path.join(self.served, left), ignore_errors=True)
        self.assertSays(self.bam("destination", "init", "inc", expect=4), "what is left of a repository")

    def test_a_server_that_is_down_hides_the_latest(self):
        there = self.serve()
        self.document["destinations"]["near"] = {"type": "restic", "repository": self.path("near")}
        self.fill()
        self.init()
        self.init("near")
        self.bam("backup", "files", "near")
        self.bam("backup", "files", "inc")
        self.stop(there)
        shutil.rmtree(self.path("state"))
        for arguments in (["backups"], ["restore", "latest", "--yes"]):
            self.assertSays(self.bam(*arguments, expect=3), "destination inc is left out", "connection refused")

    def test_who_cannot_be_asked_says_not_that_there_is_none(self):
        self.stop(self.serve())
        del self.document["destinations"]["manual"]
        self.cannot_be_asked("connection refused")
        self.serve()
        inc = self.document["destinations"]["inc"]
        address = inc["repository"]
        inc["repository"] = address.replace("http:", "https:")
        self.cannot_be_asked("HTTPS client")
        self.secret("rest password", "another\n")
        inc["repository"] = address
        self.cannot_be_asked("401")
        inc["repository"] = "rest:http://lab@host.invalid/"
        self.cannot_be_asked("host.invalid")

    def test_a_server_that_lets_nothing_be_deleted(self):
        self.stop(self.serve())
        self.serve("--append-only")
        self.document["schedules"] = {"nightly": {"source": "files", "profile": "default", "destinations": ["inc"],
                                                  "every": 1, "keep": 1}}
        self.fill()
        self.init()
        # It is found out at the second run, when the first backup is to go; the third asks no more.
        for number in range(3):
            result = self.bam("run", "nightly")
            if number:
                self.assertSays(result, "guards old copies")
        self.assertEqual(len(self.bam_json("backups")["backups"]), 3)
        self.assertSays(self.bam("status", expect=None), "guards old copies")
        self.assertSays(self.bam("delete", "latest", "--yes", expect=1), "lets nothing be deleted")
        self.restic("check", "--read-data", repository=self.served)

    def test_its_list_is_remembered(self):
        self.serve()
        del self.document["destinations"]["manual"]
        self.is_remembered(self.served)

    def test_a_remote_of_rclone(self):
        os.mkdir(self.path("far"))
        self.folder = self.path("far/repo")
        self.secret("rclone.conf", "[far]\ntype = alias\nremote = " + self.path("far") + "\n")
        self.document["destinations"]["inc"] = {"type": "restic", "repository": "rclone:far:repo",
                                                "credential_files": {"RCLONE_CONFIG": self.path("rclone.conf")}}
        self.round_trip()
        self.restic("check", "--read-data", repository=self.path("far/repo"))


class Bucket(RemoteTest):
    def setUp(self):
        super().setUp()
        self.server = S3()
        self.addCleanup(self.server.close)
        self.bucket = {"type": "restic", "repository": f"s3:{self.server.endpoint}/{BUCKET}/lab",
                       "credential_files": {"AWS_ACCESS_KEY_ID": self.secret("id", KEY + "\n"),
                                            "AWS_SECRET_ACCESS_KEY": self.secret("secret", SECRET + "\n")}}

    def test_a_bucket(self):
        self.document["destinations"]["inc"] = self.bucket
        self.round_trip()
        self.assertIn("lab/config", self.server.keys())

    def test_its_list_is_remembered(self):
        self.document["destinations"] = {"inc": self.bucket}
        self.credentials = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
        self.is_remembered(self.bucket["repository"])

    def test_one_that_does_not_answer_is_waited_for_once(self):
        self.document["destinations"] = {"inc": self.bucket}
        self.fill()
        self.init()
        self.bam("backup", "files", "inc")
        self.server.stop()
        self.silence(self.server.port, "timed out")

    def test_who_cannot_be_asked_says_not_that_there_is_none(self):
        self.document["destinations"] = {"inc": dict(self.bucket)}
        inc = self.document["destinations"]["inc"]
        # restic makes the bucket, too.
        inc["repository"] = self.bucket["repository"].replace(BUCKET, "nobody")
        self.assertSays(self.bam("backups", expect=None), "there is no repository at")
        inc["repository"] = self.bucket["repository"]
        right = inc["credential_files"]
        self.server.allow("s3:ListBucket")
        inc["credential_files"] = {**right, "AWS_ACCESS_KEY_ID": self.secret("another id", "AKIAWRONG\n")}
        self.cannot_be_asked("does not exist in our records")
        inc["credential_files"] = right
        self.server.stop()
        self.cannot_be_asked("connection refused")

    def test_a_server_that_hangs_is_not_waited_for_for_ever(self):
        self.document["destinations"] = {"inc": self.bucket}
        self.hangs(self.server.process, "inc")

    def test_no_new_one_is_made_over_one(self):
        self.document["destinations"]["inc"] = self.bucket
        self.is_not_made_over(lambda: self.server.ask("client.delete_object(Bucket=BUCKET, Key='lab/config') and None"))

    def test_what_lies_in_both_is_read_from_the_one_on_this_machine(self):
        self.document["destinations"]["away"] = self.bucket
        self.fill()
        self.init()
        self.init("away")
        self.bam("backup", "files", "away,inc")
        before = len(self.server.log())
        self.assertEqual(self.bam("cat", "latest", "plain").out, "plain")
        shutil.rmtree(self.files)
        self.bam("restore", "latest", "--yes")
        asked = self.server.log()[before:].replace("%2F", "/").splitlines()
        self.assertNotEqual([line for line in asked if "lab/snapshots/" in line], [])
        self.assertEqual([line for line in asked if "lab/data/" in line], [])


if __name__ == "__main__":
    unittest.main()
