//! Servers that insist on what the dumped one did not, or add what it did not have; and how far they let us off.

use super::session::{Session, text};
use crate::config::Connection;
use crate::{Code, Monitor, Result};

/// What matters when tables are made.
pub(crate) const WHEN_MADE: [&str; 4] =
    ["innodb_strict_mode", "sql_require_primary_key", "sql_generate_invisible_primary_key", KEYS];
/// What matters when they are moved as well: foreign keys to what is no unique key.
pub(crate) const KEYS: &str = "restrict_fk_on_non_standard_key";

/// Which of `settings` are on, and can be off for one session: the statements that do it. Tried with `asking`, which an
/// error ends.
pub(crate) fn found<'c>(
    asking: &mut Session<'c>,
    settings: &[&str],
    (connection, database): (&'c Connection, Option<&str>),
    monitor: &'c Monitor,
) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for name in on(asking, settings)? {
        let set = format!("SET SESSION {name}=0");
        match asking.run(&set) {
            Ok(()) => found.push(set),
            Err(error) if error.code() == Code::Cancelled => return Err(error),
            // MySQL wants a privilege for it.
            Err(_) => *asking = Session::open(connection, database, monitor)?,
        }
    }
    Ok(found)
}

/// Which of `settings` the server has, and has on.
pub(crate) fn on(session: &mut Session<'_>, settings: &[&str]) -> Result<Vec<String>> {
    let ask = format!("SHOW VARIABLES WHERE Value = 'ON' AND Variable_name IN ('{}')", settings.join("', '"));
    Ok(session.rows(&ask)?.into_iter().filter_map(|row| row.into_iter().next()).map(text).collect())
}
