"""Commands that look after what is there: checks, drills, keys, exports, samples."""

import json
import os
import subprocess

from site10 import SiteTest


class Upkeep(SiteTest):
    kind = "sqlite"

    def json(self, *arguments, expect=0):
        return json.loads(self.site.drush(*arguments, "--format=json", expect=expect))

    def test_what_the_program_can_do_to_the_site(self):
        site = self.site
        made = site.backup("files" if "files" in self.json("bam:sources") else "public")
        looked = self.json("bam:check", "--destination=manual")["looked"]
        self.assertEqual([one["state"] for one in looked if one["area"] == "destination"], ["good"])
        self.assertIn("read, as it was written", site.drush("bam:verify", "--sample=50%"))
        site.drush("bam:verify", "--sample=none", expect=2)
        self.assertIn("restores", site.drush("bam:drill", str(made["id"])))
        self.assertIn("No restore was interrupted", site.drush("bam:recover"))
        site.drush("bam:recover", "--finish", "--take-back", expect=2)
        site.drush("bam:rekey", expect=2)
        self.assertEqual(self.json("bam:rekey", "--all")["copies"], [])
        usb = os.path.join(site.top, "usb")
        os.mkdir(usb)
        site.drush("bam:export", "latest", expect=2)
        told = self.json("bam:export", "latest", usb, "--with-program")
        version = subprocess.run([os.path.join(usb, "bam"), "--version"], capture_output=True, text=True)
        self.assertIn("bam ", version.stdout)
        (forgotten,) = self.json("bam:export", usb, "--forget")["forgotten"]
        self.assertEqual(forgotten["path"], told["path"])
        site.drush("bam:delete", str(made["id"]), "--destination=nowhere", "--yes", expect=2)
        site.drush("bam:delete", str(made["id"]), "--destination=manual", "--yes")
        self.assertEqual(self.json("bam:backups"), [])
        # Who makes a key wants backups to be encrypted from now on.
        self.json("bam:key", f"--file={site.top}/keys/key")
        site.drush("cache:rebuild")
        self.assertEqual(site.php("echo \\Drupal\\bam\\Entity\\Profile::load('encrypted')->label();"), "Encrypted")
        made = site.backup("db")
        self.assertTrue(made["file"].endswith(".enc"), made)
        site.drush("bam:delete", str(made["id"]), "--yes")
