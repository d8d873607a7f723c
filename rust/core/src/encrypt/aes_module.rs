//! The files of the Drupal module aes 7.x as Backup and Migrate writes them (`.aes`): read always, written on request.
//!
//! From aes 7.x-1.10 (`aes_encrypt`, `aes_decrypt`), phpseclib 1.0 (`Crypt/Base.php`, `Crypt/AES.php`) and Backup and
//! Migrate 7.x-3.9 (`filters.encryption.inc`). The plaintext gets one byte 0x80 as an end mark, then
//!
//! | implementation | cipher | key | IV | padding |
//! | --- | --- | --- | --- | --- |
//! | `phpseclib` | AES-128, -192 or -256-CBC, by the key's length | the key string, filled up with NULs to 16, 24 or 32 bytes, cut at 32 | 16 NULs | PKCS#7 |
//! | `mcrypt`, `rijndael-128` | AES-256-CBC | the first 32 hex digits of the key string's SHA-1 | variable `aes_encryption_iv`, base64 | NULs |
//!
//! Reading back, the module trims white space and NULs off both ends and Backup and Migrate cuts off the mark. Here
//! the end is trimmed the same way and the mark must be there, which catches nearly every wrong key; white space at
//! the beginning stays, since nobody added it.
//!
//! A third implementation, `real_aes`, is another module under this one's name (`real_aes.rs`): read only.
//!
//! The first two have no MAC: whoever restores such a file should check that what comes out is what its name promises.

use super::cbc::{self, BLOCK, KeyIv, Padding, fit};
use super::{damaged, real_aes};
use crate::config::AesModule;
use crate::{Code, Error, Result, ResultExt, Secret, regular};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha1::{Digest, Sha1};
use std::io::{self, BufRead, Read, Write};
use zeroize::Zeroizing;

/// The end mark behind the plaintext.
const MARK: u8 = 0x80;
/// What PHP's `trim` takes off.
const TRIMMED: &[u8] = b" \t\n\r\0\x0b";

/// The module's settings, worked out to a key. Zeroed when dropped.
#[derive(Clone)]
pub struct Settings(Format);

#[derive(Clone)]
enum Format {
    Cbc(KeyIv, Padding),
    RealAes(real_aes::Keys),
}

impl Settings {
    /// Implementation `phpseclib`; `key` is the key string as it is.
    pub fn phpseclib(key: &[u8]) -> Self {
        Settings(Format::Cbc(KeyIv::padded(key, [0; BLOCK]), Padding::Pkcs7))
    }

    /// Implementation `mcrypt` with cipher `rijndael-128`; `iv` is variable `aes_encryption_iv`, which PHP's
    /// `base64_decode` reads leniently.
    pub fn mcrypt(key: &[u8], iv: &[u8]) -> Self {
        let mut hex = Zeroizing::new([0u8; 32]);
        for (digits, byte) in hex.chunks_exact_mut(2).zip(Zeroizing::new(Sha1::digest(key)).iter()) {
            for (digit, nibble) in digits.iter_mut().zip([byte >> 4, byte & 15]) {
                *digit = if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
            }
        }
        let lenient = GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true);
        let text: Vec<u8> =
            iv.iter().copied().filter(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/')).collect();
        let iv = GeneralPurpose::new(&alphabet::STANDARD, lenient).decode(text).unwrap_or_default();
        Settings(Format::Cbc(KeyIv::aes256(&hex, &fit(&iv)), Padding::Zeros))
    }

    /// Implementation `real_aes`; the key has 16 bytes.
    pub fn real_aes(key: &[u8]) -> Result<Self> {
        Ok(Settings(Format::RealAes(real_aes::Keys::new(key)?)))
    }

