//! What applications define on each of their connections and a database may refer to: collations and functions. Drupal 8
//! and later have the collation `NOCASE_UTF8` in many of their tables; without it SQLite does not even check them.

use crate::{Code, Error, Monitor, NoteKind, Result};
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use std::cmp::Ordering;

/// Drupal's collation (`Drupal\sqlite\Driver\Database\sqlite\Connection::open`).
const NOCASE_UTF8: &str = "NOCASE_UTF8";
/// SQLite's own.
const OWN: [&str; 3] = ["BINARY", "NOCASE", "RTRIM"];
/// How a check says that rows are in an order which it does not understand.
const ORDER: &str = "row not in PRIMARY KEY order";
/// More functions than these are none that a check can do without.
const MOST_FUNCTIONS: usize = 100;

/// As `Drupal\Component\Utility\Unicode::strcasecmp`: bytes of the texts in upper case.
fn nocase_utf8(a: &str, b: &str) -> Ordering {
    if a.is_ascii() && b.is_ascii() {
        return a
            .bytes()
            .map(|byte| byte.to_ascii_uppercase())
            .cmp(b.bytes().map(|byte| byte.to_ascii_uppercase()));
    }
    a.to_uppercase().cmp(&b.to_uppercase())
}

/// Makes collations known: Drupal's as it is, others so that what needs no order works.
pub(super) fn know(database: &Connection) -> rusqlite::Result<()> {
    database.collation_needed(|database, name| match name.eq_ignore_ascii_case(NOCASE_UTF8) {
        true => database.create_collation(name, nocase_utf8),
        false => database.create_collation(name, |a: &str, b: &str| a.cmp(b)),
    })
}

/// Collations of indexes that only the application knows.
pub(super) fn unknown_collations(database: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = database.prepare(
        "SELECT DISTINCT x.coll FROM sqlite_master t, pragma_index_list(t.name) l, pragma_index_xinfo(l.name) x \
         WHERE t.type = 'table' AND x.key AND x.coll IS NOT NULL ORDER BY 1",
    )?;
    let names = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    let known = |name: &str| OWN.iter().chain(&[NOCASE_UTF8]).any(|own| own.eq_ignore_ascii_case(name));
    Ok(names.into_iter().filter(|name| !known(name)).collect())
}

/// Checks that a database is whole, as far as that can be known without the application; says what was not looked at.
/// `quick`: no index is compared with its table. `Err(Ok(what is wrong))`, or `Err(Err(SQLite's own error))`.
pub(super) fn check(
    database: &Connection,
    quick: bool,
    monitor: &Monitor,
) -> std::result::Result<(), std::result::Result<String, rusqlite::Error>> {
    know(database).map_err(Err)?;
    let collations = unknown_collations(database).map_err(Err)?;
    let mut functions: Vec<String> = Vec::new();
    loop {
        let quick = quick || !collations.is_empty() || !functions.is_empty();
        let check = if quick { "PRAGMA quick_check(1)" } else { "PRAGMA integrity_check(1)" };
        match database.query_row(check, [], |row| row.get::<_, String>(0)) {
            Ok(verdict) if verdict == "ok" => break,
            Ok(verdict) if !collations.is_empty() && verdict.starts_with(ORDER) => break,
            Ok(verdict) => return Err(Ok(verdict)),
            Err(cause) => match missing_function(&cause) {
                Some(name) if !functions.contains(&name) && functions.len() < MOST_FUNCTIONS => {
                    // No CHECK fails at NULL.
                    database
                        .create_scalar_function(
                            name.as_str(),
                            -1,
                            FunctionFlags::SQLITE_DETERMINISTIC,
                            |_| Ok(rusqlite::types::Null),
                        )
                        .map_err(Err)?;
                    functions.push(name);
                }
                _ => return Err(Err(cause)),
            },
        }
    }
    let unknown: Vec<&str> = collations.iter().chain(&functions).map(String::as_str).collect();
    if !unknown.is_empty() && !quick {
        let text = format!(
            "whether indexes fit their tables was not looked at: {}, which the SQLite database uses, is the site's own",
            unknown.join(", ")
        );
        monitor.note(NoteKind::Info, text);
    }
    Ok(())
}

/// The name in SQLite's words for a function that it does not know.
fn missing_function(cause: &rusqlite::Error) -> Option<String> {
    let text = cause.to_string();
    let (_, rest) =
        text.split_once("no such function: ").or_else(|| text.split_once("unknown function: "))?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    rest.get(..end).filter(|name| !name.is_empty()).map(str::to_owned)
}

/// Refuses what would sort rows in an order that nobody knows here.
pub(super) fn refuse_unknown(databases: &[&Connection]) -> Result<()> {
    for database in databases {
        let unknown = unknown_collations(database).map_err(|cause| {
            Error::new(Code::Integrity, "cannot look at the SQLite database").because(cause)
        })?;
        if let Some(name) = unknown.first() {
            let text = format!(
                "the SQLite database has indexes in the order {name}, which only the site itself knows"
            );
            return Err(Error::new(Code::Unsupported, text)
                .hint("restore the whole database; single tables would have to be sorted anew"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_equal_whatever_their_case() {
        assert_eq!(nocase_utf8("Ärger", "äRGER"), Ordering::Equal);
        assert_eq!(nocase_utf8("straße", "STRASSE"), Ordering::Equal);
        assert_eq!(nocase_utf8("a", "B"), Ordering::Less);
        assert_eq!(nocase_utf8("_", "a"), Ordering::Greater, "by the upper case");
    }
}
