//! Bringing missing copies up to date: a backup lacks copies where its sidecar names destinations that do not list it, or
//! whose copy is damaged: that one is replaced from a good one. Where nothing but a sidecar is, [`super::mend`] does it.

use super::mend;
use crate::catalog::{Backup, Copy, Listing, Rule, Sidecar, Sites, is_future, key};
use crate::config::Document;
use crate::destination::{Destination, Existing, Follow};
use crate::job::damaged::{self, Damaged};
use crate::job::made::Made;
use crate::job::{lock, made, places, recall, repository, trust, web};
use crate::{Code, Monitor, NoteKind, Phase, Result};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// Copies everything that is missing somewhere. The result lists each copy made.
pub fn run(document: &Document, site: Option<&str>, monitor: &Arc<Monitor>) -> Result<Value> {
    let _lock = lock::acquire(document)?;
    let all = places::open(document, &[])?;
    let made = bring_up_to_date(document, &all, site, monitor)?;
    Ok(json!({ "copies": made }))
}

/// The same with the lock held.
pub fn bring_up_to_date(
    document: &Document,
    all: &[Arc<dyn Destination>],
    site: Option<&str>,
    monitor: &Arc<Monitor>,
) -> Result<Vec<Value>> {
    let state_dir = lock::state_dir(document)?;
    // What a killed run was about to replace lies hidden at servers: it comes back, and takes no copy.
    for place in all.iter().filter(|place| !place.pushes()) {
        if let Err(error) = place.clean_parts(&|_| true)
            && error.code() == Code::Cancelled
        {
            return Err(error);
        }
    }
    // A folder that is not there is made when a copy goes there.
    let listing = places::list_made(NoteKind::Missing, document, all, site, monitor)?;
    recall::tell_all(NoteKind::Missing, &listing, monitor);
    let (mut made, mut told) = (Vec::new(), BTreeSet::new());
    let known = Damaged::of(document);
    made.extend(mend::sidecars(document, all, &listing, &state_dir, monitor)?);
    let lacking = Lacking { document, all, listing: &listing, known: &known, state_dir: &state_dir, monitor };
    for (backup, mut missing) in wanting(document, &listing, &known)? {
        for name in missing.iter().filter(|name| listing.absent.contains(*name)) {
            if let Some(why) = listing.unreachable.get(name).filter(|_| told.insert(name.clone())) {
                monitor.note(NoteKind::Missing, format!("nothing is copied to {name}: {why}"));
            }
        }
        // A destination that cannot be listed has been told of already; one that was not looked at may have it.
        missing.retain(|name| {
            all.iter().any(|place| place.id() == name) && !listing.unreachable.contains_key(name)
        });
        let is_repository =
            |name: &String| all.iter().any(|place| place.id() == name && place.snapshots().is_some());
        let (repositories, files): (Vec<_>, Vec<_>) = missing.into_iter().partition(is_repository);
        for (names, kind) in [(files, false), (repositories, true)] {
            for name in lacking.that_a_copy_helps(backup, names, kind) {
                made.extend(lacking.copy(backup, &name, kind)?);
            }
        }
    }
    // What was not whole may be so by now.
    match listing.left_out > 0 && !made.is_empty() {
        true => tell_of_left_out(document, all, (&listing, &known), site, monitor)?,
        false => listing.incomplete().into_iter().for_each(|note| monitor.note(note.kind, note.text)),
    }
    Ok(made)
}

/// Looks once more: says what still cannot be read, and what could not and now lacks a copy.
fn tell_of_left_out(
    document: &Document,
    all: &[Arc<dyn Destination>],
    (before, known): (&Listing, &Damaged),
    site: Option<&str>,
    monitor: &Monitor,
) -> Result<()> {
    let asked: Vec<&dyn Destination> = all.iter().map(AsRef::as_ref).collect();
    let now = Listing::of(&asked)?.of_sites(&Sites::of(document, site))?;
    now.incomplete().into_iter().for_each(|note| monitor.note(note.kind, note.text));
    for (backup, missing) in wanting(document, &now, known)? {
        if !before.backups.iter().any(|seen| seen.file == backup.file) {
            let (file, missing) = (&backup.file, missing.join(", "));
            let text =
                format!("{file} can be read by now and lacks a copy at {missing}: run `bam replicate` again");
            monitor.note(NoteKind::Missing, text);
        }
    }
    Ok(())
}

