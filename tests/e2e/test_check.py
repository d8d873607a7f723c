"""`bam config check` looks: at the site, the keys, the databases, the destinations, the schedules, and says good of nothing
that it has not seen. And what is written but cannot be read is said to be just that."""

import http.server
import json
import os
import shutil
import sqlite3
import subprocess
import threading
import unittest

import mariadb
import sshd
from bamtest import BAM, SiteTest


class WebServer:
    """Hands out a folder on the loopback interface, but what ends like `ends` it refuses with a status."""

    def __init__(self, folder, refuses=None, ends=""):
        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments):
                super().__init__(*arguments, directory=folder)

            def do_GET(self):
                return self.send_error(refuses) if refuses and self.path.endswith(ends) else super().do_GET()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Check(SiteTest):
    def setUp(self):
        super().setUp()
        self.write("includes/bootstrap.inc", "<?php")
        self.write("sites/default/settings.php", "<?php")
        self.write("sites/default/files/note", "field note")
        os.mkdir(self.path("backups"))

    def looked(self, expect):
        """What was found, by area."""
        found = {}
        result = self.finish(self.start("--json", "config", "check"))
        self.assertEqual(result.code, expect, result)
        for finding in json.loads(result.out)["looked"]:
            found.setdefault(finding["area"], []).append(finding)
        return found

    def assertFound(self, found, area, state, *words):
        said = [f"{one['text']} {one.get('hint', '')}" for one in found[area] if one["state"] == state]
        fitting = [text for text in said if all(word in text for word in words)]
        self.assertTrue(fitting, f"no {state} with {words} in {found[area]}")

    def test_a_site_that_is_as_it_should_be(self):
        found = self.looked(0)
        self.assertFound(found, "site", "good", self.root)
        self.assertFound(found, "key", "good", self.key, "root alone" if os.geteuid() == 0 else "alone")
        self.assertFound(found, "source", "good", self.files)
        self.assertFound(found, "destination", "good", self.path("backups"), "free")
        self.assertFound(found, "destination", "notice", "this machine")
        self.assertEqual(os.listdir(self.path("backups")), [], "the trial is gone")
        shown = self.bam("config", "check").out
        self.assertIn("looked at are good", shown)
        self.assertIn("good     key:", shown)

    def test_offline_looks_at_nothing(self):
        self.document["destinations"]["manual"]["path"] = "/proc/no/such"
        self.document["encryption"]["key_file"] = self.path("no-key")
        self.assertIn("Nothing else was looked at", self.bam("config", "check", "--offline").out)

    def test_no_site_no_sources_no_destination(self):
        found = self.looked_at({})
        self.assertFound(found, "site", "wrong", "site.root")
        self.assertFound(found, "source", "wrong", "nothing to back up")
        self.assertFound(found, "destination", "wrong", "nowhere to go")
        del self.document["site"]["root"]
        self.document["sources"]["files"]["path"] = self.files
        self.assertFound(self.looked(3), "site", "missing", "site.root")
        self.document["site"]["root"] = self.path("gone")
        self.assertFound(self.looked(2), "site", "wrong", "gone")

    def looked_at(self, document):
        before, self.document = self.document, document
        try:
            return self.looked(2)
        finally:
            self.document = before

    def test_a_source_that_is_not_there(self):
        self.document["sources"]["media"] = {"type": "files", "path": "sites/default/meida"}
        self.assertFound(self.looked(3), "source", "missing", "meida")

    def test_patterns(self):
        self.write("sites/default/files/deep/film.mp4", "x")
        self.write("sites/default/files/a[b", "by this very name")
        self.document["profiles"]["default"]["sources"] = {"files": {"exclude": ["*.mp4", "!film*", "a[b", "less", "note"]}}
        found = self.looked(0)
        self.assertFalse([one for one in found["source"] if one["state"] != "good"], found["source"])
        self.document["profiles"]["default"]["sources"] = {"files": {"exclude": ["*.mpeg", "!*.avi", "vidoes", "/*.mp4"]}}
        found = self.looked(0)
        for entry in ("*.mpeg", "!*.avi", "vidoes", "/*.mp4"):
            self.assertFound(found, "source", "notice", f'"{entry}"', "profiles.default.sources.files.exclude")
        os.remove(os.path.join(self.files, "a[b"))
        self.document["profiles"]["default"]["sources"] = {"files": {"exclude": ["a[b"]}}
        self.assertFound(self.looked(2), "source", "wrong", '"a[b"', "no pattern")
        self.assertIn("no pattern", self.bam("config", "check", "--offline").err)
        # B&M's meaning stays, and is said.
        self.assertIn("no pattern", self.bam("backup", "files").err)

    def test_keys(self):
        os.chmod(self.key, 0o644)
        self.assertFound(self.looked(2), "key", "wrong", "0644", "chmod 600")
        os.remove(self.key)
        self.assertFound(self.looked(2), "key", "wrong", self.key, "keygen")
        self.document["encryption"] = {}
        self.assertFound(self.looked(2), "key", "wrong", "there is no key", "secret")
        del self.document["profiles"]["secret"]
        self.assertFound(self.looked(0), "key", "notice", "no profile encrypts")

    def test_secrets_below_the_docroot(self):
        os.rename(self.key, os.path.join(self.root, "key"))
        self.document["encryption"]["key_file"] = os.path.join(self.root, "key")
        self.assertFound(self.looked(2), "site", "wrong", "key file", "docroot")

    @unittest.skipUnless(shutil.which("curl"), "curl is not installed")
    def test_a_destination_below_the_docroot(self):
        inside = self.path("site/backups")
        os.mkdir(inside)
        self.document["destinations"]["manual"]["path"] = inside
        open_server = WebServer(self.root)
        self.addCleanup(open_server.close)
        self.document["site"]["url"] = open_server.url
        found = self.looked(2)
        self.assertFound(found, "destination", "wrong", "hands out", f"{open_server.url}/backups/")
        self.assertEqual([one for one in found["destination"] if one["state"] == "good"], [])
        closed = WebServer(self.root, refuses=403)
        self.addCleanup(closed.close)
        self.document["site"]["url"] = closed.url
        self.assertFound(self.looked(0), "destination", "notice", "docroot", "403")
        self.document["site"]["url"] = ""
        self.assertFound(self.looked(2), "destination", "wrong", "not known", "site.url")
        self.assertEqual(os.listdir(inside), [])
        # A server in trouble, and one that is not this site's, prove nothing.
        self.write("misc/drupal.js", "var Drupal = Drupal || {};")
        for refuses, ends, code, *words in ((503, "", 2, "not known", "HTTP 503"), (403, "", 2, "not known", "misc/drupal.js", "HTTP 403"),
                                            (429, ".gz", 2, "not known", "HTTP 429"), (403, ".gz", 0, "HTTP 403"), (404, ".gz", 0, "HTTP 404")):
            with self.subTest(refuses=refuses, ends=ends):
                server = WebServer(self.root, refuses, ends)
                self.addCleanup(server.close)
                self.document["site"]["url"] = server.url
                self.assertFound(self.looked(code), "destination", "wrong" if code else "notice", *words)
        # A link does not hide it.
        self.document["site"]["url"] = ""
        os.symlink(inside, self.path("link"))
        self.document["destinations"]["manual"]["path"] = self.path("link")
        self.assertFound(self.looked(2), "destination", "wrong", "docroot")

    @unittest.skipUnless(shutil.which("curl"), "curl is not installed")
    def test_nothing_in_the_clear_goes_where_it_is_served(self):
        inside, outside, disk = self.path("site/backups"), self.path("outside"), self.path("site/disk")
        os.mkdir(inside)
        os.symlink(inside, self.path("link"))
        places = self.document["destinations"]
        places["manual"]["path"] = self.path("link/../backups/./new")
        places["outside"] = {"type": "directory", "path": outside}
        server = WebServer(self.root)
        self.addCleanup(server.close)
        self.document["site"]["url"] = server.url
        refused = self.bam("backup", "files", "manual", expect=2)
        self.assertSays(refused, "hands out", f"{server.url}/backups/new/", "outside of the docroot")
        made = json.loads(self.bam("--json", "backup", "files", "manual,outside", expect=3).out)
        self.assertEqual([name for name in os.listdir(os.path.join(inside, "new")) if not name.startswith(".")], [])
        self.assertSays(self.bam("replicate", expect=None), "hands out")
        self.assertSays(self.bam("export", str(made["id"]), disk, "--create", expect=2), "hands out")
        self.assertSays(self.bam("import", os.path.join(outside, made["file"]), "manual", expect=2), "hands out")
        self.assertEqual([name for name in os.listdir(os.path.join(inside, "new")) if not name.startswith(".")], [])
        into = self.path("site/look/deep")
        self.assertSays(self.bam("restore", str(made["id"]), "--into", into, expect=2), "hands out", server.url)
        self.assertFalse(os.path.exists(self.path("site/look")))
        # What nobody can read there is worth a word, and not no backup.
        self.assertSays(self.bam("backup", "files", "manual", "secret"), "hands out")
        # Nor does what could be read go where nobody knows.
        self.document["site"]["url"] = ""
        refused = self.bam("backup", "files", "manual", expect=2)
        self.assertSays(refused, "not known", "outside of the docroot", "encrypt", "site.url")
        self.assertSays(self.bam("export", str(made["id"]), disk, "--create", expect=2), "not known")
        self.assertSays(self.bam("restore", str(made["id"]), "--into", into, expect=2), "not known", "site.url")
        self.bam("backup", "files", "manual", "secret")
        # But where the private files lie, as Drupal has closed them.
        self.document["site"]["private_path"] = self.path("site/backups")
        self.bam("backup", "files", "manual", expect=2)
        with open(os.path.join(inside, ".htaccess"), "w") as file:
            file.write("Deny from all\n")
        self.assertSays(self.bam("backup", "files", "manual"), "warning", ".htaccess keeps Apache from it", "not known")
        del self.document["site"]["private_path"]
        closed = WebServer(self.root, refuses=403)
        self.addCleanup(closed.close)
        self.document["site"]["url"] = closed.url
        self.bam("backup", "files", "manual")
        self.bam("restore", str(made["id"]), "--into", into)

    @unittest.skipUnless(shutil.which("curl"), "curl is not installed")
    def test_no_link_takes_a_folder_off_the_web(self):
        os.rename(self.files, self.path("rf"))
        os.symlink(self.path("rf"), self.files)
        os.mkdir(self.path("dl"))
        os.symlink(self.path("dl"), self.path("site/dl"))
        self.document["site"]["url"] = ""
        self.document["sources"]["notes"] = {"type": "files", "path": self.path("notes")}
        os.mkdir(self.path("notes"))
        self.document["destinations"]["outside"] = {"type": "directory", "path": self.path("outside")}
        made = str(self.bam_json("backup", "notes", "outside")["id"])
        ways = [("public://bk", "rf/bk"), (self.path("site/sites/default/files/bk2"), "rf/bk2"), (self.path("rf/bk3"), "rf/bk3"),
                ("sites/default/files/bk4", "rf/bk4"), (self.path("dl/x"), "dl/x"), (self.path("site/dl/y"), "dl/y")]
        server = WebServer(self.root)
        self.addCleanup(server.close)
        closed = WebServer(self.root, refuses=403)
        self.addCleanup(closed.close)
        for public in (None, "sites/default/files", self.path("rf")):
            self.document["site"].update({"public_path": public} if public else {})
            for path, real in ways:
                with self.subTest(path, public=public):
                    self.document["destinations"]["manual"]["path"] = path
                    self.document["site"]["url"] = ""
                    self.assertSays(self.bam("backup", "notes", "manual", expect=2), "not known", "docroot" if public is None else "")
                    self.assertFound(self.looked(2), "destination", "wrong", "not known", path.replace("public://", ""))
                    self.assertEqual([name for name in os.listdir(self.path(real)) if not name.startswith(".")], [])
                    if public is None and not path.startswith("public:"):
                        there = os.path.join(self.root, path)
                        self.assertSays(self.bam("export", made, there, expect=2), "not known")
                        self.assertSays(self.bam("restore", made, "--into", there + "-look", expect=2), "not known")
                    self.document["site"]["url"] = server.url
                    url = f"{server.url}/{real.replace('rf/', 'sites/default/files/')}/"
                    self.assertSays(self.bam("backup", "notes", "manual", expect=2), "hands out", url)
        self.document["site"]["url"] = closed.url
        self.bam("backup", "notes", "manual")
        # Public files at an address that nobody knows, and the key behind a link.
        self.document["site"].update({"public_path": self.path("elsewhere"), "url": server.url})
        self.document["destinations"]["manual"]["path"] = "public://bk"
        self.assertSays(self.bam("backup", "notes", "manual", expect=2), "public files", "no address of it is known")
        os.symlink(self.key, self.path("site/key"))
        self.assertFound(self.looked(2), "site", "wrong", "key file", "behind the link")

    @unittest.skipUnless(shutil.which("curl"), "curl is not installed")
    def test_no_other_way_leads_in_the_clear_to_where_it_is_served(self):
        live = self.path("site/sites/default/files/.ht.sqlite")
        sqlite3.connect(live).executescript("CREATE TABLE node (nid INTEGER); INSERT INTO node VALUES (7)")
        self.document["databases"] = {"db": {"url": "sqlite:" + live}}
        self.document["sources"]["db"] = {"type": "database"}
        made = self.backup("db", "manual", "secret")
        os.mkdir(self.path("site/misc"))
        server, closed = WebServer(self.root), WebServer(self.root, refuses=403)
        self.addCleanup(server.close)
        self.addCleanup(closed.close)
        plain, copy = self.path("site/misc/plain.gz"), self.path("site/misc/x.sqlite")
        ways = (("restore", str(made["id"]), "--into-database", "sqlite:" + copy), ("decrypt", made["path"], "-o", plain),
                ("decrypt", made["path"], "--key-file", self.key, "-o", plain))
        for url, words in ((server.url, ("hands out", server.url + "/misc/")), ("", ("not known", "docroot"))):
            self.document["site"]["url"] = url
            for way in ways:
                with self.subTest(way, url=url):
                    self.assertSays(self.bam(*way, expect=2), *words)
        # Nor into the docroot of a Drupal that nothing is known of.
        keyed = ("restore", "--file", made["path"], "--key", self.key)
        for way in (ways[2], (*keyed, "--into-database", "sqlite:" + copy), (*keyed, "--into", plain)):
            with self.subTest(way):
                self.assertSays(self.bam(*way, config=False, cwd=self.path("state"), expect=2), "not known", "docroot")
        self.assertEqual(os.listdir(self.path("site/misc")), [])
        self.bam("decrypt", made["path"], "--key-file", self.key, "-o", self.path("plain.gz"), config=False, cwd=self.top)
        # The site's own database is where it is. Without Drupal's code, which would be started after the restore.
        os.remove(self.path("site/includes/bootstrap.inc"))
        os.remove(self.path("site/sites/default/settings.php"))
        self.bam("restore", str(made["id"]), "--yes")
        self.bam("restore", str(made["id"]), "--into-database", "sqlite:" + live, "--yes")
        self.document["site"]["url"] = closed.url
        for way in ways[:2]:
            self.bam(*way)

    @unittest.skipUnless(shutil.which("curl"), "curl is not installed")
    def test_of_a_project_only_the_docroot_is_served(self):
        self.write("web/sites/default/settings.php", "<?php")
        self.document["site"]["conf_path"] = "web/sites/default"
        os.rename(self.key, self.path("site/key"))
        self.document["encryption"]["key_file"] = self.path("site/key")
        self.document["destinations"]["manual"]["path"] = self.path("site/private/backups")
        os.makedirs(self.path("site/private/backups"))
        looked = self.looked(0)
        self.assertFound(looked, "destination", "good", "private/backups")
        self.assertEqual([one for area in looked.values() for one in area if "docroot" in one["text"]], [])
        served = WebServer(self.path("site/web"))
        self.addCleanup(served.close)
        self.document["site"]["url"] = served.url
        os.mkdir(self.path("site/web/backups"))
        self.document["destinations"]["manual"]["path"] = self.path("site/web/backups")
        self.assertFound(self.looked(2), "destination", "wrong", "hands out", f"{served.url}/backups/")

    def test_a_place_that_is_a_folder_of_the_site(self):
        self.document["site"]["private_path"] = self.path("private")
        os.makedirs(self.path("private/sub"))
        sqlite3.connect(self.path("site.sqlite")).executescript("CREATE TABLE node (nid INTEGER)")
        self.document["databases"] = {"db": {"url": "sqlite:" + self.path("site.sqlite")}}
        self.document["sources"]["archive"] = {"type": "archive"}
        os.symlink(self.root, self.path("link"))
        for place in ("private://", self.path("private"), "public://", self.root, self.path("link/sites"), "sites/default/files"):
            with self.subTest(place):
                self.document["destinations"]["manual"]["path"] = place
                self.assertFound(self.looked(2), "destination", "wrong", "of the site", "left out", "/var/backups")
                self.assertSays(self.bam("backup", "archive", expect=2), "of the site", "/var/backups")
        # Beside them, around all of them, or below one: as ever.
        for place in (self.path("backups"), self.top, "private://sub"):
            with self.subTest(place):
                self.document["destinations"]["manual"]["path"] = place
                self.assertEqual(self.looked(0)["destination"][0]["state"], "good")
                self.bam("backup", "archive")

    def test_a_database_that_is_not_there(self):
        database = self.path("data/site.sqlite")
        self.document["databases"] = {"db": {"url": f"sqlite:{database}"}}
        self.document["sources"]["db"] = {"type": "database"}
        for make, code, state in ((lambda: None, 3, "missing"), (lambda: os.mkdir(self.path("data")), 3, "missing"),
                                  (lambda: os.mkfifo(database), 2, "wrong")):
            make()
            found = self.looked(code)
            self.assertEqual([one["state"] for one in found["database"]], [state], found)
            self.assertFound(found, "database", state, "no", database, "correct the path")
            self.assertSays(self.bam("backup", "db", expect=None), database, "correct the path")
        os.remove(database)
        sqlite3.connect(database).executescript("CREATE TABLE node (nid INTEGER)")
        self.assertFound(self.looked(0), "database", "good", "1 tables")

    def test_a_destination_that_cannot_be(self):
        with open(self.path("file"), "w") as file:
            file.write("no folder")
        self.document["destinations"]["manual"]["path"] = self.path("file")
        self.assertFound(self.looked(2), "destination", "wrong", "no folder")
        self.document["destinations"]["manual"]["path"] = self.path("new/folder")
        self.assertFound(self.looked(0), "destination", "notice", "not there yet", "first backup makes it")
        self.assertFalse(os.path.exists(self.path("new")), "looking makes nothing")

    def test_a_schedule_that_nobody_runs(self):
        self.assertFound(self.looked(0), "schedule", "notice", "no schedule")
        self.document["schedules"] = {"daily": {"source": "files", "destinations": ["manual"], "every": "1d"}}
        self.assertFound(self.looked(3), "schedule", "missing", "bam schedule install")

    def test_what_is_written_and_can_hardly_be_meant(self):
        daily = {"source": "files", "destinations": ["manual"], "every": "1d"}
        self.document["schedules"] = {"daily": daily, "never": {**daily, "every": 0, "cron": "0 0 30 2 *"},
                                      "both": {**daily, "cron": "0 4 * * 6"}}
        self.document["encryption"]["iterations"] = 1
        self.document["policy"] = {"copies": 2, "max_age": "2d"}
        found = self.looked(3)
        self.assertFound(found, "configuration", "missing", "never", "0 0 30 2 *")
        self.assertSays(self.bam("schedules"), "schedule never: no day is like `0 0 30 2 *`")
        self.assertSays(self.bam("status", expect=3), "schedule never never runs: no day is like")
        self.assertFound(found, "configuration", "notice", "both", "only `cron` counts")
        self.assertFound(found, "configuration", "notice", "iterations: 1 ")
        self.assertFound(found, "key", "notice", "not encrypted: both, daily, never")
        self.assertFound(found, "policy", "notice", "2 copies", "schedule daily makes 1")
        self.assertFound(found, "policy", "notice", "allows backups to be 2d old, schedule both makes one every 1w")
        self.assertEqual([one for one in found["policy"] if "daily makes one every" in one["text"]], [])
        daily["destinations"].append("second")
        self.document["destinations"]["second"] = {"type": "directory", "path": self.path("second")}
        self.document["policy"]["distinct_hosts"] = False
        self.assertEqual([one for one in self.looked(3)["policy"] if "copies" in one["text"]], [])

    def test_what_is_wrong_in_it_is_wrong(self):
        self.document["profiles"]["default"]["sources"] = {"nosuch": {}}
        self.assertFound(self.looked(0), "configuration", "notice", "nosuch")


