//! A copy whose sidecar differs from those of the others gets the right one, where that is right for its bytes: all of them
//! are read, and proven by it.

use super::replicate::outcome;
use crate::catalog::{Backup, Copy, DIFFERS, Listing, Sidecar, key};
use crate::config::Document;
use crate::destination::Destination;
use crate::job::local::Local;
use crate::{Code, Error, Monitor, NoteKind, Phase, Result};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// Mends the sidecars of a listing that can be mended, and says of the others why they are left. Tells of each.
pub fn sidecars(
    document: &Document,
    all: &[Arc<dyn Destination>],
    listing: &Listing,
    state_dir: &Path,
    monitor: &Monitor,
) -> Result<Vec<Value>> {
    let mut told = Vec::new();
    // Where memory stands in for all of them there is none to take.
    for backup in listing.backups.iter().filter(|backup| backup.recalled.is_none()) {
        for copy in backup.distinct_copies().filter(|copy| copy.differs) {
            monitor.check()?;
            let name = &copy.place.destination;
            let Some(place) = all.iter().find(|place| place.id() == name) else { continue };
            let mended = mend(document, place, backup, copy, state_dir, monitor);
            match &mended {
                Err(error) if error.code() == Code::Cancelled => return mended.map(|()| told),
                Err(error) => monitor.note(NoteKind::Missing, left(backup, name, error)),
                Ok(()) => {}
            }
            let is_mended = mended.is_ok();
            let mut one = outcome(&backup.file, name, mended);
            one["mended"] = is_mended.into();
            told.push(one);
        }
    }
    Ok(told)
}

fn left(backup: &Backup, place: &str, error: &Error) -> String {
    let file = &backup.file;
    format!(
        "{file} at {place} stays as it is: {DIFFERS}, and the right one does not prove its bytes: {error}; if nobody needs \
         it, `bam delete {file} --destination {place} --site all`, then `bam replicate`"
    )
}

fn mend(
    document: &Document,
    place: &Arc<dyn Destination>,
    backup: &Backup,
    copy: &Copy,
    state_dir: &Path,
    monitor: &Monitor,
) -> Result<()> {
    let bytes_of = |sidecar: &Sidecar| sidecar.digest(key::SHA256);
    let Some(mut good) = backup.sidecar()?.filter(|sidecar| bytes_of(sidecar).is_some()) else {
        return Err(Error::new(Code::Integrity, "the other sidecar tells no SHA-256"));
    };
    // Of another copy.
    good.remove(key::VERIFIED);
    monitor.phase(Phase::Verifying);
    monitor.set_current(format!("{} at {}", backup.file, place.id()));
    let before = place.sidecar(&backup.file)?;
    let local = Local::fetch(place, &backup.file, state_dir, monitor)?.under(good.clone());
    local.trusted(document, monitor)?;
    // Meanwhile another machine may have put a new backup in its place.
    let as_listed =
        place.stat(&backup.file)?.is_some_and(|stat| (stat.size, stat.mtime) == (copy.size, copy.mtime));
    if !as_listed || place.sidecar(&backup.file)? != before {
        return Err(Error::new(Code::Partial, "it changed while it was read").hint("try again"));
    }
    place.write_sidecar(&backup.file, &good.to_string())
}
