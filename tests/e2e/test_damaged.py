"""A copy that was found damaged stays so in everybody's eyes until it is verified as good, replaced, or gone."""

import os
import shutil

from bamtest import SiteTest


class Damaged(SiteTest):
    def setUp(self):
        super().setUp()
        self.write("sites/default/files/noise", os.urandom(1 << 16))
        self.document["destinations"]["other"] = {"type": "directory", "path": self.path("other")}
        self.document["schedules"] = {"nightly": {"source": "files", "profile": "secret",
                                                  "destinations": ["manual", "other"], "every": 3600}}
        self.document["policy"] = {"copies": 2, "distinct_hosts": False}

    def flip(self, path):
        """One bit, and nothing that a listing shows."""
        found = os.stat(path)
        with open(path, "r+b") as file:
            file.seek(found.st_size // 2)
            byte = file.read(1)[0]
            file.seek(found.st_size // 2)
            file.write(bytes([byte ^ 4]))
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))

    def assertMissing(self, made, *words):
        (told,) = self.bam_json("status", expect=3)["sources"]
        self.assertEqual((told["ok"], told["copies"], told["destinations"]), (False, 1, ["other"]), told)
        text = " ".join(told["missing"])
        for word in (made["file"] + " at manual", *words):
            self.assertIn(word, text)

    def assertGood(self):
        (told,) = self.bam_json("status")["sources"]
        self.assertEqual((told["ok"], told["copies"]), (True, 2))

    def test_whoever_reads_it_remembers(self):
        for profile in ("secret", "default"):
            made = self.backup("files", "manual,other", profile)
            ways = (("verify",), ("verify", made["file"], "--destination", "manual"),
                    ("verify", "--sample", "100%"), ("drill", "--destination", "manual"),
                    ("restore", made["file"], "--destination", "manual", "--yes"),
                    ("restore", made["file"], "--destination", "manual", "--into", self.path("elsewhere")))
            for way in ways:
                with self.subTest(profile=profile, way=way):
                    self.assertGood()
                    self.flip(made["path"])
                    # Nobody has looked.
                    self.assertGood()
                    self.bam(*way, expect=4)
                    self.assertMissing(made, " replicate`", " verify " + made["file"])
                    # It was another thing that was at fault.
                    self.flip(made["path"])
                    self.assertMissing(made)
                    self.bam("verify", made["file"])
                    if way[0] == "drill":
                        self.bam("drill")
            self.bam("delete", made["file"], "--yes")

    def test_replaced_or_gone_it_is_forgotten(self):
        made = self.backup("files", "manual,other", "secret")
        self.flip(made["path"])
        self.bam("verify", expect=4)
        self.assertMissing(made)
        shutil.copyfile(self.path("other/" + made["file"]), made["path"])
        later = os.stat(made["path"]).st_mtime + 5
        os.utime(made["path"], (later, later))
        self.assertGood()
        self.flip(made["path"])
        self.bam("verify", expect=4)
        self.assertMissing(made)
        # Of the other one, nothing is said.
        os.unlink(made["path"])
        os.unlink(made["path"] + ".info")
        told = " ".join(self.bam_json("status", expect=3)["sources"][0]["missing"])
        self.assertNotIn("damaged", told)
        self.bam("replicate")
        self.assertGood()
        self.bam("verify")

    def test_no_key_is_no_damage(self):
        made = self.backup("files", "manual,other", "secret")
        shutil.move(self.key, self.key + ".away")
        self.bam("verify", expect=None)
        with open(self.key, "w") as file:
            file.write("another one\n")
        os.chmod(self.key, 0o600)
        self.assertNotEqual(self.bam("verify", expect=None).code, 0)
        os.rename(self.key + ".away", self.key)
        self.assertGood()
        self.assertEqual(self.bam_json("status")["sources"][0]["newest"], made["id"])

    def test_replicate_replaces_what_is_damaged(self):
        made = self.backup("files", "manual,other", "secret")
        with open(made["path"], "rb") as file:
            before = file.read()
        for way in ("short", "found", "without its sidecar"):
            with self.subTest(way):
                if way == "short":
                    os.truncate(made["path"], 1000)
                elif way == "found":
                    self.flip(made["path"])
                    self.bam("verify", expect=4)
                else:
                    os.unlink(made["path"] + ".info")
                self.bam("status", expect=3)
                (copy,) = self.bam_json("replicate")["copies"]
                self.assertEqual((copy["file"], copy["destination"], copy["ok"]), (made["file"], "manual", True))
                with open(made["path"], "rb") as file:
                    self.assertEqual(file.read(), before)
                self.assertGood()
                self.bam("verify")
        self.assertEqual(self.bam_json("replicate")["copies"], [])
        # The good one is no longer good, and only reading it shows that.
        self.flip(self.path("other/" + made["file"]))
        os.truncate(made["path"], 1000)
        self.assertSays(self.bam("replicate", expect=3), "no copy of " + made["file"], "SHA-256")
        self.assertEqual(os.path.getsize(made["path"]), 1000)
        # Now it is known.
        self.assertSays(self.bam("replicate", expect=3), "no destination has a good copy", " delete " + made["file"])

    def test_the_only_copy_does_not_count(self):
        made = self.backup("files", "manual", "secret")
        self.flip(made["path"])
        self.bam("verify", expect=4)
        for schedules in (self.document["schedules"], {}):
            self.document["schedules"] = schedules
            result = self.bam("status", expect=3)
            self.assertSays(result, made["file"] + " at manual", " delete " + made["file"])
        self.bam("delete", made["file"], "--yes")
        self.assertNotIn(made["file"], self.bam("status", expect=None).err)

    def test_another_size_than_its_sidecar_says_is_a_failed_copy(self):
        """Backup and Migrate's sidecars tell the size, and no digest."""
        del self.document["encryption"]
        made = self.backup("files", "manual", "default")
        os.unlink(self.path("state/made.json"))
        with open(made["path"] + ".info") as file:
            fields = [line for line in file if not line.startswith("bam_")]
        self.assertTrue(any(line.startswith("filesize") for line in fields), fields)
        with open(made["path"] + ".info", "w") as file:
            file.writelines(fields)
        self.bam("verify", made["file"])
        # What comes after the end no reader of gzip minds.
        with open(made["path"] + ".info", "w") as file:
            size = os.path.getsize(made["path"])
            file.writelines(line.replace(str(size), str(size + 7)) if line.startswith("filesize") else line
                            for line in fields)
        for options in ((), ("--unauthenticated",), ("--sample", "100%")):
            result = self.bam("verify", made["file"], *options, expect=4)
            self.assertNotIn("good", result.out)
        self.assertSays(self.bam("verify", made["file"], expect=4), f"it has {size} bytes and should have {size + 7}")
        self.assertEqual(self.bam_json("verify", made["file"], expect=4)["error"]["code"], "integrity")
