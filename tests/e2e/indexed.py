"""The index of a backup, read and written by what docs/formats.md says and nothing of bam's."""

import gzip
import hashlib
import json
import os
import struct
import subprocess

HEADER = struct.Struct("<10s H 2s H")


def members(data):
    """The content of members that are empty themselves, one after another."""
    content, at = b"", 0
    while at < len(data):
        _, field, mark, length = HEADER.unpack_from(data, at)
        assert (mark, field) == (b"BI", length + 4), (mark, field, length)
        content += data[at + 16:at + 16 + length]
        at += 16 + length + 10
    return content


def member(content):
    """The other way round."""
    parts = [content[at:at + 8000] for at in range(0, len(content), 8000)]
    begin = bytes.fromhex("1f8b08040000000000ff")
    return b"".join(HEADER.pack(begin, len(part) + 4, b"BI", len(part)) + part + b"\x03" + bytes(9) for part in parts)


class Backup:
    """A backup that is taken apart by what docs/formats.md says."""

    def __init__(self, test, made):
        self.test, self.made = test, made
        with open(made["path"], "rb") as file:
            data = file.read()
        self.before = 0
        if made["file"].endswith(".enc"):
            # What the ciphertext's header takes.
            self.before = 16
            data = subprocess.run(["openssl", "enc", "-d", "-aes-256-cbc", "-pbkdf2", "-iter", "1000", "-in", made["path"],
                                   "-pass", "file:" + test.key], check=True, capture_output=True).stdout
        self.data = data
        index = self.section("bam_index")
        line, _, index = index.partition(b"\n")
        self.pieces, at = [], (0, 0)
        for number in range(int(line.split()[3])):
            packed, size = struct.unpack_from(">II", index, number * 40)
            self.pieces.append((range(at[0], at[0] + packed), range(at[1], at[1] + size)))
            at = (at[0] + packed, at[1] + size)
        self.head, _, packed = self.section("bam_index_tables").partition(b"\n")
        self.lines = [json.loads(line) for line in gzip.decompress(packed).splitlines()]
        self.tables = {name: number for number, (name, _, _) in enumerate(line for line in self.lines[1:] if isinstance(line[0], str))}
        self.ranges, end = [], 0
        for number, after, length in (line for line in self.lines[1:] if isinstance(line[0], int)):
            self.ranges.append((number, range(end + after, end + after + length)))
            end += after + length
        plain = gzip.decompress(data)
        # A tar has its dump last.
        self.start = plain.index(b"-- bam ")
        self.dump = plain[self.start:]

    def claim(self, key):
        offset, length, digest = self.test.sidecar(self.made)[key].strip('"').split(" ")
        return int(offset), int(length), digest

    def section(self, key):
        offset, length, digest = self.claim(key)
        section = self.data[offset:offset + length]
        self.test.assertEqual(hashlib.sha256(section).hexdigest(), digest)
        return members(section)

    def rows_of(self, name):
        """What its ranges hold, together."""
        return b"".join(self.dump[range.start:range.stop] for number, range in self.ranges if number == self.tables[name])

    def own_pieces(self, name):
        """Numbers of the pieces that hold nothing but rows of this table."""
        own = [range for number, range in self.ranges if number == self.tables[name]]
        inside = lambda plain: any(range.start <= plain.start - self.start and plain.stop - self.start <= range.stop for range in own)
        return [number for number, (_, plain) in enumerate(self.pieces) if inside(plain)]

    def damage(self, numbers):
        """Changes a byte in the middle of each of these pieces."""
        with open(self.made["path"], "r+b") as file:
            for number in numbers:
                packed = self.pieces[number][0]
                at = self.before + (packed.start + packed.stop) // 2
                file.seek(at)
                byte = file.read(1)[0]
                file.seek(at)
                file.write(bytes([byte ^ 1]))

    def tell_wrong(self, lines):
        """Gives it a section of tables that says something else; of a site without a key nothing proves the right one."""
        packed = gzip.compress(b"".join(json.dumps(line).encode() + b"\n" for line in lines), mtime=0)
        section = member(self.head + b"\n" + packed)
        offset = self.claim("bam_index_tables")[0]
        with open(self.made["path"], "r+b") as file:
            file.truncate(offset)
            file.seek(offset)
            file.write(section)
        size = os.path.getsize(self.made["path"])
        claim = f'"{offset} {len(section)} {hashlib.sha256(section).hexdigest()}"'
        self.test.change_sidecar(self.made, bam_index_tables=claim, filesize=f'"{size}"')
