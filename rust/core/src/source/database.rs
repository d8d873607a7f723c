//! Databases as a source: dumping one, and replacing a live one by a dump. What all kinds of server share.
//!
//! A replacement goes in steps that can each be done again after a kill; the caller keeps the [`Replacement`] in its
//! journal and writes it there after [`Replacement::plan`] and after [`Replacement::load`]:
//!
//! ```text
//! plan ── load ── adapt ── check ── swap ── clean           the new data is live, the old gone
//!                                    └──── revert ── clean    the old data is live, the new gone
//! ```
//!
//! Nothing of the live database changes before `swap`, and up to `clean` both sides are there. Whatever can fail for
//! good - views, triggers, routines and events that the server refuses, rights, what hangs on the tables from outside -
//! is tried in `check`; a `swap` that has begun fails only where the server goes away or somebody holds a table.

use super::{mysql, pgsql, sql, sqlite};
use crate::config::{Connection, Driver, SourceSettings};
use crate::{Error, Fact, Monitor, Result, Told};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// What a dump leaves out, and how it treats the server.
#[derive(Debug, Clone, Default)]
pub struct DumpSettings {
    /// Tables whose rows are left out ([`crate::config::names_table`]). Names that do not exist are no error.
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
    /// Only these tables, with or without prefix ([`crate::config::names_table`]); the others stay as they are.
    pub tables: Option<Vec<String>>,
    /// The prefix that tables are to have; `None`: the dump's. Where the dump does not tell its own they stay as they
    /// are, with a note.
    pub prefix: Option<String>,
    /// Of a dump of several MariaDB or MySQL databases only this one; without it such a dump is refused.
    pub database: Option<String>,
    /// Nothing proves whose the dump is: what it may do is kept to its own database, by the server where that can be
    /// arranged, else as far as its statements show; which of the two is said.
    pub untrusted: bool,
    /// Take what is left of a dump that was cut short, and go on without views and triggers that the server refuses.
    pub ignore_errors: bool,
}

/// What was loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LoadReport {
    /// Tables.
    pub tables: u64,
    /// Their names, where only some were asked for.
    pub names: Vec<String>,
    /// SQL statements; 0 for SQLite.
    pub statements: u64,
    /// Bytes read from the dump.
    pub bytes: u64,
    /// Tables and views of the live database that the dump does not have, and that go with the swap.
    pub removed: Vec<String>,
    /// Those that stay: left out when the dump was made, or not known to the program that made it.
    pub kept: Vec<String>,
}

/// What a dump holds, without loading it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Its tables with their rows, and how many bytes of the dump each takes.
    pub tables: Vec<Table>,
    /// The table prefix of the site that was dumped, where the dump tells.
    pub prefix: Option<String>,
    /// Tables that were left out on purpose.
    pub excluded: Vec<String>,
    /// Whether all other tables of that database are in it: known of our own dumps.
    pub complete: bool,
}

impl Contents {
    /// The same with the names that the tables get at a site with this prefix.
    pub fn with_prefix(mut self, prefix: &str) -> Contents {
        if let Some(theirs) = &self.prefix {
            let names = self.tables.iter_mut().map(|table| &mut table.name).chain(&mut self.excluded);
            names.for_each(|name| *name = sql::renamed(name, theirs, prefix).into_owned());
            self.prefix = Some(prefix.to_owned());
        }
        self
    }
}

/// Reads a dump to its end; `driver` says what kind it is, where that is known; of a dump of several MariaDB or MySQL
/// databases `only` says which is meant. `spool_dir` is a private folder.
pub fn contents(
    driver: Option<Driver>,
    input: &mut dyn Read,
    only: Option<&str>,
    spool_dir: &Path,
    monitor: &Monitor,
) -> Result<Contents> {
    match driver {
        Some(Driver::Sqlite) => sqlite::contents(input, spool_dir, monitor),
        Some(Driver::Mysql) | None => mysql::contents(input, only, monitor),
        Some(Driver::Pgsql) => pgsql::contents(input, monitor),
    }
}

/// What a table's rows are, in whatever order they come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fingerprint {
    /// How many.
    pub rows: u64,
    /// The sum of the first 8 bytes of each row's SHA-256, modulo 2^64.
    sum: u64,
}

