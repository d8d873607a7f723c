//! Gzip (RFC 1952), written by many threads and read by any gunzip.
//!
//! The data is cut into blocks of 1 MiB, each compressed by itself into one or more members; members one after
//! another are a gzip file. A member's header carries its compressed length in the extra field `MZ` of MiGz
//! (LinkedIn, <https://github.com/linkedin/migz>), by which readers find the next member without decompressing this
//! one and so work in parallel, too. Stretches that do not compress ([`super::entropy`]) go as stored deflate
//! blocks straight from the caller's data.
//!
//! What is written depends on the data and the level alone, not on the number of threads or on how the data was
//! cut into `write` calls.

pub mod aside;
mod decode;
mod encode;

pub use decode::{reader, unpack_piece};
pub use encode::{Pieces, encoder};

/// `1f 8b`, deflate, extra field present, no time, "fastest or best" unsaid, system unknown, 8 bytes of extra
/// field: `MZ`, 4 bytes: the length of the deflate data, which follows, 32 bits little-endian.
const HEADER: [u8; 16] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 8, 0, b'M', b'Z', 4, 0];
/// With the length.
const HEADER_LEN: usize = HEADER.len() + 4;
/// CRC-32 and length of the uncompressed data, 32 bits little-endian each.
const TRAILER_LEN: usize = 8;

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
