//! Owner, mode and time of what is extracted.

/// What a member gets from its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) mode: u32,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    /// `None` for folders that the archive does not mention.
    pub(super) mtime: Option<(i64, u32)>,
}
