"""Keys in memory: once a job is over, the process that ran it, which may live on for long, holds neither the passphrase nor
what follows from it. Another process looks, through /proc/PID/mem; the one that is looked at never had them in Python."""

import hashlib
import json
import os
import secrets
import subprocess
import sys
import unittest

from bamtest import BAM, ITERATIONS, SiteTest

LIBRARY = os.path.join(os.path.dirname(BAM), "libbam.so")
# Runs the jobs of its standard input, one request a line, and tells when each is over and freed.
CALLER = """
import ctypes, sys
bam = ctypes.CDLL(sys.argv[1])
for line in sys.stdin.buffer:
    job, result = ctypes.c_void_p(), ctypes.c_char_p()
    status = bam.bam_job_start(line.strip(), ctypes.byref(job)) or bam.bam_job_finish(job, ctypes.byref(result))
    print(status, flush=True)
    bam.bam_string_free(result)
    bam.bam_job_free(job)
    print("over", flush=True)
"""


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

    def job(self, **request):
        self.process.stdin.write(json.dumps({"config": self.document, "request": request}).encode() + b"\n")
        self.process.stdin.flush()
        self.assertEqual(self.process.stdout.readline().strip(), b"0", request)
        self.assertEqual(self.process.stdout.readline().strip(), b"over")

    def keys(self):
        """The passphrase, and what follows from it for each backup."""
        found = {"passphrase": self.passphrase.encode()}
        for name in self.visible():
            if name.endswith(".enc"):
                with open(os.path.join(self.destination(), name), "rb") as file:
                    salt = file.read(16)[8:]
                derived = hashlib.pbkdf2_hmac("sha256", self.passphrase.encode(), salt, ITERATIONS, 80)
                found |= {"key": derived[:32], "MAC key": derived[48:]}
        self.assertEqual(len(found), 3)
        return found

    def test_no_key_outlives_its_job(self):
        for request in ({"job": "backup", "what": "files", "destinations": ["manual"], "profile": "secret"},
                        {"job": "verify", "id": "latest"}, {"job": "restore", "id": "latest"}):
            with self.subTest(request["job"]):
                self.job(**request)
                keys, marked = self.keys(), False
                for place, content in memory(self.process.pid):
                    marked = marked or b"a name that is no secret" in content
                    for what, key in keys.items():
                        self.assertNotIn(key, [content[at:at + len(key)] for at in [content.find(key)] if at >= 0], f"{what} in {place}")
                self.assertTrue(marked, "it was looked at where the configuration is")


if __name__ == "__main__":
    unittest.main()
