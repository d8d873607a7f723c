"""What a site remembers to have made is not lost because its sidecar is gone or says something else."""

import os
import shutil
import unittest

from bamtest import ITERATIONS, SiteTest, tree


class Recalled(SiteTest):
    def setUp(self):
        super().setUp()
        self.write("sites/default/files/page", "old")

    def with_key(self, has_key):
        self.profile = "secret" if has_key else "default"
        self.document["encryption"] = {"key_file": self.key, "iterations": ITERATIONS} if has_key else {}
        self.document["schedules"] = {"nightly": {"source": "files", "profile": self.profile,
                                                  "destinations": ["manual"], "every": 3600}}

    def two(self):
        """An older and a newer one."""
        old = self.backup("files", "manual", self.profile)
        self.write("sites/default/files/page", "new")
        new = self.backup("files", "manual", self.profile)
        self.bam("status")
        return old, new

    def assertNotTakenForOlder(self, new, *words):
        for arguments in (("latest",), ("latest", "--source", "files"), (str(new["id"]),)):
            result = self.bam("restore", *arguments, "--yes", expect=None)
            self.assertNotEqual(result.code, 0, result)
            self.assertSays(result, new["file"])
            # Without a key the very file may be restored all the same; an older one never is.
            with open(os.path.join(self.files, "page")) as file:
                self.assertEqual(file.read(), "new")
        (source,) = self.bam_json("status", expect=3)["sources"]
        self.assertEqual(source["ok"], False)
        self.assertIn(new["file"], " ".join(source["missing"]))
        listed = self.bam_json("backups", expect=3)
        (backup,) = [backup for backup in listed["backups"] if backup["file"] == new["file"]]
        self.assertEqual((backup["id"], backup["source"], backup["own"], backup["copies"][0]["whole"]),
                         (new["id"], "files", True, False))
        self.assertEqual(listed["backups"][0]["file"], new["file"])
        self.assertSays(self.bam("backups", expect=3), new["file"], *words)
        self.assertSays(self.bam("verify", expect=4), new["file"])
        self.assertSays(self.bam("verify", "--sample", "100%", expect=4), new["file"])
        self.assertSays(self.bam("replicate", expect=3), new["file"], *words)
        self.assertSays(self.bam("prune", expect=3), new["file"], *words)

    def test_the_newest_without_its_sidecar_is_the_latest(self):
        for has_key in (True, False):
            for how in ("gone", "garbage"):
                with self.subTest(has_key=has_key, how=how):
                    self.with_key(has_key)
                    old, new = self.two()
                    away = shutil.move(new["path"] + ".info", self.path("away"))
                    if how == "garbage":
                        with open(new["path"] + ".info", "w") as file:
                            file.write("garbage\n")
                    # A copy of the file that lost its date.
                    os.utime(new["path"], (old["id"] - 5000, old["id"] - 5000))
                    self.assertNotTakenForOlder(new, "lost its sidecar")
                    # What is named is what is meant.
                    self.bam("restore", str(old["id"]), "--yes")
                    with open(os.path.join(self.files, "page")) as file:
                        self.assertEqual(file.read(), "old")
                    shutil.move(away, new["path"] + ".info")
                    for verb in ("status", "backups", "verify"):
                        self.bam(verb)
                    # Erased, it is nobody's fault.
                    os.unlink(new["path"] + ".info")
                    self.bam("delete", new["file"], "--yes")
                    for verb in ("status", "backups", "verify", "prune"):
                        self.assertNotIn(new["file"], str(self.bam(verb)))
                    self.bam("restore", "latest", "--yes")
                    self.bam("delete", old["file"], "--yes")

    def test_who_unmakes_a_backup_by_a_letter_is_told_of(self):
        edits = {"bam_site": ("example", "exbmple"), "bam_sourceid": ("files", "filez"),
                 "datestamp": ('"17', '"16'), "bam_id": ('"17', '"16')}
        for has_key in (True, False):
            self.with_key(has_key)
            old, new = self.two()
            with open(new["path"] + ".info") as file:
                text = file.read()
            for field, (was, becomes) in edits.items():
                with self.subTest(field, has_key=has_key):
                    lines = text.splitlines(keepends=True)
                    (at,) = [at for at, line in enumerate(lines) if line.startswith(field + " ")]
                    self.assertIn(was, lines[at])
                    lines[at] = lines[at].replace(was, becomes, 1)
                    with open(new["path"] + ".info", "w") as file:
                        file.writelines(lines)
                    self.assertNotTakenForOlder(new, "its sidecar was changed")
            # What nothing is found by: without a MAC memory tells it, too.
            with open(new["path"] + ".info", "w") as file:
                file.write(text.replace('generator = "bam"', 'generator = "ham"'))
            self.assertSays(self.bam("verify", expect=4), new["file"])
            with open(new["path"] + ".info", "w") as file:
                file.write(text)
            for verb in ("status", "backups", "verify", "prune"):
                self.bam(verb)
            for one in (old, new):
                self.bam("delete", one["file"], "--yes")

    def test_what_is_rightly_so_is_no_alarm(self):
        for has_key in (True, False):
            with self.subTest(has_key=has_key):
                self.with_key(has_key)
                old, new = self.two()
                # The site's address is another now.
                self.document["site"]["url"] = "http://elsewhere.org"
                for verb in ("backups", "prune", "replicate"):
                    self.assertNotIn("was changed", str(self.bam(verb)))
                self.document["site"]["url"] = "http://example.org"
                # Another machine seals them anew, and makes others, also of a name that this one gave.
                self.document["profiles"][self.profile] |= {"append_timestamp": 2, "filename": "always"}
                always = self.backup("files", "manual", self.profile)
                self.document["state_dir"] = self.path("state2")
                self.wait_for_the_next_second(always)
                self.backup("files", "manual", self.profile)
                if has_key:
                    self.bam("keygen", self.path("key2"))
                    self.document["encryption"] |= {"key_file": self.path("key2"), "keys": [self.key]}
                    self.bam("rekey", "--all")
                self.document["state_dir"] = self.path("state")
                for verb in ("status", "backups", "verify", "prune"):
                    self.bam(verb)
                # The newest lies where the settings no longer lead, as it was made for that place alone.
                self.document["destinations"]["once"] = {"type": "directory", "path": self.path("once")}
                self.wait_for_the_next_second(self.backup("files", "manual", self.profile))
                self.backup("files", "once", self.profile)
                del self.document["destinations"]["once"]
                for verb in ("status", "backups", "verify", "prune"):
                    self.bam(verb)
                # Nor what somebody has taken away by hand, when there are newer ones.
                for one in (old["path"], old["path"] + ".info"):
                    os.unlink(one)
                for verb in ("status", "backups", "verify", "prune"):
                    self.assertNotIn(old["file"], str(self.bam(verb)))
                self.bam("restore", "latest", "--yes")
                shutil.rmtree(self.destination())
                shutil.rmtree(self.path("state"))
                shutil.rmtree(self.path("state2"))
                shutil.rmtree(self.path("once"))
                self.document["profiles"][self.profile] = {"compression": "gzip",
                                                           "encryption": self.document["profiles"][self.profile]["encryption"]}

    def test_where_nothing_is_watched_status_says_what_there_is_not(self):
        self.with_key(True)
        del self.document["schedules"]
        self.assertIn("There is no schedule, and no backup", self.bam("status").out)
        self.with_key(True)
        self.document["schedules"]["nightly"]["enabled"] = False
        self.assertIn("No schedule is enabled, and there is no backup", self.bam("status").out)

    def test_the_latest_may_be_the_one_that_cannot_be_read(self):
        self.with_key(True)
        old, new = self.two()
        os.unlink(new["path"] + ".info")
        os.mkdir(new["path"] + ".info")
        self.assertSays(self.bam("restore", "latest", "--yes", expect=3), new["file"], "left out")
        self.bam("restore", str(old["id"]), "--yes")


