"""`make install` puts everything where README.md says, it works from there, and `make uninstall` takes it away."""

import os
import shutil
import unittest

from bamtest import BAM, TOP, SiteTest, run

EXPECTED = [
    "usr/local/bin/bam",
    "usr/local/include/bam.h",
    "usr/local/lib/libbam.so",
    "usr/local/share/bam/drush/bam.drush.inc",
    "usr/local/share/bam/php-shim/bin/bam-export-config",
    "usr/local/share/bash-completion/completions/bam",
    "usr/local/share/man/man1/bam.1",
    "usr/local/share/man/man1/bam-destination-add.1",
    "usr/local/share/fish/vendor_completions.d/bam.fish",
    "usr/local/share/zsh/site-functions/_bam",
    "usr/share/drush/commands/bam",
]


@unittest.skipUnless(BAM.startswith(TOP) and shutil.which("make"), "needs make, and bam from this tree")
class Install(SiteTest):
    def make(self, target):
        # What is tested is installed, and not built anew.
        run("make", "-C", TOP, target, f"DESTDIR={self.path('root')}", f"built={os.path.dirname(BAM)}")

    def test_make_without_a_target_says_what_there_is(self):
        # Dry, so that a target that compiles would be told and not made.
        commands = run("make", "-C", TOP, "--dry-run", "--no-print-directory").decode().splitlines()
        self.assertIn("make test", commands[1])
        self.assertEqual([line for line in commands if not line.startswith("echo ")], [])

    def test_it_lies_where_the_readme_says_and_works_from_there(self):
        self.make("install-files")
        for name in EXPECTED:
            self.assertTrue(os.path.lexists(self.path("root/" + name)), name)
        self.assertEqual(os.readlink(self.path("root/usr/share/drush/commands/bam")), "/usr/local/share/bam/drush")
        with open(os.path.join(TOP, "README.md")) as file:
            readme = file.read()
        for name in ("/usr/local/bin/bam", "/usr/local/lib/libbam.so", "/usr/share/drush/commands/bam"):
            self.assertIn(name, readme)
        if shutil.which("php"):
            installed = self.path("root/usr/local/bin/bam")
            run("php", os.path.join(TOP, "tests/demo/make-site.php"), self.path("sample"))
            listed = run(installed, "--root", self.path("sample/docroot"), "destinations")
            self.assertIn(b"manual", listed)
        self.make("uninstall")
        left = [name for _, _, files in os.walk(self.path("root")) for name in files]
        self.assertEqual(left, [])


if __name__ == "__main__":
    unittest.main()
