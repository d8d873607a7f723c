//! How many backups there are, how much they take, and how they grow: of what a listing tells, nothing is read.

use super::Which;
use crate::catalog::{Backup, date};
use crate::config::Document;
use crate::job::places;
use crate::job::select::Criteria;
use crate::{Monitor, Result};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How many of the largest are named.
const LARGEST: usize = 5;

/// So many backups, so many bytes.
#[derive(Debug, Clone, Default, Serialize)]
struct Sum {
    /// Backups, each once wherever it lies; at a destination: copies.
    backups: u64,
    /// Bytes of them.
    bytes: u64,
}

impl Sum {
    fn add(&mut self, bytes: u64) {
        self.backups += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// What a source's backups are.
#[derive(Debug, Clone, Serialize)]
struct OfSource {
    #[serde(flatten)]
    sum: Sum,
    /// With all copies.
    stored: u64,
    /// Unix time of the oldest.
    oldest: u64,
    /// Of the newest.
    newest: u64,
    /// Bytes of the oldest.
    first_size: u64,
    /// Of the newest.
    last_size: u64,
}

impl Default for OfSource {
    fn default() -> Self {
        OfSource { sum: Sum::default(), stored: 0, oldest: u64::MAX, newest: 0, first_size: 0, last_size: 0 }
    }
}

impl OfSource {
    fn add(&mut self, backup: &Backup) {
        self.sum.add(backup.size);
        if backup.time < self.oldest {
            (self.oldest, self.first_size) = (backup.time, backup.size);
        }
        if backup.time >= self.newest {
            (self.newest, self.last_size) = (backup.time, backup.size);
        }
    }
}

/// The largest ones.
fn largest(mut backups: Vec<&Backup>) -> Vec<Value> {
    backups.sort_by_key(|backup| (std::cmp::Reverse(backup.size), backup.id));
    backups.truncate(LARGEST);
    let told = |backup: &Backup| {
        let mut told = json!(Which::listed(backup));
        told["size"] = backup.size.into();
        told
    };
    backups.into_iter().map(told).collect()
}

/// Counts what there is.
pub fn run(document: &Document, ask: &Criteria<'_>, monitor: &Monitor) -> Result<Value> {
    let there = ask.list(document, monitor)?;
    places::check_source(document, &there.listing, ask.source)?;
    if let Some(note) = there.listing.incomplete() {
        monitor.note(note.kind, note.text);
    }
    let of_source =
        |backup: &&Backup| ask.source.is_none_or(|source| backup.about.source.as_deref() == Some(source));
    let backups: Vec<&Backup> = there.listing.backups.iter().filter(of_source).collect();
    let zone = date::zone(document.site.timezone.as_deref());
    let (mut total, mut stored) = (Sum::default(), Sum::default());
    let mut sources: BTreeMap<&str, OfSource> = BTreeMap::new();
    let mut destinations: BTreeMap<&str, Sum> = BTreeMap::new();
    let mut months: BTreeMap<String, Sum> = BTreeMap::new();
    for backup in &backups {
        total.add(backup.size);
        let source = sources.entry(backup.about.source.as_deref().unwrap_or("?")).or_default();
        source.add(backup);
        for copy in backup.distinct_copies() {
            destinations.entry(&copy.place.destination).or_default().add(copy.size);
            stored.add(copy.size);
            source.stored = source.stored.saturating_add(copy.size);
        }
        let time = date::at(i64::try_from(backup.time).unwrap_or(i64::MAX), &zone);
        months.entry(time.strftime("%Y-%m").to_string()).or_default().add(backup.size);
    }
    let months: Vec<Value> = months
        .into_iter()
        .map(|(month, sum)| json!({ "month": month, "backups": sum.backups, "bytes": sum.bytes }))
        .collect();
    Ok(json!({
        "backups": total.backups,
        "bytes": total.bytes,
        "copies": stored.backups,
        "stored": stored.bytes,
        "sources": sources,
        "destinations": destinations,
        "months": months,
        "largest": largest(backups),
        "unreachable": there.listing.unreachable,
    }))
}
