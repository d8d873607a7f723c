"""From nothing to a first backup, and back in an empty root: real sites, by the lines of the README as they stand there."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import unittest

import roots
from cleanroot import TOP, RootTest

sys.path[:0] = [os.path.join(TOP, "tests", folder) for folder in ("e2e", "drush", "drupal10")]
import drupalsite  # noqa: E402, in another suite
import mariadb  # noqa: E402, in another suite
import site10  # noqa: E402, in another suite
from test_packages import readme_lines  # noqa: E402

STATIC = os.environ["BAM_STATIC"]
CHROOT = shutil.which("chroot", path="/usr/sbin:/sbin:/usr/bin:/bin")
PHP = ("php-cli", "php-mysql", "php-xml", "php-gd", "php-mbstring", "php-curl")
DATABASE = ("mariadb-server-core", "mariadb-client")
# Where README.md has the site.
PLACE = "/var/www/drupal"
PASSWORD = "p#ss"


def tree(folder):
    """What is in a folder, by path."""
    found = {}
    for path, _, names in os.walk(folder):
        for name in names:
            file = os.path.join(path, name)
            with open(file, "rb") as content:
                found[os.path.relpath(file, folder)] = os.readlink(file).encode() if os.path.islink(file) else content.read()
    return found


class Site(RootTest):
    def setUp(self):
        super().setUp()
        roots.mount(self.root, "/tmp")
        # As an administrator's machine has it; no question is answered by anybody here.
        with open(self.path("/etc/hosts"), "a") as file:
            file.write(f"127.0.0.1 localhost {os.uname().nodename}\n")
        self.install("sudo", *DATABASE, *PHP)
        with open(self.path("/etc/apt/apt.conf.d/yes"), "w") as file:
            file.write('APT::Get::Assume-Yes "true";\n')
        self.server = mariadb.Server(root=self.root)
        self.addCleanup(self.server.stop)
        # The web server's user asks it, too.
        os.chmod(self.server.top, 0o755)
        self.server.sql("create database site character set utf8mb4; "
                        f"create user site@localhost identified by '{PASSWORD}'; grant all on site.* to site@localhost; "
                        # For drills, as docs/databases.md says.
                        "grant all on `site\\_%`.* to site@localhost")
        os.makedirs(self.path("/var/www"))

    def lines(self):
        """What README.md says of the installation from packages."""
        lines = readme_lines("Install")
        return lines[:lines.index("make build && sudo make install")]

    def run_lines(self, lines):
        for line in lines:
            # In the folder with the packages.
            said = self.run_in("sh", "-euc", f"cd /packages; {line}")
        return said

    def first_backup(self):
        """All lines but the first, in a minute; gives what is known of the backup."""
        _, *others = self.lines()
        started = time.monotonic()
        said = self.run_lines(others)
        self.assertLess(time.monotonic() - started, 60)
        made = re.search(r"Backup (\d+)", said)
        self.assertTrue(made, said)
        (backup,) = json.loads(self.run_in("bam", "--root", PLACE, "--json", "backups"))["backups"]
        self.assertEqual(str(backup["id"]), made[1])
        self.assertEqual((backup["source"], backup["encryption"], backup["own"]), ("archive", "aes256", True))
        self.run_in("bam", "--root", PLACE, "verify")
        return backup

    def restore_elsewhere(self, backup, files, words):
        """The static program alone, with the backup and the key."""
        (found,) = [os.path.join(path, backup["file"]) for place in ("/var/www", "/srv") for path, _, names in os.walk(self.path(place))
                    if backup["file"] in names]
        empty = os.path.join(self.top, "empty")
        for folder in ("bin", "disk", "run/mysqld"):
            os.makedirs(f"{empty}/{folder}")
        shutil.copy(STATIC, empty + "/bin/bam")
        for end in ("", ".info"):
            shutil.copy(found + end, empty + "/disk")
        shutil.copy(self.path("/etc/bam/key"), empty + "/key")

        def run_in(*command, expect=0):
            done = subprocess.run([CHROOT, empty, "/bin/bam", *command], env={"PATH": "/bin"}, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)
            self.assertEqual(done.returncode, expect, done.stdout.decode(errors="replace")[-4000:])
            return done.stdout

        place = ("--from", "/disk", "--key", "/key", "latest")
        run_in("restore", *place, "--into", "/srv/site", "--yes")
        restored = tree(empty + "/srv/site/docroot")
        for path, content in files.items():
            self.assertEqual(restored.get(path), content, path)
        dump = run_in("cat", *place, "database.sql")
        for word in words:
            self.assertIn(word.encode(), dump)
        # A server is there, but the program that loads dumps into it is not: it says which, and how to get it.
        os.link(self.server.socket, os.path.join(self.server.top, "mysqld.sock"))
        subprocess.run(["mount", "--bind", self.server.top, empty + "/run/mysqld"], check=True)
        self.addCleanup(subprocess.run, ["umount", "--lazy", empty + "/run/mysqld"], check=True)
        self.server.sql("create database clone; grant all on clone.* to site@localhost; grant all on `clone\\_%`.* to site@localhost")
        with open(empty + "/password", "w") as file:
            file.write(PASSWORD + "\n")
        said = run_in("restore", *place, "--into", "/srv/again", "--into-database", "mysql://site@localhost/clone",
                      "--into-password-file", "/password", "--yes", expect=1).decode()
        self.assertRegex(said, r"(?s)mariadb.*apt.* install \S*mariadb-client|mariadb.*install.*mariadb-client")
        return empty

    def pece_setup_twice(self):
        """As installed, with the site and the timer the web server's."""
        self.install("cron")
        cron = subprocess.Popen([CHROOT, self.root, "/usr/sbin/cron", "-f"], stdin=subprocess.DEVNULL)
        self.addCleanup(cron.wait)
        self.addCleanup(cron.kill)
        self.run_in("chown", "root:www-data", PLACE + "/sites/default/settings.php")
        self.run_in("chmod", "640", PLACE + "/sites/default/settings.php")
        setup = ("/usr/share/bam/examples/pece-setup", "--root", PLACE, "--user", "www-data", "--offsite", "none")
        said = self.run_in(*setup)
        self.assertIn("KEEP A COPY OF IT OFF THIS MACHINE", said)
        key = self.path("/etc/bam/key")
        self.assertEqual((os.stat(key).st_uid, os.stat(key).st_mode & 0o777), (33, 0o600))
        before = self.set_up()
        (line,) = [name for name in before if name.startswith("/etc/cron.d/bam-")]
        (backup,) = json.loads(self.run_in("bam", "--root", PLACE, "--json", "backups"))["backups"]
        self.assertEqual((backup["source"], backup["encryption"]), ("archive", "aes256"))
        again = self.run_in(*setup)
        self.assertIn("is there already", again)
        self.assertIn("There is one of the whole site", again)
        self.assertEqual(self.set_up(), before)
        cron.kill()
        cron.wait()
        # The line for cron runs as the web server's user, and finds nothing due.
        with open(self.path(line)) as file:
            self.assertRegex(file.read(), r"(?m)^\*/10 \* \* \* \* www-data '/usr/bin/bam' .*'run'$")
        self.assertEqual(self.run_in("runuser", "-u", "www-data", "--", "bam", "--root", PLACE, "run"), "")

    def set_up(self):
        """What a second run has to leave as it is."""
        said = self.run_in("find", "-H", "/etc/bam", "/etc/cron.d", PLACE + "/sites/default/settings.php", PLACE, "/var/www", "-type", "f",
                           "(", "-path", "/etc/*", "-o", "-name", "settings.php", "-o", "-name", "*.enc", ")", "-exec", "sha256sum", "{}", ";")
        return {line[66:]: line[:64] for line in said.splitlines()}


