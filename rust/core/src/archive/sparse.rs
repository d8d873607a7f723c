//! Files with holes: which parts are worth leaving out, and GNU tar's maps of them.
//!
//! Old GNU format ("Storing Sparse Files", GNU tar manual D.1.1): type `S`, four map entries in the header, 21
//! in each extension block that follows it. PEAR's Archive_Tar cannot read such members, which is one reason
//! to use them only where holes are large.

use super::{BLOCK, field};
use crate::{Code, Error, Result};

/// A stretch of a sparse file that holds data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins in the file.
    pub offset: u64,
    /// How many bytes it has.
    pub len: u64,
}

impl Segment {
    fn end(&self) -> u64 {
        self.offset.saturating_add(self.len)
    }
}

/// Holes smaller than this are archived as the NULs they read as.
const MIN_HOLE: u64 = 64 * 1024;

/// The longest map we write or read: 2 MiB of memory.
const MAX_SEGMENTS: usize = 128 * 1024;

/// Map entries in the main header and in an extension block.
const IN_HEADER: usize = 4;
const IN_EXTENSION: usize = 21;

/// Turns the data stretches of a file of `size` bytes (in order, as SEEK_DATA finds them) into the segments to
/// archive: small holes filled, edges on block boundaries. `None` when no hole is worth it.
pub fn plan(size: u64, data: impl IntoIterator<Item = Segment>) -> Option<Vec<Segment>> {
    let mut min_hole = MIN_HOLE;
    let mut kept: Vec<Segment> = Vec::new();
    for found in data {
        let start = found.offset / BLOCK as u64 * BLOCK as u64;
        let end = found.end().checked_next_multiple_of(BLOCK as u64).unwrap_or(u64::MAX).min(size);
        if start >= end {
            continue;
        }
        push(&mut kept, Segment { offset: start, len: end - start }, min_hole);
        while kept.len() >= MAX_SEGMENTS {
            min_hole = min_hole.saturating_mul(4);
            for segment in std::mem::take(&mut kept) {
                push(&mut kept, segment, min_hole);
            }
        }
    }
    let archived: u64 = kept.iter().map(|s| s.len).sum();
    (size.saturating_sub(archived) >= MIN_HOLE).then_some(kept)
}

/// Appends `next`, joined to the segment before it when the hole between them is small.
fn push(kept: &mut Vec<Segment>, next: Segment, min_hole: u64) {
    match kept.last_mut() {
        Some(last) if next.offset.saturating_sub(last.end()) < min_hole => {
            last.len = next.end().saturating_sub(last.offset);
        }
        None if next.offset < min_hole => kept.push(Segment { offset: 0, len: next.end() }),
        _ => kept.push(next),
    }
}

/// Fills the map of a GNU header and returns the extension blocks that follow it.
pub fn encode(header: &mut tar::GnuHeader, size: u64, data: &[Segment]) -> Vec<u8> {
    // An empty segment at the end tells readers where a last hole ends.
    let tail = (data.last().map_or(0, Segment::end) < size).then_some(Segment { offset: size, len: 0 });
    let all: Vec<Segment> = data.iter().copied().chain(tail).collect();
    let (first, rest) = all.split_at(all.len().min(IN_HEADER));
    write_map(&mut header.sparse, first);
    field::write(&mut header.realsize, size.cast_signed());
    header.set_is_extended(!rest.is_empty());
    let mut blocks = Vec::new();
    let mut chunks = rest.chunks(IN_EXTENSION).peekable();
    while let Some(chunk) = chunks.next() {
        let mut block = tar::GnuExtSparseHeader::new();
        write_map(block.sparse_mut(), chunk);
        block.set_is_extended(chunks.peek().is_some());
        blocks.extend_from_slice(block.as_bytes());
    }
    blocks
}

fn write_map(slots: &mut [tar::GnuSparseHeader], segments: &[Segment]) {
    for (slot, segment) in slots.iter_mut().zip(segments) {
        field::write(&mut slot.offset, segment.offset.cast_signed());
        field::write(&mut slot.numbytes, segment.len.cast_signed());
    }
}

/// Collects the map of a sparse member while it is read, refusing what makes no sense.
#[derive(Debug, Default)]
pub struct Map {
    data: Vec<Segment>,
    end: u64,
}

impl Map {
    /// Adds the entries of one header or extension block; an unused one begins with NUL.
    pub fn add_slots(&mut self, slots: &[tar::GnuSparseHeader]) -> Result<()> {
        for slot in slots.iter().take_while(|slot| slot.offset.first() != Some(&0)) {
            let offset = field::parse_unsigned(&slot.offset);
            let len = field::parse_unsigned(&slot.numbytes);
            self.add(offset.ok_or_else(damaged)?, len.ok_or_else(damaged)?)?;
        }
        Ok(())
    }

