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


def timed(command, temporary=None):
    """Runs a shell command and measures it. `temporary` is the folder whose use of disk is watched."""
    sample, over = Sample(), threading.Event()
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
    sample.processor = after.children_user + after.children_system - before.children_user - before.children_system
    over.set()
    watcher.join()
    if process.returncode:
        sys.exit(f"failed ({process.returncode}): {command}\n{complaints.decode(errors='replace')}")
    return sample


class Side:
    """A tool in a comparison. `output` is emptied before each run and weighed after it."""

    def __init__(self, name, command, output=None, prepare=None):
        self.name, self.command, self.output, self.prepare = name, command, output, prepare
        self.samples, self.size = [], None

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

    def seconds(self):
        return statistics.median(sample.seconds for sample in self.samples)


def compare(title, sides, temporary, rounds, floors=(), note=""):
    """Runs all sides in turn, the first of which is ours, and prints a table. `floors` are (name, command): stages, of
    which the first, reading, is part of others."""
    bounds = [(name, [], command) for name, command in floors]
    for _ in range(rounds):
        for side in sides:
            side.run(temporary)
        for _, samples, command in bounds:
            samples.append(timed(command))
    print(f"\n## {title}\n\n{note}\n\n"
          "| | seconds | bam is | processor seconds | peak memory | of the process itself | temporary disk | output |\n"
          "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    ours = sides[0].seconds()
    for side in sides:
        ratio = "" if side is sides[0] else f"{side.seconds() / ours:.1f} times as fast"
        samples = side.samples
        print(f"| {side.name} | {side.seconds():.2f} | {ratio} | {statistics.median(s.processor for s in samples):.1f} "
              f"| {max(s.tree for s in samples) / 2**20:.0f} MiB | {max(s.engine for s in samples) / 2**20:.0f} MiB "
              f"| {max(s.disk for s in samples) / 1e6:.0f} MB | {f'{side.size / 1e6:.1f} MB' if side.size else ''} |")
    if bounds:
        bounds = [(name, statistics.median(s.seconds for s in samples), statistics.median(s.processor for s in samples))
                  for name, samples, _ in bounds]
        for name, seconds, processor in bounds:
            print(f"| floor: {name} | {seconds:.2f} | | {processor:.1f} | | | | |")
        name, highest, _ = max(bounds, key=lambda bound: bound[1])
        work = sum(processor for _, _, processor in bounds[1:])
        print(f"\nbam takes {ours / highest:.2f} times as long as the highest floor, {name}, and {ours * os.cpu_count() / work:.2f} "
              f"times what {os.cpu_count()} processors need for these stages, {work:.1f} processor seconds (without writing, a "
              "database server's work, and compressing its dump).")
    sys.stdout.flush()
