"""docs/disaster-recovery.md, followed literally, with bam and without."""

import os
import re
import shutil
import unittest

from bamtest import TOP, SiteTest, run, tree
from mariadb import server, state


@unittest.skipUnless(shutil.which("mariadbd"), "mariadbd is not installed")
class TheMachineIsGone(SiteTest):
    def setUp(self):
        super().setUp()
        with open(os.path.join(TOP, "docs/disaster-recovery.md")) as file:
            page = file.read()
        self.blocks = {language: re.findall(rf"^```{language}\n(.*?)^```", page, re.M | re.S)
                       for language in ("sh", "yaml")}
        self.command = re.search(r"^    (bam --config .*)$", page, re.M)[1]

        self.server = server()
        self.names = [f"bam_{os.path.basename(self.top).replace('-', '_').lower()}_{which}" for which in ("old", "new")]
        for name in self.names:
            self.server.sql(f"create database {name} character set utf8mb4")
            self.addCleanup(self.server.sql, f"drop database {name}")
        self.server.sql("create table node (nid int primary key, title text); insert into node values (1, 'Hello 😀')",
                        self.names[0])
        self.write("index.php", "<?php\n")
        self.write("sites/default/settings.php", "<?php\n", mode=0o440)
        self.write("sites/default/files/a b.txt", "kept")
        self.document["databases"] = {"db": {"url": f"mysql://root@localhost/{self.names[0]}",
                                             "socket": self.server.socket}}
        self.document["sources"]["archive"] = {"type": "archive"}
        self.database, self.files = state(self.names[0]), tree(self.root)
        # Every machine has its own, and Backup and Migrate leaves it out, too.
        del self.files[b"sites/default/settings.php"]
        self.made = self.backup("archive", "manual", "secret")
        shutil.rmtree(self.root)
        self.server.sql(f"drop database {self.names[0]}; create database {self.names[0]}")

    def test_without_bam(self):
        values = {"BACKUP": self.made["path"], "KEY": self.key, "FOLDER": self.path("restored"),
                  "DATABASE": self.names[1]}
        settings, *steps = self.blocks["sh"]
        for name, value in values.items():
            settings, count = re.subn(rf"^{name}=.*$", f"{name}='{value}'", settings, flags=re.M)
            self.assertEqual(count, 1, name)
        # The client finds the tests' server instead of the machine's.
        client = f"mariadb() {{ command mariadb --no-defaults --socket={self.server.socket} --user=root \"$@\"; }}\n"
        said = run("bash", "-e", "-o", "pipefail", "-c", client + settings + "".join(steps))
        self.assertIn(b": OK", said)
        self.assertEqual(tree(self.path("restored/docroot")), self.files)
        self.assertEqual(self.database, state(self.names[1]))

    def test_with_bam(self):
        new = self.path("new-root")
        os.mkdir(new)
        config = self.blocks["yaml"][0]
        for old, value in [("/var/www/drupal", new), ("/root/key", self.key),
                           ('"mysql://drupal@localhost/drupal", password_file: /root/db-password',
                            f'"mysql://root@localhost/{self.names[1]}", socket: {self.server.socket}')]:
            self.assertIn(old, config)
            config = config.replace(old, value)
        with open(self.path("new.yml"), "w") as file:
            file.write(config + f"state_dir: {self.path('state')}\n")
        program, option, _, *words = self.command.split()
        self.assertEqual((program, option), ("bam", "--config"))
        self.bam(*(self.made["path"] if word.endswith(".enc") else word for word in words), config=self.path("new.yml"))
        self.assertEqual(tree(new), self.files)
        self.assertEqual(self.database, state(self.names[1]))


if __name__ == "__main__":
    unittest.main()
