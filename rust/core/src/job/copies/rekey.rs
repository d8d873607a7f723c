//! Encrypting existing backups anew, from an old key to the current one.
//!
//! A backup keeps its ID, its name (where the kind of encryption stays the same) and all that its sidecar says. It is
//! proven, decrypted and encrypted in one stream beside the old file, read back and compared, and only then swapped in
//! with its sidecar: a kill at any time leaves the old backup or the new one. All copies of a backup get the same bytes;
//! a run that finds some of them done already hands those on.

use crate::catalog::{Backup, Blocks, DIFFERS, FileName, Listing, Sidecar, hex, key};
use crate::config::{Document, EncryptionKind};
use crate::destination::{Destination, Existing, Follow, Upload};
use crate::job::backup::pipeline::{self, Cipher};
use crate::job::backup::seal::Seal;
use crate::job::backup::writers::Written;
use crate::job::local::Local;
use crate::job::open::Opened;
use crate::job::pipe::on_a_thread;
use crate::job::request::Rekey;
use crate::job::{lock, made, places, trust};
use crate::{Code, Error, Monitor, NoteKind, Phase, Result, temporary};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Re-encrypts. The result is described in docs/json.md.
pub fn run(document: &Document, ask: &Rekey, monitor: &Arc<Monitor>) -> Result<Value> {
    if matches!(ask.to, Some(EncryptionKind::None | EncryptionKind::AesModule)) {
        return Err(Error::new(Code::Usage, "backups are re-encrypted to aes256 or age only")
            .hint("what is weaker takes a new backup"));
    }
    let _lock = lock::acquire(document)?;
    let state_dir = lock::state_dir(document)?;
    let (repositories, all): (Vec<_>, Vec<_>) =
        places::open(document, &ask.destinations)?.into_iter().partition(|place| place.snapshots().is_some());
    tell_of_repositories(&repositories, all.is_empty(), monitor)?;
    let mut run =
        Run { document, ask, all: &all, state_dir: &state_dir, monitor, seals: Vec::new(), told: Vec::new() };
    let listing = run.list()?;
    if let (true, Some(note)) = (ask.ids.is_empty(), listing.incomplete()) {
        monitor.note(note.kind, note.text);
    }
    let chosen = run.choose(&listing)?;
    let mut failed = Vec::new();
    let total = chosen.len();
    for backup in chosen {
        match monitor.check().and_then(|()| run.backup(backup)) {
            Err(error) if error.code() == Code::Cancelled => return Err(given_up(&run.told, error, total)),
            Err(error) => {
                for copy in backup.distinct_copies() {
                    run.tell(backup, &copy.place.destination, "kept", Some(&error));
                }
                failed.push(error.about(&backup.file));
            }
            Ok(()) => {
                for copy in backup.distinct_copies().filter(|copy| copy.differs) {
                    let place = &copy.place.destination;
                    let error = Error::new(Code::Integrity, format!("the copy at {place}: {DIFFERS}")).hint(
                        format!(
                            "`bam replicate` puts the right sidecar there; where that does not prove its bytes, `bam delete {} --destination \
                             {place} --site all` takes it away, and `bam replicate` copies it there again",
                            backup.file
                        ),
                    );
                    run.tell(backup, place, "kept", Some(&error));
                    failed.push(error.about(&backup.file));
                }
            }
        }
    }
    let mut failed = failed.into_iter();
    // Where nothing was done the first failure is the verb's own, and is not told twice.
    let first = if run.told.iter().all(|copy| copy["ok"] == false) { failed.next() } else { None };
    for error in failed {
        monitor.note(NoteKind::Missing, format!("left as it is: {error}"));
    }
    match first {
        Some(error) => Err(error),
        None => Ok(json!({ "copies": run.told })),
    }
}

