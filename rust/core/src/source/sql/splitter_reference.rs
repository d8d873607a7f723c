//! The splitter beside a plain, slow reading of the same rules, on texts made of what SQL is made of.

use super::splitter::{Item, Splitter};
use proptest::prelude::*;
use std::io::Read;

/// A comment between two statements, or a statement with what ended it.
type Piece = (Vec<u8>, Option<Vec<u8>>);

fn line_end(text: &[u8], at: usize) -> usize {
    text[at..].iter().position(|&b| b == b'\n').map_or(text.len(), |n| at + n)
}

fn is_line_comment(rest: &[u8]) -> bool {
    match rest {
        [b'#', ..] | [b'-', b'-'] => true,
        [b'-', b'-', next, ..] => next.is_ascii_whitespace() || next.is_ascii_control(),
        _ => false,
    }
}

/// A conditional one holds SQL.
fn is_block_comment(rest: &[u8]) -> bool {
    rest.starts_with(b"/*") && ![&b"/*!"[..], b"/*+", b"/*M!"].iter().any(|mark| rest.starts_with(mark))
}

fn block_end(text: &[u8], at: usize) -> Option<usize> {
    text[at + 2..].windows(2).position(|two| two == b"*/").map(|n| at + 2 + n + 2)
}

/// From the rules of MySQL's client (client/mysql.cc, `add_line`), the whole text at hand: the pieces, and whether
/// the end is inside of something.
fn reference(text: &[u8]) -> (Vec<Piece>, bool) {
    let mut pieces = Vec::new();
    let mut delimiter = b";".to_vec();
    let mut at = 0;
    while at < text.len() {
        if text[at].is_ascii_whitespace() {
            at += 1;
        } else if text.len() > at + 9
            && text[at..at + 9].eq_ignore_ascii_case(b"delimiter")
            && text[at + 9].is_ascii_whitespace()
        {
            let end = line_end(text, at);
            delimiter = text[(at + 9).min(end)..end].trim_ascii().to_vec();
            if delimiter.is_empty() {
                // What follows cannot be read.
                return (pieces, false);
            }
            at = end;
        } else if is_line_comment(&text[at..]) {
            let end = line_end(text, at);
            let line = &text[at..end];
            pieces.push((line.strip_suffix(b"\r").unwrap_or(line).to_vec(), None));
            at = end;
        } else if is_block_comment(&text[at..]) {
            match block_end(text, at) {
                Some(end) => at = end,
                None => return (pieces, true),
            }
        } else {
            let Some(end) = statement_end(text, at, &delimiter) else { return (pieces, true) };
            let ended = if end < text.len() { delimiter.clone() } else { Vec::new() };
            pieces.push((text[at..end].to_vec(), Some(ended.clone())));
            at = end + ended.len();
        }
    }
    (pieces, false)
}

/// Where the delimiter stands, or the text ends; `None` where it ends inside of something.
fn statement_end(text: &[u8], mut at: usize, delimiter: &[u8]) -> Option<usize> {
    while at < text.len() && !text[at..].starts_with(delimiter) {
        if is_line_comment(&text[at..]) {
            at = line_end(text, at);
        } else if is_block_comment(&text[at..]) {
            at = block_end(text, at)?;
        } else if let quote @ (b'\'' | b'"' | b'`') = text[at] {
            at += 1;
            while at < text.len() && text[at] != quote {
                // In names a backslash is one.
                at += if text[at] == b'\\' && quote != b'`' { 2 } else { 1 };
            }
            if at >= text.len() {
                return None;
            }
            at += 1;
        } else {
            at += 1;
        }
    }
    Some(at)
}

/// Gives so many bytes a time.
struct Drip<'a>(&'a [u8], usize);

impl Read for Drip<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let n = out.len().min(self.1);
        self.0.read(&mut out[..n])
    }
}

fn split(text: &[u8], drip: usize) -> (Vec<Piece>, bool) {
    let mut splitter = Splitter::new(Drip(text, drip));
    let mut pieces = Vec::new();
    while let Ok(Some(item)) = splitter.next() {
        pieces.push(match item {
            Item::Comment(text) => (text.to_vec(), None),
            Item::Statement { text, delimiter } => (text.to_vec(), Some(delimiter.to_vec())),
        });
    }
    let torn = splitter.torn();
    if torn && pieces.last().is_some_and(|(_, delimiter)| delimiter.as_ref().is_some_and(Vec::is_empty)) {
        // What is left of a statement whose end is missing.
        pieces.pop();
    }
    (pieces, torn)
}

/// Without `SET`, which changes the rules: that has its own tests.
const PARTS: [&str; 42] = [
    ";",
    ";;",
    "$$",
    "//",
    "'",
    "\"",
    "`",
    "\\",
    "\\'",
    "''",
    "\n",
    "\r\n",
    " ",
    "\t",
    "--",
    "-- ",
    "---",
    "-",
    "#",
    "/*",
    "*/",
    "/*!40101 ",
    "/*M!100100 ",
    "/*+ ",
    "/",
    "*",
    "!",
    "DELIMITER ;;\n",
    "delimiter $$\n",
    "Delimiter ;\n",
    "DELIMITER //\r\n",
    "delimiter",
    "a",
    "INSERT INTO t VALUES (1)",
    "(",
    ")",
    ",",
    "\0",
    "\u{1}",
    "ü",
    "x'0A'",
    "\u{c}",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_cuts_as_the_plain_reading_does(parts in prop::collection::vec(prop::sample::select(&PARTS[..]), 0..40), drip in 1..9_usize) {
        let text = parts.concat();
        let expected = reference(text.as_bytes());
        prop_assert_eq!(&split(text.as_bytes(), 1 << 20), &expected, "{:?}", text);
        prop_assert_eq!(&split(text.as_bytes(), drip), &expected, "{:?}, {} bytes a time", text, drip);
    }
}
