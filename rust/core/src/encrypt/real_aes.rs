//! The files of the Drupal module real_aes 7.x-1.x, whose submodule takes the aes module's name and place: what Backup
//! and Migrate writes as `.aes` where it is enabled. Read only.
//!
//! From real_aes 7.x-1.2 (`aes/aes.module`) and php-encryption 1.2 (`Crypto.php`). The key has 16 bytes, and
//!
//! ```text
//! HMAC-SHA256 (32 bytes) over all that follows   key: HKDF-SHA256 "DefusePHP|KeyForAuthentication"
//! IV (16 bytes)
//! AES-128-CBC, PKCS#7 padding                    key: HKDF-SHA256 "DefusePHP|KeyForEncryption"
//! ```
//!
//! with no salt for HKDF (RFC 5869) and 16 bytes taken of each. The plaintext ends with Backup and Migrate's mark,
//! as in [`super::aes_module`].

use super::cbc::{self, KeyIv, fit};
use super::damaged;
use super::mac::hmac;
use crate::{Code, Error, Result};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::io::{self, BufRead, Read};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes of a key.
const KEY: usize = 16;
const TAG: usize = 32;
const IV: usize = 16;

/// The two keys that follow from the site's. Zeroed when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Keys {
    encryption: [u8; KEY],
    authentication: [u8; KEY],
}

impl Keys {
    /// From the 16 bytes of the file that variable `real_aes_key_file` names.
    pub fn new(key: &[u8]) -> Result<Self> {
        if key.len() != KEY {
            return Err(Error::new(
                Code::Key,
                format!("a key of the module real_aes has {KEY} bytes, this one {}", key.len()),
            )
            .hint("give the file that the site's variable real_aes_key_file names, as it is"));
        }
        Ok(Keys {
            encryption: hkdf(key, b"DefusePHP|KeyForEncryption"),
            authentication: hkdf(key, b"DefusePHP|KeyForAuthentication"),
        })
    }
}

/// RFC 5869 without a salt; one round makes up to 32 bytes.
fn hkdf(key: &[u8], info: &[u8]) -> [u8; KEY] {
    let extracted = hmac(&[0; 32]).chain_update(key).finalize().into_bytes();
    fit(&hmac(&extracted).chain_update(info).chain_update([1]).finalize().into_bytes())
}

/// Decrypts what is read through it. What precedes the end comes out unproven; the end comes out only where the
/// HMAC over all of it matches, else [`Code::Integrity`].
pub struct RealAesReader<R> {
    keys: Keys,
    unpad: cbc::Unpad,
    state: RealAesState<R>,
}

enum RealAesState<R> {
    Unread(R),
    Reading(Box<cbc::CbcReader<Authenticated<R>>>),
    Failed,
}

impl<R: Read> RealAesReader<R> {
    /// `unpad` takes padding and mark off. Nothing is read yet.
    pub fn new(input: R, keys: Keys, unpad: cbc::Unpad) -> Self {
        RealAesReader { keys, unpad, state: RealAesState::Unread(input) }
    }

    fn ready(&mut self) -> Result<&mut cbc::CbcReader<Authenticated<R>>> {
        if let RealAesState::Unread(_) = self.state
            && let RealAesState::Unread(mut input) = std::mem::replace(&mut self.state, RealAesState::Failed)
        {
            let mut head = Vec::with_capacity(TAG + IV);
            (&mut input).take((TAG + IV) as u64).read_to_end(&mut head)?;
            let (Some(tag), Some(iv)) = (head.first_chunk::<TAG>(), head.get(TAG..TAG + IV)) else {
                return Err(damaged("data encrypted by the module real_aes is cut short"));
            };
            let mac = hmac(&self.keys.authentication).chain_update(iv);
            let keys = KeyIv::padded(&self.keys.encryption, fit(iv));
            let input = Authenticated { input, mac, tag: *tag };
            self.state = RealAesState::Reading(Box::new(cbc::CbcReader::new(input, &keys, self.unpad)));
        }
        match &mut self.state {
            RealAesState::Reading(reader) => Ok(reader),
            _ => Err(damaged("data encrypted by the module real_aes was already found to be damaged")),
        }
    }
}

impl<R: Read> Read for RealAesReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.ready()?.read(out)
    }
}

impl<R: Read> BufRead for RealAesReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.ready()?.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        if let RealAesState::Reading(reader) = &mut self.state {
            reader.consume(n);
        }
    }
}

/// Ends only where the HMAC matches.
struct Authenticated<R> {
    input: R,
    mac: Hmac<Sha256>,
    tag: [u8; TAG],
}

impl<R: Read> Read for Authenticated<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(out)?;
        self.mac.update(out.get(..n).unwrap_or_default());
        if n == 0 && !out.is_empty() && self.mac.clone().verify(&self.tag.into()).is_err() {
            return Err(damaged("data encrypted by the module real_aes does not match its HMAC").into());
        }
        Ok(n)
    }
}
