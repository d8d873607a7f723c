//! Passing on what pg_dump says, and noting meanwhile where the rows of each table stand.

use super::super::load::script::copied;
use super::super::load::splitter::{Item, Splitter};
use crate::source::pgsql::connect::session::quote;
use crate::source::table_places::{PlacedTable, TablePlaces};
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Cursor, Read, Write};
use std::ops::Range;

/// What was passed on.
pub(super) struct Copied {
    pub(super) bytes: u64,
    /// Rows and bytes of each table, and whose rows stand where.
    tables: HashMap<String, (u64, u64)>,
    ranges: Vec<(String, Range<u64>)>,
}

impl Copied {
    /// In a dump that had `before` bytes; `tables` are all that it has.
    pub(super) fn places(self, before: u64, prefix: &str, tables: Vec<String>) -> TablePlaces {
        let mut tables: Vec<PlacedTable> = tables
            .into_iter()
            .map(|name| {
                let (rows, bytes) = self.tables.get(&name).copied().unwrap_or_default();
                PlacedTable { name, rows: Some(rows), bytes }
            })
            .collect();
        tables.sort_by(|a, b| a.name.cmp(&b.name));
        let numbers: HashMap<&str, usize> =
            tables.iter().enumerate().map(|(at, table)| (table.name.as_str(), at)).collect();
        let place = |(name, range): &(String, Range<u64>)| {
            numbers.get(name.as_str()).map(|at| (*at, range.start + before..range.end + before))
        };
        let ranges = self.ranges.iter().filter_map(place).collect();
        TablePlaces { prefix: prefix.to_owned(), ranges, tables }
    }
}

/// Passes on all that pg_dump says. It makes the schema, which a new database has already: psql alone would complain.
pub(super) fn run(output: impl Read, schema: &str, out: &mut dyn Write) -> io::Result<Copied> {
    let mut through = Through { input: Unless::new(output, schema), out, bytes: 0 };
    let mut splitter = Splitter::new(&mut through);
    let (mut tables, mut ranges) = (HashMap::new(), Vec::<(String, Range<u64>)>::new());
    // Where the piece begins; nothing but comments came since the last rows.
    let (mut start, mut near) = (0, false);
    while let Some(item) = splitter.next()? {
        let table = match item {
            Item::Statement(text) => Some(copied(text)),
            Item::Comment(_) => None,
            Item::Row(_) | Item::End(_) | Item::Piece(_) | Item::Command(_) => Some(None),
        };
        let (rows, bytes) = splitter.pass_rows()?;
        let end = splitter.end();
        match table {
            Some(Some(name)) if bytes > 0 => {
                // Comments between belong to nobody; so what need not be read is one stretch.
                if let Some((_, last)) = ranges.last_mut().filter(|_| near) {
                    last.end = start;
                }
                let sum: &mut (u64, u64) = tables.entry(name.clone()).or_default();
                *sum = (sum.0 + rows, sum.1 + bytes);
                ranges.push((name, start..end));
                near = true;
            }
            Some(_) => near = false,
            None => {}
        }
        start = end;
    }
    drop(splitter);
    Ok(Copied { bytes: through.bytes, tables, ranges })
}

/// Writes whatever is read of it.
struct Through<'w, R> {
    input: R,
    out: &'w mut dyn Write,
    bytes: u64,
}

impl<R: Read> Read for Through<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.input.read(buffer)?;
        self.out.write_all(buffer.get(..got).unwrap_or_default())?;
        self.bytes += got as u64;
        Ok(got)
    }
}

/// The dump, in which the schema is made unless it is there. Nothing else is changed, least of all rows.
struct Unless<'s, R> {
    input: BufReader<R>,
    schema: &'s str,
    line: Cursor<Vec<u8>>,
    /// No line is looked at any more.
    done: bool,
}

impl<'s, R: Read> Unless<'s, R> {
    fn new(output: R, schema: &'s str) -> Self {
        let input = BufReader::with_capacity(256 * 1024, output);
        Unless { input, schema, line: Cursor::default(), done: false }
    }
}

impl<R: Read> Read for Unless<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.line.read(buffer)?;
        if got > 0 || buffer.is_empty() {
            return Ok(got);
        }
        if self.done {
            return self.input.read(buffer);
        }
        let mut line = Vec::new();
        self.input.read_until(b'\n', &mut line)?;
        let makes = line.strip_prefix(b"CREATE SCHEMA ").and_then(|rest| rest.strip_suffix(b";\n"));
        let ours =
            makes.is_some_and(|name| name == self.schema.as_bytes() || name == quote(self.schema).as_bytes());
        if ours {
            line = format!("CREATE SCHEMA IF NOT EXISTS {};\n", quote(self.schema)).into_bytes();
        }
        // Rows come behind all schemas.
        self.done = ours || line.is_empty() || line.starts_with(b"COPY ");
        self.line = Cursor::new(line);
        self.line.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_noted_and_nothing_but_the_schema_is_changed() {
        let dump = "--\n-- x\n--\n\nCREATE SCHEMA public;\nCREATE TABLE public.a (x text);\n\n\
            CREATE FUNCTION f() AS $$\nCOPY a FROM stdin;\n$$;\n\
            --\n-- Data\n--\n\nCOPY public.a (x) FROM stdin;\n1\nCREATE SCHEMA public;\n\\.\n\n\n\
            -- Data\n\nCOPY public.\"b c\" (x) FROM stdin;\n\\.\n\n\nSELECT 1;\n\
            COPY public.a (x) FROM stdin;\n2\n\\.\n-- end\n";
        let mut out = Vec::new();
        let copied = run(dump.as_bytes(), "public", &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        let expected = dump.replacen("CREATE SCHEMA", "CREATE SCHEMA IF NOT EXISTS", 1).replacen(
            "public;",
            "\"public\";",
            1,
        );
        assert_eq!(out, expected);
        assert_eq!(copied.bytes, out.len() as u64);
        let places = copied.places(100, "p_", vec!["none".into(), "b c".into(), "a".into()]);
        assert!(places.makes_sense());
        let tables: Vec<_> = places.tables.iter().map(|it| (it.name.as_str(), it.rows, it.bytes)).collect();
        assert_eq!(tables, [("a", Some(3), 2 + 22 + 3 + 2 + 3), ("b c", Some(0), 3), ("none", Some(0), 0)]);
        let told: Vec<(usize, &str)> = places
            .ranges
            .iter()
            .map(|(table, range)| (*table, &out[range.start as usize - 100..range.end as usize - 100]))
            .collect();
        assert_eq!(
            told,
            [
                (0, "\nCOPY public.a (x) FROM stdin;\n1\nCREATE SCHEMA public;\n\\.\n\n\n-- Data\n"),
                (1, "\nCOPY public.\"b c\" (x) FROM stdin;\n\\.\n"),
                (0, "\nCOPY public.a (x) FROM stdin;\n2\n\\.\n"),
            ]
        );
    }
}
