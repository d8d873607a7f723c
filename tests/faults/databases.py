"""The site's database on a server of the tests' own: the same to a world as a SQLite file is."""

import subprocess
from urllib.parse import quote

import world  # noqa: F401, sets the path to the end-to-end tests
import mariadb
import postgres

NAME = "site"


class OnServer:
    def __init__(self, top):
        self.server = self.start()
        self.kept = {}
        self.users = None

    def write(self, statements):
        self.sql(statements)

    def keep(self, name):
        self.kept[name] = self.dump()

    def close(self):
        self.server.stop()


class MariaDb(OnServer):
    kind = "mariadb"
    missing = staticmethod(mariadb.missing)
    start = mariadb.Server

    def __init__(self, top):
        super().__init__(top)
        self.document = {"url": f"mysql://root@localhost/{NAME}", "socket": self.server.socket}
        self.server.sql(f"create database {NAME}")
        self.users = self.accounts()

    def accounts(self):
        return set(self.server.sql("select concat(user, '@', host) from mysql.user").split())

    def sql(self, statements):
        self.server.sql(statements, NAME)

    def dump(self):
        return subprocess.run(self.server.dump_client("--skip-comments", "--skip-dump-date", "--hex-blob", "--routines", NAME),
                              stdout=subprocess.PIPE, check=True).stdout

    state = dump

    def put_back(self, name):
        drops = "".join(f"drop database `{found}`;" for found in self.others())
        # Whoever still asks for something holds locks.
        for number in self.server.sql("select id from information_schema.processlist where id <> connection_id() "
                                      "and user not in ('system user', 'event_scheduler')").split():
            drops = f"kill {number};" + drops
        for statement in filter(None, drops.split(";")):
            try:
                self.server.sql(statement)
            except RuntimeError as cause:
                if "Unknown thread" not in str(cause):
                    raise
        self.server.sql(b"drop database if exists %b; create database %b; use %b;\n" % ((NAME.encode(),) * 3) + self.kept[name])

    def others(self):
        return [name for name in self.server.sql("show databases").split()
                if name not in (NAME, "mysql", "information_schema", "performance_schema", "sys")]

    def leftovers(self):
        return [f"database {name}" for name in self.others()] + [f"user {name}" for name in self.accounts() - self.users]


class MariaDbOfAHost(MariaDb):
    """As many hosts give it: a user with all rights for one database, and none to make another."""

    def __init__(self, top):
        super().__init__(top)
        self.server.sql(f"create user tenant@localhost identified by 'secret'; grant all on {NAME}.* to tenant@localhost")
        self.document = {"url": f"mysql://tenant:secret@localhost/{NAME}", "socket": self.server.socket}
        self.users = self.accounts()


class PostgreSql(OnServer):
    kind = "postgresql"
    missing = staticmethod(postgres.missing)
    start = postgres.Server

    def __init__(self, top):
        super().__init__(top)
        self.document = {"url": f"pgsql://admin:{quote(postgres.ADMIN, safe='')}@localhost/{NAME}", "socket": self.server.top}
        self.server.sql(f"create database {NAME}")
        self.count = 0

    def sql(self, statements):
        self.server.sql(statements, NAME)

    def state(self):
        # The old tables wait in a schema of their own to be removed: `leftovers` sees to that.
        done = subprocess.run(["pg_dump", "-d", NAME, "--no-owner", "--exclude-schema=bam*"], stdout=subprocess.PIPE, check=True,
                              env=self.server.environment())
        return tuple(sorted(line for line in done.stdout.decode().splitlines() if "restrict" not in line))

    def keep(self, name):
        self.count += 1
        self.kept[name] = f"kept_{self.count}"
        self.server.sql(f"create database {self.kept[name]} template {NAME}")

    def put_back(self, name):
        self.server.sql(f"drop database if exists {NAME} with (force);\ncreate database {NAME} template {self.kept[name]};")

    def leftovers(self):
        names = self.server.sql("select datname from pg_database").split()
        found = [f"database {name}" for name in names if name not in (NAME, "postgres", "template0", "template1") and
                 not name.startswith("kept_")]
        schemas = self.server.sql("select nspname from pg_namespace where nspname like 'bam%'", NAME).split()
        return found + [f"schema {name}" for name in schemas]
