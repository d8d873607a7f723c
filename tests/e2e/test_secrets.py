"""Secrets: one run of everything, and then nothing that it said, wrote or handed to another program holds any of them,
in whatever spelling.

strace writes down each program that is started with its arguments and environment, each file name, and each byte that goes
into a file, be it one that is gone a moment later; pipes and sockets are how a secret may go where it has to."""

import base64
import contextlib
import hashlib
import json
import os
import re
import shutil
import socketserver
import subprocess
import threading
import unittest
from urllib.parse import quote, quote_plus

import mariadb
from bamtest import BAM, ITERATIONS, SiteTest, can_trace, descendants
from sshd import PROGRAM, Sshd

CALLS = "execve,write,pwrite64,writev,pwritev,pwritev2,openat,renameat,renameat2,rename,mkdirat,mkdir,linkat,symlinkat"


def spellings(secret):
    """How a secret may stand somewhere: as it is, for a URL, in base64 at each offset, in hexadecimal digits."""
    found = {secret, quote(secret, safe="").encode(), quote_plus(secret).encode(), secret.hex().encode(), secret.hex().upper().encode()}
    for offset in range(3):
        # Without what its neighbours decide.
        whole = base64.b64encode(bytes(offset) + secret)
        inner = whole[(offset * 8 + 5) // 6:len(whole) - (4 if (len(secret) + offset) % 3 else 0)]
        found |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    with contextlib.suppress(UnicodeDecodeError):
        text = json.dumps(secret.decode())[1:-1]
        found |= {text.encode(), text.replace("/", "\\/").encode()}
    # As strace and Python write what is no plain text.
    found.add("".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:o}" for byte in secret).encode())
    return found


class Secrets:
    def __init__(self):
        self.forms = {}

    def add(self, name, secret):
        for form in spellings(secret.encode() if isinstance(secret, str) else secret):
            assert len(form) >= 8, f"{name} is found everywhere"
            self.forms[form] = name
        self.pattern = re.compile(b"|".join(re.escape(form) for form in self.forms))

    def found_in(self, content):
        return sorted({self.forms[match] for match in self.pattern.findall(content)})


class Spellings(unittest.TestCase):
    def test_each_is_found(self):
        secrets = Secrets()
        secrets.add("key", b"a s3cret/+key?\xff")
        secrets.add("other", "another-secret")
        for content in (b"x a s3cret/+key?\xff y", b"mysql://u:a%20s3cret%2F%2Bkey%3F%FF@h", b"a+s3cret%2F%2Bkey%3F%FF",
                        b"x" + b"a s3cret/+key?\xff".hex().encode(), *(base64.b64encode(before + b"a s3cret/+key?\xff" + b"zz")
                                                                      for before in (b"", b"u", b"u:", b"us:"))):
            self.assertEqual(secrets.found_in(content), ["key"], content)
        self.assertEqual(secrets.found_in(b"another-secre a s3cret/key"), [])
        secrets.add("third", 'Pass/"wört"')
        self.assertEqual(secrets.found_in(rb'{"a": "Pass\/\"w\u00f6rt\""}'), ["third"])


class Deaf(socketserver.StreamRequestHandler):
    """Answers whoever asks, and does not look."""

    def handle(self):
        while self.rfile.readline().strip():
            pass
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@unittest.skipUnless(can_trace(), "strace is not installed, or may not trace")
class Watched(SiteTest):
    """A site whose runs are looked at from all sides."""

    def setUp(self):
        super().setUp()
        self.secrets, self.said, self.traces, self.samples = Secrets(), [], [], set()
        # What the configuration names in the environment is there by the administrator's choice, in bam's, and in nobody else's.
        self.named = {}
        # Credentials of storage that restic takes from its environment.
        self.handed = {}
        os.mkdir(self.path("tmp"))

    def run_it(self, *arguments, expect=0):
        """Runs bam under strace, and keeps what it says."""
        trace = self.path(f"trace-{len(self.traces)}")
        self.traces.append(trace)
        command = ["strace", "-f", "-y", "-v", "-s", "1048576", "-e", f"trace={CALLS}", "-e", "signal=none", "-o", trace,
                   BAM, "--config", self.write_document(), *arguments]
        if arguments[0] != "run":
            # Whoever watches tells others by himself; without that, bam does.
            command += ["--status-file", self.path("status")]
        # What no configuration names is nobody's secret.
        named = {name: value for name, value in self.named.items() if name in json.dumps(self.document)}
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env={**os.environ, "TMPDIR": self.path("tmp"), **named})
        over = threading.Event()
        sampler = threading.Thread(target=self.sample, args=(process.pid, over))
        sampler.start()
        try:
            out, err = process.communicate(timeout=300)
        finally:
            over.set()
            sampler.join()
        self.said.append((" ".join(arguments), out + err))
        self.assertEqual(process.returncode, expect, f"bam {' '.join(arguments)}: {(out + err).decode(errors='replace')}")
        return out

    def sample(self, pid, over):
        """What others of this machine see of bam and all that it starts, as long as it runs."""
        while not over.wait(0.05):
            for each in descendants(pid):
                with contextlib.suppress(OSError):
                    with open(f"/proc/{each}/comm") as file:
                        program = file.read().strip()
                    for what in ("cmdline", "environ"):
                        with open(f"/proc/{each}/{what}", "rb") as file:
                            content = file.read()
                        # A thread that has forked, and not yet become another program, is bam, too.
                        own = what == "environ" and (program == "strace" or program.startswith("bam"))
                        content = self.without_named(content) if own else content
                        if what == "environ" and program == "restic":
                            content = self.without(self.handed, content)
                        self.samples.add((program, what, content))

    @staticmethod
    def without(variables, content):
        for name, value in variables.items():
            content = content.replace(f"{name}={value}".encode(), b"")
        return content

    def without_named(self, content):
        return self.without(self.named, content)

    def look_at_traces(self, but):
        """That nothing said, seen from outside, started or written holds a secret; which programs were started, and into which folders
        was written. Files of these names hold what was asked for."""
        for what, output in self.said:
            self.assertEqual(self.secrets.found_in(output), [], f"bam {what} said a secret")
        for program, what, content in self.samples:
            self.assertEqual(self.secrets.found_in(content), [], f"{what} of {program}: {content[:300]}")
        self.assertLessEqual({("bam", "cmdline"), ("bam", "environ")}, {sample[:2] for sample in self.samples})
        executed, written = set(), set()
        for trace in self.traces:
            with open(trace, "rb") as lines:
                for number, line in enumerate(lines):
                    line = line if number else self.without_named(line)
                    call = re.match(rb"\d+\s+(\w+)\((?:\d+<([^>]*)>)?", line)
                    if not call:
                        continue
                    name, target = call.groups()
                    if name == b"execve":
                        program = os.path.basename(line.split(b'"')[1]).decode()
                        executed.add(program)
                        if program == "restic":
                            line = self.without(self.handed, line)
                    elif target is not None and b"write" in name:
                        # A pipe, a socket, a file in memory that has no name: ways to one who has to know.
                        if not target.startswith(b"/") or target.startswith(b"/memfd:"):
                            continue
                        # The key that was asked for goes to where it was asked for.
                        if os.path.basename(target) in but:
                            continue
                        written.add(os.path.dirname(target).decode())
                    found = self.secrets.found_in(line)
                    self.assertEqual(found, [], f"{trace}: {line[:300]}")
            os.unlink(trace)
        return executed, written

    def look_at_files(self, own, *tops):
        looked_at = 0
        for top in tops:
            for parent, _, files in os.walk(top):
                for path in (os.path.join(parent, name) for name in files):
                    if path not in own and os.path.isfile(path):
                        looked_at += 1
                        with open(path, "rb") as file:
                            self.assertEqual(self.secrets.found_in(file.read()), [], path)
        self.assertGreater(looked_at, 10)


