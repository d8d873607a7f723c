//! A set of paths that may be larger than memory: SQLite keeps what does not fit in a temporary file of its own
//! (<https://www.sqlite.org/inmemorydb.html#temp_db>), which has no name and goes with the process.

use crate::{Code, Error, Result};
use rusqlite::Connection;

/// See the module.
pub struct PathSet(Connection);

impl PathSet {
    /// An empty set.
    pub fn new() -> Result<PathSet> {
        let open = || {
            let database = Connection::open("")?;
            database.execute_batch(
                "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; \
                 CREATE TABLE paths (path BLOB PRIMARY KEY) WITHOUT ROWID; BEGIN;",
            )?;
            Ok(database)
        };
        open().map(PathSet).map_err(failed)
    }

    /// Adds a path; says whether it is new.
    pub fn insert(&self, path: &[u8]) -> Result<bool> {
        let add = || self.0.prepare_cached("INSERT OR IGNORE INTO paths VALUES (?)")?.execute([path]);
        add().map(|added| added > 0).map_err(failed)
    }

    /// Whether the path was added.
    pub fn contains(&self, path: &[u8]) -> Result<bool> {
        let look = || self.0.prepare_cached("SELECT 1 FROM paths WHERE path = ?")?.exists([path]);
        look().map_err(failed)
    }
}

fn failed(cause: rusqlite::Error) -> Error {
    Error::new(Code::Io, "cannot keep a list of paths in the folder for temporary files").because(cause)
}

#[cfg(test)]
mod tests {
    use super::PathSet;

    #[test]
    fn what_was_added_is_found() {
        let set = PathSet::new().expect("a set");
        assert!(set.insert(b"a\xff").expect("added"));
        assert!(!set.insert(b"a\xff").expect("added again"));
        assert!(set.contains(b"a\xff").expect("looked up"));
        assert!(!set.contains(b"a").expect("looked up"));
    }
}
