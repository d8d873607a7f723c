//! What `status` does not count: copies that a restore on this site would refuse as exchanged or without proof. Only what
//! the listing shows is looked at, no byte: that those are as they were written, `verify` tells. A sidecar is what was made
//! or proven here, word for word, or the key is asked whether its MAC is right.

use crate::catalog::{Backup, BackupId, Copy, DIFFERS, Listing, Status};
use crate::config::Document;
use crate::job::made::Made;
use crate::job::trust;
use crate::{Monitor, NoteKind, Result};

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
        Unproven { source: backup.about.source.clone(), id: backup.id, exchanged: true, text }
    }
}

/// How many sidecars that are new to this machine are proven by the key in one run: each takes the time of a derivation.
/// Those of the newest backups are, and are remembered.
const NEW: usize = 4;

/// Takes the copies that do not count out of a listing, and backups that have no other.
pub fn take_out(document: &Document, listing: &mut Listing, monitor: &Monitor) -> Result<Vec<Unproven>> {
    let mut look = Look {
        document,
        has_key: trust::has_key(document),
        made: Made::of(document),
        asked: 0,
        learned: false,
        monitor,
    };
    let encrypted = trust::Encrypted::of(listing);
    let plain: Vec<bool> = (listing.backups.iter())
        .map(|backup| {
            // A number that is only the file's date is not one that a backup was given.
            let is_known = backup.has_sidecar() && encrypted.shows(&look.made, backup);
            !backup.is_encrypted() && (is_known || look.made.was_encrypted(&backup.file))
        })
        .collect();
    let mut found = Vec::new();
    for (backup, plain) in listing.backups.iter_mut().zip(plain) {
        let was_sealed = look.made.was_sealed(&backup.file);
        let sorted = look.sort(backup, plain, was_sealed)?;
        backup.verified = backup.copies.iter().filter_map(|copy| copy.verified).max();
        found.extend(sorted.differing(backup));
        found.extend(sorted.out(backup, plain, was_sealed));
    }
    listing.backups.retain(|backup| !backup.copies.is_empty());
    if look.learned {
        look.made.keep_looked_at(document, monitor);
    }
    Ok(found)
}

/// Looking at sidecars, by what is known of them and by the key.
struct Look<'a> {
    document: &'a Document,
    has_key: bool,
    made: Made,
    /// How many that are new here were asked about.
    asked: usize,
    /// Some of them were proven.
    learned: bool,
    monitor: &'a Monitor,
}

/// Where the copies of a backup are that do not count.
#[derive(Default)]
struct Sorted {
    /// They are not what the others are.
    differing: Vec<String>,
    out: Vec<String>,
    /// A MAC among them is wrong.
    forged: bool,
}

impl Look<'_> {
    /// Leaves the backup the copies that count.
    fn sort(&mut self, backup: &mut Backup, plain: bool, was_sealed: bool) -> Result<Sorted> {
        let of_old = !backup.is_encrypted()
            && !was_sealed
            && trust::made_so(self.document, backup.about.source.as_deref());
        let mut sorted = Sorted::default();
        let all = backup.copies.len();
        for copy in std::mem::replace(&mut backup.copies, Vec::with_capacity(all)) {
            if copy.differs {
                sorted.differing.push(copy.place.destination.clone());
                continue;
            }
            // A copy that is not whole counts for nothing, and is told of as that.
            let bare = self.has_key && copy.whole && !copy.sealed && !of_old;
            if !plain && self.is_forged(&backup.file, &copy)? {
                sorted.forged = true;
                sorted.out.push(copy.place.destination.clone());
            } else if plain || bare {
                sorted.out.push(copy.place.destination.clone());
            } else {
                backup.copies.push(copy);
            }
        }
        Ok(sorted)
    }

    /// Whether the key says that the MAC of a copy's sidecar is wrong; what it proves is remembered.
    fn is_forged(&mut self, file: &str, copy: &Copy) -> Result<bool> {
        if !self.has_key || !copy.has_sidecar() {
            return Ok(false);
        }
        // Where something was made here, it is always asked.
        let is_new = !self.made.has(file);
        self.asked += usize::from(is_new);
        if is_new && self.asked > NEW {
            return Ok(false);
        }
        let Some(sidecar) = copy.sidecar()? else { return Ok(false) };
        if self.made.knows(file, &sidecar) {
            return Ok(false);
        }
        Ok(match trust::proves(self.document, file, &sidecar, self.monitor) {
            Some(true) if is_new => {
                self.made.add(file, &sidecar);
                self.learned = true;
                false
            }
            Some(proven) => !proven,
            None => false,
        })
    }
}

impl Sorted {
    fn differing(&self, backup: &Backup) -> Option<Unproven> {
        // Of one that goes by memory it is told.
        if self.differing.is_empty() || backup.recalled.is_some() {
            return None;
        }
        let text = format!("{} at {} does not count: {DIFFERS}", backup.file, self.differing.join(", "));
        Some(Unproven { source: backup.about.source.clone(), id: backup.id, exchanged: true, text })
    }

    fn out(&self, backup: &Backup, plain: bool, was_sealed: bool) -> Option<Unproven> {
        if self.out.is_empty() {
            return None;
        }
        let (file, places) = (&backup.file, self.out.join(", "));
        let text = match (plain, was_sealed) {
            _ if self.forged => format!(
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
        let exchanged = plain || was_sealed || self.forged;
        Some(Unproven { source: backup.about.source.clone(), id: backup.id, exchanged, text })
    }
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
