"""Two sites with one folder: each verb acts on its own site's backups, and says what it passed over."""

import json
import os
import unittest

from bamtest import SiteTest
from sshd import PROGRAM, Sshd


class SitesTest(SiteTest):
    """`self.document` is site One's; `self.two` is site Two's bam.yml. Both write to one folder."""

    def setUp(self):
        super().setUp()
        os.makedirs(self.path("two/sites/default/files"))
        self.write("sites/default/files/x", "one")
        with open(self.path("two/sites/default/files/x"), "w") as file:
            file.write("two")
        self.document["site"].update({"name": "One", "url": "http://one.example.org"})
        self.document["schedules"] = {
            "nightly": {"source": "files", "destinations": ["manual"], "profile": "secret", "every": "1d", "keep": 1}}

    def as_two(self, *arguments, site=None, expect=0, **options):
        """Runs bam for site Two."""
        document = self.document
        self.document = {**document, "state_dir": self.path("state-two"),
                         "site": {"root": self.path("two"), "conf_path": "sites/default", "name": "Two",
                                  "url": "http://two.example.org", **(site or {})}}
        try:
            return self.bam_json(*arguments, expect=expect, **options)
        finally:
            self.document = document

    def both(self):
        """A backup of each, Two's the newer."""
        one = self.backup("files", "manual", "secret")
        self.wait_for_the_next_second(one)
        return one, self.as_two("backup", "files", "manual", "secret")

    def content(self, site="site"):
        with open(self.path(f"{site}/sites/default/files/x")) as file:
            return file.read()


class AtOnce(SitesTest):
    """Cron starts the backups of all sites of a machine in the same second."""

    def setUp(self):
        super().setUp()
        # A name without a time is the same for all, however fast the machine is.
        self.document["profiles"]["same"] = {"filename": "same", "append_timestamp": 0, "compression": "none"}
        for site in ("site", "two"):
            with open(self.path(site + "/sites/default/files/noise"), "wb") as file:
                file.write(os.urandom(8 << 20))

    def start_all(self, destinations):
        for number in range(4):
            document = {**self.document, "state_dir": self.path(f"state-{number}")}
            path = self.path(f"{number}.yml")
            with open(path, "w") as file:
                json.dump(document, file)
            os.chmod(path, 0o600)
            yield self.start("--json", "backup", "files", destinations, "same", config=path)

    def names_of_all(self, destinations):
        made = [self.finish(process, expect=0) for process in list(self.start_all(destinations))]
        return sorted(json.loads(result.out)["file"] for result in made)

    def test_each_takes_a_name_of_its_own(self):
        names = self.names_of_all("manual")
        self.assertEqual(names, ["same-1.tar", "same-2.tar", "same-3.tar", "same.tar"])
        self.assertEqual([name for name in self.visible() if not name.endswith(".info")], names)
        for name in names:
            self.bam("verify", name)
        self.assertEqual([file for file in os.listdir(self.destination()) if file.startswith(".")], [])

    @unittest.skipUnless(os.path.exists(PROGRAM), "openssh-server is not installed")
    def test_also_on_a_server(self):
        sshd = Sshd()
        self.addCleanup(sshd.close)
        self.document["destinations"]["far"] = sshd.settings
        names = self.names_of_all("far")
        self.assertEqual(len(set(names)), 4, names)
        for name in names:
            self.bam("verify", name, "--destination", "far")


class Alike(SitesTest):
    """Two sites that say the same of themselves, or whose backups are called the same: nothing of the other's is lost."""

    def test_what_every_machine_calls_itself_is_no_address(self):
        self.document["site"]["url"] = "http://localhost"
        one = self.backup("files", "manual", "secret")
        self.wait_for_the_next_second(one)
        self.as_two("backup", "files", "manual", "secret", site={"url": "http://localhost"})
        self.assertEqual([copy["file"] for copy in self.bam_json("verify", "latest")["copies"]], [one["file"]])

    def test_retention_leaves_what_no_key_at_hand_proves(self):
        # Two servers whose folders and databases are called the same, with no address: only the key tells them apart.
        self.document["site"].pop("url")
        self.bam("run", "nightly")
        (one,) = self.bam_json("backups")["backups"]
        self.wait_for_the_next_second(one)
        with open(self.path("another.key"), "w") as file:
            file.write("of the other server\n")
        os.chmod(self.path("another.key"), 0o600)
        document = self.document
        self.document = {**document, "state_dir": self.path("state-other"),
                         "encryption": {**document["encryption"], "key_file": self.path("another.key")}}
        for _ in range(2):
            made = self.bam("run", "nightly")
            self.wait_for_the_next_second(self.bam_json("backups")["backups"][0])
        self.assertSays(made, "no key at hand proves")
        self.assertEqual(len(self.bam_json("backups")["backups"]), 2)
        self.document = document
        kept = [backup["id"] for backup in self.bam_json("backups")["backups"]]
        self.assertIn(one["id"], kept)

    def test_a_replacing_profile_replaces_only_its_own(self):
        self.document["profiles"]["same"] = {"filename": "same", "append_timestamp": 2}
        self.write("sites/default/private/p", "1")
        self.document["sources"]["more"] = {"type": "files", "path": "sites/default/private"}
        one = self.backup("files", "manual", "same")
        self.assertSays(self.bam("backup", "more", "manual", "same", expect=2), "source files", "not replaced")
        self.as_two("backup", "files", "manual", "same", expect=2)
        self.bam("verify", str(one["id"]))
        self.backup("files", "manual", "same")


