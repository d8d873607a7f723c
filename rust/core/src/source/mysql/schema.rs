//! What a database consists of, and what of it a dump takes.

use super::connect::session::{Row, Session, text};
use crate::config::names_table;
use crate::source::answer::too_long;
use crate::source::dump_types::DumpSettings;
use crate::{Code, Error, Result};

/// One table (or sequence).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableSchema {
    /// Its name, prefix included.
    pub(crate) name: String,
    /// Whether its rows go into the dump.
    pub(crate) rows: bool,
    /// Whether the engine has transactions, so that a snapshot shows its rows as they were.
    pub(crate) transactions: bool,
    /// Bytes of data as the engine estimates them.
    pub(crate) size: u64,
    /// The same of its indexes.
    pub(crate) index_size: u64,
    /// Whether its rows are its own: some engines show those of other tables or servers.
    pub(crate) own_rows: bool,
    /// A sequence: has no rows.
    pub(crate) sequence: bool,
    /// Keeps its history (`WITH SYSTEM VERSIONING`).
    pub(crate) versioned: bool,
    /// The columns that are not computed, in order.
    pub(crate) columns: Vec<Column>,
    /// It has others, or hidden ones: its INSERTs name the columns.
    pub(crate) partial: bool,
}

impl TableSchema {
    /// Whether dump clients would round some of its numbers, write down vectors as text, or cannot read it for want of a column. (Their
    /// `--dump-history` has no other way.)
    pub(crate) fn rounded(&self) -> bool {
        let floats =
            self.columns.is_empty() || self.columns.iter().any(|column| column.float || column.vector);
        self.rows && !self.versioned && floats
    }
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// SQL writes its values without quotes: a vector's in hexadecimal.
    pub(crate) number: bool,
    /// A FLOAT without a fixed number of digits.
    pub(crate) float: bool,
    /// A VECTOR, which takes bytes but no text.
    pub(crate) vector: bool,
}

/// `DATA_TYPE`s of numbers. BIT is none: clients give its bytes.
const NUMBERS: [&str; 9] =
    ["tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "year"];

/// A view that does not work: what it shows is not there any more, so that no server would load it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BrokenView {
    pub(crate) name: String,
    /// What made it, as text.
    pub(crate) definition: String,
}

/// A database's contents, sorted by name in bytes.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    pub(crate) server: String,
    pub(crate) tables: Vec<TableSchema>,
    pub(crate) views: Vec<String>,
    /// Views that do not work.
    pub(crate) broken: Vec<BrokenView>,
    /// Of the tables that are taken, in the order in which they run.
    pub(crate) triggers: Vec<String>,
    /// With what they are.
    pub(crate) routines: Vec<(String, String)>,
    pub(crate) events: Vec<String>,
    /// What the settings leave out and the database has.
    pub(crate) excluded: Vec<String>,
}

/// Engines whose reads follow a snapshot (`InnoDB`'s other names are old).
const TRANSACTIONS: [&str; 4] = ["InnoDB", "ROCKSDB", "TokuDB", "XtraDB"];
/// A table has 4096 columns at most.
pub(crate) const COLUMNS: usize = 5000;
/// Engines whose tables show rows that are kept elsewhere: what dump clients pass over, too.
const OTHERS_ROWS: [&str; 9] =
    ["MRG_MyISAM", "MERGE", "MRG_ISAM", "FEDERATED", "CONNECT", "SPIDER", "OQGRAPH", "SPHINX", "VP"];

