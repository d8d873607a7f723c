//! The index of an archive: what is in it and where, so that looking into one, or taking a file out of it, reads little
//! (docs/formats.md).
//!
//! It lies at the end of the compressed data, beside it ([`crate::compress::aside`]): a line, the pieces that the data was
//! compressed in, each with its SHA-256, and the tar's outline ([`crate::archive::outline`]), compressed. Offsets are those
//! before encryption, so it is still right when the backup is encrypted anew. The sidecar says where it is and what its
//! SHA-256 is, and the MAC proves that: so whatever is read by it is proven, and nothing is said of the rest.
//!
//! Behind it, with a claim of its own, stands where in the dump the rows of each table are (`tables`): of a backup that is a
//! dump alone the outline is empty.

mod make;
mod parts;
mod read;
mod section;
pub(crate) mod tables;

pub use make::Making;
pub use parts::{Clear, Parts};
pub use read::Index;
pub use tables::write as write_tables;

use crate::catalog::{digest_of_hex, hex};
use std::fmt;

/// How an index begins; then a random number, how many pieces there are, and a line feed.
const MAGIC: &str = "bam-index 1";
/// Bytes of a piece in it: its length, packed and unpacked (4 bytes each, big-endian), and its SHA-256.
const PIECE: usize = 40;

/// What a sidecar says of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Where it begins, before encryption: right behind the compressed data.
    pub offset: u64,
    /// Its length.
    pub length: u64,
    /// SHA-256 of it.
    pub sha256: [u8; 32],
}

impl Claim {
    /// As its `Display` writes it.
    pub fn parse(text: &str) -> Option<Claim> {
        let mut words = text.split(' ');
        let (offset, length) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let sha256 = digest_of_hex(words.next()?.as_bytes())?;
        let claim = Claim { offset, length, sha256 };
        (words.next().is_none() && claim.to_string() == text).then_some(claim)
    }

    /// Where it ends, which is where the whole file does before encryption.
    pub fn end(&self) -> Option<u64> {
        self.offset.checked_add(self.length)
    }
}

/// All that a sidecar says of it.
#[derive(Debug, Clone, Copy)]
pub struct Claims {
    /// The index.
    pub index: Claim,
    /// Where the rows of the dump's tables stand, if that was noted.
    pub tables: Option<Claim>,
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.offset, self.length, hex(&self.sha256))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_read_back_and_nothing_else_is() {
        let claim = Claim { offset: 5, length: u64::MAX, sha256: [0xab; 32] };
        let text = claim.to_string();
        assert_eq!(Claim::parse(&text), Some(claim));
        assert_eq!(claim.end(), None);
        let long = format!("{text} x");
        let odd = format!("+{text}");
        for wrong in ["", "5", "5 6", "5 6 ab", &long, &odd, &text.to_uppercase(), &text.replace("ab", "é")]
        {
            assert_eq!(Claim::parse(wrong), None, "{wrong}");
        }
    }
}