class Verbs(SitesTest):
    def test_restore_takes_its_own(self):
        one, two = self.both()
        self.write("sites/default/files/x", "changed")
        result = self.bam("restore", "latest", "--yes")
        self.assertEqual(self.content(), "one")
        self.assertSays(result, "1 backup of other sites is passed over", "Two (http://two.example.org)", "--site")
        for name in (str(two["id"]), two["file"]):
            result = self.bam("restore", name, "--yes", expect=2)
            self.assertSays(result, two["file"], "http://two.example.org", "--site http://two.example.org")
        self.assertEqual(self.content(), "one")
        for site in ("all", "Two", "two.example.org", "https://two.example.org/"):
            self.write("sites/default/files/x", "changed")
            self.assertSays(self.bam("restore", str(two["id"]), "--yes", "--site", site), "of another site", "Two")
            self.assertEqual(self.content(), "two", site)
        self.assertSays(self.bam("restore", "latest", "--yes", "--site", "Three", expect=2), "Three", "Two")

    def test_a_file_of_another_site_needs_the_word_too(self):
        _, two = self.both()
        path = os.path.join(self.destination(), two["file"])
        self.assertSays(self.bam("restore", "--file", path, "--yes", expect=2), "Two", "--site")
        self.assertEqual(self.content(), "one")
        self.assertIn("x", self.bam("ls", "--file", path).out, "looking is no restoring")
        self.bam("restore", "--file", path, "--into", self.path("look"))
        self.bam("restore", "--file", path, "--yes", "--site", "all")
        self.assertEqual(self.content(), "two")

    def test_delete_erases_its_own(self):
        one, two = self.both()
        self.assertEqual(self.bam_json("delete", "latest", "--yes")["file"], one["file"])
        self.assertSays(self.bam("delete", "latest", "--yes", expect=1), "no backup of this site", "Two")
        self.assertSays(self.bam("delete", two["file"], "--yes", expect=2), "--site")
        self.assertEqual(self.visible(), [two["file"], two["file"] + ".info"])

    def test_verify_drill_rekey_replicate_and_looking_see_their_own(self):
        one, two = self.both()
        files = lambda told, key: {copy["file"] for copy in told[key]}
        self.assertEqual(files(self.bam_json("verify"), "copies"), {one["file"]})
        self.assertEqual(files(self.bam_json("verify", "--sample", "5%"), "copies"), {one["file"]})
        self.assertEqual(files(self.bam_json("verify", "--site", "all"), "copies"), {one["file"], two["file"]})
        self.assertEqual(files(self.bam_json("drill"), "drills"), {one["file"]})
        self.assertEqual(files(self.bam_json("rekey", "--all"), "copies"), {one["file"]})
        listed = self.bam_json("backups")
        self.assertEqual(files(listed, "backups"), {one["file"]})
        self.assertEqual(listed["other_sites"], [{"site": "Two (http://two.example.org)", "name": "Two",
                                                  "url": "http://two.example.org", "backups": 1}])
        self.assertEqual(self.bam("cat", "latest", "x").out, "one")
        self.assertIn("x", self.bam("ls", "latest").out)
        self.bam("ls", two["file"], expect=2)
        self.document["destinations"]["second"] = {"type": "directory", "path": self.path("second")}
        self.bam("backup", "files", "manual,second", "secret")
        self.as_two("backup", "files", "manual,second", "secret")
        for name in self.visible("second"):
            os.unlink(os.path.join(self.destination("second"), name))
        copied = self.bam_json("replicate")["copies"]
        self.assertEqual([copy["ok"] for copy in copied], [True])
        self.assertEqual(len(self.visible("second")), 2, "one backup and its sidecar")
        self.assertEqual(len(self.bam_json("replicate", "--site", "all")["copies"]), 1)

    def test_the_list_has_a_column_for_the_site_where_there_are_several(self):
        self.both()
        self.assertNotIn("SITE", self.bam("backups").out.splitlines()[0])
        lines = self.bam("backups", "--site", "all").out.splitlines()
        self.assertIn("SITE", lines[0])
        self.assertIn("http://two.example.org", lines[1])
        self.assertIn("http://one.example.org", lines[2])

    def test_status_and_retention_of_one_site_know_nothing_of_the_other(self):
        self.document["policy"] = {"max_age": "8d"}
        self.as_two("run", "nightly")
        self.assertSays(self.bam("status", expect=3), "there is no backup")
        self.bam("run", "nightly")
        self.bam("status")
        self.assertEqual(len(self.visible()), 4, "keep: 1, of each")
        self.bam("prune", "--site", "all")
        self.assertEqual(len(self.visible()), 4, "each site's newest stays")

    def test_sites_without_an_address_are_told_apart_by_folder_and_database(self):
        self.document["site"].update({"url": "", "name": "Same"})
        one = self.backup("files")
        two = self.as_two("backup", "files", site={"url": "", "name": "Same"})
        self.assertEqual([backup["file"] for backup in self.bam_json("backups")["backups"]], [one["file"]])
        seen = self.as_two("backups", site={"url": "http://default", "name": "Renamed"})
        self.assertEqual([backup["file"] for backup in seen["backups"]], [two["file"]])

    def test_the_mac_covers_whose_it_is(self):
        one, two = self.both()
        path = os.path.join(self.destination(), two["file"] + ".info")
        with open(path) as file:
            text = file.read()
        self.assertIn('bam_site = "http://two.example.org folder:', text)
        with open(path, "w") as file:
            file.write(text.replace("two.example.org", "one.example.org"))
        self.assertSays(self.bam("restore", two["file"], "--yes", expect=4), "MAC")


