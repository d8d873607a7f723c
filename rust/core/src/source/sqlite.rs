//! SQLite: a database is one file, copied page by page through SQLite's own backup API
//! (<https://www.sqlite.org/backup.html>), which respects other connections, their locks and their write-ahead log.
//!
//! Drupal 7 keeps a prefixed site's tables in a file of their own, `FILE-PREFIX`
//! (`DatabaseConnection_sqlite::__construct`): that is then the database.

mod defined;
mod digests;
mod nameless;

pub(crate) use digests::digests;

use crate::config::{Connection as Settings, names_table};
use crate::source::drupal::Tables;
use crate::source::dump_types::{Contents, DumpReport, DumpSettings, LoadReport, LoadSettings, Table};
use crate::{Code, Error, Monitor, NoteKind, Result, ResultExt};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long to wait for a site that writes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pages between two looks at the cancel flag.
const PAGES: i32 = 4096;
/// How every database file begins (<https://www.sqlite.org/fileformat.html>).
const MAGIC: &[u8] = b"SQLite format 3\0";
/// A table of ours in a dump from which tables were left out: it names them, so that a restore leaves them alone.
const LEFT_OUT: &str = "bam_left_out";

/// The file that holds the site's tables.
fn file(settings: &Settings) -> PathBuf {
    if settings.prefix.is_empty() {
        return settings.path.clone();
    }
    let mut path = settings.path.clone().into_os_string();
    path.push("-");
    path.push(&settings.prefix);
    PathBuf::from(path)
}

/// The file and the logs that SQLite keeps beside it.
pub(crate) fn files(settings: &Settings) -> Vec<PathBuf> {
    let file = file(settings);
    let logs = ["-journal", "-wal", "-shm"].map(|log| with_ending(&file, log));
    std::iter::once(file).chain(logs).collect()
}

/// See [`crate::source::database::dump`]. The dump is in rollback mode, so that it is one file wherever it is opened.
pub(crate) fn dump(
    settings: &Settings,
    wanted: &DumpSettings,
    out: &mut dyn Write,
    monitor: &Monitor,
) -> Result<DumpReport> {
    let path = file(settings);
    monitor.set_current(path.display().to_string());
    if path != settings.path && settings.path.metadata().is_ok_and(|main| main.len() > 0) {
        let main = tables_of(&open(&settings.path)?).map_err(|cause| failed(&settings.path, cause))?;
        if !main.is_empty() {
            let text =
                format!("tables without the prefix, in {}, are not backed up", settings.path.display());
            monitor.note(NoteKind::Info, text);
        }
    }
    let folder = wanted.temporary_dir.clone().unwrap_or_else(std::env::temp_dir);
    let (mut database, mut bytes) = unlinked(&folder)?;
    copy_pages(&open(&path)?, &mut database, monitor).map_err(|cause| cause.at(&path))?;
    leave_wal(&bytes).at("cannot change the copy in", &folder)?;
    let report = trim(&database, wanted, &settings.prefix).map_err(|cause| failed(&path, cause))?;
    database.close().map_err(|(_, cause)| failed(&path, cause))?;
    let written = pour(&mut bytes, out, monitor)?;
    Ok(DumpReport { bytes: written, ..report })
}

/// See [`crate::source::database::tables`].
pub(crate) fn tables(settings: &Settings, count: bool) -> Result<Vec<Table>> {
    let path = file(settings);
    // SQLite takes an empty file for an empty database.
    if !path.metadata().is_ok_and(|found| found.len() > 0) {
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
        Ok(Contents { tables, prefix: None, excluded, complete: true })
    };
    read().map_err(damaged)
}

/// A dump that was read into a file without a name, as a database that can be looked at.
fn spooled(input: &mut dyn Read, spool_dir: &Path, monitor: &Monitor) -> Result<(Connection, File)> {
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

fn damaged(cause: rusqlite::Error) -> Error {
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
        None => Error::new(Code::Integrity, "the backup's SQLite database is damaged")
            .because(cause)
            .hint("use another copy or an older backup"),
    }
}

