"""Night after night on a real site: what the tests of a month share. They move the clock by libfaketime.

The clock that moves is that of Drupal and of bam, which decide by it what is due, what a backup's date is and what stays. restic
asks the kernel itself, as every program in Go: its own snapshots have the time of the test. So do files and database servers.
"""

import datetime
import glob
import json
import os
import random
import shutil
import subprocess
import time
import unittest

from bamtest import tree
from objects import BUCKET, KEY, S3, SECRET

NIGHTS = int(os.environ.get("BAM_TEST_NIGHTS", "4"))
KEEP = {"daily": 7, "weekly": 4, "monthly": 2}
# Three o'clock at night, late in the month, so that a month has an end in it.
FIRST = datetime.datetime(2031, 1, 20, 3, 0, tzinfo=datetime.timezone.utc)


def library():
    """Where libfaketime is; skips the test without it."""
    found = sorted(glob.glob("/usr/lib/*/faketime/libfaketime.so.1"))
    if not found:
        raise unittest.SkipTest("faketime is not installed")
    if not shutil.which("restic"):
        raise unittest.SkipTest("restic is not installed")
    return found[0]


class Clock:
    """The environment of a program that runs at another time. Time goes on as it does."""

    def __init__(self):
        self.library, self.ahead = library(), 0

    def set(self, moment):
        self.ahead = int(moment.timestamp() - time.time())

    def environment(self):
        return {"LD_PRELOAD": self.library, "FAKETIME": f"{self.ahead:+d}", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                # Files have the kernel's times: a program that reads them and one that sets them have to mean the same.
                "NO_FAKE_STAT": "1", "FAKE_UTIME": "0"}


class Repositories:
    """One on this machine, one on a server of S3, with what opens them."""

    def __init__(self, test, folder, password_file):
        self.test, self.folder, self.password_file = test, folder, password_file
        self.server = S3()
        test.addCleanup(self.server.close)
        self.near, self.far = os.path.join(folder, "near"), f"s3:{self.server.endpoint}/{BUCKET}/site"
        self.credentials = {name: self.secret(name, text) for name, text in
                            (("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", SECRET))}

    def secret(self, name, text):
        path = os.path.join(self.folder, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(text + "\n")
        return path

    def restic(self, repository, *arguments):
        """The stock program, without bam."""
        environment = {"PATH": os.environ["PATH"], "HOME": self.folder, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
        done = subprocess.run(["restic", "--no-cache", "-r", repository, "--password-file", self.password_file, *arguments],
                              env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.test.assertEqual(done.returncode, 0, f"restic {arguments[0]} of {repository}: {done.stdout}{done.stderr}")
        return done.stdout


class Month:
    """A site that changes each day and is backed up each night; the rule of what stays, worked out beside bam.

    A test gives: `clock`, `files` (the folder that changes) and where that is `inside` of a backup, `cron()`, `change_database(number)`,
    `bam(*words)`, `said()` and `repositories`.
    """

    def live(self):
        """The nights, one after the other. What the site was is kept for each of them."""
        self.states, self.made = {}, []
        for number in range(NIGHTS):
            self.change(number)
            # Cron is late by other minutes each night, as on a busy machine.
            self.clock.set(FIRST + datetime.timedelta(days=number, minutes=number * 7 % 11))
            self.cron()
            # As a timer does it: nothing is due twice, but for the drill that the policy wants each week.
            self.bam("run")
            listed = self.listed()
            new = [backup for backup in listed if backup["id"] not in self.made]
            self.assertEqual(len(new), 1, f"night {number}: {listed}\n{self.said()}")
            self.assertEqual({copy["destination"] for copy in new[0]["copies"]}, {"near", "far"}, self.said())
            self.made.append(new[0]["id"])
            self.states[new[0]["id"]] = number, tree(self.files)
            if number % 7 == 0:
                self.bam("verify", "latest")
            if number % 7 == 3:
                # An hour later nothing is due.
                self.clock.set(FIRST + datetime.timedelta(days=number, hours=1))
                self.cron()
                self.assertEqual(self.listed(), listed, "a second run of cron")

    def change(self, number):
        """What editors do in a day: files that come, change and go, and what is in the database."""
        chance = random.Random(number)
        os.makedirs(self.files, exist_ok=True)
        for name in ("new-%d" % number, "changed", "sub/%d" % (number % 5)):
            path = os.path.join(self.files, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(chance.randbytes(chance.randrange(1, 200_000)))
        gone = os.path.join(self.files, f"new-{number - 3}")
        if os.path.exists(gone):
            os.unlink(gone)
        self.change_database(number)

    def listed(self):
        return json.loads(self.bam("--json", "backups"))["backups"]

    def judge(self):
        """After the last night: what stayed, that each of it comes back, and that restic finds nothing wrong."""
        listed = self.listed()
        stays = self.what_stays()
        for where in ("near", "far"):
            found = {b["id"]: b for b in listed if where in [copy["destination"] for copy in b["copies"]]}
            verified = max([b["id"] for b in found.values() if any(copy["verified"] for copy in b["copies"])], default=None)
            # The newest that was proven stays in any case.
            self.assertEqual(set(found) - {verified}, stays - {verified}, f"{where}: {sorted(map(self.day, found))}")
        # Of the server, whose blocks come one request after the other, the newest and the oldest; its every byte is read below.
        from_far = [listed[0], listed[-1]]
        for where, backups in (("near", listed), ("far", from_far)):
            for backup in backups:
                self.comes_back(backup["id"], where)
        for repository in (self.repositories.near, self.repositories.far):
            self.assertIn("no errors were found", self.repositories.restic(repository, "check", "--read-data"))
            parts = json.loads(self.repositories.restic(repository, "snapshots", "--json"))
            of = {tag.split("=")[1] for one in parts for tag in one["tags"] if tag.startswith("bam_id=")}
            self.assertEqual(of, {str(backup["id"]) for backup in listed}, "nothing else is in there")
        status = json.loads(self.bam("--json", "status"))
        self.assertTrue(status["ok"], status)
        print(f"# {NIGHTS} nights into two repositories: {len(listed)} backups stayed, {len(listed) + len(from_far)} copies came back", flush=True)

    def day(self, backup):
        """When a backup was made: its number is that."""
        return datetime.datetime.fromtimestamp(backup, datetime.timezone.utc)

    def what_stays(self):
        """By the words of restic's forget, applied after each night to what was left by the one before."""
        periods = {"daily": lambda day: day.date(), "weekly": lambda day: day.isocalendar()[:2], "monthly": lambda day: (day.year, day.month)}
        left = []
        for number in self.made:
            left.append(number)
            stays = set()
            for word, count in KEEP.items():
                last = {periods[word](self.day(backup)): backup for backup in left}
                newest = sorted(last.values(), reverse=True)[:count]
                stays.update(newest)
                if len(newest) < count:
                    stays.add(left[0])
            left = sorted(stays)
        return set(left)

    def comes_back(self, backup, where):
        into = os.path.join(self.repositories.folder, "into")
        self.bam("restore", str(backup), "--destination", where, "--into", into, "--yes")
        number, files = self.states[backup]
        found = os.path.join(into, self.inside, os.path.basename(self.files))
        self.assertEqual(tree(found), files, f"the files of night {number}, from {where}")
        with open(os.path.join(into, "database.sql"), errors="replace") as dump:
            text = dump.read()
        self.assertIn(f"Night {number}.", text)
        self.assertNotIn(f"Night {number + 1}.", text)
        shutil.rmtree(into)
