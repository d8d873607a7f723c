"""What forms store, as the program reads it: what a schedule keeps, and the kinds of places."""

import json

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


del PagesTest
