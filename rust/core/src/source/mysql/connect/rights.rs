//! What the server lets our user see and do, as far as a dump could lack something, or a load fail, for want of it.

use super::session::{Session, quote, text};
use crate::config::Connection;
use crate::source::mysql::schema::TableSchema;
use crate::{Code, Monitor, NoteKind, Result};
use std::collections::BTreeSet;

/// How often a table is named in one question, so that the server has to open it anew: idle ones that it keeps would not
/// be counted.
const TIMES: usize = 24;
/// Of more tables than this nobody is asked whether they have triggers that are hidden.
const MOST_TABLES: usize = 3000;

/// One line of `SHOW GRANTS`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    privileges: Vec<String>,
    /// A pattern as LIKE has it; `*` for all.
    pub(crate) database: String,
    /// `*` for all.
    pub(crate) object: String,
}

impl Grant {
    /// `GRANT SELECT, TRIGGER ON `d7\_%`.* TO …`; `None` for grants of roles, and of what is no table or database.
    pub(crate) fn parse(line: &str) -> Option<Grant> {
        let line = line.strip_prefix("GRANT ")?;
        let (privileges, rest) = line.split_once(" ON ")?;
        let mut rest = rest;
        let database = name(&mut rest)?;
        rest = rest.strip_prefix('.')?;
        let object = name(&mut rest)?;
        // A list of columns after a privilege narrows it.
        let privileges = privileges.split(", ").map(|one| one.trim().to_ascii_uppercase()).collect();
        Some(Grant { privileges, database, object })
    }

    pub(crate) fn is_of(&self, database: &str) -> bool {
        self.database == "*" || like(database, &self.database)
    }

    pub(crate) fn has(&self, privilege: &str) -> bool {
        self.privileges.iter().any(|one| one == privilege || one == "ALL PRIVILEGES" || one == "ALL")
    }
}

/// A name at the beginning of `rest`, quoted or `*`.
fn name(rest: &mut &str) -> Option<String> {
    if let Some(after) = rest.strip_prefix('*') {
        *rest = after;
        return Some("*".to_owned());
    }
    let quote = rest.chars().next().filter(|quote| matches!(quote, '`' | '"' | '\''))?;
    let mut found = String::new();
    let mut characters = rest.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if character == quote && characters.next_if(|(_, next)| *next == quote).is_none() {
            *rest = rest.get(at + 1..)?;
            return Some(found);
        }
        found.push(character);
    }
    None
}

/// SQL's LIKE, with `\` before what means itself.
fn like(text: &str, pattern: &str) -> bool {
    let mut pattern = pattern.chars();
    match pattern.next() {
        None => text.is_empty(),
        Some('%') => {
            let rest = pattern.as_str();
            text.char_indices()
                .map(|(at, _)| at)
                .chain([text.len()])
                .any(|at| like(text.get(at..).unwrap_or_default(), rest))
        }
        Some(first) => {
            let literal = if first == '\\' { pattern.next().unwrap_or('\\') } else { first };
            let mut characters = text.chars();
            let fits = characters.next().is_some_and(|next| first == '_' || next == literal);
            fits && like(characters.as_str(), pattern.as_str())
        }
    }
}

fn grants(session: &mut Session<'_>) -> Result<Vec<Grant>> {
    let lines = session.column("SHOW GRANTS")?;
    Ok(lines.iter().filter_map(|line| Grant::parse(line)).collect())
}

/// Says what the server may hide from us: it shows no triggers, events and routines to whoever has no right to them.
pub(crate) fn tell_of_hidden(
    connection: &Connection,
    tables: &[TableSchema],
    monitor: &Monitor,
) -> Result<()> {
    let mut session = Session::open(connection, Some(&connection.name), monitor)?;
    let grants = match grants(&mut session) {
        Ok(grants) => grants,
        Err(error) if error.code() == Code::Cancelled => return Err(error),
        // No administrator goes without; proxies do.
        Err(_) => return Ok(()),
    };
    let database = &connection.name;
    let everywhere = |privileges: &[&str]| {
        grants.iter().any(|grant| {
            grant.is_of(database) && grant.object == "*" && privileges.iter().any(|one| grant.has(one))
        })
    };
    let on_each = || {
        tables.iter().all(|table| {
            grants
                .iter()
                .any(|grant| grant.is_of(database) && grant.object == table.name && grant.has("TRIGGER"))
        })
    };
    let mut hidden = Vec::new();
    let mut needed = Vec::new();
    let triggers = !everywhere(&["TRIGGER"]) && !on_each();
    if triggers {
        hidden.push("triggers");
        needed.push("TRIGGER");
    }
    if !everywhere(&["EVENT"]) {
        hidden.push("events");
        needed.push("EVENT");
    }
    let routines = ["EXECUTE", "CREATE ROUTINE", "ALTER ROUTINE", "SHOW ROUTINE", "SHOW CREATE ROUTINE"];
    let of_all = grants.iter().any(|grant| {
        let of = |database: &str| grant.database == database || grant.database == "*";
        of("mysql") && (grant.object == "*" || grant.object == "proc") && grant.has("SELECT")
    });
    if !everywhere(&routines) && !of_all {
        hidden.push("procedures and functions");
        needed.push("EXECUTE");
    }
    if hidden.is_empty() {
        return Ok(());
    }
    let user = &connection.user;
    let grant = format!("GRANT {} ON {}.* TO …", needed.join(", "), quote(database));
    if triggers && tables.len() <= MOST_TABLES && has_triggers(session, tables)? {
        let others = hidden.split_first().map_or(String::new(), |(_, rest)| rest.join(", "));
        let others = if others.is_empty() { others } else { format!(", nor {others}, if there are any") };
        let text = format!(
            "the triggers of {database} are not in the backup: {user} may not see them{others}; the privileges: {grant}"
        );
        monitor.note(NoteKind::Missing, text);
    } else {
        let text = format!(
            "the server hides the {} of {database} from {user}: if there are any, they are not in the backup; with the \
             privileges bam can tell: {grant}",
            hidden.join(", ")
        );
        monitor.note(NoteKind::Warning, text);
    }
    Ok(())
}

