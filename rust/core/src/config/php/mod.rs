//! PHP values as text: what `var_export`, CTools exports and `serialize` write. Parsed, never evaluated.
//!
//! [`parse_export`] reads PHP source that consists of literals and of assignments of literals; [`unserialize`] and
//! [`serialize`] speak PHP's storage format. Knows nothing of what the values mean.

mod export;
mod lexer;
mod serialized;
#[cfg(test)]
mod tests;

pub use export::{Export, parse_export};
pub use serialized::{serialize, unserialize};

use crate::{Code, Error, Result};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// How deep values may be nested; B&M's go to 4.
const DEEPEST: usize = 64;

/// A PHP value. Strings are bytes, as in PHP; arrays keep their order.
#[derive(Debug, Clone, PartialEq)]
pub enum PhpValue {
    /// `NULL`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A byte string.
    String(Vec<u8>),
    /// An array, in order.
    Array(Vec<(PhpKey, PhpValue)>),
    /// An object: its class and its properties, in order.
    Object(Vec<u8>, Vec<(PhpKey, PhpValue)>),
}

/// A key of a PHP array.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PhpKey {
    /// A number, or a string that looks like one.
    Int(i64),
    /// Any other string.
    String(Vec<u8>),
}

impl PhpKey {
    /// The key that PHP makes of a string: `"12"` is the number, `"012"` and `"-0"` are not.
    pub fn from_bytes(bytes: &[u8]) -> PhpKey {
        let number = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<i64>().ok());
        match number {
            Some(number) if number.to_string().as_bytes() == bytes => PhpKey::Int(number),
            _ => PhpKey::String(bytes.to_vec()),
        }
    }

    /// The key that PHP makes of a value; `None` where it refuses.
    fn from_value(value: &PhpValue) -> Option<PhpKey> {
        Some(match value {
            PhpValue::Null => PhpKey::String(Vec::new()),
            PhpValue::Bool(value) => PhpKey::Int(i64::from(*value)),
            PhpValue::Int(value) => PhpKey::Int(*value),
            // PHP cuts floats; `as` saturates where PHP's result is undefined.
            PhpValue::Float(value) => PhpKey::Int(*value as i64),
            PhpValue::String(bytes) => PhpKey::from_bytes(bytes),
            PhpValue::Array(_) | PhpValue::Object(..) => return None,
        })
    }

    /// As the bytes of a string.
    fn bytes(&self) -> Vec<u8> {
        match self {
            PhpKey::Int(number) => number.to_string().into_bytes(),
            PhpKey::String(bytes) => bytes.clone(),
        }
    }

    /// As text.
    pub fn text(&self) -> String {
        match self {
            PhpKey::Int(number) => number.to_string(),
            PhpKey::String(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        }
    }
}

/// Entries being collected: a key that comes again takes the place of the earlier one.
#[derive(Default)]
struct Entries {
    entries: Vec<(PhpKey, PhpValue)>,
    places: HashMap<PhpKey, usize>,
}

impl Entries {
    fn insert(&mut self, key: PhpKey, value: PhpValue) {
        let place = *self.places.entry(key.clone()).or_insert(self.entries.len());
        match self.entries.get_mut(place) {
            Some((_, old)) => *old = value,
            None => self.entries.push((key, value)),
        }
    }
}

impl PhpValue {
    /// The entries of an array, the properties of an object.
    pub fn entries(&self) -> Option<&[(PhpKey, PhpValue)]> {
        match self {
            PhpValue::Array(entries) | PhpValue::Object(_, entries) => Some(entries),
            _ => None,
        }
    }

    /// The entry or property of that name; `None` where there is none or it is `NULL`.
    pub fn get(&self, key: &str) -> Option<&PhpValue> {
        let key = PhpKey::from_bytes(key.as_bytes());
        let entry = self.entries()?.iter().find(|(known, _)| *known == key);
        entry.map(|(_, value)| value).filter(|value| **value != PhpValue::Null)
    }

    /// A scalar as PHP's `(string)` makes it; `None` for arrays and objects. Bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> Option<String> {
        Some(match self {
            PhpValue::Null | PhpValue::Bool(false) => String::new(),
            PhpValue::Bool(true) => "1".into(),
            PhpValue::Int(number) => number.to_string(),
            PhpValue::Float(number) => number.to_string(),
            PhpValue::String(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            PhpValue::Array(_) | PhpValue::Object(..) => return None,
        })
    }

    /// Whether PHP takes it for true.
    pub fn is_truthy(&self) -> bool {
        match self {
            PhpValue::Null => false,
            PhpValue::Bool(value) => *value,
            PhpValue::Int(number) => *number != 0,
            PhpValue::Float(number) => *number != 0.0,
            PhpValue::String(bytes) => !matches!(bytes.as_slice(), b"" | b"0"),
            PhpValue::Array(entries) => !entries.is_empty(),
            PhpValue::Object(..) => true,
        }
    }

    /// As JSON, as PHP's `json_encode` does it: an array whose keys count up from 0 is a list. Fails on a string that
    /// is not UTF-8, and on `INF` and `NAN`, which JSON does not know; the error names the key.
    pub fn to_json(&self) -> Result<Value> {
        self.json_at(&mut Vec::new())
    }

    /// Levels of nesting; 0 for a scalar.
    fn depth(&self) -> usize {
        let inner =
            self.entries().map(|entries| entries.iter().map(|(_, value)| value.depth()).max().unwrap_or(0));
        inner.map_or(0, |inner| inner + 1)
    }

    fn json_at(&self, path: &mut Vec<String>) -> Result<Value> {
        let refuse =
            |path: &[String], why| Err(Error::new(Code::Config, format!("{}: {why}", path.join("."))));
        Ok(match self {
            PhpValue::Null => Value::Null,
            PhpValue::Bool(value) => Value::Bool(*value),
            PhpValue::Int(number) => Value::from(*number),
            PhpValue::Float(number) => match serde_json::Number::from_f64(*number) {
                Some(number) => Value::Number(number),
                None => return refuse(path, "INF and NAN cannot be kept"),
            },
            PhpValue::String(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Value::from(text),
                Err(_) => return refuse(path, "the text is not UTF-8"),
            },
            PhpValue::Array(entries) if is_list(entries) => {
                let mut list = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    path.push(key.text());
                    list.push(value.json_at(path)?);
                    path.pop();
                }
                Value::Array(list)
            }
            PhpValue::Array(entries) | PhpValue::Object(_, entries) => {
                let mut map = Map::new();
                for (key, value) in entries {
                    path.push(key.text());
                    map.insert(key.text(), value.json_at(path)?);
                    path.pop();
                }
                Value::Object(map)
            }
        })
    }
}

fn is_list(entries: &[(PhpKey, PhpValue)]) -> bool {
    (0..).zip(entries).all(|(index, (key, _))| *key == PhpKey::Int(index))
}
