"""What people do day by day: back up, look in on it, cancel, upload, download, restore."""

import http.client
import os
import shutil
import signal
import subprocess
import unittest

import webserver
from browsersite import ANY, PAGES, BrowserTest, first_number
from drupalsite import BAM, php
from sshd import PROGRAM, Sshd



class Work(BrowserTest):
    has_key = True

    def hold(self, table):
        """A lock on a table of its own, so that whoever reads or exchanges it waits until release()."""
        self.sql(f"create table if not exists {table} (a int) engine=InnoDB")
        session = self.server.hold(f"lock tables {table} write", "site")

        def release():
            if session.poll() is None:
                session.stdin.close()
                session.stdout.close()
                session.wait()
        self.addCleanup(release)
        return release

    def add_server(self):
        """A place on a real server, as Backup and Migrate keeps it."""
        sshd = Sshd()
        self.addCleanup(sshd.close)
        for name in ("id", "known_hosts"):
            shutil.chown(sshd.path(name), webserver.USER)
        os.chmod(sshd.top, 0o711)
        self.insert("backup_migrate_destinations", {"machine_name": "offsite", "name": "The other machine", "subtype": "sftp",
                                                    "location": sshd.url}, settings=sshd.keys)
        return sshd

    def start_backup(self, page, source="db", place="manual", profile=""):
        page.go(f"{PAGES}/backup?source={source}")
        page.choose("[name=source]", source)
        for name in ("manual", "scheduled", "offsite"):
            if page.has(f"[name='destinations[{name}]']"):
                page.tick(f"[name='destinations[{name}]']", name == place)
        page.choose("[name=profile]", profile)
        page.click("Back up now", "input")
        page.wait(lambda: "/job/" in page.url, "the page of the job")

    def download(self, page, number, sent):
        size = os.path.getsize(sent)
        cookies = "; ".join(f"{name}={value}" for name, value in page.cookies().items())
        for asked, first, last in (("bytes=0-99", 0, 99), (f"bytes={size - 50}-", size - 50, size - 1), ("bytes=-7", size - 7, size - 1),
                                   (None, 0, size - 1)):
            with self.subTest(asked):
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
                headers = {"Cookie": cookies, **({"Range": asked} if asked else {})}
                connection.request("GET", f"/{PAGES}/backups/{number}/download", headers=headers)
                answer = connection.getresponse()
                self.assertEqual(answer.status, 206 if asked else 200)
                self.assertEqual(int(answer.headers["Content-Length"]), last - first + 1)
                self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff")
                self.assertRegex(answer.headers["Content-Disposition"], "^attachment")
                with open(sent, "rb") as file:
                    file.seek(first)
                    left = last - first + 1
                    while block := answer.read(1 << 20):
                        self.assertEqual(block, file.read(len(block)))
                        left -= len(block)
                self.assertEqual(left, 0)
                connection.close()

    def cancel(self, page):
        page.click("Cancel", "a")
        page.click("Cancel it", "input")
        self.job_ends(page, "Cancelled. Nothing was changed.")


