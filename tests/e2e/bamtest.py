"""What the end-to-end tests share: a site in a temporary folder, its bam.yml, running bam, comparing trees."""

import atexit
import contextlib
import functools
import hashlib
import json
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import time
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BAM = os.path.abspath(os.environ.get("BAM_BIN", os.path.join(TOP, "target/debug/bam")))
# A hang is a failure. Nothing here takes a tenth of it.
LIMIT = 300
# Few, so that the tests spend their time on what they test; the default is for real keys.
ITERATIONS = 1000


@functools.lru_cache(maxsize=None)
def program_for_others():
    """The program where every user may run it: a checkout may lie in a folder that only its owner may enter."""
    folders = [BAM]
    while folders[-1] != "/":
        folders.append(os.path.dirname(folders[-1]))
    if all(os.stat(folder).st_mode & 0o001 for folder in folders):
        return BAM
    place = tempfile.mkdtemp(prefix="bam-e2e-program-")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    os.chmod(place, 0o755)
    return shutil.copy(BAM, place)


class Result:
    """What a finished bam said."""

    def __init__(self, arguments, code, out, err):
        self.arguments, self.code = arguments, code
        self.out, self.err = out.decode(errors="replace"), err.decode(errors="replace")
        self.raw = out

    def __str__(self):
        return f"bam {' '.join(self.arguments)}: exit code {self.code}\n{self.out}{self.err}"


def can_trace():
    """Whether strace is here, and may trace."""
    return (shutil.which("strace") is not None
            and subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True).returncode == 0)


def has_ended(process):
    """Whether it has; it stays to be waited for."""
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
    except ChildProcessError:
        # Another thread has waited for it.
        return True


def peak_memory(process):
    """The most memory of a process that prints little, in bytes, once it has ended, to be waited for; without the pages of the
    program itself, which are as many as the compiler made. What wait4() tells is no use: it counts what this Python had when it
    started the process, too."""
    peak = 0
    while not has_ended(process):
        with contextlib.suppress(OSError), open(f"/proc/{process.pid}/status") as file:
            held = dict(line.split(":", 1) for line in file)
            if "VmHWM" in held:
                peak = max(peak, int(held["VmHWM"].split()[0]) - int(held["RssFile"].split()[0]) << 10)
        time.sleep(0.005)
    return peak