class BareMachine(SitesTest):
    """Without a configuration: the disaster page's own command."""

    def look(self, *arguments, expect=0):
        return self.bam(*arguments, "--from", self.destination(), "--key", self.key, config=False, expect=expect,
                        cwd="/")

    def test_of_several_sites_none_is_guessed(self):
        one, two = self.both()
        lines = self.look("backups").out
        self.assertIn("SITE", lines)
        into = self.path("into")
        result = self.look("restore", "latest", "--into", into, expect=2)
        self.assertSays(result, "several sites", "http://one.example.org", "http://two.example.org", "--site")
        self.assertFalse(os.path.exists(into))
        self.look("restore", "latest", "--site", "http://one.example.org", "--into", into)
        with open(os.path.join(into, "x")) as file:
            self.assertEqual(file.read(), "one")
        self.look("restore", str(two["id"]), "--into", self.path("other"))

    def test_of_one_site_the_latest_is_taken(self):
        self.backup("files", "manual", "secret")
        self.look("restore", "latest", "--into", self.path("into"))


class Moved(SitesTest):
    def test_a_new_address_finds_its_old_backups(self):
        made = self.backup("files")
        self.document["site"]["url"] = "https://www.one.example.org"
        result = self.bam("restore", "latest", "--yes", expect=1)
        self.assertSays(result, "http://one.example.org", "site.aliases")
        self.document["site"]["aliases"] = ["http://one.example.org"]
        self.assertEqual(self.bam_json("restore", "latest", "--yes")["file"], made["file"])
        self.document["site"]["aliases"] = []
        self.document["site"]["url"] = "https://one.example.org:443/"
        self.assertEqual(self.bam_json("restore", "latest", "--yes")["file"], made["file"])


class Sources(SitesTest):
    def test_latest_says_what_it_took_and_a_source_narrows_it(self):
        os.makedirs(self.path("more"))
        self.document["sources"]["more"] = {"type": "files", "path": self.path("more")}
        files = self.backup("files")
        more = self.backup("more")
        self.assertSays(self.bam("verify", "latest"), "of more", "files", "--source")
        for verb in ("verify", "drill"):
            told = self.bam_json(verb, "latest", "--source", "files")
            self.assertIn(files["file"], str(told))
            self.assertNotIn(more["file"], str(told))
        os.mkdir(self.path("usb"))
        told = self.bam_json("export", "latest", self.path("usb"), "--source", "files")
        self.assertEqual(told["file"], files["file"])
        self.assertIn("files", self.bam("delete", "latest", "--source", "files", "--yes").out)
        self.assertEqual(self.visible(), [more["file"], more["file"] + ".info"])


if __name__ == "__main__":
    unittest.main()
