//! SQL as the client reads it: statements with their delimiters.

use super::dump_reader::Sql;
use std::io::{self, Write};

/// Writes statements one after another, changing the delimiter where one needs it.
pub(crate) struct Script<W> {
    out: W,
    delimiter: Vec<u8>,
}

impl<W: Write> Script<W> {
    pub(crate) fn new(out: W) -> Self {
        Script { out, delimiter: b";".to_vec() }
    }

    /// Writes a statement as the dump has it.
    pub(crate) fn sql(&mut self, sql: &Sql<'_>) -> io::Result<()> {
        if !sql.delimiter.is_empty() && sql.delimiter != self.delimiter {
            self.delimiter = sql.delimiter.to_vec();
            self.out.write_all(b"DELIMITER ")?;
            self.out.write_all(sql.delimiter)?;
            self.out.write_all(b"\n")?;
        }
        self.statement(&sql.text)
    }

    /// Writes a statement of ours.
    pub(crate) fn statement(&mut self, text: &[u8]) -> io::Result<()> {
        self.out.write_all(text)?;
        self.out.write_all(&self.delimiter)?;
        self.out.write_all(b"\n")
    }

    pub(crate) fn into_out(self) -> W {
        self.out
    }
}
