"""A month of nights on a real Drupal 7: cron, two repositories, what a schedule keeps. `BAM_TEST_NIGHTS=31 tests/drupal7/run month`."""

import os
import subprocess

from drupalsite import BAM, php
from modulesite import ModuleTest
from month import Clock, KEEP, Month, Repositories


class Nightly(Month, ModuleTest):
    # Starts among the first (tests/tap.py).
    long = True
    inside = "docroot/sites/default/files"

    def setUp(self):
        self.clock = Clock()
        super().setUp()
        folder = os.path.join(self.top, "repositories")
        os.mkdir(folder)
        self.repositories = Repositories(self, folder, os.path.join(self.top, "site.key"))
        self.files = os.path.join(self.root, "sites/default/files/month")
        self.set_conf(date_default_timezone="UTC")
        for name, place, files in (("near", self.repositories.near, {}), ("far", self.repositories.far, self.repositories.credentials)):
            self.drush("bam-import-settings", self.export_of(name, place, files))
            self.bam("destination", "init", name)
        self.php("variable_set('bam_policy', array('copies' => 1, 'max_age' => '2d', 'verify_every' => '7d'));")
        keep = ", ".join(f"{word} {count}" for word, count in KEEP.items())
        self.drush("bam-schedule-add", "nightly", "archive", "near,far", "--every=1d", f"--keep={keep}")

    def environment(self):
        return {**super().environment(), **self.clock.environment()}

    def export_of(self, name, place, files):
        """A repository as a destination that Backup and Migrate would export."""
        variables = ", ".join(f"{php(variable)} => {php(file)}" for variable, file in files.items())
        path = os.path.join(self.top, f"{name}.txt")
        with open(path, "w") as file:
            file.write(f"array ('machine_name' => {php(name)}, 'name' => {php(name)}, 'subtype' => 'restic', 'location' => {php(place)}, "
                       f"'settings' => array ('credential_files' => array ({variables})), 'type_name' => 'destination')")
        return path

    def bam(self, *words):
        process = subprocess.Popen([BAM, "--root", self.root, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=self.environment(), cwd=self.top)
        return self.finish(process, expect=0).out

    def cron(self):
        self.drush("cron")

    def said(self):
        return self.log()

    def change_database(self, number):
        self.php(f"node_save((object) array('type' => key(node_type_get_types()), 'title' => 'Night {number}.', 'language' => 'und', "
                 "'uid' => 1, 'status' => 1)); "
                 f"node_delete(db_query('SELECT MIN(nid) FROM {{node}} WHERE title LIKE :old AND {number} % 4 = 3', "
                 "array(':old' => 'A node,%'))->fetchField());")

    def test_a_month_of_nights_into_two_repositories(self):
        self.live()
        self.judge()
