//! Loading a dump over several connections.
//!
//! Most of a dump are rows of literals, which depend on nothing but their table. They go, in chunks of a mebibyte, to
//! whichever of the connections has the least to do; also those of one and the same table, once it is not empty any more.
//! Statements about the structure run one after another on a connection of their own, each when nothing about its
//! table is under way; what sets up the session is repeated on every connection at its place. From the first statement
//! that asks for more (other rows, session variables, numbers that the server makes up) on, everything goes over one
//! connection in the dump's order.
//!
//! What else makes it fast, each measured (docs/performance.md):
//! - Commits come early in an empty table: up to the first one, MariaDB 10.6 and later build it by another way, which
//!   costs three times as much, and keeps other connections out.
//! - Secondary indexes of many rows are built when these are in ([`indexes`]).
//! - Texts that are UTF-8 on both sides are sent as bytes: the server then does not look at each character.
//! - Short INSERTs become long ones.
//!
//! INSERTs that are too long for the server are [`long_rows`]'s; text under other modes or in a character set that
//! clients must know goes over the main connection.
//!
//! `start` opens the connections; `dump_reader` reads the dump and says what is to happen with each statement, and the
//! [`Loader`] does it: `spread` with rows, `tables` with what is known of their tables. `queues` hand chunks of rows to connections,
//! each a `connection`; `indexes` says what can wait for the rows, `long_rows` what is too long for one statement; `script` writes
//! what is left for the client to run.

mod connection;
pub(super) mod dump_reader;
mod indexes;
pub(crate) mod long_rows;
mod queues;
pub(super) mod script;
mod spread;
mod start;
mod tables;

use self::connection::LoadConnection;
pub(crate) use self::start::load;

use self::dump_reader::Step;
use self::indexes::Facts;
use self::long_rows::Part;
use self::queues::{Chunk, Queues, placed};
use self::script::Script;
use super::connect::client_session::ClientSession;
use super::connect::session::Session;
use crate::config::Connection;
use crate::source::sql::{
    Charset, Kind, Needs, Numbering, Statement, Syntax, has_word, numbering, without_directories,
};
use crate::{Monitor, NoteKind, Result};
use std::collections::{HashMap, VecDeque};
use std::ops::Range;

/// How long a chunk may become.
const CHUNK: usize = 1 << 20;
/// A chunk shorter than this takes rows of several tables.
const SHARED: usize = 256 << 10;
/// How long an INSERT may become when several are put together: every server takes that in one packet.
const MERGED: usize = 256 << 10;
/// Bytes of rows of a table from which on its indexes are built afterwards.
const LARGE: u64 = 2 << 20;
/// The same for rows longer than [`LONG`], in rows: what building them reads again costs more than keeping them up to
/// date, as long as they are small.
const MANY: u64 = 1_000_000;
const LONG: u64 = 1024;
/// A table that had no rows for so many bytes of the dump has them all: its indexes are built while others load.
const OVER: u64 = 32 << 20;
/// Statements about the session that are remembered for connections which have not seen them.
const REMEMBERED: usize = 1000;

/// Before and after rows that are sent as bytes; only where the session speaks UTF-8.
const AS_BYTES: &[u8] = b"SET @bam_client=@@character_set_client, @bam_collation=@@collation_connection, \
    @bam_utf8=@@character_set_client LIKE 'utf8%' AND @@character_set_connection LIKE 'utf8%';\n\
    SET character_set_client=IF(@bam_utf8, 'binary', @bam_client), \
    collation_connection=IF(@bam_utf8, 'binary', @bam_collation);\n";
const AS_UTF8: &[u8] = b"SET @bam_client=@@character_set_client, @bam_collation=@@collation_connection, \
    character_set_client='utf8mb4', collation_connection='utf8mb4_bin';\n";
const AS_BEFORE: &[u8] = b"SET character_set_client=@bam_client, collation_connection=@bam_collation;\n";

