"""What an administrator does with the packages: install, first backup, upgrade, remove, purge."""

import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest

from cleanroot import TOP, RootTest, package

ALL = ("bam", "libbam1", "libbam-dev", "php-bam")
BEFORE = "0.2.0"
SITE = os.path.join(TOP, "tests/demo/make-site.php")


def readme_lines(heading):
    """The indented commands of a section of README.md."""
    with open(os.path.join(TOP, "README.md")) as file:
        section = re.search(rf"(?ms)^## {heading}\n(.*?)^## ", file.read())[1]
    return re.findall(r"(?m)^    (.*)$", section)


class Packages:
    def sample_site(self):
        shutil.copy(SITE, self.path("/root"))
        os.makedirs(self.path("/var/www"))
        self.install("php-sqlite3")
        self.run_in("php", "/root/make-site.php", "/var/www/sample")
        return "/var/www/sample/docroot"

    def test_the_readme_leads_to_a_first_encrypted_backup(self):
        first, *others = readme_lines("Install")
        self.assertEqual(first, "sudo apt install ./bam_*.deb ./libbam1_*.deb ./php-bam_*.deb")
        self.install(*self.built("bam", "libbam1", "php-bam"))
        docroot = self.sample_site()
        self.assertEqual(os.stat(self.path("/etc/bam")).st_mode & 0o7777, 0o711)
        self.assertEqual(os.stat(self.path("/etc/bam")).st_uid, 0)
        # As they stand there, but for the site's folder; root needs no sudo, and a minimal Debian has none.
        started = time.monotonic()
        for line in others[:others.index("make build && sudo make install")]:
            said = self.run_in("sh", "-euc", line.replace("sudo ", "").replace("/var/www/drupal", docroot))
        self.assertLess(time.monotonic() - started, 60)
        self.assertRegex(said, r"Backup \d+")
        made = self.run_in("bam", "--root", docroot, "--json", "backups")
        self.assertIn('"encryption": "aes256"', made)
        self.run_in("bam", "--root", docroot, "verify")
        self.run_in("bam", "--root", docroot, "restore", "latest", "--yes")
        # The library through PHP, as Drush uses it.
        code = 'require "/usr/share/bam/php-shim/autoload.php"; echo implode(" ", Bam\\Library::find()), " ", Bam\\Native::get()->version();'
        said = self.run_in("php", "-r", code)
        self.assertRegex(said, r"^/usr/lib/\S+-linux-gnu/libbam\.so\.1 /usr/share/bam/include/bam\.h \d")

    def test_everything_is_where_others_look(self):
        self.install(*self.built(*ALL))
        self.assertEqual(self.run_in("realpath", "/usr/share/drush/commands/bam/bam.drush.inc").strip(), "/usr/share/bam/drush/bam.drush.inc")
        for name in ("/usr/share/man/man1/bam.1.gz", "/usr/share/man/man1/bam-restore.1.gz", "/usr/share/zsh/vendor-completions/_bam",
                     "/usr/share/bash-completion/completions/bam", "/usr/share/fish/vendor_completions.d/bam.fish", "/usr/include/bam.h",
                     "/usr/share/bam/drupal7/bam.module", "/usr/share/bam/drupal10/bam.info.yml", "/usr/lib/systemd/system/bam@.timer"):
            self.assertTrue(os.path.exists(self.path(name)), name)
        self.assertEqual(self.run_in("find", "/usr/share/bam", "-perm", "/022", "!", "-type", "l"), "")
        # A program of somebody else.
        self.install("gcc", "libc6-dev", "pkg-config")
        with open(self.path("/root/it.c"), "w") as file:
            file.write('#include <stdbool.h>\n#include <stdint.h>\n#include <stddef.h>\n#include <stdio.h>\n#include <bam.h>\n'
                       'int main(void) { return puts(bam_version()) < 0; }\n')
        self.run_in("sh", "-euc", "cc -o /root/it /root/it.c $(pkg-config --cflags --libs bam)")
        said = self.run_in("/root/it").strip()
        self.assertEqual(self.run_in("bam", "--version"), f"bam {said}\n")
        self.assertEqual(self.run_in("pkg-config", "--modversion", "bam").strip(), said)

    def test_keys_settings_and_backups_survive_upgrade_removal_and_purge(self):
        self.install(*self.older("bam", "libbam1", "php-bam"))
        self.assertEqual(self.run_in("dpkg-query", "-W", "-f=${Version}", "bam"), BEFORE)
        self.assertTrue(os.path.exists(self.path("/usr/share/bam/gone-later")))
        os.chmod(self.path("/etc/bam"), 0o750)
        self.run_in("bam", "keygen", "/etc/bam/key")
        self.run_in("install", "-d", "/srv/files", "/srv/backups")
        self.run_in("sh", "-euc", "echo kept > /srv/files/a.txt")
        with open(self.path("/etc/bam/bam.yml"), "w") as file:
            file.write("sources: { files: { type: files, path: /srv/files } }\n"
                       "destinations: { manual: { type: directory, path: /srv/backups } }\n"
                       "profiles: { default: { encryption: aes256 } }\n"
                       "encryption: { key_file: /etc/bam/key }\n")
        os.chmod(self.path("/etc/bam/bam.yml"), 0o600)
        self.run_in("bam", "backup", "files")
        kept = self.kept()
        self.assertGreater(len(kept), 4)

        self.install(*self.built("bam", "libbam1", "php-bam"))
        self.assertNotEqual(self.run_in("dpkg-query", "-W", "-f=${Version}", "bam"), BEFORE)
        self.assertFalse(os.path.exists(self.path("/usr/share/bam/gone-later")))
        self.assertEqual(os.stat(self.path("/etc/bam")).st_mode & 0o7777, 0o750, "an administrator's mode stays")
        self.assertEqual(self.kept(), kept)
        self.run_in("bam", "verify")

        kept = self.kept()
        os.symlink("/usr/lib/systemd/system/bam@.timer", self.path("/etc/systemd/system/timers.target.wants/bam@bam.timer"))
        said = self.run_in("apt-get", "remove", "--yes", "bam", "libbam1", "php-bam")
        self.assertIn("bam@bam.timer runs bam and stays", said)
        self.assertEqual(self.kept(), kept)
        # Of the others nothing was left that dpkg knows of.
        said = self.run_in("apt-get", "purge", "--yes", "bam")
        self.assertIn("stay in /etc/bam", said)
        self.assertIn("stay in /var/lib/bam", said)
        self.assertEqual(self.kept(), kept)
        self.assertIn(self.status("bam"), ("", "not-installed"))
        left = self.run_in("find", "/usr", "-name", "*bam*", "!", "-path", "/usr/share/doc/*")
        self.assertEqual(left, "")

    def test_files_of_other_packages_are_left_alone(self):
        self.install(*self.built(*ALL))
        ours = self.run_in("sh", "-euc", f"dpkg -L {' '.join(ALL)} | sort -u | while read file; do [ -d \"$file\" ] || echo \"$file\"; done").split()
        owners = self.run_in("sh", "-euc", "xargs dpkg -S", text="\n".join(ours))
        self.assertEqual([line for line in owners.splitlines() if "," in line.split(": /")[0] or "diversion" in line], [])
        self.assertEqual(self.run_in("dpkg", "--verify", *ALL), "")

    def test_lintian_of_the_release_says_nothing_above_info(self):
        self.install("lintian")
        # Without the packages with debug lines: those of a development build are empty.
        files = self.built(*ALL)
        said = self.run_in("lintian", "--allow-root", "--tag-display-limit", "0", "--fail-on", "none", *files)
        self.assertEqual([line for line in said.splitlines() if re.match(r"[EW]: ", line)], [], said)

    def kept(self):
        """What no package may touch: name, owner, mode and content."""
        return self.run_in("find", "/etc/bam", "/var/lib/bam", "/srv", "-type", "f", "!", "-name", "*.lock",
                           "-printf", "%p %U %m ", "-exec", "sha256sum", "{}", ";").splitlines()

    def older(self, *names):
        """The packages as of a version before: with another number, and a file that the newer do not have."""
        os.makedirs(self.path("/older"))
        files = []
        for name in names:
            with tempfile.TemporaryDirectory() as folder:
                subprocess.run(["dpkg-deb", "--raw-extract", package(name), folder], check=True)
                control = os.path.join(folder, "DEBIAN/control")
                with open(control) as file:
                    text = re.sub(r"(?m)^Version: .*$", f"Version: {BEFORE}", file.read())
                with open(control, "w") as file:
                    file.write(re.sub(r"\b((?:lib)?bam1?) \(>= [^)]*\)", rf"\1 (>= {BEFORE})", text))
                if name == "bam":
                    with open(os.path.join(folder, "usr/share/bam/gone-later"), "w") as file:
                        file.write("only in the version before\n")
                files.append(f"/older/{name}.deb")
                subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", folder, self.path(files[-1])], check=True,
                               stdout=subprocess.DEVNULL)
        return files


class Debian12(Packages, RootTest):
    suite = "bookworm"


class Debian13(Packages, RootTest):
    suite = "trixie"


if __name__ == "__main__":
    unittest.main()
