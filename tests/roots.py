"""Roots of Debian releases, made by debootstrap and entered by chroot: what the tests that need another machine share."""

import os
import shutil
import subprocess
import sys

MIRROR = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")

mounted = set()


def make_root(root, suite, packages):
    """Installs a Debian with some packages; once, as long as it is asked for the same.

    A folder that is removed is made anew from what the mirror has then (DEBIAN_MIRROR names another one).
    """
    made = root + ".made"
    wanted = f"{suite} {packages}\n"
    if os.path.exists(made):
        with open(made) as file:
            if file.read() == wanted:
                return
        os.unlink(made)
    print(f"# installing Debian {suite} below {root}", flush=True)
    shutil.rmtree(root, ignore_errors=True)
    os.makedirs(root)
    # Releases newer than this machine's debootstrap are made like the one that is always there.
    scripts = "/usr/share/debootstrap/scripts"
    script = next(path for path in (f"{scripts}/{suite}", f"{scripts}/sid") if os.path.exists(path))
    with open(root + ".log", "wb") as log:
        said = {"check": True, "stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        try:
            subprocess.run(["debootstrap", "--variant=minbase", suite, root, MIRROR, script], **said)
            mount(root)
            # No package may start its server.
            with open(f"{root}/usr/sbin/policy-rc.d", "w") as file:
                file.write("#!/bin/sh\nexit 101\n")
            os.chmod(f"{root}/usr/sbin/policy-rc.d", 0o755)
            if packages:
                subprocess.run([*within(root), "apt-get", "install", "-y", "--no-install-recommends", *packages.split()], **said)
                subprocess.run([*within(root), "apt-get", "clean"], **said)
        except subprocess.CalledProcessError as failed:
            sys.exit(f"{root} could not be installed ({failed}); {root}.log says why")
    with open(made, "w") as file:
        file.write(wanted)


def mount(root, *shared):
    """Lets the root see the kernel and what else the tests share with it. Nobody else sees these mounts."""
    for path in ("/proc", "/sys", "/dev", *shared):
        if root + path not in mounted:
            os.makedirs(root + path, exist_ok=True)
            subprocess.run(["mount", "--rbind", path, root + path], check=True)
            mounted.add(root + path)


def within(root, **variables):
    """What comes before a command that runs in the root, in an environment of its own."""
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    variables = {"PATH": path, "HOME": "/root", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", **variables}
    return ["chroot", root, "env", "-i", *(f"{key}={value}" for key, value in variables.items())]


def apart():
    """Starts this program anew with mounts of its own, which end with it. Once."""
    if "BAM_MOUNTS_APART" not in os.environ:
        os.environ["BAM_MOUNTS_APART"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation=private", sys.executable, os.path.abspath(sys.argv[0]), *sys.argv[1:]])
