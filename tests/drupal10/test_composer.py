"""The packages as Composer takes them, without any other repository: of the path where they are installed, in a project that wants stable ones."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest

from site10 import BAM, TOP

# What a site has besides. Its code is not needed to see what Composer chooses.
OTHERS = [{"name": "drupal/core", "version": "10.4.0", "type": "metapackage"}, {"name": "drush/drush", "version": "13.3.0", "type": "metapackage"}]

FOLDERS = ("php-shim", "drush", "drupal10")


@unittest.skipUnless(shutil.which("composer"), "composer is not installed")
class Packages(unittest.TestCase):
    def test_they_are_required_in_one_line_and_have_the_version_of_the_program(self):
        top = tempfile.mkdtemp(prefix="bam-composer-")
        self.addCleanup(shutil.rmtree, top, ignore_errors=True)
        version = subprocess.run([BAM, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
        installed = [shutil.copytree(os.path.join(TOP, name), os.path.join(top, "share", name)) for name in FOLDERS]
        subprocess.run([os.path.join(TOP, "packaging/composer-version"), version, *installed], check=True)
        repositories = [{"type": "path", "url": top + "/share/*", "options": {"symlink": True}}, {"type": "package", "package": OTHERS},
                        {"packagist.org": False}]
        with open(top + "/composer.json", "w") as file:
            json.dump({"name": "bam/test", "repositories": repositories, "minimum-stability": "stable", "require": {
                "drupal/core": "^10", "drush/drush": "^13"}}, file)
        environment = {**os.environ, "COMPOSER_HOME": top + "/home", "COMPOSER_ALLOW_SUPERUSER": "1", "COMPOSER_DISABLE_NETWORK": "1"}
        done = subprocess.run(["composer", "require", "--no-interaction", "bam/drush", "drupal/bam"], cwd=top, env=environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(top + "/composer.lock") as file:
            locked = {package["name"]: package["version"] for package in json.load(file)["packages"]}
        for name in ("bam/bam-php", "bam/drush", "drupal/bam"):
            self.assertEqual(locked[name], version, name)

    def test_they_can_be_published(self):
        for name in FOLDERS:
            done = subprocess.run(["composer", "validate", "--strict", os.path.join(TOP, name, "composer.json")], capture_output=True,
                                  env={**os.environ, "COMPOSER_ALLOW_SUPERUSER": "1"}, stdin=subprocess.DEVNULL, text=True, timeout=300)
            self.assertEqual(done.returncode, 0, f"{name}: {done.stdout}{done.stderr}")
