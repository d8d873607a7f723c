"""All parts of a release have one version: the one in Cargo.toml."""

import ctypes
import json
import os
import re
import subprocess
import unittest

from bamtest import BAM, TOP, SiteTest, run

LIBRARY = os.path.join(os.path.dirname(BAM), "libbam.so")


def text(name):
    with open(os.path.join(TOP, name)) as file:
        return file.read()


def found(pattern, name):
    match = re.search(pattern, text(name), re.M)
    return match and match[1]


VERSION = found(r'^\[workspace\.package\]\nversion = "(.+)"$', "Cargo.toml")


class Version(SiteTest):
    def test_what_is_written_down(self):
        places = {
            "include/bam.h": r"libbam\.so\), version (\S+)\. GPL",
            "drupal7/bam.info": r"^version = (\S+)$",
            "drupal10/bam.info.yml": r"^version: (\S+)$",
            "debian/changelog": r"\Abam \(([^)]+)\) ",
            # Dated; what comes after it is under [Unreleased].
            "CHANGELOG.md": r"^## \[(\d[^\]]*)\] - \d{4}-\d\d-\d\d$",
        }
        self.assertEqual({name: found(pattern, name) for name, pattern in places.items()}, dict.fromkeys(places, VERSION))

    def test_the_composer_packages_want_each_other_in_this_version(self):
        series = VERSION.rsplit(".", 1)[0]
        packages = {}
        for name in ("php-shim", "drush", "drupal10"):
            packages[name] = json.loads(text(f"{name}/composer.json"))
            self.assertEqual(packages[name]["extra"]["branch-alias"], {"dev-main": f"{series}.x-dev"}, name)
            # Composer wants none of packages whose versions are tags.
            self.assertNotIn("version", packages[name])
        for name in ("drush", "drupal10"):
            self.assertEqual(packages[name]["require"]["bam/bam-php"], f"^{series}", name)

    def test_what_the_programs_say(self):
        self.assertEqual(self.bam("--version", config=False).out, f"bam {VERSION}\n")
        run(BAM, "manual", self.path(""))
        with open(self.path("bam.1")) as file:
            self.assertIn(f'"bam {VERSION}"', re.search(r"^\.TH .*$", file.read(), re.M)[0])

    @unittest.skipUnless(os.path.isfile(LIBRARY), "the library is not built")
    def test_what_the_library_says(self):
        library = ctypes.CDLL(LIBRARY)
        library.bam_version.restype = ctypes.c_char_p
        self.assertEqual(library.bam_version().decode(), VERSION)
        told = subprocess.run(["readelf", "--dynamic", LIBRARY], check=True, stdout=subprocess.PIPE).stdout.decode()
        self.assertIn(f"Library soname: [libbam.so.{library.bam_abi_version()}]", told)


if __name__ == "__main__":
    unittest.main()
