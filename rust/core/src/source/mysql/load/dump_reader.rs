//! Reading a dump: who made it, whether it is whole, and what is to happen with each of its statements.
//!
//! Our own dumps, mysqldump's and mariadb-dump's (so Drush's), and Backup and Migrate's are known by their first
//! lines and tell by their last ones that they are whole. Of any dump at least the last statement must be.

use crate::config::Connection;
use crate::source::mysql::connect::rights::Definers;
use crate::source::mysql::connect::session::quote;
use crate::source::mysql::dump::{BROKEN, DATABASE, EXCLUDED, FIRST_LINE, LAST_LINE, MARKER, PREFIX, UNREAD};
use crate::source::sql::{
    Found, Item, Kind, Server, Splitter, Statement, Syntax, Utf8, check_reach, definer_of, is_for_others,
    names_any, no_statement, renamed, rows, trigger_table, used_database, with_known_modes, with_prefix,
    without_database, without_definer, without_schema,
};
use crate::source::table_places::{RowCounts, WantedTables};
use crate::{Code, Error, Monitor, NoteKind, Result};
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

/// What statements begin with that change no table, or not this database's (MariaDB's and MySQL's manuals, "SQL statements").
const FOREIGN: [&str; 57] = [
    "ALTER",
    "BACKUP",
    "BINLOG",
    "CACHE",
    "CALL",
    "CHANGE",
    "CHECKSUM",
    "CLONE",
    "CREATE",
    "DEALLOCATE",
    "DELETE",
    "DELIMITER",
    "DESC",
    "DESCRIBE",
    "DROP",
    "END",
    "EXECUTE",
    "EXPLAIN",
    "FLUSH",
    "GET",
    "GRANT",
    "HANDLER",
    "HELP",
    "IMPORT",
    "INSTALL",
    "KILL",
    "LOAD",
    "LOCK",
    "PREPARE",
    "PURGE",
    "RELEASE",
    "RENAME",
    "REPAIR",
    "RESET",
    "RESIGNAL",
    "RESTART",
    "REVOKE",
    "ROLLBACK",
    "SAVEPOINT",
    "SET",
    "SHUTDOWN",
    "SIGNAL",
    "SOURCE",
    "START",
    "STOP",
    "SYSTEM",
    "TABLE",
    "UNINSTALL",
    "UNLOCK",
    "USE",
    "VALUES",
    "WITH",
    "XA",
    "CONNECT",
    "TEE",
    "NOTEE",
    "PROMPT",
];

/// Who made a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Bam,
    /// mysqldump or mariadb-dump.
    DumpClient,
    BackupMigrate,
    Unknown,
}

/// What is to happen with a statement.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    /// It sets up the session: for every connection that loads, and for what comes later.
    Session(Sql<'a>),
    /// It makes or fills a table.
    Table { kind: Kind, name: String, line: u64, sql: Sql<'a> },
    /// It makes a view, trigger or the like: when the tables are in place. `undo` removes what it makes.
    Later { sql: Sql<'a>, undo: Option<String> },
}

/// A statement to be sent.
#[derive(Debug)]
pub(crate) struct Sql<'a> {
    pub(crate) text: Cow<'a, [u8]>,
    pub(crate) delimiter: &'a [u8],
    /// By which rules the server reads it.
    pub(crate) syntax: Syntax,
}

/// A dump that is being read.
pub(crate) struct DumpReader<'m> {
    splitter: Splitter<Utf8<&'m mut dyn Read>>,
    monitor: &'m Monitor,
    /// Only these tables are wanted.
    only: Option<Vec<String>>,
    counts: RowCounts,
    lenient: bool,
    /// The server that it is for, where that is known.
    server: Option<Server>,
    /// Which definers stay, and those that did not.
    definers: Definers,
    adapted: BTreeSet<String>,
    /// The database that was dumped, where the dump tells; the one that its statements use, and those that it used.
    database: Option<String>,
    using: Option<String>,
    used: BTreeSet<String>,
    /// Of a dump of several databases only this one is wanted.
    only_database: Option<String>,
    /// Views of which the dump keeps the definition alone.
    broken: Vec<String>,
    origin: Origin,
    /// Tables that were left out when the dump was made; known of our own dumps.
    excluded: Vec<String>,
    /// Tables that could not be read, or not to their end, when the dump was made, and those that are whole here.
    unread: Vec<String>,
    whole_here: BTreeSet<String>,
    prefix: Option<String>,
    /// The prefix that tables are to get.
    new_prefix: Option<String>,
    begun: u32,
    completed: u32,
    /// Whether the tables are through.
    tail: bool,
    /// The last statement's end was missing.
    cut: bool,
    statements: u64,
    /// No statement was met that a restore runs or, as it is not about what is wanted, passes over.
    empty: Cell<bool>,
}

