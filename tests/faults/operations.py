"""What is done to a world while something goes wrong, and what it may look like afterwards."""

import glob
import json
import os
import subprocess

from databases import MariaDb, MariaDbOfAHost, PostgreSql
from peers import Restic, Rsync, S3, Sftp, WebDav
from world import Files, World, digest


class Operation:
    """`words` is the command; `prepare` makes the world in which it is given."""
    words = ()
    # Places that the operation's next run clears up, too.
    places = "manual,second"
    # Where the first backup lies.
    home = "manual"
    # What of the foreign files it changes.
    writes = frozenset()
    # Backups that may have gone afterwards.
    may_go = False
    # Places where a kill may hide a backup until the next run that writes there.
    hides = frozenset()
    # A copy is missing when it begins.
    lacks = False

    def __init__(self, name, **options):
        self.name = name
        self.__dict__.update(options)

    # What the site's database and the further place are.
    database = Files
    peer = None

    def missing(self):
        """What is not installed, or nothing."""
        return self.database.missing() or (self.peer.missing() if self.peer else "")

    def is_quick(self):
        """Nothing has to be started or mounted for it."""
        return self.database is Files and not self.peer

    def world(self, top, inject):
        return World(top, inject, self.database, self.peer)

    def prepare(self, world):
        world.make()
        self.history(world)
        world.change()

    def history(self, world):
        """A backup of the site's first state."""
        self.first = str(backup(world, "archive", self.home)["id"])

    def arrive(self, world):
        """What cannot be put back as files, once they are."""

    def following(self, world):
        """The next runs, which clear up what a killed one left; the part that a copy can be completed from, once it is."""
        return [["replicate"], ["backup", "archive", self.places]]

    def command(self, world):
        return [word.format(first=getattr(self, "first", ""), here=world.here) for word in self.words]

    def says_what_is(self, done, is_old):
        """Whether "done" fits what is: the state before, or the one after."""
        return not is_old

    def more(self, world, done):
        """What else must hold; yields what does not."""
        return ()


def backup(world, source, places):
    done = world.bam("--json", "backup", source, places)
    assert done.code == 0, done
    return done.json()


class Prepared(Operation):
    """`before` are commands that lead to the state in which the operation begins."""
    before = ()

    def history(self, world):
        super().history(world)
        for words in self.before:
            words = [word.format(first=self.first, here=world.here) for word in words]
            done = world.bam(*words)
            assert done.code == 0, done


class Replicate(Operation):
    """A copy of each backup is lost."""
    lacks = True

    def history(self, world):
        for source in ("archive", "files"):
            self.first = str(backup(world, source, self.places)["id"])
        if self.peer:
            return world.peer.lose()
        for path in glob.glob(world.inside("backups/second/Lab*")):
            os.unlink(path)


class IntoRepository(Operation):
    """Nothing is copied between archives and repositories: what one of them missed only a new backup brings."""

    def following(self, world):
        return [["backup", "archive", self.places]]


class Elsewhere(Operation):
    """A restore that needs no configuration has its state at a place of its own."""

    def following(self, world):
        # What is finished is in nobody's way, and refused.
        subprocess.run(["rm", "-rf", world.inside("clone")], check=True)
        return [["restore", self.first, "--yes", "--into", world.inside("clone")]]


class Inside(Operation):
    """The files' folder is a file system of its own, so what is in it is replaced piece by piece."""

    def missing(self):
        return super().missing() or ("" if os.geteuid() == 0 else "root, who may mount,")

    def is_quick(self):
        return False

    def arrive(self, world):
        world.mount(world.inside("site/sites/default/files"))


class Age(Operation):
    """Backups are encrypted for a recipient."""
    # Of age's test kit (C2SP/CCTV).
    identity = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0"
    recipient = "age1xmwwc06ly3ee5rytxm9mflaz2u56jjj36s0mypdrwsvlul66mv4q47ryef"

    def history(self, world):
        keys = [world.write("identity", self.identity + "\n", 0o600)]
        world.document["encryption"].update(recipients=[self.recipient], keys=keys)
        world.document["profiles"]["default"]["encryption"] = "age"
        world.write_document()
        super().history(world)


class Rekey(Operation):
    # No rename of SFTP's protocol replaces a file: between two of them the copy is hidden, until the next run that writes there.
    hides = frozenset({"far"})
    # The test does, to see whether the new key is enough.
    writes = frozenset({"bam.yml"})

    def prepare(self, world):
        world.make()
        self.first = str(backup(world, "archive", self.places)["id"])
        backup(world, "files", "manual")
        world.document["encryption"].update(key_file=world.inside("new-key"), keys=[world.inside("key")])
        world.write_document()

    def more(self, world, done):
        if done.code == 0:
            del world.document["encryption"]["keys"]
            world.write_document()
            alone = world.bam("verify")
            if alone.code != 0:
                yield f"after a rekey the new key does not open all: {alone}"


