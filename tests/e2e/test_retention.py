"""What `keep` lets go: so many of each day, week, month; never the last good one."""

import os
from datetime import datetime, timedelta, timezone

from bamtest import SiteTest


class Retention(SiteTest):
    def setUp(self):
        super().setUp()
        self.document["encryption"] = {}
        self.document["site"]["timezone"] = "Europe/Berlin"
        self.document["schedules"] = {"daily": {"source": "files", "destinations": ["manual"], "every": 86400}}
        os.makedirs(self.path("backups"))

    def old(self, when):
        """A backup of the schedule as it would lie there since then."""
        number = int(when.timestamp())
        name = f"lab-{when:%Y-%m-%dT%H-%M-%S}.tar"
        with open(self.path("backups/" + name), "wb") as file:
            file.write(bytes(10240))
        with open(self.path(f"backups/{name}.info"), "w") as file:
            file.write(f'filename = "lab"\ndatestamp = "{number}"\nfilesize = "10240"\nbam_id = "{number}"\n'
                       'bam_sourceid = "files"\nbam_format = "1"\nschedule_id = "daily"\n'
                       'siteurl = "http://example.org"\n')
        return name

    def prune(self, keep, *options, expect=0):
        self.document["schedules"]["daily"]["keep"] = keep
        told = self.bam_json("prune", *options, expect=expect)
        return {item["file"]: item for item in told["decisions"]}

    def test_so_many_of_each_period_stay_and_say_why(self):
        # Nine in the evening in UTC is ten or eleven in Berlin; two of them are of the next day there.
        newest = datetime(2026, 11, 23, 21, 30, tzinfo=timezone.utc)
        names = [self.old(newest - timedelta(days=days)) for days in range(400)]
        late = self.old(newest + timedelta(hours=2))
        keep = {"last": 2, "daily": 3, "weekly": 3, "monthly": 12, "yearly": 3}
        told = self.prune(keep, "--dry-run")
        stay = [name for name in [late, *names] if told[name]["keep"]]
        self.assertEqual(told[late]["reason"], "last 1, daily 2026-11-24, weekly 2026-W48, monthly 2026-11, yearly 2026")
        self.assertEqual(told[names[0]]["reason"], "last 2, daily 2026-11-23")
        self.assertEqual(told[names[-1]]["reason"], "yearly 2025, the oldest")
        self.assertIn("others stay by: last 2, daily 3", told[names[40]]["reason"])
        self.assertEqual(len(os.listdir(self.path("backups"))), 2 * 401, "nothing went")
        self.assertIn("would go", self.bam("prune", "--dry-run").out)
        self.assertIn("last 2, daily 3, weekly 3, monthly 12, yearly 3", self.bam("schedules").out)
        self.prune(keep)
        left = sorted(name for name in os.listdir(self.path("backups")) if name.endswith(".tar"))
        self.assertEqual(left, sorted(stay))
        self.assertTrue(all(item["keep"] for item in self.prune(keep, "--dry-run").values()), "a second time it is the same")

    def test_what_a_wrong_clock_dated_in_the_future_stays_and_is_told(self):
        now = datetime.now(timezone.utc)
        ahead = [self.old(now + timedelta(days=days)) for days in (30, 31)]
        before = [self.old(now - timedelta(days=days)) for days in (1, 2)]
        # The newest, a month ahead, is no second old.
        self.assertRegex(self.bam("backups").out.splitlines()[1], r" in 4w ")
        told = self.prune(1)
        self.assertEqual([told[name]["keep"] for name in (*ahead, *before)], [True, True, True, False])
        self.assertIn("2 of daily at manual are dated in the future and stay: the clock was wrong", self.bam("prune").err)

    def test_what_is_damaged_pushes_nothing_out(self):
        day = datetime(2026, 11, 23, 1, 0, tzinfo=timezone.utc)
        names = [self.old(day - timedelta(days=days)) for days in range(4)]
        for name in names[:2]:
            with open(self.path("backups/" + name), "ab") as file:
                file.write(b"more than was written")
        for keep in (1, {"last": 1}, {"daily": 1}, "smart"):
            told = self.prune(keep, "--dry-run")
            self.assertTrue(told[names[2]]["keep"], (keep, told))
        self.assertFalse(self.prune(1, "--dry-run")[names[3]]["keep"])

    def test_what_was_read_and_is_damaged_pushes_nothing_out(self):
        self.write("sites/default/files/note", os.urandom(5000))
        self.document["schedules"]["daily"]["keep"] = 2
        made = []
        for _ in range(2):
            self.bam("run", "daily")
            made.append(self.bam_json("backups")["backups"][0]["file"])
        with open(self.path("backups/" + made[1]), "r+b") as file:
            file.seek(2000)
            byte = file.read(1)[0]
            file.seek(2000)
            file.write(bytes([byte ^ 4]))
        self.assertFalse(self.prune(1, "--dry-run")[made[0]]["keep"], "nobody has read it")
        self.bam("verify", made[1], expect=4)
        told = self.prune(1)
        self.assertTrue(told[made[0]]["keep"], told)
        self.assertTrue(os.path.exists(self.path("backups/" + made[0])))

    def test_what_lacks_something_pushes_out_nothing_that_lacks_nothing(self):
        self.document["schedules"]["daily"]["keep"] = 2
        storage = self.path("storage")
        os.makedirs(storage)
        with open(storage + "/p", "w") as file:
            file.write("data")
        os.symlink(storage, self.files + "/media")
        for expect in (0, 0, 3, 3, 3, 0, 0):
            if expect != 3 and not os.path.exists(storage):
                os.rename(storage + " away", storage)
            elif expect == 3 and os.path.exists(storage):
                os.rename(storage, storage + " away")
            self.bam("run", "daily", expect=expect)
            whole = [backup for backup in self.bam_json("backups")["backups"] if not backup["incomplete"]]
            self.assertIn(len(whole), (1, 2))
            names = [[entry["path"] for entry in self.bam_json("ls", str(backup["id"]))["entries"]] for backup in whole]
            self.assertTrue(all("media/p" in one for one in names), names)
        self.assertEqual(len(self.bam_json("backups")["backups"]), 2, "once there are whole ones again, the others go")

    def test_what_keeps_nothing_is_refused(self):
        for keep, word in (({}, "names nothing"), ({"daily": 0}, "names nothing"), ({"dayly": 7}, 'did you mean "daily"'),
                           ({"daily": -1}, "a number of backups"), (-7, "how many backups to keep")):
            self.document["schedules"]["daily"]["keep"] = keep
            self.assertIn(word, self.bam("config", "check", expect=2).err)
