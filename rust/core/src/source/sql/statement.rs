//! What one SQL statement does, as far as loading a dump must know: the kind, and the table it is about.

use super::syntax::Syntax;
use super::tokens::{Token, Tokens, is_word};
use std::borrow::Cow;
use std::ops::Range;

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Changes the session: `SET …`.
    Set,
    /// Changes the server or another session (`SET GLOBAL`, `GRANT`, `USE` …), or is nothing that a dump holds.
    Foreign,
    /// Asks for nothing that matters here: `SET sql_log_bin`, `ANALYZE TABLE`.
    Idle,
    /// `CREATE TABLE`, `CREATE SEQUENCE`.
    Create,
    /// `DROP TABLE`, `DROP SEQUENCE`.
    Drop,
    /// Rows of one table: `INSERT`, `REPLACE`.
    Insert,
    /// Any other change of one table: `ALTER TABLE`, `CREATE INDEX`, `UPDATE`, `DELETE`, `TRUNCATE`, `SETVAL`.
    Alter,
    /// `LOCK TABLES`, `UNLOCK TABLES`.
    Lock,
    /// `START TRANSACTION`, `BEGIN`, `COMMIT`.
    Transaction,
    /// Creates or drops a view.
    View,
    /// Creates or drops a trigger, procedure, function or event.
    Routine,
    /// `ALTER DATABASE … CHARACTER SET`, which dumps put around routines.
    Charset,
}

/// One statement and what is known of it.
#[derive(Debug, Clone)]
pub(crate) struct Statement<'a> {
    /// What it does.
    pub(crate) kind: Kind,
    /// Whether it begins with `CREATE`.
    pub(crate) creates: bool,
    /// For views and routines what they are: `VIEW`, `TRIGGER` …
    pub(crate) object: &'static str,
    /// The object it is about, unquoted; of several the first. Empty where there is none.
    pub(crate) name: Cow<'a, [u8]>,
    /// Where the name stands in the text, quotes included.
    pub(crate) at: Range<usize>,
    /// The database that the text puts before the name.
    pub(crate) database: Option<Cow<'a, [u8]>>,
}