class Export(Operation):
    def following(self, world):
        return [["export", self.first, world.inside("disk")]]

    def more(self, world, done):
        whole = digest(glob.glob(world.inside("backups/manual/*.enc"))[0])
        for path in glob.glob(world.inside("disk/*.enc")):
            if digest(path) != whole:
                yield f"half an export under its name: {path}"
        if done.code == 0:
            summed = subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=world.inside("disk"), capture_output=True)
            if summed.returncode:
                yield f"SHA256SUMS: {summed.stdout} {summed.stderr}"


class Import(Operation):
    def prepare(self, world):
        world.make()
        self.first = str(backup(world, "archive", "manual")["id"])
        for path in glob.glob(world.inside("backups/manual/Lab*")):
            os.rename(path, os.path.join(world.inside("disk"), os.path.basename(path)))
        # Another machine made it, of which this one remembers nothing.
        os.unlink(world.inside("state/made.json"))
        backup(world, "files", "manual")
        self.file = glob.glob(world.inside("disk/*.enc"))[0]
        self.content = {name: digest(name) for name in glob.glob(world.inside("disk/*"))}

    def command(self, world):
        return ["import", self.file, "manual"]

    def more(self, world, done):
        if {name: digest(name) for name in glob.glob(world.inside("disk/*"))} != self.content:
            yield "the imported file changed"


class Schedule(Operation):
    """A run that backs up, completes the copy that an earlier one could not make, and removes what is too old."""
    may_go = True
    lacks = True

    def prepare(self, world):
        world.make()
        self.first = str(backup(world, "archive", "manual,second")["id"])
        for _ in range(3):
            done = world.bam("run", "often")
            assert done.code == 0, done
        # Of those that are missing the newest is told; which one that is, names with the same second in them do not say.
        newest = max(world.bam("--json", "backups").json()["backups"], key=lambda backup: backup["id"])
        for path in glob.glob(world.inside(f"backups/second/{newest['file']}*")):
            os.unlink(path)
        world.change()

    def following(self, world):
        # What it could not remember, the next one does.
        return [["run", "often"], *super().following(world)]


class Prune(Operation):
    may_go = True

    def prepare(self, world):
        world.make()
        self.first = str(backup(world, "archive", "manual,second")["id"])
        world.document["schedules"]["often"]["keep"] = 9
        world.write_document()
        for _ in range(4):
            done = world.bam("run", "often")
            assert done.code == 0, done
        world.document["schedules"]["often"]["keep"] = 2
        world.write_document()


class Recover(Operation):
    """A restore was killed where the new data takes the old one's place, and its recovery meets the next fault."""
    state = "swapping"

    def prepare(self, world):
        super().prepare(world)
        self.restore = ["restore", self.first, "--yes", *self.options]
        world.keep("before-" + self.name)
        # From the last call on backwards: the later the state, the sooner it is found.
        for index in range(world.bam(*self.restore, counted=True).report["counts"]["rename"], 0, -1):
            world.put_back("before-" + self.name)
            self.point = f"rename:{index}:after"
            world.bam(*self.restore, point=self.point)
            if self.is_there(world):
                break
        else:
            raise AssertionError(f"no kill left a journal in the state {self.state}")
        world.put_back("before-" + self.name)

    def is_there(self, world):
        journal = world.inside("state/restore.json")
        if not os.path.exists(journal):
            return False
        with open(journal) as file:
            return json.load(file)["state"] == self.state

    def arrive(self, world):
        # A journal knows folders by their inode numbers: copies have others.
        world.bam(*self.restore, point=self.point)
        if not self.is_there(world):
            raise AssertionError(f"{self.point} no longer leaves a journal in the state {self.state}")

    def says_what_is(self, done, is_old):
        """Whether what it says fits what is."""
        words = ("taken back", "nothing was changed") if is_old else ("finished",)
        return any(word in done.out + done.err for word in words)

    def outcomes(self, world):
        """The state before the restore, and the one after it."""
        world.put_back("before-" + self.name)
        old = world.site()
        done = world.bam(*self.restore)
        assert done.code == 0, done
        return old, world.site()


class Drill(Operation):
    def following(self, world):
        return [["drill", self.first]]


class Settings(Operation):
    """One that writes bam.yml: what was there, or what is to be there."""
    writes = frozenset({"bam.yml"})

    def history(self, world):
        super().history(world)
        os.mkdir(world.inside("third"))
        os.mkdir(world.inside("fourth"))

    def following(self, world):
        return [["destination", "add", world.inside("fourth"), "fourth"]]

    def more(self, world, done):
        checked = world.bam("config", "export")
        if checked.code:
            yield f"bam.yml is no longer one: {checked}"


