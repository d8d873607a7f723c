"""What a file has besides content, mode and owner, and where links lead: kept, left out, or said."""

import json
import os
import shutil
import subprocess
import tarfile
import unittest

from bamtest import SiteTest, can_trace, run, tree


def can(command):
    return shutil.which(command) is not None


class Attributes(SiteTest):
    def setUp(self):
        super().setUp()
        self.write("sites/default/files/d/x", "x")

    def facts(self):
        """What getfacl and getfattr say, and the times to the nanosecond."""
        said = run("getfacl", "-R", "-p", "-n", ".", cwd=self.files) + run("getfattr", "-R", "-d", "-m", "-", ".", cwd=self.files)
        return said, {path: os.lstat(os.path.join(self.files, path)).st_mtime_ns for path in ("d", "d/x")}

    @unittest.skipUnless(can("setfacl") and can("setfattr"), "acl and attr are not installed")
    def test_lists_attributes_and_fractions_come_back(self):
        folder, file = os.path.join(self.files, "d"), os.path.join(self.files, "d/x")
        run("setfacl", "-m", "u:www-data:rwx,d:u:www-data:rwx,d:g:4711:r-x", folder)
        run("setfacl", "-m", "u:www-data:rw,g:4711:r", file)
        run("setfattr", "-n", "user.note", "-v", "a=b\n\"c\"", file)
        run("setfattr", "-n", "user.strange = %3D", "-v", "x", folder)
        run("setfattr", "-n", "user.long", "-v", "y" * 3000, file)
        os.utime(file, ns=(1, 1_600_000_000_123_456_789))
        os.utime(folder, ns=(1, -1_500_000_000))
        before = self.facts()
        made = self.backup("files")
        for _ in range(2):
            shutil.rmtree(self.files)
            self.bam("restore", str(made["id"]), "--yes")
            self.assertEqual(self.facts(), before)
        # GNU tar reads them, and Python's tarfile knows the headers.
        out = self.path("out")
        os.mkdir(out)
        run("tar", "--acls", "--xattrs", "-xzf", made["path"], "-C", out)
        self.files, kept = out, self.files
        self.assertEqual(self.facts(), before)
        self.files = kept
        with tarfile.open(made["path"]) as tar:
            self.assertEqual(sorted(tar.getnames()), [".", "d", "d/x"])
            self.assertIn("user:www-data:rw-:33", tar.getmember("d/x").pax_headers["SCHILY.acl.access"])
        # And what GNU tar wrote comes back through bam.
        theirs = self.path("theirs.tar.gz")
        run("tar", "--acls", "--xattrs", "--format=posix", "-czf", theirs, "-C", self.files, ".")
        shutil.rmtree(self.files)
        self.bam("restore", "--file", theirs, "--source", "files", "--unauthenticated", "--yes")
        self.assertEqual(self.facts(), before)

    @unittest.skipUnless(can_trace(), "strace is not installed, or may not trace")
    def test_what_has_attributes_that_cannot_be_read_is_kept_without(self):
        """File systems in user space that know of none say that the disk failed."""
        for number in range(40):
            self.write(f"sites/default/files/many/{number}", str(number))
        before = tree(self.files)
        for call in ("flistxattr", "fgetxattr"):
            with self.subTest(call):
                run("setfattr", "-n", "user.note", "-v", "x", os.path.join(self.files, "d/x"))
                self.within = ("strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:error=EIO")
                result = self.bam("--json", "backup", "files", expect=3)
                made = json.loads(result.out)
                said = [note["text"] for note in made["notes"] if note["kind"] == "missing"]
                self.assertEqual(len(said), 1, result)
                self.assertIn("extended attributes of 44 files" if call == "flistxattr" else "extended attributes of d/x", said[0])
                self.within = ()
                shutil.rmtree(self.files)
                self.bam("restore", str(made["id"]), "--yes", expect=None)
                self.assertEqual(tree(self.files), before)

    @unittest.skipUnless(can("setfacl"), "acl is not installed")
    def test_a_folder_above_passes_nothing_on(self):
        made = self.backup("files")
        run("setfacl", "-m", "d:u:www-data:rwx", os.path.dirname(self.files))
        shutil.rmtree(self.files)
        self.bam("restore", str(made["id"]), "--yes")
        self.assertNotIn(b"user:33", run("getfacl", "-R", "-p", "-n", ".", cwd=self.files))

    @unittest.skipUnless(os.geteuid() == 0 and can("setcap"), "needs root and libcap2-bin")
    def test_power_over_the_machine_needs_proof(self):
        program = self.write("sites/default/files/ping", "#!/bin/sh", 0o4755)
        run("setcap", "cap_net_raw+ep", program)
        made = self.backup("files")
        self.bam("restore", str(made["id"]), "--yes")
        self.assertIn(b"cap_net_raw", run("getcap", program))
        theirs = self.path("theirs.tar.gz")
        run("tar", "--xattrs", "--xattrs-include=*", "-czf", theirs, "-C", self.files, ".")
        result = self.bam("restore", "--file", theirs, "--source", "files", "--unauthenticated", "--yes", expect=3)
        self.assertSays(result, "capabilities", "set-user-ID")
        self.assertEqual(run("getcap", program), b"")