class Databases(Check):
    """The same, asked of a real server."""

    def setUp(self):
        super().setUp()
        self.server = mariadb.server()
        self.server.sql("drop database if exists `che_ck`; create database `che_ck`; drop user if exists looker@localhost;"
                        "create user looker@localhost identified by 'right-pass';"
                        "create table che_ck.node (nid int primary key)")
        self.document["databases"] = {"db": {"url": "mysql://looker:right-pass@localhost/che_ck",
                                             "socket": self.server.socket}}
        self.addCleanup(self.server.sql, "drop database if exists che_ck; drop user if exists looker@localhost")

    def test_rights_and_the_statements_that_give_them(self):
        self.server.sql("grant select, show view on `che\\_ck`.* to looker@localhost")
        found = self.looked(3)
        self.assertFound(found, "database", "missing", "not whole", "TRIGGER, EVENT")
        lines = [one["hint"].split(": ", 1)[1] for one in found["database"] if "hint" in one]
        self.assertEqual(len(lines), 3, lines)
        # They are pasted as they are.
        for line in lines:
            self.server.sql(line)
        found = self.looked(0)
        self.assertEqual([one["state"] for one in found["database"]], ["good"], found)
        self.assertFound(found, "database", "good", "che_ck", "looker@localhost", "1 tables")

    def test_a_wrong_password_and_a_server_that_is_not_there(self):
        self.document["databases"]["db"]["url"] = "mysql://looker:wrong-pass@localhost/che_ck"
        found = self.looked(2)
        self.assertFound(found, "database", "wrong", "password")
        self.assertNotIn("wrong-pass", str(found))
        self.document["databases"]["db"]["socket"] = self.path("no.sock")
        self.assertFound(self.looked(3), "database", "missing", "running")


