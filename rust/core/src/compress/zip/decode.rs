//! Reading: the first file, then a look at the rest up to the archive's end.

use super::super::{BUFFER, Decoding, damaged, integrity};
use super::{DEFLATED, ENCRYPTED, SIZES_FOLLOW, STORED, ZIP64, signature};
use crate::{Code, Error, Result};
use flate2::bufread::DeflateDecoder;
use std::io::{self, BufRead, BufReader, Read, Take};

/// Decompresses the one file of a zip archive. A second file, encryption and methods other than "stored" and
/// "deflated" are [`Code::Unsupported`]; an archive without its end is [`Code::Integrity`].
pub fn reader<R: Read>(input: R) -> Result<Decoding<impl Read>> {
    let entry = Entry::new(BufReader::with_capacity(BUFFER, input)).map_err(|e| integrity("zip", e))?;
    Ok(Decoding::new("zip", entry))
}

/// The file's data.
struct Entry<R> {
    data: Data<R>,
    sizes: Sizes,
    /// Where the sizes are known before the data, what they are.
    expected: Option<(u32, Sizes)>,
    zip64: bool,
    crc: crc32fast::Hasher,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Sizes {
    packed: u64,
    unpacked: u64,
}

enum Data<R> {
    Stored(Take<BufReader<R>>),
    Deflated(DeflateDecoder<BufReader<R>>),
    /// The data and all that follows it are read and right.
    Ended,
}

impl<R: Read> Entry<R> {
    fn new(mut input: BufReader<R>) -> io::Result<Self> {
        match u32_of(&mut input)? {
            signature::LOCAL => {}
            signature::END | signature::CENTRAL | signature::ZIP64_END => {
                return Err(unsupported("the zip archive holds no file"));
            }
            _ => return Err(bad("it does not begin as a zip archive")),
        }
        let _version = u16_of(&mut input)?;
        let (flags, method) = (u16_of(&mut input)?, u16_of(&mut input)?);
        let _time = u32_of(&mut input)?;
        let crc = u32_of(&mut input)?;
        let (packed, unpacked) = (u32_of(&mut input)?, u32_of(&mut input)?);
        let (name_len, extra_len) = (u16_of(&mut input)?, u16_of(&mut input)?);
        let name = take(&mut input, name_len)?;
        let extra = take(&mut input, extra_len)?;
        let mut sizes = Sizes { packed: packed.into(), unpacked: unpacked.into() };
        let zip64 = zip64_field(&extra);
        if let Some(mut field) = zip64 {
            // Only those that do not fit above are here, in this order.
            if unpacked == u32::MAX {
                sizes.unpacked = u64_of(&mut field)?;
            }
            if packed == u32::MAX {
                sizes.packed = u64_of(&mut field)?;
            }
        }
        if flags & ENCRYPTED != 0 {
            return Err(unsupported("the zip archive is encrypted with a password"));
        }
        if name.ends_with(b"/") {
            return Err(unsupported("the zip archive holds folders, not one backup file"));
        }
        let expected = (flags & SIZES_FOLLOW == 0).then_some((crc, sizes));
        let zip64 = zip64.is_some();
        let data = match (method, expected) {
            (STORED, Some(_)) => Data::Stored(input.take(sizes.packed)),
            (STORED, None) => {
                return Err(unsupported("the zip archive does not say how long its stored file is"));
            }
            (DEFLATED, _) => Data::Deflated(DeflateDecoder::new(input)),
            (other, _) => {
                return Err(unsupported(&format!("the zip archive uses compression method {other}")));
            }
        };
        Ok(Entry { data, sizes: Sizes::default(), expected, zip64, crc: crc32fast::Hasher::new() })
    }

