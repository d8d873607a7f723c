//! The rows that an INSERT brings.

use crate::{Code, Error, Result};
use memchr::{memchr, memchr2};

/// The largest packet that a server can be told to take (`max_allowed_packet`).
const LONGEST: usize = 1 << 30;
/// How long anything but rows may be: what makes a table has some 100 kB at most.
pub(super) const LONGEST_OTHER: usize = 16 << 20;

/// Refuses the beginning of a statement, or of a comment, where it is longer than any, before it fills the memory.
pub(super) fn check_length(text: &[u8], is_comment: bool) -> Result<()> {
    let begins = |word: &[u8]| text.get(..word.len()).is_some_and(|it| it.eq_ignore_ascii_case(word));
    let rows = !is_comment && (begins(b"INSERT") || begins(b"REPLACE"));
    let (longest, what) = match rows {
        true => (LONGEST, "a statement of the SQL dump is longer than 1 GiB"),
        false => (
            LONGEST_OTHER,
            "a statement of the SQL dump that is no INSERT, or a comment, is longer than 16 MiB",
        ),
    };
    match text.len() > longest {
        true => Err(Error::new(Code::Integrity, what).hint("no server takes that: is this a SQL dump?")),
        false => Ok(()),
    }
}

/// How many rows `INSERT … VALUES (…),(…)` has; 0 for other statements.
pub(crate) fn rows(text: &[u8]) -> u64 {
    let mut count = 0;
    for_each_row(text, |_| count += 1);
    count
}

/// The rows of such a statement as they stand there, from parenthesis to parenthesis.
pub(crate) fn for_each_row(text: &[u8], mut visit: impl FnMut(&[u8])) {
    let (mut at, mut depth, mut values, mut start) = (0, 0u32, false, None);
    while let Some(&byte) = text.get(at) {
        at += match byte {
            b'\'' | b'"' | b'`' => quoted(text.get(at..).unwrap_or_default(), byte),
            b'(' => {
                if depth == 0 && values {
                    start = Some(at);
                }
                depth += 1;
                1
            }
            b')' => {
                depth = depth.saturating_sub(1);
                if let Some(start) = start.take_if(|_| depth == 0) {
                    visit(text.get(start..=at).unwrap_or_default());
                }
                1
            }
            b'V' | b'v' if depth == 0 && !values => {
                let word = text.get(at..at + 6).unwrap_or_default();
                values = word.eq_ignore_ascii_case(b"VALUES");
                if values { 6 } else { 1 }
            }
            _ => 1,
        };
    }
    if let Some(torn) = start {
        visit(text.get(torn..).unwrap_or_default());
    }
}

/// How long the quoted thing at the beginning of `text` is, quotes included. A doubled quote counts as two things.
fn quoted(text: &[u8], quote: u8) -> usize {
    let mut at = 1;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let next = if quote == b'`' { memchr(quote, rest) } else { memchr2(quote, b'\\', rest) };
        match next {
            Some(found) if rest.get(found) == Some(&b'\\') => at += found + 2,
            Some(found) => return at + found + 1,
            None => return text.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::rows;

    #[test]
    fn rows_are_counted_whatever_they_hold() {
        for (text, count) in [
            ("INSERT INTO `values (a)` VALUES (1)", 1),
            ("INSERT INTO t (a, `b)`) VALUES (1,'it''s (2)'),(3,'\\'),(4'),\n(f(5), _binary '\\\\')", 3),
            ("insert into t values (1,\"),(\"),(2,NULL);", 2),
            ("CREATE TABLE t (a int)", 0),
            ("INSERT INTO t VALUES ('torn", 1),
        ] {
            assert_eq!(rows(text.as_bytes()), count, "{text}");
        }
    }
}
