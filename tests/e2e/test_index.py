"""Archives that are looked into by their index: what is shown is the same, little is read, and nothing damaged is shown."""

import contextlib
import gzip
import hashlib
import os
import shutil
import sqlite3
import subprocess
import tarfile
import unittest

from bamtest import SiteTest, run
from objects import KEY, S3, SECRET, WebDav
from relay import Relay
from sshd import PROGRAM, Sshd

MEBI = 1 << 20


class Index(SiteTest):
    def setUp(self):
        super().setUp()
        self.names = {}
        for number in range(60):
            self.add(f"field/{number % 7}/{number:03}.bin", os.urandom(200_000))
        self.add("text.txt", b"words that are repeated\n" * 200_000)
        self.add("empty", b"")
        self.add("long/" * 40 + "name", b"far away")
        self.add("logo.png", os.urandom(3 * MEBI))
        os.link(os.path.join(self.files, "logo.png"), os.path.join(self.files, "second-name.png"))
        self.names["second-name.png"] = self.names["logo.png"]
        os.symlink("logo.png", os.path.join(self.files, "link"))
        with open(os.path.join(self.files, "holes"), "wb") as file:
            file.write(b"begin")
            file.seek(5 * MEBI)
            file.write(b"end")
        with open(os.path.join(self.files, "holes"), "rb") as file:
            self.names["holes"] = file.read()

    def add(self, name, content):
        self.write("sites/default/files/" + name, content)
        self.names[name] = content

    def sidecar(self, made):
        with open(made["path"] + ".info") as file:
            return dict(line.rstrip("\n").split(" = ", 1) for line in file)

    def place(self, made):
        """Where the index is, in the file before encryption: offset and length."""
        offset, length, _ = self.sidecar(made)["bam_index"].strip('"').split(" ")
        return int(offset), int(length)

    def without_index(self, made):
        """What is shown where there is none: of the same backup, read whole."""
        return self.bam("--json", "ls", str(made["id"]), "--unauthenticated").out

    def shown(self, made, name):
        return self.bam("cat", str(made["id"]), name).raw

    def test_stock_tools_see_nothing_of_it(self):
        made = self.backup("files", "manual", "secret")
        opened = subprocess.run(["openssl", "enc", "-d", "-aes-256-cbc", "-pbkdf2", "-iter", "1000", "-in", made["path"],
                                 "-pass", "file:" + self.key], check=True, capture_output=True)
        self.assertEqual(opened.stderr, b"")
        offset, length = self.place(made)
        self.assertEqual(len(opened.stdout), offset + length)
        self.assertEqual(hashlib.sha256(opened.stdout[offset:]).hexdigest(), self.sidecar(made)["bam_index"].strip('"').split(" ")[2])
        programs = [["gzip", "-t"], ["tar", "tzf", "-"], ["pigz", "-t"], ["bsdtar", "tzf", "-"], ["busybox", "gunzip", "-t"],
                    ["busybox", "tar", "tzf", "-"]]
        for program in programs:
            if not shutil.which(program[0]):
                continue
            with self.subTest(program=program):
                ran = subprocess.run(program, input=opened.stdout, capture_output=True)
                self.assertEqual((ran.returncode, ran.stderr), (0, b""))
        plain = gzip.decompress(opened.stdout)
        self.assertEqual(plain, gzip.decompress(opened.stdout[:offset]))
        # Nothing follows the end mark, which Archive_Tar would take for a member.
        self.assertEqual(len(plain) % 512, 0)
        self.assertEqual(plain[-1024:], bytes(1024))
        with self.path_of(opened.stdout) as path, tarfile.open(path) as tar:
            self.assertEqual(len(tar.getmembers()), sum(1 for _ in self.listed(made)))

    @contextlib.contextmanager
    def path_of(self, content):
        path = self.path("opened.tar.gz")
        with open(path, "wb") as file:
            file.write(content)
        yield path

    def listed(self, made):
        return self.bam_json("ls", str(made["id"]))["entries"]

    def age(self):
        identity = self.path("identity")
        self.document["encryption"]["recipients"] = [self.bam_json("keygen", "--age", identity)["recipient"]]
        self.document["encryption"]["keys"] = [identity]
        self.document["profiles"]["public"] = {"compression": "gzip", "encryption": "age"}

    def test_what_is_shown_is_the_same(self):
        self.age()
        database = self.path("site.sqlite")
        with contextlib.closing(sqlite3.connect(database)) as db, db:
            db.execute("create table node (id integer, title text)")
            db.executemany("insert into node values (?, 'old')", [(number,) for number in range(50_000)])
        self.document["databases"] = {"db": {"url": "sqlite:" + database}}
        self.document["sources"].update({"db": {"type": "database"}, "archive": {"type": "archive"}})
        for profile in ("default", "secret", "public"):
            for source, below in (("files", ""), ("archive", "sites/default/files/")):
                with self.subTest(profile=profile, source=source):
                    made = self.backup(source, "manual", profile)
                    self.assertIn("bam_index", self.sidecar(made))
                    said = self.bam("--json", "ls", str(made["id"])).out
                    whole = self.without_index(made)
                    self.assertEqual(said.split('"notes"')[0], whole.split('"notes"')[0])
                    for name in ("field/3/010.bin", "text.txt", "empty", "long/" * 40 + "name", "second-name.png", "holes"):
                        self.assertTrue(self.shown(made, below + name) == self.names[name], name)
                    if source == "archive":
                        self.assertIn(b"[", self.shown(made, "MANIFEST.ini"))
                        self.assertIn("node", self.bam("ls", str(made["id"]), "--tables").out)
                        dump = self.shown(made, "database.sqlite")
                        self.assertEqual(dump, self.bam("cat", str(made["id"]), "database.sqlite", "--unauthenticated").raw)
                    self.bam("verify", str(made["id"]))
                    self.wait_for_the_next_second(made)

    def test_it_stays_right_when_the_backup_is_encrypted_anew(self):
        made = self.backup("files", "manual", "secret")
        before = self.sidecar(made)["bam_index"]
        fresh = self.path("fresh")
        self.bam("keygen", fresh)
        self.document["encryption"].update({"key_file": fresh, "keys": [self.key]})
        self.bam("rekey", str(made["id"]))
        self.assertEqual(self.sidecar(made)["bam_index"], before)
        self.assertTrue(self.shown(made, "logo.png") == self.names["logo.png"])

    def change(self, path, at, by=1):
        with open(path, "r+b") as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ by]))

    def refused(self, made, *arguments):
        result = self.bam(*arguments, expect=4)
        self.assertEqual(result.raw, b"")
        self.assertSays(result, made["file"])

    def refuses_all(self, made):
        number = str(made["id"])
        for arguments in (("ls", number), ("cat", number, "logo.png"), ("restore", number, "--path", "logo.png", "--yes")):
            self.refused(made, *arguments)

    def test_damage_is_refused_and_nothing_shown(self):
        for profile, before in (("default", 0), ("secret", 16)):
            with self.subTest(profile=profile):
                made = self.backup("files", "manual", profile)
                offset, length = self.place(made)
                kept = [self.path("kept"), self.path("kept.info")]
                for copy, source in zip(kept, (made["path"], made["path"] + ".info")):
                    shutil.copy2(source, copy)

                def whole():
                    for copy, source in zip(kept, (made["path"], made["path"] + ".info")):
                        shutil.copy2(copy, source)

                for at in (offset, offset + length // 2, offset + length - 12):
                    self.change(made["path"], before + at)
                    self.refuses_all(made)
                    whole()
                # In the data: only what needs that part is refused, and no byte of it comes out before.
                live = os.path.join(self.files, "logo.png")
                with open(live, "wb") as file:
                    file.write(b"live")
                self.change(made["path"], before + self.end_of("logo.png", made))
                self.refused(made, "cat", str(made["id"]), "logo.png")
                self.refused(made, "restore", str(made["id"]), "--path", "logo.png", "--yes")
                with open(live, "rb") as file:
                    self.assertEqual(file.read(), b"live")
                self.assertTrue(self.shown(made, "field/0/000.bin") == self.names["field/0/000.bin"])
                self.bam("ls", str(made["id"]))
                self.bam("verify", str(made["id"]), expect=4)
                whole()
                # Shorter, by the tail of the index or by more.
                for cut in (1, 16, length, length + 100_000):
                    os.truncate(made["path"], os.path.getsize(made["path"]) - cut)
                    self.refuses_all(made)
                    whole()
                self.wait_for_the_next_second(made)
                with open(live, "wb") as file:
                    file.write(self.names["logo.png"])

    def end_of(self, name, made):
        """Where a file that does not compress ends in the data."""
        with open(made["path"], "rb") as file:
            packed = file.read()
        if made["file"].endswith(".enc"):
            packed = subprocess.run(["openssl", "enc", "-d", "-aes-256-cbc", "-pbkdf2", "-iter", "1000", "-in", made["path"],
                                     "-pass", "file:" + self.key], check=True, capture_output=True).stdout
        return packed.index(self.names[name][-1000:]) + 900

    def test_a_changed_sidecar_or_another_archive_of_the_name_is_refused(self):
        made = self.backup("files", "manual", "secret")
        self.wait_for_the_next_second(made)
        self.add("logo.png", os.urandom(3 * MEBI))
        other = self.backup("files", "manual", "secret")
        with open(made["path"] + ".info") as file:
            text = file.read()
        mine, theirs = self.sidecar(made)["bam_index"], self.sidecar(other)["bam_index"]
        offset, length = self.place(made)
        shorter = mine.replace(f" {length} ", f" {length - 1} ")
        for wrong in (theirs, shorter, mine.replace(f'"{offset}', f'"{offset + 1}'), '"0 1 2"', '""'):
            with open(made["path"] + ".info", "w") as file:
                file.write(text.replace(mine, wrong))
            self.refuses_all(made)
        without = "".join(line for line in text.splitlines(True) if not line.startswith("bam_index"))
        with open(made["path"] + ".info", "w") as file:
            file.write(without)
        self.refuses_all(made)
        with open(made["path"] + ".info", "w") as file:
            file.write(text)
        shutil.copy2(other["path"], made["path"])
        self.refuses_all(made)
        shutil.copy2(other["path"] + ".info", made["path"] + ".info")
        self.refused(made, "restore", made["file"], "--path", "logo.png", "--yes")

    def test_where_nothing_proves_it_a_wrong_index_is_still_found(self):
        del self.document["encryption"]
        made = self.backup("files")
        self.assertNotIn("bam_hmac_sha256", self.sidecar(made))
        mine = self.sidecar(made)["bam_index"]
        self.assertTrue(self.shown(made, "logo.png") == self.names["logo.png"])
        with open(made["path"] + ".info") as file:
            text = file.read()
        offset, length = self.place(made)
        for wrong in (mine.replace(f'"{offset}', f'"{offset + 1}'), mine.replace(f" {length} ", f" {1 << 60} "),
                      f'"{2**64 - 1} 1 {"0" * 64}"'):
            with open(made["path"] + ".info", "w") as file:
                file.write(text.replace(mine, wrong))
            self.refused(made, "ls", str(made["id"]))
        # What makes no sense at all counts as no index, as in a backup of an earlier version.
        for wrong in ('"5"', '""'):
            with open(made["path"] + ".info", "w") as file:
                file.write(text.replace(mine, wrong))
            self.assertTrue(self.shown(made, "logo.png") == self.names["logo.png"])

    def test_other_compressions_and_dumps_have_none(self):
        self.document["profiles"]["zstd"] = {"compression": "zstd", "encryption": "aes256"}
        made = self.backup("files", "manual", "zstd")
        self.assertNotIn("bam_index", self.sidecar(made))
        self.assertTrue(self.shown(made, "logo.png") == self.names["logo.png"])

    @unittest.skipUnless(os.path.exists(PROGRAM), "no sshd")
    def test_little_comes_from_a_server(self):
        for number in range(120):
            self.add(f"more/{number:03}", os.urandom(200_000))
        self.add("two-million", os.urandom(2_000_000))
        self.age()
        server = Sshd()
        self.addCleanup(server.close)
        relay = Relay(server.port)
        self.addCleanup(relay.close)
        url = server.url.replace(f":{server.port}", f":{relay.own}")
        with open(server.path("known_hosts")) as file:
            known = file.read()
        with open(server.path("known_hosts"), "w") as file:
            file.write(known.replace(str(server.port), str(relay.own)))
        self.document["destinations"] = {"far": {**server.settings, "url": url}}
        made = self.bam_json("backup", "files", "far", "secret")
        size = os.path.getsize(os.path.join(server.backups, made["file"]))
        self.assertGreater(size, 30 * MEBI)
        number = str(made["id"])
        _, came = relay.counted(lambda: self.bam("ls", number))
        self.assertLess(came, MEBI // 2)
        for name in ("field/3/010.bin", "more/119", "text.txt"):
            shown, came = relay.counted(lambda name=name: self.bam("cat", number, name))
            self.assertTrue(shown.raw == self.names[name])
            self.assertLess(came, 4 * MEBI, name)
        self.write("sites/default/files/more/007", "changed")
        _, came = relay.counted(lambda: self.bam("restore", number, "--path", "more/007", "--yes"))
        self.assertLess(came, 4 * MEBI)
        with open(os.path.join(self.files, "more/007"), "rb") as file:
            self.assertTrue(file.read() == self.names["more/007"])
        shown, came = relay.counted(lambda: self.bam("cat", number, "logo.png"))
        self.assertTrue(shown.raw == self.names["logo.png"])
        self.assertLess(came, 6 * MEBI)
        self.wait_for_the_next_second(made)
        for number in (number, str(self.bam_json("backup", "files", "far", "public")["id"])):
            shown, came = relay.counted(lambda number=number: self.bam("cat", number, "two-million"))
            self.assertTrue(shown.raw == self.names["two-million"])
            self.assertLess(came, 4 * MEBI)

    def test_little_comes_from_object_storage(self):
        for kind in (S3, WebDav):
            with self.subTest(kind.__name__):
                server = kind()
                self.addCleanup(server.close)
                relay = Relay(server.port)
                self.addCleanup(relay.close)
                secret = self.path("secret")
                with open(secret, "w") as file:
                    file.write(SECRET + "\n")
                os.chmod(secret, 0o600)
                near = f"http://127.0.0.1:{relay.own}"
                settings = {"type": "s3", "url": "s3://backups/sites/pece", "endpoint": near, "access_key": KEY,
                            "password_file": secret}
                if kind is WebDav:
                    settings = {"type": "webdav", "url": near.replace("//", f"//{KEY}@") + "/sites", "password_file": secret}
                self.document["destinations"] = {"far": settings}
                made = self.bam_json("backup", "files", "far", "secret")
                number = str(made["id"])
                _, came = relay.counted(lambda number=number: self.bam("ls", number))
                self.assertLess(came, MEBI // 2)
                shown, came = relay.counted(lambda number=number: self.bam("cat", number, "field/3/010.bin"))
                self.assertTrue(shown.raw == self.names["field/3/010.bin"])
                self.assertLess(came, 4 * MEBI)
                self.wait_for_the_next_second(made)
