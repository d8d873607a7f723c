//! Reading by an index: it is proven whole before anything of it is used, and each piece before it is decompressed.

use super::section::Section;
use super::{Clear, MAGIC, PIECE, tables};
use crate::archive::outline::{Content, Outlined};
use crate::archive::{Input, Reader};
use crate::compress::{self, Piece};
use crate::source::table_places::TablePlaces;
use crate::{Error, Monitor, Result};
use sha2::{Digest, Sha256};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that are fetched at once, at the most, unless one piece is longer.
const AT_ONCE: u64 = 4 << 20;
/// Pieces longer than this, packed or not, are none of ours.
const PIECE_MAX: u32 = 4 << 20;
/// The first line is shorter than this.
const LINE_MAX: u64 = 100;

/// A backup's proven index.
pub struct Index {
    clear: Clear,
    section: Section,
    /// Where long ones wait.
    spool_dir: PathBuf,
    /// Bytes of the index before the outline.
    head: u64,
    pieces: Vec<Piece>,
    /// Where each begins, in the tar and compressed.
    starts: Vec<(u64, u64)>,
}

impl Index {
    /// Fetches the index and compares it with what the sidecar says of it. A long one goes to a file without a name in
    /// `spool_dir`.
    pub fn load(clear: Clear, spool_dir: &Path, monitor: &Monitor) -> Result<Index> {
        let claim = clear.parts().claim();
        let section = Section::load(&clear, claim, spool_dir, monitor)?;
        let odd = |_| clear.parts().damaged("its index is not one");
        let (head, pieces) = read_head(&section, claim.length).map_err(odd)?;
        let (mut starts, mut next) = (Vec::with_capacity(pieces.len()), (0, 0));
        for piece in &pieces {
            starts.push(next);
            next = (next.0 + u64::from(piece.data), next.1 + u64::from(piece.packed));
        }
        if next.1 != claim.offset {
            return Err(odd(io::ErrorKind::InvalidData.into()));
        }
        Ok(Index { clear, section, spool_dir: spool_dir.to_owned(), head, pieces, starts })
    }

    /// Where in the dump the rows of each table stand; `None` where that was not noted.
    pub fn tables(&self, monitor: &Monitor) -> Result<Option<TablePlaces>> {
        let Some(claim) = self.clear.parts().tables() else { return Ok(None) };
        let section = Section::load(&self.clear, claim, &self.spool_dir, monitor)?;
        let odd = || self.clear.parts().damaged("what its index says of its tables makes no sense");
        let places = tables::read(&section, self.pieces.len()).map_err(|_| odd())?;
        let inside = places.ranges.last().is_none_or(|(_, last)| last.end <= self.end());
        if inside { Ok(Some(places)) } else { Err(odd()) }
    }

    /// Bytes of all that was compressed.
    fn end(&self) -> u64 {
        let last = self.starts.last().zip(self.pieces.last());
        last.map_or(0, |(start, piece)| start.0 + u64::from(piece.data))
    }

    /// All that was compressed, where that is no tar, likewise.
    pub fn dump(self: &Arc<Self>) -> Box<dyn Input> {
        Box::new(Outlined::without_outline(Contents::of(self), self.end()))
    }

    /// The tar, of which only what is needed will be fetched.
    pub fn tar(self: &Arc<Self>) -> Result<Box<dyn Input>> {
        let mut index = self.section.content();
        io::copy(&mut (&mut index).take(self.head), &mut io::sink())?;
        let outline = compress::reader(compress::Kind::Gzip, index, 0)?;
        Ok(Box::new(Outlined::new(outline, Contents::of(self))?))
    }

    /// The same, to be walked through.
    pub fn members(self: &Arc<Self>) -> Result<Reader<Box<dyn Input>>> {
        self.tar().map(Reader::of)
    }

    /// The pieces that hold what stands in the tar at `at` and before `until`, as many as are fetched at once: the first of
    /// them, and how many.
    fn covering(&self, at: u64, until: u64) -> Option<(usize, usize)> {
        let first = self.starts.partition_point(|(start, _)| *start <= at).checked_sub(1)?;
        let (mut count, mut packed, mut data) = (0, 0, 0);
        for (piece, (start, _)) in self.pieces.iter().zip(&self.starts).skip(first) {
            packed += u64::from(piece.packed);
            data += u64::from(piece.data);
            if count > 0 && (*start >= until || packed > AT_ONCE || data > AT_ONCE) {
                break;
            }
            count += 1;
        }
        Some((first, count))
    }

