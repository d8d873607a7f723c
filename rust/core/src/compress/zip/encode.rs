//! Writing, by many threads: a worker ends its piece of the deflate stream at a byte boundary (as pigz does), so that
//! the pieces just follow one another. Stretches that do not compress are stored.

use super::super::blocks::{Block, Encoder, Join};
use super::super::{Level, entropy, pool};
use super::{DEFLATED, SIZES_FOLLOW, UTF8, ZIP64, signature};
use crate::{Code, Error, Result};
use flate2::{Compress, Compression, FlushCompress, Status};
use std::io::{self, Write};

/// Bytes of data per block.
const BLOCK: usize = 1 << 20;
/// Each takes 2 MiB.
const MOST_THREADS: usize = 12;
/// Version 4.5 of the specification: zip64; made on Unix (3), whose permissions follow.
const VERSION: u16 = 45;
const MADE_BY: u16 = 3 << 8 | VERSION;
const REGULAR_0600: u32 = 0o100_600 << 16;
/// The first of January 1980: DOS has no "no time".
const DATE: u16 = 1 << 5 | 1;
/// An empty last deflate block.
const DEFLATE_END: [u8; 2] = [3, 0];

/// A zip of one file, `name`, on its way to `out`. `threads` compress (0: one per processor), one more writes.
pub fn encoder<W>(out: W, level: Level, name: &str, threads: usize) -> Result<Encoder<W>>
where
    W: Write + Send + 'static,
{
    let level = Compression::new(match level {
        Level::Fast => 2,
        Level::Default => 6,
        Level::Best => 9,
    });
    let workers = (0..pool::threads(threads, MOST_THREADS))
        .map(|_| {
            let mut deflate = Compress::new(level, false);
            move |block: &mut Block| compress(block, &mut deflate)
        })
        .collect();
    let name = if name.is_empty() { "backup" } else { name };
    let mut name = name.to_owned();
    while name.len() > usize::from(u16::MAX) {
        name.pop();
    }
    Encoder::new(
        out,
        "bam-zip",
        BLOCK,
        workers,
        Archive { name, started: false, crc: crc32fast::Hasher::new(), size: 0, packed: 0 },
    )
}

/// Turns a block into deflate blocks, none of them the last one.
fn compress(block: &mut Block, deflate: &mut Compress) -> Result<()> {
    let Block { input, output, crc, .. } = block;
    output.clear();
    *crc = crc32fast::hash(input);
    for (range, stored) in entropy::stretches(input) {
        if stored {
            output.stored(range, false);
            continue;
        }
        deflate.reset();
        let mut data = input.get(range).unwrap_or_default();
        loop {
            // Deflate never needs more than this, save for what the flush adds.
            output.bytes.reserve(data.len() + data.len() / 1000 + 64);
            let before = deflate.total_in();
            let status = deflate
                .compress_vec(data, &mut output.bytes, FlushCompress::Sync)
                .map_err(|e| Error::new(Code::Internal, "deflate failed").because(e))?;
            let taken = (deflate.total_in() - before) as usize;
            data = data.get(taken..).unwrap_or_default();
            // The flush is complete when there was room to spare.
            if data.is_empty() && output.bytes.len() < output.bytes.capacity() || status == Status::BufError {
                break;
            }
        }
        output.made();
    }
    Ok(())
}

/// The archive as far as it is written.
struct Archive {
    name: String,
    started: bool,
    crc: crc32fast::Hasher,
    size: u64,
    packed: u64,
}

impl Archive {
    fn start(&mut self, out: &mut impl Write) -> io::Result<()> {
        if std::mem::replace(&mut self.started, true) {
            return Ok(());
        }
        let mut record = Record::new(signature::LOCAL);
        record.u16(VERSION).u16(SIZES_FOLLOW | UTF8).u16(DEFLATED).u16(0).u16(DATE);
        // With this extra field the sizes that follow the data have 64 bits.
        record.u32(0).u32(u32::MAX).u32(u32::MAX).u16(self.name.len() as u16).u16(20);
        record.bytes(self.name.as_bytes()).u16(ZIP64).u16(16).u64(0).u64(0);
        out.write_all(&record.0)
    }

    fn local_len(&self) -> u64 {
        30 + self.name.len() as u64 + 20
    }
}

impl Join for Archive {
    fn block(&mut self, block: &Block, out: &mut impl Write) -> io::Result<()> {
        self.start(out)?;
        self.crc.combine(&crc32fast::Hasher::new_with_initial_len(block.crc, block.input.len() as u64));
        self.size += block.input.len() as u64;
        for piece in block.spans() {
            out.write_all(piece)?;
            self.packed += piece.len() as u64;
        }
        Ok(())
    }

    fn end(&mut self, out: &mut impl Write) -> io::Result<()> {
        self.start(out)?;
        out.write_all(&DEFLATE_END)?;
        self.packed += DEFLATE_END.len() as u64;
        let crc = self.crc.clone().finalize();
        let mut tail = Record::new(signature::DESCRIPTOR);
        tail.u32(crc).u64(self.packed).u64(self.size);

        let directory = self.local_len() + self.packed + tail.0.len() as u64;
        let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let wide = narrow(self.packed) == u32::MAX || narrow(self.size) == u32::MAX;
        tail.u32(signature::CENTRAL).u16(MADE_BY).u16(VERSION);
        tail.u16(SIZES_FOLLOW | UTF8).u16(DEFLATED).u16(0).u16(DATE).u32(crc);
        let (packed, size) =
            if wide { (u32::MAX, u32::MAX) } else { (narrow(self.packed), narrow(self.size)) };
        tail.u32(packed).u32(size).u16(self.name.len() as u16).u16(if wide { 20 } else { 0 });
        // No comment, disk 0, no internal attributes, at the very beginning.
        tail.u16(0).u16(0).u16(0).u32(REGULAR_0600).u32(0).bytes(self.name.as_bytes());
        if wide {
            tail.u16(ZIP64).u16(16).u64(self.size).u64(self.packed);
        }
        let end = self.local_len() + self.packed + tail.0.len() as u64;
        if narrow(directory) == u32::MAX {
            tail.u32(signature::ZIP64_END).u64(44).u16(MADE_BY).u16(VERSION).u32(0).u32(0);
            tail.u64(1).u64(1).u64(end - directory).u64(directory);
            tail.u32(signature::ZIP64_LOCATOR).u32(0).u64(end).u32(1);
        }
        tail.u32(signature::END).u16(0).u16(0).u16(1).u16(1);
        tail.u32(narrow(end - directory)).u32(narrow(directory)).u16(0);
        out.write_all(&tail.0)
    }
}

/// Bytes of a record, little-endian.
struct Record(Vec<u8>);

impl Record {
    fn new(signature: u32) -> Self {
        Record(signature.to_le_bytes().to_vec())
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn u16(&mut self, n: u16) -> &mut Self {
        self.bytes(&n.to_le_bytes())
    }

    fn u32(&mut self, n: u32) -> &mut Self {
        self.bytes(&n.to_le_bytes())
    }

    fn u64(&mut self, n: u64) -> &mut Self {
        self.bytes(&n.to_le_bytes())
    }
}
