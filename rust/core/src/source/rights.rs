//! What the site's database user may do, and which statements give it what it lacks: for a backup, for a restore onto
//! the site, and for the databases beside the site's that restores and drills make.

use super::{mysql, pgsql, sqlite};
use crate::config::{Connection, Driver};
use crate::{Fact, Monitor, Result, Told};

/// How a database looks from here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    /// Who we are there, as the server writes it; empty for SQLite.
    pub user: String,
    /// The server and its version, for people.
    pub server: String,
    /// Tables of the site's database.
    pub tables: u64,
    /// What is lacking.
    pub lacks: Vec<Lack>,
}

/// What something is lacking for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum For {
    /// A backup would not be whole.
    Backup,
    /// A restore onto the site would fail.
    Restore,
    /// A restore would have to go straight into the live database, and a drill cannot run.
    Beside,
}

/// Something that the user may not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// For what.
    pub purpose: For,
    /// What it is.
    pub what: String,
    /// The statement for the server's administrator that gives it.
    pub remedy: String,
}

/// Asks the server. Fails as [`super::database::dump`] does where there is no connection.
pub fn rights(connection: &Connection, monitor: &Monitor) -> Result<Rights> {
    match connection.driver {
        Driver::Mysql => mysql::rights(connection, monitor),
        Driver::Pgsql => pgsql::rights(connection, monitor),
        Driver::Sqlite => sqlite_rights(connection),
    }
    .within(Fact::Database, connection.label())
}

fn sqlite_rights(connection: &Connection) -> Result<Rights> {
    use rustix::fs::{Access, access};
    sqlite::check_is_there(connection)?;
    let tables = sqlite::tables(connection, false)?.len() as u64;
    let mut lacks = Vec::new();
    let folder = connection.path.parent().unwrap_or(std::path::Path::new("/"));
    // A restore puts a new file in the place of the old one.
    if access(folder, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        lacks.push(Lack {
            purpose: For::Restore,
            what: format!("writing to the folder {}", folder.display()),
            remedy: format!("chmod u+w '{}', as its owner", folder.display()),
        });
    }
    Ok(Rights { user: String::new(), server: "SQLite".into(), tables, lacks })
}
