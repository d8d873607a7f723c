//! What of a dump is run on a restore: everything but what belongs to the server it came from - owners, grants,
//! transactions of its own - and nothing that is not SQL.

use super::splitter::{Item, Splitter, words};
use crate::source::database::{Contents, Table};
use crate::{Code, Error, Monitor, Result};
use std::io::Read;

/// A dump of ours begins with this line.
pub(crate) const FIRST_LINE: &str = "-- bam PostgreSQL dump 1";
/// Before what the dump calls its schema, as JSON.
pub(crate) const SCHEMA: &str = "-- bam-schema: ";
/// Before the site's table prefix.
pub(crate) const PREFIX: &str = "-- bam-prefix: ";
/// Before the list of tables that were left out although the database has them.
pub(crate) const EXCLUDED: &str = "-- bam-excluded: ";
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
    splitter: Splitter<R>,
    pub(crate) about: About,
    /// The schema that is made before the dump is run.
    schema: String,
    /// Whether the rows that come are skipped.
    skip: bool,
    ended: bool,
    pub(crate) statements: u64,
}

impl<R: Read> Script<R> {
    /// Reads the lines in which a dump of ours tells what it is.
    pub(crate) fn new(input: R) -> Result<Script<R>> {
        let mut script = Script {
            splitter: Splitter::new(input),
            about: About::default(),
            schema: "public".into(),
            skip: false,
            ended: false,
            statements: 0,
        };
        script.splitter.header(|line| script.about.take(line))?;
        if let Some(schema) = &script.about.schema {
            script.schema.clone_from(schema);
        }
        Ok(script)
    }

    /// The next bytes for `psql`; `None` at the end. `takes` says of which tables the rows are wanted.
    pub(crate) fn next(&mut self, takes: &dyn Fn(&str) -> bool) -> Result<Option<&[u8]>> {
        loop {
            let verdict = match self.splitter.next()? {
                None => return Ok(None),
                Some(Item::Comment(line)) => {
                    self.ended |= line == LAST_LINE;
                    continue;
                }
                Some(Item::Row(_)) if self.skip => continue,
                Some(Item::Row(_)) => true,
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
                    self.skip = copied(text).is_some_and(|table| !takes(&table));
                    !self.skip && wanted(text, &self.schema, self.about.ours)?
                }
            };
            if verdict {
                break;
            }
        }
        Ok(self.splitter.last())
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
    let mut rows_of = None;
    while let Some(item) = splitter.next()? {
        match item {
            Item::Statement(text) => {
                monitor.check()?;
                if let Some(name) = after(text, "CREATE TABLE ") {
                    contents.tables.push(Table { name, rows: Some(0), bytes: text.len() as u64 });
                }
                rows_of = copied(text).and_then(|name| contents.tables.iter().position(|it| it.name == name));
            }
            Item::Row(line) => {
                if let Some(table) = rows_of.and_then(|at| contents.tables.get_mut(at)) {
                    table.bytes += line.len() as u64;
                    table.rows = table.rows.map(|rows| rows + u64::from(line.trim_ascii_end() != b"\\."));
                }
            }
            Item::Comment(_) | Item::Command(_) => {}
        }
    }
    contents.tables.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(contents)
}

/// The table whose rows follow a `COPY`, without its schema.
fn copied(statement: &[u8]) -> Option<String> {
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
    let text = String::from_utf8_lossy(statement);
    let mentions = |what: &str| text.contains(what);
    Ok(match first.as_slice() {
        // There is one transaction around everything.
        ["BEGIN" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "START" | "PREPARE" | "SAVEPOINT", ..] => false,
        // The schema is there already.
        ["CREATE", "SCHEMA", ..] => {
            !(mentions(&format!(" {schema};")) || mentions(&format!(" \"{schema}\";")))
        }
        // Wants to own what the server's administrator owns.
        ["COMMENT", "ON", "EXTENSION" | "SCHEMA", ..] => false,
        // A setting of PostgreSQL 17's clients that older servers refuse.
        ["SET", "TRANSACTION_TIMEOUT", ..] => false,
        ["SET", "STANDARD_CONFORMING_STRINGS", "=", "ON"] => true,
        _ if mentions("standard_conforming_strings") || mentions("backslash_quote") => {
            return Err(unreadable(&text));
        }
        ["SET", "CLIENT_ENCODING", ..]
            if ["SJIS", "BIG5", "GBK", "GB18030", "UHC", "JOHAB", "SHIFT_JIS"]
                .iter()
                .any(|it| mentions(it)) =>
        {
            return Err(unreadable(&text));
        }
        // Roles of another server.
        ["GRANT" | "REVOKE", ..] | ["ALTER", "DEFAULT", "PRIVILEGES", ..] if !ours => false,
        ["ALTER", ..] if !ours && mentions(" OWNER TO ") && !mentions("\n    ADD ") => false,
        _ => true,
    })
}