impl Fingerprint {
    /// So many rows, of which nothing else is known.
    pub fn count(rows: u64) -> Self {
        Fingerprint { rows, sum: 0 }
    }

    /// Takes a row in, as the dump writes it.
    pub(crate) fn add(&mut self, row: &[u8]) {
        let hash = Sha256::digest(row);
        let first = hash.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        self.rows += 1;
        self.sum = self.sum.wrapping_add(first);
    }
}

/// The rows of every table of a dump that [`dump`] made: two dumps of the same data have the same. `None` where the
/// dump is no text that could be compared.
pub fn fingerprints(
    driver: Option<Driver>,
    input: &mut dyn Read,
    monitor: &Monitor,
) -> Result<Option<BTreeMap<String, Fingerprint>>> {
    match driver {
        Some(Driver::Mysql) => mysql::fingerprints(input, monitor).map(Some),
        _ => Ok(None),
    }
}

/// Removes a whole database.
pub fn remove(connection: &Connection, monitor: &Monitor) -> Result<()> {
    match connection.driver {
        Driver::Mysql => mysql::remove(connection, monitor),
        Driver::Sqlite => match std::fs::remove_file(&connection.path) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => {
                Err(Error::io("cannot remove", &connection.path, cause))
            }
            _ => Ok(()),
        },
        Driver::Pgsql => pgsql::remove(connection, monitor),
    }
    .doing("remove")
    .within(Fact::Database, connection.label())
}

/// Writes a dump of the whole database to `out`: plain SQL, or for SQLite the database file itself.
///
/// The dump is one consistent snapshot. Fails with [`crate::Code::Database`] where the server does, [`crate::Code::Permission`]
/// where it refuses, [`crate::Code::NotFound`] where its client is not installed.
pub fn dump(
    connection: &Connection,
    settings: &DumpSettings,
    out: &mut dyn Write,
    monitor: &Monitor,
) -> Result<DumpReport> {
    let out = &mut Metered { out, monitor };
    match connection.driver {
        Driver::Mysql => mysql::dump(connection, settings, out, monitor),
        Driver::Sqlite => sqlite::dump(connection, settings, out, monitor),
        Driver::Pgsql => pgsql::dump(connection, settings, out, monitor),
    }
    .doing("dump")
    .within(Fact::Database, connection.label())
}

/// Counts what is dumped as read from the source.
struct Metered<'a> {
    out: &'a mut dyn Write,
    monitor: &'a Monitor,
}

impl Write for Metered<'_> {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(buf)?;
        self.monitor.add_in(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// The files that a database consists of, where it is one of files: with the logs that may lie beside it.
pub fn files(connection: &Connection) -> Vec<PathBuf> {
    match connection.driver {
        Driver::Sqlite => sqlite::files(connection),
        Driver::Mysql | Driver::Pgsql => Vec::new(),
    }
}

/// A table of a live database or a dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Table {
    /// Its name, prefix included.
    pub name: String,
    /// How many rows it has; `None` where nobody counted them.
    pub rows: Option<u64>,
    /// Bytes of data and indexes, as the server estimates them; of a dump the bytes that it takes there.
    pub bytes: u64,
}

/// The tables of a live database, by name, no views; none where the database does not exist. `count` counts rows, which
/// reads every table.
pub fn tables(connection: &Connection, count: bool, monitor: &Monitor) -> Result<Vec<Table>> {
    match connection.driver {
        Driver::Mysql => mysql::tables(connection, count, monitor),
        Driver::Sqlite => sqlite::tables(connection, count),
        Driver::Pgsql => pgsql::tables(connection, count, monitor),
    }
    .doing("list the tables of")
    .within(Fact::Database, connection.label())
}

/// A database that is being replaced by a dump. Holds no secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Replacement {
    /// MariaDB or MySQL.
    Mysql(mysql::MysqlReplacement),
    /// A SQLite file.
    Sqlite(sqlite::SqliteReplacement),
    /// PostgreSQL.
    Pgsql(pgsql::PgsqlReplacement),
}

