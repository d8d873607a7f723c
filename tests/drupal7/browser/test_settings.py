"""Setting things up: each kind of thing is added, edited and removed; what others exported comes in; what is served is no place."""

import os
import shutil

import webserver
from browsersite import PAGES, BrowserTest
from drupalsite import EXPORTS


class Settings(BrowserTest):
    has_key = True

    def test_each_kind_of_thing_is_added_edited_and_removed(self):
        page = self.person()
        folder = os.path.join(self.private, "third")
        kinds = {
            "places": ("Add a place", {"name": "Third", "folder_path": folder}, {"#edit-kind-file": True}, "Save and try it"),
            "schedules": ("Add a schedule", {"name": "Nightly"}, {"[name='places[manual]']": True}, "Save"),
            "profiles": ("Add a profile", {"name": "Small"}, {}, "Save"),
            "sources": ("Add a folder", {"name": "Fields", "location": "public://field"}, {}, "Save"),
        }
        for path, (add, texts, ticks, save) in kinds.items():
            with self.subTest(path):
                page.go(f"{PAGES}/{path}")
                page.click(add, "a")
                for css in ticks:
                    page.tick(css)
                for name, text in texts.items():
                    page.type(f"[name={name}]", text)
                machine = texts["name"].lower()
                page.wait(lambda: page.run("return document.querySelector('[name=machine_name]').value") == machine, "the machine name")
                page.click(save, "input")
                page.wait(lambda: "/add" not in page.url, "that it is stored")
                page.go(f"{PAGES}/{path}/{machine}/edit")
                page.type("[name=name]", f"{texts['name']} & <b>more</b>")
                page.click(save, "input")
                page.wait(lambda: "/edit" not in page.url, "that it is stored")
                page.go(f"{PAGES}/{path}")
                page.wait_for(f"{texts['name']} & <b>more</b>")
                page.go(f"{PAGES}/{path}/{machine}/export")
                self.assertIn(machine, page.run("return document.querySelector('textarea').value"))
                page.go(f"{PAGES}/{path}/{machine}/delete")
                page.click("Remove", "input")
                page.wait_for("Removed.")
                self.assertNotIn(f"{texts['name']} &", page.text)

        self.exports_of_backup_and_migrate_are_imported_as_files(page)

    def exports_of_backup_and_migrate_are_imported_as_files(self, page):
        page.go(f"{PAGES}/import")
        page.choose_file("[name='files[]']", *(os.path.join(EXPORTS, f"{name}.txt") for name in ("settings_profile", "schedule_profile")))
        page.click("Import", "input")
        page.wait_for("added")
        page.go(f"{PAGES}/schedules")
        self.assertIn("once a week", page.text)


class ServedBehindNginx(BrowserTest):
    has_key = True
    aliases = {"/kept": "kept"}
    # Rules of the server itself, or of the site's .htaccess, keep this one.
    closed = "sites/default/private"

    def test_a_folder_that_the_server_hands_out_is_no_place(self):
        for folder in (self.in_top("kept"), self.in_top("elsewhere"), os.path.join(self.root, self.closed)):
            os.makedirs(folder, exist_ok=True)
        with open(os.path.join(self.root, self.closed, ".htaccess"), "w") as file:
            file.write("Require all denied\n")
        self.own_also(self.in_top("kept"), self.in_top("elsewhere"))
        os.symlink(self.in_top("kept"), os.path.join(self.root, "sites/default/files/link"))
        page = self.person()
        for folder, refused in ((os.path.join(self.root, "backups"), "lies below"), ("public://backups", "lies below"),
                                (self.in_top("kept"), "hands out"), (self.in_top("kept/new"), "hands out"),
                                (os.path.join(self.root, self.closed, "x"), None), (self.in_top("elsewhere/x"), None)):
            with self.subTest(folder):
                page.go(f"{PAGES}/places/add")
                page.tick("#edit-kind-file")
                page.type("[name=name]", "Odd")
                page.wait(lambda: page.run("return document.querySelector('[name=machine_name]').value") == "odd", "the machine name")
                page.type("[name=folder_path]", folder)
                page.click("Save and try it", "input")
                if refused:
                    page.wait_for(refused)
                    self.assertIn("/places/add", page.url)
                else:
                    page.wait(lambda: "/places/odd/try" in page.url, "that it is tried")
                    page.go(f"{PAGES}/places/odd/delete")
                    page.click("Remove", "input")
                    page.wait_for("Removed.")
        self.assertEqual(os.listdir(self.in_top("kept")), [], "nothing is left of the questions")

    def in_top(self, name):
        return os.path.join(self.top, name)

    def own_also(self, *folders):
        for folder in (*folders, self.root):
            shutil.chown(folder, webserver.USER)
        shutil.chown(os.path.join(self.root, self.closed), webserver.USER)


class ServedBehindApache(ServedBehindNginx):
    kind = "apache"
