//! Rows of tables with FLOAT columns, which dump clients round to six digits.
//!
//! The SQL client asks for such a column as a DOUBLE, and every value comes back as it was. Its batch mode writes one
//! row a line, columns between tabs, and escapes line breaks, tabs, NULs and backslashes just as SQL strings do; so
//! a row becomes a tuple by quoting. A column of our own says first which columns are NULL.

use super::inserts::{Inserts, Layout};
use crate::config::Connection;
use crate::source::mysql::connect::client::{self, Program};
use crate::source::mysql::connect::session::quote;
use crate::source::mysql::schema::TableSchema;
use crate::source::tool::Tool;
use crate::{Code, Error, Result};
use memchr::memchr_iter;
use std::io::{self, BufRead, Read};
use std::process::Stdio;

/// Comes before each table's rows, which begin with 0 or 1.
const TABLE: &[u8] = b"bam-table";
/// Comes last.
const END: &[u8] = b"bam-end";

/// What the client is asked for, so what its output means.
pub(crate) struct ExactPlan {
    tables: Vec<Layout>,
}

/// Starts a client that reads these tables, of which the columns must be known, in a snapshot of its own.
pub(crate) fn start(
    connection: &Connection,
    tables: &[&TableSchema],
) -> Result<(Tool, &'static str, ExactPlan)> {
    // The snapshot comes before the first output. The server waits for us however slow a destination is.
    let mut script = String::from(
        "SET SESSION sql_mode='', time_zone='+00:00', net_write_timeout=86400;\n\
         /*M!100100 SET SESSION max_statement_time=0 */;\n\
         SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ;\n\
         START TRANSACTION WITH CONSISTENT SNAPSHOT;\n",
    );
    let mut plan = ExactPlan { tables: Vec::with_capacity(tables.len()) };
    for table in tables {
        let layout = Layout::of(table);
        let nulls = table.columns.iter().map(|column| format!("{} IS NULL", quote(&column.name)));
        let nulls = nulls.collect::<Vec<_>>().join(", ");
        let nulls = if nulls.is_empty() { "'-'".to_owned() } else { format!("CONCAT({nulls})") };
        script.push_str(&format!(
            "SELECT '{}';\nSELECT {nulls}, {} FROM {};\n",
            String::from_utf8_lossy(TABLE),
            layout.values,
            layout.name,
        ));
        plan.tables.push(layout);
    }
    script.push_str(&format!("SELECT '{}';\n", String::from_utf8_lossy(END)));
    // A file in memory: unlike a pipe it holds any length before somebody reads.
    let file = crate::child::memory_file_of(script.as_bytes())?;
    let arguments = [
        "--batch",
        "--skip-column-names",
        "--quick",
        "--unbuffered",
        "--binary-mode",
        "--database",
        &connection.name,
    ];
    let (tool, name) =
        client::spawn(Program::Client, connection, arguments, None, file.into(), Stdio::piped())?;
    Ok((tool, name, plan))
}

/// The client's output as INSERTs.
pub(crate) struct Lines<R> {
    input: R,
    tables: std::vec::IntoIter<Layout>,
    table: Option<Layout>,
    line: Vec<u8>,
    inserts: Inserts,
    given: usize,
    ended: bool,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R, plan: ExactPlan) -> Self {
        Lines {
            input,
            tables: plan.tables.into_iter(),
            table: None,
            line: Vec::new(),
            inserts: Inserts::default(),
            given: 0,
            ended: false,
        }
    }

    /// Waits for the first output.
    pub(crate) fn wait(&mut self) -> io::Result<()> {
        self.input.fill_buf().map(drop)
    }

    /// Tables that the client did not get to the end of, once it has ended.
    pub(crate) fn unread(self) -> Vec<String> {
        self.table.into_iter().chain(self.tables).map(|table| table.table).collect()
    }

    /// Turns one more line into SQL.
    fn advance(&mut self) -> Result<()> {
        self.line.clear();
        self.input.read_until(b'\n', &mut self.line)?;
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        if line == TABLE || line == END {
            self.ended = line == END;
            if let Some(table) = self.table.take() {
                self.inserts.end(&table);
            }
            self.table = if self.ended { None } else { self.tables.next() };
            if let Some(table) = &self.table {
                self.inserts.begin(table);
            }
            return Ok(());
        }
        if line.is_empty() {
            // The client ended early; its exit status says why. What is written must be a statement all the same.
            self.ended = true;
            if let Some(table) = &self.table {
                self.inserts.end(table);
            }
            return Ok(());
        }
        let table = self.table.as_ref();
        let written = table
            .and_then(|table| self.inserts.row(table, line.len(), |out| tuple(line, &table.numbers, out)));
        written.ok_or_else(|| Error::new(Code::Database, "the server gave a row of another shape"))
    }
}

/// `(1,'it\'s',NULL)`; `None` where the line has another number of columns.
fn tuple(line: &[u8], numbers: &[bool], out: &mut Vec<u8>) -> Option<()> {
    if numbers.is_empty() {
        // All its columns are computed.
        out.extend_from_slice(b"()");
        return Some(());
    }
    let mut fields = line.split(|&byte| byte == b'\t');
    let nulls = fields.next().filter(|nulls| nulls.len() == numbers.len())?;
    let mut open = b'(';
    for (&null, &number) in nulls.iter().zip(numbers) {
        let field = fields.next()?;
        out.push(open);
        open = b',';
        match null {
            b'1' => out.extend_from_slice(b"NULL"),
            _ if number => out.extend_from_slice(field),
            _ => {
                out.push(b'\'');
                let mut from = 0;
                for quote in memchr_iter(b'\'', field) {
                    out.extend_from_slice(field.get(from..quote)?);
                    out.push(b'\\');
                    from = quote;
                }
                out.extend_from_slice(field.get(from..)?);
                out.push(b'\'');
            }
        }
    }
    out.push(b')');
    match fields.next() {
        None => Some(()),
        Some(_) => None,
    }
}

impl<R: BufRead> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.inserts.out.len() {
            if self.ended {
                return Ok(0);
            }
            self.inserts.out.clear();
            self.given = 0;
            self.advance()?;
        }
        let mut rest = self.inserts.out.get(self.given..).unwrap_or_default();
        let n = rest.read(buffer)?;
        self.given += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_a_tuple() {
        let mut out = Vec::new();
        tuple(b"00100\t-1.5\tit's \\n'\tNULL\t\tNULL", &[true, false, false, false, false], &mut out)
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&out), r"(-1.5,'it\'s \n\'',NULL,'','NULL')");
        assert!(tuple(b"00\t1", &[true, true], &mut out).is_none());
        assert!(tuple(b"00\t1\t2\t3", &[true, true], &mut out).is_none());
        assert!(tuple(b"0\t1\t2", &[true, true], &mut out).is_none());
    }
}
