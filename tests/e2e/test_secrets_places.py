"""Secrets of buckets and of what restic keeps there, and secrets that stand where none belongs."""

import json
import os
import shutil
import unittest

from bamtest import SiteTest
from objects import BUCKET, S3
from test_secrets import Watched

SECRET = "s3cret-4711-of-a-place"


@unittest.skipUnless(shutil.which("restic"), "restic is not installed")
class Buckets(Watched):
    # Starts among the first (tests/tap.py).
    long = True

    def setUp(self):
        super().setUp()
        self.server = S3()
        self.addCleanup(self.server.close)
        key, secret = self.server.allow("s3:*")
        self.handed = {"AWS_SECRET_ACCESS_KEY": secret}
        self.secrets.add("the bucket's secret", secret)
        self.secrets.add("the passphrase", "correct horse battery staple")
        files = [self.write(name, text + "\n", mode=0o600) for name, text in (("aws-id", key), ("aws-secret", secret))]
        self.document["destinations"] |= {
            "cloud": {"type": "s3", "url": f"s3://{BUCKET}/lab", "endpoint": self.server.endpoint, "access_key": key, "password": secret},
            "repo": {"type": "restic", "repository": f"s3:{self.server.endpoint}/{BUCKET}/repo",
                     "credential_files": {"AWS_ACCESS_KEY_ID": files[0], "AWS_SECRET_ACCESS_KEY": files[1]}}}
        self.own = {self.key, self.path("bam.yml"), *files}
        self.write("sites/default/files/page", "a page\n")

    def test_no_secret_of_a_bucket_shows_anywhere(self):
        self.run_it("config", "check", "--offline")
        self.run_it("config", "export")
        self.run_it("destinations")
        self.run_it("destination", "init", "repo")
        made = json.loads(self.run_it("--json", "backup", "files", "cloud,repo", "secret"))
        for verb in (["backups"], ["status"], ["verify"], ["ls", str(made["id"])], ["cat", "latest", "page"], ["replicate"],
                     ["restore", "latest", "--yes"], ["delete", str(made["id"]), "--yes"]):
            self.run_it(*verb)
        # What fails says why.
        self.server.stop()
        for settings in self.document["destinations"].values():
            if settings["type"] != "directory":
                settings["timeout"] = 1
        self.run_it("backups", expect=3)
        self.run_it("backup", "files", "cloud", "secret", expect=1)
        executed, written = self.look_at_traces(set())
        self.assertLessEqual({"bam", "restic"}, executed)
        self.assertIn(self.path("state"), written)
        self.look_at_files(self.own, self.top)


class Misplaced(SiteTest):
    def refused(self, key, *verb):
        said = self.bam(*verb, expect=2)
        self.assertNotIn(SECRET, said.out + said.err)
        self.assertIn(key, said.err)

    def test_a_secret_where_none_belongs_is_refused_by_its_key(self):
        good = json.dumps(self.document)
        for section, name, settings, key in [
                ("databases", "db", {"url": f"mysql://u@h/x?password={SECRET}"}, "url"),
                ("databases", "db", {"url": f"mysql:/u:{SECRET}@h/x"}, "url"),
                ("databases", "db", {"url": "mysql://u@h/x", "socket": f"mysql://u:{SECRET}@h/x"}, "socket"),
                ("destinations", "far", {"type": "rsync", "url": f"u:{SECRET}@h:/b"}, "url"),
                ("destinations", "far", {"type": "rsync", "url": f"rsync://u:{SECRET}@h/m"}, "url"),
                ("destinations", "far", {"type": "webdav", "url": f"https://h/b?token={SECRET}"}, "url"),
                ("destinations", "far", {"type": "s3", "url": "s3://b", "endpoint": f"http://k:{SECRET}@h"}, "endpoint")]:
            for verb in (["config", "export"], ["destinations"], ["--json", "backups"], ["config", "check", "--offline"]):
                with self.subTest(settings=settings, verb=verb):
                    self.document = json.loads(good)
                    self.document.setdefault(section, {})[name] = settings
                    self.refused(f"{section}.{name}.{key}", *verb)
        for key in ("key_file", "keys"):
            self.document = json.loads(good)
            self.document["encryption"] = {key: [SECRET] if key == "keys" else SECRET}
            self.refused(f"encryption.{key}", "config", "export")

    def test_what_is_no_secret_stays_in_an_export(self):
        self.document["databases"] = {"db": {"url": f"mysql://u:{SECRET}@h:3307/x", "prefix": "p_"}}
        self.document["destinations"] |= {"far": {"type": "webdav", "url": f"https://u:{SECRET}@h/files/me@example.org"},
                                          "inc": {"type": "restic", "repository": f"rest:https://u:{SECRET}@h:8000/r"}}
        said = self.bam("config", "export").out + self.bam("destinations").out
        self.assertNotIn(SECRET, said)
        for kept in ("mysql://u:[hidden]@h:3307/x", "https://u:[hidden]@h/files/me@example.org", "rest:https://u:[hidden]@h:8000/r"):
            self.assertIn(kept, said)
        # With its secrets it is one that works.
        with open(self.path("again.yml"), "w") as file:
            file.write(self.bam("config", "export", "--secrets").out)
        os.chmod(self.path("again.yml"), 0o600)
        again = self.bam("--config", self.path("again.yml"), "config", "export", "--secrets", config=False).out
        self.assertEqual(again, self.bam("config", "export", "--secrets").out)


if __name__ == "__main__":
    unittest.main()
