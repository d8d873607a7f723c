//! Retention: old backups of a schedule go, at each of its destinations.

use super::choose::unknown;
use super::{lock, places};
use crate::catalog::Rule;
use crate::config::Document;
use crate::destination::Destination;
use crate::{Monitor, NoteKind, Result};
use serde_json::{Value, json};
use std::sync::Arc;

/// Applies the rules of the schedules named, or of all. With `dry_run` it only tells what would go and why.
pub fn run(
    document: &Document,
    schedules: &[String],
    dry_run: bool,
    monitor: &Arc<Monitor>,
) -> Result<Value> {
    let _lock = lock::acquire(document)?;
    let known: Vec<&str> = document.schedules.keys().map(String::as_str).collect();
    if let Some(name) = schedules.iter().find(|name| !document.schedules.contains_key(*name)) {
        return Err(unknown("schedule", name, &known));
    }
    let mut decisions = Vec::new();
    for name in known.iter().filter(|name| schedules.is_empty() || schedules.iter().any(|s| s == *name)) {
        let settings = document.schedules.get(*name);
        let all = places::open(document, settings.map_or(&[], |schedule| &schedule.destinations))?;
        decisions.extend(apply(document, name, &all, dry_run, monitor)?);
    }
    Ok(json!({ "dry_run": dry_run, "decisions": decisions }))
}

/// One schedule's rule at its destinations, `all`, with the lock held.
pub fn apply(
    document: &Document,
    schedule: &str,
    all: &[Arc<dyn Destination>],
    dry_run: bool,
    monitor: &Arc<Monitor>,
) -> Result<Vec<Value>> {
    let Some(settings) = document.schedules.get(schedule) else { return Ok(Vec::new()) };
    let rule = Rule { schedule, keep: settings.keep, smart: &document.smart_keep, site: &document.site };
    let listing = places::list(all, monitor)?;
    let now = jiff::Timestamp::now().as_second();
    let mut told = Vec::new();
    for place in all.iter().filter(|place| !listing.unreachable.contains_key(place.id())) {
        for decision in rule.decide(&listing.backups, place.id(), now) {
            monitor.check()?;
            let mut error = None;
            if !decision.keep
                && !dry_run
                && let Err(failed) = place.remove(&decision.file)
            {
                let text = format!("{} should go from {} but did not: {failed}", decision.file, place.id());
                monitor.note(NoteKind::Missing, text);
                error = Some(failed.to_string());
            }
            told.push(json!({
                "schedule": schedule,
                "destination": place.id(),
                "id": decision.id,
                "file": decision.file,
                "keep": decision.keep,
                "reason": decision.reason,
                "error": error,
            }));
        }
    }
    Ok(told)
}
