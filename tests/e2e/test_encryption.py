"""Encrypted backups: readable with stock tools, and refused when a byte is not as it was."""

import hashlib
import os
import random
import shutil
import subprocess
import unittest

from bamtest import ITERATIONS, SiteTest, digest, run, tree

OPENSSL = ["openssl", "enc", "-aes-256-cbc", "-pbkdf2", "-iter", str(ITERATIONS)]


class Encrypted(SiteTest):
    def setUp(self):
        super().setUp()
        self.write("sites/default/files/page.html", "<p>secret</p>" * 1000)
        self.write("sites/default/files/noise", random.Random(2).randbytes(100_000))
        self.write("sites/default/files/empty")

    def damaged_site(self):
        """The site as somebody left it; nothing of it may change when a restore is refused."""
        shutil.rmtree(self.files)
        self.write("sites/default/files/left over", "by the accident")
        return tree(self.root)

    def assertRefused(self, identifier, code, *words):
        before = tree(self.root)
        result = self.bam("restore", str(identifier), "--yes", expect=code)
        self.assertEqual(tree(self.root), before, result)
        self.assertSays(result, *words)

    def test_openssl_and_tar_open_what_bam_wrote(self):
        before = tree(self.files)
        made = self.backup("files", "manual", "secret")
        self.assertTrue(made["file"].endswith(".tar.gz.enc"), made["file"])
        target = self.path("opened")
        os.mkdir(target)
        plain = run(*OPENSSL, "-d", "-in", made["path"], "-pass", "file:" + self.key)
        run("tar", "xz", "-C", target, input=plain)
        self.assertEqual({name: what for name, what in tree(target).items()}, before)

    def test_decrypt_opens_what_bam_wrote(self):
        made = self.backup("files", "manual", "secret")
        stock = run(*OPENSSL, "-d", "-in", made["path"], "-pass", "file:" + self.key)
        out = self.path("out.tar.gz")
        self.bam("decrypt", made["path"], "-o", out)
        self.assertEqual(digest(out), hashlib.sha256(stock).hexdigest())
        self.assertEqual(os.stat(out).st_mode & 0o777, 0o600)
        piped = self.bam("decrypt", made["path"], "-o", "-")
        self.assertEqual(piped.raw, stock)

    def test_decrypt_opens_what_openssl_wrote(self):
        for size in (0, 1, 15, 16, 17, 100_000):
            with self.subTest(size=size):
                plain = random.Random(size).randbytes(size)
                sealed, out = self.path(f"{size}.enc"), self.path(f"{size}.out")
                run(*OPENSSL, "-out", sealed, "-pass", "file:" + self.key, input=plain)
                self.bam("decrypt", sealed, "-o", out, "--key-file", self.key, "--iterations", str(ITERATIONS))
                with open(out, "rb") as file:
                    self.assertEqual(file.read(), plain)

    def test_decrypt_never_overwrites_and_leaves_no_half_file(self):
        made = self.backup("files", "manual", "secret")
        out = self.path("out")
        with open(out, "w") as file:
            file.write("precious")
        self.assertSays(self.bam("decrypt", made["path"], "-o", out, expect=2), "--force")
        with open(out) as file:
            self.assertEqual(file.read(), "precious")
        self.bam("decrypt", made["path"], "-o", out, "--force")

        # Cut without a sidecar: only the end shows that something is missing.
        half = self.path("half.tar.gz.enc")
        with open(made["path"], "rb") as file, open(half, "wb") as copy:
            copy.write(file.read()[:-15])
        before = set(os.listdir(self.top))
        self.bam("decrypt", half, "-o", self.path("new"), expect=4)
        self.assertEqual(set(os.listdir(self.top)), before)

    def test_one_flipped_bit_anywhere_is_refused(self):
        made = self.backup("files", "manual", "secret")
        self.damaged_site()
        size = os.path.getsize(made["path"])
        for position in [0, 8, 15, 16, size // 2, size - 17, size - 1]:
            with self.subTest(position=position):
                self.flip(made["path"], position)
                self.assertRefused(made["id"], 4, made["file"])
                self.flip(made["path"], position)
        # Whole again: the refusals above were about the bits.
        self.bam("restore", str(made["id"]), "--yes")

    def flip(self, path, position):
        with open(path, "r+b") as file:
            file.seek(position)
            byte = file.read(1)[0]
            file.seek(position)
            file.write(bytes([byte ^ 4]))

    def test_missing_and_added_bytes_are_refused(self):
        made = self.backup("files", "manual", "secret")
        self.damaged_site()
        with open(made["path"], "rb") as file:
            whole = file.read()
        half = len(whole) // 2
        broken = {"end": whole[:-1], "block": whole[:-16], "half": whole[:half], "begin": whole[1:],
                  "middle": whole[:half] + whole[half + 1:], "added": whole + b"\0", "nothing": b""}
        for what, content in broken.items():
            with self.subTest(what):
                with open(made["path"], "wb") as file:
                    file.write(content)
                self.assertRefused(made["id"], 4, made["file"])

    def test_an_edited_sidecar_is_refused(self):
        made = self.backup("files", "manual", "secret")
        self.damaged_site()
        sidecar = made["path"] + ".info"
        with open(sidecar) as file:
            lines = file.read()
        self.assertIn("bam_hmac_sha256", lines)
        with open(sidecar, "w") as file:
            file.write(lines.replace('bam_sourceid = "files"', 'bam_sourceid = "other"'))
        self.document["sources"]["other"] = {"type": "files", "path": "other"}
        self.assertRefused(made["id"], 4)

    def test_the_sidecar_of_another_backup_is_refused(self):
        first = self.backup("files", "manual", "secret")
        self.write("sites/default/files/more", "more")
        second = self.backup("files", "manual", "secret")
        self.assertNotEqual(first["path"], second["path"])
        self.damaged_site()
        shutil.copy(first["path"] + ".info", second["path"] + ".info")
        self.assertRefused(second["file"], 4)

    def test_without_a_sidecar_it_wants_to_be_told(self):
        made = self.backup("files", "manual", "secret")
        before = tree(self.files)
        self.damaged_site()
        os.unlink(made["path"] + ".info")
        self.assertRefused(made["file"], 4, "--unauthenticated")
        self.document["encryption"]["iterations"] = ITERATIONS
        self.bam("restore", made["file"], "--source", "files", "--unauthenticated", "--yes")
        self.assertEqual(tree(self.files), before)

    def test_a_wrong_passphrase_is_refused(self):
        made = self.backup("files", "manual", "secret")
        self.damaged_site()
        with open(self.key, "w") as file:
            file.write("Correct horse battery staple\n")
        self.assertRefused(made["id"], 4, "key")
        self.bam("decrypt", made["path"], "-o", self.path("out"), expect=4)
        self.assertFalse(os.path.exists(self.path("out")))

    def test_a_missing_key_file_is_named(self):
        made = self.backup("files", "manual", "secret")
        self.damaged_site()
        os.unlink(self.key)
        self.assertRefused(made["id"], 1, self.key)
        self.assertSays(self.bam("backup", "files", "manual", "secret", expect=2), self.key, "put the key back", "keygen")
        with open(self.key, "w") as file:
            file.write("\n")
        self.assertSays(self.bam("backup", "files", "manual", "secret", expect=2), "is empty", "keygen")
        del self.document["encryption"]["key_file"]
        self.assertSays(self.bam("backup", "files", "manual", "secret", expect=2), "no key is set", "keygen")
        self.assertEqual(self.visible(), [made["file"], made["file"] + ".info"])

    def test_a_key_that_anybody_could_guess_encrypts_nothing_and_opens_what_it_did(self):
        plain = self.backup("files")
        before = tree(self.files)
        for weak in ("a", "1", "123456", "drupal", "password", "Secret2026!"):
            with self.subTest(weak):
                with open(self.key, "w") as file:
                    file.write(weak + "\n")
                refused = self.bam("backup", "files", "manual", "secret", expect=2)
                self.assertSays(refused, "the key is", "nothing is encrypted with it", "keygen FILE", "encryption.keys")
                checked = self.finish(self.start("config", "check"))
                self.assertEqual(checked.code, 2, checked)
                self.assertIn("WRONG    key: the key is", checked.out)
        self.bam("backup", "files")
        sealed = os.path.join(self.top, plain["file"] + ".enc")
        run(*OPENSSL, "-salt", "-in", plain["path"], "-out", sealed, "-pass", "file:" + self.key)
        self.damaged_site()
        self.bam("restore", "--file", sealed, "--source", "files", "--unauthenticated", "--yes")
        self.assertEqual(tree(self.files), before)

    def test_verify_tells_good_from_bad(self):
        good = self.backup("files", "manual", "secret")
        bad = self.backup("files", "manual", "secret")
        self.bam("verify")
        self.flip(bad["path"], 100)
        self.bam("verify", str(good["id"]))
        result = self.bam("verify", expect=4)
        self.assertIn(bad["file"], result.out + result.err)

    def test_unencrypted_backups_are_checked_too(self):
        made = self.backup("files")
        self.damaged_site()
        self.flip(made["path"], os.path.getsize(made["path"]) // 2)
        self.assertRefused(made["id"], 4)


class Keygen(SiteTest):
    def test_a_key_file_is_private_and_never_replaced(self):
        path = self.path("keys/new")
        os.mkdir(self.path("keys"))
        result = self.bam("keygen", path)
        self.assertIn("copy", result.out)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        with open(path) as file:
            key = file.read()
        self.assertNotIn(key.strip(), result.out + result.err)
        self.assertGreaterEqual(len(key.strip()), 43)  # 32 bytes in base64
        self.bam("keygen", path, expect=1)
        with open(path) as file:
            self.assertEqual(file.read(), key)

    def test_openssl_reads_the_key(self):
        path = self.path("new")
        self.bam("keygen", path)
        self.document["encryption"]["key_file"] = path
        self.write("sites/default/files/a", "a")
        made = self.backup("files", "manual", "secret")
        plain = run(*OPENSSL, "-d", "-in", made["path"], "-pass", "file:" + path)
        self.assertIn(b"a", run("tar", "tz", input=plain))


class OldOpenssl(SiteTest):
    def test_an_unsalted_or_foreign_file_is_named_as_such(self):
        foreign = self.path("foreign.tar.gz.enc")
        with open(foreign, "wb") as file:
            file.write(subprocess.run(["gzip", "-c"], input=b"not encrypted", stdout=subprocess.PIPE).stdout)
        self.assertSays(self.bam("decrypt", foreign, "-o", self.path("out"), expect=4), "foreign.tar.gz.enc")


class Iterations(SiteTest):
    def setUp(self):
        super().setUp()
        self.write("sites/default/files/a", "a")

    def test_a_number_from_outside_is_bounded(self):
        made = self.backup("files", "manual", "secret")
        with open(made["path"] + ".info") as file:
            text = file.read()
        for number in ("0", "-5", "100000000", "4294967297", "many"):
            with self.subTest(number):
                with open(made["path"] + ".info", "w") as file:
                    file.write(text.replace(f'"{ITERATIONS}"', f'"{number}"'))
                result = self.bam("restore", "latest", "--yes", expect=4)
                self.assertSays(result, "iterations")
                self.bam("verify", expect=4)

    def test_one_of_the_configuration_is_told_as_such(self):
        self.document["encryption"]["iterations"] = 4_000_000_000
        refused = self.bam("backup", "files", "manual", "secret", expect=2)
        self.assertSays(refused, "iterations", "leave it out for 600000")
        self.assertNotIn("copy of this backup", refused.err)

    def test_one_that_the_user_names_is_taken(self):
        self.document["encryption"]["iterations"] = 4321
        made = self.backup("files", "manual", "secret")
        os.unlink(made["path"] + ".info")
        del self.document["encryption"]["iterations"]
        self.bam("restore", made["file"], "--source", "files", "--unauthenticated", "--yes", expect=4)
        self.bam("restore", made["file"], "--source", "files", "--unauthenticated", "--yes", "--iterations", "4321")


if __name__ == "__main__":
    unittest.main()
