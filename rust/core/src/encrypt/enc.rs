//! The `.enc` container, which is `openssl enc`'s: `Salted__`, an 8-byte random salt, then AES-256-CBC with PKCS#7
//! padding. Key, IV and MAC key come from PBKDF2-HMAC-SHA256 of the passphrase over that salt ([`super::kdf`]), so
//!
//! ```text
//! openssl enc -d -aes-256-cbc -pbkdf2 -iter 600000 -in FILE.enc -pass file:KEYFILE
//! ```
//!
//! reads it. The container says nothing of the number of iterations (a backup's sidecar does) and has no integrity
//! check of its own: that is [`super::mac`]'s work. [`EncReader`] also takes what OpenSSL wrote with another
//! derivation; [`guess`] finds out which.

use super::Passphrase;
use super::cbc::{self, BLOCK, Padding};
use super::kdf::{self, Derivation, Kdf, Keys, Salt};
use crate::{Code, Error, Result};
use std::io::{self, BufRead, Read, Write};

/// The first bytes of every such file.
pub const MAGIC: &[u8; 8] = b"Salted__";
const HEADER: usize = 16;

/// Encrypts what is written to it. The keys are derived on a thread of their own, for which the first write waits.
/// [`Writer::finish`] must be called: without it the last block is missing.
pub struct Writer<W>(WriterState<W>);

enum WriterState<W> {
    Deriving(W, Derivation),
    Ready(Box<cbc::Writer<W>>, Keys),
    Failed,
}

impl<W: Write> Writer<W> {
    /// A new container with a fresh random salt.
    pub fn new(out: W, passphrase: &Passphrase, iterations: u32) -> Result<Self> {
        Ok(Self::with_derivation(out, start(passphrase, iterations)?))
    }

    /// The same with a derivation that was [`start`]ed earlier, while there was nothing to write yet.
    pub fn with_derivation(out: W, derivation: Derivation) -> Self {
        Writer(WriterState::Deriving(out, derivation))
    }

    fn ready(&mut self) -> Result<&mut cbc::Writer<W>> {
        if let WriterState::Deriving(..) = self.0
            && let WriterState::Deriving(out, derivation) =
                std::mem::replace(&mut self.0, WriterState::Failed)
        {
            let keys = derivation.keys()?;
            let mut header = [0; HEADER];
            let (magic, salt) = header.split_at_mut(MAGIC.len());
            magic.copy_from_slice(MAGIC);
            salt.copy_from_slice(&keys.salt);
            let writer = cbc::Writer::new(out, &keys.key_iv(), &header);
            self.0 = WriterState::Ready(Box::new(writer), keys);
        }
        match &mut self.0 {
            WriterState::Ready(writer, _) => Ok(writer),
            _ => Err(Error::new(Code::Internal, "the encrypting writer has failed before")),
        }
    }

    /// Writes the last block; gives back the inner writer, which it does not flush, and the file's keys.
    pub fn finish(mut self) -> Result<(W, Keys)> {
        self.ready()?;
        match self.0 {
            WriterState::Ready(writer, keys) => Ok((writer.finish(Padding::Pkcs7)?, keys)),
            _ => Err(Error::new(Code::Internal, "the encrypting writer has failed before")),
        }
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, input: &[u8]) -> io::Result<usize> {
        self.ready()?.write(input)
    }

    /// Hands on what is encrypted so far; up to 15 bytes must wait for their block to fill.
    fn flush(&mut self) -> io::Result<()> {
        self.ready()?.flush()
    }
}

/// Starts deriving the keys of a new file, with a fresh random salt.
pub fn start(passphrase: &Passphrase, iterations: u32) -> Result<Derivation> {
    let iterations = kdf::check_iterations(u64::from(iterations), kdf::MAX_ITERATIONS, Code::Config)?;
    Derivation::fresh(Kdf::ours(iterations), passphrase)
}

/// Reads the header, for its salt. [`Code::Integrity`] where it is not this format's.
pub fn read_salt(input: &mut impl Read) -> Result<Salt> {
    let mut header = Vec::with_capacity(HEADER);
    input.take(HEADER as u64).read_to_end(&mut header)?;
    parse_salt(&header)
}

fn parse_salt(header: &[u8]) -> Result<Salt> {
    match header.strip_prefix(MAGIC).and_then(|rest| rest.first_chunk()) {
        Some(salt) => Ok(*salt),
        None => Err(Error::new(
            Code::Integrity,
            "this is no encrypted backup: it does not begin with Salted__ and a salt",
        )
        .hint("the file is damaged or is something else; use another copy of this backup")),
    }
}

/// Decrypts a container. A wrong key, a truncated file and garbage end in [`Code::Integrity`]: most often at once,
/// but certain is only the end of the data, so whoever needs certainty before the first byte checks the MAC first.
pub struct EncReader<R>(ReaderState<R>);

