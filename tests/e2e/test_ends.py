"""Restores end, one way or the other: what stays of the old site, what lies on other file systems, what cannot be removed.
On real file systems, links and users; the database is a SQLite file."""

import contextlib
import glob
import io
import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
import unittest

from bamtest import BAM, SiteTest, program_for_others, run, tree

# Nobody: any user that is not root.
USER = 65534
IS_ROOT = os.geteuid() == 0


def can_mount():
    done = subprocess.run(["unshare", "-m", "sh", "-c", "mount -t tmpfs none /mnt"], capture_output=True)
    return IS_ROOT and done.returncode == 0


def can_be_immutable(folder):
    path = os.path.join(folder, "probe")
    with open(path, "w"):
        pass
    done = subprocess.run(["chattr", "+i", path], capture_output=True)
    if done.returncode == 0:
        run("chattr", "-i", path)
    os.remove(path)
    return done.returncode == 0


class Site(SiteTest):
    """A site with code, settings, public and private files and a database."""

    def setUp(self):
        super().setUp()
        self.private = self.path("private")
        os.mkdir(self.private)
        self.database = self.path("site.sqlite")
        with contextlib.closing(sqlite3.connect(self.database)) as db, db:
            db.execute("create table node (title text)")
        self.document["site"]["private_path"] = self.private
        self.document["databases"] = {"db": {"url": "sqlite:" + self.database}}
        self.document["sources"] |= {"db": {"type": "database"}, "archive": {"type": "archive"}}
        self.write("index.php", "<?php // backed up")
        self.write("sites/default/default.settings.php", "<?php // an example")
        self.write("sites/default/files/a", "backed up")
        self.write("sites/default/files/styles/thumb/a", "derived")
        self.put(self.private, "minutes", "backed up")

    def put(self, folder, name, text):
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)

    def get(self, name):
        with open(os.path.join(self.root, name)) as file:
            return file.read()

    def strays(self):
        return [path for path in glob.glob(self.top + "/**/.*bam-*", recursive=True, include_hidden=True)]


