"""What became of the tests of a suite, read from what it printed: cargo's way or TAP."""

import re


class Count:
    """The names of the tests; of skipped ones with the reason. Unsteady ones failed first and passed when run again."""

    def __init__(self):
        self.passed, self.failed, self.skipped, self.unsteady = [], [], [], []

    def __iadd__(self, other):
        for kind in ("passed", "failed", "skipped", "unsteady"):
            getattr(self, kind).extend(getattr(other, kind))
        return self

    def settle(self, second):
        """Takes those that failed and passed in `second`, a run of them alone, for unsteady ones that passed."""
        steady = [test for test in self.failed if test in second.failed or test not in second.passed]
        self.unsteady += [test for test in self.failed if test not in steady]
        self.passed += [test for test in self.failed if test not in steady]
        self.failed = steady

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


def about_failed(text, failed):
    """Of what cargo printed the parts about failed tests; all of it where there is none, as when nothing compiled."""
    parts = re.split(r"^(?=---- .+ stdout ----$|successes:$|failures:$|test result: )", text, flags=re.M)
    return "".join(part for part in parts if any(part.startswith(f"---- {test} stdout ----\n") for test in failed)) or text


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
