"""A copy of the real site with the module on it, and a browser of sorts."""

import atexit
import glob
import html
import http.cookiejar
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

from drupalsite import BAM, LIMIT, TOP, SiteTest, php

HERE = os.path.dirname(os.path.abspath(__file__))
PAGES = "admin/config/system/bam"
PASSWORD = "correct horse"


class ModuleTest(SiteTest):
    """One test, one site with the module enabled."""

    # The database with the module enabled, made by the first test.
    enabled = None

    def load(self, dump):
        super().load(ModuleTest.enabled or dump)

    def setUp(self):
        super().setUp()
        os.symlink(os.path.join(TOP, "drupal7"), os.path.join(self.root, "sites/all/modules/bam"))
        self.jobs_top = os.path.join(self.top, "jobs")
        os.mkdir(self.jobs_top, 0o700)
        # Cron runs when a test says so, not with the first page in three hours.
        self.set_conf(bam_binary=BAM, bam_state_dir=self.jobs_top, cron_safe_threshold="0")
        self.sites = []
        if ModuleTest.enabled is None:
            self.drush("-y", "pm-enable", "bam")
            with tempfile.NamedTemporaryFile(delete=False) as file:
                atexit.register(os.unlink, file.name)
                dump = [word.replace("mariadb", "mariadb-dump", 1) if word == "mariadb" else word
                        for word in self.server.client() if word not in ("--binary-mode",)]
                subprocess.run([*dump, "--hex-blob", "site"], stdout=file, check=True)
            ModuleTest.enabled = file.name

    def set_conf(self, **values):
        with open(self.settings, "a") as file:
            for name, value in values.items():
                file.write(f"$conf['{name}'] = {php(value)};\n")

    def unset_conf(self, name):
        """Takes a value out of settings.php, so that what is stored counts."""
        with open(self.settings, encoding="utf-8") as file:
            lines = [line for line in file if not line.startswith(f"$conf['{name}'] =")]
        with open(self.settings, "w", encoding="utf-8") as file:
            file.writelines(lines)

    def serve(self, **ini):
        """Starts a web server on the site, with these settings of PHP; what it says goes to web.log."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        log = open(os.path.join(self.top, "web.log"), "wb")
        self.addCleanup(log.close)
        server = subprocess.Popen(
            ["php", "-d", "error_reporting=8191", "-d", "display_errors=0", "-d", "log_errors=1", "-d", "memory_limit=512M",
             *(word for name, value in ini.items() for word in ("-d", f"{name}={value}")),
             "-S", f"127.0.0.1:{self.port}", "-t", self.root, os.path.join(HERE, "router.php")],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            env={**self.environment(), "PHP_CLI_SERVER_WORKERS": "4"})
        self.addCleanup(kill_group, server)
        self.wait(lambda: answers(self.port))
        return Browser(self.port)

    def wait(self, condition):
        last = time.monotonic() + LIMIT
        while not condition():
            self.assertLess(time.monotonic(), last, "this never came to be")
            time.sleep(0.05)

    def make_user(self, permissions):
        """The name of a new user who may do just this."""
        name = f"user{len(self.sites)}"
        self.php(
            f"$role = (object) array('name' => '{name}'); user_role_save($role); "
            f"user_role_grant_permissions($role->rid, array({', '.join(map(php, permissions))})); "
            f"user_save(drupal_anonymous_user(), array('name' => '{name}', 'pass' => {php(PASSWORD)}, "
            f"'mail' => '{name}@example.org', 'status' => 1, 'roles' => array($role->rid => '{name}')));")
        return name

    def log_in(self, permissions):
        """A browser of a new user who may do just this."""
        name = self.make_user(permissions)
        browser = Browser(self.port)
        self.sites.append(browser)
        browser.submit("user", "user_login", name=name, **{"pass": PASSWORD})
        self.assertIn("user/logout", browser.text, "logged in")
        return browser

    def jobs(self, extension="job"):
        return sorted(glob.glob(f"{self.jobs_top}/bam-jobs-*/*.{extension}"))

    def ended(self):
        """Waits for the end of all jobs, without being the one who collects them."""
        def all_told():
            return all(state in ("done", "failed") for state in map(self.job_state, self.jobs()))
        self.wait(all_told)

    def job_state(self, job):
        try:
            with open(re.sub(r"\.\w+$", ".status", job)) as file:
                return json.load(file)["state"]
        except FileNotFoundError:
            return "waiting"

    def newest(self, browser):
        """The ID of the newest backup, when the list has what was made last; the list is then what the browser shows."""
        def told():
            browser.get(PAGES)
            return "being asked" not in browser.text and "/backups/" in browser.text
        self.wait(told)
        return browser.text.partition("/backups/")[2].partition("/")[0]

    def log(self):
        """What the module wrote to Drupal's log, oldest first."""
        return self.php("foreach (db_query('SELECT * FROM {watchdog} WHERE type = :t ORDER BY wid', array(':t' => 'bam')) as $r) "
                        "{ echo strip_tags(format_string($r->message, (array) unserialize($r->variables))), \"\\n\"; }")

    def variable(self, name):
        """A text or number among Drupal's variables; None where it is not set."""
        stored = self.sql(f"select value from variable where name = '{name}'").rstrip("\n")
        if stored.startswith("i:"):
            return int(stored[2:-1])
        return stored.partition('"')[2][:-2] if stored else None

    def stored(self, where="manual"):
        folder = os.path.join(self.private, "backup_migrate", where)
        names = os.listdir(folder) if os.path.isdir(folder) else []
        return sorted(name for name in names if not name.startswith(".") and not name.endswith(".info"))

    def schedule(self, machine_name, **changes):
        """A schedule of the database to `scheduled` with the profile `mailed`, as Backup and Migrate keeps it."""
        row = {"machine_name": machine_name, "name": machine_name, "source_id": "db", "destination_id": "scheduled",
               "copy_destination_id": "", "profile_id": "mailed", "keep": 0, "period": 86400, "enabled": 1,
               "cron": "builtin", "cron_schedule": "0 4 * * *", **changes}
        self.insert("backup_migrate_schedules", row)

    def profile(self, machine_name="mailed", name="Mailed", **filters):
        filters = {"compression": "gzip", "encryption": "0", "notify_success_enable": 1,
                   "notify_success_email": "[site:mail]", "notify_failure_enable": 1,
                   "notify_failure_email": "sos@example.org", "sources": {"db": {"nodata_tables": ["watchdog"]}}, **filters}
        self.insert("backup_migrate_profiles",
                    {"machine_name": machine_name, "name": name, "filename": "[site:name]", "append_timestamp": 1,
                     "timestamp_format": "Y-m-d\\TH-i-s"}, filters=filters)

    def insert(self, table, row, **serialized):
        row = {**row, **{name: serialize(value) for name, value in serialized.items()}}
        values = ", ".join(f"x'{str(value).encode().hex()}'" for value in row.values())
        self.sql(f"insert into {table} ({', '.join(row)}) values ({values})")


