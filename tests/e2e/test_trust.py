"""A site that has a key takes nothing that its MAC does not prove: whoever can write to the destination gets nothing in."""

import glob
import os
import shutil
import unittest

from bamtest import SiteTest, run, tree


class Tampered(SiteTest):
    """The matrix: what somebody who can write to the destination may put there, and what becomes of it."""

    def setUp(self):
        super().setUp()
        self.write("sites/default/files/page.html", "<p>of the site</p>" * 100)
        self.before = tree(self.files)
        self.document["profiles"]["public"] = {"compression": "gzip", "encryption": "age"}
        made = self.bam_json("keygen", "--age", self.path("identity"))
        self.document["encryption"]["recipients"] = [made["recipient"]]
        self.document["encryption"]["keys"] = [self.path("identity")]

    def evil(self, name):
        """An archive of the attacker's, whole and well made, under the name of a backup."""
        os.makedirs(self.path("evil"), exist_ok=True)
        with open(self.path("evil/shell.php"), "w") as file:
            file.write("<?php system($_GET['c']);")
        path = os.path.join(self.destination(), name)
        run("tar", "czf", path, "-C", self.path("evil"), ".")
        return path

    def sidecar_of(self, path):
        with open(path + ".info") as file:
            return dict(line.rstrip("\n").split(" = ", 1) for line in file)

    def write_sidecar(self, path, fields):
        with open(path + ".info", "w") as file:
            file.writelines(f"{key} = {value}\n" for key, value in fields.items())

    def fitting(self, fields, path):
        """What the attacker can make of a sidecar: all that takes no key."""
        digest = run("sha256sum", path).decode().split()[0]
        keep = {key: value for key, value in fields.items() if key not in
                ("bam_hmac_sha256", "bam_kdf_iterations", "bam_salt", "bam_key_check", "bam_key_id", "bam_blocks",
                 "bam_recipients", "bam_index")}
        return keep | {"bam_sha256": f'"{digest}"', "filesize": f'"{os.path.getsize(path)}"'}

    def assertRefused(self, *arguments, code=4, says=()):
        shutil.rmtree(self.files)
        self.write("sites/default/files/live", "as it is")
        live = tree(self.root)
        result = self.bam("restore", *arguments, "--yes", expect=code)
        self.assertEqual(tree(self.root), live, result)
        self.assertSays(result, *says)
        return result

    def assertRestores(self, *arguments):
        shutil.rmtree(self.files)
        result = self.bam("restore", *arguments, "--yes")
        self.assertEqual(tree(self.files), self.before, result)
        return result

    def test_every_encryption_is_sealed(self):
        for profile in ("default", "secret", "public"):
            with self.subTest(profile):
                made = self.backup("files", "manual", profile)
                self.assertIn("bam_hmac_sha256", self.sidecar_of(made["path"]))
                self.assertEqual(self.assertRestores(str(made["id"])).err.count("without proof"), 0)
                self.bam("verify", str(made["id"]))

    def test_encrypted_exchanged_for_plain(self):
        made = self.backup("files", "manual", "secret")
        fields = self.sidecar_of(made["path"])
        plain = self.evil(made["file"].removesuffix(".enc"))
        os.unlink(made["path"])
        os.unlink(made["path"] + ".info")
        self.write_sidecar(plain, self.fitting(fields, plain))
        # The site knows that it was encrypted: not even on demand, and not when its memory is lost.
        for what in ("latest", str(made["id"]), os.path.basename(plain)):
            self.assertRefused(what, says=["exchanged"])
            self.assertRefused(what, "--unauthenticated", says=["exchanged"])
        self.bam("verify", expect=4)
        os.unlink(self.path("state/made.json"))
        self.document["profiles"]["default"]["encryption"] = "aes256"
        self.assertRefused("latest", says=["--unauthenticated"])
        self.bam("verify", expect=4)
        self.assertSays(self.bam("ls", "latest"), "without proof")
        self.assertSays(self.bam("cat", "latest", "shell.php"), "without proof")

    def test_one_copy_exchanged_for_plain(self):
        self.document["destinations"]["other"] = {"type": "directory", "path": self.path("other")}
        made = self.backup("files", "manual,other", "secret")
        fields = self.sidecar_of(made["path"])
        plain = self.evil(made["file"].removesuffix(".enc"))
        os.unlink(made["path"])
        os.unlink(made["path"] + ".info")
        self.write_sidecar(plain, self.fitting(fields, plain))
        os.unlink(self.path("state/made.json"))
        # The copy elsewhere shows it, though unencrypted backups are usual here.
        self.assertRefused(os.path.basename(plain), says=["exchanged"])
        self.assertRefused(os.path.basename(plain), "--unauthenticated", says=["exchanged"])
        self.bam("verify", expect=4)

    def test_a_plain_backup_exchanged_for_another(self):
        made = self.backup("files")
        fields = self.sidecar_of(made["path"])
        self.evil(made["file"])
        self.write_sidecar(made["path"], self.fitting(fields, made["path"]))
        self.assertRefused("latest", says=["exchanged"])
        self.write_sidecar(made["path"], fields | self.fitting(fields, made["path"]))
        self.assertRefused("latest", says=["MAC"])
        self.assertRefused("latest", "--unauthenticated", says=["MAC"])
        self.bam("verify", expect=4)
        self.bam("drill", expect=4)

    def test_the_mac_taken_off(self):
        for profile in ("default", "secret", "public"):
            with self.subTest(profile):
                made = self.backup("files", "manual", profile)
                fields = self.sidecar_of(made["path"])
                for gone in (["bam_hmac_sha256"], ["bam_sha256"], ["bam_hmac_sha256", "bam_salt", "bam_key_check"]):
                    left = {key: value for key, value in fields.items() if key not in gone}
                    self.write_sidecar(made["path"], left)
                    self.assertRefused(made["file"])
                os.unlink(made["path"] + ".info")
                self.assertRefused(made["file"], "--source", "files")
                os.unlink(made["path"])

    def test_every_field_of_the_sidecar_counts(self):
        for profile in ("default", "secret", "public"):
            made = self.backup("files", "manual", profile)
            fields = self.sidecar_of(made["path"])
            for key in fields:
                if key in ("bam_copies", "bam_verified"):
                    continue
                for value in ('"1"', '"' + fields[key].strip('"') + '0"', None):
                    if value == fields[key]:
                        continue
                    with self.subTest(profile=profile, key=key, value=value):
                        changed = {k: v for k, v in fields.items() if k != key}
                        self.write_sidecar(made["path"], changed | ({key: value} if value else {}))
                        # A later version's MAC may be of another kind: that it is one is told first.
                        newer = key == "bam_format" and value == '"10"'
                        # Whatever site it then seems to be of.
                        refused = self.bam("restore", made["file"], "--source", "files", "--site", "all", "--dry-run",
                                           expect=1 if newer else 4)
                        if newer:
                            self.assertSays(refused, "too new", "its sidecar was changed")
            self.write_sidecar(made["path"], fields)
            self.assertRestores(made["file"])
            os.unlink(made["path"])
            os.unlink(made["path"] + ".info")

    def test_another_sites_key(self):
        made = self.backup("files")
        with open(self.key, "w") as file:
            file.write("of another site entirely\n")
        self.assertRefused("latest", says=["another key"])
        # Whoever knows where it comes from may say so: a copy of another site is made like this.
        self.assertSays(self.assertRestores("latest", "--unauthenticated"), "without proof")
        self.bam("verify", expect=4)
        self.assertTrue(os.path.exists(made["path"]))

    def test_renamed(self):
        first = self.backup("files", "manual", "secret")
        for end in ("", ".info"):
            os.rename(first["path"] + end, os.path.join(self.destination(), "Newest-2099.tar.gz.enc" + end))
        self.assertRefused("Newest-2099.tar.gz.enc", says=["renamed"])
        self.assertRestores("--file", os.path.join(self.destination(), "Newest-2099.tar.gz.enc"))

    def test_a_weaker_format(self):
        made = self.backup("files", "manual", "secret")
        fields = self.sidecar_of(made["path"])
        for name in (made["file"].removesuffix(".enc") + ".aes", made["file"].removesuffix(".enc") + ".age"):
            with self.subTest(name):
                path = self.evil(name)
                self.write_sidecar(path, self.fitting(fields, path))
                self.assertRefused(name)
                os.unlink(path)
                os.unlink(path + ".info")
        age = os.path.join(self.destination(), made["file"].removesuffix(".enc") + ".age")
        run("age", "-r", self.document["encryption"]["recipients"][0], "-o", age, self.evil("x.tar.gz"))
        self.write_sidecar(age, self.fitting(fields, age))
        self.assertRefused(os.path.basename(age))

    def test_a_file_from_elsewhere_takes_the_word_of_the_user(self):
        path = self.path("foreign.tar.gz")
        run("tar", "czf", path, "-C", self.files, ".")
        self.assertRefused("--file", path, "--source", "files", says=["--unauthenticated"])
        self.bam("import", path, expect=4)
        self.assertEqual(self.visible(), [])
        self.assertSays(self.assertRestores("--file", path, "--source", "files", "--unauthenticated"), "without proof")
        self.bam("import", path, "--unauthenticated")
        self.assertRefused("foreign.tar.gz", "--source", "files")
        self.assertSays(self.bam("verify", "foreign.tar.gz", "--unauthenticated"), "without proof")
        del self.document["encryption"]
        # A site without a key has nothing to prove anything with.
        self.assertRestores("foreign.tar.gz", "--source", "files")

    def test_verify_advises_what_it_can_take(self):
        made = self.backup("files", "manual", "secret")
        bare = self.backup("files")
        self.write_sidecar(bare["path"], self.fitting(self.sidecar_of(bare["path"]), bare["path"]))
        os.unlink(self.path("state/made.json"))
        self.document["profiles"]["default"]["encryption"] = "aes256"
        failed = self.bam("verify", expect=4)
        self.assertSays(failed, bare["file"], "1 of 2 copies", "--unauthenticated")
        self.assertNotIn("new backup", failed.err)
        taken = self.bam("verify", "--unauthenticated")
        self.assertSays(taken, bare["file"], "without proof")
        listed = {one["file"]: one["verified"] for one in self.bam_json("backups")["backups"]}
        self.assertEqual((listed[made["file"]] is None, listed[bare["file"]]), (False, None))
        # Without a configuration, too.
        there = self.bam("verify", "--from", self.destination(), "--key", self.key, made["file"], config=False)
        self.assertIn("good", there.out)

    def test_an_older_unencrypted_backup_is_what_it_was(self):
        made = self.backup("files")
        fields = self.fitting(self.sidecar_of(made["path"]), made["path"])
        self.write_sidecar(made["path"], fields)
        os.unlink(self.path("state/made.json"))
        self.assertSays(self.assertRestores("latest"), "without proof")
        self.bam("verify")
        self.document["profiles"]["default"]["encryption"] = "aes256"
        self.assertRefused("latest", says=["--unauthenticated"])
        self.assertRestores("latest", "--unauthenticated")

    def test_nothing_unproven_is_handed_on(self):
        self.document["destinations"]["other"] = {"type": "directory", "path": self.path("other")}
        made = self.backup("files", "manual,other")
        fields = self.sidecar_of(made["path"])
        shutil.rmtree(self.path("other"))
        self.evil(made["file"])
        self.write_sidecar(made["path"], self.fitting(fields, made["path"]))
        self.bam("replicate", expect=3)
        self.assertEqual(glob.glob(self.path("other/*")), [])

    def test_backups_of_one_second_are_not_taken_for_each_other(self):
        self.document["profiles"]["default"].update(filename="same", append_timestamp=0)
        self.document["profiles"]["secret"].update(filename="same", append_timestamp=0)
        made = [self.backup("files", "manual", profile)["file"] for profile in ("secret", "default", "secret")]
        self.assertEqual(made, ["same.tar.gz.enc", "same-1.tar.gz", "same-2.tar.gz.enc"])
        self.bam("status")
        self.bam("verify")

    def test_nothing_unproven_is_exported(self):
        os.mkdir(self.path("usb"))
        for profile, message in (("default", "MAC"), ("secret", "MAC"), ("public", "MAC")):
            with self.subTest(profile):
                made = self.backup("files", "manual", profile)
                fields = self.sidecar_of(made["path"])
                self.bam("export", made["file"], self.path("usb"))
                shutil.rmtree(self.path("usb"))
                os.mkdir(self.path("usb"))
                self.write_sidecar(made["path"], self.fitting(fields, made["path"]))
                self.assertSays(self.bam("export", made["file"], self.path("usb"), expect=4), message)
                self.assertEqual(os.listdir(self.path("usb")), [])
                self.write_sidecar(made["path"], fields)
        made = self.backup("files", "manual", "default")
        with open(self.key) as file:
            key = file.read()
        with open(self.key, "w") as file:
            file.write("of another site entirely\n")
        self.assertSays(self.bam("export", made["file"], self.path("usb"), expect=4), "another key")
        self.assertSays(self.bam("export", made["file"], self.path("usb"), "--unauthenticated"), "without proof")
        with open(self.key, "w") as file:
            file.write(key)
        # Backup and Migrate's have nothing to be proven by; what was encrypted never goes out in the clear.
        foreign = self.evil("Old-2020-02-03T04-05-06.tar.gz")
        os.utime(foreign, (1580702706, 1580702706))
        self.assertSays(self.bam("export", os.path.basename(foreign), self.path("usb"), expect=4), "--unauthenticated")
        self.assertSays(self.bam("export", os.path.basename(foreign), self.path("usb"), "--unauthenticated"),
                        "without proof")
        made = self.backup("files", "manual", "secret")
        plain = self.evil(made["file"].removesuffix(".enc"))
        self.write_sidecar(plain, self.fitting(self.sidecar_of(made["path"]), plain))
        os.unlink(made["path"])
        os.unlink(made["path"] + ".info")
        for option in ([], ["--unauthenticated"]):
            self.assertSays(self.bam("export", os.path.basename(plain), self.path("usb"), *option, expect=4), "exchanged")

    def test_status_counts_nothing_unproven(self):
        self.document["destinations"]["other"] = {"type": "directory", "path": self.path("other")}
        self.document["schedules"] = {"nightly": {"source": "files", "profile": "secret",
                                                  "destinations": ["manual", "other"], "every": 3600}}
        self.document["policy"] = {"copies": 2, "max_age": "2d", "distinct_hosts": False}
        first = self.backup("files", "manual,other", "secret")
        made = self.backup("files", "manual,other", "secret")
        self.bam("status")
        fields = self.sidecar_of(made["path"])
        # One copy, its MAC taken off.
        self.write_sidecar(made["path"], self.fitting(fields, made["path"]))
        (told,) = self.bam_json("status", expect=3)["sources"]
        self.assertEqual((told["newest"], told["ok"], told["destinations"]), (made["id"], False, ["other"]))
        self.assertIn("differs from those of the other copies", " ".join(told["missing"]))
        # All of it: the older one is the newest that counts; also where the site remembers nothing.
        shutil.copy(made["path"] + ".info", self.path("other"))
        for memory in (True, False):
            if not memory:
                os.unlink(self.path("state/made.json"))
            (told,) = self.bam_json("status", expect=3)["sources"]
            self.assertEqual((told["newest"], told["ok"]), (first["id"], False))
            self.assertIn(made["file"], " ".join(told["missing"]))
        self.write_sidecar(made["path"], fields)
        shutil.copy(made["path"] + ".info", self.path("other"))
        self.bam("status")
        # An older one that was never proven is no longer of interest.
        path = self.evil("Planted-1.tar.gz")
        earlier = str(first["id"] - 10)
        self.write_sidecar(path, self.fitting(fields, path) | {
            "bam_id": f'"{earlier}"', "datestamp": f'"{earlier}"', "filename": '"Planted-1"'})
        self.bam("status")

    def test_a_bad_sidecar_at_one_place_hides_no_good_copy_at_another(self):
        # Places are asked in the order of their names: the bad one is the first.
        self.document["destinations"] |= {name: {"type": "directory", "path": self.path(name)} for name in ("a", "z")}
        self.document["schedules"] = {"nightly": {"source": "files", "profile": "secret",
                                                  "destinations": ["a", "z"], "every": 3600}}
        self.backup("files", "a,z", "secret")
        self.write("sites/default/files/page.html", "newer")
        self.before = tree(self.files)
        made = self.backup("files", "a,z", "secret")
        self.bam("status")
        for bad in ("a", "z"):
            path = os.path.join(self.path(bad), made["file"])
            fields = self.sidecar_of(path)
            with open(path + ".info") as file:
                text = file.read()
            for name, changes in {
                "garbage": None,
                "site": {"bam_site": '"http://evil.example.org"'},
                "date": {"datestamp": '"1999999999"'},
                "number": {"datestamp": '"1999999999"', "bam_id": '"1999999999"'},
            }.items():
                with self.subTest(name, bad=bad):
                    if changes is None:
                        with open(path + ".info", "w") as file:
                            file.write("garbage\n")
                        os.utime(path, (made["id"], made["id"]))
                    else:
                        self.write_sidecar(path, fields | changes)
                    for arguments in ((), ("--site", "all")):
                        listed = self.bam_json("backups", *arguments)["backups"]
                        (backup,) = [backup for backup in listed if backup["file"] == made["file"]]
                        self.assertEqual((len(listed), backup["id"], backup["own"]), (2, made["id"], True))
                        self.assertEqual({copy["destination"]: copy["whole"] for copy in backup["copies"]},
                                         {name: name != bad for name in ("a", "z")})
                    (told,) = self.bam_json("status", expect=3)["sources"]
                    self.assertEqual((told["newest"], told["ok"], told["copies"]), (made["id"], False, 1))
                    self.assertIn(f"{made['file']} at {bad} does not count", " ".join(told["missing"]))
                    self.assertSays(self.bam("verify", expect=4), made["file"], bad)
                    self.assertRestores("latest")
            with open(path + ".info", "w") as file:
                file.write(text)
            self.bam("status")
        # It is not passed off as what has the key already, and can be put right.
        self.write_sidecar(path, fields | {"bam_site": '"http://evil.example.org"'})
        result = self.bam("rekey", "--all", expect=3)
        self.assertIn("3 copies have the current key already", result.out)
        self.assertSays(result, "left as it is", "differs", "replicate` copies it there again")
        self.bam("delete", made["file"], "--destination", "z", "--site", "all", "--yes")
        self.bam("replicate")
        self.bam("status")
        self.assertEqual(self.sidecar_of(path)["bam_hmac_sha256"], fields["bam_hmac_sha256"])

    def test_status_does_not_count_a_mac_that_no_key_made(self):
        self.document["schedules"] = {"nightly": {"source": "files", "profile": "secret",
                                                  "destinations": ["manual"], "every": 3600}}
        first = self.backup("files", "manual", "secret")
        made = self.backup("files", "manual", "secret")
        fields = self.sidecar_of(made["path"])
        forged = fields | {"bam_hmac_sha256": '"' + "5a" * 32 + '"'}
        later = fields | {"datestamp": '"' + str(made["id"] + 5) + '"', "bam_id": '"' + str(made["id"] + 5) + '"'}
        for memory in (True, False):
            for told in (forged, later):
                if not memory and os.path.exists(self.path("state/made.json")):
                    os.unlink(self.path("state/made.json"))
                self.write_sidecar(made["path"], told)
                (source,) = self.bam_json("status", expect=3)["sources"]
                self.assertEqual((source["newest"], source["ok"]), (first["id"], False))
                self.assertIn("not of this site's key", " ".join(source["missing"]))
        # What the key proves counts on any machine.
        self.write_sidecar(made["path"], fields)
        (source,) = self.bam_json("status")["sources"]
        self.assertEqual(source["newest"], made["id"])
        self.assertIn("reads the bytes", self.bam("status").out)

    def test_the_same_name_again_in_the_clear_is_no_exchange(self):
        for profile in ("secret", "default"):
            self.document["profiles"][profile] |= {"append_timestamp": 2, "filename": "always"}
        old = self.backup("files", "manual", "secret")
        self.write("sites/default/files/page.html", "newer")
        self.before = tree(self.files)
        new = self.backup("files", "manual", "default")
        self.assertEqual(new["file"] + ".enc", old["file"])
        for name in (str(new["id"]), "latest"):
            self.assertRestores(name, *(["--source", "files"] if name == "latest" else []))
        self.bam("verify", str(new["id"]))
        self.bam("status")
        # What others put in its place is exchanged all the same.
        fields = self.sidecar_of(new["path"])
        self.write_sidecar(self.evil(new["file"]), self.fitting(fields, new["path"]))
        self.assertRefused(str(new["id"]), says=("exchanged",))

    def test_status_knows_what_was_encrypted(self):
        made = self.backup("files", "manual", "secret")
        self.bam("status")
        plain = self.evil(made["file"].removesuffix(".enc"))
        self.write_sidecar(plain, self.fitting(self.sidecar_of(made["path"]), plain))
        os.unlink(made["path"])
        os.unlink(made["path"] + ".info")
        self.assertSays(self.bam("status", expect=3), "was encrypted when it was made")

    def test_status_counts_older_unencrypted_backups(self):
        made = self.backup("files")
        self.write_sidecar(made["path"], self.fitting(self.sidecar_of(made["path"]), made["path"]))
        os.unlink(self.path("state/made.json"))
        self.bam("status")
        self.document["profiles"]["default"]["encryption"] = "aes256"
        self.assertSays(self.bam("status", expect=3), "no MAC")

    def test_status_says_that_a_schedule_has_no_key(self):
        self.document["schedules"] = {"nightly": {"source": "files", "profile": "secret", "destinations": ["manual"],
                                                  "every": 3600}}
        self.backup("files", "manual", "secret")
        self.bam("status")
        os.rename(self.key, self.path("away"))
        self.assertSays(self.bam("status", expect=3), self.key)
        open(self.key, "w").close()
        self.assertSays(self.bam("status", expect=3), "is empty")
        os.unlink(self.key)
        self.document["schedules"]["nightly"]["profile"] = "default"
        # No schedule needs it, but the backups that are there do; nor is the lack of it said to be another fault.
        for memory in (True, False):
            if not memory:
                os.unlink(self.path("state/made.json"))
            result = self.bam("status", expect=3)
            self.assertSays(result, self.key)
            self.assertNotIn("MAC is not", result.err)

    def test_planted_backups_push_nothing_out(self):
        self.document["schedules"] = {"nightly": {"source": "files", "profile": "secret", "destinations": ["manual"],
                                                  "every": 3600, "keep": 2}}
        first = self.run_schedule()
        second = self.run_schedule()
        fields = self.sidecar_of(os.path.join(self.destination(), second))
        for number in range(4):
            path = self.evil(f"Planted-{number}.tar.gz")
            later = str(int(fields["bam_id"].strip('"')) + 1 + number)
            self.write_sidecar(path, self.fitting(fields, path) | {
                "bam_id": f'"{later}"', "datestamp": f'"{later}"', "filename": f'"Planted-{number}"'})
        self.bam("prune")
        self.assertTrue({first, second} <= set(self.visible()), self.visible())

    def run_schedule(self):
        before = set(self.visible())
        self.bam("run", "nightly")
        return [name for name in set(self.visible()) - before if not name.endswith(".info")][0]


class RolledBack(SiteTest):
    """Whoever can delete at the destination must not pass an old backup off as the newest."""

    def test_the_newest_that_vanished_is_missed_and_one_that_was_erased_is_not(self):
        old = self.backup("files", "manual", "default")
        self.write("sites/default/files/later", "1")
        new = self.backup("files", "manual", "default")
        kept = self.path("kept")
        os.mkdir(kept)
        for path in glob.glob(new["path"] + "*"):
            shutil.move(path, kept)
        self.assertSays(self.bam("status", expect=3), new["file"], "gone")
        self.assertSays(self.bam("restore", "latest", "--yes", expect=3), old["file"], new["file"], "gone")
        # A place that cannot be looked at may have it.
        self.document["destinations"]["away"] = {"type": "directory", "path": self.write("no-folder", "")}
        self.assertNotIn("gone from", str(self.bam("status", expect=3)))
        del self.document["destinations"]["away"]
        for name in os.listdir(kept):
            shutil.move(os.path.join(kept, name), self.destination())
        self.bam("delete", str(new["id"]), "--yes")
        self.assertNotIn("gone from", str(self.bam("status")))


if __name__ == "__main__":
    unittest.main()
