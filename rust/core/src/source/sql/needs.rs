//! Whether a statement stands for itself, so that it may run beside others on another connection.

use super::statement::{Kind, Statement, has_word, token_after};
use memchr::{memchr, memchr2};

/// What a statement of a dump depends on, in the order of ever more care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Only its table, if the rows are literals ([`numbering`]). `values` is where the first row begins. In `order`
    /// (`REPLACE`, `INSERT IGNORE`) it needs the rows that came before in the same table.
    Rows { values: usize, order: bool },
    /// Everything before that was about the same table.
    Table,
    /// Everything before, and that no other table changes meanwhile.
    Quiet,
    /// Everything before, on the same connection: it asks for other rows, session variables or generated numbers.
    Everything,
}

/// Words after which nothing is known any more.
const ASKING: [&[u8]; 6] =
    [b"SELECT", b"LAST_INSERT_ID", b"ROW_COUNT", b"FOUND_ROWS", b"NEXTVAL", b"LASTVAL"];

impl Needs {
    /// Of a statement as [`Statement::parse`] saw it.
    pub(crate) fn of(text: &[u8], statement: &Statement<'_>) -> Needs {
        let first = text.iter().position(u8::is_ascii_alphabetic).unwrap_or_default();
        let begins = |word: &[u8]| {
            text.get(first..first + word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word))
        };
        let head = text.get(..statement.at.start).unwrap_or_default();
        let rest = text.get(statement.at.end..).unwrap_or_default();
        match statement.kind {
            Kind::Insert => match values(text, statement.at.end) {
                Some(values) => {
                    let order = begins(b"REPLACE") || has_word(head, &[b"IGNORE", b"DELAYED"]);
                    Needs::Rows { values, order }
                }
                None => Needs::Everything,
            },
            Kind::Create if has_word(head, &[b"TEMPORARY", b"SEQUENCE"]) => {
                if has_word(head, &[b"TEMPORARY"]) { Needs::Everything } else { Needs::Quiet }
            }
            Kind::Create => {
                let next = token_after(rest, b"(");
                if next.eq_ignore_ascii_case(b"LIKE") || has_word(rest, &[b"SELECT"]) {
                    Needs::Everything
                } else if has_word(rest, &[b"REFERENCES"]) {
                    Needs::Quiet
                } else {
                    Needs::Table
                }
            }
            Kind::Drop if memchr(b',', rest).is_some() => Needs::Quiet,
            Kind::Drop => Needs::Table,
            Kind::Alter if begins(b"ALTER") || begins(b"CREATE") || begins(b"TRUNCATE") => {
                if has_word(rest, &[b"REFERENCES"]) { Needs::Quiet } else { Needs::Table }
            }
            // SETVAL, UPDATE, DELETE.
            Kind::Alter if begins(b"DO") => Needs::Quiet,
            Kind::Set if !has_word(text, &ASKING) => Needs::Table,
            _ => Needs::Everything,
        }
    }
}

/// The names in the list of columns before the rows, as they are written; `None` where there is no list.
pub(crate) fn column_list(head: &[u8]) -> Option<Vec<Vec<u8>>> {
    let open = memchr(b'(', head)?;
    let close = memchr::memrchr(b')', head)?;
    let (mut names, mut name, mut quoted) = (Vec::new(), Vec::new(), false);
    for &byte in head.get(open + 1..close)? {
        match byte {
            b'`' => quoted = !quoted,
            b',' if !quoted => names.push(std::mem::take(&mut name)),
            byte if quoted || !byte.is_ascii_whitespace() => name.push(byte),
            _ => {}
        }
    }
    names.push(name);
    Some(names)
}