fn unreadable(statement: &str) -> Error {
    let what: String = statement.trim().chars().take(80).collect();
    Error::new(Code::Unsupported, format!("the dump changes how it is to be read: {what}"))
        .hint("dump the database again with a server whose standard_conforming_strings is on, in UTF-8")
}

fn command(line: &[u8]) -> Error {
    let what: String = String::from_utf8_lossy(line).chars().take(80).collect();
    Error::new(Code::Integrity, format!("the dump holds a command to psql, which is not run: {what}"))
        .hint("a dump made with pg_dump --create or by pg_dumpall has \\connect in it: dump the one database without")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str, takes: &dyn Fn(&str) -> bool) -> Result<String> {
        let mut script = Script::new(text.as_bytes())?;
        let mut all = Vec::new();
        while let Some(piece) = script.next(takes)? {
            all.extend_from_slice(piece);
        }
        Ok(String::from_utf8_lossy(&all).split_whitespace().collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn what_belongs_to_another_server_is_left_out() {
        let foreign = "SET transaction_timeout = 0;\nBEGIN;\nCREATE SCHEMA public;\nALTER TABLE public.t OWNER TO x;\n\
                       GRANT ALL ON t TO y;\nCREATE TABLE t (a int);\nCOMMENT ON EXTENSION plpgsql IS 'x';\nCOMMIT;\n";
        assert_eq!(run(foreign, &|_| true).expect("read"), "CREATE TABLE t (a int);");
        assert_eq!(run("CREATE SCHEMA other;", &|_| true).expect("read"), "CREATE SCHEMA other;");
    }

    #[test]
    fn commands_to_psql_are_refused() {
        for bad in [
            "\\! touch /tmp/x\n",
            "SELECT 1 \\g |sh\n",
            "\\connect other\n",
            "SET standard_conforming_strings = off;\n",
        ] {
            assert!(run(bad, &|_| true).is_err(), "{bad}");
        }
        assert_eq!(run("\\restrict a1\nSELECT 1;\n\\unrestrict a1\n", &|_| true).expect("read"), "SELECT 1;");
    }

    #[test]
    fn the_header_is_read_and_rows_of_other_tables_are_left_out() {
        let text = format!(
            "{FIRST_LINE}\n{SCHEMA}\"pub lic\"\n{PREFIX}\"d7_\"\n{EXCLUDED}[\"x\"]\n\nCREATE TABLE a ();\n\
             COPY \"pub lic\".a (b) FROM stdin;\n1\n\\.\nCOPY \"pub lic\".\"c \"\"d\" (b) FROM stdin;\n2\n\\.\n\
             --\n-- PostgreSQL database dump complete\n--\n"
        );
        let mut script = Script::new(text.as_bytes()).expect("read");
        let about = About {
            ours: true,
            schema: Some("pub lic".into()),
            prefix: Some("d7_".into()),
            excluded: vec!["x".into()],
        };
        assert_eq!(script.about, about);
        assert!(!script.ended());
        while script.next(&|_| true).expect("read").is_some() {}
        assert!(script.ended());
        let some = run(&text, &|name| name == "c \"d").expect("read");
        let contents = contents(&mut text.as_bytes(), &Monitor::new()).expect("read");
        assert_eq!(contents.tables, [Table { name: "a".into(), rows: Some(1), bytes: 24 }]);
        assert!(!some.contains(".a (b)") && some.contains("2 \\."), "{some}");
    }
}
