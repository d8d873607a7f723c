//! What `status` does not count: copies that a restore on this site would refuse as exchanged or without proof. Only what
//! the listing shows is looked at, no byte: that those are as they were written, `verify` tells. A sidecar is what was made
//! or proven here, word for word, or the key is asked whether its MAC is right.

use crate::catalog::{Backup, BackupId, DIFFERS, Listing, Status};
use crate::config::Document;
use crate::job::made::Made;
use crate::job::trust;
use crate::{Monitor, NoteKind};

/// Copies of one backup that do not count.
pub struct Unproven {
    source: Option<String>,
    id: BackupId,
    /// This site knows that it made something else, or that the bytes are damaged.
    exchanged: bool,
    text: String,
}

impl Unproven {
    /// One whose bytes are not what was written.
    pub(super) fn damaged(backup: &Backup, text: String) -> Unproven {
        Unproven { source: backup.source.clone(), id: backup.id, exchanged: true, text }
    }
}

/// How many sidecars that are new to this machine are proven by the key in one run: each takes the time of a derivation.
/// Those of the newest backups are, and are remembered.
const NEW: usize = 4;

/// Takes the copies that do not count out of a listing, and backups that have no other.
pub fn take_out(document: &Document, listing: &mut Listing, monitor: &Monitor) -> Vec<Unproven> {
    let (mut made, has_key) = (Made::of(document), trust::has_key(document));
    let (mut asked, mut learned) = (0, false);
    let plain: Vec<bool> = (listing.backups.iter())
        .map(|backup| {
            let was_encrypted = made.was_encrypted(&backup.file);
            // A number that is only the file's date is not one that a backup was given.
            let is_known = backup.sidecar.is_some() && trust::is_shown_encrypted(&made, listing, backup);
            !backup.is_encrypted() && (was_encrypted || is_known)
        })
        .collect();
    let mut found = Vec::new();
    for (backup, plain) in listing.backups.iter_mut().zip(plain) {
        let was_sealed = made.was_sealed(&backup.file);
        let of_old =
            !backup.is_encrypted() && !was_sealed && trust::made_so(document, backup.sidecar.as_ref());
        let (mut counted, mut out) = (Vec::new(), Vec::new());
        let mut forged = false;
        let mut differing = Vec::new();
        for copy in std::mem::take(&mut backup.copies) {
            if copy.differs {
                differing.push(copy.destination);
                continue;
            }
            // A copy that is not whole counts for nothing, and is told of as that.
            let bare = has_key && copy.whole && !copy.sealed && !of_old;
            if let Some(sidecar) = copy.sidecar.as_ref().filter(|_| has_key && !plain)
                && !made.knows(&backup.file, sidecar)
            {
                // Where something else was made here, it is always asked.
                let is_new = !made.has(&backup.file);
                asked += usize::from(is_new);
                if (!is_new || asked <= NEW)
                    && let Some(proven) = trust::proves(document, &backup.file, sidecar, monitor)
                {
                    if proven && is_new {
                        made.add(&backup.file, sidecar);
                        learned = true;
                    } else if !proven {
                        forged = true;
                        out.push(copy.destination);
                        continue;
                    }
                }
            }
            if plain || bare { out.push(copy.destination) } else { counted.push(copy) }
        }
        backup.copies = counted;
        backup.verified = backup.copies.iter().filter_map(|copy| copy.verified).max();
        if !differing.is_empty() {
            let (file, places) = (&backup.file, differing.join(", "));
            let text = format!("{file} at {places} does not count: {DIFFERS}");
            found.push(Unproven { source: backup.source.clone(), id: backup.id, exchanged: true, text });
        }
        if out.is_empty() {
            continue;
        }
        let (file, places) = (&backup.file, out.join(", "));
        let text = match (plain, was_sealed) {
            _ if forged => format!(
                "{file} at {places} does not count: its MAC is not of this site's key, so nothing proves that it is unchanged"
            ),
            (true, _) => {
                format!("{file} at {places} was exchanged: it was encrypted when it was made, and is not")
            }
            (_, true) => {
                format!("{file} at {places} was exchanged: it had a MAC when it was made, and has none")
            }
            _ => format!(
                "{file} at {places} does not count: it has no MAC, and nothing proves that it is unchanged"
            ),
        };
        let (source, id) = (backup.source.clone(), backup.id);
        found.push(Unproven { source, id, exchanged: plain || was_sealed || forged, text });
    }
    listing.backups.retain(|backup| !backup.copies.is_empty());
    if learned {
        made.keep(document, monitor);
    }
    found
}

/// Says what was taken out as missing: what was exchanged, and what would be the newest of a source that is watched.
pub fn tell(taken_out: &[Unproven], status: &mut Status, document: &Document, monitor: &Monitor) {
    let watches_all = !document.schedules.values().any(|schedule| schedule.enabled);
    for one in taken_out {
        let watched = status.sources.iter_mut().find(|source| Some(&source.source) == one.source.as_ref());
        let is_newest = |newest: Option<BackupId>| newest.is_none_or(|newest| one.id >= newest);
        match watched {
            Some(source) if one.exchanged || is_newest(source.newest) => {
                source.missing.push(one.text.clone());
                source.ok = false;
            }
            None if one.exchanged || (watches_all && one.source.is_some()) => {
                monitor.note(NoteKind::Missing, one.text.clone());
            }
            _ => {}
        }
    }
    status.ok = status.ok && status.sources.iter().all(|source| source.ok);
}