class Drupal7:
    def setUp(self):
        if not drupalsite.GIVEN or not drupalsite.DRUSH:
            self.skipTest("BAM_TEST_DRUPAL_ROOT and BAM_TEST_DRUSH name no site")
        super().setUp()
        origin = drupalsite.Origin.get()
        drupalsite.copy(origin.top + "/drupal", self.path(PLACE))
        drupalsite.copy(origin.top + "/private", self.path("/var/www/private"))
        with open(origin.dump, "rb") as file:
            subprocess.run(self.server.client("site"), stdin=file, check=True)
        self.server.sql("delete from variable where name like 'bam\\_%'", "site")
        with open(self.path(PLACE + "/sites/default/settings.php"), "a") as file:
            file.write("\nforeach (array_keys(isset($conf) ? $conf : array()) as $name) {\n"
                       "  if (strpos($name, 'bam_') === 0) {\n    unset($conf[$name]);\n  }\n}\n"
                       "$databases['default']['default'] = array('driver' => 'mysql', 'database' => 'site', 'username' => 'site', "
                       f"'password' => '{PASSWORD}', 'host' => 'localhost', 'prefix' => '', 'unix_socket' => '{self.server.socket}');\n"
                       "$conf['file_private_path'] = '/var/www/private';\n$base_url = NULL;\n")
        notes = self.path(PLACE + "/sites/default/files/field notes")
        os.makedirs(notes, exist_ok=True)
        with open(notes + "/ünï.txt", "w") as file:
            file.write("what was seen\n")
        self.run_in("sh", "-euc", f"chown -R www-data: {PLACE}/sites/default/files /var/www/private")

    def test_from_the_packages_to_a_backup_and_back_in_an_empty_root(self):
        files = {path: content for path, content in tree(self.path(PLACE)).items()
                 if not re.match(r"sites/[^/]*/settings.*\.php$|sites/default/files/(css|js|styles|backup_migrate)/", path)}
        self.run_lines(self.lines()[:1])
        backup = self.first_backup()
        # Drush 8 has its commands without a step more.
        program = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(drupalsite.DRUSH))))
        drupalsite.copy(program, self.path("/opt/drush"))
        drush = "/opt/drush/" + os.path.relpath(os.path.abspath(drupalsite.DRUSH), program)
        said = self.run_in("php", "-d", "error_reporting=0", drush, f"--root={PLACE}", "bam-backups")
        self.assertIn(str(backup["id"]), said)
        self.run_in("php", "-d", "error_reporting=0", drush, f"--root={PLACE}", "-y", "bam-restore", str(backup["id"]))
        self.restore_elsewhere(backup, files, ["INSERT INTO `users`", "CREATE TABLE `node`"])

    def test_pece_setup_as_installed_can_be_run_twice(self):
        self.run_lines(self.lines()[:1])
        self.pece_setup_twice()


