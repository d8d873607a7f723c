//! What changed between two backups: files by their content, tables by their rows.
//!
//! Each backup is proven and read once, one after the other; what the first holds is kept on disk meanwhile, and both are
//! then compared in the order of their paths.

use super::{Each, Which, common_path, letter, signed, spill, unsigned, usage, word};
use crate::archive::{EntryKind, Layout, Member, Part, show};
use crate::catalog::{Kind, key};
use crate::config::{Document, Driver};
use crate::job::lock;
use crate::job::open::{Opened, look};
use crate::job::request::Restore;
use crate::job::restore::Need;
use crate::job::restore::apply::begin;
use crate::source::database::digests;
use crate::source::digests::Digests;
use crate::{Code, Monitor, NoteKind, Result};
use rusqlite::{Connection, params};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// What became of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// Only the second backup has it.
    Added,
    /// Only the first has it.
    Removed,
    /// Both have it, and not the same.
    Changed,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Change {
    /// Of files, folders, links.
    Path {
        /// What became of it.
        change: Fate,
        /// Where, as [`show`] writes it.
        path: String,
        /// `file`, `directory`, `symlink`, `hardlink` or `special`: in the second backup, where it is there.
        #[serde(rename = "type")]
        kind: &'static str,
        /// Bytes in the first backup; null where it has none.
        before: Option<u64>,
        /// Bytes in the second backup.
        after: Option<u64>,
        /// Of what changed: `type`, `content` (of a link: where it leads), `mode`, `owner`.
        what: Vec<&'static str>,
    },
    /// Of tables.
    Table {
        /// What became of it.
        change: Fate,
        /// Its name, prefix included.
        table: String,
        /// Rows in the first backup; null where it has no such table.
        before: Option<u64>,
        /// Rows in the second backup.
        after: Option<u64>,
        /// Of what changed: `rows` (other ones, or as many others), `definition`.
        what: Vec<&'static str>,
    },
}

/// How much changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Paths, or tables, that only the second backup has.
    pub added: u64,
    /// That only the first has.
    pub removed: u64,
    /// That are not the same in both.
    pub changed: u64,
    /// That are.
    pub same: u64,
    /// Of files: bytes of those that were added or changed, as they are now.
    pub bytes: u64,
}

/// What was compared, and how much changed.
#[derive(Debug, Clone, Serialize)]
pub struct Compared {
    /// The first backup.
    pub from: Which,
    /// The second.
    pub to: Which,
    /// Of files, folders and links; null where there are none to compare.
    pub files: Option<Totals>,
    /// Of tables.
    pub tables: Option<Totals>,
    /// Whether views, triggers, routines and the like differ; null where no database was compared.
    pub other_objects_differ: Option<bool>,
}

/// Tells `each` what changed between two backups, paths in their order, then tables.
pub fn diff(
    document: &Document,
    from: &Restore,
    to: &Restore,
    each: Each<'_, Change>,
    monitor: &Arc<Monitor>,
) -> Result<Compared> {
    let state_dir = lock::state_dir(document)?;
    let paths = spill::open(
        "CREATE TABLE path (path BLOB, side INTEGER, kind TEXT, size INTEGER, mode INTEGER, owner TEXT, content BLOB, \
         PRIMARY KEY (path, side)) WITHOUT ROWID",
    )?;
    let mut sides = Vec::with_capacity(2);
    for (number, ask) in [from, to].into_iter().enumerate() {
        let (opened, survey) = look::open(document, ask, Need::Members, monitor)?;
        if let (1, Some(first)) = (number, sides.first()) {
            comparable(first, &opened)?;
        }
        let side = Side::read(&opened, survey, signed(number as u64), &paths, &state_dir, monitor)?;
        sides.push(side);
    }
    let mut sides = sides.into_iter();
    let (Some(first), Some(second)) = (sides.next(), sides.next()) else {
        return Err(usage("two backups are compared".into(), "give two IDs"));
    };
    first.warn_of_what_is_left_out(&second, monitor);
    let files = first.has_files.then(|| compare_paths(&paths, each, monitor)).transpose()?;
    let mut tables = None;
    let mut differ = None;
    if let (Some(before), Some(after)) = (&first.database, &second.database) {
        tables = Some(compare_tables(before, after, each)?);
        differ = Some(!before.has_same_others(after));
    } else if first.database.is_some() || second.database.is_some() {
        let lacks = if first.database.is_some() { &second.which } else { &first.which };
        monitor.note(NoteKind::Missing, format!("{} has no database that could be compared", lacks.file));
    }
    Ok(Compared { from: first.which, to: second.which, files, tables, other_objects_differ: differ })
}

/// One of the two backups.
struct Side {
    which: Which,
    kind: Option<Kind>,
    has_files: bool,
    database: Option<Digests>,
    /// What tells what was left out on purpose.
    excluded: Vec<Option<String>>,
    missing: u64,
}

