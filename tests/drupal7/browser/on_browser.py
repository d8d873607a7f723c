"""Runs the tests in a real browser: `tests/drupal7/run` calls it."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [TESTS, os.path.join(TESTS, "drupal7"), os.path.join(TESTS, "drush"), os.path.join(TESTS, "e2e")]
import tap  # noqa: E402, beside these folders

tap.main(HERE)
