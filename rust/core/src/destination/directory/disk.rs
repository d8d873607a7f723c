//! Small operations on the disk that a folder of backups needs.

use crate::config::document;
use crate::{Code, Error, Result, ResultExt, accounts};
use rustix::fs::{CWD, FlockOperation, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

/// The permissions of files, where the settings say.
pub(in crate::destination) fn mode_of(id: &str, config: &document::Destination) -> Result<Option<Mode>> {
    let Some(chmod) = &config.chmod else { return Ok(None) };
    parse_mode(chmod).map(Some).ok_or_else(|| {
        Error::new(Code::Config, format!("destination {id}: chmod {chmod:?} is no octal permission"))
            .hint("write it as \"0640\"; the owner must be able to read and write")
    })
}

/// `"0640"` and `"640"`; refuses what the owner could not read and write, and special bits.
pub(super) fn parse_mode(text: &str) -> Option<Mode> {
    let mode = u32::from_str_radix(text.strip_prefix("0o").unwrap_or(text), 8).ok()?;
    (mode & 0o600 == 0o600 && mode & !0o666 == 0).then(|| Mode::from_raw_mode(mode))
}

/// Makes the folders of `rest` in `above` for its owner, one from within the other: that one may move them meanwhile, and
/// nothing else than what was made here is given away.
pub(super) fn make_for(above: &Path, rest: &Path, owner: &fs::Metadata) -> io::Result<File> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut folder = rustix::fs::openat(CWD, above, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    for name in rest {
        let made = match rustix::fs::mkdirat(&folder, name, Mode::RWXU) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(cause) => return Err(cause.into()),
        };
        let next = rustix::fs::openat(&folder, name, flags, Mode::empty())?;
        if made {
            let (user, group) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
            rustix::fs::fchown(&next, Some(user), Some(group))?;
        }
        folder = next;
    }
    Ok(File::from(folder))
}

/// The number of a group, by number or by any name the system knows.
pub(super) fn look_up_group(group: &str) -> Result<Gid> {
    let number = group.parse().ok().or_else(|| accounts::gid(group));
    number.map(Gid::from_raw).ok_or_else(|| {
        Error::new(Code::Config, format!("there is no group named {group:?}"))
            .hint("correct chgrp in the destination's settings")
    })
}

/// When a file was last changed; `None` where there is none.
pub(super) fn changed(path: &Path) -> Result<Option<SystemTime>> {
    match fs::symlink_metadata(path).and_then(|found| found.modified()) {
        Ok(time) => Ok(Some(time)),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(Error::io("cannot look at", path, cause)),
    }
}

pub(super) fn is_there(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(Error::io("cannot look at", path, cause)),
    }
}

/// Whether there was something to remove.
pub(super) fn remove_if_there(path: &Path) -> Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(Error::io("cannot remove", path, cause)),
    }
}

/// The text of a sidecar. What is not UTF-8 is replaced: the file is not ours then, but can still be listed.
pub(super) fn read_text(path: &Path, most: u64) -> Result<Option<String>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match rustix::fs::openat(CWD, path, flags, Mode::empty()) {
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::LOOP) => return Ok(None),
        opened => File::from(opened.at("cannot open", path)?),
    };
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).at("cannot read", path)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Locks a part against other runs; file systems without locks do without.
pub(super) fn flock(file: &File) -> rustix::io::Result<()> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::NOLCK | rustix::io::Errno::NOTSUP | rustix::io::Errno::NOSYS) => Ok(()),
        other => other,
    }
}

/// Locks an existing part; `None` while another run is writing it.
pub(super) fn lock_part(path: &Path) -> Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::openat(CWD, path, flags, Mode::empty()).at("cannot open", path)?);
    match flock(&file) {
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        locked => locked.at("cannot lock", path).map(|()| Some(file)),
    }
}