    /// From the configuration document. A key file is read whole, line feed and all, as the module does.
    pub fn from_document(document: &AesModule) -> Result<Self> {
        let missing = |what: &str| {
            Error::new(Code::Key, format!("encryption.aes_module has no {what}"))
                .hint("copy it from the site whose aes module made the backup")
        };
        let key = match (&document.key, &document.key_file) {
            (Some(key), _) => key.clone(),
            (None, Some(path)) => {
                let mut key = Zeroizing::new(Vec::new());
                regular::open(path)
                    .and_then(|mut file| file.read_to_end(&mut key))
                    .at("cannot read the aes module's key file", path)?;
                Secret::new(&**key)
            }
            (None, None) => {
                return Err(missing("key (variable aes_key) and no key_file (variable aes_key_path)"));
            }
        };
        match (document.implementation.as_str(), document.cipher.as_str()) {
            ("phpseclib", _) => Ok(Settings::phpseclib(key.expose())),
            ("real_aes", _) => Settings::real_aes(key.expose()),
            ("mcrypt", "" | "rijndael-128") => {
                let iv = document.iv.as_ref().ok_or_else(|| missing("iv (variable aes_encryption_iv)"))?;
                Ok(Settings::mcrypt(key.expose(), iv.expose()))
            }
            ("mcrypt", cipher @ ("rijndael-192" | "rijndael-256")) => Err(Error::new(
                Code::Unsupported,
                format!(
                    "the aes module's cipher {cipher} has blocks of {} bytes and is not AES",
                    &cipher[9..]
                ),
            )
            .hint("decrypt the file on a site that still has PHP 7.1 or older with the mcrypt extension")),
            ("mcrypt", cipher) => {
                Err(Error::new(Code::Config, format!("unknown aes module cipher {cipher}"))
                    .hint("rijndael-128 is the module's default"))
            }
            (other, _) => {
                Err(Error::new(Code::Config, format!("unknown aes module implementation \"{other}\""))
                    .hint("encryption.aes_module.implementation is phpseclib, mcrypt or real_aes"))
            }
        }
    }
}

/// Encrypts what is written to it. [`Writer::finish`] must be called: without it the end is missing.
pub struct Writer<W>(cbc::Writer<W>, Padding);

impl<W: Write> Writer<W> {
    /// The format has no header. What real_aes writes is not written: its MAC comes before the data.
    pub fn new(out: W, settings: &Settings) -> Result<Self> {
        match &settings.0 {
            Format::Cbc(keys, padding) => Ok(Writer(cbc::Writer::new(out, keys, b""), *padding)),
            Format::RealAes(_) => Err(Error::new(
                Code::Unsupported,
                "the format of the module real_aes is read, but not written",
            )
            .hint("set the profile's encryption to aes256")),
        }
    }

    /// Writes the end mark and the padding; gives back the inner writer, which it does not flush.
    pub fn finish(mut self) -> Result<W> {
        self.0.write_all(&[MARK])?;
        Ok(self.0.finish(self.1)?)
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, input: &[u8]) -> io::Result<usize> {
        self.0.write(input)
    }

    /// Hands on what is encrypted so far; up to 15 bytes must wait for their block to fill.
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Decrypts what is read through it. A wrong key shows as [`Code::Integrity`] at the end of the data, as a rule.
pub struct AesModuleReader<R>(Inner<R>);

enum Inner<R> {
    Cbc(Box<cbc::CbcReader<R>>),
    RealAes(real_aes::RealAesReader<R>),
}

impl<R: Read> AesModuleReader<R> {
    /// `input` is the whole file; nothing is read yet.
    pub fn new(input: R, settings: &Settings) -> Self {
        let pkcs7 = |tail: &[u8]| unmark(tail.get(..cbc::unpad_pkcs7(tail)?).unwrap_or_default());
        AesModuleReader(match &settings.0 {
            Format::Cbc(keys, Padding::Pkcs7) => {
                Inner::Cbc(Box::new(cbc::CbcReader::new(input, keys, pkcs7)))
            }
            Format::Cbc(keys, Padding::Zeros) => {
                Inner::Cbc(Box::new(cbc::CbcReader::new(input, keys, unmark)))
            }
            Format::RealAes(keys) => Inner::RealAes(real_aes::RealAesReader::new(input, keys.clone(), pkcs7)),
        })
    }
}

/// Where the data ends: at the mark, behind which only what `trim` takes off may stand.
fn unmark(tail: &[u8]) -> Result<usize> {
    match tail.iter().rposition(|byte| !TRIMMED.contains(byte)) {
        Some(end) if tail.get(end) == Some(&MARK) => Ok(end),
        _ => Err(damaged("data encrypted by the aes module lacks its end mark")),
    }
}

impl<R: Read> Read for AesModuleReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Inner::Cbc(reader) => reader.read(out),
            Inner::RealAes(reader) => reader.read(out),
        }
    }
}

impl<R: Read> BufRead for AesModuleReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match &mut self.0 {
            Inner::Cbc(reader) => reader.fill_buf(),
            Inner::RealAes(reader) => reader.fill_buf(),
        }
    }

    fn consume(&mut self, n: usize) {
        match &mut self.0 {
            Inner::Cbc(reader) => reader.consume(n),
            Inner::RealAes(reader) => reader.consume(n),
        }
    }
}

#[cfg(test)]
#[path = "aes_module_tests.rs"]
mod tests;