def serialize(value):
    """As PHP's serialize()."""
    if isinstance(value, int):
        return f"i:{value};"
    if isinstance(value, str):
        return f's:{len(value.encode())}:"{value}";'
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    return f"a:{len(value)}:{{" + "".join(serialize(key) + serialize(item) for key, item in pairs) + "}"


class Browser:
    """Follows redirects, keeps cookies, fills in forms. What the last page was is in code, text, url, headers."""

    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}/"
        handler = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.opener = urllib.request.build_opener(handler)

    def get(self, path, data=None, headers=None):
        body = None if data is None else urllib.parse.urlencode(data).encode()
        return self.ask(path, body, headers or {})

    def post(self, path, body):
        """Sends bytes as they are."""
        return self.ask(path, body, {"Content-Type": "application/octet-stream"})

    def ask(self, path, body, headers):
        url = path if path.startswith("http") else self.base + path.lstrip("/")
        try:
            answer = self.opener.open(urllib.request.Request(url, body, headers), timeout=LIMIT)
        except urllib.error.HTTPError as refused:
            answer = refused
        with answer:
            self.body = answer.read()
        self.code, self.url, self.headers = answer.status, answer.url, answer.headers
        self.text = self.body.decode(errors="replace")
        return self.code

    def fields(self, path, form_id):
        """The hidden fields of a form on a page."""
        self.get(path)
        form = re.search(rf'<form[^>]* id="{form_id.replace("_", "-")}[^>]*>.*?</form>', self.text, re.S)
        if form is None:
            raise AssertionError(f"no form {form_id} on {path}: {self.code} {self.text[:2000]}")
        hidden = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', form[0])
        return {name: html.unescape(value) for name, value in hidden}

    def submit(self, path, form_id, /, **values):
        return self.get(path, {**self.fields(path, form_id), **values, "op": "go"})

    @property
    def said(self):
        """The page as one reads it."""
        text = re.sub(r"<(script|style)\b.*?</\1>", " ", self.text, flags=re.S)
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def answers(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def kill_group(process):
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
