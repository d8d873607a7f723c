//! Bytes beside the data: in the extra fields of members that are empty, which every gunzip passes over.
//!
//! ```text
//! 1f 8b 08 04  00 00 00 00 00 ff   deflate, an extra field, no time, system unknown
//! length of the field: 2 bytes     'B' 'I'  length of what follows: 2 bytes
//! up to 8000 bytes
//! 03 00  00 00 00 00  00 00 00 00  no data, its CRC-32, its length
//! ```

use super::super::damaged;
use crate::Result;
use std::io::{self, Read, Write};

const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255];
const MARK: [u8; 2] = *b"BI";
/// Header, length of the field, mark, length of the content.
const HEAD: usize = HEADER.len() + 6;
/// An empty deflate block, CRC-32, length.
const TAIL: [u8; 10] = [3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// Content of one member. A field may have 64 KiB, but busybox keeps one whole in a buffer of 16.
const MOST: usize = 8_000;

/// Writes all that `content` gives; how many bytes that took.
pub fn write(content: &mut impl Read, out: &mut impl Write) -> Result<u64> {
    let mut bytes = 0;
    let mut member = Vec::with_capacity(HEAD + MOST + TAIL.len());
    loop {
        member.clear();
        member.extend_from_slice(&[0; HEAD]);
        let got = content.take(MOST as u64).read_to_end(&mut member)? as u16;
        if got == 0 {
            return Ok(bytes);
        }
        let head = [&HEADER[..], &(got + 4).to_le_bytes(), &MARK, &got.to_le_bytes()].concat();
        member.iter_mut().zip(head).for_each(|(to, from)| *to = from);
        member.extend_from_slice(&TAIL);
        out.write_all(&member)?;
        bytes += member.len() as u64;
    }
}

/// Reads back what [`write()`] wrote, and nothing else, up to the end of `input`.
pub struct Reader<R> {
    input: R,
    content: Vec<u8>,
    taken: usize,
}

impl<R: Read> Reader<R> {
    /// `input` begins with the first of these members.
    pub fn new(input: R) -> Self {
        Reader { input, content: Vec::new(), taken: 0 }
    }

    /// The content of the next member; empty at the end.
    fn next(&mut self) -> io::Result<()> {
        self.taken = 0;
        self.content.clear();
        if (&mut self.input).take(HEAD as u64).read_to_end(&mut self.content)? == 0 {
            return Ok(());
        }
        let bad = || damaged("gzip", "an index is not where it should be");
        let (field, length) = match self.content.strip_prefix(&HEADER) {
            Some([f0, f1, b'B', b'I', l0, l1]) => {
                (u16::from_le_bytes([*f0, *f1]), u16::from_le_bytes([*l0, *l1]))
            }
            _ => return Err(bad().into()),
        };
        let length = usize::from(length);
        if length == 0 || length > MOST || usize::from(field) != length + 4 {
            return Err(bad().into());
        }
        self.content.clear();
        let whole = length + TAIL.len();
        let got = (&mut self.input).take(whole as u64).read_to_end(&mut self.content)?;
        if got < whole || !self.content.ends_with(&TAIL) {
            return Err(bad().into());
        }
        self.content.truncate(length);
        Ok(())
    }
}

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.content.len() && !out.is_empty() {
            self.next()?;
        }
        let got = self.content.get(self.taken..).unwrap_or_default().read(out)?;
        self.taken += got;
        Ok(got)
    }
}