    /// Adds one segment.
    pub fn add(&mut self, offset: u64, len: u64) -> Result<()> {
        let aligned = self.data.last().is_none_or(|last| last.len % BLOCK as u64 == 0);
        if offset < self.end || (len > 0 && !aligned) {
            return Err(damaged());
        }
        self.end = offset.checked_add(len).ok_or_else(damaged)?;
        if len > 0 {
            if self.data.len() >= MAX_SEGMENTS {
                return Err(Error::new(
                    Code::Unsupported,
                    format!("a sparse file has more than {MAX_SEGMENTS} segments"),
                )
                .hint("extract this archive with GNU tar"));
            }
            self.data.push(Segment { offset, len });
        }
        Ok(())
    }

    /// The segments of a file of `size` bytes of which the archive holds `archived`.
    pub fn finish(self, size: u64, archived: u64) -> Result<Vec<Segment>> {
        let sum = self.data.iter().try_fold(0u64, |sum, s| sum.checked_add(s.len));
        if self.end > size || sum != Some(archived) {
            return Err(damaged());
        }
        Ok(self.data)
    }
}

fn damaged() -> Error {
    Error::new(Code::Integrity, "the map of a sparse file is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seg(offset: u64, len: u64) -> Segment {
        Segment { offset, len }
    }

    #[test]
    fn small_holes_are_filled_and_edges_fall_on_blocks() {
        let hole = MIN_HOLE * 2;
        assert_eq!(plan(1 << 20, [seg(0, 1 << 20)]), None);
        assert_eq!(plan(1 << 20, [seg(0, 1000), seg(4096, (1 << 20) - 4096)]), None);
        assert_eq!(plan(1 << 20, []), Some(vec![]), "nothing but a hole");
        assert_eq!(
            plan(hole * 3, [seg(1000, 100), seg(hole + 700, 10), seg(hole + 5000, 1)]),
            Some(vec![seg(0, 1536), seg(hole + 512, 5120 - 512)])
        );
        let ragged = hole * 2 + 77;
        assert_eq!(plan(ragged, [seg(hole * 2, 77)]), Some(vec![seg(hole * 2, 77)]), "ends with the file");
    }

    #[test]
    fn a_hole_counts_from_its_least_size_on() {
        let file = 1 << 20;
        let beginning = |at| plan(file, [seg(at, file - at)]);
        assert_eq!(beginning(MIN_HOLE - 512), None, "a small hole in front is filled");
        assert_eq!(beginning(MIN_HOLE), Some(vec![seg(MIN_HOLE, file - MIN_HOLE)]));
        let middle = |hole| plan(file, [seg(0, 512), seg(512 + hole, file - 512 - hole)]);
        assert_eq!(middle(MIN_HOLE - 512), None);
        assert_eq!(middle(MIN_HOLE), Some(vec![seg(0, 512), seg(512 + MIN_HOLE, file - 512 - MIN_HOLE)]));
        assert_eq!(plan(file, [seg(0, file - MIN_HOLE)]), Some(vec![seg(0, file - MIN_HOLE)]), "behind");
        assert_eq!(plan(file, [seg(0, file - MIN_HOLE + 1)]), None);
        assert_eq!(plan(file, [seg(0, file), seg(file, 10), seg(file + 4096, 10)]), None, "it shrank");
    }

    #[test]
    fn a_map_never_outgrows_its_bound() {
        let step = MIN_HOLE + 512;
        let many = (0..MAX_SEGMENTS as u64 * 3).map(|i| seg(i * step, 512));
        let kept = plan(MAX_SEGMENTS as u64 * 3 * step * 9, many).unwrap();
        assert!(kept.len() < MAX_SEGMENTS && !kept.is_empty());
    }

    #[test]
    fn overlapping_and_overflowing_maps_are_refused() {
        let map = |list: &[(u64, u64)], size, archived| {
            let mut map = Map::default();
            list.iter().try_for_each(|(o, l)| map.add(*o, *l)).and_then(|()| map.finish(size, archived))
        };
        assert!(map(&[(0, 512), (1024, 5), (4096, 0)], 4096, 517).is_ok());
        for (list, size, archived) in [
            (&[(0, 512), (256, 512)][..], 4096, 1024),
            (&[(0, 100), (512, 100)], 4096, 200),
            (&[(u64::MAX, 2)], u64::MAX, 2),
            (&[(0, 512)], 100, 512),
            (&[(0, 512)], 4096, 511),
        ] {
            assert_eq!(map(list, size, archived).unwrap_err().code(), Code::Integrity, "{list:?}");
        }
    }

    #[test]
    fn a_hole_at_the_end_may_follow_data_that_ends_anywhere() {
        let mut map = Map::default();
        map.add(0, 100).expect("data");
        map.add(1000, 0).expect("the hole's end");
        assert!(map.add(1024, 1).is_err(), "data begins on a block");
        assert_eq!(plan(MIN_HOLE * 4, [seg(MIN_HOLE * 4, 0)]), Some(vec![]), "no data is no segment");
    }
}
