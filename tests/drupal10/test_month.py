"""A month of nights on a real Drupal 10: cron, two repositories, what a schedule keeps. `BAM_TEST_NIGHTS=31 tests/drupal10/run month`."""

import json
import os

from month import Clock, KEEP, Month, Repositories
from site10 import BAM, SiteTest


class Nightly(Month, SiteTest):
    # Starts among the first (tests/tap.py).
    long = True
    inside = "docroot/web/sites/default/files"

    def setUp(self):
        self.clock = Clock()
        site = self.site
        key, folder = os.path.join(site.top, "key"), os.path.join(site.top, "repositories")
        os.mkdir(folder)
        with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "w") as line:
            line.write("a key of the tests, long enough\n")
        self.repositories = Repositories(self, folder, key)
        self.files = os.path.join(site.conf, "files/month")
        self.create("Destination", id="near", type="restic", repository=self.repositories.near)
        self.create("Destination", id="far", type="restic", repository=self.repositories.far,
                    credential_files=self.repositories.credentials)
        # All but what Composer brings back: to write the rest to the server once more for each night would tell nothing new.
        self.create("Source", id="site", type="archive", code="composer")
        self.create("Schedule", id="nightly", source="site", destinations=["near", "far"], keep_periods=KEEP)
        site.php(f"""\\Drupal::configFactory()->getEditable('bam.settings')->set('key_file', '{key}')->set('program', '{BAM}')
            ->set('policy', ['copies' => 1, 'max_age' => '2d', 'verify_every' => '7d'])->save();
            \\Drupal::configFactory()->getEditable('system.date')->set('timezone.default', 'UTC')->save();
            \\Drupal\\node\\Entity\\NodeType::create(['type' => 'page', 'name' => 'Page'])->save();""")
        # It would ask the network for news each night.
        site.drush("pm:uninstall", "update", "--yes")
        for name in ("near", "far"):
            site.bam("destination", "init", name)

    def create(self, kind, **values):
        values = json.dumps({"label": values["id"], **values})
        self.site.php(f"\\Drupal\\bam\\Entity\\{kind}::create(json_decode('{values}', TRUE))->save();")

    def bam(self, *words):
        return self.site.bam(*words)

    def cron(self):
        self.site.around = self.clock.environment()
        self.site.drush("core:cron")

    def said(self):
        return self.site.php("echo json_encode(\\Drupal::keyValue('bam.result')->getAll());")

    def change_database(self, number):
        self.site.php(f"""\\Drupal\\node\\Entity\\Node::create(['type' => 'page', 'title' => 'Night {number}.', 'uid' => 1])->save();
            \\Drupal::configFactory()->getEditable('system.site')->set('slogan', 'Day {number}')->save();""")

    def test_a_month_of_nights_into_two_repositories(self):
        self.live()
        self.judge()


del SiteTest
