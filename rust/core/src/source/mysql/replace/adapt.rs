//! Making the loaded tables fit the live site ([`crate::source::drupal`]): beside the live database at once, else as
//! part of what follows the swap.

use super::{MysqlReplacement, ReplaceMethod};
use crate::config::Connection;
use crate::source::drupal::Tables;
use crate::source::mysql::connect::session::{Session, quote, string};
use crate::source::mysql::schema::columns;
use crate::{Code, Monitor, Result, ResultExt};
use std::fs::OpenOptions;
use std::io::Write;

impl MysqlReplacement {
    /// See [`crate::source::database::Replacement::adapt`].
    pub(crate) fn adapt(&self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        let mut session = self.my_turn(connection, Some(&connection.name), monitor)?;
        let mut live = tables_of(&mut session, &connection.name, &connection.prefix)?;
        let mode = mode(connection, &live, monitor)?;
        let bytes = |hex: &str| format!("X'{hex}'");
        if self.way == ReplaceMethod::NewDatabase {
            let tables = tables_of(&mut session, &self.new, &connection.prefix)?;
            let name = |table: &str| format!("{}.{}", quote(&self.new), quote(table));
            let statements = tables.statements(mode.as_deref(), name, bytes, "TRUNCATE TABLE");
            return statements.iter().try_for_each(|statement| session.run(statement));
        }
        // Taken to be like the live ones that they replace: they are not there yet to be asked.
        live.retain(|table| self.tables.contains(table));
        // The script may have ended with another delimiter.
        let mut script = String::from("DELIMITER ;\n");
        for statement in live.statements(mode.as_deref(), quote, bytes, "TRUNCATE TABLE") {
            script += &statement;
            script += ";\n";
        }
        let path = self.after();
        let mut file = OpenOptions::new().append(true).open(&path).at("cannot write", &path)?;
        file.write_all(script.as_bytes()).and_then(|()| file.sync_all()).at("cannot write", &path)
    }
}

fn tables_of(session: &mut Session<'_>, database: &str, prefix: &str) -> Result<Tables> {
    let names: String = Tables::endings().map(|ending| format!(" OR TABLE_NAME LIKE '%{ending}'")).collect();
    let rows = session.rows(&format!(
        "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS \
         WHERE TABLE_SCHEMA = {} AND (TABLE_NAME LIKE '%cache%'{names})",
        string(database)
    ))?;
    let pairs = rows.into_iter().map(|row| columns(row).map(|[table, column]| (table, column)));
    Ok(Tables::find(pairs.collect::<Result<Vec<_>>>()?, prefix))
}

/// Maintenance mode as the live site has it: names, and values in hexadecimal. `None` where there is no table, or it
/// is beyond reading, which is a reason to restore it.
fn mode(connection: &Connection, live: &Tables, monitor: &Monitor) -> Result<Option<Vec<(String, String)>>> {
    let questions = live.questions(quote, |column| format!("HEX({column})"));
    if questions.is_empty() {
        return Ok(None);
    }
    let mut session = Session::open(connection, Some(&connection.name), monitor)?;
    let mut mode = Vec::new();
    for question in questions {
        match session.rows(&question) {
            Ok(rows) => {
                for row in rows {
                    mode.push(columns(row).map(|[name, value]| (name, value))?);
                }
            }
            Err(error) if error.code() == Code::Cancelled => return Err(error),
            Err(_) => return Ok(None),
        }
    }
    Ok(Some(mode))
}
