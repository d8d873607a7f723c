//! Extended headers of POSIX pax: what they override in the member that follows.
//!
//! POSIX.1-2017, pax, "pax Extended Header"; GNU tar manual D.1.2 for the sparse records. The `tar` crate's parser
//! splits at newlines, which file names may hold, so records are cut here by their lengths.

use super::extras::{self, Attribute};
use super::sparse::Map;
use crate::{Code, Error, Result};

/// What one `x` member says.
#[derive(Debug, Default)]
pub struct Overrides {
    /// Path of the member.
    pub path: Option<Vec<u8>>,
    /// Target of a link.
    pub link: Option<Vec<u8>>,
    /// Bytes in the archive.
    pub size: Option<u64>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Owner's name.
    pub user: Option<Vec<u8>>,
    /// Group's name.
    pub group: Option<Vec<u8>>,
    /// Modification time: whole seconds, and nanoseconds upwards from them.
    pub mtime: Option<(i64, u32)>,
    /// Access control lists and extended attributes.
    pub attributes: Vec<Attribute>,
    /// Size of a sparse file, its holes counted.
    pub real_size: Option<u64>,
    /// Its map, when it is here (GNU sparse formats 0.0 and 0.1).
    pub map: Option<Map>,
    /// Its map begins the member's content (GNU sparse format 1.0).
    pub map_in_body: bool,
}

/// Parses the records: `length key=value\n`, the length counting itself and the newline.
pub fn parse(mut records: &[u8]) -> Result<Overrides> {
    let mut found = Overrides::default();
    let mut offset = None;
    while !records.is_empty() {
        let space = records.iter().position(|b| *b == b' ').ok_or_else(damaged)?;
        let len = number::<usize>(records.get(..space).unwrap_or_default())?;
        let record = records.get(space + 1..len).ok_or_else(damaged)?;
        records = records.get(len..).ok_or_else(damaged)?;
        let record = record.strip_suffix(b"\n").ok_or_else(damaged)?;
        let equals = record.iter().position(|b| *b == b'=').ok_or_else(damaged)?;
        let (key, value) = (record.get(..equals), record.get(equals + 1..).unwrap_or_default());
        found.take(key.unwrap_or_default(), value, &mut offset)?;
    }
    Ok(found)
}

impl Overrides {
    fn take(&mut self, key: &[u8], value: &[u8], offset: &mut Option<u64>) -> Result<()> {
        match key {
            // GNU.sparse.name is the real path; `path` then holds a made-up one, in whichever order they come.
            b"GNU.sparse.name" => self.path = Some(value.to_vec()),
            b"path" => self.path = self.path.take().or_else(|| Some(value.to_vec())),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(number(value)?),
            b"uid" => self.uid = Some(number(value)?),
            b"gid" => self.gid = Some(number(value)?),
            b"uname" => self.user = Some(value.to_vec()),
            b"gname" => self.group = Some(value.to_vec()),
            b"mtime" => self.mtime = Some(seconds(value)?),
            b"GNU.sparse.realsize" | b"GNU.sparse.size" => self.real_size = Some(number(value)?),
            b"GNU.sparse.major" => self.map_in_body = number::<u32>(value)? >= 1,
            b"GNU.sparse.map" => {
                let mut numbers = value.split(|b| *b == b',').map(number::<u64>);
                let map = self.map.insert(Map::default());
                while let Some(offset) = numbers.next() {
                    map.add(offset?, numbers.next().ok_or_else(damaged)??)?;
                }
            }
            b"GNU.sparse.offset" => *offset = Some(number(value)?),
            b"GNU.sparse.numbytes" => {
                let offset = offset.take().ok_or_else(damaged)?;
                self.map.get_or_insert_default().add(offset, number(value)?)?;
            }
            _ => self.attributes.extend(extras::attribute(key, value)),
        }
        Ok(())
    }
}

