//! What of a dump is run on a restore: everything but what belongs to the server it came from - owners, grants,
//! transactions of its own - and nothing that is not SQL.

use super::splitter::{Item, Piece, Splitter, is_copy, words};
use crate::source::digests::Digests;
use crate::source::dump_types::{Contents, Table};
use crate::source::pgsql::large;
use crate::source::sql::{Utf8, no_statement};
use crate::source::table_places::RowCounts;
use crate::{Code, Error, Monitor, Result};
use memchr::memmem;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::Read;

/// A dump of ours begins with this line.
pub(crate) const FIRST_LINE: &str = "-- bam PostgreSQL dump 1";
/// Before what the dump calls its schema, as JSON.
pub(crate) const SCHEMA: &str = "-- bam-schema: ";
/// Before the site's table prefix.
pub(crate) const PREFIX: &str = "-- bam-prefix: ";
/// Before the list of tables that were left out although the database has them.
pub(crate) const EXCLUDED: &str = "-- bam-excluded: ";
/// What pg_dump sets at the beginning of a dump and between its tables
/// (<https://github.com/postgres/postgres/blob/master/src/bin/pg_dump/pg_backup_archiver.c>). How a dump is to be read is
/// not among them.
pub(crate) const SETTINGS: [&str; 10] = [
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "transaction_timeout",
    "check_function_bodies",
    "xmloption",
    "client_min_messages",
    "row_security",
    "default_tablespace",
    "default_table_access_method",
];
/// The words by which a statement may change how the next ones are read, and as many bytes as the longest has.
const READING: [&[u8]; 2] = [b"standard_conforming_strings", b"backslash_quote"];
const SEAM: usize = 27;
/// What pg_dump says at the end.
const LAST_LINE: &[u8] = b"-- PostgreSQL database dump complete";

/// What a dump says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct About {
    /// Whether it is one of ours: complete but for what it names.
    pub(crate) ours: bool,
    pub(crate) schema: Option<String>,
    pub(crate) prefix: Option<String>,
    pub(crate) excluded: Vec<String>,
}

/// A dump, statement by statement, without what is not to be run.
pub(crate) struct Script<R> {
    splitter: Splitter<Utf8<R>>,
    pub(crate) about: About,
    /// The schema that is made before the dump is run.
    schema: String,
    /// Whether the rows that come are skipped, and whose they are.
    skip: bool,
    table: String,
    /// How many rows tables must have.
    pub(crate) counts: RowCounts,
    ended: bool,
    pub(crate) statements: u64,
    /// Where stand-ins of large objects are noted; `None`: they are left out.
    pub(crate) large_objects: Option<String>,
    /// Whether none was noted yet.
    pub(crate) no_large_object: bool,
    instead: Vec<u8>,
    /// More of the row or statement comes behind the piece that was given last.
    pub(crate) goes_on: bool,
    /// How the last piece of a statement ended.
    seam: Vec<u8>,
    /// Schemas that are there, besides the dump's: nothing in them is changed.
    pub(crate) others: Vec<String>,
    /// Those of [`SETTINGS`] that this server does not know: they are left out.
    pub(crate) unknown: Vec<&'static str>,
    /// Nothing proves whose the dump is.
    pub(crate) untrusted: bool,
}

impl<R: Read> Script<R> {
    /// Reads the lines in which a dump of ours tells what it is.
    pub(crate) fn new(input: R) -> Result<Script<R>> {
        let mut script = Script {
            splitter: Splitter::new(Utf8::new(input)),
            about: About::default(),
            schema: "public".into(),
            skip: false,
            table: String::new(),
            counts: RowCounts::default(),
            ended: false,
            statements: 0,
            large_objects: None,
            no_large_object: true,
            instead: Vec::new(),
            goes_on: false,
            seam: Vec::new(),
            others: Vec::new(),
            unknown: Vec::new(),
            untrusted: false,
        };
        script.splitter.header(|line| script.about.take(line))?;
        if let Some(schema) = &script.about.schema {
            script.schema.clone_from(schema);
        }
        Ok(script)
    }

