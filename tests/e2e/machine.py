"""A bare machine: a folder with a few programs and the libraries they name, entered by chroot, in a network of its own
where there is nothing but itself."""

import os
import shutil
import subprocess


def can_be():
    """Whether this machine can make one: as root, with namespaces."""
    return (os.geteuid() == 0 and all(shutil.which(name) for name in ("unshare", "nsenter", "chroot", "ip"))
            and subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode == 0)


class Machine:
    def __init__(self, root, programs):
        self.root = root
        for folder in ("bin", "dev", "etc", "proc", "root", "run", "srv", "tmp", "usr", "var/lib", "var/tmp"):
            os.makedirs(os.path.join(root, folder))
        os.symlink("../bin", os.path.join(root, "usr/bin"))
        for path in programs:
            self.add(path)
        subprocess.run(["mknod", "-m", "666", os.path.join(root, "dev/null"), "c", "1", "3"], check=True)
        os.symlink("/proc/self/fd", os.path.join(root, "dev/fd"))
        # Holds the network, and what is mounted for this machine alone, until the machine goes.
        prepare = 'ip link set lo up && mount --rbind /proc "$1" && echo up && exec cat'
        self.network = subprocess.Popen(["unshare", "--net", "--mount", "sh", "-c", prepare, "sh", os.path.join(root, "proc")],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.network.stdout.readline().strip() != b"up":
            raise RuntimeError("no namespaces can be made")

    def add(self, program):
        """A program under /bin, its libraries where they are here."""
        program = shutil.which(program)
        shutil.copy(os.path.realpath(program), os.path.join(self.root, "bin", os.path.basename(program)))
        said = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
        for word in said.split():
            target = self.root + word
            if word.startswith("/") and not os.path.exists(target):
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copy(word, target)

    def in_its_network(self, *command):
        """The command that runs another one beside the machine, on the same network."""
        return ["nsenter", "--target", str(self.network.pid), "--net", *command]

    def run(self, script, **variables):
        """Runs a shell script on the machine."""
        environment = {"PATH": "/bin", "HOME": "/root", **variables}
        return subprocess.run(self.in_its_network("--mount", shutil.which("chroot"), self.root, "/bin/bash", "-o", "pipefail", "-ec", script),
                              cwd="/", env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=300)

    def close(self):
        self.network.stdin.close()
        self.network.wait()
        self.network.stdout.close()
