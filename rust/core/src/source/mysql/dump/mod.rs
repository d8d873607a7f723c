//! Dumping: which clients run in what order, and what is written around their output.
//!
//! Rows are read by the server's protocol (`select`), through its SQL client where digits would be lost (`exact`), or by
//! its dump clients, become INSERTs (`inserts`), and are put together in an order that depends on the data alone
//! (`merge`); `objects` are the views, triggers, routines and events behind them.

mod exact;
mod inserts;
mod merge;
pub(super) mod objects;
mod places;
mod select;

use self::inserts::Layout;
use self::merge::{Body, Feed};
use self::places::Noting;
use self::select::Select;
use super::connect::client::{self, FORCE, Program};
use super::connect::rights;
use super::connect::session::{Session, quote};
use super::connect::wire;
use super::schema::{Schema, TableSchema};
use crate::config::Connection;
use crate::source::dump_types::{DumpReport, DumpSettings};
use crate::source::sql::without_schema;
use crate::source::table_places::TablePlaces;
use crate::source::tool::Tool;
use crate::{Code, Fact, Monitor, NoteKind, Result};
use serde_json::json;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::Stdio;

/// The dump's first line. A loader knows by it that the format's promises hold.
pub(crate) const FIRST_LINE: &str = "-- bam MySQL dump 1";
/// Begins the line that names, as JSON, the database.
pub(crate) const DATABASE: &str = "-- database: ";
/// Begins a line with, as JSON, a view that did not work (`view`) and its `definition`.
pub(crate) const BROKEN: &str = "-- bam-broken-view: ";
/// Begins the line that names, as JSON, the tables and views that were left out although the database has them.
pub(crate) const EXCLUDED: &str = "-- bam-excluded: ";
/// Begins the line, behind the rows, that names the tables that could not be read, or not to their end.
pub(crate) const UNREAD: &str = "-- bam-unread: ";
/// Begins the line that names the site's table prefix, likewise.
pub(crate) const PREFIX: &str = "-- bam-prefix: ";
/// The line after which only views, triggers, routines and events come.
pub(crate) const MARKER: &str = "-- bam: views, triggers, routines, events";
/// The last line, which mysqldump's own dumps end with too.
pub(crate) const LAST_LINE: &str = "-- Dump completed";

/// Below this many bytes a second client costs more than it gains.
const WORTH_SHARING: u64 = 64 * 1024 * 1024;
/// More clients would only take turns with the server and the compressor.
const MOST_CLIENTS: usize = 4;
/// Seconds to wait for writers before the snapshot is taken by one client alone: others wait behind us meanwhile.
const SHORT_WAIT: u32 = 3;
/// Seconds to wait for the locks that a profile asks for.
const LONG_WAIT: u32 = 60;

/// MySQL takes no statement that is nothing to it, so what is for MariaDB alone hangs on one that does no harm.
const HEADER: &str = "\
/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!40101 SET @OLD_CHARACTER_SET_RESULTS=@@CHARACTER_SET_RESULTS */;
/*!40101 SET @OLD_COLLATION_CONNECTION=@@COLLATION_CONNECTION */;
/*!40101 SET NAMES utf8mb4 */;
/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */;
/*!40103 SET TIME_ZONE='+00:00' */;
/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */;
/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;
/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */;
SET @OLD_INNODB_STRICT_MODE=NULL /*M!100100 , @OLD_INNODB_STRICT_MODE=@@INNODB_STRICT_MODE, INNODB_STRICT_MODE=0 */;

";

const FOOTER: &str = "
SET @BAM=NULL /*M!100100 , INNODB_STRICT_MODE=@OLD_INNODB_STRICT_MODE */;
/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;
/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;
/*!40014 SET FOREIGN_KEY_CHECKS=@OLD_FOREIGN_KEY_CHECKS */;
/*!40014 SET UNIQUE_CHECKS=@OLD_UNIQUE_CHECKS */;
/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;
/*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */;
/*!40101 SET CHARACTER_SET_RESULTS=@OLD_CHARACTER_SET_RESULTS */;
/*!40101 SET COLLATION_CONNECTION=@OLD_COLLATION_CONNECTION */;
";

