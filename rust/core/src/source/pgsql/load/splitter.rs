//! Takes plain SQL for `psql` apart: statements, and the rows behind `COPY … FROM stdin`, one line after another.
//!
//! Follows `psql`'s own scanner (src/fe_utils/psqlscan.l) as far as pg_dump's output goes: strings, quoted names,
//! dollar quotes, comments. `psql`'s commands (`\connect`, `\!`) are told apart from SQL: a backup must not be able to run
//! programs.

use std::io::{self, BufRead, BufReader, Read};

/// A piece of a dump.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// A comment of one line, without its end.
    Comment(&'a [u8]),
    /// One statement with its semicolon.
    Statement(&'a [u8]),
    /// A command to `psql`, to the end of its line.
    Command(&'a [u8]),
    /// A line of rows, its end included; the last one is `\.`.
    Row(&'a [u8]),
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

/// Reads a dump; memory is bounded by its longest statement or row.
pub(crate) struct Splitter<R> {
    input: BufReader<R>,
    line: Vec<u8>,
    at: usize,
    /// Bytes before the line.
    passed: u64,
    statement: Vec<u8>,
    inside: Inside,
    rows: bool,
    /// Whether the last piece was (part of) the line, not the statement.
    from_line: bool,
}

impl<R: Read> Splitter<R> {
    pub(crate) fn new(input: R) -> Self {
        Splitter {
            input: BufReader::with_capacity(256 * 1024, input),
            line: Vec::new(),
            at: 0,
            passed: 0,
            statement: Vec::new(),
            inside: Inside::Nothing,
            rows: false,
            from_line: false,
        }
    }

    /// Shows `each` the comments that the dump begins with, up to the first line that is none.
    pub(crate) fn header(&mut self, mut each: impl FnMut(&str)) -> io::Result<()> {
        loop {
            self.pass_line();
            self.input.read_until(b'\n', &mut self.line)?;
            if !self.line.starts_with(b"-- ") {
                return Ok(());
            }
            each(String::from_utf8_lossy(&self.line).trim_end());
        }
    }

    fn pass_line(&mut self) {
        self.passed += self.line.len() as u64;
        self.line.clear();
        self.at = 0;
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
            self.pass_line();
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
            let end = memchr::memchr(b'\n', buffer);
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

    /// The statement or row that [`Splitter::next`] gave last.
    pub(crate) fn last(&self) -> Option<&[u8]> {
        Some(if self.from_line { &self.line } else { &self.statement })
    }

    /// The next piece; `None` at the end. What is left without a semicolon there is a statement, too.
    pub(crate) fn next(&mut self) -> io::Result<Option<Item<'_>>> {
        if self.statement.last() == Some(&b';') && self.inside == Inside::Nothing {
            self.statement.clear();
        }
        loop {
            if self.at >= self.line.len() {
                self.pass_line();
                if self.input.read_until(b'\n', &mut self.line)? == 0 {
                    let left = self.statement.trim_ascii().is_empty();
                    return Ok(if left {
                        None
                    } else {
                        self.statement.push(b';');
                        // It is given once, also where it broke off inside of something.
                        self.inside = Inside::Nothing;
                        Some(Item::Statement(&self.statement))
                    });
                }
            }
            self.from_line = self.rows;
            if self.rows {
                self.at = self.line.len();
                self.rows = self.line.trim_ascii_end() != b"\\.";
                return Ok(Some(Item::Row(&self.line)));
            }
            let fresh = self.inside == Inside::Nothing && self.statement.trim_ascii().is_empty();
            let rest = self.line.get(self.at..).unwrap_or_default();
            if fresh && rest.trim_ascii_start().starts_with(b"--") {
                let start = self.at;
                self.at = self.line.len();
                return Ok(Some(Item::Comment(self.line.get(start..).unwrap_or_default().trim_ascii())));
            }
            match self.scan() {
                Some(End::Statement) => {
                    self.rows = is_copy(&self.statement);
                    if self.rows {
                        // They begin in the next line.
                        self.at = self.line.len();
                    }
                    return Ok(Some(Item::Statement(&self.statement)));
                }
                Some(End::Command) => {
                    let start = self.at;
                    self.at = self.line.len();
                    return Ok(Some(Item::Command(
                        self.line.get(start..).unwrap_or_default().trim_ascii_end(),
                    )));
                }
                None => {}
            }
        }
    }

    /// Takes up the line until a statement or the line ends.
    fn scan(&mut self) -> Option<End> {
        while let Some(&byte) = self.line.get(self.at) {
            let rest = self.line.get(self.at..).unwrap_or_default();
            let mut take = 1;
            match &self.inside {
                Inside::Nothing => match byte {
                    b'\\' => return Some(End::Command),
                    b'-' if rest.starts_with(b"--") => {
                        // Statements need no comments; names and the like end at white space.
                        self.statement.push(b'\n');
                        self.at = self.line.len();
                        return None;
                    }
                    b'\'' => {
                        let escapes = matches!(self.statement.last(), Some(b'E' | b'e'))
                            && !self.statement.iter().nth_back(1).is_some_and(|byte| in_word(*byte));
                        self.inside = Inside::Text(escapes);
                    }
                    b'"' => self.inside = Inside::Name,
                    b'/' if rest.starts_with(b"/*") => {
                        take = 2;
                        self.inside = Inside::Comment(1);
                    }
                    b'$' if !self.statement.last().is_some_and(|byte| in_word(*byte)) => {
                        if let Some(tag) = dollar_tag(rest) {
                            take = tag.len();
                            self.inside = Inside::Dollars(tag.to_vec());
                        }
                    }
                    b';' => {
                        self.statement.push(b';');
                        self.at += 1;
                        return Some(End::Statement);
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
            self.statement.extend_from_slice(rest.get(..take).unwrap_or_default());
            self.at += take;
        }
        None
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
fn dollar_tag(rest: &[u8]) -> Option<&[u8]> {
    let end = rest.iter().skip(1).position(|byte| *byte == b'$')? + 1;
    let tag = rest.get(1..end)?;
    let word = tag.iter().all(|byte| in_word(*byte)) && !tag.first().is_some_and(u8::is_ascii_digit);
    if word { rest.get(..=end) } else { None }
}

/// The first words of a statement, in upper case.
pub(crate) fn words(statement: &[u8]) -> impl Iterator<Item = String> + '_ {
    statement
        .split(|byte| byte.is_ascii_whitespace() || matches!(byte, b'(' | b';'))
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).to_ascii_uppercase())
}

/// Whether rows follow: `COPY … FROM stdin;`
fn is_copy(statement: &[u8]) -> bool {
    let all: Vec<String> = words(statement).collect();
    all.first().is_some_and(|word| word == "COPY")
        && all.windows(2).any(|pair| {
            pair.first().is_some_and(|word| word == "FROM") && pair.get(1).is_some_and(|word| word == "STDIN")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<(char, String)> {
        let mut splitter = Splitter::new(text.as_bytes());
        let mut found = Vec::new();
        while let Some(item) = splitter.next().expect("read") {
            let (kind, text) = match item {
                Item::Comment(text) => ('-', text),
                Item::Statement(text) => ('s', text),
                Item::Command(text) => ('\\', text),
                Item::Row(text) => ('r', text),
            };
            found.push((kind, String::from_utf8_lossy(text).trim().to_owned()));
        }
        found
    }

    fn kinds(text: &str) -> String {
        split(text).into_iter().map(|(kind, _)| kind).collect()
    }

    #[test]
    fn statements_end_where_psql_sees_their_end() {
        for (text, expected) in [
            ("SELECT 1; SELECT 2;\n", "ss"),
            ("SELECT ';' , E'\\';' , 'it''s;', \"a;b\"\n;\n", "s"),
            ("SELECT 'ends in a backslash\\'; SELECT 2;\n", "ss"),
            ("CREATE FUNCTION f() AS $$a; 'b$$;\nSELECT 1;", "ss"),
            ("DO $x$ $$; $y$ $x$;SELECT $1;", "ss"),
            ("/* a /* b; */ c; */ SELECT 1;", "s"),
            ("-- x;\nSELECT 1 -- y;\n;\n", "-s"),
            ("SELECT 1", "s"),
            ("SELECT 'broken off", "s"),
            ("SELECT \"broken off;", "s"),
            ("SELECT $x$ broken off;\n$x", "s"),
            ("SELECT 1 /* broken /* off */;\n", "s"),
            ("SELECT relname'x', mode'y\\'; SELECT 3;", "ss"),
        ] {
            assert_eq!(kinds(text), expected, "{text}");
        }
    }

    #[test]
    fn rows_are_passed_over_and_pieces_have_a_place() {
        let text =
            "-- x\nSELECT 1;\nCOPY t FROM stdin;\n1\ta\n\\\\.\n\n\\.\nCOPY u FROM stdin;\n\\.\n-- end\n";
        let mut splitter = Splitter::new(BufReader::with_capacity(3, text.as_bytes()));
        let mut ends = Vec::new();
        while let Some(item) = splitter.next().expect("read") {
            let copies = matches!(item, Item::Statement(_));
            let end = splitter.end() as usize;
            let passed = if copies { splitter.pass_rows().expect("read") } else { (0, 0) };
            assert_eq!(splitter.end(), end as u64 + passed.1);
            ends.push((&text[..end], passed));
        }
        let at = |part: &str| &text[..text.find(part).unwrap() + part.len()];
        assert_eq!(
            ends,
            [
                (at("-- x\n"), (0, 0)),
                (at("SELECT 1;"), (0, 0)),
                (at("COPY t FROM stdin;\n"), (3, 4 + 4 + 1 + 3)),
                (at("COPY u FROM stdin;\n"), (0, 3)),
                (text, (0, 0)),
            ]
        );
    }

    #[test]
    fn rows_are_neither_statements_nor_commands() {
        let found =
            split("COPY public.t (a, \"b c\") FROM stdin;\n1\t\\\\! rm; 'x\n\\N\t$$\n\\.\n\nSELECT 1;\n");
        assert_eq!(found.iter().map(|item| item.0).collect::<String>(), "srrrs");
        assert_eq!(kinds("COPY t FROM stdin;\n\\.\nSELECT 1;"), "srs");
    }

    #[test]
    fn commands_are_seen_wherever_psql_would_see_them() {
        assert_eq!(kinds("\\restrict abc\nSELECT 1;\n"), "\\s");
        assert_eq!(kinds("SELECT 1 \\! touch /tmp/x\n;\n"), "\\s");
        assert_eq!(kinds("SELECT '\\! no command', E'\\\\', \"\\!\", $$\\!$$;\n"), "s");
    }
}
