//! Rows by the server's protocol, as INSERTs: what a dump client does, in a thread of our own.

use super::inserts::{BLOCK, Event, Inserts, Layout};
use crate::config::Connection;
use crate::source::mysql::connect::wire;
use crate::{Code, Error, Fact, Result};
use crossbeam_channel::Sender;
use mysql::prelude::Queryable;
use mysql::{Conn, Row, Value};

/// Comes before the first row: as dump clients do it. The server waits for us however slow a destination is.
const SNAPSHOT: [&str; 4] = [
    // For MySQL, a statement of a comment alone would be an empty one, and an error.
    "SET SESSION time_zone='+00:00', net_read_timeout=86400, net_write_timeout=86400 \
     /*M!100100 , max_statement_time=0 */",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "START TRANSACTION WITH CONSISTENT SNAPSHOT",
    "SAVEPOINT bam",
];
/// After each table, so that it may be altered again.
const LET_GO: &str = "ROLLBACK TO SAVEPOINT bam";

/// Rows of some tables that are wanted.
pub(crate) struct Select {
    conn: Conn,
    connection: Connection,
    tables: Vec<Layout>,
    /// What cannot be read is told and left.
    ignore_errors: bool,
}

impl Select {
    pub(crate) fn new(
        conn: Conn,
        connection: &Connection,
        tables: Vec<Layout>,
        ignore_errors: bool,
    ) -> Select {
        Select { conn, connection: connection.clone(), tables, ignore_errors }
    }

    /// Sends everything. It ends when nobody listens any more, but only once the server gives something.
    pub(crate) fn run(mut self, to: &Sender<Result<Event>>) {
        let end = self.send(to).map(|()| Event::End);
        let _ = to.send(end);
    }

    fn send(&mut self, to: &Sender<Result<Event>>) -> Result<()> {
        wire::run(&mut self.conn, &SNAPSHOT, &self.connection)?;
        hand_over(to, Event::Started)?;
        let mut inserts = Inserts::default();
        for table in std::mem::take(&mut self.tables) {
            match self.table(&table, &mut inserts, to) {
                Ok(()) => {}
                Err(error)
                    if self.ignore_errors && error.code() != Code::Cancelled && self.conn.ping().is_ok() =>
                {
                    end(&table, &mut inserts, to)?;
                    let label = self.connection.label();
                    let text = format!("database {label}: table {}: {error}", table.name);
                    hand_over(to, Event::Unread(vec![table.table], Some(text)))?;
                }
                Err(error) => return Err(error.within(Fact::Object, format!("table {}", table.name))),
            }
        }
        match inserts.out.is_empty() {
            true => Ok(()),
            false => hand_over(to, Event::Rows(inserts.take(0))),
        }
    }

    fn table(&mut self, table: &Layout, inserts: &mut Inserts, to: &Sender<Result<Event>>) -> Result<()> {
        let failed = |error| wire::failed(error, &self.connection);
        let rows = self.conn.query_iter(format!("SELECT {} FROM {}", table.values, table.name));
        let rows = rows.map_err(failed)?;
        // A table that cannot be read at all is nowhere in the dump.
        inserts.begin(table);
        for row in rows {
            let row = row.map_err(failed)?;
            let length = (0..row.len()).map(|at| row.as_ref(at).map_or(0, length)).sum();
            inserts.row(table, length, |out| tuple(&row, &table.numbers, out)).ok_or_else(wire::shape)?;
            if inserts.out.len() >= BLOCK {
                hand_over(to, Event::Rows(inserts.take(BLOCK + BLOCK / 4)))?;
            }
        }
        end(table, inserts, to)?;
        wire::run(&mut self.conn, &[LET_GO], &self.connection)
    }
}

/// The table gives no more.
fn end(table: &Layout, inserts: &mut Inserts, to: &Sender<Result<Event>>) -> Result<()> {
    match inserts.end(table) {
        Some(rows) => hand_over(to, Event::Counted(table.table.clone(), rows)),
        None => Ok(()),
    }
}

