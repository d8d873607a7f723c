"""A site of very many folders with long names: memory does not follow their number, on no way. And a folder of many backups."""

import os
import shutil
import threading
import unittest

from bamtest import SiteTest, peak_memory

FOLDERS = 20_000
MEMORY = 64 << 20
# A tenth of what is to be listed in that, and what the program itself takes (docs/reliability.md).
BACKUPS = 10_000
LISTED = 16 << 20


class Many(SiteTest):
    def setUp(self):
        super().setUp()
        # Where there is room in memory: what is measured is not the disk.
        if os.access("/dev/shm", os.W_OK):
            shutil.rmtree(self.top)
            os.symlink(os.path.join("/dev/shm", os.path.basename(self.top)), self.top)
            self.addCleanup(os.unlink, self.top)
            self.addCleanup(shutil.rmtree, os.readlink(self.top), True)
            os.makedirs(os.readlink(self.top))
            os.makedirs(self.files)
            with open(self.key, "w") as file:
                file.write("correct horse battery staple\n")
            os.chmod(self.key, 0o600)

    def fill(self):
        for number in range(FOLDERS):
            os.mkdir(os.path.join(self.files, f"{number:06}" + "n" * 244), 0o750)

    def memory(self, *arguments, most=MEMORY):
        """Runs bam in that much memory, and gives what it printed."""
        process = self.start(*arguments)
        out = []
        # A pipe that is full would stop it.
        reader = threading.Thread(target=lambda: out.append(process.stdout.read()), daemon=True)
        reader.start()
        peak = peak_memory(process)
        reader.join()
        self.finish(process, expect=0)
        self.assertGreater(peak, 0)
        self.assertLess(peak, most, arguments)
        return out[0]

    def test_folders_that_are_restored(self):
        self.fill()
        self.memory("backup", "files", "manual", "secret")
        self.memory("verify", "latest")
        shutil.rmtree(self.files + "/000007" + "n" * 244)
        self.memory("restore", "latest", "--source", "files", "--dry-run")
        self.memory("restore", "latest", "--source", "files", "--yes")
        found = [entry for entry in os.scandir(self.files) if entry.is_dir()]
        self.assertEqual({os.stat(entry).st_mode & 0o7777 for entry in found}, {0o750})
        self.assertEqual(len(found), FOLDERS)

    def test_folders_that_stay_because_a_pattern_left_them_out(self):
        self.document["profiles"]["default"]["sources"] = {"files": {"exclude": ["*n"]}}
        self.fill()
        self.memory("backup", "files", "manual")
        self.memory("restore", "latest", "--source", "files", "--yes")
        self.assertEqual(len(os.listdir(self.files)), FOLDERS)
        self.assertEqual([name for name in os.listdir(self.path("state")) if "moves" in name], [])

    def test_backups_in_one_folder(self):
        # Without a key, which would have to be asked for each.
        del self.document["encryption"]
        self.document["schedules"] = {"often": {"source": "files", "destinations": ["manual"], "profile": "default", "keep": 9}}
        self.write("sites/default/files/page", b"content")
        made = self.bam_json("run", "often")
        path = os.path.join(self.destination(), made["file"])
        with open(path + ".info") as file:
            info = file.read()
        for number in range(made["id"] - BACKUPS, made["id"]):
            name = f"many-{number}.tar.gz"
            os.link(path, os.path.join(self.destination(), name))
            with open(os.path.join(self.destination(), name + ".info"), "w") as file:
                file.write(info.replace(str(made["id"]), str(number)))
        listed = self.memory("backups", most=LISTED)
        self.assertEqual(len(listed.splitlines()), BACKUPS + 2)
        self.memory("status", most=LISTED)
        would_go = self.memory("prune", "--dry-run", most=LISTED)
        self.assertEqual(would_go.count(b"would go"), BACKUPS - 8)


if __name__ == "__main__":
    unittest.main()
