//! A database for what may be larger than memory: SQLite keeps what does not fit in a temporary file of its own, which has no name and
//! goes with the process.

use crate::{Code, Error, Result};
use rusqlite::Connection;

/// An empty one with these tables.
pub fn open(tables: &str) -> Result<Connection> {
    let open = || {
        let database = Connection::open("")?;
        database.execute_batch("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;")?;
        database.execute_batch(tables)?;
        database.execute_batch("BEGIN")?;
        Ok(database)
    };
    open().map_err(failed)
}

/// Why it could not keep or give something.
pub fn failed(cause: rusqlite::Error) -> Error {
    Error::new(Code::Io, "cannot sort what backups hold in the folder for temporary files").because(cause)
}
