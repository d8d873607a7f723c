//! The scratch database and the scratch folder of a drill.

use super::Drill;
use crate::catalog::Backup;
use crate::config::{Connection, Database, Driver};
use crate::entries;
use crate::job::lock;
use crate::job::request::Elsewhere;
use crate::job::restore::elsewhere;
use crate::job::restore::erase::erase;
use crate::look;
use crate::regular;
use crate::source::database;
use crate::{Code, Error, Monitor, Result, ResultExt, Secret};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What the scratch database's name ends with.
const SUFFIX: &str = "_bam_drill";
/// The longest name of a database that MariaDB, MySQL and PostgreSQL all take.
const LONGEST: usize = 63;
/// What stays as it is in the path of a URL.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'_').remove(b'-').remove(b'.');

impl Drill<'_> {
    /// The scratch database of what a backup was made from; `None` where the configuration has no database for it.
    pub(super) fn database(&self, backup: &Backup) -> Result<Option<(Database, Connection)>> {
        let source = backup.about.source.as_ref().and_then(|name| self.document.sources.get(name));
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
    pub(super) fn mark(&self, connection: &Connection) -> Result<()> {
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
    pub(super) fn clean(&self) -> Result<()> {
        // A cancel must not leave anything behind.
        let monitor = Monitor::new();
        let mark = self.dir.join("database");
        if look::exists(&mark)? {
            let label = regular::read_to_string(&mark).at("cannot read", &mark)?;
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
}

/// Where the server refuses the scratch database: what is to be allowed.
pub(super) fn grants(error: Error, connection: &Connection) -> Error {
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
