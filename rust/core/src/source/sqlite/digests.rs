//! What a SQLite database holds, as far as two of them are to be compared.

use super::connect::{quote, tables_of};
use super::dump::{LEFT_OUT, damaged, spooled};
use crate::source::digests::Digests;
use crate::{Monitor, Result};
use rusqlite::types::ValueRef;
use std::borrow::Cow;
use std::io::Read;
use std::path::Path;

/// See [`crate::source::digests`].
pub(crate) fn digests(input: &mut dyn Read, spool_dir: &Path, monitor: &Monitor) -> Result<Digests> {
    let (database, _spool) = spooled(input, spool_dir, monitor)?;
    let mut digests = Digests::default();
    let mut read = || {
        let mut made =
            database.prepare("SELECT type, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL")?;
        let mut rows = made.query([])?;
        while let Some(row) = rows.next()? {
            let (kind, table, sql): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            match kind.as_str() {
                _ if table == LEFT_OUT => {}
                "table" | "index" => digests.tables.entry(table).or_default().definition.add(sql.as_bytes()),
                _ => digests.others.add(sql.as_bytes()),
            }
        }
        for name in tables_of(&database)?.into_iter().filter(|name| name != LEFT_OUT) {
            let table = digests.tables.entry(name.clone()).or_default();
            let mut content = database.prepare(&format!("SELECT * FROM {}", quote(&name)))?;
            let columns = content.column_count();
            let mut rows = content.query([])?;
            let mut bytes = Vec::new();
            while let Some(row) = rows.next()? {
                bytes.clear();
                for column in 0..columns {
                    flatten(row.get_ref(column)?, &mut bytes);
                }
                table.rows.add(&bytes);
            }
        }
        Ok(())
    };
    read().map_err(damaged)?;
    monitor.check()?;
    Ok(digests)
}

/// A value as bytes that no other has.
fn flatten(value: ValueRef<'_>, into: &mut Vec<u8>) {
    let (kind, bytes): (u8, Cow<'_, [u8]>) = match value {
        ValueRef::Null => (b'n', Cow::Borrowed(&[])),
        ValueRef::Integer(number) => (b'i', Cow::Owned(number.to_be_bytes().to_vec())),
        ValueRef::Real(number) => (b'r', Cow::Owned(number.to_bits().to_be_bytes().to_vec())),
        ValueRef::Text(text) => (b't', Cow::Borrowed(text)),
        ValueRef::Blob(bytes) => (b'b', Cow::Borrowed(bytes)),
    };
    into.push(kind);
    into.extend((bytes.len() as u64).to_be_bytes());
    into.extend(bytes.as_ref());
}
