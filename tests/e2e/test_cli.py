"""What the program says and how: help, listings, JSON, quiet runs, pipes, terminals."""

import json
import os
import pty
import re
import select
import shutil
import signal
import stat
import subprocess
import time
import unittest

from bamtest import BAM, LIMIT, SiteTest, end, run, tree


class Talk(SiteTest):
    def setUp(self):
        super().setUp()
        self.write("sites/default/files/a", "a" * 5000)

    def test_every_verb_explains_itself_with_examples(self):
        top = run(BAM, "--help").decode()
        self.assertIn("Exit codes", top)
        verbs = top.partition("Backup:")[2].partition("Options:")[0]
        verbs = [line.split()[0] for line in verbs.splitlines() if line.startswith("  ") and line[2] != " "]
        self.assertIn("backup", verbs)
        for verb in verbs:
            text = run(BAM, "help", verb).decode()
            # Verbs that only hold others explain themselves there; lists take no arguments.
            if "Commands:" not in text and verb not in ("help", "sources", "destinations", "profiles", "schedules"):
                self.assertIn("Examples:", text, verb)

    def test_examples_stay_in_columns_at_any_width(self):
        for width in (50, 72, 100):
            for verb in ("restore", "rekey", "export"):
                environment = {**os.environ, "COLUMNS": str(width)}
                text = run(BAM, "help", verb, env=environment).decode()
                examples = text.partition("Examples:\n")[2].splitlines()
                self.assertTrue(examples, verb)
                for line in examples:
                    self.assertLessEqual(len(line), width, line)
                    # What a command does never begins where commands begin.
                    self.assertRegex(line, r"^$|^  bam |^ {6,}\S|^\S", f"{verb} at {width}")
                commands = " ".join(line for line in examples if line.startswith("  ")).replace("\\", " ")
                self.assertIn("bam " + verb, commands)

    @unittest.skipUnless(shutil.which("groff"), "needs groff")
    def test_each_verb_has_a_manual_page_that_groff_reads_without_a_warning(self):
        os.mkdir(self.path("man"))
        run(BAM, "manual", self.path("man"))
        pages = sorted(os.listdir(self.path("man")))
        for name in ("bam.1", "bam-restore.1", "bam-schedule-install.1"):
            self.assertIn(name, pages)
        self.assertNotIn("bam-manual.1", pages)
        for page in pages:
            done = subprocess.run(["groff", "-man", "-ww", "-K", "utf8", "-T", "utf8", self.path("man/" + page)],
                                  capture_output=True, timeout=LIMIT)
            self.assertEqual((done.returncode, done.stderr.decode()), (0, ""), page)
        restore = subprocess.run(["groff", "-man", "-K", "utf8", "-T", "ascii", "-P-c", self.path("man/bam-restore.1")],
                                 capture_output=True, check=True, timeout=LIMIT).stdout.decode(errors="replace")
        self.assertIn("bam restore 1795388661 --dry-run", re.sub(".\b", "", restore))

    def test_completions_are_scripts_that_shells_accept(self):
        script = run(BAM, "completions", "bash")
        subprocess.run(["bash", "-n"], input=script, check=True)
        self.assertIn(b"restore", script)
        for shell in ("zsh", "fish"):
            self.assertIn(b"restore", run(BAM, "completions", shell))

    def test_the_listing_shows_each_backup_newest_first(self):
        first = self.backup("files", "manual", "secret")
        second = self.backup("files")
        listing = self.bam("backups").out.splitlines()
        self.assertIn("ID", listing[0])
        self.assertEqual([line.split()[0] for line in listing[1:]], [str(second["id"]), str(first["id"])])
        self.assertIn(first["file"], listing[2])
        found = self.bam_json("backups", "manual")["backups"]
        self.assertEqual([backup["id"] for backup in found], [second["id"], first["id"]])
        self.assertEqual([backup["encryption"] for backup in found], ["none", "aes256"])
        self.assertEqual(found[0]["size"], os.path.getsize(second["path"]))
        whole, *lines = map(json.loads, self.bam("backups", "manual", "--lines", "--json").out.splitlines())
        self.assertEqual((whole["backups"], whole["exit_code"], lines), (2, 0, found))

    def test_ids_never_collide(self):
        made = [self.backup("files")["id"] for _ in range(4)]
        self.assertEqual(len(set(made)), 4)
        self.assertEqual(len(self.bam_json("backups")["backups"]), 4)

    def test_cron_hears_nothing_of_a_good_run(self):
        result = self.bam("--quiet", "backup", "files")
        self.assertEqual((result.out, result.err), ("", ""))
        result = self.bam("--quiet", "backup", "nothing", expect=2)
        self.assertNotEqual(result.err, "")

    def test_what_is_asked_for_is_printed_quietly_too(self):
        self.backup("files")
        for verb in (["backups"], ["stats"], ["sources"], ["destinations"], ["profiles"], ["schedules"], ["prune", "--dry-run"]):
            with self.subTest(verb):
                quiet = self.bam("--quiet", *verb)
                self.assertEqual((quiet.out != "", quiet.err), (True, ""))

    def test_it_says_what_it_chose_and_the_id(self):
        result = self.bam("backup", "files")
        said = result.out + result.err
        identifier = self.bam_json("backups")["backups"][0]["id"]
        for word in ("files", "default", "manual", str(identifier)):
            self.assertIn(word, said)
        self.assertNotIn("\x1b", said, "no bar and no colours where there is no terminal")

    def test_errors_are_json_too(self):
        result = self.bam("--json", "backup", "nothing", expect=2)
        said = json.loads(result.out)
        self.assertEqual((said["error"]["code"], said["exit_code"]), ("usage", 2))
        self.assertIn("nothing", said["error"]["message"])
        error = json.loads(self.bam("--json", "verify", "12345", expect=1).out)["error"]
        self.assertEqual(error["operation"], "verify", "where nobody nearer to the failure said more")

    def test_a_failure_says_as_data_what_it_is_about(self):
        self.write("blocked", "a file where a folder should be")
        place = os.path.join(self.root, "blocked/backups")
        self.document["destinations"]["broken"] = {"type": "directory", "path": place}
        error = json.loads(self.bam("--json", "backup", "files", "broken", expect=1).out)["error"]
        self.assertEqual((error["destination"], error["path"]), ("broken", place))
        self.assertIn(error["cause"], error["message"])
        self.assertNotEqual(error["operation"], "backup", "what failed is said, not only in which job")
        made = self.bam_json("backup", "files", "manual,broken", expect=3)
        failed, good = sorted(made["destinations"], key=lambda told: told["name"])
        self.assertEqual((good["ok"], good["failure"]), (True, None))
        self.assertEqual((failed["failure"]["destination"], failed["failure"]["path"]), ("broken", place))
        self.assertEqual(failed["failure"]["cause"], error["cause"])

    def test_a_reader_that_goes_away_is_no_error(self):
        self.backup("files")
        reading, writing = os.pipe()
        os.close(reading)
        command = [BAM, "--config", self.write_document(), "backups"]
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, timeout=LIMIT)
        os.close(writing)
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_lists_of_what_is_configured(self):
        for verb, word in [("sources", "files"), ("destinations", self.path("backups")), ("profiles", "secret"),
                           ("schedules", "no schedules")]:
            self.assertIn(word, self.bam(verb).out)
            self.assertIn(verb, self.bam_json(verb))

    def test_a_schedule_runs_when_asked_and_its_backup_says_so(self):
        self.document["schedules"] = {
            "weekly": {"source": "files", "destinations": ["manual"], "profile": "secret", "every": "1w"},
            "saturdays": {"source": "files", "destinations": ["manual"], "cron": "0 4 * * 6", "last_run": 1795397231},
        }
        self.assertIn("due", self.bam("schedules").out)
        listed = self.bam_json("schedules")["schedules"]
        self.assertEqual(listed["saturdays"]["next_run"] // 86400, 1795838400 // 86400)
        made = self.bam_json("run", "weekly")
        self.assertEqual((made["schedule"], made["profile"]), ("weekly", "secret"))
        with open(os.path.join(self.destination(), made["file"] + ".info")) as sidecar:
            self.assertIn('schedule_id = "weekly"', sidecar.read())
        self.assertSays(self.bam("run", "wekly", expect=2), "wekly", "weekly")

    def test_a_status_file_tells_how_a_run_ended(self):
        status = self.path("status.json")
        self.bam("--status-file", status, "backup", "files")
        with open(status) as file:
            told = json.load(file)
        self.assertEqual((told["state"], told["exit_code"], told["result"]["source"]), ("done", 0, "files"))
        self.bam("--status-file", status, "backup", "nothing", expect=2)
        with open(status) as file:
            told = json.load(file)
        self.assertEqual((told["state"], told["exit_code"], told["error"]["code"]), ("failed", 2, "usage"))
        self.assertSays(self.bam("--status-file", "/nowhere/at/all", "backup", "files", expect=1), "/nowhere/at/all")
        self.assertEqual(len(self.visible()), 2, "a run that cannot be watched does not start")

    def test_an_exported_configuration_is_one_that_works(self):
        self.document["databases"] = {"db": {"url": "mysql://u:hidden-pass@localhost/d"}}
        self.assertNotIn("hidden-pass", self.bam("config", "export").out)
        for form in ("yaml", "json"):
            text = self.bam("config", "export", "--secrets", "--format", form).out
            self.assertIn("hidden-pass", text)
            again = self.path("again.yml")
            with open(again, "w") as file:
                file.write(text)
            self.assertEqual(run(BAM, "--config", again, "config", "export", "--secrets", "--format", form).decode(),
                             text)

    def test_the_only_copy_of_the_key_inside_the_backup_is_warned_about(self):
        self.document["encryption"]["key_file"] = self.write("sites/default/files/key", "inside of the site\n", mode=0o600)
        self.assertSays(self.bam("backup", "files", "manual", "secret"), "warning", "key")


class Stuck(SiteTest):
    def test_what_waits_for_ever_is_ended_by_a_second_signal(self):
        self.write("sites/default/files/a", "a")
        self.backup("files")
        # A pipe that is handed over is waited for, and nobody writes to it.
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        self.document["encryption"]["key_file"] = f"/dev/fd/{reader}"
        process = self.start("backup", "files", "manual", "secret", pass_fds=[reader])
        watching = f"grep -qx bam-signals /proc/{process.pid}/task/*/comm"
        self.wait(lambda: subprocess.run(["sh", "-c", watching], capture_output=True).returncode == 0, process)
        process.send_signal(signal.SIGTERM)
        told = process.stderr.readline()
        while b"another Ctrl-C" not in told:
            self.assertTrue(told, "it ended at the first")
            told = process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(LIMIT), 130)
        self.assertEqual(len(self.visible()), 2)

    def test_a_named_pipe_in_the_place_of_a_file_keeps_nobody_waiting(self):
        self.write("sites/default/files/a", "a")
        self.document["databases"] = {"db": {"url": "mysql://u@127.0.0.1:1/d", "password_file": self.path("password")}}
        self.document["sources"]["db"] = {"type": "database"}
        self.document["schedules"] = {"daily": {"source": "files", "destinations": ["manual"], "every": "1d"}}
        made = self.backup("files", "manual", "secret")
        os.mkfifo(self.path("password"))
        os.mkfifo(self.path("pipe.yml"))
        self.assertSays(self.bam("backup", "db", expect=2), "password file", self.path("password"), "is a named pipe, not a file")
        self.assertSays(self.bam("backups", config=self.path("pipe.yml"), expect=2), "pipe.yml", "is a named pipe, not a file")
        # Each memory is damaged, is told, and is kept aside by a run that adds to it.
        for file, verb in (("made.json", "backups"), ("ids.json", "backups"), ("schedules.json", "status"), ("drills.json", "status"),
                           ("damaged.json", "verify")):
            with self.subTest(file):
                path = self.path("state/" + file)
                if os.path.exists(path):
                    os.remove(path)
                os.mkfifo(path)
                self.assertSays(self.bam(verb, expect=3), path, "is a named pipe, not a file", "keeps it aside")
                self.bam("run", expect=None)
                self.bam("drill", expect=None)
                if os.path.exists(path):
                    os.remove(path)
        self.assertTrue([name for name in os.listdir(self.path("state")) if name.startswith("made.json.damaged-")])
        os.mkfifo(self.path("state/restore.json"))
        self.assertSays(self.bam("backup", "files", expect=3), "restore.json", "is a named pipe, not a file")
        self.assertSays(self.bam("status", expect=3), "restore.json", "is a named pipe, not a file")
        os.remove(self.path("state/restore.json"))
        os.rename(self.key, self.path("true-key"))
        os.mkfifo(self.key, 0o600)
        for verb, code in ((("backup", "files", "manual", "secret"), 2), (("restore", str(made["id"]), "--into", self.path("look")), None),
                           (("status",), 3), (("config", "check"), None), (("decrypt", made["path"], "-o", self.path("plain")), None)):
            with self.subTest(verb):
                result = self.bam(*verb, expect=code)
                self.assertNotEqual(result.code, 0)
                self.assertIn("is a named pipe, not a file", result.out + result.err)
        # But what a shell hands over.
        command = 'exec "$0" decrypt "$1" --key-file <(sleep 0.2; cat "$2") -o "$3"'
        if shutil.which("bash"):
            run("bash", "-c", command, BAM, made["path"], self.path("true-key"), self.path("plain"), cwd=self.top)
            self.assertTrue(os.path.getsize(self.path("plain")))