fn hand_over(to: &Sender<Result<Event>>, event: Event) -> Result<()> {
    to.send(Ok(event)).map_err(|_| Error::new(Code::Cancelled, "nobody takes the rows any more"))
}

fn length(value: &Value) -> usize {
    match value {
        Value::Bytes(bytes) => bytes.len() + 3,
        _ => 5,
    }
}

/// `(1,'it\'s',NULL)`; `None` where the row has another number of columns, or something that is no text.
fn tuple(row: &Row, numbers: &[bool], out: &mut Vec<u8>) -> Option<()> {
    if numbers.is_empty() {
        // All its columns are computed.
        out.extend_from_slice(b"()");
        return Some(());
    }
    if row.len() != numbers.len() {
        return None;
    }
    let mut open = b'(';
    for (at, &number) in numbers.iter().enumerate() {
        out.push(open);
        open = b',';
        match row.as_ref(at)? {
            Value::NULL => out.extend_from_slice(b"NULL"),
            Value::Bytes(bytes) if number => out.extend_from_slice(bytes),
            Value::Bytes(bytes) => quote(bytes, out),
            _ => return None,
        }
    }
    out.push(b')');
    Some(())
}

/// How many bytes are looked at in one go.
const LOOK: usize = 32;

/// What stands behind a backslash for each byte that mysqldump escapes, but for the double quote; 0 for the others. Line
/// breaks are escaped, so that a `;` at a line's end is always the end of a statement.
const ESCAPED: [u8; 256] = {
    let mut escaped = [0; 256];
    escaped[0] = b'0';
    escaped[b'\n' as usize] = b'n';
    escaped[b'\r' as usize] = b'r';
    escaped[0x1a] = b'Z';
    escaped[b'\\' as usize] = b'\\';
    escaped[b'\'' as usize] = b'\'';
    escaped
};

/// A string literal.
fn quote(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() + 2);
    out.push(b'\'');
    let (whole, rest) = bytes.as_chunks::<LOOK>();
    for some in whole {
        // Of a known length and without a branch for each byte: so the compiler looks at all in a few instructions.
        let special = some.iter().fold(0, |any, &byte| any | is_special(byte));
        if special == 0 { out.extend_from_slice(some) } else { escape(some, out) }
    }
    escape(rest, out);
    out.push(b'\'');
}

/// Of at most [`LOOK`] bytes.
fn escape(some: &[u8], out: &mut Vec<u8>) {
    let (mut to, mut length) = ([0; 2 * LOOK], 0);
    for &byte in some {
        let escaped = ESCAPED[usize::from(byte)];
        let is = escaped != 0;
        // The remainders cost nothing, and spare the bounds' checks.
        to[length % (2 * LOOK)] = b'\\';
        length += usize::from(is);
        to[length % (2 * LOOK)] = if is { escaped } else { byte };
        length += 1;
    }
    out.extend_from_slice(to.get(..length).unwrap_or_default());
}

fn is_special(byte: u8) -> u8 {
    let is = |special: u8| u8::from(byte == special);
    is(0) | is(b'\n') | is(b'\r') | is(0x1a) | is(b'\\') | is(b'\'')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_is_one_line_and_comes_back() {
        let mut out = Vec::new();
        quote(b"it's\0 a\\b\r\n\x1a\"", &mut out);
        assert_eq!(String::from_utf8_lossy(&out), r#"'it\'s\0 a\\b\r\n\Z"'"#);
        // Whatever stands before it in its chunk.
        for before in 0..2 * LOOK {
            let mut out = Vec::new();
            quote(&[&vec![b'x'; before][..], b"\n"].concat(), &mut out);
            assert_eq!(out, [b"'", &vec![b'x'; before][..], br"\n'"].concat());
        }
    }
}
