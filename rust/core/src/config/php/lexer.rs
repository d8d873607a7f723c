//! The words of PHP source: as much of its grammar as exports need (the PHP manual, "Literals").

use crate::{Code, Error, Result};
use std::fmt;

/// One word.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// `$name`
    Variable(String),
    /// A name: `array`, `TRUE`, `stdClass`, `\Foo\Bar`.
    Name(String),
    Int(i64),
    Float(f64),
    String(Vec<u8>),
    /// `(`, `=>`, `;` …
    Sign(&'static str),
    End,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Variable(name) => write!(f, "the variable ${name}"),
            Token::Name(name) => write!(f, "\"{name}\""),
            Token::Int(number) => write!(f, "the number {number}"),
            Token::Float(number) => write!(f, "the number {number}"),
            // It may be a password.
            Token::String(_) => f.write_str("a string"),
            Token::Sign(sign) => write!(f, "\"{sign}\""),
            Token::End => f.write_str("the end of the text"),
        }
    }
}

/// The longest first, so that `=>` is not `=` and `>`.
const SIGNS: [&str; 21] = [
    "...", "=>", "->", "::", "(", ")", "[", "]", "{", "}", ",", ";", "=", "-", "+", ".", "&", "?", ":", "|",
    "*",
];

/// Reads words off a text; knows where it is.
pub(super) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    /// Where the current word begins.
    start: usize,
    token: Token,
}

impl<'a> Lexer<'a> {
    /// Stands at the first word. An opening `<?php` is skipped, and a byte order mark.
    pub(super) fn new(text: &'a [u8]) -> Result<Self> {
        let mut lexer = Lexer { text, at: 0, start: 0, token: Token::End };
        if lexer.rest().starts_with(b"\xef\xbb\xbf") {
            lexer.at = 3;
        }
        while lexer.rest().first().is_some_and(u8::is_ascii_whitespace) {
            lexer.at += 1;
        }
        if lexer.rest().get(..5).is_some_and(|tag| tag.eq_ignore_ascii_case(b"<?php")) {
            lexer.at += 5;
        }
        lexer.advance()?;
        Ok(lexer)
    }

    /// The current word.
    pub(super) fn token(&self) -> &Token {
        &self.token
    }

    /// Goes to the next word and gives the one it leaves.
    pub(super) fn take(&mut self) -> Result<Token> {
        let token = std::mem::replace(&mut self.token, Token::End);
        self.advance()?;
        Ok(token)
    }

    /// An error at the current word.
    pub(super) fn unexpected(&self, expected: &str) -> Error {
        self.error(self.start, format!("found {}, expected {expected}", self.token))
    }

