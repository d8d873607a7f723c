//! Writing: what one worker makes of a block.

use super::super::blocks::{Block, Encoder, Join, Piece};
use super::super::{Level, entropy, pool};
use super::HEADER;
use crate::{Code, Error, Result};
use libdeflater::{CompressionLvl, Compressor, crc32};
use sha2::{Digest, Sha256};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of data per block. Deflate looks back 32 KiB, so beginning anew costs text 0.3 % of its size where blocks
/// have a MiB and 1 % where they have 256 KiB (docs/performance.md).
const BLOCK: usize = 1 << 20;

/// Blocks take 1 to 2 MiB per thread, the room for the worst case one more; the slow level's tables make it 9.
const MOST_THREADS: usize = 12;
const MOST_SLOW_THREADS: usize = 4;

/// What was written so far, piece by piece.
#[derive(Clone, Default)]
pub struct Pieces(Arc<Mutex<Vec<Piece>>>);

impl Pieces {
    /// Takes them.
    pub fn take(&self) -> Vec<Piece> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, piece: Piece) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(piece);
    }
}

/// A gzip file on its way to `out`. `threads` compress (0: one per processor), one more writes.
pub fn encoder<W: Write + Send + 'static>(
    out: W,
    level: Level,
    threads: usize,
) -> Result<(Encoder<W>, Pieces)> {
    // Libdeflate's scale: 6 is as small as zlib's 6 and three times as fast, 1 twice as fast as zlib's and smaller,
    // 10 is the first of the slow ones and 4 % smaller than zlib's 9.
    let (level, most) = match level {
        Level::Fast => (1, MOST_THREADS),
        Level::Default => (6, MOST_THREADS),
        Level::Best => (10, MOST_SLOW_THREADS),
    };
    let level = CompressionLvl::new(level)
        .map_err(|_| Error::new(Code::Internal, "libdeflate does not know the level"))?;
    let workers = (0..pool::threads(threads, most))
        .map(|_| {
            let mut compressor = Compressor::new(level);
            let room = vec![0; compressor.deflate_compress_bound(BLOCK)];
            let mut deflate = Deflate { compressor, room };
            move |block: &mut Block| compress(block, &mut deflate)
        })
        .collect();
    let pieces = Pieces::default();
    let members = Members { any: false, pieces: pieces.clone() };
    Ok((Encoder::new(out, "bam-gzip", BLOCK, workers, members)?, pieces))
}

/// Members just follow one another.
struct Members {
    any: bool,
    pieces: Pieces,
}

impl Join for Members {
    fn block(&mut self, block: &Block, out: &mut impl Write) -> io::Result<()> {
        self.any = true;
        let packed = block.spans().map(<[u8]>::len).sum::<usize>() as u32;
        self.pieces.add(Piece { data: block.data, packed, sha256: block.sha256 });
        block.spans().try_for_each(|bytes| out.write_all(bytes))
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

/// Turns a block into members, and hashes them.
fn compress(block: &mut Block, deflate: &mut Deflate) -> Result<()> {
    block.output.clear();
    if block.ready {
        block.output.input(block.input.len());
    } else {
        block.data = block.input.len() as u32;
        members(block, deflate)?;
    }
    let mut hash = Sha256::new();
    block.spans().for_each(|bytes| hash.update(bytes));
    block.sha256 = hash.finalize().into();
    Ok(())
}

/// Members of a block's data, each a stored stretch, a compressed one, or a stored and then a compressed one.
fn members(block: &mut Block, deflate: &mut Deflate) -> Result<()> {
    let Block { input, output, .. } = block;
    let mut stretches = entropy::stretches(input).into_iter().peekable();
    while let Some((first, stored)) = stretches.next() {
        let second = if stored { stretches.next_if(|next| !next.1).map(|next| next.0) } else { None };
        let from = first.start;
        let to = second.as_ref().map_or(first.end, |second| second.end);
        let data = input.get(from..to).unwrap_or_default();

        output.bytes.extend_from_slice(&HEADER);
        let length_at = output.bytes.len();
        output.bytes.extend_from_slice(&[0; 4]);
        let mut length = 0;
        let deflated = if stored {
            length += output.stored(first, second.is_none());
            second
        } else {
            Some(first)
        };
        if let Some(range) = deflated {
            length += deflate.append(input.get(range).unwrap_or_default(), &mut output.bytes)?;
        }
        let length = (length as u32).to_le_bytes();
        output.bytes.iter_mut().skip(length_at).zip(length).for_each(|(to, from)| *to = from);
        output.bytes.extend_from_slice(&crc32(data).to_le_bytes());
        output.bytes.extend_from_slice(&(data.len() as u32).to_le_bytes());
        output.made();
    }
    Ok(())
}

struct Deflate {
    compressor: Compressor,
    /// For the worst case, which is as much as a block: here once, so that blocks have no more than what they became.
    room: Vec<u8>,
}

impl Deflate {
    /// Appends a whole deflate stream of no more than a block; returns its length.
    fn append(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<usize> {
        let size = self
            .compressor
            .deflate_compress(data, &mut self.room)
            .map_err(|_| Error::new(Code::Internal, "libdeflate needs more room than it said"))?;
        out.extend_from_slice(self.room.get(..size).unwrap_or_default());
        Ok(size)
    }
}
