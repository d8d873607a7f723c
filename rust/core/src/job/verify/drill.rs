//! Drilling: restores the newest backup into a scratch folder and a scratch database, compares what came out with the
//! backup and with what it recorded, and throws it away.
//!
//! ```text
//! STATE/drill/lock        one drill at a time
//! STATE/drill/restore/    the journal of the restore
//! STATE/drill/site/       the scratch folder
//! STATE/drill/database    there while the scratch database NAME_bam_drill may be: it is ours, and may be dropped
//! STATE/drills.json       how the last drills went, by source; `status` shows it
//! ```
//!
//! A killed drill leaves some of these behind; the next one begins with removing them.

mod compare;
mod scratch;

use self::compare::Seen;
use self::scratch::grants;
use crate::catalog::{Backup, Kind, is_future, key};
use crate::config::{Connection, Document, EncryptionKind};
use crate::destination::Destination;
use crate::job::keys::Ring;
use crate::job::open::Opened;
use crate::job::request::Elsewhere;
use crate::job::restore::elsewhere;
use crate::job::select::Criteria;
use crate::job::verify::note_verified;
use crate::job::{damaged, lock, memory, places, trust};
use crate::{Code, Monitor, NoteKind, Phase, Result};
use serde_json::{Map, Value, json};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

const RESULTS: &str = "drills.json";

/// As many texts are kept of what a backup lacks.
const LACKS: usize = 5;

/// Drills one backup, or the newest of every source. Fails with [`Code::Integrity`] where something differs.
pub fn run(
    document: &Document,
    ask: &Criteria<'_>,
    unauthenticated: bool,
    monitor: &Arc<Monitor>,
) -> Result<Value> {
    let state_dir = lock::state_dir(document)?;
    let dir = state_dir.join("drill");
    let _lock = lock::acquire(&Document { state_dir: Some(dir.clone()), ..Document::default() })?;
    let there = ask.list_for_one(document, monitor)?;
    let mut chosen = ask.choose(document, &there.listing, monitor)?;
    if ask.id.is_none() {
        chosen = newest_of_each(chosen);
    }
    let (mut drills, mut failed, mut done) = (Vec::new(), None, false);
    let closed = !Ring::of(document).has_identities();
    for backup in chosen {
        if closed && backup.encryption == EncryptionKind::Age {
            let told = skipped(backup, monitor);
            remember(document, &state_dir, backup, &told)?;
            drills.push(told);
            continue;
        }
        backup.lacks().into_iter().for_each(|text| monitor.note(NoteKind::Warning, text));
        let drill = Drill { document, dir: &dir, unauthenticated, monitor, blocked: AtomicBool::new(false) };
        let (told, verdict) = drill.one(backup, &there.places)?;
        remember(document, &state_dir, backup, &told)?;
        // For want of a place to restore to: that says nothing of the backup.
        let blocked = told["ok"].is_null();
        drills.push(told);
        done |= !blocked;
        if let (Err(error), true) = (&verdict, blocked) {
            monitor.note(NoteKind::Missing, format!("{} was not drilled: {error}", backup.file));
        } else if let Err(error) = verdict {
            monitor.note(NoteKind::Missing, format!("the drill of {} failed: {error}", backup.file));
            failed.get_or_insert(error);
        }
    }
    if !done && failed.is_none() {
        let text = if drills.is_empty() { "there is no backup to drill" } else { "no backup was drilled" };
        monitor.note(NoteKind::Missing, text);
    }
    match failed {
        Some(error) => Err(error),
        None => Ok(json!({ "drills": drills })),
    }
}

/// What is told of one that nobody can decrypt here.
fn skipped(backup: &Backup, monitor: &Monitor) -> Value {
    let why = "no identity is here to decrypt it";
    monitor.note(NoteKind::Info, format!("{} cannot be drilled here: {why}", backup.file));
    json!({
        "id": backup.id, "file": &*backup.file, "source": backup.about.source, "ok": null, "skipped": why,
        "time": jiff::Timestamp::now().as_second(),
    })
}

