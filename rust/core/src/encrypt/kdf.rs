//! From a passphrase and a salt to keys, as OpenSSL derives them.

use super::{MacKey, Passphrase};
use crate::{Code, Error, Result};
use pbkdf2::pbkdf2_hmac;
use std::thread::JoinHandle;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The 8 random bytes behind `Salted__`.
pub type Salt = [u8; 8];

/// PBKDF2 iterations for new backups: OWASP's recommendation for HMAC-SHA256 (Password Storage Cheat Sheet, 2023).
pub const DEFAULT_ITERATIONS: u32 = 600_000;

/// The number of iterations comes from a sidecar, that is from a stranger; this many take a minute.
const MAX_ITERATIONS: u32 = 200_000_000;

/// Digests that `openssl enc -md` knows and that old backups use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Digest {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Digest {
    /// From OpenSSL's name, e.g. `sha256`.
    pub fn from_name(name: &str) -> Result<Self> {
        Ok(match name.to_ascii_lowercase().replace('-', "").as_str() {
            "md5" => Digest::Md5,
            "sha1" => Digest::Sha1,
            "sha224" => Digest::Sha224,
            "sha256" => Digest::Sha256,
            "sha384" => Digest::Sha384,
            "sha512" => Digest::Sha512,
            _ => {
                return Err(Error::new(Code::Unsupported, format!("unknown digest {name}"))
                    .hint("one of md5, sha1, sha224, sha256, sha384, sha512"));
            }
        })
    }
}

/// How keys follow from a passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kdf {
    /// `openssl enc -pbkdf2 -iter N -md DIGEST`; ours is SHA-256.
    Pbkdf2 {
        /// `-md`, by default SHA-256.
        digest: Digest,
        /// `-iter`, by default 10 000 in OpenSSL.
        iterations: u32,
    },
    /// `openssl enc` without `-pbkdf2`: `EVP_BytesToKey` with one iteration. The digest is SHA-256 since
    /// OpenSSL 1.1.0, MD5 before.
    BytesToKey {
        /// `-md`.
        digest: Digest,
    },
}

impl Kdf {
    /// The derivation of our own container.
    pub fn ours(iterations: u32) -> Self {
        Kdf::Pbkdf2 { digest: Digest::Sha256, iterations }
    }

    /// The others that `openssl enc -aes-256-cbc` uses by default, newest first.
    pub const OPENSSL_DEFAULTS: [Kdf; 3] = [
        Kdf::Pbkdf2 { digest: Digest::Sha256, iterations: 10_000 },
        Kdf::BytesToKey { digest: Digest::Sha256 },
        Kdf::BytesToKey { digest: Digest::Md5 },
    ];

    /// Derives the keys; takes about 0.2 s with [`DEFAULT_ITERATIONS`].
    pub fn derive(self, passphrase: &Passphrase, salt: Salt) -> Result<Keys> {
        // 80 bytes: a longer PBKDF2 output begins with the shorter one, so the first 48 are OpenSSL's key and IV.
        let mut bytes = Zeroizing::new([0u8; 80]);
        match self {
            Kdf::Pbkdf2 { digest, iterations } => {
                if !(1..=MAX_ITERATIONS).contains(&iterations) {
                    return Err(Error::new(
                        Code::Config,
                        format!("{iterations} key derivation iterations are out of range"),
                    )
                    .hint(format!("from 1 to {MAX_ITERATIONS}; {DEFAULT_ITERATIONS} is usual")));
                }
                let derive = match digest {
                    Digest::Md5 => pbkdf2_hmac::<md5::Md5>,
                    Digest::Sha1 => pbkdf2_hmac::<sha1::Sha1>,
                    Digest::Sha224 => pbkdf2_hmac::<sha2::Sha224>,
                    Digest::Sha256 => pbkdf2_hmac::<sha2::Sha256>,
                    Digest::Sha384 => pbkdf2_hmac::<sha2::Sha384>,
                    Digest::Sha512 => pbkdf2_hmac::<sha2::Sha512>,
                };
                derive(passphrase.expose(), &salt, iterations, bytes.as_mut_slice());
            }
            Kdf::BytesToKey { digest } => {
                let derive = match digest {
                    Digest::Md5 => bytes_to_key::<md5::Md5>,
                    Digest::Sha1 => bytes_to_key::<sha1::Sha1>,
                    Digest::Sha224 => bytes_to_key::<sha2::Sha224>,
                    Digest::Sha256 => bytes_to_key::<sha2::Sha256>,
                    Digest::Sha384 => bytes_to_key::<sha2::Sha384>,
                    Digest::Sha512 => bytes_to_key::<sha2::Sha512>,
                };
                derive(passphrase.expose(), &salt, bytes.as_mut_slice());
            }
        }
        let (key, rest) = bytes.split_at(32);
        let (iv, mac) = rest.split_at(16);
        let mut keys = Keys { salt, key: [0; 32], iv: [0; 16], mac: [0; 32] };
        keys.key.copy_from_slice(key);
        keys.iv.copy_from_slice(iv);
        keys.mac.copy_from_slice(mac);
        Ok(keys)
    }
}