class Running(Work):
    def test_a_backup_goes_on_while_its_page_is_left_and_found_again(self):
        page = self.person()
        release = self.hold("zz_hold")
        self.start_backup(page)
        self.assertTrue(page.has("#bam-progress progress"))
        self.assertIn("Cancel", page.text)
        page.wait_for("Backing up")
        page.go(page.url)
        self.assertTrue(page.has("#bam-progress"), page.text)
        address = page.url
        page.close_tab()
        page.go(PAGES)
        page.click("Backup of Database", "a")
        page.wait(lambda: page.url == address, "the same page")
        release()
        self.job_ends(page)
        self.assertEqual(len(self.stored()), 1)
        page.go(f"{PAGES}/backups/{first_number(page)}/delete")
        page.click("Erase", "input")
        self.job_ends(page, None)
        with self.subTest("it is cancelled at each stage"):
            self.cancel_at_each_stage(page)

    def cancel_at_each_stage(self, page):
        sshd = self.add_server()
        page.go(PAGES)
        with self.subTest("while a server is waited for"):
            os.kill(sshd.process.pid, signal.SIGSTOP)
            self.start_backup(page, place="offsite")
            self.cancel(page)
            os.kill(sshd.process.pid, signal.SIGCONT)
            self.assertEqual(sshd.visible(), [])
        with self.subTest("while the database is read"):
            release = self.hold("zz_hold")
            self.start_backup(page)
            page.wait_for("Backing up")
            self.cancel(page)
            release()
            self.assertEqual(self.stored(), [])
        with self.subTest("before the database is exchanged"):
            self.start_backup(page)
            self.job_ends(page)
            before = self.sql("checksum table bam_odd, node, zz_hold")
            number = first_number(page)
            page.go(f"{PAGES}/backups/{number}/restore")
            page.click("Show what would change", "input")
            page.wait_for("The name of the site")
            release = self.hold("zz_hold")
            page.type("#edit-name", self.variable("site_name"))
            page.click("Restore", "input")
            page.wait(lambda: "/job/" in page.url, "the page of the job")
            page.wait_for("Restoring")
            self.cancel(page)
            release()
            self.assertEqual(self.sql("checksum table bam_odd, node, zz_hold"), before)

    def test_a_server_that_hangs_makes_no_page_slow(self):
        sshd = self.add_server()
        page = self.person([*ANY, "access site reports", "administer site configuration"])
        os.kill(sshd.process.pid, signal.SIGSTOP)
        self.addCleanup(os.kill, sshd.process.pid, signal.SIGCONT)
        for path in (PAGES, f"{PAGES}/backup", f"{PAGES}/places", f"{PAGES}/schedules", f"{PAGES}/profiles", f"{PAGES}/start",
                     "admin/reports/status", PAGES):
            with self.subTest(path):
                # On a busy machine any page may take long; but not twice, and not as long as a silent server is waited for.
                took = min(self.seconds(page, path) for _ in range(3))
                self.assertLess(took, 8, page.text)
                self.assertNotIn("unexpected error", page.text)

    def seconds(self, page, path):
        """Measured by the browser, from its request to the end of the answer."""
        page.go(path)
        return page.run("var t = performance.timing; return (t.responseEnd - t.requestStart) / 1000")

    @unittest.skipUnless(os.geteuid() == 0, "root makes the backup of this test")
    def test_a_backup_that_root_made_before_is_used_by_the_web_user(self):
        done = self.bam("backup", "db", "manual")
        self.assertEqual(done.returncode, 0, done.stderr)
        page = self.person()
        number = first_number(page)
        page.go(f"{PAGES}/backups/{number}/verify")
        page.click("Verify", "input")
        self.job_ends(page)
        self.assertIn("good", page.text)
        page.go(f"{PAGES}/backups/{number}/restore")
        page.click("Show what would change", "input")
        page.wait_for("The name of the site")
        page.go(f"{PAGES}/backups/{number}/delete")
        page.click("Erase", "input")
        self.job_ends(page, None)
        self.assertEqual(self.stored(), [], page.text)


    def test_the_key_is_changed_and_backups_elsewhere_follow_and_are_downloaded(self):
        sshd = self.add_server()
        keys = os.path.join(self.top, "keys")
        os.mkdir(keys, 0o700)
        old = os.path.join(keys, "key")
        with open(old, "w") as file:
            file.write("the old key of the site, long enough\n")
        os.chmod(old, 0o600)
        for path in (keys, old):
            shutil.chown(path, webserver.USER)
        self.php(f"variable_set('bam_key_file', {php(old)});")
        self.unset_conf("bam_key_file")
        self.profile("sealed", "Sealed", encryption="aes256", sources={"db": {"nodata_tables": ["watchdog"]}})
        page = self.person()
        self.start_backup(page, place="offsite", profile="sealed")
        self.job_ends(page)
        number = first_number(page)
        name = next(name for name in sshd.visible() if name.endswith(".enc"))
        there = os.path.join(sshd.backups, name)
        self.download(page, number, there)
        with open(there, "rb") as file:
            before = file.read()
        page.go(f"{PAGES}/keys")
        page.press(page.find("#edit-rotate legend a"))
        page.wait(lambda: page.run("return !document.querySelector('#edit-rotate').classList.contains('collapsed')"),
                  "the fieldset to open")
        page.tick("[name=sure]")
        page.click("Change to a new key", "input")
        self.job_ends(page)
        new = self.variable("bam_key_file")
        self.assertEqual((os.path.dirname(new), os.stat(new).st_mode & 0o777), (keys, 0o600))
        self.assertNotEqual(new, old)
        with open(there, "rb") as file:
            self.assertNotEqual(file.read(), before)
        self.assertTrue(opens(there, new))
        self.assertFalse(opens(there, old))
        page.go(f"{PAGES}/keys")
        page.click("Show the sheet to print", "input")
        page.wait_for("Older keys")
        for path in (old, new):
            with open(path) as file:
                self.assertIn(file.readline().strip(), page.text)
        page.go(f"{PAGES}/keys")
        self.assertIn("Nobody has said yet", page.text)
        self.assertRegex(page.text, f"{old} old backups only good")
        page.go(f"{PAGES}/backups/{number}/verify")
        page.click("Verify", "input")
        self.job_ends(page)
        self.assertIn("good", page.text)
        self.download(page, number, there)

    def test_a_backup_of_another_site_takes_a_tick_of_its_own(self):
        other = os.path.join(self.top, "other")
        os.makedirs(os.path.join(other, "sites/default/files"))
        with open(os.path.join(other, "sites/default/files/theirs.txt"), "w") as file:
            file.write("of the other site")
        config = os.path.join(self.top, "other.yml")
        with open(config, "w") as file:
            file.write(f"site: {{ root: {other}, conf_path: sites/default, name: Other, url: 'https://other.example.org' }}\n"
                       f"destinations: {{ manual: {{ type: directory, path: {self.private}/backup_migrate/manual }} }}\n"
                       f"encryption: {{ key_file: {self.top}/site.key }}\nprofiles: {{ default: {{ encryption: none }} }}\n"
                       f"state_dir: {self.top}/other-state\n")
        subprocess.run([BAM, "--config", config, "backup", "files"], check=True, capture_output=True, env=self.environment())
        self.own()
        page = self.person()
        page.go(PAGES)
        page.wait_for("One backup of another site")
        self.assertIn("There are no backups yet", page.text)
        page.click("Show them")
        page.wait_for("https://other.example.org")
        page.click("Restore")
        page.tick("#edit-part-path")
        page.type("#edit-path", "theirs.txt")
        page.run("document.querySelector('#bam-restore-form').noValidate = true")
        page.click("Show what would change", "input")
        page.wait_for("field is required")
        page.tick("#edit-other")
        page.click("Show what would change", "input")
        page.wait_for("The name of the site")
        page.type("#edit-name", self.variable("site_name"))
        page.click("Restore", "input")
        self.job_ends(page)
        with open(os.path.join(self.root, "sites/default/files/theirs.txt")) as file:
            self.assertEqual(file.read(), "of the other site")