/// Refuses what has nothing in common before it is read.
fn comparable(first: &Side, second: &Opened) -> Result<()> {
    let sort = |kind: Option<Kind>| match kind {
        Some(Kind::SiteArchive) => "a site",
        Some(Kind::Tar) | None => "files",
        Some(_) => "a database",
    };
    let (a, b) = (sort(first.kind), sort(second.kind()));
    if a == b {
        return Ok(());
    }
    let text =
        format!("{} holds {a}, {} holds {b}: there is nothing to compare", first.which.file, second.file());
    Err(usage(text, "compare two backups of one source; `bam backups` tells the sources"))
}

impl Side {
    fn read(
        opened: &Opened,
        survey: Option<Layout>,
        side: i64,
        paths: &Connection,
        state_dir: &Path,
        monitor: &Monitor,
    ) -> Result<Side> {
        let told = |key: &str| opened.sidecar().and_then(|sidecar| sidecar.get(key)).map(str::to_owned);
        let mut read = Side {
            which: Which::is(opened),
            kind: opened.kind(),
            has_files: false,
            database: None,
            excluded: [key::EXCLUDED, key::EXCLUDED_PATTERNS].map(told).to_vec(),
            missing: opened.sidecar().and_then(|sidecar| sidecar.number(key::MISSING)).unwrap_or_default(),
        };
        if let Some(kind) = opened.kind().filter(|kind| kind.is_database()) {
            read.database = Some(digests(kind.driver(), &mut opened.decode()?, state_dir, monitor)?);
            return Ok(read);
        }
        read.has_files = true;
        let mut reader = opened.members()?;
        let (layout, first) = begin(&mut reader, survey, opened.kind() == Some(Kind::Tar))?;
        let mut next = match first {
            Some(member) => Some(member),
            None => reader.next_member()?,
        };
        while let Some(member) = next {
            monitor.check()?;
            match (layout.part(&member.entry.path), &layout) {
                // It has the date of the backup in it.
                (Part::Manifest, _) => {}
                (Part::Database, Layout::Site(site)) => {
                    let driver = Driver::named(&site.driver);
                    read.database = compare_later(
                        digests(driver, &mut reader, state_dir, monitor),
                        &read.which,
                        monitor,
                    )?;
                }
                _ => keep(paths, side, &layout, &member, &mut reader)?,
            }
            next = reader.next_member()?;
        }
        Ok(read)
    }

    /// What one lacks because it was left out, or could not be read, looks as if somebody had removed it.
    fn warn_of_what_is_left_out(&self, other: &Side, monitor: &Monitor) {
        if self.excluded != other.excluded {
            let text = "the two backups leave out different paths: what is told as added or removed may be only that";
            monitor.note(NoteKind::Warning, text);
        }
        for side in [self, other].into_iter().filter(|side| side.missing > 0) {
            let text = format!(
                "{} lacks {} things that could not be backed up: they look as if they were not there",
                side.which.file, side.missing
            );
            monitor.note(NoteKind::Warning, text);
        }
    }
}

