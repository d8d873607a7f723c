//! Noting where the rows of each table stand, while they are written.
//!
//! What is noted is read off the bytes themselves, whichever client they are from: rows escape line breaks, so that a `;`
//! at a line's end ends a statement, and its beginning names the table. Names could hold that, too: then nothing is noted.

use crate::source::mysql::schema::Schema;
use crate::source::sql::{Kind, Statement};
use crate::source::table_places::{PlacedTable, TablePlaces};
use memchr::memmem;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::ops::Range;

/// So much of a statement has the name of its table: 64 characters, quoted.
const HEAD: usize = 1024;
const END: &[u8] = b";\n";

/// Passes rows on and notes where they stand.
pub(super) struct Noting<'w> {
    out: &'w mut dyn Write,
    /// Where in the dump the next byte goes.
    at: u64,
    /// Where the statement begins that is being written, and the front of it.
    start: u64,
    head: Vec<u8>,
    /// The last byte may be the first of its end.
    half: bool,
    numbers: HashMap<String, usize>,
    places: TablePlaces,
}

impl<'w> Noting<'w> {
    /// `at`: bytes of the dump before these. `None` where names could be taken for the end of a statement.
    pub(super) fn new(out: &'w mut dyn Write, at: u64, schema: &Schema, prefix: &str) -> Option<Self> {
        let broken = |name: &str| name.contains('\n');
        let odd = schema
            .tables
            .iter()
            .any(|table| broken(&table.name) || table.columns.iter().any(|column| broken(&column.name)));
        if odd {
            return None;
        }
        let tables: Vec<PlacedTable> = schema
            .tables
            .iter()
            .map(|table| PlacedTable { name: table.name.clone(), rows: (!table.rows).then_some(0), bytes: 0 })
            .collect();
        let numbers = tables.iter().enumerate().map(|(at, table)| (table.name.clone(), at)).collect();
        let places = TablePlaces { prefix: prefix.to_owned(), tables, ranges: Vec::new() };
        Some(Noting { out, at, start: at, head: Vec::with_capacity(HEAD), half: false, numbers, places })
    }

    /// What was noted, with the rows that were counted.
    pub(super) fn finish(mut self, counts: &BTreeMap<String, u64>) -> TablePlaces {
        for table in &mut self.places.tables {
            table.rows = table.rows.or_else(|| counts.get(&table.name).copied());
        }
        self.places
    }

    fn note(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        if std::mem::take(&mut self.half) && rest.first() == Some(&b'\n') {
            rest = self.end(1, rest);
        }
        while let Some(found) = memmem::find(rest, END) {
            rest = self.end(found + END.len(), rest);
        }
        self.take_head(rest);
        self.at += rest.len() as u64;
        self.half = rest.last() == Some(&b';');
    }

    fn take_head(&mut self, bytes: &[u8]) {
        let room = HEAD - self.head.len().min(HEAD);
        self.head.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
    }

    /// A statement ends behind the first `length` bytes; gives what follows.
    fn end<'b>(&mut self, length: usize, bytes: &'b [u8]) -> &'b [u8] {
        let (last, rest) = bytes.split_at(length.min(bytes.len()));
        self.take_head(last);
        self.at += last.len() as u64;
        let range = self.start..self.at;
        self.start = self.at;
        self.statement(range);
        self.head.clear();
        rest
    }

    fn statement(&mut self, range: Range<u64>) {
        let statement = Statement::parse(&self.head);
        let behind = self.places.ranges.last_mut().filter(|(_, last)| last.end == range.start);
        match statement.kind {
            Kind::Insert | Kind::Alter if statement.database.is_none() => {
                let name = String::from_utf8_lossy(&statement.name);
                let Some(&number) = self.numbers.get(name.as_ref()) else { return };
                if let Some(table) = self.places.tables.get_mut(number) {
                    table.bytes += (range.end - range.start).saturating_sub(END.len() as u64);
                }
                match behind.filter(|(table, _)| *table == number) {
                    Some((_, last)) => last.end = range.end,
                    None => self.places.ranges.push((number, range)),
                }
            }
            // Of no use without the rows before it.
            Kind::Transaction => {
                if let Some((_, last)) = behind {
                    last.end = range.end;
                }
            }
            _ => {}
        }
    }
}

impl Write for Noting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.note(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::mysql::schema::TableSchema;

    fn schema(names: &[&str]) -> Schema {
        let table = |name: &&str| TableSchema {
            name: (*name).to_owned(),
            rows: true,
            transactions: true,
            size: 0,
            index_size: 0,
            own_rows: true,
            sequence: false,
            versioned: false,
            columns: Vec::new(),
            partial: false,
        };
        Schema { tables: names.iter().map(table).collect(), ..Schema::default() }
    }

    fn noted(parts: &[&str], cut: usize) -> (String, TablePlaces) {
        let text = parts.concat();
        let schema = schema(&["a", "b`;c", "für"]);
        let mut out = Vec::new();
        let mut noting = Noting::new(&mut out, 100, &schema, "p_").unwrap();
        for chunk in text.as_bytes().chunks(cut) {
            noting.write_all(chunk).unwrap();
        }
        let places = noting.finish(&[("a".to_owned(), 7)].into());
        (text, places)
    }

    #[test]
    fn ranges_hold_whole_statements_of_one_table() {
        let parts = [
            "INSERT INTO `a` VALUES\n(1,';\\n'),\n(2,'INSERT INTO `für` VALUES');\n",
            "INSERT INTO `a` VALUES\n(3,'');\n",
            "COMMIT;\n",
            "/*!40000 ALTER TABLE `b``;c` DISABLE KEYS */;\n",
            "INSERT INTO `b``;c` (`x`) VALUES\n(1);\n",
            "COMMIT;\n",
            "SET @x=1;\n",
            "COMMIT;\n",
            "INSERT INTO `für` VALUES\n(1);\n",
            "INSERT INTO `a` VALUES\n(4,'');\n",
            "INSERT INTO `unknown` VALUES\n(4,'');\n",
        ];
        for cut in [1, 2, 3, 7, 64, 100_000] {
            let (text, places) = noted(&parts, cut);
            assert!(places.makes_sense());
            let told: Vec<(usize, String)> = places
                .ranges
                .iter()
                .map(|(table, range)| {
                    (*table, text[range.start as usize - 100..range.end as usize - 100].to_owned())
                })
                .collect();
            let expected = [
                (0, parts[..3].concat()),
                (1, parts[3..6].concat()),
                (2, parts[8].to_owned()),
                (0, parts[9].to_owned()),
            ];
            assert_eq!(told, expected, "{cut}");
            let bytes: Vec<u64> = places.tables.iter().map(|table| table.bytes).collect();
            let length = |at: &[usize]| at.iter().map(|&at| parts[at].len() as u64 - 2).sum::<u64>();
            assert_eq!(bytes, [length(&[0, 1, 9]), length(&[3, 4]), length(&[8])]);
            let rows: Vec<Option<u64>> = places.tables.iter().map(|table| table.rows).collect();
            assert_eq!(rows, [Some(7), None, None]);
        }
    }

    #[test]
    fn long_rows_are_no_longer_heads() {
        let long = format!("INSERT INTO `a` VALUES\n('{}');\n", "x".repeat(3 * HEAD));
        let (text, places) = noted(&[&long, &long], 500);
        assert_eq!(places.ranges, [(0, 100..100 + text.len() as u64)]);
    }

    #[test]
    fn names_with_line_breaks_are_not_noted() {
        assert!(Noting::new(&mut Vec::new(), 0, &schema(&["a;\nb"]), "").is_none());
    }
}
