//! Writing: what one worker makes of a block.

use super::super::blocks::{Block, Encoder, Join, Piece};
use super::super::{Level, entropy, pool};
use super::HEADER;
use crate::{Code, Error, Result};
use libdeflater::{CompressionLvl, Compressor, crc32};
use std::io::{self, Write};
use std::ops::Range;

/// Bytes of data per block. Deflate looks back 32 KiB, so beginning anew costs text 0.3 % of its size where blocks
/// have a MiB and 1 % where they have 256 KiB (docs/performance.md).
const BLOCK: usize = 1 << 20;
/// The most that a stored deflate block holds.
const STORED_MAX: usize = 65_535;

/// A gzip file on its way to `out`. `threads` compress (0: one per processor), one more writes.
pub fn encoder<W: Write + Send + 'static>(out: W, level: Level, threads: usize) -> Result<Encoder<W>> {
    // Libdeflate's scale: 6 is as small as zlib's 6 and three times as fast, 1 twice as fast as zlib's and smaller,
    // 10 is the first of the slow ones and 4 % smaller than zlib's 9.
    let level = CompressionLvl::new(match level {
        Level::Fast => 1,
        Level::Default => 6,
        Level::Best => 10,
    })
    .map_err(|_| Error::new(Code::Internal, "libdeflate does not know the level"))?;
    let workers = (0..pool::threads(threads))
        .map(|_| {
            let mut compressor = Compressor::new(level);
            move |block: &mut Block| compress(block, &mut compressor)
        })
        .collect();
    Encoder::new(out, "bam-gzip", BLOCK, workers, Members { any: false })
}

/// Members just follow one another.
struct Members {
    any: bool,
}

impl Join for Members {
    fn block(&mut self, block: &Block, out: &mut impl Write) -> io::Result<()> {
        self.any = true;
        block.output().try_for_each(|bytes| out.write_all(bytes))
    }

    /// Even no data is a gzip file: of one empty member.
    fn end(&mut self, out: &mut impl Write) -> io::Result<()> {
        if !self.any {
            out.write_all(&HEADER)?;
            out.write_all(&[2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
        }
        Ok(())
    }
}

/// Turns a block into members, each a stored stretch, a compressed one, or a stored and then a compressed one.
fn compress(block: &mut Block, compressor: &mut Compressor) -> Result<()> {
    let Block { input, made, pieces } = block;
    made.clear();
    pieces.clear();
    let stretches = entropy::stretches(input);
    let mut stretches = stretches.into_iter().peekable();
    let mut from = 0;
    loop {
        let stored = stretches.next_if(|s| s.1).map(|s| s.0);
        let deflated = stretches.next_if(|s| !s.1).map(|s| s.0);
        let to = deflated.as_ref().or(stored.as_ref()).map_or(from, |range| range.end);
        let data = input.get(from..to).unwrap_or_default();
        member(made, pieces, input, stored, deflated, compressor)?;
        made.extend_from_slice(&crc32(data).to_le_bytes());
        made.extend_from_slice(&(data.len() as u32).to_le_bytes());
        extend_made(pieces, made.len());
        from = to;
        if stretches.peek().is_none() {
            return Ok(());
        }
    }
}

/// Header and deflate data of one member.
fn member(
    made: &mut Vec<u8>,
    pieces: &mut Vec<Piece>,
    input: &[u8],
    stored: Option<Range<usize>>,
    deflated: Option<Range<usize>>,
    compressor: &mut Compressor,
) -> Result<()> {
    made.extend_from_slice(&HEADER);
    let length_at = made.len();
    made.extend_from_slice(&[0; 4]);
    let mut length = 0;
    if let Some(range) = stored {
        let chunks = range.len().div_ceil(STORED_MAX);
        for i in 0..chunks {
            let from = range.start + i * STORED_MAX;
            let to = range.end.min(from + STORED_MAX);
            let size = (to - from) as u16;
            // RFC 1951 section 3.2.4: BFINAL, BTYPE 00, then byte-aligned LEN and its complement.
            made.push(u8::from(deflated.is_none() && i + 1 == chunks));
            made.extend_from_slice(&size.to_le_bytes());
            made.extend_from_slice(&(!size).to_le_bytes());
            extend_made(pieces, made.len());
            pieces.push(Piece::Input(from..to));
            length += 5 + to - from;
        }
    }
    if let Some(data) = deflated.and_then(|range| input.get(range)) {
        let at = made.len();
        made.resize(at + compressor.deflate_compress_bound(data.len()), 0);
        let size = compressor
            .deflate_compress(data, made.get_mut(at..).unwrap_or_default())
            .map_err(|_| Error::new(Code::Internal, "libdeflate needs more room than it said"))?;
        made.truncate(at + size);
        length += size;
    }
    let length = (length as u32).to_le_bytes();
    made.iter_mut().skip(length_at).zip(length).for_each(|(to, from)| *to = from);
    Ok(())
}

/// What was made since the last piece is a piece, or lengthens the last one.
fn extend_made(pieces: &mut Vec<Piece>, end: usize) {
    let start = pieces.iter().rev().find_map(|piece| match piece {
        Piece::Made(range) => Some(range.end),
        Piece::Input(_) => None,
    });
    match pieces.last_mut() {
        Some(Piece::Made(range)) => range.end = end,
        _ => pieces.push(Piece::Made(start.unwrap_or(0)..end)),
    }
}
