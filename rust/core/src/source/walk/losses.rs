//! What did not go as planned on a walk, and what is said of it.

use crate::archive::show;
use crate::source::unread::{Unread, not_read};
use crate::{Error, Monitor, NoteKind, Result};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Counts of what did not go as planned.
#[derive(Debug, Default)]
pub struct Losses {
    pub vanished: u64,
    pub skipped: u64,
    pub missing: u64,
    /// Paths below the base of what is missing or could not be read to its end.
    pub unread: Unread,
    pub bare: Bare,
}

impl Losses {
    /// Counts something that is not in the backup although it is there.
    pub fn miss(&mut self, path: &[u8]) {
        self.missing += 1;
        self.unread.add(path);
    }
}

/// Files and folders that are kept without their attributes, which could not be read: how many, and the first of them.
#[derive(Debug, Default)]
pub struct Bare {
    count: u64,
    first: Option<(Vec<u8>, Errno)>,
}

impl Bare {
    /// One more.
    pub fn add(&mut self, path: &[u8], cause: Errno) {
        self.count += 1;
        self.first.get_or_insert_with(|| (path.to_vec(), cause));
    }

    /// Those of another part of the same walk.
    pub fn and(self, other: Bare) -> Bare {
        Bare { count: self.count + other.count, first: self.first.or(other.first) }
    }

    /// Says in one note what is missing, however many there are: on a file system that lists none it is all of them. Their number.
    pub fn tell(&self, monitor: &Monitor) -> u64 {
        let Some((path, cause)) = &self.first else { return 0 };
        let path = if path.is_empty() { ".".into() } else { show(path) };
        let of = match self.count {
            1 => path,
            count => format!("{count} files and folders ({path} for one)"),
        };
        let text = format!(
            "access control lists and extended attributes of {of} could not be read: {cause}; they are kept without"
        );
        monitor.note(NoteKind::Missing, text);
        self.count
    }
}

/// What is said of something that was found behind a link whose maker may not read it.
pub fn withheld(path: &[u8]) -> String {
    format!("{} lies behind a link whose owner may not read it: left out", show(path))
}

/// Something that was listed cannot be opened. What is gone, or has become something else, is a warning; all else an
/// error, or with `ignore_errors` a note that it is missing.
pub fn lost(
    path: &[u8],
    cause: Errno,
    base: &Path,
    ignore_errors: bool,
    monitor: &Monitor,
    losses: &mut Losses,
) -> Result<()> {
    if matches!(cause, Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) {
        let text = format!("{} vanished while the backup was made", show(path));
        monitor.note(NoteKind::Warning, text);
        losses.vanished += 1;
        return Ok(());
    }
    if ignore_errors {
        monitor.note(NoteKind::Missing, format!("{} could not be read: {cause}", show(path)));
        losses.miss(path);
        return Ok(());
    }
    let absolute = base.join(OsStr::from_bytes(path));
    Err(not_read(Error::io("cannot read", &absolute, cause.into())))
}
