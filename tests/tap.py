"""Runs the Python tests of a folder and prints TAP: what `tests/*/run` have in common."""

import os
import sys
import time
import traceback
import unittest


class Tap(unittest.TestResult):
    """Prints one line for each test and, behind a failure, what went wrong."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def startTest(self, test):
        super().startTest(test)
        self.bad = None
        self.skip = None
        self.started = time.monotonic()

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.bad = err

    addError = addFailure

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            print(f"# in {subtest}")
            # The first failure may be why the others fail.
            self.bad = self.bad or err

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        if not hasattr(self, "started"):  # a whole class
            print(f"ok - {test} # SKIP {reason}", flush=True)
        self.skip = reason

    def stopTest(self, test):
        super().stopTest(test)
        name = test.id().removeprefix("test_")
        directive = f" # SKIP {self.skip}" if self.skip else ""
        print(f"{'not ' if self.bad else ''}ok - {name}{directive}", flush=True)
        if os.environ.get("BAM_TEST_TIMES"):
            print(f"# {time.monotonic() - self.started:.1f} s")
        if self.bad:
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


def main(folder):
    """Runs the tests of `folder` whose name contains one of the arguments, all without any; ends the program."""
    sys.path.insert(0, folder)
    result = Tap(folder)
    tests = unittest.TestLoader().discover(folder, pattern="test_*.py", top_level_dir=folder)
    unittest.TestSuite(wanted(tests, sys.argv[1:])).run(result)
    sys.exit(0 if result.wasSuccessful() else 1)