impl Schema {
    /// Asks the server; `settings` decide what is taken, `prefix` is the site's.
    pub(crate) fn read(session: &mut Session<'_>, settings: &DumpSettings, prefix: &str) -> Result<Schema> {
        let server = session.column("SELECT VERSION()")?.pop().unwrap_or_default();
        let mut schema = Schema { server, ..Schema::default() };
        let mut rows = session.rows(
            "SELECT TABLE_NAME, TABLE_TYPE, IFNULL(ENGINE, ''), IFNULL(DATA_LENGTH, 0), \
             IFNULL(INDEX_LENGTH, 0), ENGINE IS NULL AND TABLE_COMMENT LIKE 'Unable to open underlying table%' \
             FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()",
        )?;
        rows.sort();
        for row in rows {
            // Of a MERGE table whose tables are gone the server does not know the engine any more.
            let [name, kind, engine, size, index_size, bereft] = columns(row)?;
            if names_table(&settings.exclude_tables, &name, prefix) {
                schema.excluded.push(name);
            } else if kind == "VIEW" {
                schema.views.push(name);
            } else {
                let sequence = kind == "SEQUENCE";
                let own_rows =
                    bereft != "1" && !OTHERS_ROWS.iter().any(|known| known.eq_ignore_ascii_case(&engine));
                schema.tables.push(TableSchema {
                    own_rows,
                    rows: !sequence && own_rows && !names_table(&settings.nodata_tables, &name, prefix),
                    transactions: TRANSACTIONS.iter().any(|known| known.eq_ignore_ascii_case(&engine)),
                    size: size.parse().unwrap_or_default(),
                    index_size: index_size.parse().unwrap_or_default(),
                    sequence,
                    versioned: kind == "SYSTEM VERSIONED",
                    columns: Vec::new(),
                    partial: false,
                    name,
                });
            }
        }
        schema.read_columns(session)?;
        for row in session.rows(
            "SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE() \
             ORDER BY BINARY EVENT_OBJECT_TABLE, EVENT_MANIPULATION, ACTION_TIMING, ACTION_ORDER",
        )? {
            let [name, table] = columns(row)?;
            if schema.tables.iter().any(|known| known.name == table) {
                schema.triggers.push(name);
            }
        }
        for row in session.rows(
            "SELECT ROUTINE_TYPE, ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() \
             ORDER BY FIELD(ROUTINE_TYPE, 'PACKAGE', 'PACKAGE BODY', 'FUNCTION', 'PROCEDURE'), BINARY ROUTINE_NAME",
        )? {
            let [kind, name] = columns(row)?;
            schema.routines.push((kind, name));
        }
        schema.events = session.column(
            "SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE() ORDER BY BINARY EVENT_NAME",
        )?;
        Ok(schema)
    }

    fn read_columns(&mut self, session: &mut Session<'_>) -> Result<()> {
        let sql = "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, NUMERIC_SCALE IS NULL, EXTRA \
             FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() ORDER BY TABLE_NAME, ORDINAL_POSITION";
        session.each(sql, |row| {
            let [table, name, kind, any_scale, extra] = columns(row)?;
            let computed = ["VIRTUAL", "STORED", "PERSISTENT"].iter().any(|word| extra.contains(word));
            // In the byte order of `tables`, not the server's.
            let at = self.tables.binary_search_by(|known| known.name.as_bytes().cmp(table.as_bytes()));
            let Some(table) = at.ok().and_then(|at| self.tables.get_mut(at)) else { return Ok(()) };
            table.partial |= computed || extra.contains("INVISIBLE");
            if !computed {
                let float = kind == "float" && any_scale == "1";
                let vector = kind == "vector";
                let number = vector || NUMBERS.contains(&kind.as_str());
                table.columns.push(Column { name, number, float, vector });
            }
            if table.columns.len() > COLUMNS { Err(too_long()) } else { Ok(()) }
        })
    }

    /// Fails where a table got other columns since they were read.
    pub(crate) fn check_columns(&self, session: &mut Session<'_>) -> Result<()> {
        let bare = |table: &TableSchema| TableSchema { columns: Vec::new(), partial: false, ..table.clone() };
        let mut now = Schema { tables: self.tables.iter().map(bare).collect(), ..Schema::default() };
        now.read_columns(session)?;
        match self.tables.iter().zip(&now.tables).find(|(then, now)| then.rows && then != now) {
            None => Ok(()),
            Some((table, _)) => {
                let text = format!("table {} was altered while the dump began", table.name);
                Err(Error::new(Code::Database, text).hint("back up again when the site's update is done"))
            }
        }
    }

    /// The tables whose rows are dumped.
    pub(crate) fn with_rows(&self) -> impl Iterator<Item = &TableSchema> {
        self.tables.iter().filter(|table| table.rows)
    }
}

/// Procedures and functions that we may run, perhaps drop, but not read.
pub(crate) fn hidden_routines(session: &mut Session<'_>) -> Result<Vec<(&'static str, String)>> {
    let mut hidden = Vec::new();
    for row in session.rows(
        "SELECT ROUTINE_TYPE, ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() \
         AND ROUTINE_DEFINITION IS NULL",
    )? {
        let [object, name] = columns(row)?;
        hidden.push((if object == "FUNCTION" { "FUNCTION" } else { "PROCEDURE" }, name));
    }
    Ok(hidden)
}

/// A row's columns as text.
pub(crate) fn columns<const N: usize>(row: Row) -> Result<[String; N]> {
    let columns: Vec<String> = row.into_iter().map(text).collect();
    columns.try_into().map_err(|_| Error::new(Code::Database, "the server gave an answer of another shape"))
}
