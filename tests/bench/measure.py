"""Runs commands in turn and measures them: seconds, processor time, memory and temporary disk of the process tree."""

import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import threading
import time


class Sample:
    """One run of a command."""

    def __init__(self):
        self.seconds = self.processor = 0.0
        self.tree = self.engine = self.disk = 0


def tree_of(root):
    """The processes below `root`, itself first, with their resident bytes."""
    children, resident = {}, {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = open(f"/proc/{entry}/stat").read().rsplit(")", 1)[1].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry))
            resident[int(entry)] = int(fields[21]) * 4096
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop(0)
        found.append((pid, resident.get(pid, 0)))
        waiting.extend(children.get(pid, []))
    return found


def peak(pid):
    """The most that a process ever had in memory, by the kernel's own account."""
    try:
        for line in open(f"/proc/{pid}/status"):
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def unlinked(pids, below):
    """Bytes of open files below a folder that have no name any more."""
    found = {}
    for pid in pids:
        try:
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                link = f"/proc/{pid}/fd/{descriptor}"
                name = os.readlink(link)
                if name.startswith(str(below)) and name.endswith(" (deleted)"):
                    about = os.stat(link)
                    found[about.st_dev, about.st_ino] = about.st_blocks * 512
        except OSError:
            continue
    return sum(found.values())


def named(below):
    total = 0
    for folder, _, files in os.walk(below):
        for file in files:
            try:
                total += os.lstat(os.path.join(folder, file)).st_blocks * 512
            except OSError:
                continue
    return total


