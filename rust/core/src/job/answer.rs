//! What a job has to tell. A list that may be very long becomes JSON only while it is written, one item after the other.

use super::copies::prune::Decided;
use crate::catalog::Backup;
use crate::{Code, Error, Result};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::ops::Index;

/// The result of a job: a JSON object (docs/json.md).
#[derive(Debug)]
pub struct Answer {
    /// All of it; nothing stands in the place of the list.
    value: Value,
    list: Option<List>,
}

/// A list of which there may be very much.
#[derive(Debug)]
pub enum List {
    /// `backups`
    Backups(Vec<Backup>),
    /// `decisions`
    Decisions(Vec<Decided>),
}

impl List {
    /// What it is called in the result.
    pub fn key(&self) -> &'static str {
        match self {
            List::Backups(_) => "backups",
            List::Decisions(_) => "decisions",
        }
    }

    /// How many items it has.
    pub fn len(&self) -> usize {
        match self {
            List::Backups(all) => all.len(),
            List::Decisions(all) => all.len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Each item as JSON, in a line of its own.
    ///
    /// # Errors
    /// What `out` says, or that an item cannot be told of.
    pub fn write_lines(&self, out: &mut dyn std::io::Write) -> std::io::Result<()> {
        fn each<T: Serialize>(all: &[T], out: &mut dyn std::io::Write) -> std::io::Result<()> {
            for item in all {
                serde_json::to_writer(&mut *out, item)?;
                out.write_all(b"\n")?;
            }
            Ok(())
        }
        match self {
            List::Backups(all) => each(all, out),
            List::Decisions(all) => each(all, out),
        }
    }
}

impl Serialize for List {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            List::Backups(all) => all.serialize(serializer),
            List::Decisions(all) => all.serialize(serializer),
        }
    }
}

impl From<Value> for Answer {
    fn from(value: Value) -> Answer {
        Answer { value, list: None }
    }
}

impl Answer {
    /// A result with a long list, whose place in `value` is null.
    pub fn with(value: Value, list: List) -> Answer {
        Answer { value, list: Some(list) }
    }

    /// All but the long list.
    pub fn value(&self) -> &Value {
        &self.value
    }

    pub(super) fn value_mut(&mut self) -> &mut Value {
        &mut self.value
    }

    /// The long list, where there is one.
    pub fn list(&self) -> Option<&List> {
        self.list.as_ref()
    }

    /// All of it as one value.
    ///
    /// # Errors
    /// [`Code::Io`] where an item of the list cannot be told of.
    pub fn into_value(mut self) -> Result<Value> {
        if let Some(list) = self.list.take() {
            self.value[list.key()] = as_value(&list)?;
        }
        Ok(self.value)
    }
}

/// Something as JSON.
pub(super) fn as_value(told: &impl Serialize) -> Result<Value> {
    let told = serde_json::to_value(told);
    told.map_err(|cause| Error::new(Code::Io, "the result cannot be told").because(cause))
}

impl Index<&str> for Answer {
    type Output = Value;

    fn index(&self, key: &str) -> &Value {
        &self.value[key]
    }
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let (Value::Object(fields), Some(list)) = (&self.value, &self.list) else {
            return self.value.serialize(serializer);
        };
        let mut told = serializer.serialize_map(Some(fields.len()))?;
        for (key, value) in fields {
            match key == list.key() {
                true => told.serialize_entry(key, list)?,
                false => told.serialize_entry(key, value)?,
            }
        }
        told.end()
    }
}
