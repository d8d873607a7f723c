//! Dumping a database, and what a site's database or a dump of one holds.

use super::connect::{check_is_there, collated, connect, failed, file, is_broken, open, quote, tables_of};
use super::copy::{Stopped, copy_pages, has_magic, leave_wal, no_database, pour};
use super::{defined, nameless};
use crate::config::{Connection as Settings, names_table};
use crate::look;
use crate::source::dump_types::{Contents, DumpReport, DumpSettings, Table};
use crate::{Code, Error, Monitor, NoteKind, Result, ResultExt};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// A table of ours in a dump from which tables were left out: it names them, so that a restore leaves them alone.
pub(super) const LEFT_OUT: &str = "bam_left_out";

/// See [`crate::source::database::dump`]. The dump is in rollback mode, so that it is one file wherever it is opened.
pub(crate) fn dump(
    settings: &Settings,
    wanted: &DumpSettings,
    out: &mut dyn Write,
    monitor: &Monitor,
) -> Result<DumpReport> {
    let path = file(settings);
    monitor.set_current(path.display().to_string());
    if path != settings.path && look::follow(&settings.path)?.is_some_and(|main| main.len() > 0) {
        let main = tables_of(&open(&settings.path)?).map_err(|cause| failed(&settings.path, cause))?;
        if !main.is_empty() {
            let text =
                format!("tables without the prefix, in {}, are not backed up", settings.path.display());
            monitor.note(NoteKind::Info, text);
        }
    }
    let folder = wanted.temporary_dir.clone().unwrap_or_else(std::env::temp_dir);
    // The site's database is only read: what is full is the folder of the copy.
    let failed_at = |cause: rusqlite::Error| match cause.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => no_room(&path, &folder).because(cause),
        _ => failed(&path, cause),
    };
    check_is_there(settings)?;
    let (mut database, mut bytes) = unlinked(&folder)?;
    copy_pages(&open(&path)?, &mut database, monitor).map_err(|stopped| match stopped {
        Stopped::Sqlite(cause) => failed_at(cause),
        Stopped::Ours(error) => error,
    })?;
    leave_wal(&bytes).at("cannot change the copy in", &folder)?;
    match defined::check(&database, true, monitor) {
        Ok(()) => {}
        Err(Err(cause)) if !is_broken(&cause) => return Err(failed_at(cause)),
        Err(what) => {
            let what = what.unwrap_or_else(|cause| cause.to_string());
            // Below a line with SQLite's own name for the database.
            let what = what.lines().last().unwrap_or_default();
            if !wanted.ignore_errors {
                return Err(Error::new(Code::Database, format!("it is damaged: {what}")).hint(
                    "restore it from a backup, or mend it (`sqlite3 FILE .recover`); with ignore_errors in the profile it is \
                     backed up as it is",
                ));
            }
            let text = format!(
                "the SQLite database {} is damaged ({what}): it is backed up as it is, and a restore refuses it",
                path.display()
            );
            monitor.note(NoteKind::Missing, text);
        }
    }
    let report = trim(&database, wanted, &settings.prefix).map_err(failed_at)?;
    database.close().map_err(|(_, cause)| failed_at(cause))?;
    let written = pour(&mut bytes, out, monitor)?;
    Ok(DumpReport { bytes: written, ..report })
}

fn no_room(path: &Path, folder: &Path) -> Error {
    let text =
        format!("no room in {} for the copy of {} that is backed up", folder.display(), path.display());
    Error::new(Code::Space, text)
        .hint("free some space there, or name another folder for temporary files in TMPDIR")
}

/// See [`crate::source::database::tables`].
pub(crate) fn tables(settings: &Settings, count: bool) -> Result<Vec<Table>> {
    let path = file(settings);
    // SQLite takes an empty file for an empty database.
    if look::follow(&path)?.is_none_or(|found| found.len() == 0) {
        return Ok(Vec::new());
    }
    inventory(&open(&path)?, count).map_err(|cause| failed(&path, cause))
}

/// See [`crate::source::database::contents`].
pub(crate) fn contents(input: &mut dyn Read, spool_dir: &Path, monitor: &Monitor) -> Result<Contents> {
    let (database, _spool) = spooled(input, spool_dir, monitor)?;
    let read = || {
        let excluded = left_out(&database)?;
        let tables = inventory(&database, true)?.into_iter().filter(|table| table.name != LEFT_OUT).collect();
        Ok(Contents { tables, excluded, complete: true, ..Contents::default() })
    };
    read().map_err(damaged)
}

/// A dump that was read into a file without a name, as a database that can be looked at.
pub(super) fn spooled(
    input: &mut dyn Read,
    spool_dir: &Path,
    monitor: &Monitor,
) -> Result<(Connection, File)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = |path: &Path| Connection::open_with_flags(path, flags).and_then(collated);
    let (database, mut spool) = nameless::open(spool_dir, open)?;
    pour(input, &mut spool, monitor)?;
    if !has_magic(&spool).at("cannot read", spool_dir)? {
        return Err(no_database());
    }
    // Logs would lie beside its name.
    leave_wal(&spool).at("cannot change the copy in", spool_dir)?;
    Ok((database, spool))
}

