"""Keys in memory: once a job is over, the process that ran it, which may live on for long, holds neither the passphrase nor
what follows from it. Another process looks, through /proc/PID/mem; the one that is looked at never had them in Python."""

import hashlib
import json
import os
import secrets
import subprocess
import sys
import unittest

import mariadb
from bamtest import BAM, ITERATIONS, SiteTest
from test_secrets import spellings

LIBRARY = os.path.join(os.path.dirname(BAM), "libbam.so")
# Runs the jobs of its standard input, one request a line, and tells when each is over and freed. One behind an exclamation mark
# is cancelled as soon as it reads.
CALLER = """
import ctypes, sys
bam = ctypes.CDLL(sys.argv[1])
progress = ctypes.create_string_buffer(1024)
for line in sys.stdin.buffer:
    job, result = ctypes.c_void_p(), ctypes.c_char_p()
    status = bam.bam_job_start(line.strip().lstrip(b"!"), ctypes.byref(job))
    while line.startswith(b"!") and bam.bam_job_poll(job, 1, progress) == 0:
        # Whether it is over, and what it has read.
        if progress.raw[4] or any(progress.raw[8:16]):
            bam.bam_job_cancel(job)
            break
    status = status or bam.bam_job_finish(job, ctypes.byref(result))
    print(status, flush=True)
    bam.bam_string_free(result)
    bam.bam_job_free(job)
    print("over", flush=True)
"""
# Of bam.h.
PERMISSION, INTEGRITY, CANCELLED = 6, 10, 12


