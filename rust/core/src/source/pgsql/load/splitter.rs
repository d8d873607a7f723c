//! Takes plain SQL for `psql` apart: statements, and the rows behind `COPY … FROM stdin`, one line after another.
//!
//! Follows `psql`'s own scanner (src/fe_utils/psqlscan.l) as far as pg_dump's output goes: strings, quoted names,
//! dollar quotes, comments. `psql`'s commands (`\connect`, `\!`) are told apart from SQL: a backup must not be able to run
//! programs.
//!
//! A row, and an `INSERT`, may have a gibibyte (what the server allocates at most): long ones come in pieces, so that
//! memory knows no row. Every other statement is looked at as a whole, and has [`LONGEST`].

use crate::{Code, Error};
use memchr::{memchr, memchr2};
use std::io::{self, BufRead, BufReader, Read};

/// How much of a row or an `INSERT` is held at a time.
const PIECE: usize = 1 << 20;
/// How long any other statement may be. Those of pg_dump have some kilobytes.
const LONGEST: usize = 16 << 20;
/// How long a line of the header may be, which may name 30 000 tables.
const LONGEST_HEADER: usize = 2 << 20;
/// How long the tag of a dollar quote may be. Names have 63 bytes at most.
const TAG: usize = 256;
/// How much white space in front of a statement is kept.
const BLANK: usize = 64 << 10;

