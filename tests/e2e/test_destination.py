"""Adding a place where backups go: shown, tried, and only then written."""

import json
import os
import unittest

import sshd
from bamtest import SiteTest


@unittest.skipUnless(os.path.exists(sshd.PROGRAM), "openssh-server is not installed")
class Add(SiteTest):
    def setUp(self):
        super().setUp()
        self.write("sites/default/files/note", "field note")
        self.sshd = sshd.Sshd()
        self.addCleanup(self.sshd.close)
        self.config = self.path("site.yml")
        with open(self.config, "w") as file:
            file.write(f"# ours\nsite: {{ root: {self.root}, conf_path: sites/default }}\nstate_dir: {self.path('state')}\n"
                       f"destinations:\n    manual: {{ type: directory, path: {self.path('backups')} }}   # here\n\n"
                       "# as it was\nprofiles:\n  default: { encryption: none }\n")
        os.chmod(self.config, 0o640)

    def text(self):
        with open(self.config) as file:
            return file.read()

    def add(self, *arguments, expect=0, address=None):
        return self.bam("destination", "add", address or self.sshd.url, *arguments, config=self.config, expect=expect)

    def test_what_works_is_added_and_the_rest_of_the_file_stays(self):
        before = self.text()
        self.add("--identity", self.sshd.path("id"), "--yes")
        added = [line for line in self.text().splitlines() if line not in before.splitlines()]
        self.assertEqual(len(added), 1, added)
        self.assertEqual(self.text().replace(added[0] + "\n", ""), before)
        self.assertTrue(added[0].startswith("    offsite: { type: sftp, "), added)
        self.assertEqual(os.stat(self.config).st_mode & 0o777, 0o640)
        # The server's key is in it: no known_hosts is needed.
        made = json.loads(self.bam("--json", "backup", "files", "offsite", config=self.config).out)
        self.assertIn(made["file"], os.listdir(self.sshd.backups))
        self.bam("destination", "try", "offsite", config=self.config)
        self.assertSays(self.add("--yes", expect=2), "already")

    def test_what_does_not_work_is_not_added(self):
        before = self.text()
        identity = ["--identity", self.sshd.path("id")]
        asked = self.finish(self.start("destination", "add", self.sshd.url, *identity, config=self.config))
        self.assertEqual(asked.code, 2, asked)
        self.assertSays(asked, "no terminal", self.sshd.fingerprint().split()[1])
        self.assertSays(self.add(*identity, "--host-key", "SHA256:" + "A" * 43, expect=1), "nothing was added", "host key")
        self.assertSays(self.add("--identity", self.path("none"), "--yes", expect=1), "none")
        self.assertSays(self.add("--yes", address="sftp://me:hunter2@127.0.0.1/b", expect=2), "password")
        self.assertSays(self.add(address=self.path("no-folder"), expect=1), "no-folder")
        self.sshd.stop()
        self.add(*identity, "--yes", expect=1)
        self.assertEqual(self.text(), before)

    def test_a_file_that_is_not_edited_is_told_what_to_add(self):
        with open(self.config, "w") as file:
            json.dump({"site": {"root": self.root}, "destinations": {}}, file)
        os.mkdir(self.path("nas"))
        refused = self.add("nas", address=self.path("nas"), expect=1)
        self.assertSays(refused, "add this", f"nas: {{ type: directory, path: \"{self.path('nas')}\" }}")
