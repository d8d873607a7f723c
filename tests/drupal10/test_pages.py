"""What an administrator does with the pages alone: first steps, preview and restore, upload, drill, keys, other places."""

import http.client
import json
import os
import re
import shutil
import time
import unittest
import urllib.parse

from browser import LIMIT
from pages10 import PAGES, PagesTest
from site10 import BAM
from sshd import PROGRAM, Sshd


class Pages(PagesTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.site.fill("content")

    def setUp(self):
        self.admin = self.visitor()

    def page(self, path=""):
        status, page = self.admin.get(PAGES + path)
        self.assertEqual(status, 200, page[:2000])
        return page.decode()

    def stored(self, file):
        return os.path.join(self.site.root, "private/backup_migrate/manual", file)

    def set(self, **settings):
        """Settings of the module, as they are before and after a test."""
        sets = "".join(f"->set('{name}', json_decode('{json.dumps(value)}', TRUE))" for name, value in settings.items())
        self.site.php(f"\\Drupal::configFactory()->getEditable('bam.settings'){sets}->save();")

    def restore(self, page, **fields):
        """Goes as far as the question; what would change, as text."""
        self.admin.submit(page, "Show what would change", fields)
        preview = self.admin.follow()
        self.assertIn("/confirm", self.admin.address, preview[:3000])
        return preview

    def confirm(self):
        question = self.admin.address
        _, page = self.admin.submit(question, "Restore", {"name": "Another"})
        self.assertIn("That is not the name of this site.", page.decode())
        self.admin.submit(question, "Restore", {"name": " lab "})
        self.assertIn("Done", self.admin.follow())
        # The same question again is one about another site.
        self.assertIn("Look again", self.admin.get(question)[1].decode())

    def test_the_first_steps_are_seen_from_what_is_there(self):
        site = self.site
        self.assertRegex(self.page("/start"), r"(?s)1\. Program and key.*There is no key yet.*to do")
        key = os.path.join(site.top, "steps/key")
        self.addCleanup(self.set, key_file="", keys=[], default_profile="")
        self.admin.submit(PAGES + "/keys", "Make a key", {"file": key})
        _, page = self.admin.submit(PAGES + "/keys", "A copy of the key is kept elsewhere")
        self.assertTrue(self.admin.address.endswith("/start"), self.admin.address)
        self.assertIn("a copy of it is kept elsewhere", page.decode())
        site.php("""\\Drupal\\bam\\Entity\\Destination::create(['id' => 'away', 'label' => 'Away', 'type' => 'sftp',
            'url' => 'sftp://nobody@127.0.0.1:1/backups'])->save();""")
        self.addCleanup(site.php, "\\Drupal\\bam\\Entity\\Destination::load('away')->delete();")
        self.assertIn("it has not been tried with success", self.page("/start"))
        self.admin.submit(PAGES + "/places/away/try", "Try it")
        self.admin.follow()
        # What it came to is told where it can be tried again.
        self.assertTrue(self.admin.address.endswith("/places/away/try"), self.admin.address)
        self.assertIn("127.0.0.1", self.page("/places/away/try"))
        self.assertIn("it has not been tried with success", self.page("/start"))
        # A new schedule takes the profile that encrypts.
        self.assertRegex(self.page("/schedules/add"), r'<option value="encrypted" selected')

    def test_the_address_of_the_site_is_remembered_of_who_may_see_the_pages(self):
        known = "echo \\Drupal::state()->get('bam.url');"
        self.site.php("\\Drupal::state()->delete('bam.url');")
        stranger = self.visitor("anonymous")
        for path in ("/", PAGES, "/cron/wrong"):
            stranger.get(path)
        self.assertEqual(self.site.php(known).strip(), "")
        self.page()
        self.assertEqual(self.site.php(known).strip(), self.site.address)

    def test_what_is_to_be_done_has_the_button_that_does_it(self):
        self.site.backup("db")
        self.addCleanup(self.set, policy={"copies": None, "distinct_hosts": True, "max_age": "", "verify_every": ""})
        self.set(policy={"copies": 2, "distinct_hosts": True, "max_age": "1h", "verify_every": "30d"})
        page = self.page()
        todo = page[page.index("bam-todo"):]
        for text, path in (("There is no key", "/keys"), ("stay on this machine", "/places/add"), ("copies", "/replicate"),
                           ("verif", "/verify")):
            self.assertRegex(todo, rf'(?s){text}.*?href="{PAGES}{path}"')
        # Those who may not do it have no button.
        sees = self.visitor("access backup files")
        page = sees.get(PAGES)[1].decode()
        self.assertIn("bam-todo", page)
        self.assertNotIn(f'href="{PAGES}/replicate"', page)
        self.assertNotIn(f'href="{PAGES}/keys"', page)

    def test_a_preview_tells_what_a_restore_would_do_and_only_that_is_done(self):
        site, folder = self.site, self.site.conf + "/files"
        os.makedirs(folder + "/kept <b>")
        for name in ("kept <b>/one & two.txt", "other.txt"):
            site.write(f"{folder}/{name}", "before")
        made = site.backup("archive")
        shutil.rmtree(folder + "/kept <b>")
        os.makedirs(folder + "/kept <b>")
        site.write(folder + "/kept <b>/new.txt", "new")
        site.write(folder + "/other.txt", "after")
        site.php("\\Drupal::configFactory()->getEditable('system.site')->set('slogan', 'after')->save();")
        where = os.path.relpath(folder, site.root)
        path = f"{PAGES}/backups/{made['id']}/restore"
        preview = self.restore(path, part="path", path=f"{where}/kept <b>")
        self.assertIn("one &amp; two.txt", preview)
        self.assertRegex(preview, r"(?s)lost: they are here now.*new\.txt")
        self.assertNotIn("other.txt", preview)
        self.assertNotIn("<b>/", preview)
        self.assertTrue(os.path.exists(folder + "/kept <b>/new.txt"), "nothing is changed yet")
        self.confirm()
        self.assertEqual(sorted(os.listdir(folder + "/kept <b>")), ["one & two.txt"])
        with open(folder + "/other.txt") as file:
            self.assertEqual(file.read(), "after")
        self.assertEqual(site.facts()["slogan"], "after")
        preview = self.restore(path, part="table", table="node_field_data, config")
        self.assertIn("2 tables more are replaced", preview)
        self.assertNotIn("other.txt", preview)
        self.confirm()
        self.admin = self.visitor()
        self.assertEqual(site.facts()["slogan"], "content")
        preview = self.restore(path, part="database")
        self.assertRegex(preview, r"\d+ tables more are replaced")
        self.assertNotIn("other.txt", preview)
        # Without a choice of files or tables nothing is started.
        _, page = self.admin.submit(path, "Show what would change", {"part": "path", "path": " \n"})
        self.assertIn("Which files or folders?", page.decode())

    def test_a_question_is_asked_of_those_who_may_and_only_about_previews(self):
        made = self.site.backup("db")
        self.restore(f"{PAGES}/backups/{made['id']}/restore")
        question = self.admin.address
        for visitor in (self.visitor("anonymous"), self.visitor("perform backup", "access backup files")):
            self.assertEqual(visitor.get(question)[0], 403)
        self.admin.submit(f"{PAGES}/backups/{made['id']}/verify", "Verify")
        self.admin.follow()
        self.assertEqual(self.admin.get(self.admin.address + "/confirm")[0], 404)

    def send(self, query, body=b"", method="POST"):
        """A piece, as the script sends it."""
        address = urllib.parse.urlsplit(self.site.address)
        cookies = "; ".join(f"{one.name}={one.value}" for handler in self.admin.opener.handlers
                            for one in getattr(handler, "cookiejar", ()))
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=LIMIT)
        connection.request(method, f"{PAGES}/upload/piece?{urllib.parse.urlencode(query)}", body,
                           {"Cookie": cookies, "Content-Type": "application/octet-stream"})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def upload_settings(self):
        found = re.search(r'<script type="application/json" data-drupal-selector="drupal-settings-json">(.*?)</script>', self.page("/upload"))
        settings = json.loads(found.group(1))["bamUpload"]
        self.assertEqual(settings["url"], PAGES + "/upload/piece")
        return settings["piece"], settings["token"]

    def test_a_file_comes_in_pieces_goes_on_where_it_stopped_and_is_checked(self):
        site = self.site
        with open(site.conf + "/files/big.bin", "wb") as big:
            big.write(os.urandom(3 << 20))
        self.addCleanup(os.unlink, site.conf + "/files/big.bin")
        made = site.backup("files")
        with open(self.stored(made["file"]), "rb") as file:
            whole = file.read()
        site.drush("bam:delete", str(made["id"]), "--yes")
        piece, token = self.upload_settings()
        self.assertGreater(len(whole), 2 * piece)
        upload = {"id": "0123456789abcdef0123456789abcdef", "token": token}
        first = whole[:piece]
        # Without its token, of another name, by GET: nothing is taken.
        self.assertEqual(self.send({**upload, "token": "x", "offset": 0}, first)[0], 403)
        self.assertEqual(self.send({"id": upload["id"], "offset": 0}, first)[0], 403)
        self.assertEqual(self.send({**upload, "id": "../../etc/passwd", "offset": 0}, first)[0], 400)
        self.assertEqual(self.send({**upload, "offset": 0}, method="GET")[0], 405)
        self.assertEqual(self.send({**upload, "offset": -1}), (200, b'{"size":0}'))
        self.assertEqual(json.loads(self.send({**upload, "offset": 0}, first)[1])["size"], piece)
        # The same piece once more, as after a lost answer, is not appended again.
        self.assertEqual(json.loads(self.send({**upload, "offset": 0}, first)[1])["size"], piece)
        told = json.dumps({"id": upload["id"], "name": made["file"], "size": len(whole)})
        _, page = self.admin.submit(PAGES + "/upload", "Upload and check", {"uploaded": told})
        self.assertIn("has not arrived whole", page.decode())
        size = json.loads(self.send({**upload, "offset": -1})[1])["size"]
        while size < len(whole):
            size = json.loads(self.send({**upload, "offset": size}, whole[size:size + piece])[1])["size"]
        self.admin.submit(PAGES + "/upload", "Upload and check", {"uploaded": told, "place": "manual", "unauthenticated": "1"})
        self.assertIn("Done.", self.admin.follow())
        with open(self.stored(made["file"]), "rb") as file:
            self.assertEqual(file.read(), whole)
        # What is damaged is refused, and stays nowhere.
        os.unlink(self.stored(made["file"]))
        damaged = {"id": "ffff456789abcdef0123456789abcdef", "token": token}
        size = 0
        while size < len(whole) - 1000:
            size = json.loads(self.send({**damaged, "offset": size}, whole[size:min(size + piece, len(whole) - 1000)])[1])["size"]
        told = json.dumps({"id": damaged["id"], "name": made["file"], "size": size})
        self.admin.submit(PAGES + "/upload", "Upload and check", {"uploaded": told, "place": "manual", "unauthenticated": "1"})
        self.assertIn("It failed.", self.admin.follow())
        self.assertFalse(os.path.exists(self.stored(made["file"])))
        state = json.loads(site.php("echo json_encode(\\Drupal::service('bam.program')->stateFolder());"))
        self.assertEqual([name for name in os.listdir(state) if name.startswith("upload-")], [])

    def test_a_drill_shows_what_was_restored_for_trial(self):
        made = self.site.backup("files")
        self.admin.submit(f"{PAGES}/backups/{made['id']}/drill", "Start the drill")
        page = self.admin.follow()
        self.assertIn(made["file"], page)
        self.assertRegex(page, r"(?s)What was restored for trial.*good.*\d+ files? with")
        self.assertIn("A backup was restored aside, and was right.", self.page("/start"))

    def test_a_key_is_changed_and_old_backups_follow(self):
        site, key = self.site, os.path.join(self.site.top, "changed/key")
        self.addCleanup(self.set, key_file="", keys=[], default_profile="")
        self.admin.submit(PAGES + "/keys", "Make a key", {"file": key})
        made = site.backup("db")
        with open(self.stored(made["file"]), "rb") as file:
            before = file.read()
        self.admin.submit(PAGES + "/keys", "Change to a new key")
        self.assertIn("Done.", self.admin.follow())
        page = self.page("/keys")
        self.assertRegex(page, rf"(?s)/changed/key-[0-9-]+.*new backups.*{key}\b.*old backups only")
        with open(self.stored(made["file"]), "rb") as file:
            self.assertNotEqual(file.read(), before)
        os.unlink(key)
        site.drush("bam:verify", str(made["id"]))
        self.assertIn("is not there", self.page("/keys"))
        # The copy that somebody has is of the old one.
        self.assertIn("Nobody has said yet", page)
        site.drush("bam:delete", str(made["id"]), "--yes")

    def test_a_site_comes_back_from_elsewhere_with_the_sheet_alone(self):
        site, key = self.site, os.path.join(self.site.top, "elsewhere/key")
        self.addCleanup(self.set, key_file="", keys=[], default_profile="")
        self.admin.submit(PAGES + "/keys", "Make a key", {"file": key})
        site.write(site.conf + "/files/here.txt", "before")
        made = site.backup("files")
        disk = os.path.join(site.top, "a disk")
        os.makedirs(disk)
        for extension in ("", ".info"):
            shutil.move(self.stored(made["file"]) + extension, disk)
        with open(key) as file:
            passphrase = file.readline().strip()
        self.set(key_file="", default_profile="")
        os.unlink(key)
        os.unlink(site.conf + "/files/here.txt")
        _, page = self.admin.submit(PAGES + "/elsewhere", "Look for backups", {"place": "backups"})
        self.assertIn("Give a full path", page.decode())
        self.admin.submit(PAGES + "/elsewhere", "Look for backups", {"place": disk, "passphrase": passphrase})
        page = self.admin.follow()
        self.assertIn(made["file"], page)
        self.assertNotIn(passphrase, page)
        link = re.search(rf'href="({PAGES}/backups/{made["id"]}/restore[^"]*)"', page).group(1).replace("&amp;", "&")
        self.restore(link)
        self.confirm()
        with open(site.conf + "/files/here.txt") as file:
            self.assertEqual(file.read(), "before")
        # The line of the sheet, typed in, is the key from now on.
        again = os.path.join(site.top, "elsewhere/typed")
        self.admin.submit(PAGES + "/keys", "Make a key", {"file": again, "passphrase": passphrase})
        with open(again) as file:
            self.assertEqual(file.read(), passphrase + "\n")
        self.assertEqual(os.stat(again).st_mode & 0o777, 0o600)

    def test_another_sites_backups_are_shown_when_asked_and_restored_when_meant(self):
        site, other = self.site, os.path.join(self.site.top, "other")
        os.makedirs(other + "/files")
        os.makedirs(os.path.dirname(self.stored("x")), exist_ok=True)
        site.write(other + "/files/theirs.txt", "theirs")
        site.write(other + "/bam.yml", f"site: {{ root: {other}, url: 'https://other.example.org', name: Other }}\n"
                   f"sources: {{ files: {{ type: files, path: {other}/files }} }}\n"
                   f"destinations: {{ manual: {{ type: directory, path: {os.path.dirname(self.stored('x'))} }} }}\n")
        made = json.loads(site.run([BAM, "--config", other + "/bam.yml", "--json", "backup", "files", "manual"])[0])
        # This site has an address of its own, and not only one of this machine.
        site.php("\\Drupal::state()->set('bam.url', 'https://own.example.org');")
        self.addCleanup(site.php, "\\Drupal::state()->delete('bam.url');")
        self.page("/start")
        wanted, deadline = re.compile(rf'href="({PAGES}/backups/{made["id"]}/restore\?[^"]*)"'), time.monotonic() + LIMIT
        # Asked in the background, as often as the page is read.
        while not (found := wanted.search(self.page("?site=others"))) and time.monotonic() < deadline:
            time.sleep(0.2)
        link = found.group(1).replace("&amp;", "&")
        _, page = self.admin.submit(link, "Show what would change")
        self.assertIn("is required", page.decode())
        self.restore(link, other="1")
        self.confirm()
        self.assertTrue(os.path.exists(site.conf + "/files/theirs.txt"))

    def test_forms_refuse_what_could_not_work(self):
        site, add = self.site, {"label": "Odd", "id": "odd"}
        public = site.conf + "/files"
        os.symlink(public, site.top + "/link")
        docroot = site.docroot
        for path in (public + "/bk", site.root + "/private/../web/sites/default/files/bk", site.top + "/link/bk", "/" + public + "/./bk",
                     "private://../web/sites/default/files/bk", docroot.replace("/", "//") + "/bk", "public://bk", "bk"):
            _, page = self.admin.submit(PAGES + "/places/add", "Save and try it", {**add, "type": "directory", "path": path})
            self.assertNotIn("is saved", page.decode(), path)
            self.assertIn("Error message", page.decode(), path)
        for url in ("http://x/y", "sftp://", "sftp://u@localhost:99999/x", "sftp://u:secret@h/x", "sftp://h h/x", "host:/path"):
            _, page = self.admin.submit(PAGES + "/places/add", "Save and try it", {**add, "type": "sftp", "url": url})
            self.assertNotIn("is saved", page.decode(), url)
            self.assertIn("Error message", page.decode(), url)
        schedule = {"label": "Odd", "id": "odd", "destinations[manual]": "manual"}
        for fields in ({"number": "99999999999999999999"}, {"number": "1.5"}, {"number": ""}, {"number": "-1"},
                       {"how_many": "some", "keep": ""}, {"cron": "99 4 * * *"}, {"cron": "0 4 * * 8"}, {"cron": "*/0 * * * *"},
                       {"cron": "0-70 4 * * *"}, {"cron": "quatsch"}, {"destinations[manual]": None}):
            status, page = self.admin.submit(PAGES + "/schedules/add", "Save", {**schedule, **fields})
            self.assertEqual(status, 200, fields)
            self.assertNotIn("is saved", page.decode(), fields)
        self.assertEqual(self.admin.get(PAGES + "/schedules/none/run")[0], 404)
        _, page = self.admin.submit(PAGES + "/schedules/add", "Save", {**schedule, "cron": "0 4 * * sat"})
        self.assertIn("is saved", page.decode())
        self.addCleanup(site.php, "\\Drupal\\bam\\Entity\\Schedule::load('odd')->delete();")
        self.assertEqual(self.admin.get(PAGES + "/schedules/odd/run")[0], 200)

    def test_names_are_shown_as_they_are_and_paths_reach_the_program_as_typed(self):
        site, name = self.site, '<b>"A" & ü'
        folder = os.path.join(site.top, "ü place")
        site.php(f"""\\Drupal\\bam\\Entity\\Destination::create(['id' => 'named', 'label' => '{name}', 'type' => 'directory',
            'path' => '{folder}'])->save();""")
        self.addCleanup(site.php, "\\Drupal\\bam\\Entity\\Destination::load('named')->delete();")
        self.admin.submit(PAGES + "/places/named/try", "Try it")
        for page in (self.admin.get(self.admin.address)[1].decode(), self.admin.follow()):
            self.assertIn("&lt;b&gt;&quot;A&quot; &amp; ü", page)
            self.assertNotIn("&amp;lt;", page)
            self.assertNotIn("&amp;quot;", page)
        files = site.conf + "/files"
        for path in ("ü/a.txt", "a.txt"):
            os.makedirs(os.path.dirname(f"{files}/{path}"), exist_ok=True)
            site.write(f"{files}/{path}", "before")
        with open(os.fsencode(files) + b"/\xfc.txt", "w") as file:
            file.write("before")
        self.admin.submit(PAGES + "/backup", "Back up now", {"source": "files", "description": "größer ü"})
        self.assertIn("Done.", self.admin.follow())
        made = self.backups()[0]
        self.assertEqual(made["description"], "größer ü")
        for path in (b"/\xfc.txt", "/ü/a.txt".encode(), b"/a.txt"):
            with open(os.fsencode(files) + path, "w") as file:
                file.write("after")
        # The bytes that are no text as the program shows them.
        self.restore(f"{PAGES}/backups/{made['id']}/restore", part="path", path="ü\n\\xfc.txt")
        self.confirm()
        found = []
        for path in (b"/\xfc.txt", "/ü/a.txt".encode(), b"/a.txt"):
            with open(os.fsencode(files) + path) as file:
                found.append(file.read())
        self.assertEqual(found, ["before", "before", "after"])

    @unittest.skipUnless(os.path.exists(PROGRAM), "openssh-server is not installed")
    def test_a_server_is_added_its_key_is_trusted_and_its_backups_are_handed_out(self):
        site, sshd = self.site, Sshd()
        self.addCleanup(sshd.close)
        self.addCleanup(site.php, "\\Drupal\\bam\\Entity\\Destination::load('server')->delete();")
        self.admin.submit(PAGES + "/places/add", "Save and try it", {
            "label": "Server", "id": "server", "type": "sftp", "url": sshd.url, "identity_file": sshd.path("id")})
        page = self.admin.follow()
        fingerprint = sshd.fingerprint().split()[1]
        self.assertIn(fingerprint, page)
        self.assertIn("nothing was sent to it", page)
        self.admin.submit(PAGES + "/places/server/try", "It is the same: trust this server")
        self.assertIn("It is reached, takes a file and gives it back.", self.admin.follow())
        self.admin.submit(PAGES + "/backup", "Back up now", {"source": "files", "destinations[server]": "server",
                                                             "destinations[manual]": None})
        self.assertIn("Done.", self.admin.follow())
        made = self.backups()[0]
        self.assertEqual([copy["destination"] for copy in made["copies"]], ["server"])
        for what, name in (("download", made["file"]), ("sidecar", made["file"] + ".info")):
            status, body = self.admin.get(f"{PAGES}/backups/{made['id']}/{what}")
            with open(os.path.join(sshd.backups, name), "rb") as file:
                self.assertEqual((status, body), (200, file.read()), what)
        site.drush("bam:delete", str(made["id"]), "--yes")


del PagesTest
