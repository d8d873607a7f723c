//! Where the rows of each table stand, as it lies beside the data: a line, and compressed with gzip lines of JSON.
//!
//! ```text
//! {"prefix":"d7_"}
//! ["d7_node",1500,912000]      a table, how many rows it has (null: not counted), bytes of its statements
//! [0,1024,912345]              a range: the table's number, bytes since the end of the range before, its length
//! ```

use super::Claim;
use super::make::{put, salt};
use super::section::Section;
use crate::source::table_places::{PlacedTable, TablePlaces};
use crate::{Result, compress};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::io::{self, BufRead, Cursor, Read, Write};

/// How it begins; then a random number and a line feed.
const MAGIC: &str = "bam-tables 1";
/// The first line is shorter than this; the others are shorter than that.
const FIRST_MAX: usize = 100;
const LINE_MAX: u64 = 64 * 1024;

#[derive(Serialize, Deserialize)]
struct About<'p> {
    prefix: Cow<'p, str>,
}

/// The longest that it may be, before compression, of a dump of so many pieces: all of it comes into memory.
fn most(pieces: usize) -> u64 {
    (16 << 20) + 4096 * pieces as u64
}

/// Writes it to `out`, behind the index of so many pieces; nothing, where it would be too long.
pub fn write(
    places: &TablePlaces,
    index: &Claim,
    pieces: usize,
    secret: bool,
    out: &mut impl Write,
) -> Result<Option<Claim>> {
    let (mut packed, mut bytes) = (GzEncoder::new(Vec::new(), Compression::default()), 0);
    let mut add = |line: serde_json::Result<Vec<u8>>| -> Result<()> {
        let line = [line.map_err(io::Error::from)?.as_slice(), b"\n"].concat();
        bytes += line.len() as u64;
        Ok(packed.write_all(&line)?)
    };
    add(serde_json::to_vec(&About { prefix: Cow::Borrowed(&places.prefix) }))?;
    for PlacedTable { name, rows, bytes } in &places.tables {
        add(serde_json::to_vec(&(name, rows, bytes)))?;
    }
    let mut end = 0;
    for (table, range) in &places.ranges {
        let (after, length) = (range.start.saturating_sub(end), range.end.saturating_sub(range.start));
        add(serde_json::to_vec(&(table, after, length)))?;
        end = range.end;
    }
    let Some(offset) = index.end().filter(|_| bytes <= most(pieces)) else { return Ok(None) };
    let line = format!("{MAGIC} {}\n", salt(secret)?);
    put(&mut Cursor::new(line).chain(Cursor::new(packed.finish()?)), offset, out).map(Some)
}

/// Reads it back; `pieces` as it was written with.
pub fn read(section: &Section, pieces: usize) -> io::Result<TablePlaces> {
    let mut input = section.content();
    let (mut first, mut byte) = (Vec::new(), [0]);
    while first.len() < FIRST_MAX && !first.ends_with(b"\n") {
        input.read_exact(&mut byte)?;
        first.extend_from_slice(&byte);
    }
    if !first.starts_with(format!("{MAGIC} ").as_bytes()) || !first.ends_with(b"\n") {
        return Err(odd());
    }
    parse(compress::reader(compress::Kind::Gzip, input, 1)?.take(most(pieces)))
}

pub(crate) fn parse(mut lines: impl BufRead) -> io::Result<TablePlaces> {
    let (mut places, mut end, mut line) = (TablePlaces::default(), 0u64, Vec::new());
    loop {
        let begun = !line.is_empty();
        line.clear();
        (&mut lines).take(LINE_MAX).read_until(b'\n', &mut line)?;
        match line.as_slice() {
            [] if begun && places.makes_sense() => return Ok(places),
            [b'{', ..] if !begun => {
                places.prefix = serde_json::from_slice::<About<'_>>(&line)?.prefix.into_owned()
            }
            _ if !begun => return Err(odd()),
            [b'[', b'"', ..] => {
                let (name, rows, bytes) = serde_json::from_slice(&line)?;
                places.tables.push(PlacedTable { name, rows, bytes });
            }
            _ => {
                let (table, after, length): (usize, u64, u64) = serde_json::from_slice(&line)?;
                let start = end.checked_add(after).ok_or_else(odd)?;
                end = start.checked_add(length).ok_or_else(odd)?;
                places.ranges.push((table, start..end));
            }
        }
    }
}

fn odd() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::aside;

    fn written(places: &TablePlaces) -> (Claim, Vec<u8>) {
        let mut out = Vec::new();
        let index = Claim { offset: 3, length: 4, sha256: [0; 32] };
        let claim = write(places, &index, 3, true, &mut out).unwrap().unwrap();
        (claim, out)
    }

    #[test]
    fn it_is_read_back() {
        let table = |name: &str, rows| PlacedTable { name: name.into(), rows, bytes: 1 << 40 };
        let places = TablePlaces {
            prefix: "\"\n".into(),
            tables: vec![table("d7_node", Some(u64::MAX)), table("odd \"`\u{1f600}\u{7}", None)],
            ranges: vec![(1, 5..6), (0, 6..1 << 50), (1, (1 << 50) + 3..1 << 51)],
        };
        let (claim, out) = written(&places);
        assert_eq!((claim.offset, claim.length), (7, out.len() as u64));
        let mut content = Vec::new();
        aside::Reader::new(&*out).read_to_end(&mut content).unwrap();
        let line = content.iter().position(|byte| *byte == b'\n').unwrap();
        let (first, packed) = content.split_at(line + 1);
        assert_eq!((first.len(), first.starts_with(MAGIC.as_bytes())), (MAGIC.len() + 34, true));
        let mut text = String::new();
        flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
        assert_eq!(parse(text.as_bytes()).unwrap(), places);
        assert_ne!(written(&places).0.sha256, claim.sha256);
    }

    #[test]
    fn what_makes_no_sense_is_none() {
        for wrong in [
            "",
            "\n",
            "[0,0,1]\n",
            "{}\n",
            "{\"prefix\":1}\n",
            "{\"prefix\":\"\"}\n[0,0,1]\n",
            "{\"prefix\":\"\"}\n[\"a\",1,1]\n[1,0,1]\n",
            "{\"prefix\":\"\"}\n[\"a\",1,1]\n[0,0,0]\n",
            "{\"prefix\":\"\"}\n[\"a\",1,1]\n[0,18446744073709551615,1]\n",
            "{\"prefix\":\"\"}\n[\"a\",1,1]\n[0,-1,1]\n",
            "{\"prefix\":\"\"}\n[\"a\",1,1]\n\n",
            "{\"prefix\":\"\"}\n[\"a\",1",
        ] {
            assert!(parse(wrong.as_bytes()).is_err(), "{wrong:?}");
        }
    }
}
