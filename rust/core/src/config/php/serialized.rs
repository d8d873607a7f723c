//! PHP's storage format (`serialize`, `unserialize`), as Drupal keeps variables and B&M its settings:
//!
//! ```text
//! N;  b:1;  i:-5;  d:0.5;  s:LENGTH:"bytes";  a:COUNT:{key value …}  O:LENGTH:"class":COUNT:{name value …}
//! ```
//!
//! Objects become plain data, whatever their class. References (`r`, `R`), classes with a format of their own (`C`) and
//! enumerations (`E`) are errors: settings have none, and following them is how `unserialize` is attacked.

use super::{DEEPEST, Entries, PhpKey, PhpValue};
use crate::{Code, Error, Result};
use std::io::Write;

/// Reads one value, and nothing after it. Errors tell the byte.
pub fn unserialize(bytes: &[u8]) -> Result<PhpValue> {
    let mut reader = Unserializer { bytes, at: 0 };
    let value = reader.value(0)?;
    if reader.at < bytes.len() {
        return Err(reader.wrong("the end"));
    }
    Ok(value)
}

struct Unserializer<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Unserializer<'a> {
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn wrong(&self, expected: &str) -> Error {
        let message = format!("serialized value, byte {}: expected {expected}", self.at);
        Error::new(Code::Config, message)
            .hint("the stored value is damaged, or was not written by serialize()")
    }

    fn expect(&mut self, wanted: &str) -> Result<()> {
        if !self.rest().starts_with(wanted.as_bytes()) {
            return Err(self.wrong(&format!("`{wanted}`")));
        }
        self.at += wanted.len();
        Ok(())
    }

    /// The text up to `end`, and past it.
    fn until(&mut self, end: u8) -> Result<&'a str> {
        // No number is longer.
        let window = self.rest().get(..64.min(self.rest().len())).unwrap_or_default();
        let length = window.iter().position(|byte| *byte == end);
        let text = length.and_then(|length| std::str::from_utf8(window.get(..length)?).ok());
        let text = text.ok_or_else(|| self.wrong(&format!("`{}`", char::from(end))))?;
        self.at += text.len() + 1;
        Ok(text)
    }

    fn length(&mut self) -> Result<usize> {
        let text = self.until(b':')?;
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| plain).ok_or_else(|| self.wrong("a length before it"))
    }

    /// `LENGTH:"bytes"`
    fn string(&mut self) -> Result<Vec<u8>> {
        let length = self.length()?;
        self.expect("\"")?;
        let Some(bytes) = self.rest().get(..length) else {
            return Err(self.wrong(&format!("{length} bytes of text")));
        };
        self.at += length;
        self.expect("\"")?;
        Ok(bytes.to_vec())
    }

    fn value(&mut self, depth: usize) -> Result<PhpValue> {
        if depth >= DEEPEST {
            return Err(self.wrong(&format!("at most {DEEPEST} levels of nesting")));
        }
        let kind = self.rest().first().copied();
        if kind == Some(b'N') {
            self.expect("N;")?;
            return Ok(PhpValue::Null);
        }
        let (Some(kind), Some(b':')) = (kind, self.rest().get(1)) else {
            return Err(self.wrong("a value"));
        };
        self.at += 2;
        match kind {
            b'b' => match self.until(b';')? {
                "0" => Ok(PhpValue::Bool(false)),
                "1" => Ok(PhpValue::Bool(true)),
                _ => Err(self.wrong("0 or 1 before it")),
            },
            b'i' => {
                let number = self.until(b';')?.parse();
                number.map(PhpValue::Int).map_err(|_| self.wrong("a whole number before it"))
            }
            b'd' => {
                let number = match self.until(b';')? {
                    "INF" => Ok(f64::INFINITY),
                    "-INF" => Ok(f64::NEG_INFINITY),
                    "NAN" => Ok(f64::NAN),
                    text => text.parse(),
                };
                number.map(PhpValue::Float).map_err(|_| self.wrong("a number before it"))
            }
            b's' => {
                let bytes = self.string()?;
                self.expect(";")?;
                Ok(PhpValue::String(bytes))
            }
            b'a' => self.entries(depth).map(PhpValue::Array),
            b'O' => {
                let class = self.string()?;
                self.expect(":")?;
                Ok(PhpValue::Object(class, self.entries(depth)?))
            }
            b'r' | b'R' => Err(self.wrong("plain data before it, found a reference")),
            b'C' | b'E' => Err(self.wrong("plain data before it, found an object of a special class")),
            _ => Err(self.wrong("a value before it")),
        }
    }

    /// `COUNT:{key value …}`
    fn entries(&mut self, depth: usize) -> Result<Vec<(PhpKey, PhpValue)>> {
        let count = self.length()?;
        self.expect("{")?;
        let mut entries = Entries::default();
        for _ in 0..count {
            let key = match self.rest().first() {
                Some(b'i' | b's') => self.value(DEEPEST - 1)?,
                _ => return Err(self.wrong("a key")),
            };
            let Some(key) = PhpKey::from_value(&key) else { return Err(self.wrong("a key before it")) };
            let value = self.value(depth + 1)?;
            entries.insert(key, value);
        }
        self.expect("}")?;
        Ok(entries.entries)
    }
}

