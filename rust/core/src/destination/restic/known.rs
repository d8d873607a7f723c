//! What this machine remembers of a repository, so that nobody has to open it for that: how large it was, and what the last
//! look at its structure found.

use super::{Repository, remembered};
use crate::destination::snapshots::{Checked, Known};
use crate::look;
use crate::regular;
use crate::{Code, Error, Monitor, Result, ResultExt, entries, whole_file};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// After this time a server that refused to delete is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(7 * 86_400);
/// How many small files are remembered; those read first are forgotten.
const SMALL: usize = 100;
/// More than what is remembered is.
const MOST: u64 = 1 << 20;

impl Repository {
    pub(super) fn what_is_known(&self) -> Known {
        let mut known = self.recalled();
        if let Some(size) = self.access.local.as_deref().and_then(|folder| size_of(folder).ok()) {
            (known.size, known.size_time) = (Some(size), None);
        }
        known
    }

    /// Whether the last look found it damaged.
    pub(super) fn was_damaged(&self) -> bool {
        self.recalled().check.is_some_and(|look| !look.ok)
    }

    fn recalled(&self) -> Known {
        let read = || -> Option<Known> {
            let mut text = Vec::new();
            regular::open(self.known.as_ref()?).ok()?.take(MOST).read_to_end(&mut text).ok()?;
            serde_json::from_slice(&text).ok()
        };
        read().unwrap_or_default()
    }

    /// Remembers what a look found, and how large the repository is where only it can tell.
    pub(super) fn remember_look(&self, sample: Option<f64>, found: &Result<()>, monitor: &Monitor) {
        let Some(file) = &self.known else { return };
        let error = match found {
            Ok(()) => None,
            Err(error) if error.code() == Code::Integrity => Some(error.message().to_owned()),
            // It was not looked at.
            Err(_) => return,
        };
        let time = jiff::Timestamp::now().as_second();
        let mut known = self.recalled();
        let now = Checked { time, sample, ok: error.is_none(), error };
        if known.check.as_ref().is_none_or(|before| now.tells_more_than(before)) {
            known.check = Some(now);
        }
        if self.access.local.is_none()
            && let Ok(size) = self.measured(monitor)
        {
            (known.size, known.size_time) = (Some(size), Some(time));
        }
        // Without it `status` tells less, and that is all.
        let _ = whole_file::write(file, true, |out| {
            let text = serde_json::to_vec(&known).map_err(|cause| {
                Error::new(Code::Internal, "what is known of a repository cannot be written").because(cause)
            })?;
            out.write_all(&text).at("cannot write", file)
        });
    }

    /// Whether its server refused to delete, not long ago: restic tries for most of a minute before it says so.
    pub(super) fn is_refusing(&self) -> bool {
        let is_new = |file: &PathBuf| {
            let changed = fs::metadata(file).and_then(|found| found.modified());
            changed.is_ok_and(|time| time.elapsed().is_ok_and(|age| age < ASK_AGAIN))
        };
        self.refused.load(Relaxed) || self.refusal.as_ref().is_some_and(is_new)
    }

    /// Remembers whether its server refuses to delete.
    pub(super) fn remember_refusal(&self, done: &Result<()>) {
        let refused = match done {
            Ok(()) => false,
            Err(error) if error.code() == Code::Permission => true,
            Err(_) => return,
        };
        self.refused.store(refused, Relaxed);
        if let Some(file) = &self.refusal {
            // What cannot be remembered is found out again.
            let _ = if refused { fs::write(file, "") } else { fs::remove_file(file) };
        }
    }

    /// What a snapshot's small file holds, by what is remembered of it or else by `read`.
    pub(super) fn remembering(
        &self,
        snapshot: &str,
        most: u64,
        read: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<Vec<u8>> {
        let known = self.small_file(snapshot).and_then(|(_, file)| remembered::read(&file, most));
        if let Some(known) = known {
            return Ok(known);
        }
        let found = read()?;
        self.keep_small(snapshot, &found);
        Ok(found)
    }

    /// The folder of small files, and the one of a snapshot.
    fn small_file(&self, snapshot: &str) -> Option<(&PathBuf, PathBuf)> {
        let folder = self.small.as_ref().filter(|_| super::listing::is_whole(snapshot))?;
        Some((folder, folder.join(snapshot)))
    }

    /// Remembers a snapshot's small file. Without it the next look takes longer, and that is all.
    pub(super) fn keep_small(&self, snapshot: &str, content: &[u8]) {
        let Some((folder, file)) = self.small_file(snapshot) else { return };
        let _ = make_room(folder).and_then(|()| remembered::write(&file, content));
    }

    /// Bytes that its snapshots take there.
    fn measured(&self, monitor: &Monitor) -> Result<u64> {
        monitor.check()?;
        let told =
            self.call(["stats", "--mode", "raw-data", "--json", "--no-lock"], self.access.silence())?;
        let told: Option<Value> = serde_json::from_slice(&told).ok();
        told.and_then(|told| told["total_size"].as_u64())
            .ok_or_else(|| Error::new(Code::Destination, "restic does not tell how large the repository is"))
    }
}

/// Makes room for one more small file.
fn make_room(folder: &Path) -> Result<()> {
    private_folder(folder)?;
    let mut old = Vec::new();
    for name in entries::names(folder)? {
        let path = folder.join(name?);
        old.push((fs::symlink_metadata(&path)?.modified()?, path));
    }
    old.sort();
    for (_, path) in old.iter().take((old.len() + 1).saturating_sub(SMALL)) {
        fs::remove_file(path)?;
    }
    Ok(())
}

/// A folder that nobody else may look into.
fn private_folder(folder: &Path) -> Result<()> {
    look::make_folders(folder, 0o700, "cannot make the folder")
}

/// Bytes of the files below a folder.
pub(super) fn size_of(folder: &Path) -> std::io::Result<u64> {
    let (mut bytes, mut folders) = (0u64, vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for name in entries::names(&folder)? {
            let path = folder.join(name?);
            match fs::symlink_metadata(&path) {
                Ok(found) if found.is_dir() => folders.push(path),
                Ok(found) if found.is_file() => bytes = bytes.saturating_add(found.len()),
                // One that goes meanwhile takes no room.
                _ => {}
            }
        }
    }
    Ok(bytes)
}
