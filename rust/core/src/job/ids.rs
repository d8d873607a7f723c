//! Numbers that were given: an ID that was printed once always means that backup, also where the place that has it cannot
//! be asked when the next one is made, and where the clock went back.
//!
//! `ids.json` in the state folder, `{"given": [ID, …]}`, the latest last.

use super::memory;
use crate::Result;
use crate::catalog::{Backup, BackupId, Listing};
use crate::config::{DestinationType, Document};
use crate::destination;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::Path;

const FILE: &str = "ids.json";
/// How many are remembered: more than a clock that is wrong by a month meets again.
const MOST: usize = 5000;

/// A number for a backup made at `now` (Unix time) that neither was given nor is among `seen`; from now on it is given.
/// Under the site's lock.
pub fn give(state_dir: &Path, now: i64, seen: &BTreeSet<BackupId>) -> Result<BackupId> {
    let path = state_dir.join(FILE);
    let known = memory::read(&path);
    let mut given: Vec<u64> = known
        .as_ref()
        .ok()
        .and_then(|known| known.get("given"))
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_u64)
        .collect();
    let taken: BTreeSet<u64> = given.iter().copied().collect();
    let id = BackupId::new(now, |id| seen.contains(&id) || taken.contains(&id.0));
    given.push(id.0);
    let surplus = given.len().saturating_sub(MOST);
    given.drain(..surplus);
    // A memory that cannot be read must not keep a backup from being made, nor be lost by that.
    if known.is_ok() {
        memory::write(&path, &Map::from_iter([("given".to_owned(), json!(given))]))?;
    }
    Ok(id)
}

/// The backups in the folders of this machine that the document names, whosesoever: their numbers are taken.
pub fn in_folders(document: &Document) -> Result<Vec<Backup>> {
    let mut found = Vec::new();
    let here = document.destinations.iter().filter(|(_, place)| place.kind == DestinationType::Directory);
    for (name, config) in here {
        if let Ok(place) = destination::open(name, config, &document.site) {
            found.extend(Listing::of(&[&*place])?.backups);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_given_twice_whatever_the_clock_says() {
        let dir = tempfile::tempdir().expect("a folder");
        let give = |now, seen: &[u64]| {
            give(dir.path(), now, &seen.iter().map(|id| BackupId(*id)).collect()).expect("given").0
        };
        assert_eq!((give(100, &[]), give(100, &[]), give(100, &[102])), (100, 101, 103));
        assert_eq!((give(50, &[]), give(101, &[])), (50, 102), "the clock went back");
        std::fs::write(dir.path().join(FILE), "damaged").expect("written");
        assert_eq!(give(100, &[]), 100);
    }
}