def memory(pid):
    """What a process can write to, part by part, with words for each part."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as content:
        for line in maps:
            place, rights, *_ = line.split()
            if "w" not in rights:
                continue
            start, end = (int(number, 16) for number in place.split("-"))
            content.seek(start)
            try:
                yield line.strip(), content.read(end - start)
            except OSError:
                continue  # of a device


def may_look():
    """Whether this machine lets a process look into its children."""
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    try:
        return any(content for _, content in memory(child.pid))
    except OSError:
        return False
    finally:
        child.stdin.close()
        child.wait()


@unittest.skipUnless(os.path.exists(LIBRARY), "libbam.so is not built")
@unittest.skipUnless(may_look(), "no process may look into another's memory here")
class Memory(SiteTest):
    def setUp(self):
        super().setUp()
        self.passphrase = secrets.token_urlsafe(32)
        with open(self.key, "w") as file:
            file.write(self.passphrase + "\n")
        self.document["site"]["name"] = "a name that is no secret"
        self.write("sites/default/files/page", os.urandom(1 << 20))
        self.process = subprocess.Popen([sys.executable, "-c", CALLER, LIBRARY], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.stdout.close)
        self.addCleanup(self.process.stdin.close)

    def job(self, expect=0, cancel=False, **request):
        line = json.dumps({"config": self.document, "request": request}).encode()
        self.process.stdin.write(b"!" * cancel + line + b"\n")
        self.process.stdin.flush()
        status = int(self.process.stdout.readline())
        self.assertIn(status, (0, CANCELLED) if cancel else (expect,), request)
        self.assertEqual(self.process.stdout.readline().strip(), b"over")
        return status

    def keys(self, *passphrases):
        """The passphrases, and what follows from each for each backup."""
        found = {f"passphrase {number}": passphrase.encode() for number, passphrase in enumerate(passphrases)}
        for name in self.visible():
            if name.endswith(".enc"):
                with open(os.path.join(self.destination(), name), "rb") as file:
                    salt = file.read(16)[8:]
                for number, passphrase in enumerate(passphrases):
                    derived = hashlib.pbkdf2_hmac("sha256", passphrase.encode(), salt, ITERATIONS, 80)
                    found |= {f"key of {name}, {number}": derived[:32], f"MAC key of {name}, {number}": derived[48:]}
        return found

    def assertNoneIn(self, secret):
        """None of them is in the memory of the process, in whatever spelling."""
        forms = {form: what for what, bytes_of in secret.items() for form in spellings(bytes_of)}
        marked = False
        for place, content in memory(self.process.pid):
            marked = marked or b"a name that is no secret" in content
            found = {what for form, what in forms.items() if form in content}
            self.assertEqual(found, set(), place)
        self.assertTrue(marked, "it was looked at where the configuration is")

    def test_no_key_outlives_its_job(self):
        for request in ({"job": "backup", "what": "files", "destinations": ["manual"], "profile": "secret"},
                        {"job": "verify", "id": "latest"}, {"job": "restore", "id": "latest"}):
            with self.subTest(request["job"]):
                self.job(**request)
                keys = self.keys(self.passphrase)
                self.assertEqual(len(keys), 3)
                self.assertNoneIn(keys)

    def test_nor_one_that_fails_or_is_cancelled_or_puts_another_in_its_place(self):
        self.write("sites/default/files/more", os.urandom(20 << 20))
        self.job(cancel=True, job="backup", what="files", destinations=["manual"], profile="secret")
        self.assertNoneIn(self.keys(self.passphrase))
        self.job(job="backup", what="files", destinations=["manual"], profile="secret")
        self.job(cancel=True, job="restore", id="latest")
        self.assertNoneIn(self.keys(self.passphrase))
        new = secrets.token_urlsafe(32)
        self.document["encryption"] |= {"key_file": self.path("new"), "keys": [self.key]}
        with open(self.path("new"), "w") as file:
            file.write(new + "\n")
        os.chmod(self.path("new"), 0o600)
        before = self.keys(self.passphrase, new)
        self.job(job="rekey")
        self.assertNoneIn(before | self.keys(self.passphrase, new))
        # Neither opens it.
        wrong = secrets.token_urlsafe(32)
        for path in (self.path("new"), self.key):
            with open(path, "w") as file:
                file.write(wrong + "\n")
        self.job(INTEGRITY, job="verify", id="latest")
        self.assertNoneIn(self.keys(self.passphrase, new, wrong))

    def test_no_identity_outlives_its_job(self):
        recipient = self.bam_json("keygen", "--age", self.path("identity"))["recipient"]
        with open(self.path("identity")) as file:
            identity = next(line.strip() for line in file if not line.startswith("#"))
        self.document["encryption"] |= {"recipients": [recipient], "keys": [self.path("identity")]}
        self.document["profiles"]["aged"] = {"encryption": "age"}
        self.job(job="backup", what="files", destinations=["manual"], profile="aged")
        self.job(job="restore", id="latest")
        # Bech32: five bits a letter, without the checksum of six.
        digits = "".join(format("qpzry9x8gf2tvdw0s3jn54khce6mua7l".index(c), "05b") for c in identity.lower().rsplit("1", 1)[1][:-6])
        key = int(digits[:256], 2).to_bytes(32, "big")
        self.assertNoneIn({"identity": identity.encode(), "the identity's key": key, "passphrase": self.passphrase.encode()})

    @unittest.skipIf(mariadb.missing(), "mariadbd is not installed")
    def test_no_password_of_a_database_outlives_its_job(self):
        password, name, server = secrets.token_urlsafe(24), "bam_" + secrets.token_hex(6), mariadb.server()
        server.sql(f"create database `{name}`; create user '{name}'@localhost identified by '{password}'; "
                   f"grant all on `{name}`.* to '{name}'@localhost; create table `{name}`.node (id int primary key)")
        self.addCleanup(server.sql, f"drop database `{name}`; drop user '{name}'@localhost")
        with open(self.path("password"), "w") as file:
            file.write(password + "\n")
        os.chmod(self.path("password"), 0o600)
        self.document["databases"] = {"db": {"url": f"mysql://{name}@localhost/{name}", "socket": server.socket,
                                             "password_file": self.path("password")}}
        self.document["sources"]["db"] = {"type": "database"}
        self.job(job="backup", what="db", destinations=["manual"], profile="secret")
        self.assertNoneIn({"password": password.encode()} | self.keys(self.passphrase))
        server.sql(f"alter user '{name}'@localhost identified by 'another'")
        self.job(PERMISSION, job="backup", what="db", destinations=["manual"], profile="secret")
        self.assertNoneIn({"password": password.encode()})


if __name__ == "__main__":
    unittest.main()