    /// The next bytes for `psql`; `None` at the end. `takes` says of which tables the rows are wanted.
    pub(crate) fn next(&mut self, takes: &dyn Fn(&str) -> bool) -> Result<Option<&[u8]>> {
        self.instead.clear();
        loop {
            let item = self.splitter.next()?;
            self.goes_on = matches!(item, Some(Item::Piece(Piece { last: false, .. })));
            let verdict = match item {
                None => return Ok(None),
                Some(Item::Comment(line)) => {
                    self.ended |= line == LAST_LINE;
                    continue;
                }
                Some(Item::Row(_) | Item::End(_) | Item::Piece(Piece { row: true, .. })) if self.skip => {
                    continue;
                }
                Some(Item::Row(_) | Item::Piece(Piece { row: true, first: true, .. })) => {
                    self.counts.add(&self.table, || 1);
                    true
                }
                Some(Item::End(_) | Item::Piece(Piece { row: true, .. })) => true,
                Some(Item::Piece(Piece { text, first, .. })) => {
                    self.statements += u64::from(first);
                    part_of_insert(text, first, &self.others, &mut self.seam)?;
                    true
                }
                Some(Item::Command(line)) => {
                    // Newer clients put these around a dump so that nothing in it can be a command
                    // (https://www.postgresql.org/docs/current/app-psql.html); here nothing can be one anyway.
                    match line.starts_with(b"\\restrict ") || line.starts_with(b"\\unrestrict ") {
                        true => continue,
                        false => return Err(command(line)),
                    }
                }
                Some(Item::Statement(text)) => {
                    self.statements += 1;
                    self.table = copied(text).unwrap_or_default();
                    self.skip = !self.table.is_empty() && !takes(&self.table);
                    if let Some(map) = &self.large_objects
                        && let Some(instead) = large::instead(text, map, &mut self.no_large_object)
                    {
                        self.instead = instead;
                        break;
                    }
                    if self.untrusted && reaches_beyond(text) {
                        return Err(refused("that no dump of a database needs", text));
                    }
                    if let Some(other) = elsewhere(text, &self.others) {
                        return Err(refused(&format!("about another schema, {other}, which is there"), text));
                    }
                    !self.skip
                        && !makes(text, &self.others)
                        && !sets(text, &self.unknown)
                        && wanted(text, &self.schema, self.about.ours)?
                }
            };
            if verdict {
                break;
            }
        }
        Ok(if self.instead.is_empty() { self.splitter.last() } else { Some(&self.instead) })
    }

    /// Whether the dump came to its end.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }
}

impl About {
    /// Takes up a line of the header.
    fn take(&mut self, line: &str) {
        if line == FIRST_LINE {
            self.ours = true;
        } else if let Some(json) = line.strip_prefix(SCHEMA) {
            self.schema = serde_json::from_str(json).ok();
        } else if let Some(json) = line.strip_prefix(PREFIX) {
            self.prefix = serde_json::from_str(json).ok();
        } else if let Some(json) = line.strip_prefix(EXCLUDED) {
            self.excluded = serde_json::from_str(json).unwrap_or_default();
        }
    }
}

