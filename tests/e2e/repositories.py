"""What tests of repositories share: a site with one, and the real restic program to look into it."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import unittest

from bamtest import SiteTest, descendants
from mariadb import server
from restic_key import make_cheap

UGLY = [b"plain", b" blank \t", b"a\nb", b"we[ir]d*?\\$HOME # !", b"\xff\xfe", "ü 😀".encode(), b"-dash", b"'quote\""]
# What restic can be asked for here.
VERBS = {"backup", "check", "copy", "dump", "forget", "init", "key", "ls", "prune", "snapshots", "stats", "version"}
# Kept as it is by whoever unpacks: times with their fraction.
TIME = 1_700_000_000_123_456_789


@unittest.skipUnless(shutil.which("restic"), "restic is not installed")
class RepositoryTest(SiteTest):
    # What restic, when a test calls it, finds in its environment besides.
    credentials = {}
    # Where the destination `inc` lies on this machine, where its settings do not say so.
    folder = None

    def setUp(self):
        super().setUp()
        self.repository = self.path("repo")
        self.document["destinations"]["inc"] = {"type": "restic", "repository": self.repository}
        self.document["site"]["url"] = "http://lab.example.org"

    def init(self, name="inc"):
        self.bam("destination", "init", name)
        settings = self.document["destinations"][name]
        repository = settings["repository"]
        if repository.startswith("sftp:"):
            repository = "/" + repository.rpartition("//")[2]
        if name == "inc" and self.folder:
            repository = self.folder
        if os.path.isdir(repository):
            make_cheap(repository, self.password(settings.get("key_file")))

    def restic(self, *arguments, expect=0, repository=None, password=None):
        done = subprocess.run(["restic", "--no-cache", "-r", repository or self.repository, *arguments],
                              env={**os.environ, **self.credentials, "RESTIC_PASSWORD": password or self.password(),
                                   "RESTIC_FROM_PASSWORD": self.password()},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.assertEqual(done.returncode, expect, done.stderr)
        return done.stdout

    def restic_fails(self, *arguments):
        """What it says then."""
        done = subprocess.run(["restic", "--no-cache", "-r", self.repository, *arguments],
                              env={**os.environ, **self.credentials, "RESTIC_PASSWORD": self.password()},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.assertNotEqual(done.returncode, 0)
        return done.stdout + done.stderr

    def backup_whose_dump_fails(self):
        """A backup of the whole site into it, of which the server ends the sessions that read."""
        process = self.start("backup", "archive", "inc")
        reading = "select id from information_schema.processlist where db = '%s' and info like 'select%%from%%'" % self.database
        while process.poll() is None:
            for session in self.server.sql(reading).split():
                with contextlib.suppress(RuntimeError):
                    self.server.sql(f"kill {session}")
        self.finish(process, expect=1)

    def assertNotMadeOver(self):
        """Of a repository that holds a backup of files and has lost its file `config`."""
        for forget in (False, True):
            if forget:
                shutil.rmtree(self.path("state"))
                self.assertSays(self.bam("backups", expect=1), "is damaged: its file config is gone", "2 snapshots")
            self.assertSays(self.bam("destination", "init", "inc", expect=4), "its file config is gone", "put back that file")
            self.bam("destination", "try", "inc", expect=3)

    def seen_until_the_end(self, process):
        """Of a run that ends well: the arguments and the environment of all that it started."""
        seen = []
        while process.poll() is None:
            for pid in descendants(process.pid):
                try:
                    with open(f"/proc/{pid}/cmdline", "rb") as line, open(f"/proc/{pid}/environ", "rb") as variables:
                        seen.append((line.read(), variables.read()))
                except OSError:
                    pass
        self.finish(process, expect=0)
        return seen

    def restic_backups(self, **options):
        """The snapshots of each backup, by its number: what they are."""
        found = {}
        for one in self.snapshots(**options):
            tags = dict(tag.split("=", 1) for tag in one["tags"])
            found.setdefault(tags["bam_id"], []).append(tags["bam_part"])
        return {number: sorted(parts) for number, parts in found.items()}

    def counted(self):
        """An environment in which restic's calls are counted, and how: what was asked of it, one word for each call."""
        programs, calls = self.path("counted"), self.path("calls")
        os.makedirs(programs, exist_ok=True)
        with open(programs + "/restic", "w") as file:
            file.write(f'#!/bin/sh\n[ "$1" = version ] || echo "$@" >> {calls}\nexec {shutil.which("restic")} "$@"\n')
        os.chmod(programs + "/restic", 0o755)

        def told():
            if not os.path.exists(calls):
                return []
            with open(calls) as file:
                lines = file.read().split("\n")[:-1]
            os.remove(calls)
            return [next(word for word in line.split() if word in VERBS) for line in lines]

        return {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}, told

    def password(self, key=None):
        with open(key or self.key) as file:
            return file.readline().strip()

    def snapshots(self, **options):
        return json.loads(self.restic("snapshots", "--json", **options))

    def parts(self):
        """What each snapshot is of its backup."""
        return sorted(re.search(r"bam_part=(\w+)", ",".join(one["tags"]))[1] for one in self.snapshots())

    def whole_site(self, tables):
        """A site with code, settings, files, and a database with these tables."""
        self.server = server()
        self.database = f"bam_{os.path.basename(self.top).replace('-', '_').lower()}"
        self.server.sql(f"create database {self.database} character set utf8mb4")
        self.addCleanup(self.server.sql, f"drop database {self.database}")
        self.server.sql(tables, self.database)
        self.document["databases"] = {"db": {"url": f"mysql://root@localhost/{self.database}", "socket": self.server.socket}}
        self.document["sources"] |= {"archive": {"type": "archive"}, "db": {"type": "database"}}
        self.write("index.php", "<?php\n")
        self.write("sites/default/settings.php", "<?php // this machine's\n", mode=0o440)
        self.fill()

    def fill(self):
        for number, name in enumerate(UGLY):
            path = os.path.join(self.files.encode(), name)
            with open(path, "wb") as file:
                file.write(name * (number + 1))
            os.utime(path, ns=(TIME, TIME + number))
        os.makedirs(self.files + "/empty/deep", mode=0o750)
        self.write("sites/default/files/sub/big", os.urandom(2_000_000), mode=0o640)
        os.link(self.files + "/sub/big", self.files + "/sub/the same")
        os.symlink("sub/big", self.files + "/link")
        os.symlink("nowhere", self.files + "/dangling")