pub(super) fn damaged(cause: rusqlite::Error) -> Error {
    // What the disk does not take or give says nothing about the backup.
    let code = match cause.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Some(Code::Space),
        Some(
            ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::OutOfMemory,
        ) => Some(Code::Io),
        // Of the file that holds the copy, not of SQLite.
        _ => std::error::Error::source(&cause)
            .and_then(|cause| cause.downcast_ref::<io::Error>())
            .map(|_| Code::Io),
    };
    match code {
        Some(code) => {
            Error::new(code, "cannot work on the copy of the backup's SQLite database").because(cause)
        }
        None => {
            let error = Error::new(Code::Integrity, "the backup's SQLite database is damaged")
                .hint("use another copy or an older backup");
            // What rusqlite makes of what SQLite gave it says nothing to anybody.
            match cause.sqlite_error_code() {
                Some(_) => error.because(cause),
                None => error,
            }
        }
    }
}

/// The tables that were left out of a dump on purpose.
pub(super) fn left_out(dump: &Connection) -> rusqlite::Result<Vec<String>> {
    if !tables_of(dump)?.iter().any(|table| table == LEFT_OUT) {
        return Ok(Vec::new());
    }
    let mut statement = dump.prepare(&format!("SELECT name FROM {LEFT_OUT}"))?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// Tables with their sizes (<https://www.sqlite.org/dbstat.html>) and, where asked for, rows.
pub(super) fn inventory(database: &Connection, count: bool) -> rusqlite::Result<Vec<Table>> {
    let mut found = Vec::new();
    let sizes = sizes(database)?;
    for name in tables_of(database)? {
        let bytes = sizes.get(&name).copied().unwrap_or_default();
        let rows: Option<i64> = match count {
            true => Some(database.query_row(
                &format!("SELECT COUNT(*) FROM {}", quote(&name)),
                [],
                |row| row.get(0),
            )?),
            false => None,
        };
        let number = |value: i64| u64::try_from(value).unwrap_or_default();
        found.push(Table { name, rows: rows.map(number), bytes: number(bytes) });
    }
    Ok(found)
}

/// Of all tables with their indexes at once: to ask for one looks through the names of all, and so does a join.
fn sizes(database: &Connection) -> rusqlite::Result<HashMap<String, i64>> {
    let mut statement = database.prepare("SELECT name, pgsize FROM dbstat WHERE aggregate")?;
    let bytes = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let bytes: HashMap<String, i64> = bytes.collect::<rusqlite::Result<_>>()?;
    let mut statement = database.prepare("SELECT name, tbl_name FROM sqlite_master")?;
    let mut rows = statement.query([])?;
    let mut sizes = HashMap::new();
    while let Some(row) = rows.next()? {
        let (name, table): (String, String) = (row.get(0)?, row.get(1)?);
        *sizes.entry(table).or_default() += bytes.get(&name).copied().unwrap_or_default();
    }
    Ok(sizes)
}

/// An empty database and its file, which has no name: should we be killed, it is gone.
pub(super) fn unlinked(folder: &Path) -> Result<(Connection, File)> {
    nameless::open(folder, |path| {
        let database = connect(path)?;
        // Journals lie beside a file's name.
        database.execute_batch("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;")?;
        Ok(database)
    })
}

/// Empties and drops what is not wanted in the copy.
pub(super) fn trim(copy: &Connection, wanted: &DumpSettings, prefix: &str) -> rusqlite::Result<DumpReport> {
    // What is deleted is overwritten: it must not travel along.
    copy.execute_batch("PRAGMA foreign_keys=OFF; PRAGMA secure_delete=ON;")?;
    copy.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    let mut report = DumpReport::default();
    for table in tables_of(copy)? {
        // In a prefixed site's own file tables go without the prefix, which settings may have all the same.
        let full = if table.starts_with(prefix) { table.clone() } else { format!("{prefix}{table}") };
        if names_table(&wanted.exclude_tables, &full, prefix) {
            copy.execute_batch(&format!(
                "CREATE TABLE IF NOT EXISTS {LEFT_OUT} (name TEXT); DROP TABLE {};",
                quote(&table)
            ))?;
            copy.execute(&format!("INSERT INTO {LEFT_OUT} VALUES (?)"), [&table])?;
        } else if names_table(&wanted.nodata_tables, &full, prefix) {
            copy.execute_batch(&format!("DELETE FROM {}", quote(&table)))?;
            report.empty_tables += 1;
        } else {
            report.tables += 1;
        }
    }
    report.others =
        copy.query_row("SELECT COUNT(*) FROM sqlite_master WHERE type IN ('view', 'trigger')", [], |row| {
            row.get(0)
        })?;
    Ok(report)
}
