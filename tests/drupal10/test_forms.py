"""What forms store, as the program reads it: what a schedule keeps, and the kinds of places."""

import json
import os
import shutil
import unittest

from pages10 import PAGES, PagesTest


class Forms(PagesTest):
    def setUp(self):
        self.admin = self.visitor()

    def document(self):
        """The configuration as the program reads it, without Drupal's help."""
        return json.loads(self.site.bam("config", "export", "--format", "json"))

    def forget(self, kind, name):
        self.addCleanup(self.site.php, f"\\Drupal\\bam\\Entity\\{kind}::load('{name}')?->delete();")

    def submit(self, path, button, fields):
        return self.admin.submit(PAGES + path, button, fields)[1].decode()

    def test_a_schedule_keeps_so_many_of_each_period(self):
        self.forget("Schedule", "nightly")
        fields = {"label": "Nightly", "id": "nightly", "destinations[manual]": "manual", "how_many": "periods",
                  "keep_periods[last]": "7", "keep_periods[weekly]": " 5 ", "keep_periods[daily]": "0", "keep_periods[yearly]": "all",
                  "keep_periods[within]": "14d"}
        for wrong, words in (({"keep_periods[last]": "-1"}, "How many?"), ({"keep_periods[within]": "soon"}, "That is no time"),
                             ({name: "" for name in fields if "[" in name and "dest" not in name}, "Of which period?")):
            with self.subTest(wrong):
                page = self.submit("/schedules/add", "Save", {**fields, **wrong})
                self.assertIn(words, page)
                self.assertNotIn("is saved", page)
        self.assertIn("is saved", self.submit("/schedules/add", "Save", fields))
        said = {"last": 7, "weekly": 5, "yearly": "all", "within": "2w"}
        self.assertEqual(self.document()["schedules"]["nightly"]["keep"], said)
        self.assertIn('name="keep_periods[within]" value="14d"', self.admin.get(PAGES + "/schedules/nightly")[1].decode())
        # As it is shown it can be saved; and another choice takes its place.
        self.submit("/schedules/nightly", "Save", {})
        self.assertEqual(self.document()["schedules"]["nightly"]["keep"], said)
        self.submit("/schedules/nightly", "Save", {"how_many": "some", "keep": "3"})
        self.assertEqual(self.document()["schedules"]["nightly"]["keep"], 3)
        # Written by hand as in bam.yml, it holds as well and is shown.
        self.site.php("\\Drupal::configFactory()->getEditable('bam.schedule.nightly')->set('keep', ['monthly' => 2])->save(TRUE);")
        self.assertEqual(self.document()["schedules"]["nightly"]["keep"], {"monthly": 2})
        self.assertIn('name="keep_periods[monthly]" value="2"', self.admin.get(PAGES + "/schedules/nightly")[1].decode())

    @unittest.skipUnless(shutil.which("restic"), "restic is not installed")
    def test_a_repository_is_made_tried_and_backed_up_to(self):
        site = self.site
        key, other = os.path.join(site.top, "key"), os.path.join(site.top, "other")
        for file in (key, other):
            with open(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "w") as line:
                line.write("a key of the tests, long enough\n")
        set_key = "\\Drupal::configFactory()->getEditable('bam.settings')->set('key_file', '{}')->save();"
        site.php(set_key.format(key))
        self.addCleanup(site.php, set_key.format(""))
        self.forget("Destination", "inc")
        where = os.path.join(site.top, "inc")
        fields = {"label": "Nightly repository", "id": "inc", "type": "restic", "repository": where, "key_file": other,
                  "credential_files": f"RCLONE_BWLIMIT: {other}\n\n", "append_only": None}
        for wrong, words in (({"repository": ""}, "Where is it?"), ({"repository": "repo"}, "Where is it?"),
                             ({"repository": site.conf + "/files/inc"}, "Error message"),
                             ({"repository": "rest:https://me:secret@h/"}, "Leave the password out"),
                             ({"key_file": "/nowhere"}, "can read"), ({"credential_files": "/etc/bam/id"}, "no variable with a file"),
                             ({"credential_files": "A: /nowhere"}, "can read")):
            with self.subTest(wrong):
                page = self.submit("/places/add", "Save and try it", {**fields, **wrong})
                self.assertIn(words, page)
                self.assertNotIn("is saved", page)
        fields["credential_files"] = ""
        self.submit("/places/add", "Save and try it", fields)
        self.admin.follow()
        self.assertIn("It is reached, takes a file and gives it back.", self.admin.get(PAGES + "/places/inc/try")[1].decode())
        self.assertTrue(os.path.exists(where + "/config"), os.listdir(site.top))
        place = self.document()["destinations"]["inc"]
        self.assertEqual((place["type"], place["repository"], place["key_file"]), ("restic", where, other))
        self.assertIn(where, self.admin.get(PAGES + "/places")[1].decode())
        self.submit("/backup", "Back up now", {"source": "files", "destinations[inc]": "inc", "destinations[manual]": None})
        self.assertIn("Done.", self.admin.follow())
        made = self.backups()[0]
        self.assertEqual([copy["destination"] for copy in made["copies"]], ["inc"])
        # Made once: saved again it is only tried, and made again it stays.
        for again in (None, "1"):
            self.submit("/places/inc", "Save and try it", {"make_repository": again})
            self.admin.follow()
            self.assertEqual([copy["destination"] for copy in self.backups()[0]["copies"]], ["inc"])


del PagesTest