/// See [`crate::source::database::contents`].
pub(crate) fn contents(input: &mut dyn Read, monitor: &Monitor) -> Result<Contents> {
    let Script { mut splitter, about, .. } = Script::new(input)?;
    let mut contents = Contents {
        prefix: about.prefix,
        excluded: about.excluded,
        complete: about.ours,
        ..Contents::default()
    };
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let (mut rows_of, mut empty, mut ended) = (None::<usize>, true, false);
    while let Some(item) = splitter.next()? {
        let rows =
            u64::from(matches!(item, Item::Row(_) | Item::Piece(Piece { row: true, first: true, .. })));
        match item {
            Item::Statement(text) => {
                monitor.check()?;
                empty &= text.trim_ascii().is_empty();
                if let Some(name) = after(text, "CREATE TABLE ") {
                    numbers.entry(name.clone()).or_insert(contents.tables.len());
                    contents.tables.push(Table { name, rows: Some(0), bytes: text.len() as u64 });
                }
                rows_of = copied(text).and_then(|name| numbers.get(&name).copied());
            }
            Item::Piece(Piece { row: false, .. }) => {
                monitor.check()?;
                (rows_of, empty) = (None, false);
            }
            Item::Row(text) | Item::End(text) | Item::Piece(Piece { text, .. }) => {
                if let Some(table) = rows_of.and_then(|at| contents.tables.get_mut(at)) {
                    table.bytes += text.len() as u64;
                    table.rows = table.rows.map(|before| before + rows);
                }
            }
            Item::Comment(line) => ended |= line == LAST_LINE,
            Item::Command(_) => {}
        }
    }
    if empty {
        return Err(no_statement());
    }
    if !ended {
        return Err(cut_short());
    }
    contents.tables.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(contents)
}

/// See [`crate::source::digests`].
pub(crate) fn digests(input: &mut dyn Read, monitor: &Monitor) -> Result<Digests> {
    let Script { mut splitter, .. } = Script::new(input)?;
    let mut digests = Digests::default();
    let (mut rows_of, mut ended) = (None, false);
    // Of what comes in pieces.
    let mut hash = Sha256::new();
    while let Some(item) = splitter.next()? {
        match item {
            Item::Statement(text) => {
                monitor.check()?;
                rows_of = copied(text);
                if let Some(name) = &rows_of {
                    digests.tables.entry(name.clone()).or_default();
                } else if let Some(name) = after(text, "CREATE TABLE ") {
                    digests.tables.entry(name).or_default().definition.add(text);
                } else if !is_counter(text) {
                    digests.others.add(text);
                }
            }
            Item::Row(line) => {
                let table = rows_of.as_ref().and_then(|name| digests.tables.get_mut(name));
                if let Some(table) = table {
                    table.rows.add(line);
                }
            }
            Item::Piece(piece) => {
                monitor.check()?;
                hash.update(piece.text);
                if piece.last {
                    let table = rows_of.as_ref().and_then(|name| digests.tables.get_mut(name));
                    let whole = std::mem::take(&mut hash);
                    match table {
                        Some(table) if piece.row => table.rows.add_hashed(whole),
                        _ => digests.others.add_hashed(whole),
                    }
                }
            }
            Item::End(_) => {}
            Item::Comment(line) => ended |= line == LAST_LINE,
            Item::Command(_) => {}
        }
    }
    if ended { Ok(digests) } else { Err(cut_short()) }
}

/// Sets what a sequence gives next.
fn is_counter(statement: &[u8]) -> bool {
    statement.trim_ascii_start().starts_with(b"SELECT pg_catalog.setval(")
}

/// A dump whose end is missing.
pub(crate) fn cut_short() -> Error {
    Error::new(Code::Integrity, "the dump is cut short: pg_dump's last line is missing")
        .hint("use another copy of this backup")
}

/// The table whose rows follow a `COPY`, without its schema.
pub(crate) fn copied(statement: &[u8]) -> Option<String> {
    after(statement, "COPY ")
}

/// The name, without its schema, behind the first words.
fn after(statement: &[u8], words: &str) -> Option<String> {
    let text = std::str::from_utf8(statement).ok()?;
    let (first, rest) = name(text.trim_start().strip_prefix(words)?)?;
    Some(match rest.strip_prefix('.') {
        Some(rest) => name(rest)?.0,
        None => first,
    })
}

