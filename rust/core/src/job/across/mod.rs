//! Questions about several backups at once: what changed between two (`diff`), which hold a file (`find`), how many there are
//! and how they grow (`stats`).
//!
//! What may be longer than memory is told as it comes, and sorted in a temporary database on disk.

pub mod diff;
pub mod find;
mod spill;
pub(super) mod stats;

use super::open::Opened;
use crate::archive::{EntryKind, Layout, Part};
use crate::catalog::{Backup, key};
use crate::job::member_path::join;
use crate::{Code, Error, Result};
use serde::Serialize;

/// One of the backups that were looked into.
#[derive(Debug, Clone, Serialize)]
pub struct Which {
    /// Its ID, where its sidecar tells one.
    pub id: Option<u64>,
    /// Its file name.
    pub file: String,
    /// Unix time at which it was made, where its sidecar tells.
    pub time: Option<u64>,
    /// Machine name of its source, likewise.
    pub source: Option<String>,
}

impl Which {
    fn is(opened: &Opened) -> Which {
        let number = |key: &str| opened.sidecar().and_then(|sidecar| sidecar.number(key));
        let source = opened.sidecar().and_then(|sidecar| sidecar.get(key::SOURCE_ID)).map(str::to_owned);
        Which { id: number(key::ID), file: opened.file().to_owned(), time: number(key::DATESTAMP), source }
    }

    fn listed(backup: &Backup) -> Which {
        Which {
            id: Some(backup.id.0),
            file: backup.file.to_string(),
            time: Some(backup.time),
            source: backup.about.source.clone(),
        }
    }
}

/// A member's path as ours have it, whatever the archive's layout: what two archives of a site have in common has one path.
fn common_path(layout: &Layout, member: &[u8]) -> Vec<u8> {
    match layout.part(member) {
        Part::Docroot(inside) => join(b"docroot", inside),
        Part::Private(inside) => join(b"private", inside),
        Part::File(inside) => inside.to_vec(),
        _ => member.to_vec(),
    }
}

/// What a member is, in one letter of `ls -l`.
fn letter(kind: &EntryKind) -> char {
    match kind {
        EntryKind::File { .. } | EntryKind::Sparse { .. } => '-',
        EntryKind::Directory => 'd',
        EntryKind::Symlink(_) => 'l',
        EntryKind::Hardlink(_) => 'h',
        EntryKind::Special(_) => '?',
    }
}

/// The word for such a letter, as `ls` and `find` tell it.
fn word(letter: &str) -> &'static str {
    match letter {
        "d" => "directory",
        "l" => "symlink",
        "h" => "hardlink",
        "?" => "special",
        _ => "file",
    }
}

/// Nothing that was asked for can be compared or searched.
fn usage(text: String, hint: &str) -> Error {
    Error::new(Code::Usage, text).hint(hint)
}

/// Numbers of a database, which knows only signed ones.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The way back.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// Whom what is found is told, as it comes.
type Each<'a, T> = &'a mut dyn FnMut(T) -> Result<()>;
