"""Makes the key of a test's repository cheap to derive: each call of restic derives it, which takes a third of a second by design,
and tests call it a thousand times.

The file is that of restic's design document ("Keys, Encryption and MAC"): the master key, encrypted with what scrypt makes of the
password, behind a nonce and in front of its MAC. It is encrypted anew with scrypt's least.
"""

import base64
import hashlib
import json
import os

from bamtest import run

CHEAP = {"N": 1024, "r": 8, "p": 1}


def openssl(cipher, key, data, *options):
    return run("openssl", "enc", cipher, "-K", key.hex(), *options, input=data)


class Derived:
    """What is derived of a password by the parameters of a key file."""

    def __init__(self, password, file):
        made = hashlib.scrypt(password.encode(), salt=base64.b64decode(file["salt"]), n=file["N"], r=file["r"], p=file["p"], dklen=64,
                              maxmem=1 << 30)
        self.encrypt, self.mac_key, self.mac_r = made[:32], made[32:48], made[48:]

    def cipher(self, data, nonce):
        """AES-256 in counter mode, there and back."""
        return openssl("-aes-256-ctr", self.encrypt, data, "-iv", nonce.hex())

    def mac(self, data, nonce):
        """Poly1305-AES (D. J. Bernstein, 2005)."""
        r = int.from_bytes(self.mac_r, "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
        total = 0
        for at in range(0, len(data), 16):
            total = (total + int.from_bytes(data[at:at + 16] + b"\1", "little")) * r % ((1 << 130) - 5)
        total += int.from_bytes(openssl("-aes-128-ecb", self.mac_key, nonce, "-nopad"), "little")
        return (total % (1 << 128)).to_bytes(16, "little")


def make_cheap(repository, password):
    """Of a repository in a folder, which has this one password."""
    folder = os.path.join(repository, "keys")
    [old] = os.listdir(folder)
    with open(os.path.join(folder, old)) as opened:
        file = json.load(opened)
    data, derived = base64.b64decode(file["data"]), Derived(password, file)
    nonce, text, mac = data[:16], data[16:-16], data[-16:]
    if derived.mac(text, nonce) != mac:
        raise ValueError(f"{folder}/{old}: not the key of this password")
    file |= CHEAP
    plain, derived = derived.cipher(text, nonce), Derived(password, file)
    text = derived.cipher(plain, nonce)
    file["data"] = base64.b64encode(nonce + text + derived.mac(text, nonce)).decode()
    content = json.dumps(file).encode()
    # Its name is its sum.
    with open(os.path.join(folder, hashlib.sha256(content).hexdigest()), "wb") as opened:
        opened.write(content)
    os.remove(os.path.join(folder, old))
