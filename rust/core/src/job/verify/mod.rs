//! Verifying: every byte of every copy is read, proven against its sidecar, decrypted and decompressed.
//!
//! `sample` reads a part of each copy only; `drill` restores the newest backup for trial.

pub mod drill;
pub(super) mod sample;

use super::keys::Ring;
use super::local::Local;
use super::made::Made;
use super::select::Criteria;
use super::{damaged, lock, recall, trust};
use crate::catalog::{Backup, Sidecar, key};
use crate::config::Document;
use crate::destination::Destination;
use crate::encrypt::Kind;
use crate::{Code, Error, Monitor, NoteKind, Phase, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Verifies one backup, or all. Fails with [`Code::Integrity`] when a copy is damaged, after looking at the others.
/// `unauthenticated`: what nothing proves is read through, with a warning, and not recorded as verified.
pub fn run(
    document: &Document,
    ask: &Criteria<'_>,
    unauthenticated: bool,
    monitor: &Arc<Monitor>,
) -> Result<Value> {
    let state_dir = lock::state_dir(document)?;
    let there = ask.list(document, monitor)?;
    let chosen = ask.choose(document, &there.listing, monitor)?;
    if let (None, Some(note)) = (ask.id, there.listing.incomplete()) {
        monitor.note(note.kind, note.text);
    }
    // Each is checked and decoded, after it was fetched from where it does not lie on this machine.
    let to_read = |backup: &&Backup| -> u64 {
        let at = there.places.iter().filter(|place| backup.distinct_copy_at(place.id()).is_some());
        at.map(|place| if place.local_path(&backup.file).is_some() { 2 } else { 3 } * backup.size).sum()
    };
    if ask.id.is_none() && ask.destinations.is_empty() {
        damaged::forget_gone(document, &there.listing, monitor);
    }
    monitor.expect(chosen.iter().map(to_read).sum());
    let (mut copies, mut failed) = (Vec::new(), Failed::default());
    let (made, mut structures) = (Made::of(document), Structures::default());
    for backup in chosen {
        backup.lacks().into_iter().for_each(|text| monitor.note(NoteKind::Warning, text));
        for place in there.places.iter().filter(|place| backup.distinct_copy_at(place.id()).is_some()) {
            monitor.phase(Phase::Verifying);
            monitor.set_current(format!("{} at {}", backup.file, place.id()));
            let never_plain = trust::is_known_encrypted(document, &there.listing, backup);
            let as_made = recall::check(&made, backup, &**place);
            let noted = as_made.is_ok();
            let how = How { never_plain, unauthenticated, noted, spool_dir: &state_dir };
            let checked = structures
                .look(place, None, monitor)
                .and_then(|()| copy(document, place, &backup.file, how, monitor))
                .and_then(|compared| as_made.map(|()| compared));
            if let Err(error) = &checked {
                if error.code() == Code::Cancelled {
                    return checked.map(|_| Value::Null);
                }
                damaged::note(document, &**place, &backup.file, error, monitor);
                failed.add(&backup.file, place.id(), error);
            } else {
                damaged::is_good(document, place.id(), &backup.file, monitor);
            }
            let error = checked.as_ref().err();
            copies.push(json!({
                "id": backup.id,
                "file": &*backup.file,
                "destination": place.id(),
                "ok": error.is_none(),
                "error": error.map(ToString::to_string),
                "failure": error,
                "incomplete": backup.incomplete,
                "compared": checked.as_ref().is_ok_and(|compared| *compared),
            }));
        }
    }
    match failed.error(copies.len(), monitor) {
        Some(error) => Err(error),
        None => Ok(json!({ "copies": copies })),
    }
}

/// Repositories that were looked at in this run: one look tells for all that is in one.
#[derive(Default)]
pub(super) struct Structures(BTreeMap<String, Option<Error>>);

impl Structures {
    /// Whether a place, where it is a repository, is whole; with `percent`, so much of its data is read as well.
    pub(super) fn look(
        &mut self,
        place: &Arc<dyn Destination>,
        percent: Option<f64>,
        monitor: &Monitor,
    ) -> Result<()> {
        let Some(repository) = place.snapshots() else { return Ok(()) };
        if let Some(known) = self.0.get(place.id()) {
            return known.as_ref().map_or(Ok(()), |error| Err(error.again()));
        }
        let looked = repository.check(percent, monitor);
        self.0.insert(place.id().to_owned(), looked.as_ref().err().map(Error::again));
        looked
    }
}

/// How many failures the error names; the others become notes.
const NAMED: usize = 3;

/// Copies that are not as they should be.
#[derive(Default)]
pub(super) struct Failed {
    told: Vec<String>,
    hints: Vec<String>,
    damaged: bool,
}

impl Failed {
    /// One more.
    pub(super) fn add(&mut self, file: &str, place: &str, error: &Error) {
        self.told.push(match error.message().contains(file) {
            true => format!("at {place}: {}", error.message()),
            false => format!("{file} at {place}: {}", error.message()),
        });
        if let Some(hint) = error.next_step().map(str::to_owned).filter(|hint| !self.hints.contains(hint)) {
            self.hints.push(hint);
        }
        self.damaged |= error.code() == Code::Integrity;
    }

    /// The failure of the whole, with what to do about those it names; `None` where all `count` copies are good.
    pub(super) fn error(self, count: usize, monitor: &Monitor) -> Option<Error> {
        if self.told.is_empty() {
            return None;
        }
        let code = if self.damaged { Code::Integrity } else { Code::Partial };
        let mut text = format!("{} of {count} copies failed: ", self.told.len());
        text += &self.told.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join("; ");
        if self.told.len() > NAMED {
            text += &format!("; and {} more (above)", self.told.len() - NAMED);
        }
        for more in self.told.into_iter().skip(NAMED) {
            monitor.note(NoteKind::Missing, more);
        }
        let error = Error::new(code, text);
        Some(if self.hints.is_empty() { error } else { error.hint(self.hints.join("; ")) })
    }
}

/// How a copy is read.
#[derive(Clone, Copy)]
struct How<'a> {
    /// It is known to have been encrypted.
    never_plain: bool,
    /// Nothing needs to prove it.
    unauthenticated: bool,
    /// That it is good is written beside it.
    noted: bool,
    spool_dir: &'a Path,
}