class Servers(Check):
    """Destinations at a real SSH server."""

    def setUp(self):
        super().setUp()
        self.sshd = sshd.Sshd()
        self.addCleanup(self.sshd.close)
        self.document["destinations"]["offsite"] = self.sshd.settings

    def test_a_server_that_takes_files(self):
        found = self.looked(0)
        self.assertFound(found, "destination", "good", self.sshd.backups, "free")
        self.assertEqual(os.listdir(self.sshd.backups), [], "the trial is gone")

    def test_a_site_without_an_address_has_doubles(self):
        self.assertNotIn("no address tells", str(self.looked(0)))
        del self.document["site"]["url"]
        self.assertFound(self.looked(0), "site", "notice", "no address tells this site from a copy of it")
        del self.document["destinations"]["offsite"]
        self.assertNotIn("no address tells", str(self.looked(0)))

    def test_a_folder_that_is_not_there(self):
        self.document["destinations"]["offsite"] = {**self.sshd.settings, "url": self.sshd.url + "-typo"}
        self.assertFound(self.looked(3), "destination", "missing", "-typo", "not there")
        for arguments in (["backups"], ["backups", "offsite"]):
            self.assertSays(self.bam(*arguments, expect=3), "there is no folder", "-typo")
        self.assertSays(self.bam("restore", "latest", "--yes", expect=1), "there is no folder", "-typo")

    def test_a_server_that_nobody_trusts_or_that_does_not_let_us_in(self):
        self.document["destinations"]["offsite"] = {**self.sshd.settings, "known_hosts": self.path("none")}
        self.assertFound(self.looked(3), "destination", "missing", "unknown", "bam destination trust offsite")
        self.document["destinations"]["offsite"] = {**self.sshd.settings, "identity_file": self.path("no-id")}
        self.assertFound(self.looked(2), "destination", "wrong", "no-id")
        self.sshd.stop()
        self.document["destinations"]["offsite"] = self.sshd.settings
        self.assertFound(self.looked(3), "destination", "missing", "127.0.0.1")

    def test_a_servers_key_is_shown_and_nobody_logs_in(self):
        shown = self.bam_json("destination", "host-key", self.sshd.url)["host_key"]
        self.assertEqual(shown["fingerprint"], self.sshd.fingerprint().split()[1])
        self.assertFalse(shown["known"])
        self.document["destinations"]["offsite"] = self.sshd.settings
        self.assertTrue(self.bam_json("destination", "host-key", "offsite")["host_key"]["known"])
        self.assertNotIn("Accepted", self.sshd.log())
        self.bam("destination", "host-key", "manual", expect=2)