class Stays(Site):
    SETTINGS = ("sites/default/settings.php", "sites/default/settings.local.php", "sites/default/services.yml",
                "sites/other.org/settings.php", "sites/other.org/services.yml", "sites/sites.php", ".env")

    def test_what_belongs_to_the_machine_stays_in_a_restore_of_the_code(self):
        for name in self.SETTINGS:
            self.write(name, "as backed up")
        self.put(self.private, ".htaccess", "as backed up")
        made = self.backup("archive")
        for name in self.SETTINGS:
            self.write(name, "of this machine")
        self.put(self.private, ".htaccess", "of this machine")
        self.write("shell.php", "planted")
        self.write("index.php", "damaged")
        self.bam("restore", str(made["id"]), "--code", "--yes")
        for name in self.SETTINGS:
            self.assertEqual(self.get(name), "of this machine", name)
        with open(self.private + "/.htaccess") as file:
            self.assertEqual(file.read(), "of this machine")
        self.assertEqual(self.get("index.php"), "<?php // backed up")
        self.assertFalse(os.path.exists(self.root + "/shell.php"))
        # Where there are none any more, the backup's come back.
        os.remove(self.root + "/sites/other.org/services.yml")
        self.bam("restore", str(made["id"]), "--code", "--yes")
        self.assertEqual(self.get("sites/other.org/services.yml"), "as backed up")
        self.bam("restore", str(made["id"]), "--code", "--settings", "--yes")
        self.assertEqual(self.get("sites/default/services.yml"), "as backed up")

    def test_without_code_it_says_that_the_code_stays(self):
        made = self.backup("archive")
        self.write("shell.php", "planted")
        for options in (["--dry-run"], ["--yes"]):
            result = self.bam_json("restore", str(made["id"]), *options)
            self.assertIn("the code stays as it is", json.dumps(result["notes"]))
        self.assertTrue(os.path.exists(self.root + "/shell.php"))

    @unittest.skipUnless(IS_ROOT, "not root")
    def test_an_owner_who_is_not_root_keeps_settings_in_a_folder_that_cannot_be_written(self):
        self.write("sites/default/settings.php", "of this machine", mode=0o440)
        os.mkdir(self.root + "/sites/default/private-notes")
        os.chmod(self.root + "/sites/default", 0o555)
        self.document["profiles"]["default"]["sources"] = {
            "archive": {"exclude": ["sites/default/settings.php", "sites/default/private-notes", "public://styles"]}}
        os.chmod(self.top, 0o755)
        run("chown", "-R", f"{USER}:{USER}", self.top)

        def as_user(*arguments):
            path = self.write_document()
            os.chown(path, USER, USER)
            os.chmod(path, 0o600)
            return subprocess.run(["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", program_for_others(),
                                   "--config", path, *arguments], capture_output=True, text=True)
        if as_user("--version").returncode:
            self.skipTest("the program cannot be run by another user here")
        made = as_user("backup", "archive")
        self.assertEqual(made.returncode, 0, made.stderr)
        before = tree(self.root)
        self.write("index.php", "damaged")
        restored = as_user("restore", "latest", "--source", "archive", "--code", "--yes")
        self.assertEqual(restored.returncode, 0, restored.stderr)
        self.assertEqual(tree(self.root), before)
        self.assertEqual(self.get("sites/default/settings.php"), "of this machine")
        self.assertEqual(os.stat(self.root + "/sites/default").st_mode & 0o7777, 0o555)
        self.assertEqual(self.strays(), [])

    def test_what_stays_is_not_carried_through_a_link_of_the_archive(self):
        self.write("sites/default/settings.php", "password")
        outside = self.path("outside")
        os.mkdir(outside)
        hostile = self.path("x.sitearchive.tar")
        with tarfile.open(hostile, "w") as tar:
            def member(name, text):
                entry = tarfile.TarInfo(name)
                entry.size = len(text)
                tar.addfile(entry, io.BytesIO(text))
            member("MANIFEST.ini", b"[Site 0]\ndocroot = docroot\nsitedir = sites/default\n"
                                   b"files-public = docroot/files\ndatabase-file-default = database.sqlite\n"
                                   b"database-file-driver = sqlite\n")
            member("docroot/index.php", b"theirs")
            link = tarfile.TarInfo("docroot/sites/default")
            link.type, link.linkname = tarfile.SYMTYPE, outside
            tar.addfile(link)
            with open(self.database, "rb") as file:
                member("database.sqlite", file.read())
        before = tree(self.root)
        self.assertSays(self.bam("restore", "--file", hostile, "--source", "archive", "--unauthenticated", "--code", "--yes",
                                 expect=4), "link", "nothing was changed")
        self.assertEqual(os.listdir(outside), [])
        self.assertEqual(tree(self.root), before)
        self.assertEqual(self.strays(), [])

    def test_private_files_that_are_promised_and_not_there_stay(self):
        made = self.backup("archive")
        plain = self.path("promised.sitearchive.tar")
        # GNU tar's --delete damages archives with pax headers.
        with tarfile.open(made["path"]) as whole, tarfile.open(plain, "w", format=tarfile.PAX_FORMAT) as tar:
            for member in whole:
                if not member.name.startswith("private"):
                    tar.addfile(member, whole.extractfile(member) if member.isreg() else None)
        for options in ([], ["--code"]):
            result = self.bam("restore", "--file", plain, "--source", "archive", "--unauthenticated", "--yes", *options,
                              expect=3)
            self.assertSays(result, "holds no private files", self.private)
            self.assertEqual(os.listdir(self.private), ["minutes"])

    def test_what_stays_follows_the_backups_excludes(self):
        self.document["profiles"]["default"]["sources"] = {"files": {"exclude": ["videos"]}}
        self.write("sites/default/files/videos/v", "large")
        made = self.backup("files")
        # Today's are others: of what they name the backup has everything, of what they do not it has nothing.
        self.document["profiles"]["default"]["sources"] = {"files": {"exclude": ["styles"]}}
        self.write("sites/default/files/styles/new", "made since")
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual(self.get("sites/default/files/videos/v"), "large")
        self.assertEqual(sorted(os.listdir(self.files + "/styles")), ["thumb"])

    def test_what_a_pattern_leaves_out_stays(self):
        """And what fits it that was made since; what comes back with ! is in the backup."""
        raw = os.fsencode(self.files)
        latin = os.path.join(raw, b"caf\xe9.mp4")
        for name in ("film.mp4", "deep/er/film.mp4", "trailer.mp4", "cache/page", "deep/cache/page", "text/a.tmp",
                     "text/deeper/a.tmp", "star*.txt", "starry.txt", "we[ird"):
            self.write("sites/default/files/" + name, "backed up")
        with open(latin, "w") as file:
            file.write("backed up")
        self.document["profiles"]["default"]["sources"] = {
            "files": {"exclude": ["*.mp4", "!trailer.mp4", "cach?/", "/text/*.tmp", "star\\*.txt", "we[ird", "styles"]},
            "archive": {"exclude": ["*.mp4", "!trailer.mp4", "cach?/", "public://text/*.tmp", "star\\*.txt", "we[ird",
                                    "public://styles"]}}
        out = ["film.mp4", "deep/er/film.mp4", "cache/page", "deep/cache/page", "text/a.tmp", "star*.txt"]
        kept = ["a", "trailer.mp4", "text/deeper/a.tmp", "starry.txt"]
        for source, options in (("files", []), ("archive", []), ("archive", ["--code"])):
            made = self.backup(source)
            self.document["profiles"]["default"]["sources"], before = {}, self.document["profiles"]["default"]["sources"]
            names = {entry["path"] for entry in self.bam_json("ls", str(made["id"]))["entries"]}
            at = "docroot/sites/default/files/" if source == "archive" else ""
            for name in out + ["styles/thumb/a", os.path.join(os.path.dirname(out[2]), "page")]:
                self.assertNotIn(at + name, names)
            # Only the literal meaning of what is no pattern, in the source's own folder.
            self.assertEqual(at + "we[ird" in names, source == "archive")
            for name in kept:
                self.assertIn(at + name, names)
            shutil.rmtree(self.files + "/deep/er")
            # Below a folder that stays as a whole, too.
            live = out[:1] + out[2:] + ["new/since.mp4", "new/er/cache/x", "text/since.tmp", "styles/film.mp4",
                                        "styles/thumb/a", "styles/a"]
            for name in live:
                self.write("sites/default/files/" + name, "live")
            with open(latin, "w") as file:
                file.write("live")
            for name in kept + ["new/since.txt", "cache.txt"]:
                self.write("sites/default/files/" + name, "damaged")
            lost = self.bam_json("restore", str(made["id"]), *options, "--dry-run")["files"]["lost"]
            self.assertEqual(sorted(os.path.basename(path) for path in lost["first"]), ["cache.txt", "since.txt"])
            self.bam("restore", str(made["id"]), *options, "--yes")
            for name in live:
                self.assertEqual(self.get("sites/default/files/" + name), "live", name)
            with open(latin) as file:
                self.assertEqual(file.read(), "live")
            for name in kept:
                self.assertEqual(self.get("sites/default/files/" + name), "backed up", name)
            for name in ("new/since.txt", "cache.txt"):
                self.assertFalse(os.path.lexists(os.path.join(self.files, name)), name)
            self.assertEqual(self.strays(), [])
            shutil.rmtree(self.files + "/new")
            self.write("sites/default/files/deep/er/film.mp4", "again")
            self.document["profiles"]["default"]["sources"] = before

    def test_a_database_in_the_files_folder_stays_with_them(self):
        live = self.files + "/.ht.sqlite"
        shutil.move(self.database, live)
        self.document["databases"]["db"]["url"] = "sqlite:" + live
        self.document["profiles"]["default"]["sources"] = {"files": {"exclude": [".ht.sqlite"]}}
        made = self.backup("files")
        with contextlib.closing(sqlite3.connect(live)) as db, db:
            db.execute("insert into node values ('since')")
        self.bam("restore", str(made["id"]), "--yes")
        with contextlib.closing(sqlite3.connect(live)) as db:
            self.assertEqual(db.execute("select * from node").fetchall(), [("since",)])