ALL = [
    Operation("backup", words=["backup", "archive", "manual"]),
    Operation("backup-two", words=["backup", "archive", "manual,second"]),
    Replicate("replicate", words=["replicate"]),
    Operation("restore", words=["restore", "{first}", "--yes"]),
    Operation("restore-code", words=["restore", "{first}", "--yes", "--code"]),
    Operation("restore-path", words=["restore", "{first}", "--yes", "--path", "sites/default/files/field", "--path",
                                     "sites/default/files/picture.jpg"]),
    Operation("restore-table", words=["restore", "{first}", "--yes", "--table", "node"]),
    Operation("restore-mariadb", words=["restore", "{first}", "--yes"], database=MariaDb),
    Operation("restore-direct", words=["restore", "{first}", "--yes"], database=MariaDbOfAHost),
    Inside("restore-inside", words=["restore", "{first}", "--yes"]),
    Operation("restore-postgresql", words=["restore", "{first}", "--yes"], database=PostgreSql),
    Recover("recover-mariadb", words=["recover"], options=["--code"], database=MariaDb),
    Operation("backup-mariadb", words=["backup", "archive", "manual,second"], database=MariaDb),
    Age("backup-age", words=["backup", "archive", "manual,second"]),
    Age("restore-age", words=["restore", "{first}", "--yes"]),
    Operation("backup-offline", words=["backup", "archive", "manual", "offline"]),
    Operation("backup-sftp", words=["backup", "archive", "manual,far"], peer=Sftp, places="manual,far"),
    Operation("backup-sftp-alone", words=["backup", "archive", "far"], peer=Sftp, places="far"),
    Replicate("replicate-sftp", words=["replicate"], peer=Sftp, places="manual,far"),
    Operation("restore-sftp", words=["restore", "{first}", "--yes"], peer=Sftp, places="far", home="far"),
    Rekey("rekey-sftp", words=["rekey", "--all"], peer=Sftp, places="manual,far"),
    Operation("backup-rsync", words=["backup", "archive", "manual,far"], peer=Rsync, places="manual,far"),
    Operation("restore-rsync", words=["restore", "{first}", "--yes"], peer=Rsync, places="far", home="far"),
    Operation("backup-webdav", words=["backup", "archive", "manual,far"], peer=WebDav, places="manual,far"),
    Operation("restore-webdav", words=["restore", "{first}", "--yes"], peer=WebDav, places="far", home="far"),
    Operation("backup-s3", words=["backup", "archive", "manual,far"], peer=S3, places="manual,far"),
    Operation("restore-s3", words=["restore", "{first}", "--yes"], peer=S3, places="far", home="far"),
    IntoRepository("backup-restic", words=["backup", "archive", "manual,far"], peer=Restic, places="manual,far"),
    IntoRepository("restore-restic", words=["restore", "{first}", "--yes"], peer=Restic, places="far", home="far"),
    Elsewhere("restore-into", words=["restore", "{first}", "--yes", "--into", "{here}/clone"]),
    Recover("recover", words=["recover"], options=["--code"]),
    Recover("recover-back", words=["recover", "--take-back"], options=["--code"], state="swapped"),
    Recover("recover-tidy", words=["recover"], options=["--code"], state="tidying"),
    Prune("prune", words=["prune"]),
    Prepared("delete", words=["delete", "{first}", "--yes"], before=[["backup", "files", "manual,second"]], may_go=True),
    Rekey("rekey", words=["rekey", "--all"]),
    Export("export", words=["export", "{first}", "{here}/disk"]),
    Import("import"),
    Schedule("run", words=["run", "often"]),
    Operation("verify", words=["verify"]),
    Drill("drill", words=["drill", "{first}"]),
    Settings("settings", words=["destination", "add", "{here}/third", "third"]),
]

# What each class of calls may meet.
FAULTS = {
    "write": ["kill", "torn", "eio", "enospc", "full", "readonly", "edquot", "short", "eintr", "delay"],
    "fsync": ["kill", "after", "eio", "enospc", "eintr", "delay"],
    "rename": ["kill", "after", "eio", "enospc", "readonly", "eintr", "delay"],
    "link": ["kill", "after", "eio", "enospc", "readonly", "full"],
    "unlink": ["kill", "after", "eio", "readonly", "eintr", "delay"],
    "truncate": ["kill", "after", "eio", "enospc", "readonly", "eintr"],
    "mkdir": ["kill", "after", "eio", "enospc", "full", "readonly"],
    "create": ["kill", "after", "eio", "enospc", "full", "readonly", "emfile", "eintr", "delay"],
    "attribute": ["kill", "eio", "enospc", "readonly", "eintr"],
    "connect": ["kill", "dead", "eintr", "delay"],
    "send": ["kill", "dead", "short", "eintr", "delay"],
    "receive": ["kill", "dead", "short", "eintr", "delay"],
    "open": ["emfile", "eio", "eintr", "eacces", "kill"],
    "read": ["eio", "eintr", "short", "kill"],
    "list": ["eio", "kill"],
    "stat": ["eio", "kill"],
    "pipe": ["eio", "short", "eintr", "kill"],
    "spawn": ["eagain", "kill"],
    "lock": ["enolck", "eintr", "kill"],
    "close": ["eio", "enospc", "eintr", "kill"],
    "clock": ["ahead", "behind", "corrected"],
}
# How often a class is drawn: those that change something more often than those that look.
WEIGHTS = {"write": 8, "fsync": 6, "rename": 10, "link": 4, "unlink": 6, "truncate": 3, "mkdir": 4, "create": 6, "attribute": 3,
           "connect": 4, "send": 6, "receive": 4, "open": 4, "read": 3, "list": 1, "stat": 2, "pipe": 1, "spawn": 1, "lock": 1, "close": 3, "clock": 3}
