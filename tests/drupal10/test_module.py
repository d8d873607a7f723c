"""The module on a real site: cron, pages, other modules' events, uninstalling."""

import json
import os

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