/// A cancel, with what was done before it.
fn given_up(told: &[Value], cancelled: Error, total: usize) -> Error {
    let done = told.iter().filter(|copy| copy["done"] == "rekeyed");
    match done.map(|copy| copy["file"].as_str()).collect::<BTreeSet<_>>().len() {
        0 => cancelled.leaving("No backup was encrypted anew"),
        done => cancelled.leaving(&format!(
            "{done} of {total} backups have copies that are encrypted anew, which stay; the others are as they were: run it again for \
             them"
        )),
    }
}

/// A repository has a key of its own under its passwords, which no rekeying changes.
fn tell_of_repositories(repositories: &[Arc<dyn Destination>], alone: bool, monitor: &Monitor) -> Result<()> {
    const HINT: &str = "`restic key add` and `restic key remove` change its password; both leave the key below it, so after \
        a leak make a new repository";
    let names: Vec<&str> = repositories.iter().map(|place| place.id()).collect();
    match (names.as_slice(), alone) {
        ([], _) => Ok(()),
        (names, true) => Err(Error::new(
            Code::Unsupported,
            format!("{} is a repository: nothing is encrypted anew there", names.join(", ")),
        )
        .hint(HINT)),
        (names, false) => {
            let text = format!("{} stays as it is, being a repository: {HINT}", names.join(", "));
            monitor.note(NoteKind::Info, text);
            Ok(())
        }
    }
}

/// Whether a place has a copy that is the backup.
fn counts_at(backup: &Backup, place: &Arc<dyn Destination>) -> bool {
    backup.distinct_copy_at(place.id()).is_some_and(|copy| !copy.differs)
}

struct Run<'a> {
    document: &'a Document,
    ask: &'a Rekey,
    all: &'a [Arc<dyn Destination>],
    state_dir: &'a Path,
    monitor: &'a Arc<Monitor>,
    seals: Vec<(EncryptionKind, Arc<Seal>)>,
    told: Vec<Value>,
}

/// What a backup becomes.
struct New<'a> {
    name: String,
    kind: EncryptionKind,
    seal: &'a Seal,
}

impl New<'_> {
    fn existing(&self, backup: &Backup) -> Existing {
        if *self.name == *backup.file { Existing::Replace } else { Existing::Keep }
    }

    /// Whether a place has it already.
    fn is_at(&self, place: &Arc<dyn Destination>, backup: &Backup, monitor: &Monitor) -> Result<bool> {
        let Some(text) = place.sidecar(&self.name)? else { return Ok(false) };
        let sidecar = Sidecar::parse(&text);
        let ours = *self.name == *backup.file
            || (sidecar.get(key::REKEYED_FROM).is_some()
                && sidecar.number(key::DATESTAMP) == Some(backup.time));
        Ok(ours && self.seal.is_of(&sidecar, monitor)? && place.stat(&self.name)?.is_some())
    }

    /// The old sidecar with what changes, but for the seal.
    fn describe(&self, backup: &Backup, old: &Opened, monitor: &Monitor) -> Result<Sidecar> {
        let mut sidecar = old.sidecar().cloned().unwrap_or_default();
        sidecar.remove(key::VERIFIED);
        let mut from = sidecar.list(key::REKEYED_FROM);
        from.push(hex(&old.sha256(monitor)?).into_bytes());
        sidecar.set_list(key::REKEYED_FROM, &from);
        if let Some(name) = FileName::parse(&backup.file) {
            sidecar.set(key::FILENAME, name.base);
        }
        sidecar.set_number(key::ID, backup.id.0);
        sidecar.set_number(key::DATESTAMP, backup.time);
        Ok(sidecar)
    }
}

/// A file that is encrypted anew.
struct Fresh {
    file: File,
    /// Where it lies hidden, waiting to appear.
    upload: Option<Box<dyn Upload>>,
    sidecar: Sidecar,
}

