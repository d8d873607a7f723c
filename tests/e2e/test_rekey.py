"""`bam rekey`: the key changes, the backups stay what they were, and a kill at any time loses none."""

import hashlib
import os
import shutil
import unittest

from bamtest import ITERATIONS, SiteTest, digest, run, tree
from sshd import PROGRAM, Sshd

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURES = os.path.join(os.path.dirname(HERE), "fixtures/backup_migrate")


def field(path, key):
    with open(path + ".info") as file:
        return next((line.split('"')[1] for line in file if line.startswith(key + " ")), None)


def is_sealed_by(path, key_file):
    """Whether the sidecar's check is that of this key, over the salt and the iterations that it names."""
    with open(key_file, "rb") as file:
        key = file.readline().rstrip(b"\n")
    salt, count, check = (field(path, "bam_" + name) for name in ("salt", "kdf_iterations", "key_check"))
    derived = hashlib.pbkdf2_hmac("sha256", key, bytes.fromhex(salt), int(count), 88)
    return check == derived[80:].hex()


def size_of(path):
    """0 for a file that is gone meanwhile."""
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0


class KeyTest(SiteTest):
    def setUp(self):
        super().setUp()
        self.write("sites/default/files/page.html", "<p>secret</p>" * 1000)
        self.write("sites/default/files/noise", os.urandom(3 << 20))
        self.before = tree(self.files)
        self.document["destinations"]["second"] = {"type": "directory", "path": self.path("second")}

    def new_key(self):
        made = self.bam_json("keygen", self.path("new"))
        self.document["encryption"].update(key_file=self.path("new"), keys=[self.key])
        return made["key_file"]

    def forget_the_old_key(self):
        del self.document["encryption"]["keys"]

    def assertRestores(self, *which):
        shutil.rmtree(self.files, ignore_errors=True)
        self.bam("restore", *which, "--yes")
        self.assertEqual(tree(self.files), self.before)