    /// Checks the data against its CRC and sizes, then goes on to the end of the archive.
    fn end(&mut self) -> io::Result<()> {
        let mut input = match std::mem::replace(&mut self.data, Data::Ended) {
            Data::Stored(take) => {
                self.sizes.packed = self.sizes.unpacked;
                take.into_inner()
            }
            Data::Deflated(decoder) => {
                self.sizes.packed = decoder.total_in();
                decoder.into_inner()
            }
            Data::Ended => return Ok(()),
        };
        let found = (self.crc.clone().finalize(), self.sizes);
        let expected = match self.expected {
            Some(expected) => expected,
            None => descriptor(&mut input, self.zip64, self.sizes)?,
        };
        if found != expected {
            return Err(bad("checksum or size of its file do not match"));
        }
        rest(&mut input)
    }
}

impl<R: Read> Read for Entry<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let n = match &mut self.data {
            Data::Stored(data) => data.read(out)?,
            Data::Deflated(data) => data.read(out)?,
            Data::Ended => return Ok(0),
        };
        self.crc.update(out.get(..n).unwrap_or_default());
        self.sizes.unpacked += n as u64;
        if n == 0 {
            self.end()?;
        }
        Ok(n)
    }
}

/// CRC and sizes behind the data (APPNOTE 4.3.9): with or without a signature, the sizes of 32 or 64 bits. What they
/// should be tells which; where both readings fit, the local header decides.
fn descriptor(input: &mut impl BufRead, zip64: bool, found: Sizes) -> io::Result<(u32, Sizes)> {
    let first = u32_of(input)?;
    let crc = if first == signature::DESCRIPTOR { u32_of(input)? } else { first };
    let words = (u32_of(input)?, u32_of(input)?);
    let narrow = Sizes { packed: words.0.into(), unpacked: words.1.into() };
    let packed = u64::from(words.0) | u64::from(words.1) << 32;
    if found == narrow && !(zip64 && found.packed == packed) {
        return Ok((crc, narrow));
    }
    Ok((crc, Sizes { packed, unpacked: u64_of(input)? }))
}

/// What follows the file: the central directory and its end, and nothing else.
fn rest(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        match u32_of(input)? {
            signature::CENTRAL => {
                let fixed = take(input, 42)?;
                let mut lengths = fixed.get(24..30).unwrap_or_default();
                for _ in 0..3 {
                    let length = u16_of(&mut lengths)?;
                    take(input, length)?;
                }
            }
            signature::ZIP64_END => {
                let length = u64_of(input)?;
                if io::copy(&mut input.by_ref().take(length), &mut io::sink())? < length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            signature::ZIP64_LOCATOR => drop(take(input, 16)?),
            signature::END => {
                let fixed = take(input, 18)?;
                let length = u16_of(&mut fixed.get(16..).unwrap_or_default())?;
                take(input, length)?;
                return match input.fill_buf()? {
                    [] => Ok(()),
                    _ => Err(bad("something else follows its end")),
                };
            }
            signature::LOCAL => return Err(unsupported("the zip archive holds more than one file")),
            _ => return Err(bad("its directory is broken")),
        }
    }
}

/// The extra field with 64-bit sizes, where there is one.
fn zip64_field(mut extra: &[u8]) -> Option<&[u8]> {
    while let Some(([id0, id1, len0, len1], rest)) = extra.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes([*len0, *len1]));
        let (field, rest) = rest.split_at_checked(length)?;
        if u16::from_le_bytes([*id0, *id1]) == ZIP64 {
            return Some(field);
        }
        extra = rest;
    }
    None
}

fn bad(cause: &str) -> io::Error {
    damaged("zip", cause).into()
}

fn unsupported(what: &str) -> io::Error {
    Error::new(Code::Unsupported, what).hint("unpack it with unzip and give the backup file in it").into()
}

fn array<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn u16_of(input: &mut impl Read) -> io::Result<u16> {
    array(input).map(u16::from_le_bytes)
}

fn u32_of(input: &mut impl Read) -> io::Result<u32> {
    array(input).map(u32::from_le_bytes)
}

fn u64_of(input: &mut impl Read) -> io::Result<u64> {
    array(input).map(u64::from_le_bytes)
}

fn take(input: &mut impl Read, length: u16) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length.into()];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}
