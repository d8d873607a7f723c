//! Rows as the INSERTs of a dump, of about as many bytes each as dump clients write.

use crate::source::mysql::connect::session::quote;
use crate::source::mysql::schema::{Column, TableSchema};

/// How much a client hands over at once.
pub(crate) const BLOCK: usize = 256 * 1024;

/// What a client hands over.
pub(crate) enum Event {
    /// The client has its snapshot: it wrote something besides the first line, which it writes before.
    Started,
    Rows(Block),
    /// A table is through: its name, and how many rows were written.
    Counted(String, u64),
    /// These tables could not be read, or not to their end; what is said of it.
    Unread(Vec<String>, Option<String>),
    End,
}

/// Where a statement ends and the next begins, as [`work`] counts it: for long rows what dump clients do by default
/// (`net_buffer_length`).
const STATEMENT: usize = 1_000_000;
/// What a row costs besides its bytes, in bytes (docs/performance.md).
const ROW: usize = 200;

/// What reading and writing so much costs; of rows that nobody has counted, their bytes alone.
pub(crate) fn work(bytes: usize, rows: usize) -> usize {
    bytes + rows * ROW
}

/// SQL, and how many rows it has where that is known.
#[derive(Default)]
pub(crate) struct Block {
    pub(crate) sql: Vec<u8>,
    pub(crate) rows: usize,
}

/// How the rows of a table are written.
pub(crate) struct Layout {
    /// The table's.
    pub(crate) table: String,
    /// The same, quoted.
    pub(crate) name: String,
    /// `INSERT INTO … VALUES`.
    insert: String,
    /// What to ask for, in the order of `numbers`: a FLOAT as a DOUBLE, so that no digit is lost.
    pub(crate) values: String,
    /// Which columns are numbers, written without quotes.
    pub(crate) numbers: Vec<bool>,
    /// The engine builds its indexes at once when it is told to.
    keys: bool,
}

impl Layout {
    /// For a table whose columns are known.
    pub(crate) fn of(table: &TableSchema) -> Layout {
        let name = quote(&table.name);
        let names: Vec<String> = table.columns.iter().map(|column| quote(&column.name)).collect();
        let insert = match table.partial {
            true => format!("INSERT INTO {name} ({}) VALUES\n", names.join(",")),
            false => format!("INSERT INTO {name} VALUES\n"),
        };
        let value = |(column, name): (&Column, String)| match (column.float, column.vector) {
            (true, _) => format!("{name}+0e0"),
            (_, true) => format!("CONCAT('0x',HEX({name}))"),
            _ => name,
        };
        let values: Vec<String> = table.columns.iter().zip(names).map(value).collect();
        Layout {
            table: table.name.clone(),
            insert,
            name,
            // Something has to be asked for, to know how many rows there are.
            values: if values.is_empty() { "1".to_owned() } else { values.join(", ") },
            numbers: table.columns.iter().map(|column| column.number).collect(),
            keys: !table.transactions,
        }
    }
}

/// SQL that is being written.
#[derive(Default)]
pub(crate) struct Inserts {
    pub(crate) out: Vec<u8>,
    /// In `out`.
    rows: usize,
    /// Work of the statement being written; 0 between statements.
    statement: usize,
    begun: bool,
    /// Rows of the table so far.
    counted: u64,
}

impl Inserts {
    /// Before a table's first row.
    pub(crate) fn begin(&mut self, table: &Layout) {
        self.keys(table, "DISABLE");
        (self.begun, self.counted) = (true, 0);
    }

    /// After its last one, or when it gives no more: how many there were; nothing, where it did not begin.
    pub(crate) fn end(&mut self, table: &Layout) -> Option<u64> {
        self.close();
        std::mem::take(&mut self.begun).then(|| {
            self.keys(table, "ENABLE");
            self.counted
        })
    }

    /// Adds one row of about `length` bytes, which `write` appends, brackets included; `None` where it cannot.
    pub(crate) fn row(
        &mut self,
        table: &Layout,
        length: usize,
        write: impl FnOnce(&mut Vec<u8>) -> Option<()>,
    ) -> Option<()> {
        if self.statement > 0 && self.statement + work(length, 1) > STATEMENT {
            self.close();
        }
        let before = self.out.len();
        let start: &[u8] = if self.statement == 0 { table.insert.as_bytes() } else { b",\n" };
        self.out.extend_from_slice(start);
        write(&mut self.out)?;
        self.statement += work(self.out.len() - before, 1);
        self.rows += 1;
        self.counted += 1;
        Some(())
    }

    /// What was written so far; `room` for more.
    pub(crate) fn take(&mut self, room: usize) -> Block {
        let sql = std::mem::replace(&mut self.out, Vec::with_capacity(room));
        Block { sql, rows: std::mem::take(&mut self.rows) }
    }

    fn close(&mut self) {
        if self.statement > 0 {
            self.out.extend_from_slice(b";\n");
            self.statement = 0;
        }
    }

    fn keys(&mut self, table: &Layout, what: &str) {
        if table.keys {
            let statement = format!("/*!40000 ALTER TABLE {} {what} KEYS */;\n", table.name);
            self.out.extend_from_slice(statement.as_bytes());
        }
    }
}
