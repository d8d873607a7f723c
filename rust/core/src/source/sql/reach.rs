//! The second net under a dump that nobody vouches for: refuses statements that are not what they look like, or that reach
//! beyond their database by another way than a name in front. The first net is the server, which is asked as a user
//! without rights elsewhere where one can be had.

use super::statement::{Kind, Statement};
use crate::{Code, Error, Result};

/// How far into a statement it is looked for what it does.
const BEGINNING: usize = 400;

/// Fails where the statement is more than `parsed` says.
pub(crate) fn check(text: &[u8], delimiter: &[u8], parsed: &Statement<'_>) -> Result<()> {
    if matches!(parsed.kind, Kind::Foreign | Kind::Idle | Kind::Lock | Kind::Transaction) {
        // Not run.
        return Ok(());
    }
    // Servers pass over what is for others: then another statement may stand behind it.
    let beginning = text.get(..BEGINNING).unwrap_or(text);
    if memchr::memmem::find(beginning, b"/*").is_some() && !same_without_conditions(text, parsed) {
        return Err(refused("is another one for servers of another version", text));
    }
    let in_one = !matches!(parsed.kind, Kind::Routine);
    if in_one && delimiter != b";" && !delimiter.is_empty() && Words::new(text).any(|word| word == b";") {
        return Err(refused("holds several", text));
    }
    let rest = text.get(parsed.at.end..).unwrap_or_default();
    let follows = |allowed: &[&str]| {
        Words::new(rest).next().is_none_or(|next| allowed.iter().any(|word| is(next, word)))
    };
    let has = |words: &[&str]| Words::new(text).any(|word| words.iter().any(|one| is(word, one)));
    let first = Words::new(text).next().unwrap_or_default();
    let bad = match parsed.kind {
        Kind::Alter if is(first, "UPDATE") => !follows(&["SET"]),
        Kind::Alter if is(first, "DELETE") => !follows(&["WHERE", "ORDER", "LIMIT", "PARTITION"]),
        Kind::Alter if is(first, "SELECT") => has(&["INTO", "OUTFILE", "DUMPFILE"]),
        // CONVERT TABLE other.t TO PARTITION p takes a table from elsewhere.
        Kind::Alter if is(first, "ALTER") => {
            let mut words = Words::new(text);
            words.any(|word| is(word, "CONVERT"))
                && words.next().is_some_and(|word| is(word, "TABLE") || is(word, "PARTITION"))
        }
        Kind::Routine if parsed.object == "FUNCTION" => {
            Words::new(text).skip_while(|word| !is(word, "RETURNS")).any(|word| is(word, "SONAME"))
        }
        Kind::Routine if parsed.object == "TRIGGER" && parsed.creates => {
            let mut words = Words::new(text).skip_while(|word| !is(word, "ON"));
            words.nth(2).is_some_and(|sign| sign == b".")
        }
        _ => false,
    };
    match bad {
        true => Err(refused("reaches beyond its table", text)),
        false => Ok(()),
    }
}

fn refused(why: &str, text: &[u8]) -> Error {
    let words: Vec<String> = Words::new(text)
        .take(3)
        .map(|word| String::from_utf8_lossy(word).chars().take(40).collect())
        .collect();
    Error::new(Code::Unsupported, format!("a statement of the SQL dump {why}: {} …", words.join(" ")))
        .hint("no dump program writes that: look at where the dump comes from")
}

fn is(word: &[u8], what: &str) -> bool {
    word.eq_ignore_ascii_case(what.as_bytes())
}

/// Whether what stands outside conditional comments is nothing, or does the same to the same.
fn same_without_conditions(text: &[u8], parsed: &Statement<'_>) -> bool {
    let mut bare = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let rest = text.get(at..).unwrap_or_default();
        let length = match byte {
            b'\'' | b'"' | b'`' => quoted(rest),
            b'/' if rest.starts_with(b"/*") => {
                at += comment(rest);
                bare.push(b' ');
                continue;
            }
            _ => 1,
        };
        bare.extend_from_slice(rest.get(..length).unwrap_or(rest));
        at += length.max(1);
    }
    if bare.iter().all(|byte| byte.is_ascii_whitespace() || *byte == b';') {
        return true;
    }
    let without = Statement::parse(&bare);
    without.kind == parsed.kind
        && (without.name.is_empty() || without.name == parsed.name)
        && without.database.is_none()
        || without.kind == Kind::Idle
            && Words::new(&bare).all(|word| !word.first().is_some_and(u8::is_ascii_alphabetic))
}

/// How long the comment at the beginning is. In a conditional one that servers pass over another comment may stand, as
/// clients write them into routines (`consume_comment` of `sql_lex.cc`, alike in MySQL and MariaDB).
fn comment(text: &[u8]) -> usize {
    let conditional = text.starts_with(b"/*!") || text.starts_with(b"/*M!");
    let (mut at, mut inner) = (2, false);
    while let Some(two) = text.get(at..at + 2) {
        match two {
            b"*/" if !inner => return at + 2,
            b"*/" => (at, inner) = (at + 2, false),
            b"/*" if conditional && !inner => (at, inner) = (at + 2, true),
            _ => at += 1,
        }
    }
    text.len()
}

