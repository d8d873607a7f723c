"""Runs the Python tests of a folder and prints TAP: what `tests/*/run` have in common."""

import os
import sys
import time
import traceback
import unittest

import workers


def processors():
    """Seconds of processors that this process took, and all that it started, servers that go on among them."""
    times, parents = {}, {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(pid)], times[int(pid)] = int(fields[1]), sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    seconds, mine = 0, {os.getpid()}
    while mine:
        seconds += sum(times.get(pid, 0) for pid in mine)
        mine = {pid for pid, parent in parents.items() if parent in mine}
    return seconds


class Tap(unittest.TestResult):
    """Prints one line for each test and, behind a failure, what went wrong."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder
        # The test that runs, or None: what goes wrong then is a class's or a module's.
        self.test = None
        # Called when a test has ended.
        self.on_end = lambda: None

    def startTest(self, test):
        super().startTest(test)
        self.test = test
        self.bad = None
        self.skip = None
        self.started = time.monotonic(), processors()

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.bad = err
        if self.test is None:
            print(f"not ok - {test}")
            self.explain()

    addError = addFailure

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            print(f"# in {subtest}")
            # The first failure may be why the others fail.
            self.bad = self.bad or err

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        if self.test is None:
            print(f"ok - {test} # SKIP {reason}", flush=True)
        self.skip = reason

    def stopTest(self, test):
        super().stopTest(test)
        name = test.id().removeprefix("test_")
        directive = f" # SKIP {self.skip}" if self.skip else ""
        print(f"{'not ' if self.bad else ''}ok - {name}{directive}", flush=True)
        if os.environ.get("BAM_TEST_TIMES"):
            started, used = self.started
            print(f"# {time.monotonic() - started:.1f} s, {processors() - used:.1f} of processors")
        if self.bad:
            self.explain()
        self.test = None
        self.on_end()

    def explain(self):
        kind, error, trace = self.bad
        for frame in traceback.extract_tb(trace):
            if os.path.dirname(frame.filename) == self.folder:
                print(f"#   {os.path.basename(frame.filename)}:{frame.lineno}: {frame.line}")
        for line in f"{kind.__name__}: {error}".splitlines():
            print(f"#   {line}", flush=True)


def wanted(suite, patterns):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from wanted(item, patterns)
        elif not patterns or any(pattern in item.id() for pattern in patterns):
            yield item


def group_of(test):
    """What one process has to run as a whole: a class, or a module that is prepared as one."""
    module = sys.modules[type(test).__module__]
    shared = hasattr(module, "setUpModule") or hasattr(module, "tearDownModule")
    return module.__name__.removeprefix("test_") + ("" if shared else f".{type(test).__qualname__}")


def run_beside(tests, result, jobs):
    """Runs the tests by several processes. A class whose attribute `alone` tells a reason runs when the others have ended;
    one with `long` is among the first, for else it would be the last."""
    groups = {}
    for test in tests:
        groups.setdefault(group_of(test), []).append(test)
    alone = [name for name, of in groups.items() if any(getattr(test, "alone", None) for test in of)]
    beside = [name for name in groups if name not in alone]
    beside.sort(key=lambda name: not any(getattr(test, "long", False) for test in groups[name]))
    return workers.run(groups, result, beside, jobs) & workers.run(groups, result, alone, 1)


def main(folder, jobs=1):
    """Runs the tests of `folder` whose name contains one of the arguments, all without any, by so many processes; ends the
    program."""
    sys.path.insert(0, folder)
    result = Tap(folder)
    found = unittest.TestLoader().discover(folder, pattern="test_*.py", top_level_dir=folder)
    tests = list(wanted(found, sys.argv[1:]))
    if jobs > 1:
        good = run_beside(tests, result, jobs)
    else:
        unittest.TestSuite(tests).run(result)
        good = result.wasSuccessful()
    sys.exit(0 if good else 1)
