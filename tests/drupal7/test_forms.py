"""The forms that set things up: places, schedules, profiles, sources, keys, imports, uploads."""

import json
import os
import re
import subprocess

from drupalsite import BAM, EXPORTS, LIMIT
from modulesite import PAGES, ModuleTest

PLACE = {"name": "Off-site", "machine_name": "offsite", "kind": "sftp", "folder_path": "", "host": "127.0.0.1", "port": "2", "user": "backup",
         "remote_path": "/srv/back ups", "identity_file": "", "password": "", "host_key": ""}
SCHEDULE = {"name": "Weekly", "machine_name": "weekly", "enabled": "1", "source_id": "db", "profile_id": "default", "when": "builtin",
            "count": "2", "unit": "604800", "cron_schedule": "0 4 * * *", "keep_kind": "count", "keep": "3",
            "places[manual]": "manual", "places[scheduled]": "scheduled"}
SECRET = "p@ss/w:ö"


class FormTest(ModuleTest):
    """One test, one site, one who may do everything."""

    def setUp(self):
        super().setUp()
        self.serve()
        self.browser = self.log_in(["administer bam", "perform backup", "access backup files", "restore from backup"])

    def document(self):
        """The configuration as the program reads it, without Drupal's help."""
        done = subprocess.run([BAM, "--root", self.root, "config", "export", "--format", "json", "--secrets"], env=self.environment(),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True, timeout=LIMIT)
        return json.loads(done.stdout)


