//! Opening a database, and what SQLite says about it.

use super::defined;
use crate::config::Connection as Settings;
use crate::look;
use crate::{Code, Error, Result, ResultExt};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long to wait for a site that writes.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The file that holds the site's tables.
pub(super) fn file(settings: &Settings) -> PathBuf {
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

/// Refuses what is no file: SQLite would say no more than that it cannot open it.
pub(crate) fn check_is_there(settings: &Settings) -> Result<()> {
    let path = file(settings);
    match look::follow(&path)? {
        None => Err(Error::new(Code::NotFound, format!("there is no SQLite database {}", path.display()))
            .hint("correct the path of the database; or let `bam restore` make it from a backup")),
        Some(found) if !found.is_file() => {
            Err(Error::of_path(Code::Config, &path, "is no file, so it is no SQLite database")
                .hint("correct the path of the database"))
        }
        Some(_) => File::open(&path).map(drop).at("cannot read the SQLite database", &path),
    }
}

pub(super) fn open(path: &Path) -> Result<Connection> {
    open_raw(path).map_err(|cause| failed(path, cause))
}

/// Opens a database, or makes it.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open(path).and_then(collated)
}

/// With what the application defines ([`defined`]): without it SQLite can neither check nor write indexes.
pub(super) fn collated(database: Connection) -> rusqlite::Result<Connection> {
    defined::know(&database).map(|()| database)
}

/// Opens a database that exists. A reader of a database with a write-ahead log must write its index.
pub(super) fn open_raw(path: &Path) -> rusqlite::Result<Connection> {
    let open =
        |flags| Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).and_then(collated);
    let database =
        open(OpenFlags::SQLITE_OPEN_READ_WRITE).or_else(|_| open(OpenFlags::SQLITE_OPEN_READ_ONLY))?;
    database.busy_timeout(PATIENCE)?;
    Ok(database)
}

/// Tables by name; SQLite's own are none.
pub(super) fn tables_of(database: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = database.prepare(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
    )?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// Whether the file is beyond SQLite's help.
pub(super) fn is_broken(cause: &rusqlite::Error) -> bool {
    matches!(cause.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
}

pub(super) fn failed(path: &Path, cause: rusqlite::Error) -> Error {
    let (code, hint) = match cause.sqlite_error_code() {
        Some(ErrorCode::CannotOpen) if look::exists(path).is_ok_and(|there| !there) => {
            (Code::NotFound, "check the path of the database")
        }
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

pub(super) fn locked() -> Error {
    Error::new(Code::Database, "another program keeps the SQLite database locked")
        .hint("try again when the site is quiet")
}

pub(super) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