/// Whether some table has triggers although we may not see them: MariaDB counts those that it loads when it opens a
/// table (`Feature_trigger`). `false` also means that the server does not tell.
fn has_triggers(mut session: Session<'_>, tables: &[TableSchema]) -> Result<bool> {
    let count = |session: &mut Session<'_>| -> Result<Option<String>> {
        let row = session.rows("SHOW SESSION STATUS LIKE 'Feature_trigger'")?.pop();
        Ok(row.and_then(|row| row.into_iter().nth(1)).map(text))
    };
    let Some(before) = count(&mut session)? else { return Ok(false) };
    let named = |table: &TableSchema| {
        let one = |number: usize| format!("{} AS bam{number}", quote(&table.name));
        (0..TIMES).map(one).collect::<Vec<_>>().join(", ")
    };
    let readable = tables.iter().filter(|table| !table.sequence && table.own_rows);
    for some in readable.collect::<Vec<_>>().chunks(50) {
        let questions: Vec<String> =
            some.iter().map(|table| format!("SELECT 1 FROM {} LIMIT 0", named(table))).collect();
        match session.rows(&questions.join("; ")) {
            Ok(_) => {}
            Err(error) if error.code() == Code::Cancelled => return Err(error),
            // A table that cannot be read is told of when its rows are wanted.
            Err(_) => return Ok(false),
        }
        if count(&mut session)?.is_some_and(|now| now != before) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whom views and routines of a dump may keep as definer.
#[derive(Debug, Clone)]
pub(crate) enum Definers {
    /// Nobody: whoever loads them becomes it.
    Strip,
    /// Everybody.
    Keep,
    /// The accounts that the server has, as `user@host`: nothing works that runs as somebody unknown.
    Known(BTreeSet<String>),
}

impl Definers {
    /// What our user may set.
    pub(crate) fn of(session: &mut Session<'_>) -> Result<Definers> {
        const RIGHTS: [&str; 4] = ["SUPER", "SET USER", "SET_USER_ID", "SET_ANY_DEFINER"];
        let may = |grant: &Grant| grant.database == "*" && RIGHTS.iter().any(|right| grant.has(right));
        if !grants(session)?.iter().any(may) {
            return Ok(Definers::Strip);
        }
        // A role has no host.
        let accounts = session.column(
            "SELECT CONCAT(User, '@', Host) FROM mysql.user WHERE (SELECT COUNT(*) FROM information_schema.TABLES \
             WHERE TABLE_SCHEMA = 'mysql' AND TABLE_NAME = 'user') > 0",
        );
        match accounts {
            Ok(accounts) => Ok(Definers::Known(accounts.into_iter().collect())),
            Err(error) if error.code() == Code::Cancelled => Err(error),
            Err(_) => Ok(Definers::Keep),
        }
    }

    /// Whether `user@host` stays.
    pub(crate) fn keeps(&self, definer: &str) -> bool {
        match self {
            Definers::Strip => false,
            Definers::Keep => true,
            Definers::Known(accounts) => accounts.contains(definer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_understood() {
        let grant =
            Grant::parse("GRANT SELECT, INSERT, TRIGGER ON `d7\\_%`.* TO `u`@`%` IDENTIFIED BY …").unwrap();
        assert!(grant.is_of("d7_bam") && !grant.is_of("d7xbam"));
        assert!(grant.has("TRIGGER") && !grant.has("EVENT"));
        let grant =
            Grant::parse("GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION").unwrap();
        assert!(grant.is_of("any") && grant.has("EVENT") && grant.object == "*");
        let grant = Grant::parse("GRANT TRIGGER ON `a``b`.`t.x` TO `u`@`%`").unwrap();
        assert_eq!((grant.database.as_str(), grant.object.as_str()), ("a`b", "t.x"));
        assert_eq!(Grant::parse("GRANT `role` TO `u`@`%`"), None);
        assert_eq!(Grant::parse("GRANT EXECUTE ON PROCEDURE `d7`.`p` TO `u`@`%`"), None);
    }
}
