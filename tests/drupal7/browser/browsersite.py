"""A copy of the real site, installed as Debian would, behind a real web server, and people with browsers."""

import os
import shutil
import subprocess
import sys

import driver
import webserver
from drupalsite import BAM, TOP, php
from modulesite import PAGES, PASSWORD, Browser, ModuleTest

ANY = ["administer bam", "perform backup", "access backup files", "delete backup files", "restore from backup",
       "access administration pages", "view the administration theme"]


class BrowserTest(ModuleTest):
    """One test, one site. Runs as root, the site belongs to the web server's user, as it should."""

    kind = "nginx"
    aliases = {}
    has_key = False

    def setUp(self):
        for part in (driver.missing(), webserver.missing(self.kind)):
            if part:
                self.skipTest(f"{part} is not installed")
        super().setUp()
        self.install()
        self.own()
        aliases = {path: os.path.join(self.top, folder) for path, folder in self.aliases.items()}
        self.web = webserver.WebServer(self.kind, self.root, os.path.join(self.top, "web"), aliases)
        self.addCleanup(self.web.close)
        if os.environ.get("BAM_TEST_LOG"):
            self.addCleanup(lambda: print(self.web.log(), self.log(), file=sys.stderr))
        self.port = self.web.port
        self.driver = driver.driver()

    def tearDown(self):
        # Core has some of its own on newer versions of PHP.
        said = self.sql("select variables from watchdog where type = 'php' and variables like '%/share/bam/%'")
        self.assertEqual(said, "", "warnings of PHP")

    def install(self):
        """The program and the module at places that the web server's user can read."""
        self.prefix = os.path.join(self.top, "usr")
        os.makedirs(os.path.join(self.prefix, "bin"))
        for folder in ("lib", "include"):
            os.mkdir(os.path.join(self.prefix, folder))
        shutil.copy(os.path.join(TOP, "include/bam.h"), os.path.join(self.prefix, "include"))
        shutil.copy(BAM, os.path.join(self.prefix, "bin/bam"))
        shutil.copy(os.path.join(os.path.dirname(BAM), "libbam.so"), os.path.join(self.prefix, "lib"))
        for part in ("drupal7", "php-shim"):
            shutil.copytree(os.path.join(TOP, part), os.path.join(self.prefix, "share/bam", part), symlinks=True,
                            ignore=shutil.ignore_patterns("tests", "vendor"))
        module = os.path.join(self.root, "sites/all/modules/bam")
        os.unlink(module)
        os.symlink(os.path.join(self.prefix, "share/bam/drupal7"), module)
        self.set_conf(bam_binary=os.path.join(self.prefix, "bin/bam"))
        # Neither may that user enter the home of whoever runs the tests.
        mailbox = shutil.copy(os.path.join(TOP, "tests/drush/mailbox.php"), os.path.join(self.top, "mailbox.php"))
        with open(self.settings, encoding="utf-8") as file:
            text = file.read().replace(php(os.path.join(TOP, "tests/drush/mailbox.php")), php(mailbox))
        with open(self.settings, "w", encoding="utf-8") as file:
            file.write(text)
        open(self.mailbox, "w").close()
        os.chmod(self.mailbox, 0o666)

    def own(self):
        """Gives the site to the user of the web server."""
        for folder in (self.top, self.server.top):
            os.chmod(folder, 0o711)
        if os.geteuid() == 0:
            # Shared by root and the site's user, as the program wants it.
            shutil.chown(self.jobs_top, "root", webserver.USER)
            os.chmod(self.jobs_top, 0o3770)
        mine = [self.root, self.private, os.path.join(self.top, "tmp")]
        if self.has_key:
            mine.append(os.path.join(self.top, "site.key"))
        subprocess.run(["chown", "-R", "-h", f"{webserver.USER}:", *mine], check=True)

    def person(self, permissions=ANY, width=1100):
        """A browser in which a new user has logged in."""
        browser = Browser(self.port)
        name = self.make_user(permissions)
        self.sites.append(browser)
        page = self.session(width)
        page.name = name
        self.log_page_in(page)
        return page

    def session(self, width=1100):
        """A browser in which nobody has logged in."""
        page = self.driver.session(self.web.base, width)
        self.addCleanup(page.close)
        return page

    def log_page_in(self, page):
        page.go("user/login")
        page.type("#edit-name", page.name)
        page.type("#edit-pass", PASSWORD)
        page.click("Log in", "input[type=submit]")
        page.wait(lambda: page.has("body.logged-in"), "being logged in")

    def bam(self, *words):
        """The program as the one who runs the tests: root, where they do."""
        return subprocess.run([BAM, "--root", self.root, "--json", "--quiet", *words], env=self.environment(), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)

    def picture(self, page, name):
        """For the docs: a picture of the page in the folder BAM_TEST_PICTURES, where that is set."""
        folder = os.environ.get("BAM_TEST_PICTURES")
        if folder and self.kind == "nginx":
            page.picture(os.path.join(folder, f"drupal7-{name}.png"))

    def job_ends(self, page, words="Done."):
        """Waits on the page of a job until it tells its end."""
        page.wait(lambda: page.has("#console .messages, #content .messages, .messages.status, .messages.warning, .messages.error")
                  and not page.has("#bam-progress"), "the job's end")
        if words is not None:
            self.assertIn(words, page.text, self.web.log())


def first_number(page):
    """The ID of the first backup in the list."""
    page.go(PAGES)
    page.wait(lambda: page.has(".bam-backups a[href*='/restore']"), "a backup in the list")
    return page.run("return document.querySelector(\".bam-backups a[href*='/restore']\").href").rpartition("/backups/")[2].split("/")[0]
