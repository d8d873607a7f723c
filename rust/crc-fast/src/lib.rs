//! CRC-32C for opendal, in the place of the crate `crc-fast`: the part of its interface that opendal calls.
//!
//! That crate has tables for some hundred checksums, of which opendal wants one. A linker can't tell and keeps them all (650 KB),
//! and its functions for C come out of every library that it is linked into, `libbam.so` too, under names that are not bam's.

/// The checksums that opendal asks for.
pub enum CrcAlgorithm {
    /// CRC-32C as in iSCSI (RFC 3720, appendix B.4) and in S3's `x-amz-checksum-crc32c`.
    Crc32Iscsi,
}

/// A checksum of bytes that come in pieces.
pub struct Digest(u32);

impl Digest {
    /// Begins with no bytes.
    pub fn new(algorithm: CrcAlgorithm) -> Self {
        match algorithm {
            CrcAlgorithm::Crc32Iscsi => Self(0),
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0 = crc32c::crc32c_append(self.0, bytes);
    }

    /// The checksum of all bytes until now, in the lower half.
    pub fn finalize(&self) -> u64 {
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720, appendix B.4: the bytes there are in the order of iSCSI's wire, least significant first.
    #[test]
    fn checksums_are_those_of_rfc_3720() {
        let of = |pieces: &[&[u8]]| {
            let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
            pieces.iter().for_each(|piece| digest.update(piece));
            digest.finalize()
        };
        let rising: Vec<u8> = (0..32).collect();
        assert_eq!(of(&[]), 0);
        assert_eq!(of(&[&[0; 32]]), 0x8a91_36aa);
        assert_eq!(of(&[&[0xff; 32]]), 0x62a8_ab43);
        assert_eq!(of(&[&rising]), 0x46dd_794e);
        assert_eq!(of(&[&rising[..7], &rising[7..]]), 0x46dd_794e);
    }
}
