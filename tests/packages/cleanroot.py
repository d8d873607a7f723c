"""A clean Debian for each test: a layer above a root that stays as debootstrap made it."""

import glob
import os
import shutil
import subprocess
import tempfile
import unittest

import roots

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ROOTS = os.path.join(TOP, "target/roots")
PACKAGES = os.environ["BAM_PACKAGES"]
# A hang is a failure: what apt fetches from afar takes minutes.
LIMIT = 900


ARCHITECTURE = subprocess.run(["dpkg", "--print-architecture"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def package(name):
    """The file of a package of ours, for this machine: a release's folder has others, too."""
    (found,) = (file for kind in (ARCHITECTURE, "all") for file in glob.glob(f"{PACKAGES}/{name}_*_{kind}.deb"))
    return found


class RootTest(unittest.TestCase):
    """Runs once for each release that a subclass names in `suite`."""

    suite = None

    def setUp(self):
        base = os.path.join(ROOTS, self.suite)
        roots.make_root(base, self.suite, "")
        self.top = tempfile.mkdtemp(prefix=f"{self.suite}-", dir=ROOTS)
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        self.root = os.path.join(self.top, "root")
        for name in ("root", "upper", "work"):
            os.mkdir(os.path.join(self.top, name))
        layers = f"lowerdir={base},upperdir={self.top}/upper,workdir={self.top}/work"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, self.root], check=True)
        self.addCleanup(subprocess.run, ["umount", "--recursive", "--lazy", self.root], check=True)
        # What apt has fetched once it need not fetch again.
        fetched = os.path.join(ROOTS, f"{self.suite}.debs")
        os.makedirs(fetched + "/partial", exist_ok=True)
        roots.mount(self.root)
        subprocess.run(["mount", "--bind", fetched, self.root + "/var/cache/apt/archives"], check=True)
        os.makedirs(self.root + "/packages")
        subprocess.run(["mount", "--bind", "-o", "ro", PACKAGES, self.root + "/packages"], check=True)

    def path(self, name):
        return self.root + name

    def run_in(self, *command, expect=0, text=None, **variables):
        """Runs a command in the root; what it said on both outputs."""
        done = subprocess.run([*roots.within(self.root, **variables), *command], input=text, text=True, timeout=LIMIT,
                              stdin=None if text is not None else subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, expect, f"{' '.join(command)}:\n{done.stdout}")
        return done.stdout

    def install(self, *files):
        """Installs packages of ours, by files, and what they depend on."""
        if not os.listdir(self.path("/var/lib/apt/lists")):
            self.run_in("apt-get", "update")
        return self.run_in("apt-get", "install", "--yes", "--no-install-recommends", *files)

    def built(self, *names):
        return [f"/packages/{os.path.basename(package(name))}" for name in names]

    def status(self, name):
        done = subprocess.run([*roots.within(self.root), "dpkg-query", "-W", "-f=${db:Status-Status}", name],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return done.stdout
