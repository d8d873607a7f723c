//! Reading something but for some stretches of it.

use super::Input;
use crate::{Code, Error};
use std::io::{self, Read};
use std::ops::Range;

/// Reads an input without its gaps.
pub struct Without<I> {
    input: I,
    at: u64,
    gaps: std::vec::IntoIter<Range<u64>>,
    /// The next gap, or the one that this is in.
    gap: Option<Range<u64>>,
    /// The input was told how much is wanted before the gap.
    told: bool,
}

impl<I: Input> Without<I> {
    /// `input` stands at its start; `gaps` follow one another.
    pub fn new(input: I, gaps: Vec<Range<u64>>) -> Self {
        let mut gaps = gaps.into_iter();
        let gap = gaps.next();
        Without { input, at: 0, gaps, gap, told: false }
    }

    /// Goes behind the gap that the input stands at.
    fn pass(&mut self, end: u64) -> io::Result<()> {
        self.at += self.input.skip(end - self.at)?;
        let left = end.saturating_sub(self.at);
        if io::copy(&mut (&mut self.input).take(left), &mut io::sink())? < left {
            let text = "what the index says of its tables does not fit the dump";
            return Err(Error::new(Code::Integrity, text).hint("use another copy of this backup").into());
        }
        self.at = end;
        self.gap = self.gaps.next();
        self.told = false;
        Ok(())
    }
}

impl<I: Input> Read for Without<I> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while let Some(gap) = self.gap.clone().filter(|gap| gap.start <= self.at) {
            self.pass(gap.end.max(self.at))?;
        }
        let mut most = out.len();
        if let Some(gap) = &self.gap {
            let before = gap.start - self.at;
            most = usize::try_from(before).unwrap_or(usize::MAX).min(most);
            if !std::mem::replace(&mut self.told, true) {
                self.input.want(before);
            }
        }
        let got = self.input.read(out.get_mut(..most).unwrap_or_default())?;
        self.at += got as u64;
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Digits, and how many of them may be passed over at once.
    struct Digits(io::Cursor<Vec<u8>>, u64);

    impl Read for Digits {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.0.read(out)
        }
    }

    impl Input for Digits {
        fn skip(&mut self, bytes: u64) -> io::Result<u64> {
            let bytes = bytes.min(self.1);
            self.0.set_position(self.0.position() + bytes);
            Ok(bytes)
        }
    }

    #[test]
    #[allow(clippy::single_range_in_vec_init, reason = "one gap is a list of gaps")]
    fn gaps_are_passed_over() {
        let read = |gaps: &[Range<u64>], skips| {
            let mut text = String::new();
            let digits = Digits(io::Cursor::new(b"0123456789".to_vec()), skips);
            Without::new(digits, gaps.to_vec()).read_to_string(&mut text).map(|_| text)
        };
        for skips in [0, 1, 100] {
            assert_eq!(read(&[], skips).unwrap(), "0123456789");
            assert_eq!(read(&[0..2, 2..3, 5..6, 9..10], skips).unwrap(), "34678");
            assert_eq!(read(&[0..10], skips).unwrap(), "");
        }
        assert!(read(&[8..12], 0).is_err());
    }
}
