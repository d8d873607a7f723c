//! Dumps that an editor or PowerShell has saved: a byte order mark in front, or all of it in UTF-16.

use std::io::{self, Read};

/// How much is decoded in one go.
const BLOCK: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Unknown,
    Bytes,
    /// UTF-16, the low byte first or the high one.
    Little,
    Big,
}

/// The input as UTF-8 without a mark; whatever is no UTF-16 passes as it is.
pub(crate) struct Utf8<R> {
    input: R,
    form: Form,
    /// What is ready to be given.
    ready: Vec<u8>,
    given: usize,
    /// Bytes that wait for the rest of their character.
    raw: Vec<u8>,
}

impl<R: Read> Utf8<R> {
    pub(crate) fn new(input: R) -> Self {
        Utf8 { input, form: Form::Unknown, ready: Vec::new(), given: 0, raw: Vec::new() }
    }

    /// Whether the input is UTF-16; known once something was read.
    pub(crate) fn is_utf16(&self) -> bool {
        matches!(self.form, Form::Little | Form::Big)
    }

    /// Looks at the first bytes.
    fn begin(&mut self) -> io::Result<()> {
        let mut first = [0; 4];
        let mut filled = 0;
        while let Some(space) = first.get_mut(filled..).filter(|space| !space.is_empty()) {
            match self.input.read(space) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
        }
        let first = first.get(..filled).unwrap_or_default();
        let (form, mark) = match first {
            [0xef, 0xbb, 0xbf, ..] => (Form::Bytes, 3),
            [0xff, 0xfe, ..] => (Form::Little, 2),
            [0xfe, 0xff, ..] => (Form::Big, 2),
            // No dump begins with a NUL: text of ASCII, without a mark.
            [low, 0, other, 0] if *low > 0 && *other > 0 => (Form::Little, 0),
            [0, low, 0, other] if *low > 0 && *other > 0 => (Form::Big, 0),
            _ => (Form::Bytes, 0),
        };
        self.form = form;
        let rest = first.get(mark..).unwrap_or_default();
        if self.form == Form::Bytes {
            self.ready.extend_from_slice(rest)
        } else {
            self.raw.extend_from_slice(rest)
        }
        Ok(())
    }

    /// Decodes some more; nothing at the end.
    fn decode(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.given = 0;
        let kept = self.raw.len();
        self.raw.resize(kept + BLOCK, 0);
        let n = loop {
            match self.input.read(self.raw.get_mut(kept..).unwrap_or_default()) {
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                done => break done?,
            }
        };
        self.raw.truncate(kept + n);
        let broken = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let units = self.raw.chunks_exact(2).map(|pair| match pair {
            [a, b] if self.form == Form::Little => u16::from_le_bytes([*a, *b]),
            [a, b] => u16::from_be_bytes([*a, *b]),
            _ => 0,
        });
        let units: Vec<u16> = units.collect();
        // The first half of a pair waits for the second.
        let half = units.last().is_some_and(|unit| (0xd800..0xdc00).contains(unit));
        let whole = units.len() - usize::from(half);
        if n == 0 && (half || self.raw.len() % 2 == 1) {
            return Err(broken("the SQL dump in UTF-16 was cut short within a character"));
        }
        let mut buffer = [0; 4];
        for character in char::decode_utf16(units.iter().take(whole).copied()) {
            let character = character.map_err(|_| broken("the SQL dump is no valid UTF-16"))?;
            self.ready.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
        }
        self.raw.drain(..2 * whole);
        Ok(())
    }
}

impl<R: Read> Read for Utf8<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.form == Form::Unknown {
            self.begin()?;
        }
        if self.given == self.ready.len() {
            if self.form == Form::Bytes {
                return self.input.read(buffer);
            }
            while self.given == self.ready.len() {
                self.decode()?;
                if self.ready.is_empty() && self.raw.is_empty() {
                    return Ok(0);
                }
            }
        }
        let mut rest = self.ready.get(self.given..).unwrap_or_default();
        let n = rest.read(buffer)?;
        self.given += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte a time.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = buffer.len().min(1);
            self.0.read(buffer.get_mut(..n).unwrap_or_default())
        }
    }

    fn read(bytes: &[u8]) -> io::Result<String> {
        let mut text = String::new();
        Utf8::new(bytes).read_to_string(&mut text)?;
        if bytes.len() < 1000 {
            let mut again = String::new();
            Utf8::new(Drip(bytes)).read_to_string(&mut again)?;
            assert_eq!(text, again);
        }
        Ok(text)
    }

    #[test]
    fn marks_go_and_utf_16_becomes_utf_8() {
        for lines in [1, 5000] {
            come_through(&"INSERT INTO t VALUES ('ä☃😀');\r\n".repeat(lines));
        }
        for short in ["", "a", ";;", "ab;"] {
            assert_eq!(read(short.as_bytes()).unwrap(), short);
        }
    }

    fn come_through(text: &str) {
        let wide = |swap: bool| -> Vec<u8> {
            let to = |unit: u16| if swap { unit.to_be_bytes() } else { unit.to_le_bytes() };
            text.encode_utf16().flat_map(to).collect()
        };
        assert_eq!(read(text.as_bytes()).unwrap(), text);
        assert_eq!(read(&[b"\xef\xbb\xbf", text.as_bytes()].concat()).unwrap(), text);
        for (mark, swap) in [(b"\xff\xfe", false), (b"\xfe\xff", true)] {
            assert_eq!(read(&wide(swap)).unwrap(), text);
            let whole = [mark.as_slice(), &wide(swap)].concat();
            assert_eq!(read(&whole).unwrap(), text);
            assert!(read(&whole[..whole.len() - 1]).is_err());
        }
    }
}