class Named(Site):
    def test_a_path_that_is_misspelt_is_an_error_with_the_near_names(self):
        self.write("sites/default/files/logo.png", "x")
        for source in ("files", "archive"):
            made = self.backup(source)
            for options in (["--dry-run"], ["--yes"]):
                result = self.bam("restore", str(made["id"]), "--path", "sites/default/files/lgoo.png", *options, expect=1)
                self.assertSays(result, "does not hold", "lgoo.png", "did you mean", "logo.png")
            for verb in ("ls", "cat"):
                self.assertSays(self.bam(verb, str(made["id"]), "sites/default/files/lgoo.png" if source == "archive"
                                         else "lgoo.png", expect=1), "did you mean", "logo.png")

    def test_names_are_taken_as_ls_shows_them(self):
        names = [b"new\nline", b"tab\t", b"latin\xe9", b"back\\slash\\n", "ü\u0085".encode()]
        for name in names:
            with open(os.path.join(self.files.encode(), name), "w") as file:
                file.write("backed up")
        made = self.backup("files")
        shown = {entry["path"] for entry in self.bam_json("ls", str(made["id"]))["entries"] if entry["type"] == "file"}
        for name in shown:
            for known in names:
                with contextlib.suppress(FileNotFoundError):
                    os.remove(os.path.join(self.files.encode(), known))
            self.assertEqual(self.bam("cat", str(made["id"]), name).out if name != "styles/thumb/a" else "", "backed up"
                             if name != "styles/thumb/a" else "")
            self.bam("restore", str(made["id"]), "--path", name, "--yes")
        self.assertEqual(len(shown), len(names) + 1)


