//! What tables a live database or a dump has, and how large they are.

use super::connect::session::{Session, quote, string, text};
use super::load::dump_reader::{DumpReader, Origin, Step};
use super::schema::columns;
use crate::config::Connection;
use crate::source::digests::{Digests, without_counter};
use crate::source::dump_types::{Contents, Fingerprint, Table};
use crate::source::sql::{Kind, for_each_row, rows};
use crate::{Monitor, Result};
use std::collections::BTreeMap;
use std::io::Read;

/// See [`crate::source::database::tables`].
pub(crate) fn tables(connection: &Connection, count: bool, monitor: &Monitor) -> Result<Vec<Table>> {
    // Not using the database: there may be none.
    let mut session = Session::open(connection, None, monitor)?;
    let rows = session.rows(&format!(
        "SELECT TABLE_NAME, IFNULL(DATA_LENGTH, 0) + IFNULL(INDEX_LENGTH, 0) FROM information_schema.TABLES \
         WHERE TABLE_SCHEMA = {} AND TABLE_TYPE <> 'VIEW' ORDER BY TABLE_NAME",
        string(&connection.name)
    ))?;
    let mut tables = Vec::new();
    for row in rows {
        let [name, bytes] = columns(row)?;
        let mut table = Table { name, rows: None, bytes: bytes.parse().unwrap_or_default() };
        if count {
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

/// See [`crate::source::database::contents`].
pub(crate) fn contents(input: &mut dyn Read, only: Option<&str>, monitor: &Monitor) -> Result<Contents> {
    let mut reader = DumpReader::new(input, None, false, monitor).with_only_database(only.map(str::to_owned));
    let mut tables: BTreeMap<String, Table> = BTreeMap::new();
    while let Some(step) = reader.next()? {
        let Step::Table { kind, name, sql, .. } = step else { continue };
        if kind == Kind::Drop {
            continue;
        }
        let table = tables.entry(name).or_insert_with_key(|name| Table {
            name: name.clone(),
            rows: Some(0),
            bytes: 0,
        });
        table.bytes += sql.text.len() as u64;
        if kind == Kind::Insert {
            table.rows = table.rows.map(|count| count + rows(&sql.text));
        }
    }
    reader.check_content()?;
    Ok(Contents {
        tables: tables.into_values().collect(),
        prefix: reader.prefix().map(str::to_owned),
        excluded: reader.excluded(),
        unread: reader.unread(),
        complete: reader.origin() == Origin::Bam,
    })
}

/// See [`crate::source::database::fingerprints`].
pub(crate) fn fingerprints(input: &mut dyn Read, monitor: &Monitor) -> Result<BTreeMap<String, Fingerprint>> {
    let mut reader = DumpReader::new(input, None, false, monitor);
    let mut tables: BTreeMap<String, Fingerprint> = BTreeMap::new();
    while let Some(step) = reader.next()? {
        let Step::Table { kind, name, sql, .. } = step else { continue };
        if kind == Kind::Drop {
            continue;
        }
        let table = tables.entry(name).or_default();
        if kind == Kind::Insert {
            for_each_row(&sql.text, |row| table.add(row));
        }
    }
    Ok(tables)
}

/// See [`crate::source::digests`].
pub(crate) fn digests(input: &mut dyn Read, monitor: &Monitor) -> Result<Digests> {
    let mut reader = DumpReader::new(input, None, false, monitor);
    let mut digests = Digests::default();
    while let Some(step) = reader.next()? {
        match step {
            Step::Session(_) => {}
            Step::Table { kind: Kind::Drop, .. } => {}
            Step::Table { kind, name, sql, .. } => {
                let table = digests.tables.entry(name).or_default();
                match kind {
                    Kind::Insert => for_each_row(&sql.text, |row| table.rows.add(row)),
                    _ => table.definition.add(&without_counter(&sql.text)),
                }
            }
            Step::Later { sql, .. } => digests.others.add(&sql.text),
        }
    }
    reader.check_content()?;
    Ok(digests)
}

/// Removes the database, where there is one.
pub(crate) fn remove(connection: &Connection, monitor: &Monitor) -> Result<()> {
    let mut session = Session::open(connection, None, monitor)?;
    let name = string(&connection.name);
    // Whoever may not make it may not drop it either, even where there is none.
    let found = format!("SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {name}");
    if session.rows(&found)?.is_empty() {
        return Ok(());
    }
    session.run(&format!("DROP DATABASE IF EXISTS {}", quote(&connection.name)))
}