class Mended(SiteTest):
    """A sidecar that was broken at one place is mended from another."""

    def setUp(self):
        super().setUp()
        self.write("sites/default/files/noise", os.urandom(1 << 14))
        self.document["destinations"] = {name: {"type": "directory", "path": self.path(name)} for name in ("a", "z")}

    def texts(self, made):
        texts = []
        for name in ("a", "z"):
            with open(os.path.join(self.destination(name), made["file"]) + ".info") as file:
                texts.append("".join(line for line in file if not line.startswith("bam_verified")))
        return texts

    def test_where_it_proves_the_bytes(self):
        for profile in ("secret", "default"):
            if profile == "default":
                del self.document["encryption"]
            self.document["schedules"] = {"nightly": {"source": "files", "profile": profile,
                                                      "destinations": ["a", "z"], "every": 3600, "keep": 9}}
            made = self.bam_json("backup", "files", "a,z", profile)
            text, same = self.texts(made)
            self.assertEqual(text, same)
            breaks = {"garbage": "garbage\n", "empty": "", "cut": text[:text.index("bam_")]}
            if profile == "secret":
                breaks |= {"site": text.replace("example", "exbmple"), "number": text.replace('"17', '"16'),
                           "description": text + 'description = "x"\n',
                           "no mac": "".join(line for line in text.splitlines(True) if "hmac" not in line)}
            for bad in ("a", "z"):
                path = os.path.join(self.destination(bad), made["file"])
                for what, broken in breaks.items():
                    with self.subTest(what, bad=bad, profile=profile):
                        with open(path + ".info", "w") as file:
                            file.write(broken)
                        self.bam("status", expect=3)
                        self.assertIn("has its sidecar again", self.bam("replicate").out)
                        self.assertEqual(self.texts(made), [text, text])
                        self.bam("status")
            with open(path + ".info", "w") as file:
                file.write("garbage\n")
            self.bam("run", "nightly")
            self.assertEqual(self.texts(made), [text, text])
            self.bam("verify")
            self.bam("replicate")
            for folder in ("a", "z", "state"):
                shutil.rmtree(self.path(folder))

    def test_where_it_does_not_nothing_is_touched(self):
        made = self.bam_json("backup", "files", "a,z", "secret")
        path = os.path.join(self.destination("a"), made["file"])
        with open(path + ".info", "a") as file:
            file.write('description = "x"\n')
        with open(path, "r+b") as file:
            file.seek(5000)
            file.write(b"other bytes")
        before = tree(self.destination("a"))
        result = self.bam("replicate", expect=3)
        self.assertSays(result, made["file"] + " at a stays as it is", " delete " + made["file"])
        self.assertEqual(tree(self.destination("a")), before)
        self.bam("delete", made["file"], "--destination", "a", "--site", "all", "--yes")
        self.bam("replicate")
        self.bam("verify")


if __name__ == "__main__":
    unittest.main()
