//! Cuts a stream of SQL into statements, as the mysql client does: quotes, comments, `DELIMITER`.
//!
//! Memory is bounded by the longest statement. Bytes are bytes: blobs between quotes need be no valid text.

use super::modes::Modes;
use super::syntax::{Charset, Syntax};
use crate::{Code, Error, Result};
use memchr::{memchr, memchr_iter, memchr2, memmem};
use std::io::Read;
use std::ops::Range;

/// The largest packet a server can be told to take (`max_allowed_packet`): no statement can be longer.
const LONGEST: usize = 1 << 30;
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

    /// What is being read.
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
            match self.state {
                LexerState::Between => {
                    let rest = self.rest();
                    match rest.iter().position(|byte| !byte.is_ascii_whitespace()) {
                        Some(skipped) => self.at += skipped,
                        None => {
                            self.at = self.filled;
                            self.start = self.at;
                            if !self.fill()? {
                                return Ok(None);
                            }
                            continue;
                        }
                    }
                    self.start = self.at;
                    self.look_ahead(LOOK_AHEAD)?;
                    if self.delimiter_command()? || self.sandbox_mark()? {
                        continue;
                    }
                    self.inside = false;
                    if !self.comment()? {
                        self.state = LexerState::Text;
                    }
                }
                LexerState::Text => {
                    let syntax = self.modes.syntax();
                    let found = match syntax.charset {
                        Charset::Plain => self.rest().iter().position(|&byte| self.is_special(byte)),
                        charset => match self.among_characters(charset, |byte| self.is_special(byte)) {
                            Ok(found) => Some(found),
                            Err(passed) => {
                                self.at += passed;
                                if self.fill()? {
                                    continue;
                                }
                                None
                            }
                        },
                    };
                    let Some(ahead) = found else {
                        self.at = self.filled;
                        if self.fill()? {
                            continue;
                        }
                        return Ok(self.last_statement());
                    };
                    self.at += ahead;
                    self.look_ahead(4.max(self.delimiter.len()))?;
                    if self.rest().starts_with(&self.delimiter) {
                        let text = self.start..self.at;
                        self.at += self.delimiter.len();
                        self.start = self.at;
                        self.state = LexerState::Between;
                        self.syntax = self.modes.syntax();
                        self.modes.see(self.buffer.get(text.clone()).unwrap_or_default());
                        return Ok(Some((text.clone(), Some(text.end..self.at))));
                    }
                    self.inside = true;
                    if self.comment()? {
                        continue;
                    }
                    match self.rest().first() {
                        Some(&quote @ (b'\'' | b'"' | b'`')) => self.state = LexerState::Quoted(quote),
                        _ => self.state = LexerState::Text,
                    }
                    self.at += 1;
                }
                LexerState::Quoted(quote) => {
                    let rest = self.rest();
                    // A doubled quote ends one string and begins the next: the same in effect. Identifiers know no
                    // escapes.
                    let syntax = self.modes.syntax();
                    let escapes = syntax.escapes(quote);
                    let found = match syntax.charset {
                        Charset::Plain if escapes => memchr2(quote, b'\\', rest),
                        Charset::Plain => memchr(quote, rest),
                        charset => {
                            let ends = |byte| byte == quote || escapes && byte == b'\\';
                            match self.among_characters(charset, ends) {
                                Ok(found) => Some(found),
                                Err(passed) => {
                                    self.at += passed;
                                    if self.fill()? {
                                        continue;
                                    }
                                    None
                                }
                            }
                        }
                    };
                    let rest = self.rest();
                    let Some(ahead) = found else {
                        self.at = self.filled;
                        if self.fill()? {
                            continue;
                        }
                        return Ok(self.last_statement());
                    };
                    let escape = escapes && rest.get(ahead) == Some(&b'\\');
                    self.state = if escape { LexerState::Escaped(quote) } else { LexerState::Text };
                    self.at += ahead + 1;
                }
                LexerState::Escaped(quote) => {
                    if self.at == self.filled && !self.fill()? {
                        return Ok(self.last_statement());
                    }
                    self.at += 1;
                    self.state = LexerState::Quoted(quote);
                }
                LexerState::LineComment => {
                    let end = memchr(b'\n', self.rest());
                    if end.is_none() {
                        self.at = self.filled;
                        if self.fill()? {
                            continue;
                        }
                    }
                    let text = self.start..self.at + end.unwrap_or(0);
                    self.at = text.end;
                    if self.inside {
                        self.state = LexerState::Text;
                        continue;
                    }
                    self.start = self.at;
                    self.state = LexerState::Between;
                    let comment = self.buffer.get(text.clone()).unwrap_or_default();
                    let trimmed = comment.strip_suffix(b"\r").map_or(text.end, |_| text.end - 1);
                    return Ok(Some((text.start..trimmed, None)));
                }
                LexerState::BlockComment => {
                    let rest = self.rest();
                    match memmem::find(rest, b"*/") {
                        Some(end) => {
                            self.at += end + 2;
                            self.state = if self.inside { LexerState::Text } else { LexerState::Between };
                        }
                        None => {
                            // The star may be the last byte so far.
                            self.at += rest.len().saturating_sub(1);
                            if !self.inside {
                                self.start = self.at;
                            }
                            if !self.fill()? {
                                self.at = self.filled;
                                return Ok(self.last_statement());
                            }
                        }
                    }
                }
            }
        }
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
        let too_large = self.buffer.len() > KEPT && self.filled - self.start < KEPT / 2;
        if too_large || self.buffer.len() - self.filled < BLOCK {
            self.count_lines(self.start);
            self.counted -= self.start.min(self.counted);
            self.buffer.copy_within(self.start..self.filled, 0);
            self.at -= self.start;
            self.filled -= self.start;
            self.start = 0;
            if self.filled > LONGEST {
                return Err(Error::new(Code::Integrity, "a statement of the SQL dump is longer than 1 GiB")
                    .hint("no server takes that: is this a SQL dump?"));
            }
            if too_large {
                self.buffer.truncate(KEPT);
                self.buffer.shrink_to_fit();
            } else {
                // Twice what is there, so that a long statement is not moved again and again.
                let size = (self.filled * 2).max(2 * BLOCK).max(self.buffer.len());
                self.buffer.resize(size, 0);
            }
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
mod tests {
    use super::*;

    /// Gives a few bytes a time, so that every look-ahead meets the end of what is there.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let n = self.1.min(buffer.len());
            let n = self.0.read(buffer.get_mut(..n).unwrap_or_default())?;
            Ok(n)
        }
    }

    fn split(sql: &[u8], drip: usize) -> Vec<String> {
        let mut splitter = Splitter::new(Drip(sql, drip));
        let mut items = Vec::new();
        while let Some(item) = splitter.next().unwrap() {
            items.push(match item {
                Item::Comment(text) => format!("#{}", String::from_utf8_lossy(text)),
                Item::Statement { text, delimiter } => {
                    format!("{}|{}", String::from_utf8_lossy(text), String::from_utf8_lossy(delimiter))
                }
            });
        }
        assert_eq!(splitter.bytes(), sql.len() as u64);
        items
    }

    #[track_caller]
    fn check(sql: &str, items: &[&str]) {
        for drip in [1, 2, 3, 7, 1 << 20] {
            assert_eq!(split(sql.as_bytes(), drip), items, "{drip} bytes a time");
        }
    }

    #[test]
    fn statements_end_where_the_client_ends_them() {
        check("a;b ;\n\n c", &["a|;", "b |;", "c|"]);
        check("x 'a;''b' \"c;\" `d;``\\`;y", &["x 'a;''b' \"c;\" `d;``\\`|;", "y|"]);
        check(r"x 'it\'s;', 'end\\';y;", &[r"x 'it\'s;', 'end\\'|;", "y|;"]);
        check("a-1;b--1;c- -1;d/2;", &["a-1|;", "b--1|;", "c- -1|;", "d/2|;"]);
        check(";;a;", &["|;", "|;", "a|;"]);
        check("", &[]);
        check(" \n\t", &[]);
    }

    #[test]
    fn modes_and_character_sets_say_where_a_string_ends() {
        check(
            "a '\\';b';SET sql_mode='NO_BACKSLASH_ESCAPES';a 'C:\\';b;SET sql_mode='';c '\\';';",
            &[
                "a '\\';b'|;",
                "SET sql_mode='NO_BACKSLASH_ESCAPES'|;",
                "a 'C:\\'|;",
                "b|;",
                "SET sql_mode=''|;",
                "c '\\';'|;",
            ],
        );
        check(
            "SET sql_mode='ANSI_QUOTES';a \"b\\\";c;",
            &["SET sql_mode='ANSI_QUOTES'|;", "a \"b\\\"|;", "c|;"],
        );
        // U+8AA0 in GBK, and in Shift JIS U+8868.
        for (charset, character) in [("gbk", b"\xd5\x5c"), ("big5", b"\xa5\x5c"), ("sjis", b"\x95\x5c")] {
            let sql =
                [b"SET NAMES ", charset.as_bytes(), b";a '", character, b"'; b '\\'", character, b"';c;"]
                    .concat();
            for drip in [1, 2, 3, 1 << 20] {
                assert_eq!(split(&sql, drip).len(), 4, "{charset}, {drip} bytes a time");
            }
        }
    }

    #[test]
    fn comments_hide_delimiters_and_quotes() {
        check("-- it's; one\r\na;--\nb;# c'\nd;", &["#-- it's; one", "a|;", "#--", "b|;", "## c'", "d|;"]);
        check("/* it's; */a /* ; */ b;/*/ ; */c;/**/d;", &["a /* ; */ b|;", "c|;", "d|;"]);
        check(
            "/*!40101 SET a='*/;' */;/*M!100101 x */;",
            &["/*!40101 SET a='*/;' */|;", "/*M!100101 x */|;"],
        );
        check("a -- b;'\n c;", &["a -- b;'\n c|;"]);
        check("a # b;'\n c;", &["a # b;'\n c|;"]);
        check("--", &["#--"]);
    }

    #[test]
    fn the_delimiter_changes() {
        check(
            "DELIMITER ;;\ncreate x begin a; b; end ;;\ndelimiter ;\nc;",
            &["create x begin a; b; end |;;", "c|;"],
        );
        check("delimiter $$\r\na;$$b$$/**/ DELIMITER ;\nc;", &["a;|$$", "b|$$", "c|;"]);
        check("delimiters;", &["delimiters|;"]);
        assert!(Splitter::new(b"DELIMITER \nx".as_slice()).next().is_err());
    }

    #[test]
    fn the_sandbox_mark_is_no_statement() {
        check("/*M!999999\\- enable the sandbox mode */ \n-- x\na;", &["#-- x", "a|;"]);
        check("/*!999999\\- enable the sandbox mode */\na;", &["a|;"]);
    }

    #[test]
    fn a_torn_dump_is_noticed() {
        for (sql, torn) in [
            ("a 'b", true),
            ("a /* b", true),
            ("a `b", true),
            ("a 'b\\", true),
            ("a 'b'", false),
            ("a", false),
        ] {
            let mut splitter = Splitter::new(sql.as_bytes());
            while splitter.next().unwrap().is_some() {}
            assert_eq!(splitter.torn(), torn, "{sql}");
        }
    }

    #[test]
    fn a_long_statement_passes_and_its_memory_goes() {
        let mut sql = b"INSERT INTO t VALUES (x'', '".to_vec();
        sql.extend((0..40_000_000_u32).map(|i| {
            if i % 251 == u32::from(b'\'') || i % 251 == u32::from(b'\\') { b'x' } else { (i % 251) as u8 }
        }));
        sql.extend_from_slice(b"');\n");
        let long = sql.len() - 2;
        for _ in 0..100_000 {
            sql.extend_from_slice(b"INSERT INTO t VALUES (1, 'something short');\n");
        }
        let mut splitter = Splitter::new(sql.as_slice());
        let mut lengths = Vec::new();
        while let Some(item) = splitter.next().unwrap() {
            let Item::Statement { text, .. } = item else { panic!("a comment") };
            lengths.push(text.len());
        }
        assert_eq!((lengths.len(), lengths.first().copied()), (100_001, Some(long)));
        assert!(splitter.buffer.capacity() <= 2 * KEPT, "{}", splitter.buffer.capacity());
    }
}
