//! Comparing what came out of a drill's restore with the backup.

use super::Drill;
use crate::archive::{EntryKind, Layout, Member, Part, Segment, show};
use crate::catalog::{Backup, Kind, key};
use crate::config::Connection;
use crate::job::open::Opened;
use crate::job::pipe::pipe;
use crate::job::restore::{apply, elsewhere};
use crate::long_path;
use crate::source::database::{self, Contents, DumpSettings, Fingerprint, Table};
use crate::{Code, Error, Result, ResultExt, threads};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Differences that are told; all are counted.
const TOLD: usize = 20;

/// What came out, and where it differs.
#[derive(Debug, Default, serde::Serialize)]
pub(super) struct Seen {
    pub(super) tables: u64,
    pub(super) rows: u64,
    /// Whether the rows' content was compared, not only their number.
    pub(super) rows_compared: bool,
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) differences: Vec<String>,
    #[serde(skip)]
    pub(super) more: u64,
}

impl Seen {
    pub(super) fn differs(&mut self, what: String) {
        if self.differences.len() < TOLD { self.differences.push(what) } else { self.more += 1 }
    }

    pub(super) fn verdict(&self, backup: &Backup) -> Result<()> {
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

impl Drill<'_> {
    pub(super) fn compare(
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
        let mut reader = opened.members()?;
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
        // What came out of a table that breaks off may be anything; that it does was said.
        let unread = opened.sidecar().map(|sidecar| sidecar.list(key::UNREAD_TABLES)).unwrap_or_default();
        let is_whole = |name: &str| !unread.iter().any(|table| table == name.as_bytes());
        seen.tables += expected.len() as u64;
        for (name, expected) in &expected {
            seen.rows += expected.rows;
            match found.get(name) {
                None => seen.differs(format!("table {name} is missing")),
                Some(_) if !is_whole(name) => {}
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
            let is_it = |other: PathBuf| long_path::look(&other).is_ok_and(|other| other.ino() == live.ino());
            // Where the first name has no place on disk, this one has the content.
            on_disk(target).map_or(!live.is_dir(), is_it)
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