/// A name at the beginning, and what follows it.
fn name(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| c == '.' || c == '(' || c.is_whitespace())?;
        return Some((text.get(..end)?.to_owned(), text.get(end..)?));
    };
    let mut name = String::new();
    let mut rest = quoted;
    loop {
        let (part, after) = rest.split_once('"')?;
        name.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, after)),
        }
    }
}

/// Whether a statement is to be run.
fn wanted(statement: &[u8], schema: &str, ours: bool) -> Result<bool> {
    let first: Vec<String> = words(statement).take(4).collect();
    let first: Vec<&str> = first.iter().map(String::as_str).collect();
    let mentions = |what: &str| memmem::find(statement, what.as_bytes()).is_some();
    Ok(match first.as_slice() {
        // There is one transaction around everything.
        ["BEGIN" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "START" | "PREPARE" | "SAVEPOINT", ..] => false,
        // The schema is there already.
        ["CREATE", "SCHEMA", ..] => {
            !(mentions(&format!(" {schema};")) || mentions(&format!(" \"{schema}\";")))
        }
        // Wants to own what the server's administrator owns.
        ["COMMENT", "ON", "EXTENSION" | "SCHEMA", ..] => false,
        // Numbers are given anew.
        ["COMMENT" | "ALTER", "ON" | "LARGE", "LARGE" | "OBJECT", ..] => false,
        ["SET", "STANDARD_CONFORMING_STRINGS", "=", "ON"] => true,
        _ if changes_reading(statement) => return Err(unreadable(statement)),
        ["SET", "CLIENT_ENCODING", ..]
            if ["SJIS", "BIG5", "GBK", "GB18030", "UHC", "JOHAB", "SHIFT_JIS"]
                .iter()
                .any(|it| mentions(it)) =>
        {
            return Err(unreadable(statement));
        }
        // Roles of another server.
        ["GRANT" | "REVOKE", ..] | ["ALTER", "DEFAULT", "PRIVILEGES", ..] if !ours => false,
        ["ALTER", ..] if !ours && mentions(" OWNER TO ") && !mentions("\n    ADD ") => false,
        _ => true,
    })
}

/// Whether the statement sets one of these.
fn sets(statement: &[u8], settings: &[&str]) -> bool {
    if settings.is_empty() || !statement.trim_ascii_start().starts_with(b"SET") {
        return false;
    }
    let mut words = words(statement).map(|word| word.to_ascii_lowercase());
    words.next().as_deref() == Some("set")
        && words.next().is_some_and(|name| settings.contains(&name.as_str()))
}

/// Whether the statement makes a schema that is there, which takes a right even with IF NOT EXISTS.
fn makes(statement: &[u8], there: &[String]) -> bool {
    after(statement, "CREATE SCHEMA IF NOT EXISTS ").is_some_and(|name| there.contains(&name))
}

/// The schema in front of the first name of a statement that changes something, where it is one of `others`.
fn elsewhere<'o>(statement: &[u8], others: &'o [String]) -> Option<&'o String> {
    const CHANGES: [&str; 14] = [
        "INSERT INTO ",
        "UPDATE ONLY ",
        "UPDATE ",
        "DELETE FROM ONLY ",
        "DELETE FROM ",
        "TRUNCATE TABLE ",
        "TRUNCATE ",
        "COPY ",
        "DROP TABLE IF EXISTS ",
        "DROP TABLE ",
        "ALTER TABLE ONLY ",
        "ALTER TABLE ",
        "CREATE TABLE IF NOT EXISTS ",
        "CREATE TABLE ",
    ];
    let text = std::str::from_utf8(statement.get(..400).unwrap_or(statement))
        .unwrap_or_else(|error| {
            std::str::from_utf8(statement.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default()
        })
        .trim_start();
    let begins =
        |words: &&&str| text.get(..words.len()).is_some_and(|start| start.eq_ignore_ascii_case(words));
    let rest = text.get(CHANGES.iter().find(begins)?.len()..)?;
    let (first, rest) = name(rest.trim_start())?;
    let quoted = rest.starts_with('.').then_some(first)?;
    others.iter().find(|other| **other == quoted || **other == quoted.to_lowercase())
}

