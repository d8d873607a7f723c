"""Schedules without Drupal: what is due runs, people and monitors are told, the policy's state is told by the exit code."""

import http.server
import json
import os
import shutil
import subprocess
import threading
import time
import unittest

from bamtest import SiteTest


class Listener:
    """A web server on the loopback interface that keeps what it is sent."""

    def __init__(self):
        heard = self.heard = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                length = int(self.headers.get("Content-Length") or 0)
                heard.append(("POST", self.path, self.rfile.read(length).decode()))
                self.send_response(204)
                self.end_headers()

            def do_GET(self):
                heard.append(("GET", self.path, ""))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Schedules(SiteTest):
    def setUp(self):
        super().setUp()
        self.write("sites/default/files/note", "field note")
        self.document["destinations"]["second"] = {"type": "directory", "path": self.path("second")}
        self.document["schedules"] = {"daily": {"source": "files", "destinations": ["manual", "second"],
                                                "profile": "secret", "every": 86400, "keep": 1}}
        self.document["policy"] = {"copies": 2, "distinct_hosts": False, "max_age": "2d", "verify_every": "30d"}

    def test_status_tells_the_truth_by_its_exit_code(self):
        self.assertSays(self.bam("status", expect=3), "there is no backup")
        # Without a schedule's name it drills, too, and that counts.
        self.bam("run", "daily")
        self.assertSays(self.bam("status", expect=3), "verified")
        self.bam("verify")
        self.bam("status")
        shutil.rmtree(self.path("second"))
        self.assertSays(self.bam("status", expect=3), "cop")
        self.bam("replicate")
        self.bam("status")
        shutil.rmtree(self.path("second"))
        with open(self.path("second"), "w") as file:
            file.write("no folder")
        self.assertSays(self.bam("status", expect=3), "second")

    def test_without_schedules_status_misses_what_is_gone_from_everywhere(self):
        self.document |= {"schedules": {}, "policy": {"distinct_hosts": False}}
        self.bam("delete", str(self.backup("files", "manual")["id"]), "--yes")
        self.bam("status")
        made = self.backup("files", "manual")
        shutil.rmtree(self.destination())
        for verb in (["status"], ["--quiet", "status"]):
            self.assertSays(self.bam(*verb, expect=3), made["file"], "gone from every place")
        self.backup("files", "manual")
        self.bam("status")

    def test_what_is_due_runs_once_and_keeps_one(self):
        # One that was drilled stays as the newest that is verified.
        del self.document["policy"]["verify_every"]
        self.assertIn("of files", self.bam("run").out)
        self.assertEqual(self.bam("run").out, "", "not due any more")
        self.bam("run", "daily")
        for place in ("backups", "second"):
            kept = [name for name in os.listdir(self.path(place)) if name.endswith(".enc")]
            self.assertEqual(len(kept), 1, kept)

    def test_two_configurations_of_one_site_each_run_their_own(self):
        self.bam("run")
        first = self.write_document()
        second = self.path("second.yml")
        self.document["schedules"]["daily"]["destinations"] = ["second"]
        with open(second, "w") as file:
            json.dump(self.document, file)
        os.chmod(second, 0o600)
        self.assertIn("of files", self.bam("run", config=second).out, "a schedule of that name, but another one")
        for config in (first, second):
            self.assertEqual(self.bam("run", config=config).out, "", "each ran")

    def test_what_was_remembered_by_name_alone_still_counts(self):
        os.mkdir(self.path("state"), 0o700)
        with open(self.path("state/schedules.json"), "w") as file:
            json.dump({"daily": int(time.time()) - 3600}, file)
        (schedule,) = self.bam_json("schedules")["schedules"].values()
        self.assertGreater(schedule["next_run"], time.time(), "it ran an hour ago")

    @unittest.skipUnless(shutil.which("curl"), "curl is not installed")
    def test_monitors_are_told_of_success_and_failure(self):
        listener = Listener()
        self.addCleanup(listener.close)
        self.document["profiles"]["secret"]["notify"] = {"webhook": f"{listener.url}/hook", "ping": f"{listener.url}/ping"}
        made = self.bam_json("run", "daily")
        (_, _, message), ping = listener.heard
        self.assertEqual(json.loads(message)["result"]["id"], made["id"])
        self.assertEqual(ping, ("GET", "/ping", ""))
        listener.heard.clear()
        os.rename(self.files, self.path("gone"))
        self.bam("run", "daily", expect=1)
        (_, _, message), ping = listener.heard
        self.assertFalse(json.loads(message)["ok"])
        self.assertEqual(ping[1], "/ping/fail")

    def test_an_offline_copy_counts_and_checks_with_stock_tools(self):
        self.document["policy"]["copies"] = 3
        self.bam("run")
        self.bam("verify")
        self.bam("status", expect=3)
        usb = self.path("usb")
        os.mkdir(usb)
        self.bam("export", "latest", usb, "--host", "usb")
        self.bam("status")
        subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=usb, check=True)
        command = next(line.strip() for line in open(f"{usb}/RESTORE.txt") if "openssl" in line)
        subprocess.run(command.replace("KEYFILE", self.key), shell=True, cwd=usb, check=True)
        with open(f"{usb}/note") as file:
            self.assertEqual(file.read(), "field note")

    def test_the_timer_runs_this_configuration(self):
        shown = self.bam("schedule", "install", "--print", "--cron", "--user", "www-data")
        line = next(line for line in shown.out.splitlines() if line.startswith("*/10"))
        self.assertIn(" www-data ", line)
        command = line.split(" www-data ", 1)[1]
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)
        self.assertEqual(len(os.listdir(self.path("second"))), 2, "a backup and its sidecar")
