"""How tests/run counts what the suites print, and how tests/tap.py lets several processes run one."""

import os
import subprocess
import sys
import tempfile
import unittest

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, TESTS)
import counting  # noqa: E402, beside this folder

BROKEN = """#[test] fn good() { println!("SKIP good: no server"); }
#[test] fn bad() { println!("the words of bad"); panic!("why it failed"); }
#[test] fn fine() { println!("the words of fine"); }
"""

TESTED = """
import os, unittest
class Good(unittest.TestCase):
    def test_fine(self): print("# the words of fine")
    def test_bad(self): self.fail("why it failed")
class Killed(unittest.TestCase):
    def test_first(self): pass
    def test_killed(self): os.kill(os.getpid(), 9)
class Unprepared(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise unittest.SkipTest("no server")
    def test_never(self): pass
class Alone(unittest.TestCase):
    alone = "a reason"
    def test_last(self): pass
"""


class Counting(unittest.TestCase):
    def test_only_what_passes_alone_is_unsteady(self):
        first = counting.read_tap("ok - a\nnot ok - b\nnot ok - c\nnot ok - d\n")
        first.settle(counting.read_tap("ok - b\nnot ok - c\n"))
        self.assertEqual((first.passed, first.unsteady, first.failed), (["a", "b"], ["b"], ["c", "d"]))

    def test_a_name_that_two_programs_share_must_pass_in_both(self):
        first = counting.read_cargo("test a ... FAILED\n")
        first.settle(counting.read_cargo("test a ... ok\ntest a ... FAILED\n"))
        self.assertEqual((first.unsteady, first.failed), ([], ["a"]))

    def test_of_what_rust_prints_the_failed_are_shown(self):
        with tempfile.TemporaryDirectory(prefix="bam-e2e-") as scratch:
            source = os.path.join(scratch, "some.rs")
            with open(source, "w") as file:
                file.write(BROKEN)
            program = os.path.join(scratch, "some")
            subprocess.run(["rustc", "--test", "-o", program, source], check=True)
            text = subprocess.run([program, "--show-output"], capture_output=True, text=True).stdout
        count = counting.read_cargo(text)
        self.assertEqual((count.passed, count.failed, count.skipped), (["fine"], ["bad"], ["good: no server"]))
        shown = counting.about_failed(text, count.failed)
        self.assertIn("why it failed", shown)
        self.assertIn("the words of bad", shown)
        self.assertNotIn("the words of fine", shown)
        self.assertEqual(counting.about_failed("error: no such crate", ["rust: the suite itself stopped (101)"]), "error: no such crate")


class Beside(unittest.TestCase):
    def test_what_several_processes_ran_is_counted_as_what_one_ran(self):
        with tempfile.TemporaryDirectory(prefix="bam-e2e-") as scratch:
            with open(os.path.join(scratch, "test_some.py"), "w") as file:
                file.write(TESTED)
            script = f"import sys; sys.path.insert(0, {TESTS!r}); import tap; tap.main({scratch!r}, jobs=2)"
            done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        count = counting.read_tap(done.stdout)
        self.assertEqual(done.returncode, 1, done)
        self.assertEqual(sorted(count.passed), ["some.Alone.test_last", "some.Good.test_fine", "some.Killed.test_first"])
        self.assertEqual(count.passed[-1], "some.Alone.test_last")
        self.assertEqual(sorted(count.failed), ["some.Good.test_bad", "some.Killed"])
        self.assertEqual(count.skipped, ["setUpClass (test_some.Unprepared): no server"])
        self.assertIn("# the words of fine\nok - some.Good.test_fine\n", done.stdout)
        self.assertIn("why it failed", done.stdout)


if __name__ == "__main__":
    unittest.main()