    /// Fetches these pieces, proves each, and decompresses them.
    fn fetch(&self, first: usize, count: usize) -> Result<Vec<u8>> {
        let pieces = self.pieces.get(first..first + count).unwrap_or_default();
        let length = pieces.iter().map(|piece| piece.packed as usize).sum();
        let offset = self.starts.get(first).map_or(0, |start| start.1);
        let bytes = self.clear.read(offset, length)?;
        let (mut rest, mut out) = (bytes.as_slice(), Vec::new());
        for piece in pieces {
            let (packed, later) = rest.split_at_checked(piece.packed as usize).unwrap_or_default();
            if Sha256::digest(packed).as_slice() != piece.sha256 {
                let text = "a part of it has not the SHA-256 that its index says";
                return Err(self.clear.parts().damaged(text));
            }
            compress::unpack_piece(packed, piece.data as usize, &mut out)?;
            rest = later;
        }
        Ok(out)
    }
}

/// The index's first line, and the pieces; how many bytes that is.
fn read_head(section: &Section, length: u64) -> io::Result<(u64, Vec<Piece>)> {
    let odd = || io::Error::from(io::ErrorKind::InvalidData);
    let mut input = BufReader::new(section.content());
    let mut line = String::new();
    (&mut input).take(LINE_MAX).read_line(&mut line)?;
    let words = line.strip_suffix('\n').and_then(|text| text.strip_prefix(MAGIC)?.strip_prefix(' '));
    let count = words.and_then(|words| words.split_once(' ')?.1.parse::<u64>().ok()).ok_or_else(odd)?;
    let table = count.checked_mul(PIECE as u64).filter(|table| *table <= length).ok_or_else(odd)?;
    let mut pieces = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
    for _ in 0..count {
        let mut bytes = [0; PIECE];
        input.read_exact(&mut bytes)?;
        let [p0, p1, p2, p3, d0, d1, d2, d3, sha256 @ ..] = bytes;
        let piece = Piece {
            packed: u32::from_be_bytes([p0, p1, p2, p3]),
            data: u32::from_be_bytes([d0, d1, d2, d3]),
            sha256,
        };
        if piece.packed > PIECE_MAX || piece.data > PIECE_MAX {
            return Err(odd());
        }
        pieces.push(piece);
    }
    Ok((line.len() as u64 + table, pieces))
}

/// What stands between the stretches of the outline.
struct Contents {
    index: Arc<Index>,
    /// What was fetched last, and where in the tar it begins.
    at: u64,
    bytes: Vec<u8>,
}

impl Contents {
    fn of(index: &Arc<Index>) -> Contents {
        Contents { index: Arc::clone(index), at: 0, bytes: Vec::new() }
    }

    fn here(&self, at: u64, until: u64) -> Option<&[u8]> {
        let from = usize::try_from(at.checked_sub(self.at)?).ok()?;
        let most = usize::try_from(until.saturating_sub(at)).unwrap_or(usize::MAX);
        let rest = self.bytes.get(from..).filter(|rest| !rest.is_empty())?;
        rest.get(..most.min(rest.len()))
    }
}

impl Content for Contents {
    fn read_at(&mut self, at: u64, until: u64, out: &mut [u8]) -> io::Result<usize> {
        if self.here(at, until).is_none() {
            let odd = || -> Error { self.index.clear.parts().damaged("its index ends before its tar") };
            let (first, count) = self.index.covering(at, until).ok_or_else(odd)?;
            // Before the next come into memory.
            self.bytes = Vec::new();
            self.bytes = self.index.fetch(first, count)?;
            self.at = self.index.starts.get(first).map_or(0, |start| start.0);
        }
        let Some(mut here) = self.here(at, until) else {
            return Err(self.index.clear.parts().damaged("its index ends before its tar").into());
        };
        here.read(out)
    }
}
