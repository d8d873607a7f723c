"""A backup file as it lies at its destination: whole, from a byte on, its sidecar, and from the second place where the first fails."""

import os

from bamtest import SiteTest


class Raw(SiteTest):
    def setUp(self):
        super().setUp()
        self.document["destinations"]["second"] = {"type": "directory", "path": self.path("second")}
        self.write("sites/default/files/large", os.urandom(900_001))
        self.made = self.backup("files", "manual,second", "secret")
        with open(self.made["path"], "rb") as file:
            self.stored = file.read()

    def raw(self, *arguments, expect=0):
        return self.bam("cat", "--raw", *arguments, expect=expect).raw

    def test_the_file_comes_as_it_is_from_anywhere_on(self):
        number = str(self.made["id"])
        size = len(self.stored)
        self.assertEqual(self.raw(number), self.stored)
        for offset in (1, 262_144, size - 1, size):
            self.assertEqual(self.raw(number, "--offset", str(offset)), self.stored[offset:], offset)
        with open(self.made["path"] + ".info", "rb") as file:
            self.assertEqual(self.raw(number, "--sidecar"), file.read())

    def test_a_place_that_lacks_it_is_passed_over(self):
        os.unlink(self.made["path"])
        os.unlink(self.made["path"] + ".info")
        self.assertEqual(self.raw(str(self.made["id"])), self.stored)
        self.raw("1", expect=1)
