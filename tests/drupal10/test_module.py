"""The module on a real site: cron, pages, other modules' events, uninstalling."""

import gzip
import json
import os
import re
import subprocess
import time

from browser import LIMIT
from pages10 import PAGES, PagesTest

# Another module: it hears of runs, and refuses them while it is told to.
LISTENER = """<?php
namespace Drupal\\bam_listener;
use Drupal\\bam\\Event\\BamEvents;
use Drupal\\bam\\Event\\JobEvent;
use Symfony\\Component\\EventDispatcher\\EventSubscriberInterface;
final class Listener implements EventSubscriberInterface {
  public static function getSubscribedEvents(): array {
    return [BamEvents::START => 'start', BamEvents::END => 'end'];
  }
  public function start(JobEvent $event): void {
    $this->note("start $event->kind");
    if (\\Drupal::state()->get('bam_listener.refuse')) {
      $event->refuse('Not while the night shift works.');
    }
  }
  public function end(JobEvent $event): void {
    $this->note("end $event->kind {$event->view['state']}");
  }
  private function note(string $what): void {
    \\Drupal::state()->set('bam_listener.heard', [...\\Drupal::state()->get('bam_listener.heard') ?? [], $what]);
  }
}
"""


class Module(PagesTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        site = cls.site
        folder = site.docroot + "/modules/custom/bam_listener"
        os.makedirs(folder + "/src")
        site.write(folder + "/bam_listener.info.yml", "name: Listener\ntype: module\ncore_version_requirement: ^10 || ^11\n")
        site.write(folder + "/bam_listener.services.yml", "services:\n  bam_listener:\n    class: Drupal\\bam_listener\\Listener\n"
                   "    tags:\n      - { name: event_subscriber }\n")
        site.write(folder + "/src/Listener.php", LISTENER)
        site.drush("pm:install", "bam_listener", "--yes")
        site.fill("content")

    def schedule(self, name, **values):
        values = {"id": name, "label": name, "source": "db", "destinations": ["manual"], **values}
        self.site.php(f"\\Drupal\\bam\\Entity\\Schedule::create(json_decode('{json.dumps(values)}', TRUE))->save();")
        self.addCleanup(self.site.php, f"\\Drupal\\bam\\Entity\\Schedule::load('{name}')->delete();")

    def results(self):
        return json.loads(self.site.php("echo json_encode(\\Drupal::keyValue('bam.result')->getAll());"))

    def heard(self):
        return json.loads(self.site.php("echo json_encode(\\Drupal::state()->get('bam_listener.heard') ?? []); "
                                        "\\Drupal::state()->delete('bam_listener.heard');"))

    def test_cron_makes_what_is_due_once_and_others_hear_of_it(self):
        self.heard()
        self.schedule("nightly")
        before = len(self.backups())
        self.site.drush("core:cron")
        self.assertEqual(len(self.backups()), before + 1)
        self.assertEqual(self.heard(), ["start schedule", "end schedule done"])
        self.site.drush("core:cron")
        self.assertEqual(len(self.backups()), before + 1)
        self.assertEqual(self.results()["nightly"]["state"], "done")

    def test_what_another_module_refuses_is_not_started(self):
        self.schedule("refused")
        before = len(self.backups())
        self.site.php("\\Drupal::state()->set('bam_listener.refuse', TRUE);")
        self.addCleanup(self.site.php, "\\Drupal::state()->delete('bam_listener.refuse');")
        self.site.drush("core:cron")
        self.assertEqual(len(self.backups()), before)
        _, page = self.visitor().submit(PAGES + "/backup", "Back up now")
        self.assertIn("Not while the night shift works.", page.decode())

    def test_a_schedule_that_fails_is_tried_again_after_a_while_and_not_at_each_cron(self):
        site = self.site
        blocked = os.path.join(site.top, "no-folder")
        site.write(blocked, "")
        site.php(f"""\\Drupal\\bam\\Entity\\Destination::create(['id' => 'blocked', 'label' => 'Blocked',
            'type' => 'directory', 'path' => '{blocked}/x'])->save();""")
        self.addCleanup(site.php, "\\Drupal\\bam\\Entity\\Destination::load('blocked')->delete();")
        self.schedule("broken", destinations=["blocked"])
        for expected in (1, 1):
            site.drush("core:cron")
            self.assertEqual((self.results()["broken"]["state"], self.results()["broken"]["failures"]), ("failed", expected))
        told = json.loads(site.drush("core:requirements", "--format=json"))["bam"]
        self.assertRegex(told["description"], r"schedule\s+broken\s+failed")
        site.php("$store = \\Drupal::keyValue('bam.result'); $store->set('broken', "
                 "['time' => time() - 301] + $store->get('broken'));")
        os.unlink(blocked)
        site.drush("core:cron")
        self.assertEqual((self.results()["broken"]["state"], self.results()["broken"]["failures"]), ("done", 0))

    def test_what_keeps_a_schedule_from_being_started_is_told_as_a_failure(self):
        site = self.site
        site.php("""\\Drupal::configFactory()->getEditable('system.mail')->set('interface.default', 'test_mail_collector')->save();
            \\Drupal\\bam\\Entity\\Profile::create(['id' => 'told', 'label' => 'Told',
              'notify' => ['success' => '', 'failure' => 'sos@example.org']])->save();""")
        self.addCleanup(site.php, "\\Drupal\\bam\\Entity\\Profile::load('told')->delete();")
        self.schedule("unlucky", profile="told")
        before = len(self.backups())

        def failed(why):
            site.php("\\Drupal::keyValue('bam.result')->delete('unlucky'); \\Drupal::keyValue('bam.last_run')->delete('unlucky'); "
                     "\\Drupal::state()->delete('system.test_mail_collector');")
            for _ in range(2):
                site.drush("core:cron")
            self.assertEqual((self.results()["unlucky"]["state"], self.results()["unlucky"]["failures"]), ("failed", 1))
            mails = json.loads(site.php("echo json_encode(\\Drupal::state()->get('system.test_mail_collector'));"))
            self.assertEqual([mail["to"] for mail in mails], ["sos@example.org"])
            self.assertIn(why, " ".join(mails[0]["body"].split()))
            report = json.loads(site.drush("core:requirements", "--format=json"))["bam"]
            self.assertIn(why, " ".join(f"{report['value']} {report['description']}".split()))

        site.php("\\Drupal::configFactory()->getEditable('bam.settings')->set('program', '/nowhere/bam')->save();")
        try:
            failed("The program bam was not found")
        finally:
            self.name_program()
        folder = site.php("echo \\Drupal::service('bam.program')->stateFolder(TRUE);").strip()
        os.rename(folder, folder + ".old")
        os.symlink(folder + ".old", folder)
        try:
            failed("The folder for status files cannot be created")
        finally:
            os.unlink(folder)
            os.rename(folder + ".old", folder)
        self.assertEqual(len(self.backups()), before)

    def test_a_key_that_was_typed_is_forgotten_after_a_day(self):
        folder = self.site.php("echo \\Drupal::service('bam.program')->stateFolder(TRUE);").strip()
        admin = self.visitor()
        for look in (lambda: self.site.drush("core:cron"), lambda: admin.get(PAGES)):
            for name, age in (("old", 90000), ("ahead", -90000 * 400), ("new", 80000)):
                self.site.write(f"{folder}/elsewhere-{name}.key", "a key\n")
                os.utime(f"{folder}/elsewhere-{name}.key", (time.time() - age,) * 2)
            look()
            self.assertEqual([name for name in os.listdir(folder) if name.endswith(".key")], ["elsewhere-new.key"])

    def test_a_last_run_that_is_yet_to_come_stops_nothing(self):
        self.schedule("early", every=3600)
        later = int(time.time()) + 400 * 86400
        self.site.php(f"\\Drupal::keyValue('bam.last_run')->set('early', {later});")
        _, page = self.visitor().get(PAGES + "/schedules")
        self.assertIn("which is yet to come", page.decode())
        before = len(self.backups())
        self.site.drush("core:cron")
        self.assertEqual(len(self.backups()), before + 1)

    def test_a_run_that_hangs_is_told_of_and_one_without_the_lock_keeps_nobody(self):
        site = self.site
        sleeping = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        self.addCleanup(sleeping.wait)
        self.addCleanup(sleeping.kill)
        # A verification that was started and never goes on.
        record = site.php(f"""$program = \\Drupal::service('bam.program'); $program->loadShim();
            $file = $program->stateFolder(TRUE) . '/' . bin2hex(random_bytes(16));
            file_put_contents("$file.job", json_encode(['kind' => 'verify', 'title' => 'Verify all', 'uid' => 1, 'created' => time(),
              'pid' => {sleeping.pid}, 'process' => \\Bam\\Process::identify({sleeping.pid})]));
            file_put_contents("$file.status", json_encode(['state' => 'running', 'pid' => {sleeping.pid}])); echo $file;""").strip()
        self.schedule("beside", every=3600)
        before = len(self.backups())
        site.drush("core:cron")
        self.assertEqual(len(self.backups()), before + 1)
        ago = time.time() - 4 * 3600
        os.utime(record + ".still", (ago, ago))
        _, page = self.visitor().get(PAGES)
        self.assertIn("Verify all has made no progress for 4 hours", page.decode())

    def test_a_backup_is_made_and_handed_out_by_pages_to_who_may(self):
        admin = self.visitor()
        admin.submit(PAGES + "/backup", "Back up now", {"description": "--yes <b>&"})
        self.assertIn("Done.", admin.follow())
        made = self.backups()[0]
        self.assertEqual(made["description"], "--yes <b>&")
        status, file = admin.get(f"{PAGES}/backups/{made['id']}/download")
        with open(os.path.join(self.site.root, "private/backup_migrate/manual", made["file"]), "rb") as stored:
            self.assertEqual((status, file), (200, stored.read()))
        admin.submit(f"{PAGES}/backups/{made['id']}/verify", "Verify")
        self.assertIn("Done.", admin.follow())
        nobody = self.visitor("anonymous")
        for path in ("", "/backup", "/keys", "/places", "/settings", f"/backups/{made['id']}/download",
                     f"/backups/{made['id']}/restore", "/places/manual/try"):
            self.assertEqual(nobody.get(PAGES + path)[0], 403, path)
        admin.submit(f"{PAGES}/backups/{made['id']}/delete", "Erase")
        self.assertIn("Done.", admin.follow())
        self.assertNotIn(made["id"], [backup["id"] for backup in self.backups()])

    def test_two_backups_with_one_id_are_two(self):
        folder = os.path.join(self.site.root, "private/backup_migrate/manual")
        os.makedirs(folder, exist_ok=True)
        files = [os.path.join(folder, f"{name}-2026-11-01T10-00-00.mysql.gz") for name in ("one", "two")]
        for path in files:
            with gzip.open(path, "wb") as file:
                file.write(path.encode())
            os.utime(path, (1700000000, 1700000000))
            self.addCleanup(lambda path=path: os.path.exists(path) and os.unlink(path))
        admin = self.visitor()
        self.site.php("\\Drupal::service('bam.site')->forget();")
        last = time.monotonic() + LIMIT
        links = []
        while len(links) < 2 and time.monotonic() < last:
            links = re.findall(r"backups/(1700000000[0-9a-f-]*)/download", admin.get(PAGES)[1].decode())
        self.assertEqual(len(set(links)), 2, links)
        self.assertEqual({gzip.decompress(admin.get(f"{PAGES}/backups/{link}/download")[1]).decode() for link in links}, set(files))
        for page in ("restore", "verify", "drill"):
            self.assertEqual(admin.get(f"{PAGES}/backups/{links[1]}/{page}")[0], 200)
        admin.submit(f"{PAGES}/backups/{links[1]}/delete", "Erase")
        admin.follow()
        [left] = [path for path in files if os.path.exists(path)]
        # It has the ID for itself by now.
        self.assertEqual(gzip.decompress(admin.get(f"{PAGES}/backups/1700000000/download")[1]).decode(), left)

    def test_a_run_is_cancelled_and_leaves_nothing(self):
        site, admin = self.site, self.visitor()
        with open(site.conf + "/files/big.bin", "wb") as big:
            for _ in range(64):
                big.write(os.urandom(1 << 20))
        self.addCleanup(os.unlink, site.conf + "/files/big.bin")
        site.php("\\Drupal\\bam\\Entity\\Profile::create(['id' => 'slow', 'label' => 'Slow', 'compression' => 'bzip2'])->save();")
        self.addCleanup(site.php, "\\Drupal\\bam\\Entity\\Profile::load('slow')->delete();")
        before = self.backups()
        admin.submit(PAGES + "/backup", "Back up now", {"source": "files", "profile": "slow"})
        job = admin.address
        self.assertIn("/job/", job)
        page = ""
        while "/cancel" not in page:
            page = admin.get(job)[1].decode()
            self.assertIn("bam-progress", page)
        admin.submit(job + "/cancel", "Cancel it")
        admin.address = job
        self.assertIn("Cancelled.", admin.follow())
        self.assertEqual(self.backups(), before)

    def test_a_place_is_tried_and_a_key_is_made_and_shown(self):
        site, admin = self.site, self.visitor()
        key = os.path.join(site.top, "keys/key")
        _, page = admin.submit(PAGES + "/keys", "Make a key", {"file": site.root + "/private/key"})
        self.assertIn("a key does not belong there", page.decode())
        _, page = admin.submit(PAGES + "/keys", "Make a key", {"file": key})
        with open(key) as file:
            self.assertIn(file.readline().strip(), page.decode())
        self.addCleanup(site.php, "\\Drupal::configFactory()->getEditable('bam.settings')->set('key_file', '')"
                        "->set('default_profile', '')->save();")
        made = site.backup("db")
        self.assertTrue(made["file"].endswith(".enc"), made)
        admin.submit(PAGES + "/places/manual/try", "Try it")
        self.assertIn("takes a file and gives it back", admin.follow())
        self.assertIn("takes a file and gives it back", admin.get(PAGES + "/places/manual/try")[1].decode())

    def test_uninstalled_and_installed_again_the_backups_are_there(self):
        site = self.site
        site.backup("db")
        before = [backup["id"] for backup in self.backups()]
        known = "echo json_encode(\\Drupal::config('bam.settings')->get('key_file'));"
        site.php("\\Drupal::configFactory()->getEditable('bam.settings')->set('key_file', '/srv/keys/key')->save();")
        site.drush("pm:uninstall", "bam", "--yes")
        self.assertEqual([backup["id"] for backup in self.backups()], before)
        self.assertEqual(site.php("echo json_encode(\\Drupal::configFactory()->listAll('bam.'));"), "[]")
        site.drush("pm:install", "bam", "bam_listener", "--yes")
        self.name_program()
        # Where the key is, is known again.
        self.assertEqual(site.php(known), '"/srv/keys/key"'.replace("/", "\\/"))
        site.php("\\Drupal::configFactory()->getEditable('bam.settings')->set('key_file', '')->save();")
        self.assertEqual(self.visitor().get(PAGES)[0], 200)


del PagesTest
