"""The examples in docs/examples are what the program writes and takes, and what systemd understands."""

import json
import os
import re
import shutil
import subprocess
import unittest

from bamtest import BAM, TOP, SiteTest

EXAMPLES = os.path.join(TOP, "docs/examples")


def example(name):
    with open(os.path.join(EXAMPLES, name)) as file:
        return file.read()


class Examples(SiteTest):
    def shown(self, *options):
        """The files of `bam schedule install --print` by their paths, as for the places that the examples name."""
        config = self.write_document()
        out = self.bam("schedule", "install", "--print", *options).out
        out = out.replace(os.path.realpath(BAM), "/usr/local/bin/bam").replace(os.path.realpath(config), "/etc/bam/bam.yml")
        parts = re.split(r"(?m)^# (/\S+)\n", out)[1:]
        return {path: text.rstrip("\n") for path, text in zip(parts[::2], parts[1::2])}

    def test_the_configuration_is_right(self):
        folder = self.path("etc")
        shutil.copytree(EXAMPLES, folder)
        path = os.path.join(folder, "bam.yml")
        os.chmod(path, 0o600)
        schedules = json.loads(self.bam("--json", "schedules", config=path).out)
        self.assertIn("weekly", schedules["schedules"])
        checked = self.bam("config", "check", "--offline", config=path)
        self.assertNotIn("warning", checked.err.lower())

    def test_cron(self):
        self.assertEqual(self.shown("--cron"), {"/etc/cron.d/bam-example-org": example("cron.d").rstrip("\n")})

    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not installed")
    def test_systemd_understands_the_units(self):
        for name in ("bam.service", "bam.timer"):
            with open(self.path(name), "w") as file:
                # It looks whether the program is there.
                file.write(example(name).replace("/usr/local/bin/bam", BAM))
        checked = subprocess.run(["systemd-analyze", "verify", "--man=no", self.path("bam.service"), self.path("bam.timer")],
                                 capture_output=True, text=True)
        said = [line for line in checked.stderr.splitlines() if "bam." in line]
        self.assertEqual((checked.returncode, said), (0, []), checked.stderr)
        times = re.search(r"(?m)^OnCalendar=(.*)$", example("bam.timer"))[1]
        subprocess.run(["systemd-analyze", "calendar", times], check=True, stdout=subprocess.DEVNULL)
