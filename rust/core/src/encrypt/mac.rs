//! The MAC that binds a backup's bytes to its sidecar: HMAC-SHA256 over the file's SHA-256 and the sidecar's fields.
//!
//! Encrypt-then-MAC with one hash pass: the file is hashed once (the plain SHA-256 is useful by itself, for
//! `sha256sum -c`), and the HMAC is over that digest. What is fed to HMAC-SHA256 (RFC 2104, FIPS 198-1), in order:
//!
//! ```text
//! frame("bam.mac.1")                      domain and version
//! frame(SHA-256 of the file)              the 32 bytes, not hex
//! count                                   number of fields, 8 bytes big-endian
//! for each field, sorted by name, then value, as bytes:
//!     frame(name) frame(value)
//! ```
//!
//! where `frame(x)` is the length of `x` in bytes as 8 bytes big-endian, then `x`. No two different inputs give the
//! same bytes, and the order in which a sidecar lists its fields does not matter. The key is bytes 48 to 79 of the
//! container's key derivation ([`super::kdf`]), so it differs for every file and nobody without the passphrase can
//! make a tag.

use super::cbc::{Boxed, STACK, boxed};
use crate::{Code, Error, Result};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::zeroize_stack;

const DOMAIN: &[u8] = b"bam.mac.1";

/// The MAC key of one file. Zeroed when dropped; there is no way to print it.
pub struct MacKey(Boxed<32>);

impl Clone for MacKey {
    fn clone(&self) -> Self {
        MacKey::new(&self.0)
    }
}

impl MacKey {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        MacKey(boxed(key))
    }

    /// The tag over the file's SHA-256 and the fields of its sidecar, in any order.
    pub fn tag<'a, F>(&self, sha256: &[u8; 32], fields: F) -> [u8; 32]
    where
        F: IntoIterator<Item = (&'a str, &'a str)>,
    {
        self.feed(sha256, fields).finalize().into_bytes().into()
    }

    /// Checks a tag in constant time. The error says what a mismatch means, with [`Code::Integrity`].
    pub fn verify<'a, F>(&self, sha256: &[u8; 32], fields: F, tag: &[u8]) -> Result<()>
    where
        F: IntoIterator<Item = (&'a str, &'a str)>,
    {
        self.feed(sha256, fields).verify_slice(tag).map_err(|_| {
            Error::new(
                Code::Integrity,
                "the MAC does not match: the backup or its sidecar was changed, belongs to another backup, or was \
                 made with another key",
            )
            .hint("check the key; if it is the right one, use another copy of this backup")
        })
    }

    fn feed<'a, F>(&self, sha256: &[u8; 32], fields: F) -> Hmac<Sha256>
    where
        F: IntoIterator<Item = (&'a str, &'a str)>,
    {
        let mut fields: Vec<_> = fields.into_iter().collect();
        fields.sort_unstable();
        let mut mac = hmac(self.0.as_slice());
        frame(&mut mac, DOMAIN);
        frame(&mut mac, sha256);
        mac.update(&(fields.len() as u64).to_be_bytes());
        for (name, value) in fields {
            frame(&mut mac, name.as_bytes());
            frame(&mut mac, value.as_bytes());
        }
        mac
    }
}

/// HMAC-SHA256 with a key of at most 64 bytes. HMAC pads a key shorter than the hash's block with zeros: this is the
/// same key, in the form that cannot fail.
pub(super) fn hmac(key: &[u8]) -> Hmac<Sha256> {
    let mac = make_hmac(key);
    zeroize_stack::<STACK>();
    mac
}

/// Leaves the key on the stack below it.
#[inline(never)]
fn make_hmac(key: &[u8]) -> Hmac<Sha256> {
    let block = boxed::<64>(key);
    Hmac::new((&**block).into())
}

fn frame(mac: &mut Hmac<Sha256>, bytes: &[u8]) {
    mac.update(&(bytes.len() as u64).to_be_bytes());
    mac.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    const SHA: [u8; 32] = [7; 32];

    /// The framing written out once more by hand, and OpenSSL's HMAC over it.
    #[test]
    fn openssl_computes_the_same_tag() {
        let key = MacKey::new(&std::array::from_fn(|i| i as u8));
        let tag = key.tag(&SHA, [("bam_id", "17"), ("a", "")]);
        let mut message = b"\0\0\0\0\0\0\0\x09bam.mac.1\0\0\0\0\0\0\0\x20".to_vec();
        message.extend([7; 32]);
        message.extend(b"\0\0\0\0\0\0\0\x02");
        message.extend(b"\0\0\0\0\0\0\0\x01a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x06bam_id\0\0\0\0\0\0\0\x0217");
        let mut openssl = Command::new("openssl")
            .args(["mac", "-digest", "SHA256", "-binary", "-macopt"])
            .arg("hexkey:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
            .args(["-in", "-", "HMAC"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        openssl.stdin.take().unwrap().write_all(&message).unwrap();
        let theirs = openssl.wait_with_output().unwrap();
        assert!(theirs.status.success());
        assert_eq!(theirs.stdout, tag);
    }

    #[test]
    fn order_does_not_matter_and_everything_else_does() {
        let key = MacKey::new(&[1; 32]);
        let fields = [("id", "1"), ("time", "2")];
        let tag = key.tag(&SHA, fields);
        assert!(key.verify(&SHA, [("time", "2"), ("id", "1")], &tag).is_ok());
        let refused = |key: &MacKey, sha: &[u8; 32], fields: &[(&'static str, &'static str)], tag: &[u8]| {
            let error = key.verify(sha, fields.iter().copied(), tag).unwrap_err();
            assert_eq!(error.code(), Code::Integrity);
        };
        refused(&MacKey::new(&[2; 32]), &SHA, &fields, &tag);
        refused(&key, &[8; 32], &fields, &tag);
        refused(&key, &SHA, &[("id", "1"), ("time", "3")], &tag);
        refused(&key, &SHA, &[("id", "1")], &tag);
        // Moving a byte from a name to its value, or from one field to the next, is a change.
        refused(&key, &SHA, &[("i", "d1"), ("time", "2")], &tag);
        refused(&key, &SHA, &[("id", "1t"), ("ime", "2")], &tag);
        refused(&key, &SHA, &fields, &tag[..31]);
        refused(&key, &SHA, &fields, b"");
    }
}
