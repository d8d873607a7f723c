//! Questions to the server, through its own `psql`: one process for each. Rows of tables never pass here.

use super::client;
use crate::config::Connection;
use crate::source::answer::{Allowance, MOST, too_long};
use crate::{Code, Error, Monitor, Result};
use std::io::{Read, Write};
use std::process::Stdio;

/// Between columns; between rows there is a NUL, which no text of the server holds.
const COLUMN: char = '\u{1f}';
/// What the program may take, in bytes and in seconds of work: much more than any answer that we take. Waiting is none.
const MEMORY: u64 = 512 << 20;
const PROCESSOR: u64 = 3;
const SEPARATOR: u8 = COLUMN as u8;

/// Options of every `psql`: no file of the user's, no talk, an end at the first error, SQLSTATEs in errors.
pub(crate) fn options() -> Vec<String> {
    ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--set=VERBOSITY=verbose", "--file=-"]
        .map(String::from)
        .into()
}

/// Runs statements and gives all rows that they answer; NULL comes as an empty text.
pub(crate) fn rows(connection: &Connection, sql: &str, monitor: &Monitor) -> Result<Vec<Vec<String>>> {
    let mut arguments = options();
    arguments.extend(["--no-align", "--tuples-only", "--record-separator-zero"].map(String::from));
    arguments.push(format!("--field-separator={COLUMN}"));
    let mut tool = client::spawn("psql", connection, &arguments, Stdio::piped(), Stdio::piped())?;
    // It keeps the whole answer until it has its end, and passes over what it has no room for.
    tool.limit(MEMORY, PROCESSOR);
    let sent = tool.input(monitor).and_then(|mut input| {
        // Errors name values in no other encoding, and nothing waits for ever behind somebody's lock.
        input.write_all(b"SET client_encoding = 'UTF8'; SET lock_timeout = '30s';\n")?;
        input.write_all(sql.as_bytes())?;
        input.write_all(b";\n")
    });
    let mut answer = Vec::new();
    let got = tool.output(monitor, None).and_then(|output| output.take(MOST as u64).read_to_end(&mut answer));
    monitor.check()?;
    if answer.len() >= MOST {
        return Err(too_long());
    }
    // A client that ended without reading says why.
    client::outcome(tool, "psql", connection)?;
    sent?;
    got?;
    let text = String::from_utf8(answer)
        .map_err(|cause| Error::new(Code::Database, "the server did not answer in UTF-8").because(cause))?;
    let values = text.bytes().filter(|byte| matches!(*byte, 0 | b'\n' | SEPARATOR)).count();
    Allowance::kept().take(2 * values, text.len())?;
    let records = text.split(['\0', '\n']).filter(|record| !record.is_empty());
    Ok(records.map(|record| record.split(COLUMN).map(str::to_owned).collect()).collect())
}

/// Statements that are done all or not at all, and in turn with those of the same `turn`: also behind a client that
/// outlived a killed run.
pub(crate) fn transaction(
    connection: &Connection,
    turn: &str,
    statements: &[String],
    monitor: &Monitor,
) -> Result<()> {
    let sql = format!("{}BEGIN;\n{};\nCOMMIT", my_turn(turn), statements.join(";\n"));
    rows(connection, &sql, monitor).map(drop)
}

/// Waits until whoever has this turn is done, and takes it until the connection ends. A server that can (14 and later, on
/// Linux) looks whether the client is still there: one that was cancelled shall not keep its locks while it waits for more.
pub(crate) fn my_turn(turn: &str) -> String {
    format!(
        "SELECT pg_catalog.set_config(name, '500', false) FROM pg_catalog.pg_settings \
         WHERE name = 'client_connection_check_interval' AND pg_catalog.version() LIKE '%linux%'; \
         SET lock_timeout = '300s'; SELECT pg_catalog.pg_advisory_lock(pg_catalog.hashtext({})); SET lock_timeout = '30s';\n",
        string(turn)
    )
}

/// A name as SQL writes it.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string as SQL writes it, whatever `standard_conforming_strings` says.
pub(crate) fn string(value: &str) -> String {
    match value.contains('\\') {
        true => format!("E'{}'", value.replace('\\', "\\\\").replace('\'', "''")),
        false => format!("'{}'", value.replace('\'', "''")),
    }
}

/// A row's columns.
pub(crate) fn columns<const N: usize>(row: Vec<String>) -> Result<[String; N]> {
    row.try_into().map_err(|_| Error::new(Code::Database, "the server gave an answer of another shape"))
}
