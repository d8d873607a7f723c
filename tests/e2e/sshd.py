"""A real OpenSSH server on the loopback interface, with host key, login key and folder of its own."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PROGRAM = "/usr/sbin/sshd"


class Sshd:
    """Runs until close(). `settings` and `url` are those of an sftp destination that it lets in. `command` turns the words
    that start it into others."""

    def __init__(self, extra="", command=lambda *words: list(words)):
        self.command = command
        self.top = tempfile.mkdtemp(prefix="bam-sshd-")
        self.backups = os.path.join(self.top, "backups")
        os.mkdir(self.backups, 0o700)
        for key in ("host", "id"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path(key)], check=True)
        shutil.copy(self.path("id.pub"), self.path("authorized_keys"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        with open(self.path("config"), "w") as file:
            file.write(f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.path('host')}\nUsePAM no\n"
                       f"AuthorizedKeysFile {self.path('authorized_keys')}\nStrictModes no\nPidFile none\n"
                       f"LogLevel VERBOSE\nSubsystem sftp internal-sftp\n{extra}\n")
        with open(self.path("host.pub")) as key, open(self.path("known_hosts"), "w") as known:
            known.write(f"[127.0.0.1]:{self.port} {key.read()}")
        self.url = f"sftp://{pwd.getpwuid(os.geteuid()).pw_name}@127.0.0.1:{self.port}{self.backups}"
        self.keys = {"identity_file": self.path("id"), "known_hosts": self.path("known_hosts")}
        self.settings = {"type": "sftp", "url": self.url, **self.keys}
        self.start()

    def path(self, name):
        return os.path.join(self.top, name)

    def start(self):
        if os.geteuid() == 0:
            # Privilege separation wants it.
            os.makedirs("/run/sshd", exist_ok=True)
        with open(self.path("log"), "ab") as log:
            before = log.tell()
            self.process = subprocess.Popen(self.command(PROGRAM, "-D", "-e", "-f", self.path("config")),
                                            stdin=subprocess.DEVNULL, stderr=log, start_new_session=True)
        last = time.monotonic() + 60
        while True:
            # Its last word before it takes connections: it may be on a network that we are not on.
            with open(self.path("log"), "rb") as log:
                log.seek(before)
                if f"Server listening on 127.0.0.1 port {self.port}".encode() in log.read():
                    return
            if self.process.poll() is not None or time.monotonic() > last:
                raise RuntimeError(f"sshd did not start: {self.log()}")
            time.sleep(0.02)

    def stop(self):
        """Ends the server and, where they are in its process group, its sessions."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.top, ignore_errors=True)

    def fingerprint(self):
        """Of the host key, as ssh-keygen prints it."""
        return subprocess.run(["ssh-keygen", "-lf", self.path("host.pub")], check=True, capture_output=True, text=True).stdout

    def log(self):
        with open(self.path("log"), errors="replace") as file:
            return file.read()

    def visible(self):
        """What a listing of the folder with the backups shows."""
        return sorted(name for name in os.listdir(self.backups) if not name.startswith("."))