def ticks(pid):
    """The processor seconds of a process that goes on."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def timed(command, temporary=None, server=None):
    """Runs a shell command and measures it. `temporary` is the folder whose use of disk is watched. With a `server`, the
    process that does the work for it, the processor time is that one's."""
    sample, over = Sample(), threading.Event()
    worked = ticks(server) if server else 0
    began, before = time.monotonic(), os.times()
    process = subprocess.Popen(["bash", "-o", "pipefail", "-c", command], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def watch():
        while not over.wait(0.03):
            tree = tree_of(process.pid)
            sample.tree = max(sample.tree, sum(resident for _, resident in tree))
            # bash replaces itself by a single command.
            sample.engine = max(sample.engine, peak(process.pid))
            if temporary is not None:
                sample.disk = max(sample.disk, named(temporary) + unlinked([pid for pid, _ in tree], temporary))

    watcher = threading.Thread(target=watch)
    watcher.start()
    complaints = process.communicate()[1]
    sample.seconds = time.monotonic() - began
    after = os.times()
    sample.processor = (ticks(server) - worked if server else
                        after.children_user + after.children_system - before.children_user - before.children_system)
    over.set()
    watcher.join()
    if process.returncode:
        sys.exit(f"failed ({process.returncode}): {command}\n{complaints.decode(errors='replace')}")
    return sample


class Measured:
    """A command that is run several times."""

    def __init__(self, name, command):
        self.name, self.command, self.samples = name, command, []

    def seconds(self):
        return statistics.median(sample.seconds for sample in self.samples)

    def processor(self):
        return statistics.median(sample.processor for sample in self.samples)


class Side(Measured):
    """A tool in a comparison. `output` is emptied before each run and weighed after it."""

    def __init__(self, name, command, output=None, prepare=None):
        super().__init__(name, command)
        self.output, self.prepare, self.size = output, prepare, None

    def run(self, temporary):
        if self.output is not None:
            shutil.rmtree(self.output, ignore_errors=True)
            pathlib.Path(self.output).mkdir(parents=True)
        shutil.rmtree(temporary, ignore_errors=True)
        pathlib.Path(temporary).mkdir(parents=True)
        if self.prepare is not None:
            self.prepare()
        self.samples.append(timed(self.command, temporary))
        if self.output is not None:
            self.size = sum(f.stat().st_size for f in pathlib.Path(self.output).rglob("*") if f.is_file())


class Stage(Measured):
    """A part of the work alone. With a `server`, its processor time is that one's."""

    def __init__(self, name, command, server=None):
        super().__init__(name, command)
        self.server = server

    def run(self):
        self.samples.append(timed(self.command, server=self.server))


def stages(program, work, tree, key, dump=None, server=None):
    """What a backup of a folder, and of what `dump` writes, is made of. `program` is bam-bench-data; `server` is the
    database server's process."""
    tar, packed, zeros = work / "all.tar", work / "all.tar.gz", "0" * 32
    more = [Stage("mariadb-dump, the server's work", f"{dump} > /dev/null", server=server)] if dump else []
    timed(f"tar -C {tree} -cf {tar} .")
    if dump:
        timed(f"{dump} > {work}/dump.sql && tar -C {work} -rf {tar} dump.sql && rm {work}/dump.sql")
    timed(f"{program} compress default < {tar} > {packed}")
    return [Stage("reading the tree", f"find {tree} -type f -print0 | xargs -0 cat > /dev/null"), *more,
            Stage("compressing on all processors, default", f"{program} compress default < {tar} > /dev/null"),
            Stage("AES-256-CBC", f"openssl enc -aes-256-cbc -K {zeros * 2} -iv {zeros} -in {packed} -out /dev/null"),
            Stage("its key", f"openssl enc -aes-256-cbc -pbkdf2 -iter 600000 -pass file:{key} -in /dev/null -out /dev/null"),
            Stage("SHA-256", f"openssl dgst -sha256 {packed}"),
            Stage("writing", f"cp --reflink=never {packed} {packed}.copy")]


def packed_dump(dump):
    """How large a dump is that zstd compresses: the temporary disk of who keeps it so."""
    sizes = [int(subprocess.run(["bash", "-o", "pipefail", "-c", f"{dump} | zstd -q -{level} | wc -c"], check=True,
                                capture_output=True).stdout) for level in (1, 3)]
    return f"The dump through zstd -1 is {sizes[0] / 1e6:.1f} MB, through zstd -3 {sizes[1] / 1e6:.1f} MB."


def compare(title, sides, temporary, rounds, floors=(), note=""):
    """Runs all sides in turn, the first of which is ours, and prints a table. `floors` are stages."""
    for _ in range(rounds):
        for side in sides:
            side.run(temporary)
        for floor in floors:
            floor.run()
    print(f"\n## {title}\n\n{note}\n\n"
          "| | seconds | bam is | processor seconds | peak memory | of the process itself | temporary disk | output |\n"
          "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    ours = sides[0].seconds()
    for side in sides:
        ratio = "" if side is sides[0] else f"{side.seconds() / ours:.1f} times as fast"
        samples = side.samples
        print(f"| {side.name} | {side.seconds():.2f} | {ratio} | {side.processor():.1f} "
              f"| {max(s.tree for s in samples) / 2**20:.0f} MiB | {max(s.engine for s in samples) / 2**20:.0f} MiB "
              f"| {max(s.disk for s in samples) / 1e6:.0f} MB | {f'{side.size / 1e6:.1f} MB' if side.size else ''} |")
    for floor in floors:
        print(f"| floor: {floor.name} | {floor.seconds():.2f} | | {floor.processor():.2f} | | | | |")
    if floors:
        highest = max(floors, key=Stage.seconds)
        work = sum(floor.processor() for floor in floors)
        least = work / os.cpu_count()
        beside = ", ".join(f"{side.seconds() / least:.1f} times as fast as {side.name}"
                           for side in sides[1:] if side.seconds() > ours)
        print(f"\nbam takes {ours / highest.seconds():.2f} times as long as the highest floor, {highest.name}. The stages "
              f"need {work:.2f} processor seconds, without taking the rows from the server. A program that did nothing else, on "
              f"all {os.cpu_count()} processors all the time, would take {least:.2f} s: bam takes "
              f"{ours / least:.2f} times that, and such a program would be {beside}.")
    sys.stdout.flush()