class Forms(FormTest):
    def test_a_place_on_a_server_is_stored_and_its_password_never_shown(self):
        self.browser.submit(f"{PAGES}/places/add", "bam_place_form", **{**PLACE, "password": SECRET})
        self.ended()
        place = self.document()["destinations"]["offsite"]
        self.assertEqual(place["url"], "sftp://backup:p%40ss%2Fw%3A%C3%B6@127.0.0.1:2/srv/back%20ups")
        for page in ("", "/places", "/places/offsite/edit", "/places/offsite/try", "/places/offsite/export"):
            self.browser.get(PAGES + page)
            for form in (SECRET, "p%40ss", "p@ss"):
                self.assertNotIn(form, self.browser.text, page)
        # Kept where nothing is said, but never sent to another server.
        self.browser.submit(f"{PAGES}/places/offsite/edit", "bam_place_form", **{**PLACE, "port": "3"})
        self.assertIn("p%40ss", self.document()["destinations"]["offsite"]["url"])
        self.browser.submit(f"{PAGES}/places/offsite/edit", "bam_place_form", **{**PLACE, "host": "localhost"})
        self.assertEqual(self.document()["destinations"]["offsite"]["url"], "sftp://backup@localhost:2/srv/back%20ups")

    def test_a_place_that_is_no_place_is_refused(self):
        folder = {**PLACE, "kind": "file", "machine_name": "folder"}
        os.symlink(os.path.join(self.root, "sites/default/files"), os.path.join(self.top, "link"))
        for wrong, words in (({**folder, "folder_path": os.path.join(self.root, "backups")}, "lies below"),
                             ({**folder, "folder_path": os.path.join(self.top, "link/backups")}, "lies below"),
                             ({**folder, "folder_path": "public://backups"}, "lies below"),
                             ({**folder, "folder_path": "backups"}, "not an absolute path"),
                             ({**folder, "folder_path": self.top + "/x/../drupal"}, "goes up"),
                             ({**PLACE, "host": "-oProxyCommand=x"}, "no name or address"),
                             ({**PLACE, "user": "-l"}, "which user"), ({**PLACE, "port": "0"}, "number from 1"),
                             ({**PLACE, "host_key": "MD5:1"}, "fingerprint"),
                             ({**PLACE, "identity_file": "/nowhere"}, "can read")):
            with self.subTest(wrong):
                self.browser.submit(f"{PAGES}/places/add", "bam_place_form", **wrong)
                self.assertIn(words, self.browser.said)
        self.assertEqual(set(self.document()["destinations"]), {"manual", "scheduled"})

    def test_a_schedule_has_as_many_places_as_it_needs(self):
        third = os.path.join(self.top, "third")
        self.browser.submit(f"{PAGES}/places/add", "bam_place_form", **{**PLACE, "kind": "file", "machine_name": "third", "folder_path": third})
        self.browser.submit(f"{PAGES}/schedules/add", "bam_schedule_form", **{**SCHEDULE, "places[third]": "third"})
        self.assertIn("is stored", self.browser.said)
        self.assertIn("the newest 3", self.browser.said)
        schedule = self.document()["schedules"]["weekly"]
        self.assertEqual((schedule["destinations"], schedule["every"], schedule["keep"], schedule["enabled"]),
                         (["manual", "scheduled", "third"], 1209600, 3, True))
        self.browser.submit(f"{PAGES}/schedules/weekly/switch", "bam_schedule_switch_form")
        self.assertFalse(self.document()["schedules"]["weekly"]["enabled"])
        self.browser.submit(f"{PAGES}/schedules/weekly/delete", "bam_item_delete_form")
        self.assertNotIn("weekly", self.document().get("schedules", {}))

    def test_a_schedule_keeps_so_many_of_each_period(self):
        periods = {"keep_kind": "periods", "keep_periods[last]": "7", "keep_periods[weekly]": " 5 ", "keep_periods[yearly]": "all",
                   "keep_periods[within]": "14d", "keep_periods[daily]": "0"}
        for wrong, words in (({"keep_periods[last]": "-1"}, "A number, or all"), ({"keep_periods[within]": "soon"}, "That is no time"),
                             ({name: "" for name in periods if "[" in name}, "Of which period?")):
            with self.subTest(wrong):
                self.browser.submit(f"{PAGES}/schedules/add", "bam_schedule_form", **{**SCHEDULE, **periods, **wrong})
                self.assertIn(words, self.browser.said)
        self.browser.submit(f"{PAGES}/schedules/add", "bam_schedule_form", **{**SCHEDULE, **periods})
        self.assertIn("keeps last 7, weekly 5, yearly all, within 14d", self.browser.said)
        said = {"last": 7, "weekly": 5, "yearly": "all", "within": "2w"}
        self.assertEqual(self.document()["schedules"]["weekly"]["keep"], said)
        self.browser.get(f"{PAGES}/schedules/weekly/edit")
        self.assertRegex(self.browser.text, r'name="keep_periods\[within\]" value="14d"')
        # What is said of it in Backup and Migrate later holds, until here something else is said.
        self.sql("update backup_migrate_schedules set keep = 3 where machine_name = 'weekly'")
        self.assertEqual(self.document()["schedules"]["weekly"]["keep"], 3)
        self.browser.submit(f"{PAGES}/schedules/weekly/edit", "bam_schedule_form", **{**SCHEDULE, **periods})
        self.assertEqual(self.document()["schedules"]["weekly"]["keep"], said)
        self.browser.submit(f"{PAGES}/schedules/weekly/delete", "bam_item_delete_form")
        self.browser.submit(f"{PAGES}/schedules/add", "bam_schedule_form", **{**SCHEDULE, "keep_kind": "all"})
        self.assertEqual(self.document()["schedules"]["weekly"]["keep"], 0)

    def test_crontab_expressions_out_of_range_are_refused(self):
        for wrong in ("99 99 * * *", "* 24 * * *", "* * 0 * *", "*/0 * * * *", "30-10 * * * *", "* * * 13 *", "1,,2 * * * *"):
            with self.subTest(wrong):
                self.browser.submit(f"{PAGES}/schedules/add", "bam_schedule_form", **{**SCHEDULE, "when": "elysia", "cron_schedule": wrong})
                self.assertIn("cannot be: minutes", self.browser.said)
        self.browser.submit(f"{PAGES}/schedules/add", "bam_schedule_form", **{**SCHEDULE, "when": "elysia", "cron_schedule": "0 0 31 2 *"})
        self.assertIn("never comes", self.browser.said)
        self.browser.submit(f"{PAGES}/schedules/add", "bam_schedule_form",
                            **{**SCHEDULE, "when": "elysia", "cron_schedule": "*/15 1-5,22 1 jan-mar 0,7"})
        self.assertIn("is stored", self.browser.said)

    def test_wrong_schedules_are_refused(self):
        for wrong, words in (({"count": "0"}, "whole number"), ({"when": "elysia", "cron_schedule": "soon"}, "five fields"),
                             ({"keep": "-1"}, "whole number"), ({"source_id": "gone"}, "illegal choice")):
            with self.subTest(wrong):
                self.browser.submit(f"{PAGES}/schedules/add", "bam_schedule_form", **{**SCHEDULE, **wrong})
                self.assertIn(words, self.browser.said)
        self.assertNotIn("weekly", self.document().get("schedules", {}))

    def test_a_profile_leaves_out_what_is_picked(self):
        os.makedirs(os.path.join(self.root, "sites/default/files/large"), exist_ok=True)
        self.browser.submit(f"{PAGES}/profiles/add", "bam_profile_form", **{
            "name": "Small", "machine_name": "small", "encryption": "", "compression": "zstd", "filename": "[site:name]",
            "append_timestamp": "1", "timestamp_format": "Y-m-d\\TH-i-s", "notify_failure_enable": "1",
            "notify_failure_email": "sos@example.org", "notify_success_email": "[site:mail]", "utils_site_offline_message": "",
            "sources[db][nodata_tables][]": "watchdog", "sources[db][exclude_tables][]": "sessions",
            "sources[files][folders][large]": "large", "sources[files][exclude_filepaths]": "styles\ncss"})
        self.assertIn("is stored", self.browser.said)
        profile = self.document()["profiles"]["small"]
        self.assertEqual(profile["compression"], "zstd")
        self.assertEqual(profile["sources"]["db"]["nodata_tables"], ["watchdog"])
        self.assertEqual(profile["sources"]["db"]["exclude_tables"], ["sessions"])
        self.assertEqual(profile["sources"]["files"]["exclude"], ["large", "styles", "css"])
        self.assertEqual(profile["notify"]["failure"], ["sos@example.org"])

    def test_exports_are_imported_and_nothing_in_them_is_run(self):
        for name in ("settings_profile.txt", "schedule_profile.txt"):
            with open(os.path.join(EXPORTS, name), encoding="utf-8") as export:
                self.browser.submit(f"{PAGES}/import", "bam_import_form", text=export.read())
            self.assertIn("added", self.browser.said)
        document = self.document()
        self.assertIn("pece_backup", document["profiles"])
        self.assertIn("pece_backup", document["schedules"])
        owned = os.path.join(self.top, "owned")
        self.browser.submit(f"{PAGES}/import", "bam_import_form", text=f"array('type_name' => touch('{owned}'));")
        self.assertIn("error", self.browser.text)
        self.assertFalse(os.path.exists(owned))

    def test_a_file_comes_in_pieces_and_goes_on_where_it_stopped(self):
        browser = self.browser
        browser.submit(f"{PAGES}/backup", "bam_backup_form", source="db", **{"destinations[scheduled]": "scheduled"}, profile="default",
                       description="")
        self.ended()
        name = self.stored("scheduled")[0]
        with open(os.path.join(self.private, "backup_migrate/scheduled", name), "rb") as file:
            backup = file.read()
        browser.get(f"{PAGES}/upload")
        settings = json.loads(re.search(r'"bamUpload":(\{[^}]*\})', browser.text)[1])

        def piece(offset, body, token=settings["token"], number="0123456789abcdef"):
            browser.post(f"{PAGES}/upload/piece?id={number}&offset={offset}&token={token}", body)
            return json.loads(browser.text)

        half = len(backup) // 2
        self.assertEqual(piece(-1, b""), {"size": 0})
        self.assertEqual(piece(0, backup[:half]), {"size": half})
        self.assertEqual(piece(0, backup[:half]), {"size": half}, "the same again changes nothing")
        self.assertIn("error", piece(half, b"x", token="forged"))
        self.assertIn("error", piece(half, b"x", number="../../../evil"))
        told = json.dumps({"id": "0123456789abcdef", "name": name, "size": len(backup)})
        values = {"place": "manual", "uploaded": told, "unauthenticated": "1"}
        browser.submit(f"{PAGES}/upload", "bam_upload_form", **values)
        self.assertIn("has not arrived whole", browser.said)
        self.assertEqual(piece(half, backup[half:]), {"size": len(backup)})
        browser.submit(f"{PAGES}/upload", "bam_upload_form", **values)
        self.assertIn("/job/", browser.url)
        page = browser.url
        self.ended()
        browser.get(page)
        self.assertIn("Done", browser.said)
        self.assertEqual(len(self.stored()), 1)
        self.assertEqual([file for file in self.jobs("part") if "upload" in file], [])

    def test_a_part_of_a_backup_is_downloaded(self):
        self.browser.submit(f"{PAGES}/backup", "bam_backup_form", source="db", **{"destinations[manual]": "manual"}, profile="default",
                            description="")
        self.ended()
        with open(os.path.join(self.private, "backup_migrate/manual", self.stored()[0]), "rb") as file:
            backup = file.read()
        number = self.newest(self.browser)
        size = len(backup)
        for asked, first, last in (("bytes=0-9", 0, 9), ("bytes=10-", 10, size - 1), ("bytes=-7", size - 7, size - 1),
                                   (f"bytes=5-{size * 2}", 5, size - 1)):
            with self.subTest(asked):
                self.assertEqual(self.browser.get(f"{PAGES}/backups/{number}/download", headers={"Range": asked}), 206)
                self.assertEqual(self.browser.body, backup[first:last + 1])
                self.assertEqual(self.browser.headers["Content-Range"], f"bytes {first}-{last}/{size}")
        tag = self.browser.headers["ETag"]
        for version, code in ((tag, 206), ('"another"', 200)):
            with self.subTest(version):
                headers = {"Range": "bytes=3-", "If-Range": version}
                self.assertEqual(self.browser.get(f"{PAGES}/backups/{number}/download", headers=headers), code)
                self.assertEqual(self.browser.body, backup[3:] if code == 206 else backup)
        self.assertEqual(self.browser.get(f"{PAGES}/backups/{number}/download", headers={"Range": f"bytes={size}-"}), 416)
        self.assertEqual(self.browser.get(f"{PAGES}/backups/{number}/download", headers={"Range": "lines=1-2"}), 200)
        self.assertEqual(self.browser.body, backup)


    def test_a_key_from_a_sheet_opens_old_backups(self):
        line = "a key of another machine, from its sheet"
        self.browser.submit(f"{PAGES}/keys", "bam_keys_form", line=line)
        self.assertNotIn("can be opened now", self.browser.said, "that is another button")
        fields = self.browser.fields(f"{PAGES}/keys", "bam_keys_form")
        self.browser.get(f"{PAGES}/keys", {**fields, "line": line, "op": "Keep this key"})
        self.assertIn("can be opened now", self.browser.said)
        keys = self.document()["encryption"]["keys"]
        self.assertEqual(len(keys), 1)
        with open(keys[0]) as file:
            self.assertEqual(file.read(), line + "\n")
        self.assertEqual(os.stat(keys[0]).st_mode & 0o777, 0o600)
        self.browser.get(f"{PAGES}/keys", {**self.browser.fields(f"{PAGES}/keys", "bam_keys_form"), "line": line, "op": "Keep this key"})
        self.assertIn("is here already", self.browser.said)
        self.assertEqual(self.document()["encryption"]["keys"], keys)