class LargeBehindNginx(Work):
    size = 300 << 20

    def test_a_large_file_is_uploaded_downloaded_in_parts_and_restored(self):
        self.profile("plain", "Plain", compression="none", encryption="0", sources={})
        large = os.path.join(self.root, "sites/default/files/large/video")
        os.mkdir(os.path.dirname(large))
        with open(large, "wb") as file:
            for _ in range(self.size >> 20):
                file.write(os.urandom(1 << 20))
        self.own()
        made = self.bam("backup", "files", "manual", "plain")
        self.assertEqual(made.returncode, 0, made.stderr)
        name = self.stored()[0]
        mine = os.path.join(self.top, "mine")
        os.mkdir(mine)
        for file in (name, f"{name}.info"):
            shutil.move(os.path.join(self.private, "backup_migrate/manual", file), os.path.join(mine, file))
        sent = os.path.join(mine, name)
        self.assertGreater(os.path.getsize(sent), self.size)
        page = self.person()
        self.upload(page, sent)
        number = first_number(page)
        self.download(page, number, sent)
        self.restore(page, number, large)

    def upload(self, page, sent):
        page.go(f"{PAGES}/upload")
        page.choose_file("[name='files[file]']", sent)
        page.choose_file("[name='files[sidecar]']", f"{sent}.info")
        page.click("Upload and check", "input")
        page.wait(lambda: page.run("var b = document.querySelector('#bam-upload progress'); return b && b.value > 5"), "some of it")
        # The connection breaks; the same file again goes on where it stopped.
        page.go(f"{PAGES}/upload")
        page.choose_file("[name='files[file]']", sent)
        page.choose_file("[name='files[sidecar]']", f"{sent}.info")
        page.run("window.first = null; new MutationObserver(function () { var b = document.querySelector('#bam-upload progress');"
                 "if (b && b.value && window.first === null) { window.first = b.value; sessionStorage.first = b.value; } })"
                 ".observe(document.getElementById('bam-upload'), {childList: true, subtree: true, attributes: true})")
        page.click("Upload and check", "input")
        page.wait(lambda: "/job/" in page.url, "all of it")
        self.assertGreater(float(page.run("return sessionStorage.first")), 5)
        self.job_ends(page)
        with open(os.path.join(self.private, "backup_migrate/manual", os.path.basename(sent)), "rb") as here, open(sent, "rb") as there:
            while block := there.read(1 << 20):
                self.assertEqual(block, here.read(1 << 20))
            self.assertEqual(here.read(1), b"")

    def restore(self, page, number, large):
        kept = os.path.join(os.path.dirname(os.path.dirname(large)), "note.txt")
        with open(kept, "w") as file:
            file.write("written after the backup")
        size = os.path.getsize(large)
        os.unlink(large)
        page.go(f"{PAGES}/backups/{number}/restore")
        page.tick("#edit-part-path")
        page.type("#edit-path", "large")
        page.click("Show what would change", "input")
        page.wait_for("The name of the site")
        page.type("#edit-name", self.variable("site_name"))
        page.click("Restore", "input")
        self.job_ends(page)
        self.assertEqual(os.path.getsize(large), size)
        with open(kept) as file:
            self.assertEqual(file.read(), "written after the backup", "of one folder alone")


class LargeBehindApache(LargeBehindNginx):
    """What hangs on the server: its limits of requests, Range, lengths."""

    kind = "apache"
    size = 30 << 20


def opens(path, key):
    """Whether OpenSSL opens a backup with a key file, and gzip what comes out."""
    plain = subprocess.run(["openssl", "enc", "-d", "-aes-256-cbc", "-pbkdf2", "-iter", "600000", "-in", path, "-pass", f"file:{key}"],
                           capture_output=True)
    return plain.returncode == 0 and subprocess.run(["gzip", "-t"], input=plain.stdout, capture_output=True).returncode == 0


if not os.path.exists(PROGRAM):
    Running = unittest.skip("openssh-server is not installed")(Running)
del Work