/// See [`crate::source::database::dump`].
pub(crate) fn dump(
    connection: &Connection,
    settings: &DumpSettings,
    out: &mut dyn Write,
    monitor: &Monitor,
) -> Result<DumpReport> {
    let mut session = Session::open(connection, Some(&connection.name), monitor)?;
    let mut schema = Schema::read(&mut session, settings, &connection.prefix)?;
    monitor.set_current(connection.label());
    rights::tell_of_hidden(connection, &schema.tables, monitor)?;
    // First: what the server refuses shows before hours of rows.
    let others = objects::others(connection, settings.ignore_errors, &mut schema, monitor)?;
    let mut dumper = Dumper {
        connection,
        settings,
        monitor,
        schema: &schema,
        asking: Some(session),
        out: Counted { out, bytes: 0 },
        places: None,
        unread: BTreeSet::new(),
        lost: BTreeSet::new(),
    };
    dumper.header()?;
    dumper.tables()?;
    if !dumper.unread.is_empty() {
        writeln!(dumper.out, "{UNREAD}{}", json!(dumper.unread))?;
    }
    writeln!(dumper.out, "\n{MARKER}")?;
    dumper.out.write_all(&others.text)?;
    write!(dumper.out, "{FOOTER}\n{LAST_LINE}\n")?;
    dumper.out.flush()?;
    let is_there = |table: &&TableSchema| !dumper.lost.contains(&table.name);
    let (with_rows, without): (Vec<&TableSchema>, Vec<&TableSchema>) =
        schema.tables.iter().filter(is_there).partition(|table| table.rows);
    Ok(DumpReport {
        tables: with_rows.len() as u64,
        empty_tables: without.len() as u64,
        others: others.count as u64,
        bytes: dumper.out.bytes,
        unread: dumper.unread.into_iter().collect(),
        places: dumper.places,
    })
}

struct Counted<'w> {
    out: &'w mut dyn Write,
    bytes: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

struct Dumper<'a> {
    connection: &'a Connection,
    settings: &'a DumpSettings,
    monitor: &'a Monitor,
    schema: &'a Schema,
    /// For questions and the short lock; an error ends it. Each client that starts costs the rows a moment.
    asking: Option<Session<'a>>,
    out: Counted<'a>,
    /// Where the rows of each table stand, once they are written.
    places: Option<TablePlaces>,
    /// Tables that could not be read, or not to their end, and those of them that are nowhere in the dump.
    unread: BTreeSet<String>,
    lost: BTreeSet<String>,
}

impl<'a> Dumper<'a> {
    fn header(&mut self) -> Result<()> {
        // As JSON no name can end the line.
        let (schema, connection) = (self.schema, self.connection);
        let out = &mut self.out;
        writeln!(out, "{FIRST_LINE}\n-- server: {}", json!(schema.server))?;
        writeln!(out, "{DATABASE}{}", json!(connection.name))?;
        writeln!(out, "{PREFIX}{}", json!(connection.prefix))?;
        let left: Vec<&String> =
            schema.excluded.iter().chain(schema.broken.iter().map(|view| &view.name)).collect();
        writeln!(out, "{EXCLUDED}{}", json!(left))?;
        for view in &schema.broken {
            writeln!(out, "{BROKEN}{}", json!({ "view": view.name, "definition": view.definition }))?;
        }
        writeln!(out)?;
        out.write_all(HEADER.as_bytes())?;
        Ok(())
    }

    /// Rows and structure. The rows' clients start first: once they have their snapshot, a table that is altered
    /// makes them fail instead of giving rows that do not fit the structure; one that was altered before does so here.
    fn tables(&mut self) -> Result<()> {
        let schema = self.schema;
        let tables: Vec<&TableSchema> = schema.with_rows().collect();
        let _locked = self.lock_for_all(&tables)?;
        let (held, groups) = self.share(&tables)?;
        let feeds = groups.into_iter().map(|group| self.feed(group)).collect::<Result<Vec<_>>>()?;
        let (connection, settings, monitor) = (self.connection, self.settings, self.monitor);
        merge::run(feeds, connection, settings.ignore_errors, monitor, |rows| {
            let begun = rows.wait_for_snapshots();
            if held {
                self.release();
            }
            begun?;
            if !schema.tables.is_empty() {
                self.structure()?;
                schema.check_columns(self.asking()?)?;
            }
            self.asking = None;
            self.out.write_all(b"/*!40000 SET @OLD_AUTOCOMMIT=@@AUTOCOMMIT, AUTOCOMMIT=0 */;\n")?;
            let (schema, at) = (self.schema, self.out.bytes);
            match Noting::new(&mut self.out, at, schema, &self.connection.prefix) {
                Some(mut noting) => {
                    let written = rows.write(&mut noting, true)?;
                    self.places = Some(noting.finish(&written.counts));
                    self.unread.extend(written.unread);
                }
                // Names could be taken for the end of a statement where the clients' turns would be.
                None => self.unread.extend(rows.write(&mut self.out, false)?.unread),
            }
            self.out.write_all(b"/*!40000 SET AUTOCOMMIT=@OLD_AUTOCOMMIT */;\n")?;
            Ok(())
        })
    }

