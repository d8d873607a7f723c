//! One run at a time for each site, and the folder where that run keeps its state.
//!
//! `flock(2)`: the kernel lets go of it however the run ends, so there are no stale locks.

use crate::catalog::hex;
use crate::config::Document;
use crate::{Code, Error, Result, ResultExt};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The held lock; dropping it lets go.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// The state folder of the document's site: `state_dir`, else `/var/lib/bam/SITE` where that can be made, else
/// `/var/tmp/bam-UID-SITE`. Created 0700. SITE is a hash of the docroot and `conf_path`.
pub fn state_dir(document: &Document) -> Result<PathBuf> {
    let site = site_hash(document);
    if let Some(dir) = &document.state_dir {
        create_private(dir)?;
        return Ok(dir.clone());
    }
    let shared = Path::new("/var/lib/bam").join(&site);
    if create_private(&shared).is_ok() && rustix::fs::access(&shared, rustix::fs::Access::WRITE_OK).is_ok() {
        return Ok(shared);
    }
    let own = PathBuf::from(format!("/var/tmp/bam-{}-{site}", rustix::process::geteuid().as_raw()));
    create_private(&own)?;
    Ok(own)
}

/// What a state file holds; nothing where there is none.
pub fn read_state(path: &Path) -> Result<Map<String, Value>> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map_err(|cause| {
            Error::new(Code::Integrity, format!("{} is damaged", path.display()))
                .because(cause)
                .hint("remove it: it only holds what bam remembers of its last runs")
        }),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(Map::new()),
        Err(cause) => Err(Error::io("cannot read", path, cause)),
    }
}

/// Replaces a state file in one step; on disk when this returns. 0600.
pub fn write_state(path: &Path, text: &[u8]) -> Result<()> {
    let part = part_of(path);
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        file.write_all(text)?;
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

fn create_private(dir: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).at("cannot create the state folder", dir)?;
    let found = fs::symlink_metadata(dir).at("cannot look at the state folder", dir)?;
    let us = rustix::process::geteuid().as_raw();
    if !found.is_dir() || (found.uid() != us && us != 0 && found.uid() != 0) {
        return Err(Error::new(
            Code::Permission,
            format!("the state folder {} belongs to somebody else", dir.display()),
        )
        .hint("remove it, or set state_dir in the configuration"));
    }
    Ok(())
}

fn site_hash(document: &Document) -> String {
    let root = fs::canonicalize(&document.site.root).unwrap_or_else(|_| document.site.root.clone());
    let mut hash = Sha256::new();
    hash.update(root.as_os_str().as_encoded_bytes());
    hash.update([0]);
    hash.update(document.site.conf_path.as_bytes());
    hex(hash.finalize().get(..8).unwrap_or_default())
}

/// Takes the site's lock, or fails at once with [`Code::Locked`] naming the run that holds it.
pub fn acquire(document: &Document) -> Result<Lock> {
    // Whoever runs it - root, the web server's user, cron - must meet the others here, so the file lies where each of
    // them can open it, and reading it is enough for flock.
    let path = match &document.state_dir {
        Some(_) => state_dir(document)?.join("lock"),
        None => std::env::temp_dir().join(format!("bam-{}.lock", site_hash(document))),
    };
    let mut file = open_lock(&path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let holder = fs::read_to_string(&path).unwrap_or_default();
            let holder = holder.trim();
            let who = if holder.is_empty() { String::new() } else { format!(" ({holder})") };
            return Err(Error::new(Code::Locked, format!("another run of bam works on this site{who}"))
                .hint("wait for it to end and run this again"));
        }
        Err(cause) => return Err(Error::io("cannot lock", &path, cause.into())),
    }
    // For the message above only; where the file belongs to another user there is no name.
    if file.set_len(0).is_ok() {
        let _ = write!(file, "process {}", std::process::id());
    }
    Ok(Lock { _file: file })
}

fn open_lock(path: &Path) -> Result<File> {
    let mode = Mode::from_raw_mode(0o644);
    let flags = OFlags::CLOEXEC | OFlags::NOFOLLOW;
    // Without O_CREAT first: Linux refuses it for other people's files in /tmp (fs.protected_regular).
    for flags in
        [flags | OFlags::RDWR, flags | OFlags::RDONLY, flags | OFlags::RDWR | OFlags::CREATE | OFlags::EXCL]
    {
        if let Ok(file) = open(path, flags, mode) {
            return Ok(File::from(file));
        }
    }
    // Somebody else may have created it between the tries.
    open(path, flags | OFlags::RDONLY, mode).map(File::from).at("cannot open the lock", path)
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
        drop(first);
        acquire(&document).expect("free again");
    }
}