impl<'a> Statement<'a> {
    /// Looks at the beginning of `text`.
    pub(crate) fn parse(text: &'a [u8]) -> Statement<'a> {
        Statement::parse_as(text, Syntax::default())
    }

    /// The same where the server reads strings by other rules.
    pub(crate) fn parse_as(text: &'a [u8], syntax: Syntax) -> Statement<'a> {
        let mut tokens = Tokens::with(text, syntax);
        let creates = tokens.clone().take(b"CREATE");
        let kind = tokens.kind();
        let object = tokens.object;
        let mut statement =
            Statement { kind, creates, object, name: Cow::Borrowed(b""), at: 0..0, database: None };
        let named = !matches!(
            kind,
            Kind::Set | Kind::Foreign | Kind::Idle | Kind::Transaction | Kind::Lock | Kind::Charset
        );
        if named && let Some(name) = tokens.name() {
            (statement.name, statement.at) = (name.unquoted(text), name.at.clone());
            let mut after = tokens.clone();
            if after.next().is_some_and(|dot| dot.is(text, b"."))
                && let Some(name) = after.name()
            {
                statement.database = Some(std::mem::replace(&mut statement.name, name.unquoted(text)));
                statement.at = name.at;
            }
            // DROP TABLE a, b: one foreign name taints the list.
            while kind == Kind::Drop && statement.database.is_none() && tokens.take(b",") {
                let name = tokens.name();
                if tokens.take(b".") {
                    statement.database = name.map(|name| name.unquoted(text));
                }
            }
        }
        statement
    }
}

/// `ALTER DATABASE name CHARACTER SET …` without the name: it is about the current database then.
pub(crate) fn without_database(text: &[u8]) -> Cow<'_, [u8]> {
    let mut tokens = Tokens::new(text);
    if tokens.kind() == Kind::Charset
        && !tokens.clone().take_any(&[b"CHARACTER", b"CHARSET", b"COLLATE", b"DEFAULT"])
        && let Some(name) = tokens.name()
    {
        let (before, after) = (text.get(..name.at.start), text.get(name.at.end..));
        return Cow::Owned([before.unwrap_or_default(), after.unwrap_or_default()].concat());
    }
    Cow::Borrowed(text)
}

/// The database that the statements after `USE name` are about.
pub(crate) fn used_database(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut tokens = Tokens::new(text);
    if !tokens.take(b"USE") {
        return None;
    }
    // As the client reads it: up to the line's end, quoted or not.
    let name = tokens.next()?;
    match text.get(name.at.start) {
        Some(b'`' | b'"') => Some(name.unquoted(text)),
        _ => Some(Cow::Borrowed(text.get(name.at.start..)?.trim_ascii_end())),
    }
}

/// The table of a trigger: `CREATE … TRIGGER name BEFORE INSERT ON table …`.
pub(crate) fn trigger_table(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut tokens = Tokens::new(text);
    tokens.kind();
    if tokens.object != "TRIGGER" {
        return None;
    }
    while !tokens.next()?.is(text, b"ON") {}
    let name = tokens.name()?;
    match tokens.take(b".") {
        true => tokens.name().map(|name| name.unquoted(text)),
        false => Some(name.unquoted(text)),
    }
}

/// The tables that foreign keys refer to, and where their names stand: `REFERENCES name (…)`.
pub(crate) fn referenced_tables(text: &[u8]) -> Vec<(Range<usize>, Cow<'_, [u8]>)> {
    let mut tokens = Tokens::new(text);
    let mut found = Vec::new();
    while let Some(token) = tokens.next() {
        if token.is(text, b"REFERENCES")
            && let Some(name) = tokens.name()
        {
            found.push((name.at.clone(), name.unquoted(text)));
        }
    }
    found
}

/// Whether a name that begins with `prefix` stands anywhere outside strings and comments.
pub(crate) fn names_any(text: &[u8], prefix: &[u8]) -> bool {
    let mut tokens = Tokens::new(text);
    while let Some(token) = tokens.next() {
        if text.get(token.at.start) != Some(&b'\'') && token.unquoted(text).starts_with(prefix) {
            return true;
        }
    }
    false
}

/// The text without its `DEFINER = user`, so that whoever loads it becomes the definer.
pub(crate) fn without_definer(text: &[u8]) -> Cow<'_, [u8]> {
    match definer(text) {
        Some(at) => {
            let (before, after) = (text.get(..at.start), text.get(at.end..));
            Cow::Owned([before.unwrap_or_default(), after.unwrap_or_default()].concat())
        }
        None => Cow::Borrowed(text),
    }
}

/// The text of a CREATE TABLE or VIEW with sequences and columns of `database` named without it: servers put the database
/// before sequences that defaults take their numbers from, and before some columns, and a copy would count with the
/// original's.
pub(crate) fn without_schema<'t>(text: &'t [u8], database: &[u8]) -> Cow<'t, [u8]> {
    let quoted = format!("`{}`.`", String::from_utf8_lossy(database).replace('`', "``"));
    if memchr::memmem::find(text, quoted.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let (mut out, mut done) = (Vec::new(), 0);
    let mut tokens = Tokens::new(text);
    while let Some(token) = tokens.next() {
        // `database`.`table`.`column`
        if text.get(token.at.start) == Some(&b'`') && token.unquoted(text) == database {
            let mut after = tokens.clone();
            if after.take(b".") {
                let rest = after.at;
                if after.name().is_some() && after.take(b".") {
                    out.extend_from_slice(text.get(done..token.at.start).unwrap_or_default());
                    done = rest;
                    tokens = after;
                }
            }
            continue;
        }
        if ![b"NEXTVAL".as_slice(), b"LASTVAL", b"SETVAL"].iter().any(|word| token.is(text, word))
            || !tokens.take(b"(")
        {
            continue;
        }
        if let Some(name) = tokens.name()
            && name.unquoted(text) == database
            && tokens.take(b".")
        {
            out.extend_from_slice(text.get(done..name.at.start).unwrap_or_default());
            done = tokens.at;
        }
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    out.extend_from_slice(text.get(done..).unwrap_or_default());
    Cow::Owned(out)
}

/// The text of a CREATE TABLE without folders for the table's files (`DATA DIRECTORY`, `INDEX DIRECTORY`).
pub(crate) fn without_directories(text: &[u8]) -> Cow<'_, [u8]> {
    let (mut out, mut done) = (Vec::new(), 0);
    let mut tokens = Tokens::new(text);
    while let Some(token) = tokens.next() {
        if !token.is(text, b"DATA") && !token.is(text, b"INDEX") || !tokens.take(b"DIRECTORY") {
            continue;
        }
        tokens.take(b"=");
        let folder = tokens.next();
        if folder.is_some_and(|folder| text.get(folder.at.start) == Some(&b'\'')) {
            out.extend_from_slice(text.get(done..token.at.start).unwrap_or_default());
            done = tokens.at;
        }
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    out.extend_from_slice(text.get(done..).unwrap_or_default());
    Cow::Owned(out)
}

/// All names in `text`, and what could be one, outside strings and comments.
pub(crate) fn names_in(text: &[u8]) -> Vec<Cow<'_, [u8]>> {
    let mut tokens = Tokens::new(text);
    let mut names = Vec::new();
    while let Some(token) = tokens.next() {
        if text.get(token.at.start).is_some_and(|&byte| is_word(byte) || byte == b'`' || byte == b'"') {
            names.push(token.unquoted(text));
        }
    }
    names
}

