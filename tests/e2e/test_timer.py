"""Who runs the schedules: one timer for each configuration, written only where it would work, and taken away again."""

import os
import pwd
import shutil
import subprocess
import unittest

from bamtest import BAM, SiteTest, end

# A mount namespace, in which the machine's own folders are others.
ELSEWHERE = 'mount --bind "$1" /etc/cron.d && mount --bind "$2" /etc/systemd/system && shift 2 && exec "$@"'


def may_unshare():
    return os.geteuid() == 0 and shutil.which("unshare") and subprocess.run(
        ["unshare", "--mount", "true"], capture_output=True).returncode == 0


def cron_runs():
    return subprocess.run(["pgrep", "-x", "cron|crond"], capture_output=True).returncode == 0


@unittest.skipUnless(may_unshare(), "wants root and mount namespaces")
class Timer(SiteTest):
    def setUp(self):
        super().setUp()
        self.write("sites/default/files/note", "field note")
        for folder in ("cron.d", "units", "etc"):
            os.mkdir(self.path(folder))
        self.folders = [self.path("cron.d"), self.path("units")]
        # Where everybody may run it.
        os.chmod(self.top, 0o755)
        self.program = shutil.copy(BAM, self.path("bam"))
        self.document["schedules"] = {"daily": {"source": "files", "destinations": ["manual"], "every": "1d"}}

    def schedule(self, *arguments, expect=0, config=None, run=()):
        """`bam schedule …` on a machine with no timers but ours."""
        config = config or self.write_document()
        command = ["unshare", "--mount", "sh", "-c", ELSEWHERE, "sh", *self.folders, *run, self.program, "--config", config, *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(done.returncode, expect, done)
        return done

    def start_cron(self):
        """Something that is called cron."""
        program = shutil.copy(shutil.which("sleep"), self.path("cron"))
        process = subprocess.Popen([program, "1000"])
        self.addCleanup(end, process)

    def installed(self):
        return sorted(os.listdir(self.path("cron.d")))

    def refused(self, expect, *words, user="root"):
        done = self.schedule("schedule", "install", "--user", user, expect=expect)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertEqual(self.installed(), [])

    def test_what_would_not_work_is_not_written(self):
        self.start_cron()
        self.refused(2, "there is no user no-such-user", user="no-such-user")
        nobody = pwd.getpwuid(65534).pw_name
        self.refused(2, f"{nobody} cannot read", self.key, user=nobody)
        del self.document["schedules"]
        self.refused(2, "no schedule")
        self.document["schedules"] = {"asked": {"source": "files", "destinations": ["manual"]}}
        self.refused(2, "no schedule that runs by itself")

    @unittest.skipIf(cron_runs(), "a cron runs here")
    def test_where_no_cron_runs_nothing_is_written(self):
        self.refused(1, "no cron runs here")
        self.schedule("schedule", "status", expect=3)

    def test_each_configuration_has_a_file_of_its_own(self):
        self.start_cron()
        self.assertIn("schedule install`", self.schedule("schedule", "status", expect=3).stderr)
        first = self.write_document()
        self.schedule("schedule", "install", config=first)
        self.assertEqual(self.installed(), ["bam-example-org"])
        # Another site, even one that calls itself the same.
        second = shutil.copy(first, self.path("etc/second.yml"))
        self.schedule("schedule", "install", config=second)
        self.assertEqual(self.installed(), ["bam-example-org", "bam-example-org-2"])
        self.schedule("schedule", "install", config=first)
        self.assertEqual(self.installed(), ["bam-example-org", "bam-example-org-2"], "again is no third")
        told = self.schedule("schedule", "status", config=first)
        self.assertIn("/etc/cron.d/bam-example-org runs the schedules as root", told.stderr)
        self.assertNotIn("example-org-2", told.stderr)
        self.schedule("config", "check", config=first)
        self.schedule("schedule", "remove", config=second)
        self.assertEqual(self.installed(), ["bam-example-org"])
        self.assertIn("Nothing was installed", self.schedule("schedule", "remove", config=second).stdout)
        self.schedule("schedule", "remove", config=first)
        self.assertEqual(self.installed(), [])

    def test_what_was_there_before_is_known(self):
        self.start_cron()
        config = self.write_document()
        old = os.path.join(self.path("cron.d"), "bam")
        with open(old, "w") as file:
            file.write(f"*/10 * * * * root '{self.program}' '--config' '{config}' '--quiet' 'run'\n")
        self.schedule("schedule", "install", config=config)
        self.assertEqual(self.installed(), ["bam"], "it runs this configuration already")
        with open(old, "w") as file:
            file.write(f"*/10 * * * * root '{self.program}' '--config' '/etc/other.yml' '--quiet' 'run'\n")
        self.schedule("schedule", "install", config=config)
        self.assertEqual(self.installed(), ["bam", "bam-example-org"])
        with open(old) as file:
            self.assertIn("/etc/other.yml", file.read(), "another site's stays")
        by_hand = os.path.join(self.path("cron.d"), "mine")
        with open(by_hand, "w") as file:
            file.write(f"0 3 * * * root bam -c {config} run\n")
        done = self.schedule("schedule", "remove", config=config)
        self.assertEqual((self.installed(), "it stays" in done.stderr), (["bam", "mine"], True))
        self.schedule("schedule", "status", config=config)

    def test_what_is_closed_is_told_and_is_not_nothing(self):
        config = self.write_document()
        os.chmod(config, 0o644)
        os.makedirs(self.path("state"), exist_ok=True)
        os.chown(self.path("state"), 65534, 65534)
        with open(os.path.join(self.path("cron.d"), "closed"), "w") as file:
            os.fchmod(file.fileno(), 0o600)
        anybody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        for asked in "status", "remove":
            done = self.schedule("schedule", asked, config=config, run=anybody, expect=3)
            self.assertIn("/etc/cron.d/closed cannot be read", done.stderr, asked)
        self.assertNotIn("no cron line of this machine does", done.stderr)
