"""One point: an operation, a call of it, a fault; and what must hold afterwards."""

import json
import os
import random
import re

from operations import FAULTS, WEIGHTS
from world import LIMIT

# What a person reads: no panic, and not the bare words that name nothing.
PANIC = re.compile(r"panicked|RUST_BACKTRACE|internal error")
# The cause in the system's words, or in those of libraries that do not tell them: SQLite, libssh2.
LIBRARIES = ("database or disk is full", "disk I/O error", "unable to open database", "readonly database",
             "database disk image is malformed", "Callback returned error")
CAUSES = {fault: (words, *LIBRARIES) for fault, words in {
    "eio": "Input/output error", "enospc": "No space left", "full": "No space left", "readonly": "Read-only file system",
    "emfile": "Too many open files", "edquot": "quota exceeded", "eacces": "Permission denied"}.items()}
# What it was about: a path, a place, a database, a backup, the site, a thread.
ABOUT = re.compile(r"/\w|Lab-|\d{10}|bam\.yml|\b(manual|second|far|db|maintenance mode|cannot start a thread)\b")


class Prepared:
    """An operation in a world, ready to be done any number of times."""

    def __init__(self, world, operation):
        self.world, self.operation = world, operation
        self.kept = operation.name
        operation.prepare(world)
        world.keep(self.kept)
        self.words = operation.command(world)
        self.old = world.site()
        self.foreign = world.foreign()
        # A copy that lay at a place and is gone is told.
        self.before = listing(world, (3,) if operation.lacks else (0,))
        self.remembered = remembered(world)
        self.put_back()
        done = world.bam(*self.words, counted=True)
        assert done.code == 0, f"without any fault: {done}"
        self.counts = {name: count for name, count in done.report["counts"].items() if count}
        self.new = world.site()
        self.after = listing(world)
        for words in operation.following(world):
            world.bam(*words)
        assert not world.leftovers(), f"without any fault, left behind: {world.leftovers()}"
        if hasattr(operation, "outcomes"):
            self.old, self.new = operation.outcomes(world)

    def put_back(self):
        self.world.put_back(self.kept)
        self.operation.arrive(self.world)

    def draw(self, chance):
        classes = [name for name in FAULTS if self.counts.get(name)]
        name = chance.choices(classes, [WEIGHTS[name] for name in classes])[0]
        index = chance.randint(1, self.counts[name])
        return f"{name}:{index}:{chance.choice(FAULTS[name])}"

    def every(self, kind):
        """Each call of a class with the same fault: `stat:eio`."""
        name, fault = kind.split(":")
        return [f"{name}:{index}:{fault}" for index in range(1, self.counts.get(name, 0) + 1)]

    def at(self, point):
        """Does it, and gives (whether the fault was met, what is wrong)."""
        world, fault = self.world, point.rsplit(":", 1)[1]
        self.put_back()
        done = world.bam(*self.words, point=point)
        fired = bool(done.report and done.report["fired"])
        wrong = list(self.look(done, fault))
        if wrong:
            wrong.append(f"it met: {done.report and done.report['hit']}")
            wrong.append(f"it said: {done}")
        return fired, wrong

    def look(self, done, fault):
        world, killed = self.world, done.code == 137
        if done.code == "no end":
            yield f"no end within {LIMIT} s"
        elif not killed:
            yield from self.words_of(done, fault)
        # What is to be ended later must not be said to be done without a word.
        if done.code == 0 and os.path.exists(world.inside("state/restore.json")) and "next run" not in done.err and "again later" not in done.err:
            yield "it says done, and a restore is unfinished"
        forgotten = self.remembered - remembered(world)
        if forgotten:
            yield f"forgotten: {sorted(forgotten)}"
        listed = world.bam("--json", "backups")
        if listed.code not in self.codes_of(done):
            yield f"the listing: {listed}"
        if done.code != 0:
            recovered = world.bam("recover")
            if recovered.code != 0:
                yield f"recover: {recovered}"
        # Where it says so, the next run has to see to it: `leftovers`.
        if os.path.exists(world.inside("offline")) and "maintenance mode" not in done.err:
            yield "the site is in maintenance mode"
        site = world.site()
        if site in (self.old, self.new):
            if done.code == 0 and not self.operation.says_what_is(done, site != self.new):
                yield "it says something else than what was done"
        else:
            yield "a mixture: " + "; ".join(difference(self.old, self.new, site))
        yield from self.backups(done, fault)
        yield from self.operation.more(world, done)
        for words in self.operation.following(world):
            following = world.bam(*words)
            if following.code != 0:
                yield f"the next run: {following}"
        now = listing(world) if self.operation.hides else {}
        for name, places in self.before.items():
            if places & self.operation.hides - now.get(name, set()):
                yield f"a backup did not come back: {name} at {places & self.operation.hides}"
        left = world.leftovers()
        if left:
            yield f"left behind after the next run: {left}"
        changed = {name for name, what in self.foreign.items() if world.foreign().get(name) != what} - self.operation.writes
        if changed:
            yield f"foreign files changed: {changed}"

    def codes_of(self, done):
        """What lists may end with: what could not be remembered to be erased, they miss, and that was told; a copy that was
        missing before may still be, and one that is hidden is."""
        missed = "was erased, which is not remembered" in done.err or (self.operation.lacks or self.operation.hides) and done.code != 0
        return (0, 3) if missed else (0,)

    def words_of(self, done, fault):
        if done.code not in (0, 1, 2, 3, 4, *([130] if fault == "dead" else [])):
            yield f"exit code {done.code}"
        if PANIC.search(done.err + done.out):
            yield "a panic"
        if fault in ("delay", "eintr", "short") and done.code == 4:
            yield "what is no damage is called one"
        if done.code and done.code != 130:
            yield from self.cause_of(done, fault)
        if os.path.exists(self.world.inside("state/restore.json")) and "recover" not in done.err and "next run" not in done.err and done.code in (1, 2, 3, 4) \
                and not self.operation.name.startswith("recover"):
            yield "an unfinished restore is not told"

    def cause_of(self, done, fault):
        """What made it fail is told, by its words and by what it was about: the words alone name nothing."""
        if not done.err.strip():
            yield f"exit code {done.code} without a word"
            return
        causes = CAUSES.get(fault, [""])
        if done.code == 1 and not any(cause in done.err for cause in causes):
            yield f"the cause is not told: {causes}"
        told = [line for line in done.err.splitlines() if line.startswith("bam: ")]
        # A warning may sum up what the others say.
        for line in told:
            if not ABOUT.search(line) and (not line.startswith("bam: warning: ") or not any(map(ABOUT.search, told))):
                yield f"the message names nothing: {line}"

    def backups(self, done, fault):
        """Every backup that was there is there and whole; what is new is whole."""
        world, killed = self.world, done.code == 137
        # Without the key to seal it there is a backup all the same, and that is told.
        unsealed = done.code == 3 and "is made without a MAC" in done.err
        verified = world.bam("--json", "verify", *(["--unauthenticated"] if unsealed else []))
        if verified.code not in self.codes_of(done):
            yield f"verify: {verified}"
        now = listing(world, self.codes_of(done))
        gone = {name: places - now.get(name, set()) for name, places in self.before.items() if places - now.get(name, set())}
        allowed = {name: places - self.after.get(name, set()) for name, places in self.before.items()}
        for name, places in gone.items():
            if (killed or fault == "dead") and places <= self.operation.hides:
                continue
            if not (self.operation.may_go and places <= allowed[name]):
                yield f"a backup is gone: {name} at {places}"
        # What a clock that is behind takes for dated in the future stays, and that is told.
        if fault == "behind" and done.code == 0 and "dated in the future" in done.err:
            now = {name: places for name, places in now.items() if name in self.after or name not in self.before}
        if done.code == 0 and shape(now) != shape(self.after):
            yield f"it says done, and of backups there is {shape(now)} in place of {shape(self.after)}"


