"""Databases of every kind, with a prefix, and more than one of them."""

import json
import os
import shutil

from site10 import SiteTest


class OnPostgresql(SiteTest):
    kind, prefix = "pgsql", "y_"

    def test_a_wrecked_site_comes_back(self):
        site = self.site
        site.fill("before")
        expected = site.facts()
        made = site.backup("archive")
        site.fill("after")
        site.php("""
            $database = \\Drupal::database();
            foreach ($database->schema()->findTables('%') as $table) { $database->schema()->dropTable($table); }""")
        site.drush("bam:restore", str(made["id"]), "--code", "--yes")
        self.assertEqual(site.facts(), expected)
        # Numbers go on where they were: sequences are in the dump.
        site.fill("next")
        self.assertEqual(len(site.facts()["nodes"]), len(expected["nodes"]) + 1)
        ask, end = site.serve()
        self.addCleanup(end)
        self.assertEqual(ask("/node/1")[0], 200)

    def test_a_database_alone_is_backed_up_without_its_caches_rows(self):
        site = self.site
        site.fill("rows")
        made = site.backup("db")
        self.assertTrue(made["file"].endswith(".pgsql.gz"), made)
        listed = json.loads(site.bam("ls", str(made["id"]), "--json"))
        rows = {entry["name"].split(".")[-1]: entry.get("rows") for entry in listed["entries"]}
        self.assertGreater(rows["y_node_field_data"], 0)
        self.assertEqual({rows[name] for name in rows if name.startswith("y_cache_")}, {0})


del SiteTest