/// Whether its bytes were compared with what its sidecar says of them.
fn copy(
    document: &Document,
    place: &Arc<dyn Destination>,
    name: &str,
    how: How<'_>,
    monitor: &Monitor,
) -> Result<bool> {
    let mut local = Local::fetch(place, name, how.spool_dir, monitor)?.known_encrypted(how.never_plain);
    // Also of one whose bytes nothing else tells: Backup and Migrate's.
    local.check_size()?;
    let proven = local.sidecar().and_then(|sidecar| sidecar.digest(key::SHA256));
    // A repository gives nothing out that its own hashes and MACs do not prove.
    let compared = proven.is_some() || place.snapshots().is_some();
    if local.encryption()? == Kind::Age && !Ring::of(document).has_identities() {
        // Where backups are made nobody can open them: that is what age is chosen for.
        local.trusted(document, monitor)?;
        monitor.note(
            NoteKind::Info,
            format!(
                "{name} at {}: every byte is as it was written; no identity is here to decrypt it",
                place.id()
            ),
        );
    } else {
        // A file of somebody else's has nothing to be proven by; that it can be read through is all that can be said.
        let opened = match local.sidecar().is_some_and(|sidecar| sidecar.get(key::FORMAT).is_some()) {
            true => local.prove(document, how.unauthenticated, monitor)?,
            false => local.show(document, how.unauthenticated, monitor)?,
        };
        let unproven = how.unauthenticated && !opened.is_authentic() && trust::has_key(document);
        let sure = opened.is_authentic() || !opened.is_encrypted();
        opened.examine(document, how.spool_dir, monitor).map_err(|error| {
            // Else the key may be the wrong one.
            if sure && error.code() == Code::Integrity { error.of_bytes() } else { error }
        })?;
        if unproven {
            return Ok(compared);
        }
    }
    if how.noted {
        note_verified(place, name, proven, monitor)?;
    }
    Ok(compared)
}

/// Writes beside a copy that all of it was read just now and is good; `read` is the SHA-256 of what was read, where its
/// sidecar told one.
fn note_verified(
    place: &Arc<dyn Destination>,
    name: &str,
    read: Option<[u8; 32]>,
    monitor: &Monitor,
) -> Result<()> {
    let Some(text) = place.sidecar(name)? else { return Ok(()) };
    let mut sidecar = Sidecar::parse(&text);
    // Meanwhile it may have been overwritten or encrypted anew: that copy was not read.
    if sidecar.get(key::FORMAT).is_none() || sidecar.digest(key::SHA256) != read {
        return Ok(());
    }
    sidecar.set_number(key::VERIFIED, u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default());
    match place.write_sidecar(name, &sidecar.to_string()) {
        Err(error) if error.code() == Code::Cancelled => Err(error),
        // A place that we may only read holds good copies, too.
        Err(error) => {
            let text = format!(
                "{name} at {} is good; that it was verified could not be noted there: {error}",
                place.id()
            );
            monitor.note(NoteKind::Warning, text);
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}