class Absent(Site):
    """Folders of the site's files that are not there when it is backed up."""

    def lacks(self, made, *paths):
        """The backup says of itself that it lacks these."""
        self.assertEqual(len([note for note in made["notes"] if note["kind"] == "missing"]), len(paths), made["notes"])
        with open(made["path"] + ".info") as file:
            info = file.read()
        self.assertIn(f'bam_missing = "{len(paths)}"', info)
        for path in paths:
            self.assertIn(path, info.partition("bam_unread")[2].partition("\n")[0])
        self.assertTrue(self.bam_json("backups")["backups"][0]["incomplete"])

    def test_what_is_not_there_is_missing_and_the_sites_own_stays(self):
        storage = self.path("storage")
        for what, link in (("private", False), ("private", True), ("files", False), ("files", True)):
            for code in ([], ["--code"]):
                with self.subTest(what=what, link=link, code=code):
                    live = self.private if what == "private" else self.files
                    if link:
                        shutil.move(live, storage)
                        os.symlink(storage, live)
                    away = storage if link else live
                    shutil.move(away, self.path("away"))
                    made = self.backup("archive", expect=3)
                    self.lacks(made, "private" if what == "private" else "docroot/sites/default/files")
                    self.assertIn(storage if link and what == "files" else live, json.dumps(made["notes"]))
                    shutil.move(self.path("away"), away)
                    before = tree(self.root), tree(self.private), tree(self.files)
                    self.write("index.php", "damaged") if code else None
                    with contextlib.closing(sqlite3.connect(self.database)) as db, db:
                        db.execute("drop table node")
                    self.bam("restore", str(made["id"]), *code, "--dry-run", expect=3)
                    result = self.bam("restore", str(made["id"]), *code, "--yes", expect=3)
                    self.assertSays(result, "1 thing could not be read when this backup was made")
                    with contextlib.closing(sqlite3.connect(self.database)) as db:
                        self.assertEqual(db.execute("select count(*) from node").fetchone(), (0,))
                    self.assertEqual(self.get("index.php"), "<?php // backed up")
                    after = tree(self.root), tree(self.private), tree(self.files)
                    for paths in (*before, *after):
                        for one in paths.values():
                            one.pop("mtime", None)
                    self.assertEqual(after, before)
                    self.assertEqual(self.strays(), [])
                    if link:
                        os.unlink(live)
                        shutil.move(storage, live)
                    self.wait_for_the_next_second(made)

    def test_a_folder_that_is_to_be_left_out_is_not_missing(self):
        for path, lines in ((self.private, ["private://"]), (self.files, ["sites/default/files"]),
                            (self.files, ["sites/*/files"]), (self.files, ["sites/default"])):
            shutil.move(path, self.path("away"))
            self.document["profiles"]["default"]["sources"] = {"archive": {"exclude": lines}}
            made = self.backup("archive")
            shutil.move(self.path("away"), path)
            self.wait_for_the_next_second(made)

    def test_a_link_where_the_files_should_be_does_not_stop_a_restore(self):
        # As archives have it that were made when nobody looked; they say nothing of what they lack.
        storage = self.path("storage")
        shutil.move(self.files, storage)
        os.symlink(storage, self.files)
        shutil.move(storage, storage + " away")
        made = self.backup("archive", expect=3)
        shutil.move(storage + " away", storage)
        old = self.path("old.sitearchive.tar.gz")
        shutil.copy(made["path"], old)
        before = tree(storage), tree(self.private)
        words = "the backup holds no files for docroot/sites/default/files", f"only a link to {storage}"
        for live in ("link", "folder"):
            if live == "folder":
                os.unlink(self.files)
                shutil.move(storage, self.files)
            for code in ([], ["--code"], ["--path", "sites/default/files"]):
                with self.subTest(live=live, code=code):
                    with contextlib.closing(sqlite3.connect(self.database)) as db, db:
                        db.execute("drop table if exists node")
                    for how in ("--dry-run", "--yes"):
                        said = self.bam("restore", "--file", old, "--source", "archive", "--unauthenticated", *code, how, expect=3)
                        self.assertSays(said, *words, "what the site has there stays")
                    with contextlib.closing(sqlite3.connect(self.database)) as db:
                        tables = db.execute("select count(*) from sqlite_master where name = 'node'").fetchone()
                        self.assertEqual(tables, (0 if "--path" in code else 1,))
                    self.assertEqual(os.path.islink(self.files), live == "link")
                    self.assertEqual((tree(self.files + "/"), tree(self.private)), before)
                    self.assertEqual(self.strays(), [])
        into = self.path("into")
        said = self.bam("restore", "--file", old, "--unauthenticated", "--into", into, "--yes", expect=3)
        self.assertSays(said, *words)
        self.assertEqual(os.readlink(into + "/docroot/sites/default/files"), storage)
        self.assertSays(self.bam("drill", expect=3), *words)


