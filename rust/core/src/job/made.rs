//! What this site remembers of the backups it made, so that nobody who can write to a destination can pass something
//! else off as one of them, and nobody who can delete there an old one as the newest: how each was encrypted, the digest of
//! what its sidecar says under the MAC, its number, source and places, and whether it was erased here.
//!
//! Kept in the state folder, `made.json`: `{"NAME": {"encryption": "aes256", "seal": "…", "id": 1795…, "source": "db",
//! "at": ["manual"]}}`, `unwanted` what was to be erased everywhere, NAME without the extension of an encryption; `says` in place of `seal` where there is no MAC. Of
//! what another user of the site made and this one erased there are only `id` and `erased`. While one is erased, or where the
//! run that did was killed, `erasing` says `{"file", "at": ["manual"], "everywhere"}`. Whatever is lost there is only asked of
//! the key again.

use super::{lock, memory, state};
use crate::catalog::{BackupId, FileName, Listing, Sidecar, SiteIdentity, hex, key};
use crate::config::{Document, EncryptionKind};
use crate::destination::{Destination, is_address};
use crate::{Error, Monitor, NoteKind, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const FILE: &str = "made.json";

/// Backups that are remembered; the oldest are forgotten.
const MOST: usize = 2000;

/// What is remembered.
#[derive(Default)]
pub struct Made {
    known: Map<String, Value>,
    /// Why the memory cannot be read now, which must not make it begin anew.
    unread: Option<Error>,
}

impl Made {
    /// What the site remembers; nothing where it has no memory yet, or one that cannot be read. What root erased is erased.
    pub fn of(document: &Document) -> Made {
        let read = lock::state_dir(document)
            .and_then(|dir| Ok((memory::read(&dir.join(FILE))?, memory::read_roots(&dir, FILE)?)));
        match read {
            Ok((known, roots)) => {
                let mut made = Made { known, unread: None };
                made.believe(&roots);
                made
            }
            Err(error) => Made { unread: Some(error), ..Made::default() },
        }
    }

    /// Takes over what was or is erased, which may have been made again under the same name.
    fn believe(&mut self, other: &Map<String, Value>) {
        for (name, known) in &mut self.known {
            let same = |theirs: &&Value| theirs["id"].is_u64() && theirs["id"] == known["id"];
            let Some(theirs) = other.get(name).filter(same) else { continue };
            if theirs["erased"] == true {
                known["erased"] = true.into();
                known["unwanted"] = (theirs["unwanted"] == true).into();
            }
            if theirs["erasing"].is_object() {
                known["erasing"] = theirs["erasing"].clone();
            }
        }
    }

    /// What is known of a backup that was made here, by its name.
    fn get(&self, file: &str) -> Option<&Value> {
        self.known.get(&plain_name(file)?).filter(|known| known["encryption"].is_string())
    }

    /// Whether a backup of this name was made here.
    pub fn has(&self, file: &str) -> bool {
        self.get(file).is_some()
    }

    /// Whether a backup of this name was made here and not erased since.
    pub fn keeps(&self, file: &str) -> bool {
        self.get(file).is_some_and(|known| known["erased"] != true)
    }

    /// Whether a backup of this name was made encrypted.
    pub fn was_encrypted(&self, file: &str) -> bool {
        let kind = self.get(file).and_then(|known| known["encryption"].as_str());
        kind.is_some_and(|kind| kind != "none")
    }

    /// Whether the last backup of this name was made unencrypted: one before it may have been encrypted.
    pub fn was_made_plain(&self, file: &str) -> bool {
        self.get(file).is_some_and(|known| known["encryption"] == "none")
    }

    /// Whether a backup of this name was made with a MAC.
    pub fn was_sealed(&self, file: &str) -> bool {
        self.get(file).is_some_and(|known| known["seal"].is_string())
    }

    /// Whether this sidecar is, word for word under the MAC, what was made or proven here.
    pub fn knows(&self, file: &str, sidecar: &Sidecar) -> bool {
        let seal = self.get(file).and_then(|known| known["seal"].as_str());
        seal.is_some_and(|seal| Some(seal) == digest(sidecar).as_deref())
    }

    /// What was made under this very name and not erased here since: its number and source.
    pub fn kept_as(&self, file: &str) -> Option<(BackupId, &str)> {
        let known = self.get(file).filter(|known| known["erased"] != true)?;
        let encryption = json!(FileName::parse(file)?.encryption);
        let (id, source) = (known["id"].as_u64()?, known["source"].as_str()?);
        (known["encryption"] == encryption).then_some((BackupId(id), source))
    }

    /// Whether a sidecar says, word for word, what it said when it was made or proven here; `None` where that is not known.
    pub fn is_as_made(&self, file: &str, sidecar: &Sidecar) -> Option<bool> {
        let known = self.get(file)?;
        match (known["seal"].as_str(), known["says"].as_str()) {
            (Some(_), _) => Some(self.knows(file, sidecar)),
            (None, Some(says)) => Some(says == words(sidecar, &[])),
            (None, None) => None,
        }
    }

    /// Remembers one more.
    pub fn add(&mut self, file: &str, sidecar: &Sidecar) {
        let Some(parsed) = FileName::parse(file) else { return };
        let name = FileName { encryption: EncryptionKind::None, ..parsed.clone() }.to_string();
        let before = self.known.shift_remove(&name);
        self.make_room();
        let mut known = json!({ "encryption": parsed.encryption, "seal": digest(sidecar) });
        if let Some(places) = before.as_ref().and_then(|before| before.get("at")) {
            known["at"] = places.clone();
        }
        if let (Some(id), Some(source)) = (sidecar.number(key::ID), sidecar.get(key::SOURCE_ID)) {
            known["id"] = id.into();
            known["source"] = source.into();
        }
        if known["seal"].is_null() {
            known["says"] = words(sidecar, &[]).into();
        }
        self.known.insert(name, known);
    }

    fn make_room(&mut self) {
        while self.known.len() >= MOST
            && let Some(oldest) = self.known.keys().next().cloned()
        {
            self.known.shift_remove(&oldest);
        }
    }

    fn erase(&mut self, name: String, id: BackupId, everywhere: bool) {
        if let Some(known) = self.known.get_mut(&name).filter(|known| known["encryption"].is_string()) {
            known["erased"] = true.into();
            if everywhere {
                known["unwanted"] = true.into();
            }
            forget(known, "erasing");
            return;
        }
        self.known.shift_remove(&name);
        self.make_room();
        self.known.insert(name, json!({ "id": id.0, "erased": true, "unwanted": everywhere }));
    }

    /// Remembers that one is about to be erased at these places.
    fn begin(&mut self, file: &str, id: BackupId, at: &[&str], everywhere: bool) {
        let Some(name) = plain_name(file) else { return };
        // What another user made under this name before it is of no interest any more.
        let is_it = |known: &Value| known["encryption"].is_string() || known["id"] == id.0;
        if !self.known.get(&name).is_some_and(is_it) {
            self.known.shift_remove(&name);
            self.make_room();
            self.known.insert(name.clone(), json!({ "id": id.0 }));
        }
        if let Some(known) = self.known.get_mut(&name) {
            known["erasing"] = json!({ "file": file, "at": at, "everywhere": everywhere });
        }
    }

    /// Remembers that one was not erased after all.
    fn stays(&mut self, name: &str) {
        if let Some(known) = self.known.get_mut(name) {
            forget(known, "erasing");
            // Of one that another user made nothing else is known.
            if !known["encryption"].is_string() && known["erased"] != true {
                self.known.shift_remove(name);
            }
        }
    }

    /// Whether a backup was to be erased wherever it lies, or a killed run was at that.
    pub fn is_unwanted(&self, file: &str) -> bool {
        let known = plain_name(file).and_then(|name| self.known.get(&name));
        known.is_some_and(|known| known["unwanted"] == true || known["erasing"]["everywhere"] == true)
    }

    /// By source what was made later than all that is listed of it and is nowhere, though it was not erased here: the
    /// number and the name. Nothing where a place or a backup could not be looked at, not all are the site's, or none of its
    /// places is among the settings any more: it may be there.
    pub fn gone(&self, document: &Document, listing: &Listing) -> BTreeMap<&str, (BackupId, &str)> {
        let mut gone = BTreeMap::new();
        let elsewhere = document.destinations.keys().any(|name| is_address(name));
        if elsewhere
            || SiteIdentity::of(document).is_none()
            || !listing.unreachable.is_empty()
            || listing.left_out > 0
        {
            return gone;
        }
        let (mut there, mut newest) = (BTreeSet::new(), BTreeMap::new());
        for backup in listing.backups.iter().chain(&listing.others) {
            there.extend(plain_name(&backup.file).filter(|name| self.known.contains_key(name)));
            if let Some(source) = backup.about.source.as_deref() {
                let last = newest.entry(source).or_insert(backup.id);
                *last = backup.id.max(*last);
            }
        }
        let is_there =
            |place: &Value| place.as_str().is_some_and(|name| document.destinations.contains_key(name));
        let is_elsewhere =
            |known: &Value| known["at"].as_array().is_some_and(|places| !places.iter().any(is_there));
        for (name, known) in self.known.iter().filter(|(_, known)| !is_erased(known) && !is_elsewhere(known))
        {
            let (Some(id), Some(source)) = (known["id"].as_u64().map(BackupId), known["source"].as_str())
            else {
                continue;
            };
            if !there.contains(name) && newest.get(source).is_none_or(|newest| id > *newest) {
                let last = gone.entry(source).or_insert((id, name.as_str()));
                *last = (id, name.as_str()).max(*last);
            }
        }
        gone
    }

    /// Says where it cannot be read that it says nothing.
    pub fn tell_unread(&self, monitor: &Monitor) {
        if let Some(error) = &self.unread {
            let text = format!("whether the newest that was made here is gone cannot be told: {error}");
            monitor.note(NoteKind::Missing, text);
        }
    }

    /// What lay at a place when it was made or copied, and was not erased here since: source, number and name.
    pub fn lay_at(&self, place: &str) -> Vec<(&str, BackupId, String)> {
        let lay =
            |known: &Value| known["at"].as_array().is_some_and(|at| at.iter().any(|name| name == place));
        let of_place = self.known.iter().filter(|(_, known)| !is_erased(known) && lay(known));
        of_place
            .filter_map(|(name, known)| {
                let (source, id) = known["source"].as_str().zip(known["id"].as_u64())?;
                Some((source, BackupId(id), name.clone()))
            })
            .collect()
    }

    /// Whether a backup of this name was not erased here, whoever made it.
    pub fn may_be_there(&self, file: &str) -> bool {
        let known = plain_name(file).and_then(|name| self.known.get(&name));
        known.is_none_or(|known| !is_erased(known))
    }

    /// Backups that a killed run was to erase, if not one that still runs: the name, and what was begun.
    fn being_erased(&self) -> Vec<(String, Erasing)> {
        let of = self.known.iter().filter_map(|(name, known)| {
            Some((name.clone(), serde_json::from_value(known["erasing"].clone()).ok()?))
        });
        of.collect()
    }

    /// Writes it down. The backup is there whether this succeeds or not.
    pub fn keep(&self, document: &Document, monitor: &Monitor) {
        if let Err(error) = self.write(document) {
            monitor.note(NoteKind::Warning, format!("what was made is not remembered: {error}"));
        }
    }

    /// The same of what was only looked at: a memory that is damaged stays, to be told of, until a backup begins it anew.
    pub fn keep_looked_at(&self, document: &Document, monitor: &Monitor) {
        let damaged = lock::state_dir(document).and_then(|dir| memory::is_damaged(&dir.join(FILE)));
        if !damaged.unwrap_or(false) {
            self.keep(document, monitor);
        }
    }

    fn write(&self, document: &Document) -> Result<()> {
        if let Some(error) = &self.unread {
            return Err(Error::new(error.code(), error.to_string()));
        }
        lock::state_dir(document).and_then(|dir| memory::write(&dir.join(FILE), &self.known))
    }
}

/// Remembers a backup that was just made for the places `at`, or, where there are none, proven here or made anew where it
/// lies: then those that are known stay.
pub fn remember(document: &Document, file: &str, sidecar: &Sidecar, at: &[String], monitor: &Monitor) {
    let mut made = Made::of(document);
    made.add(file, sidecar);
    // The sidecar says it as well, but not under its MAC.
    if let (false, Some(known)) = (at.is_empty(), plain_name(file).and_then(|name| made.known.get_mut(&name)))
    {
        known["at"] = json!(at);
    }
    made.keep(document, monitor);
}

/// Remembers that a backup lies at more places now.
pub fn lies_at(document: &Document, file: &str, places: &[impl AsRef<str>], monitor: &Monitor) {
    let mut made = Made::of(document);
    let Some(known) = plain_name(file).and_then(|name| made.known.get_mut(&name)) else { return };
    let mut at: Vec<String> = serde_json::from_value(known["at"].clone()).unwrap_or_default();
    let before = at.len();
    for place in places.iter().map(AsRef::as_ref) {
        if !at.iter().any(|known| known == place) {
            at.push(place.to_owned());
        }
    }
    // Of one that says nothing of its places nobody knows what else there is.
    if at.len() > before && known["at"].is_array() {
        known["at"] = json!(at);
        made.keep(document, monitor);
    }
}

/// What a run begins to erase.
#[derive(Deserialize)]
struct Erasing {
    file: String,
    at: Vec<String>,
    everywhere: bool,
}

/// Remembers, before anything is removed, that a backup is being erased: should we be killed in between, nobody else has done
/// it, and nothing brings it back. Fails on a full disk, say, where to remove is what makes room.
pub fn erasing(document: &Document, file: &str, id: BackupId, at: &[&str], everywhere: bool) -> Result<()> {
    let mut made = Made::of(document);
    made.begin(file, id, at, everywhere);
    made.write(document)
}

/// Remembers that nothing of it was erased.
pub fn not_erased(document: &Document, file: &str, monitor: &Monitor) {
    let mut made = Made::of(document);
    if let Some(name) = plain_name(file) {
        made.stays(&name);
        made.keep_looked_at(document, monitor);
    }
}

/// What became of what a killed run was to erase, by the places of this listing that it was to go from: still at each of them,
/// it was not begun; gone from one, it counts as erased. Where neither is known it stays as it is.
pub fn end_erasing(
    document: &Document,
    places: &[Arc<dyn Destination>],
    made: &mut Made,
    listing: &Listing,
    monitor: &Monitor,
) {
    let erasing = made.being_erased();
    // Most often there are none.
    if erasing.is_empty() {
        return;
    }
    // While a run is at it, which may be that one, nothing is decided; ours has erased nothing yet.
    let lock = if lock::is_ours(document) { None } else { Some(lock::acquire(document)) };
    if let Some(Err(_)) = lock {
        return;
    }
    let mut changed = false;
    for (name, Erasing { file, at, everywhere }) in erasing {
        let is_at = |at: &String| {
            let place = places.iter().find(|place| place.id() == at)?;
            let asked = !listing.unreachable.contains_key(at);
            asked.then(|| place.stat(&file).ok()).flatten().map(|found| found.is_some())
        };
        let found: Vec<Option<bool>> = at.iter().map(is_at).collect();
        if found.contains(&Some(false)) {
            let still: Vec<&str> = at
                .iter()
                .zip(&found)
                .filter(|(_, found)| **found != Some(false))
                .map(|(at, _)| at.as_str())
                .collect();
            if !still.is_empty() {
                let text = format!(
                    "{file} was erased only in part before that was stopped: `bam delete {file}` erases what is at {}",
                    still.join(", ")
                );
                monitor.note(NoteKind::Warning, text);
            }
            let id = made.known.get(&name).and_then(|known| known["id"].as_u64()).unwrap_or_default();
            made.erase(name, BackupId(id), everywhere);
            changed = true;
        } else if found.iter().all(Option::is_some) {
            made.stays(&name);
            changed = true;
        }
    }
    if changed {
        made.keep_looked_at(document, monitor);
    }
}

/// Remembers that a backup was erased on purpose, whoever made it; or was to be, `everywhere`.
pub fn erased(document: &Document, file: &str, id: BackupId, everywhere: bool, monitor: &Monitor) {
    if let Some(name) = plain_name(file) {
        let mut made = Made::of(document);
        made.erase(name, id, everywhere);
        if let Err(error) = made.write(document) {
            let text = format!("{file} was erased, which is not remembered: lists may miss it ({error})");
            monitor.note(NoteKind::Missing, text);
        }
    }
}

/// Says where the newest backup that this site made of a source is no longer anywhere: whoever asks for all that there is
/// misses it, and for the latest, at all places, gets an older one.
pub fn tell_of_gone(document: &Document, listing: &Listing, source: Option<&str>, monitor: &Monitor) {
    let made = Made::of(document);
    made.tell_unread(monitor);
    for (_, backup) in
        made.gone(document, listing).into_iter().filter(|(of, _)| source.is_none_or(|source| source == *of))
    {
        monitor.note(NoteKind::Missing, tell_gone(backup));
    }
}

/// Whether it was erased here, or a killed run was at it.
fn is_erased(known: &Value) -> bool {
    known["erased"] == true || known["erasing"].is_object()
}

/// Takes away one thing that is known.
fn forget(known: &mut Value, what: &str) {
    if let Some(known) = known.as_object_mut() {
        known.shift_remove(what);
    }
}

/// In words.
pub fn tell_gone((id, name): (BackupId, &str)) -> String {
    let us = state::us();
    // Of others it is not known.
    let who = if us == 0 { String::new() } else { format!(" or {}", state::user_name(us)) };
    format!(
        "{name} ({id}) is the newest that was made here and is gone from every place; it was not erased with bam by root{who}"
    )
}

/// A backup's name without the extension of an encryption; `None` for what is no backup's.
pub fn plain_name(file: &str) -> Option<String> {
    FileName::parse(file).map(|name| FileName { encryption: EncryptionKind::None, ..name }.to_string())
}

/// Of all that the MAC covers, and the MAC; `None` where there is none.
fn digest(sidecar: &Sidecar) -> Option<String> {
    sidecar.digest(key::HMAC_SHA256).map(|tag| words(sidecar, &tag))
}

/// The same with `tag` in place of the MAC.
fn words(sidecar: &Sidecar, tag: &[u8]) -> String {
    let mut fields: Vec<_> = sidecar.mac_fields().collect();
    fields.sort_unstable();
    let mut hash = Sha256::new();
    for part in fields.iter().flat_map(|(name, value)| [name, value]) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.update(tag);
    hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_known_again_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a folder");
        let document = Document { state_dir: Some(dir.path().join("state")), ..Document::default() };
        let mut sidecar = Sidecar::new();
        sidecar.set_digest(key::HMAC_SHA256, &[7; 32]);
        sidecar.set_number(key::ID, 5);
        remember(&document, "x.tar.gz.enc", &sidecar, &[], &Monitor::new());
        let made = Made::of(&document);
        assert!(made.was_encrypted("x.tar.gz") && made.was_sealed("x.tar.gz"));
        assert!(!made.was_encrypted("x.mysql.gz") && !made.was_sealed("notes.txt"));
        assert!(made.knows("x.tar.gz.enc", &sidecar));
        sidecar.set_number(key::VERIFIED, 9);
        assert!(made.knows("x.tar.gz.enc", &sidecar), "copies may differ in that");
        sidecar.set_number(key::ID, 6);
        assert!(!made.knows("x.tar.gz.enc", &sidecar));
    }

    #[test]
    fn what_root_erased_is_erased_unless_it_was_made_again() {
        let mut sidecar = Sidecar::new();
        sidecar.set_number(key::ID, 5);
        sidecar.set(key::SOURCE_ID, "files");
        let (mut ours, mut roots) = (Made::default(), Made::default());
        ours.add("x.tar.gz", &sidecar);
        roots.erase("x.tar.gz".into(), BackupId(4), false);
        roots.erase("y.tar.gz".into(), BackupId(5), true);
        ours.believe(&roots.known);
        assert_eq!(ours.kept_as("x.tar.gz"), Some((BackupId(5), "files")));
        assert!(!roots.has("x.tar.gz") && !ours.has("y.tar.gz"), "that one was not made there");
        roots.begin("x.tar.gz.enc", BackupId(5), &["d1"], true);
        ours.believe(&roots.known);
        assert!(!ours.may_be_there("x.tar.gz") && ours.is_unwanted("x.tar.gz"), "root began");
        ours.stays("x.tar.gz");
        assert!(ours.may_be_there("x.tar.gz") && !ours.is_unwanted("x.tar.gz"), "and did not");
        roots.erase("x.tar.gz".into(), BackupId(5), true);
        ours.believe(&roots.known);
        assert_eq!((ours.has("x.tar.gz"), ours.kept_as("x.tar.gz")), (true, None));
        assert!(ours.is_unwanted("x.tar.gz") && !ours.is_unwanted("z.tar.gz"));
    }

    #[test]
    fn a_memory_that_cannot_be_read_is_not_replaced_and_one_that_is_damaged_is() {
        let dir = tempfile::tempdir().expect("a folder");
        let document = Document { state_dir: Some(dir.path().join("state")), ..Document::default() };
        let file = lock::state_dir(&document).expect("made").join(FILE);
        let remember = || {
            let monitor = Monitor::new();
            remember(&document, "x.tar.gz", &Sidecar::new(), &[], &monitor);
            monitor.notes()
        };
        std::os::unix::fs::symlink(FILE, &file).expect("a loop");
        assert!(remember().iter().any(|note| note.text.contains("not remembered: cannot read")));
        assert!(file.is_symlink() && !Made::of(&document).has("x.tar.gz"));
        std::fs::remove_file(&file).expect("removed");
        std::fs::write(&file, "{").expect("written");
        assert!(remember().is_empty() && Made::of(&document).has("x.tar.gz"));
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let mut made = Made::default();
        for index in 0..MOST + 3 {
            made.add(&format!("x-{index}.tar.gz"), &Sidecar::new());
        }
        assert_eq!(made.known.len(), MOST);
        assert!(!made.known.contains_key("x-2.tar.gz") && made.known.contains_key("x-3.tar.gz"));
    }
}
