"""A new administrator with a browser and nothing else: from nothing to a drilled copy elsewhere, and a folder brought back."""

import json
import os
import shutil
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "drupal7/browser"))
import driver  # noqa: E402, from the folder just named
from pages10 import PAGES, PagesTest  # noqa: E402
from site10 import LIMIT  # noqa: E402
from sshd import PROGRAM, Sshd  # noqa: E402


@unittest.skipUnless(os.path.exists(PROGRAM), "openssh-server is not installed")
class FirstRun(PagesTest):
    @classmethod
    def setUpClass(cls):
        if driver.missing():
            raise unittest.SkipTest(f"{driver.missing()} is not installed")
        super().setUpClass()
        cls.site.fill("content")
        cls.site.drush("theme:install", "claro", "--yes")
        cls.site.drush("config:set", "system.theme", "admin", "claro", "--yes")

    def setUp(self):
        self.visitor("anonymous")
        self.sshd = Sshd()
        self.addCleanup(self.sshd.close)
        self.driver = driver.driver()

    def person(self):
        page = self.driver.session(self.site.address)
        self.addCleanup(page.close)
        page.go(self.site.drush("user:login", f"--uri={self.site.address}", "--no-browser").strip())
        return page

    def ends(self, page, words="Done."):
        # The whole of Drupal is read, encrypted and sent: on a busy machine longer than a page takes.
        last = time.monotonic() + LIMIT
        while True:
            try:
                page.wait(lambda: page.has(".messages") and not page.has(".bam-progress"), "the run's end")
                break
            except AssertionError:
                if time.monotonic() > last:
                    raise
        self.assertIn(words, page.text)

    def test_from_nothing_to_a_drilled_copy_elsewhere_and_a_folder_brought_back(self):
        site = self.site
        page = self.person()
        page.go(PAGES)
        self.assertIn("There is no key", page.text)
        page.click("First steps")
        page.click("Make a key", "a.button")
        page.type("input[name=file]", os.path.join(site.top, "bam-keys/key"))
        page.click("Make a key", "input")
        page.wait_for("Whoever has this sheet")
        page.click("A copy of the key is kept elsewhere", "input")
        page.wait_for("a copy of it is kept elsewhere")
        # The server: a login key is made here, its administrator lets it in, its own key is compared and trusted.
        page.click("Add a place", "a.button")
        page.type("input[name=label]", "Server of the library")
        page.wait(lambda: page.run("return document.querySelector('input[name=id]').value") != "", "its machine name")
        page.choose("select[name=type]", "sftp")
        page.type("input[name=url]", self.sshd.url)
        page.click("Save and try it", "input")
        page.wait_for("shows this key")
        self.assertIn(self.sshd.fingerprint().split()[1], page.text)
        with open(self.sshd.path("authorized_keys"), "a") as file:
            file.write(page.run("return document.querySelector('pre.bam-copy').textContent") + "\n")
        page.click("It is the same: trust this server", "input")
        page.wait_for("It is reached, takes a file and gives it back.")
        page.click("Go on with the first steps")
        page.click("Add a schedule", "a.button")
        page.type("input[name=label]", "Nightly")
        page.wait(lambda: page.run("return document.querySelector('input[name=id]').value") != "", "its machine name")
        page.choose("select[name=source]", "archive")
        page.tick("input[name='destinations[server_of_the_library]']")
        page.click("Save", "input")
        page.wait_for("Nightly is saved.")
        page.go(PAGES + "/start")
        page.click("Back up now", "a.button")
        page.click("Back up everything now", "input")
        self.ends(page)
        self.assertTrue([name for name in os.listdir(self.sshd.backups) if name.endswith(".sitearchive.tar.gz.enc")])
        page.go(PAGES + "/start")
        page.click("Start a drill", "a.button")
        page.click("Start the drill", "input")
        self.ends(page)
        page.go(PAGES + "/start")
        page.click("Edit the profile")
        page.type("input[name='notify[failure]']", "admin@example.org")
        page.click("Save", "input")
        page.go(PAGES + "/start")
        page.wait(lambda: page.text.count(" done ") == 6, "six steps that are done")
        self.bring_back(page)
        page.go(PAGES)
        self.assertNotIn("There is no key", page.text)
        folder = os.environ.get("BAM_TEST_PICTURES")
        for name in ("", "/start", "/keys", "/places", "/upload") if folder else ():
            page.go(PAGES + name)
            page.picture(os.path.join(folder, f"drupal10-{name.strip('/') or 'overview'}.png"))
        said = site.php("echo json_encode(\\Drupal::database()->query(\"SELECT variables FROM {watchdog} WHERE type = 'php'\")->fetchCol());")
        self.assertEqual(json.loads(said), [])

    def bring_back(self, page):
        """A folder that somebody has deleted, and nothing else."""
        site, folder = self.site, self.site.conf + "/files/album"
        os.makedirs(folder)
        site.write(folder + "/one.jpg", "picture")
        page.go(PAGES + "/backup")
        page.click("Back up everything now", "input")
        self.ends(page)
        shutil.rmtree(folder)
        site.write(site.conf + "/files/later.txt", "later")
        page.go(PAGES)
        page.click("Restore", "table a")
        page.tick("input[name=part][value=path]")
        page.type("textarea[name=path]", os.path.relpath(folder, site.root))
        page.click("Show what would change", "input")
        page.wait_for("one.jpg")
        page.type("input[name=name]", "Lab")
        page.click("Restore", "input")
        self.ends(page)
        with open(folder + "/one.jpg") as file:
            self.assertEqual(file.read(), "picture")
        self.assertTrue(os.path.exists(site.conf + "/files/later.txt"))


del PagesTest
