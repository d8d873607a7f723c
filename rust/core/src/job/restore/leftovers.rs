//! What a restore could not remove when it was over: a folder of another owner, an immutable file, a database that a
//! server does not let go. Nobody misses it, so it fails nothing; it is named, remembered in the state folder, and tried
//! again by every later run.

use super::erase::erase;
use crate::config::Document;
use crate::job::{lock, site};
use crate::regular;
use crate::source::database::Replacement;
use crate::{Error, Monitor, NoteKind, Result};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const FILE: &str = "leftovers.json";

/// Something that is in nobody's way but takes up room.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Leftover {
    /// A folder, with `.bam-` in its name.
    Folder(OsString),
    /// The machine name of a database in the document, and what is left of its replacement.
    Database(String, Box<Replacement>),
    /// The site could not be taken out of the maintenance mode that a restore had put it into.
    Maintenance,
}

/// Removes all of it; gives what stays. Each is named in a note.
pub fn clear(all: Vec<Leftover>, document: &Document, monitor: &Monitor) -> Vec<Leftover> {
    let mut stay = Vec::new();
    for leftover in all {
        let why = match &leftover {
            Leftover::Folder(path) => erase(Path::new(path)).map(|remains| {
                format!(
                    "what was there before, {}, could not be removed: {}",
                    Path::new(path).display(),
                    remains.told()
                )
            }),
            // A cancel that comes while cleaning must not leave anything behind, hence the monitor of its own.
            Leftover::Database(name, replacement) => document
                .connection(name)
                .and_then(|connection| replacement.clean(&connection, &Monitor::new()))
                .err()
                .map(|error| format!("what was in the database before could not be removed: {error}")),
            Leftover::Maintenance => site::repair(document, &Monitor::new())
                .err()
                .map(|error| format!("the site may still be in maintenance mode: {error}")),
        };
        if let Some(why) = why {
            let (kind, rest) = match leftover {
                // Visitors stand before a closed door.
                Leftover::Maintenance => (NoteKind::Missing, "look at it; the next run tries again"),
                _ => (NoteKind::Warning, "it is in nobody's way, and is tried again later"),
            };
            monitor.note(kind, format!("{why}; {rest}"));
            stay.push(leftover);
        }
    }
    stay
}

/// Adds to what later runs try again.
pub fn remember(state_dir: &Path, more: Vec<Leftover>) -> Result<()> {
    if more.is_empty() {
        return Ok(());
    }
    let mut all = read(state_dir)?;
    all.extend(more);
    write(state_dir, &all)
}

/// Tries again what earlier restores could not remove. The site's lock must be held.
pub fn retry(document: &Document, state_dir: &Path, monitor: &Monitor) -> Result<()> {
    let all = read(state_dir)?;
    let before = all.len();
    if before == 0 {
        return Ok(());
    }
    let stay = clear(all, document, monitor);
    if stay.len() < before { write(state_dir, &stay) } else { Ok(()) }
}

/// The folders that are remembered: no part of the site, so no backup has them.
pub fn folders(state_dir: &Path) -> Vec<PathBuf> {
    let all = read(state_dir).unwrap_or_default().into_iter();
    all.filter_map(|it| match it {
        Leftover::Folder(path) => Some(PathBuf::from(path)),
        Leftover::Database(..) | Leftover::Maintenance => None,
    })
    .collect()
}

fn read(state_dir: &Path) -> Result<Vec<Leftover>> {
    let path = state_dir.join(FILE);
    let all: Vec<Leftover> = match regular::read(&path) {
        // What cannot be read any more is not worth failing for; the notes have named it.
        Ok(text) => serde_json::from_slice(&text).unwrap_or_default(),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Vec::new(),
        Err(cause) => return Err(Error::io("cannot read", &path, cause)),
    };
    // Nothing else is ever removed, whatever the file says.
    let ours = |it: &Leftover| match it {
        Leftover::Folder(path) => {
            let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with('.') && name.contains(".bam-")
        }
        Leftover::Database(..) | Leftover::Maintenance => true,
    };
    Ok(all.into_iter().filter(ours).collect())
}

fn write(state_dir: &Path, all: &[Leftover]) -> Result<()> {
    let path = state_dir.join(FILE);
    if all.is_empty() {
        return match fs::remove_file(&path) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => {
                Err(Error::io("cannot remove", &path, cause))
            }
            _ => Ok(()),
        };
    }
    let text = serde_json::to_vec_pretty(all).unwrap_or_default();
    lock::write_state(&path, &text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::restore::swap::testing::{tree, write};

    #[test]
    fn what_stays_is_tried_again_and_nothing_else_is_ever_removed() {
        let dir = tempfile::tempdir().expect("a folder");
        let (old, site) = (dir.path().join(".files.bam-old-7"), dir.path().join("files"));
        write(&old.join("a"), "old");
        write(&site.join("a"), "live");
        let document = Document { state_dir: Some(dir.path().join("state")), ..Document::default() };
        let state_dir = lock::state_dir(&document).expect("a folder");
        let (file, monitor) = (state_dir.join(FILE), Monitor::new());
        remember(&state_dir, Vec::new()).expect("nothing to remember");
        retry(&document, &state_dir, &monitor).expect("nothing to try");
        assert!(!file.exists());
        // Once by one restore, then by another.
        for path in [&old, &site] {
            remember(&state_dir, vec![Leftover::Folder(path.into())]).expect("remembered");
        }
        assert_eq!(folders(&state_dir), [old], "a folder that is not ours is none");
        retry(&document, &state_dir, &monitor).expect("tried");
        assert!(!file.exists(), "all of it is done");
        assert_eq!(tree(dir.path()), ["files/a=live"]);
        write(&file, "{ damaged");
        retry(&document, &state_dir, &monitor).expect("no reason to fail");
    }
}