/// The last statement of a dump by Backup and Migrate.
const BACKUP_MIGRATE_END: &[u8] = b"SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT";

impl<'m> DumpReader<'m> {
    /// `only`: the tables that are wanted, by their names in the dump with or without prefix. `lenient`: a torn dump
    /// is a note, no error.
    pub(crate) fn new(
        input: &'m mut dyn Read,
        only: Option<Vec<String>>,
        lenient: bool,
        monitor: &'m Monitor,
    ) -> Self {
        DumpReader {
            splitter: Splitter::new(Utf8::new(input)),
            monitor,
            only,
            counts: RowCounts::default(),
            lenient,
            server: None,
            definers: Definers::Strip,
            adapted: BTreeSet::new(),
            database: None,
            using: None,
            used: BTreeSet::new(),
            only_database: None,
            broken: Vec::new(),
            origin: Origin::Unknown,
            excluded: Vec::new(),
            unread: Vec::new(),
            whole_here: BTreeSet::new(),
            prefix: None,
            new_prefix: None,
            begun: 0,
            completed: 0,
            tail: false,
            cut: false,
            statements: 0,
            empty: Cell::new(true),
        }
    }

    /// The same, without what is nothing to this server.
    pub(crate) fn with_server(mut self, server: Server) -> Self {
        self.server = Some(server);
        self
    }

    /// The same, leaving definers in as they say.
    pub(crate) fn with_definers(mut self, definers: Definers) -> Self {
        self.definers = definers;
        self
    }

    /// The same, taking of a dump of several databases only this one.
    pub(crate) fn with_only_database(mut self, name: Option<String>) -> Self {
        self.only_database = name;
        self
    }

    /// The same of a dump of which parts are left out: of these tables, where they are wanted, so many rows must come.
    pub(crate) fn with_counts(mut self, counts: BTreeMap<String, u64>) -> Self {
        self.counts = RowCounts::new(counts);
        self
    }

    /// The same, for a database that has the tables `here` and keeps them where the dump does not have all of them, as is
    /// known of those that are `unread`.
    pub(crate) fn with_whole(mut self, here: Vec<String>, unread: &[String]) -> Self {
        self.whole_here = here.into_iter().collect();
        self.unread = unread.to_vec();
        self
    }

    /// The same, giving tables this prefix in place of the one that the dump tells, where it does.
    pub(crate) fn with_prefix(mut self, prefix: Option<String>) -> Self {
        self.new_prefix = prefix;
        self
    }

    /// The dump's prefix and the one that takes its place.
    pub(crate) fn translation(&self) -> Option<(&str, &str)> {
        let (from, to) = (self.prefix.as_deref()?, self.new_prefix.as_deref()?);
        (from != to).then_some((from, to))
    }

    fn renamed(&self, name: String) -> String {
        match self.translation() {
            Some((from, to)) => renamed(&name, from, to).into_owned(),
            None => name,
        }
    }

    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    /// Tables that were left out when the dump was made, by the names that they would have here.
    pub(crate) fn excluded(&self) -> Vec<String> {
        self.excluded.iter().map(|name| self.renamed(name.clone())).collect()
    }

    /// Tables that could not be read, or not to their end, when the dump was made, likewise.
    pub(crate) fn unread(&self) -> Vec<String> {
        self.unread.iter().map(|name| self.renamed(name.clone())).collect()
    }

    /// Whether nothing of the dump comes of this table, for it is not in it, or not whole, and the database's stays.
    fn stays(&self, table: &str) -> bool {
        let is_unread = self.unread.iter().any(|name| name == table);
        is_unread
            && (self.excluded.iter().any(|name| name == table)
                || self.whole_here.contains(&self.renamed(table.to_owned())))
    }

    /// The table prefix of the site that was dumped, where the dump tells.
    pub(crate) fn prefix(&self) -> Option<&str> {
        self.prefix.as_deref()
    }

    pub(crate) fn statements(&self) -> u64 {
        self.statements
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.splitter.bytes()
    }

    /// Fails where the dump, read to its end, has nothing to restore.
    pub(crate) fn check_content(&self) -> Result<()> {
        if self.empty.get() { Err(no_statement()) } else { Ok(()) }
    }

