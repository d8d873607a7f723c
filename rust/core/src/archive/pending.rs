//! What folders are to get when everything is in them. There may be more of them than fit into memory: SQLite keeps what
//! does not in a temporary file without a name (<https://www.sqlite.org/inmemorydb.html#temp_db>), which goes with the
//! process.

use super::attributes::Attributes;
use super::{Attribute, Place};
use crate::{Code, Error, Result};
use rusqlite::{Connection, params};

/// See the module.
pub(super) struct Pending {
    /// Made with the first folder.
    database: Option<Connection>,
}

impl Pending {
    pub(super) fn new() -> Pending {
        Pending { database: None }
    }

    fn open(&mut self) -> rusqlite::Result<&Connection> {
        if self.database.is_none() {
            self.database = Some(opened(
                "CREATE TABLE folders (root INTEGER, path BLOB, mode INTEGER, uid INTEGER, gid INTEGER, \
                 seconds INTEGER, nanos INTEGER, extras BLOB, PRIMARY KEY (root, path)) WITHOUT ROWID;",
            )?);
        }
        self.database.as_ref().ok_or(rusqlite::Error::InvalidQuery)
    }

    /// Adds a folder, or replaces what was said of it.
    pub(super) fn set(&mut self, place: &Place, own: Attributes, extras: &[Attribute]) -> Result<()> {
        let extras = (!extras.is_empty()).then(|| framed(extras));
        let add = || {
            let sql = "INSERT OR REPLACE INTO folders VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
            self.open()?.prepare_cached(sql)?.execute(params![
                place.root,
                place.path,
                own.mode,
                own.uid,
                own.gid,
                own.mtime.map(|(seconds, _)| seconds),
                own.mtime.map(|(_, nanos)| nanos),
                extras,
            ])
        };
        kept(add).map(drop)
    }

    /// Forgets a folder that is none any more.
    pub(super) fn forget(&self, place: &Place) -> Result<()> {
        let Some(database) = &self.database else { return Ok(()) };
        let forget = || {
            let sql = "DELETE FROM folders WHERE root = ? AND path = ?";
            database.prepare_cached(sql)?.execute(params![place.root, place.path])
        };
        kept(forget).map(drop)
    }

    /// Calls `visit` for each folder, in the order of roots and paths from the last to the first, so that each comes before
    /// those it lies in.
    pub(super) fn each_back(
        &self,
        visit: &mut dyn FnMut(Place, Attributes, Vec<Attribute>) -> Result<()>,
    ) -> Result<()> {
        let Some(database) = &self.database else { return Ok(()) };
        let sql = "SELECT root, path, mode, uid, gid, seconds, nanos, extras FROM folders \
                   ORDER BY root DESC, path DESC";
        let mut statement = kept(|| database.prepare(sql))?;
        let mut rows = kept(|| statement.query([]))?;
        while let Some(row) = kept(|| rows.next())? {
            let (place, own, extras) = kept(|| {
                let (seconds, nanos): (Option<i64>, Option<u32>) = (row.get(5)?, row.get(6)?);
                let place = Place { root: row.get(0)?, path: row.get(1)? };
                let (mode, uid, gid) = (row.get(2)?, row.get(3)?, row.get(4)?);
                let extras: Option<Vec<u8>> = row.get(7)?;
                let extras = extras.map(|extras| unframed(&extras)).unwrap_or_default();
                Ok((place, Attributes { mode, uid, gid, mtime: seconds.zip(nanos) }, extras))
            })?;
            visit(place, own, extras)?;
        }
        Ok(())
    }
}

/// A database that goes with the process, with these tables.
pub(super) fn temporary(tables: &str) -> Result<Connection> {
    kept(|| opened(tables))
}

fn opened(tables: &str) -> rusqlite::Result<Connection> {
    let database = Connection::open("")?;
    database.execute_batch("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;")?;
    database.execute_batch(tables)?;
    database.execute_batch("BEGIN;")?;
    Ok(database)
}

pub(super) fn kept<T>(work: impl FnOnce() -> rusqlite::Result<T>) -> Result<T> {
    work().map_err(|cause| {
        Error::new(Code::Io, "cannot keep lists in the folder for temporary files").because(cause)
    })
}

/// Names and values, each after its length.
fn framed(extras: &[Attribute]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in extras.iter().flat_map(|it| [&it.name, &it.value]) {
        bytes.extend((part.len() as u64).to_le_bytes());
        bytes.extend(part);
    }
    bytes
}

fn unframed(mut bytes: &[u8]) -> Vec<Attribute> {
    let mut part = || -> Option<Vec<u8>> {
        let (len, rest) = bytes.split_first_chunk::<8>()?;
        let (part, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*len)).ok()?)?;
        bytes = rest;
        Some(part.to_vec())
    };
    std::iter::from_fn(|| Some(Attribute { name: part()?, value: part()? })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_back_the_innermost_first_with_what_was_said_last() {
        let mut pending = Pending::new();
        pending.each_back(&mut |place, _, _| panic!("{place:?}")).expect("visited");
        let at = |root, path: &[u8]| Place { root, path: path.to_vec() };
        let own = |mode, mtime| Attributes { mode, uid: None, gid: Some(u32::MAX - 1), mtime };
        let extras = vec![Attribute { name: b"user.a\xff".to_vec(), value: vec![0, 1] }];
        for (path, mode) in [(&b""[..], 1), (b"a", 2), (b"a/b", 3), (b"a-b", 4), (b"a/b", 5), (b"c\xff", 6)] {
            pending.set(&at(0, path), own(mode, Some((-5, 7))), &extras).expect("added");
        }
        pending.set(&at(1, b""), own(7, None), &[]).expect("added");
        pending.forget(&at(0, b"c\xff")).expect("forgotten");
        let mut modes = Vec::new();
        let mut check = |place: Place, found: Attributes, more: Vec<Attribute>| {
            modes.push(found.mode);
            match place.root {
                0 => assert!(found == own(found.mode, Some((-5, 7))) && more == extras),
                _ => assert!(found == own(7, None) && more.is_empty()),
            }
            Ok(())
        };
        pending.each_back(&mut check).expect("visited");
        assert_eq!(modes, [7, 5, 4, 2, 1]);
    }
}
