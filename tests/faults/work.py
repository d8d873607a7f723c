"""Where the tests of faults work, and with what."""

import os
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def place():
    """In memory where there is room: what is flushed costs nothing there."""
    return tempfile.mkdtemp(prefix="bam-faults-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)


def compile_inject(top):
    inject = os.path.join(top, "inject")
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", inject, os.path.join(HERE, "inject.c")], check=True)
    return inject