/// The newest backup of every source of every site, those last that are dated in the future.
fn newest_of_each(mut backups: Vec<&Backup>) -> Vec<&Backup> {
    let now = jiff::Timestamp::now().as_second();
    backups.sort_by_key(|backup| (is_future(backup.time, now), Reverse((backup.time, backup.id))));
    let mut seen = BTreeSet::new();
    backups.retain(|backup| {
        let site = if backup.own == Some(true) { String::new() } else { backup.identity().describe() };
        seen.insert((site, backup.about.source.clone()))
    });
    backups
}

/// How the last drills went, by source.
pub fn results(state_dir: &Path) -> Result<Map<String, Value>> {
    memory::read_shared(state_dir, RESULTS)
}

/// Whether the policy wants a drill at `now` (Unix time): `verify_every` has passed since the last one, good or bad.
pub fn is_due(document: &Document, now: i64) -> Result<bool> {
    let Some(every) = document.policy.verify_every else { return Ok(false) };
    let drills = results(&lock::state_dir(document)?)?;
    // A time in the future was told by a wrong clock.
    let last = drills.values().filter_map(|drill| drill["time"].as_i64()).filter(|last| *last <= now).max();
    Ok(last.is_none_or(|last| last.saturating_add(i64::try_from(every).unwrap_or(i64::MAX)) <= now))
}

/// Keeps what is told of a source of this site. Of a backup whose source is unknown nobody would ever drill a newer one,
/// and its failure would stand for ever.
fn remember(document: &Document, state_dir: &Path, backup: &Backup, told: &Value) -> Result<()> {
    let known = |source: &&str| document.sources.contains_key(*source) && backup.own != Some(false);
    let Some(source) = backup.about.source.as_deref().filter(known) else { return Ok(()) };
    let mut all = memory::read(&state_dir.join(RESULTS))?;
    all.retain(|source, _| document.sources.contains_key(source));
    all.insert(source.to_owned(), told.clone());
    memory::write(&state_dir.join(RESULTS), &all)
}

struct Drill<'a> {
    document: &'a Document,
    dir: &'a Path,
    unauthenticated: bool,
    monitor: &'a Arc<Monitor>,
    /// Whether it failed at the place to restore to.
    blocked: AtomicBool,
}

/// What was restored, and where to.
struct Put {
    opened: Opened,
    folder: Option<PathBuf>,
    connection: Option<Connection>,
}

