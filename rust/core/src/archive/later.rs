//! Further names of files whose content was passed over, or is still to come: they wait here for it. As with what folders
//! are to get, there may be more of them than fit into memory.

use super::Place;
use super::pending::{kept, temporary};
use crate::Result;
use rusqlite::{Connection, OptionalExtension, params};

/// See the module.
pub(super) struct Later {
    /// Made with the first name.
    database: Option<Connection>,
}

impl Later {
    pub(super) fn new() -> Later {
        Later { database: None }
    }

    /// The member `name`, which goes to `place`, has its content under another path of the archive.
    pub(super) fn add(&mut self, content: &[u8], place: &Place, name: &[u8]) -> Result<()> {
        if self.database.is_none() {
            self.database = Some(temporary(
                "CREATE TABLE names (content BLOB, root INTEGER, path BLOB, name BLOB, PRIMARY KEY (root, path)) \
                 WITHOUT ROWID; CREATE INDEX contents ON names (content);",
            )?);
        }
        let Some(database) = &self.database else { return Ok(()) };
        let add = || {
            let sql = "INSERT OR REPLACE INTO names VALUES (?, ?, ?, ?)";
            database.prepare_cached(sql)?.execute(params![content, place.root, place.path, name])
        };
        kept(add).map(drop)
    }

    /// Something else goes to this place.
    pub(super) fn forget(&self, place: &Place) -> Result<()> {
        let Some(database) = &self.database else { return Ok(()) };
        let forget = || {
            let sql = "DELETE FROM names WHERE root = ? AND path = ?";
            database.prepare_cached(sql)?.execute(params![place.root, place.path])
        };
        kept(forget).map(drop)
    }

    pub(super) fn is_empty(&self) -> Result<bool> {
        let Some(database) = &self.database else { return Ok(true) };
        kept(|| database.prepare_cached("SELECT 1 FROM names")?.exists([])).map(|any| !any)
    }

    /// A place that waits for the content of this member.
    pub(super) fn first_of(&self, content: &[u8]) -> Result<Option<Place>> {
        let Some(database) = &self.database else { return Ok(None) };
        kept(|| {
            let sql = "SELECT root, path FROM names WHERE content = ? ORDER BY root, path LIMIT 1";
            let place = |row: &rusqlite::Row<'_>| Ok(Place { root: row.get(0)?, path: row.get(1)? });
            database.prepare_cached(sql)?.query_row([content], place).optional()
        })
    }

    /// Calls `visit` with each name and the path that it waits for.
    pub(super) fn each(&self, visit: &mut dyn FnMut(Vec<u8>, Vec<u8>)) -> Result<()> {
        let Some(database) = &self.database else { return Ok(()) };
        let mut statement = kept(|| database.prepare("SELECT name, content FROM names ORDER BY root, path"))?;
        let mut rows = kept(|| statement.query([]))?;
        while let Some(row) = kept(|| rows.next())? {
            let (name, content) = kept(|| Ok((row.get(0)?, row.get(1)?)))?;
            visit(name, content);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_waits_until_its_place_is_taken() {
        let mut later = Later::new();
        let at = |root, path: &[u8]| Place { root, path: path.to_vec() };
        assert!(later.is_empty().expect("asked") && later.first_of(b"first").expect("asked").is_none());
        for (root, path) in [(1, &b"a"[..]), (0, b"b\xff"), (0, b"a")] {
            later.add(b"other", &at(root, path), b"replaced").expect("added");
            later.add(b"first", &at(root, path), path).expect("added");
        }
        let mut names = Vec::new();
        later.each(&mut |name, content| names.push((name, content))).expect("visited");
        assert_eq!(names, [&b"a"[..], b"b\xff", b"a"].map(|name| (name.to_vec(), b"first".to_vec())));
        assert_eq!(later.first_of(b"other").expect("asked"), None);
        for place in [at(0, b"a"), at(0, b"b\xff"), at(1, b"a")] {
            assert_eq!(later.first_of(b"first").expect("asked").as_ref(), Some(&place));
            later.forget(&place).expect("forgotten");
        }
        assert!(later.is_empty().expect("asked"));
    }
}
