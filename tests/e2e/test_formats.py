"""Every format of other programs restores: the right key puts the backup back; a wrong key, a cut file and a flipped
bit end in a clear error and leave the site as it was."""

import base64
import bz2
import gzip
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import unittest
import zipfile

from bamtest import SiteTest, run, tree
from mariadb import missing, server, state

FIXTURES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fixtures/backup_migrate")
KEY = "LegacyKey-PECE-2016-abcdefghijkl"
IV = "xIeJSEQwgVTgYJVEQVWd8w=="
PHPSECLIB = {"implementation": "phpseclib", "key": KEY}
MCRYPT = {"implementation": "mcrypt", "key": KEY, "iv": IV}
REAL_AES = {"implementation": "real_aes", "key": "RealAES-16-bytes"}
DUMP = "plain-2026-11-22T23-50-57.mysql.gz"
FILES = "plain-2026-11-22T23-50-59.tar.gz"
ARCHIVE = "tiny-2026-11-22T23-51-02.sitearchive.tar.gz"
# What they hold, as B&M on the site that made them does.
PHOTO = 20_000


@unittest.skipIf(missing(), "mariadbd is not installed")
class Formats(SiteTest):
    # Starts among the first (tests/tap.py).
    long = True

    def setUp(self):
        super().setUp()
        self.name = "bam_" + os.path.basename(self.top).replace("-", "_").lower()
        self.server = server()
        self.server.sql(f"create database `{self.name}`")
        self.addCleanup(self.server.sql, f"drop database if exists `{self.name}`")
        self.document["databases"] = {
            "db": {"url": f"mysql://root@localhost/{self.name}", "socket": self.server.socket}}
        self.document["site"]["private_path"] = "sites/default/private"
        self.document["sources"] |= {"db": {"type": "database"}, "archive": {"type": "archive"}}
        self.leave()

    def leave(self):
        """A site that has something to lose."""
        shutil.rmtree(self.root)
        self.write("index.php", "<?php\n")
        self.write("sites/default/files/mine", "to be replaced")
        self.server.sql(f"drop database `{self.name}`; create database `{self.name}`")
        self.server.sql("create table mine (a int primary key); insert into mine values (1);", self.name)

    def site(self):
        return tree(self.root), state(self.name)

    def put(self, name, content=None):
        """A file of that name beside the site; without content a fixture, with its sidecar where it has one."""
        path = self.path(name)
        if content is not None:
            with open(path, "wb") as file:
                file.write(content)
            return path
        for ending in ("", ".info"):
            if os.path.exists(os.path.join(FIXTURES, name + ending)):
                shutil.copy(os.path.join(FIXTURES, name + ending), path + ending)
        return path

    def restore(self, path, source, *options, expect=0):
        # Nothing proves any of these, and the site has a key.
        told = [] if "--unauthenticated" in options else ["--unauthenticated"]
        return self.bam("restore", "--file", path, "--source", source, "--yes", *options, *told, expect=expect)

    def assertFiles(self):
        self.assertEqual(os.path.getsize(os.path.join(self.files, "field/photo.jpg")), PHOTO)
        self.assertFalse(os.path.exists(os.path.join(self.files, "mine")))

    def assertDatabase(self):
        self.assertEqual(self.server.sql("select count(*) from users where uid = 1", self.name).strip(), "1")

    def assertRestores(self, path, source, *options):
        self.leave()
        self.restore(path, source, *options)
        if source in ("files", "archive"):
            self.assertFiles()
        if source in ("db", "archive"):
            self.assertDatabase()

    def assertRefused(self, path, source, *options):
        self.leave()
        before = self.site()
        result = self.restore(path, source, *options, expect=None)
        self.assertNotEqual(result.code, 0, result)
        self.assertIn(result.code, (1, 4), result)
        self.assertSays(result, os.path.basename(path))
        self.assertEqual(self.site(), before, result)

    def restore_and_break(self, name, source, *options, wrong=None, content=None):
        """The whole matrix for one file."""
        path = self.put(name, content)
        with self.subTest(name):
            self.assertRestores(path, source, *options)
        with open(path, "rb") as file:
            whole = file.read()
        for keep in (len(whole) // 2, len(whole) - 20, len(whole) - 1):
            with self.subTest(name, cut_to=keep):
                self.put(name, whole[:keep])
                self.assertRefused(path, source, *options)
        for at in (len(whole) // 3, len(whole) // 2, len(whole) - 6):
            with self.subTest(name, flipped=at):
                self.put(name, whole[:at] + bytes([whole[at] ^ 8]) + whole[at + 1:])
                self.assertRefused(path, source, *options)
        self.put(name, whole)
        if wrong is not None:
            right = self.document["encryption"]
            self.document["encryption"] = wrong
            with self.subTest(name, key="wrong"):
                self.assertRefused(path, source, *options)
            self.document["encryption"] = right

    def test_every_fixture_with_the_right_key_a_wrong_one_cut_short_and_damaged(self):
        seen = set()
        for name in sorted(os.listdir(FIXTURES)):
            if name.endswith(".info"):
                continue
            seen.add(name)
            kind = name.split(".", 1)[1]
            source = {"mysql": "db", "tar": "files", "sitearchive": "archive"}[kind.split(".")[0]]
            module = MCRYPT if name.startswith("mcrypt") else PHPSECLIB
            self.document["encryption"] = {"aes_module": module}
            wrong = {"aes_module": {**module, "key": module["key"].replace("e", "f")}}
            self.restore_and_break(name, source, wrong=wrong if name.endswith(".aes") else None)
        self.assertEqual(len(seen), 7)

    def test_what_the_module_real_aes_encrypted(self):
        name = "realaes-2026-11-22T23-50-59.tar.gz.aes"
        with open(os.path.join(FIXTURES, "../real_aes", name), "rb") as file:
            content = file.read()
        self.document["encryption"] = {"aes_module": REAL_AES}
        wrong = {"aes_module": {**REAL_AES, "key": "another 16 bytes"}}
        self.restore_and_break(name, "files", content=content, wrong=wrong)

    def plain(self, name):
        with gzip.open(os.path.join(FIXTURES, name)) as file:
            return file.read()

    def test_every_compression_of_backup_and_migrate(self):
        for fixture, source in ((DUMP, "db"), (FILES, "files"), (ARCHIVE, "archive")):
            plain, base = self.plain(fixture), fixture.removesuffix(".gz")
            zipped = self.path("z.zip")
            with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as file:
                file.writestr(base, plain)
            with open(zipped, "rb") as file:
                zipped = file.read()
            for name, content in ((base, plain), (base + ".bz", bz2.compress(plain)), (base + ".bz2", bz2.compress(plain)),
                                  (base + ".zip", zipped)):
                with self.subTest(name):
                    path = self.put(name, content)
                    self.assertRestores(path, source)
                    self.put(name, content[:len(content) * 2 // 3])
                    self.assertRefused(path, source)
        dump = self.plain(DUMP)
        for name, content in (("x.sql", dump), ("x.sql.gz", gzip.compress(dump))):
            with self.subTest(name):
                self.assertRestores(self.put(name, content), "db")

    def test_a_name_that_promises_something_else_is_told(self):
        for name, content, word in (("x.mysql.gz", b"%PDF-1.7 not a dump" * 99, "is not what its name says"),
                                    ("x.tar.gz", gzip.compress(self.plain(DUMP)), "sql"),
                                    ("y.mysql.gz", gzip.compress(self.plain(FILES)), "tar")):
            with self.subTest(name):
                path = self.put(name, content)
                source = "db" if "mysql" in name else "files"
                self.assertRefused(path, source)
                self.assertSays(self.restore(path, source, expect=4), word)

    def test_dumps_in_utf_16(self):
        dump = self.plain(DUMP).decode()
        for coding in ("utf-16", "utf-16-be", "utf-16-le"):
            # Python's utf-16 has a mark of its own.
            content = ("\ufeff" + dump if coding == "utf-16-be" else dump).encode(coding)
            for name, packed in ((coding + ".sql", content), (coding + ".sql.gz", gzip.compress(content))):
                with self.subTest(name):
                    path = self.put(name, packed)
                    self.assertRestores(path, "db")
                    self.assertIn("users", self.bam("ls", "--file", path).out)

    # Around the tables, as these clients write it.
    OF_MYSQL = """-- MySQL dump 10.13  Distrib {version}, for Linux (x86_64)
--
-- Host: localhost    Database: d7
-- ------------------------------------------------------
-- Server version\t{version}

/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!40101 SET @OLD_CHARACTER_SET_RESULTS=@@CHARACTER_SET_RESULTS */;
/*!40101 SET @OLD_COLLATION_CONNECTION=@@COLLATION_CONNECTION */;
/*!50503 SET NAMES utf8mb4 */;
/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */;
/*!40103 SET TIME_ZONE='+00:00' */;
/*!50606 SET @OLD_INNODB_STATS_AUTO_RECALC=@@INNODB_STATS_AUTO_RECALC */;
/*!50606 SET GLOBAL INNODB_STATS_AUTO_RECALC=OFF */;
/*!80000 SET SESSION information_schema_stats_expiry=0 */;
/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */;
/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;
/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */;
SET @MYSQLDUMP_TEMP_LOG_BIN = @@SESSION.SQL_LOG_BIN;
SET @@SESSION.SQL_LOG_BIN= 0;

--
-- GTID state at the beginning of the backup
--

SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ '3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5';

DROP TABLE IF EXISTS `users`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!50503 SET character_set_client = utf8mb4 */;
CREATE TABLE `users` (
  `uid` int NOT NULL,
  `hidden` int DEFAULT NULL /*!80023 INVISIBLE */,
  `data` json DEFAULT NULL,
  PRIMARY KEY (`uid`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
/*!40101 SET character_set_client = @saved_cs_client */;
LOCK TABLES `users` WRITE;
/*!40000 ALTER TABLE `users` DISABLE KEYS */;
INSERT INTO `users` (`uid`, `data`) VALUES (1,'{{"a": 1}}');
/*!40000 ALTER TABLE `users` ENABLE KEYS */;
UNLOCK TABLES;
SET @@SESSION.SQL_LOG_BIN = @MYSQLDUMP_TEMP_LOG_BIN;
/*!50606 SET GLOBAL INNODB_STATS_AUTO_RECALC=@OLD_INNODB_STATS_AUTO_RECALC */;
/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;
/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;
/*!40014 SET FOREIGN_KEY_CHECKS=@OLD_FOREIGN_KEY_CHECKS */;
/*!40014 SET UNIQUE_CHECKS=@OLD_UNIQUE_CHECKS */;
/*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */;
/*!40101 SET CHARACTER_SET_RESULTS=@OLD_CHARACTER_SET_RESULTS */;
/*!40101 SET COLLATION_CONNECTION=@OLD_COLLATION_CONNECTION */;
/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;

-- Dump completed on 2026-01-01 10:00:00
"""

    def test_what_surrounds_dumps_of_newer_clients(self):
        for version in ("8.0.46", "8.4.10", "9.7.0"):
            with self.subTest(version):
                self.assertRestores(self.put(version + ".mysql", self.OF_MYSQL.format(version=version).encode()), "db")
        for mark in ("/*M!999999\\- enable the sandbox mode */ \n", "/*!999999\\- enable the sandbox mode */\n"):
            with self.subTest(mark):
                self.assertRestores(self.put("marked.mysql", mark.encode() + self.plain(DUMP)), "db")

    def test_a_dump_without_statements_changes_nothing(self):
        for number, text in enumerate(("", "\n", "-- a comment\n/* another */\n", "create database x; commit;\n",
                                        "drop table if exists node;\n")):
            for name, content in ((f"none-{number}.sql", text.encode()),
                                  (f"none-{number}.mysql.gz", gzip.compress(text.encode()))):
                with self.subTest(name, text=text):
                    path = self.put(name, content)
                    self.assertRefused(path, "db")
                    self.assertSays(self.restore(path, "db", expect=4), "empty")
                    self.assertSays(self.bam("import", path, "--unauthenticated", expect=4), name)

    def test_of_a_dump_that_nothing_proves_the_end_is_looked_at(self):
        dump = b"-- MySQL dump 10.13\n\nCREATE TABLE `t` (`a` int);\nINSERT INTO `t` VALUES (1);\n"
        good = {"whole.mysql.gz": dump + b"-- Dump completed\n",
                # Which of the two is meant is a question for the restore.
                "two.mysql.gz": b"USE a;\n" + dump + b"USE b;\n" + dump + b"-- Dump completed\n" * 2}
        bad = {"cut.mysql.gz": dump, "note.mysql.gz": b"hello\n", "empty.sql": b""}
        for name, text in (good | bad).items():
            content = text if name.endswith(".sql") else gzip.compress(text)
            expect = 0 if name in good else 4
            with self.subTest(name):
                self.bam("import", self.put(name, content), "--unauthenticated", expect=expect)
                # What others put there.
                os.makedirs(self.destination(), exist_ok=True)
                with open(os.path.join(self.destination(), name), "wb") as file:
                    file.write(content)
                self.bam("verify", name, expect=expect)

    def test_of_a_tar_that_nothing_proves_no_more_is_said_than_was_seen(self):
        whole = io.BytesIO()
        with tarfile.open(fileobj=whole, mode="w") as tar:
            for name in ("a", "b", "c"):
                member = tarfile.TarInfo(name)
                member.size = 3000
                tar.addfile(member, io.BytesIO(b"x" * 3000))
        whole = whole.getvalue()
        member = 512 + 3072
        cut = {"whole.tar": (whole, 0), "between.tar": (whole[: 2 * member], 0), "inside.tar": (whole[: member + 900], 4),
               "inside.tar.gz": (gzip.compress(whole[: member + 900]), 4), "head.tar": (whole[: member + 100], 4)}
        for name, (content, expect) in cut.items():
            with self.subTest(name):
                told = self.bam("import", self.put(name, content), "--unauthenticated", expect=expect)
                os.makedirs(self.destination(), exist_ok=True)
                with open(os.path.join(self.destination(), name), "wb") as file:
                    file.write(content)
                verified = self.bam("verify", name, expect=expect)
                for result in (told, verified):
                    self.assertNotIn("good", result.out)
                    if name == "between.tar":
                        self.assertSays(result, "no end mark", "may be cut off")
                if expect == 0:
                    self.assertIn("nothing tells whether that is all of it", verified.out)

    def retar(self, fixture, rename):
        """The fixture with its members under other names."""
        with tarfile.open(os.path.join(FIXTURES, fixture)) as old, \
                tarfile.open(self.path("new.tar.gz"), "w:gz", format=tarfile.GNU_FORMAT) as new:
            for member in old.getmembers():
                content = old.extractfile(member) if member.isfile() else None
                member.name = rename(member.name)
                if member.name:
                    new.addfile(member, content)
        with open(self.path("new.tar.gz"), "rb") as file:
            return file.read()

    def test_archives_with_and_without_their_folder(self):
        with self.subTest("files/ around everything, as Backup and Migrate 2 wrote it"):
            content = self.retar(FILES, lambda name: "files" if name == "." else "files/" + name.removeprefix("./"))
            self.restore_and_break("old.tar.gz", "files", content=content)
        with self.subTest("a site archive without its NAME/ folder"):
            content = self.retar(ARCHIVE, lambda name: name.partition("/")[2])
            self.restore_and_break("bare.sitearchive.tar.gz", "archive", content=content)

    def drush_archive(self):
        """As Drush 8's archive-dump lays it out: dump and docroot first, the manifest last."""
        top = self.path("drush")
        run("mkdir", "-p", top + "/drupal")
        run("tar", "xzf", os.path.join(FIXTURES, ARCHIVE), "-C", top)
        inner = os.path.join(top, ARCHIVE.split(".")[0])
        os.rename(inner + "/docroot/sites", top + "/drupal/sites")
        os.rename(inner + "/database.sql", top + "/default.sql")
        with open(top + "/drupal/index.php", "w") as file:
            file.write("<?php // theirs\n")
        with open(top + "/MANIFEST.ini", "w") as file:
            file.write('[Global]\ndatestamp = "1795391462"\nformatversion = "1.0"\ngenerator = "Drush archive-dump"\n'
                       'generatorversion = "8.4.12"\n\n[default]\ndocroot = "/srv/www/drupal"\n'
                       'sitedir = "sites/default"\nfiles-public = "sites/default/files"\n'
                       'database-default-file = "default.sql"\ndatabase-default-driver = "mysql"\n')
        return run("tar", "cz", "-C", top, "default.sql", "drupal", "MANIFEST.ini")

    def test_what_drush_dumped(self):
        self.restore_and_break("dump.sql.gz", "db", content=gzip.compress(self.plain(DUMP)))
        self.restore_and_break("theirs.tar.gz", "archive", content=self.drush_archive())

    def test_what_openssl_encrypted_in_its_old_and_new_ways(self):
        with open(os.path.join(FIXTURES, FILES), "rb") as file:
            plain = file.read()
        self.document["encryption"] = {"key_file": self.key, "iterations": 1000}
        with open(self.path("wrong"), "w") as file:
            file.write("incorrect horse\n")
        for label, options in (("pbkdf2", ["-pbkdf2"]), ("sha256", ["-md", "sha256"]), ("md5", ["-md", "md5"])):
            sealed = subprocess.run(["openssl", "enc", "-aes-256-cbc", *options, "-pass", "file:" + self.key],
                                    input=plain, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
            self.restore_and_break(f"{label}.tar.gz.enc", "files", "--unauthenticated", content=sealed,
                                   wrong={"key_file": self.path("wrong"), "iterations": 1000})
            with self.subTest(label, flag="missing"):
                path = self.put(f"{label}.tar.gz.enc", sealed)
                self.bam("restore", "--file", path, "--source", "files", "--yes", expect=4)

    def test_the_aes_modules_keys_of_every_length(self):
        with open(os.path.join(FIXTURES, FILES), "rb") as file:
            plain = file.read() + b"\x80"
        for length in (1, 15, 16, 17, 23, 24, 25, 31, 32, 33, 40, 64):
            key = (KEY + KEY)[:length]
            # phpseclib: NULs up to 16, 24 or 32 bytes, the rest cut off.
            size = next((size for size in (16, 24, 32) if length <= size), 32)
            padded = key.encode()[:32].ljust(size, b"\0").hex()
            sealed = run("openssl", "enc", f"-aes-{size * 8}-cbc", "-K", padded, "-iv", "0" * 32, input=plain)
            self.document["encryption"] = {"aes_module": {"implementation": "phpseclib", "key": key}}
            with self.subTest("phpseclib", length=length):
                self.assertRestores(self.put(f"p{length}.tar.gz.aes", sealed), "files")
            # mcrypt: whatever the length, 32 hex digits of the SHA-1; NULs up to the block.
            hashed = hashlib.sha1(key.encode()).hexdigest()[:32].encode().hex()
            blocks = plain + b"\0" * (-len(plain) % 16)
            iv = base64.b64decode(IV).hex()
            sealed = run("openssl", "enc", "-aes-256-cbc", "-nopad", "-K", hashed, "-iv", iv, input=blocks)
            self.document["encryption"] = {"aes_module": {**MCRYPT, "key": key}}
            with self.subTest("mcrypt", length=length):
                self.assertRestores(self.put(f"m{length}.tar.gz.aes", sealed), "files")


if __name__ == "__main__":
    unittest.main()
