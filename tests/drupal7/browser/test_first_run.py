"""A new administrator who has never seen a shell: from nothing to a verified copy elsewhere, and a folder brought back."""

import os
import shutil
import unittest

import webserver
from browsersite import PAGES, BrowserTest
from sshd import PROGRAM, Sshd


@unittest.skipUnless(os.path.exists(PROGRAM), "openssh-server is not installed")
class FirstRun(BrowserTest):
    def setUp(self):
        super().setUp()
        # As with most hosters: the folder around the docroot is the account's own.
        shutil.chown(self.top, webserver.USER)
        self.sshd = Sshd()
        self.addCleanup(self.sshd.close)

    def test_from_nothing_to_a_verified_copy_elsewhere_and_a_folder_brought_back(self):
        page = self.person()
        page.go("admin/config/system")
        page.click("Backups (bam)")
        self.assertIn("There is no key", page.text)
        self.assertNotIn("All is as", page.text)
        page.click("First steps")
        self.picture(page, "first-steps")
        self.make_a_key(page)
        self.add_the_server(page)
        self.add_the_schedule(page)
        self.back_up(page)
        page.go(f"{PAGES}/start")
        page.click("Start a drill")
        page.click("Start the drill")
        self.job_ends(page)
        self.picture(page, "drill")
        self.say_who_hears(page)
        page.go(f"{PAGES}/start")
        page.wait(lambda: page.run("return document.querySelectorAll('tr.ok').length") == 6, "six steps that are done")
        self.verify(page)
        self.restore_a_folder(page)
        for name in ("upload", "places", "schedules", "profiles", "sources", "keys", "settings", "import"):
            page.go(f"{PAGES}/{name}")
            self.picture(page, name)

    def make_a_key(self, page):
        page.click("Make a key", "a.button")
        page.click("Make a key", "input")
        page.wait_for("Whoever has this sheet")
        key = os.path.join(self.top, "bam-keys/key")
        self.picture(page, "key")
        with open(key) as file:
            self.assertIn(file.readline().strip(), page.text)
        self.assertEqual(os.stat(key).st_mode & 0o777, 0o600)
        page.click("A copy of the key is kept elsewhere", "input")
        page.wait_for("The key is there, and a copy of it is kept elsewhere.")

    def add_the_server(self, page):
        page.click("Add a place", "a.button")
        page.type("#edit-name", "The library")
        page.wait(lambda: page.run("return document.querySelector('[name=machine_name]').value") == "the_library", "the machine name")
        user, _, rest = self.sshd.url.removeprefix("sftp://").partition("@")
        page.type("#edit-host", "127.0.0.1")
        page.type("#edit-port", str(self.sshd.port))
        page.type("#edit-user", user)
        page.type("#edit-remote-path", self.sshd.backups)
        self.picture(page, "place")
        page.click("Save and try it", "input")
        self.job_ends(page, None)
        self.picture(page, "host-key")
        line = page.run("return document.querySelector('.bam-copy').textContent").strip()
        self.assertRegex(line, "^ssh-ed25519 ")
        with open(self.sshd.path("authorized_keys"), "a") as keys:
            keys.write(line + "\n")
        self.assertIn(self.sshd.fingerprint().split()[1], page.text)
        page.click("It is the same: trust this server", "input")
        self.job_ends(page, "reached")
        self.assertEqual([name for name in os.listdir(self.sshd.backups)], [])

    def add_the_schedule(self, page):
        page.click("Go on with the first steps")
        page.click("Add a schedule", "a.button")
        page.type("#edit-name", "Each week")
        page.tick("[name='places[the_library]']")
        page.tick("[name='places[scheduled]']")
        self.picture(page, "schedule")
        page.click("Save", "input")
        page.wait_for("is stored")
        self.assertIn("once a week", page.text)

    def back_up(self, page):
        page.go(f"{PAGES}/start")
        page.click("Back up now", "a.button")
        self.picture(page, "backup")
        page.click("Back up everything now", "input")
        page.wait(lambda: "/job/" in page.url, "the page of the job")
        page.wait(lambda: "read" in page.text or not page.has("#bam-progress"), "some progress")
        self.picture(page, "progress")
        self.job_ends(page)
        self.assertEqual(len([name for name in self.sshd.visible() if name.endswith(".enc")]), 1, self.sshd.visible())

    def say_who_hears(self, page):
        page.go(f"{PAGES}/start")
        page.wait_for("A backup was restored aside, and was right.")
        page.click("Edit the profile", "a.button")
        page.tick("[name=notify_failure_enable]")
        self.picture(page, "profile")
        page.click("Save", "input")
        page.wait_for("is stored")

    def verify(self, page):
        page.go(f"{PAGES}/verify")
        page.click("Verify", "input")
        self.job_ends(page)
        self.assertIn("copy at the library", page.text.lower())

    def restore_a_folder(self, page):
        folder = os.path.join(self.root, "sites/default/files/field")
        before = sorted(os.listdir(folder))
        shutil.rmtree(folder)
        page.go(PAGES)
        page.wait(lambda: page.has(".bam-backups a[href*='/restore']"), "a backup in the list")
        self.picture(page, "overview")
        page.click("Restore")
        page.tick("#edit-part-path")
        page.type("#edit-path", "sites/default/files/field")
        self.picture(page, "restore-what")
        page.click("Show what would change", "input")
        page.wait_for("The name of the site")
        self.assertFalse(os.path.exists(folder), "a preview changes nothing")
        self.picture(page, "restore")
        page.type("#edit-name", "another")
        page.click("Restore", "input")
        page.wait_for("That is not the name of this site")
        page.type("#edit-name", self.variable("site_name"))
        page.click("Restore", "input")
        self.job_ends(page)
        self.assertEqual(sorted(os.listdir(folder)), before)
