"""A small real site with its backups, in one folder that can be put back as it was in a few milliseconds."""

import collections
import contextlib
import copy
import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests/e2e"))
from bamtest import BAM, digest  # noqa: E402, beside this folder

# Longer than any run takes here, many times over, also beside much else: what takes longer hangs.
LIMIT = 600
# A backup waits minutes for a server that may come back: here somebody cancels before.
PATIENCE = 8
URL = "http://example.org"
# What speaks for the site: maintenance mode is a file with the process that asked for it.
MAINTENANCE = """#!/bin/sh
case $2 in
  begin) if [ -e "$1" ]; then echo kept; else echo "$3" > "$1"; echo taken; fi ;;
  end) if [ -z "$3" ] || [ "$3" = "$(cat "$1")" ]; then rm -f "$1"; fi ;;
  repair) if [ -e "$1" ] && ! kill -0 "$(cat "$1")" 2> /dev/null; then rm -f "$1"; echo repaired; fi ;;
  refresh) echo works ;;
esac
"""


class Done:
    """What a finished bam said."""

    def __init__(self, words, code, out, err, report=None):
        self.words, self.code, self.report = words, code, report
        self.out, self.err = out.decode(errors="replace"), err.decode(errors="replace")

    def __str__(self):
        return f"bam {' '.join(self.words)}: exit code {self.code}\n{self.out}{self.err}".rstrip()

    def json(self):
        try:
            return json.loads(self.out)
        except ValueError:
            return {}


class Files:
    """The site's database is a SQLite file; what the others need is in databases.py."""
    kind = "sqlite"

    @staticmethod
    def missing():
        return ""

    def __init__(self, top):
        self.path = os.path.join(top, "data/site.sqlite")
        self.document = {"url": "sqlite:" + self.path}

    def write(self, statements):
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        with contextlib.closing(sqlite3.connect(self.path)) as db, db:
            db.executescript(statements)

    def state(self):
        # As a file alone: whatever lies beside it must be there to read it.
        try:
            with contextlib.closing(sqlite3.connect(self.path)) as db:
                return tuple(db.iterdump())
        except sqlite3.DatabaseError as cause:
            return str(cause)

    def keep(self, name):
        """Its state goes with the folder."""

    def put_back(self, name):
        """Its state came with the folder."""

    def close(self):
        """Nothing runs."""

    def leftovers(self):
        return [name for name in os.listdir(os.path.dirname(self.path)) if name != "site.sqlite"]