/// A piece of a dump.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// A comment of one line, without its end.
    Comment(&'a [u8]),
    /// One statement with its semicolon.
    Statement(&'a [u8]),
    /// A command to `psql`, to the end of its line.
    Command(&'a [u8]),
    /// A line of rows, its end included.
    Row(&'a [u8]),
    /// The line behind the last row, `\.`.
    End(&'a [u8]),
    /// Part of a row or of an `INSERT` that is too long to be held.
    Piece(Piece<'a>),
}

/// See [`Item::Piece`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    pub(crate) text: &'a [u8],
    /// Of a row; else of a statement.
    pub(crate) row: bool,
    pub(crate) first: bool,
    pub(crate) last: bool,
}

/// What the text is inside of.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Inside {
    Nothing,
    /// `'…'`; with `true` backslashes escape.
    Text(bool),
    Name,
    Dollars(Vec<u8>),
    /// `/* … */`, so many deep.
    Comment(usize),
}

impl Inside {
    /// How many bytes at the beginning mean nothing in it.
    fn plain(&self, text: &[u8]) -> usize {
        let special = match self {
            Inside::Nothing => Some(0),
            Inside::Text(true) => memchr2(b'\'', b'\\', text),
            Inside::Text(false) => memchr(b'\'', text),
            Inside::Name => memchr(b'"', text),
            Inside::Dollars(_) => memchr(b'$', text),
            Inside::Comment(_) => memchr2(b'/', b'*', text),
        };
        special.unwrap_or(text.len())
    }
}

/// Reads a dump; memory is bounded, whatever it holds.
pub(crate) struct Splitter<R> {
    input: BufReader<R>,
    /// A line, or a part of one.
    line: Vec<u8>,
    at: usize,
    /// How long a part is.
    most: usize,
    /// Whether it has the line's end, or the input's.
    whole: bool,
    /// Bytes before the line.
    passed: u64,
    statement: Vec<u8>,
    /// Nothing but white space and comments was taken up of it.
    blank: bool,
    /// It was given, and goes when more is asked for.
    given: bool,
    /// The last bytes of it that are given already.
    before: [u8; 2],
    inside: Inside,
    rows: bool,
    /// The row, or the statement, comes in pieces, of which there was one.
    long: bool,
    /// Whether the last piece was (part of) the line, not the statement.
    from_line: bool,
}

impl<R: Read> Splitter<R> {
    pub(crate) fn new(input: R) -> Self {
        Splitter {
            input: BufReader::with_capacity(256 * 1024, input),
            line: Vec::new(),
            at: 0,
            most: PIECE,
            whole: true,
            passed: 0,
            statement: Vec::new(),
            blank: true,
            given: false,
            before: [0; 2],
            inside: Inside::Nothing,
            rows: false,
            long: false,
            from_line: false,
        }
    }

    /// Shows `each` the comments that the dump begins with, up to the first line that is none.
    pub(crate) fn header(&mut self, mut each: impl FnMut(&str)) -> io::Result<()> {
        loop {
            self.at = self.line.len();
            self.read_on(self.most)?;
            if !self.line.starts_with(b"-- ") {
                return Ok(());
            }
            while !self.whole {
                if self.line.len() >= LONGEST_HEADER {
                    return Err(too_long("a comment").into());
                }
                self.read_on(self.line.len() + PIECE)?;
            }
            each(String::from_utf8_lossy(&self.line).trim_end());
        }
    }

    /// Forgets what is taken up of the line, and reads on to its end, or until there are so many bytes of it. `false` at
    /// the end of the input.
    fn read_on(&mut self, most: usize) -> io::Result<bool> {
        self.passed += self.at as u64;
        self.line.drain(..self.at);
        self.at = 0;
        let room = most.saturating_sub(self.line.len());
        self.input.by_ref().take(room as u64).read_until(b'\n', &mut self.line)?;
        self.whole = self.line.ends_with(b"\n") || self.line.len() < most;
        Ok(!self.line.is_empty())
    }

    /// Passes over what of the line was not read yet.
    fn skip_line(&mut self) -> io::Result<()> {
        while !self.whole {
            let buffer = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                buffer => buffer?,
            };
            let end = memchr(b'\n', buffer);
            let length = end.map_or(buffer.len(), |at| at + 1);
            self.whole = end.is_some() || buffer.is_empty();
            self.input.consume(length);
            self.passed += length as u64;
        }
        Ok(())
    }

    /// Where the last piece ended, in bytes from the start.
    pub(crate) fn end(&self) -> u64 {
        self.passed + self.at.min(self.line.len()) as u64
    }

    /// Passes over the rows that come next, if there are any, whatever their length: how many there are, and their bytes
    /// with the line that ends them.
    pub(crate) fn pass_rows(&mut self) -> io::Result<(u64, u64)> {
        let (mut rows, mut bytes) = (0, 0);
        if self.rows {
            self.passed += self.line.len() as u64;
            self.line.clear();
            self.at = 0;
        }
        // As much of the line as tells whether it is the last one.
        let mut front: Vec<u8> = Vec::with_capacity(4);
        while self.rows {
            let buffer = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                buffer => buffer?,
            };
            if buffer.is_empty() {
                break;
            }
            let end = memchr(b'\n', buffer);
            let part = buffer.get(..end.map_or(buffer.len(), |at| at + 1)).unwrap_or(buffer);
            front.extend(part.iter().take(4 - front.len()));
            let length = part.len();
            self.input.consume(length);
            bytes += length as u64;
            if end.is_some() {
                self.rows = front != b"\\.\n";
                rows += u64::from(self.rows);
                front.clear();
            }
        }
        self.passed += bytes;
        Ok((rows, bytes))
    }

    /// The statement, row or piece that [`Splitter::next`] gave last.
    pub(crate) fn last(&self) -> Option<&[u8]> {
        Some(if self.from_line { &self.line } else { &self.statement })
    }

    /// The next piece; `None` at the end. What is left without a semicolon there is a statement, too.
    pub(crate) fn next(&mut self) -> io::Result<Option<Item<'_>>> {
        self.forget_given();
        loop {
            let room = self.line.len() - self.at;
            let short = room == 0 || !self.whole && room < TAG + 2;
            if short && !self.read_on(self.most)? {
                return Ok(self.left());
            }
            self.from_line = self.rows;
            if self.rows {
                return Ok(Some(self.row()));
            }
            let rest = self.line.get(self.at..).unwrap_or_default();
            if self.blank && self.inside == Inside::Nothing && rest.trim_ascii_start().starts_with(b"--") {
                let start = self.at;
                self.at = self.line.len();
                self.skip_line()?;
                return Ok(Some(Item::Comment(self.line.get(start..).unwrap_or_default().trim_ascii())));
            }
            match self.scan()? {
                Some(End::Statement) => {
                    self.given = true;
                    if std::mem::take(&mut self.long) {
                        let text = &self.statement;
                        return Ok(Some(Item::Piece(Piece { text, row: false, first: false, last: true })));
                    }
                    self.rows = is_copy(&self.statement);
                    if self.rows {
                        // They begin in the next line.
                        self.at = self.line.len();
                        self.skip_line()?;
                    }
                    return Ok(Some(Item::Statement(&self.statement)));
                }
                Some(End::Command) => {
                    let start = self.at;
                    self.at = self.line.len();
                    self.skip_line()?;
                    return Ok(Some(Item::Command(
                        self.line.get(start..).unwrap_or_default().trim_ascii_end(),
                    )));
                }
                None if self.blank && self.statement.len() > BLANK => self.statement.clear(),
                None if self.statement.len() > self.most => {
                    if self.long || is_insert(&self.statement) {
                        self.given = true;
                        let first = !std::mem::replace(&mut self.long, true);
                        let text = &self.statement;
                        return Ok(Some(Item::Piece(Piece { text, row: false, first, last: false })));
                    }
                    if self.statement.len() > LONGEST {
                        return Err(too_long("a statement").into());
                    }
                }
                None => {}
            }
        }
    }

    /// Makes room for what comes behind the statement, or the part of one, that was given.
    fn forget_given(&mut self) {
        if std::mem::take(&mut self.given) {
            self.before = [self.behind(1), self.behind(0)];
            self.statement.clear();
            if !self.long {
                (self.blank, self.before) = (true, [0; 2]);
            }
        }
    }

    /// What the input ends with.
    fn left(&mut self) -> Option<Item<'_>> {
        self.from_line = false;
        if self.blank && self.inside == Inside::Nothing {
            return None;
        }
        self.statement.push(b';');
        // It is given once, also where it broke off inside of something.
        self.inside = Inside::Nothing;
        self.given = true;
        let text = &self.statement;
        Some(match std::mem::take(&mut self.long) {
            true => Item::Piece(Piece { text, row: false, first: false, last: true }),
            false => Item::Statement(text),
        })
    }

    /// The line is one of rows, or a part of one.
    fn row(&mut self) -> Item<'_> {
        self.at = self.line.len();
        let first = !std::mem::replace(&mut self.long, !self.whole);
        match (first, self.whole) {
            (true, true) if self.line.trim_ascii_end() == b"\\." => {
                self.rows = false;
                Item::End(&self.line)
            }
            (true, true) => Item::Row(&self.line),
            (first, last) => Item::Piece(Piece { text: &self.line, row: true, first, last }),
        }
    }

    /// The byte that was taken up last, or so many before it.
    fn behind(&self, back: usize) -> u8 {
        let kept = self.statement.len();
        match kept.checked_sub(back + 1) {
            Some(at) => self.statement.get(at).copied().unwrap_or_default(),
            None => self.before.get((1 + kept).saturating_sub(back)).copied().unwrap_or_default(),
        }
    }

    /// Takes up the line until a statement, or what is there of the line, ends.
    fn scan(&mut self) -> io::Result<Option<End>> {
        while let Some(&byte) = self.line.get(self.at) {
            let rest = self.line.get(self.at..).unwrap_or_default();
            let plain = self.inside.plain(rest);
            if plain > 0 {
                self.statement.extend_from_slice(rest.get(..plain).unwrap_or_default());
                self.at += plain;
                continue;
            }
            if !self.whole && rest.len() < TAG + 2 {
                // What this is, the next bytes may say.
                return Ok(None);
            }
            let mut take = 1;
            let mut in_comment = matches!(self.inside, Inside::Comment(_));
            match &self.inside {
                Inside::Nothing => match byte {
                    b'\\' => return Ok(Some(End::Command)),
                    b'-' if rest.starts_with(b"--") => {
                        // Statements need no comments; names and the like end at white space.
                        self.statement.push(b'\n');
                        self.at = self.line.len();
                        self.skip_line()?;
                        return Ok(None);
                    }
                    b'\'' => {
                        let escapes = matches!(self.behind(0), b'E' | b'e') && !in_word(self.behind(1));
                        self.inside = Inside::Text(escapes);
                    }
                    b'"' => self.inside = Inside::Name,
                    b'/' if rest.starts_with(b"/*") => {
                        take = 2;
                        self.inside = Inside::Comment(1);
                    }
                    b'$' if !in_word(self.behind(0)) => {
                        if let Some(tag) = dollar_tag(rest)? {
                            take = tag.len();
                            self.inside = Inside::Dollars(tag.to_vec());
                        }
                    }
                    b';' if self.blank => {
                        // No statement, for which the server would be asked all the same.
                        self.statement.clear();
                        self.at += 1;
                        return Ok(None);
                    }
                    b';' => {
                        self.statement.push(b';');
                        self.at += 1;
                        return Ok(Some(End::Statement));
                    }
                    _ => {}
                },
                Inside::Text(true) if byte == b'\\' => take = 2.min(rest.len()),
                // A doubled quote ends the text and begins it again; with escapes, the E counts on.
                Inside::Text(_) if rest.starts_with(b"''") => take = 2,
                Inside::Text(_) if byte == b'\'' => self.inside = Inside::Nothing,
                Inside::Name if byte == b'"' => self.inside = Inside::Nothing,
                Inside::Dollars(tag) if rest.starts_with(tag) => {
                    take = tag.len();
                    self.inside = Inside::Nothing;
                }
                Inside::Comment(depth) if rest.starts_with(b"*/") => {
                    take = 2;
                    self.inside = if *depth > 1 { Inside::Comment(depth - 1) } else { Inside::Nothing };
                }
                Inside::Comment(depth) if rest.starts_with(b"/*") => {
                    take = 2;
                    self.inside = Inside::Comment(depth + 1);
                }
                _ => {}
            }
            in_comment |= matches!(self.inside, Inside::Comment(_));
            self.blank &= byte.is_ascii_whitespace() || in_comment;
            self.statement.extend_from_slice(rest.get(..take).unwrap_or_default());
            self.at += take;
        }
        Ok(None)
    }
}

