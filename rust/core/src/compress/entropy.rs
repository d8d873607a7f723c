//! Finds the stretches of a block that are not worth compressing: JPEG, video, archives, encrypted data.

use std::ops::Range;

/// Decisions are made for pieces of this size, small enough that a tar header between two pictures is still
/// compressed.
const SEGMENT: usize = 4096;
/// A stretch shorter than this is not stored by itself: beginning a new member costs about 100 bytes.
const SHORTEST: usize = 2 * SEGMENT;
/// One byte in so many is looked at: not a divisor of the widths that numbers, pixels and characters have, so that
/// the low bytes of a table of numbers do not pass for the whole.
const STEP: usize = 5;
/// One segment of a stored stretch in so many is searched for repetitions.
const PROBE_EVERY: usize = 16;

/// Cuts `block` into stretches, in order and without gaps; true where deflate would gain next to nothing. Depends
/// on the bytes alone.
pub fn stretches(block: &[u8]) -> Vec<(Range<usize>, bool)> {
    let mut found: Vec<(Range<usize>, bool)> = Vec::new();
    for (i, segment) in block.chunks(SEGMENT).enumerate() {
        let range = i * SEGMENT..i * SEGMENT + segment.len();
        let flat = is_flat(segment);
        match found.last_mut() {
            Some((last, same)) if *same == flat => last.end = range.end,
            _ => found.push((range, flat)),
        }
    }
    let mut merged: Vec<(Range<usize>, bool)> = Vec::new();
    for (range, flat) in found {
        let stored =
            flat && range.len() >= SHORTEST && !repeats(block.get(range.clone()).unwrap_or_default());
        match merged.last_mut() {
            Some((last, same)) if *same == stored => last.end = range.end,
            _ => merged.push((range, stored)),
        }
    }
    merged
}

/// Whether all byte values are about as frequent as in random bytes. Measured by how often two of the sampled bytes
/// are equal: 1/256 for random bytes, at most 1.2/256 in segments of JPEG, PNG, WOFF2, zip and zstd files, 4/256 in
/// base64, 15/256 in text. The limit of 1.25/256 is nine standard deviations from random.
fn is_flat(segment: &[u8]) -> bool {
    let mut counts = [0u32; 256];
    for &byte in segment.iter().step_by(STEP) {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let n = u64::from(counts.iter().sum::<u32>());
    let equal_pairs: u64 = counts.iter().map(|&c| u64::from(c) * u64::from(c.saturating_sub(1))).sum();
    // Too few samples say nothing: such a rest is compressed.
    n >= 64 && equal_pairs * 256 * 4 < n * (n - 1) * 5
}

/// Whether a flat stretch repeats itself within a segment (counters, tables of all byte values), which deflate
/// makes use of and counting does not see.
fn repeats(stretch: &[u8]) -> bool {
    stretch.chunks(SEGMENT).step_by(PROBE_EVERY).any(|segment| {
        let mut seen = [0u32; 4096];
        let mut matches = 0;
        for window in segment.windows(4) {
            let Some(&bytes) = window.first_chunk::<4>() else { continue };
            let word = u32::from_le_bytes(bytes);
            // Fibonacci hashing, to 12 bits.
            if let Some(last) = seen.get_mut((word.wrapping_mul(0x9e37_79b1) >> 20) as usize) {
                matches += usize::from(*last == word);
                *last = word;
            }
        }
        matches * 50 > segment.len()
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{noise, pictures, prose};
    use super::*;

    fn stored(data: &[u8]) -> usize {
        let stretches = stretches(data);
        assert_eq!(stretches.first().map_or(0, |s| s.0.start), 0);
        assert_eq!(stretches.last().map_or(0, |s| s.0.end), data.len());
        assert!(stretches.windows(2).all(|w| w[0].0.end == w[1].0.start && w[0].1 != w[1].1));
        stretches.into_iter().filter(|s| s.1).map(|s| s.0.len()).sum()
    }

    #[test]
    fn noise_is_stored_and_text_is_not() {
        assert_eq!(stored(&noise(1 << 20)), 1 << 20);
        assert_eq!(stored(&prose(1 << 20)), 0);
        let photos = stored(&pictures(4 << 20)) * 100 / (4 << 20);
        assert!((95..100).contains(&photos), "{photos} % of pictures");
        assert_eq!(stored(&[]), 0);
        assert_eq!(stored(&noise(100)), 0);
        let base64: Vec<u8> = noise(1 << 18).iter().map(|b| b'0' + b % 64).collect();
        assert_eq!(stored(&base64), 0);
    }

    #[test]
    fn what_is_flat_but_repeats_is_compressed() {
        let table: Vec<u8> = (0..1 << 18).map(|i| i as u8).collect();
        assert_eq!(stored(&table), 0);
        let numbers: Vec<u8> =
            (0..1u32 << 16).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        assert_eq!(stored(&numbers), 1 << 18, "these do not compress");
        let counter: Vec<u8> = (0..1u32 << 16).flat_map(u32::to_le_bytes).collect();
        assert_eq!(stored(&counter), 0);
    }

    #[test]
    fn a_header_between_pictures_is_still_compressed() {
        let mut data = noise(100_000);
        data.extend([0; 1024]);
        data.extend(noise(100_000));
        let kept = stored(&data);
        assert!((180_000..200_000).contains(&kept), "{kept}");
    }
}
