"""Several keys over the years, and public keys: the right one is found, a missing one is named."""

import os
import shutil
import unittest

from bamtest import SiteTest, run, tree


class Ring(SiteTest):
    def setUp(self):
        super().setUp()
        self.write("sites/default/files/page.html", "<p>secret</p>" * 1000)
        self.before = tree(self.files)

    def new_key(self, name):
        """A new current key; the old one goes into the ring's folder."""
        os.makedirs(self.path("ring"), exist_ok=True)
        old = self.document["encryption"]["key_file"]
        shutil.move(old, self.path("ring/" + os.path.basename(old)))
        made = self.bam_json("keygen", self.path(name))
        self.document["encryption"].update(key_file=made["key_file"], keys=[self.path("ring")])
        return made["key_id"]

    def assertRestores(self, made):
        shutil.rmtree(self.files)
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual(tree(self.files), self.before)

    def test_backups_of_every_year_restore_and_verify(self):
        first = self.backup("files", "manual", "secret")
        self.new_key("second")
        second = self.backup("files", "manual", "secret")
        self.new_key("third")
        third = self.backup("files", "manual", "secret")
        for made in (first, second, third):
            self.assertRestores(made)
        self.bam("verify")
        # No sidecar says which key it was, in words that two of them share: each could be guessed at once, for all.
        listed = [key["key_id"] for key in self.bam_json("keys")["keys"]]
        self.assertEqual(len(listed), 3)
        checks = set()
        for made in (first, second, third, self.backup("files", "manual", "secret")):
            with open(made["path"] + ".info") as file:
                text = file.read()
            self.assertFalse([key for key in listed if key in text])
            checks.add([line for line in text.splitlines() if "bam_key_check" in line][0])
        self.assertEqual(len(checks), 4)

    def test_a_file_without_an_id_is_tried_with_each(self):
        made = self.backup("files", "manual", "secret")
        self.new_key("second")
        os.unlink(made["path"] + ".info")
        shutil.rmtree(self.files)
        self.bam("restore", made["file"], "--source", "files", "--unauthenticated", "--yes")
        self.assertEqual(tree(self.files), self.before)

    def test_a_missing_key_is_named_with_where_keys_were_looked_for(self):
        made = self.backup("files", "manual", "secret")
        self.new_key("second")
        self.new_key("third")
        os.unlink(self.path("ring/key"))
        self.write("sites/default/files/later", "later")
        before = tree(self.root)
        result = self.bam("restore", str(made["id"]), "--yes", expect=4)
        self.assertSays(result, made["file"], "another key", "ring/second", self.path("third"))
        self.assertSays(self.bam("verify", str(made["id"]), expect=4), "another key")
        self.assertEqual(tree(self.root), before)
        self.assertTrue(os.path.exists(made["path"]))


class PublicKeys(SiteTest):
    def setUp(self):
        super().setUp()
        self.write("sites/default/files/page.html", "<p>secret</p>" * 1000)
        self.write("sites/default/files/noise", os.urandom(200_000))
        self.before = tree(self.files)
        # Not on the machine that makes the backups, in real life.
        self.identity = self.path("identity")
        made = self.bam_json("keygen", "--age", self.identity)
        self.document["profiles"]["public"] = {"compression": "zstd", "encryption": "age"}
        self.document["encryption"] = {"recipients": [made["recipient"]]}
        self.recipient = made["recipient"]

    def test_stock_age_opens_what_bam_wrote(self):
        made = self.backup("files", "manual", "public")
        self.assertTrue(made["file"].endswith(".tar.zst.age"), made["file"])
        out = self.path("opened")
        os.mkdir(out)
        plain = run("age", "-d", "-i", self.identity, made["path"])
        run("tar", "x", "--zstd", "-C", out, input=plain)
        self.assertEqual(tree(out), self.before)
        self.bam("decrypt", made["path"], "--key-file", self.identity, "-o", self.path("out"))
        with open(self.path("out"), "rb") as file:
            self.assertEqual(file.read(), plain)

    def test_bam_opens_what_stock_age_wrote_with_a_stock_key(self):
        stock = self.path("stock")
        run("age-keygen", "-o", stock)
        recipient = run("age-keygen", "-y", stock).decode().strip()
        sealed = self.path("x.tar.gz.age")
        run("age", "-r", recipient, "-o", sealed, input=b"some text\n" * 20_000)
        out = self.path("out")
        self.bam("decrypt", sealed, "--key-file", stock, "-o", out)
        with open(out, "rb") as file:
            self.assertEqual(file.read(), b"some text\n" * 20_000)

    def test_it_restores_with_the_identity_and_not_without(self):
        made = self.backup("files", "manual", "public")
        listed = self.bam_json("backups")["backups"][0]
        self.assertEqual((listed["id"], listed["encryption"]), (made["id"], "age"))
        shutil.rmtree(self.files)
        self.write("sites/default/files/left over", "by the accident")
        damaged = tree(self.root)
        result = self.bam("restore", "latest", "--yes", expect=1)
        self.assertSays(result, made["file"], self.recipient, "identity")
        run("age-keygen", "-o", self.path("stranger"))
        self.document["encryption"]["keys"] = [self.path("stranger")]
        self.bam("restore", "latest", "--yes", expect=1)
        self.assertEqual(tree(self.root), damaged)
        self.document["encryption"]["keys"].append(self.identity)
        self.bam("restore", "latest", "--yes")
        self.assertEqual(tree(self.files), self.before)

    def test_verify_says_what_it_could_prove(self):
        made = self.backup("files", "manual", "public")
        result = self.bam_json("verify")
        self.assertIn("no identity", result["notes"][0]["text"])
        self.document["encryption"]["keys"] = [self.identity]
        self.assertEqual(self.bam_json("verify")["notes"], [])
        self.assertIsNotNone(self.bam_json("backups")["backups"][0]["verified"])
        with open(made["path"], "r+b") as file:
            file.seek(100_000)
            byte = file.read(1)[0]
            file.seek(100_000)
            file.write(bytes([byte ^ 1]))
        self.bam("verify", expect=4)
        os.unlink(made["path"] + ".info")
        before = tree(self.root)
        result = self.bam("restore", made["file"], "--source", "files", "--yes", expect=4)
        self.assertSays(result, "age", "damaged")
        self.assertEqual(tree(self.root), before)

    def test_an_identity_is_no_passphrase_and_a_secret_key_no_recipient(self):
        self.document["encryption"]["key_file"] = self.identity
        self.assertSays(self.bam("backup", "files", "manual", "secret", expect=2), "identity", "recipients")
        with open(self.identity) as file:
            secret = file.read().split()[-1]
        self.document["encryption"] = {"recipients": [secret]}
        result = self.bam("backup", "files", "manual", "public", expect=2)
        self.assertNotIn(secret, result.err)
        self.document["encryption"] = {}
        self.assertSays(self.bam("backup", "files", "manual", "public", expect=2), "recipients")
        self.assertEqual(self.visible(), [])


if __name__ == "__main__":
    unittest.main()
