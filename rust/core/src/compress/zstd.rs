//! Zstandard (RFC 8878), by the reference library with its own threads.

use super::{Decoding, Level, damaged, integrity, pool};
use crate::{Code, Error, Result};
use std::io::{BufRead, BufReader, Read, Write};
use zstd::stream::{read, write};
use zstd::zstd_safe::CParameter;

/// Bytes of data per job: less than the library would take by itself, so that memory stays bounded.
const JOB: u32 = 2 << 20;
/// The largest window that is read: the library's own limit, 128 MiB.
const MOST_WINDOW: u64 = 1 << 27;
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
    if let Some(window) = window(input.buffer()).filter(|window| *window > MOST_WINDOW) {
        let text = format!(
            "the zstd data wants a window of {} MiB to unpack it, as `zstd --long` or `--ultra` make it; bam takes {}",
            window >> 20,
            MOST_WINDOW >> 20
        );
        return Err(Error::new(Code::Unsupported, text).hint("unpack it first: `zstd -d --long=31 FILE`"));
    }
    Ok(Decoding::new("zstd", read::Decoder::with_buffer(input)?))
}

/// The window of the first frame, in bytes (RFC 8878, section 3.1.1.1); `None` where this is no frame of data.
fn window(frame: &[u8]) -> Option<u64> {
    let rest = frame.strip_prefix(b"\x28\xb5\x2f\xfd")?;
    let (descriptor, rest) = rest.split_first()?;
    if descriptor & 0x20 == 0 {
        let exponent = 10 + u32::from(rest.first()? >> 3);
        let base = 1u64 << exponent;
        return Some(base + base / 8 * u64::from(rest.first()? & 7));
    }
    // One segment: the window is as large as the content.
    let dictionary = [0, 1, 2, 4].get(usize::from(descriptor & 3)).copied()?;
    let rest = rest.get(dictionary..)?;
    match descriptor >> 6 {
        2 => rest.first_chunk().map(|size| u64::from(u32::from_le_bytes(*size))),
        3 => rest.first_chunk().map(|size| u64::from_le_bytes(*size)),
        _ => Some(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::testing::noise;
    use std::process::{Command, Stdio};

    #[test]
    fn long_windows_are_named_for_what_they_are() {
        for (options, expected) in [("--long=31 --ultra -22", Some(2048)), ("--long=27", None), ("-3", None)]
        {
            let script = format!("zstd -c {options}");
            let mut zstd = Command::new("sh")
                .args(["-c", &script])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut stdin = zstd.stdin.take().unwrap();
            let feed = std::thread::spawn(move || stdin.write_all(&noise(70_000)).unwrap());
            let packed = zstd.wait_with_output().unwrap().stdout;
            feed.join().unwrap();
            match (reader(packed.as_slice()), expected) {
                (Ok(_), None) => {}
                (Err(error), Some(mib)) => {
                    assert_eq!(error.code(), Code::Unsupported);
                    assert!(error.message().contains(&format!("{mib} MiB")), "{error}");
                }
                (read, _) => panic!("{options}: {:?}", read.err()),
            }
        }
    }
}
