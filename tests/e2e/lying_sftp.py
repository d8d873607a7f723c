#!/usr/bin/env python3
"""An SFTP server (draft-ietf-secsh-filexfer-02) for sshd's ForceCommand that lies: `lying_sftp.py LIE…`.

short    answers reads with less than was asked for, which the protocol allows
endless  lists folders without end
flood    answers a look at a file with others' answers, without end
rename   says that it renamed, and did not
seed=N   one answer in so many (`one-in=N`, 10) is some lie, drawn by the seed and this session's number; `log=FILE` has them
"""

import os
import random
import stat
import struct
import sys

INIT, VERSION, OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, SETSTAT, FSETSTAT, OPENDIR, READDIR, REMOVE, MKDIR, RMDIR, \
    REALPATH, STAT, RENAME = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18
STATUS, HANDLE, DATA, NAME, ATTRS = 101, 102, 103, 104, 105
OK, EOF, NO_SUCH_FILE, FAILURE, UNSUPPORTED = 0, 1, 2, 4, 8
LIES = set(word for word in sys.argv[1:] if "=" not in word)
SETTINGS = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)


def text(content):
    content = content if isinstance(content, bytes) else content.encode()
    return struct.pack(">I", len(content)) + content


class Packet:
    def __init__(self, content):
        self.content = content

    def number(self, form=">I"):
        size = struct.calcsize(form)
        value, = struct.unpack(form, self.content[:size])
        self.content = self.content[size:]
        return value

    def text(self):
        length = self.number()
        value, self.content = self.content[:length], self.content[length:]
        return value


def send(kind, content):
    packet = struct.pack(">IB", len(content) + 1, kind) + content
    sys.stdout.buffer.write(packet)
    sys.stdout.buffer.flush()


def attributes(found):
    return struct.pack(">IQIIIII", 0xd, found.st_size, found.st_mode, int(found.st_atime), int(found.st_mtime), 0, 0)[:24]


class Liar:
    """Lies in any answer."""

    def __init__(self):
        with open(SETTINGS["log"], "a+") as log:
            log.seek(0)
            self.chance = random.Random(f"{SETTINGS['seed']}/{len(log.readlines())}")
            print("session", file=log)
        self.one_in = int(SETTINGS.get("one-in", 10))

    def answer(self, kind, what, number, content):
        if self.chance.randrange(self.one_in):
            return False
        lies = [name for name in dir(self) if name.startswith("lie_")]
        lie = self.chance.choice(lies)
        with open(SETTINGS["log"], "a") as log:
            print(f"{kind} {lie}", file=log)
        getattr(self, lie)(what, struct.pack(">I", number), content)
        return True

    def lie_other_number(self, what, number, content):
        send(what, struct.pack(">I", self.chance.randrange(1 << 32)) + content)

    def lie_other_kind(self, what, number, content):
        send(self.chance.choice([STATUS, HANDLE, DATA, NAME, ATTRS, 0, 255]), number + content)

    def lie_status(self, what, number, content):
        send(STATUS, number + struct.pack(">I", self.chance.choice([0, 1, 2, 3, 4, 5, 6, 7, 8, 31, 1 << 31])) + text("") + text(""))

    def lie_nothing_in_it(self, what, number, content):
        send(what, number)

    def lie_cut_short(self, what, number, content):
        send(what, number + content[:self.chance.randrange(len(content) + 1)])

    def lie_longer(self, what, number, content):
        send(what, number + content + self.chance.randbytes(self.chance.randrange(40000)))

    def lie_noise(self, what, number, content):
        send(what, number + self.chance.randbytes(self.chance.randrange(300)))

    def lie_flipped(self, what, number, content):
        at = self.chance.randrange(max(len(content), 1))
        send(what, number + content[:at] + bytes(byte ^ 1 << self.chance.randrange(8) for byte in content[at:at + 1]) + content[at + 1:])

    def lie_length(self, what, number, content):
        packet = struct.pack(">IB", self.chance.choice([0, 1, 1 << 20, 0x7fffffff, 0xffffffff]), what) + number + content
        sys.stdout.buffer.write(packet)
        sys.stdout.buffer.flush()

    def lie_twice(self, what, number, content):
        send(what, number + content)
        send(what, number + content)

    def lie_names(self, what, number, content):
        names = ["../../etc/passwd", "/etc/shadow", "", ".", "..", "a\0b", "x" * 40000, "Lab.tar.gz", "\x1b[2Jx", "Lab.tar.gz.info"]
        mode = struct.pack(">IQI", 5, 1 << 62, stat.S_IFREG | 0o600)
        send(NAME, number + struct.pack(">I", len(names)) + b"".join(text(name) + text("") + mode for name in names))

    def lie_size(self, what, number, content):
        send(ATTRS, number + struct.pack(">IQIIIII", 0xd, self.chance.choice([0, 1, 1 << 40, (1 << 64) - 1]), 0o100600, 1, 1, 0, 0)[:24])

    def lie_hang_up(self, what, number, content):
        sys.exit()

    def lie_silent(self, what, number, content):
        """The client waits until its patience ends."""