/// The tables that were left out of a dump on purpose.
fn left_out(dump: &Connection) -> rusqlite::Result<Vec<String>> {
    if !tables_of(dump)?.iter().any(|table| table == LEFT_OUT) {
        return Ok(Vec::new());
    }
    let mut statement = dump.prepare(&format!("SELECT name FROM {LEFT_OUT}"))?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// Tables with their sizes (<https://www.sqlite.org/dbstat.html>) and, where asked for, rows.
fn inventory(database: &Connection, count: bool) -> rusqlite::Result<Vec<Table>> {
    let mut found = Vec::new();
    for name in tables_of(database)? {
        let bytes: i64 = database.query_row(
            "SELECT IFNULL(SUM(pgsize), 0) FROM dbstat WHERE aggregate AND name IN \
             (SELECT name FROM sqlite_master WHERE tbl_name = ?)",
            [&name],
            |row| row.get(0),
        )?;
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

/// An empty database and its file, which has no name: should we be killed, it is gone.
fn unlinked(folder: &Path) -> Result<(Connection, File)> {
    nameless::open(folder, |path| {
        let database = connect(path)?;
        // Journals lie beside a file's name.
        database.execute_batch("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;")?;
        Ok(database)
    })
}

/// Marks the copy of a database with a write-ahead log as one without: a log would lie beside its name. (Bytes 18 and
/// 19 of the header; the change counter at 24 makes SQLite look again.)
fn leave_wal(copy: &File) -> io::Result<()> {
    let mut header = [0; 28];
    copy.read_exact_at(&mut header, 0)?;
    if let [.., b'\x02', b'\x02', _, _, _, _, a, b, c, d] = header {
        copy.write_all_at(&[1, 1], 18)?;
        copy.write_all_at(&u32::from_be_bytes([a, b, c, d]).wrapping_add(1).to_be_bytes(), 24)?;
    }
    Ok(())
}

/// Empties and drops what is not wanted in the copy.
fn trim(copy: &Connection, wanted: &DumpSettings, prefix: &str) -> rusqlite::Result<DumpReport> {
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

/// A SQLite database that is being replaced. Serialisable, for the restore's journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SqliteReplacement {
    /// The new data.
    new: PathBuf,
    /// The old data; with `missing`, there was none.
    old: PathBuf,
    missing: bool,
    loaded: bool,
}

impl SqliteReplacement {
    /// See [`crate::source::database::Replacement::plan`].
    ///
    /// Both copies lie in the state folder, not beside the live file: that may be in a folder which is itself being
    /// replaced.
    pub(crate) fn plan(state_dir: &Path, id: &str) -> SqliteReplacement {
        SqliteReplacement {
            new: state_dir.join(format!("{id}-new.sqlite")),
            old: state_dir.join(format!("{id}-old.sqlite")),
            missing: false,
            loaded: false,
        }
    }

    /// See [`crate::source::database::Replacement::load`].
    pub(crate) fn load(
        &mut self,
        settings: &Settings,
        mut input: impl Read,
        wanted: &LoadSettings,
        monitor: &Monitor,
    ) -> Result<LoadReport> {
        let live = file(settings);
        let mut out = private_file(&self.new)?;
        let bytes = pour(&mut input, &mut out, monitor)?;
        out.sync_all().at("cannot write", &self.new)?;
        drop(out);
        check_magic(&self.new)?;
        let new = connect(&self.new).map_err(damaged)?;
        new.execute_batch("PRAGMA journal_mode=DELETE; PRAGMA foreign_keys=OFF;").map_err(damaged)?;
        defined::check(&new, monitor).map_err(|wrong| match wrong {
            Ok(verdict) => damaged(rusqlite::Error::InvalidQuery).context(verdict),
            Err(cause) => damaged(cause),
        })?;
        let mut report = LoadReport { bytes, ..LoadReport::default() };
        self.missing = !live.metadata().is_ok_and(|found| found.len() > 0);
        let old = match self.missing {
            true => None,
            false => self.save_old(&live, monitor)?,
        };
        let theirs = old
            .as_ref()
            .map(tables_of)
            .transpose()
            .map_err(|cause| failed(&live, cause))?
            .unwrap_or_default();
        if wanted.tables.is_some() || !left_out(&new).map_err(damaged)?.is_empty() {
            let both: Vec<&Connection> = std::iter::once(&new).chain(&old).collect();
            defined::refuse_unknown(&both)?;
        }
        match &wanted.tables {
            Some(names) => {
                report.names = self.merge(new, names, &settings.prefix, old.is_some()).map_err(damaged)?;
                report.tables = report.names.len() as u64;
            }
            None => {
                report.kept = self.keep_left_out(&new, &theirs).map_err(damaged)?;
                let ours = tables_of(&new).map_err(damaged)?;
                report.tables = (ours.len() - report.kept.len()) as u64;
                report.removed = theirs.into_iter().filter(|table| !ours.contains(table)).collect();
                new.close().map_err(|(_, cause)| damaged(cause))?;
            }
        }
        self.loaded = true;
        Ok(report)
    }

    /// Copies the live data; `None` where it is no database at all.
    fn save_old(&self, live: &Path, monitor: &Monitor) -> Result<Option<Connection>> {
        drop(private_file(&self.old)?);
        let copy = || {
            let mut old = connect(&self.old)?;
            copy_pages(&open_raw(live)?, &mut old, monitor)?;
            old.execute_batch("PRAGMA journal_mode=DELETE")?;
            Ok(old)
        };
        match copy() {
            Ok(old) => Ok(Some(old)),
            Err(Stopped::Sqlite(cause)) if is_broken(&cause) => {
                // Kept as it is, byte by byte.
                fs::copy(live, &self.old).at("cannot copy", live)?;
                Ok(None)
            }
            Err(stopped) => Err(stopped.at(live)),
        }
    }

    /// Brings over what was left out of the dump on purpose; gives its names.
    fn keep_left_out(&self, new: &Connection, theirs: &[String]) -> rusqlite::Result<Vec<String>> {
        let names = left_out(new)?;
        new.execute_batch(&format!("DROP TABLE IF EXISTS {LEFT_OUT}"))?;
        let mut kept = Vec::new();
        for name in names.into_iter().filter(|name| theirs.contains(name)) {
            bring(new, &self.old, &name)?;
            kept.push(name);
        }
        Ok(kept)
    }

    /// Puts only some tables of the dump into a copy of the live data, which then is the new data.
    fn merge(
        &self,
        dump: Connection,
        names: &[String],
        prefix: &str,
        live: bool,
    ) -> rusqlite::Result<Vec<String>> {
        let wanted = |table: &String| {
            names_table(names, table, prefix) || names_table(names, &format!("{prefix}{table}"), prefix)
        };
        let tables: Vec<String> = tables_of(&dump)?.into_iter().filter(wanted).collect();
        dump.close().map_err(|(_, cause)| cause)?;
        let io = |cause: io::Error| rusqlite::Error::ToSqlConversionFailure(Box::new(cause));
        let from = self.new.with_extension("dump");
        fs::rename(&self.new, &from).map_err(io)?;
        let done = (|| {
            if live {
                fs::copy(&self.old, &self.new).map_err(io)?;
            }
            let new = connect(&self.new)?;
            new.execute_batch("PRAGMA journal_mode=DELETE; PRAGMA foreign_keys=OFF;")?;
            for table in &tables {
                new.execute_batch(&format!("DROP TABLE IF EXISTS {}", quote(table)))?;
                bring(&new, &from, table)?;
            }
            new.close().map_err(|(_, cause)| cause)
        })();
        fs::remove_file(&from).map_err(io)?;
        done.map(|()| tables)
    }

    /// See [`crate::source::database::Replacement::adapt`].
    pub(crate) fn adapt(&self, settings: &Settings) -> Result<()> {
        let live = file(settings);
        // What cannot be read is a reason to restore it.
        let mode =
            if self.missing { None } else { open_raw(&live).and_then(|live| mode(&live)).ok().flatten() };
        let fit = || {
            let new = open_raw(&self.new)?;
            let bytes = |hex: &str| format!("X'{hex}'");
            let statements =
                drupal_tables(&new)?.statements(mode.as_deref(), quote, bytes, "DELETE FROM").join(";\n");
            new.execute_batch(&format!("BEGIN; {statements}; COMMIT"))
        };
        fit().map_err(|cause| failed(&self.new, cause))
    }

    /// See [`crate::source::database::Replacement::check`].
    pub(crate) fn check(&mut self, _settings: &Settings) -> Result<()> {
        Ok(())
    }

    /// See [`crate::source::database::Replacement::swap`]. One transaction: a kill leaves the old data or the new.
    pub(crate) fn swap(&self, settings: &Settings, monitor: &Monitor) -> Result<()> {
        if !self.loaded {
            return Err(Error::new(Code::Internal, "nothing was loaded that could be swapped"));
        }
        put(&self.new, &file(settings), monitor)
    }

    /// See [`crate::source::database::Replacement::revert`].
    pub(crate) fn revert(&self, settings: &Settings, monitor: &Monitor) -> Result<()> {
        let live = file(settings);
        if !self.loaded {
            return Ok(());
        }
        match self.missing {
            true => remove(&live),
            false => put(&self.old, &live, monitor),
        }
    }

    /// See [`crate::source::database::Replacement::clean`].
    pub(crate) fn clean(&self) -> Result<()> {
        for path in [&self.new, &self.old, &self.new.with_extension("dump")] {
            remove(path)?;
            remove(&with_ending(path, "-journal"))?;
        }
        Ok(())
    }
}

/// Tables with a meaning to Drupal; in a prefixed site's own file they go without the prefix.
fn drupal_tables(database: &Connection) -> rusqlite::Result<Tables> {
    let mut statement = database.prepare(
        "SELECT t.name, c.name FROM sqlite_master t JOIN pragma_table_info(t.name) c WHERE t.type = 'table'",
    )?;
    let pairs = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Tables::find(pairs.collect::<rusqlite::Result<Vec<_>>>()?, ""))
}

/// Maintenance mode as a site has it: names, and values in hexadecimal.
fn mode(live: &Connection) -> rusqlite::Result<Option<Vec<(String, String)>>> {
    let questions = drupal_tables(live)?.questions(quote, |column| format!("hex({column})"));
    if questions.is_empty() {
        return Ok(None);
    }
    let mut mode = Vec::new();
    for question in questions {
        let mut statement = live.prepare(&question)?;
        let pairs = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        mode.extend(pairs.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    Ok(Some(mode))
}

/// Makes the live database what `from` is.
fn put(from: &Path, live: &Path, monitor: &Monitor) -> Result<()> {
    if check_magic(from).is_err() {
        // The old one was no database either.
        return replace_file(from, live);
    }
    if !live.exists() {
        return replace_file(from, live);
    }
    let source = open(from)?;
    let write = |rollback: bool| -> std::result::Result<(), Stopped> {
        let mut target = open_raw(live)?;
        // What is committed stays so when the power goes: the removal of the journal is flushed, too.
        target.execute_batch("PRAGMA synchronous=EXTRA")?;
        if rollback {
            target.query_row("PRAGMA journal_mode=DELETE", [], |_| Ok(()))?;
        }
        copy_pages(&source, &mut target, monitor)
    };
    match write(false) {
        // Pages of another size do not fit into a write-ahead log.
        Err(Stopped::Sqlite(cause)) if cause.sqlite_error_code() == Some(ErrorCode::ReadOnly) => write(true),
        Err(Stopped::Sqlite(cause)) if is_broken(&cause) => return replace_file(from, live),
        done => done,
    }
    .map_err(|stopped| stopped.at(live))
}

/// Where there is no database to write into: the file is made beside and renamed.
fn replace_file(from: &Path, live: &Path) -> Result<()> {
    let part = with_ending(live, ".bam-part");
    remove(&part)?;
    let mut input = File::open(from).at("cannot read", from)?;
    let mut out = private_file(&part)?;
    io::copy(&mut input, &mut out).at("cannot write", &part)?;
    copy_attributes(&out, live).at("cannot write", &part)?;
    out.sync_all().at("cannot write", &part)?;
    // Left-overs of the broken one would be applied to the new one.
    for log in ["-journal", "-wal", "-shm"] {
        remove(&with_ending(live, log))?;
    }
    fs::rename(&part, live).at("cannot put in place", live)?;
    let folder = live.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).at("cannot flush", folder)
}

/// Owner and permissions of the file that is replaced, or what lets the site write: the folder's.
fn copy_attributes(out: &File, live: &Path) -> io::Result<()> {
    let (like, mode) = match live.metadata() {
        Ok(found) => (found.clone(), found.mode() & 0o777),
        Err(_) => (live.parent().unwrap_or(Path::new(".")).metadata()?, 0o660),
    };
    // Refused unless we are root; then the file is the user's who restores.
    let _ = std::os::unix::fs::fchown(out, Some(like.uid()), Some(like.gid()));
    out.set_permissions(Permissions::from_mode(mode))
}

/// Copies a table with its indexes and triggers from another file.
fn bring(into: &Connection, from: &Path, table: &str) -> rusqlite::Result<()> {
    let from = from.to_str().ok_or_else(|| rusqlite::Error::InvalidPath(from.to_owned()))?;
    into.execute("ATTACH DATABASE ? AS bam_from", [from])?;
    let done = (|| {
        let mut statement = into.prepare(
            "SELECT type, sql FROM bam_from.sqlite_master WHERE tbl_name = ? COLLATE NOCASE AND sql IS NOT NULL \
             ORDER BY type <> 'table', rowid",
        )?;
        let parts = statement
            .query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<Vec<(String, String)>>>()?;
        drop(statement);
        for (kind, sql) in parts {
            // sqlite_master keeps CREATE statements without a database's name.
            into.execute_batch(&sql)?;
            if kind == "table" {
                let name = quote(table);
                into.execute_batch(&format!("INSERT INTO main.{name} SELECT * FROM bam_from.{name}"))?;
            }
        }
        Ok(())
    })();
    into.execute_batch("DETACH DATABASE bam_from")?;
    done
}

/// Why copying stopped.
enum Stopped {
    Sqlite(rusqlite::Error),
    Ours(Error),
}

impl From<rusqlite::Error> for Stopped {
    fn from(cause: rusqlite::Error) -> Self {
        Stopped::Sqlite(cause)
    }
}

impl Stopped {
    fn at(self, path: &Path) -> Error {
        match self {
            Stopped::Sqlite(cause) => failed(path, cause),
            Stopped::Ours(error) => error,
        }
    }
}

/// Copies all pages, in one transaction on either side.
fn copy_pages(from: &Connection, to: &mut Connection, monitor: &Monitor) -> std::result::Result<(), Stopped> {
    // Holding the snapshot over all steps: without it, each write of the site would start the copy anew.
    from.execute_batch("BEGIN")?;
    from.query_row("SELECT COUNT(*) FROM sqlite_master", [], |_| Ok(()))?;
    // SQLite waits for readers of the target; in short pieces, so that a cancel is seen.
    to.busy_timeout(Duration::from_secs(1))?;
    let started = Instant::now();
    let mut copy = || {
        let backup = Backup::new(from, to)?;
        loop {
            monitor.check().map_err(Stopped::Ours)?;
            match backup.step(PAGES)? {
                StepResult::Done => return Ok(()),
                StepResult::More => {}
                _ if started.elapsed() < PATIENCE => {}
                _ => return Err(Stopped::Ours(locked())),
            }
        }
    };
    let done = copy();
    from.execute_batch("COMMIT")?;
    done
}

fn locked() -> Error {
    Error::new(Code::Database, "another program keeps the SQLite database locked")
        .hint("try again when the site is quiet")
}

fn open(path: &Path) -> Result<Connection> {
    open_raw(path).map_err(|cause| failed(path, cause))
}

/// Opens a database, or makes it.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open(path).and_then(collated)
}

/// With what the application defines ([`defined`]): without it SQLite can neither check nor write indexes.
fn collated(database: Connection) -> rusqlite::Result<Connection> {
    defined::know(&database).map(|()| database)
}

/// Opens a database that exists. A reader of a database with a write-ahead log must write its index.
fn open_raw(path: &Path) -> rusqlite::Result<Connection> {
    let open =
        |flags| Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).and_then(collated);
    let database =
        open(OpenFlags::SQLITE_OPEN_READ_WRITE).or_else(|_| open(OpenFlags::SQLITE_OPEN_READ_ONLY))?;
    database.busy_timeout(PATIENCE)?;
    Ok(database)
}

/// Tables by name; SQLite's own are none.
fn tables_of(database: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = database.prepare(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
    )?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// Whether the file is beyond SQLite's help.
fn is_broken(cause: &rusqlite::Error) -> bool {
    matches!(cause.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
}

fn failed(path: &Path, cause: rusqlite::Error) -> Error {
    let (code, hint) = match cause.sqlite_error_code() {
        Some(ErrorCode::CannotOpen) if !path.exists() => (Code::NotFound, "check the path of the database"),
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            (Code::Permission, "run this as a user who may write the database and its folder")
        }
        Some(ErrorCode::DiskFull) => (Code::Space, "free some space, then run it again"),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => return locked(),
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            (Code::Database, "the file is damaged, or no SQLite database; restore a backup of it")
        }
        _ => (Code::Database, ""),
    };
    let error = Error::new(code, format!("SQLite database {}", path.display())).because(cause);
    if hint.is_empty() { error } else { error.hint(hint) }
}

fn check_magic(path: &Path) -> Result<()> {
    match File::open(path).and_then(|file| has_magic(&file)).at("cannot read", path)? {
        true => Ok(()),
        false => Err(no_database()),
    }
}

fn no_database() -> Error {
    Error::new(Code::Integrity, "the backup holds no SQLite database")
        .hint("restore it onto the kind of database from which it was made")
}

fn has_magic(file: &File) -> io::Result<bool> {
    let mut start = [0; MAGIC.len()];
    match file.read_exact_at(&mut start, 0) {
        Err(cause) if cause.kind() == ErrorKind::UnexpectedEof => Ok(false),
        done => done.map(|()| start == MAGIC),
    }
}

/// Copies a stream.
fn pour(input: &mut dyn Read, out: &mut dyn Write, monitor: &Monitor) -> Result<u64> {
    let mut block = vec![0; 256 * 1024];
    let mut written = 0;
    loop {
        monitor.check()?;
        let n = match input.read(&mut block) {
            Ok(0) => return Ok(written),
            Ok(n) => n,
            Err(cause) if cause.kind() == ErrorKind::Interrupted => continue,
            Err(cause) => return Err(cause.into()),
        };
        out.write_all(block.get(..n).unwrap_or_default())?;
        written += n as u64;
    }
}

fn private_file(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).open(path).at("cannot write", path)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(Error::io("cannot remove", path, cause)),
        _ => Ok(()),
    }
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