class Elsewhere(Site):
    """Folders of the site that are other places."""

    def test_a_link_to_the_files_stays_one_and_what_is_behind_it_is_restored(self):
        for target in ("files", "default"):
            with self.subTest(link=target):
                storage = self.path("storage " + target)
                live = self.files if target == "files" else self.root + "/sites/default"
                shutil.move(live, storage)
                os.symlink(os.path.relpath(storage, os.path.dirname(live)), live)
                self.write("sites/default/settings.php", "of this machine")
                made = self.backup("archive")
                before = tree(self.root), tree(storage)
                self.write("index.php", "damaged")
                self.write("sites/default/files/a", "damaged")
                self.bam("restore", str(made["id"]), "--code", "--yes")
                self.assertTrue(os.path.islink(live))
                self.assertEqual((tree(self.root), tree(storage)), before)
                self.assertEqual(self.strays(), [])
                os.remove(live)
                shutil.move(storage, live)

    def mounted(self, script):
        """Runs a script where mounts are nobody else's, and gives what it prints."""
        path = self.write_document()
        prelude = f"set -e; cd '{self.root}'; bam() {{ '{BAM}' --config '{path}' \"$@\" 2>&1; }}; files='{self.files}'\n"
        done = subprocess.run(["unshare", "-m", "bash", "-c", prelude + script], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.strays(), [])
        return done.stdout

    @unittest.skipUnless(can_mount(), "nothing can be mounted here")
    def test_files_on_a_file_system_of_their_own(self):
        # Mounted on the folder, below it, above it; a link to one.
        for mount in ("mount -t tmpfs none $files", "mkdir -p $files/below; mount -t tmpfs none $files/below",
                      "mkdir -p sites/all; mount -t tmpfs none sites/all",
                      "rm -r $files; mkdir -p ../fs; mount -t tmpfs none ../fs; mkdir ../fs/files; ln -s ../../../fs/files $files",
                      "mkdir -p ../other; mount --bind ../other $files",
                      # As containers bring it.
                      "echo mounted >../settings; mount --bind ../settings sites/default/settings.php"):
            for options in ("", "--code"):
                with self.subTest(mount=mount, options=options):
                    self.write("sites/default/settings.php", "of this machine", mode=0o440)
                    self.mounted(f"""
                        {mount}
                        mkdir -p $files/below $files/styles sites/all/modules
                        echo new >$files/below/x; echo new >$files/y; echo kept >$files/styles/s; echo new >sites/all/modules/m
                        list() {{ ( cd '{self.root}'; find . -printf '%p %y %m %l\\n' -type f -exec sha256sum {{}} \\; | sort ); }}
                        list >'{self.top}/before'
                        bam backup archive
                        echo live >$files/below/x; rm $files/y; echo live >$files/z
                        test -z '{options}' || echo damaged >index.php
                        bam restore latest --source archive {options} --yes
                        list >'{self.top}/after'
                        diff '{self.top}/before' '{self.top}/after'
                        bam backup archive; bam recover""")
                    shutil.rmtree(self.root)
                    self.write("index.php", "<?php // backed up")
                    os.makedirs(self.files)

    @unittest.skipUnless(can_mount(), "nothing can be mounted here")
    def test_what_cannot_be_replaced_is_refused_before_anything_moves(self):
        said = self.mounted("""
            echo new >robots.txt; echo damaged >../mounted; bam backup archive
            mount --bind ../mounted robots.txt; echo live >index.php
            ! bam restore latest --source archive --code --yes
            test "$(cat index.php)" = live; test "$(cat robots.txt)" = damaged""")
        self.assertIn("robots.txt is a mount point", said)

    @unittest.skipUnless(can_mount(), "nothing can be mounted here")
    def test_a_folder_with_a_mount_point_in_it_is_no_single_path(self):
        said = self.mounted("""
            mkdir -p $files/d/m; mount -t tmpfs none $files/d/m; echo x >$files/d/m/x
            bam backup files
            bam restore latest --source files --path d --yes && exit 1
            bam restore latest --source files --path d/m/x --yes""")
        self.assertIn("is a mount point", said)


