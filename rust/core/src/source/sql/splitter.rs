//! Cuts a stream of SQL into statements, as the mysql client does: quotes, comments, `DELIMITER`.
//!
//! Memory is bounded by the longest `INSERT`, which may have a gibibyte. Bytes are bytes: blobs between quotes need be no
//! valid text.

use super::modes::Modes;
use super::rows::check_length;
use super::syntax::{Charset, Syntax};
use crate::{Code, Error, Result};
use memchr::{memchr, memchr_iter, memchr2, memmem};
use std::io::Read;
use std::ops::{ControlFlow, Range};

/// What MariaDB's and MySQL's dump programs write first: their client then refuses its own commands, as we always do.
/// No statement, and nothing ends it but the line.
const SANDBOX: [&[u8]; 2] = [b"/*M!999999\\-", b"/*!999999\\-"];
/// As many bytes as it takes to know one of those, or the word `delimiter`.
const LOOK_AHEAD: usize = 12;
/// How much memory is kept once a long statement is through.
const KEPT: usize = 8 * 1024 * 1024;
/// Least room for a read.
const BLOCK: usize = 256 * 1024;

/// What a dump consists of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// A line comment between two statements, with its marker, without the line's end.
    Comment(&'a [u8]),
    /// A statement without its delimiter. Conditional comments (`/*!40101 … */`) are statements.
    Statement {
        /// The text, from the first byte that is neither white space nor comment.
        text: &'a [u8],
        /// What ended it; at the end of the input perhaps nothing.
        delimiter: &'a [u8],
    },
}

/// Where in the buffer an item lies: its text, and for a statement its delimiter.
pub(crate) type Found = (Range<usize>, Option<Range<usize>>);

/// Whether the lexer goes on, or what it came upon; nothing at the end of the input.
type Turn = ControlFlow<Option<Found>>;
const ON: Turn = ControlFlow::Continue(());

/// Where the lexer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LexerState {
    /// Between statements.
    Between,
    Text,
    Quoted(u8),
    /// After a backslash between quotes.
    Escaped(u8),
    LineComment,
    BlockComment,
}

/// The bytes that mean something outside quotes, whatever the delimiter.
const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut i = 0;
    while i < 6 {
        special[b"'\"`-#/"[i] as usize] = true;
        i += 1;
    }
    special
};

/// See the module.
pub(crate) struct Splitter<R> {
    input: R,
    buffer: Vec<u8>,
    /// How much of `buffer` holds input.
    filled: usize,
    /// Where the item being read starts.
    start: usize,
    /// Where the lexer goes on.
    at: usize,
    state: LexerState,
    /// Whether a comment was met inside a statement (and not between two).
    inside: bool,
    delimiter: Vec<u8>,
    special: [bool; 256],
    ended: bool,
    read: u64,
    /// Lines that end before `counted`, a place in `buffer`.
    lines: u64,
    counted: usize,
    /// What the statements have set so far, and what held for the last one.
    modes: Modes,
    syntax: Syntax,
}

impl<R: Read> Splitter<R> {
    pub(crate) fn new(input: R) -> Self {
        let mut splitter = Splitter {
            input,
            buffer: Vec::new(),
            filled: 0,
            start: 0,
            at: 0,
            state: LexerState::Between,
            inside: false,
            delimiter: Vec::new(),
            special: SPECIAL,
            ended: false,
            read: 0,
            lines: 0,
            counted: 0,
            modes: Modes::default(),
            syntax: Syntax::default(),
        };
        splitter.set_delimiter(b";".to_vec());
        splitter
    }

    pub(crate) fn input(&self) -> &R {
        &self.input
    }

