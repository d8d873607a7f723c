"""What people type reaches the program as it is, or is refused with a reason: names beyond ASCII, folders that are no places."""

import os

from modulesite import PAGES
from test_forms import PLACE, FormTest

NOTE = "vor dem Umbau: »ü« 💾 'x' $(touch owned) \\"


class Typed(FormTest):
    def write(self, name, text):
        path = os.path.join(self.root, "sites/default/files", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def read(self, name):
        with open(os.path.join(self.root, "sites/default/files", name), encoding="utf-8") as file:
            return file.read()

    def restore(self, number, **values):
        """Restores by the pages, and returns what the question said."""
        self.browser.submit(f"{PAGES}/backups/{number}/restore", "bam_restore_form", **values)
        preview = self.browser.url
        self.ended()
        self.browser.get(preview)
        self.assertRegex(self.browser.url, "/confirm$", self.browser.said)
        asked = self.browser.said
        self.preview = f"{preview}/confirm"
        self.browser.submit(f"{preview}/confirm", "bam_restore_confirm_form", name=self.variable("site_name"))
        page = self.browser.url
        self.ended()
        self.browser.get(page)
        self.assertIn("Done.", self.browser.said)
        return asked

    def test_names_beyond_ascii_mean_what_they_say(self):
        for name in ("sub/precious.txt", "sub/ü/a.txt", "sub/it's/b.txt"):
            self.write(name, "old")
        self.browser.submit(f"{PAGES}/backup", "bam_backup_form", source="files", profile="default", description=NOTE,
                            **{"destinations[manual]": "manual"})
        self.ended()
        number = self.newest(self.browser)
        self.assertIn(NOTE, self.browser.said)
        for name in ("sub/precious.txt", "sub/ü/a.txt", "sub/later.txt", "sub/it's/b.txt"):
            self.write(name, "new")
        asked = self.restore(number, part="path", path="sites/default/files/sub/ü\nsites/default/files/sub/it's")
        self.assertIn("sites/default/files/sub/ü", asked)
        self.assertNotIn("precious", asked)
        self.assertEqual([self.read(name) for name in ("sub/ü/a.txt", "sub/it's/b.txt", "sub/precious.txt", "sub/later.txt")],
                         ["old", "old", "new", "new"])
        self.assertFalse(os.path.exists(os.path.join(self.root, "owned")))
        with self.subTest("a preview of before"):
            self.browser.get(self.preview)
            self.assertIn("What this restore would change was looked at", self.browser.said)
            self.assertNotIn("The name of the site", self.browser.said)
            self.browser.submit(self.preview, "bam_restore_confirm_form", name=self.variable("site_name"))
            self.ended()
            self.assertEqual(self.read("sub/precious.txt"), "new")
            self.browser.get(self.browser.url)
            self.assertRegex(self.browser.url, "/confirm$", "another preview")
        self.browser.submit(f"{PAGES}/backups/{number}/restore", "bam_restore_form", part="path", path="a\x01b")
        self.assertIn("cannot be typed here", self.browser.said)

    def test_a_restore_of_tables_names_them(self):
        self.sql("create table `größe` (a int); insert into `größe` values (1)")
        self.browser.submit(f"{PAGES}/backup", "bam_backup_form", source="db", profile="default", **{"destinations[manual]": "manual"})
        self.ended()
        number = self.newest(self.browser)
        self.sql("update `größe` set a = 2; update users set mail = 'changed@example.org' where uid = 1")
        asked = self.restore(number, part="table", table="größe")
        self.assertIn("größe", asked)
        self.assertEqual(self.sql("select a from `größe`").strip(), "1")
        self.assertEqual(self.sql("select mail from users where uid = 1").strip(), "changed@example.org", "no other table")

    def test_folders_that_are_no_places_are_refused(self):
        folder = {**PLACE, "kind": "file", "machine_name": "folder"}
        key = os.path.dirname(self.variable("bam_key_file") or os.path.join(self.top, "site.key"))
        manual = os.path.join(self.private, "backup_migrate/manual")
        for path, words in (("/", "holds the site itself"), (os.path.dirname(self.root), "holds the site itself"),
                            ("private://a\x00b", "control character"), ("/srv/a\x01b", "control character")):
            with self.subTest(path):
                self.browser.submit(f"{PAGES}/places/add", "bam_place_form", **{**folder, "folder_path": path})
                self.assertEqual(self.browser.code, 200)
                self.assertIn(words, self.browser.said)
        self.assertEqual(key, self.top)
        self.browser.submit(f"{PAGES}/places/add", "bam_place_form", **{**folder, "folder_path": manual})
        self.assertIn("Two copies in one folder are one", self.browser.said)
        self.assertEqual(set(self.document()["destinations"]), {"manual", "scheduled"})

    def test_a_place_that_the_web_server_hands_out_is_told_and_gets_nothing(self):
        served = os.path.join(self.root, "sites/default/files/imp")
        export = (f"return array('type_name' => 'destination', 'machine_name' => 'web', 'name' => 'The web', 'subtype' => 'file', "
                  f"'location' => '{served}', 'settings' => array());")
        self.browser.submit(f"{PAGES}/import", "bam_import_form", text=export)
        self.assertIn("was not taken", self.browser.said)
        self.assertNotIn("web", self.document()["destinations"])
        # Backup and Migrate's, or one of before.
        self.insert("backup_migrate_destinations", {"machine_name": "web", "name": "The web", "subtype": "file", "location": served},
                    settings={})
        self.browser.get(PAGES)
        self.assertRegex(self.browser.said, "To do.* The web: The web server hands out")
        self.browser.submit(f"{PAGES}/backup", "bam_backup_form", source="db", profile="default", **{"destinations[web]": "web"})
        self.assertIn("hands out", self.browser.said)
        self.assertNotIn("/job/", self.browser.url)
        self.assertFalse(os.path.isdir(served) and os.listdir(served))

    def test_what_is_started_while_another_run_works_waits_for_it(self):
        self.sql("create table zz_hold (a int) engine=InnoDB")
        session = self.server.hold("lock tables zz_hold write", "site")
        pages = []
        for _ in range(3):
            self.browser.submit(f"{PAGES}/backup", "bam_backup_form", source="db", profile="default", description="",
                                **{"destinations[manual]": "manual"})
            pages.append(self.browser.url)
        self.browser.get(pages[1])
        self.assertIn("Waiting to start", self.browser.said)
        self.browser.submit(f"{pages[2]}/cancel", "bam_cancel_form")
        self.browser.get(pages[2])
        self.assertIn("Cancelled. Nothing was changed.", self.browser.said)
        session.stdin.close()
        session.stdout.close()
        session.wait()
        self.ended()
        for page in pages[:2]:
            self.browser.get(page)
            self.assertIn("Done.", self.browser.said)
        self.assertEqual(len(self.stored()), 2)

    def test_what_is_imported_and_cannot_be_used_is_told(self):
        self.browser.submit(f"{PAGES}/import", "bam_import_form", text="return array('type_name' => 'schedule', 'machine_name' => 'sch', "
                            "'name' => 'Lost', 'source_id' => 'db', 'destination_id' => 'gone', 'profile_id' => 'default', 'enabled' => 1);")
        self.assertIn("cannot run: there is no gone here", self.browser.said)
        self.browser.submit(f"{PAGES}/import", "bam_import_form", text="return array('type_name' => 'destination', 'machine_name' => 'cloud', "
                            "'name' => 'Cloud', 'subtype' => 's3', 'location' => 'https://s3.example.org/b', 'settings' => array());")
        self.assertIn("does not know its kind", self.browser.said)
        self.browser.get(PAGES)
        self.assertIn("The schedule Lost cannot run: there is no place gone", self.browser.said)
        self.assertIn("There is no backup of this site", self.browser.said)
        self.assertNotIn("All is as the policy", self.browser.said)
