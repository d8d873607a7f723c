//! Making an index: the outline is gathered while the archive is written, the rest follows at the end.

use super::{Claim, MAGIC};
use crate::Result;
use crate::compress::{Piece, aside};
use crate::encrypt::random_hex;
use crate::temporary::Temporary;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::io::{self, Cursor, Read, Seek, Write};
use std::path::Path;

/// The outline of an archive that is being written, compressed, in a file without a name.
pub struct Making(GzEncoder<Temporary>);

impl Making {
    /// Nothing yet.
    pub fn start(folder: &Path) -> Result<Making> {
        Ok(Making(GzEncoder::new(Temporary::new(folder)?, Compression::default())))
    }

    /// Writes the whole index to `out`, which has had all `pieces`. A `secret` one is of what is encrypted: its hash, which
    /// stands in the clear, then confirms no guess at what is in it.
    pub fn write(self, pieces: &[Piece], secret: bool, out: &mut impl Write) -> Result<Claim> {
        let mut outline = self.0.finish()?;
        outline.rewind()?;
        let random = salt(secret)?;
        let line = format!("{MAGIC} {random} {}\n", pieces.len());
        let mut content = Cursor::new(line).chain(Pieces::of(pieces)).chain(outline);
        let offset = pieces.iter().map(|piece| u64::from(piece.packed)).sum();
        put(&mut content, offset, out)
    }
}

/// Writes a section beside the data, at this offset before encryption.
pub(super) fn put(content: &mut impl Read, offset: u64, out: &mut impl Write) -> Result<Claim> {
    let mut out = Hashed { out, hash: Sha256::new() };
    let length = aside::write(content, &mut out)?;
    Ok(Claim { offset, length, sha256: out.hash.finalize().into() })
}

/// What makes the hash of a section of what is encrypted one that confirms no guess; zeros where nothing is secret.
pub(super) fn salt(secret: bool) -> Result<String> {
    if secret { random_hex() } else { Ok("0".repeat(32)) }
}

impl Write for Making {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Pieces as the index has them.
struct Pieces<'p> {
    left: std::slice::Iter<'p, Piece>,
    bytes: Cursor<Vec<u8>>,
}

impl<'p> Pieces<'p> {
    fn of(pieces: &'p [Piece]) -> Self {
        Pieces { left: pieces.iter(), bytes: Cursor::default() }
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let got = self.bytes.read(out)?;
        if got > 0 || out.is_empty() {
            return Ok(got);
        }
        let Some(piece) = self.left.next() else { return Ok(0) };
        let lengths = [piece.packed.to_be_bytes(), piece.data.to_be_bytes()].concat();
        self.bytes = Cursor::new([&lengths[..], &piece.sha256].concat());
        self.bytes.read(out)
    }
}

struct Hashed<W> {
    out: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