    /// Bytes read from the input so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.read
    }

    /// The line on which an item begins that [`Splitter::advance`] found, from 1; asked for items in order.
    pub(crate) fn line(&mut self, item: &Found) -> u64 {
        self.count_lines(item.0.start);
        self.lines + 1
    }

    fn count_lines(&mut self, until: usize) {
        if let Some(passed) = self.buffer.get(self.counted..until) {
            self.lines += memchr_iter(b'\n', passed).count() as u64;
            self.counted = until;
        }
    }

    /// Whether the input ended inside a quoted string, an identifier or a comment, so was cut short.
    pub(crate) fn torn(&self) -> bool {
        matches!(self.state, LexerState::Quoted(_) | LexerState::Escaped(_) | LexerState::BlockComment)
    }

    /// The next item; `None` at the end.
    #[cfg(test)]
    pub(crate) fn next(&mut self) -> Result<Option<Item<'_>>> {
        let found = self.advance()?;
        Ok(found.map(|found| self.item(found)))
    }

    /// What [`Splitter::advance`] found, as long as nothing more is read.
    pub(crate) fn item(&self, (text, delimiter): Found) -> Item<'_> {
        let of = |range: Range<usize>| self.buffer.get(range).unwrap_or_default();
        match delimiter {
            None => Item::Comment(of(text)),
            Some(delimiter) => Item::Statement { text: of(text), delimiter: of(delimiter) },
        }
    }

    /// By which rules the last statement is read.
    pub(crate) fn syntax(&self) -> Syntax {
        self.syntax
    }

    /// Whether it is certain by which rules the next one is.
    pub(crate) fn is_certain(&self) -> bool {
        self.modes.known()
    }

    fn set_delimiter(&mut self, delimiter: Vec<u8>) {
        self.special = SPECIAL;
        if let Some(special) = delimiter.first().and_then(|&byte| self.special.get_mut(usize::from(byte))) {
            *special = true;
        }
        self.delimiter = delimiter;
    }

    /// Reads up to the end of the next item.
    pub(crate) fn advance(&mut self) -> Result<Option<Found>> {
        loop {
            let turn = match self.state {
                LexerState::Between => self.between()?,
                LexerState::Text => self.text()?,
                LexerState::Quoted(quote) => self.quoted(quote)?,
                LexerState::Escaped(quote) => self.escaped(quote)?,
                LexerState::LineComment => self.line_comment()?,
                LexerState::BlockComment => self.block_comment()?,
            };
            if let ControlFlow::Break(found) = turn {
                return Ok(found);
            }
        }
    }

    /// Passes over white space, and sees what begins after it.
    fn between(&mut self) -> Result<Turn> {
        let Some(skipped) = self.rest().iter().position(|byte| !byte.is_ascii_whitespace()) else {
            self.at = self.filled;
            self.start = self.at;
            return Ok(if self.fill()? { ON } else { ControlFlow::Break(None) });
        };
        self.at += skipped;
        self.start = self.at;
        self.look_ahead(LOOK_AHEAD)?;
        if self.delimiter_command()? || self.sandbox_mark()? {
            return Ok(ON);
        }
        self.inside = false;
        if !self.comment()? {
            self.state = LexerState::Text;
        }
        Ok(ON)
    }

    /// Goes to the next byte that means something, and sees what it does.
    fn text(&mut self) -> Result<Turn> {
        let rest = self.rest();
        let found = match self.modes.syntax().charset {
            Charset::Plain => rest.iter().position(|&byte| self.is_special(byte)).ok_or(rest.len()),
            charset => self.among_characters(charset, |byte| self.is_special(byte)),
        };
        match self.come_to(found)? {
            Ok(ahead) => self.at += ahead,
            Err(turn) => return Ok(turn),
        }
        self.look_ahead(4.max(self.delimiter.len()))?;
        if self.rest().starts_with(&self.delimiter) {
            return Ok(ControlFlow::Break(Some(self.statement())));
        }
        self.inside = true;
        if self.comment()? {
            return Ok(ON);
        }
        if let Some(&quote @ (b'\'' | b'"' | b'`')) = self.rest().first() {
            self.state = LexerState::Quoted(quote);
        }
        self.at += 1;
        Ok(ON)
    }

    /// The statement that the delimiter here ends.
    fn statement(&mut self) -> Found {
        let text = self.start..self.at;
        self.at += self.delimiter.len();
        self.start = self.at;
        self.state = LexerState::Between;
        self.syntax = self.modes.syntax();
        self.modes.see(self.buffer.get(text.clone()).unwrap_or_default());
        let end = text.end;
        (text, Some(end..self.at))
    }

    /// Goes to the end of a quoted string or identifier, or to an escape in it. A doubled quote ends one string and begins
    /// the next: the same in effect. Identifiers know no escapes.
    fn quoted(&mut self, quote: u8) -> Result<Turn> {
        let syntax = self.modes.syntax();
        let escapes = syntax.escapes(quote);
        let rest = self.rest();
        let found = match syntax.charset {
            Charset::Plain if escapes => memchr2(quote, b'\\', rest).ok_or(rest.len()),
            Charset::Plain => memchr(quote, rest).ok_or(rest.len()),
            charset => self.among_characters(charset, |byte| byte == quote || escapes && byte == b'\\'),
        };
        let ahead = match self.come_to(found)? {
            Ok(ahead) => ahead,
            Err(turn) => return Ok(turn),
        };
        let escape = escapes && self.rest().get(ahead) == Some(&b'\\');
        self.state = if escape { LexerState::Escaped(quote) } else { LexerState::Text };
        self.at += ahead + 1;
        Ok(ON)
    }

    /// Passes over whatever byte comes after a backslash.
    fn escaped(&mut self, quote: u8) -> Result<Turn> {
        if self.at == self.filled && !self.fill()? {
            return Ok(ControlFlow::Break(self.last_statement()));
        }
        self.at += 1;
        self.state = LexerState::Quoted(quote);
        Ok(ON)
    }

    /// Goes to the end of the line; the comment is an item where it stands between statements.
    fn line_comment(&mut self) -> Result<Turn> {
        let end = memchr(b'\n', self.rest());
        if end.is_none() {
            self.at = self.filled;
            if self.fill()? {
                return Ok(ON);
            }
        }
        let text = self.start..self.at + end.unwrap_or(0);
        self.at = text.end;
        if self.inside {
            self.state = LexerState::Text;
            return Ok(ON);
        }
        self.start = self.at;
        self.state = LexerState::Between;
        let comment = self.buffer.get(text.clone()).unwrap_or_default();
        let trimmed = comment.strip_suffix(b"\r").map_or(text.end, |_| text.end - 1);
        Ok(ControlFlow::Break(Some((text.start..trimmed, None))))
    }

    /// Goes to the end of a comment between stars.
    fn block_comment(&mut self) -> Result<Turn> {
        let rest = self.rest();
        if let Some(end) = memmem::find(rest, b"*/") {
            self.at += end + 2;
            self.state = if self.inside { LexerState::Text } else { LexerState::Between };
            return Ok(ON);
        }
        // The star may be the last byte so far.
        self.at += rest.len().saturating_sub(1);
        if !self.inside {
            self.start = self.at;
        }
        if self.fill()? {
            return Ok(ON);
        }
        self.at = self.filled;
        Ok(ControlFlow::Break(self.last_statement()))
    }

    /// How far ahead that is which was looked for; where so many bytes do not have it, the lexer goes on with more, or is at
    /// the end.
    fn come_to(
        &mut self,
        found: std::result::Result<usize, usize>,
    ) -> Result<std::result::Result<usize, Turn>> {
        let passed = match found {
            Ok(ahead) => return Ok(Ok(ahead)),
            Err(passed) => passed,
        };
        self.at += passed;
        if self.fill()? {
            return Ok(Err(ON));
        }
        self.at = self.filled;
        Ok(Err(ControlFlow::Break(self.last_statement())))
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.at..self.filled).unwrap_or_default()
    }

    /// The place of the first byte that is `wanted` and no part of a longer character; else how many bytes were passed
    /// over, up to a character that may go on.
    fn among_characters(
        &self,
        charset: Charset,
        wanted: impl Fn(u8) -> bool,
    ) -> std::result::Result<usize, usize> {
        let rest = self.rest();
        let mut at = 0;
        while let Some(&byte) = rest.get(at) {
            if byte >= 0x80 {
                if at + 1 == rest.len() && charset.leads(byte) && !self.ended {
                    break;
                }
                at += charset.length(rest.get(at..).unwrap_or_default());
            } else if wanted(byte) {
                return Ok(at);
            } else {
                at += 1;
            }
        }
        Err(at)
    }

    fn is_special(&self, byte: u8) -> bool {
        self.special.get(usize::from(byte)).copied().unwrap_or_default()
    }

    /// What stands between the last delimiter and the end of the input.
    fn last_statement(&mut self) -> Option<Found> {
        let text = self.start..self.filled;
        self.start = self.filled;
        let bytes = self.buffer.get(text.clone()).unwrap_or_default();
        let blank = bytes.iter().all(u8::is_ascii_whitespace);
        (!blank).then_some((text.clone(), Some(text.end..text.end)))
    }

    /// Enters a comment where one begins here. Conditional comments hold SQL, so they are none.
    fn comment(&mut self) -> Result<bool> {
        self.look_ahead(4)?;
        let state = match self.rest() {
            [b'#', ..] | [b'-', b'-'] => LexerState::LineComment,
            [b'-', b'-', space, ..] if space.is_ascii_whitespace() || space.is_ascii_control() => {
                LexerState::LineComment
            }
            [b'/', b'*', b'!' | b'+', ..] | [b'/', b'*', b'M', b'!', ..] => return Ok(false),
            [b'/', b'*', ..] => {
                // Past the star, which must not end the comment it begins.
                self.at += 2;
                LexerState::BlockComment
            }
            _ => return Ok(false),
        };
        self.state = state;
        Ok(true)
    }

    /// Obeys a `DELIMITER xx` line.
    fn delimiter_command(&mut self) -> Result<bool> {
        const WORD: usize = b"delimiter".len();
        let is_command = |rest: &[u8]| {
            rest.get(..WORD).is_some_and(|word| word.eq_ignore_ascii_case(b"delimiter"))
                && rest.get(WORD).is_some_and(u8::is_ascii_whitespace)
        };
        if !is_command(self.rest()) {
            return Ok(false);
        }
        while memchr(b'\n', self.rest()).is_none() && self.fill()? {}
        let rest = self.rest();
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        let delimiter = rest.get(WORD..end).unwrap_or_default().trim_ascii().to_vec();
        if delimiter.is_empty() {
            return Err(Error::new(Code::Integrity, "the SQL dump has a DELIMITER line without a delimiter"));
        }
        self.at += end;
        self.start = self.at;
        self.set_delimiter(delimiter);
        Ok(true)
    }

    fn sandbox_mark(&mut self) -> Result<bool> {
        if !SANDBOX.iter().any(|mark| self.rest().starts_with(mark)) {
            return Ok(false);
        }
        while memchr(b'\n', self.rest()).is_none() && self.fill()? {}
        self.at += memchr(b'\n', self.rest()).unwrap_or(self.filled - self.at);
        self.start = self.at;
        Ok(true)
    }

    /// Tries to have `length` bytes from `at` on.
    fn look_ahead(&mut self, length: usize) -> Result<()> {
        while self.filled - self.at < length && self.fill()? {}
        Ok(())
    }

    /// Reads more; forgets what lies before `start`. `false` at the end of the input.
    fn fill(&mut self) -> Result<bool> {
        if self.ended {
            return Ok(false);
        }
        let begun = self.buffer.get(self.start..self.filled).unwrap_or_default();
        check_length(begun, self.state == LexerState::LineComment)?;
        let too_large = self.buffer.capacity() > KEPT && self.filled - self.start < KEPT / 2;
        if too_large || self.buffer.capacity() - self.filled < BLOCK {
            self.count_lines(self.start);
            self.counted -= self.start.min(self.counted);
            self.buffer.copy_within(self.start..self.filled, 0);
            self.at -= self.start;
            self.filled -= self.start;
            self.start = 0;
            self.buffer.truncate(self.filled);
            if too_large {
                self.buffer.shrink_to(KEPT);
            } else {
                // A long statement is not moved again and again; what is not filled takes no memory.
                self.buffer.reserve_exact(self.filled.max(2 * BLOCK));
            }
        }
        if self.buffer.len() - self.filled < BLOCK {
            self.buffer.resize(self.buffer.capacity().min(self.filled + BLOCK), 0);
        }
        let n = loop {
            match self.input.read(self.buffer.get_mut(self.filled..).unwrap_or_default()) {
                Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => {}
                done => break done?,
            }
        };
        self.ended = n == 0;
        self.filled += n;
        self.read += n as u64;
        Ok(n > 0)
    }
}

#[cfg(test)]
#[path = "splitter_tests.rs"]
mod tests;
