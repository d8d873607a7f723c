"""File trees as they really are, through `bam backup` and `bam restore`."""

import io
import json
import os
import random
import shutil
import socket
import subprocess
import tarfile
import unittest

from bamtest import SiteTest, can_trace, digest, tree


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

    def storage(self, text="shared storage"):
        """A folder outside of the tree, and a link to it inside."""
        outside = self.path("outside")
        os.makedirs(outside + "/inner", exist_ok=True)
        for name in ("page", "inner/page"):
            with open(os.path.join(outside, name), "w") as file:
                file.write(text)
        self.write("sites/default/files/around/plain/page", "x")
        link = os.path.join(self.files, "around/outdir")
        os.symlink(outside, link)
        return outside, link

    def test_a_link_that_was_followed_stays_and_what_is_behind_it_is_restored(self):
        outside, link = self.storage()
        second = self.path("second storage")
        os.makedirs(second)
        with open(second + "/page", "w") as file:
            file.write("of the second")
        os.symlink("../second storage", outside + "/further")
        before = tree(os.fsencode(outside)), tree(os.fsencode(second)), tree(os.fsencode(self.files))
        made = self.backup("files")
        for paths in ([], ["--path", "around"], ["--path", "around/outdir"]):
            with self.subTest(paths):
                os.unlink(outside + "/page")
                shutil.rmtree(outside + "/inner")
                with open(second + "/page", "w") as file:
                    file.write("spoiled")
                with open(second + "/new", "w") as file:
                    file.write("only in the damaged site")
                result = self.bam("restore", str(made["id"]), "--dry-run", *paths)
                self.assertSays(result, "would stay links", f"{link} -> {outside}", "would be restored")
                self.assertIn("outdir/further/new", result.out)
                self.assertNotIn("plain", result.err)
                self.assertSays(self.restore(made, *paths), "stay links", f"{link} -> {outside}", f"-> {second}")
                self.assertEqual(os.readlink(link), outside)
                self.assertEqual(os.readlink(outside + "/further"), "../second storage")
                after = tree(os.fsencode(outside)), tree(os.fsencode(second)), tree(os.fsencode(self.files))
                # A folder in which one path is replaced has a new time.
                after[2][b"around"]["mtime"] = before[2][b"around"]["mtime"]
                self.assertEqual(after, before)
                for folder in (outside, second, self.files, os.path.dirname(outside)):
                    self.assertEqual([name for name in os.listdir(folder) if ".bam-" in name], [])

    def test_behind_a_link_stays_what_the_backup_left_out(self):
        outside, link = self.storage()
        kept = {"film.mp4": "by a pattern", "inner/cache/x": "by its path", "inner/tmp/x": "by its full path"}
        for name, text in kept.items():
            os.makedirs(os.path.dirname(os.path.join(outside, name)), exist_ok=True)
            with open(os.path.join(outside, name), "w") as file:
                file.write(text)
        exclude = ["*.mp4", "around/outdir/inner/cache", outside + "/inner/tmp"]
        self.document["profiles"]["default"]["sources"] = {"files": {"exclude": exclude}}
        self.write_document()
        made = self.backup("files")
        with open(outside + "/page", "w") as file:
            file.write("spoiled")
        self.restore(made)
        kept["page"] = "shared storage"
        for name, text in kept.items():
            with open(os.path.join(outside, name)) as file:
                self.assertEqual(file.read(), text, name)

    def test_where_the_link_is_gone_a_plain_folder_is_made_and_said(self):
        outside, link = self.storage()
        made = self.backup("files")
        os.unlink(link)
        self.assertSays(
            self.bam("restore", str(made["id"]), "--dry-run"), f"would become a plain folder: {link}"
        )
        self.assertSays(self.restore(made), f"becomes a plain folder: {link}")
        self.assertFalse(os.path.islink(link))
        with open(link + "/page") as file:
            self.assertEqual(file.read(), "shared storage")

    def test_a_link_to_storage_that_is_not_there_stays_and_is_told(self):
        outside, link = self.storage()
        self.write("sites/default/files/plain/page", "in the files")
        made = self.backup("files")
        away = outside + " away"
        os.rename(outside, away)
        # Nothing was behind a link there.
        plain = os.path.join(self.files, "plain")
        shutil.rmtree(plain)
        os.symlink("nowhere", plain)
        for how in ("--dry-run", "--yes"):
            result = self.bam("restore", str(made["id"]), how, expect=3)
            self.assertSays(result, f"{link} -> {outside} (nothing is there", f"in their place, and what they lead to stays as it is: {plain}")
            self.assertEqual(os.readlink(link), outside, how)
        self.assertEqual(os.listdir(plain), ["page"])
        os.rename(away, outside)
        os.unlink(outside + "/page")
        self.restore(made)
        self.assertEqual(os.readlink(link), outside)
        with open(outside + "/page") as file:
            self.assertEqual(file.read(), "shared storage")

    def away(self, path):
        """What a link leads to is not there: a disk that is not mounted."""
        os.rename(path, path + " away")

    def back(self, path):
        os.rename(path + " away", path)

    def test_a_link_out_to_nothing_is_missing_and_what_the_site_has_there_stays(self):
        outside, link = self.storage()
        one = self.path("one.txt")
        with open(one, "w") as file:
            file.write("the only copy")
        os.symlink("../../../../one.txt", os.path.join(self.files, "one.txt"))
        # By way of another link, and one that only pretends to stay.
        os.symlink("around/outdir", os.path.join(self.files, "by way"))
        os.symlink("around/../../gone", os.path.join(self.files, "up"))
        away = [link, os.path.join(self.files, "one.txt"), os.path.join(self.files, "by way")]
        # These lead to nothing as well, but not out.
        for name, target in (("around/in", "no/such"), ("in", self.files + "/no/such"), ("self", "self"),
                             ("lock", "user@host.123:" + "4" * 300), ("back", "../files/no/such")):
            os.symlink(target, os.path.join(self.files, name))
        for path in (outside, one):
            self.away(path)
        for ignore in (False, True):
            self.document["profiles"]["default"]["ignore_errors"] = ignore
            made = self.backup("files", expect=3)
            missing = [note["text"] for note in made["notes"] if note["kind"] == "missing"]
            self.assertEqual(len(missing), 4, made["notes"])
            for text, (name, to) in zip(missing, (("around/outdir", outside), ("by way", "around/outdir"),
                                                  ("one.txt", "../../../../one.txt"), ("up", "around/../../gone"))):
                for word in (f"{name} is a link to {to}, where nothing is", "mount it", "remove the link", "exclude it"):
                    self.assertIn(word, text)
            with open(made["path"] + ".info") as file:
                info = file.read()
            self.assertIn('bam_missing = "4"', info)
            self.assertIn("bam_unread", info)
            self.assertTrue(self.bam_json("backups")["backups"][0]["incomplete"])
            self.wait_for_the_next_second(made)
        for path in (outside, one):
            self.back(path)
        before = tree(self.files), tree(outside)
        for how in (["--dry-run"], ["--yes", "--path", "around"], ["--yes", "--path", "around/outdir"], ["--yes"]):
            result = self.bam("restore", str(made["id"]), *how, expect=3)
            self.assertSays(result, "4 things could not be read when this backup was made", "around/outdir", "they stay")
            after = tree(self.files), tree(outside)
            after[0][b"around"]["mtime"] = before[0][b"around"]["mtime"]
            self.assertEqual(after, before, how)
        said = self.bam("restore", str(made["id"]), "--into", self.path("into"), "--yes", expect=3)
        self.assertSays(said, "4 things could not be read when this backup was made", "around/outdir")
        self.assertNotIn("they stay", said.err)
        # What has come in place of a link stays as well; where there is nothing, the link comes back.
        os.unlink(away[0])
        self.write("sites/default/files/around/outdir/page", "the only copy")
        os.unlink(away[1])
        for how in (["--dry-run"], ["--yes", "--path", "around"], ["--yes", "--path", "around/outdir"], ["--yes"]):
            self.bam("restore", str(made["id"]), *how, expect=3)
            self.assertEqual(os.listdir(away[0]), ["page"], how)
        self.assertEqual(os.readlink(away[1]), "../../../../one.txt")

    def test_a_link_out_to_nothing_that_is_excluded_is_nothing(self):
        outside, link = self.storage()
        self.away(outside)
        for exclude in (["around/outdir"], ["outdir*"], ["outdi[r]/"], [outside]):
            with self.subTest(exclude):
                self.document["profiles"]["default"]["sources"] = {"files": {"exclude": exclude}}
                self.wait_for_the_next_second(self.backup("files"))
                self.assertFalse(self.bam_json("backups")["backups"][0]["incomplete"])
        del self.document["profiles"]["default"]["sources"]
        self.bam("backup", "files", expect=3)
        os.unlink(link)
        self.bam("backup", "files")

    @unittest.skipUnless(os.geteuid() == 0, "only root has links of others")
    def test_root_restores_nothing_behind_a_link_of_somebody_who_could_not(self):
        outside, link = self.storage()
        os.chmod(self.path(""), 0o755)
        made = self.backup("files")
        with open(outside + "/page", "w") as file:
            file.write("what they must not change")
        os.lchown(link, 33, 33)
        for paths in ([], ["--path", "around/outdir"]):
            for how in ("--dry-run", "--yes"):
                result = self.bam("restore", str(made["id"]), how, *paths, expect=3)
                self.assertSays(result, "not restored", f"{link} -> {outside}", "may not write to", "chown -h root")
                self.assertEqual(os.readlink(link), outside)
                with open(outside + "/page") as file:
                    self.assertEqual(file.read(), "what they must not change")
        # Nor where they could lead the way to another place.
        inner = outside + "/theirs/here"
        os.makedirs(inner)
        os.unlink(link)
        os.symlink(inner, link)
        for path in (link, outside + "/theirs", inner):
            os.lchown(path, 33, 33)
        self.assertSays(self.bam("restore", str(made["id"]), "--yes", expect=3), "and so where it leads")
        self.assertEqual(os.listdir(inner), [])
        os.chown(outside + "/theirs", 0, 0)
        self.restore(made)
        self.assertEqual(sorted(os.listdir(inner)), ["inner", "page"])

    def test_a_link_to_a_file_that_becomes_a_file_is_told(self):
        outside = self.path("one.txt")
        with open(outside, "w") as file:
            file.write("shared")
        link = os.path.join(self.files, "one.txt")
        os.symlink(outside, link)
        made = self.backup("files")
        self.assertSays(self.restore(made), "become what it has in their place", f"{link} -> {outside}")
        with open(link) as file:
            self.assertEqual(file.read(), "shared")

    def test_what_the_kernel_tells_is_no_files_content(self):
        link = os.path.join(self.files, "version")
        os.symlink("/proc/version", link)
        made = self.backup("files")
        os.unlink(link)
        self.restore(made)
        self.assertEqual(os.readlink(link), "/proc/version")

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

    def test_an_unreadable_file_is_an_error_unless_the_profile_ignores_them(self):
        self.write("sites/default/files/good", "good")
        self.write("sites/default/files/locked", "locked", mode=0)
        user = self.as_ordinary_user()
        result = self.bam("backup", "files", expect=1, **user)
        self.assertSays(result, "locked")
        self.assertEqual(self.visible(), [])
        self.document["profiles"]["default"]["ignore_errors"] = True
        self.assertSays(self.bam("backup", "files", expect=3, **self.as_ordinary_user()), "locked")
        self.assertEqual(len(self.visible()), 2)

    def test_what_could_not_be_read_stays_when_the_backup_comes_back(self):
        """It is not in the backup: the site has the only copy."""
        self.write("sites/default/files/good", "good")
        self.write("sites/default/files/sub/locked", "the only copy", mode=0)
        self.document["profiles"]["default"]["ignore_errors"] = True
        self.bam("backup", "files", expect=3, **self.as_ordinary_user())
        self.write("sites/default/files/good", "spoiled")
        self.write("sites/default/files/sub/new", "only in the damaged site")
        for how in (["--dry-run"], ["--yes", "--path", "sub"], ["--yes"]):
            result = self.bam("restore", "latest", *how, expect=3, **self.as_ordinary_user())
            self.assertSays(result, "1 thing could not be read when this backup was made", "sub/locked")
            with open(os.path.join(self.files, "sub/locked")) as file:
                self.assertEqual(file.read(), "the only copy", how)
        self.assertEqual(sorted(os.listdir(os.path.join(self.files, "sub"))), ["locked"])
        into = self.path("into")
        result = self.bam("restore", "latest", "--into", into, expect=3, **self.as_ordinary_user())
        self.assertSays(result, "1 thing could not be read when this backup was made", "sub/locked")
        self.assertNotIn("stay", result.err)
        with open(os.path.join(self.files, "good")) as file:
            self.assertEqual(file.read(), "good")

    def test_however_much_could_not_be_read_it_stays(self):
        """Where it is too much to be named, a folder stands for what is in it."""
        self.document["profiles"]["default"]["ignore_errors"] = True
        os.mkdir(self.path("storage"))
        os.symlink(self.path("storage"), os.path.join(self.files, "linked"))
        for folder in ("many", "deep/" + "/".join(["ü" * 120] * 5), "linked", "."):
            with self.subTest(folder):
                locked = [os.path.join("sites/default/files", folder, f"locked {number}") for number in range(1100)]
                for path in locked:
                    self.write(path, "the only copy", mode=0)
                good = self.write(os.path.join("sites/default/files", folder, "good"), "good")
                made = json.loads(self.bam("--json", "backup", "files", expect=3, **self.as_ordinary_user()).out)
                with open(os.path.join(self.destination(), made["file"] + ".info")) as sidecar:
                    self.assertIn('bam_missing = "1100"', sidecar.read())
                for how in (["--path", folder], []):
                    self.write(os.path.join("sites/default/files", folder, "good"), "spoiled")
                    told = self.bam("restore", "latest", "--yes", *(how if folder != "." else []), expect=3, **self.as_ordinary_user())
                    self.assertSays(told, "1100 things could not be read")
                    self.assertEqual([path for path in locked if not os.path.exists(os.path.join(self.root, path))], [])
                    with open(good) as file:
                        self.assertEqual(file.read(), "good")
                for path in locked:
                    os.unlink(os.path.join(self.root, path))

    def test_where_the_archive_lacks_the_content_of_names_the_sites_files_stay(self):
        for many in (1, 1100):
            names = [f"sub/name {number}" for number in range(many)]
            plain = self.path(f"{many}.tar")
            with tarfile.open(plain, "w") as tar:
                def link(name, to):
                    entry = tarfile.TarInfo(name)
                    entry.type, entry.linkname = tarfile.LNKTYPE, to
                    tar.addfile(entry)

                def add(name, text):
                    entry = tarfile.TarInfo(name)
                    entry.size = len(text)
                    tar.addfile(entry, io.BytesIO(text))
                # Its content comes later.
                link("sub/early", "sub/late")
                for name in names:
                    link(name, "sub/nowhere")
                for name in ("sub/late", "top"):
                    add(name, b"backed up")
                # What comes last counts.
                link("sub/again", "sub/nowhere")
                add("sub/again", b"the newest")
            for how in (["--yes"], ["--path", "sub", "--yes"], ["--into", self.path(f"into {many}")]):
                with self.subTest(many=many, how=how):
                    for name in names + ["sub/other", "sub/late", "sub/again"]:
                        self.write("sites/default/files/" + name, "of the site")
                    said = self.bam("restore", "--file", plain, "--source", "files", "--unauthenticated", *how, expect=3)
                    self.assertSays(said, "sub/name 0 has its content under sub/nowhere, which was not found")
                    self.assertEqual("likewise 1090 more" in said.err, many > 1)
                    elsewhere = how[0] == "--into"
                    self.assertEqual("they stay" in said.err, not elsewhere)
                    where = how[1] if elsewhere else self.files
                    for name, text in (("sub/early", "backed up"), ("sub/late", "backed up"), ("sub/again", "the newest")):
                        with open(os.path.join(where, name)) as file:
                            self.assertEqual(file.read(), text, name)
                    for name in names:
                        self.assertNotEqual(os.path.exists(os.path.join(where, name)), elsewhere, name)
                    # Of too many to be named the folder stays with all that is in it.
                    self.assertEqual(os.path.exists(os.path.join(where, "sub/other")), many > 1 and not elsewhere)

    def test_a_further_name_of_a_file_that_was_not_read_to_its_end_stays(self):
        self.write("sites/default/files/first", "the half of it")
        os.link(self.files + "/first", self.files + "/second")
        made = self.backup("files")
        os.mkdir(self.path("copy"))
        copy = os.path.join(self.path("copy"), made["file"])
        shutil.copy(made["path"], copy)
        with open(made["path"] + ".info") as file, open(copy + ".info", "w") as out:
            # What proves it goes.
            out.writelines(line for line in file if not line.startswith("bam_hmac"))
            out.write('bam_missing = "1"\nbam_unread = "first"\n')
        for name in ("first", "second"):
            os.unlink(os.path.join(self.files, name))
            self.write("sites/default/files/" + name, "all of it")
        self.bam("restore", "--file", copy, "--source", "files", "--unauthenticated", "--yes", expect=3)
        for name in ("first", "second"):
            with open(os.path.join(self.files, name)) as file:
                self.assertEqual(file.read(), "all of it", name)

    def test_no_folder_takes_the_place_of_a_link_to_nothing(self):
        """It may lead to a disk that is not mounted."""
        self.write("sites/default/files/note", "x")
        self.backup("files")
        os.rename(self.files, self.path("storage"))
        os.symlink(self.path("nowhere"), self.files)
        for how in ("--dry-run", "--yes"):
            self.assertSays(self.bam("restore", "latest", how, expect=1), self.files, "nowhere", "where nothing is", "mount")
        self.assertEqual(os.readlink(self.files), self.path("nowhere"))
        self.bam("recover")
        os.unlink(self.files)
        os.symlink(self.path("storage"), self.files)
        self.bam("restore", "latest", "--yes")
        self.assertEqual(os.readlink(self.files), self.path("storage"))

    def test_more_excludes_than_a_sidecar_holds_are_refused_before_anything_is_read(self):
        paths = [f"{'é' * 60}{number}" for number in range(2000)]
        for path in paths:
            self.write("sites/default/files/" + path, "x")
        self.document["profiles"]["default"]["sources"] = {"files": {"exclude": paths}}
        self.assertSays(self.bam("backup", "files", expect=2), "bytes", "exclude folders or patterns")
        self.assertEqual(self.visible(), [])

    @unittest.skipUnless(can_trace(), "strace is not installed, or may not trace")
    def test_what_could_not_be_read_to_its_end_replaces_nothing(self):
        whole = random.Random(7).randbytes(3_000_000)
        self.write("sites/default/files/sub/film", whole)
        self.document["profiles"]["default"]["ignore_errors"] = True
        # Nothing but files is read by this call.
        self.within = ["strace", "-f", "-o", "/dev/null", "-e", "inject=preadv2:error=EIO:when=4+"]
        self.assertSays(self.bam("backup", "files", expect=3), "could not be read to its end")
        self.within = ()
        film = os.path.join(self.files, "sub/film")
        for how in (["--dry-run"], ["--yes"], ["--yes", "--path", "sub"]):
            self.assertSays(self.bam("restore", "latest", *how, expect=3), "sub/film", "not whole")
            with open(film, "rb") as file:
                self.assertTrue(file.read() == whole, how)
        # It is wanted all the same where it is asked for, or where there is no other.
        for how in (["--path", "sub/film"], []):
            self.bam("restore", "latest", "--yes", *how, expect=3)
            with open(film, "rb") as file:
                got = file.read()
            self.assertEqual((len(got), got[:100_000] == whole[:100_000], got[-1]), (len(whole), True, 0), how)
            os.unlink(film)

    def test_two_destinations_get_the_same_bytes(self):
        self.write("sites/default/files/a", os.urandom(1 << 20))
        self.document["destinations"]["second"] = {"type": "directory", "path": self.path("second")}
        made = self.bam_json("backup", "files", "manual,second", "secret")
        copies = {digest(os.path.join(self.destination(name), made["file"])) for name in ("manual", "second")}
        self.assertEqual(len(copies), 1)
        self.assertEqual([copy["name"] for copy in made["destinations"]], ["manual", "second"])


if __name__ == "__main__":
    unittest.main()
