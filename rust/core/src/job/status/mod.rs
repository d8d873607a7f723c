//! The state of a site's backups against its policy, for monitoring.

mod damaged;
mod remembered;
mod repositories;
mod unproven;

use self::remembered::Remembered;
use self::unproven::Unproven;
use super::copies::exports::{self, Exported};
use super::damaged::Damaged;
use super::keys::Ring;
use super::restore::recover;
use super::verify::drill;
use super::{check, lock, places, schedule, state};
use crate::catalog::{self, Copy, Listing, Place, Sites};
use crate::config::{Document, EncryptionKind};
use crate::destination::Destination;
use crate::{Monitor, NoteKind, Result};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// What is there, what is missing, what comes next. A destination that does not answer is part of the answer.
pub fn run(document: &Document, asked: Option<&str>, monitor: &Monitor) -> Result<Value> {
    let state_dir = lock::state_dir(document)?;
    recover::bring_back(document, monitor);
    let all = places::open(document, &[])?;
    let opened: Vec<_> = all.iter().map(AsRef::as_ref).collect();
    opened.iter().for_each(|place| place.attend(&monitor.flag()));
    let sites = Sites::of(document, asked);
    let mut listing = catalog::Listing::of(&opened)?;
    places::settle(document, &all, &mut listing, monitor)?;
    monitor.check()?;
    let mut listing = listing.of_sites(&sites)?;
    for note in listing.notes.iter().filter(|note| note.kind == NoteKind::Info) {
        monitor.note(note.kind, note.text.clone());
    }
    let remembered = Remembered::of(document, &listing, monitor)?;
    let known = Damaged::told(document, monitor);
    let damaged = damaged::places(&known, &listing);
    // With those of its copies that do not count.
    let repositories = repositories::tell(&all, &listing, &damaged, monitor)?;
    tell_of_keys(document, &listing, monitor);
    let taken_out = count(&known, document, &state_dir, &mut listing, monitor)?;
    monitor.check()?;
    let now = jiff::Timestamp::now().as_second();
    let mut status = catalog::status(document, &listing, remembered.gone(), now);
    unproven::tell(&taken_out, &mut status, document, monitor);
    remembered.tell(&mut status, monitor);
    if status.sources.is_empty() && document.policy.wants() {
        status.ok = false;
        let text = "there is no backup of a known source, and the policy wants some: make one, `bam backup`";
        monitor.note(NoteKind::Missing, text);
    }
    for source in &status.sources {
        for missing in &source.missing {
            monitor.note(NoteKind::Missing, format!("{}: {missing}", source.source));
        }
    }
    tell_of_listing(&listing, monitor);
    for place in &status.unreachable {
        monitor.note(NoteKind::Missing, format!("not reached: {place}"));
    }
    tell_of_places(&all, &listing, monitor);
    tell_of_a_restore(document, &state_dir, monitor)?;
    if let Some(advice) = state::advice(document) {
        monitor.note(NoteKind::Info, advice);
    }
    let drills = or_told(drill::results(&state_dir), monitor);
    tell_of_drills(document, &drills, monitor);
    let next = next_runs(document, now, monitor);
    let mut result = json!(status);
    if let Value::Object(map) = &mut result {
        map.insert("time".into(), now.into());
        map.insert("schedules".into(), next.into());
        map.insert("drills".into(), drills.into());
        map.insert("repositories".into(), repositories.into());
        map.insert("policy".into(), json!(document.policy));
        map.insert("other_sites".into(), json!(listing.other_sites()));
    }
    Ok(result)
}

/// What the listing says of itself.
fn tell_of_listing(listing: &Listing, monitor: &Monitor) {
    let notes = listing.notes.iter().filter(|note| note.kind > NoteKind::Info).cloned();
    notes.chain(listing.incomplete()).for_each(|note| monitor.note(note.kind, note.text));
}

/// Makes of a listing what counts: takes out copies without proof and damaged ones, and adds those on disks that were taken
/// away. Gives what was taken out.
fn count(
    known: &Damaged,
    document: &Document,
    state_dir: &Path,
    listing: &mut Listing,
    monitor: &Monitor,
) -> Result<Vec<Unproven>> {
    let mut taken_out = unproven::take_out(document, listing, monitor)?;
    let exported = or_told(exports::known(state_dir), monitor);
    for backup in &mut listing.backups {
        backup.copies.retain(|copy| copy.place.same_as.is_none());
        for exported in exports::of(document, &exported, backup, monitor) {
            backup.copies.push(offline(&exported, backup.size));
        }
    }
    taken_out.extend(damaged::take_out(known, document, listing));
    Ok(taken_out)
}

