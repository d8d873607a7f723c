//! Makes the new data fit the site that runs: maintenance mode as it is there, caches empty.

use super::PgsqlReplacement;
use crate::config::Connection;
use crate::source::drupal::Tables;
use crate::source::pgsql::connect::session::{columns, quote, rows, string, transaction};
use crate::{Monitor, Result};

impl PgsqlReplacement {
    /// See [`crate::source::database::Replacement::adapt`].
    pub(crate) fn adapt(&self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        let tables = |schema: &str| -> Result<Tables> {
            let sql = format!(
                "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = {}",
                string(schema)
            );
            let pairs =
                rows(connection, &sql, monitor)?.into_iter().map(|row| columns(row).map(|[a, b]| (a, b)));
            Ok(Tables::find(pairs.collect::<Result<Vec<_>>>()?, &connection.prefix))
        };
        let within = |schema: &str, table: &str| format!("{}.{}", quote(schema), quote(table));
        let questions = tables(&self.live)?.questions(
            |table| within(&self.live, table),
            |column| format!("pg_catalog.encode({column}, 'hex')"),
        );
        let mut mode = (!questions.is_empty()).then(Vec::new);
        for question in questions {
            for row in rows(connection, &question, monitor)? {
                let pair = columns(row).map(|[name, value]| (name, value))?;
                mode.get_or_insert_default().push(pair);
            }
        }
        let bytes = |hex: &str| format!("pg_catalog.decode('{hex}', 'hex')");
        let statements = tables(&self.new)?.statements(
            mode.as_deref(),
            |table| within(&self.new, table),
            bytes,
            "TRUNCATE",
        );
        match statements.is_empty() {
            true => Ok(()),
            false => transaction(connection, &self.new, &statements, monitor),
        }
    }
}
