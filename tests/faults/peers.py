"""The further place of a world, `far`, at a server of the tests' own or in a repository."""

import glob
import os
import shutil
import unittest

import world  # noqa: F401, sets the path to the end-to-end tests
import objects
from restic_key import make_cheap
from sshd import PROGRAM, Sshd

# A server that does not answer is given up so soon.
TIMEOUT = "3s"


class Peer:
    """One that holds backups in a folder of the world, which goes and comes with it."""

    def __init__(self, here, server=None, inside="far"):
        self.folder, self.server = os.path.join(here, inside), server

    def begin(self, world):
        """The world is made."""

    def lose(self):
        """All backups."""
        for path in glob.glob(self.folder + "/Lab*"):
            os.unlink(path)

    def keep(self, name):
        """What it holds goes with the world's folder."""

    def put_back(self, name):
        """It came with the world's folder."""

    def leftovers(self):
        return []

    def close(self):
        if self.server:
            self.server.close()


class Sftp(Peer):
    """OpenSSH's server."""

    @staticmethod
    def missing():
        return "" if os.path.exists(PROGRAM) else "openssh-server"

    def __init__(self, here):
        super().__init__(here, Sshd())

    def settings(self):
        return {**self.server.settings, "timeout": TIMEOUT, "url": self.server.url.replace(self.server.backups, self.folder)}


class Rsync(Sftp):
    """rsync through OpenSSH's server."""

    @staticmethod
    def missing():
        return Sftp.missing() or ("" if shutil.which("rsync") else "rsync")

    def settings(self):
        return {**super().settings(), "type": "rsync"}


class OfObjects(Peer):
    @staticmethod
    def missing():
        try:
            objects.programs()
        except unittest.SkipTest as cause:
            return str(cause)
        return ""

    def begin(self, world):
        world.write("password", objects.SECRET + "\n", 0o600)

    def settings(self):
        return {"type": self.kind, "timeout": TIMEOUT, "password_file": os.path.join(os.path.dirname(self.folder), "password")}


class WebDav(OfObjects):
    kind = "webdav"

    def __init__(self, here):
        super().__init__(here)
        self.server = objects.WebDav(self.folder)

    def settings(self):
        # By a name, for which a thread asks.
        return {**super().settings(), "url": self.server.url.replace("//127.0.0.1:", "//localhost:")}


class S3(OfObjects):
    """Its objects are kept and put back by Amazon's library."""
    kind = "s3"

    def __init__(self, here):
        super().__init__(here, objects.S3())

    def settings(self):
        return {**super().settings(), "url": f"s3://{objects.BUCKET}/lab", "endpoint": self.server.endpoint, "access_key": objects.KEY}

    def begin(self, world):
        super().begin(world)
        self.lose()

    def lose(self):
        for key in self.server.keys():
            self.server.ask(f"client.delete_object(Bucket=BUCKET, Key={key!r}) and None")
        self.server.abandon()

    def keep(self, name):
        """Under names of another bucket."""
        self.server.copy(objects.BUCKET, "kept-" + name)

    def put_back(self, name):
        self.lose()
        self.server.copy("kept-" + name, objects.BUCKET)

    def leftovers(self):
        return [f"unfinished: {key}" for key in self.server.unfinished()]


class Restic(Peer):
    """A repository in a folder. A lock may stay of a bam that was killed (docs/repositories.md): restic takes it away once it is in the way."""

    @staticmethod
    def missing():
        return "" if shutil.which("restic") else "restic"

    def __init__(self, here):
        super().__init__(here, inside="far/repository")

    def settings(self):
        return {"type": "restic", "repository": self.folder}

    def begin(self, world):
        done = world.bam("destination", "init", "far")
        assert done.code == 0, done
        with open(world.inside("key")) as key:
            make_cheap(self.folder, key.readline().strip())