class Terminal(SiteTest):
    def test_a_result_that_a_full_disk_swallows_is_a_failure(self):
        self.write("sites/default/files/a", "a")
        self.backup("files")
        for verb in (["backups"], ["status", "--json"], ["config", "export"], ["ls", "latest"], ["cat", "latest", "a"], ["cat", "latest", "--raw"],
                     ["find", "a"], ["--help"], ["help", "restore"], ["--version"]):
            with self.subTest(verb):
                with open("/dev/full", "wb") as full:
                    process = subprocess.Popen([BAM, "--config", self.write_document(), *verb], stdin=subprocess.DEVNULL,
                                               stdout=full, stderr=subprocess.PIPE)
                    self.assertIn(b"cannot write to standard output: No space left", process.communicate(timeout=LIMIT)[1])
                self.assertEqual(process.returncode, 1)

    def test_wrong_usage_is_json_too(self):
        for wrong in (["restore"], ["frob"], ["verify", "--sample", "0"]):
            with self.subTest(wrong):
                told = json.loads(self.finish(self.start("--json", *wrong)).out)
                self.assertEqual((told["error"]["code"], told["exit_code"]), ("usage", 2))
                self.assertTrue(told["error"]["message"])
        self.assertEqual(self.bam_json("run")["schedules"], [])

    def test_what_belongs_together_may_stand_on_both_sides_of_the_verb(self):
        for words in (["--uri", "x", "backups"], ["backups", "--uri", "x"], ["import-settings", "--replace", "file"]):
            self.assertSays(self.bam(*words, config=False, expect=2), "--root DIR")
        for words in (["--root", self.root, "backups", "--config", "x"], ["backups", "--config", "x", "--root", self.root]):
            self.assertSays(self.bam(*words, config=False, expect=2), "--config and --root")
        said = json.loads(self.finish(self.start("--json", "import-settings")).out)["error"]["message"]
        self.assertIn("<FILES>", said, "what is missing stands in the second line")

    def test_the_key_is_told_by_its_whole_path(self):
        made = self.finish(self.start("keygen", "new-key", cwd=self.top), 0)
        self.assertIn(f"key_file: {self.path('new-key')} ", made.out)

    def test_a_password_in_the_description_stays_out_of_the_sidecar(self):
        made = self.bam("backup", "files", "-m", "as password=hunter2 at sftp://me:hunter3@host/b")
        self.assertSays(made, "password")
        with open(os.path.join(self.destination(), next(name for name in self.visible() if name.endswith(".info")))) as file:
            told = file.read()
        self.assertIn("as password=[hidden] at sftp://me:[hidden]@host/b", told)
        self.assertNotIn("hunter", told + made.out + made.err)

    def test_a_password_on_the_command_line_is_not_repeated(self):
        for words in (["status", "a password=hunter2"], ["backups", "far", "sftp://me:hunt er/2@host/b"], ["me:hunter2@host:/b"]):
            for json_too in ([], ["--json"]):
                told = self.finish(self.start(*json_too, *words))
                self.assertEqual(told.code, 2, told)
                self.assertNotIn("hunt", told.out + told.err)
                self.assertIn("[hidden]", told.out + told.err)

    def test_decrypt_says_what_is_wrong_with_its_file(self):
        for name, words in (("nofile", ["nofile", "no such file"]), ("nofile.enc", ["nofile.enc", "no such file"]),
                            ("1795388661", ["cat 1795388661 --raw"])):
            with self.subTest(name):
                self.assertSays(self.bam("decrypt", name, expect=1), *words)
        self.assertSays(self.bam("decrypt", self.top, expect=2), self.top, "folder")
        self.assertSays(self.bam("decrypt", self.key, expect=2), self.key, ".enc")

    def test_a_restore_asks_first(self):
        self.write("sites/default/files/a", "as it was")
        made = self.backup("files")
        before = tree(self.files)
        self.write("sites/default/files/a", "changed")
        changed = tree(self.files)
        said, code = self.talk("n\n", "restore", str(made["id"]))
        self.assertIn(made["file"], said)
        self.assertEqual((code, tree(self.files)), (130, changed), said)
        said, code = self.talk("y\n", "restore", str(made["id"]))
        self.assertEqual((code, tree(self.files)), (0, before), said)

    def talk(self, answer, *arguments):
        """Runs bam on a terminal, answers its question; what it said and its exit code."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen([BAM, "--config", self.write_document(), *arguments],
                                   stdin=theirs, stdout=theirs, stderr=theirs)
        self.addCleanup(end, process)
        os.close(theirs)
        said, asked = b"", False
        last = time.monotonic() + LIMIT
        while time.monotonic() < last:
            if select.select([ours], [], [], 1)[0]:
                try:
                    said += os.read(ours, 4096)
                except OSError:  # the other side is closed
                    break
            if not asked and b"[y/N]" in said:
                asked = True
                os.write(ours, answer.encode())
        os.close(ours)
        self.assertTrue(asked, said)
        return said.decode(errors="replace"), process.wait(LIMIT)


class Files(SiteTest):
    def test_backups_are_private(self):
        self.write("sites/default/files/a", "a")
        made = self.backup("files")
        for path, mode in [(self.destination(), 0o700), (made["path"], 0o600), (made["path"] + ".info", 0o600)]:
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), mode, path)

    def test_the_sidecar_is_one_that_php_reads(self):
        if not shutil.which("php"):
            self.skipTest("php is not installed")
        self.write("sites/default/files/a", "a")
        made = self.backup("files", "manual", "secret")
        read = "echo json_encode(parse_ini_string(file_get_contents($argv[1])));"
        sidecar = json.loads(run("php", "-r", read, "--", made["path"] + ".info"))
        self.assertEqual(sidecar["bam_id"], str(made["id"]))
        self.assertEqual(sidecar["filename"], made["file"].partition(".")[0])
        self.assertEqual(sidecar["bam_sourceid"], "files")
        self.assertEqual(sidecar["sitename"], "PECE Lab")
        self.assertEqual(int(sidecar["filesize"]), os.path.getsize(made["path"]))

    def test_names_follow_the_profile(self):
        self.write("sites/default/files/a", "a")
        profile = self.document["profiles"]["default"]
        profile.update(filename="Lab: [site:name]/x", append_timestamp=0)
        self.assertEqual(self.backup("files")["file"], "LabPECELabx.tar.gz")
        self.assertEqual(self.backup("files")["file"], "LabPECELabx-1.tar.gz")
        profile.update(append_timestamp=2)
        self.assertEqual(self.backup("files")["file"], "LabPECELabx.tar.gz")
        profile.update(append_timestamp=1, timestamp_format="Y")
        self.assertEqual(self.backup("files")["file"], time.strftime("LabPECELabx-%Y.tar.gz"))

    def test_every_compression_is_what_it_says_and_comes_back(self):
        self.write("sites/default/files/a", b"compress me " * 10_000)
        before = tree(self.files)
        tools = {"gzip": ["gzip", "-dc"], "zstd": ["zstd", "-dc"], "bzip2": ["bzip2", "-dc"], "zip": ["unzip", "-p"],
                 "none": ["cat"]}
        for kind, tool in tools.items():
            with self.subTest(kind):
                self.document["profiles"]["default"]["compression"] = kind
                made = self.backup("files")
                if shutil.which(tool[0]):
                    self.assertIn(b"a\n", run("tar", "t", input=run(*tool, made["path"])))
                shutil.rmtree(self.files)
                self.bam("restore", str(made["id"]), "--yes")
                self.assertEqual(tree(self.files), before)


if __name__ == "__main__":
    unittest.main()