/// Decimal seconds with an optional fraction; the fraction counts from the past, as `stat` shows it.
fn seconds(value: &[u8]) -> Result<(i64, u32)> {
    let mut parts = value.splitn(2, |b| *b == b'.');
    let whole = number::<i64>(parts.next().unwrap_or_default())?;
    let mut nanos = 0;
    let digits = parts.next().unwrap_or_default().iter().copied().chain(std::iter::repeat(b'0'));
    for digit in digits.take(9) {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10).ok_or_else(damaged)?;
        nanos = nanos * 10 + u32::from(digit);
    }
    Ok(match nanos > 0 && value.starts_with(b"-") {
        true => (whole.saturating_sub(1), 1_000_000_000 - nanos),
        false => (whole, nanos),
    })
}

fn number<N: std::str::FromStr>(text: &[u8]) -> Result<N> {
    std::str::from_utf8(text).ok().and_then(|t| t.parse().ok()).ok_or_else(damaged)
}

fn damaged() -> Error {
    Error::new(Code::Integrity, "an extended header is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: &str) -> String {
        let rest = key.len() + value.len() + 3;
        let len = (1..6).map(|digits| rest + digits).find(|len| len.to_string().len() + rest == *len);
        format!("{} {key}={value}\n", len.unwrap())
    }

    #[test]
    fn records_are_cut_by_length() {
        let text = record("path", "a\n11 size=7\nb") + &record("mtime", "-1.5") + &record("uid", "70000");
        let found = parse(text.as_bytes()).unwrap();
        assert_eq!(found.path.unwrap(), b"a\n11 size=7\nb");
        assert_eq!((found.mtime, found.uid, found.size), (Some((-2, 500_000_000)), Some(70000), None));
    }

    #[test]
    fn sparse_names_win_over_made_up_ones() {
        for order in [["GNU.sparse.name", "path"], ["path", "GNU.sparse.name"]] {
            let text: String =
                order.iter().map(|k| record(k, if *k == "path" { "./Tmp/x" } else { "x" })).collect();
            assert_eq!(parse(text.as_bytes()).unwrap().path.unwrap(), b"x");
        }
    }

    #[test]
    fn times_before_1970_count_their_fraction_upwards() {
        for (text, expected) in [
            ("1.5", (1, 500_000_000)),
            ("-1.5", (-2, 500_000_000)),
            ("-0.25", (-1, 750_000_000)),
            ("-3.0", (-3, 0)),
            ("7", (7, 0)),
            ("7.", (7, 0)),
            ("7.0000000019", (7, 1)),
        ] {
            let found = parse(record("mtime", text).as_bytes()).unwrap();
            assert_eq!(found.mtime, Some(expected), "{text}");
        }
        for text in ["", "x", "1.x", "1.:", "1.5x", "."] {
            assert!(parse(record("mtime", text).as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn maps_of_all_formats_are_read() {
        let pairs = record("GNU.sparse.map", "0,512,4096,5");
        let listed: String = [("offset", "0"), ("numbytes", "512"), ("offset", "4096"), ("numbytes", "5")]
            .iter()
            .map(|(key, value)| record(&format!("GNU.sparse.{key}"), value))
            .collect();
        for text in [pairs, listed] {
            let found = parse(text.as_bytes()).unwrap();
            let map = found.map.expect("a map").finish(9000, 517).expect("a good one");
            assert_eq!(map.iter().map(|segment| segment.offset).collect::<Vec<_>>(), [0, 4096]);
            assert!(!found.map_in_body);
        }
        let one = parse((record("GNU.sparse.major", "1") + &record("GNU.sparse.realsize", "9")).as_bytes());
        assert!(one.as_ref().is_ok_and(|found| found.map_in_body && found.real_size == Some(9)), "{one:?}");
        assert!(!parse(record("GNU.sparse.major", "0").as_bytes()).unwrap().map_in_body);
        assert_eq!(parse(record("GNU.sparse.size", "8").as_bytes()).unwrap().real_size, Some(8));
        for (key, value) in [("map", "0,1,2"), ("map", "0,x"), ("numbytes", "1")] {
            let text = record(&format!("GNU.sparse.{key}"), value);
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn nonsense_is_an_integrity_error() {
        for text in
            ["x", "5 a=b\n", "8 a=bc\n", "999999999999999999999 a=b\n", "6 size\n", "8 uid=x\n", "0 a=b\n"]
        {
            assert_eq!(parse(text.as_bytes()).unwrap_err().code(), Code::Integrity, "{text}");
        }
    }
}