class Leftovers(Site):
    @unittest.skipUnless(IS_ROOT, "not root")
    def test_what_cannot_be_removed_is_named_remembered_and_tried_again(self):
        if not can_be_immutable(self.top):
            self.skipTest("files cannot be made immutable here")
        held = self.write("sites/default/files/d/x", "new")
        made = self.backup("files")
        self.write("sites/default/files/d/x", "live")
        run("chattr", "+i", held)
        self.addCleanup(subprocess.run, ["chattr", "-R", "-i", self.top], capture_output=True)
        result = self.bam("restore", str(made["id"]), "--yes")
        self.assertSays(result, "warning", "d/x", "tried again")
        self.assertEqual(self.get("sites/default/files/d/x"), "new")
        [stray] = self.strays()
        # No part of the site.
        again = self.backup("archive")
        listing = run("tar", "tzf", again["path"])
        self.assertNotIn(b".bam-", listing)
        self.assertEqual(self.strays(), [stray])
        run("chattr", "-R", "-i", stray)
        self.bam("recover")
        self.assertEqual(self.strays(), [])
        self.assertNotIn("leftovers.json", os.listdir(self.path("state")))

    def test_a_backup_with_a_path_of_15000_folders_is_refused_at_once(self):
        hostile = self.path("deep.tar.gz")
        with tarfile.open(hostile, "w:gz", format=tarfile.PAX_FORMAT) as tar:
            tar.addfile(tarfile.TarInfo("/".join(["d"] * 15_000) + "/x"))
        before = tree(self.files)
        result = self.bam("restore", "--file", hostile, "--source", "files", "--unauthenticated", "--yes", expect=4)
        self.assertSays(result, "15001 folders", "refused")
        self.assertLess(len(result.err), 2000)
        self.assertEqual(tree(self.files), before)
        self.assertEqual(self.strays(), [])

    def test_a_path_of_15000_folders_goes(self):
        made = self.backup("files")
        before = tree(self.files)
        # As an archive brings it: names of one letter, too deep for any path.
        here = os.open(self.files, os.O_RDONLY)
        for _ in range(15_000):
            os.mkdir("d", dir_fd=here)
            below = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(here)
        self.bam("restore", str(made["id"]), "--yes")
        self.assertEqual(tree(self.files), before)
        self.assertEqual(self.strays(), [])


if __name__ == "__main__":
    unittest.main()
