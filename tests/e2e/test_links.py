"""Links between the folders of a site and out of them: a restore onto the unchanged site changes nothing, from an archive and from
a repository, whose members come in another order."""

import os
import shutil
import sqlite3

from bamtest import tree
from repositories import RepositoryTest


class Links(RepositoryTest):
    def setUp(self):
        super().setUp()
        self.lab = self.path("lab")
        self.files = self.lab + "/site/sites/default/files"
        for name in ("site/modules/m/x.php", "site/index.php", "site/sites/default/files/p", "private/docs/d", "private/docs/sub/s",
                     "elsewhere/e", "elsewhere/sub/e", "znas/one", "znas/year/two", "anas/old/three"):
            self.put(name, name)
        with sqlite3.connect(self.path("db.sqlite")) as database:
            database.execute("create table node (nid integer)")
        self.document["site"].update(root=self.lab + "/site", private_path=self.lab + "/private")
        self.document["databases"] = {"db": {"url": "sqlite:" + self.path("db.sqlite")}}
        self.document["sources"]["archive"] = {"type": "archive"}
        self.init()

    def put(self, name, text):
        path = os.path.join(self.lab, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)

    def link(self, name, to):
        """`to` is absolute, or below the top with a `@` in front."""
        path = os.path.join(self.lab, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(to.replace("@", self.lab + "/"), path)

    def state(self):
        found = tree(self.lab)
        # Folders that trade places are others.
        for what in found.values():
            if what["mode"].startswith("d"):
                del what["mtime"]
            what.pop("names", None)
        return found

    def check(self, *links, spoil=()):
        for name, to in links:
            self.link(name, to)
        before = self.state()
        for source in ("archive", "files"):
            self.bam("backup", source, "inc,manual")
            for place in ("manual", "inc"):
                for options in ([], ["--code"]) if source == "archive" else ([],):
                    with self.subTest(source=source, place=place, options=options):
                        if source == "archive":
                            for name in spoil:
                                self.put(name, "spoiled")
                        where = ["latest", "--source", source, "--destination", place]
                        self.bam("restore", *where, "--dry-run", *options)
                        self.bam("restore", *where, "--yes", *options)
                        self.assertEqual(self.state(), before)
                self.bam("drill", *where)
                into = self.path("into")
                self.bam("restore", *where, "--into", into)
                shutil.rmtree(into)

    def apart(self):
        """The public files' folder lies elsewhere, behind a link of the docroot."""
        shutil.move(self.files, self.lab + "/public")
        self.link("site/sites/default/files", "@public")

    def test_a_link_to_a_link_that_leads_out(self):
        files = "site/sites/default/files/"
        self.check((files + "z/nas", "@elsewhere"), (files + "current", "z/nas"), (files + "b", "b2"),
                   (files + "b2", "z/../y"), (files + "y", "@znas"), spoil=["elsewhere/e", "elsewhere/sub/e", "znas/year/two"])

    def test_a_link_by_way_of_one_that_leads_around_it(self):
        files = "site/sites/default/files/n/"
        self.link(files + "z/nas", "@elsewhere")
        self.link(files + "current", "z/nas")
        self.link(files + "a", "current/sub")
        before = self.state()
        self.bam("backup", "files", "inc,manual")
        for place in ("manual", "inc"):
            for paths in ([], ["--path", self.files + "/n"]):
                # One of the two is restored, the other told.
                done = self.bam("restore", "latest", "--source", "files", "--destination", place, "--yes", *paths, expect=3)
                self.assertSays(done, "what they lead to is not restored")
                self.assertEqual(self.state(), before)

    def test_a_link_in_what_a_link_leads_to(self):
        self.check(("site/sites/default/files/media", "@znas"), ("znas/archive", "@anas/old"), spoil=["znas/one", "anas/old/three"])

    def test_a_link_in_what_comes_back_by_another_path(self):
        self.check(("site/sites/default/files/docs", "@private/docs"), ("private/docs/nas", "@elsewhere"), spoil=["private/docs/d"])

    def test_a_private_link_to_code(self):
        self.check(("private/tomodules", "@site/modules"), ("site/modules/out", "@elsewhere"))

    def test_public_files_elsewhere_with_a_link_to_code(self):
        self.apart()
        self.check(("public/gal/code", "@site/modules/m"), spoil=["public/p"])

    def test_public_files_elsewhere_that_two_links_lead_to(self):
        self.apart()
        self.put("public/sub/q", "q")
        self.check(("site/files", "sites/default/files"), ("site/media", "sites/default/files"), ("site/zz", "sites/default/files/sub"),
                   spoil=["public/p"])

    def test_code_that_stays_does_not_change_by_a_private_link(self):
        self.link("private/tomodules", "@site/modules")
        self.bam("backup", "archive", "inc,manual")
        self.put("site/modules/m/x.php", "newer")
        for place in ("manual", "inc"):
            self.bam("restore", "latest", "--destination", place, "--yes")
            with open(self.lab + "/site/modules/m/x.php") as file:
                self.assertEqual(file.read(), "newer")

    def test_a_link_by_which_another_one_leads_stays_where_the_backup_has_something_else(self):
        files = "site/sites/default/files/"
        self.link(files + "current", "@elsewhere")
        self.put(files + "z/nas", "a file then")
        self.bam("backup", "files", "inc,manual")
        os.unlink(os.path.join(self.lab, files, "z/nas"))
        os.unlink(os.path.join(self.lab, files, "current"))
        self.link(files + "z/nas", "@elsewhere")
        self.link(files + "current", "z/nas")
        self.put("elsewhere/e", "spoiled")
        for place in ("manual", "inc"):
            for how in ("--dry-run", "--yes"):
                done = self.bam("restore", "latest", "--source", "files", "--destination", place, how, expect=3)
                self.assertSays(done, "z/nas -> ", "another link that stays leads by it")
            with open(os.path.join(self.lab, files, "current/e")) as file:
                self.assertEqual(file.read(), "elsewhere/e")