/// A dump in a site archive that cannot be compared keeps nobody from comparing the files.
fn compare_later(read: Result<Digests>, which: &Which, monitor: &Monitor) -> Result<Option<Digests>> {
    match read {
        Ok(digests) => Ok(Some(digests)),
        Err(error) if matches!(error.code(), Code::Unsupported | Code::Usage) => {
            monitor
                .note(NoteKind::Missing, format!("the database in {} is not compared: {error}", which.file));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Keeps what a member is.
fn keep(paths: &Connection, side: i64, layout: &Layout, member: &Member, body: &mut dyn Read) -> Result<()> {
    let entry = &member.entry;
    let content: Option<Vec<u8>> = match &entry.kind {
        EntryKind::File { .. } => Some(digest_of(body, Sha256::new())?),
        EntryKind::Sparse { data, .. } => {
            let mut hash = Sha256::new();
            // The same bytes at other places are another file.
            data.iter().for_each(|segment| {
                hash.update([segment.offset.to_be_bytes(), segment.len.to_be_bytes()].concat())
            });
            Some(digest_of(body, hash)?)
        }
        kind => kind.target().map(<[u8]>::to_vec),
    };
    let owner = |name: &[u8], number: u32| if name.is_empty() { number.to_string() } else { show(name) };
    let owner = format!("{}:{}", owner(&member.user, entry.uid), owner(&member.group, entry.gid));
    // Of two members of one path the later one counts, as where they are extracted.
    let mut statement = paths
        .prepare_cached("INSERT OR REPLACE INTO path VALUES (?, ?, ?, ?, ?, ?, ?)")
        .map_err(spill::failed)?;
    let row = params![
        common_path(layout, &entry.path),
        side,
        letter(&entry.kind).to_string(),
        signed(entry.kind.size()),
        entry.mode,
        owner,
        content
    ];
    statement.execute(row).map(drop).map_err(spill::failed)
}

fn digest_of(body: &mut dyn Read, mut hash: Sha256) -> Result<Vec<u8>> {
    let mut block = vec![0; 64 * 1024];
    loop {
        match body.read(&mut block)? {
            0 => return Ok(hash.finalize().to_vec()),
            read => hash.update(block.get(..read).unwrap_or_default()),
        }
    }
}

/// What is kept of a path at one side.
#[derive(PartialEq, Eq)]
struct Kept {
    side: i64,
    kind: String,
    size: u64,
    mode: u32,
    owner: String,
    content: Option<Vec<u8>>,
}

impl Kept {
    fn bytes(&self) -> Option<u64> {
        (self.kind == "-").then_some(self.size)
    }

    /// In what this differs from what was there before.
    fn differs(&self, before: &Kept) -> Vec<&'static str> {
        let kinds = self.kind != before.kind;
        let told = [
            (kinds, "type"),
            (!kinds && (self.size != before.size || self.content != before.content), "content"),
            // Of a link the permissions mean nothing.
            (!kinds && self.kind != "l" && self.mode != before.mode, "mode"),
            (self.owner != before.owner, "owner"),
        ];
        told.into_iter().filter(|(differs, _)| *differs).map(|(_, word)| word).collect()
    }
}

fn compare_paths(paths: &Connection, each: Each<'_, Change>, monitor: &Monitor) -> Result<Totals> {
    let mut totals = Totals::default();
    let mut statement = paths
        .prepare("SELECT path, side, kind, size, mode, owner, content FROM path ORDER BY path, side")
        .map_err(spill::failed)?;
    let mut rows = statement.query([]).map_err(spill::failed)?;
    let mut waits: Option<(Vec<u8>, Kept)> = None;
    loop {
        monitor.check()?;
        let read = || -> rusqlite::Result<Option<(Vec<u8>, Kept)>> {
            let Some(row) = rows.next()? else { return Ok(None) };
            let (side, kind, mode) = (row.get(1)?, row.get(2)?, row.get(4)?);
            let size = unsigned(row.get(3)?);
            Ok(Some((row.get(0)?, Kept { side, kind, size, mode, owner: row.get(5)?, content: row.get(6)? })))
        };
        let mut read = read;
        let now = read().map_err(spill::failed)?;
        let (before, after) = match (waits.take(), now) {
            (None, None) => return Ok(totals),
            (Some((path, first)), Some((same, second))) if path == same => {
                ((path, Some(first)), Some(second))
            }
            (Some((path, only)), now) => {
                waits = now;
                match only.side {
                    0 => ((path, Some(only)), None),
                    _ => ((path, None), Some(only)),
                }
            }
            (None, Some(first)) => {
                waits = Some(first);
                continue;
            }
        };
        let (path, before) = before;
        tell(&path, before.as_ref(), after.as_ref(), &mut totals, each)?;
    }
}

fn tell(
    path: &[u8],
    before: Option<&Kept>,
    after: Option<&Kept>,
    totals: &mut Totals,
    each: Each<'_, Change>,
) -> Result<()> {
    let (change, what) = match (before, after) {
        (Some(_), None) => (Fate::Removed, Vec::new()),
        (Some(before), Some(after)) => (Fate::Changed, after.differs(before)),
        _ => (Fate::Added, Vec::new()),
    };
    if change == Fate::Changed && what.is_empty() {
        totals.same += 1;
        return Ok(());
    }
    totals.count(change);
    if change == Fate::Added || what.contains(&"content") || what.contains(&"type") {
        totals.bytes += after.and_then(Kept::bytes).unwrap_or_default();
    }
    let Some(shown) = after.or(before) else { return Ok(()) };
    each(Change::Path {
        change,
        path: show(path),
        kind: word(&shown.kind),
        before: before.and_then(Kept::bytes),
        after: after.and_then(Kept::bytes),
        what,
    })
}

impl Totals {
    fn count(&mut self, change: Fate) {
        match change {
            Fate::Added => self.added += 1,
            Fate::Removed => self.removed += 1,
            Fate::Changed => self.changed += 1,
        }
    }
}

fn compare_tables(before: &Digests, after: &Digests, each: Each<'_, Change>) -> Result<Totals> {
    let mut totals = Totals::default();
    let names: std::collections::BTreeSet<&String> =
        before.tables.keys().chain(after.tables.keys()).collect();
    for name in names {
        let (old, new) = (before.tables.get(name), after.tables.get(name));
        let (change, what) = match (old, new) {
            (Some(_), None) => (Fate::Removed, Vec::new()),
            (Some(old), Some(new)) => {
                let told = [(old.rows != new.rows, "rows"), (!old.is_defined_as(new), "definition")];
                (Fate::Changed, told.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect())
            }
            _ => (Fate::Added, Vec::new()),
        };
        if change == Fate::Changed && what.is_empty() {
            totals.same += 1;
            continue;
        }
        totals.count(change);
        let rows = |side: Option<&crate::source::digests::TableDigest>| side.map(|table| table.rows.rows);
        each(Change::Table { change, table: name.clone(), before: rows(old), after: rows(new), what })?;
    }
    Ok(totals)
}