class Drupal10:
    def setUp(self):
        if not site10.GIVEN or not site10.DRUSH:
            self.skipTest("BAM_TEST_DRUPAL10_ROOT and BAM_TEST_DRUSH10 name no site")
        super().setUp()
        given = site10.project()
        docroot = os.path.relpath(os.path.abspath(site10.GIVEN), given)
        self.project = "/srv/project"
        drupalsite.copy(given, self.path(self.project))
        conf = self.path(f"{self.project}/{docroot}/sites/default")
        for path in (conf + "/files", *(self.path(f"{self.project}/{name}") for name in ("private", "config", "vendor/bam", "drush"))):
            shutil.rmtree(path, ignore_errors=True)
        module = self.path(f"{self.project}/{docroot}/modules/contrib/bam")
        with contextlib.suppress(OSError):
            os.unlink(module)
        shutil.rmtree(module, ignore_errors=True)
        os.makedirs(os.path.dirname(module), exist_ok=True)
        os.makedirs(self.path(self.project) + "/drush")
        os.chmod(conf, 0o755)
        settings = conf + "/settings.php"
        if os.path.exists(settings):
            os.unlink(settings)
        with open(settings, "w") as file:
            file.write("<?php\n$settings['hash_salt'] = 'only for tests';\n$settings['file_private_path'] = '../private';\n" + self.database())
        os.mkdir(self.path(self.project) + "/private")
        os.symlink(f"{self.project}/{docroot}", self.path(PLACE))
        inside = os.path.relpath(os.path.abspath(site10.DRUSH), given)
        self.assertFalse(inside.startswith(".."), "BAM_TEST_DRUSH10 is not in the project")
        self.program = f"{self.project}/{inside}"
        self.drush("site:install", "minimal", "--site-name=Field Lab", "--account-pass=admin", "--yes")
        # The installer has written the database down anew, without its socket.
        with open(settings, "a") as file:
            file.write(self.database())

    def database(self):
        return ("$databases['default']['default'] = ['driver' => 'mysql', "
                f"'database' => 'site', 'username' => 'site', 'password' => '{PASSWORD}', 'host' => 'localhost', 'prefix' => '', "
                f"'unix_socket' => '{self.server.socket}', 'namespace' => 'Drupal\\\\mysql\\\\Driver\\\\Database\\\\mysql', "
                "'autoload' => 'core/modules/mysql/src/Driver/Database/mysql/'];\n")

    def drush(self, *arguments):
        return self.run_in("sh", "-euc", 'cd "$0" && exec "$@"', self.project, "php", "-d", "memory_limit=-1", self.program, *arguments)

    def test_from_the_packages_to_a_backup_and_back_in_an_empty_root(self):
        self.run_lines(self.lines()[:1])
        self.enable()
        notes = self.path(self.project + "/private notes")
        os.makedirs(notes)
        with open(notes + "/ünï.txt", "w") as file:
            file.write("what was seen\n")
        backup = self.first_backup()
        self.assertIn(str(backup["id"]), self.drush("bam:backups"))
        self.drush("bam:restore", str(backup["id"]), "--yes")
        self.restore_elsewhere(backup, {}, ["Field Lab", "CREATE TABLE `node`"])

    def test_pece_setup_as_installed_can_be_run_twice(self):
        self.run_lines(self.lines()[:1])
        self.enable()
        self.run_in("chown", "-R", "www-data:", f"{PLACE}/sites/default/files", f"{self.project}/private")
        self.pece_setup_twice()

    def enable(self):
        """As README.Debian says it, without Composer."""
        with open(self.path(self.project) + "/drush/drush.yml", "w") as file:
            file.write("drush:\n  commands:\n    '\\Bam\\Drush\\Commands\\BamDrushCommands': "
                       "'/usr/share/bam/drush/src/Drush/Commands/BamDrushCommands.php'\n")
        self.run_in("ln", "-s", "/usr/share/bam/drupal10", f"{PLACE}/modules/contrib/bam")
        self.drush("pm:install", "bam", "node", "--yes")


class Debian12Drupal7(Drupal7, Site):
    suite = "bookworm"


class Debian12Drupal10(Drupal10, Site):
    suite = "bookworm"


class Debian13Drupal7(Drupal7, Site):
    suite = "trixie"


class Debian13Drupal10(Drupal10, Site):
    suite = "trixie"

if __name__ == "__main__":
    unittest.main()