enum End {
    Statement,
    Command,
}

fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// `$$` or `$tag$` at the beginning.
fn dollar_tag(rest: &[u8]) -> io::Result<Option<&[u8]>> {
    let word = rest.iter().skip(1).take_while(|byte| in_word(**byte) && **byte != b'$').count();
    if word > TAG {
        // Whoever knew it for no quote would take what it hides for SQL.
        return Err(too_long("the tag of a dollar quote").into());
    }
    let is_tag = rest.get(word + 1) == Some(&b'$') && !rest.get(1).is_some_and(u8::is_ascii_digit);
    Ok(rest.get(..word + 2).filter(|_| is_tag))
}

/// The first words of a statement, in upper case; of words that are longer than any name, the beginning.
pub(crate) fn words(statement: &[u8]) -> impl Iterator<Item = String> + '_ {
    statement
        .split(|byte| byte.is_ascii_whitespace() || matches!(byte, b'(' | b';'))
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word.get(..400).unwrap_or(word)).to_ascii_uppercase())
}

/// Whether rows follow: `COPY … FROM stdin;`
pub(crate) fn is_copy(statement: &[u8]) -> bool {
    let mut words = words(statement);
    if words.next().as_deref() != Some("COPY") {
        return false;
    }
    let mut last = String::new();
    words.any(|word| std::mem::replace(&mut last, word.clone()) == "FROM" && word == "STDIN")
}

/// Whether nothing but rows of a table are in it.
fn is_insert(statement: &[u8]) -> bool {
    let text = statement.trim_ascii_start();
    words(text.get(..64).unwrap_or(text)).take(2).eq(["INSERT", "INTO"])
}

fn too_long(what: &str) -> Error {
    let text = format!("{what} in the dump is longer than any that pg_dump writes");
    Error::new(Code::Integrity, text)
        .hint("is this a dump of a database? use another copy, or an older backup")
}

#[cfg(test)]
#[path = "splitter_tests.rs"]
mod tests;