class Rekey(KeyTest):
    def test_all_copies_open_with_the_new_key_alone(self):
        made = self.backup("files", "manual,second", "secret")
        plain = self.backup("files", "manual")
        hashes = digest(made["path"]), digest(plain["path"])
        new = self.new_key()
        told = self.bam_json("rekey", "--all")["copies"]
        self.assertEqual([(copy["id"], copy["destination"], copy["done"]) for copy in told],
                         [(plain["id"], "manual", "rekeyed"), (made["id"], "manual", "rekeyed"),
                          (made["id"], "second", "rekeyed")])
        # Its bytes stay; what proves them is the new key's.
        self.assertTrue(is_sealed_by(plain["path"], new))
        self.forget_the_old_key()
        other = os.path.join(self.destination("second"), made["file"])
        self.assertEqual(digest(made["path"]), digest(other))
        self.assertNotEqual(digest(made["path"]), hashes[0])
        self.assertEqual(digest(plain["path"]), hashes[1])
        for path in (made["path"], other):
            self.assertTrue(is_sealed_by(path, new))
            self.assertEqual(field(path, "bam_rekeyed_from"), hashes[0])
            self.assertEqual(field(path, "bam_id"), str(made["id"]))
        listed = self.bam_json("backups")["backups"]
        self.assertEqual([backup["id"] for backup in listed], [plain["id"], made["id"]])
        self.assertEqual(len(listed[1]["copies"]), 2)
        self.bam("verify")
        opened = run("openssl", "enc", "-d", "-aes-256-cbc", "-pbkdf2", "-iter", str(ITERATIONS), "-in", made["path"],
                     "-pass", "file:" + self.path("new"))
        self.assertIn(b"page.html", run("tar", "tz", input=opened))
        self.assertRestores(str(made["id"]))
        again = self.bam_json("rekey", "--all")["copies"]
        self.assertEqual([copy["done"] for copy in again], ["current", "current", "current"])
        self.assertEqual(digest(made["path"]), digest(other))

    @unittest.skipUnless(os.path.exists(PROGRAM), "openssh-server is not installed")
    def test_copies_on_a_server_follow(self):
        sshd = Sshd()
        self.addCleanup(sshd.close)
        self.document["destinations"] = {"manual": self.document["destinations"]["manual"], "far": sshd.settings}
        here = self.backup("files", "manual,far", "secret")
        only_there = self.backup("files", "far", "secret")
        self.new_key()
        self.bam("rekey", "--all")
        self.forget_the_old_key()
        self.bam("verify")
        self.assertEqual(digest(here["path"]), digest(os.path.join(sshd.backups, here["file"])))
        names = {here["file"], only_there["file"]}
        self.assertEqual(set(os.listdir(sshd.backups)), names | {name + ".info" for name in names})
        self.assertRestores(str(only_there["id"]))

    def test_one_backup_and_one_destination_may_be_named(self):
        first = self.backup("files", "manual,second", "secret")
        second = self.backup("files", "manual,second", "secret")
        new = self.new_key()
        self.bam("rekey", str(first["id"]), "--destination", "second")
        done = [(made["id"], place) for made in (first, second) for place in ("manual", "second")
                if is_sealed_by(os.path.join(self.destination(place), made["file"]), new)]
        self.assertEqual(done, [(first["id"], "second")])
        # What differs is still one backup, and the rest is made of the bytes that are there.
        self.assertEqual(len(self.bam_json("backups")["backups"]), 2)
        self.bam("rekey", str(first["id"]))
        self.assertEqual(digest(first["path"]), digest(os.path.join(self.destination("second"), first["file"])))
        self.forget_the_old_key()
        self.bam("verify", str(first["id"]))
        self.bam("verify", str(second["id"]), expect=4)

    def test_what_has_no_key_is_told_by_its_name(self):
        encryption = self.document.pop("encryption")
        made = self.backup("files", "manual", "default")
        self.document["encryption"] = encryption
        self.assertSays(self.bam("rekey", "latest", expect=2), made["file"] + " is not encrypted")

    def test_what_is_damaged_is_not_sealed_again(self):
        made = self.backup("files", "manual,second", "secret")
        alone = self.backup("files", "manual", "secret")
        for path in (made["path"], alone["path"]):
            with open(path, "r+b") as file:
                file.seek(1000)
                byte = file.read(1)[0]
                file.seek(1000)
                file.write(bytes([byte ^ 1]))
        before = tree(self.destination())
        self.new_key()
        result = self.bam("rekey", str(alone["id"]), expect=4)
        self.assertSays(result, alone["file"], "damaged")
        self.assertEqual(tree(self.destination()), before)
        # The good copy heals the damaged one.
        self.bam("rekey", "--all", expect=3)
        self.forget_the_old_key()
        self.bam("verify", str(made["id"]))
        self.assertEqual(digest(alone["path"]), before[alone["file"].encode()]["sha256"])

    def test_more_iterations_are_a_reason(self):
        made = self.backup("files", "manual,second", "secret")
        self.document["encryption"]["iterations"] = ITERATIONS + 500
        self.bam("rekey", "--all")
        self.assertEqual(field(made["path"], "bam_kdf_iterations"), str(ITERATIONS + 500))
        self.assertRestores(str(made["id"]))
        self.document["encryption"]["iterations"] = ITERATIONS
        self.assertEqual([copy["done"] for copy in self.bam_json("rekey", "--all")["copies"]], ["current", "current"])

    def test_the_old_key_is_missed(self):
        made = self.backup("files", "manual", "secret")
        self.new_key()
        self.forget_the_old_key()
        before = tree(self.destination())
        self.assertSays(self.bam("rekey", "--all", expect=4), made["file"], "another key", "new")
        self.assertEqual(tree(self.destination()), before)

    def test_to_public_keys_and_back(self):
        made = self.backup("files", "manual,second", "secret")
        identity = self.path("identity")
        recipient = self.bam_json("keygen", "--age", identity)["recipient"]
        self.document["encryption"]["recipients"] = [recipient]
        self.bam("rekey", "--all", "--to", "age")
        name = made["file"].removesuffix(".enc") + ".age"
        for place in ("manual", "second"):
            self.assertEqual(self.visible(place), [name, name + ".info"])
        self.document["encryption"]["keys"] = [identity]
        self.assertEqual(self.bam_json("backups")["backups"][0]["id"], made["id"])
        self.bam("verify")
        self.assertRestores("latest")
        # The MAC by the site's key proves where it comes from, and without it nothing does.
        with open(self.path("backups/" + name + ".info")) as file:
            sidecar = file.read()
        for place in ("backups", "second"):
            with open(self.path(f"{place}/{name}.info"), "w") as file:
                file.writelines(line for line in sidecar.splitlines(True) if "bam_hmac" not in line)
        self.assertSays(self.bam("rekey", "--all", "--to", "aes256", expect=4), "had a mac")
        for place in ("backups", "second"):
            with open(self.path(f"{place}/{name}.info"), "w") as file:
                file.write(sidecar)
        self.bam("rekey", "--all", "--to", "aes256")
        self.assertEqual(self.visible(), [made["file"], made["file"] + ".info"])
        self.assertRestores("latest")

    def test_backups_of_the_aes_module_become_ours_when_asked(self):
        place = self.destination()
        os.makedirs(place)
        name = "sitename-2026-11-22T23-51-01.tar.gz.aes"
        for file in (name, name + ".info"):
            shutil.copy(os.path.join(FIXTURES, file), place)
        self.document["encryption"]["aes_module"] = {"implementation": "phpseclib",
                                                     "key": "LegacyKey-PECE-2016-abcdefghijkl"}
        identifier = self.bam_json("backups")["backups"][0]["id"]
        self.assertEqual(self.bam_json("rekey", "--all")["copies"], [])
        self.assertEqual(self.visible(), [name, name + ".info"])
        self.bam("rekey", "--all", "--unauthenticated")
        new = name.removesuffix(".aes") + ".enc"
        self.assertEqual(self.visible(), [new, new + ".info"])
        self.assertEqual(self.bam_json("backups")["backups"][0]["id"], identifier)
        del self.document["encryption"]["aes_module"]
        self.bam("verify")
        shutil.rmtree(self.files)
        self.bam("restore", str(identifier), "--source", "files", "--yes")
        self.assertEqual(len([1 for what in tree(self.files).values() if "sha256" in what]), 3)


