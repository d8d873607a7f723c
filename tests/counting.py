"""What became of the tests of a suite, read from what it printed: cargo's way or TAP."""

import re


class Count:
    """The names of the tests; of skipped ones with the reason."""

    def __init__(self):
        self.passed, self.failed, self.skipped = [], [], []

    def __iadd__(self, other):
        for kind in ("passed", "failed", "skipped"):
            getattr(self, kind).extend(getattr(other, kind))
        return self

    def __str__(self):
        return f"{len(self.passed)} passed, {len(self.failed)} failed, {len(self.skipped)} skipped"


def read_cargo(text):
    """`test a::b ... ok|FAILED|ignored`, and our own SKIP lines in the shown output."""
    count = Count()
    skipped = dict(re.findall(r"^SKIP ([^:\n]+(?:::[^:\n]+)*): (.*)$", text, re.M))
    for name, outcome in re.findall(r"^test (.+?)(?: - should panic)? \.\.\. (ok|FAILED|ignored.*)$", text, re.M):
        why = next((why for test, why in skipped.items() if name == test or name.endswith("::" + test)), None)
        if outcome == "FAILED":
            count.failed.append(name)
        elif outcome == "ok" and why is None:
            count.passed.append(name)
        else:
            count.skipped.append(f"{name}: {why or outcome}")
    return count


def read_tap(text):
    count = Count()
    for bad, name, why in re.findall(r"^(not )?ok\b[ \d]*(?:- )?(.*?)(?: # SKIP ?(.*))?$", text, re.M | re.I):
        if bad:
            count.failed.append(name)
        elif why:
            count.skipped.append(f"{name}: {why}")
        else:
            count.passed.append(name)
    return count