/// EVP_BytesToKey(3) with count 1: D1 = H(pass ‖ salt), Dn = H(Dn-1 ‖ pass ‖ salt), joined until `out` is full.
fn bytes_to_key<H: sha2::Digest>(passphrase: &[u8], salt: &[u8], out: &mut [u8]) {
    let mut previous = Zeroizing::new(Vec::new());
    for part in out.chunks_mut(<H as sha2::Digest>::output_size()) {
        let hash =
            H::new().chain_update(previous.as_slice()).chain_update(passphrase).chain_update(salt).finalize();
        previous = Zeroizing::new(hash.to_vec());
        part.iter_mut().zip(previous.iter()).for_each(|(to, from)| *to = *from);
    }
}

/// The keys of one file. Zeroed when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Keys {
    pub(super) salt: Salt,
    pub(super) key: [u8; 32],
    pub(super) iv: [u8; 16],
    mac: [u8; 32],
}

impl Keys {
    /// The key of [`super::mac`]. Only [`Kdf::ours`] makes one that means anything.
    pub fn mac_key(&self) -> MacKey {
        MacKey::new(self.mac)
    }
}

/// A derivation under way on its own thread, so that the caller can open files and servers meanwhile.
#[must_use]
pub struct Derivation {
    salt: Salt,
    thread: JoinHandle<Result<Keys>>,
}

impl Derivation {
    /// Starts it.
    pub fn start(kdf: Kdf, passphrase: &Passphrase, salt: Salt) -> Result<Self> {
        let passphrase = passphrase.clone();
        let thread = std::thread::Builder::new()
            .name("bam-kdf".into())
            .spawn(move || kdf.derive(&passphrase, salt))
            .map_err(|e| Error::new(Code::Io, "cannot start a thread").because(e))?;
        Ok(Derivation { salt, thread })
    }

    /// The salt it works with.
    pub fn salt(&self) -> Salt {
        self.salt
    }

    /// Waits for the keys.
    pub fn keys(self) -> Result<Keys> {
        self.thread
            .join()
            .unwrap_or_else(|_| Err(Error::new(Code::Internal, "the key derivation thread panicked")))
    }
}

/// Random bytes from the operating system.
pub(super) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|e| Error::new(Code::Io, "the operating system gives no random bytes").because(e))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iterations_from_strangers_are_bounded() {
        let passphrase = Passphrase::from_first_line(b"x").unwrap();
        for iterations in [0, u32::MAX] {
            let error = Kdf::ours(iterations).derive(&passphrase, [0; 8]).err().unwrap();
            assert_eq!(error.code(), Code::Config);
        }
    }

    #[test]
    fn a_background_derivation_gives_the_same_keys() {
        let passphrase = Passphrase::from_first_line(b"a passphrase").unwrap();
        let salt = *b"saltsalt";
        let here = Kdf::ours(1000).derive(&passphrase, salt).unwrap();
        let there = Derivation::start(Kdf::ours(1000), &passphrase, salt).unwrap().keys().unwrap();
        assert_eq!((here.key, here.iv, here.mac), (there.key, there.iv, there.mac));
        let other = Kdf::ours(1001).derive(&passphrase, salt).unwrap();
        assert_ne!(here.mac, other.mac);
    }
}
