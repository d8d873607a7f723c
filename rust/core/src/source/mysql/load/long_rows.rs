//! INSERTs that are longer than the server takes in one packet.
//!
//! Escaped, a value may take twice the bytes that it has, so a row that the server holds may be one that it would not
//! take. Long values then come in parts, put together in a variable of the session, and rows of a statement that is too
//! long as a whole in several.

use crate::source::sql::for_each_row;
use crate::{Code, Error, Result};
use memchr::{memchr, memchr2};

/// What a statement needs besides its text.
const SLACK: usize = 1024;
/// Values from this length on come in parts.
const LONG: usize = 64 << 10;
/// How long a part is at most.
const PART: usize = 1 << 20;

/// What takes the place of a long INSERT.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'t> {
    /// A row to be put behind the statement's head.
    Row(&'t [u8]),
    /// Statements that insert one row, each with its semicolon.
    Script(Vec<u8>),
}

/// Whether the server would not take a statement of this length in packets of at most `packet` bytes.
pub(crate) fn is_too_long(length: usize, packet: usize) -> bool {
    length + SLACK > packet
}

/// Gives the rows of `text`, an INSERT that begins with `head`, one by one.
pub(crate) fn parts(
    text: &[u8],
    head: &[u8],
    packet: usize,
    mut take: impl FnMut(Part<'_>) -> Result<()>,
) -> Result<()> {
    let mut done = Ok(());
    for_each_row(text, |row| {
        if done.is_err() {
            return;
        }
        done = match is_too_long(head.len() + row.len(), packet) {
            true => script(head, row, packet).and_then(|script| take(Part::Script(script))),
            false => take(Part::Row(row)),
        };
    });
    done
}

/// The row with its long values in variables.
fn script(head: &[u8], row: &[u8], packet: usize) -> Result<Vec<u8>> {
    let (mut before, mut insert, mut after) = (Vec::new(), head.to_vec(), Vec::new());
    let (mut at, mut number) = (0, 0);
    while let Some(&byte) = row.get(at) {
        let rest = row.get(at..).unwrap_or_default();
        let literal = literal(rest);
        let length = literal.as_ref().map_or(1, |literal| literal.length);
        match literal.filter(|literal| literal.length >= LONG) {
            Some(literal) => {
                number += 1;
                let name = format!("@bam_part_{number}");
                insert.extend_from_slice(name.as_bytes());
                value(&name, &literal, packet, &mut before)?;
                after.extend_from_slice(format!("SET {name} = NULL;\n").as_bytes());
            }
            None if length > 1 => insert.extend_from_slice(rest.get(..length).unwrap_or_default()),
            None => insert.push(byte),
        }
        at += length;
    }
    if is_too_long(insert.len(), packet) {
        return Err(too_long("a row", insert.len()));
    }
    before.extend_from_slice(&insert);
    before.extend_from_slice(b";\n");
    before.append(&mut after);
    Ok(before)
}

/// A string as SQL writes it: `'…'`, `_binary '…'`, `x'…'`, `0x…`.
struct Literal<'t> {
    length: usize,
    /// `_binary ` and the like.
    introducer: &'t [u8],
    /// Between the quotes, or after `0x`.
    inner: &'t [u8],
    hex: bool,
}

fn literal(text: &[u8]) -> Option<Literal<'_>> {
    let (introducer, rest) = match text.first()? {
        b'_' => {
            let at = memchr2(b'\'', b',', text.get(..64.min(text.len()))?)?;
            text.split_at(at)
        }
        _ => text.split_at(0),
    };
    match rest {
        [b'\'', inner @ ..] => {
            let end = string_end(inner)?;
            let inner = inner.get(..end)?;
            Some(Literal { length: introducer.len() + end + 2, introducer, inner, hex: false })
        }
        [b'x' | b'X', b'\'', inner @ ..] => {
            let end = memchr(b'\'', inner)?;
            Some(Literal {
                length: introducer.len() + end + 3,
                introducer,
                inner: inner.get(..end)?,
                hex: true,
            })
        }
        [b'0', b'x', inner @ ..] => {
            let end = inner.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(inner.len());
            Some(Literal {
                length: introducer.len() + end + 2,
                introducer,
                inner: inner.get(..end)?,
                hex: true,
            })
        }
        _ => None,
    }
}

/// Where the string ends whose opening quote came before.
fn string_end(inner: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr2(b'\'', b'\\', inner.get(at..)?)?;
        if inner.get(at) != Some(&b'\\') && inner.get(at + 1) != Some(&b'\'') {
            return Some(at);
        }
        at += 2;
    }
}

