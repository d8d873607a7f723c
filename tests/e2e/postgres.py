"""A PostgreSQL server of the tests' own, on a private socket, started once and stopped at the end. Run by root, it and its
files belong to an unprivileged user: the server refuses to be root's."""

import atexit
import glob
import os
import pwd
import shutil
import subprocess
import tempfile

ADMIN = "admin's \\ p:ss"
_server = None


def program(name):
    """Debian keeps the server's programs out of the PATH."""
    found = shutil.which(name) or max(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), default=None)
    return os.path.realpath(found) if found else None


def missing():
    """What is not installed, or nothing."""
    return ", ".join(name for name in ("initdb", "postgres", "pg_ctl", "psql", "pg_dump") if not program(name))


def server():
    """The running server; the first caller starts it."""
    global _server
    if _server is None:
        _server = Server()
    return _server


def unprivileged():
    """What comes before a command so that it is not root's."""
    if os.geteuid() != 0:
        return []
    user = next(name for name in ("postgres", "nobody") if name in {entry.pw_name for entry in pwd.getpwall()})
    return ["setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--clear-groups"]


class Server:
    def __init__(self):
        self.top = tempfile.mkdtemp(prefix="bam-pgsql-")
        atexit.register(self.stop)
        self.as_user = unprivileged()
        data = os.path.join(self.top, "data")
        password = os.path.join(self.top, "password")
        with open(password, "w") as file:
            file.write(ADMIN + "\n")
        if self.as_user:
            entry = pwd.getpwnam(self.as_user[1].partition("=")[2])
            for path in (self.top, password):
                os.chown(path, entry.pw_uid, entry.pw_gid)
        log = open(os.path.join(self.top, "log"), "wb")
        # Other programs of this machine share the folder for temporary files; nobody but us may log in.
        subprocess.run([*self.as_user, program("initdb"), "-D", data, "-U", "admin", "-A", "scram-sha-256", "--no-sync",
                        "--encoding=UTF8", "--locale=C", f"--pwfile={password}"],
                       check=True, stdout=log, stderr=log, cwd="/")
        with open(os.path.join(data, "postgresql.auto.conf"), "a") as file:
            file.write(f"listen_addresses = ''\nunix_socket_directories = '{self.top}'\nfsync = off\n"
                       "log_statement = 'all'\n")
        self.data = data
        self.control("start", stdout=log, stderr=log)

    def control(self, *arguments, **options):
        subprocess.run([*self.as_user, program("pg_ctl"), "-D", self.data, "-w", *arguments], check=True, cwd="/",
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
        done = subprocess.run(["pg_dump", "-d", database, "--no-owner"], stdout=subprocess.PIPE, check=True,
                              env=self.environment())
        return "\n".join(line for line in done.stdout.decode().splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))

    def log(self):
        with open(os.path.join(self.top, "log"), errors="replace") as file:
            return file.read()

    def stop(self):
        if hasattr(self, "data"):
            self.control("-m", "immediate", "stop", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.top, ignore_errors=True)
