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

use crate::archive::{EntryKind, Layout, Member, Part, Reader, Segment, show};
use crate::catalog::{Backup, Kind, is_future, key};
use crate::config::{Connection, Database, Document, Driver, EncryptionKind};
use crate::destination::Destination;
use crate::entries;
use crate::job::keys::Ring;
use crate::job::open::Opened;
use crate::job::pipe::pipe;
use crate::job::request::Elsewhere;
use crate::job::restore::apply;
use crate::job::restore::elsewhere;
use crate::job::restore::erase::erase;
use crate::job::select::Criteria;
use crate::job::{lock, places};
use crate::long_path;
use crate::source::database::{self, Contents, DumpSettings, Fingerprint, Table};
use crate::{Code, Error, Monitor, NoteKind, Phase, Result, ResultExt, Secret, threads};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde_json::{Map, Value, json};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

const RESULTS: &str = "drills.json";
/// What the scratch database's name ends with.
const SUFFIX: &str = "_bam_drill";
/// The longest name of a database that MariaDB, MySQL and PostgreSQL all take.
const LONGEST: usize = 63;
/// What stays as it is in the path of a URL.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'_').remove(b'-').remove(b'.');
/// Differences that are told; all are counted.
const TOLD: usize = 20;

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
    let there = ask.list(document, monitor)?;
    let mut chosen = ask.choose(document, &there.listing, monitor)?;
    if ask.id.is_none() {
        chosen = newest_of_each(chosen);
    }
    let (mut drills, mut failed, mut done) = (Vec::new(), None, false);
    let closed = !Ring::of(document).has_identities();
    for backup in chosen {
        if closed && backup.encryption == EncryptionKind::Age {
            let why = "no identity is here to decrypt it";
            let text = format!("{} cannot be drilled here: {why}", backup.file);
            monitor.note(NoteKind::Info, text);
            let told = json!({
                "id": backup.id, "file": backup.file, "source": backup.source, "ok": null, "skipped": why,
                "time": jiff::Timestamp::now().as_second(),
            });
            remember(document, &state_dir, backup, &told)?;
            drills.push(told);
            continue;
        }
        let started = Instant::now();
        let drill = Drill { document, dir: &dir, unauthenticated, monitor, blocked: AtomicBool::new(false) };
        let outcome = drill.backup(backup, &there.places);
        let cleaned = drill.clean();
        if let Err(error) = &outcome
            && error.code() == Code::Cancelled
        {
            return outcome.and(cleaned).map(|()| Value::Null);
        }
        let mut told = json!({
            "id": backup.id,
            "file": backup.file,
            "source": backup.source,
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
        // For want of a place to restore to: that says nothing of the backup.
        let blocked = verdict.is_err() && drill.blocked.load(Relaxed);
        told["ok"] = if blocked { Value::Null } else { verdict.is_ok().into() };
        told["error"] = json!(verdict.as_ref().err().map(ToString::to_string));
        told["failure"] = json!(verdict.as_ref().err());
        remember(document, &state_dir, backup, &told)?;
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

/// The newest backup of every source of every site, those last that are dated in the future.
fn newest_of_each(mut backups: Vec<&Backup>) -> Vec<&Backup> {
    let now = jiff::Timestamp::now().as_second();
    backups.sort_by_key(|backup| (is_future(backup.time, now), Reverse((backup.time, backup.id))));
    let mut seen = BTreeSet::new();
    backups.retain(|backup| {
        let site = if backup.own == Some(true) { String::new() } else { backup.identity().describe() };
        seen.insert((site, backup.source.clone()))
    });
    backups
}

/// How the last drills went, by source.
pub fn results(state_dir: &Path) -> Result<Map<String, Value>> {
    lock::read_shared(state_dir, RESULTS)
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
    let Some(source) = backup.source.as_deref().filter(known) else { return Ok(()) };
    let mut all = lock::read_state(&state_dir.join(RESULTS))?;
    all.retain(|source, _| document.sources.contains_key(source));
    all.insert(source.to_owned(), told.clone());
    lock::write_state(&state_dir.join(RESULTS), Value::Object(all).to_string().as_bytes())
}

struct Drill<'a> {
    document: &'a Document,
    dir: &'a Path,
    unauthenticated: bool,
    monitor: &'a Arc<Monitor>,
    /// Whether it failed at the place to restore to.
    blocked: AtomicBool,
}

/// What came out, and where it differs.
#[derive(Debug, Default, serde::Serialize)]
struct Seen {
    tables: u64,
    rows: u64,
    /// Whether the rows' content was compared, not only their number.
    rows_compared: bool,
    files: u64,
    bytes: u64,
    differences: Vec<String>,
    #[serde(skip)]
    more: u64,
}

impl Seen {
    fn differs(&mut self, what: String) {
        if self.differences.len() < TOLD { self.differences.push(what) } else { self.more += 1 }
    }

    fn verdict(&self, backup: &Backup) -> Result<()> {
        if self.differences.is_empty() {
            return Ok(());
        }
        let mut told = self.differences.join("; ");
        if self.more > 0 {
            told += &format!("; and {} more", self.more);
        }
        Err(Error::new(
            Code::Integrity,
            format!("what {} restores to is not what it holds: {told}", backup.file),
        )
        .hint("look at these; make a new backup and drill that"))
    }
}

/// Where the server refuses the scratch database: what is to be allowed.
fn grants(error: Error, connection: &Connection) -> Error {
    let name = &connection.name;
    let user = if connection.user.is_empty() { "USER" } else { &connection.user };
    let (error, hint) = match (connection.driver, error.next_step()) {
        (_, Some(_)) | (Driver::Sqlite, _) => return error,
        // In a grant _ stands for any one letter.
        (Driver::Mysql, None) => (
            error,
            format!("allow it: GRANT ALL ON `{}`.* TO '{user}'@'localhost';", name.replace('_', "\\_")),
        ),
        (Driver::Pgsql, None) => (error, format!("allow it: ALTER ROLE \"{user}\" CREATEDB;")),
    };
    error.context(format!("the scratch database {name} cannot be used")).hint(hint)
}

impl Drill<'_> {
    fn backup(&self, backup: &Backup, all: &[Arc<dyn Destination>]) -> Result<Seen> {
        self.clean()?;
        let opened = places::fetch_nearest(all, backup, self.dir, self.monitor, |local| {
            local.prove(self.document, self.unauthenticated, self.monitor)
        })?;
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
        self.monitor.set_current(backup.file.clone());
        elsewhere::claim(&to, self.monitor)?.put(&opened, self.monitor)?;
        self.monitor.phase(Phase::Verifying);
        let connection = database.map(|(_, connection)| connection);
        let mut seen = Seen::default();
        self.compare(&opened, folder.as_deref(), connection.as_ref(), &mut seen)?;
        let recorded = |key| opened.sidecar().and_then(|sidecar| sidecar.number(key));
        let (tables, files, bytes) = (seen.tables, seen.files, seen.bytes);
        for (what, recorded, found) in [
            ("tables", recorded(key::TABLES).filter(|_| connection.is_some()), tables),
            ("files", recorded(key::FILES), files),
            ("bytes of files", recorded(key::FILE_BYTES), bytes),
        ] {
            if let Some(recorded) = recorded.filter(|recorded| *recorded != found) {
                seen.differs(format!("{found} {what} instead of the {recorded} that were backed up"));
            }
        }
        Ok(seen)
    }

    /// The scratch database of what a backup was made from; `None` where the configuration has no database for it.
    fn database(&self, backup: &Backup) -> Result<Option<(Database, Connection)>> {
        let source = backup.source.as_ref().and_then(|name| self.document.sources.get(name));
        let name = source.and_then(|source| source.database.as_deref()).unwrap_or("db");
        match self.document.databases.get(name) {
            Some(_) => self.scratch(name).map(Some),
            None => Ok(None),
        }
    }

    /// A database's scratch: on the same server beside it, or a file.
    fn scratch(&self, name: &str) -> Result<(Database, Connection)> {
        let live = self.document.connection(name)?;
        let mut scratch = self.document.databases.get(name).cloned().unwrap_or_default();
        let url = match live.driver {
            Driver::Sqlite => {
                let path = self.dir.join("scratch.sqlite");
                format!("sqlite:{}", percent_encode(path.as_os_str().as_bytes(), IN_PATH)).into_bytes()
            }
            _ => {
                let stem: String = live.name.chars().take(LONGEST - SUFFIX.len()).collect();
                with_name(scratch.url.as_ref().map_or(b"", Secret::expose), &format!("{stem}{SUFFIX}"))
            }
        };
        scratch.url = Some(Secret::new(url));
        let connection = scratch.resolve(Path::new("/"))?;
        Ok((scratch, connection))
    }

    /// Says on disk that the scratch database is ours. One that is there and is not is left alone.
    fn mark(&self, connection: &Connection) -> Result<()> {
        if connection.driver != Driver::Sqlite
            && !database::tables(connection, false, self.monitor)?.is_empty()
        {
            return Err(Error::new(
                Code::Usage,
                format!("the drill's database {} is not empty, and no drill made it so", connection.label()),
            )
            .hint("look what it is, and drop it"));
        }
        lock::write_state(&self.dir.join("database"), connection.label().as_bytes())
    }

    /// Removes what a drill made, this one or a killed one.
    fn clean(&self) -> Result<()> {
        // A cancel must not leave anything behind.
        let monitor = Monitor::new();
        let mark = self.dir.join("database");
        if let Ok(label) = fs::read_to_string(&mark) {
            for name in self.document.databases.keys() {
                let Ok((database, connection)) = self.scratch(name) else { continue };
                if connection.label() != label {
                    continue;
                }
                // What a killed restore left beside it, the journal knows.
                let to = Elsewhere {
                    folder: None,
                    database: Some(database),
                    replace: true,
                    state_dir: Some(self.dir.join("restore")),
                };
                drop(elsewhere::claim(&to, &monitor)?);
                database::remove(&connection, &monitor)?;
            }
            fs::remove_file(&mark).at("cannot remove", &mark)?;
        }
        // Everything here is a drill's, the hidden folder of a killed restore, too.
        for name in entries::names(self.dir).at("cannot list", self.dir)? {
            let path = self.dir.join(name.at("cannot list", self.dir)?);
            if path.file_name().is_some_and(|name| name == "lock") {
                continue;
            }
            if let Some(remains) = erase(&path) {
                return Err(Error::new(
                    Code::Io,
                    format!("the drill's folder cannot be removed: {}", remains.told()),
                )
                .hint("see what holds it, then remove it"));
            }
        }
        Ok(())
    }

    fn compare(
        &self,
        opened: &Opened,
        folder: Option<&Path>,
        connection: Option<&Connection>,
        seen: &mut Seen,
    ) -> Result<()> {
        if opened.kind().is_some_and(Kind::is_database) {
            return match connection {
                Some(connection) => self.compare_database(opened, &mut opened.decode()?, connection, seen),
                None => Ok(()),
            };
        }
        let survey = opened.foreign_layout(self.monitor)?;
        let mut reader = Reader::new(opened.decode()?);
        let (layout, mut first) = apply::begin(&mut reader, survey, opened.kind() == Some(Kind::Tar))?;
        while let Some(member) = first.take().map_or_else(|| reader.next_member(), |first| Ok(Some(first)))? {
            self.monitor.check()?;
            match (layout.part(&member.entry.path), connection, folder) {
                (Part::Database, Some(connection), _) => {
                    self.compare_database(opened, &mut reader, connection, seen)?;
                }
                (Part::Manifest | Part::Other | Part::Database, _, _) | (_, _, None) => {}
                (_, _, Some(folder)) => compare_member(&member, &layout, folder, &mut reader, seen)?,
            }
        }
        Ok(())
    }

    /// Counts the rows of the dump and of what it was loaded to, and compares them where both can be written alike.
    fn compare_database(
        &self,
        opened: &Opened,
        dump: &mut dyn Read,
        connection: &Connection,
        seen: &mut Seen,
    ) -> Result<()> {
        let ours = opened.sidecar().is_some_and(|sidecar| sidecar.get(key::FORMAT).is_some());
        let driver = Some(connection.driver);
        let (expected, found) = match database::fingerprints(driver, dump, self.monitor)? {
            Some(expected) if ours => {
                seen.rows_compared = true;
                (expected, self.fingerprints(connection)?)
            }
            Some(expected) => (expected.into_iter().map(counted).collect(), self.counts(connection)?),
            None => {
                let Contents { tables, .. } = database::contents(driver, dump, None, self.dir, self.monitor)?;
                (of_tables(tables), self.counts(connection)?)
            }
        };
        seen.tables += expected.len() as u64;
        for (name, expected) in &expected {
            seen.rows += expected.rows;
            match found.get(name) {
                None => seen.differs(format!("table {name} is missing")),
                Some(found) if found.rows != expected.rows => {
                    seen.differs(format!(
                        "table {name} has {} rows instead of {}",
                        found.rows, expected.rows
                    ));
                }
                Some(found) if found != expected => {
                    seen.differs(format!("rows of table {name} have other content"));
                }
                Some(_) => {}
            }
        }
        for name in found.keys().filter(|name| !expected.contains_key(*name)) {
            seen.differs(format!("table {name} came from nowhere"));
        }
        Ok(())
    }

    fn counts(&self, connection: &Connection) -> Result<BTreeMap<String, Fingerprint>> {
        database::tables(connection, true, self.monitor).map(of_tables)
    }

    /// Of the database as it is now, by dumping it.
    fn fingerprints(&self, connection: &Connection) -> Result<BTreeMap<String, Fingerprint>> {
        let (mut writer, mut reader) = pipe();
        std::thread::scope(|scope| {
            let dumping = threads::spawn_scoped(scope, "bam-dump", move || {
                database::dump(connection, &DumpSettings::default(), &mut writer, self.monitor)?;
                Ok::<_, Error>(writer.finish()?)
            })?;
            let found = database::fingerprints(Some(connection.driver), &mut reader, self.monitor);
            drop(reader);
            let dumped = dumping.join().unwrap_or_else(|_| {
                Err(Error::new(Code::Internal, "dumping the scratch database stopped at a bug in bam"))
            });
            // Each end fails when the other does; the dump knows why.
            dumped.and(found).map(Option::unwrap_or_default)
        })
    }
}

fn counted((name, found): (String, Fingerprint)) -> (String, Fingerprint) {
    (name, Fingerprint::count(found.rows))
}

fn of_tables(tables: Vec<Table>) -> BTreeMap<String, Fingerprint> {
    let count = |table: Table| (table.name, Fingerprint::count(table.rows.unwrap_or_default()));
    tables.into_iter().map(count).collect()
}

/// The URL of a server with another database's name.
fn with_name(url: &[u8], name: &str) -> Vec<u8> {
    let after_scheme = url.windows(3).position(|found| found == b"://").map_or(0, |at| at + 3);
    let slash = url
        .iter()
        .skip(after_scheme)
        .position(|&byte| byte == b'/')
        .map_or(url.len(), |at| after_scheme + at);
    let mut renamed = url.get(..slash).unwrap_or(url).to_vec();
    renamed.push(b'/');
    renamed.extend(percent_encode(name.as_bytes(), IN_PATH).to_string().into_bytes());
    renamed
}

/// Whether a member of the archive is on disk as it is in the archive.
fn compare_member(
    member: &Member,
    layout: &Layout,
    folder: &Path,
    body: &mut dyn Read,
    seen: &mut Seen,
) -> Result<()> {
    let entry = &member.entry;
    let on_disk =
        |path: &[u8]| elsewhere::place(layout, path).map(|path| folder.join(OsStr::from_bytes(&path)));
    let Some(path) = on_disk(&entry.path) else { return Ok(()) };
    let name = show(&entry.path);
    let live = match long_path::look(&path) {
        Ok(live) => live,
        Err(cause) if cause.kind() == ErrorKind::NotFound => {
            seen.differs(format!("{name} is missing"));
            return Ok(());
        }
        Err(cause) => return Err(Error::io("cannot look at", &path, cause)),
    };
    let same = match &entry.kind {
        EntryKind::File { size } => {
            seen.files += 1;
            seen.bytes += size;
            let whole = [Segment { offset: 0, len: *size }];
            live.is_file() && live.len() == *size && same_content(&path, &whole, body)?
        }
        EntryKind::Sparse { size, data } => {
            seen.files += 1;
            seen.bytes += size;
            live.is_file() && live.len() == *size && same_content(&path, data, body)?
        }
        EntryKind::Directory => live.is_dir(),
        EntryKind::Symlink(target) => {
            live.is_symlink()
                && long_path::read_link(&path).at("cannot read the link", &path)?.as_os_str().as_bytes()
                    == target.as_slice()
        }
        EntryKind::Hardlink(target) => {
            let other = on_disk(target).and_then(|path| long_path::look(&path).ok());
            other.is_some_and(|other| other.ino() == live.ino())
        }
        EntryKind::Special(_) => true,
    };
    if !same {
        seen.differs(format!("{name} is not as it was"));
    }
    Ok(())
}

/// Compares a file, opened anew, with the archive's bytes of it.
fn same_content(path: &Path, segments: &[Segment], body: &mut dyn Read) -> Result<bool> {
    let mut file = long_path::open(path).at("cannot read", path)?;
    let (mut theirs, mut ours) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    for segment in segments {
        file.seek(SeekFrom::Start(segment.offset)).at("cannot read", path)?;
        let mut left = segment.len;
        while left > 0 {
            let take = usize::try_from(left).unwrap_or(usize::MAX).min(theirs.len());
            let (Some(theirs), Some(ours)) = (theirs.get_mut(..take), ours.get_mut(..take)) else {
                return Ok(false);
            };
            body.read_exact(theirs)?;
            file.read_exact(ours).at("cannot read", path)?;
            if theirs != ours {
                return Ok(false);
            }
            left -= take as u64;
        }
    }
    Ok(true)
}
