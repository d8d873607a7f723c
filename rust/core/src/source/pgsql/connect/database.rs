//! Databases as a whole, made and removed by way of `postgres`, the one that every server has.

use super::session::{quote, rows, string};
use crate::config::Connection;
use crate::{Monitor, Result};

fn by_way_of(connection: &Connection) -> Connection {
    Connection { name: "postgres".into(), ..connection.clone() }
}

fn exists(connection: &Connection, monitor: &Monitor) -> Result<bool> {
    let sql = format!("SELECT 1 FROM pg_catalog.pg_database WHERE datname = {}", string(&connection.name));
    Ok(!rows(&by_way_of(connection), &sql, monitor)?.is_empty())
}

/// Makes the database where there is none, if the user may.
pub(crate) fn find_or_make(connection: &Connection, monitor: &Monitor) -> Result<()> {
    // Who may log in to this one may have no business in the other.
    match rows(connection, "SELECT 1", monitor) {
        Ok(_) => Ok(()),
        Err(error) => match exists(connection, monitor) {
            Ok(false) => {
                let sql =
                    format!("CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0", quote(&connection.name));
                rows(&by_way_of(connection), &sql, monitor).map(drop)
            }
            _ => Err(error),
        },
    }
}

/// Removes the database, where there is one.
pub(crate) fn remove(connection: &Connection, monitor: &Monitor) -> Result<()> {
    match exists(connection, monitor)? {
        true => rows(&by_way_of(connection), &format!("DROP DATABASE {}", quote(&connection.name)), monitor)
            .map(drop),
        false => Ok(()),
    }
}

/// Whether there is a schema of this name.
pub(crate) fn has_schema(connection: &Connection, schema: &str, monitor: &Monitor) -> Result<bool> {
    let sql = format!("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = {}", string(schema));
    Ok(!rows(connection, &sql, monitor)?.is_empty())
}