/// Where the first row begins, after the table's name and perhaps a list of columns.
fn values(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    let mut quoted = false;
    // No head is longer: a thousand columns of 64 characters.
    for (ahead, &byte) in text.get(from..)?.iter().take(300_000).enumerate() {
        match byte {
            b'`' => quoted = !quoted,
            b'V' | b'v' if !quoted => {
                at = from + ahead;
                if text.get(at..at + 6).is_some_and(|word| word.eq_ignore_ascii_case(b"VALUES")) {
                    break;
                }
            }
            b'\'' | b'"' if !quoted => return None,
            _ => {}
        }
    }
    let after = at + text.get(at..at + 6).filter(|word| word.eq_ignore_ascii_case(b"VALUES"))?.len();
    let space = text.get(after..)?.iter().position(|byte| !byte.is_ascii_whitespace())?;
    (text.get(after + space) == Some(&b'(')).then_some(after + space)
}

/// How the server numbers rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Numbering {
    /// It does not: each row says its number.
    Given,
    /// By the session's mode: a row says 0.
    Zero,
    /// A row says NULL or DEFAULT.
    Counted,
}

/// How the rows `(1,'a',NULL),(…)` are numbered whose column at `place` the server can number. `None` where they hold
/// anything but literals.
pub(crate) fn numbering(rows: &[u8], place: Option<usize>) -> Option<Numbering> {
    let (mut at, mut inside, mut field) = (0, false, 0);
    let mut numbering = Numbering::Given;
    while let Some(&byte) = rows.get(at) {
        match byte {
            b'(' if !inside => {
                (inside, field) = (true, 0);
                if place == Some(0) {
                    numbering = numbering.max(of_value(rows, at + 1));
                }
            }
            b')' if inside => inside = false,
            b',' => {
                field += 1;
                if inside && place == Some(field) {
                    numbering = numbering.max(of_value(rows, at + 1));
                }
            }
            b'\'' if inside => at = string_end(rows, at + 1)?,
            b'0'..=b'9' if inside => {
                // 1e5, 0x00
                let word = rows.get(at..)?.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
                let (number, hex) =
                    (rows.get(at..at + word)?, |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit));
                let letters = number.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
                let exponent = letters == 1 && matches!(number.last(), Some(b'0'..=b'9' | b'e' | b'E'));
                if letters > 0 && !exponent && !number.strip_prefix(b"0x").is_some_and(hex) {
                    return None;
                }
                at += word;
                continue;
            }
            b'.' | b'-' | b'+' | b' ' | b'\n' | b'\r' | b'\t' => {}
            byte if inside && (byte.is_ascii_alphabetic() || byte == b'_') => {
                let word = rows.get(at..)?;
                let length = word.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
                let (word, after) = word.split_at(length);
                let constant = [b"NULL".as_slice(), b"TRUE", b"FALSE", b"DEFAULT"];
                // _binary '…', x'…', b'…', N'…'
                let before_string =
                    word.len() == 1 && b"xXbBnN".contains(word.first()?) || word.first() == Some(&b'_');
                let string =
                    before_string && matches!(after.trim_ascii_start(), [b'\'', ..] | [b'0', b'x', ..]);
                if !string && !constant.iter().any(|known| known.eq_ignore_ascii_case(word)) {
                    return None;
                }
                at += length;
                continue;
            }
            _ => return None,
        }
        at += 1;
    }
    (!inside).then_some(numbering)
}

/// What the value at `at` makes the server do.
fn of_value(rows: &[u8], at: usize) -> Numbering {
    let value = rows.get(at..).unwrap_or_default().trim_ascii_start();
    match value.strip_prefix(b"'").unwrap_or(value) {
        [b'N' | b'n' | b'D' | b'd', ..] => Numbering::Counted,
        [b'0' | b'\'', ..] => Numbering::Zero,
        _ => Numbering::Given,
    }
}

