//! What tables a live database has, and how large they are.

use super::schema::columns;
use super::session::{Session, quote, string, text};
use crate::config::Connection;
use crate::source::database::Table;
use crate::{Monitor, Result};

/// See [`crate::source::database::tables`].
pub(crate) fn tables(connection: &Connection, count: bool, monitor: &Monitor) -> Result<Vec<Table>> {
    // Not using the database: there may be none.
    let mut session = Session::open(connection, None, monitor)?;
    let rows = session.rows(&format!(
        "SELECT TABLE_NAME, TABLE_TYPE, IFNULL(DATA_LENGTH, 0) + IFNULL(INDEX_LENGTH, 0) \
         FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} ORDER BY TABLE_NAME",
        string(&connection.name)
    ))?;
    let mut tables = Vec::new();
    for row in rows {
        let [name, kind, bytes] = columns(row)?;
        let mut table = Table { name, rows: None, bytes: bytes.parse().unwrap_or_default() };
        if count && kind != "VIEW" {
            let (database, name) = (quote(&connection.name), quote(&table.name));
            // A table that cannot be read has no count.
            let counted = session.rows(&format!("SELECT COUNT(*) FROM {database}.{name}"));
            let first = counted.ok().and_then(|rows| rows.into_iter().next()?.into_iter().next());
            table.rows = first.and_then(|number| text(number).parse().ok());
            if table.rows.is_none() {
                session = Session::open(connection, None, monitor)?;
            }
        }
        tables.push(table);
    }
    Ok(tables)
}