class Server:
    def __init__(self):
        self.open, self.last = {}, 0
        self.liar = Liar() if "seed" in SETTINGS else None

    def keep(self, what):
        self.last += 1
        self.open[str(self.last).encode()] = what
        return text(str(self.last))

    def answer(self, kind, number, packet):
        if kind == OPEN:
            path, flags = packet.text(), packet.number()
            how = {1: os.O_RDONLY, 2: os.O_WRONLY, 3: os.O_RDWR}[flags & 3]
            for bit, flag in ((4, os.O_APPEND), (8, os.O_CREAT), (16, os.O_TRUNC), (32, os.O_EXCL)):
                how |= flag if flags & bit else 0
            return HANDLE, self.keep(os.open(path, how, 0o600))
        if kind == CLOSE:
            what = self.open.pop(packet.text())
            if isinstance(what, int):
                os.close(what)
            return STATUS, OK
        if kind == READ:
            file, offset, length = self.open[packet.text()], packet.number(">Q"), packet.number()
            if "short" in LIES:
                # Another length each time.
                length = min(length, 1 + (offset * 7919 + length) % 20000)
            content = os.pread(file, min(length, 32768), offset)
            return (DATA, text(content)) if content else (STATUS, EOF)
        if kind == WRITE:
            file, offset = self.open[packet.text()], packet.number(">Q")
            os.pwrite(file, packet.text(), offset)
            return STATUS, OK
        if kind in (LSTAT, STAT):
            while "flood" in LIES:
                send(ATTRS, struct.pack(">II", (number + 7) & 0xffffffff, 0) + bytes(30000))
            return ATTRS, attributes(os.lstat(packet.text()) if kind == LSTAT else os.stat(packet.text()))
        if kind == FSTAT:
            return ATTRS, attributes(os.fstat(self.open[packet.text()]))
        if kind in (SETSTAT, FSETSTAT):
            what = packet.text()
            if kind == FSETSTAT and packet.number() & 1:
                os.ftruncate(self.open[what], packet.number(">Q"))
            return STATUS, OK
        if kind == OPENDIR:
            return HANDLE, self.keep(iter(sorted(os.listdir(packet.text()) if "endless" not in LIES else ["x"])))
        if kind == READDIR:
            names = self.open[packet.text()]
            if "endless" in LIES:
                self.last += 1
                found = [(f"{self.last}-{i:0200}", 0) for i in range(100)]
            else:
                found = [(name, 0) for name in names][:100]
            if not found:
                return STATUS, EOF
            mode = struct.pack(">II", 4, stat.S_IFREG | 0o600)
            return NAME, struct.pack(">I", len(found)) + b"".join(text(name) + text("") + mode for name, _ in found)
        if kind == REMOVE:
            os.unlink(packet.text())
            return STATUS, OK
        if kind == MKDIR:
            os.mkdir(packet.text(), 0o700)
            return STATUS, OK
        if kind == RENAME:
            old, new = packet.text(), packet.text()
            if os.path.lexists(new):
                return STATUS, FAILURE
            if "rename" not in LIES:
                os.rename(old, new)
            return STATUS, OK
        if kind == REALPATH:
            return NAME, struct.pack(">I", 1) + text(os.path.realpath(packet.text())) + text("") + struct.pack(">I", 0)
        return STATUS, UNSUPPORTED

    def run(self):
        pipe = sys.stdin.buffer
        while head := pipe.read(4):
            content = pipe.read(struct.unpack(">I", head)[0])
            kind, packet = content[0], Packet(content[1:])
            if kind == INIT:
                send(VERSION, struct.pack(">I", 3))
                continue
            number = packet.number()
            try:
                what, content = self.answer(kind, number, packet)
            except FileNotFoundError:
                what, content = STATUS, NO_SUCH_FILE
            except (OSError, KeyError):
                what, content = STATUS, FAILURE
            if what == STATUS:
                content = struct.pack(">I", content) + text("") + text("")
            if not self.liar or not self.liar.answer(kind, what, number, content):
                send(what, struct.pack(">I", number) + content)


if __name__ == "__main__":
    try:
        Server().run()
    except BrokenPipeError:
        pass
