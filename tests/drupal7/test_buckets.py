"""Buckets and WebDAV folders as places: typed into the form, tried, backed up to."""

import os

from modulesite import PAGES
from objects import BUCKET, KEY, SECRET, S3, WebDav
from test_forms import PLACE, FormTest

OBJECT = {**PLACE, "machine_name": "bucket", "name": "Bucket", "address": "", "endpoint": "", "region": "", "access_key": "",
          "password_file": "", "ca_file": ""}


class Buckets(FormTest):
    def setUp(self):
        super().setUp()
        self.secret = os.path.join(self.top, "secret")
        with open(os.open(self.secret, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(SECRET + "\n")

    def add(self, **fields):
        self.browser.submit(f"{PAGES}/places/add", "bam_place_form", **{**OBJECT, **fields})

    def used(self, tried="takes a file and gives it back"):
        """What came of trying it, and that a backup goes there."""
        self.ended()
        self.browser.get(f"{PAGES}/places/bucket/try")
        self.assertIn(tried, self.browser.said)
        self.browser.submit(f"{PAGES}/backup", "bam_backup_form", source="db", profile="default", description="",
                            **{"destinations[bucket]": "bucket"})
        self.ended()
        self.browser.get(self.browser.url)
        self.assertIn("Done.", self.browser.said)

    def test_what_is_no_bucket_is_refused(self):
        s3, dav = {"kind": "s3", "address": "s3://b/x"}, {"kind": "webdav", "address": "https://me@host/x"}
        for wrong, words in (({**s3, "address": "https://host/b"}, "no bucket"), ({**s3, "endpoint": "s3.example.org"}, "no address of a server"),
                             ({**s3, "ca_file": "/nowhere"}, "can read"), ({**dav, "address": "s3://b/x"}, "no folder on a WebDAV server"),
                             ({**dav, "address": "https://me:secret@host/x"}, "Leave the password out"),
                             ({**dav, "password_file": "secret"}, "can read")):
            with self.subTest(wrong):
                self.add(**wrong)
                self.assertIn(words, self.browser.said)
        self.assertEqual(set(self.document()["destinations"]), {"manual", "scheduled"})

    def test_a_bucket_is_stored_tried_and_used(self):
        server = S3()
        self.addCleanup(server.close)
        self.add(kind="s3", address=f"s3://{BUCKET}/site", endpoint=server.endpoint, region="us-east-1", access_key=KEY,
                 password_file=self.secret)
        place = self.document()["destinations"]["bucket"]
        self.assertEqual((place["type"], place["url"], place["endpoint"], place["access_key"], place["password_file"]),
                         ("s3", f"s3://{BUCKET}/site", server.endpoint, KEY, self.secret))
        self.assertFalse(place.get("append_only"))
        self.used()
        self.assertTrue([key for key in server.keys() if key.startswith("site/") and ".mysql" in key], server.keys())
        self.browser.get(f"{PAGES}/places/bucket/edit")
        self.assertIn(f'value="{server.endpoint}"', self.browser.text)
        self.assertNotIn(SECRET, self.browser.text)
        self.browser.submit(f"{PAGES}/places/bucket/edit", "bam_place_form", **{
            **OBJECT, "kind": "s3", "address": f"s3://{BUCKET}/site", "endpoint": server.endpoint, "access_key": KEY,
            "password_file": self.secret, "append_only": "1"})
        self.assertTrue(self.document()["destinations"]["bucket"]["append_only"])
        # Of a place that becomes another, nothing is sent there.
        self.browser.submit(f"{PAGES}/places/bucket/edit", "bam_place_form", **{**OBJECT, "kind": "sftp"})
        place = self.document()["destinations"]["bucket"]
        self.assertEqual((place["type"], {"access_key", "endpoint", "password_file", "append_only"} & {key for key in place if place[key]}),
                         ("sftp", set()))

    def test_a_webdav_folder_is_stored_tried_and_used(self):
        server = WebDav()
        self.addCleanup(server.close)
        self.add(kind="webdav", address=server.url + "/site", password_file=self.secret, endpoint="https://left.example.org")
        place = self.document()["destinations"]["bucket"]
        self.assertEqual((place["type"], place["url"], place.get("endpoint")), ("webdav", server.url + "/site", None))
        self.used("the folder is not there yet")
        self.assertTrue([name for name in os.listdir(server.folder + "/site") if ".mysql" in name])


del FormTest
