"""Databases of every kind, with a prefix, and more than one of them."""

import json

import mariadb
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


class ASecondDatabase(SiteTest):
    """What a migration reads from: $databases['migrate'], with a prefix of its own."""

    def test_it_is_backed_up_and_restored_when_asked(self):
        site, server = self.site, mariadb.server()
        server.sql("create database seven character set utf8mb4; create table seven.old_node (nid int primary key, "
                   "title varchar(99)); insert into seven.old_node values (7, 'ünï')")
        self.addCleanup(server.sql, "drop database seven")
        with open(site.conf + "/settings.local.php", "a") as file:
            file.write("$databases['migrate']['default'] = ['database' => 'seven', 'prefix' => 'old_'] "
                       "+ $databases['default']['default'];\n")
        site.fill("own")
        expected = site.facts()
        self.assertIn("db:migrate:default", json.loads(site.drush("bam:sources", "--format=json")))
        made = site.backup("db:migrate:default")
        server.sql("drop table seven.old_node; create table seven.old_users (uid int)")
        site.drush("bam:restore", str(made["id"]), "--yes")
        self.assertEqual(server.sql("show tables; select * from old_node", "seven"), "old_node\n7\tünï\n")
        self.assertEqual(site.facts(), expected, "the site's own is another one")


del SiteTest
