//! Zstandard (RFC 8878), by the reference library with its own threads.

use super::{Decoding, Level, damaged, integrity, pool};
use crate::Result;
use std::io::{BufRead, BufReader, Read, Write};
use zstd::stream::{read, write};
use zstd::zstd_safe::CParameter;

/// Bytes of data per job: less than the library would take by itself, so that memory stays bounded.
const JOB: u32 = 2 << 20;
/// The window for [`Level::Best`], as a power of two: 8 MiB, which finds what recurs across tables and files.
const LONG_WINDOW: u32 = 23;
/// With the long window each thread takes 8 MiB, else 3.
const MOST_LONG_THREADS: usize = 3;
const MOST_THREADS: usize = 12;

/// A zstd file on its way to `out`, one frame with a checksum. What is written does not depend on `threads`
/// (0: one per processor).
pub fn encoder<W: Write>(out: W, level: Level, threads: usize) -> Result<write::Encoder<'static, W>> {
    let (level, long) = match level {
        Level::Fast => (1, false),
        Level::Default => (3, false),
        Level::Best => (9, true),
    };
    let mut encoder = write::Encoder::new(out, level)?;
    encoder.include_checksum(true)?;
    // With no worker at all the library cuts differently, so at least one.
    encoder.multithread(pool::threads(threads, if long { MOST_LONG_THREADS } else { MOST_THREADS }) as u32)?;
    if long {
        encoder.window_log(LONG_WINDOW)?;
        encoder.long_distance_matching(true)?;
    }
    encoder.set_parameter(CParameter::JobSize(JOB))?;
    Ok(encoder)
}

/// Decompresses all frames.
pub fn reader<R: Read>(input: R) -> Result<Decoding<impl Read>> {
    let mut input = BufReader::with_capacity(super::BUFFER, input);
    // The decoder takes no data at all for no frames at all.
    if input.fill_buf().map_err(|e| integrity("zstd", e))?.is_empty() {
        return Err(damaged("zstd", "it is empty"));
    }
    Ok(Decoding::new("zstd", read::Decoder::with_buffer(input)?))
}
