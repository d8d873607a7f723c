//! Which copies lie on disks that were taken away, and on which disk each: `status` counts them by that.
//!
//! `exports.json` in the state folder: `{FILE: [{"path", "time", "id", "host", "disk"}]}`. `disk` is the file system's
//! label, UUID or source; `host` the machine that it counts as: this one where the file system is one that the site or a
//! destination lies on too, else the disk, or what the user named it.

use crate::catalog::Backup;
use crate::config::Document;
use crate::destination::{Destination as _, Directory};
use crate::job::{lock, memory, places};
use crate::{Code, Error, Monitor, NoteKind, Result, entries, look, mounts};
use serde_json::{Map, Value, json};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const STATE: &str = "exports.json";

/// Where an exported copy lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The file.
    pub path: PathBuf,
    /// The machine that it counts as.
    pub host: String,
}

/// The file system that a path lies on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Its label, UUID or source.
    pub name: String,
    /// Whether the site or a destination lies on it, too.
    pub is_ours: bool,
}

impl Disk {
    /// The file system of a path that exists and is open to us.
    pub fn of(document: &Document, path: &Path) -> Result<Option<Disk>> {
        let Some(found) = look::if_open(look::follow(path))? else { return Ok(None) };
        let device = found.dev();
        let mut ours = vec![PathBuf::from("/"), document.site.root.clone()];
        ours.extend(places::local_folders(document));
        ours.extend(lock::state_dir(document).ok());
        // What does not answer may lie on this one, too.
        let is_ours = ours.iter().any(|path| {
            look::if_open(look::follow(path)).map_or(true, |found| found.is_some_and(|it| it.dev() == device))
        });
        Ok(Some(Disk { name: name_of(device)?, is_ours }))
    }

    /// The machine that it counts as, unless the user names another.
    pub fn host(&self) -> String {
        match self.is_ours {
            true => Directory::new("export", Path::new("/")).host(),
            false => format!("disk {}", self.name),
        }
    }
}

/// What udev calls the device, else what is mounted (`server:/share`), else its number.
fn name_of(device: u64) -> Result<String> {
    for folder in ["/dev/disk/by-label", "/dev/disk/by-uuid"] {
        for path in entries::paths(Path::new(folder))? {
            if look::follow(&path)?.is_some_and(|found| found.rdev() == device) {
                return Ok(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
            }
        }
    }
    let number = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let source = mounts::source(&number)?.filter(|source| source.contains(['/', ':']));
    Ok(source.unwrap_or(number))
}

/// All that is remembered.
pub fn known(state_dir: &Path) -> Result<Map<String, Value>> {
    memory::read_shared(state_dir, STATE)
}

/// The exported copies of a backup that are there, or on a disk that is not mounted now, by what is `known`. One that does
/// not answer is told of, and not counted.
pub fn of(
    document: &Document,
    known: &Map<String, Value>,
    backup: &Backup,
    monitor: &Monitor,
) -> Vec<Exported> {
    let mut found = Vec::new();
    for entry in known.get(&*backup.file).and_then(Value::as_array).into_iter().flatten() {
        let Some(path) = entry["path"].as_str().map(PathBuf::from) else { continue };
        // Another backup of that name, since.
        if entry["id"].as_u64().is_some_and(|id| id != backup.id.0) {
            continue;
        }
        let told = entry["disk"].as_str();
        let find = || -> Result<_> {
            let now = path.parent().map(|folder| Disk::of(document, folder)).transpose()?.flatten();
            let at_hand = now.as_ref().is_some_and(|now| told.is_none_or(|told| now.name == told));
            // Where its disk is at hand, the file is there or it is no copy.
            let is_copy = !at_hand || look::follow(&path)?.is_some_and(|found| found.len() == backup.size);
            Ok((now, at_hand, is_copy))
        };
        let (now, at_hand) = match find() {
            Ok((now, at_hand, true)) => (now, at_hand),
            Ok(_) => continue,
            Err(error) => {
                monitor.note(NoteKind::Missing, format!("an exported copy does not count: {error}"));
                continue;
            }
        };
        let host = match (entry["host"].as_str(), now) {
            (Some(host), _) => host.to_owned(),
            (None, Some(now)) if at_hand => now.host(),
            (None, _) => "a disk that was taken away".into(),
        };
        found.push(Exported { path, host });
    }
    found
}

/// Remembers a copy.
pub fn remember(
    state_dir: &Path,
    backup: &Backup,
    path: &Path,
    disk: Option<&Disk>,
    host: &str,
) -> Result<()> {
    let mut all = memory::read(&state_dir.join(STATE))?;
    let entry = json!({
        "path": fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()),
        "time": jiff::Timestamp::now().as_second(),
        "id": backup.id,
        "host": host,
        "disk": disk.map(|disk| disk.name.as_str()),
    });
    if let Some(entries) = all.entry(&*backup.file).or_insert_with(|| json!([])).as_array_mut() {
        // The same place on another disk is another copy.
        entries.retain(|old| old["path"] != entry["path"] || old["disk"] != entry["disk"]);
        entries.push(entry);
    }
    memory::write(&state_dir.join(STATE), &all)
}

/// Forgets copies: of a backup (its ID or file name), below a path, or on a machine or disk of that name; both where two
/// are given. The forgotten ones. [`Code::NotFound`] where nothing fits.
pub fn forget(document: &Document, what: &str, below: Option<&Path>) -> Result<Value> {
    let state_dir = lock::state_dir(document)?;
    let all = memory::read(&state_dir.join(STATE))?;
    let absolute = |path: &Path| {
        fs::canonicalize(path).or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
    };
    let path = absolute(Path::new(what));
    let (mut kept, mut forgotten) = (Map::new(), Vec::new());
    for (file, entries) in all {
        let mut left = Vec::new();
        for entry in entries.as_array().cloned().unwrap_or_default() {
            let at = PathBuf::from(entry["path"].as_str().unwrap_or_default());
            let named = what == file
                || what.parse().is_ok_and(|id: u64| entry["id"] == id)
                || at.starts_with(&path)
                || ["host", "disk"].iter().any(|key| entry[*key].as_str() == Some(what));
            if named && below.is_none_or(|below| at.starts_with(absolute(below))) {
                forgotten.push(json!({"file": file, "path": at, "host": entry["host"]}));
            } else {
                left.push(entry);
            }
        }
        if !left.is_empty() {
            kept.insert(file, left.into());
        }
    }
    if forgotten.is_empty() {
        let known: Vec<String> = (kept.values().filter_map(Value::as_array).flatten())
            .filter_map(|entry| entry["path"].as_str().map(str::to_owned))
            .collect();
        let error = Error::new(Code::NotFound, format!("no exported copy is known of {what}"));
        return Err(match known.is_empty() {
            true => error.hint("no exported copies are known at all"),
            false => error.hint(format!("known are: {}", known.join(", "))),
        });
    }
    memory::write(&state_dir.join(STATE), &kept)?;
    Ok(json!({ "forgotten": forgotten }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_the_same_file_system_is_no_machine_of_its_own() {
        let dir = tempfile::tempdir().expect("a folder");
        let document = Document { state_dir: Some(dir.path().join("state")), ..Document::default() };
        let disk = Disk::of(&document, dir.path()).expect("looked").expect("a disk");
        assert!(disk.is_ours);
        assert_eq!(disk.host(), Directory::new("x", dir.path()).host());
        assert_eq!(Disk::of(&document, &dir.path().join("none")).expect("looked"), None);
    }
}
