#!/usr/bin/env python3
"""The tests on a real Drupal 10 with Drush 12 or 13, in TAP; see run.

BAM_TEST_DRUPAL10_ROOT names the docroot of a Composer project, BAM_TEST_DRUSH10 its drush; without them all are skipped.
The project is only read: the tests work on copies of its code, which they install into databases of their own.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path[:0] = [TESTS, os.path.join(TESTS, "e2e")]
import tap  # noqa: E402, beside this folder

tap.main(HERE)