/// Whether a statement is about the server, its files or its roles, or could hide anything.
fn reaches_beyond(statement: &[u8]) -> bool {
    let first: Vec<String> = words(statement).take(3).collect();
    let first: Vec<&str> = first.iter().map(String::as_str).collect();
    match first.as_slice() {
        ["COPY", ..] => !is_copy(statement) || words(statement).any(|word| word == "PROGRAM"),
        ["ALTER" | "CREATE" | "DROP", what, ..] => {
            matches!(
                *what,
                "SYSTEM"
                    | "ROLE"
                    | "USER"
                    | "GROUP"
                    | "DATABASE"
                    | "TABLESPACE"
                    | "SUBSCRIPTION"
                    | "LANGUAGE"
                    | "TRUSTED"
                    | "PROCEDURAL"
                    | "OWNED"
            ) || *first == ["CREATE", "OR", "REPLACE"]
                && words(statement).nth(3).is_some_and(|word| word == "LANGUAGE")
        }
        ["SET" | "RESET", "ROLE" | "SESSION", ..] => true,
        [
            "DO" | "CALL" | "LOAD" | "EXECUTE" | "WITH" | "LISTEN" | "NOTIFY" | "CHECKPOINT" | "REASSIGN"
            | "IMPORT",
            ..,
        ] => true,
        ["SELECT", function, ..] => {
            let function = function.strip_prefix("PG_CATALOG.").unwrap_or(function);
            !["SET_CONFIG", "SETVAL", "LO_CREATE", "LO_OPEN", "LOWRITE", "LO_CLOSE", "LO_UNLINK"]
                .contains(&function)
        }
        _ => false,
    }
}

fn refused(why: &str, statement: &[u8]) -> Error {
    let what: String = words(statement).take(4).collect::<Vec<_>>().join(" ").chars().take(80).collect();
    Error::new(Code::Unsupported, format!("the dump holds a statement {why}: {what} …"))
        .hint("look at where the dump comes from; pg_dump --schema makes one of the site's schema alone")
}

/// Looks at a part of an `INSERT`, and keeps in `seam` how it ends.
fn part_of_insert(text: &[u8], first: bool, others: &[String], seam: &mut Vec<u8>) -> Result<()> {
    if first {
        seam.clear();
        if let Some(other) = elsewhere(text, others) {
            return Err(refused(&format!("about another schema, {other}, which is there"), text));
        }
    }
    seam.extend_from_slice(text.get(..SEAM).unwrap_or(text));
    if changes_reading(text) || changes_reading(seam) {
        return Err(unreadable(text));
    }
    seam.clear();
    seam.extend_from_slice(text.get(text.len().saturating_sub(SEAM)..).unwrap_or(text));
    Ok(())
}

/// Whether the statement may change how others are read.
fn changes_reading(statement: &[u8]) -> bool {
    READING.iter().any(|word| memmem::find(statement, word).is_some())
}

fn unreadable(statement: &[u8]) -> Error {
    let start = statement.trim_ascii_start();
    let start = String::from_utf8_lossy(start.get(..400).unwrap_or(start));
    let what: String = start.trim_end().chars().take(80).collect();
    Error::new(Code::Unsupported, format!("the dump changes how it is to be read: {what}"))
        .hint("dump the database again with a server whose standard_conforming_strings is on, in UTF-8")
}

fn command(line: &[u8]) -> Error {
    let what: String = String::from_utf8_lossy(line).chars().take(80).collect();
    Error::new(Code::Integrity, format!("the dump holds a command to psql, which is not run: {what}"))
        .hint("a dump made with pg_dump --create or by pg_dumpall has \\connect in it: dump the one database without")
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;