/// What is remembered, nothing where that cannot be read, which is told.
fn or_told<T: Default>(read: Result<T>, monitor: &Monitor) -> T {
    read.unwrap_or_else(|error| {
        monitor.note(NoteKind::Missing, error.to_string());
        T::default()
    })
}

/// Keys that schedules, or the backups that there are, need and that cannot be used.
fn tell_of_keys(document: &Document, listing: &Listing, monitor: &Monitor) {
    let findings = check::unusable_keys(document);
    let needed = listing.backups.iter().any(|backup| {
        matches!(backup.encryption, EncryptionKind::Aes256 | EncryptionKind::AesModule)
            || backup.copies.iter().any(|copy| copy.sealed && !copy.place.repository)
    });
    // Each once: the schedules' are among those of the backups.
    let ring = needed.then(|| Ring::of(document));
    let unusable = ring.as_ref().map_or(&[][..], Ring::unusable);
    let told = findings.iter().map(|finding| (finding.text.clone(), finding.hint.clone()));
    let of_backups =
        unusable.iter().map(|error| (error.message().to_owned(), error.next_step().map(str::to_owned)));
    let mut seen = BTreeSet::new();
    for (text, hint) in told.chain(of_backups).filter(|(text, _)| seen.insert(text.clone())) {
        let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        monitor.note(NoteKind::Missing, format!("key: {text}{hint}"));
    }
}

/// Destinations that are one place, and those that keep old copies.
fn tell_of_places(all: &[Arc<dyn Destination>], listing: &Listing, monitor: &Monitor) {
    places::tell_of_doubles(listing, monitor);
    for place in all.iter().filter(|place| place.guards()) {
        let text = format!(
            "destination {}: the server guards old copies, bam deletes nothing there; what is too old goes by the server's own rules",
            place.id()
        );
        monitor.note(NoteKind::Info, text);
    }
}

/// A restore that was stopped is told of, unless it is still going on.
fn tell_of_a_restore(document: &Document, state_dir: &Path, monitor: &Monitor) -> Result<()> {
    let another = || state::restore_of_another(state_dir).map(|another| another.to_string());
    let Some(stopped) = recover::pending(state_dir).or_else(another) else { return Ok(()) };
    match lock::holder(document)? {
        Some(run) => {
            monitor.note(NoteKind::Info, format!("a restore is running, or another run ({run})"));
        }
        None => monitor.note(NoteKind::Missing, stopped),
    }
    Ok(())
}

/// The last drills that did not end well, of what the site has today.
fn tell_of_drills(document: &Document, drills: &Map<String, Value>, monitor: &Monitor) {
    for (source, told) in drills.iter().filter(|(source, _)| document.sources.contains_key(*source)) {
        let Some(why) = told["error"].as_str().filter(|_| told["ok"] != true) else { continue };
        let how =
            if told["ok"] == false { "the last drill failed" } else { "the last drill could not be made" };
        monitor.note(NoteKind::Missing, format!("{source}: {how}: {why}"));
    }
}

/// When each schedule ran, and when it does next.
fn next_runs(document: &Document, now: i64, monitor: &Monitor) -> Map<String, Value> {
    let mut next = Map::new();
    for (name, settings) in &document.schedules {
        let known = schedule::with_last_run(document, name, settings);
        let settings = or_told(known.map(Some), monitor).unwrap_or_else(|| settings.clone());
        let next_run = catalog::next_run(&settings, &document.site, now).unwrap_or_else(|error| {
            monitor.note(NoteKind::Missing, format!("schedule {name} never runs: {error}"));
            None
        });
        next.insert(name.clone(), json!({ "last_run": settings.last_run, "next_run": next_run }));
    }
    next
}

/// A copy on a disk that was taken away: believed in until it is looked at again.
fn offline(exported: &Exported, size: u64) -> Copy {
    let place = format!("offline copy {}", exported.path.display());
    let place = Place {
        destination: place.clone(),
        host: exported.host.clone(),
        folder: place,
        local: false,
        repository: false,
        same_as: None,
    };
    // As the export proved.
    Copy::believed(place, size)
}
