"""What the module remembers of the places, and when that is old: nobody is told that a backup is not there while it is."""

import json

from modulesite import PAGES, ModuleTest


class Remembered(ModuleTest):
    def test_a_backup_that_the_command_line_makes_has_its_pages_at_once(self):
        self.serve()
        admin = self.log_in(["perform backup", "access backup files", "delete backup files", "restore from backup"])
        for page in ("restore", "verify", "drill", "delete", "sidecar", "download"):
            # The list is remembered, for a minute, without the backup that is made now.
            self.assertEqual(admin.get(PAGES), 200)
            made = self.json("bam-backup", "db", "manual")
            self.assertEqual(admin.get(f"{PAGES}/backups/{made['id']}/{page}"), 200, (page, admin.text[:2000]))
            self.assertNotIn("There is no backup", admin.text, page)
        self.assertEqual(admin.get(f"{PAGES}/backups/1/verify"), 404)

    def test_a_question_after_a_change_is_the_later_one_within_a_second_too(self):
        told = self.php("""
            module_load_include('inc', 'bam', 'bam.remember');
            $dir = bam_state_dir(TRUE);
            // A change before any question is one, too.
            array_map('unlink', glob("$dir/*.new"));
            bam_remembered_forget();
            $ahead = time() + 30;
            touch("$dir/backups.new", $ahead);
            bam_remembered_forget();
            clearstatcache();
            $changed = filemtime("$dir/changed");
            $first = bam_remembered('backups', 300.0);
            $same = bam_remembered('backups', 300.0);
            $anew = bam_remembered('backups', 300.0, TRUE);
            echo json_encode(array($changed - $ahead, $first['time'] - $changed, $same['time'] - $first['time'],
              $anew['time'] - $first['time'], $first['asking'] || $anew['asking']));""")
        changed, first, same, anew, asking = json.loads(told)
        self.assertGreaterEqual(changed, 0, "a change is not earlier than a question before it")
        self.assertGreater(first, 0, "a question is later than a change before it")
        self.assertEqual(same, 0, "what is fresh is not asked for again")
        self.assertGreater(anew, 0, "what is asked for anew is")
        self.assertFalse(asking)