/// Where the string ends that began before `at`: its closing quote.
fn string_end(rows: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr2(b'\'', b'\\', rows.get(at..)?)?;
        // An escaped character, or a quote that is doubled.
        if rows.get(at) != Some(&b'\\') && rows.get(at + 1) != Some(&b'\'') {
            return Some(at);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the rows looked at.
    fn needs(text: &str) -> Needs {
        match Needs::of(text.as_bytes(), &Statement::parse(text.as_bytes())) {
            Needs::Rows { values, .. } if numbering(&text.as_bytes()[values..], None).is_none() => {
                Needs::Everything
            }
            found => found,
        }
    }

    #[test]
    fn rows_of_literals_stand_for_themselves() {
        for (text, ordered) in [
            ("INSERT INTO `t` VALUES (1,'it''s; \\' (SELECT','x'),\n(-1.5e-3,NULL,_binary 'a\\\\')", false),
            ("INSERT INTO t (`a b`,`values`) VALUES (0x00ff,b'101'),(x'00', _utf8mb4'x')", false),
            ("insert into t values(1)", false),
            ("INSERT IGNORE INTO t VALUES (1)", true),
            ("REPLACE INTO t VALUES (1)", true),
        ] {
            let Needs::Rows { values, order } = needs(text) else { panic!("{text}: {:?}", needs(text)) };
            assert_eq!((text.as_bytes()[values], order), (b'(', ordered), "{text}");
        }
    }

    #[test]
    fn others_do_not() {
        for (text, found) in [
            ("INSERT INTO t VALUES (1, SLEEP(1))", Needs::Everything),
            ("INSERT INTO t VALUES (@a)", Needs::Everything),
            ("INSERT INTO t VALUES ((SELECT 1))", Needs::Everything),
            ("INSERT INTO t VALUES (1), (a)", Needs::Everything),
            ("INSERT INTO t VALUES (1 or sleep(1))", Needs::Everything),
            ("INSERT INTO t SELECT * FROM u", Needs::Everything),
            ("INSERT INTO t SET a = 1", Needs::Everything),
            ("INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a = 1", Needs::Everything),
            ("INSERT INTO t VALUES (1, 'x", Needs::Everything),
            ("CREATE TABLE t (a int, CHECK (a LIKE 'x%'))", Needs::Table),
            ("CREATE TABLE t (a int, CONSTRAINT x FOREIGN KEY (a) REFERENCES u (b))", Needs::Quiet),
            ("CREATE TABLE t LIKE u", Needs::Everything),
            ("CREATE TABLE t (LIKE u)", Needs::Everything),
            ("CREATE TABLE t (a int) AS SELECT 1", Needs::Everything),
            ("CREATE TEMPORARY TABLE t (a int)", Needs::Everything),
            ("CREATE SEQUENCE s", Needs::Quiet),
            ("DROP TABLE a, b", Needs::Quiet),
            ("/*!40000 ALTER TABLE `t` DISABLE KEYS */", Needs::Table),
            ("ALTER TABLE t ADD CONSTRAINT x FOREIGN KEY (a) REFERENCES u (b)", Needs::Quiet),
            ("DO SETVAL(`s`, 5, 0)", Needs::Quiet),
            ("UPDATE t SET a = 1", Needs::Everything),
            ("/*!40101 SET @OLD=@@SQL_MODE, SQL_MODE='x' */", Needs::Table),
            ("SET @a = LAST_INSERT_ID()", Needs::Everything),
            ("SET @a = (SELECT 1)", Needs::Everything),
        ] {
            assert_eq!(needs(text), found, "{text}");
        }
    }

    #[test]
    fn who_numbers_the_rows() {
        for (rows, place, found) in [
            ("(1,2),(3,4)", 0, Numbering::Given),
            ("(1,2),(NULL,4)", 0, Numbering::Counted),
            ("(1,2),(3, DEFAULT)", 1, Numbering::Counted),
            ("('1',0)", 0, Numbering::Given),
            ("('0',1)", 0, Numbering::Zero),
            ("(10,1)", 1, Numbering::Given),
            ("('a,(0',7)", 1, Numbering::Given),
        ] {
            assert_eq!(numbering(rows.as_bytes(), Some(place)), Some(found), "{rows}");
        }
        let head = b"INSERT INTO t (`a b`, c) VALUES ";
        assert_eq!(column_list(head).unwrap(), [b"a b".to_vec(), b"c".to_vec()]);
        assert_eq!(column_list(b"INSERT INTO t VALUES "), None);
    }
}
