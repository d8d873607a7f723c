//! The newest backup of a source that should be at a place and is not: the disk is not mounted, or somebody removed it, as the
//! site remembers that it lay there; or that copy never arrived, as the sidecar of another tells.

use super::made::{Made, plain_name};
use crate::catalog::{Backup, BackupId, Listing, SiteIdentity, key};
use crate::config::Document;
use crate::destination::is_address;
use crate::{Monitor, NoteKind, Result};
use std::collections::{BTreeMap, BTreeSet};

/// A copy that should be at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    /// The source of the backup.
    pub source: String,
    /// Where it should lie.
    pub place: String,
    id: BackupId,
    name: String,
}

impl Absent {
    /// In words.
    pub fn text(&self) -> String {
        let Absent { place, id, name, .. } = self;
        format!(
            "{name} ({id}) should be at {place} and is not there: its disk may not be mounted, else the next run or replicate copies it"
        )
    }
}

/// What should be there because of what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// It lay there.
    Memory,
    /// The same, or it was made for that place.
    Sidecars,
}

/// What is not there, of a listing of `places`, by source and place. Nothing of places that could not be asked, nor of what
/// is gone from everywhere, which is told as that.
pub fn of(
    document: &Document,
    made: &Made,
    places: &[&str],
    listing: &Listing,
    by: By,
) -> Result<Vec<Absent>> {
    let elsewhere = document.destinations.keys().any(|name| is_address(name));
    if elsewhere || SiteIdentity::of(document).is_none() || listing.left_out > 0 {
        return Ok(Vec::new());
    }
    // Whether it is nowhere, a list of some places does not tell.
    let is_all = document.destinations.keys().all(|name| places.contains(&name.as_str()));
    let gone = if is_all { made.gone(document, listing) } else { BTreeMap::new() };
    let gone: BTreeSet<BackupId> = gone.into_values().map(|(id, _)| id).collect();
    let newest = newest_of_each(listing);
    let mut found = Vec::new();
    let asked = places.iter().filter(|place| !listing.unreachable.contains_key(**place));
    for place in asked.filter(|place| document.destinations.contains_key(**place)) {
        let mut there = BTreeMap::new();
        for backup in listing.backups.iter().chain(&listing.others) {
            if let (Some(source), Some(_)) = (backup.about.source.as_deref(), backup.copy_at(place)) {
                let last = there.entry(source).or_insert(backup.id);
                *last = backup.id.max(*last);
            }
        }
        let mut wanted = made.lay_at(place);
        for (source, backup) in &newest {
            if by == By::Sidecars && made.may_be_there(&backup.file) && is_for(backup, place)? {
                wanted.push((source, backup.id, plain_name(&backup.file).unwrap_or_default()));
            }
        }
        let mut absent: BTreeMap<&str, (BackupId, String)> = BTreeMap::new();
        for (source, id, name) in wanted {
            if gone.contains(&id) || there.get(source).is_some_and(|last| *last >= id) {
                continue;
            }
            let last = absent.entry(source).or_insert_with(|| (id, name.clone()));
            if id > last.0 {
                *last = (id, name);
            }
        }
        found.extend(absent.into_iter().map(|(source, (id, name))| Absent {
            source: source.to_owned(),
            place: (*place).to_owned(),
            id,
            name,
        }));
    }
    Ok(found)
}

/// Says of what lay there that it is missing, of `source` or of all.
pub fn tell(
    document: &Document,
    places: &[&str],
    listing: &Listing,
    source: Option<&str>,
    monitor: &Monitor,
) -> Result<()> {
    for absent in of(document, &Made::of(document), places, listing, By::Memory)? {
        if source.is_none_or(|source| source == absent.source) {
            monitor.note(NoteKind::Missing, absent.text());
        }
    }
    Ok(())
}

/// The newest backup of each source of this site.
fn newest_of_each(listing: &Listing) -> BTreeMap<&str, &Backup> {
    let mut newest = BTreeMap::new();
    // The newest come first.
    for backup in listing.backups.iter().filter(|backup| backup.own != Some(false)) {
        if let Some(source) = backup.about.source.as_deref() {
            newest.entry(source).or_insert(backup);
        }
    }
    newest
}

/// Whether a backup was made for a place, as its sidecar says, and has no copy there.
fn is_for(backup: &Backup, place: &str) -> Result<bool> {
    if backup.copy_at(place).is_some() {
        return Ok(false);
    }
    let sidecar = backup.sidecar()?;
    Ok(sidecar.is_some_and(|sidecar| sidecar.list(key::COPIES).iter().any(|name| name == place.as_bytes())))
}
