"""Files that are small and say much, made without going through what they say."""

import binascii
import bz2
import gzip
import io
import itertools
import shutil
import struct
import subprocess
import tarfile
import zlib

BLOCK = 1 << 20


def repeated(unit, size):
    """A block of whole units, and how often it makes that size."""
    block = unit * max(1, BLOCK // len(unit))
    return block, max(1, size // len(block))


def bomb(kind, start, unit, size, end=b""):
    """`start`, so much of `unit`, and `end`, compressed: members and frames that follow one another are one."""
    block, times = repeated(unit, size)
    press = {"gz": lambda part: gzip.compress(part, 9), "bz2": bz2.compress, "zst": zstd}[kind]
    return press(start) + press(block) * times + press(end)


def zstd(part):
    return subprocess.run(["zstd", "-q", "-c"], input=part, stdout=subprocess.PIPE, check=True).stdout


def zip_bomb(name, start, unit, size, end=b""):
    """The same as the one file of a zip: pieces that were flushed can be repeated."""
    block, times = repeated(unit, size)

    def deflated(part, last=False):
        press = zlib.compressobj(9, zlib.DEFLATED, -15)
        return press.compress(part) + press.flush(zlib.Z_FINISH if last else zlib.Z_FULL_FLUSH)

    body = deflated(start) + deflated(block) * times + deflated(end, last=True)
    crc = binascii.crc32(start)
    for _ in range(times):
        crc = binascii.crc32(block, crc)
    crc, plain, name = binascii.crc32(end, crc), len(start) + times * len(block) + len(end), name.encode()
    facts = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, crc, len(body), plain, len(name), 0)
    local = b"PK\3\4" + facts + name
    central = b"PK\1\2\x14\0" + facts + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local) + len(body), 0)
    return local + body + central + end


def header(name, size=0, kind=tarfile.REGTYPE):
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def padded(body):
    return body + bytes(-len(body) % 512)


def pax(text):
    """A header of so much text for the member behind it."""
    value = b"comment=" + text + b"\n"
    length = len(value) + 9
    return header("PaxHeaders/x", length, b"x") + padded(b"%08d " % length + value)


def many_members(count):
    """An archive of so many empty files, in folders of a thousand."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1) as press:
        for first in range(0, count, 1000):
            press.write(b"".join(header(f"{first // 1000}/{number}") for number in range(first, min(first + 1000, count))))
        press.write(bytes(1024))
    return out.getvalue()


def many_headers(count, size):
    """An archive whose members each have a header of so many bytes more."""
    parts = [pax(b"x" * size) + header("a")]
    return b"".join(itertools.chain((gzip.compress(part, 1) * count for part in parts), [gzip.compress(bytes(1024))]))


HAS_ZSTD = bool(shutil.which("zstd"))