/// A table as far as loading it goes.
struct TableLoad {
    name: String,
    /// What the server says of it; asked for when it matters.
    facts: Option<Facts>,
    /// Whether some column may be numbered by the server.
    counts: bool,
    /// Its rows must come in order.
    ordered: bool,
    /// Bytes of rows.
    rows: u64,
    /// Where in the dump the last ones came.
    last: u64,
    /// From so many bytes of rows on its indexes are thought about.
    large: u64,
    /// The statements that make the indexes which wait for the rows.
    indexes: Vec<String>,
}

/// See the module.
pub(crate) struct Loader<'l, 'c> {
    queues: &'l Queues<'l>,
    /// For everything that is not for the connections behind the queues.
    main: ClientSession<'c>,
    /// Makes another one.
    again: &'l dyn Fn(Charset) -> Result<ClientSession<'c>>,
    /// Which text it reads.
    charset: Charset,
    /// The longest packet that the server takes.
    packet: usize,
    /// It is the live database that is loaded into.
    live: bool,
    /// For questions.
    asking: Session<'c>,
    connection: &'c Connection,
    database: &'l str,
    monitor: &'c Monitor,
    tables: Vec<TableLoad>,
    numbers: HashMap<String, usize>,
    /// What set up the session, from the `forgotten`th statement on, and how many each of the connections and the main one saw.
    settings: VecDeque<Vec<u8>>,
    forgotten: usize,
    seen: Vec<usize>,
    /// The queues of connections that take text alone; the others take everything.
    over_wire: Range<usize>,
    seen_by_main: usize,
    /// The chunk that is being made: statements before and within it, its line breaks, who must have it.
    chunk: Chunk,
    settings_before: usize,
    settings_within: usize,
    breaks: u64,
    queue: Option<usize>,
    /// How the last INSERT in it begins, and how long it is.
    head: Vec<u8>,
    insert: usize,
    /// Everything over the main connection from now on.
    serial: bool,
    uncommitted: usize,
    total: u64,
}

