"""Copies on disks that are taken away: where they may go, what lies beside them, what they count as; and files taken in."""

import os
import re
import shutil
import subprocess
import unittest

from bamtest import BAM, SiteTest, run


class ExportTest(SiteTest):
    def setUp(self):
        super().setUp()
        self.write("sites/default/files/a b.txt", "field note")
        self.usb = self.path("usb")
        self.document["schedules"] = {"weekly": {"source": "files", "destinations": ["manual"], "every": "1w"}}

    def hosts(self):
        return self.bam_json("status", expect=None)["sources"][0]["hosts"]


class Where(ExportTest):
    def test_only_a_folder_that_exists(self):
        self.backup("files")
        for name in (self.usb, self.usb + "/", self.path("usb/deep")):
            self.assertSays(self.bam("export", "latest", name, expect=2), "no folder", "--create")
        self.assertFalse(os.path.exists(self.usb))
        with open(self.usb, "w"):
            pass
        self.assertSays(self.bam("export", "latest", self.usb, "--create", expect=2), "not a folder")
        self.assertEqual(os.path.getsize(self.usb), 0)
        os.unlink(self.usb)
        made = self.bam_json("export", "latest", self.usb, "--create")
        self.assertTrue(os.path.isfile(made["path"]))

    def test_the_same_disk_is_no_machine_of_its_own(self):
        self.backup("files")
        os.mkdir(self.usb)
        self.assertSays(self.bam("export", "latest", self.usb), "does not count as one on another")
        self.assertEqual(self.hosts(), [os.uname().nodename])
        self.bam("export", "--forget", self.usb)
        os.mkdir(self.path("nas"))
        self.bam("export", "latest", self.path("nas"), "--host", "nas")
        self.assertEqual(self.hosts(), sorted(["nas", os.uname().nodename]))
        self.assertSays(self.bam("export", "--forget", self.path("elsewhere"), expect=1), self.path("nas"))
        self.assertIn(self.path("nas"), self.bam("export", "--forget", "nas").out)
        self.assertEqual(self.hosts(), [os.uname().nodename])

    def test_a_copy_that_is_gone_does_not_count(self):
        made = self.backup("files")
        os.mkdir(self.usb)
        self.bam("export", "latest", self.usb, "--host", "nas")
        os.unlink(os.path.join(self.usb, made["file"]))
        self.assertEqual(self.hosts(), [os.uname().nodename])

    def test_another_disk_counts_also_when_it_was_taken_away(self):
        made = self.backup("files")
        os.mkdir(self.usb)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8M", "usbdisk:1", self.usb], capture_output=True)
        if mounted.returncode:
            self.skipTest(f"no disk can be mounted: {mounted.stderr.decode().strip()}")
        self.addCleanup(subprocess.run, ["umount", self.usb], stderr=subprocess.DEVNULL)
        told = self.bam_json("export", str(made["id"]), self.usb)
        self.assertEqual(told["host"], "disk usbdisk:1")
        self.assertIn("disk usbdisk:1", self.hosts())
        run("umount", self.usb)
        self.assertIn("disk usbdisk:1", self.hosts(), "an empty folder where it was is not that disk")
        self.bam("export", "--forget", str(made["id"]))
        self.assertNotIn("disk usbdisk:1", self.hosts())