/// Who a view or routine runs as, `user@host` without quotes, where the text says so.
pub(crate) fn definer_of(text: &[u8]) -> Option<String> {
    let clause = text.get(definer(text)?)?;
    let mut tokens = Tokens::new(clause);
    (tokens.take(b"DEFINER") && tokens.take(b"=")).then_some(())?;
    let user = tokens.next()?;
    let plain = |token: &Token| {
        let name = token.unquoted(clause);
        let name = name.strip_prefix(b"'").and_then(|name| name.strip_suffix(b"'")).unwrap_or(&name);
        String::from_utf8_lossy(name).into_owned()
    };
    let host = if tokens.take(b"@") { tokens.next().map(|host| plain(&host)) } else { None };
    Some(format!("{}@{}", plain(&user), host.unwrap_or_default()))
}

/// Whether one of `words` comes in `text`, outside quotes and comments.
pub(crate) fn has_word(text: &[u8], words: &[&[u8]]) -> bool {
    Tokens::new(text).has_any(words)
}

/// The first word or sign of `text`, after `skipped` where that comes first.
pub(crate) fn token_after<'a>(text: &'a [u8], skipped: &[u8]) -> &'a [u8] {
    let mut tokens = Tokens::new(text);
    tokens.take(skipped);
    tokens.next().and_then(|token| text.get(token.at)).unwrap_or_default()
}

/// Where the definer clause stands: before the word that says what is created.
fn definer(text: &[u8]) -> Option<Range<usize>> {
    let mut tokens = Tokens::new(text);
    if !tokens.next()?.is(text, b"CREATE") {
        return None;
    }
    let start = loop {
        let token = tokens.next()?;
        if token.is(text, b"DEFINER") {
            break token.at.start;
        }
        if [b"VIEW".as_slice(), b"TRIGGER", b"PROCEDURE", b"FUNCTION", b"EVENT", b"PACKAGE", b"TABLE"]
            .iter()
            .any(|word| token.is(text, word))
        {
            return None;
        }
    };
    if !tokens.next()?.is(text, b"=") {
        return None;
    }
    let user = tokens.next()?;
    let mut end = user.at.end;
    let mut after = tokens.clone();
    // user@host, or CURRENT_USER with or without ().
    let joined = after.next();
    if joined.as_ref().is_some_and(|sign| sign.is(text, b"@") || sign.is(text, b"(")) {
        end = after.next()?.at.end;
    }
    Some(start..end)
}