class Killed(KeyTest):
    """Kills bam (-9) when what it has done so far shows on disk, then looks at what is there."""

    def hidden(self, place, ending=".part"):
        return [os.path.join(self.destination(place), name) for name in os.listdir(self.destination(place))
                if name.startswith(".") and name.endswith(ending)]

    def rekey_until(self, condition, *options):
        process = self.start("rekey", "--all", *options)
        while process.poll() is None and not condition():
            pass
        process.kill()
        process.communicate()

    def assertWhole(self, made):
        """Both copies are there, once, each old or new, with a sidecar that proves it."""
        listed = self.bam_json("backups")["backups"]
        self.assertEqual([backup["id"] for backup in listed], [made["id"]])
        self.assertEqual(len(listed[0]["copies"]), 2)
        self.bam("verify")

    def run_to_the_end(self, made, *options):
        self.bam("rekey", "--all", *options)
        self.forget_the_old_key()
        self.assertWhole(made)
        for place in ("manual", "second"):
            self.assertEqual(self.hidden(place, ""), [])
            self.assertEqual(len(self.visible(place)), 2)
        self.assertRestores(str(made["id"]))

    def test_killed_while_the_new_file_grows_is_read_back_or_swapped(self):
        made = self.backup("files", "manual,second", "secret")
        new = self.new_key()
        size = os.path.getsize(made["path"])

        def grown(place, share):
            return any(size_of(path) >= size * share for path in self.hidden(place))

        conditions = [lambda: bool(self.hidden("manual")), lambda: grown("manual", 0.5), lambda: grown("manual", 0.99),
                      lambda: is_sealed_by(made["path"], new), lambda: bool(self.hidden("second")),
                      lambda: grown("second", 0.9)]
        for at, condition in enumerate(conditions):
            with self.subTest(at):
                self.rekey_until(condition)
                self.assertWhole(made)
        self.run_to_the_end(made)

    def test_killed_between_the_new_name_and_the_old(self):
        made = self.backup("files", "manual,second", "secret")
        identity = self.path("identity")
        self.document["encryption"]["recipients"] = [self.bam_json("keygen", "--age", identity)["recipient"]]
        self.document["encryption"]["keys"] = [identity]
        name = made["file"].removesuffix(".enc") + ".age"
        for place in ("manual", "second"):
            path = os.path.join(self.destination(place), name)
            self.rekey_until(lambda path=path: os.path.exists(path), "--to", "age")
            self.bam("verify")
        self.bam("rekey", "--all", "--to", "age")
        self.assertEqual(self.visible(), [name, name + ".info"])
        self.assertRestores(str(made["id"]))

    def test_what_a_kill_left_of_the_old_name_goes_at_the_next_run(self):
        made = self.backup("files", "manual", "secret")
        self.document["encryption"]["recipients"] = [self.bam_json("keygen", "--age", self.path("identity"))["recipient"]]
        old = {name: os.path.join(self.top, name) for name in (made["file"], made["file"] + ".info")}
        for name, aside in old.items():
            shutil.copy(os.path.join(self.destination(), name), aside)
        self.bam("rekey", "--all", "--to", "age")
        there = tree(self.destination())
        for name, aside in old.items():
            shutil.copy(aside, os.path.join(self.destination(), name))
        self.bam("rekey", "--all", "--to", "age")
        self.assertEqual(tree(self.destination()).keys(), there.keys())
        new = os.path.join(self.destination(), made["file"].removesuffix(".enc") + ".age")
        self.assertEqual(digest(new), there[os.path.basename(new).encode()]["sha256"])


if __name__ == "__main__":
    unittest.main()
