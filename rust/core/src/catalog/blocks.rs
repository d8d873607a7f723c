//! Checksums of a backup's blocks, so that a part of a copy can be compared without reading all of it.
//!
//! At most [`MOST`] blocks, whatever the size: when there would be more, each two neighbours become one of twice the
//! size, whose CRC-32 follows from theirs. They find accidental damage; against intent there is the MAC.

use crc32fast::Hasher;
use std::fmt;

/// Bytes of a block at the beginning.
const SMALLEST: u64 = 1 << 20;
/// How many blocks there may be; even.
const MOST: usize = 128;

/// The CRC-32 of every block of a file; the last may be shorter.
#[derive(Debug, Clone)]
pub struct Blocks {
    size: u64,
    sums: Vec<u32>,
    open: Hasher,
    filled: u64,
}

impl Default for Blocks {
    fn default() -> Self {
        Blocks { size: SMALLEST, sums: Vec::new(), open: Hasher::new(), filled: 0 }
    }
}

impl Blocks {
    /// Takes the next bytes of the file in.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = usize::try_from(self.size - self.filled).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.open.update(now);
            self.filled += now.len() as u64;
            if self.filled == self.size {
                self.close();
            }
            bytes = later;
        }
    }

    fn close(&mut self) {
        self.sums.push(std::mem::take(&mut self.open).finalize());
        self.filled = 0;
        if self.sums.len() < MOST {
            return;
        }
        let part = |sum: u32| Hasher::new_with_initial_len(sum, self.size);
        let joined = self.sums.chunks(2).filter_map(|pair| {
            let mut sum = part(*pair.first()?);
            sum.combine(&part(*pair.get(1)?));
            Some(sum.finalize())
        });
        self.sums = joined.collect();
        self.size *= 2;
    }

    /// The file is at its end.
    pub fn finish(mut self) -> Blocks {
        if self.filled > 0 {
            self.sums.push(std::mem::take(&mut self.open).finalize());
            self.filled = 0;
        }
        self
    }

    /// Bytes of a block.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The sum of each block.
    pub fn sums(&self) -> &[u32] {
        &self.sums
    }

    /// From what `Display` wrote.
    pub fn parse(text: &str) -> Option<Blocks> {
        let mut words = text.split_ascii_whitespace();
        let size = words.next()?.parse().ok().filter(|size| *size > 0)?;
        // A number may have a sign in front, a sum not.
        let sums = words.map(|hex| u32::from_str_radix(hex, 16).ok().filter(|_| !hex.starts_with('+')));
        let sums = sums.collect::<Option<_>>()?;
        Some(Blocks { size, sums, ..Blocks::default() })
    }
}

impl fmt::Display for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.size)?;
        self.sums.iter().try_for_each(|sum| write!(f, " {sum:08x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_grow_with_the_file_and_sum_what_they_cover() {
        for size in [0usize, 1, 1 << 20, (1 << 20) + 1, 127 << 20, 128 << 20, (128 << 20) + 5, 300 << 20] {
            let piece: Vec<u8> = (0..1_000_003u32).map(|at| (at % 251) as u8).collect();
            let mut whole = piece.repeat(size / piece.len() + 1);
            whole.truncate(size);
            let mut blocks = Blocks::default();
            whole.chunks(700_001).for_each(|chunk| blocks.update(chunk));
            let blocks = blocks.finish();
            assert!(blocks.sums().len() <= MOST, "{size}");
            let expected: Vec<u32> =
                whole.chunks(usize::try_from(blocks.size()).expect("small")).map(crc32fast::hash).collect();
            assert_eq!(blocks.sums(), expected, "{size}");
            let again = Blocks::parse(&blocks.to_string()).expect("our own");
            assert_eq!((again.size(), again.sums()), (blocks.size(), blocks.sums()));
        }
        assert!(
            ["", "0 1", "5 x", "5 +1", "5 -1", "5 100000000"]
                .iter()
                .all(|text| Blocks::parse(text).is_none())
        );
    }
}
