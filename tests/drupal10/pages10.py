"""A site of the tests' own whose module knows the program, and visitors of its pages."""

import json
import os

from browser import Visitor
from site10 import BAM, SiteTest

PAGES = "/admin/config/system/bam"


class PagesTest(SiteTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = os.path.join(cls.site.top, "program")
        os.makedirs(folder)
        os.symlink(BAM, folder + "/bam")
        cls.program = folder + "/bam"
        cls.name_program()

    @classmethod
    def name_program(cls):
        cls.site.php(f"\\Drupal::configFactory()->getEditable('bam.settings')->set('program', '{cls.program}')"
                     # Deriving a key a hundred thousand times is what takes longest without optimisation.
                     "->set('iterations', 10000)->save();")

    def visitor(self, *permissions):
        """Somebody at the site, logged in: its administrator, one who has just these permissions, or "anonymous"."""
        if not hasattr(self.site, "address"):
            type(self).site.address, end = self.site.serve_at()
            type(self).addClassCleanup(end)
        visitor = Visitor(self.site.address)
        user = ()
        if permissions == ("anonymous",):
            return visitor
        if permissions:
            name = "u" + os.urandom(4).hex()
            self.site.php(f"""
                \\Drupal\\user\\Entity\\Role::create(['id' => '{name}', 'label' => '{name}',
                  'permissions' => json_decode('{json.dumps(permissions)}')])->save();
                \\Drupal\\user\\Entity\\User::create(['name' => '{name}', 'status' => 1, 'roles' => ['{name}']])->save();""")
            user = (f"--name={name}",)
        visitor.get(self.site.drush("user:login", *user, f"--uri={self.site.address}", "--no-browser").strip())
        return visitor

    def backups(self):
        return json.loads(self.site.drush("bam:backups", "--format=json"))
