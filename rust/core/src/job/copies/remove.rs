//! Erasing one backup wherever it lies.

use super::half;
use crate::config::Document;
use crate::destination::{Destination, same};
use crate::job::select::Criteria;
use crate::job::{lock, made, places};
use crate::{Code, Error, Monitor, NoteKind, Result};
use serde_json::{Value, json};
use std::sync::Arc;

/// Erases every copy, and says which could not be reached. Fails when none could.
pub fn run(document: &Document, ask: &Criteria<'_>, monitor: &Arc<Monitor>) -> Result<Value> {
    let _lock = lock::acquire(document)?;
    let there = ask.list(document, monitor)?;
    let backup = ask.find(document, &there.listing, monitor)?;
    refuse_doubles(document, ask.destinations, &there.places, monitor)?;
    let (mut erased, mut failed, mut halves) = (Vec::new(), Vec::new(), false);
    let holding = || there.places.iter().filter(|place| backup.distinct_copy_at(place.id()).is_some());
    let (at, everywhere) =
        (holding().map(|place| place.id()).collect::<Vec<_>>(), ask.destinations.is_empty());
    let begin = || made::erasing(document, &backup.file, backup.id, &at, everywhere);
    let mut begun = begin();
    if let Err(error) = &begun {
        monitor.note(NoteKind::Info, format!("not remembered before it is done: {error}"));
    }
    for place in holding() {
        match place.remove(&backup.file) {
            Ok(()) => {
                erased.push(place.id());
                // There may be room for it now.
                if begun.is_err() {
                    begun = begin();
                }
                // What was forgotten takes room until then.
                if let Some(Err(error)) = place.snapshots().map(|repository| repository.prune(monitor)) {
                    let text = format!("{} gave no room free, the next prune will: {error}", place.id());
                    monitor.note(NoteKind::Warning, text);
                }
            }
            Err(error) if error.code() == Code::Cancelled => return Err(error),
            // Somebody else was quicker.
            Err(error) if error.code() == Code::NotFound => {
                monitor.note(NoteKind::Info, format!("{} is not at {} any more", backup.file, place.id()));
                erased.push(place.id());
            }
            Err(error) => {
                let text = match half::erased(&**place, &backup.file, &error) {
                    Some(text) => {
                        halves = true;
                        text
                    }
                    None => format!("still at {}: {error}", place.id()),
                };
                monitor.note(NoteKind::Missing, text);
                failed.push(json!({"name": place.id(), "error": error.to_string(), "failure": error}));
            }
        }
    }
    if erased.is_empty() {
        // Of a copy that went half, the next run takes the rest.
        if holding().all(|place| matches!(place.stat(&backup.file), Ok(Some(_)))) {
            made::not_erased(document, &backup.file, monitor);
        }
        let how = if halves { "was not erased whole anywhere" } else { "could not be erased anywhere" };
        return Err(
            Error::new(Code::Destination, format!("{} {how}", backup.file)).hint("see the reasons above")
        );
    }
    // What is left of it at a place where that failed is not to be copied from there.
    made::erased(document, &backup.file, backup.id, everywhere, monitor);
    Ok(
        json!({"id": backup.id, "file": &*backup.file, "source": backup.about.source, "erased": erased, "failed": failed}),
    )
}

/// Refuses to erase at a destination that is the place of another: the copy of that one would go.
fn refuse_doubles(
    document: &Document,
    asked: &[String],
    places: &[Arc<dyn Destination>],
    monitor: &Monitor,
) -> Result<()> {
    let others: Vec<String> =
        document.destinations.keys().filter(|name| !asked.contains(*name)).cloned().collect();
    if asked.is_empty() || others.is_empty() {
        return Ok(());
    }
    // One that is not configured well is none that could be looked at.
    let others = places::open(document, &others).unwrap_or_default();
    others.iter().for_each(|place| place.attend(&monitor.flag()));
    for one in places {
        // Lists have what lies there at the first.
        let before: Vec<&dyn Destination> = others
            .iter()
            .map(AsRef::as_ref)
            .filter(|other: &&dyn Destination| other.id() < one.id())
            .collect();
        if let Some(other) = same::proven(&**one, &before).and_then(|at| before.get(at)) {
            let (one, other) = (one.id(), other.id());
            let text = format!("{one} is the same place as {other}: nothing is erased");
            return Err(Error::new(Code::Usage, text)
                .hint(format!("erase it there with --destination {other}, or everywhere, without it")));
        }
    }
    monitor.check()
}
