//! What this site remembers of copies whose bytes were read and are not what was written, so that nothing counts on them
//! until they are verified as good, replaced, or gone.
//!
//! Kept in the state folder, `damaged.json`: `{"DESTINATION/FILE": {"time": 1795…, "size": 123, "mtime": 1795…, "sha256":
//! "…"}}`: when it was found, and which file it was, by what a listing shows of it. `"good": true` in place of the rest
//! says that this user found good since what root found damaged.

use super::{lock, memory};
use crate::catalog::{Copy, Listing, Sidecar, key};
use crate::config::Document;
use crate::destination::Destination;
use crate::{Error, Monitor, NoteKind, Result};
use serde_json::{Map, Value, json};

const FILE: &str = "damaged.json";

/// Copies that are remembered; those found first are forgotten.
const MOST: usize = 2000;

/// What is remembered.
pub struct Damaged(Map<String, Value>);

impl Damaged {
    /// What the site remembers; nothing where it has no memory yet, or one that cannot be read.
    pub fn of(document: &Document) -> Damaged {
        Damaged(Damaged::read(document).unwrap_or_default())
    }

    /// The same; that it cannot be read is told.
    pub fn told(document: &Document, monitor: &Monitor) -> Damaged {
        Damaged(Damaged::read(document).unwrap_or_else(|error| {
            let text = format!("which copies were found damaged cannot be told: {error}");
            monitor.note(NoteKind::Missing, text);
            Map::new()
        }))
    }

    fn read(document: &Document) -> Result<Map<String, Value>> {
        lock::state_dir(document).and_then(|dir| memory::read_shared(&dir, FILE))
    }

    /// Whether this copy of a backup was found damaged, and is still the one that was read.
    pub fn has(&self, file: &str, copy: &Copy) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let Some(known) = self.0.get(&name(&copy.place.destination, file)) else { return false };
        if known["good"] == true
            || known["size"].as_u64() != Some(copy.size)
            || known["mtime"].as_i64() != Some(copy.mtime)
        {
            return false;
        }
        // Of sidecars that a listing does not keep, or give back, nothing is known.
        let sidecar = copy.sidecar().ok().flatten();
        let told = sidecar.as_ref().and_then(|sidecar| sidecar.get(key::SHA256));
        told.is_none() || told == known["sha256"].as_str()
    }
}

/// Remembers that the copy at a place is damaged, where that is what an error says of it.
pub fn note(document: &Document, place: &dyn Destination, file: &str, error: &Error, monitor: &Monitor) {
    if !error.is_of_bytes() {
        return;
    }
    // What is gone or replaced meanwhile is not the one that was read.
    let (Ok(Some(stat)), Ok(sidecar)) = (place.stat(file), place.sidecar(file)) else { return };
    let sidecar = sidecar.map(|text| Sidecar::parse(&text)).unwrap_or_default();
    let found = json!({
        "time": now(), "size": stat.size, "mtime": stat.mtime, "sha256": sidecar.get(key::SHA256),
    });
    change(document, monitor, |all, _| {
        all.shift_remove(&name(place.id(), file));
        all.insert(name(place.id(), file), found);
    });
}

/// Remembers that the copy at a place is good.
pub fn is_good(document: &Document, place: &str, file: &str, monitor: &Monitor) {
    let key = name(place, file);
    if Damaged::of(document).0.contains_key(&key) {
        change(document, monitor, |all, shared| {
            all.shift_remove(&key);
            // Root's memory is not ours to change.
            if shared(&key) {
                all.insert(key.clone(), json!({ "time": now(), "good": true }));
            }
        });
    }
}

/// Forgets copies that a listing no longer has.
pub fn forget_gone(document: &Document, listing: &Listing, monitor: &Monitor) {
    let is_gone = |key: &str| {
        let Some((place, file)) = key.split_once('/') else { return true };
        let there = || {
            let all = listing.backups.iter().chain(&listing.others);
            all.filter(|backup| &*backup.file == file).any(|backup| backup.copy_at(place).is_some())
        };
        !document.destinations.contains_key(place)
            || (listing.left_out == 0 && !listing.unreachable.contains_key(place) && !there())
    };
    let is_damaged =
        || lock::state_dir(document).and_then(|dir| memory::is_damaged(&dir.join(FILE))).unwrap_or(false);
    if Damaged::of(document).0.keys().any(|key| is_gone(key)) || is_damaged() {
        change(document, monitor, |all, _| all.retain(|key, _| !is_gone(key)));
    }
}

fn name(place: &str, file: &str) -> String {
    format!("{place}/{file}")
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// Changes this user's memory. The second argument of `how` tells whether root's has something under a name.
fn change(
    document: &Document,
    monitor: &Monitor,
    how: impl FnOnce(&mut Map<String, Value>, &dyn Fn(&str) -> bool),
) {
    let write = || -> Result<()> {
        let dir = lock::state_dir(document)?;
        let path = dir.join(FILE);
        let mut own = memory::read(&path)?;
        let before = own.clone();
        let roots = memory::read_roots(&dir, FILE)?;
        how(&mut own, &|key| roots.contains_key(key));
        while own.len() > MOST
            && let Some(oldest) = own.keys().next().cloned()
        {
            own.shift_remove(&oldest);
        }
        // A damaged one is at an end once all was read anew.
        if own == before && !memory::is_damaged(&path)? {
            return Ok(());
        }
        memory::write(&path, &own)
    };
    if let Err(error) = write() {
        monitor.note(NoteKind::Warning, format!("what was found damaged is not remembered: {error}"));
    }
}
