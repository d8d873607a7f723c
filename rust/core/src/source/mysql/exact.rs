//! Rows of tables with FLOAT columns, which dump clients round to six digits.
//!
//! The SQL client asks for such a column as a DOUBLE, and every value comes back as it was. Its batch mode writes one
//! row a line, columns between tabs, and escapes line breaks, tabs, NULs and backslashes just as SQL strings do; so
//! a row becomes a tuple by quoting. A column of our own says first which columns are NULL.

use super::client::{self, Program};
use super::schema::Table;
use super::session::quote;
use crate::config::Connection;
use crate::source::tool::Tool;
use crate::{Code, Error, Result};
use memchr::memchr_iter;
use rustix::fs::MemfdFlags;
use std::fs::File;
use std::io::{self, BufRead, Read, Seek, Write};
use std::process::Stdio;

/// Where a statement ends and the next begins: what dump clients do by default (`net_buffer_length`).
const STATEMENT: usize = 1_000_000;
/// Comes before each table's rows, which begin with 0 or 1.
const TABLE: &[u8] = b"bam-table";
/// Comes last.
const END: &[u8] = b"bam-end";

/// What the client is asked for, so what its output means.
pub(crate) struct Plan {
    tables: Vec<Layout>,
}

struct Layout {
    name: String,
    /// `INSERT INTO … VALUES`.
    insert: String,
    /// Which columns are numbers, written without quotes.
    numbers: Vec<bool>,
    keys: bool,
}

/// Starts a client that reads these tables, of which the columns must be known, in a snapshot of its own.
pub(crate) fn start(connection: &Connection, tables: &[&Table]) -> Result<(Tool, &'static str, Plan)> {
    // The snapshot comes before the first output. The server waits for us however slow a destination is.
    let mut script = String::from(
        "SET SESSION sql_mode='', time_zone='+00:00', net_write_timeout=86400;\n\
         /*M!100100 SET SESSION max_statement_time=0 */;\n\
         SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ;\n\
         START TRANSACTION WITH CONSISTENT SNAPSHOT;\n",
    );
    let mut plan = Plan { tables: Vec::with_capacity(tables.len()) };
    for table in tables {
        let name = quote(&table.name);
        let list = |of: &dyn Fn(&super::schema::Column) -> String, between: &str| {
            table.columns.iter().map(of).collect::<Vec<_>>().join(between)
        };
        let nulls = list(&|column| format!("{} IS NULL", quote(&column.name)), ", ");
        let values = list(&|column| quote(&column.name) + if column.float { "+0e0" } else { "" }, ", ");
        script.push_str(&format!(
            "SELECT '{}';\nSELECT CONCAT({nulls}), {values} FROM {name};\n",
            String::from_utf8_lossy(TABLE)
        ));
        let columns = list(&|column| quote(&column.name), ",");
        plan.tables.push(Layout {
            insert: format!("INSERT INTO {name} ({columns}) VALUES\n"),
            name,
            numbers: table.columns.iter().map(|column| column.number).collect(),
            keys: !table.transactions,
        });
    }
    script.push_str(&format!("SELECT '{}';\n", String::from_utf8_lossy(END)));
    // A file in memory: unlike a pipe it holds any length before somebody reads.
    let mut file = File::from(rustix::fs::memfd_create("bam", MemfdFlags::CLOEXEC).map_err(io::Error::from)?);
    file.write_all(script.as_bytes())?;
    file.rewind()?;
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
pub(crate) struct Inserts<R> {
    input: R,
    tables: std::vec::IntoIter<Layout>,
    table: Option<Layout>,
    line: Vec<u8>,
    out: Vec<u8>,
    given: usize,
    /// Length of the statement being written; 0 between statements.
    statement: usize,
    ended: bool,
}

impl<R: BufRead> Inserts<R> {
    pub(crate) fn new(input: R, plan: Plan) -> Self {
        Inserts {
            input,
            tables: plan.tables.into_iter(),
            table: None,
            line: Vec::new(),
            out: Vec::new(),
            given: 0,
            statement: 0,
            ended: false,
        }
    }

    /// Waits for the first output.
    pub(crate) fn wait(&mut self) -> io::Result<()> {
        self.input.fill_buf().map(drop)
    }

    /// Turns one more line into SQL.
    fn advance(&mut self) -> Result<()> {
        self.line.clear();
        self.input.read_until(b'\n', &mut self.line)?;
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        if line == TABLE || line == END {
            self.ended = line == END;
            let next = if self.ended { None } else { self.tables.next() };
            self.change_table(next);
            return Ok(());
        }
        if line.is_empty() {
            // The client ended early; its exit status says why.
            self.ended = true;
            self.out.clear();
            return Ok(());
        }
        let shape = || Error::new(Code::Database, "the server gave a row of another shape");
        let table = self.table.as_ref().ok_or_else(shape)?;
        if self.statement > 0 && self.statement + line.len() > STATEMENT {
            self.out.extend_from_slice(b";\n");
            self.statement = 0;
        }
        let before = self.out.len();
        let start: &[u8] = if self.statement == 0 { table.insert.as_bytes() } else { b",\n" };
        self.out.extend_from_slice(start);
        tuple(line, &table.numbers, &mut self.out).ok_or_else(shape)?;
        self.statement += self.out.len() - before;
        Ok(())
    }

    fn change_table(&mut self, next: Option<Layout>) {
        if self.statement > 0 {
            self.out.extend_from_slice(b";\n");
            self.statement = 0;
        }
        // As dump clients do, for engines that then build their indexes at once.
        let mut keys = |table: &Option<Layout>, what: &str| {
            if let Some(table) = table.as_ref().filter(|table| table.keys) {
                let statement = format!("/*!40000 ALTER TABLE {} {what} KEYS */;\n", table.name);
                self.out.extend_from_slice(statement.as_bytes());
            }
        };
        keys(&self.table, "ENABLE");
        keys(&next, "DISABLE");
        self.table = next;
    }
}

/// `(1,'it\'s',NULL)`; `None` where the line has another number of columns.
fn tuple(line: &[u8], numbers: &[bool], out: &mut Vec<u8>) -> Option<()> {
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

impl<R: BufRead> Read for Inserts<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.out.len() {
            if self.ended {
                return Ok(0);
            }
            self.out.clear();
            self.given = 0;
            self.advance()?;
        }
        let mut rest = self.out.get(self.given..).unwrap_or_default();
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
