//! Tar layouts: writing archives in one pass and extracting them safely.
//!
//! Owns what a member looks like, MANIFEST.ini, and the order of a site archive (docs/formats.md).
//! Knows nothing of where bytes come from or go.

/// One member of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path inside the archive, any bytes but NUL, `/`-separated, no leading `/`, no trailing `/`.
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
}

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file of `size` bytes.
    File {
        /// Size in bytes as `stat` told it.
        size: u64,
    },
    /// A folder.
    Directory,
    /// A symbolic link to any bytes.
    Symlink(Vec<u8>),
    /// Another name of a file that is already in the archive, by its path there.
    Hardlink(Vec<u8>),
}