    /// Starts reading the rows of some tables.
    fn feed(&self, group: Group<'_>) -> Result<Feed> {
        let tables = group.tables.iter().map(|table| table.name.clone()).collect();
        match group.way {
            DumpMethod::Server(conn) => {
                let tables = group.tables.iter().map(|table| Layout::of(table)).collect();
                let select = Select::new(*conn, self.connection, tables, self.settings.ignore_errors);
                Ok(Feed::Server(Box::new(select)))
            }
            DumpMethod::Exact => {
                let (tool, name, plan) = exact::start(self.connection, &group.tables)?;
                Ok(Feed::Client { tool, name, plan: Some(plan), tables })
            }
            DumpMethod::Client => {
                let mut options = ROWS.to_vec();
                if group.tables.iter().any(|table| table.versioned) {
                    // Clients that do not know it say so on stderr and go on with the current rows.
                    options.push("--loose-dump-history");
                }
                let names = group.tables.iter().map(|table| &table.name);
                let (tool, name) = start(self.connection, self.settings, &options, names)?;
                Ok(Feed::Client { tool, name, plan: None, tables })
            }
        }
    }

    /// `DROP` and `CREATE` of everything: of sequences first, which tables may take their numbers from.
    fn structure(&mut self) -> Result<()> {
        let (sequences, tables): (Vec<&TableSchema>, Vec<&TableSchema>) =
            self.schema.tables.iter().partition(|table| table.sequence);
        if !sequences.is_empty() {
            let names: Vec<String> = sequences.iter().map(|table| table.name.clone()).collect();
            let (mut tool, name) = start(self.connection, self.settings, &STRUCTURE, &names)?;
            let mut body = Body::new(tool.output(self.monitor, None)?)?;
            io::copy(&mut body, &mut self.out)?;
            let ignore_errors = self.settings.ignore_errors;
            let said = client::dump_outcome(tool, name, self.connection, ignore_errors, self.monitor)?;
            self.unread.extend(said.into_iter().flat_map(|said| client::tables_in(&said, &names)));
        }
        for table in tables {
            let name = quote(&table.name);
            let mut shown = match self.asking()?.rows(&format!("SHOW CREATE TABLE {name}")) {
                Ok(rows) => rows,
                // A table of others' rows says nothing once these are out of reach: not its loss.
                Err(error)
                    if (self.settings.ignore_errors || !table.own_rows)
                        && error.code() != Code::Cancelled =>
                {
                    self.asking = None;
                    let label = self.connection.label();
                    let lost = format!("database {label}: table {}: {error}", table.name);
                    self.monitor.note(NoteKind::Missing, lost);
                    writeln!(self.out, "{EXCLUDED}{}", json!([table.name]))?;
                    self.unread.insert(table.name.clone());
                    self.lost.insert(table.name.clone());
                    continue;
                }
                Err(error) => return Err(error.within(Fact::Object, format!("table {}", table.name))),
            };
            let definition = shown.pop().and_then(|row| row.into_iter().nth(1)).ok_or_else(wire::shape)?;
            writeln!(self.out, "DROP TABLE IF EXISTS {name};")?;
            self.out.write_all(&without_schema(&definition, self.connection.name.as_bytes()))?;
            self.out.write_all(b";\n")?;
        }
        Ok(())
    }