class Beside(ExportTest):
    def paste(self, text, heading, **variables):
        """Runs the lines below a heading, with the settings above them."""
        blocks = re.findall(r"(?m)^(\S[^\n]*:|Is it undamaged\?)\n\n((?:    [^\n]*\n)+)", text)
        blocks = {name: re.sub(r"(?m)^    ", "", lines) for name, lines in blocks}
        (settings,) = [lines for name, lines in blocks.items() if name.startswith("Set these")]
        (lines,) = [lines for name, lines in blocks.items() if heading in name]
        for name, value in variables.items():
            settings = re.sub(rf"(?m)^{name}=.*$", f"{name}={value}", settings)
        return run("bash", "-euc", settings + lines, cwd=self.usb,
                   env={**os.environ, "PATH": os.path.dirname(BAM) + ":" + os.environ["PATH"]}).decode()

    def test_the_page_has_lines_that_can_be_pasted(self):
        made = self.backup("files", "manual", "secret")
        os.mkdir(self.usb)
        told = self.bam_json("export", "latest", self.usb)
        with open(told["howto"]) as file:
            text = file.read()
        self.assertEqual(told["howto"], os.path.join(self.usb, made["file"] + ".RESTORE.txt"))
        self.assertIn("OK", self.paste(text, "undamaged"))
        for heading, folder in (("With bam", "one"), ("without bam", "two")):
            self.paste(text, heading, KEY=self.key, FOLDER=self.path(folder))
            with open(self.path(folder + "/a b.txt")) as file:
                self.assertEqual(file.read(), "field note", heading)

    def test_each_backup_has_its_page_and_one_page_has_all(self):
        os.mkdir(self.usb)
        made = [self.backup("files", "manual", profile) for profile in ("secret", "default")]
        for backup in made:
            self.bam("export", str(backup["id"]), self.usb)
        with open(os.path.join(self.usb, "RESTORE.txt")) as file:
            text = file.read()
        for backup in made:
            self.assertIn(f"BACKUP={backup['file']}\n", text)
        self.assertEqual(run("sha256sum", "-c", "SHA256SUMS", cwd=self.usb).decode().count(": OK"), 2)

    def test_the_program_lies_beside_it_on_request(self):
        self.backup("files", "manual", "secret")
        os.mkdir(self.usb)
        told = self.bam_json("export", "latest", self.usb, "--with-program")
        self.assertIn("bam ", run(os.path.join(self.usb, "bam"), "--version").decode())
        with open(told["howto"]) as file:
            self.assertIn("./bam restore", file.read())
        self.assertIn(": OK", run("sha256sum", "-c", "SHA256SUMS", cwd=self.usb).decode())


class Import(ExportTest):
    def test_a_file_is_dated_by_its_name(self):
        self.document["site"]["timezone"] = "UTC"
        path = self.path("old-2020-02-03T04-05-06.tar.gz")
        run("tar", "czf", path, "-C", self.files, ".")
        told = self.bam_json("import", path, "--unauthenticated")
        self.assertEqual(told["id"], 1580702706)
        (listed,) = self.bam_json("backups")["backups"]
        self.assertEqual((listed["id"], listed["time"], listed["own"]), (1580702706, 1580702706, True))
        undated = self.path("old.tar.gz")
        os.rename(path, undated)
        os.utime(undated, (1500000000, 1500000000))
        self.assertEqual(self.bam_json("import", undated, "--unauthenticated")["id"], 1500000000)
        # Another one of the same second has a number of its own; the same one elsewhere keeps its number.
        other = shutil.copy2(undated, self.path("other.tar.gz"))
        result = self.bam("import", other, "--unauthenticated")
        self.assertIn("backup 1500000001 at", result.out)
        self.assertSays(result, "dated 2017-07-14")
        self.document["destinations"]["second"] = {"type": "directory", "path": self.path("second")}
        self.assertEqual(self.bam_json("import", other, "second", "--unauthenticated")["id"], 1500000001)


class Numbers(ExportTest):
    def test_a_number_is_not_given_again_where_its_place_cannot_be_asked(self):
        second = {"type": "directory", "path": self.path("second")}
        self.document["destinations"]["second"] = second
        made = [self.backup("files")["id"]]
        for name in ("second", "manual", "second"):
            # Gone for the others, as a server that does not answer.
            self.document["destinations"].pop("second", None)
            if name == "second":
                self.document["destinations"]["second"] = second
            made.append(self.bam_json("backup", "files", name)["id"])
        self.assertEqual(len(set(made)), 4)
        self.document["destinations"]["second"] = second
        self.assertEqual({backup["id"] for backup in self.bam_json("backups")["backups"]}, set(made))

    def test_a_number_that_two_claim_is_refused(self):
        one = self.backup("files")
        self.wait_for_the_next_second(one)
        two = self.backup("files")
        path = two["path"] + ".info"
        with open(path) as file:
            text = file.read()
        with open(path, "w") as file:
            file.write(text.replace(str(two["id"]), str(one["id"])))
        # Where it was made its number would be remembered.
        os.unlink(self.path("state/made.json"))
        for verb in (("verify",), ("restore", "--yes"), ("delete", "--yes"), ("cat",)):
            result = self.bam(verb[0], str(one["id"]), *verb[1:], *(["a b.txt"] if verb[0] == "cat" else []), expect=2)
            self.assertSays(result, "ambiguous", one["file"], two["file"])
        self.bam("verify", one["file"])
        self.assertEqual(len(self.visible()), 4)


if __name__ == "__main__":
    unittest.main()
