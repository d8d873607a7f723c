"""Runs the tests on a real site: `tests/drupal7/run` calls it."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path[:0] = [TESTS, os.path.join(TESTS, "drush"), os.path.join(TESTS, "e2e")]
import tap  # noqa: E402, beside this folder

tap.main(HERE)
