//! The words, names, strings and signs of a statement.

use super::syntax::Syntax;
use std::borrow::Cow;
use std::ops::Range;

/// Where one stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) at: Range<usize>,
}

impl Token {
    pub(super) fn is(&self, text: &[u8], word: &[u8]) -> bool {
        text.get(self.at.clone()).is_some_and(|found| found.eq_ignore_ascii_case(word))
    }

    /// The name without quotes; ANSI mode quotes names with `"`.
    pub(super) fn unquoted<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let raw = text.get(self.at.clone()).unwrap_or_default();
        let Some((&quote @ (b'`' | b'"'), rest)) = raw.split_first() else { return Cow::Borrowed(raw) };
        let inner = rest.strip_suffix(&[quote]).unwrap_or(rest);
        if !inner.contains(&quote) {
            return Cow::Borrowed(inner);
        }
        let mut plain = Vec::with_capacity(inner.len());
        let mut bytes = inner.iter();
        while let Some(&byte) = bytes.next() {
            plain.push(byte);
            if byte == quote {
                bytes.next();
            }
        }
        Cow::Owned(plain)
    }
}

/// Words, quoted things and signs; comments and the marks of conditional comments are passed over.
#[derive(Debug, Clone)]
pub(super) struct Tokens<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
    syntax: Syntax,
    /// Of a statement, once its kind is known: what it is about.
    pub(super) object: &'static str,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Tokens::with(text, Syntax::default())
    }

    pub(super) fn with(text: &'a [u8], syntax: Syntax) -> Self {
        Tokens { text, at: 0, syntax, object: "" }
    }

    pub(super) fn text(&self) -> &'a [u8] {
        self.text
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn next(&mut self) -> Option<Token> {
        self.skip();
        let start = self.at;
        let rest = self.rest();
        let length = match *rest.first()? {
            quote @ (b'`' | b'"' | b'\'') => self.syntax.quoted(rest, quote),
            byte if is_word(byte) => rest.iter().take_while(|&&byte| is_word(byte)).count(),
            _ => 1,
        };
        self.at = start + length;
        Some(Token { at: start..self.at })
    }

    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let space = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.at += match rest {
                _ if space > 0 => space,
                [b'*', b'/', ..] => 2,
                [b'/', b'*', b'!', digits @ ..] => 3 + count_digits(digits),
                [b'/', b'*', b'M', b'!', digits @ ..] => 4 + count_digits(digits),
                [b'/', b'*', comment @ ..] => {
                    memchr::memmem::find(comment, b"*/").map_or(rest.len(), |end| end + 4)
                }
                [b'#', ..] | [b'-', b'-', b' ' | b'\t' | b'\n' | b'\r', ..] => {
                    memchr::memchr(b'\n', rest).unwrap_or(rest.len())
                }
                _ => return,
            }
        }
    }

    /// Takes the next token if it is `word`.
    pub(super) fn take(&mut self, word: &[u8]) -> bool {
        let mut after = self.clone();
        let found = after.next().is_some_and(|token| token.is(self.text, word));
        if found {
            *self = after;
        }
        found
    }

    pub(super) fn take_any(&mut self, words: &[&[u8]]) -> bool {
        words.iter().any(|word| self.take(word))
    }

    /// The name that comes next; only words and quoted things are names.
    pub(super) fn name(&mut self) -> Option<Token> {
        let token = self.next()?;
        let first = *self.text.get(token.at.start)?;
        (is_word(first) || first == b'`' || first == b'"').then_some(token)
    }
}

/// Whether a byte may stand in a word.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

fn count_digits(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_digit()).count()
}
