//! What `status` tells of repositories: how large each is, what the last run added, what the last look at it found.

use crate::catalog::{Backup, Copy, Listing, key};
use crate::destination::Destination;
use crate::{Monitor, NoteKind, Result};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// By the name of the destination. What a look found damaged is told. `damaged`: places of which a copy was read and found so,
/// whatever the last look at their structure said.
pub fn tell(
    all: &[Arc<dyn Destination>],
    listing: &Listing,
    damaged: &BTreeSet<String>,
    monitor: &Monitor,
) -> Result<Map<String, Value>> {
    let mut told = Map::new();
    for place in all {
        let Some(repository) = place.snapshots() else { continue };
        let mut known = repository.known();
        let here: Vec<&Backup> =
            listing.backups.iter().filter(|backup| backup.copy_at(place.id()).is_some()).collect();
        let newest = here.iter().max_by_key(|backup| backup.id).map(|backup| added(place.id(), backup));
        let newest = newest.transpose()?;
        if let Some(check) = known.check.as_ref().filter(|check| !check.ok) {
            let why = check.error.as_deref().unwrap_or("it is damaged");
            monitor.note(
                NoteKind::Missing,
                format!(
                    "{}: the last look at it failed: {why}; `bam verify{}` looks again",
                    place.id(),
                    if check.sample.is_some() { " --sample 100" } else { "" }
                ),
            );
        }
        // Which copies, is told where they are not counted.
        if damaged.contains(place.id())
            && let Some(check) = known.check.as_mut()
        {
            check.ok = false;
            check.error.get_or_insert_with(|| "a backup in it was read and is damaged".to_owned());
        }
        let value = json!({
            "size": known.size,
            "size_time": known.size_time,
            "backups": here.len(),
            "newest": newest,
            "check": known.check,
        });
        told.insert(place.id().to_owned(), value);
    }
    Ok(told)
}

/// The newest backup of a place, and what it added there.
fn added(place: &str, backup: &Backup) -> Result<Value> {
    let of_copy = backup.copy_at(place).map(Copy::sidecar).transpose()?.flatten();
    let sidecars = [of_copy, backup.sidecar()?];
    let added = sidecars.iter().flatten().find_map(|sidecar| sidecar.number(key::ADDED));
    Ok(json!({ "id": backup.id, "time": backup.time, "added": added }))
}
