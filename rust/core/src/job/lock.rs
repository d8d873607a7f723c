//! One run at a time for each site, and the folder where that run keeps its state.
//!
//! `flock(2)`: the kernel lets go of it however the run ends, so there are no stale locks.

use super::state::{self, Home};
use super::{memory, state_format};
use crate::config::Document;
use crate::look;
use crate::regular;
use crate::{Code, Error, Result, ResultExt};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The held lock; dropping it lets go.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    path: PathBuf,
}

/// The locks that this process holds.
static HELD: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn held() -> MutexGuard<'static, Vec<PathBuf>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Lock {
    fn drop(&mut self) {
        held().retain(|path| *path != self.path);
    }
}

/// The folder of this user's state for the document's site, made where it is missing: see [`state`].
pub fn state_dir(document: &Document) -> Result<PathBuf> {
    let own = Home::of(document)?.own;
    check_format(&own)?;
    Ok(own)
}

/// The folder that no backup and no restore of the site may touch: this user's state, with what is shared with others. A
/// path without links.
pub fn state_place(state_dir: &Path) -> Result<PathBuf> {
    look::real_as_far(&state::place_of(state_dir)?)
}

fn check_format(state_dir: &Path) -> Result<()> {
    // Damaged, it says nothing; what it speaks of has checks of its own.
    let told = memory::read(&state_dir.join(state_format::FILE)).unwrap_or_default();
    state_format::check(state_dir, &told)
}

/// Removes a state folder that nothing is left in but the lock.
pub fn discard(state_dir: &Path) {
    let Ok(held) = crate::entries::names(state_dir).map(Iterator::count) else { return };
    if held == 1 {
        let _ = fs::remove_file(state_dir.join(state::LOCK));
    }
    let _ = fs::remove_dir(state_dir);
}

/// Replaces a state file in one step; on disk when this returns. For those to read who may enter the folder.
pub fn write_state(path: &Path, text: &[u8]) -> Result<()> {
    let part = part_of(path);
    let write = || {
        // Opening a named pipe waits for somebody who reads.
        if fs::symlink_metadata(&part).is_ok_and(|found| !found.is_file()) {
            fs::remove_file(&part)?;
        }
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        file.write_all(text)?;
        file.set_permissions(Permissions::from_mode(0o640))?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    write().at("cannot write", path)
}

/// What a state file is called until it is whole.
pub fn part_of(path: &Path) -> PathBuf {
    path.with_extension("part")
}

/// Takes the site's lock, or fails at once with [`Code::Locked`] naming the run that holds it.
pub fn acquire(document: &Document) -> Result<Lock> {
    let Home { own, lock: path, .. } = Home::of(document)?;
    check_format(&own)?;
    let mut file = loop {
        let file = open_lock(&path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let holder = regular::read_to_string(&path).unwrap_or_default();
                let holder = holder.trim();
                let who = if holder.is_empty() { String::new() } else { format!(" ({holder})") };
                return Err(Error::new(Code::Locked, format!("another run of bam works on this site{who}"))
                    .hint("wait for it to end and run this again"));
            }
            Err(cause) => return Err(Error::io("cannot lock", &path, cause.into())),
        }
        // Whoever had it may have removed it with its folder: then it locks nobody out.
        let ours = file.metadata().at("cannot look at", &path)?;
        match fs::symlink_metadata(&path) {
            Ok(there) if there.ino() == ours.ino() && there.dev() == ours.dev() => break file,
            _ => {}
        }
    };
    // For the message above only; where the file belongs to another user there is no name.
    if file.set_len(0).is_ok() {
        let _ = write!(file, "process {}", std::process::id());
    }
    held().push(path.clone());
    Ok(Lock { _file: file, path })
}

/// Whether this process holds the site's lock.
pub fn is_ours(document: &Document) -> bool {
    Home::of(document).is_ok_and(|home| held().contains(&home.lock))
}

/// The run that holds the site's lock now, as [`acquire`] names it; `None`: nobody does.
pub fn holder(document: &Document) -> Result<Option<String>> {
    let path = Home::of(document)?.lock;
    match flock(&open_lock(&path)?, FlockOperation::NonBlockingLockShared) {
        Err(Errno::WOULDBLOCK) => {
            Ok(Some(regular::read_to_string(&path).unwrap_or_default().trim().to_owned()))
        }
        _ => Ok(None),
    }
}

fn open_lock(path: &Path) -> Result<File> {
    let mode = Mode::from_raw_mode(0o660);
    let flags = OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    // Without O_CREAT first: Linux refuses it for other people's files in sticky folders (fs.protected_regular).
    for flags in [flags | OFlags::RDWR, flags | OFlags::RDONLY] {
        if let Ok(file) = open(path, flags, mode) {
            return Ok(File::from(file));
        }
    }
    let made = open(path, flags | OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, mode);
    let found = made.or_else(|why| match why {
        // Somebody else created it between the tries; or it is closed to us, and opening it says so.
        Errno::EXIST => open(path, flags | OFlags::RDONLY, mode),
        why => Err(why),
    });
    match found {
        Ok(file) => Ok(File::from(file)),
        Err(Errno::LOOP) => {
            Err(Error::of_path(Code::Permission, path, "is a link, where bam keeps its lock")
                .hint("find out who put it there, and remove it"))
        }
        Err(Errno::ACCESS) => Err(Error::io("cannot open the lock", path, Errno::ACCESS.into())
            .hint("run this as the user who owns it, or give it to the user who runs this")),
        Err(cause) => Err(Error::io("cannot open the lock", path, cause.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_run_is_refused_until_the_first_ends() {
        let dir = tempfile::tempdir().expect("a folder");
        let document = Document { state_dir: Some(dir.path().join("state")), ..Document::default() };
        let first = acquire(&document).expect("locked");
        let refused = acquire(&document).expect_err("held");
        assert_eq!(refused.code(), Code::Locked);
        assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
        assert!(is_ours(&document));
        drop(first);
        assert!(!is_ours(&document));
        acquire(&document).expect("free again");
    }
}
