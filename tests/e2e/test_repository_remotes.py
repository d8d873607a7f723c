"""Repositories at servers: a REST server and a remote of rclone, both of the real rclone; S3, of moto."""

import os
import shutil
import signal
import socket
import subprocess
import time
import unittest

from bamtest import tree
from objects import BUCKET, KEY, S3, SECRET
from repositories import RepositoryTest


class RemoteTest(RepositoryTest):
    def secret(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        os.chmod(self.path(name), 0o600)
        return self.path(name)

    def round_trip(self):
        """Everything that a repository here does, it does there."""
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


@unittest.skipUnless(shutil.which("rclone"), "rclone is not installed")
class Rest(RemoteTest):
    def serve(self, *options):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.served = self.path("served")
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

    def test_a_remote_of_rclone(self):
        os.mkdir(self.path("far"))
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

    def test_what_lies_in_both_is_read_from_the_one_on_this_machine(self):
        self.document["destinations"]["away"] = self.bucket
        self.fill()
        self.init()
        self.bam("destination", "init", "away")
        self.bam("backup", "files", "away,inc")
        before = len(self.server.log())
        self.assertEqual(self.bam("cat", "latest", "plain").out, "plain")
        shutil.rmtree(self.files)
        self.bam("restore", "latest", "--yes")
        asked = [line for line in self.server.log()[before:].splitlines() if "/lab/" in line]
        self.assertNotEqual(asked, [])
        self.assertEqual([line for line in asked if "/lab/data/" in line], [])


if __name__ == "__main__":
    unittest.main()