impl Replacement {
    /// Decides on names, unique by `id` (letters and digits); touches nothing. `state_dir` is a private folder that
    /// survives a reboot.
    pub fn plan(connection: &Connection, state_dir: &Path, id: &str) -> Result<Replacement> {
        match connection.driver {
            Driver::Mysql => mysql::MysqlReplacement::plan(connection, state_dir, id).map(Replacement::Mysql),
            Driver::Sqlite => Ok(Replacement::Sqlite(sqlite::SqliteReplacement::plan(state_dir, id))),
            Driver::Pgsql => pgsql::PgsqlReplacement::plan(id).map(Replacement::Pgsql),
        }
    }

    /// Loads the dump beside the live database and checks that it is whole.
    pub fn load(
        &mut self,
        connection: &Connection,
        input: Box<dyn Read + Send>,
        settings: &LoadSettings,
        monitor: &Monitor,
    ) -> Result<LoadReport> {
        match self {
            Replacement::Mysql(it) => it.load(connection, input, settings, monitor),
            Replacement::Sqlite(it) => it.load(connection, input, settings, monitor),
            Replacement::Pgsql(it) => it.load(connection, input, settings, monitor),
        }
        .doing("load")
        .within(Fact::Database, connection.label())
    }

    /// Makes what was loaded fit the live site: maintenance mode stays as it is now, and caches are empty. For databases
    /// of Drupal 7; nothing happens to tables of other programs.
    pub fn adapt(&self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        match self {
            Replacement::Mysql(it) => it.adapt(connection, monitor),
            Replacement::Sqlite(it) => it.adapt(connection),
            Replacement::Pgsql(it) => it.adapt(connection, monitor),
        }
        .doing("adapt")
        .within(Fact::Database, connection.label())
    }

    /// Tries out, beside the live database, all that [`Replacement::swap`] will do and that can fail. Changes nothing
    /// that is live; may be called again. The caller keeps what it learnt in its journal.
    pub fn check(&mut self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        match self {
            Replacement::Mysql(it) => it.check(connection, monitor),
            Replacement::Sqlite(it) => it.check(connection),
            Replacement::Pgsql(it) => it.check(connection, monitor),
        }
        .doing("check before the swap")
        .within(Fact::Database, connection.label())
    }

    /// Makes the new data live, at once for every reader. May be called again after a kill.
    pub fn swap(&self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        match self {
            Replacement::Mysql(it) => it.swap(connection, monitor),
            Replacement::Sqlite(it) => it.swap(connection, monitor),
            Replacement::Pgsql(it) => it.swap(connection, monitor),
        }
        .doing("swap")
        .within(Fact::Database, connection.label())
    }

    /// Makes the old data live again, whatever [`Replacement::swap`] got done. May be called again after a kill in the
    /// middle of it, and when it was done already; after it, `swap` may be called once more.
    pub fn revert(&self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        match self {
            Replacement::Mysql(it) => it.revert(connection, monitor),
            Replacement::Sqlite(it) => it.revert(connection, monitor),
            Replacement::Pgsql(it) => it.revert(connection, monitor),
        }
        .doing("take back")
        .within(Fact::Database, connection.label())
    }

    /// Removes what is not live: after `swap` the old data, else the new. May be called again after a kill.
    pub fn clean(&self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        match self {
            Replacement::Mysql(it) => it.clean(connection, monitor),
            Replacement::Sqlite(it) => it.clean(),
            Replacement::Pgsql(it) => it.clean(connection, monitor),
        }
        .doing("clean up")
        .within(Fact::Database, connection.label())
    }
}

/// Loads, swaps and cleans in one go, for a database that nobody else uses; on failure the old data stays.
pub fn load(
    connection: &Connection,
    input: Box<dyn Read + Send>,
    settings: &LoadSettings,
    state_dir: &Path,
    monitor: &Monitor,
) -> Result<LoadReport> {
    let id = format!("{:08x}", std::process::id());
    let mut replacement = Replacement::plan(connection, state_dir, &id)?;
    let done = replacement.load(connection, input, settings, monitor).and_then(|report| {
        replacement.check(connection, monitor)?;
        match replacement.swap(connection, monitor) {
            Ok(()) => Ok(report),
            Err(error) => {
                // A cancel that comes now must not leave half of it behind.
                replacement.revert(connection, &Monitor::new())?;
                Err(error)
            }
        }
    });
    replacement.clean(connection, &Monitor::new())?;
    done
}