class SiteTest(unittest.TestCase):
    """One test, one site. `self.document` is its bam.yml, written anew before each run of bam."""

    # What comes before the program, for one that runs in another root.
    within = ()

    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="bam-e2e-")
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        self.root = self.path("site")
        self.files = self.path("site/sites/default/files")
        os.makedirs(self.files)
        self.key = self.path("key")
        with open(self.key, "w") as file:
            file.write("correct horse battery staple\n")
        os.chmod(self.key, 0o600)
        self.document = {
            "site": {"root": self.root, "conf_path": "sites/default", "name": "PECE Lab", "url": "http://example.org"},
            "sources": {"files": {"type": "files", "path": "sites/default/files"}},
            "destinations": {"manual": {"type": "directory", "path": self.path("backups")}},
            "profiles": {"default": {"compression": "gzip", "encryption": "none"},
                         "secret": {"compression": "gzip", "encryption": "aes256"}},
            "encryption": {"key_file": self.key, "iterations": ITERATIONS},
            "state_dir": self.path("state"),
        }

    def path(self, name):
        return os.path.join(self.top, name)

    def write(self, name, content=b"", mode=None):
        """A file of the site, by its path from the docroot."""
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        if mode is not None:
            os.chmod(path, mode)
        return path

    def write_document(self):
        # JSON is YAML.
        path = self.path("bam.yml")
        with open(path, "w") as file:
            json.dump(self.document, file)
        os.chmod(path, 0o600)
        return path

    def start(self, *arguments, config=None, **options):
        """Starts bam, with the test's configuration, another, or (False) none, and returns the process."""
        named = [] if config is False else ["--config", config or self.write_document()]
        program = program_for_others() if "user" in options else BAM
        command = [*self.within, program, *named, *arguments]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, **options)
        self.addCleanup(end, process)
        return process

    def finish(self, process, expect=None):
        out, err = process.communicate(timeout=LIMIT)
        result = Result([str(part) for part in process.args[1:]], process.returncode, out, err)
        if expect is not None:
            self.assertEqual(result.code, expect, result)
            if expect not in (0, 3):
                self.assertTrue(result.err.startswith("bam: "), result)
        return result

    def bam(self, *arguments, expect=0, **options):
        """Runs bam to its end and checks its exit code."""
        return self.finish(self.start(*arguments, **options), expect)

    def bam_json(self, *arguments, expect=0, **options):
        result = self.bam("--json", *arguments, expect=expect, **options)
        return json.loads(result.out)

    def backup(self, *arguments, expect=0):
        """Backs up and returns the result, with the file's path as `path`."""
        made = self.bam_json("backup", *arguments, expect=expect)
        made["path"] = os.path.join(self.destination(), made["file"])
        return made

    def as_ordinary_user(self):
        """What makes bam run as somebody who may not do everything, and to whom the site is given: root's tests need it."""
        if os.geteuid() != 0:
            return {}
        nobody, config = pwd.getpwnam("nobody"), self.write_document()
        run("chown", "-R", f"{nobody.pw_uid}:{nobody.pw_gid}", self.top)
        return {"config": config, "user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}

    def destination(self, name="manual"):
        return self.document["destinations"][name]["path"]

    def visible(self, name="manual"):
        """What a listing of the destination's folder shows."""
        try:
            return sorted(file for file in os.listdir(self.destination(name)) if not file.startswith("."))
        except FileNotFoundError:
            return []

    def assertSays(self, result, *words):
        for word in words:
            self.assertIn(word.lower(), result.err.lower(), result)

    def wait_for_the_next_second(self, made):
        """Whatever is made from now on has a later ID, and another name."""
        self.wait(lambda: time.time() >= made["id"] + 1)

    def wait(self, condition, process=None):
        """Waits until the condition holds; a process that ends before is a failure."""
        last = time.monotonic() + LIMIT
        while not condition():
            if process is not None and process.poll() is not None:
                self.fail(f"bam ended before: {self.finish(process)}")
            self.assertLess(time.monotonic(), last, "this never came to be")
            time.sleep(0.01)


def end(process):
    if process.poll() is None:
        process.kill()
    process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe:
            pipe.close()


def descendants(pid):
    """A process and all its children, as long as they live."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    # The name, in parentheses, may hold anything.
                    parents[int(entry)] = int(file.read().rpartition(")")[2].split()[1])
            except OSError:
                pass
    found = [pid]
    for parent in found:
        found += [child for child, of in parents.items() if of == parent]
    return found


def tree(folder):
    """Everything that a restore has to bring back, by relative path (bytes): kind, mode, owner, mtime, content, and
    the other names of a file with several."""
    folder = os.fsencode(folder)
    found, names = {}, {}
    for parent, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(parent, name)
            info = os.lstat(path)
            what = {"mode": stat.filemode(info.st_mode), "owner": (info.st_uid, info.st_gid)}
            if stat.S_ISLNK(info.st_mode):
                what["target"] = os.readlink(path)
            else:
                what["mtime"] = int(info.st_mtime)
            if stat.S_ISREG(info.st_mode):
                what["size"], what["sha256"] = info.st_size, digest(path)
                what["names"] = names.setdefault(info.st_ino, set())
                what["names"].add(os.path.relpath(path, folder))
            found[os.path.relpath(path, folder)] = what
    return found


def digest(path):
    hasher = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            hasher.update(block)
    return hasher.hexdigest()


def run(*command, **options):
    """Runs another program, which must succeed; its standard output."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    if done.returncode:
        said = (done.stdout[-2000:] + done.stderr[-2000:]).decode(errors="replace")
        raise AssertionError(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{said}")
    return done.stdout
