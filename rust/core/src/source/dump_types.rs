//! What dumping and loading a database are told, and what they report: the same for every kind of server.

use super::sql;
use super::table_places::TablePlaces;
use crate::config::SourceSettings;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a dump leaves out, and how it treats the server.
#[derive(Debug, Clone, Default)]
pub struct DumpSettings {
    /// Tables whose rows are left out ([`crate::config::names_table`]). Names that do not exist are no error.
    pub nodata_tables: Vec<String>,
    /// Tables that are left out altogether, likewise.
    pub exclude_tables: Vec<String>,
    /// Keep tables without transactions locked while they are dumped.
    pub lock_tables: bool,
    /// Go on without what cannot be dumped, with a [`crate::NoteKind::Missing`] note each.
    pub ignore_errors: bool,
    /// Where an unlinked copy of a SQLite database may lie; default: the folder for temporary files.
    pub temporary_dir: Option<PathBuf>,
}

impl From<&SourceSettings> for DumpSettings {
    fn from(settings: &SourceSettings) -> Self {
        DumpSettings {
            nodata_tables: settings.nodata_tables.clone(),
            exclude_tables: settings.exclude_tables.clone(),
            lock_tables: settings.lock_tables,
            ..DumpSettings::default()
        }
    }
}

/// What a dump holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DumpReport {
    /// Tables with their rows.
    pub tables: u64,
    /// Tables without rows.
    pub empty_tables: u64,
    /// Views, triggers, routines and events.
    pub others: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Tables that could not be read, or not to their end.
    pub unread: Vec<String>,
    /// Where in it the rows of each table stand, where that was noted.
    #[serde(skip)]
    pub places: Option<TablePlaces>,
}

/// How a dump is loaded.
#[derive(Debug, Clone, Default)]
pub struct LoadSettings {
    /// Only these tables, with or without prefix ([`crate::config::names_table`]); the others stay as they are.
    pub tables: Option<Vec<String>>,
    /// The prefix that tables are to have; `None`: the dump's. Where the dump does not tell its own they stay as they
    /// are, with a note.
    pub prefix: Option<String>,
    /// The rows that tables are known to have, by their names in the dump: of those that are wanted neither more nor fewer may
    /// come. For a dump of which parts were left out.
    pub counts: BTreeMap<String, u64>,
    /// Of a dump of several MariaDB or MySQL databases only this one; without it such a dump is refused.
    pub database: Option<String>,
    /// Nothing proves whose the dump is: what it may do is kept to its own database, by the server where that can be
    /// arranged, else as far as its statements show; which of the two is said.
    pub untrusted: bool,
    /// Tables that are known, by their names in the dump, to have been read not at all or not to their end. The dump itself
    /// names all of them, but only behind their rows.
    pub unread: Vec<String>,
    /// A table that could not be read to its end when the dump was made takes the place of a live one, too.
    pub take_unread: bool,
    /// Take what is left of a dump that was cut short, and go on without views and triggers that the server refuses.
    pub ignore_errors: bool,
}

/// What was loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LoadReport {
    /// Tables.
    pub tables: u64,
    /// Their names, where only some were asked for.
    pub names: Vec<String>,
    /// SQL statements; 0 for SQLite.
    pub statements: u64,
    /// Bytes read from the dump.
    pub bytes: u64,
    /// Tables and views of the live database that the dump does not have, and that go with the swap.
    pub removed: Vec<String>,
    /// Those that stay: left out when the dump was made, or not known to the program that made it.
    pub kept: Vec<String>,
    /// Tables that could not be read, or not to their end, when the dump was made.
    pub unread: Vec<String>,
}

/// What a dump holds, without loading it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Its tables with their rows, and how many bytes of the dump each takes.
    pub tables: Vec<Table>,
    /// The table prefix of the site that was dumped, where the dump tells.
    pub prefix: Option<String>,
    /// Tables that were left out on purpose.
    pub excluded: Vec<String>,
    /// Tables that could not be read, or not to their end, when the dump was made.
    pub unread: Vec<String>,
    /// Whether all other tables of that database are in it: known of our own dumps.
    pub complete: bool,
}

impl Contents {
    /// Adds the rows of tables of which none were read, because they were counted when the dump was made.
    pub fn add_counted(&mut self, places: &TablePlaces) {
        let counted: BTreeMap<&str, (u64, u64)> = places
            .tables
            .iter()
            .filter_map(|table| Some((table.name.as_str(), (table.rows?, table.bytes))))
            .collect();
        for table in &mut self.tables {
            if let Some((rows, bytes)) = counted.get(table.name.as_str()) {
                table.rows = table.rows.map(|read| read + rows);
                table.bytes += bytes;
            }
        }
    }

    /// The same with the names that the tables get at a site with this prefix.
    pub fn with_prefix(mut self, prefix: &str) -> Contents {
        if let Some(theirs) = &self.prefix {
            let tables = self.tables.iter_mut().map(|table| &mut table.name);
            let names = tables.chain(&mut self.excluded).chain(&mut self.unread);
            names.for_each(|name| *name = sql::renamed(name, theirs, prefix).into_owned());
            self.prefix = Some(prefix.to_owned());
        }
        self
    }
}

/// A table of a live database or a dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Table {
    /// Its name, prefix included.
    pub name: String,
    /// How many rows it has; `None` where nobody counted them.
    pub rows: Option<u64>,
    /// Bytes of data and indexes, as the server estimates them; of a dump the bytes that it takes there.
    pub bytes: u64,
}

/// What a table's rows are, in whatever order they come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fingerprint {
    /// How many.
    pub rows: u64,
    /// The sum of the first 8 bytes of each row's SHA-256, modulo 2^64.
    sum: u64,
}

impl Fingerprint {
    /// So many rows, of which nothing else is known.
    pub fn count(rows: u64) -> Self {
        Fingerprint { rows, sum: 0 }
    }

    /// Takes a row in, as the dump writes it.
    pub(crate) fn add(&mut self, row: &[u8]) {
        self.add_hashed(Sha256::new_with_prefix(row));
    }

    /// The same of a row that was hashed piece by piece.
    pub(crate) fn add_hashed(&mut self, row: Sha256) {
        let hash = row.finalize();
        let first = hash.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        self.rows += 1;
        self.sum = self.sum.wrapping_add(first);
    }
}