    fn error(&self, at: usize, text: impl fmt::Display) -> Error {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        // Characters, not bytes: continuation bytes of UTF-8 do not count.
        let column = before.iter().skip(line_start).filter(|byte| **byte & 0xc0 != 0x80).count() + 1;
        Error::new(Code::Config, format!("line {line}, column {column}: {text}")).hint(
            "bam reads what Backup and Migrate and CTools export: literal values only; it never runs PHP",
        )
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn advance(&mut self) -> Result<()> {
        self.skip_blanks()?;
        self.start = self.at;
        let rest = self.rest();
        self.token = match rest {
            [] => Token::End,
            // The end tag is a semicolon; what follows it is output, which only blanks may be.
            [b'?', b'>', after @ ..] => {
                if let Some(extra) = after.iter().position(|byte| !byte.is_ascii_whitespace()) {
                    return Err(self.error(self.at + 2 + extra, "found text after ?>, expected the end"));
                }
                self.at = self.text.len();
                Token::Sign(";")
            }
            [b'\'', ..] => self.single_quoted()?,
            [b'"', ..] => self.double_quoted()?,
            [b'<', b'<', b'<', ..] => {
                return Err(self.error(self.at, "found a heredoc, expected a quoted string"));
            }
            [b'$', after @ ..] => {
                let name = name_length(after, false);
                if name == 0 {
                    return Err(self.error(self.at, "found \"$\", expected a value"));
                }
                self.at += 1 + name;
                Token::Variable(text_of(after, name))
            }
            [b'0'..=b'9', ..] | [b'.', b'0'..=b'9', ..] => self.number()?,
            _ => match name_length(rest, true) {
                0 => self.sign()?,
                length => {
                    self.at += length;
                    Token::Name(text_of(rest, length))
                }
            },
        };
        Ok(())
    }

    fn skip_blanks(&mut self) -> Result<()> {
        loop {
            let rest = self.rest();
            match rest {
                [byte, ..] if byte.is_ascii_whitespace() || *byte == 0x0b => self.at += 1,
                [b'/', b'/', ..] | [b'#', ..] => {
                    self.at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                }
                [b'/', b'*', ..] => match memchr::memmem::find(rest.get(2..).unwrap_or_default(), b"*/") {
                    Some(length) => self.at += length + 4,
                    None => return Err(self.error(self.at, "this comment has no end")),
                },
                _ => return Ok(()),
            }
        }
    }

    fn sign(&mut self) -> Result<Token> {
        let rest = self.rest();
        match SIGNS.iter().find(|sign| rest.starts_with(sign.as_bytes())) {
            Some(sign) => {
                self.at += sign.len();
                Ok(Token::Sign(sign))
            }
            None => {
                let length = rest.iter().take_while(|byte| **byte >= 0x80).count().max(1);
                let sign = String::from_utf8_lossy(rest.get(..length).unwrap_or_default()).into_owned();
                Err(self.error(self.at, format!("found \"{}\", expected a value", sign.escape_debug())))
            }
        }
    }

    /// `\\` and `\'` are the only escapes.
    fn single_quoted(&mut self) -> Result<Token> {
        let mut bytes = Vec::new();
        let mut at = self.at + 1;
        loop {
            match self.text.get(at..).unwrap_or_default() {
                [] => return Err(self.error(self.at, "this string has no end")),
                [b'\'', ..] => break,
                [b'\\', escaped @ (b'\\' | b'\''), ..] => {
                    bytes.push(*escaped);
                    at += 2;
                }
                [byte, ..] => {
                    bytes.push(*byte);
                    at += 1;
                }
            }
        }
        self.at = at + 1;
        Ok(Token::String(bytes))
    }

    fn double_quoted(&mut self) -> Result<Token> {
        let mut bytes = Vec::new();
        let mut at = self.at + 1;
        loop {
            let rest = self.text.get(at..).unwrap_or_default();
            match rest {
                [] => return Err(self.error(self.at, "this string has no end")),
                [b'"', ..] => break,
                [b'$', b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'{' | 0x80..=0xff, ..] | [b'{', b'$', ..] => {
                    return Err(self.error(at, "found a variable in a string, expected plain text"));
                }
                [b'\\', after @ ..] => {
                    let (byte, length) = escape(after);
                    match byte {
                        Escape::Byte(byte) => bytes.push(byte),
                        Escape::Char(character) => {
                            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                        }
                        Escape::None => bytes.push(b'\\'),
                        Escape::Wrong => return Err(self.error(at, "this escape is not a character")),
                    }
                    at += 1 + length;
                }
                [byte, ..] => {
                    bytes.push(*byte);
                    at += 1;
                }
            }
        }
        self.at = at + 1;
        Ok(Token::String(bytes))
    }

    /// `12`, `0x1A`, `0b11`, `017`, `1_000`, `1.5`, `.5`, `1.`, `6E-3`. A whole number that is too big is a float.
    fn number(&mut self) -> Result<Token> {
        let rest = self.rest();
        let radix = match rest {
            [b'0', b'x' | b'X', ..] => 16,
            [b'0', b'b' | b'B', ..] => 2,
            [b'0', b'o' | b'O', ..] => 8,
            _ => 10,
        };
        let prefix = if radix == 10 { 0 } else { 2 };
        let mut length = prefix;
        let mut is_float = false;
        while let Some(byte) = rest.get(length) {
            match byte {
                b'_' => {}
                byte if char::from(*byte).is_digit(radix) => {}
                b'.' if radix == 10 && !is_float => is_float = true,
                b'e' | b'E' if radix == 10 => {
                    let sign = usize::from(matches!(rest.get(length + 1), Some(b'-' | b'+')));
                    if !rest.get(length + 1 + sign).is_some_and(u8::is_ascii_digit) {
                        break;
                    }
                    is_float = true;
                    length += sign;
                }
                _ => break,
            }
            length += 1;
        }
        let digits = text_of(rest, length).replace('_', "");
        let body = digits.get(prefix..).unwrap_or_default();
        self.at += length;
        let octal = radix == 10 && !is_float && digits.len() > 1 && digits.starts_with('0');
        let whole = i64::from_str_radix(body, if octal { 8 } else { radix });
        match (is_float, whole) {
            (false, Ok(number)) => Ok(Token::Int(number)),
            // Too big; PHP keeps only the decimal form apart from a mistake.
            (_, _) if radix == 10 && !octal => match digits.parse() {
                Ok(number) => Ok(Token::Float(number)),
                Err(_) => Err(self.error(self.start, "this is no number")),
            },
            _ => Err(self.error(self.start, "this is no number, or too big")),
        }
    }
}

enum Escape {
    Byte(u8),
    Char(char),
    /// Not an escape: the backslash itself.
    None,
    Wrong,
}

/// What follows a backslash in double quotes, and how many bytes of it belong to the escape.
fn escape(after: &[u8]) -> (Escape, usize) {
    let digits = |from: usize, most: usize, radix: u32| {
        let digits =
            after.iter().skip(from).take(most).take_while(|byte| char::from(**byte).is_digit(radix)).count();
        let number =
            u32::from_str_radix(&text_of(after.get(from..).unwrap_or_default(), digits), radix).unwrap_or(0);
        (digits, number)
    };
    match after {
        [b'n', ..] => (Escape::Byte(b'\n'), 1),
        [b't', ..] => (Escape::Byte(b'\t'), 1),
        [b'r', ..] => (Escape::Byte(b'\r'), 1),
        [b'v', ..] => (Escape::Byte(0x0b), 1),
        [b'e', ..] => (Escape::Byte(0x1b), 1),
        [b'f', ..] => (Escape::Byte(0x0c), 1),
        [byte @ (b'\\' | b'$' | b'"'), ..] => (Escape::Byte(*byte), 1),
        [b'0'..=b'7', ..] => {
            let (length, number) = digits(0, 3, 8);
            // PHP lets \400 overflow in silence.
            (Escape::Byte(number.to_le_bytes()[0]), length)
        }
        [b'x', ..] => match digits(1, 2, 16) {
            (0, _) => (Escape::None, 0),
            (length, number) => (Escape::Byte(number.to_le_bytes()[0]), 1 + length),
        },
        [b'u', b'{', ..] => {
            let (length, number) = digits(2, 8, 16);
            let closed = after.get(2 + length) == Some(&b'}');
            match char::from_u32(number).filter(|_| length > 0 && closed) {
                Some(character) => (Escape::Char(character), 3 + length),
                None => (Escape::Wrong, 0),
            }
        }
        _ => (Escape::None, 0),
    }
}

/// Bytes of a name at the beginning; namespaces where `with_namespace`.
fn name_length(text: &[u8], with_namespace: bool) -> usize {
    let first = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_' || *byte >= 0x80;
    let is_start = text.first().is_some_and(|byte| first(byte) || (with_namespace && *byte == b'\\'));
    let inner = |byte: &&u8| first(byte) || byte.is_ascii_digit() || (with_namespace && **byte == b'\\');
    if is_start { text.iter().take_while(inner).count() } else { 0 }
}

fn text_of(text: &[u8], length: usize) -> String {
    String::from_utf8_lossy(text.get(..length).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_begin_with_no_digit_and_have_namespaces_where_those_may_be() {
        for (text, with_namespace, length) in [
            ("ab1\\c", true, 5),
            ("ab1\\c", false, 3),
            ("\\a", false, 0),
            ("1a", true, 0),
            ("\u{c0}\u{e9}(", false, 4),
        ] {
            assert_eq!(name_length(text.as_bytes(), with_namespace), length, "{text}");
        }
    }
}
