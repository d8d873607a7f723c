//! Verifying: every byte of every copy is read, proven against its sidecar, decrypted and decompressed.
//!
//! `sample` reads a part of each copy only; `drill` restores the newest backup for trial.

pub mod drill;
pub(super) mod sample;

use super::keys::Ring;
use super::open::Local;
use super::select::Ask;
use super::{lock, trust};
use crate::catalog::{Backup, Sidecar, key};
use crate::config::Document;
use crate::destination::Destination;
use crate::encrypt::Kind;
use crate::{Code, Error, Monitor, NoteKind, Phase, Result};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// Verifies one backup, or all. Fails with [`Code::Integrity`] when a copy is damaged, after looking at the others.
pub fn run(document: &Document, ask: &Ask<'_>, monitor: &Arc<Monitor>) -> Result<Value> {
    let state_dir = lock::state_dir(document)?;
    let there = ask.list(document, monitor)?;
    let chosen = ask.choose(&there.listing, monitor)?;
    if let (None, Some(note)) = (ask.id, there.listing.incomplete()) {
        monitor.note(note.kind, note.text);
    }
    let (mut copies, mut damaged) = (Vec::new(), Vec::new());
    // Each is checked and decoded, after it was fetched from where it does not lie on this machine.
    let to_read = |backup: &&Backup| -> u64 {
        let at = there.places.iter().filter(|place| backup.copy_at(place.id()).is_some());
        at.map(|place| if place.local_path(&backup.file).is_some() { 2 } else { 3 } * backup.size).sum()
    };
    monitor.expect(chosen.iter().map(to_read).sum());
    for backup in chosen {
        for place in there.places.iter().filter(|place| backup.copy_at(place.id()).is_some()) {
            monitor.phase(Phase::Verifying);
            monitor.set_current(format!("{} at {}", backup.file, place.id()));
            let never_plain = trust::is_known_encrypted(&there.listing, backup);
            let checked = copy(document, place, &backup.file, never_plain, &state_dir, monitor);
            if let Err(error) = &checked {
                if error.code() == Code::Cancelled {
                    return checked.map(|()| Value::Null);
                }
                monitor.note(NoteKind::Missing, format!("{} at {}: {error}", backup.file, place.id()));
                damaged.push(error.code());
            }
            let error = checked.as_ref().err();
            copies.push(json!({
                "id": backup.id,
                "file": backup.file,
                "destination": place.id(),
                "ok": error.is_none(),
                "error": error.map(ToString::to_string),
            }));
        }
    }
    if damaged.is_empty() {
        return Ok(json!({ "copies": copies }));
    }
    let told: Vec<String> = monitor
        .notes()
        .into_iter()
        .filter(|note| note.kind == NoteKind::Missing)
        .map(|note| note.text)
        .collect();
    let code = if damaged.contains(&Code::Integrity) { Code::Integrity } else { Code::Partial };
    Err(Error::new(code, format!("{} of {} copies failed: {}", damaged.len(), copies.len(), told.join("; ")))
        .hint("where a key is missing, add it to encryption.keys; where a copy is damaged, make a new backup and remove it"))
}

fn copy(
    document: &Document,
    place: &Arc<dyn Destination>,
    name: &str,
    never_plain: bool,
    spool_dir: &Path,
    monitor: &Monitor,
) -> Result<()> {
    let mut local = Local::fetch(place, name, spool_dir, monitor)?.known_encrypted(never_plain);
    let proven = local.sidecar().and_then(|sidecar| sidecar.digest(key::SHA256));
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
            true => local.prove(document, false, monitor)?,
            false => local.show(document, false, monitor)?,
        };
        opened.examine(document, spool_dir, monitor)?;
    }
    let Some(text) = place.sidecar(name)? else { return Ok(()) };
    let mut sidecar = Sidecar::parse(&text);
    // Meanwhile it may have been overwritten or encrypted anew: that copy was not read.
    if sidecar.get(key::FORMAT).is_some() && sidecar.digest(key::SHA256) == proven {
        sidecar
            .set_number(key::VERIFIED, u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default());
        // A place that we may only read holds good copies, too.
        if let Err(error) = place.write_sidecar(name, &sidecar.to_string()) {
            if error.code() == Code::Cancelled {
                return Err(error);
            }
            let text = format!(
                "{name} at {} is good; that it was verified could not be noted there: {error}",
                place.id()
            );
            monitor.note(NoteKind::Warning, text);
        }
    }
    Ok(())
}
