"""How tests/run counts what the suites print."""

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


if __name__ == "__main__":
    unittest.main()