enum ReaderState<R> {
    Deriving(R, Derivation),
    Ready(Box<cbc::CbcReader<R>>),
    Failed,
}

impl<R: Read> EncReader<R> {
    /// Reads the header and starts deriving the keys on a thread, for which the first read waits.
    pub fn new(input: R, passphrase: &Passphrase, iterations: u32) -> Result<Self> {
        Self::with_kdf(input, passphrase, Kdf::ours(iterations))
    }

    /// The same for what `openssl enc -aes-256-cbc` wrote with another derivation.
    pub fn with_kdf(mut input: R, passphrase: &Passphrase, kdf: Kdf) -> Result<Self> {
        let salt = read_salt(&mut input)?;
        Ok(EncReader(ReaderState::Deriving(input, Derivation::start(kdf, passphrase, salt)?)))
    }

    /// With keys that are derived already (for the MAC); they must be this file's.
    pub fn with_keys(mut input: R, keys: &Keys) -> Result<Self> {
        if read_salt(&mut input)? != keys.salt {
            return Err(Error::new(
                Code::Integrity,
                "the file is not the one that the keys were derived for",
            )
            .hint("it was replaced meanwhile; run it again"));
        }
        Ok(EncReader(Self::decrypting(input, keys)))
    }

    fn decrypting(input: R, keys: &Keys) -> ReaderState<R> {
        ReaderState::Ready(Box::new(cbc::CbcReader::new(input, &keys.key_iv(), cbc::unpad_pkcs7)))
    }

    fn ready(&mut self) -> Result<&mut cbc::CbcReader<R>> {
        if let ReaderState::Deriving(..) = self.0
            && let ReaderState::Deriving(input, derivation) =
                std::mem::replace(&mut self.0, ReaderState::Failed)
        {
            self.0 = Self::decrypting(input, &derivation.keys()?);
        }
        match &mut self.0 {
            ReaderState::Ready(reader) => Ok(reader),
            _ => Err(Error::new(Code::Internal, "the decrypting reader has failed before")),
        }
    }
}

impl<R: Read> Read for EncReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.ready()?.read(out)
    }
}

impl<R: Read> BufRead for EncReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.ready()?.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        if let ReaderState::Ready(reader) = &mut self.0 {
            reader.consume(n);
        }
    }
}

/// `length` bytes from `offset` on of what a container holds, of which `file` reads a part: of the file, from there on, so
/// many bytes. Nothing here tells whether they are what was written; what they give is to be compared with a hash.
pub fn range(
    keys: &Keys,
    offset: u64,
    length: usize,
    file: impl FnOnce(u64, usize) -> Result<Vec<u8>>,
) -> Result<Vec<u8>> {
    let before = usize::try_from(offset % BLOCK as u64).unwrap_or_default();
    let first = offset - before as u64;
    let blocks = (before + length).div_ceil(BLOCK) * BLOCK;
    // Each block is deciphered with the one in front of it, the first of all with the derived one: there is the header.
    let bytes = file(first, blocks + BLOCK)?;
    let (previous, blocks) = match bytes.split_first_chunk::<BLOCK>() {
        Some((previous, rest)) if rest.len() == blocks => (previous, rest),
        _ => return Err(super::damaged("encrypted data is truncated")),
    };
    let key_iv = keys.key_iv();
    let key_iv = if first == 0 { key_iv } else { key_iv.with_iv(previous) };
    let mut plain = cbc::decrypt_blocks(&key_iv, blocks);
    plain.truncate(before + length);
    Ok(plain.split_off(before))
}

/// Finds out which of `candidates` a file was encrypted with: the first whose decryption of the file's beginning
/// (`prefix`: header and at least one block; 600 bytes show a tar) `looks_right` accepts. Derives keys for each, so
/// put the likely and the cheap first.
pub fn guess(
    prefix: &[u8],
    passphrase: &Passphrase,
    candidates: &[Kdf],
    looks_right: impl Fn(&[u8]) -> bool,
) -> Result<Option<Kdf>> {
    let salt = parse_salt(prefix)?;
    let blocks = prefix.get(HEADER..).unwrap_or_default();
    let blocks = blocks.get(..blocks.len() / BLOCK * BLOCK).unwrap_or_default();
    for &kdf in candidates {
        let keys = kdf.derive(passphrase, salt)?;
        let mut plain = cbc::decrypt_blocks(&keys.key_iv(), blocks);
        // Where the prefix is the whole file its padding is no data; elsewhere a few bytes less do no harm.
        let padding = plain.len() - cbc::unpad_pkcs7(&plain).unwrap_or(plain.len());
        plain.truncate(plain.len() - padding);
        if looks_right(&plain) {
            return Ok(Some(kdf));
        }
    }
    Ok(None)
}

#[cfg(test)]
#[path = "enc_tests.rs"]
mod tests;
