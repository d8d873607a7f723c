"""The admin pages: who may see and do what, forged requests, hostile names, and each thing that a page starts."""

import gzip
import json
import os
import re

from drupalsite import php
from modulesite import PAGES, ModuleTest

HOSTILE = "<script>alert('x')</script>\"&"
# Each page, and the permissions of which any one opens it.
ANY = ["administer bam", "perform backup", "access backup files", "delete backup files", "restore from backup"]
ACCESS = {
    "": ANY,
    "/backup": ["perform backup"],
    "/schedules": ["administer bam"],
    "/schedules/nightly/run": ["perform backup"],
    "/settings": ["administer bam"],
    "/backups/ID/restore": ["restore from backup"],
    "/backups/ID/verify": ["perform backup"],
    "/backups/ID/delete": ["delete backup files"],
    "/backups/ID/download": ["access backup files"],
    "/backups/ID/sidecar": ["access backup files"],
    "/job/JOB": ["perform backup"],
    "/job/JOB/status": ["perform backup"],
    "/job/JOB/cancel": ["perform backup"],
    "/verify": ["perform backup"],
    "/replicate": ["perform backup"],
    "/drill": ["perform backup"],
    "/backups/ID/drill": ["perform backup"],
    "/upload": ["restore from backup"],
    **{f"/{page}": ["administer bam"] for page in (
        "places", "places/add", "places/manual/edit", "places/manual/try", "places/manual/export", "profiles", "profiles/add",
        "profiles/mailed/edit", "profiles/mailed/export", "profiles/mailed/delete", "sources", "sources/add", "schedules/add",
        "schedules/nightly/edit", "schedules/nightly/export", "schedules/nightly/delete", "schedules/nightly/switch", "keys",
        "start", "import")},
}
# What does not exist, for those who may see what does.
MISSING = {
    "/job/0123456789abcdef0123456789abcdef": ["perform backup", "restore from backup"],
    "/job/0123456789abcdef0123456789abcdef/status": ["perform backup", "restore from backup"],
    "/job/..%2f..%2fsettings": ["perform backup", "restore from backup"],
    "/backups/1/verify": ["perform backup"],
    "/backups/1/download": ["access backup files"],
    "/schedules/gone/run": ["perform backup"],
    **{f"/{page}": ["administer bam"] for page in (
        "places/gone/edit", "schedules/gone/edit", "profiles/gone/edit", "sources/gone/edit",
        "places/gone/delete", "schedules/gone/export")},
}


