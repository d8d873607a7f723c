"""docs/disaster-recovery.md, followed literally on a bare machine, with bam and without."""

import os
import re
import shutil
import unittest

import machine
from bamtest import BAM, TOP, SiteTest, tree
from mariadb import missing, server, state
from sshd import PROGRAM, Sshd

PASSWORD = "s3cret 'with\" spaces"


@unittest.skipIf(missing(), "mariadbd is not installed")
@unittest.skipUnless(os.path.exists(PROGRAM), "sshd is not installed")
@unittest.skipUnless(machine.can_be(), "only root can make a chroot and a network namespace")
class TheMachineIsGone(SiteTest):
    def setUp(self):
        super().setUp()
        with open(os.path.join(TOP, "docs/disaster-recovery.md")) as file:
            self.page = file.read()
        self.server = server()
        base = f"bam_{os.path.basename(self.top).replace('-', '_').lower()}"
        self.old, self.new = base + "_old", base + "_new"
        for name in (self.old, self.new):
            self.server.sql(f"create database {name} character set utf8mb4")
            self.addCleanup(self.server.sql, f"drop database {name}")
        self.user = base[-12:]
        quoted = PASSWORD.replace("'", "''")
        self.server.sql(f"create user {self.user}@localhost identified by '{quoted}'; "
                        f"grant all on {self.new}.* to {self.user}@localhost")
        self.addCleanup(self.server.sql, f"drop user {self.user}@localhost")
        self.server.sql("create table node (nid int primary key, title text); insert into node values (1, 'Hello 😀')", self.old)
        self.write("index.php", "<?php\n")
        self.write("sites/default/settings.php", "<?php\n", mode=0o440)
        self.write("sites/default/files/a b.txt", "kept")
        self.document["databases"] = {"db": {"url": f"mysql://root@localhost/{self.old}", "socket": self.server.socket}}
        self.document["sources"].update({"archive": {"type": "archive"}, "db": {"type": "database"}})
        self.database, self.before = state(self.old), tree(self.root)
        # Every machine has its own, and Backup and Migrate leaves it out, too.
        del self.before[b"sites/default/settings.php"]

    def bare_machine(self, *programs):
        """The new machine: nothing on it but these programs, the key, and a MariaDB that answers on its usual socket."""
        new = machine.Machine(self.path("machine"), ["bash", *programs])
        self.addCleanup(new.close)
        shutil.copy(self.key, new.root + "/root/key")
        os.mkdir(new.root + "/run/mysqld")
        # Another name of the same socket.
        os.link(self.server.socket, new.root + "/run/mysqld/mysqld.sock")
        return new

    def lose_everything(self):
        shutil.rmtree(self.root)
        self.server.sql(f"drop database {self.old}; create database {self.old}")

    def blocks(self, heading):
        """The page's shell blocks below a heading."""
        section = re.search(rf"^## {heading}\n(.*?)(?=^## )", self.page, re.M | re.S)[1]
        return re.findall(r"^```sh\n(.*?)^```", section, re.M | re.S)

    def command(self, start):
        """A command that the page gives on a line of its own."""
        return re.search(rf"^    ({re.escape(start)}.*)$", self.page, re.M)[1] + "\n"

    def fill_in(self, block, values):
        for name, value in values.items():
            block, count = re.subn(rf"^{name}=.*$", lambda _: f"{name}='{value}'", block, flags=re.M)
            self.assertEqual(count, 1, name)
        return block

    def assertWorks(self, done):
        self.assertEqual(done.returncode, 0, (done.stdout + done.stderr).decode(errors="replace"))
        return done

    def test_with_bam_and_the_address_of_a_server(self):
        new = self.bare_machine(BAM, "mariadb", "mariadb-dump")
        other = Sshd(command=new.in_its_network)
        self.addCleanup(other.close)
        self.document["destinations"]["manual"]["path"] = other.backups
        self.backup("archive", "manual", "secret")
        # What the page's command must pass over: it is newer.
        self.backup("db", "manual", "secret")
        self.lose_everything()
        os.mkdir(new.root + "/root/.ssh", 0o700)
        shutil.copy(other.path("id"), new.root + "/root/.ssh/id_ed25519")
        with open(new.root + "/root/db-password", "w") as file:
            file.write(PASSWORD + "\n")

        settings, trusted, restore = self.blocks("With bam")
        settings = self.fill_in(settings, {"FROM": other.url, "DATABASE": f"mysql://{self.user}@localhost/{self.new}"})
        refused = new.run(settings + self.command("bam backups --from \"$FROM\""))
        self.assertEqual(refused.returncode, 1, refused)
        shown = re.search(r"--host-key (SHA256:\S+);", refused.stderr.decode())
        self.assertTrue(shown, refused)
        self.assertIn(shown[1], other.fingerprint())
        settings += self.fill_in(trusted, {"SERVER": shown[1]})
        listed = self.assertWorks(new.run(settings + self.command('bam backups --from "$FROM" --host-key')))
        self.assertIn(b".sitearchive.tar.gz.enc", listed.stdout)
        self.assertWorks(new.run(settings + restore))
        self.assertEqual(tree(new.root + "/srv/restored/docroot"), self.before)
        self.assertEqual(state(self.new), self.database)

        # Another server at that address gets nothing.
        wrong = settings.replace(shown[1], "SHA256:" + "A" * 43)
        done = new.run(wrong + self.command('bam backups --from "$FROM" --host-key'))
        self.assertEqual(done.returncode, 1, done)
        self.assertIn(b"NOT THE SERVER", done.stderr)

    def test_without_bam(self):
        new = self.bare_machine("openssl", "tar", "gzip", "sed", "sha256sum", "mkdir", "mariadb")
        made = self.backup("archive", "manual", "secret")
        self.lose_everything()
        for name in (made["path"], made["path"] + ".info"):
            shutil.copy(name, new.root + "/root/")
        with open(new.root + "/root/.my.cnf", "w") as file:
            file.write(f"[client]\nuser={self.user}\npassword=\"{PASSWORD}\"\n".replace('\\"', '"')
                       .replace('with"', 'with\\"'))
        settings, *steps = self.blocks("Without bam")
        settings = self.fill_in(settings, {"BACKUP": "/root/" + made["file"], "DATABASE": self.new})
        done = self.assertWorks(new.run(settings + "".join(steps)))
        self.assertIn(b": OK", done.stdout)
        self.assertEqual(tree(new.root + "/srv/restored/docroot"), self.before)
        self.assertEqual(state(self.new), self.database)

    def in_a_repository(self, *programs):
        """A machine with a repository that holds the site, which is gone; the page's blocks, told where that is."""
        new = self.bare_machine("restic", "mariadb", *programs)
        self.document["destinations"]["inc"] = {"type": "restic", "repository": self.path("repo")}
        self.bam("destination", "init", "inc")
        self.bam_json("backup", "archive", "inc")
        self.bam_json("backup", "db", "inc")
        self.lose_everything()
        shutil.copytree(self.path("repo"), new.root + "/root/repo")
        return new, self.blocks("From a repository")

    @unittest.skipUnless(shutil.which("restic"), "restic is not installed")
    def test_from_a_repository_with_bam(self):
        new, (settings, restore, *_) = self.in_a_repository(BAM, "mariadb-dump")
        with open(new.root + "/root/db-password", "w") as file:
            file.write(PASSWORD + "\n")
        settings = self.fill_in(settings, {"REPOSITORY": "/root/repo", "DATABASE": f"mysql://{self.user}@localhost/{self.new}"})
        self.assertWorks(new.run("cd /root\n" + settings + restore))
        self.assertEqual(tree(new.root + "/srv/restored/docroot"), self.before)
        self.assertEqual(state(self.new), self.database)

    @unittest.skipUnless(shutil.which("restic"), "restic is not installed")
    def test_from_a_repository_with_restic_alone(self):
        new, (*_, settings, restore) = self.in_a_repository("head", "rm")
        with open(new.root + "/root/.my.cnf", "w") as file:
            file.write(f"[client]\nuser={self.user}\npassword=\"{PASSWORD}\"\n".replace('\\"', '"')
                       .replace('with"', 'with\\"'))
        settings = self.fill_in(settings, {"REPOSITORY": "/root/repo", "DATABASE": self.new})
        self.assertWorks(new.run("cd /root\n" + settings + restore))
        self.assertEqual(tree(new.root + "/srv/restored" + self.root), self.before)
        self.assertEqual(state(self.new), self.database)


if __name__ == "__main__":
    unittest.main()
