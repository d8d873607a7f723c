//! The splitter beside a plain, slow reading of the same rules, on texts made of what SQL is made of.

use super::splitter::{Item, Splitter};
use proptest::prelude::*;
use std::io::Read;

/// A comment between two statements, or a statement with what ended it.
type Piece = (Vec<u8>, Option<Vec<u8>>);

/// From the rules of MySQL's client (client/mysql.cc, `add_line`), the whole text at hand: the pieces, and whether
/// the end is inside of something.
fn reference(text: &[u8]) -> (Vec<Piece>, bool) {
    let mut pieces = Vec::new();
    let mut delimiter = b";".to_vec();
    let mut at = 0;
    let line_end = |at: usize| text[at..].iter().position(|&b| b == b'\n').map_or(text.len(), |n| at + n);
    let is_line_comment = |at: usize| match &text[at..] {
        [b'#', ..] | [b'-', b'-'] => true,
        [b'-', b'-', next, ..] => next.is_ascii_whitespace() || next.is_ascii_control(),
        _ => false,
    };
    // A conditional one holds SQL.
    let is_block_comment = |at: usize| {
        let rest = &text[at..];
        rest.starts_with(b"/*") && ![&b"/*!"[..], b"/*+", b"/*M!"].iter().any(|mark| rest.starts_with(mark))
    };
    let block_end =
        |at: usize| text[at + 2..].windows(2).position(|two| two == b"*/").map(|n| at + 2 + n + 2);
    while at < text.len() {
        if text[at].is_ascii_whitespace() {
            at += 1;
        } else if text.len() > at + 9
            && text[at..at + 9].eq_ignore_ascii_case(b"delimiter")
            && text[at + 9].is_ascii_whitespace()
        {
            let end = line_end(at);
            delimiter = text[(at + 9).min(end)..end].trim_ascii().to_vec();
            if delimiter.is_empty() {
                // What follows cannot be read.
                return (pieces, false);
            }
            at = end;
        } else if is_line_comment(at) {
            let end = line_end(at);
            let line = &text[at..end];
            pieces.push((line.strip_suffix(b"\r").unwrap_or(line).to_vec(), None));
            at = end;
        } else if is_block_comment(at) {
            match block_end(at) {
                Some(end) => at = end,
                None => return (pieces, true),
            }
        } else {
            let start = at;
            loop {
                if at == text.len() {
                    pieces.push((text[start..].to_vec(), Some(Vec::new())));
                    return (pieces, false);
                }
                if text[at..].starts_with(&delimiter) {
                    pieces.push((text[start..at].to_vec(), Some(delimiter.clone())));
                    at += delimiter.len();
                    break;
                }
                if is_line_comment(at) {
                    at = line_end(at);
                } else if is_block_comment(at) {
                    match block_end(at) {
                        Some(end) => at = end,
                        None => return (pieces, true),
                    }
                } else if let quote @ (b'\'' | b'"' | b'`') = text[at] {
                    at += 1;
                    while at < text.len() && text[at] != quote {
                        // In names a backslash is one.
                        at += if text[at] == b'\\' && quote != b'`' { 2 } else { 1 };
                    }
                    if at >= text.len() {
                        return (pieces, true);
                    }
                    at += 1;
                } else {
                    at += 1;
                }
            }
        }
    }
    (pieces, false)
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
