//! What a dump's `SET` statements make hold for what comes after them.

use super::statement::{Kind, Statement};
use super::syntax::{Charset, Syntax};
use super::tokens::Tokens;
use std::collections::HashMap;

/// What `SET` statements have said so far.
#[derive(Debug)]
pub(crate) struct Modes {
    /// `None`: nobody can tell.
    sql_mode: Option<String>,
    charset: Option<String>,
    variables: HashMap<String, Option<String>>,
    syntax: Syntax,
}

/// A value of an assignment: text that is known, or not.
type Value = Option<String>;

impl Default for Modes {
    fn default() -> Self {
        Modes {
            // As our loading connections begin.
            sql_mode: Some("NO_AUTO_VALUE_ON_ZERO".to_owned()),
            charset: Some("utf8mb4".to_owned()),
            variables: HashMap::new(),
            syntax: Syntax::default(),
        }
    }
}

impl Modes {
    /// What holds now.
    pub(crate) fn syntax(&self) -> Syntax {
        self.syntax
    }

    /// Whether that is certain: the last statement may have taken the mode from what only the server knows.
    pub(crate) fn known(&self) -> bool {
        self.sql_mode.is_some() && self.charset.is_some()
    }

    /// Takes a statement in.
    pub(crate) fn see(&mut self, text: &[u8]) {
        // Looked at closely only where the word is near the beginning.
        let begin = text.get(..40).unwrap_or(text).to_ascii_uppercase();
        if memchr::memmem::find(&begin, b"SET").is_none() {
            return;
        }
        if Statement::parse_as(text, self.syntax).kind != Kind::Set {
            return;
        }
        let before = (self.sql_mode.clone(), self.charset.clone());
        self.assignments(text);
        let changed = before != (self.sql_mode.clone(), self.charset.clone());
        if changed && !runs_everywhere(text) {
            (self.sql_mode, self.charset) = (None, None);
        }
        let has = |mode: &str| {
            let modes = self.sql_mode.as_deref().unwrap_or_default();
            modes.split(',').any(|one| {
                let one = one.trim();
                // Modes that stand for several, this among them.
                let ansi = ["ANSI", "DB2", "MAXDB", "MSSQL", "ORACLE", "POSTGRESQL"];
                one.eq_ignore_ascii_case(mode)
                    || mode == "ANSI_QUOTES" && ansi.iter().any(|name| one.eq_ignore_ascii_case(name))
            })
        };
        self.syntax = Syntax {
            no_escapes: has("NO_BACKSLASH_ESCAPES"),
            ansi_quotes: has("ANSI_QUOTES"),
            charset: Charset::named(self.charset.as_deref().unwrap_or_default()),
        };
    }

    fn assignments(&mut self, text: &[u8]) {
        let mut tokens = Tokens::with(text, self.syntax);
        tokens.take(b"SET");
        loop {
            tokens.take_any(&[b"SESSION", b"LOCAL"]);
            if tokens.take(b"NAMES")
                || tokens.take(b"CHARSET")
                || tokens.take(b"CHARACTER") && tokens.take(b"SET")
            {
                let value = self.value(&mut tokens);
                if tokens.take(b"COLLATE") {
                    tokens.next();
                }
                self.charset = value;
            } else {
                let mut user = tokens.take(b"@");
                if user && tokens.take(b"@") {
                    user = false;
                    if tokens.take_any(&[b"SESSION", b"LOCAL"]) {
                        tokens.take(b".");
                    }
                }
                let Some(name) = tokens.next() else { return };
                let name = String::from_utf8_lossy(&name.unquoted(text)).to_ascii_lowercase();
                tokens.take(b":");
                tokens.take(b"=");
                let value = self.value(&mut tokens);
                match name.as_str() {
                    _ if user => drop(self.variables.insert(name, value)),
                    "sql_mode" => self.sql_mode = value,
                    "character_set_client" => self.charset = value,
                    _ => {}
                }
            }
            // Up to the next assignment, or the end.
            let mut depth = 0_usize;
            loop {
                let Some(token) = tokens.next() else { return };
                if token.is(text, b"(") {
                    depth += 1;
                } else if token.is(text, b")") {
                    depth = depth.saturating_sub(1);
                } else if depth == 0 && token.is(text, b",") {
                    break;
                }
            }
        }
    }

    /// A whole value; anything that is more than that is not known.
    fn value(&self, tokens: &mut Tokens<'_>) -> Value {
        let value = self.simple(tokens);
        let mut after = tokens.clone();
        let over = after.next().is_none_or(|token| {
            [b",".as_slice(), b"COLLATE", b")"].iter().any(|sign| token.is(tokens.text(), sign))
        });
        value.filter(|_| over)
    }

