"""Backups in a bucket (S3) and on a WebDAV server: every verb, kills in the middle, servers that go away, wrong keys, and servers that
let nothing be deleted. The servers are moto and wsgidav; moto checks no clocks."""

import json
import os
import signal
import subprocess
import time
import unittest

from bamtest import BAM, SiteTest, peak_memory
from objects import KEY, SECRET, S3, WebDav

MIB = 1 << 20


class ObjectTest(SiteTest):
    """What both kinds do alike."""

    kind = None

    def setUp(self):
        super().setUp()
        self.server = self.kind()
        self.addCleanup(self.server.close)
        self.secret = self.path("secret")
        self.put_secret(SECRET)
        self.document["destinations"]["cloud"] = self.settings()
        self.document["profiles"]["plain"] = {"compression": "none", "encryption": "none"}

    def put_secret(self, secret):
        with open(self.secret, "w") as file:
            file.write(secret + "\n")
        os.chmod(self.secret, 0o600)


class Common:
    """The tests, for each kind by its name."""

    def test_every_verb(self):
        page = self.write("sites/default/files/page", "one page")
        noise = os.urandom(12 * MIB)
        self.write("sites/default/files/noise", noise)
        made = self.bam_json("backup", "files", "cloud", "secret")
        self.bam("destination", "try", "cloud")
        self.assertEqual(self.visible_there(), [made["file"], made["file"] + ".info"])
        listed = self.bam_json("backups")["backups"]
        self.assertEqual([(backup["file"], backup["copies"][0]["destination"]) for backup in listed],
                         [(made["file"], "cloud")])
        self.bam("verify", "latest")
        self.assertIn("page", self.bam("ls", "latest").out)
        self.assertEqual(self.bam("cat", "latest", "page").out, "one page")
        os.remove(page)
        with open(os.path.join(self.files, "noise"), "wb") as file:
            file.write(b"changed")
        self.bam("restore", "latest", "--yes")
        with open(page) as file, open(os.path.join(self.files, "noise"), "rb") as again:
            self.assertEqual((file.read(), again.read() == noise), ("one page", True))
        self.bam("status")
        self.bam("delete", "latest", "--yes")
        self.assertEqual(self.everything(), [])

    def test_a_copy_that_is_missing_is_completed_there_and_back(self):
        self.write("sites/default/files/page", "one page")
        self.document["schedules"] = {"both": {"source": "files", "destinations": ["cloud", "manual"], "profile": "plain"}}
        file = self.bam_json("run", "both")["file"]
        both = [file, file + ".info"]
        for name in both:
            os.remove(os.path.join(self.destination(), name))
        self.bam("replicate")
        self.assertEqual(self.visible(), both)
        self.remove_there(both)
        self.bam("replicate")
        self.assertEqual(self.everything(), both)

    def test_retention(self):
        self.write("sites/default/files/page", "one page")
        self.document["schedules"] = {"nightly": {"source": "files", "destinations": ["cloud"], "profile": "plain", "keep": 2}}
        for _ in range(3):
            self.wait_for_the_next_second(self.bam_json("run", "nightly"))
        data = [name for name in self.visible_there() if not name.endswith(".info")]
        self.assertEqual(len(data), 2, data)
        self.assertEqual(len(self.everything()), 4, self.everything())

    def test_one_place_by_two_addresses_is_one(self):
        self.write("sites/default/files/page", "one page")
        self.document["destinations"]["again"] = json.loads(json.dumps(self.settings()).replace("127.0.0.1", "localhost"))
        self.assertSays(self.bam("backup", "files", "again,cloud", "plain", expect=3), "no copy at cloud", "the same place as again")
        before = self.everything()
        self.assertEqual(before, self.visible_there())
        checked = self.finish(self.start("config", "check"))
        self.assertIn("cloud is the same place as again", checked.out)
        self.assertSays(self.bam("delete", "latest", "--destination", "cloud", "--yes", expect=2), "cloud is the same place as again")
        self.assertEqual(self.everything(), before)
        self.bam("delete", "latest", "--destination", "again", "--yes")
        self.assertEqual(self.everything(), [])

    def test_a_wrong_secret_is_neither_shown_nor_forgiven(self):
        self.refuse()
        result = self.bam("backup", "files", "cloud", "plain", expect=1)
        self.assertSays(result, "cloud")
        self.assertNotIn(SECRET, result.out + result.err)

    def test_a_server_that_is_not_there(self):
        self.server.stop()
        result = self.bam("backups", expect=3)
        self.assertSays(result, "cloud", "can be reached")
        self.server.start()

    def test_a_kill_in_the_middle_leaves_nothing_that_looks_whole(self):
        self.write("sites/default/files/noise", os.urandom(32 * MIB))
        self.bam("backup", "files", "cloud", "plain")
        for after in (0.1, 0.3, 0.5, 0.8, 1.2):
            process = subprocess.Popen([BAM, "--config", self.write_document(), "backup", "files", "cloud", "plain"],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(after)
            process.send_signal(signal.SIGKILL)
            process.wait()
            for backup in self.bam_json("backups")["backups"]:
                self.bam("verify", str(backup["id"]))
        whole = self.bam_json("backups")["backups"]
        self.bam("backup", "files", "cloud", "plain")
        self.assertEqual(len(self.everything()), 2 * (len(whole) + 1), "the next run takes away what the killed ones left")
        self.assertEqual(self.unfinished(), [])

    def test_memory_stays_bounded(self):
        self.write("sites/default/files/noise", os.urandom(150 * MIB))
        process = subprocess.Popen([BAM, "--config", self.write_document(), "backup", "files", "cloud", "plain"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        peak = peak_memory(process)
        self.assertEqual(process.wait(), 0)
        # The program itself is larger here than a released one.
        self.assertLess(peak, (64 + 16) * MIB)

    def test_only_ours_is_cleaned(self):
        self.write("sites/default/files/page", "one page")
        for name in (".htaccess", "notes.info", "other.tar", ".site.part"):
            self.put(name, b"of somebody else")
        self.bam("backup", "files", "cloud", "plain")
        for name in (".htaccess", "notes.info", "other.tar", ".site.part"):
            self.assertIn(name, self.everything())

    def test_names_are_not_taken_twice(self):
        self.write("sites/default/files/page", "one page")
        self.document["profiles"]["plain"] |= {"append_timestamp": 0, "filename": "always"}
        first = self.bam_json("backup", "files", "cloud", "plain")["file"]
        self.assertNotEqual(self.bam_json("backup", "files", "cloud", "plain")["file"], first)
        self.document["profiles"]["plain"] |= {"append_timestamp": 2}
        self.write("sites/default/files/page", "another page")
        self.assertEqual(self.bam_json("backup", "files", "cloud", "plain")["file"], first)
        self.assertEqual(self.bam("cat", first, "page").out, "another page")
        self.assertEqual(len(self.everything()), 4, self.everything())


class Bucket(Common, ObjectTest):
    # Starts among the first (tests/tap.py).
    long = True

    kind = S3

    def settings(self):
        return {"type": "s3", "url": "s3://backups/sites/pece", "endpoint": self.server.endpoint, "access_key": KEY,
                "password_file": self.secret}

    def everything(self):
        return [key.removeprefix("sites/pece/") for key in self.server.keys()]

    def visible_there(self):
        return [key for key in self.everything() if not key.startswith(".")]

    def put(self, name, content):
        self.server.ask(f"client.put_object(Bucket=BUCKET, Key='sites/pece/' + {name!r}, Body={content!r})['ETag']")

    def remove_there(self, names):
        for name in names:
            self.server.ask(f"client.delete_object(Bucket=BUCKET, Key='sites/pece/' + {name!r}) and None")

    def unfinished(self):
        return self.server.unfinished()

    def refuse(self):
        # moto knows no wrong secret; a bucket that is not there is refused as well.
        self.document["destinations"]["cloud"]["url"] = "s3://nobodys/sites"

    def test_another_ones_unfinished_upload_stays(self):
        self.write("sites/default/files/page", "one page")
        self.server.ask("client.create_multipart_upload(Bucket=BUCKET, Key='sites/pece/theirs.tar')['UploadId']")
        self.bam("backup", "files", "cloud", "plain")
        self.assertEqual(self.server.unfinished(), ["sites/pece/theirs.tar"])

    def test_keys_from_a_profile_or_the_environment(self):
        profiles = self.path("credentials")
        with open(profiles, "w") as file:
            file.write(f"[default]\naws_access_key_id = no\naws_secret_access_key = no\n\n"
                       f"[backups]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
        os.chmod(profiles, 0o600)
        self.write("sites/default/files/page", "one page")
        plain = {"type": "s3", "url": "s3://backups/sites/pece", "endpoint": self.server.endpoint}
        self.document["destinations"]["cloud"] = plain | {"profile": "backups", "credentials_file": profiles}
        self.bam("backup", "files", "cloud", "plain")
        self.document["destinations"]["cloud"] = plain | {"profile": "none", "credentials_file": profiles}
        self.assertSays(self.bam("backup", "files", "cloud", "plain", expect=2), "[none]")
        self.document["destinations"]["cloud"] = plain | {"credentials": "environment"}
        self.assertSays(self.bam("backup", "files", "cloud", "plain", expect=2), "AWS_ACCESS_KEY_ID")
        os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"] = KEY, SECRET
        self.addCleanup(os.environ.pop, "AWS_ACCESS_KEY_ID")
        self.addCleanup(os.environ.pop, "AWS_SECRET_ACCESS_KEY")
        self.bam("backup", "files", "cloud", "plain")
        shown = self.bam("config", "export").out
        self.assertNotIn(SECRET, shown)

    def test_a_long_listing_has_pages(self):
        self.server.ask("[client.put_object(Bucket=BUCKET, Key=f'sites/pece/old-{n}.tar', Body=b'x')['ETag'] for n in range(1100)]")
        listed = self.bam_json("backups", "--site", "all")
        self.assertEqual(len(listed["backups"]), 1100)

    def keys_that_may(self, *actions):
        """Settings with keys of a user whom the server, from now on, allows nothing else."""
        return self.settings() | dict(zip(("access_key", "password"), self.server.allow(*actions))) | {"password_file": None}

    def test_what_the_policy_lacks_is_named(self):
        self.write("sites/default/files/page", "one page")
        keys = self.keys_that_may("s3:ListBucket", "s3:GetObject")
        self.document["destinations"]["cloud"] = {key: value for key, value in keys.items() if value}
        self.assertSays(self.bam("backup", "files", "cloud", "plain", expect=1), "s3:PutObject")
        self.document["destinations"]["cloud"]["password"] = "not it"
        result = self.bam("destination", "try", "cloud", expect=None)
        self.assertIn("secret key is not that of the access key", result.out + result.err, result)
        self.document["destinations"]["cloud"]["access_key"] = "AKIANOBODY"
        self.assertSays(self.bam("backups", expect=3), "does not know that key")

    def test_a_server_that_lets_nothing_be_deleted_is_found_out(self):
        self.write("sites/default/files/page", "one page")
        keys = self.keys_that_may("s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:ListBucketMultipartUploads")
        self.document["destinations"]["cloud"] = {key: value for key, value in keys.items() if value}
        self.document["schedules"] = {"nightly": {"source": "files", "destinations": ["cloud"], "profile": "plain", "keep": 1}}
        for _ in range(2):
            self.wait_for_the_next_second(self.bam_json("run", "nightly"))
        self.assertEqual(len(self.bam_json("backups")["backups"]), 2)
        self.assertSays(self.bam("prune"), "guards")
        self.assertSays(self.bam("status"), "guards")

    def test_append_only(self):
        self.write("sites/default/files/page", "one page")
        self.document["destinations"]["cloud"]["append_only"] = True
        self.document["schedules"] = {"nightly": {"source": "files", "destinations": ["cloud"], "profile": "plain", "keep": 1}}
        for _ in range(3):
            self.wait_for_the_next_second(self.bam_json("run", "nightly"))
        data = [name for name in self.visible_there() if not name.endswith(".info")]
        self.assertEqual(len(data), 3, data)
        self.assertEqual(self.everything(), self.visible_there(), "nothing that would have to be deleted")
        self.assertSays(self.bam("prune"), "guards")
        self.assertSays(self.bam("status"), "guards")
        self.assertSays(self.bam("delete", "latest", "--yes", expect=1), "append-only")
        self.document["profiles"]["plain"] |= {"append_timestamp": 2, "filename": "always"}
        self.bam("backup", "files", "cloud", "plain")
        self.assertSays(self.bam("backup", "files", "cloud", "plain", expect=1), "append_timestamp")


class Dav(Common, ObjectTest):
    kind = WebDav

    def settings(self):
        return {"type": "webdav", "url": self.server.url + "/sites/a%20folder", "password_file": self.secret}

    def everything(self):
        folder = os.path.join(self.server.folder, "sites/a folder")
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []

    def visible_there(self):
        return [name for name in self.everything() if not name.startswith(".")]

    def put(self, name, content):
        folder = os.path.join(self.server.folder, "sites/a folder")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)

    def remove_there(self, names):
        for name in names:
            os.remove(os.path.join(self.server.folder, "sites/a folder", name))

    def unfinished(self):
        return []

    def refuse(self):
        self.put_secret("not it")

    def test_a_server_that_goes_away_in_the_middle_is_waited_for(self):
        noise = os.urandom(32 * MIB)
        self.write("sites/default/files/noise", noise)
        process = self.start("backup", "files", "cloud", "plain")
        self.wait(lambda: any(name.endswith(".part") for name in self.everything()), process)
        self.server.stop()
        self.server.start()
        self.assertSays(self.finish(process, expect=0), "trying again")
        self.bam("verify", "latest")
        self.assertEqual(len(self.everything()), 2, self.everything())


if __name__ == "__main__":
    unittest.main()