impl Tokens<'_> {
    /// Reads up to where the name of the object stands.
    fn kind(&mut self) -> Kind {
        let Some(verb) = self.next() else { return Kind::Idle };
        let verb = self.text.get(verb.at).unwrap_or_default().to_ascii_uppercase();
        match verb.as_slice() {
            b"INSERT" | b"REPLACE" => {
                while self.take_any(&[b"LOW_PRIORITY", b"HIGH_PRIORITY", b"DELAYED", b"IGNORE"]) {}
                self.take(b"INTO");
                Kind::Insert
            }
            b"SET" => self.set(),
            b"CREATE" => self.create(),
            b"DROP" => self.drop(),
            b"ALTER" => {
                if self.take_any(&[b"DATABASE", b"SCHEMA"]) {
                    return Kind::Charset;
                }
                while self.take_any(&[b"ONLINE", b"IGNORE"]) {}
                if !self.take_any(&[b"TABLE", b"SEQUENCE"]) || self.has_any(&[b"RENAME", b"EXCHANGE"]) {
                    return Kind::Foreign;
                }
                self.if_exists();
                Kind::Alter
            }
            b"TRUNCATE" => {
                self.take(b"TABLE");
                Kind::Alter
            }
            b"UPDATE" => {
                while self.take_any(&[b"LOW_PRIORITY", b"IGNORE"]) {}
                Kind::Alter
            }
            b"DELETE" => {
                while self.take_any(&[b"LOW_PRIORITY", b"QUICK", b"IGNORE"]) {}
                match self.take(b"FROM") {
                    true => Kind::Alter,
                    false => Kind::Foreign,
                }
            }
            b"DO" | b"SELECT" => match self.take(b"SETVAL") && self.take(b"(") {
                true => Kind::Alter,
                false => Kind::Idle,
            },
            b"LOCK" | b"UNLOCK" => match self.take_any(&[b"TABLES", b"TABLE"]) {
                true => Kind::Lock,
                false => Kind::Foreign,
            },
            b"START" => match self.take(b"TRANSACTION") {
                true => Kind::Transaction,
                false => Kind::Foreign,
            },
            b"BEGIN" | b"COMMIT" => Kind::Transaction,
            b"ANALYZE" | b"OPTIMIZE" | b"CHECK" | b"SHOW" => Kind::Idle,
            _ => Kind::Foreign,
        }
    }

    fn set(&mut self) -> Kind {
        const BEYOND: [&[u8]; 6] =
            [b"GLOBAL", b"PERSIST", b"PERSIST_ONLY", b"PASSWORD", b"ROLE", b"STATEMENT"];
        // Anywhere: SET a = 1, GLOBAL b = 2.
        if self.has_any(&BEYOND) {
            Kind::Foreign
        } else if self.has_any(&[b"SQL_LOG_BIN"]) {
            Kind::Idle
        } else {
            Kind::Set
        }
    }

    /// Whether one of `words` comes anywhere later, outside quotes.
    fn has_any(&self, words: &[&[u8]]) -> bool {
        let mut tokens = self.clone();
        while let Some(token) = tokens.next() {
            if words.iter().any(|word| token.is(self.text, word)) {
                return true;
            }
        }
        false
    }

    fn create(&mut self) -> Kind {
        if self.take(b"OR") {
            self.take(b"REPLACE");
        }
        loop {
            if self.take_any(&[b"TABLE", b"SEQUENCE"]) {
                self.if_exists();
                return Kind::Create;
            }
            if let Some(kind) = self.take_object() {
                self.if_exists();
                return kind;
            }
            if self.take(b"INDEX") {
                while let Some(token) = self.next() {
                    if token.is(self.text, b"ON") {
                        return Kind::Alter;
                    }
                }
                return Kind::Foreign;
            }
            let here = self.at;
            match self.next() {
                Some(token)
                    if [
                        b"DATABASE".as_slice(),
                        b"SCHEMA",
                        b"USER",
                        b"ROLE",
                        b"SERVER",
                        b"TABLESPACE",
                        b"LOGFILE",
                        b"(",
                    ]
                    .iter()
                    .any(|word| token.is(self.text, word)) =>
                {
                    return Kind::Foreign;
                }
                Some(_) if self.at > here => {}
                _ => return Kind::Foreign,
            }
        }
    }

    fn drop(&mut self) -> Kind {
        self.take(b"TEMPORARY");
        let kind = if self.take_any(&[b"TABLE", b"TABLES", b"SEQUENCE"]) {
            Kind::Drop
        } else if let Some(kind) = self.take_object() {
            kind
        } else {
            return Kind::Foreign;
        };
        self.if_exists();
        kind
    }

    /// Takes the word for a view or routine.
    fn take_object(&mut self) -> Option<Kind> {
        let objects = ["VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "EVENT", "PACKAGE"];
        self.object = objects.into_iter().find(|object| self.take(object.as_bytes()))?;
        if self.object == "PACKAGE" && self.take(b"BODY") {
            self.object = "PACKAGE BODY";
        }
        Some(if self.object == "VIEW" { Kind::View } else { Kind::Routine })
    }

    fn if_exists(&mut self) {
        if self.take(b"IF") {
            self.take(b"NOT");
            self.take(b"EXISTS");
        }
    }
}

#[cfg(test)]
#[path = "statement_tests.rs"]
mod tests;