impl Drill<'_> {
    /// Drills one backup, and cleans up. What is told of it and the verdict; fails when it was cancelled.
    fn one(&self, backup: &Backup, all: &[Arc<dyn Destination>]) -> Result<(Value, Result<()>)> {
        let (started, before) = (Instant::now(), self.monitor.notes().len());
        let outcome = self.backup(backup, all);
        let cleaned = self.clean();
        let outcome = match outcome {
            Err(error) if error.code() == Code::Cancelled => return Err(error),
            outcome => outcome,
        };
        let mut told = json!({
            "id": backup.id,
            "file": &*backup.file,
            "source": backup.about.source,
            "incomplete": backup.incomplete,
            "time": jiff::Timestamp::now().as_second(),
            "seconds": started.elapsed().as_secs_f64(),
        });
        let verdict = outcome.and_then(|seen| {
            let verdict = seen.verdict(backup);
            if let (Value::Object(told), Value::Object(seen)) = (&mut told, json!(seen)) {
                told.extend(seen);
            }
            verdict
        });
        let verdict = verdict.and(cleaned);
        let blocked = verdict.is_err() && self.blocked.load(Relaxed);
        told["ok"] = if blocked { Value::Null } else { verdict.is_ok().into() };
        // What was restored may be all that the backup holds, and yet not all that was to be backed up.
        let notes = self.monitor.notes();
        let missing = notes.into_iter().skip(before).filter(|note| note.kind == NoteKind::Missing);
        told["lacks"] = missing.map(|note| note.text).take(LACKS).collect();
        told["error"] = json!(verdict.as_ref().err().map(ToString::to_string));
        told["failure"] = json!(verdict.as_ref().err());
        Ok((told, verdict))
    }

    fn backup(&self, backup: &Backup, all: &[Arc<dyn Destination>]) -> Result<Seen> {
        // What a repository lacks shows when it is read: then another copy may do.
        let lacks = |code| matches!(code, Code::Destination | Code::Integrity | Code::NotFound);
        let put = places::fetch_nearest(self.document, all, backup, self.dir, self.monitor, |local| {
            let opened = local.prove(self.document, self.unauthenticated, self.monitor)?;
            let is_kept = opened.from().is_some_and(|place| place.snapshots().is_some());
            match self.put(opened, backup) {
                Err(error) if is_kept && lacks(error.code()) => Err(error),
                put => Ok(put),
            }
        })?;
        self.look(backup, put?)
    }

    /// Restores it.
    fn put(&self, opened: Opened, backup: &Backup) -> Result<Put> {
        self.clean()?;
        let database = match opened.kind() {
            Some(Kind::Tar) => None,
            _ => self.database(backup)?,
        };
        let only_database = opened.kind().is_some_and(Kind::is_database);
        let folder = (!only_database || database.is_none()).then(|| self.dir.join("site"));
        if let Some((_, connection)) = &database {
            self.mark(connection)
                .inspect_err(|_| self.blocked.store(true, Relaxed))
                .map_err(|error| grants(error, connection))?;
        }
        let to = Elsewhere {
            folder: folder.clone(),
            database: database.as_ref().map(|(database, _)| database.clone()),
            // Whatever is there is a drill's.
            replace: true,
            state_dir: Some(self.dir.join("restore")),
        };
        self.monitor.set_current(backup.file.to_string());
        elsewhere::claim(&to, self.monitor)?.put(&opened, self.monitor)?;
        Ok(Put { opened, folder, connection: database.map(|(_, connection)| connection) })
    }

    /// Compares what came of it with what was backed up.
    fn look(&self, backup: &Backup, put: Put) -> Result<Seen> {
        let Put { opened, folder, connection } = put;
        self.monitor.phase(Phase::Verifying);
        let mut seen = Seen::default();
        self.compare(&opened, folder.as_deref(), connection.as_ref(), &mut seen)?;
        let recorded = |key| opened.sidecar().and_then(|sidecar| sidecar.number(key));
        let (tables, files, bytes) = (seen.tables, seen.files, seen.bytes);
        for (what, recorded, found) in [
            ("tables", recorded(key::TABLES).filter(|_| connection.is_some()), tables),
            ("files", recorded(key::FILES), files),
            ("bytes of files", recorded(key::FILE_BYTES), bytes),
        ] {
            // Earlier versions counted tables that could not be read.
            let told = backup.incomplete && what == "tables";
            if let Some(recorded) =
                recorded.filter(|recorded| *recorded != found && !(told && *recorded > found))
            {
                seen.differs(format!("{found} {what} instead of the {recorded} that were backed up"));
            }
        }
        if seen.verdict(backup).is_ok() {
            self.is_verified(&opened, backup)?;
        }
        Ok(seen)
    }

    /// A good drill has read all of the copy that it took, as verifying does.
    fn is_verified(&self, opened: &Opened, backup: &Backup) -> Result<()> {
        let Some(place) = opened.from() else { return Ok(()) };
        damaged::is_good(self.document, place.id(), &backup.file, self.monitor);
        if self.unauthenticated && !opened.is_authentic() && trust::has_key(self.document) {
            return Ok(());
        }
        let read = opened.sidecar().and_then(|sidecar| sidecar.digest(key::SHA256));
        note_verified(place, &backup.file, read, self.monitor)
    }
}
