//! What a database consists of, and what of it a dump takes.

use super::session::{Row, Session, quote, text};
use crate::config::{Connection, names_table};
use crate::source::database::DumpSettings;
use crate::{Code, Error, Monitor, NoteKind, Result};

/// One table (or sequence).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
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
    /// A sequence: has no rows.
    pub(crate) sequence: bool,
    /// Keeps its history (`WITH SYSTEM VERSIONING`).
    pub(crate) versioned: bool,
    /// The columns that are not computed, in order.
    pub(crate) columns: Vec<Column>,
    /// It has others, or hidden ones: its INSERTs name the columns.
    pub(crate) partial: bool,
}

impl Table {
    /// Whether dump clients would round some of its numbers. (Their `--dump-history` has no other way.)
    pub(crate) fn rounded(&self) -> bool {
        self.rows && !self.versioned && self.columns.iter().any(|column| column.float)
    }
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// SQL writes its values without quotes.
    pub(crate) number: bool,
    /// A FLOAT without a fixed number of digits.
    pub(crate) float: bool,
}

/// `DATA_TYPE`s of numbers. BIT is none: clients give its bytes.
const NUMBERS: [&str; 9] =
    ["tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "year"];

/// A database's contents, sorted by name in bytes.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    pub(crate) server: String,
    pub(crate) tables: Vec<Table>,
    pub(crate) views: Vec<String>,
    /// Tables that have triggers, and how many there are of these.
    pub(crate) triggered: Vec<String>,
    pub(crate) triggers: usize,
    /// Those whose definition can be read.
    pub(crate) routines: usize,
    /// The others, with what they are.
    pub(crate) hidden: Vec<(&'static str, String)>,
    pub(crate) events: usize,
    /// What the settings leave out and the database has.
    pub(crate) excluded: Vec<String>,
}

/// Engines whose reads follow a snapshot (`InnoDB`'s other names are old).
const TRANSACTIONS: [&str; 4] = ["InnoDB", "ROCKSDB", "TokuDB", "XtraDB"];

impl Schema {
    /// Asks the server; `settings` decide what is taken, `prefix` is the site's.
    pub(crate) fn read(session: &mut Session<'_>, settings: &DumpSettings, prefix: &str) -> Result<Schema> {
        let server = session.column("SELECT VERSION()")?.pop().unwrap_or_default();
        let mut schema = Schema { server, ..Schema::default() };
        let mut rows = session.rows(
            "SELECT TABLE_NAME, TABLE_TYPE, IFNULL(ENGINE, ''), IFNULL(DATA_LENGTH, 0), \
             IFNULL(INDEX_LENGTH, 0) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()",
        )?;
        rows.sort();
        for row in rows {
            let [name, kind, engine, size, index_size] = columns(row)?;
            if names_table(&settings.exclude_tables, &name, prefix) {
                schema.excluded.push(name);
            } else if kind == "VIEW" {
                schema.views.push(name);
            } else {
                let sequence = kind == "SEQUENCE";
                schema.tables.push(Table {
                    rows: !sequence && !names_table(&settings.nodata_tables, &name, prefix),
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
        for table in session.column(
            "SELECT EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE() \
             ORDER BY BINARY EVENT_OBJECT_TABLE",
        )? {
            if schema.tables.iter().any(|known| known.name == table) {
                schema.triggers += 1;
                if schema.triggered.last() != Some(&table) {
                    schema.triggered.push(table);
                }
            }
        }
        let counts = session.rows(
            "SELECT (SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE()), \
             (SELECT COUNT(*) FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE())",
        )?;
        let [routines, events] = columns(counts.into_iter().next().unwrap_or_default())?;
        schema.hidden = hidden_routines(session)?;
        schema.routines = routines.parse::<usize>().unwrap_or_default().saturating_sub(schema.hidden.len());
        schema.events = events.parse().unwrap_or_default();
        Ok(schema)
    }

    /// Takes out the views that refer to what is not there any more, with a note each: no server would load them.
    pub(crate) fn leave_broken_views(&mut self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        let mut session = None;
        let mut whole = Vec::with_capacity(self.views.len());
        for view in std::mem::take(&mut self.views) {
            // An error ends a session.
            let mut asking = match session.take() {
                Some(session) => session,
                None => Session::open(connection, Some(&connection.name), monitor)?,
            };
            match asking.run(&format!("SHOW FIELDS FROM {}", quote(&view))) {
                Ok(()) => {
                    session = Some(asking);
                    whole.push(view);
                }
                Err(error) if error.code() == Code::Cancelled => return Err(error),
                Err(error) => monitor.note(NoteKind::Missing, format!("view {view} was left out: {error}")),
            }
        }
        self.views = whole;
        Ok(())
    }

    fn read_columns(&mut self, session: &mut Session<'_>) -> Result<()> {
        for row in session.rows(
            "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, NUMERIC_SCALE IS NULL, EXTRA \
             FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() ORDER BY TABLE_NAME, ORDINAL_POSITION",
        )? {
            let [table, name, kind, any_scale, extra] = columns(row)?;
            let computed = ["VIRTUAL", "STORED", "PERSISTENT"].iter().any(|word| extra.contains(word));
            // In the byte order of `tables`, not the server's.
            let at = self.tables.binary_search_by(|known| known.name.as_bytes().cmp(table.as_bytes()));
            let Some(table) = at.ok().and_then(|at| self.tables.get_mut(at)) else { continue };
            table.partial |= computed || extra.contains("INVISIBLE");
            if !computed {
                let float = kind == "float" && any_scale == "1";
                table.columns.push(Column { name, number: NUMBERS.contains(&kind.as_str()), float });
            }
        }
        Ok(())
    }

    /// Fails where a table got other columns since they were read.
    pub(crate) fn check_columns(&self, session: &mut Session<'_>) -> Result<()> {
        let bare = |table: &Table| Table { columns: Vec::new(), partial: false, ..table.clone() };
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
    pub(crate) fn with_rows(&self) -> impl Iterator<Item = &Table> {
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