/// What copies are made of, and where.
struct Lacking<'a> {
    document: &'a Document,
    all: &'a [Arc<dyn Destination>],
    listing: &'a Listing,
    known: &'a Damaged,
    state_dir: &'a Path,
    monitor: &'a Arc<Monitor>,
}

impl Lacking<'_> {
    /// The places that have a good copy of one kind: in a repository (`true`), or as a file.
    fn good(&self, backup: &Backup, kind: bool) -> Vec<Arc<dyn Destination>> {
        let has_one = |place: &&Arc<dyn Destination>| {
            let copy = backup.distinct_copy_at(place.id()).filter(|copy| copy.place.repository == kind);
            copy.is_some_and(|copy| is_good(self.known, backup, copy))
        };
        self.all.iter().filter(has_one).cloned().collect()
    }

    /// Of the destinations of one kind that lack a backup those that a copy helps; of the others it is said why none does.
    fn that_a_copy_helps(&self, backup: &Backup, missing: Vec<String>, kind: bool) -> Vec<String> {
        let alike: Vec<&Copy> =
            backup.distinct_copies().filter(|copy| copy.place.repository == kind).collect();
        let file = &backup.file;
        // What a repository has already it does not take anew.
        let is_stuck = |name: &str| kind && backup.copy_at(name).is_some();
        let (missing, beyond): (Vec<_>, Vec<_>) =
            missing.into_iter().partition(|name| !alike.is_empty() && !is_stuck(name));
        for name in beyond {
            let text = match is_stuck(&name) {
                true => format!(
                    "{file} at {name} is damaged, and a copy alone does not mend a repository: docs/repositories.md tells what does"
                ),
                false => format!(
                    "{file} lacks a copy at {name}: nothing is copied between archives and repositories; a new backup goes to both"
                ),
            };
            self.monitor.note(NoteKind::Missing, text);
        }
        if missing.is_empty() || !self.good(backup, kind).is_empty() {
            return missing;
        }
        let at = alike.iter().map(|copy| copy.place.destination.as_str()).collect::<Vec<_>>().join(", ");
        self.monitor.note(
            NoteKind::Missing,
            format!(
                "{file} at {at} is damaged, and no destination has a good copy: make a new backup, then erase this \
                 one, `bam delete {file}`; once it is mended, `bam verify {file}`"
            ),
        );
        Vec::new()
    }

    /// Copies a backup to one place and tells how that went.
    fn copy(&self, backup: &Backup, name: &str, kind: bool) -> Result<Option<Value>> {
        let (monitor, file) = (self.monitor, &backup.file);
        let Some(place) = self.all.iter().find(|place| place.id() == name) else { return Ok(None) };
        monitor.check()?;
        let from = self.good(backup, kind);
        let copied = match kind {
            true => repository::copy::copy(place, &from, backup, monitor),
            false => copy(self.document, self.listing, backup, place, &from, self.state_dir, monitor),
        };
        match &copied {
            Err(error) if error.code() == Code::Cancelled => return copied.map(|()| None),
            Err(error) => monitor.note(NoteKind::Missing, format!("no copy of {file} at {name}: {error}")),
            Ok(()) => {
                damaged::is_good(self.document, name, file, monitor);
                made::lies_at(self.document, file, &[name], monitor);
            }
        }
        Ok(Some(outcome(file, name, copied)))
    }
}

/// What became of a backup at a destination, for scripts.
pub(super) fn outcome(file: &str, destination: &str, done: Result<()>) -> Value {
    let error = done.err();
    json!({
        "file": file,
        "destination": destination,
        "ok": error.is_none(),
        "error": error.as_ref().map(ToString::to_string),
        "failure": error,
    })
}

/// Names that a listing has somewhere, each with the places that lack it: there a part of it is worth resuming.
pub fn resumable(document: &Document, listing: &Listing) -> Result<Vec<(String, Vec<String>)>> {
    let found = wanting(document, listing, &Damaged::of(document))?;
    Ok(found.into_iter().map(|(backup, missing)| (backup.file.to_string(), missing)).collect())
}