class FirstForms(FormTest):
    """On a site without a key."""

    has_key = False

    def test_a_key_is_made_and_its_sheet_shown_to_whoever_asks(self):
        file = os.path.join(self.top, "keys/key")
        os.mkdir(os.path.dirname(file), 0o700)
        self.browser.submit(f"{PAGES}/keys", "bam_keys_form", file=file)
        with open(file) as stored:
            key = stored.readline().strip()
        self.assertEqual(os.stat(file).st_mode & 0o777, 0o600)
        self.assertIn(key, self.browser.said, "the sheet")
        self.assertIn("no-store", self.browser.headers["Cache-Control"])
        self.browser.get(f"{PAGES}/keys")
        self.assertNotIn(key, self.browser.text)
        self.assertEqual(self.sql(f"select count(*) from cache_form where data like '%{key}%'").strip(), "0")
        self.assertEqual(self.document()["encryption"]["key_file"], file)

    def test_the_first_steps_say_where_the_site_stands(self):
        self.browser.get(f"{PAGES}/start")
        self.assertIn("There is no key yet", self.browser.said)
        self.assertIn("All places are on this machine", self.browser.said)
        self.browser.get(PAGES)
        self.assertIn("There is no key", self.browser.said)
        self.assertNotIn("All is as the policy wants it", self.browser.said)
