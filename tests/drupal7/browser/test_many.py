"""Thousands of backups make no page slow, nor does one of them need more memory for them."""

import glob
import os
import re
import shutil
import subprocess
import time

import webserver
from browsersite import ANY, PAGES, BrowserTest
from modulesite import PASSWORD, Browser

MANY = 10000
PATHS = ["", "?page=150", "?page=999", "?sort=asc&order=Size", "?place=manual&since=2020-01-01", "/backup", "/places", "/schedules",
         "/start", "/keys", "/backups/{}/restore", "/backups/{}/verify", "/backups/{}/delete"]


class Many(BrowserTest):
    has_key = True

    def test_ten_thousand_backups_make_no_page_slow(self):
        browser = Browser(self.port)
        name = self.make_user(ANY)
        browser.submit("user/login", "user_login", name=name, **{"pass": PASSWORD})
        made = self.bam("backup", "db", "manual")
        self.assertEqual(made.returncode, 0, made.stderr)
        newest = self.known(browser, 1)
        few = self.costs(browser, newest)
        self.multiply(newest)
        self.touch_changed()
        self.assertEqual(self.known(browser, MANY + 1), newest)
        many = self.costs(browser, newest)
        # Some are read and looked through for a filter; the others are not touched.
        slow = {path: (few[path], many[path]) for path in PATHS if many[path] > 2 * few[path] + 0.5}
        self.assertEqual(slow, {}, "seconds of the processor")
        browser.get(f"{PAGES}?page=200")
        self.assertIn("many-", browser.text)
        oldest = re.findall(r"/backups/(\d+)/restore", browser.text)[-1]
        browser.get(f"{PAGES}/backups/{oldest}/restore")
        self.assertIn("Show what would change", browser.text)

    def known(self, browser, count):
        """Waits until the list has so many backups; the ID of the newest."""
        def all_there():
            browser.get(f"{PAGES}?page={(count - 1) // 50}")
            found = re.findall(r"/backups/(\d+)/restore", browser.text)
            return len(found) == (count - 1) % 50 + 1 and "being asked" not in browser.text
        self.wait(all_there)
        browser.get(PAGES)
        return int(re.search(r"/backups/(\d+)/restore", browser.text)[1])

    def touch_changed(self):
        """As at the end of a job: what was remembered counts no more."""
        for folder in glob.glob(f"{self.jobs_top}/bam-jobs-*"):
            changed = os.path.join(folder, "changed")
            with open(changed, "w"):
                pass
            shutil.chown(changed, webserver.USER)

    def costs(self, browser, number):
        """What each page takes of the processor, in seconds: other work on the machine does not matter."""
        cost = {}
        for path in PATHS:
            tries = []
            for _ in range(3):
                before = self.spent()
                code = browser.get(PAGES + path.format(number))
                self.assertEqual(code, 200, f"{path}: {browser.text[-500:]} {self.web.log()}")
                tries.append(self.spent() - before)
            cost[path] = min(tries)
        return cost

    def spent(self):
        """What PHP and the programs that it waited for have taken of the processor."""
        ticks = 0
        master = self.web.processes[0].pid
        with open(f"/proc/{master}/task/{master}/children") as file:
            for child in file.read().split():
                with open(f"/proc/{child}/stat") as stat:
                    ticks += sum(map(int, stat.read().rpartition(")")[2].split()[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def multiply(self, newest):
        """Copies of the backup, each older by an hour than the one before; their bytes are holes."""
        folder = os.path.join(self.private, "backup_migrate/manual")
        name = self.stored()[0]
        size = os.path.getsize(os.path.join(folder, name))
        with open(os.path.join(folder, f"{name}.info")) as file:
            sidecar = file.read()
        for n in range(1, MANY + 1):
            then = newest - n * 3600
            other = time.strftime("many-%Y-%m-%dT%H-%M-%S.mysql.gz", time.gmtime(then))
            text = sidecar.replace(name.removesuffix(".mysql.gz"), other.removesuffix(".mysql.gz")).replace(str(newest), str(then))
            with open(os.path.join(folder, f"{other}.info"), "w") as file:
                file.write(text)
            with open(os.path.join(folder, other), "wb") as file:
                file.truncate(size)
        subprocess.run(["chown", "-R", f"{webserver.USER}:", folder], check=True)