def listing(world, codes=(0,)):
    done = world.bam("--json", "backups")
    assert done.code in codes, done
    return {backup["file"]: {copy["destination"] for copy in backup["copies"]} for backup in done.json()["backups"]}


def remembered(world):
    """The names and the numbers of backups that were made, as the state folder has them."""
    def read(name):
        try:
            with open(world.inside("state/" + name)) as file:
                return json.load(file)
        except FileNotFoundError:
            return {}
    return {*read("made.json"), *read("ids.json").get("given", [])}


def shape(backups):
    """How many backups are where: names have times in them."""
    return sorted(sorted(places) for places in backups.values())


def difference(old, new, site):
    for part, now in site.items():
        if now == old[part] != new[part]:
            yield f"{part} as before"
        elif now == new[part] != old[part]:
            yield f"{part} as after"
        elif now != old[part]:
            if isinstance(now, dict):
                names = [name for name in set(now) | set(old[part]) | set(new[part])
                         if now.get(name) not in (old[part].get(name), new[part].get(name))]
                yield f"{part} is neither: {[(name, now.get(name), old[part].get(name), new[part].get(name)) for name in names[:3]]}" \
                    if names else f"{part} is some of both"
            else:
                yield f"{part} is neither: {json.dumps(now)[:400]}"


def seeded(seed, name):
    """The same for each seed and operation, whatever else is drawn."""
    return random.Random(f"{seed}/{name}")
