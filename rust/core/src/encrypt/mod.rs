//! Encryption: the `.enc` container, key derivation, the MAC, key files, and the older formats that are read.
//!
//! Everything here is a `Write` or a `Read` wrapper over bytes; this room knows nothing of tar, names of
//! destinations or sidecars. All ciphers, hashes and derivations are RustCrypto's, which choose AES-NI, VAES and
//! SHA instructions at run time ([`hardware`] tells what this machine has). Their loops are called in `rust/crypto`, which is
//! optimized in every build.
//!
//! | module | what |
//! | --- | --- |
//! | [`enc`] | AES-256-CBC behind `Salted__` and a salt: what `openssl enc` reads and writes |
//! | [`kdf`] | passphrase and salt to keys: PBKDF2, and OpenSSL's old `EVP_BytesToKey` |
//! | [`mac`] | HMAC-SHA256 that binds a backup's bytes to its sidecar |
//! | [`passphrase`] | the first line of a key file, as OpenSSL reads it |
//! | [`key`] | making and checking key files, key IDs |
//! | [`age`] | public-key encryption (`.age`) |
//! | [`aes_module`] | the Drupal module aes 7.x (`.aes`) |
//! | `real_aes` | the Drupal module real_aes, which writes `.aes`, too |

pub mod aes_module;
pub mod age;
mod cbc;
pub mod enc;
pub mod kdf;
pub mod key;
pub mod mac;
pub mod passphrase;
mod real_aes;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod vectors;

pub use kdf::random_hex;
pub(crate) use key::eight_bytes;
pub use key::{KeyCheck, KeyFile, KeyId};
pub use mac::MacKey;
pub use passphrase::Passphrase;

use crate::{Code, Error, Result, regular};
use std::io::Read;
use std::path::Path;
use zeroize::Zeroizing;

/// The first `most` bytes of a key file.
fn read_key_file(path: &Path, most: usize) -> Result<Zeroizing<Vec<u8>>> {
    // With room for all of it: growing would leave copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(most));
    let read = regular::open(path).and_then(|file| file.take(most as u64).read_to_end(&mut text));
    match read {
        Ok(_) => Ok(text),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::io("cannot read the key file", path, cause).hint(
                "put the key back there, from the printed sheet or a copy; where there was none yet, `bam keygen` makes one",
            ))
        }
        Err(cause) => Err(Error::io("cannot read the key file", path, cause)),
    }
}

/// How a file is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// [`enc`]: ours, or any other `openssl enc` file.
    Enc,
    /// [`aes_module`]: from its name alone, since the format has no mark.
    AesModule,
    /// [`age`].
    Age,
    /// In the clear, as far as name and first bytes tell.
    None,
}

/// Tells how a file is encrypted from its name and its first bytes (32 are enough); the bytes win over the name.
pub fn detect(name: &str, prefix: &[u8]) -> Kind {
    if prefix.starts_with(enc::MAGIC) {
        Kind::Enc
    } else if prefix.starts_with(b"age-encryption.org/")
        || prefix.starts_with(b"-----BEGIN AGE ENCRYPTED FILE")
    {
        Kind::Age
    } else if name.ends_with(".aes") {
        Kind::AesModule
    } else if name.ends_with(".enc") {
        Kind::Enc
    } else if name.ends_with(".age") {
        Kind::Age
    } else {
        Kind::None
    }
}

/// Which of the instructions that make encryption fast this machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hardware {
    /// AES instructions: encryption runs at about 1 GB/s, without them at about 0.1.
    pub aes: bool,
    /// SHA-256 instructions: hashing and key derivation run about four times as fast.
    pub sha256: bool,
}

/// Asks the processor, at run time, as the ciphers themselves do.
pub fn hardware() -> Hardware {
    #[cfg(target_arch = "x86_64")]
    let (aes, sha256) =
        (std::arch::is_x86_feature_detected!("aes"), std::arch::is_x86_feature_detected!("sha"));
    #[cfg(target_arch = "aarch64")]
    let (aes, sha256) =
        (std::arch::is_aarch64_feature_detected!("aes"), std::arch::is_aarch64_feature_detected!("sha2"));
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let (aes, sha256) = (false, false);
    Hardware { aes, sha256 }
}

/// Bytes that do not decrypt to anything: the key or the file is wrong, and nobody can tell which.
fn damaged(what: &str) -> Error {
    Error::new(Code::Integrity, format!("{what}: the key is wrong or the file is damaged"))
        .hint("check the key; if it is the right one, use another copy of this backup")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_win_over_the_name() {
        assert_eq!(detect("a.mysql.gz.aes", b"Salted__12345678"), Kind::Enc);
        assert_eq!(detect("a.mysql.gz.aes", b"\x01\x02"), Kind::AesModule);
        assert_eq!(detect("a.mysql.gz.enc", b"\x01\x02"), Kind::Enc);
        assert_eq!(detect("a.mysql.gz", b"\x1f\x8b\x08"), Kind::None);
        assert_eq!(detect("a", b"age-encryption.org/v1\n-> X25519"), Kind::Age);
    }
}
