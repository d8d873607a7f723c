//! The state of a site's backups against its policy, for monitoring.

use super::{drill, export, lock, places, recover, schedule, site, state};
use crate::catalog::{self, Copy, Sites};
use crate::config::Document;
use crate::{Monitor, NoteKind, Result};
use serde_json::{Value, json};
use std::path::Path;

/// What is there, what is missing, what comes next. A destination that does not answer is part of the answer.
pub fn run(document: &Document, asked: Option<&str>, monitor: &Monitor) -> Result<Value> {
    let state_dir = lock::state_dir(document)?;
    site::bring_back(document, monitor);
    let all = places::open(document, &[])?;
    let places: Vec<_> = all.iter().map(AsRef::as_ref).collect();
    places.iter().for_each(|place| place.attend(&monitor.flag()));
    let sites = Sites::of(document, asked);
    let mut listing = catalog::Listing::of(&places).of_sites(&sites)?;
    for note in &listing.notes {
        monitor.note(note.kind, note.text.clone());
    }
    for backup in &mut listing.backups {
        for path in export::exported(&state_dir, &backup.file)? {
            backup.copies.push(offline(&path, backup.size));
        }
    }
    let now = jiff::Timestamp::now().as_second();
    let status = catalog::status(document, &listing, now);
    for source in &status.sources {
        for missing in &source.missing {
            monitor.note(NoteKind::Missing, format!("{}: {missing}", source.source));
        }
    }
    for note in
        listing.notes.iter().filter(|note| note.kind > NoteKind::Info).cloned().chain(listing.incomplete())
    {
        monitor.note(note.kind, note.text);
    }
    for place in &status.unreachable {
        monitor.note(NoteKind::Missing, format!("not reached: {place}"));
    }
    if let Some(pending) = recover::pending(&state_dir) {
        monitor.note(NoteKind::Missing, pending);
    }
    if let Some(another) = state::restore_of_another(&state_dir) {
        monitor.note(NoteKind::Missing, another.to_string());
    }
    if let Some(advice) = state::advice(document) {
        monitor.note(NoteKind::Info, advice);
    }
    let drills = drill::results(&state_dir)?;
    for (source, told) in drills.iter().filter(|(_, told)| told["ok"] == false) {
        let why = told["error"].as_str().unwrap_or_default();
        monitor.note(NoteKind::Missing, format!("{source}: the last drill failed: {why}"));
    }
    let mut next = serde_json::Map::new();
    for (name, settings) in &document.schedules {
        let settings = schedule::with_last_run(document, name, settings)?;
        next.insert(
            name.clone(),
            json!({
                "last_run": settings.last_run,
                "next_run": catalog::next_run(&settings, &document.site, now)?,
            }),
        );
    }
    let mut result = json!(status);
    if let Value::Object(map) = &mut result {
        map.insert("time".into(), now.into());
        map.insert("schedules".into(), next.into());
        map.insert("drills".into(), drills.into());
        map.insert("policy".into(), json!(document.policy));
        map.insert("other_sites".into(), json!(listing.other_sites()));
    }
    Ok(result)
}

/// A copy on a disk that was taken away: on a machine of its own, and believed in until it is looked at again.
fn offline(path: &Path, size: u64) -> Copy {
    let place = format!("offline copy {}", path.display());
    Copy {
        destination: place.clone(),
        host: place.clone(),
        folder: place,
        local: false,
        size,
        whole: true,
        verified: None,
    }
}
