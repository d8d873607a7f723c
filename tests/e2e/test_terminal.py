"""What people see on a terminal that is narrow."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

from bamtest import BAM, SiteTest


class Terminal(SiteTest):
    def on_terminal(self, columns, *arguments):
        """What bam writes on a terminal of so many columns."""
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = subprocess.Popen([BAM, "--config", self.write_document(), *arguments], stdin=subprocess.DEVNULL,
                                   stdout=theirs, stderr=subprocess.DEVNULL)
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # EIO: the other side is closed
                break
            if not part:
                break
            shown += part
        self.assertEqual(process.wait(), 0)
        return shown.decode().replace("\r\n", "\n")

    def test_a_row_that_does_not_fit_becomes_a_block(self):
        self.write("sites/default/files/note", "field note")
        made = self.backup("files")
        wide = self.on_terminal(200, "backups")
        self.assertEqual(len(wide.splitlines()), 2, wide)
        narrow = self.on_terminal(60, "backups").splitlines()
        self.assertTrue(all(len(line) <= 60 for line in narrow), narrow)
        cells = {line.split(None, 1)[0]: line.split(None, 1)[1] for line in narrow}
        self.assertEqual((cells["ID"], cells["FILE"]), (str(made["id"]), made["file"]))
        # Meanwhile it may have become older.
        piped, wide = (re.sub(r" +\d+s +", "  ", text) for text in (self.bam("backups").out, wide))
        self.assertEqual(piped, wide, "in a pipe the lines are whole")
