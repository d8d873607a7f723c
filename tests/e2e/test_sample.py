"""`bam verify --sample`: reads a part of each copy, says how much, and claims no more than that."""

import os
import unittest

from bamtest import SiteTest
from sshd import PROGRAM, Sshd

MIB = 1 << 20


class Sample(SiteTest):
    def setUp(self):
        super().setUp()
        # Noise does not shrink: as many blocks as MiB.
        self.write("sites/default/files/noise", os.urandom(20 * MIB))

    def copies(self, *arguments, expect=0):
        return self.bam_json("verify", *arguments, expect=expect)["copies"]

    def damage(self, path, at):
        with open(path, "r+b") as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 16]))

    def test_it_reads_a_part_and_records_nothing(self):
        made = self.backup("files", "manual", "secret")
        size = os.path.getsize(made["path"])
        with open(made["path"] + ".info") as file:
            before = file.read()
        copy, = self.copies("--sample", "10%")
        self.assertTrue(copy["ok"])
        self.assertEqual(copy["size"], size)
        self.assertTrue(2 * MIB <= copy["read"] <= 8 * MIB, copy)
        with open(made["path"] + ".info") as file:
            self.assertEqual(file.read(), before, "no verification")
        result = self.bam("verify", "--sample", "10%")
        self.assertIn("not proven", result.out)
        self.assertEqual(self.copies("--sample", "100%")[0]["read"], size)

    def test_what_it_reads_it_finds(self):
        made = self.backup("files", "manual", "secret")
        size = os.path.getsize(made["path"])
        for at in (0, 7 * MIB + 3, size - 1):
            with self.subTest(at):
                self.damage(made["path"], at)
                result = self.bam("verify", "--sample", "100%", expect=4)
                self.assertSays(result, made["file"], f"bytes from {at // MIB * MIB} on")
                self.damage(made["path"], at)
        self.bam("verify", "--sample", "100%")
        # All blocks but one are damaged: whatever is chosen, two of them show it.
        for at in range(1, size // MIB + 1):
            self.damage(made["path"], min(at * MIB, size - 1))
        self.bam("verify", "--sample", "10%", expect=4)

    @unittest.skipUnless(os.path.exists(PROGRAM), "openssh-server is not installed")
    def test_a_server_sends_only_what_is_sampled(self):
        sshd = Sshd()
        self.addCleanup(sshd.close)
        self.document["destinations"]["far"] = sshd.settings
        made = self.backup("files", "far", "secret")
        copy, = self.copies("--sample", "10%")
        self.assertTrue(copy["ok"] and 2 * MIB <= copy["read"] <= 8 * MIB, copy)
        self.damage(os.path.join(sshd.backups, made["file"]), 3 * MIB)
        self.bam("verify", "--sample", "100%", expect=4)

    def test_a_short_copy_and_one_without_its_sidecar_fail(self):
        made = self.backup("files")
        os.truncate(made["path"], 1000)
        self.bam("verify", "--sample", "5%", expect=4)
        made = self.backup("files")
        os.unlink(made["path"] + ".info")
        self.bam("verify", made["file"], "--sample", "5", expect=4)

    def test_a_backup_without_checksums_of_its_blocks_is_told_as_such(self):
        made = self.backup("files")
        with open(made["path"] + ".info") as file:
            lines = [line for line in file if not line.startswith("bam_blocks")]
        with open(made["path"] + ".info", "w") as file:
            file.writelines(lines)
        self.assertIsNone(self.copies("--sample", "5%")[0]["read"])
        self.assertIn("only its size", self.bam("verify", "--sample", "5%").out)

    def test_a_senseless_sample_is_refused(self):
        for share in ("0", "-1", "101%", "many", "nan"):
            process = self.start("verify", "--sample=" + share)
            self.assertEqual(process.wait(), 2, share)


if __name__ == "__main__":
    unittest.main()