class Pages(ModuleTest):
    def setUp(self):
        super().setUp()
        self.profile(name="Mailed " + HOSTILE)
        self.schedule("nightly", name="Nightly " + HOSTILE)

    def back_up(self, browser, **values):
        """Starts a backup by the form, waits for its end, and returns the address of its page."""
        browser.submit(f"{PAGES}/backup", "bam_backup_form", **{"source": "db", "destinations[manual]": "manual",
                                                                "profile": "mailed", "description": "", **values})
        page = browser.url
        self.assertRegex(page, "/job/[0-9a-f]{32}$", browser.said)
        self.ended()
        return page

    def test_each_page_wants_its_permission_and_each_form_its_token(self):
        anonymous = self.serve()
        users = {permission: self.log_in([permission]) for permission in [*ANY, "access administration pages"]}
        page = self.back_up(users["perform backup"])
        backup = self.newest(users["access backup files"])
        self.assertTrue(backup.isdigit(), users["access backup files"].said)
        for path, allowed in ACCESS.items():
            address = PAGES + path.replace("ID", backup).replace("JOB", page.rpartition("/")[2])
            with self.subTest(path):
                self.assertEqual(anonymous.get(address), 403)
                codes = {permission: browser.get(address) for permission, browser in users.items()}
                self.assertEqual({permission for permission, code in codes.items() if code == 200}, set(allowed), codes)
                self.assertEqual(set(codes.values()) - {200, 403}, set())
        for path, allowed in MISSING.items():
            with self.subTest(path):
                codes = {permission: browser.get(PAGES + path) for permission, browser in users.items()}
                self.assertEqual({permission for permission, code in codes.items() if code == 404}, set(allowed), codes)
                self.assertEqual(set(codes.values()) - {404, 403}, set())

        # The same forms, posted from elsewhere: without the token, and with another user's.
        before = len(self.jobs("done"))
        forms = {"/backup": ("perform backup", "bam_backup_form"), "/schedules/nightly/run": ("perform backup", "bam_run_form"),
                 "/settings": ("administer bam", "bam_settings_form"),
                 **{f"/backups/{backup}/{verb}": (permission, f"bam_{verb}_form") for verb, permission in (
                     ("restore", "restore from backup"), ("verify", "perform backup"), ("delete", "delete backup files"))}}
        values = {"source": "db", "destinations[manual]": "manual", "profile": "mailed", "bam_policy[copies]": "7", "op": "go"}
        for path, (permission, form) in forms.items():
            with self.subTest(f"forged {path}"):
                browser = users[permission]
                fields = browser.fields(PAGES + path, form)
                for token in (None, "forged"):
                    sent = {name: value for name, value in fields.items() if name != "form_token"}
                    browser.get(PAGES + path, {**sent, **values, **({"form_token": token} if token else {})})
                    self.assertNotIn("/job/", browser.url)
        self.assertEqual((self.jobs(), len(self.jobs("done"))), ([], before))
        self.assertIsNone(self.variable("bam_policy"))
        self.assertEqual(len(self.stored()), 1)

    def test_names_from_outside_are_shown_and_not_run(self):
        self.serve()
        browser = self.log_in([*ANY, "administer site configuration", "access site reports"])
        page = self.back_up(browser, description=HOSTILE)
        # A sidecar that another program wrote.
        folder = os.path.join(self.private, "backup_migrate/manual")
        sidecar = os.path.join(folder, self.stored()[0] + ".info")
        with open(sidecar, encoding="utf-8") as file:
            text = file.read()
        name = "a<script>alert(2)<script>.mysql.gz"
        os.link(os.path.join(folder, self.stored()[0]), os.path.join(folder, name))
        with open(os.path.join(folder, name + ".info"), "w", encoding="utf-8") as file:
            file.write(text.replace('bam_sourceid = "db"', 'bam_sourceid = "<script>alert(1)</script>"')
                       .replace('bam_id = "1', 'bam_id = "2'))
        self.php("variable_set('bam_results', array('nightly' => array('state' => 'failed', 'exit_code' => 1, "
                 f"'error' => {php(HOSTILE)}, 'time' => 1)));")
        for path in (page, PAGES, f"{PAGES}/backup", f"{PAGES}/schedules", f"{PAGES}/schedules/nightly/run",
                     "admin/reports/status"):
            with self.subTest(path):
                self.assertEqual(browser.get(path), 200)
                self.assertNotIn("<script>alert(", browser.text)
        browser.get(f"{PAGES}/schedules")
        self.assertIn("Mailed " + HOSTILE, browser.said)

    def test_what_the_form_does_not_offer_is_refused(self):
        self.serve()
        browser = self.log_in(["perform backup"])
        for values in ({"source": "--help"}, {"source": "$(id)"}, {"profile": "gone"},
                       {"destinations[manual]": "../../etc"}, {"destinations[evil]": "evil"}):
            with self.subTest(values):
                browser.submit(f"{PAGES}/backup", "bam_backup_form", **{
                    "source": "db", "destinations[manual]": "manual", "profile": "default", "description": "", **values})
                self.assertNotIn("/job/" if "destinations[evil]" not in values else "evil/job", browser.url)
        for backup in ("1", "..", "latest", "--yes"):
            self.assertEqual(browser.get(f"{PAGES}/backups/{backup}/verify"), 404)

    def test_a_backup_is_made_shown_downloaded_verified_and_erased(self):
        self.serve()
        browser = self.log_in(ANY)
        page = self.back_up(browser, description="--yes $(touch owned); 'quoted'")
        browser.get(page)
        self.assertIn("Done.", browser.said)
        stored = self.stored()
        self.assertEqual(len(stored), 1)
        self.assertIn(stored[0], browser.said)
        self.assertEqual([mail["to"] for mail in self.mails()], [self.variable("site_mail")])
        browser.get(page + "/status")
        self.assertTrue(json.loads(browser.text)["finished"])
        self.assertIn("no-store", browser.headers["Cache-Control"])

        backup = self.newest(browser)
        self.assertIn(stored[0], browser.text)
        for what, name in (("download", stored[0]), ("sidecar", stored[0] + ".info")):
            browser.get(f"{PAGES}/backups/{backup}/{what}")
            with open(os.path.join(self.private, "backup_migrate/manual", name), "rb") as file:
                self.assertEqual(browser.body, file.read())
            self.assertIn(f'attachment; filename="{name}"', browser.headers["Content-Disposition"])
            self.assertIn("no-store", browser.headers["Cache-Control"])
        self.assertIn("--yes $(touch owned); 'quoted'", browser.text, "the note, in the sidecar")

        browser.submit(f"{PAGES}/backups/{backup}/verify", "bam_verify_form")
        page = browser.url
        self.ended()
        browser.get(page)
        self.assertIn("good", browser.said)
        browser.submit(f"{PAGES}/backups/{backup}/delete", "bam_delete_form")
        page = browser.url
        self.ended()
        browser.get(page)
        self.assertIn("erased", browser.said)
        self.assertEqual(self.stored(), [])

    def test_a_download_is_of_a_whole_copy_wherever_it_lies(self):
        self.serve()
        browser = self.log_in(ANY)
        self.back_up(browser, **{"destinations[scheduled]": "scheduled"})
        backup = self.newest(browser)
        [name] = self.stored()
        copies = [os.path.join(self.private, "backup_migrate", where, name) for where in ("manual", "scheduled")]
        with open(copies[0], "rb") as file:
            whole = file.read()

        def downloaded():
            browser.get(f"{PAGES}/backups/{backup}/download")
            return browser.body == whole

        # Whichever of them it takes first: cut, then gone; the list knows of neither at first.
        for copy in copies:
            os.truncate(copy, 100)
            self.assertTrue(downloaded(), browser.said)
            os.rename(copy, copy + ".away")
            self.assertTrue(downloaded(), browser.said)
            with open(copy, "wb") as file:
                file.write(whole)
        for copy in copies:
            os.truncate(copy, 100)
        self.assertFalse(downloaded())
        self.assertIn("none has it whole", browser.said)

    def test_the_preview_says_what_a_restore_cannot_keep(self):
        self.serve()
        browser = self.log_in(ANY)
        self.back_up(browser)
        backup = self.newest(browser)

        def preview(**values):
            browser.submit(f"{PAGES}/backups/{backup}/restore", "bam_restore_form", source="db", **values)
            job = browser.url
            self.assertIn("/job/", job, browser.said)
            self.ended()
            browser.get(job + "/confirm")
            return browser.said

        said = preview()
        self.assertIn("the site is as it was", said)
        self.assertNotIn("module bam is enabled in this backup", said)
        self.server.sql("revoke all on `site\\_%`.* from site@localhost")
        said = preview()
        self.assertIn("may not make databases called site_bam_…", said)
        self.assertIn("GRANT ALL ON `site\\_bam\\_%`.*", said)
        self.assertNotIn("stays open to you", said)
        [name] = self.stored()
        folder = os.path.join(self.private, "backup_migrate/manual")
        with open(os.path.join(folder, name), "rb") as file:
            dump = file.read()
        # As if Backup and Migrate had made it.
        with open(os.path.join(folder, "theirs.mysql.gz"), "wb") as file:
            file.write(dump)
        os.utime(file.name, (1700000000, 1700000000))
        self.wait(lambda: browser.get(f"{PAGES}/backups/1700000000/restore") == 200)
        backup = 1700000000
        self.assertIn("module bam is enabled in this backup", preview(unauthenticated="1"))

    def test_two_backups_with_one_id_are_two(self):
        folder = os.path.join(self.private, "backup_migrate/manual")
        os.makedirs(folder, exist_ok=True)
        names = ("one-2026-11-01T10-00-00.mysql.gz", "two-2026-11-01T10-00-00.mysql.gz")
        for name in names:
            with gzip.open(os.path.join(folder, name), "wb") as file:
                file.write(f"-- {name}\n".encode())
            os.utime(os.path.join(folder, name), (1700000000, 1700000000))
        self.serve()
        browser = self.log_in(ANY)
        self.newest(browser)
        links = re.findall(r'backups/([0-9a-f-]+)/download', browser.text)
        self.assertEqual(len(set(links)), 2, links)
        got = set()
        for link in links:
            browser.get(f"{PAGES}/backups/{link}/download")
            self.assertEqual(browser.body[:2], b"\x1f\x8b", browser.said[:600])
            got.add(gzip.decompress(browser.body).decode())
            for page in ("restore", "verify", "drill"):
                self.assertEqual(browser.get(f"{PAGES}/backups/{link}/{page}"), 200)
        self.assertEqual(got, {f"-- {name}\n" for name in names})
        browser.submit(f"{PAGES}/backups/{links[1]}/delete", "bam_delete_form")
        self.ended()
        [left] = self.stored()
        browser.get(PAGES)
        browser.get(f"{PAGES}/backups/{links[0]}/download")
        self.assertEqual(gzip.decompress(browser.body).decode(), f"-- {left}\n")

    def test_a_restore_goes_on_without_the_session_it_replaces(self):
        anonymous = self.serve()
        browser = self.log_in(ANY)
        self.back_up(browser)
        backup = self.newest(browser)
        later = self.log_in(ANY)
        self.php("variable_set('site_slogan', 'after the backup');")
        later.submit(f"{PAGES}/backups/{backup}/restore", "bam_restore_form", part="all")
        preview = later.url
        self.ended()
        later.get(preview)
        self.assertRegex(later.url, "/confirm$", later.said)
        self.assertIn("watchdog", later.said, "what would be replaced")
        self.assertEqual(self.variable("site_slogan"), "after the backup", "a preview changes nothing")
        later.submit(later.url, "bam_restore_confirm_form", name="another site")
        self.assertIn("not the name of this site", later.said)
        later.submit(f"{preview}/confirm", "bam_restore_confirm_form", name=self.variable("site_name"))
        page = later.url
        self.ended()
        self.wait(lambda: not self.jobs() or anonymous.get(page) != 200)
        self.assertNotEqual(self.variable("site_slogan"), "after the backup")
        self.assertEqual(later.get(page), 200, "its session is gone")
        self.assertIn("Log in", later.said)
        self.assertIn("Done.", later.said)
        self.assertEqual(later.get(PAGES), 403)

    def test_functions_that_php_switches_off_are_told_and_break_no_page(self):
        self.drush("bam-backup")
        switched_off = ("proc_open,proc_close,proc_terminate,proc_get_status,popen,exec,shell_exec,system,passthru,putenv,php_uname,"
                        "getmyuid,get_current_user,posix_geteuid,posix_getpwuid,posix_kill,posix_get_last_error,"
                        "pcntl_async_signals,symlink,readlink,link,set_time_limit,disk_free_space")
        for functions in ("proc_open", switched_off):
            browser = self.serve(disable_functions=functions)
            user = self.log_in([*ANY, "access administration pages", "administer site configuration"])
            for page in ("", "/backup", "/places", "/schedules", "/profiles", "/sources", "/keys", "/settings", "/upload", "/from", "/start",
                         "/import", "/verify", "/replicate", "/drill", "/backups/1/download", "/backups/1/restore", "/schedules/add",
                         "/places/add", "/profiles/add"):
                with self.subTest(functions=functions, page=page):
                    self.assertIn(user.get(PAGES + page), (200, 404), user.text[:500])
                    self.assertNotIn("unexpected error", user.said)
            user.get(PAGES)
            self.assertIn("proc_open", user.said)
            self.assertEqual(user.get("admin/reports/status"), 200, user.text[:500])
            self.assertRegex(user.said, "Bam .*proc_open")
            user.submit(f"{PAGES}/verify", "bam_simple_form")
            self.assertIn("proc_open", user.said)
            self.assertEqual(browser.get(f"cron.php?cron_key={self.variable('cron_key')}"), 200)

    def test_settings_are_checked(self):
        for name in ("bam_key_file", "bam_binary"):
            self.unset_conf(name)
        self.serve()
        browser = self.log_in(["administer bam"])
        key = os.path.join(self.top, "key")
        inside = os.path.join(self.root, "sites/default/files/key")
        for path, mode in ((key, 0o600), (inside, 0o600)):
            with open(path, "w") as file:
                file.write("secret\n")
            os.chmod(path, mode)
        program = os.path.join(self.root, "sites/default/files/bam")
        with open(program, "w") as file:
            file.write("#!/bin/sh\necho bam 9\n")
        os.chmod(program, 0o755)
        good = {"bam_binary": "", "bam_key_file": key, "bam_policy[copies]": "3", "bam_policy[max_age]": "8d",
                "bam_policy[verify_every]": ""}
        for wrong, words in (({"bam_binary": program}, "uploaded"), ({"bam_binary": "bam"}, "not an absolute path"),
                             ({"bam_binary": "/bin/true"}, "does not answer"), ({"bam_key_file": inside}, "lies below"),
                             ({"bam_key_file": "/nowhere"}, "no key file"), ({"bam_policy[max_age]": "soon"}, "not a span"),
                             ({"bam_policy[copies]": "-1"}, "positive integer")):
            with self.subTest(wrong):
                browser.submit(f"{PAGES}/settings", "bam_settings_form", **{**good, **wrong})
                self.assertIn(words, browser.said)
        os.chmod(key, 0o644)
        browser.submit(f"{PAGES}/settings", "bam_settings_form", **good)
        self.assertIn("Others can read", browser.said)
        self.assertIsNone(self.variable("bam_key_file"))
        os.chmod(key, 0o600)
        browser.submit(f"{PAGES}/settings", "bam_settings_form", **good)
        self.assertIn("have been saved", browser.said)
        self.assertEqual(self.variable("bam_key_file"), key)
        self.assertEqual(json.loads(self.php("echo json_encode(variable_get('bam_policy'));")), {"copies": 3, "max_age": "8d"})
        more = {"bam_site_aliases": "https://old.example.org\n", "backup_migrate_smart_keep_daily": "12"}
        browser.submit(f"{PAGES}/settings", "bam_settings_form", **{**good, **more, "bam_site_aliases": "no address"})
        self.assertIn("is not an address", browser.said)
        browser.submit(f"{PAGES}/settings", "bam_settings_form", **good, **more)
        self.assertEqual(json.loads(self.php("echo json_encode(array(variable_get('bam_site_aliases'), variable_get('backup_migrate_smart_keep_daily')));")),
                         [["https://old.example.org"], 12])
        # What settings.php says no page changes.
        self.set_conf(bam_key_file=key)
        self.sql("delete from variable where name = 'bam_key_file'; delete from cache_bootstrap")
        self.wait(lambda: browser.get(f"{PAGES}/settings") == 200 and "It is named in settings.php" in browser.said)

    def test_the_status_report_has_a_line(self):
        self.serve()
        browser = self.log_in(["administer site configuration", "access site reports"])
        browser.get("admin/reports/status")
        self.assertRegex(browser.said, r"Bam version \d+\.\d+\.\d+")
        self.set_conf(bam_binary="/nowhere/bam")
        # PHP may look at settings.php again only after some seconds.
        self.wait(lambda: browser.get("admin/reports/status") == 200 and "The program bam was not found" in browser.said)