/// Statements that put a value together in the variable `name`.
fn value(name: &str, literal: &Literal<'_>, packet: usize, out: &mut Vec<u8>) -> Result<()> {
    let size = if literal.hex {
        literal.inner.len() / 2
    } else {
        let mut escapes = 0;
        let mut at = 0;
        while let Some(found) = literal.inner.get(at..).and_then(|rest| memchr2(b'\\', b'\'', rest)) {
            escapes += 1;
            at += found + 2;
        }
        literal.inner.len() - escapes
    };
    if size >= packet {
        return Err(too_long("a value", size));
    }
    let part = PART.min(packet / 4) & !1;
    let open: &[u8] = if literal.hex { b"x'" } else { b"'" };
    let mut rest = literal.inner;
    let mut first = true;
    while first || !rest.is_empty() {
        let end = if literal.hex { part.min(rest.len()) } else { cut(rest, part) };
        let (now, later) = rest.split_at(end);
        let begin = if first { format!("SET {name} = ") } else { format!("SET {name} = CONCAT({name}, ") };
        out.extend_from_slice(begin.as_bytes());
        out.extend_from_slice(literal.introducer);
        out.extend_from_slice(open);
        out.extend_from_slice(now);
        out.extend_from_slice(if first { b"';\n" } else { b"');\n" });
        (rest, first) = (later, false);
    }
    Ok(())
}

/// Where to cut a string's text, at `most` or a little before: not within an escape, a doubled quote or a character.
fn cut(text: &[u8], most: usize) -> usize {
    if text.len() <= most {
        return text.len();
    }
    let mut at = most;
    // A character of UTF-8 has up to three bytes more.
    for _ in 0..3 {
        at -= usize::from(text.get(at).is_some_and(|byte| (0x80..0xc0).contains(byte)));
    }
    // Of several backslashes, or quotes, in a row each second one ends a pair.
    for byte in *b"\\'" {
        let run = text.get(..at).unwrap_or_default().iter().rev().take_while(|&&found| found == byte).count();
        let escaped = byte == b'\'' && text.get(..at - run).is_some_and(ends_in_escape);
        if (run - usize::from(escaped && run > 0)) % 2 == 1 {
            return at - 1;
        }
    }
    at
}

/// Whether a backslash at the end takes the next character's meaning.
fn ends_in_escape(text: &[u8]) -> bool {
    text.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1
}

fn too_long(what: &str, size: usize) -> Error {
    let text = format!("{what} of {size} bytes is longer than the server takes in one packet");
    Error::new(Code::Database, text)
        .hint("raise max_allowed_packet in the server's settings above that, restart it, and restore again")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the server would make of the parts of the one variable.
    fn joined(script: &[u8]) -> (Vec<u8>, String) {
        let (mut value, mut rest) = (Vec::new(), String::new());
        for line in script.split(|&byte| byte == b'\n') {
            if line.starts_with(b"SET @bam_part_1 = NULL") {
                continue;
            }
            if line.starts_with(b"SET @bam_part_1 = ") {
                let from = memchr(b'\'', line).unwrap() + 1;
                let to = line.iter().rposition(|&byte| byte == b'\'').unwrap();
                let inner = &line[from..to];
                assert!(!ends_in_escape(inner), "cut within an escape");
                assert_eq!(string_end(&line[from..]).unwrap(), to - from, "cut within a doubled quote");
                value.extend_from_slice(inner);
            } else {
                rest += &String::from_utf8_lossy(line);
            }
        }
        (value, rest)
    }

    #[test]
    fn long_values_come_in_parts_that_are_whole() {
        for unit in ["\\0", "\\\\", "''", "\\'", "x''", "ä☃😀", "\\\\''\\'", "a", "'''' \\\\\\'"] {
            for before in 0..4 {
                let inner = "y".repeat(before) + &unit.repeat(1_600_000 / unit.len());
                let row = format!("(1,'{inner}',_binary 'z',NULL)");
                let script = script(b"INSERT INTO `t` VALUES ", row.as_bytes(), 2_000_000).unwrap();
                let (value, rest) = joined(&script);
                assert_eq!(value, inner.as_bytes(), "{unit}");
                assert_eq!(rest, "INSERT INTO `t` VALUES (1,@bam_part_1,_binary 'z',NULL);");
                let longest = script.split(|&byte| byte == b'\n').map(<[u8]>::len).max().unwrap();
                assert!(longest < 600_000, "{longest}");
                assert!(
                    script
                        .split(|&byte| byte == b'\n')
                        .all(|line| unit.is_ascii() || std::str::from_utf8(line).is_ok())
                );
            }
        }
        let row = format!("(0x{},x'{}')", "ab".repeat(100_000), "cd".repeat(100_000));
        let found = script(b"INSERT INTO t VALUES ", row.as_bytes(), 300_000).unwrap();
        assert!(
            String::from_utf8(found).unwrap().contains("INSERT INTO t VALUES (@bam_part_1,@bam_part_2);")
        );
        let row = format!("('{}')", "x".repeat(1_000_000));
        assert!(script(b"INSERT INTO t VALUES ", row.as_bytes(), 1_000_000).is_err());
    }

    #[test]
    fn the_others_stay() {
        let text = format!("INSERT INTO `values` VALUES (1,'a'),\n(2,'{}'),(3,'c')", "\\0".repeat(100_000));
        let mut found = Vec::new();
        parts(text.as_bytes(), b"INSERT INTO `values` VALUES ", 150_000, |part| {
            found.push(match part {
                Part::Row(row) => String::from_utf8_lossy(row).into_owned(),
                Part::Script(_) => "script".to_owned(),
            });
            Ok(())
        })
        .unwrap();
        assert_eq!(found, ["(1,'a')", "script", "(3,'c')"]);
    }
}