class Readable(SiteTest):
    """What is there and may not be read is not said to be missing."""

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("setpriv"), "wants root, to become somebody else")
    def test_a_configuration_that_may_not_be_read(self):
        config = self.write_document()
        os.chmod(self.top, 0o711)
        os.mkdir(self.path("private"), 0o700)
        os.rename(config, self.path("private/bam.yml"))
        program = shutil.copy(BAM, self.path("bam"))
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        for arguments in (["--config", self.path("private/bam.yml")], []):
            here = self.path("private") if not arguments else "/"
            # The folder is opened before the rights go: as for a shell whose user changed.
            done = subprocess.run(nobody + [program, *arguments, "backups"], cwd=here, capture_output=True, text=True)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("Permission denied", done.stderr)
            self.assertNotIn("there is no configuration", done.stderr)

    def test_a_configuration_that_is_not_utf8(self):
        path = self.path("latin1.yml")
        for content, words in [(b"site:\n  name: \"Caf\xe9\"\n", ["line 2", "UTF-8"]),
                               ("site: {}\n".encode("utf-16"), ["UTF-16"])]:
            with open(path, "wb") as file:
                file.write(content)
            result = self.bam("config", "check", "--offline", config=path, expect=2)
            self.assertSays(result, *words)


# The cases of the class alone are run; its children add theirs.
for inherited in (Databases, Servers):
    for name in [name for name in dir(Check) if name.startswith("test_")]:
        if name not in vars(inherited):
            setattr(inherited, name, None)
