"""Kills at random moments of `bam backup` into a repository: what is listed afterwards is whole, whatever was cut short.

`BAM_TEST_KILLS=200 tests/e2e/run kills_at_random` takes so many; `BAM_TEST_SEED=N` takes the moments of a run that printed N.
"""

import contextlib
import os
import random
import shutil
import signal
import threading
import time
import unittest

from bamtest import descendants, tree
from mariadb import missing
from repositories import RepositoryTest

KILLS = int(os.environ.get("BAM_TEST_KILLS", "8"))
SEED = int(os.environ.get("BAM_TEST_SEED", "0")) or random.randrange(1, 1 << 32)


def everybody(process):
    """As a power cut: bam, restic and whatever else it started, at once."""
    for pid in [process.pid, *descendants(process.pid)]:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def restic_alone(process):
    for pid in descendants(process.pid):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/comm") as file:
            if file.read().strip() == "restic":
                os.kill(pid, signal.SIGKILL)


def bam_alone(process):
    process.kill()


def politely(process):
    process.send_signal(signal.SIGTERM)


WAYS = [everybody, bam_alone, restic_alone, politely]


@unittest.skipIf(missing(), "mariadbd is not installed")
class Kills(RepositoryTest):
    def setUp(self):
        super().setUp()
        self.whole_site("create table rounds (number int primary key); create table node (nid int primary key, body longblob);"
                        "insert into node select seq, repeat(md5(seq), 20) from seq_1_to_5000")
        self.expected = {}

    def change(self, chance, number):
        """One round's site: its number is in a file and in the database, and what the files are is remembered."""
        self.write(f"sites/default/files/r/{chance.randrange(20)}", chance.randbytes(chance.randrange(1, 400_000)))
        self.write("sites/default/files/round", str(number))
        self.server.sql(f"insert into rounds values ({number}); update node set body = md5({number}) "
                        f"where nid = {chance.randrange(1, 5000)}", self.database)
        self.expected[number] = tree(self.files)

    def compare(self, backup):
        """Restores a backup into a folder and compares it with the site of its round."""
        into = self.path("into")
        self.bam("restore", str(backup["id"]), "--into", into, "--yes")
        files = into + "/docroot/sites/default/files"
        with open(files + "/round") as file:
            number = int(file.read())
        self.assertEqual(tree(files), self.expected[number], f"round {number}")
        with open(into + "/database.sql") as file:
            self.assertRegex(file.read(), rf"\({number}\)", "files and database are of one round")
        shutil.rmtree(into)

    def test_kills_at_random_moments_leave_only_what_restores(self):
        print(f"# seed {SEED}, {KILLS} kills")
        chance = random.Random(SEED)
        self.init()
        self.change(chance, 0)
        begun = time.monotonic()
        self.bam("backup", "archive", "inc")
        lasts = time.monotonic() - begun
        ends, seen = {}, None
        for number in range(1, KILLS + 1):
            self.change(chance, number)
            kill = chance.choice(WAYS)
            process = self.start("backup", "archive", "inc")
            timer = threading.Timer(chance.uniform(0, lasts * 1.1), kill, [process])
            timer.start()
            result = self.finish(process)
            timer.cancel()
            timer.join()
            end = "came to its end" if result.code == 0 else kill.__name__
            ends[end] = ends.get(end, 0) + 1
            # Each once as soon as it is seen, and all of them at the end.
            newest = self.bam_json("backups")["backups"][0]
            if newest["id"] != seen:
                self.compare(newest)
                seen = newest["id"]
        number = KILLS + 1
        self.change(chance, number)
        last = self.bam_json("backup", "archive", "inc")
        listed = self.bam_json("backups")["backups"]
        self.assertEqual(listed[0]["id"], last["id"])
        found = self.restic_backups()
        self.assertEqual(found, {str(backup["id"]): ["backup", "database", "files"] for backup in listed},
                         "nothing is left of those that were killed")
        for backup in listed:
            self.compare(backup)
        # A restic that was killed leaves its lock, which this takes away where its process is gone.
        self.restic("unlock")
        self.restic("check", "--read-data")
        told = ", ".join(f"{count} {end}" for end, count in sorted(ends.items()))
        print(f"# one run takes {lasts:.1f} s; {told}; {len(listed)} backups are listed and each came back")


if __name__ == "__main__":
    unittest.main()
