"""A MariaDB server of the tests' own, or where there is none a MySQL, on a private socket, started once and stopped at the end."""

import atexit
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time

_server = None


def is_mysql(root="/"):
    """Whether it is MySQL's server that is installed there, and not MariaDB's, which has the old names as well."""
    return not program("mariadbd", root) and bool(program("mysqld", root))


def program(name, root="/"):
    return shutil.which(name, path=f"{root}/usr/sbin:{root}/usr/bin" if root != "/" else None)


def missing():
    """What is not installed, or nothing."""
    return "" if program("mariadbd") or program("mysqld") else "mariadbd"


def server():
    """The running server; the first caller starts it."""
    global _server
    if _server is None:
        _server = Server()
    return _server


class Server:
    """`root` is another Debian on this machine, whose server and clients then run inside of it; it shares /tmp. `data`: a
    folder for the data of its own."""

    def __init__(self, options=(), root="/", data=None):
        self.within = ["chroot", root] if root != "/" else []
        self.mysql = is_mysql(root)
        self.top = tempfile.mkdtemp(prefix="bam-mariadb-", dir="/tmp" if self.within else None)
        atexit.register(self.stop)
        self.socket = os.path.join(self.top, "socket")
        user = pwd.getpwuid(os.geteuid()).pw_name
        data = data or os.path.join(self.top, "data")
        log = open(os.path.join(self.top, "log"), "wb")
        if self.mysql:
            command, install = "mysqld", ["mysqld", "--no-defaults", "--initialize-insecure"]
            options = ["--mysqlx=OFF", "--skip-log-bin", "--innodb-redo-log-capacity=128M", "--secure-file-priv=", *options]
        else:
            command = "mariadbd"
            install = ["mariadb-install-db", "--no-defaults", "--skip-test-db", "--auth-root-authentication-method=normal"]
            # Nothing of it outlives the tests: what would be waited for most is the disk.
            options = ["--innodb-log-file-size=128M", "--debug-no-sync", *options]
        # Servers that start, also the one that only installs, remove what they take for leftovers: others' temporary tables.
        temporary = f"--tmpdir={self.top}"
        subprocess.run([*self.within, *install, f"--datadir={data}", f"--user={user}", temporary], check=True, stdout=log,
                       stderr=log)
        self.process = subprocess.Popen(
            [*self.within, command, "--no-defaults", f"--datadir={data}", f"--user={user}", f"--socket={self.socket}",
             f"--pid-file={self.top}/pid", temporary, "--skip-networking", "--max-allowed-packet=128M",
             "--innodb-flush-log-at-trx-commit=0", *options],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        last = time.monotonic() + 120
        while subprocess.run(self.client("-e", "select 1"), capture_output=True).returncode:
            if self.process.poll() is not None or time.monotonic() > last:
                with open(os.path.join(self.top, "log"), errors="replace") as file:
                    raise RuntimeError(f"{command} did not start: {file.read()[-2000:]}")
            time.sleep(0.05)

    def login(self, user="root"):
        return ["--no-defaults", f"--socket={self.socket}", f"--user={user}"]

    def client(self, *arguments, user="root"):
        return [*self.within, "mysql" if self.mysql else "mariadb", *self.login(user), "--binary-mode",
                "--default-character-set=utf8mb4", *arguments]

    def dump_client(self, *arguments):
        return [*self.within, "mysqldump" if self.mysql else "mariadb-dump", *self.login(), *arguments]

    def sql(self, statements, database="", user="root", password=""):
        """Runs SQL, text or bytes; the rows, tab-separated, raw."""
        statements = statements if isinstance(statements, bytes) else statements.encode()
        if self.mysql:
            statements = in_mysql(statements)
        done = subprocess.run(self.client("--batch", "--raw", "--skip-column-names", database, user=user),
                              input=statements, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env={**os.environ, "MYSQL_PWD": password})
        if done.returncode:
            raise RuntimeError(done.stderr.decode(errors="replace"))
        return done.stdout.decode(errors="replace")

    def hold(self, statement, database):
        """A session that runs `statement` and stays open, keeping its locks, until its standard input is closed."""
        session = subprocess.Popen(self.client("--batch", "--unbuffered", "--skip-column-names", database),
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        session.stdin.write(statement.encode() + b"; select 'held';\n")
        session.stdin.flush()
        while session.stdout.readline().strip() != b"held":
            if session.poll() is not None:
                raise RuntimeError(f"cannot hold: {statement}")
        return session

    def stop(self):
        if getattr(self, "process", None) is not None:
            self.process.terminate()
            self.process.wait()
        shutil.rmtree(self.top, ignore_errors=True)


def in_mysql(sql):
    """MySQL has no tables `seq_1_to_5`: in their place, what counts so. Nor has it MariaDB's own types."""
    count = rb"(with recursive n (seq) as (select \1 union all select seq + 1 from n where seq < \2) select seq from n) as seqs"
    sql, found = re.subn(rb"\bseq_(\d+)_to_(\d+)\b", count, sql)
    sql = re.sub(rb"\b(inet6|inet4|uuid)\b", b"varchar(40)", sql)
    return b"set session cte_max_recursion_depth = 4294967295; " + sql if found else sql


def state(name):
    """Everything in a database that a restore has to bring back: definitions and checksums."""
    running = server()
    found = {}
    for line in running.sql("show full tables", name).splitlines():
        table, kind = line.rsplit("\t", 1)
        quoted = "`" + table.replace("`", "``") + "`"
        if kind == "VIEW":
            found[table] = running.sql(f"show create view {quoted}", name)
        else:
            found[table] = (running.sql(f"show create table {quoted}", name),
                            running.sql(f"checksum table {quoted} extended", name).split("\t")[1])
    for trigger in running.sql("select trigger_name from information_schema.triggers "
                               f"where trigger_schema = '{name}'").splitlines():
        # The last column is when it was made.
        found["trigger " + trigger] = running.sql(f"show create trigger `{trigger}`", name).rsplit("\t", 1)[0]
    return found
