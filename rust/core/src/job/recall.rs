//! What a site remembers of the backups that it made stands in for a sidecar that is gone, or that was changed: whoever can
//! write to a destination takes none of them out of a list, of `latest`, of what `verify` reads or `status` counts, by what he
//! writes there into the fields that tell whose it is, of what and when it was made.
//!
//! Not everything that is unlike what is remembered was changed: another machine may have made a newer one of that name, or
//! sealed it anew, and a site gets another address.

use super::made::Made;
use super::trust;
use crate::catalog::{Backup, DIFFERS, FileName, Listing, Recalled, Relation, Sidecar, SiteIdentity, key};
use crate::config::Document;
use crate::destination::Destination;
use crate::{Code, Error, Monitor, NoteKind, Result};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What memory says of a listed file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It is the one that is remembered, or a later one in its place.
    Good,
    /// Nothing: it is another's.
    Nothing,
    /// It was that, and is no longer told to be.
    Odd(Recalled),
}

/// Makes of backups without a sidecar, or with one that was changed, what the site remembers to have made under their names.
pub fn stand_in(
    document: &Document,
    places: &[Arc<dyn Destination>],
    made: &Made,
    listing: &mut Listing,
    monitor: &Monitor,
) -> Result<()> {
    let own = SiteIdentity::of(document);
    if own.is_none() {
        return Ok(());
    }
    let judge = Judge { document, own: own.as_ref(), places, made, monitor };
    let (mut odd, mut good) = (Vec::new(), BTreeSet::new());
    for (index, backup) in listing.backups.iter().enumerate() {
        match judge.verdict(backup)? {
            Verdict::Good => drop(good.insert(Arc::clone(&backup.file))),
            Verdict::Odd(how) => odd.push((index, how)),
            Verdict::Nothing => {}
        }
    }
    let mut changed = false;
    for (index, how) in odd {
        let Some(backup) = listing.backups.get_mut(index) else { continue };
        let Some((id, source)) = made.kept_as(&backup.file) else { continue };
        // What has its name elsewhere is another one.
        if !good.contains(&backup.file) {
            backup.recall(how, id, source, own.as_ref());
            changed = true;
        }
    }
    if changed {
        listing.sort();
    }
    Ok(())
}

/// How many seconds a backup's number may be later than its time: it is the next that is free.
const SLACK: u64 = 300;

struct Judge<'a> {
    document: &'a Document,
    own: Option<&'a SiteIdentity>,
    places: &'a [Arc<dyn Destination>],
    made: &'a Made,
    monitor: &'a Monitor,
}

impl Judge<'_> {
    fn verdict(&self, backup: &Backup) -> Result<Verdict> {
        let Some((id, source)) = self.made.kept_as(&backup.file) else { return Ok(Verdict::Nothing) };
        // Nobody without its key changes what a repository says.
        if backup.copies.iter().any(|copy| copy.place.repository) {
            return Ok(Verdict::Good);
        }
        if !backup.tells() {
            let bare = self.is_still_bare(backup);
            return Ok(if bare { Verdict::Odd(Recalled::Bare) } else { Verdict::Nothing });
        }
        let relation = self.own.map_or(Relation::Unknown, |own| own.relation(backup.identity()));
        let others = relation == Relation::Other;
        let in_time = backup.time.abs_diff(id.0) <= SLACK;
        if backup.id == id && in_time && backup.about.source.as_deref() == Some(source) && !others {
            return Ok(Verdict::Good);
        }
        if others && backup.id != id {
            return Ok(Verdict::Nothing);
        }
        let Some(sidecar) = backup.sidecar()? else { return Ok(Verdict::Nothing) };
        let as_made = self.made.is_as_made(&backup.file, &sidecar);
        // A fixed name may be an older one's, of another machine.
        let is_certain = match as_made {
            Some(same) => !same && (others || backup.id == id || is_dated(&backup.file) || has_mac(&sidecar)),
            None => !others && (backup.id == id || is_dated(&backup.file)),
        };
        if backup.id > id || !is_certain {
            return Ok(Verdict::Good);
        }
        let proven = trust::proves(self.document, &backup.file, &sidecar, self.monitor) == Some(true);
        self.monitor.check()?;
        Ok(if proven { Verdict::Good } else { Verdict::Odd(Recalled::Changed) })
    }

    /// Whether its copies are there, and without a sidecar that tells anything: another run may be removing or replacing them.
    fn is_still_bare(&self, backup: &Backup) -> bool {
        backup.copies.iter().all(|copy| {
            let place = self.places.iter().find(|place| place.id() == copy.place.destination);
            let Some(place) = place else { return false };
            let bare = || match place.sidecar(&backup.file) {
                Ok(None) => true,
                Ok(Some(text)) => Sidecar::parse(&text).is_blank(),
                Err(_) => false,
            };
            bare() && matches!(place.stat(&backup.file), Ok(Some(_)))
        })
    }
}

fn is_dated(file: &str) -> bool {
    FileName::parse(file).is_some_and(|name| name.date(None).is_some())
}

fn has_mac(sidecar: &Sidecar) -> bool {
    sidecar.get(key::HMAC_SHA256).is_some()
}

/// Says which backups of a listing go by memory.
pub fn tell_all(kind: NoteKind, listing: &Listing, monitor: &Monitor) {
    listing.backups.iter().filter_map(tell).for_each(|text| monitor.note(kind, text));
}

/// The same for a verb that is about all of them, and how many could not be looked at.
pub fn tell_with_left_out(listing: &Listing, monitor: &Monitor) {
    tell_all(NoteKind::Missing, listing, monitor);
    if let Some(note) = listing.incomplete() {
        monitor.note(note.kind, note.text);
    }
}

/// What is to be said of a backup that goes by memory.
pub fn tell(backup: &Backup) -> Option<String> {
    let what = match backup.recalled? {
        Recalled::Bare => BARE,
        Recalled::Changed => CHANGED,
    };
    Some(format!("{} ({}) at {} {what}", backup.file, backup.id, backup.places()))
}

const BARE: &str = "was made here and has lost its sidecar, so nothing proves it: put its .info file back beside it, or \
    make a new backup and erase this one, `bam delete`";
const CHANGED: &str = "was made here and its sidecar was changed: it says that it is of another site, source or time; undo \
    that, or use another copy, and find out who can write there";

/// Fails where the sidecar of a copy is not what was written, whatever its bytes are. What a MAC covers that proves, too.
pub fn check(made: &Made, backup: &Backup, place: &dyn Destination) -> Result<()> {
    let destination = place.id();
    if let (None, Some(known)) = (backup.recalled, made.kept_as(&backup.file))
        && known.0 == backup.id
        && !made.was_sealed(&backup.file)
        && place.snapshots().is_none()
        && let Some(sidecar) = place.sidecar(&backup.file)?.map(|text| Sidecar::parse(&text))
        && !has_mac(&sidecar)
        && made.is_as_made(&backup.file, &sidecar) == Some(false)
    {
        let text = format!("{} at {destination}: its sidecar is not what was written", backup.file);
        return Err(Error::new(Code::Integrity, text).hint("undo what was changed, every line counts"));
    }
    let differs = backup.copy_at(destination).is_some_and(|copy| copy.differs);
    let text = match (backup.recalled, differs) {
        (Some(_), _) => tell(backup).unwrap_or_default(),
        (None, true) => format!("{} at {destination}: {DIFFERS}", backup.file),
        (None, false) => return Ok(()),
    };
    Err(Error::new(Code::Integrity, text))
}