    /// Locks the tables without transactions, where the profile wants that, until the guard is dropped.
    fn lock_for_all(&self, tables: &[&TableSchema]) -> Result<Option<Session<'a>>> {
        let without = tables.iter().filter(|table| !table.transactions);
        let list: Vec<String> = without.map(|table| format!("{} READ", quote(&table.name))).collect();
        if !self.settings.lock_tables || list.is_empty() {
            return Ok(None);
        }
        // It answers for nothing else meanwhile: it may read these tables alone.
        let mut session = Session::open(self.connection, Some(&self.connection.name), self.monitor)?;
        let locked = session.run(&lock(&format!("LOCK TABLES {}", list.join(", ")), LONG_WAIT));
        locked.map_err(|error| error.context("cannot lock the tables"))?;
        Ok(Some(session))
    }

    /// Divides the tables among connections. More than one see the same snapshot only if nobody commits while they
    /// start; the lock that is then held, and told of, sees to that until [`Self::release`]. (`LOCK TABLES` needs fewer
    /// privileges, but makes transactions of the site fail: it takes one table after the other, and of two that wait for
    /// each other it is the site's that the server ends.)
    fn share<'t>(&mut self, tables: &[&'t TableSchema]) -> Result<(bool, Vec<Group<'t>>)> {
        let connection = self.connection;
        let connect = || {
            wire::open(connection, Some(&connection.name), wire::PACKET).map(Box::new).map(DumpMethod::Server)
        };
        let first = connect();
        let over_wire = first.is_some();
        // Some tables want a client of their own; those with a history always do.
        let (plain, special): (Vec<&TableSchema>, Vec<&TableSchema>) =
            tables.iter().partition(|table| !table.versioned && (over_wire || !table.rounded()));
        let size: u64 = plain.iter().map(|table| table.size).sum();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // The rows of clients that take turns are told apart by line.
        let lines = tables.iter().any(|table| table.name.contains('\n'));
        let several = if size < WORTH_SHARING { 1 } else { cores.min(MOST_CLIENTS) };
        let ways = std::iter::once(first).chain(std::iter::repeat_with(connect));
        let mut groups: Vec<Group<'t>> = merge::share(&plain, several)
            .into_iter()
            .zip(ways)
            .map(|(tables, way)| Group { way: way.unwrap_or_else(|| by_client(&tables)), tables })
            .collect();
        if !special.is_empty() {
            groups.push(Group { way: by_client(&special), tables: special });
        }
        if groups.len() < 2 {
            return Ok((false, groups));
        }
        // Without the privilege, or behind a long transaction, one connection does without a lock.
        let alone = |groups: Vec<Group<'t>>| {
            let over_wire =
                groups.into_iter().map(|group| group.way).find(|way| matches!(way, DumpMethod::Server(_)));
            let way = over_wire.filter(|_| !tables.iter().any(|table| table.versioned));
            vec![Group { way: way.unwrap_or_else(|| by_client(tables)), tables: tables.to_vec() }]
        };
        if lines {
            return Ok((false, alone(groups)));
        }
        match self.asking()?.run(&lock("FLUSH TABLES WITH READ LOCK", SHORT_WAIT)) {
            Ok(()) => Ok((true, groups)),
            Err(error) if error.code() == Code::Cancelled => Err(error),
            Err(_) => {
                self.asking = None;
                Ok((false, alone(groups)))
            }
        }
    }

    /// Lets the site commit again.
    fn release(&mut self) {
        let released = self.asking.as_mut().is_some_and(|session| session.run(FREE).is_ok());
        if !released {
            // With the connection goes the lock.
            self.asking = None;
        }
    }

    /// The connection for questions; another one where an error has ended it.
    fn asking(&mut self) -> Result<&mut Session<'a>> {
        let session = match self.asking.take() {
            Some(session) => session,
            None => Session::open(self.connection, Some(&self.connection.name), self.monitor)?,
        };
        Ok(self.asking.insert(session))
    }
}

/// Takes back what [`lock`] did.
const FREE: &str = "UNLOCK TABLES; SET SESSION lock_wait_timeout=DEFAULT";

/// `statement`, which gives up after `wait` seconds.
fn lock(statement: &str, wait: u32) -> String {
    format!("SET SESSION lock_wait_timeout={wait}; {statement}")
}

/// Some tables, and how their rows are read.
struct Group<'t> {
    way: DumpMethod,
    tables: Vec<&'t TableSchema>,
}

enum DumpMethod {
    /// WireSession from the server, see [`select`].
    Server(Box<mysql::Conn>),
    /// By the SQL client, see [`exact`].
    Exact,
    /// By a dump client.
    Client,
}

/// How a client reads these tables. Dump clients round FLOATs, but they alone know the history of a table.
fn by_client(tables: &[&TableSchema]) -> DumpMethod {
    let versioned = tables.iter().any(|table| table.versioned);
    if !versioned && tables.iter().any(|table| table.rounded()) {
        DumpMethod::Exact
    } else {
        DumpMethod::Client
    }
}

/// Starts a dump client on some tables or views, without a header, footer, comments or locks of its own.
fn start<'n>(
    connection: &Connection,
    settings: &DumpSettings,
    options: &[&str],
    names: impl IntoIterator<Item = &'n String>,
) -> Result<(Tool, &'static str)> {
    let mut arguments = COMMON.to_vec();
    if settings.ignore_errors {
        arguments.push(FORCE);
    }
    arguments.extend(options);
    arguments.extend(["--", connection.name.as_str()]);
    let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
    arguments.extend(names);
    client::spawn(Program::Dump, connection, arguments, None, Stdio::null(), Stdio::piped())
}

const COMMON: [&str; 5] = [
    "--compact",
    "--skip-lock-tables",
    "--no-tablespaces",
    // Only MySQL's client knows these two: it would ask for privileges, or for what MariaDB does not have.
    "--loose-set-gtid-purged=OFF",
    "--loose-column-statistics=0",
];
/// Blobs stay as they are, not in hexadecimal: all types come back the same, half the size.
const ROWS: [&str; 5] =
    ["--single-transaction", "--quick", "--no-create-info", "--skip-triggers", "--disable-keys"];
const STRUCTURE: [&str; 3] = ["--no-data", "--skip-triggers", "--add-drop-table"];
