"""Many at once: on one configuration, on one account, on one backup. Each run does its work or says who is at it; nothing is lost."""

import collections
import contextlib
import copy
import json
import os
import random
import sqlite3
import subprocess
import time
import unittest

from bamtest import SiteTest, tree
from sshd import PROGRAM, Sshd

SEED = int(os.environ.get("BAM_TEST_SEED") or random.randrange(1 << 32))


class Concurrent(SiteTest):
    def setUp(self):
        super().setUp()
        self.database = self.path("site.sqlite")
        with contextlib.closing(sqlite3.connect(self.database)) as db, db:
            db.execute("create table node (nid integer primary key, title text)")
            db.executemany("insert into node values (?, ?)", [(n, f"node {n}") for n in range(200)])
        self.write("index.php", "<?php\n")
        for n in range(20):
            self.write(f"sites/default/files/d{n % 3}/f{n}", random.Random(n).randbytes(5000))
        self.document["databases"] = {"db": {"url": "sqlite:" + self.database}}
        self.document["sources"]["archive"] = {"type": "archive"}
        self.document["destinations"]["second"] = {"type": "directory", "path": self.path("second")}
        self.document["schedules"] = {"often": {"source": "files", "destinations": ["manual", "second"], "profile": "secret",
                                                "every": 1, "keep": 3}}
        self.write_document()

    def start(self, *arguments, config=None, **options):
        # Written once: not while others read it.
        return super().start(*arguments, config=config or self.written(), **options)

    def written(self):
        path = self.path("bam.yml")
        with open(path) as file:
            if json.load(file) == self.document:
                return path
        return self.write_document()

    def rows(self):
        with contextlib.closing(sqlite3.connect(self.database)) as db:
            return list(db.iterdump())

    def all_at_once(self, commands, config=None):
        """Starts them together; the finished ones. Each succeeded, or told that another has the lock."""
        processes = [self.start("--json", *words, config=config) for words in commands]
        done = [self.finish(process) for process in processes]
        for result in done:
            self.assertIn(result.code, (0, 5), f"seed {SEED}: {result}")
            self.assertNotIn("panicked", result.err)
            if result.code == 5:
                self.assertSays(result, "another run")
        return done

    def assertNothingLeft(self, *folders):
        for folder in folders:
            self.assertEqual([name for name in os.listdir(folder) if name.startswith(".")], [], folder)
        self.assertNotIn("restore.json", os.listdir(self.path("state")))

    def test_twenty_on_one_configuration(self):
        site = tree(self.root), self.rows()
        done = self.all_at_once([["backup", "archive", "manual,second", "secret"]] * 20)
        made = [json.loads(result.out)["id"] for result in done if result.code == 0]
        self.assertTrue(made)
        self.assertEqual(len(set(made)), len(made), "each has a number of its own")
        listed = self.bam_json("backups")["backups"]
        self.assertEqual(sorted(backup["id"] for backup in listed), sorted(made))
        self.assertTrue(all(len(backup["copies"]) == 2 for backup in listed))
        self.bam("verify")
        self.assertEqual((tree(self.root), self.rows()), site)
        self.assertNothingLeft(self.destination(), self.destination("second"))

    def test_each_verb_beside_each_other(self):
        chance = random.Random(SEED)
        first = self.backup("archive", "manual,second", "secret")
        old = tree(self.files), self.rows()
        verbs = [["backup", "archive", "manual,second", "secret"], ["restore", str(first["id"]), "--yes"], ["prune"], ["rekey", "--all"],
                 ["run", "often"], ["verify"], ["backups"], ["replicate"], ["status"], ["recover"],
                 ["drill", str(first["id"])]]
        for _ in range(3):
            commands = [chance.choice(verbs) for _ in range(10)]
            # A status that is not good is no failure of this.
            processes = [self.start("--json", *words) for words in commands]
            for process in processes:
                result = self.finish(process)
                self.assertIn(result.code, (0, 3, 5) if "status" not in result.arguments else (0, 3, 4, 5), f"seed {SEED}: {result}")
                self.assertNotIn("panicked", result.err)
            self.bam("recover")
            self.assertEqual((tree(self.files), self.rows()), old, f"seed {SEED}: {commands}")
            self.bam("verify")
        self.assertIn(first["id"], [backup["id"] for backup in self.bam_json("backups")["backups"]])
        self.bam("backup", "files", "manual,second", "secret")
        self.assertNothingLeft(self.destination(), self.destination("second"))

    def head(self, number):
        """One of several machines of the site: its configuration, with a state folder of its own, and what its programs run in."""
        own = {**self.document, "state_dir": self.path(f"state-{number}")}
        config = self.path(f"head-{number}.yml")
        with open(config, "w") as file:
            json.dump(own, file)
        os.chmod(config, 0o600)
        # Root can give each a name and numbers of processes of its own, so that no lease tells more than it may.
        apart = ["unshare", "--pid", "--uts", "--fork", "--kill-child"]
        named = ["sh", "-c", f'hostname head-{number}; exec "$@"', "sh"]
        can = os.geteuid() == 0 and subprocess.run([*apart, "true"], capture_output=True).returncode == 0
        return config, [*apart, *named] if can else []

    def test_two_heads_on_one_folder(self):
        chance = random.Random(SEED)
        kept = self.backup("archive", "manual,second", "secret")
        # Somebody else's, in the same folder.
        for name in ("theirs.bin", "notes.txt", ".hidden"):
            with open(os.path.join(self.destination(), name), "w") as file:
                file.write("not bam's")
        heads = [self.head(number) for number in (1, 2)]
        site, done = (tree(self.root), self.rows()), collections.Counter()
        for _ in range(4):
            # By their files: the heads may have made two of one number in one second.
            made = [backup["file"] for backup in self.bam_json("backups")["backups"] if backup["file"] != kept["file"]]
            verbs = [["backup", "files", "manual,second", "secret"], ["run", "often"], ["prune"], ["rekey", "--all"], ["replicate"],
                     *(["delete", chance.choice(made), "--yes"] for _ in made[:1])]
            running = []
            for config, apart in heads:
                self.within = apart
                running += [self.start("--json", *words, config=config) for words in chance.sample(verbs, 3)]
            self.within = ()
            for process in running:
                result = self.finish(process)
                done[result.code] += 1
                # One that the other head has just removed, or is at, is told as such.
                gone = "delete" in result.arguments and "there is no backup" in result.err
                self.assertIn(result.code, (0, 1, 3, 5) if gone else (0, 3, 5), f"seed {SEED}: {result}")
                self.assertNotIn("panicked", result.err)
        self.assertGreater(done[0], 4, f"seed {SEED}: {done}")
        for config, apart in heads:
            self.within = apart
            self.bam("run", "often", config=config)
            self.bam("replicate", config=config)
            listed = self.bam_json("backups", config=config)["backups"]
            self.assertIn(kept["file"], [backup["file"] for backup in listed], f"seed {SEED}")
            self.assertTrue(all(len(backup["copies"]) == 2 for backup in listed), f"seed {SEED}: {listed}")
            self.bam("verify", config=config)
        self.within = ()
        self.assertEqual((tree(self.root), self.rows()), site)
        for folder in (self.destination(), self.destination("second")):
            self.assertEqual([name for name in os.listdir(folder) if name.startswith(".")],
                             [".hidden"] if folder == self.destination() else [], f"seed {SEED}")
        for name in ("theirs.bin", "notes.txt", ".hidden"):
            with open(os.path.join(self.destination(), name)) as file:
                self.assertEqual(file.read(), "not bam's")

    @unittest.skipUnless(os.path.exists(PROGRAM), "openssh-server is not installed")
    def test_two_sites_on_one_account(self):
        server = Sshd()
        self.addCleanup(server.close)
        self.document["destinations"] = {"far": server.settings}
        del self.document["schedules"]
        other = copy.deepcopy(self.document)
        other["site"].update(root=self.path("other"), url="http://other.example.org", name=self.document["site"]["name"])
        other["state_dir"] = self.path("other-state")
        del other["databases"], other["sources"]["archive"]
        os.makedirs(self.path("other/sites/default/files"))
        with open(self.path("other/sites/default/files/theirs"), "w") as file:
            file.write("theirs")
        config = self.path("other.yml")
        with open(config, "w") as file:
            json.dump(other, file)
        os.chmod(config, 0o600)
        last = time.monotonic() + 30
        rounds = 0
        while rounds < 2 and time.monotonic() < last:
            rounds += 1
            ours = [self.start("--json", "backup", "files", "far", "secret") for _ in range(3)]
            theirs = [self.start("--json", "backup", "files", "far", "secret", config=config) for _ in range(3)]
            codes = {0: 0, 5: 0}
            for process in ours + theirs:
                result = self.finish(process)
                self.assertIn(result.code, codes, result)
                codes[result.code] += 1
            self.assertGreaterEqual(codes[0], 2, "at least one of each site")
        for named in (None, config):
            listed = self.bam_json("backups", config=named)["backups"]
            self.assertTrue(listed)
            self.bam("verify", config=named)
        self.assertNothingLeft(server.backups)
        files = [name for name in os.listdir(server.backups) if name.endswith(".enc")]
        self.assertEqual(len(files), sum(len(self.bam_json("backups", config=named)["backups"]) for named in (None, config)))


if __name__ == "__main__":
    unittest.main()
