"""File trees as they really are, through `bam backup` and `bam restore`."""

import os
import random
import shutil
import socket
import subprocess
import tarfile
import unittest

from bamtest import SiteTest, digest, tree


class Trees(SiteTest):
    def restore(self, made, *arguments):
        return self.bam("restore", str(made["id"]), "--yes", *arguments)

    def test_an_ugly_tree_comes_back_as_it_was(self):
        raw = os.fsencode(self.files)

        def put(name, content=b"x", mode=0o644, mtime=1_000_000_000):
            path = os.path.join(raw, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(content)
            os.chmod(path, mode)
            os.utime(path, (mtime, mtime))
            return path

        put(b"plain.txt", b"hello\n")
        put(b"empty")
        put(b" leading and trailing ", mode=0o600)
        put(b"-rf")
        put(b"new\nline\ttab")
        put(b"quote'\"`$(id)\\")
        put(b"latin1-\xe9\xff")
        put("emoji-\U0001f4be/ünï".encode(), mode=0o755)
        put(b"n" * 255)
        put(b"/".join([b"d" * 100] * 9 + [b"deep"]))
        put(b"old", mtime=-86_400)
        put(b"setuid", mode=0o4711)
        put(b"group", mode=0o2770)
        put(b"random", random.Random(1).randbytes(300_000))
        first = put(b"first-name", b"one file, two names")
        os.link(first, os.path.join(raw, b"second-name"))
        os.symlink(b"plain.txt", os.path.join(raw, b"link"))
        os.symlink(b"nowhere/at/all", os.path.join(raw, b"dangling"))
        os.makedirs(os.path.join(raw, b"empty-folder"), mode=0o700)
        sparse = put(b"sparse", b"")
        with open(sparse, "r+b") as file:
            file.truncate(64 << 20)
            file.seek(40 << 20)
            file.write(b"in the middle")
        if os.geteuid() == 0:
            os.chown(os.path.join(raw, b"plain.txt"), 33, 33)
            os.lchown(os.path.join(raw, b"link"), 33, 33)
        os.utime(raw + b"/empty-folder", (1_111_111_111, 1_111_111_111))
        os.chmod(raw, 0o2775)
        before = tree(raw)

        # Only a MAC lets set-user-ID bits come back.
        made = self.backup("files", "manual", "secret")
        shutil.rmtree(raw)
        os.makedirs(raw)
        put(b"only in the damaged site")
        self.restore(made)
        after = tree(raw)
        self.assertEqual(sorted(after), sorted(before))
        for name, what in before.items():
            self.assertEqual(after[name], what, name)
        self.assertLess(os.stat(sparse).st_blocks * 512, 8 << 20, "holes became zeros on disk")
        self.assertEqual(os.stat(raw).st_mode & 0o7777, 0o2775)

    def test_sockets_and_pipes_are_left_out_with_a_word(self):
        self.write("sites/default/files/a", "a")
        os.mkfifo(os.path.join(self.files, "pipe"))
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(os.path.join(self.files, "socket"))
        result = self.bam("backup", "files")
        self.assertSays(result, "pipe", "socket")

    def test_a_link_out_of_the_tree_is_followed_once_and_loops_end(self):
        shared = self.path("shared")
        os.makedirs(shared + "/inner")
        with open(shared + "/inner/page", "w") as file:
            file.write("shared storage")
        os.symlink(shared, os.path.join(self.files, "out"))
        os.symlink("..", shared + "/inner/loop")
        made = self.backup("files")
        shutil.rmtree(self.files)
        self.restore(made)
        with open(os.path.join(self.files, "out/inner/page")) as file:
            self.assertEqual(file.read(), "shared storage")

    def test_a_link_that_becomes_a_folder_is_told(self):
        outside = self.path("outside")
        os.makedirs(outside)
        with open(outside + "/page", "w") as file:
            file.write("shared storage")
        self.write("sites/default/files/around/plain/page", "x")
        link = os.path.join(self.files, "around/outdir")
        os.symlink(outside, link)
        made = self.backup("files")
        for paths in ([], ["--path", "around"]):
            with self.subTest(paths):
                result = self.bam("restore", str(made["id"]), "--dry-run", *paths)
                self.assertSays(result, "would become folders", f"{link} -> {outside}")
                self.assertNotIn("plain", result.err)
                self.assertTrue(os.path.islink(link))
                self.assertSays(self.restore(made, *paths), "followed become folders", f"{link} -> {outside}")
                self.assertFalse(os.path.islink(link))
                self.assertNotIn("become", self.restore(made, *paths).err, "it is a folder now")
                shutil.rmtree(link)
                os.symlink(outside, link)
        for how in ("--dry-run", "--yes"):
            result = self.bam("restore", str(made["id"]), how, "--path", "around/outdir", expect=2)
            self.assertSays(result, "a symbolic link to one here")
        with open(outside + "/page") as file:
            self.assertEqual(file.read(), "shared storage")

    def test_folders_deeper_than_a_path_can_name(self):
        # Python's own way of removing ends at a depth of a thousand.
        self.addCleanup(subprocess.run, ["rm", "-rf", self.files])
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        os.chdir(self.files)
        for _ in range(2100):
            os.mkdir("d")
            os.chdir("d")
        with open("page", "w") as file:
            file.write("far down")
        os.chdir(here)
        made = self.backup("files")
        self.bam("drill", str(made["id"]))
        for paths in ([], ["--path", "d"]):
            plan = self.bam_json("restore", str(made["id"]), "--dry-run", *paths)["files"]
            self.assertEqual([plan[what]["count"] for what in ("added", "replaced", "unchanged", "lost")],
                             [0, 0, 1, 0], plan)

    def test_a_dry_run_refuses_what_a_restore_refuses(self):
        self.write("sites/default/files/page", "x")
        path = self.path("climbing.tar")
        for name, link in (("../for/note.txt", None), ("good", "../for/note.txt")):
            with tarfile.open(path, "w") as archive:
                archive.add(os.path.join(self.files, "page"), "page")
                member = tarfile.TarInfo(name)
                if link:
                    member.type, member.linkname = tarfile.LNKTYPE, link
                archive.addfile(member)
            for how in ("--dry-run", "--yes"):
                with self.subTest(name=name, how=how):
                    result = self.bam("restore", "--file", path, "--source", "files", "--unauthenticated", how, expect=4)
                    self.assertSays(result, name, "outside")

    def test_excludes_are_left_out(self):
        for name in ("keep", "styles/s", "css/c", "custom/keep", "custom/drop"):
            self.write("sites/default/files/" + name, name)
        self.document["profiles"]["default"]["sources"] = {"files": {"exclude": ["styles", "css", "custom/drop"]}}
        made = self.backup("files")
        shutil.rmtree(self.files)
        self.restore(made)
        files = [os.fsdecode(name) for name, what in tree(self.files).items() if "sha256" in what]
        self.assertEqual(sorted(files), ["custom/keep", "keep"])

    @unittest.skipIf(os.geteuid() == 0, "root can read everything")
    def test_an_unreadable_file_is_an_error_unless_the_profile_ignores_them(self):
        self.write("sites/default/files/good", "good")
        self.write("sites/default/files/locked", "locked", mode=0)
        result = self.bam("backup", "files", expect=1)
        self.assertSays(result, "locked")
        self.assertEqual(self.visible(), [])
        self.document["profiles"]["default"]["ignore_errors"] = True
        self.assertSays(self.bam("backup", "files", expect=3), "locked")

    def test_two_destinations_get_the_same_bytes(self):
        self.write("sites/default/files/a", os.urandom(1 << 20))
        self.document["destinations"]["second"] = {"type": "directory", "path": self.path("second")}
        made = self.bam_json("backup", "files", "manual,second", "secret")
        copies = {digest(os.path.join(self.destination(name), made["file"])) for name in ("manual", "second")}
        self.assertEqual(len(copies), 1)
        self.assertEqual([copy["name"] for copy in made["destinations"]], ["manual", "second"])


if __name__ == "__main__":
    unittest.main()
