"""The packages as Composer takes them, without any other repository: of a path, in a project that wants stable ones."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest

from site10 import BAM, TOP

# What a site has besides. Its code is not needed to see what Composer chooses.
OTHERS = [{"name": "drupal/core", "version": "10.4.0", "type": "metapackage"}, {"name": "drush/drush", "version": "13.3.0", "type": "metapackage"}]


@unittest.skipUnless(shutil.which("composer"), "composer is not installed")
class Packages(unittest.TestCase):
    def test_they_are_required_in_one_line_and_have_the_version_of_the_program(self):
        top = tempfile.mkdtemp(prefix="bam-composer-")
        self.addCleanup(shutil.rmtree, top, ignore_errors=True)
        repositories = [{"type": "path", "url": TOP + "/*", "options": {"symlink": True}}, {"type": "package", "package": OTHERS},
                        {"packagist.org": False}]
        with open(top + "/composer.json", "w") as file:
            json.dump({"name": "bam/test", "repositories": repositories, "minimum-stability": "stable", "require": {
                "drupal/core": "^10", "drush/drush": "^13"}}, file)
        environment = {**os.environ, "COMPOSER_HOME": top + "/home", "COMPOSER_ALLOW_SUPERUSER": "1", "COMPOSER_DISABLE_NETWORK": "1"}
        done = subprocess.run(["composer", "require", "--no-interaction", "bam/drush", "bam/drupal"], cwd=top, env=environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        version = subprocess.run([BAM, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
        with open(top + "/composer.lock") as file:
            locked = {package["name"]: package["version"] for package in json.load(file)["packages"]}
        for name in ("bam/bam-php", "bam/drush", "bam/drupal"):
            self.assertEqual(locked[name], version, name)
