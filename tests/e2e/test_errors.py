"""Bad input: a clear message, the right exit code, and nothing lost."""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import unittest

from bamtest import BAM, LIMIT, Result, SiteTest, tree


class Mistakes(SiteTest):
    def setUp(self):
        super().setUp()
        self.write("sites/default/files/a", "a")

    def assertNothingMade(self):
        self.assertEqual(self.visible(), [])

    def test_unknown_names_are_answered_with_the_known_ones(self):
        for arguments, known in [(["fiels"], "files"), (["files", "manuel"], "manual"),
                                 (["files", "manual", "secrt"], "secret")]:
            with self.subTest(arguments):
                self.assertSays(self.bam("backup", *arguments, expect=2), arguments[-1], known)
        self.assertNothingMade()

    def test_no_control_characters_of_a_name_reach_the_terminal(self):
        name = os.fsencode(self.path("")) + b"\x1b[31mRED\n\xff\xc2\x9b"
        shown = r"\u{1b}[31mRED\n\xff\u{9b}"
        self.document["sources"]["odd"] = {"type": "files", "path": os.fsdecode(name).encode(errors="replace").decode()}
        for arguments in (["ls", "--file", name], ["restore", "--yes", "--file", name], ["--json", "ls", "--file", name],
                          ["-c", name, "backups"], ["backup", "odd"]):
            with self.subTest(arguments):
                config = [] if "-c" in arguments else ["-c", self.write_document()]
                done = subprocess.run([BAM, *config, *arguments], capture_output=True, text=True,
                                      stdin=subprocess.DEVNULL, check=False)
                self.assertNotEqual(done.returncode, 0)
                self.assertNotRegex(done.stdout + done.stderr, r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
                self.assertIn("RED", done.stderr)
                self.assertNotIn("RED\n", done.stderr)
                if "ls" in arguments:
                    self.assertIn(shown, done.stderr)

    def test_what_a_restore_cannot_keep_is_shown_without_control_characters(self):
        self.document["profiles"]["secret"]["sources"] = {"files": {"exclude": ["\x1b[31mRED"]}}
        user = self.as_ordinary_user()
        if not user:
            self.skipTest("only root makes what others may not move")
        os.mkdir(self.files + "/\x1b[31mRED", 0)
        made = json.loads(self.bam("--json", "backup", "files", "manual", "secret", **user).out)
        said = self.bam("restore", str(made["id"]), "--yes", expect=1, **user)
        self.assertSays(said, "cannot keep", r"\u{1b}[31mRED")
        self.assertNotIn("\x1b", said.err + said.out)

    def test_nobody_says_what_to_back_up(self):
        self.assertSays(self.bam("backup", expect=2), "nobody says", "files")
        self.assertSays(self.bam("backup", "db", expect=2), 'unknown source, profile or schedule "db"')

    def test_options_that_change_nothing_are_told(self):
        self.backup("files")
        self.assertSays(self.bam("restore", "latest", "--yes", "--code"), "--code", "change nothing")
        self.assertNotIn("change nothing", self.bam("restore", "latest", "--yes").err)

    def test_a_backup_that_is_not_there(self):
        before = tree(self.root)
        self.assertSays(self.bam("restore", "12345", "--yes", expect=1), "12345")
        self.assertSays(self.bam("verify", "12345", expect=1), "12345")
        self.bam("restore", "latest", "--yes", expect=1)
        self.assertEqual(tree(self.root), before)

    def test_what_names_no_backup_is_a_slip_of_the_pen(self):
        self.backup("files")
        before = tree(self.root)
        for verb in (["restore", "--yes"], ["verify"], ["ls"], ["cat"], ["drill"], ["rekey"], ["delete", "--yes"]):
            with self.subTest(verb):
                self.assertSays(self.bam(verb[0], "latst", *verb[1:], expect=2), "latst", 'did you mean "latest"')
        self.assertSays(self.bam("export", "latst", self.top, expect=2), 'did you mean "latest"')
        for verb in (["restore", "latest", "--yes"], ["verify"], ["verify", "latest"], ["drill"], ["ls", "latest"],
                     ["export", "latest", self.top], ["delete", "latest", "--yes"]):
            with self.subTest(verb):
                self.assertSays(self.bam(*verb, "--source", "fiels", expect=2), "fiels", 'did you mean "files"')
        self.assertEqual((tree(self.root), len(self.visible())), (before, 2))

    def test_a_source_that_is_not_there(self):
        self.document["sources"]["gone"] = {"type": "files", "path": "no/such/folder"}
        self.assertSays(self.bam("backup", "gone", expect=1), "no/such/folder")
        self.assertNothingMade()

    def test_a_destination_that_cannot_be_made(self):
        self.write("blocked", "a file where a folder should be")
        self.document["destinations"]["manual"]["path"] = os.path.join(self.root, "blocked/backups")
        self.assertSays(self.bam("backup", "files", expect=1), "blocked is no folder", "correct the path")

    def test_a_destination_that_may_not_be_written(self):
        user = self.as_ordinary_user()
        os.mkdir(self.destination(), mode=0o555)
        self.assertSays(self.bam("backup", "files", expect=1, **user), self.destination())
        self.assertEqual(os.listdir(self.destination()), [])

    def test_a_lock_that_cannot_be_opened(self):
        self.backup("files")
        lock = self.path("state/lock")
        os.remove(lock)
        os.symlink(self.path("nowhere"), lock)
        self.assertSays(self.bam("backup", "files", expect=1), lock, "is a link", "remove it")
        os.remove(lock)
        with open(lock, "w"):
            os.chmod(lock, 0)
        failed = self.bam("backup", "files", expect=1, **self.as_ordinary_user())
        self.assertSays(failed, "cannot open the lock", lock, "permission denied", "owns it")

    @unittest.skipUnless(os.geteuid() == 0, "mounting a small file system needs root")
    def test_a_full_folder_for_temporary_files_is_named(self):
        self.document["databases"] = {"db": {"url": "sqlite:" + self.path("site.sqlite")}}
        self.document["sources"]["db"] = {"type": "database"}
        with contextlib.closing(sqlite3.connect(self.path("site.sqlite"))) as database, database:
            database.execute("CREATE TABLE node (body)")
            database.execute("INSERT INTO node VALUES (randomblob(3000000))")
        full = self.path("full")
        os.mkdir(full)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "bam-test", full], capture_output=True).returncode:
            self.skipTest("cannot mount")
        self.addCleanup(subprocess.run, ["umount", full], check=True)
        failed = self.bam("backup", "db", env={**os.environ, "TMPDIR": full}, expect=1)
        self.assertSays(failed, f"no room in {full} for the copy of {self.path('site.sqlite')}", "TMPDIR")

    @unittest.skipUnless(os.geteuid() == 0, "mounting a small file system needs root")
    def test_a_full_destination_leaves_nothing_behind(self):
        os.mkdir(self.destination())
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "bam-test", self.destination()],
                                 stderr=subprocess.PIPE)
        if mounted.returncode:
            self.skipTest("this machine does not let root mount")
        self.addCleanup(subprocess.run, ["umount", self.destination()], check=True)
        self.write("sites/default/files/big", os.urandom(4 << 20))
        self.assertSays(self.bam("backup", "files", expect=1), self.destination(), "space")
        self.assertEqual(os.listdir(self.destination()), [])

        # The other destination gets its copy all the same.
        self.document["destinations"]["roomy"] = {"type": "directory", "path": self.path("roomy")}
        self.assertSays(self.bam("backup", "files", "manual,roomy", expect=3), "manual", "space")
        self.assertEqual(len(self.visible("roomy")), 2)
        self.assertEqual(os.listdir(self.destination()), [])
        self.bam("verify", "latest", "--destination", "roomy")

    def test_a_limit_that_is_met_is_told_as_that(self):
        """Of open files, whatever was to be opened; of a file's size, which would end the program by a signal."""
        self.write("sites/default/files/large", os.urandom(1 << 20))
        os.mkdir(self.destination())
        # Without a descriptor nothing can be tidied up either: the next run does.
        for limit, words in ((["--nofile=8"], ("Too many open files", "`ulimit -n`")), (["--fsize=65536"], ("File too large", "`ulimit -f`"))):
            with self.subTest(limit):
                self.within = ("prlimit", *limit)
                result = self.bam("backup", "files", "manual", expect=1)
                self.assertSays(result, *words)
                self.assertNotIn("ignore_errors", result.err)
                self.assertNotIn("free some space", result.err)
                self.assertNothingMade()
                self.within = ()
        self.assertEqual(os.listdir(self.destination()), [])

    def test_a_typing_mistake_in_bam_yml(self):
        path = self.path("typo.yml")
        for text, words in [
            ("site: { root: /tmp }\nsorces:\n  files: { type: files, path: x }\n", ["sorces", "sources", "2"]),
            ("destinations:\n  manual: { type: directory, pth: /tmp }\n", ["pth", "path", "2"]),
            ("profiles:\n  p: { compression: gzipp }\n", ["gzipp", "gzip", "2"]),
            ("site: { root: /tmp\n", ["typo.yml"]),
            ("site:\n  root: /tmp\n  name: a\n  name: b\n", ["name", "twice", "line 4"]),
            ("destinations:\n  a: { type: directory, path: /x }\n  a: { type: directory, path: /y }\n", ["\"a\"", "twice", "line 3"]),
            ("[" * 100_000, ["too deep", "right file"]),
            ("{a: " * 20_000, ["too deep", "right file"]),
            ("schedules:\n  s: { every: soon }\n", ["every"]),
            ("policy: { copies: -1 }\n", ["policy.copies", "whole number"]),
            ("site: { root: /tmp, timezone: Europe/Berln }\n", ["Europe/Berln", "Europe/Berlin", "1"]),
            ("site: { root: /tmp, timezone: Mars/X }\n", ["site.timezone", "Mars/X"]),
        ]:
            with self.subTest(text):
                with open(path, "w") as file:
                    file.write(text)
                result = self.plain("--config", path, "config", "check")
                self.assertEqual(result.code, 2, result)
                self.assertSays(result, "typo.yml", *words)

    def test_a_mark_in_front_of_a_configuration_is_read_over(self):
        path = self.write_document()
        with open(path) as file:
            text = file.read()
        with open(path, "w") as file:
            file.write("\ufeff" + text)
        self.bam("backup", "files", config=path)

    def test_a_status_takes_no_other_files_place(self):
        path = self.write_document()
        with open(path) as file:
            text = file.read()
        self.assertSays(self.bam("--status-file", path, "backup", "files", expect=2), path, "no status file", "not there yet")
        with open(path) as file:
            self.assertEqual(file.read(), text)
        for _ in range(2):
            self.bam("--status-file", self.path("status"), "backup", "files")

    def test_an_empty_name_is_no_source(self):
        self.assertSays(self.bam("backup", "", expect=2), "empty name", "there are: ", "files")
        self.assertNothingMade()

    def test_a_destination_that_fails_is_told_once(self):
        self.write("blocked", "a file where a folder should be")
        self.document["destinations"]["far"] = {"type": "directory", "path": os.path.join(self.root, "blocked/backups")}
        self.document["schedules"] = {"daily": {"source": "files", "destinations": ["manual", "far"], "every": "1d"}}
        result = self.bam("run", "daily", expect=3)
        self.assertEqual(result.err.count("is no folder"), 1, result)

    def test_a_schedule_of_an_unknown_profile(self):
        self.document["schedules"] = {
            "weekly": {"source": "files", "destinations": ["manual"], "profile": "nightly", "every": 604800}}
        self.assertSays(self.bam("config", "check", expect=2), "weekly", "nightly")

    def test_no_configuration(self):
        result = self.plain("--config", self.path("nowhere.yml"), "backup")
        self.assertEqual(result.code, 2, result)
        self.assertSays(result, "nowhere.yml")

    def test_wrong_usage(self):
        for arguments in (["frobnicate"], ["restore"], ["backup", "--frobnicate"], ["decrypt"],
                          ["--config", "x", "--root", "y", "backup"]):
            with self.subTest(arguments):
                self.assertEqual(self.plain(*arguments).code, 2)

    def test_a_restore_that_nobody_confirms(self):
        made = self.backup("files")
        before = tree(self.root)
        self.assertSays(self.bam("restore", str(made["id"]), expect=2), "--yes")
        self.assertSays(self.bam("delete", str(made["id"]), expect=2), "--yes")
        self.assertEqual(tree(self.root), before)
        self.assertEqual(len(self.visible()), 2)

    def test_a_sidecar_without_its_backup_is_no_backup(self):
        made = self.backup("files")
        os.unlink(made["path"])
        listed = self.bam_json("backups", expect=3)
        self.assertEqual(listed["backups"], [])
        self.assertIn("is gone from every place", listed["notes"][0]["text"])
        self.bam("restore", str(made["id"]), "--yes", expect=1)

    def test_a_backup_moved_to_another_folder_restores_from_there(self):
        before = tree(self.files)
        made = self.backup("files")
        shutil.move(self.destination(), self.path("moved"))
        shutil.rmtree(self.files)
        self.bam("restore", "--file", self.path("moved/" + made["file"]), "--yes")
        self.assertEqual(tree(self.files), before)

    def plain(self, *arguments):
        """bam without the test's configuration."""
        done = subprocess.run([BAM, *arguments], cwd=self.top, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=LIMIT)
        return Result(list(arguments), done.returncode, done.stdout, done.stderr)


if __name__ == "__main__":
    unittest.main()