impl<'l, 'c> Loader<'l, 'c> {
    fn new(
        queues: &'l Queues<'l>,
        (all, count): (usize, usize),
        (main, again): (ClientSession<'c>, &'l dyn Fn(Charset) -> Result<ClientSession<'c>>),
        asking: Session<'c>,
        (connection, database): (&'c Connection, &'l str),
        monitor: &'c Monitor,
    ) -> Self {
        Loader {
            queues,
            main,
            again,
            charset: Charset::Plain,
            packet: usize::MAX,
            live: false,
            asking,
            connection,
            database,
            monitor,
            tables: Vec::new(),
            numbers: HashMap::new(),
            settings: VecDeque::new(),
            forgotten: 0,
            seen: vec![0; all],
            over_wire: 0..all - count,
            seen_by_main: 0,
            chunk: Chunk::default(),
            settings_before: 0,
            settings_within: 0,
            breaks: 0,
            queue: None,
            head: Vec::new(),
            insert: 0,
            serial: false,
            uncommitted: 0,
            total: 0,
        }
    }

    /// Takes the dump's next step.
    pub(crate) fn take(&mut self, step: &Step<'_>) -> Result<()> {
        match step {
            Step::Session(sql) => {
                let needs = Needs::of(&sql.text, &Statement::parse(&sql.text));
                if needs == Needs::Everything || !LoadConnection::may_go_over_wire(&sql.text) {
                    self.go_serial()?;
                }
                self.setting(&sql.text)
            }
            Step::Later { sql, .. } => {
                self.read_by(sql.syntax)?;
                self.go_serial()?;
                self.flush()?;
                self.main.feed(&script(sql)?)
            }
            Step::Table { kind, name, line, sql } => {
                self.total += sql.text.len() as u64;
                self.read_by(sql.syntax)?;
                self.table(*kind, name, *line, sql)
            }
        }
    }

    /// Makes sure that what comes is read as it is meant: only the main connection's client follows modes, and it
    /// must be told character sets when it starts.
    fn read_by(&mut self, syntax: Syntax) -> Result<()> {
        if syntax == Syntax::default() && (self.charset == Charset::Plain || !self.serial) {
            return Ok(());
        }
        self.go_serial()?;
        if syntax.charset != self.charset {
            self.flush()?;
            self.main.feed(b"COMMIT;\n")?;
            self.main = (self.again)(syntax.charset)?;
            self.charset = syntax.charset;
            let all = self.forgotten + self.settings.len();
            let text = self.unseen(self.forgotten, all);
            self.main.feed(&text)?;
        }
        Ok(())
    }

    fn setting(&mut self, text: &[u8]) -> Result<()> {
        let statement = [text, b";\n"].concat();
        self.head.clear();
        if !self.chunk.text.is_empty() || self.serial {
            self.append(&statement);
            self.settings_within += 1;
        }
        self.settings.push_back(statement);
        if self.serial {
            // Nobody else needs them, unless the main connection is made anew.
            while self.settings.len() > REMEMBERED {
                self.settings.pop_front();
                self.forgotten += 1;
            }
        } else {
            if self.chunk.text.is_empty() {
                self.settings_before = self.forgotten + self.settings.len();
            }
            if self.settings.len() >= REMEMBERED {
                self.remind()?;
            }
        }
        Ok(())
    }

    fn table(&mut self, kind: Kind, name: &str, line: u64, sql: &dump_reader::Sql<'_>) -> Result<()> {
        let bare;
        let sql = if kind == Kind::Create && !self.live && has_word(&sql.text, &[b"DIRECTORY"]) {
            bare = self.without_folder(name, sql);
            &bare
        } else {
            sql
        };
        let text: &[u8] = &sql.text;
        let statement = Statement::parse(text);
        let needs = Needs::of(text, &statement);
        let number = self.number(name);
        if let Needs::Rows { values, order } = needs
            && long_rows::is_too_long(text.len(), self.packet)
        {
            return self.long_rows(number, text, values, order, line);
        }
        if self.serial {
            return self.serially(text, line, sql);
        }
        match needs {
            Needs::Rows { values, order } => {
                let (head, rows) = text.split_at(values.min(text.len()));
                let found = match self.counted_place(number, head)? {
                    Some(place) => numbering(rows, place),
                    None => Some(Numbering::Counted),
                };
                match found {
                    Some(Numbering::Given) => self.rows(number, head, rows, order, line),
                    Some(Numbering::Zero) => self.rows(number, head, rows, true, line),
                    _ => {
                        self.go_serial()?;
                        self.serially(text, line, sql)
                    }
                }
            }
            Needs::Table if kind == Kind::Alter => self.alter(number, text, line),
            Needs::Table => {
                self.flush()?;
                self.queues.wait_for(number)?;
                self.queues.reset(number);
                if let Some(table) = self.tables.get_mut(number) {
                    table.facts = None;
                    table.indexes.clear();
                    (table.rows, table.large) = (0, LARGE);
                    table.counts = has_word(text, &[b"AUTO_INCREMENT", b"SERIAL"]);
                }
                self.on_main(line, sql)
            }
            Needs::Quiet => {
                // Foreign keys want their indexes, too.
                self.all_in()?;
                self.forget(number);
                self.queues.reset(number);
                self.on_main(line, sql)
            }
            Needs::Everything => {
                self.go_serial()?;
                self.serially(text, line, sql)
            }
        }
    }

    /// An INSERT that the server would not take as a whole.
    fn long_rows(&mut self, number: usize, text: &[u8], values: usize, order: bool, line: u64) -> Result<()> {
        let (head, rows) = text.split_at(values.min(text.len()));
        let found = match self.counted_place(number, head)? {
            Some(place) => numbering(rows, place),
            None => Some(Numbering::Counted),
        };
        let order = match found {
            Some(Numbering::Given) => order,
            Some(Numbering::Zero) => true,
            _ => {
                self.go_serial()?;
                true
            }
        };
        long_rows::parts(text, head, self.packet, |part| match part {
            Part::Row(row) if self.serial => {
                self.chunk.lines.push((self.breaks, line));
                self.append(head);
                self.append(row);
                self.append(b";\n");
                if self.chunk.text.len() >= CHUNK { self.flush() } else { Ok(()) }
            }
            Part::Row(row) => self.rows(number, head, row, order, line),
            Part::Script(script) => {
                self.flush()?;
                if !self.serial {
                    self.queues.wait_for(number)?;
                    self.chunk.tables.push(number);
                    (self.chunk.commit, self.chunk.long) = (true, true);
                }
                self.chunk.lines.push((self.breaks, line));
                self.append(&script);
                self.flush()
            }
        })
    }

    /// A table whose files are to lie in a folder of its own, without that: such tables cannot move to another database.
    fn without_folder<'p>(&self, name: &str, sql: &'p dump_reader::Sql<'p>) -> dump_reader::Sql<'p> {
        let text = format!(
            "the files of table {name} lie with the others now, not in the folder that the dump names (DATA DIRECTORY)"
        );
        self.monitor.note(NoteKind::Warning, text);
        dump_reader::Sql {
            text: without_directories(&sql.text),
            delimiter: sql.delimiter,
            syntax: sql.syntax,
        }
    }

    /// Any change of one table but its making.
    fn alter(&mut self, number: usize, text: &[u8], line: u64) -> Result<()> {
        let of_keys = has_word(text, &[b"KEYS"]);
        if of_keys && self.facts(number)?.transactional {
            // DISABLE KEYS does nothing there, nor does ENABLE KEYS.
            return Ok(());
        }
        self.flush()?;
        self.build_indexes(number)?;
        self.queues.wait_for(number)?;
        if !of_keys {
            self.forget(number);
            self.queues.reset(number);
        }
        self.chunk.commit = true;
        self.chunk.tables.push(number);
        self.chunk.lines.push((0, line));
        // On those connections there are no delimiters but this.
        self.append(&[text, b";\n"].concat());
        self.flush()
    }

    fn on_main(&mut self, line: u64, sql: &dump_reader::Sql<'_>) -> Result<()> {
        self.catch_up()?;
        let from = self.main.lines();
        let mut text = script(sql)?;
        text.extend_from_slice(b"COMMIT;\n");
        self.main.feed(&text).map_err(|error| placed(error, from, &[(0, line)]))
    }

    /// From now on everything goes over the main connection.
    fn go_serial(&mut self) -> Result<()> {
        if !self.serial {
            self.all_in()?;
            self.catch_up()?;
            self.serial = true;
        }
        Ok(())
    }

    fn serially(&mut self, text: &[u8], line: u64, sql: &dump_reader::Sql<'_>) -> Result<()> {
        if self.chunk.text.len() + text.len() > CHUNK {
            self.flush()?;
        }
        self.chunk.lines.push((self.breaks, line));
        let text = script(sql)?;
        self.append(&text);
        Ok(())
    }

    /// All rows are in, and all indexes built.
    fn all_in(&mut self) -> Result<()> {
        self.flush()?;
        let mut waiting: Vec<(u64, usize)> =
            self.tables.iter().enumerate().map(|(at, it)| (it.rows, at)).collect();
        waiting.sort_unstable_by(|a, b| b.cmp(a));
        for (_, number) in waiting {
            self.build_indexes(number)?;
        }
        self.queues.wait_for_all()
    }

    fn finish(&mut self) -> Result<()> {
        self.all_in()?;
        self.main.feed(b"COMMIT;\n")
    }
}

/// A statement as the client reads it.
fn script(sql: &dump_reader::Sql<'_>) -> Result<Vec<u8>> {
    let mut script = Script::new(Vec::with_capacity(sql.text.len() + 8));
    script.sql(sql)?;
    let mut text = script.into_out();
    if !matches!(sql.delimiter, b"" | b";") {
        text.extend_from_slice(b"DELIMITER ;\n");
    }
    Ok(text)
}