impl Run<'_> {
    /// The backups that are meant: all that a key is needed for, where none is named.
    fn choose<'l>(&self, listing: &'l Listing) -> Result<Vec<&'l Backup>> {
        if !self.ask.ids.is_empty() {
            let find = |id: &String| places::find(self.document, listing, id, None, None, self.monitor);
            return self.ask.ids.iter().map(find).collect();
        }
        let mut chosen = Vec::new();
        for backup in &listing.backups {
            if backup.is_encrypted() || is_sealed(backup)? {
                chosen.push(backup);
            }
        }
        Ok(chosen)
    }

    /// What is there, once what a killed run left is settled.
    fn list(&self) -> Result<Listing> {
        for place in self.all {
            // A place that does not answer is told of by the listing.
            if place.prepare(self.monitor).is_ok() {
                places::clean(&**place, &[], self.monitor)?;
            }
        }
        places::list(NoteKind::Missing, self.document, self.all, self.ask.site.as_deref(), self.monitor)
    }

    fn tell(&mut self, backup: &Backup, destination: &str, done: &str, error: Option<&Error>) {
        self.told.push(json!({
            "id": backup.id,
            "file": &*backup.file,
            "destination": destination,
            "done": done,
            "ok": error.is_none(),
            "error": error.map(ToString::to_string),
            "failure": error,
        }));
    }

    /// Brings all copies of one backup to the current key.
    fn backup(&mut self, backup: &Backup) -> Result<()> {
        let name = FileName::parse(&backup.file)
            .ok_or_else(|| Error::new(Code::Internal, "a listed file has no backup's name"))?;
        let is_sealed = is_sealed(backup)?;
        let to = match (self.ask.to, name.encryption) {
            (to, EncryptionKind::None) if is_sealed && (to.is_none() || self.ask.ids.is_empty()) => {
                return self.renew(backup);
            }
            (_, EncryptionKind::None) => {
                let text = format!("{} is not encrypted", backup.file);
                return Err(Error::new(Code::Usage, text).hint(
                    "there is nothing to encrypt anew; a new backup takes the profile's `encryption`",
                ));
            }
            (Some(to), _) => to,
            (None, EncryptionKind::AesModule) if self.ask.ids.is_empty() && !self.ask.unauthenticated => {
                let text = format!(
                    "{} is left to Drupal's aes module: nothing proves it (--unauthenticated)",
                    backup.file
                );
                self.monitor.note(NoteKind::Info, text);
                return Ok(());
            }
            (None, EncryptionKind::AesModule) => EncryptionKind::Aes256,
            (None, kind) => kind,
        };
        let seal = self.seal(to)?;
        let new = New { name: FileName { encryption: to, ..name }.to_string(), kind: to, seal: &seal };
        let (mut done, mut stale) = (Vec::new(), Vec::new());
        for place in self.all.iter().filter(|place| counts_at(backup, place)) {
            if new.is_at(place, backup, self.monitor)? {
                done.push(Arc::clone(place))
            } else {
                stale.push(Arc::clone(place))
            }
        }
        for place in &done {
            // A run that was killed may have left the old file beside the new one.
            if *new.name != *backup.file {
                Local::fetch(place, &new.name, self.state_dir, self.monitor)?.checked(self.monitor)?;
                place.remove(&backup.file)?;
            }
            self.tell(backup, place.id(), "current", None);
        }
        if stale.is_empty() {
            return Ok(());
        }
        // One that takes the new file directly spares a temporary one.
        stale.sort_by_key(|place| !place.pushes());
        self.monitor.phase(Phase::Finishing);
        self.monitor.set_current(backup.file.to_string());
        let fresh = match done.first() {
            Some(place) => self.hand_on(place, &new)?,
            None => self.encrypt(backup, &stale, &new)?,
        };
        self.put(backup, &stale, &new, fresh)
    }

    /// Seals an unencrypted backup with the current key: its sidecars change, its bytes stay.
    fn renew(&mut self, backup: &Backup) -> Result<()> {
        let seal = self.seal(EncryptionKind::None)?;
        if !seal.proves() {
            return Ok(());
        }
        for place in self.all.iter().filter(|place| counts_at(backup, place)) {
            let Some(text) = place.sidecar(&backup.file)? else { continue };
            let mut sidecar = Sidecar::parse(&text);
            if seal.is_of(&sidecar, self.monitor)? {
                self.tell(backup, place.id(), "current", None);
                continue;
            }
            let sha256 = trust::sealed_digest(self.document, &backup.file, &sidecar, self.monitor)?;
            seal.renew(&mut sidecar, &sha256);
            place.write_sidecar(&backup.file, &sidecar.to_string())?;
            made::remember(self.document, &backup.file, &sidecar, &[], self.monitor);
            self.tell(backup, place.id(), "rekeyed", None);
        }
        Ok(())
    }

    /// Puts the new file in the old one's place, wherever that lies.
    fn put(
        &mut self,
        backup: &Backup,
        places: &[Arc<dyn Destination>],
        new: &New<'_>,
        mut fresh: Fresh,
    ) -> Result<()> {
        let follow = Follow::finished(fresh.file)?;
        if let Some(sha256) = fresh.sidecar.digest(key::SHA256) {
            follow.set_sha256(sha256);
        }
        let text = fresh.sidecar.to_string();
        for place in places {
            self.monitor.check()?;
            let put = match fresh.upload.take() {
                // The first of the places holds it, and there it was read back just now.
                Some(upload) => {
                    fresh.sidecar.set_number(key::VERIFIED, now());
                    upload.commit(&fresh.sidecar.to_string())
                }
                None => {
                    place.follow(&new.name, new.existing(backup), &follow, &|| Ok(text.clone()), self.monitor)
                }
            };
            let put = match put {
                Ok(()) if *new.name != *backup.file => place.remove(&backup.file),
                put => put,
            };
            match &put {
                Ok(()) => {
                    made::remember(self.document, &new.name, &fresh.sidecar, &[], self.monitor);
                    self.tell(backup, place.id(), "rekeyed", None);
                }
                Err(error) if error.code() == Code::Cancelled => return put,
                Err(error) => {
                    let text = format!("{} at {} stays as it is: {error}", backup.file, place.id());
                    self.monitor.note(NoteKind::Missing, text);
                    self.tell(backup, place.id(), "kept", Some(error));
                }
            }
        }
        Ok(())
    }

    /// Computing a key's ID takes time: once is enough.
    fn seal(&mut self, kind: EncryptionKind) -> Result<Arc<Seal>> {
        if let Some((_, seal)) = self.seals.iter().find(|(known, _)| *known == kind) {
            return Ok(Arc::clone(seal));
        }
        let seal = Arc::new(Seal::start(self.document, kind, self.monitor)?.seal()?);
        self.seals.push((kind, Arc::clone(&seal)));
        Ok(seal)
    }

    /// What an earlier run encrypted anew, for the places that lack it.
    fn hand_on(&self, place: &Arc<dyn Destination>, new: &New<'_>) -> Result<Fresh> {
        let local = Local::fetch(place, &new.name, self.state_dir, self.monitor)?.checked(self.monitor)?;
        let mut sidecar = local.sidecar().cloned().unwrap_or_default();
        sidecar.remove(key::VERIFIED);
        Ok(Fresh { file: local.into_file(), upload: None, sidecar })
    }

    /// Proves the nearest good copy, encrypts it anew beside the first of `stale`, and reads it back.
    fn encrypt(&self, backup: &Backup, stale: &[Arc<dyn Destination>], new: &New<'_>) -> Result<Fresh> {
        let monitor = self.monitor;
        let opened = places::fetch_nearest(self.document, stale, backup, self.state_dir, monitor, |local| {
            local.prove(self.document, self.ask.unauthenticated, monitor)
        })?;
        if new.seal.proves() && !opened.is_authentic() && !self.ask.unauthenticated {
            return Err(Error::new(
                Code::Integrity,
                "nothing proves where it comes from, and the new one would look proven",
            )
            .hint("accept it with --unauthenticated"));
        }
        let cipher = Cipher::start(self.document, new.kind)?;
        let mut sidecar = new.describe(backup, &opened, monitor)?;
        let out = match stale.first().filter(|place| place.pushes()) {
            Some(place) => {
                let upload = place.begin(&new.name, new.existing(backup))?;
                Out::new(upload.reader()?, Some(upload))
            }
            None => Out::new(temporary::file(self.state_dir)?, None),
        };
        let plain = Arc::new(Mutex::new(Sha256::new()));
        let tee = Tee { inner: opened.decrypted()?, hash: Arc::clone(&plain), monitor: Arc::clone(monitor) };
        let (out, keys) = pipeline::encrypt(on_a_thread(Box::new(tee))?, cipher, out)?;
        let (mut out, written) = out.finish()?;
        new.seal.stamp(&mut sidecar, &written, keys.as_ref());
        let plain: [u8; 32] = plain.lock().unwrap_or_else(PoisonError::into_inner).clone().finalize().into();
        self.read_back(&new.name, out.file.try_clone()?, &sidecar, &plain)?;
        Ok(Fresh { upload: out.upload.take(), file: out.file, sidecar })
    }

    /// Whether what was written proves, decrypts and is what went in.
    fn read_back(&self, name: &str, file: File, sidecar: &Sidecar, plain: &[u8; 32]) -> Result<()> {
        let local = Local::of(name, "the new file", file, Some(sidecar.clone())).checked(self.monitor)?;
        let opened = match local.prove(self.document, false, self.monitor) {
            // Encrypted to public keys whose secret ones are elsewhere.
            Err(error) if error.code() == Code::Key && sidecar.get(key::RECIPIENTS).is_some() => {
                return Ok(());
            }
            opened => opened?,
        };
        let (mut hash, mut block, mut input) = (Sha256::new(), vec![0; 1 << 18], opened.decrypted()?);
        loop {
            self.monitor.check()?;
            match input.read(&mut block)? {
                0 => break,
                read => hash.update(block.get(..read).unwrap_or_default()),
            }
        }
        if hash.finalize().as_slice() == plain {
            return Ok(());
        }
        Err(Error::new(Code::Integrity, "the new file does not read back as what went into it")
            .hint("memory or disk may be failing; the old backup is as it was"))
    }
}