@unittest.skipIf(mariadb.missing() or not os.path.exists(PROGRAM), "mariadbd or openssh-server is not installed")
class Everything(Watched):
    PASSWORD = "db/Pa55w+rd@%:&1"

    def setUp(self):
        super().setUp()
        self.named = {"BAM_TEST_PG_PASSWORD": "pg-Pa55w0rd-of-the-environment"}
        self.secrets.add("PostgreSQL's password", self.named["BAM_TEST_PG_PASSWORD"])
        self.secrets.add("the database's password", self.PASSWORD)
        self.secrets.add("the passphrase", "correct horse battery staple")
        self.name = "bam_" + os.path.basename(self.top).replace("-", "_").lower()
        self.server = mariadb.server()
        self.server.sql(f"create database `{self.name}`; create user '{self.name}'@localhost identified by '{self.PASSWORD}'; "
                        f"grant all on `{self.name}`.* to '{self.name}'@localhost; "
                        f"grant all on `{self.name}\\_%`.* to '{self.name}'@localhost; use `{self.name}`; "
                        "create table node (id int primary key, title text); insert into node values (1, 'field note');")
        if not self.server.mysql:
            # Such a table is read by the server's own client, which wants to be told the password.
            self.server.sql("alter table node add system versioning", self.name)
        self.addCleanup(self.server.sql, f"drop database if exists `{self.name}`; drop user '{self.name}'@localhost")
        self.sshd = Sshd()
        self.addCleanup(self.sshd.close)
        with open(self.sshd.path("id")) as key:
            for number, line in enumerate(key.read().splitlines()[1:-1]):
                # The first lines say what it is, and hold the public key.
                if number >= 2:
                    self.secrets.add("the login key", line)
        listener = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Deaf)
        self.addCleanup(listener.server_close)
        self.addCleanup(listener.shutdown)
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{listener.server_address[1]}"
        self.secrets.add("the webhook", "hook-T0ken-4711")
        self.secrets.add("the ping", "ping-T0ken-0815")
        self.secrets.add("the login's password", "sftp&Pa55:w0rd/")
        self.secrets.add("the aes module's key", "LegacyKey-of-the-site")
        far = {**self.sshd.settings, "url": self.sshd.url.replace("@", ":sftp%26Pa55%3Aw0rd%2F@", 1)}
        self.document |= {
            "databases": {"db": {"url": f"mysql://{self.name}:{quote(self.PASSWORD, safe='')}@localhost/{self.name}",
                                 "socket": self.server.socket}},
            "policy": {"copies": 3},
        }
        self.document["sources"] |= {"db": {"type": "database"}, "archive": {"type": "archive"}}
        self.document["destinations"] |= {"far": far, "mirror": {**self.sshd.settings, "type": "rsync", "url": self.sshd.url + "-2"}}
        self.document["profiles"]["secret"]["notify"] = {"webhook": f"{url}/hook-T0ken-4711", "ping": f"{url}/ping-T0ken-0815"}
        self.document["profiles"]["legacy"] = {"encryption": "aes-module"}
        self.document["encryption"]["aes_module"] = {"implementation": "phpseclib", "key": "LegacyKey-of-the-site"}
        self.document["schedules"] = {"daily": {"source": "archive", "destinations": ["manual", "far"], "profile": "secret", "every": "1d"}}
        self.write("index.php", "<?php\n")
        self.write("sites/default/files/page", "a page\n")

    def use_key_of(self, name):
        """The keys that follow from the passphrase for one backup are as secret as that."""
        for folder in (self.destination(), self.sshd.backups):
            for file in os.listdir(folder):
                if file.endswith(".enc"):
                    with open(os.path.join(folder, file), "rb") as content, open(name) as key:
                        salt, passphrase = content.read(16)[8:], key.readline().rstrip("\n")
                    derived = hashlib.pbkdf2_hmac("sha256", passphrase.encode(), salt, ITERATIONS, 80)
                    self.secrets.add("a backup's key", derived[:32])
                    self.secrets.add("a backup's MAC key", derived[48:])

    def test_no_secret_shows_anywhere(self):
        # Nobody runs the schedules.
        self.run_it("config", "check", expect=3)
        self.run_it("config", "export")
        self.run_it("--json", "config", "export")
        made = json.loads(self.run_it("--json", "backup", "archive", "manual,mirror", "secret"))
        self.run_it("backup", "db", "manual", "legacy")
        self.run_it("run", "daily")
        shutil.rmtree(self.sshd.backups)
        os.mkdir(self.sshd.backups, 0o700)
        self.run_it("replicate")
        self.assertEqual(len(self.sshd.visible()), 2)
        # The policy wants more than this: what is missing is told, too.
        self.run_it("status", expect=3)
        for verb in ("backups", "verify", "drill", "keys", "destinations", "sources", "schedules", "profiles"):
            self.run_it(verb)
        self.use_key_of(self.key)
        self.run_it("ls", str(made["id"]))
        self.run_it("restore", str(made["id"]), "--yes")
        self.run_it("restore", str(made["id"]), "--code", "--yes")
        identity, new = self.path("identity"), self.path("new-key")
        recipient = json.loads(self.run_it("--json", "keygen", "--age", identity))["recipient"]
        self.run_it("keygen", new)
        for path in (identity, new):
            with open(path) as file:
                for line in file.read().splitlines():
                    if not line.startswith("#"):
                        self.secrets.add(os.path.basename(path), line)
        self.document["encryption"] |= {"key_file": new, "keys": [self.key, identity], "recipients": [recipient]}
        self.run_it("rekey", "--all")
        self.use_key_of(new)
        self.run_it("rekey", "--all", "--to", "age")
        self.run_it("verify")
        self.run_it("rekey", "--all", "--to", "aes256")
        self.use_key_of(new)
        os.mkdir(self.path("disk"))
        self.run_it("export", str(made["id"]), self.path("disk"))
        copy = next(os.path.join(self.path("disk"), name) for name in os.listdir(self.path("disk")) if name.endswith(".enc"))
        self.run_it("decrypt", copy, "-o", self.path("clear"))
        self.run_it("delete", str(made["id"]), "--yes")
        self.run_it("import", copy)
        # What fails says why.
        self.server.sql(f"alter user '{self.name}'@localhost identified by 'another'")
        self.run_it("backup", "db", "manual", "secret", expect=1)
        self.document["encryption"] |= {"key_file": self.key, "keys": []}
        self.run_it("verify", "latest", expect=4)
        self.document["destinations"]["far"]["identity_file"] = self.path("no-such-key")
        self.run_it("backup", "files", "far", "secret", expect=2)
        self.document["databases"]["pg"] = {"url": "pgsql://nobody@127.0.0.1:1/none", "password_env": "BAM_TEST_PG_PASSWORD"}
        self.document["sources"]["pg"] = {"type": "database", "database": "pg"}
        self.run_it("backup", "pg", "manual", "secret", expect=1)
        if shutil.which("restic"):
            self.document["destinations"]["repo"] = {"type": "restic", "repository": self.path("repo")}
            self.run_it("destination", "init", "repo")
            self.run_it("backup", "files", "repo", "secret")
        self.document["databases"]["db"] = {self.document["databases"]["db"]["url"]: ""}
        self.run_it("sources", expect=2)
        self.look()

    def look(self):
        executed, written = self.look_at_traces({b"identity", b"new-key"})
        # It was looked at where it would have shown.
        self.assertLessEqual({"bam", "ssh", "curl"} | {name for name in ("psql", "restic") if shutil.which(name)}, executed)
        self.assertTrue({"mariadb-dump", "mysqldump"} & executed or self.server.mysql, executed)
        for folder in (self.destination(), self.path("state"), self.path("disk"), self.top):
            self.assertIn(folder, written)
        own = {self.key, self.path("bam.yml"), self.path("identity"), self.path("new-key")}
        self.look_at_files(own, self.top, self.sshd.backups)


if __name__ == "__main__":
    unittest.main()
