"""What the module remembers of the places, and when that is old: nobody is told that a backup is not there while it is."""

import json

from pages10 import PAGES, PagesTest


class Remembered(PagesTest):
    def test_a_backup_that_the_command_line_makes_has_its_pages_at_once(self):
        admin = self.visitor()
        for page in ("restore", "verify", "drill", "delete", "sidecar", "download"):
            # The list is remembered, for a minute, without the backup that is made now.
            self.assertEqual(admin.get(PAGES)[0], 200)
            made = self.site.backup("db")
            status, text = admin.get(f"{PAGES}/backups/{made['id']}/{page}")
            self.assertEqual(status, 200, (page, text[:2000]))
        self.assertEqual(admin.get(f"{PAGES}/backups/1/verify")[0], 404)

    def test_a_question_after_a_change_is_the_later_one_within_a_second_too(self):
        told = self.site.php("""
            $folder = \\Drupal::service('bam.program')->stateFolder(TRUE);
            $remembered = \\Drupal::service('bam.remembered');
            // A change before any question is one, too.
            array_map('unlink', glob("$folder/*.new"));
            $remembered->forget();
            $ahead = time() + 30;
            touch("$folder/backups.new", $ahead);
            $remembered->forget();
            clearstatcache();
            $changed = filemtime("$folder/changed");
            $first = $remembered->ask('backups', 300.0);
            $same = $remembered->ask('backups', 300.0);
            $anew = $remembered->ask('backups', 300.0, TRUE);
            echo json_encode([$changed - $ahead, $first['time'] - $changed, $same['time'] - $first['time'],
              $anew['time'] - $first['time'], $first['asking'] || $anew['asking']]);""")
        changed, first, same, anew, asking = json.loads(told)
        self.assertGreaterEqual(changed, 0, "a change is not earlier than a question before it")
        self.assertGreater(first, 0, "a question is later than a change before it")
        self.assertEqual(same, 0, "what is fresh is not asked for again")
        self.assertGreater(anew, 0, "what is asked for anew is")
        self.assertFalse(asking)