    fn simple(&self, tokens: &mut Tokens<'_>) -> Value {
        if tokens.take(b"CONCAT") {
            tokens.take(b"(").then_some(())?;
            let mut all = String::new();
            loop {
                all += &self.value(tokens)?;
                if tokens.take(b")") {
                    return Some(all);
                }
                tokens.take(b",").then_some(())?;
            }
        }
        if tokens.take(b"@") {
            let user = !tokens.take(b"@");
            if !user && tokens.take_any(&[b"SESSION", b"LOCAL"]) {
                tokens.take(b".");
            }
            let name = tokens.next()?;
            let name = String::from_utf8_lossy(&name.unquoted(tokens.text())).to_ascii_lowercase();
            return match name.as_str() {
                _ if user => self.variables.get(&name).cloned().flatten(),
                "sql_mode" => self.sql_mode.clone(),
                "character_set_client" => self.charset.clone(),
                _ => None,
            };
        }
        let text = tokens.text();
        let token = tokens.next()?;
        let raw = text.get(token.at.clone())?;
        match raw.first()? {
            b'\'' | b'"' => {
                let inner = raw.get(1..raw.len().checked_sub(1)?)?;
                // Nothing in a mode's or character set's name needs an escape.
                (!inner.iter().any(|byte| b"\\'\"".contains(byte)))
                    .then(|| String::from_utf8_lossy(inner).into_owned())
            }
            byte if byte.is_ascii_alphabetic() && !token.is(text, b"DEFAULT") => {
                Some(String::from_utf8_lossy(raw).into_owned())
            }
            _ => None,
        }
    }
}

/// Whether all servers run it: conditional comments of versions that only MySQL or only MariaDB has are run by the one
/// and passed over by the other (<https://mariadb.com/kb/en/comment-syntax/>).
fn runs_everywhere(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest, b"/*") {
        rest = rest.get(at + 2..).unwrap_or_default();
        if rest.starts_with(b"M!") {
            return false;
        }
        if let Some(version) = rest.strip_prefix(b"!") {
            let digits = version.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let digits = version.get(..digits).and_then(|digits| std::str::from_utf8(digits).ok());
            if digits.and_then(|digits| digits.parse::<u32>().ok()).is_some_and(|version| version >= 50700) {
                return false;
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(statements: &[&str]) -> (bool, bool, Charset, bool) {
        let mut modes = Modes::default();
        statements.iter().for_each(|text| modes.see(text.as_bytes()));
        let syntax = modes.syntax();
        (syntax.no_escapes, syntax.ansi_quotes, syntax.charset, modes.known())
    }

    #[test]
    fn what_dumps_set_is_followed() {
        let plain = (false, false, Charset::Plain, true);
        for (statements, found) in [
            (vec!["SET NAMES utf8mb4"], plain),
            (vec!["/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */"], plain),
            (
                vec!["SET sql_mode = 'STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES'"],
                (true, false, Charset::Plain, true),
            ),
            (vec!["SET SESSION sql_mode=\"ansi\""], (false, true, Charset::Plain, true)),
            (
                vec!["set @@session.sql_mode := concat(@@sql_mode, ',ANSI_QUOTES')"],
                (false, true, Charset::Plain, true),
            ),
            (
                vec![
                    "/*!50003 SET @saved_sql_mode       = @@sql_mode */ ",
                    "/*!50003 SET sql_mode              = 'NO_BACKSLASH_ESCAPES' */",
                    "/*!50003 SET sql_mode              = @saved_sql_mode */",
                ],
                plain,
            ),
            (vec!["/*!40101 SET NAMES gbk */"], (false, false, Charset::Gbk, true)),
            (vec!["SET NAMES 'big5' COLLATE 'big5_bin', @a = 1"], (false, false, Charset::Big5, true)),
            (vec!["SET CHARACTER SET cp932"], (false, false, Charset::Sjis, true)),
            (
                vec![
                    "SET NAMES gbk",
                    "SET @s = @@character_set_client",
                    "SET character_set_client = utf8",
                    "SET character_set_client = @s",
                ],
                (false, false, Charset::Gbk, true),
            ),
            (vec!["CREATE TABLE t (a int COMMENT 'SET sql_mode=ANSI')"], plain),
        ] {
            assert_eq!(after(&statements), found, "{statements:?}");
        }
    }

    #[test]
    fn what_only_the_server_knows_is_not_guessed() {
        for text in [
            "SET sql_mode = (SELECT 'ANSI')",
            "SET sql_mode = @never_set",
            "SET sql_mode = 1048576",
            "SET sql_mode = 'NO_' 'BACKSLASH_ESCAPES'",
            "SET sql_mode = DEFAULT",
            "SET @a = 1, sql_mode = IF(1, 'ANSI', '')",
            "/*!80000 SET sql_mode = 'NO_BACKSLASH_ESCAPES' */",
            "/*M!100000 SET NAMES gbk */",
            "SET NAMES DEFAULT",
        ] {
            assert!(!after(&[text]).3, "{text}");
        }
    }

    #[test]
    fn where_a_string_ends() {
        let gbk = Syntax { charset: Charset::Gbk, ..Syntax::default() };
        let no_escapes = Syntax { no_escapes: true, ..Syntax::default() };
        let ansi = Syntax { ansi_quotes: true, ..Syntax::default() };
        assert_eq!(Syntax::default().quoted(b"'a\\'b' c", b'\''), 6);
        assert_eq!(no_escapes.quoted(b"'a\\'b' c", b'\''), 4);
        assert_eq!(gbk.quoted(b"'\xd5\x5c' c", b'\''), 4);
        assert_eq!(ansi.quoted(b"\"a\\\" c", b'"'), 4);
    }
}