/// How long the quoted thing at the beginning is.
fn quoted(text: &[u8]) -> usize {
    let Some(&quote) = text.first() else { return 0 };
    let mut at = 1;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\\' if quote != b'`' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// Words, quoted things and signs, without comments; what stands in conditional ones counts.
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    fn new(text: &'a [u8]) -> Self {
        Words(text)
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            self.0 = self.0.trim_ascii_start();
            let digits = |rest: &[u8]| rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let skipped = match self.0 {
                [b'/', b'*', b'!', rest @ ..] => 3 + digits(rest),
                [b'/', b'*', b'M', b'!', rest @ ..] => 4 + digits(rest),
                [b'/', b'*', rest @ ..] => {
                    memchr::memmem::find(rest, b"*/").map_or(self.0.len(), |end| end + 4)
                }
                [b'*', b'/', ..] => 2,
                [b'#', ..] => memchr::memchr(b'\n', self.0).unwrap_or(self.0.len()),
                [b'-', b'-', space, ..] if space.is_ascii_whitespace() => {
                    memchr::memchr(b'\n', self.0).unwrap_or(self.0.len())
                }
                _ => break,
            };
            self.0 = self.0.get(skipped..).unwrap_or_default();
        }
        let is_word =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || *byte >= 0x80;
        let length = match self.0.first()? {
            b'\'' | b'"' | b'`' => quoted(self.0),
            byte if is_word(byte) => self.0.iter().take_while(|byte| is_word(byte)).count(),
            _ => 1,
        };
        let (word, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(text: &str, delimiter: &str) -> bool {
        check(text.as_bytes(), delimiter.as_bytes(), &Statement::parse(text.as_bytes())).is_ok()
    }

    #[test]
    fn what_dumps_hold_passes() {
        for text in [
            "/*!40101 SET NAMES utf8mb4 */",
            "/*!50001 CREATE ALGORITHM=UNDEFINED */\n/*!50013 DEFINER=`r`@`%` SQL SECURITY DEFINER */\n/*!50001 VIEW `v` AS select 1 */",
            "/*!50003 CREATE*/ /*!50017 DEFINER=`r`@`l`*/ /*!50003 TRIGGER `t` BEFORE INSERT ON `n` FOR EACH ROW begin end */",
            "/*!50003 CREATE*/ /*!50003 TRIGGER t BEFORE INSERT ON n FOR EACH ROW begin /* why */ set @a = 1; /**/ end */",
            "CREATE TABLE `a` (`b` int) ENGINE=InnoDB /*!50100 PARTITION BY HASH (b) */",
            "CREATE TABLE a /* why */ (b int)",
            "CREATE TABLE /*!32312 IF NOT EXISTS*/ `a` (`b` int)",
            "/*!40000 ALTER TABLE `t` DISABLE KEYS */",
            "ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4",
            "INSERT INTO t VALUES ('/*!80000 x */; drop')",
            "UPDATE t SET a = 1",
            "DELETE FROM t WHERE a = 1",
            "DO SETVAL(`sq`, 3005, 0)",
            "SELECT SETVAL(`sq`, 3005, 0)",
            "CREATE FUNCTION f() RETURNS int RETURN 1",
        ] {
            assert!(passes(text, ";"), "{text}");
        }
        assert!(passes("CREATE PROCEDURE p() begin select 1; select 2; end", ";;"));
        assert!(passes("CREATE TABLE a (b varchar(9) DEFAULT ';')", ";;"));
    }

    #[test]
    fn what_reaches_further_does_not() {
        for text in [
            "/*!80000 INSERT INTO a VALUES (1) -- */ DROP DATABASE other",
            "/*!99999 CREATE TABLE a (b int) */ UPDATE mysql.user SET x = 1",
            "/*!99999 CREATE TABLE a (b int) /* x */ */ UPDATE mysql.user SET x = 1",
            "/*M!999999 UPDATE a SET b = 1 */ DELETE FROM c",
            "UPDATE a, other.b SET other.b.c = 1",
            "UPDATE a JOIN other.b SET other.b.c = 1",
            "DELETE FROM a USING a, other.b",
            "SELECT SETVAL(`sq`, 1, 0) INTO OUTFILE '/tmp/x'",
            "ALTER TABLE a CONVERT TABLE other.b TO PARTITION p",
            "CREATE FUNCTION f RETURNS integer SONAME 'x.so'",
            "CREATE TRIGGER t BEFORE INSERT ON other.b FOR EACH ROW SET @a = 1",
        ] {
            assert!(!passes(text, ";"), "{text}");
        }
        assert!(!passes("INSERT INTO a VALUES (1); DROP DATABASE other", "//"));
    }
}
