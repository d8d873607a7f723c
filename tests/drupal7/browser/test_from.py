"""Restoring from a place that this site does not know: the key of its server is trusted first, and nobody else gets to see it."""

import glob
import os
import shutil
import subprocess
import unittest

import webserver
from browsersite import ANY, PAGES, BrowserTest
from drupalsite import BAM
from sshd import PROGRAM, Sshd
from test_refusals import GET

THEIR_KEY = "the key of a site that is lost, from the sheet"


@unittest.skipUnless(os.path.exists(PROGRAM), "openssh-server is not installed")
class FromElsewhere(BrowserTest):
    has_key = True

    def setUp(self):
        super().setUp()
        self.sshd = Sshd()
        self.addCleanup(self.sshd.close)
        os.chmod(self.sshd.top, 0o711)
        shutil.chown(self.sshd.path("id"), webserver.USER)
        self.lost_site()

    def lost_site(self):
        """Its backups are on the server."""
        other = os.path.join(self.top, "other")
        os.makedirs(os.path.join(other, "sites/default/files/ü"))
        for name in ("theirs.txt", "ü/deep.txt"):
            with open(os.path.join(other, "sites/default/files", name), "w") as file:
                file.write("of the lost site")
        key = os.path.join(self.top, "their.key")
        with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(THEIR_KEY + "\n")
        config = os.path.join(self.top, "other.yml")
        with open(config, "w") as file:
            file.write(f"site: {{ root: {other}, conf_path: sites/default, name: Lost, url: 'https://lost.example.org' }}\n"
                       f"destinations: {{ manual: {{ type: directory, path: {self.sshd.backups} }} }}\n"
                       f"encryption: {{ key_file: {key} }}\nprofiles: {{ default: {{ encryption: aes256 }} }}\n"
                       f"state_dir: {self.top}/other-state\n")
        subprocess.run([BAM, "--config", config, "backup", "files"], check=True, capture_output=True, env=self.environment())

    def typed(self):
        """The folders with what was typed."""
        return glob.glob(f"{self.jobs_top}/bam-jobs-*/from-*")

    def test_a_lost_site_comes_back_from_its_server(self):
        page = self.person()
        page.go(PAGES)
        page.click("Restore from elsewhere", "a")
        page.type("#edit-host", "127.0.0.1")
        page.type("#edit-port", str(self.sshd.port))
        page.type("#edit-user", self.sshd.url.removeprefix("sftp://").partition("@")[0])
        page.type("#edit-remote-path", self.sshd.backups)
        page.type("#edit-identity-file", self.sshd.path("id"))
        page.type("#edit-key", THEIR_KEY)
        self.picture(page, "from")
        page.click("Look what is there", "input")
        page.wait_for("letter for letter")
        self.assertIn(self.sshd.fingerprint().split()[1], page.text)
        self.assertNotIn("Accepted", self.sshd.log(), "nobody logs in before the server is trusted")
        address = page.url
        with self.subTest("it is the affair of the one who typed it"):
            other = self.person()
            self.assertEqual(other.run(GET, address)[0], 404)
            restorer = self.person([right for right in ANY if right != "administer bam"])
            for path in (address, f"/{PAGES}/from"):
                restorer.go("")
                self.assertEqual(restorer.run(GET, path)[0], 403)
        for folder in self.typed():
            self.assertEqual([oct(os.stat(path).st_mode & 0o077) for path in (folder, *glob.glob(f"{folder}/*"))],
                             ["0o0"] * (1 + len(os.listdir(folder))))
        page.click("It is the same: trust this server", "input")
        page.wait_for("https://lost.example.org")
        self.assertNotIn(THEIR_KEY, page.run("return document.documentElement.outerHTML"))
        page.click("Restore", "a")
        page.tick("#edit-part-path")
        page.type("#edit-path", "ü")
        page.tick("#edit-other")
        page.click("Show what would change", "input")
        page.wait_for("The name of the site")
        page.type("#edit-name", self.variable("site_name"))
        page.click("Restore", "input")
        self.job_ends(page)
        files = os.path.join(self.root, "sites/default/files")
        with open(os.path.join(files, "ü/deep.txt")) as file:
            self.assertEqual(file.read(), "of the lost site")
        self.assertFalse(os.path.exists(os.path.join(files, "theirs.txt")), "nothing else")
        # By a request that has seen nothing of the site before.
        page.wait(lambda: page.go(PAGES) or not self.typed(), "that what was typed is forgotten")
        self.folders(page)

    def folders(self, page):
        """Folders of this machine: only what the user of the web server may read."""
        closed = os.path.join(self.top, "closed")
        os.mkdir(closed, 0o700)
        for folder in (closed, "/etc/passwd", "relative"):
            with self.subTest(folder):
                page.go(f"{PAGES}/from")
                page.tick("#edit-kind-file")
                page.type("#edit-folder-path", folder)
                page.click("Look what is there", "input")
                page.wait_for("is not a folder that the user")
        page.type("#edit-folder-path", "/etc")
        page.click("Look what is there", "input")
        page.wait_for("There are no backups.")
        self.assertNotIn("passwd", page.text)
        page.click("Forget this place", "input")
        page.wait_for("Forgotten")
        self.assertEqual(self.typed(), [])