/// Whether a copy is one to count on, as far as was looked at it.
fn is_good(known: &Damaged, backup: &Backup, copy: &Copy) -> bool {
    copy.whole && !known.has(&backup.file, copy)
}

/// Backups with the destinations that lack them, or have a damaged copy, the newest first. Of a schedule that keeps so many, older ones are
/// left alone: they would go again at once.
fn wanting<'a>(
    document: &Document,
    listing: &'a Listing,
    known: &Damaged,
) -> Result<Vec<(&'a Backup, Vec<String>)>> {
    let now = jiff::Timestamp::now().as_second();
    let made = Made::of(document);
    let mut found = Vec::new();
    for backup in &listing.backups {
        let in_repository = backup.copies.iter().any(|copy| copy.place.repository);
        let is_ours = |sidecar: &Sidecar| in_repository || sidecar.get(key::SHA256).is_some();
        let Some(sidecar) = backup.sidecar()?.filter(is_ours).filter(|_| !made.is_unwanted(&backup.file))
        else {
            continue;
        };
        // One that a wrong clock dated in the future does not push others out, nor does one that is damaged wherever it
        // lies, or lacks something that this one has: as where retention decides.
        let counts = |other: &&Backup| {
            other.about.schedule == backup.about.schedule
                && !is_future(other.time, now)
                && (backup.incomplete || !other.incomplete)
                && other.distinct_copies().any(|copy| is_good(known, other, copy))
        };
        let others = listing.backups.iter().filter(|other| other.id != backup.id).filter(counts);
        let schedule = backup.about.schedule.as_ref().and_then(|name| document.schedules.get_key_value(name));
        let goes_again = schedule.is_some_and(|(name, schedule)| {
            let rule = Rule::of(document, name, &schedule.keep, &|_, _| false);
            !rule.would_stay(backup.id, others.map(|other| other.id), now)
        });
        if goes_again {
            continue;
        }
        let wanted = sidecar.list(key::COPIES).into_iter().filter_map(|name| String::from_utf8(name).ok());
        // Of sidecars that contradict each other nobody knows here which is right.
        let damaged = backup.distinct_copies().filter(|copy| !copy.differs && !is_good(known, backup, copy));
        let damaged: BTreeSet<String> = damaged.map(|copy| copy.place.destination.clone()).collect();
        let missing: BTreeSet<String> = wanted
            .filter(|name| backup.copy_at(name).is_none())
            .chain(damaged)
            .filter(|name| document.destinations.contains_key(name))
            .collect();
        // What comes to a place lies at all destinations that are it.
        let once = |name: String| listing.same.get(&name).cloned().unwrap_or(name);
        let missing: BTreeSet<String> = missing.into_iter().map(once).collect();
        let missing: Vec<String> = missing.into_iter().collect();
        if !missing.is_empty() {
            found.push((backup, missing));
        }
    }
    Ok(found)
}

/// Copies one backup from the nearest good copy. What is damaged is not spread.
fn copy(
    document: &Document,
    listing: &Listing,
    backup: &Backup,
    to: &Arc<dyn Destination>,
    all: &[Arc<dyn Destination>],
    state_dir: &Path,
    monitor: &Monitor,
) -> Result<()> {
    // Nor is what somebody else put there.
    let local = places::fetch_nearest(document, all, backup, state_dir, monitor, |local| {
        local.known_encrypted(trust::is_known_encrypted(document, listing, backup)).trusted(document, monitor)
    })?;
    monitor.phase(Phase::Finishing);
    monitor.set_current(format!("{} to {}", backup.file, to.id()));
    let text = local.sidecar().map(ToString::to_string).unwrap_or_default();
    to.prepare(monitor)?;
    web::refuse_served(document, &**to, backup.is_encrypted(), monitor)?;
    let checked = local.sidecar().and_then(|sidecar| sidecar.digest(key::SHA256));
    let file = Follow::finished(local.into_file())?;
    if let Some(digest) = checked {
        file.set_sha256(digest);
    }
    // A damaged copy stays until the good one is whole.
    let existing = if backup.copy_at(to.id()).is_some() { Existing::Replace } else { Existing::Keep };
    to.follow(&backup.file, existing, &file, &|| Ok(text.clone()), monitor)
}
