//! Bzip2, written by many threads as one stream: PHP's bzopen, and so Backup and Migrate, reads no further than the
//! first stream of a file.
//!
//! A worker compresses its data to a bzip2 file of one block. Of these files the blocks are cut out, bit by bit, and
//! put behind each other between one header and one end:
//!
//! ```text
//! "BZh9"  { 0x314159265359  block CRC (32 bits)  … }*  0x177245385090  combined CRC (32 bits)  up to 7 zero bits
//! ```

use super::blocks::{Block, Encoder, Join};
use super::{BUFFER, Decoding, pool};
use crate::{Code, Error, Result};
use bzip2::Compression;
use bzip2::bufread::MultiBzDecoder;
use bzip2::write::BzEncoder;
use std::io::{self, BufReader, Read, Write};

/// Bytes of data per block. A block holds 899 981 bytes after the first run-length coding, which makes at most 5
/// bytes out of 4.
const BLOCK: usize = 719_000;
/// Each takes 8 MiB.
const MOST_THREADS: usize = 5;
const HEADER: &[u8] = b"BZh9";
const BLOCK_MAGIC: &[u8] = b"\x31\x41\x59\x26\x53\x59";
const END_MAGIC: u64 = 0x1772_4538_5090;

/// A bzip2 file on its way to `out`. `threads` compress (0: one per processor), one more writes. There is one level:
/// bzip2's lower ones are no faster.
pub fn encoder<W: Write + Send + 'static>(out: W, threads: usize) -> Result<Encoder<W>> {
    let workers = (0..pool::threads(threads, MOST_THREADS)).map(|_| compress).collect();
    Encoder::new(out, "bam-bzip2", BLOCK, workers, Stream { started: false, bits: 0, pending: 0, crc: 0 })
}

/// Decompresses all streams of a file.
pub fn reader<R: Read>(input: R) -> Decoding<impl Read> {
    Decoding::new("bzip2", MultiBzDecoder::new(BufReader::with_capacity(BUFFER, input)))
}

fn compress(block: &mut Block) -> Result<()> {
    block.output.clear();
    let mut encoder = BzEncoder::new(std::mem::take(&mut block.output.bytes), Compression::best());
    encoder.write_all(&block.input)?;
    block.output.bytes = encoder.finish()?;
    Ok(())
}

/// The stream as far as it is written.
struct Stream {
    started: bool,
    /// How many bits (0 to 7) of `pending`, from the highest, wait for their byte to fill.
    bits: u32,
    pending: u8,
    crc: u32,
}

impl Join for Stream {
    fn block(&mut self, block: &Block, out: &mut impl Write) -> io::Result<()> {
        let (data, last_bits, crc) = cut_out(&block.output.bytes)
            .ok_or_else(|| Error::new(Code::Internal, "bzip2 made something else than one block"))?;
        self.start(out)?;
        self.crc = self.crc.rotate_left(1) ^ crc;
        self.push(data, last_bits, out)
    }

    fn end(&mut self, out: &mut impl Write) -> io::Result<()> {
        self.start(out)?;
        let end = (u128::from(END_MAGIC) << 32 | u128::from(self.crc)) << 48;
        let end = end.to_be_bytes();
        self.push(end.get(..10).unwrap_or_default(), 8, out)?;
        if self.bits > 0 {
            out.write_all(&[self.pending])?;
        }
        Ok(())
    }
}

impl Stream {
    fn start(&mut self, out: &mut impl Write) -> io::Result<()> {
        if !std::mem::replace(&mut self.started, true) {
            out.write_all(HEADER)?;
        }
        Ok(())
    }

    /// Appends the bits of `data`, of whose last byte the `last_bits` highest count (1 to 8).
    fn push(&mut self, data: &[u8], last_bits: u32, out: &mut impl Write) -> io::Result<()> {
        let Some((&last, whole)) = data.split_last() else { return Ok(()) };
        let mut shifted = Vec::with_capacity(data.len() + 1);
        for &byte in whole {
            shifted.push(self.pending | byte >> self.bits);
            self.pending = low_bits(byte, self.bits);
        }
        let last = last & (0xff00u16 >> last_bits) as u8;
        let both = self.pending | last >> self.bits;
        if self.bits + last_bits >= 8 {
            shifted.push(both);
            self.pending = low_bits(last, self.bits);
        } else {
            self.pending = both;
        }
        self.bits = (self.bits + last_bits) % 8;
        out.write_all(&shifted)
    }
}

/// The `n` (0 to 7) lowest bits of `byte`, moved to its top.
fn low_bits(byte: u8, n: u32) -> u8 {
    byte.checked_shl(8 - n).unwrap_or(0)
}

/// The one block of a bzip2 file: its bytes from the header to the end mark, how many bits of the last byte belong
/// to it, and its CRC, which is that of the whole file, too.
fn cut_out(file: &[u8]) -> Option<(&[u8], u32, u32)> {
    let block = file.strip_prefix(HEADER)?;
    let crc = u32::from_be_bytes(*block.strip_prefix(BLOCK_MAGIC)?.first_chunk()?);
    let tail = u128::from_be_bytes(*block.last_chunk()?);
    let end = u128::from(END_MAGIC) << 32 | u128::from(crc);
    // 80 bits of end stand before 0 to 7 zero bits.
    let padding = (0..8).find(|&padding| {
        let rest = tail >> padding;
        rest << padding == tail && rest & ((1 << 80) - 1) == end
    })?;
    let bits = block.len() * 8 - 80 - padding;
    let last_bits = (bits - 1) % 8 + 1;
    Some((block.get(..bits.div_ceil(8))?, last_bits as u32, crc))
}

#[cfg(test)]
mod tests {
    use super::super::testing::prose;
    use super::super::{Kind, Level, writer};
    use super::*;
    use std::process::Command;

    /// Needs PHP's bz2 extension, as Backup and Migrate does.
    #[test]
    fn phps_bzopen_reads_to_the_end() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("data.bz2");
        let data = prose(3 * BLOCK + 17);
        let file = std::fs::File::create(&path).unwrap();
        let mut encoder = writer(Kind::Bzip2, Level::Default, "", file, 2).unwrap();
        encoder.write_all(&data).unwrap();
        encoder.finish().unwrap();
        let script = "if (!function_exists('bzopen')) { exit(9); }
            $f = bzopen($argv[1], 'r'); while (!feof($f)) { echo bzread($f, 8192); }";
        let run = Command::new("php").args(["-r", script]).arg(&path).output().unwrap();
        assert_ne!(run.status.code(), Some(9), "install PHP's bz2 extension (Debian: php-bz2)");
        assert!(run.stdout == data, "{} bytes of {}", run.stdout.len(), data.len());
    }
}
