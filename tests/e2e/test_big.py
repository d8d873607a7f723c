"""A site of a quarter of a gigabyte: memory, a quarter of that, and one pass whatever the number of destinations."""

import contextlib
import json
import os
import random
import sqlite3
import unittest

from bamtest import SiteTest, digest, peak_memory

SIZE = 256 << 20
MEMORY = 64 << 20
FILM = 100 << 20


class Big(SiteTest):
    # Starts among the first (tests/tap.py).
    long = True

    def setUp(self):
        super().setUp()
        database = self.path("site/sites/default/files/.ht.sqlite")
        self.document["databases"] = {"db": {"url": "sqlite:" + database}}
        self.document["sources"]["archive"] = {"type": "archive"}
        self.document["destinations"]["second"] = {"type": "directory", "path": self.path("second")}
        noise = random.Random(4)
        with contextlib.closing(sqlite3.connect(database)) as db, db:
            db.execute("create table t (a blob)")
            db.executemany("insert into t values (?)", ((noise.randbytes(1 << 19),) for _ in range(50)))
        # Text that compresses and media that do not, in one large file and in many.
        words = [noise.randbytes(4).hex() for _ in range(5000)]
        text = " ".join(noise.choices(words, k=400_000)).encode()
        left = SIZE - os.path.getsize(database)
        media = self.write("sites/default/files/film.mp4")
        with open(media, "wb") as file:
            for _ in range(FILM >> 20):
                file.write(noise.randbytes(1 << 20))
        left -= FILM
        count = 0
        while left > 0:
            self.write(f"sites/default/files/{count % 50}/page-{count}", text[count:])
            left -= len(text) - count
            count += 1

    def measured(self, *arguments):
        """Runs a backup; its result, its largest memory, and how many bytes it read."""
        process = self.start("--json", *arguments)
        peak = peak_memory(process)
        # Ended, not yet reaped: its counters are still there.
        with open(f"/proc/{process.pid}/io") as file:
            counters = dict(line.split(": ") for line in file.read().splitlines())
        result = self.finish(process, expect=0)
        return json.loads(result.out), peak, int(counters["rchar"])

    def test_memory_stays_small_and_a_second_destination_is_no_second_pass(self):
        one, memory, read_for_one = self.measured("backup", "archive", "manual", "secret")
        self.assertGreater(one["bytes_in"], SIZE)
        self.assertLess(memory, MEMORY)
        two, memory, read_for_two = self.measured("backup", "archive", "manual,second", "secret")
        self.assertLess(memory, MEMORY)
        self.assertLess(read_for_two, read_for_one * 1.05)
        copies = [os.path.join(self.destination(name), two["file"]) for name in ("manual", "second")]
        self.assertEqual(digest(copies[0]), digest(copies[1]))
        for copy in copies:
            os.unlink(copy)

        # The way back needs no more.
        os.unlink(self.path("site/sites/default/files/film.mp4"))
        _, memory, _ = self.measured("restore", str(one["id"]), "--yes")
        self.assertLess(memory, MEMORY)
        self.assertEqual(os.path.getsize(self.path("site/sites/default/files/film.mp4")), FILM)

    def marks(self):
        """By what every file and folder of the site would show that somebody touched it."""
        found = {}
        for folder, _, names in os.walk(self.root):
            for path in [folder, *(os.path.join(folder, name) for name in names)]:
                info = os.lstat(path)
                found[os.path.relpath(path, self.root)] = (info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
        return found

    def changed(self, before):
        after = self.marks()
        return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))

    def test_one_file_or_one_table_comes_back_and_nothing_else_is_touched(self):
        database = self.path("site/sites/default/files/.ht.sqlite")
        with contextlib.closing(sqlite3.connect(database)) as db, db:
            db.execute("create table node (title text)")
            db.execute("insert into node values ('in the backup')")
        made = self.bam_json("backup", "archive", "manual", "secret")
        page = "sites/default/files/7/page-7"
        wanted = digest(os.path.join(self.root, page))
        with open(os.path.join(self.root, page), "w") as file:
            file.write("of today")
        with contextlib.closing(sqlite3.connect(database)) as db, db:
            db.execute("update node set title = 'of today'")
            db.execute("delete from t where rowid = 1")

        before = self.marks()
        _, memory, _ = self.measured("restore", str(made["id"]), "--path", page, "--yes")
        self.assertLess(memory, MEMORY)
        self.assertEqual(self.changed(before), [os.path.dirname(page), page])
        self.assertEqual(digest(os.path.join(self.root, page)), wanted)

        before = self.marks()
        _, memory, _ = self.measured("restore", str(made["id"]), "--table", "node", "--yes")
        self.assertLess(memory, MEMORY)
        self.assertLessEqual(set(self.changed(before)), {"sites/default/files", "sites/default/files/.ht.sqlite"})
        with contextlib.closing(sqlite3.connect(database)) as db:
            self.assertEqual(db.execute("select title from node").fetchall(), [("in the backup",)])
            self.assertEqual(db.execute("select count(*), min(rowid) from t").fetchone(), (49, 2))


if __name__ == "__main__":
    unittest.main()
