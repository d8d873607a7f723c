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

use super::digests::Digests;
pub use super::dump_types::{
    Contents, DumpReport, DumpSettings, Fingerprint, LoadReport, LoadSettings, Table,
};
use super::{mysql, pgsql, sqlite};
use crate::config::{Connection, Driver};
use crate::{Error, Fact, Monitor, Result, Told};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

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

/// Reads a dump to its end; `driver` says what kind it is, where that is known. `spool_dir` is a private folder.
pub fn digests(
    driver: Option<Driver>,
    input: &mut dyn Read,
    spool_dir: &Path,
    monitor: &Monitor,
) -> Result<Digests> {
    match driver {
        Some(Driver::Sqlite) => sqlite::digests(input, spool_dir, monitor),
        Some(Driver::Mysql) | None => mysql::digests(input, monitor),
        Some(Driver::Pgsql) => pgsql::digests(input, monitor),
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