/// What is read goes into a hash, and counts as progress.
struct Tee {
    inner: Box<dyn Read + Send>,
    hash: Arc<Mutex<Sha256>>,
    monitor: Arc<Monitor>,
}

impl Read for Tee {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.monitor.check()?;
        let read = self.inner.read(buffer)?;
        let mut hash = self.hash.lock().unwrap_or_else(PoisonError::into_inner);
        hash.update(buffer.get(..read).unwrap_or_default());
        self.monitor.add_in(read as u64);
        Ok(read)
    }
}

/// The new file while it is written: at its place under a hidden name, or in a temporary file without one.
struct Out {
    file: File,
    upload: Option<Box<dyn Upload>>,
    hash: Sha256,
    blocks: Blocks,
    bytes: u64,
}

impl Out {
    fn new(file: File, upload: Option<Box<dyn Upload>>) -> Out {
        Out { file, upload, hash: Sha256::new(), blocks: Blocks::default(), bytes: 0 }
    }

    fn finish(mut self) -> Result<(Out, Written)> {
        if let Some(upload) = &mut self.upload {
            upload.flush()?;
        }
        let blocks = std::mem::take(&mut self.blocks).finish();
        let written = Written { bytes: self.bytes, sha256: self.hash.finalize_reset().into(), blocks };
        Ok((self, written))
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.upload {
            Some(upload) => upload.write(bytes)?,
            None => self.file.write(bytes)?,
        };
        self.hash.update(bytes.get(..written).unwrap_or_default());
        self.blocks.update(bytes.get(..written).unwrap_or_default());
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a MAC is claimed.
fn is_sealed(backup: &Backup) -> Result<bool> {
    Ok(backup.sidecar()?.is_some_and(|sidecar| sidecar.digest(key::HMAC_SHA256).is_some()))
}

fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default()
}

#[cfg(test)]
#[path = "rekey_tests.rs"]
mod tests;
