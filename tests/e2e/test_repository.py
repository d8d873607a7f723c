"""Backups in a repository of the real restic program: made, listed, restored, pruned, killed, refused."""

import json
import os
import shutil
import socket
import subprocess
import unittest

from bamtest import run, tree
from mariadb import missing, state
from repositories import RepositoryTest
from sshd import PROGRAM, Sshd

class Files(RepositoryTest):
    def setUp(self):
        super().setUp()
        self.fill()

    def test_everything_comes_back_with_bam_and_with_restic_alone(self):
        before = tree(self.files)
        self.init()
        made = self.bam_json("backup", "files", "inc")
        self.assertEqual(made["exit_code"], 0)
        self.assertEqual(self.parts(), ["backup", "files"])
        shutil.rmtree(self.files)
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual(tree(self.files), before)
        same = os.stat(self.files + "/sub/big").st_ino == os.stat(self.files + "/sub/the same").st_ino
        self.assertTrue(same, "two names of one file")
        self.restic("restore", "latest", "--tag", "bam_part=files", "--target", self.path("alone"))
        self.assertEqual(tree(self.path("alone") + self.files), before)
        self.restic("check", "--read-data")

    def test_both_kinds_of_backup_hold_the_same(self):
        self.document["profiles"]["default"]["sources"] = {
            "files": {"exclude": ["css", "*.tmp", "sites/default/files/only", "we[[]ir]d*"]}}
        outside = self.path("outside")
        os.makedirs(outside + "/in")
        with open(outside + "/in/x", "w") as file:
            file.write("shared")
        for name in ("css/a", "sub/css/b", "a.tmp", "sub/b.tmp/c", "only/d", "sub/only/e", "css2/f"):
            self.write("sites/default/files/" + name, name)
        os.symlink(outside, self.files + "/shared")
        os.symlink(outside + "/in/x", self.files + "/sub/shared file")
        self.document["sources"]["outside"] = {"type": "files", "path": outside}
        left = socket.socket(socket.AF_UNIX)
        self.addCleanup(left.close)
        here = os.getcwd()
        os.chdir(self.files)
        left.bind("socket")
        os.chdir(here)
        self.init()
        made = self.bam_json("backup", "files", "inc,manual")
        self.assertEqual([copy["ok"] for copy in made["destinations"]], [True, True])
        listed = self.bam_json("backups")["backups"]
        self.assertEqual([[copy["destination"] for copy in backup["copies"]] for backup in listed], [["manual", "inc"]])
        for place in ("inc", "manual"):
            self.bam("restore", "latest", "--destination", place, "--into", self.path(place), "--yes")
        self.assertEqual(tree(self.path("inc")), tree(self.path("manual")))
        self.assertTrue(os.path.isfile(self.path("inc/shared/in/x")))
        self.assertFalse(os.path.exists(self.path("inc/css")))

    def test_a_link_out_to_nothing_is_missing(self):
        storage = self.path("storage")
        os.symlink(storage, self.files + "/media")
        self.init()
        made = self.bam_json("backup", "files", "inc,manual", expect=3)
        self.assertIn(f"media is a link to {storage}, where nothing is", json.dumps(made["notes"]))
        for place in ("inc", "manual"):
            listed = self.bam_json("backups", place)["backups"]
            self.assertEqual([backup["incomplete"] for backup in listed], [True], place)
        os.makedirs(storage)
        for place in ("inc", "manual"):
            for how in ("--dry-run", "--yes"):
                result = self.bam("restore", "latest", "--destination", place, how, expect=3)
                self.assertSays(result, "1 thing could not be read when this backup was made", ": media;")
                self.assertEqual(os.readlink(self.files + "/media"), storage)

    def test_looking_into_it(self):
        self.init()
        made = self.bam_json("backup", "files", "inc")
        listed = {entry["path"]: entry["type"] for entry in self.bam_json("ls", "latest")["entries"]}
        self.assertEqual((listed["sub/big"], listed["sub/the same"], listed["link"]), ("file", "hardlink", "symlink"))
        with open(self.files + "/sub/big", "rb") as file:
            self.assertEqual(self.bam("cat", str(made["id"]), "sub/big").raw, file.read())
        backup = self.bam_json("backups")["backups"][0]
        self.assertEqual((backup["encryption"], backup["size"]), ("restic", made["bytes_in"]))
        self.assertIn(": good", self.bam("verify", "latest").out)
        self.assertIsNotNone(self.bam_json("backups")["backups"][0]["verified"])
        self.bam("verify", "--sample", "100")
        before = tree(self.files)
        os.remove(self.files + "/sub/big")
        self.write("sites/default/files/plain", "changed")
        self.bam("restore", "latest", "--path", "sub/big", "--yes")
        with open(self.files + "/plain") as file:
            self.assertEqual(file.read(), "changed")
        self.assertEqual(tree(self.files)[b"sub/big"]["sha256"], before[b"sub/big"]["sha256"])

    def test_files_are_told_from_folders_by_what_comes(self):
        self.write("sites/default/files/zeros", bytes(2048))
        self.write("sites/default/files/nothing")
        self.write("sites/default/files/short", b"x")
        subprocess.run(["tar", "-cf", self.files + "/a.tar", "-C", self.files, "short", "sub"], check=True)
        os.mkdir(self.files + "/hollow")
        self.init()
        self.bam("backup", "files", "inc")
        environment, calls = self.counted()
        for name, asked in [("short", ["dump"]), ("nothing", ["dump"]), ("zeros", ["dump", "ls"]), ("a.tar", ["dump", "ls"])]:
            with open(os.path.join(self.files, name), "rb") as file:
                self.assertEqual(self.bam("cat", "latest", name, env=environment).raw, file.read())
            self.assertEqual(calls(), asked)
        self.assertSays(self.bam("cat", "latest", "hollow", expect=2), "folder")
        self.assertSays(self.bam("cat", "latest", "link", expect=2), "link")
        self.assertSays(self.bam("cat", "latest", "elsewhere", expect=1), "holds no")

    def test_a_part_is_read_without_the_rest(self):
        self.write("sites/default/files/small/in/a", b"a" * 1000, mode=0o640)
        self.write("sites/default/files/small/in/b", b"b" * 1000)
        os.setxattr(self.files + "/small/in", "user.whose", b"ours")
        self.init()
        self.bam("backup", "files", "inc")
        before = self.packs()
        self.write("sites/default/files/huge/file", os.urandom(8_000_000))
        made = self.bam_json("backup", "files", "inc")
        wanted = tree(self.files)
        self.assertSays(self.bam("cat", str(made["id"]), "small", expect=2), "folder")
        for pack in self.packs() - before:
            if os.path.getsize(pack) > 1_000_000:
                os.remove(pack)
        number = str(made["id"])
        self.assertSays(self.bam("cat", number, "huge/file", expect=4), "is damaged")
        self.assertEqual(self.bam("cat", number, "small/in/a").raw, b"a" * 1000)
        shutil.rmtree(self.files + "/small/in")
        for path in ("small/in/b", "small/in"):
            self.bam("restore", number, "--path", path, "--dry-run")
            self.bam("restore", number, "--path", path, "--yes")
            self.assertEqual({name: what for name, what in tree(self.files).items() if name.startswith(path.encode())},
                             {name: what for name, what in wanted.items() if name.startswith(path.encode())})
        self.assertEqual(os.getxattr(self.files + "/small/in", "user.whose"), b"ours")
        self.assertSays(self.bam("restore", number, "--path", "small/no", "--yes", expect=1), "does not hold")

    def packs(self):
        return {os.path.join(folder, name) for folder, _, names in os.walk(self.repository + "/data") for name in names}

    def test_status_tells_of_the_repository_without_opening_it(self):
        self.init()
        made = self.bam_json("backup", "files", "inc")
        told = self.bam_json("status", expect=None)["repositories"]["inc"]
        self.assertEqual((told["backups"], told["newest"]["id"], told["check"]), (1, made["id"], None))
        self.assertGreater(told["newest"]["added"], 2_000_000)
        takes = sum(os.path.getsize(os.path.join(folder, name))
                    for folder, _, names in os.walk(self.repository) for name in names)
        self.assertEqual((told["size"], told["size_time"]), (takes, None))
        self.assertIn("never checked", self.bam("status", expect=None).out)
        self.bam("verify", "--sample", "5")
        without = {**os.environ, "PATH": "/nowhere"}
        told = self.bam_json("status", expect=None, env=without)["repositories"]["inc"]
        self.assertEqual((told["check"]["ok"], told["check"]["sample"]), (True, 5))
        self.assertIn("5 % of its data: whole", self.bam("status", expect=None, env=without).out)
        os.remove(self.packs().pop())
        self.bam("verify", "--sample", "5", expect=4)
        result = self.bam("status", expect=3, env=without)
        self.assertSays(result, "inc: the last look", " verify --sample 100`")
        self.assertIn("DAMAGED", result.out)

    def test_the_second_run_adds_nothing_and_forgets_what_was_left(self):
        self.init()
        self.bam_json("backup", "files", "inc")
        marker = [one for one in self.snapshots() if "bam_part=backup" in one["tags"]]
        self.restic("forget", marker[0]["id"])
        self.assertEqual(self.bam_json("backups", expect=3)["backups"], [], "without its last snapshot it is none")
        second = self.bam_json("backup", "files", "inc")
        self.assertLess(second["bytes_out"], 100_000)
        self.assertEqual(self.parts(), ["backup", "files"], "what the first left is forgotten")
        self.restic("check", "--read-data")

    def test_what_no_archive_could_hold_is_said(self):
        self.init()
        made = self.bam_json("backup", "files", "inc,manual")
        result = self.bam("export", str(made["id"]), self.path("usb"), "--create")
        self.assertEqual(result.code, 0)
        shutil.rmtree(self.destination())
        result = self.bam("export", str(made["id"]), self.path("usb2"), "--create", expect=1)
        self.assertSays(result, "repository", "--into")
        self.assertSays(self.bam("replicate", expect=3), "lacks a copy at manual", "new backup")

    def test_delete_and_prune(self):
        self.document["schedules"] = {"nightly": {"source": "files", "profile": "default", "destinations": ["inc"],
                                                  "every": 1, "keep": 2}}
        self.init()
        for _ in range(4):
            self.write("sites/default/files/new", os.urandom(300_000))
            self.bam("run", "nightly")
        listed = self.bam_json("backups")["backups"]
        self.assertEqual(len(listed), 2)
        self.assertEqual(self.parts(), ["backup", "backup", "files", "files"])
        self.bam("delete", str(listed[1]["id"]), "--yes")
        self.assertEqual(self.parts(), ["backup", "files"])
        self.restic("check", "--read-data")
        size = sum(os.path.getsize(os.path.join(folder, name))
                   for folder, _, names in os.walk(self.repository + "/data") for name in names)
        self.assertLess(size, 3_000_000, "what was forgotten takes no room any more")

    def test_many_go_by_one_call(self):
        schedule = {"source": "files", "profile": "default", "destinations": ["inc"], "every": 1, "keep": 9}
        self.document["schedules"] = {"nightly": schedule}
        self.init()
        for _ in range(5):
            self.bam("run", "nightly")
        newest = self.bam_json("backups")["backups"][0]["id"]
        environment, calls = self.counted()
        schedule["keep"] = 1
        told = self.bam_json("prune", env=environment)["decisions"]
        self.assertEqual([(one["id"] == newest, one["keep"], one["error"]) for one in told],
                         [(True, True, None)] + 4 * [(False, False, None)])
        self.assertEqual((calls(), self.parts()), (["forget", "forget", "prune"], ["backup", "files"]))

    def test_of_many_that_cannot_all_go_the_others_do(self):
        schedule = {"source": "files", "profile": "default", "destinations": ["inc"], "every": 1, "keep": 9}
        self.document["schedules"] = {"nightly": schedule}
        self.init()
        for _ in range(4):
            self.bam("run", "nightly")
        listed = [one["id"] for one in self.bam_json("backups")["backups"]]
        stuck = next(one["id"] for one in self.snapshots() if f"bam_id={listed[2]}" in one["tags"] and "bam_part=backup" in one["tags"])
        programs = self.path("programs")
        os.mkdir(programs)
        with open(programs + "/restic", "w") as file:
            # As a server that refuses one of them, once it has done some of what it was asked for.
            file.write(f"""#!/bin/sh
case "$*" in *forget*{stuck}*)
    for word; do case "$word" in {stuck}*) ;; *) set -- "$@" "$word";; esac; shift; done
    case "$*" in *forget*-*\ [0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]*) {shutil.which("restic")} "$@";; esac
    echo "unable to remove <snapshot/{stuck[:10]}>: input/output error" >&2; exit 1;;
esac
exec {shutil.which("restic")} "$@"
""")
        os.chmod(programs + "/restic", 0o755)
        schedule["keep"] = 1
        result = self.bam("prune", expect=3, env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"})
        self.assertSays(result, "should go from inc but did not")
        self.assertEqual([one["id"] for one in self.bam_json("backups")["backups"]], [listed[0], listed[2]])
        self.bam("prune")
        self.assertEqual([one["id"] for one in self.bam_json("backups")["backups"]], [listed[0]])

    def test_a_drill_counts_as_having_been_read(self):
        self.init()
        self.document["policy"] = {"verify_every": "30d"}
        self.bam("backup", "files", "inc")
        self.assertSays(self.bam("status", expect=3), "ever verified")
        self.bam("drill")
        self.bam("status")

    def test_what_cannot_be_read_fails_it_or_is_missing(self):
        self.init()
        self.write("sites/default/files/secret", "x", mode=0o000)
        as_user = self.as_ordinary_user()
        if not as_user and os.geteuid() == 0:
            self.skipTest("root may read everything")
        result = self.bam("backup", "files", "inc", expect=1, **as_user)
        self.assertSays(result, "secret")
        self.assertEqual(self.bam_json("backups", **as_user)["backups"], [])
        self.document["profiles"]["default"]["ignore_errors"] = True
        if as_user:
            self.write_document()
        made = self.bam_json("backup", "files", "inc", expect=3, **as_user)
        self.assertEqual(made["exit_code"], 3)
        self.assertIn("secret", json.dumps(made["notes"]))
        result = self.bam("restore", "latest", "--into", self.path("into"), expect=3, **as_user)
        self.assertSays(result, "1 thing could not be read", "secret")
        # Of a name that is not UTF-8 restic does not tell the bytes.
        odd = os.path.join(os.fsencode(self.files), b"odd", b"odd\xff")
        os.makedirs(os.path.dirname(odd))
        with open(odd, "wb") as file:
            os.fchmod(file.fileno(), 0)
        as_user = self.as_ordinary_user()
        self.bam("backup", "files", "inc", expect=3, **as_user)
        new = self.write("sites/default/files/odd/new", "x")
        as_user = self.as_ordinary_user()
        self.assertSays(self.bam("restore", "latest", "--yes", expect=3, **as_user), r"odd/odd\xff")
        self.assertEqual((os.path.exists(odd), os.path.exists(new)), (True, False))
        shutil.rmtree(os.path.dirname(odd))
        # More than restic's messages about it that are kept.
        locked = [self.write(f"sites/default/files/many/{'long name ' * 20}{number}", "x", mode=0) for number in range(1100)]
        as_user = self.as_ordinary_user()
        made = self.bam_json("backup", "files", "inc", expect=3, **as_user)
        self.assertIn("and ", made["notes"][-1]["text"])
        self.assertSays(self.bam("restore", "latest", "--yes", expect=3, **as_user), "1101 things could not be read")
        self.assertEqual([path for path in locked if not os.path.exists(path)], [])


class Refused(RepositoryTest):
    def test_settings_that_cannot_be_right(self):
        for settings, words in [({}, ["repository"]), ({"repository": "ftp://host/x"}, ["s3:"]),
                                ({"repository": "/r", "path": "/x"}, ["path"]),
                                ({"repository": "/r", "credential_files": {"RESTIC_PASSWORD": "/x"}}, ["RESTIC_PASSWORD"])]:
            self.document["destinations"]["inc"] = {"type": "restic", **settings}
            self.assertSays(self.bam("config", "check", "--offline", expect=2), *words)
        self.document["destinations"]["inc"] = {"type": "directory", "path": "/x", "repository": "/r"}
        self.assertSays(self.bam("config", "check", "--offline", expect=2), "repository")

    def test_no_repository_no_key_another_key(self):
        self.assertSays(self.bam("backup", "files", "inc", expect=1), "no repository", "destination init inc")
        self.init()
        self.assertSays(self.bam("destination", "init", "inc", expect=2), "already")
        with open(self.path("other"), "w") as file:
            file.write("another\n")
        self.document["destinations"]["inc"]["key_file"] = self.path("other")
        self.assertSays(self.bam("backup", "files", "inc", expect=1), "key")
        del self.document["destinations"]["inc"]["key_file"]
        # A key that the site had before opens it still.
        self.document["encryption"] = {"key_file": self.path("other"), "keys": [self.key]}
        self.bam("backup", "files", "inc")
        self.document["encryption"] = {}
        self.assertSays(self.bam("backup", "files", "inc", expect=2), "key_file")

    def test_no_new_one_is_made_over_one(self):
        del self.document["destinations"]["manual"]
        self.fill()
        self.init()
        self.bam("backup", "files", "inc")
        config = self.repository + "/config"
        os.rename(config, self.path("config"))
        self.assertSays(self.bam("verify", expect=4), "is damaged: its file config is gone")
        self.assertSays(self.bam("backup", "files", "inc", expect=None), "is damaged: its file config is gone")
        self.assertNotMadeOver()
        os.rename(self.path("config"), config)
        self.bam("verify")
        # Of one that was not even finished, either.
        os.remove(config)
        shutil.rmtree(self.repository + "/snapshots")
        self.assertSays(self.bam("destination", "init", "inc", expect=4), "what is left of a repository")

    def test_an_address_of_a_repository_says_what_it_wants(self):
        for address in ("rest:http://127.0.0.1:1/", "s3:https://127.0.0.1/b", "b2:bucket:path"):
            self.assertSays(self.bam("backups", "--from", address, expect=2), "repository", "destinations", "disaster-recovery.md")

    def test_a_copy_that_a_repository_lacks_is_told(self):
        self.bam("backup", "files", "inc,manual", expect=3)
        self.init()
        self.assertSays(self.bam("replicate", expect=3), "lacks a copy at inc", "new backup")

    def test_without_restic_it_is_said_what_to_install(self):
        programs = self.path("programs")
        os.mkdir(programs)
        for name in ("sh",):
            os.symlink(shutil.which(name), os.path.join(programs, name))
        result = self.bam("backup", "files", "inc", expect=1, env={**os.environ, "PATH": programs})
        self.assertSays(result, "apt-get install restic")
        with open(programs + "/restic", "w") as file:
            file.write("#!/bin/sh\necho 'restic 0.9.6 compiled with go1.12.12 on linux/amd64'\n")
        os.chmod(programs + "/restic", 0o755)
        result = self.bam("backup", "files", "inc", expect=1, env={**os.environ, "PATH": programs})
        self.assertSays(result, "0.9 is too old")
        # One that the system gives no thread is there all the same.
        with open(programs + "/restic", "w") as file:
            file.write("#!/bin/sh\nprintf 'runtime/cgo: pthread_create failed: Resource temporarily unavailable\\nSIGABRT: abort\\n\\n"
                       "goroutine 0 [idle]:\\nfs     0x0\\ngs     0x0\\n' >&2\nexit 134\n")
        result = self.bam("backup", "files", "inc", expect=1, env={**os.environ, "PATH": programs})
        self.assertSays(result, "cannot run the program restic: runtime/cgo: pthread_create failed", "`ulimit -u`")
        self.assertNotIn("install", result.err)

    def test_a_repository_that_may_only_be_read(self):
        self.fill()
        self.init()
        made = self.bam_json("backup", "files", "inc")
        os.mkdir(self.path("own"))
        as_user = self.as_ordinary_user()
        before = tree(self.files)
        run("chmod", "-R", "a-w", self.repository)
        self.addCleanup(run, "chmod", "-R", "u+w", self.repository)
        to = self.path("own/to")
        self.bam("restore", str(made["id"]), "--into", to, "--yes", **as_user)
        self.assertEqual(tree(to), before)
        if as_user:
            self.assertSays(self.bam("backup", "files", "inc", expect=1, **as_user), "cannot be written")

    def test_secrets_are_in_no_argument_and_in_no_log(self):
        self.write("sites/default/files/big", os.urandom(30_000_000))
        self.init()
        process = self.start("backup", "files", "inc")
        seen = self.seen_until_the_end(process)
        self.assertTrue([line for line, _ in seen if b"--password-file" in line], "restic was seen")
        for line, variables in seen:
            self.assertNotIn(self.password().encode(), line + variables)


@unittest.skipUnless(os.path.exists(PROGRAM), "sshd is not installed")
class OnAServer(RepositoryTest):
    def test_only_the_server_whose_key_is_pinned(self):
        self.fill()
        sshd = Sshd()
        self.addCleanup(sshd.close)
        pin = sshd.fingerprint().split()[1]
        address = sshd.url.removeprefix("sftp:").replace(sshd.backups, "/" + sshd.backups) + "/repo"
        self.document["destinations"]["inc"] = {"type": "restic", "repository": "sftp:" + address,
                                                "identity_file": sshd.path("id"), "host_key": pin}
        self.init()
        before = tree(self.files)
        made = self.bam_json("backup", "files", "inc")
        self.assertEqual(self.bam_json("backups")["backups"][0]["copies"][0]["host"], "127.0.0.1")
        shutil.rmtree(self.files)
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual(tree(self.files), before)
        self.bam("destination", "try", "inc")
        self.restic("check", "--read-data", repository=sshd.backups + "/repo")
        self.document["destinations"]["inc"]["host_key"] = "SHA256:" + "A" * 43
        self.assertSays(self.bam("backup", "files", "inc", expect=1), "IS NOT THE SERVER IT SHOULD BE")
        del self.document["destinations"]["inc"]["host_key"]
        self.document["destinations"]["inc"]["known_hosts"] = self.path("known")
        self.assertSays(self.bam("backup", "files", "inc", expect=1), "is unknown", "destination trust inc")
        self.bam("destination", "trust", "inc", "--yes")
        self.bam("backup", "files", "inc")


@unittest.skipIf(missing(), "mariadbd is not installed")
class WholeSite(RepositoryTest):
    def setUp(self):
        super().setUp()
        self.whole_site("create table node (nid int primary key, title text, body longblob);"
                        "insert into node select seq, concat('title ', seq), repeat(md5(seq), 40) from seq_1_to_20000;"
                        "create table `od``d table` (a int); insert into `od``d table` values (7)")
        self.private = self.path("private")
        os.mkdir(self.private)
        with open(self.private + "/minutes", "w") as file:
            file.write("private")
        self.document["site"]["private_path"] = self.private

    def state(self):
        return state(self.database), tree(self.files), tree(self.private)

    def test_site_and_database_come_back(self):
        before = self.state()
        times = os.stat(self.files + "/plain").st_mtime_ns
        self.init()
        made = self.bam_json("backup", "archive", "inc")
        self.assertEqual(self.parts(), ["backup", "database", "files"])
        again = self.bam_json("backup", "archive", "inc")
        self.assertLess(again["bytes_out"], 200_000, "unchanged data adds nearly nothing")
        shutil.rmtree(self.files)
        shutil.rmtree(self.private)
        self.server.sql("drop table node; delete from `od``d table`", self.database)
        self.bam("restore", str(made["id"]), "--dry-run")
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual(self.state(), before)
        self.assertEqual(os.stat(self.files + "/plain").st_mtime_ns, times)
        self.server.sql("delete from node where nid > 3; update `od``d table` set a = 8", self.database)
        self.bam("restore", str(made["id"]), "--table", "node", "--yes")
        self.assertEqual(self.server.sql("select count(*) from node", self.database), "20000\n")
        self.assertEqual(self.server.sql("select a from `od``d table`", self.database), "8\n")
        drilled = self.bam_json("drill", "latest")["drills"][0]
        self.assertTrue(drilled["ok"], drilled)

    def test_what_is_reached_by_two_ways_stands_in_both_and_stays_what_it_is(self):
        self.init()
        shared, storage = self.private + "/shared", self.path("storage")
        os.makedirs(storage + "/sub")
        for path in (shared + "/s", self.files + "/pp/q", storage + "/x", storage + "/sub/y"):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as file:
                file.write(path)
        with open(storage + "/large", "wb") as file:
            file.write(os.urandom(3_000_000))
        os.link(storage + "/large", storage + "/sub/large too")
        os.link(storage + "/x", storage + "/sub/x too")
        public, private, code = "docroot/sites/default/files", "private", "docroot/modules"
        os.makedirs(self.root + "/modules", exist_ok=True)
        places = {public: self.files, private: self.private, code: self.root + "/modules"}
        # Links, where they lead to, and a file that is reached by each.
        for one, to, other, also, name, further in (
                (public + "/l", shared, None, None, "l/s", private + "/shared/s"),
                (private + "/l", self.files + "/pp", None, None, "l/q", public + "/pp/q"),
                (public + "/l", storage, private + "/k", storage, "l/x", private + "/k/x"),
                (public + "/l", storage, private + "/k", storage + "/sub", "l/sub/y", private + "/k/y"),
                (public + "/l", storage + "/sub", private + "/k", storage, "l/y", private + "/k/sub/y"),
                (code + "/l", storage, private + "/k", storage, "l/x", private + "/k/x"),
                (public + "/l", storage + "/x", private + "/k", storage, "l", private + "/k/x")):
            with self.subTest(one=one, to=to, other=other, also=also):
                live = lambda path: next(folder + path[len(at):] for at, folder in places.items() if path.startswith(at + "/"))
                links = [(live(at), leads) for at, leads in ((one, to), (other, also)) if at]
                for link, leads in links:
                    os.symlink(leads, link)
                before = tree(self.root), tree(self.private), tree(storage)
                self.bam("backup", "archive", "inc,manual")
                paths = [os.path.join(os.path.dirname(one), name), further]
                for place in ("manual", "inc"):
                    listed = {entry["path"] for entry in self.bam_json("ls", "latest", "--destination", place)["entries"]}
                    self.assertEqual(set(paths) - listed, set(), place)
                    for path in paths:
                        with open(live(path), "rb") as file:
                            self.assertEqual(self.bam("cat", "latest", path, "--destination", place).raw, file.read())
                self.bam("drill", "latest", "--destination", "inc")
                for options in ([], ["--code"]):
                    with open(live(further), "w") as file:
                        file.write("damaged")
                    said = self.bam("restore", "latest", "--destination", "inc", "--yes", *options)
                    if os.path.isdir(to):
                        self.assertSays(said, "stay links")
                        after = tree(self.root), tree(self.private), tree(storage)
                        # Where folders trade places.
                        for root in (before[0], after[0]):
                            root.pop(b"sites/default", None)
                        self.assertEqual(after, before, options)
                # By its own path alone, into a site that lacks it.
                os.remove(live(further))
                self.bam("restore", "latest", "--destination", "inc", "--path", live(further), "--yes")
                with open(live(further)) as file:
                    self.assertNotEqual(file.read(), "damaged")
                for link, _ in links:
                    os.remove(link)

    @unittest.skipUnless(os.geteuid() == 0, "only root has links of others")
    def test_what_one_way_may_not_lead_to_comes_by_the_other(self):
        self.init()
        storage = self.path("storage")
        os.makedirs(storage + "/closed", 0o700)
        for path in (storage + "/open", storage + "/closed/c"):
            with open(path, "w") as file:
                file.write("of root")
        os.chmod(self.top, 0o755)
        os.symlink(storage, self.private + "/k")
        os.symlink(storage, self.files + "/l")
        os.chown(self.files + "/l", 65534, 65534, follow_symlinks=False)
        made = self.bam_json("backup", "archive", "inc,manual", expect=3)
        self.assertIn("lies behind a link whose owner may not read it", json.dumps(made["notes"]))
        before = tree(storage), tree(self.private), tree(self.files)
        for place in ("manual", "inc"):
            listed = {entry["path"] for entry in self.bam_json("ls", "latest", "--destination", place)["entries"]}
            self.assertEqual({"private/k/open", "private/k/closed/c", "docroot/sites/default/files/l/open"} - listed, set(), place)
            self.assertNotIn("docroot/sites/default/files/l/closed", listed)
            self.bam("drill", "latest", "--destination", place, expect=3)
            # What one link may not replace the other does.
            with open(storage + "/open", "w") as file:
                file.write("damaged")
            self.bam("restore", "latest", "--destination", place, "--yes", expect=3)
            self.assertEqual((tree(storage), tree(self.private), tree(self.files)), before, place)

    def test_a_file_whose_first_name_is_not_restored_comes_by_its_others(self):
        """An archive has its content by the first name alone: that may be code, or what comes back by another path."""
        self.init()
        os.makedirs(self.root + "/modules/m")
        os.makedirs(self.files + "/zz/deep")
        for path in (self.root + "/modules/m/logo", self.private + "/f"):
            with open(path, "w") as file:
                file.write(path)
        os.symlink(self.private, self.files + "/a")
        names = ["zz/logo", "zz/deep/logo too", "zz/h"]
        for first, name in zip(["/site/modules/m/logo", "/site/modules/m/logo", "/private/f"], names):
            os.link(self.top + first, os.path.join(self.files, name))
        os.utime(self.files + "/zz", (1_111_111_111, 1_111_111_111))
        before = tree(self.files), tree(self.private)
        self.bam("backup", "archive", "inc,manual")
        for place in ("manual", "inc"):
            for what in ([], ["--code"], ["--path", "sites/default/files/zz"]):
                with self.subTest(place=place, what=what):
                    for name in names:
                        os.unlink(os.path.join(self.files, name))
                    with open(self.files + "/zz/h", "w") as file:
                        file.write("spoiled")
                    self.bam("restore", "latest", "--destination", place, "--yes", *what)
                    # As further names of each other they come back, too.
                    self.assertEqual((tree(self.files), tree(self.private)), before)
            self.bam("drill", "latest", "--destination", place)

    def test_files_that_are_not_there_are_missing(self):
        self.init()
        shutil.move(self.private, self.path("away"))
        made = self.bam_json("backup", "archive", "inc", expect=3)
        shutil.move(self.path("away"), self.private)
        self.assertIn(f"the private files' folder {self.private} does not exist", json.dumps(made["notes"]))
        self.assertTrue(self.bam_json("backups")["backups"][0]["incomplete"])
        before = self.state()
        self.assertSays(self.bam("restore", str(made["id"]), "--yes", expect=3), "1 thing could not be read", ": private;")
        self.assertEqual(self.state(), before)
        self.assertTrue(self.bam_json("status", expect=None)["sources"])

    def test_a_database_alone(self):
        before = state(self.database)
        self.init()
        self.bam_json("backup", "db", "inc")
        self.server.sql("drop table node", self.database)
        self.bam("restore", "latest", "--yes")
        self.assertEqual(state(self.database), before)
        self.server.sql(f"drop database {self.database}; create database {self.database} character set utf8mb4")
        dump = self.restic("dump", "--tag", "bam_part=database", "latest", "/database.sql")
        self.server.sql(dump, self.database)
        self.assertEqual(state(self.database), before, "with the stock programs alone")

    def test_a_dump_that_fails_is_no_backup(self):
        self.init()
        self.backup_whose_dump_fails()
        self.assertEqual(self.bam_json("backups")["backups"], [])
        self.bam("backup", "archive", "inc")
        self.assertEqual(self.parts(), ["backup", "database", "files"])


if __name__ == "__main__":
    unittest.main()
