//! Replacing a database: the new data lies in a file of its own until one transaction makes the live database that.

use super::connect::{connect, failed, file, is_broken, open, open_raw, quote, tables_of, with_ending};
use super::copy::{Stopped, check_magic, copy_pages, pour};
use super::defined;
use super::dump::{LEFT_OUT, damaged, left_out};
use crate::config::{Connection as Settings, names_table};
use crate::look;
use crate::source::drupal::Tables;
use crate::source::dump_types::{LoadReport, LoadSettings};
use crate::source::untouched;
use crate::{Code, Error, Monitor, NoteKind, Result, ResultExt};
use rusqlite::{Connection, ErrorCode};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

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
        defined::check(&new, false, monitor).map_err(|wrong| match wrong {
            Ok(verdict) => damaged(rusqlite::Error::InvalidQuery).context(verdict),
            Err(cause) => damaged(cause),
        })?;
        let mut report = LoadReport { bytes, ..LoadReport::default() };
        self.missing = look::follow(&live)?.is_none_or(|found| found.len() == 0);
        let old = match self.missing {
            true => None,
            false => match self.save_old(&live, monitor)? {
                Ok(old) => Some(old),
                Err(error) => unreadable(error, wanted, &new, monitor)?,
            },
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
        untouched::note(&self.marker())?;
        self.loaded = true;
        Ok(report)
    }

    /// There as long as nothing live is changed.
    fn marker(&self) -> PathBuf {
        self.old.with_extension("untouched")
    }

    /// Copies the live data; why it is no database where it is none.
    fn save_old(&self, live: &Path, monitor: &Monitor) -> Result<std::result::Result<Connection, Error>> {
        drop(private_file(&self.old)?);
        let copy = || {
            let mut old = connect(&self.old)?;
            copy_pages(&open_raw(live)?, &mut old, monitor)?;
            old.execute_batch("PRAGMA journal_mode=DELETE")?;
            Ok(old)
        };
        match copy() {
            Ok(old) => Ok(Ok(old)),
            Err(Stopped::Sqlite(cause)) if is_broken(&cause) => {
                // Kept as it is, byte by byte.
                fs::copy(live, &self.old).at("cannot copy", live)?;
                Ok(Err(failed(live, cause)))
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
        untouched::forget(&self.marker())?;
        put(&self.new, &file(settings), monitor).map_err(|failed| match failed {
            // Where that cannot be noted, it is taken back as if something were changed.
            Failed::Unchanged(error) => {
                let _ = untouched::note(&self.marker());
                error
            }
            Failed::Changed(error) => error,
        })
    }

    /// See [`crate::source::database::Replacement::revert`].
    pub(crate) fn revert(&self, settings: &Settings, monitor: &Monitor) -> Result<()> {
        let live = file(settings);
        if !self.loaded || look::exists(&self.marker())? {
            return Ok(());
        }
        match self.missing {
            true => remove(&live),
            false => put(&self.old, &live, monitor).map_err(|failed| match failed {
                Failed::Unchanged(error) | Failed::Changed(error) => error,
            }),
        }
    }

    /// See [`crate::source::database::Replacement::clean`].
    pub(crate) fn clean(&self) -> Result<()> {
        for path in [&self.new, &self.old, &self.new.with_extension("dump")] {
            remove(path)?;
            remove(&with_ending(path, "-journal"))?;
        }
        remove(&self.marker())
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

/// Why a database did not become another one, and what it is now.
enum Failed {
    /// The same as before: the transaction came to nothing.
    Unchanged(Error),
    /// Perhaps something else.
    Changed(Error),
}

/// The live database is damaged, or a disk that fails makes it look so to SQLite: all of it may be replaced, but of what
/// would have stayed nothing can be brought over.
fn unreadable(
    error: Error,
    wanted: &LoadSettings,
    new: &Connection,
    monitor: &Monitor,
) -> Result<Option<Connection>> {
    if wanted.tables.is_some() {
        return Err(error.hint("restore all of the database: single tables go among those that are there"));
    }
    let lost = left_out(new).map_err(damaged)?;
    if !lost.is_empty() {
        let lost = lost.join(", ");
        monitor
            .note(NoteKind::Missing, format!("tables that the backup leaves out are lost ({lost}): {error}"));
    }
    Ok(None)
}

/// Makes the live database what `from` is.
fn put(from: &Path, live: &Path, monitor: &Monitor) -> std::result::Result<(), Failed> {
    // The old one was no database either, or there is none.
    let is_database = match check_magic(from) {
        Err(error) if error.code() != Code::Integrity => return Err(Failed::Unchanged(error)),
        checked => checked.is_ok(),
    };
    if !is_database || !look::exists(live).map_err(Failed::Unchanged)? {
        return replace_file(from, live).map_err(Failed::Changed);
    }
    let source = open(from).map_err(Failed::Unchanged)?;
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
        Err(Stopped::Sqlite(cause)) if is_broken(&cause) => {
            return replace_file(from, live).map_err(Failed::Changed);
        }
        done => done,
    }
    .map_err(|stopped| match rolled_back(&stopped) {
        true => Failed::Unchanged(stopped.at(live)),
        false => Failed::Changed(stopped.at(live)),
    })
}

/// Whether it stopped where nothing is committed: of a failing disk nobody knows that.
fn rolled_back(stopped: &Stopped) -> bool {
    use ErrorCode::{CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, PermissionDenied, ReadOnly};
    match stopped {
        Stopped::Ours(_) => true,
        Stopped::Sqlite(cause) => matches!(
            cause.sqlite_error_code(),
            Some(CannotOpen | DatabaseBusy | DatabaseLocked | DiskFull | PermissionDenied | ReadOnly)
        ),
    }
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

fn private_file(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).open(path).at("cannot write", path)
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(Error::io("cannot remove", path, cause)),
        _ => Ok(()),
    }
}
