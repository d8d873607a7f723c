//! Zip (PKWARE APPNOTE 6.3) with one file in it, as Backup and Migrate has it: read and written from front to back, of
//! any size. The `zip` crate does neither: it reads no streams whose sizes follow the data.

mod decode;
mod encode;

pub use decode::reader;
pub use encode::encoder;

/// Signatures of the records: as little-endian numbers.
mod signature {
    pub const LOCAL: u32 = 0x0403_4b50;
    pub const DESCRIPTOR: u32 = 0x0807_4b50;
    pub const CENTRAL: u32 = 0x0201_4b50;
    pub const ZIP64_END: u32 = 0x0606_4b50;
    pub const ZIP64_LOCATOR: u32 = 0x0706_4b50;
    pub const END: u32 = 0x0605_4b50;
}
/// Flag bit 0: the data is encrypted.
const ENCRYPTED: u16 = 1;
/// Flag bit 3: CRC and sizes follow the data.
const SIZES_FOLLOW: u16 = 1 << 3;
/// Flag bit 11: the name is UTF-8.
const UTF8: u16 = 1 << 11;
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// The extra field with sizes of 64 bits.
const ZIP64: u16 = 1;

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
