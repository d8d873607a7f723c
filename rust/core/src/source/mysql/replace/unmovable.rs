//! Tables that do not move to another database as they are.
//!
//! MariaDB keeps the default of a column that is numbered by a sequence (`DEFAULT nextval(…)`) with the sequence's database:
//! of a table that has moved with its sequence it still asks the first one, which is not there any more. And files in a
//! folder of their own stay where they are.

use crate::Result;
use crate::source::mysql::connect::session::{Session, quote, string};
use crate::source::mysql::schema::columns;
use crate::source::sql::{has_word, without_schema};
use std::collections::BTreeMap;

/// Statements that give the tables of `database`, once they are elsewhere, the sequences of where they are then.
pub(crate) fn defaults(session: &mut Session<'_>, database: &str) -> Result<Vec<String>> {
    let rows = session.rows(&format!(
        "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_DEFAULT FROM information_schema.COLUMNS \
         WHERE TABLE_SCHEMA = {} AND COLUMN_DEFAULT LIKE '%val(%.%' AND GENERATION_EXPRESSION IS NULL",
        string(database)
    ))?;
    // All of a table at once: the server opens it with the sequences that it knows.
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows {
        let [table, column, default] = columns(row)?;
        let own = without_schema(default.as_bytes(), database.as_bytes());
        if own != default.as_bytes() {
            let own = String::from_utf8_lossy(&own);
            let change = format!("ALTER COLUMN {} SET DEFAULT ({own})", quote(&column));
            tables.entry(table).or_default().push(change);
        }
    }
    let statement = |(table, changes): (String, Vec<String>)| {
        format!("ALTER TABLE {} {}", quote(&table), changes.join(", "))
    };
    Ok(tables.into_iter().map(statement).collect())
}

/// Tables that have their files in a folder of their own (`DATA DIRECTORY`). They cannot move to another database: InnoDB
/// leaves their files behind, and those of MyISAM would meet the live ones.
pub(crate) fn with_folders(session: &mut Session<'_>) -> Result<Vec<String>> {
    let rows = session.rows(
        "SELECT TABLE_NAME, CREATE_OPTIONS LIKE '%DIRECTORY=%' FROM information_schema.TABLES \
         WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE <> 'VIEW' \
         AND (CREATE_OPTIONS LIKE '%DIRECTORY=%' OR CREATE_OPTIONS LIKE '%partitioned%')",
    )?;
    let mut found = Vec::new();
    for row in rows {
        let [table, sure] = columns(row)?;
        let of_its_own = sure == "1" || {
            let shown = session.rows(&format!("SHOW CREATE TABLE {}", quote(&table)))?.pop();
            shown.and_then(|row| row.into_iter().nth(1)).is_some_and(|text| has_word(&text, &[b"DIRECTORY"]))
        };
        if of_its_own {
            found.push(table);
        }
    }
    Ok(found)
}