    /// The next step; `None` at the end of a dump that is whole.
    pub(crate) fn next(&mut self) -> Result<Option<Step<'_>>> {
        let Some((found, decision)) = self.find()? else {
            self.whole()?;
            return Ok(None);
        };
        self.statements += 1;
        let line = self.splitter.line(&found);
        let prefixes = self.prefix.as_deref().zip(self.new_prefix.as_deref()).filter(|(from, to)| from != to);
        let syntax = self.splitter.syntax();
        let Item::Statement { text, delimiter } = self.splitter.item(found) else { return Ok(None) };
        if let Decision::Table(Kind::Insert, name) = &decision {
            self.counts.add(name, || rows(text));
        }
        let database = self.using.as_deref().or(self.database.as_deref());
        let text = match (&decision, database) {
            (Decision::Table(Kind::Create | Kind::Alter, _), Some(database)) => {
                without_schema(text, database.as_bytes())
            }
            (Decision::Table(Kind::Insert, name), _) if self.unread.contains(name) => leniently(text),
            _ => Cow::Borrowed(text),
        };
        Ok(Some(match decision {
            Decision::Session => {
                let text = match self.server {
                    Some(server) => Cow::Owned(with_known_modes(&text, server).into_owned()),
                    None => text,
                };
                Step::Session(Sql { text, delimiter, syntax })
            }
            Decision::Table(kind, name) => match prefixes {
                Some((from, to)) => {
                    let text = Cow::Owned(with_prefix(&text, from, to).into_owned());
                    let sql = Sql { text, delimiter, syntax };
                    Step::Table { kind, name: renamed(&name, from, to).into_owned(), line, sql }
                }
                None => Step::Table { kind, name, line, sql: Sql { text, delimiter, syntax } },
            },
            Decision::Later(undo) => {
                let definer = definer_of(&text).filter(|definer| !self.definers.keeps(definer));
                let text = if definer.is_some() { without_definer(&text) } else { text };
                self.adapted.extend(definer);
                let text = Cow::Owned(without_database(&text).into_owned());
                Step::Later { sql: Sql { text, delimiter, syntax }, undo }
            }
        }))
    }

    /// The next statement that is to be run.
    fn find(&mut self) -> Result<Option<(Found, Decision)>> {
        while let Some(found) = self.splitter.advance()? {
            self.monitor.check()?;
            let (text, cut) = match self.splitter.item(found.clone()) {
                Item::Comment(text) => {
                    let text = text.to_vec();
                    self.comment(&text);
                    continue;
                }
                Item::Statement { text, .. } if text.trim_ascii().is_empty() => continue,
                Item::Statement { text, delimiter } => (text, delimiter.is_empty()),
            };
            if !self.splitter.is_certain() {
                let what =
                    "the SQL dump sets sql_mode or its character set to what only the server would know";
                return Err(Error::new(Code::Unsupported, what)
                    .hint("edit that SET statement so that it names the value itself"));
            }
            if let Some(name) = used_database(text) {
                let name = String::from_utf8_lossy(&name).into_owned();
                self.turn_to(name)?;
                continue;
            }
            let syntax = self.splitter.syntax();
            let last = memchr::memmem::find(text.get(..200).unwrap_or(text), BACKUP_MIGRATE_END).is_some();
            let for_others = self.server.is_some_and(|server| is_for_others(text, server));
            let decision = if for_others { None } else { self.decide(text, syntax)? };
            if decision.is_some() && syntax == Syntax::default() {
                let Item::Statement { delimiter, .. } = self.splitter.item(found.clone()) else { continue };
                check_reach(text, delimiter, &Statement::parse(text))?;
            }
            self.cut = cut;
            self.completed += u32::from(last && self.origin == Origin::BackupMigrate);
            match decision {
                Some(decision) if self.is_wanted_here() || matches!(decision, Decision::Session) => {
                    return Ok(Some((found, decision)));
                }
                _ => continue,
            }
        }
        Ok(None)
    }

    /// What follows is about another database: of a dump of several only one can be meant.
    fn turn_to(&mut self, name: String) -> Result<()> {
        if self.only_database.is_none()
            && let Some(first) = self.used.iter().find(|first| **first != name)
        {
            let text = format!("the SQL dump holds several databases, {first} and {name} among them");
            let hint = format!("say which one is to be restored: --only {first}, or --only {name}");
            return Err(Error::new(Code::Unsupported, text).hint(hint));
        }
        self.used.insert(name.clone());
        self.using = Some(name);
        Ok(())
    }

    /// Says what the dump has that did not come through as it is; once it is read.
    pub(crate) fn tell(&self, connection: &Connection) {
        if let Some((from, to)) = self.translation() {
            let text =
                format!("the backup's tables have the prefix \"{from}\": they get the site's, \"{to}\"");
            self.monitor.note(NoteKind::Info, text);
        }
        if self.splitter.input().is_utf16() {
            self.monitor.note(NoteKind::Info, "the SQL dump is in UTF-16: it was read as such");
        }
        for view in &self.broken {
            let text = format!(
                "view {view} did not work when the backup was made: the dump keeps its definition in a comment, and \
                 nothing of it was loaded"
            );
            self.monitor.note(NoteKind::Missing, text);
        }
        if !self.adapted.is_empty() {
            let names: Vec<&str> = self.adapted.iter().map(String::as_str).collect();
            let why = match self.definers {
                Definers::Strip => {
                    format!("{} may set no other (GRANT SET USER ON *.*)", connection.user)
                }
                _ => "this server has no such account".to_owned(),
            };
            let text = format!(
                "views, triggers and routines that ran as {} now run as {}: {why}",
                names.join(", "),
                connection.user
            );
            self.monitor.note(NoteKind::Info, text);
        }
    }

    /// Whether the database that is being used is the one that is wanted.
    fn is_wanted_here(&self) -> bool {
        match (&self.only_database, &self.using) {
            (Some(only), Some(using)) => only == using,
            _ => true,
        }
    }

    fn comment(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        if line == FIRST_LINE {
            (self.origin, self.begun) = (Origin::Bam, self.begun + 1);
        } else if line.starts_with("-- MySQL dump ") || line.starts_with("-- MariaDB dump ") {
            (self.origin, self.begun) = (Origin::DumpClient, self.begun + 1);
        } else if line.starts_with("-- Backup and Migrate (Drupal)") {
            (self.origin, self.begun) = (Origin::BackupMigrate, self.begun + 1);
        } else if line.starts_with(LAST_LINE) {
            self.completed += 1;
        } else if self.origin == Origin::DumpClient && line.starts_with("-- Host: ") {
            // -- Host: localhost    Database: d7
            let name = line.split_once("Database: ").map(|(_, name)| name.trim().to_owned());
            self.database = name.filter(|name| !name.is_empty());
        } else if self.origin == Origin::Bam {
            let names = |text: &str| -> Vec<String> {
                let names = json(text);
                let names = names.as_ref().and_then(serde_json::Value::as_array).into_iter().flatten();
                names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
            };
            if let Some(excluded) = line.strip_prefix(EXCLUDED) {
                self.excluded.extend(names(excluded));
            } else if let Some(unread) = line.strip_prefix(UNREAD) {
                for name in names(unread) {
                    if !self.unread.contains(&name) {
                        self.unread.push(name);
                    }
                }
            } else if let Some(name) = line.strip_prefix(DATABASE).and_then(json) {
                self.database = name.as_str().map(str::to_owned);
            } else if let Some(view) = line.strip_prefix(BROKEN).and_then(json) {
                self.broken.extend(view.get("view").and_then(|name| name.as_str()).map(str::to_owned));
            } else if let Some(prefix) = line.strip_prefix(PREFIX).and_then(json) {
                self.prefix = prefix.as_str().map(str::to_owned);
            } else if line == MARKER {
                self.tail = true;
            }
        }
    }

    fn wanted(&self, table: &str) -> bool {
        let (theirs, ours) = (self.prefix.as_deref(), self.new_prefix.as_deref());
        WantedTables { only: self.only.as_deref(), theirs, ours }.has(table)
    }

    /// What is to happen with a statement; `None`: nothing.
    fn decide(&self, text: &[u8], syntax: Syntax) -> Result<Option<Decision>> {
        let statement = Statement::parse_as(text, syntax);
        // What only drops gives nothing back.
        if !matches!(statement.kind, Kind::Foreign | Kind::Idle | Kind::Lock | Kind::Transaction | Kind::Drop)
        {
            self.empty.set(false);
        }
        if !self.is_wanted_here() && statement.kind != Kind::Set {
            return Ok(None);
        }
        if let Some(database) = &statement.database {
            let (database, name) =
                (String::from_utf8_lossy(database), String::from_utf8_lossy(&statement.name));
            return Err(Error::new(
                Code::Unsupported,
                format!("the SQL dump is about another database: {database}.{name}"),
            )
            .hint("make a dump whose statements name no database, or take the names out"));
        }
        let name = String::from_utf8_lossy(&statement.name).into_owned();
        Ok(match statement.kind {
            Kind::Set => Some(Decision::Session),
            Kind::Foreign => {
                self.ignore(text)?;
                None
            }
            Kind::Idle | Kind::Lock | Kind::Transaction => None,
            // Views' stand-ins; the tables are full by then.
            Kind::Drop if self.tail => None,
            kind @ (Kind::Create | Kind::Drop | Kind::Insert | Kind::Alter) => {
                let wanted = self.wanted(&name) && !self.stays(&name);
                wanted.then_some(Decision::Table(kind, name))
            }
            Kind::Charset => self.only.is_none().then_some(Decision::Later(None)),
            Kind::View | Kind::Routine => {
                let table = trigger_table(text).map(|table| String::from_utf8_lossy(&table).into_owned());
                if table.as_deref().is_some_and(|table| self.stays(table)) {
                    return Ok(None);
                }
                let wanted = self.only.is_none() || table.is_some_and(|table| self.wanted(&table));
                if wanted
                    && let Some((from, _)) = self.translation()
                    && (from.is_empty() || names_any(text, from.as_bytes()))
                {
                    let text = format!(
                        "{} {name} cannot be given another table prefix: the backup's is \"{from}\"",
                        statement.object
                    );
                    return Err(Error::new(Code::Unsupported, text).hint(
                        "restore into a database of its own with --into-database, or give the site the backup's prefix",
                    ));
                }
                let undo = format!("DROP {} IF EXISTS {}", statement.object, quote(&name));
                // Packages are known in Oracle's mode alone, where the dump drops them.
                let undo = (statement.creates && !statement.object.starts_with("PACKAGE")).then_some(undo);
                wanted.then_some(Decision::Later(undo))
            }
        })
    }

    /// Says once for each kind of statement that it was left out; fails where it is none, of which a server would make an error, too.
    fn ignore(&self, text: &[u8]) -> Result<()> {
        let words = first_words(text);
        let first = words.split(' ').next().unwrap_or_default();
        if !FOREIGN.contains(&first.to_ascii_uppercase().as_str()) {
            let text = format!("the SQL dump has what is no statement of MariaDB's or MySQL's: {words}");
            return Err(Error::new(Code::Integrity, text).hint("it is damaged, or no dump: use another copy"));
        }
        let text = format!("the SQL dump's statements {words} were not run");
        if !self.monitor.notes().iter().any(|note| note.text == text) {
            self.monitor.note(NoteKind::Info, text);
        }
        Ok(())
    }

    /// Fails where the dump was cut short.
    fn whole(&self) -> Result<()> {
        if let Some(only) = &self.only_database
            && !self.used.contains(only)
            && (!self.used.is_empty() || self.database.as_ref().is_some_and(|name| name != only))
        {
            let named = self.used.iter().chain(self.database.as_ref().filter(|_| self.used.is_empty()));
            let names: Vec<&str> = named.map(String::as_str).collect();
            let text = format!("the SQL dump has no database {only}; it has {}", names.join(", "));
            return Err(Error::new(Code::NotFound, text).hint("give --only one of these"));
        }
        let torn = self.splitter.torn() || self.cut || self.completed < self.begun;
        if !torn {
            return self.counts.check(|table| self.wanted(table) && !self.stays(table));
        }
        if self.lenient {
            self.monitor.note(NoteKind::Missing, "the SQL dump was cut short: its last tables are missing");
            return Ok(());
        }
        Err(Error::new(Code::Integrity, "the SQL dump was cut short: its end is missing")
            .hint("use another copy or an older backup"))
    }
}

enum Decision {
    Session,
    Table(Kind, String),
    Later(Option<String>),
}

/// An INSERT that passes over rows that the server refuses: what was read last of a damaged table may be anything.
fn leniently(text: &[u8]) -> Cow<'_, [u8]> {
    match text.strip_prefix(b"INSERT INTO ") {
        Some(rest) => Cow::Owned([b"INSERT IGNORE INTO ", rest].concat()),
        None => Cow::Borrowed(text),
    }
}

/// `CREATE DATABASE`, for a message; what follows could be anything.
fn first_words(text: &[u8]) -> String {
    let words = text.split(|byte| !byte.is_ascii_alphabetic()).filter(|word| !word.is_empty());
    words.take(2).map(|word| String::from_utf8_lossy(word).to_uppercase()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[path = "dump_reader_tests.rs"]
mod tests;
