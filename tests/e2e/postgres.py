"""A PostgreSQL server of the tests' own, on a private socket, started once and stopped at the end. Run by root, it and its
files belong to an unprivileged user: the server refuses to be root's."""

import atexit
import glob
import os
import shutil
import subprocess
import tempfile

ADMIN = "admin's \\ p:ss"
_server = None
# Where users have their clients.
PATH = os.environ["PATH"]


def program(name, root="/"):
    """Debian keeps the server's programs out of the PATH."""
    found = shutil.which(name) if root == "/" else None
    found = found or max(glob.glob(f"{root}/usr/lib/postgresql/*/bin/{name}"), default=None)
    return os.path.realpath(found).removeprefix(root.rstrip("/")) if found else None


def missing():
    """What is not installed, or nothing."""
    return ", ".join(name for name in ("initdb", "postgres", "pg_ctl", "psql", "pg_dump") if not program(name))


def server():
    """The running server; the first caller starts it."""
    global _server
    if _server is None:
        _server = Server()
        # The clients themselves, for us and for bam: what Debian has in the PATH in their place is a script that takes ten times as
        # long as psql does, and a restore starts dozens.
        os.environ["PATH"] = os.pathsep.join([os.path.dirname(program("initdb")), PATH])
    return _server


def unprivileged(root="/"):
    """The user and the group that a server of root's runs as: as numbers, those of its own Debian."""
    if os.geteuid() != 0:
        return None
    with open(f"{root}/etc/passwd") as file:
        entries = {fields[0]: fields for fields in (line.split(":") for line in file)}
    entry = entries.get("postgres") or entries["nobody"]
    return int(entry[2]), int(entry[3])


class Server:
    """`root` is another Debian on this machine, whose server and clients then run inside of it; it shares /tmp."""

    def __init__(self, root="/"):
        self.within = ["chroot", root] if root != "/" else []
        self.root = root
        self.top = tempfile.mkdtemp(prefix="bam-pgsql-", dir="/tmp" if self.within else None)
        atexit.register(self.stop)
        ids = unprivileged(root)
        self.as_user = [*self.within, *(["setpriv", f"--reuid={ids[0]}", f"--regid={ids[1]}", "--clear-groups"] if ids else [])]
        data = os.path.join(self.top, "data")
        password = os.path.join(self.top, "password")
        with open(password, "w") as file:
            file.write(ADMIN + "\n")
        if ids:
            for path in (self.top, password):
                os.chown(path, *ids)
        log = open(os.path.join(self.top, "log"), "wb")
        # Other programs of this machine share the folder for temporary files; nobody but us may log in.
        subprocess.run([*self.as_user, program("initdb", root), "-D", data, "-U", "admin", "-A", "scram-sha-256", "--no-sync",
                        "--encoding=UTF8", "--locale=C", f"--pwfile={password}"],
                       check=True, stdout=log, stderr=log, cwd="/")
        with open(os.path.join(data, "postgresql.auto.conf"), "a") as file:
            file.write(f"listen_addresses = ''\nunix_socket_directories = '{self.top}'\nfsync = off\n"
                       "log_statement = 'all'\n")
        self.data = data
        self.control("start", stdout=log, stderr=log)

    def control(self, *arguments, **options):
        subprocess.run([*self.as_user, program("pg_ctl", self.root), "-D", self.data, "-w", *arguments], check=True, cwd="/",
                       stdin=subprocess.DEVNULL, **options)

    def environment(self, user="admin", password=ADMIN):
        return {**os.environ, "PGHOST": self.top, "PGUSER": user, "PGPASSWORD": password}

    def sql(self, statements, database="postgres", user="admin", password=ADMIN):
        """Runs SQL; the rows, tab-separated."""
        done = subprocess.run(["psql", "-X", "-q", "-At", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d", database, "-f", "-"],
                              input=statements.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=self.environment(user, password))
        if done.returncode:
            raise RuntimeError(done.stderr.decode(errors="replace"))
        return done.stdout.decode()

    def dump(self, database):
        """What pg_dump says of a database, without what differs from run to run."""
        done = subprocess.run([*self.within, "pg_dump", "-d", database, "--no-owner"], stdout=subprocess.PIPE, check=True,
                              env=self.environment())
        return "\n".join(line for line in done.stdout.decode().splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))

    def log(self):
        with open(os.path.join(self.top, "log"), errors="replace") as file:
            return file.read()

    def stop(self):
        if hasattr(self, "data"):
            self.control("-m", "immediate", "stop", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.top, ignore_errors=True)
