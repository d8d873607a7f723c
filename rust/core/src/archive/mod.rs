//! Tar layouts: writing archives in one pass, reading them, and extracting them safely.
//!
//! Owns what a member looks like, MANIFEST.ini, and the order of a site archive (docs/formats.md).
//! Knows nothing of where bytes come from or go.
//!
//! [`Writer`] writes GNU tar (members of any size, name and owner; sparse files), which GNU tar, bsdtar and
//! the PEAR Archive_Tar inside Drupal 7 read. [`Reader`] reads that and whatever those and POSIX `pax` write;
//! [`Extractor`] puts members into folders and cannot be made to write anywhere else.

mod attributes;
pub(crate) mod beneath;
mod extract;
mod extras;
mod field;
mod gaps;
mod header;
mod later;
mod layout;
mod manifest;
pub mod outline;
mod owners;
mod pax;
mod pending;
mod place;
mod read;
mod sparse;
#[cfg(test)]
mod tests;
mod write;

pub use extract::{ExtractOptions, ExtractReport, Extractor};
pub use extras::{Attribute, Extras};
pub use gaps::Without;
pub use layout::{Layout, Part, Site, Survey};
pub use manifest::{Manifest, SiteFacts};
pub use owners::Owners;
pub(crate) use place::refuse_misplaced;
pub use place::{Place, within_limits};
pub use read::{Input, Member, Reader};
pub use sparse::{Segment, plan as plan_segments};
pub use write::{Appended, Writer};

/// Everything in a tar file is a multiple of this many bytes.
const BLOCK: usize = 512;

/// One member of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path inside the archive, any bytes but NUL, `/`-separated, no leading `/`, no trailing `/`.
    /// Empty for the folder that everything lies in (`./` in the tar).
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits (07777).
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Modification time, seconds since 1970 (may be negative).
    pub mtime: i64,
    /// Its fraction, access control lists, extended attributes.
    pub extras: Extras,
}

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file of `size` bytes.
    File {
        /// Size in bytes as `stat` told it.
        size: u64,
    },
    /// A regular file with holes. Its body is the bytes of `data`, one segment after the other.
    Sparse {
        /// Size in bytes as `stat` told it, holes included.
        size: u64,
        /// What is not a hole: in order, not overlapping; all but the last are multiples of 512 bytes.
        data: Vec<Segment>,
    },
    /// A folder.
    Directory,
    /// A symbolic link to any bytes.
    Symlink(Vec<u8>),
    /// Another name of a file that is already in the archive, by its path there.
    Hardlink(Vec<u8>),
    /// A device, a fifo or a type of member we do not know, by its tar type flag. Read, never written.
    Special(u8),
}

impl EntryKind {
    /// What it is called in what is told of an archive's members.
    pub fn name(&self) -> &'static str {
        match self {
            EntryKind::File { .. } | EntryKind::Sparse { .. } => "file",
            EntryKind::Directory => "directory",
            EntryKind::Symlink(_) => "symlink",
            EntryKind::Hardlink(_) => "hardlink",
            EntryKind::Special(_) => "special",
        }
    }

    /// Where a link leads.
    pub fn target(&self) -> Option<&[u8]> {
        match self {
            EntryKind::Symlink(target) | EntryKind::Hardlink(target) => Some(target),
            _ => None,
        }
    }

    /// The size of the file that this member becomes; 0 for what is no file.
    pub fn size(&self) -> u64 {
        match self {
            EntryKind::File { size } | EntryKind::Sparse { size, .. } => *size,
            _ => 0,
        }
    }

    /// How many bytes of it the archive holds.
    pub fn body_len(&self) -> u64 {
        match self {
            EntryKind::File { size } => *size,
            EntryKind::Sparse { data, .. } => data.iter().map(|s| s.len).sum(),
            _ => 0,
        }
    }
}

/// A path as people can read it: valid UTF-8 as it is; control characters, other bytes and backslashes escaped, so that
/// [`unshow`] finds it again.
pub fn show(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || c == '\\' { text.extend(c.escape_default()) } else { text.push(c) }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    if text.is_empty() { ".".into() } else { text }
}

/// The path that [`show`] shows so; `None` where it shows none so, and where that is the text itself.
pub fn unshow(text: &[u8]) -> Option<Vec<u8>> {
    let mut path = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        if *first != b'\\' {
            path.push(*first);
            rest = after;
            continue;
        }
        let (kind, after) = after.split_first()?;
        let hex = |digits: &[u8]| {
            let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
            u32::from_str_radix(digits, 16).ok()
        };
        rest = after;
        match kind {
            b'\\' => path.push(b'\\'),
            b'n' => path.push(b'\n'),
            b't' => path.push(b'\t'),
            b'r' => path.push(b'\r'),
            b'x' => {
                path.push(u8::try_from(hex(after.get(..2)?)?).ok()?);
                rest = after.get(2..)?;
            }
            b'u' => {
                let end = after.iter().position(|byte| *byte == b'}')?;
                let c = char::from_u32(hex(after.get(..end)?.strip_prefix(b"{")?)?)?;
                path.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = after.get(end + 1..)?;
            }
            _ => return None,
        }
    }
    (path != text).then_some(path)
}

#[cfg(test)]
mod shown {
    use super::*;

    #[test]
    fn what_is_shown_is_found_again() {
        for path in [
            &b"a/b"[..],
            b"a\nb\t\r",
            b"\xff\xfe/\x7f",
            b"back\\slash\\n",
            "\u{85}\u{fc}".as_bytes(),
            b"\x01\0",
        ] {
            let shown = show(path);
            assert!(!shown.chars().any(char::is_control));
            assert_eq!(unshow(shown.as_bytes()).as_deref().unwrap_or(path), path, "{shown}");
        }
        for other in [&b"plain"[..], br"a\q", br"\x1", br"\x+1", br"\u{+41}", br"\u{110000}", b"end\\"] {
            assert_eq!(unshow(other), None);
        }
    }
}
