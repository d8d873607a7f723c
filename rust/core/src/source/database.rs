//! Databases as a source: dumping one, and replacing a live one by a dump. What all kinds of server share.
//!
//! A replacement goes in steps that can each be done again after a kill; the caller keeps the [`Replacement`] in its
//! journal and writes it there after [`Replacement::plan`] and after [`Replacement::load`]:
//!
//! ```text
//! plan ── load ── swap ── clean        the new data is live, the old gone
//!                  └──── revert ── clean    the old data is live, the new gone
//! ```
//!
//! Nothing of the live database changes before `swap`, and up to `clean` both sides are there.

use super::mysql;
use crate::config::{Connection, Driver, SourceSettings};
use crate::{Code, Error, Monitor, Result};
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;

/// What a dump leaves out, and how it treats the server.
#[derive(Debug, Clone, Default)]
pub struct DumpSettings {
    /// Tables whose rows are left out, with or without the site's prefix. Names that do not exist are no error.
    pub nodata_tables: Vec<String>,
    /// Tables that are left out altogether, likewise.
    pub exclude_tables: Vec<String>,
    /// Keep tables without transactions locked while they are dumped.
    pub lock_tables: bool,
    /// Go on without what cannot be dumped, with a [`crate::NoteKind::Missing`] note each.
    pub ignore_errors: bool,
    /// Where an unlinked copy of a SQLite database may lie; default: the folder for temporary files.
    pub temporary_dir: Option<PathBuf>,
}

impl From<&SourceSettings> for DumpSettings {
    fn from(settings: &SourceSettings) -> Self {
        DumpSettings {
            nodata_tables: settings.nodata_tables.clone(),
            exclude_tables: settings.exclude_tables.clone(),
            lock_tables: settings.lock_tables,
            ..DumpSettings::default()
        }
    }
}

/// What a dump holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DumpReport {
    /// Tables with their rows.
    pub tables: u64,
    /// Tables without rows.
    pub empty_tables: u64,
    /// Views, triggers, routines and events.
    pub others: u64,
    /// Bytes written.
    pub bytes: u64,
}

/// How a dump is loaded.
#[derive(Debug, Clone, Default)]
pub struct LoadSettings {
    /// Only these tables, with or without prefix; the others stay as they are.
    pub tables: Option<Vec<String>>,
    /// Take what is left of a dump that was cut short, and go on without views and triggers that the server refuses.
    pub ignore_errors: bool,
}

/// What was loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LoadReport {
    /// Tables.
    pub tables: u64,
    /// SQL statements; 0 for SQLite.
    pub statements: u64,
    /// Bytes read from the dump.
    pub bytes: u64,
    /// Tables and views of the live database that the dump does not have, and that go with the swap.
    pub removed: Vec<String>,
    /// Those that stay: left out when the dump was made, or not known to the program that made it.
    pub kept: Vec<String>,
}

/// Writes a dump of the whole database to `out`: plain SQL, or for SQLite the database file itself.
///
/// The dump is one consistent snapshot. Fails with [`Code::Database`] where the server does, [`Code::Permission`]
/// where it refuses, [`Code::NotFound`] where its client is not installed.
pub fn dump(
    connection: &Connection,
    settings: &DumpSettings,
    out: &mut dyn Write,
    monitor: &Monitor,
) -> Result<DumpReport> {
    match connection.driver {
        Driver::Mysql => mysql::dump(connection, settings, out, monitor),
        Driver::Sqlite => Err(no_postgres()),
        Driver::Pgsql => Err(no_postgres()),
    }
    .map_err(|error| error.context(format!("database {}", connection.label())))
}

fn no_postgres() -> Error {
    Error::new(Code::Unsupported, "PostgreSQL databases are not supported yet")
}

/// A database that is being replaced by a dump. Not there yet: loading fails with [`Code::Unsupported`].
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub enum Replacement {}

#[allow(missing_docs)]
impl Replacement {
    pub fn plan(_: &Connection, _: &std::path::Path, _: &str) -> Result<Replacement> {
        Err(Error::new(Code::Unsupported, "databases cannot be restored yet"))
    }
    pub fn load(
        &mut self,
        _: &Connection,
        _: Box<dyn std::io::Read + Send>,
        _: &LoadSettings,
        _: &Monitor,
    ) -> Result<LoadReport> {
        match *self {}
    }
    pub fn swap(&self, _: &Connection, _: &Monitor) -> Result<()> {
        match *self {}
    }
    pub fn revert(&self, _: &Connection, _: &Monitor) -> Result<()> {
        match *self {}
    }
    pub fn clean(&self, _: &Connection, _: &Monitor) -> Result<()> {
        match *self {}
    }
}