@unittest.skipUnless(os.geteuid() == 0, "needs root: only root can read what others may not")
class Links(SiteTest):
    """Whoever may write to the files folder may put links there."""

    def setUp(self):
        super().setUp()
        os.chmod(self.top, 0o755)
        self.write("sites/default/files/a", "a")
        self.secret = self.path("secret")
        os.mkdir(self.secret, 0o700)
        with open(os.path.join(self.secret, "id_rsa"), "w") as file:
            file.write("PRIVATE")
        self.shared = self.path("shared")
        os.mkdir(self.shared, 0o755)
        for name, mode in (("public", 0o644), ("private", 0o600)):
            with open(os.path.join(self.shared, name), "w") as file:
                file.write(name)
            os.chmod(os.path.join(self.shared, name), mode)

    def link(self, target, name, owner):
        path = os.path.join(self.files, name)
        os.symlink(target, path)
        os.lchown(path, owner, owner)

    def names(self, made):
        return sorted(run("tar", "tzf", made["path"]).decode().split())

    def test_only_what_their_owner_may_read(self):
        self.link(self.secret, "folder", 33)
        self.link(os.path.join(self.secret, "id_rsa"), "file", 33)
        self.link("/etc/shadow", "shadow", 33)
        result = self.bam("backup", "files")
        self.assertSays(result, "folder is a link", "file is a link", "shadow is a link", "it stays a link")
        plain = run("gunzip", "-c", os.path.join(self.destination(), self.visible()[0]))
        self.assertNotIn(b"PRIVATE", plain)
        self.assertNotIn(b"root:", plain)
        before = os.readlink(os.path.join(self.files, "folder"))
        self.bam("restore", "latest", "--yes")
        self.assertEqual(os.readlink(os.path.join(self.files, "folder")), before)

    def test_shared_storage_is_followed_as_far_as_they_see_it(self):
        self.link(self.shared, "media", 33)
        result = self.bam("backup", "files", expect=3)
        self.assertSays(result, "media/private")
        made = {"path": os.path.join(self.destination(), self.visible()[0])}
        self.assertEqual(self.names(made), ["./", "a", "media/", "media/public"])

    def test_a_link_of_roots_and_a_folder_that_is_named_are_followed(self):
        self.link(self.secret, "by-root", 0)
        self.assertIn("by-root/id_rsa", self.names(self.backup("files")))
        os.unlink(os.path.join(self.files, "by-root"))
        self.link(self.secret, "by-www", 33)
        self.document["sources"]["other"] = {"type": "files", "path": self.secret}
        self.assertIn("by-www/id_rsa", self.names(self.backup("files")))

    def test_files_that_are_a_link_themselves(self):
        os.rename(self.files, self.path("storage"))
        os.chmod(self.path("storage"), 0o750)
        os.symlink(self.path("storage"), self.files)
        os.lchown(self.files, 33, 33)
        self.assertEqual(self.names(self.backup("files")), ["./", "a"])

    def test_a_named_folder_that_was_exchanged_for_a_link(self):
        self.document["sources"]["inside"] = {"type": "files", "path": "sites/default/files/private"}
        self.link(self.secret, "private", 33)
        self.assertSays(self.bam("backup", "inside", expect=1), "may not read")
        self.assertNotIn("private/id_rsa", self.names(self.backup("files")))


class Foreign(SiteTest):
    def setUp(self):
        super().setUp()
        self.write("sites/default/files/a", "a" * 1000)
        self.write("sites/default/files/b/c", "c")
        self.before = tree(self.files)

    def restore(self, path, expect=0):
        self.write("sites/default/files/live", "as it is")
        return self.bam("restore", "--file", path, "--source", "files", "--unauthenticated", "--yes", expect=expect)

    def test_a_tar_without_its_end_mark_is_taken_with_a_word(self):
        path = self.path("x.tar")
        run("tar", "cf", path, "-C", self.files, "--blocking-factor=1", ".")
        with open(path, "rb") as file:
            whole = file.read().rstrip(b"\0")
        end = (len(whole) + 511) // 512 * 512
        with open(path, "wb") as file:
            file.write(whole.ljust(end, b"\0"))
        self.assertSays(self.restore(path), "end mark")
        self.assertEqual(tree(self.files), self.before)
        with open(path, "wb") as file:
            file.write(whole[:end - 700])
        self.restore(path, expect=4)

    def test_what_is_not_read_is_named(self):
        for name, command in (("f.tar.xz", "xz"), ("f.tar.lz4", "lz4"), ("f.tar.Z", "compress"), ("f.tar.lz", "lzip")):
            if not can(command):
                continue
            with self.subTest(name):
                tar = run("tar", "cf", "-", "-C", self.files, ".")
                with open(self.path(name), "wb") as file:
                    file.write(subprocess.run([command, "-c"], input=tar, stdout=subprocess.PIPE, check=True).stdout)
                result = self.restore(self.path(name), expect=1)
                self.assertSays(result, "does not read", "unpack")
                self.assertNotIn("damaged", result.err)

    def test_a_path_that_was_made_to_be_deep_is_refused(self):
        path = self.path("deep.tar.gz")
        with tarfile.open(path, "w:gz", format=tarfile.GNU_FORMAT) as tar:
            for name in ("a/" * 15_000 + "end", "a/" * 30_000 + "end", "fine"):
                tar.addfile(tarfile.TarInfo(name))
        self.assertSays(self.restore(path, expect=4), "15001 folders")

    def test_a_backup_never_holds_what_a_restore_refuses(self):
        at = os.getcwd()
        self.addCleanup(os.chdir, at)
        self.addCleanup(run, "rm", "-rf", self.files)
        os.chdir(self.files)
        for _ in range(4200):
            os.mkdir("d")
            os.chdir("d")
        os.chdir(at)
        self.assertSays(self.bam("backup", "files", expect=3), "too deep")
        run("rm", "-rf", self.files)
        self.assertSays(self.bam("restore", "latest", "--yes", expect=3), "could not be read when this backup was made")
        self.assertTrue(os.path.exists(os.path.join(self.files, "b/c")))


if __name__ == "__main__":
    unittest.main()