class World:
    def __init__(self, top, inject, database=Files, peer=None):
        self.top, self.inject = top, inject
        # Whoever runs a database, or logs in by ssh, passes through here.
        os.makedirs(self.path("w"), mode=0o755, exist_ok=True)
        self.here = self.path("w")
        self.database = database(self.here)
        self.peer = peer(self.here) if peer else None
        self.root = self.inside("site")
        self.private = self.inside("private")
        self.document, self.kept = None, {}
        # Whether modes, owners and times of the site's files count.
        self.contents_only = False
        self.mounted = []

    def close(self):
        self.unmount()
        if self.peer:
            self.peer.close()
        self.database.close()

    def path(self, name):
        return os.path.join(self.top, name)

    def inside(self, name):
        return os.path.join(self.here, name)

    def write(self, name, content=b"", mode=0o644):
        path = self.inside(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        os.chmod(path, mode)
        return path

    def make(self):
        """A site, in its first state, and what is none of bam's business."""
        shutil.rmtree(self.here, ignore_errors=True)
        for name in ("tmp", "home", "private", "state", "backups", "disk"):
            os.makedirs(self.inside(name))
        os.chmod(self.inside("state"), 0o700)
        self.write("key", "correct horse battery staple\n", 0o600)
        self.write("new-key", "another and longer battery staple\n", 0o600)
        self.write("maintain", MAINTENANCE, 0o755)
        self.write("site/index.php", "<?php echo 'Drupal';\n")
        self.write("site/includes/bootstrap.inc", "<?php // one\n")
        self.write("site/modules/node/node.module", "<?php // one\n")
        self.write("site/sites/default/settings.php", "<?php $databases = array();\n", 0o440)
        files = "site/sites/default/files"
        self.write(files + "/picture.jpg", bytes(range(256)) * 300)
        self.write(files + "/field/ugly \n näme'\";$(x).txt", "one")
        self.write(files + "/field/\udcff.bin".encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape"), "bytes")
        self.write(files + "/empty", "")
        os.symlink("picture.jpg", self.inside(files + "/link"))
        os.link(self.inside(files + "/empty"), self.inside(files + "/second"))
        os.makedirs(self.inside(files + "/nothing/in/here"))
        self.write("private/minutes.txt", "private one")
        self.database.write("create table node (nid integer primary key, title text);"
                            "create table gone (nid integer);"
                            "insert into node values (1, 'one'), (2, 'it''s');")
        # Others' files, where bam writes, too.
        for place in ("backups/manual", "backups/second", "far", "disk", "state", "tmp", "private/../data-of-others"):
            self.write(f"{place}/notes.txt", "not bam's")
        self.write("backups/manual/.hidden", "not bam's")
        profile = {"compression": "gzip", "encryption": "aes256", "append_timestamp": 1, "filename": "Lab"}
        self.document = {
            "site": {"root": self.root, "conf_path": "sites/default", "name": "Lab", "url": URL, "private_path": self.private,
                     "maintenance_command": [self.inside("maintain"), self.inside("offline")]},
            "databases": {"db": self.database.document},
            "sources": {"db": {"type": "database", "database": "db"}, "files": {"type": "files", "path": "sites/default/files"},
                        "archive": {"type": "archive"}},
            "destinations": {"manual": {"type": "directory", "path": self.inside("backups/manual")},
                             "second": {"type": "directory", "path": self.inside("backups/second")}},
            "profiles": {"default": profile, "offline": {**profile, "site_offline": True}},
            "schedules": {"often": {"source": "files", "destinations": ["manual", "second"], "profile": "default", "every": 1,
                                    "keep": 2}},
            "encryption": {"key_file": self.inside("key"), "iterations": 1},
            "state_dir": self.inside("state"),
        }
        if self.peer:
            self.document["destinations"]["far"] = self.peer.settings()
        self.write_document()
        if self.peer:
            self.peer.begin(self)

    def write_document(self):
        """As somebody writes it: one line for each thing."""
        lines = []
        for part, content in self.document.items():
            entries = content if part in ("databases", "sources", "destinations", "profiles", "schedules") else None
            lines.append(f"{part}:" if entries else f"{part}: {json.dumps(content)}")
            lines += [f"  {name}: {json.dumps(entry)}" for name, entry in (entries or {}).items()]
        self.write("bam.yml", "\n".join(lines) + "\n", 0o600)

    def change(self):
        """The site's second state: things added, changed and gone."""
        files = "site/sites/default/files"
        self.write(files + "/picture.jpg", b"changed")
        self.write(files + "/field/new.txt", "two")
        os.unlink(self.inside(files + "/link"))
        shutil.rmtree(self.inside(files + "/nothing"))
        self.write(files + "/nothing", "a file now")
        self.write("site/includes/bootstrap.inc", "<?php // two\n")
        self.write("site/modules/extra/extra.module", "<?php // two\n")
        self.write("private/minutes.txt", "private two")
        self.write("private/more.txt", "two")
        self.database.write("update node set title = 'two' where nid = 1; drop table gone; create table came (nid integer);"
                            "insert into came values (7);")

    # Keeping and putting back.

    def keep(self, name):
        kept = self.path("kept-" + name)
        shutil.rmtree(kept, ignore_errors=True)
        subprocess.run(["cp", "-a", self.here, kept], check=True)
        self.database.keep(name)
        if self.peer:
            self.peer.keep(name)
        self.kept[name] = copy.deepcopy(self.document)

    def mount(self, folder):
        """Makes a folder a file system of its own, until the world is put back: nothing can take its name."""
        subprocess.run(["mount", "--bind", folder, folder], check=True)
        self.mounted.append(folder)

    def unmount(self):
        while self.mounted:
            subprocess.run(["umount", "--lazy", self.mounted.pop()], check=True)

    def put_back(self, name):
        self.unmount()
        subprocess.run(["rm", "-rf", self.here], check=True)
        subprocess.run(["cp", "-a", self.path("kept-" + name), self.here], check=True)
        self.database.put_back(name)
        if self.peer:
            self.peer.put_back(name)
        self.document = copy.deepcopy(self.kept[name])

    # Running.

    def bam(self, *words, point=None, counted=False, trace=None, limit=LIMIT):
        command = [BAM, "--config", self.inside("bam.yml"), *words]
        report = self.path("report")
        if point or counted or trace:
            command = [self.inject, "-o", report, *(["-p", point] if point else []), *(["-t", trace] if trace else []), "--", *command]
            with contextlib.suppress(FileNotFoundError):
                os.unlink(report)
        environment = {"PATH": os.environ["PATH"], "TMPDIR": self.inside("tmp"), "HOME": self.inside("home"), "TZ": "UTC"}
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=environment, cwd=self.here, start_new_session=True)
        try:
            out, err = process.communicate(timeout=PATIENCE if point and point.endswith(":dead") else limit)
            code = process.returncode
        except subprocess.TimeoutExpired:
            # inject.c lets it through to the program.
            os.killpg(process.pid, signal.SIGINT)
            try:
                out, err = process.communicate(timeout=limit)
                code = process.returncode if point and point.endswith(":dead") else "no end"
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                out, err = process.communicate()
                code = "no end"
        found = None
        if report and os.path.exists(report) and (point or counted or trace):
            with open(report) as file:
                found = json.load(file)
        return Done(words, code, out, err, found)

    # Looking.

    def site(self):
        """The state of files, private files, code and database, each by itself."""
        files = os.path.join(self.root, "sites/default/files")
        code = {name: what for name, what in self.fingerprint(self.root).items() if not name.startswith(b"sites/default/files/")}
        return {"files": self.fingerprint(files), "private": self.fingerprint(self.private), "code": code, "database": self.database.state()}

    def fingerprint(self, folder):
        found = fingerprint(folder)
        if self.contents_only:
            # Of a file the size and hash stay, behind the time.
            found = {name: (what[0][0], *what[4 if what[0][0] == "-" else 3:]) if name else what for name, what in found.items()}
        return found

    def foreign(self):
        found = {}
        for place in ("backups/manual", "backups/second", "far", "disk", "state", "tmp", "data-of-others"):
            for name in ("notes.txt", ".hidden"):
                path = self.inside(os.path.join(place, name))
                if os.path.lexists(path):
                    found[path] = (digest(path), os.lstat(path).st_mode)
        for name in ("key", "new-key", "bam.yml", "maintain"):
            found[name] = (digest(self.inside(name)), os.lstat(self.inside(name)).st_mode)
        return found

    def leftovers(self):
        """What no run may leave behind: parts, staging folders, temporary files, journals, maintenance mode."""
        found = []
        for parent, folders, files in os.walk(self.here):
            inside = os.path.relpath(parent, self.here)
            for name in folders + files:
                # Trials and probes may be of a run elsewhere; they go when they are a day old.
                hidden = name.startswith(".") and name != ".hidden" and not name.startswith((".bam-trial-", ".bam-probe-"))
                if hidden or ".bam-new" in name and inside != "data" or inside == "tmp" and name != "notes.txt":
                    found.append(os.path.join(inside, name))
        allowed = {"lock", "made.json", "notes.txt", "servers.json", "verified.json"}
        found += [f"state/{name}" for name in os.listdir(self.inside("state")) if name in ("restore.json", "rekey.json")
                  or name not in allowed and name.endswith((".new", ".tmp", ".part"))]
        if os.path.exists(self.inside("offline")):
            found.append("maintenance mode")
        return found + self.database.leftovers() + (self.peer.leftovers() if self.peer else [])


def fingerprint(folder):
    """All there is of the site below a folder, by relative path; the times of folders change with what is put into them and taken out."""
    folder = os.fsencode(folder)
    found, pending, names = {}, [folder], collections.defaultdict(list)
    while pending:
        parent = pending.pop()
        try:
            entries = list(os.scandir(parent))
        except (FileNotFoundError, NotADirectoryError):
            return {b"": "is not there"} if parent == folder else found
        for entry in entries:
            # Not yet, or no longer, a part of the site: `leftovers` sees to these.
            if entry.name.startswith(b".") and b".bam-" in entry.name:
                continue
            info = entry.stat(follow_symlinks=False)
            what = (stat.filemode(info.st_mode), info.st_uid, info.st_gid)
            if entry.is_symlink():
                what += (os.readlink(entry.path),)
            elif entry.is_dir():
                pending.append(entry.path)
            else:
                what += (int(info.st_mtime), info.st_size, digest(entry.path))
                names[info.st_ino].append(os.path.relpath(entry.path, folder))
            found[os.path.relpath(entry.path, folder)] = what
    for same in names.values():
        if len(same) > 1:
            found.update({name: (*found[name], tuple(sorted(same))) for name in same})
    return found