/// Writes a value as PHP's `serialize` does.
pub fn serialize(value: &PhpValue) -> Vec<u8> {
    let mut out = Vec::new();
    write_value(&mut out, value);
    out
}

/// Writing to a vector cannot fail.
fn write_value(out: &mut Vec<u8>, value: &PhpValue) {
    let _ = match value {
        PhpValue::Null => write!(out, "N;"),
        PhpValue::Bool(value) => write!(out, "b:{};", u8::from(*value)),
        PhpValue::Int(number) => write!(out, "i:{number};"),
        PhpValue::Float(number) => write!(out, "d:{};", float(*number)),
        PhpValue::String(bytes) => {
            out.extend_from_slice(b"s:");
            write_string(out, bytes);
            out.push(b';');
            Ok(())
        }
        PhpValue::Array(entries) => {
            out.extend_from_slice(b"a:");
            write_entries(out, entries, false);
            Ok(())
        }
        PhpValue::Object(class, entries) => {
            out.extend_from_slice(b"O:");
            write_string(out, class);
            out.push(b':');
            write_entries(out, entries, true);
            Ok(())
        }
    };
}

/// The shortest digits that are read back as the same number; exponents from where PHP uses them: `1.0E+17`.
fn float(number: f64) -> String {
    if number.is_nan() {
        return "NAN".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "INF".into() } else { "-INF".into() };
    }
    let text = number.to_string();
    if number == 0.0 || (1e-4..1e17).contains(&number.abs()) {
        return text;
    }
    let scientific = format!("{number:E}");
    let (digits, exponent) = scientific.split_once('E').unwrap_or((&scientific, "0"));
    let fraction = if digits.contains('.') { "" } else { ".0" };
    let sign = if exponent.starts_with('-') { "" } else { "+" };
    format!("{digits}{fraction}E{sign}{exponent}")
}

/// `LENGTH:"bytes"`
fn write_string(out: &mut Vec<u8>, bytes: &[u8]) {
    let _ = write!(out, "{}:\"", bytes.len());
    out.extend_from_slice(bytes);
    out.push(b'"');
}

fn write_entries(out: &mut Vec<u8>, entries: &[(PhpKey, PhpValue)], names_only: bool) {
    let _ = write!(out, "{}:{{", entries.len());
    for (key, value) in entries {
        match key {
            PhpKey::Int(number) if !names_only => write_value(out, &PhpValue::Int(*number)),
            key => write_value(out, &PhpValue::String(key.bytes())),
        }
        write_value(out, value);
    }
    out.push(b'}');
}
