"""Odd schemas: what MariaDB's own test suite makes comes back. Debian's package mariadb-test-data has it.

Only statements that make and fill things are fed, and those that fail are passed over. `BAM_SERVER_TESTS="main/a main/b"` names
other tests than the sample.
"""

import os
import re
import subprocess
import unittest

from bamtest import SiteTest
from mariadb import missing, server

SUITE = "/usr/share/mysql/mysql-test"
SAMPLE = "main/sp main/view main/trigger main/grant main/merge main/myisam_recover main/ctype_gbk main/ctype_sjis main/ctype_big5 " \
         "main/partition main/create main/gis main/default"
MAKES = re.compile(rb"\s*(/\*.*?\*/\s*)*(create|insert|alter|set|replace|update)\b", re.I | re.S)
# What reaches beyond the database, waits, or is of the test program's own language.
BEYOND = re.compile(
    rb"\b(global|database|schema|user|server|tablespace|grant|debug_dbug|debug|password|role|into\s+outfile|load_file|"
    rb"sleep|benchmark|get_lock|binlog|logfile|statement|storage_engine|read_only|plugin|infile)\b|\$|\bmysql\.|"
    rb"general_log|slow_log|character_set_results|max_statement_time|character_set_client\s*=|event", re.I)


def statements(text):
    """The SQL of a test, cut at the delimiters that it sets."""
    delimiter, found, current = b";", [], b""
    for line in text.split(b"\n"):
        bare = line.strip()
        if not current.strip():
            change = re.match(rb"(?:--\s*)?delimiter\s+(\S+)", bare, re.I)
            if change:
                new = change.group(1)
                delimiter = new[:-len(delimiter)] if len(new) > len(delimiter) and new.endswith(delimiter) else new
                continue
            if not bare or bare.startswith((b"--", b"#")):
                continue
        current += line + b"\n"
        while not bare.startswith((b"--", b"#")) and delimiter in current:
            one, current = current.split(delimiter, 1)
            found.append(one.strip())
            current = current if current.strip() else b""
    return [one for one in found if MAKES.match(one) and not BEYOND.search(one)]


@unittest.skipIf(missing(), "mariadbd is not installed")
@unittest.skipUnless(os.path.isdir(f"{SUITE}/main"), "mariadb-test-data is not installed")
class ServerSuite(SiteTest):
    def test_what_the_servers_own_tests_make_comes_back(self):
        for test in os.environ.get("BAM_SERVER_TESTS", SAMPLE).split():
            with self.subTest(test):
                self.comes_back(test)

    def comes_back(self, test):
        name = "odd_" + re.sub(r"\W", "_", test)
        with open(f"{SUITE}/{test}.test", "rb") as file:
            made = statements(file.read())
        self.assertTrue(made, "a test that makes nothing")
        server().sql(f"drop database if exists {name}; create database {name}")
        script = b"DELIMITER $$END$$\n" + b"".join(one + b"\n$$END$$\n" for one in made)
        subprocess.run(server().client("--force", name), input=script, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=300)
        self.document["databases"] = {
            "db": {"url": f"mysql://root@localhost/{name}", "socket": server().socket}}
        self.document["sources"] = {"db": {"type": "database"}}
        before = self.dumped(name)
        # Where a view does not work, or a table shows what is not there, 3.
        backup = self.finish(self.start("backup", "db"))
        self.assertIn(backup.code, (0, 3), backup)
        for empty in (False, True):
            if empty:
                server().sql(f"drop database {name}; create database {name}")
            restored = self.finish(self.start("restore", "latest", "--source", "db", "--yes"))
            self.assertIn(restored.code, (0, 3), restored)
            after = self.dumped(name)
            if not (empty and backup.code == 3):
                self.assertEqual((sorted(before - after), sorted(after - before)), ([], []), test)
        server().sql(f"drop database {name}")

    @staticmethod
    def dumped(name):
        """The lines of the server's own dump, a row each."""
        done = subprocess.run(
            server().dump_client("--force", "--routines", "--triggers", "--skip-extended-insert", "--skip-comments",
                                 "--order-by-primary", "--hex-blob", name), capture_output=True)
        return set(done.stdout.split(b"\n"))


if __name__ == "__main__":
    unittest.main()
