//! Replacing a live database by a dump, in steps that survive a kill (see [`crate::source::database`]).
//!
//! Where the user may create databases, the dump is loaded into a *new* one beside the live one, and all tables trade
//! places in a single `RENAME TABLE`, the live ones going to an *old* one; the server does all of it or nothing
//! (<https://mariadb.com/kb/en/atomic-ddl/>). Views, triggers, routines and events cannot be renamed across
//! databases: they follow from scripts, which were tried beforehand ([`preflight`]), and those of the live ones
//! that go are saved first. Elsewhere see [`in_place`].
//!
//! `restricted_user` is the user a dump is loaded as that nobody vouches for; `preflight` tries out the swap; `adapt` makes the new
//! tables fit the site; `half_read` keeps live tables that the dump does not have whole; `foreign_keys` and `unmovable` are what a renamed table does not carry along by itself; `in_place` is
//! for users who may create no database.

mod adapt;
mod foreign_keys;
mod half_read;
mod in_place;
mod others;
mod preflight;
mod restricted_user;
mod swap;
mod unmovable;

use super::connect::child_guard::ChildGuard;
use super::connect::client;
use super::connect::lenience;
use super::connect::rights::Definers;
use super::connect::session::{Session, quote, string};
use super::load;
use super::load::dump_reader::{DumpReader, Origin, Step};
use super::load::script::Script;
use super::schema::columns;
use crate::config::Connection;
use crate::source::dump_types::{LoadReport, LoadSettings};
use crate::source::sql::{Kind, Statement};
use crate::{Code, Error, Monitor, NoteKind, Result, ResultExt};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Seconds to wait for whoever uses a table that is taken by itself: as long as PHP lets a page take. All others who want
/// that table wait behind us meanwhile; where many are taken together, see [`crate::source::short_tries`].
pub(crate) const SWAP_WAIT: u32 = 30;
/// How often something that must not be left half done is tried before that is an error.
const TRIES: u32 = 10;
/// Seconds that a session may have been at what it does before it is ended for being in the way of that.
const IN_THE_WAY: u32 = 5;

/// How the new data gets in. Its names in journals are those that the first version gave them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ReplaceMethod {
    /// Nothing was loaded yet.
    Undecided,
    /// Through a database beside the live one.
    #[serde(rename = "beside")]
    NewDatabase,
    /// Into the live one, with a dump of the old data at hand.
    #[serde(rename = "direct")]
    InPlace,
}

/// A replacement under way. Serialisable, for the restore's journal; holds no secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MysqlReplacement {
    pub(crate) id: String,
    pub(crate) state_dir: PathBuf,
    /// The databases beside the live one.
    pub(crate) new: String,
    pub(crate) old: String,
    pub(crate) way: ReplaceMethod,
    /// Tables and sequences that the dump makes.
    pub(crate) tables: Vec<String>,
    /// Live ones that go: replaced or removed.
    pub(crate) moved: Vec<String>,
    /// Statements that remove the views, triggers, routines and events which the dump makes.
    pub(crate) undo: Vec<String>,
    /// Statements by which defaults take their numbers from the live database's sequences once they are there.
    #[serde(default)]
    defaults: Vec<String>,
    /// The same for the live ones that the swap replaces or removes, and that taking it back makes again. `None`: the
    /// journal is of a version that saved all of them, as a script.
    #[serde(default)]
    pub(crate) touched: Option<Vec<String>>,
    /// Go on without views and the like that the server refuses.
    pub(crate) lenient: bool,
}

/// What the dump said, besides its tables.
pub(crate) struct Loaded {
    pub(crate) origin: Origin,
    pub(crate) excluded: Vec<String>,
    pub(crate) unread: Vec<String>,
    pub(crate) undo: Vec<String>,
    pub(crate) report: LoadReport,
}

impl MysqlReplacement {
    /// See [`crate::source::database::Replacement::plan`].
    pub(crate) fn plan(connection: &Connection, state_dir: &Path, id: &str) -> Result<MysqlReplacement> {
        if id.is_empty() || id.len() > 20 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(Error::new(Code::Internal, "a replacement's id is up to 20 letters and digits"));
        }
        // 64 characters at most; whoever grants privileges on `name\_bam\_%` lets us make both.
        let name: String = connection.name.chars().take(64 - "_bam_new_".len() - id.len()).collect();
        Ok(MysqlReplacement {
            id: id.to_owned(),
            state_dir: state_dir.to_owned(),
            new: format!("{name}_bam_new_{id}"),
            old: format!("{name}_bam_old_{id}"),
            way: ReplaceMethod::Undecided,
            tables: Vec::new(),
            moved: Vec::new(),
            undo: Vec::new(),
            defaults: Vec::new(),
            touched: None,
            lenient: false,
        })
    }

    /// Finds out which tables were loaded into the new database, where there is one.
    fn find_new_tables(&mut self, session: &mut Session<'_>) -> Result<()> {
        if self.way == ReplaceMethod::NewDatabase {
            self.tables = tables_in(session, &self.new)?;
            let mark = self.mark();
            self.tables.retain(|table| *table != mark);
        }
        Ok(())
    }

    /// See [`crate::source::database::Replacement::load`].
    pub(crate) fn load(
        &mut self,
        connection: &Connection,
        mut input: impl Read,
        settings: &LoadSettings,
        monitor: &Monitor,
    ) -> Result<LoadReport> {
        self.lenient = settings.ignore_errors;
        let (charset, collation) = find_or_make(connection, monitor)?;
        let mut session = Session::open(connection, None, monitor)?;
        let (definers, server) = (Definers::of(&mut session)?, session.server()?);
        let live = tables_in(&mut session, &connection.name)?;
        drop(session);
        let mut reader =
            DumpReader::new(&mut input, settings.tables.clone(), settings.ignore_errors, monitor)
                .with_server(server)
                .with_prefix(settings.prefix.clone())
                .with_counts(settings.counts.clone())
                .with_definers(definers)
                .with_whole(if settings.take_unread { Vec::new() } else { live }, &settings.unread)
                .with_only_database(settings.database.clone());
        let mut loaded = match self.why_direct(connection, &charset, &collation, monitor)? {
            None => self.load_beside(connection, &mut reader, settings.untrusted, monitor)?,
            Some(why) => {
                self.way = ReplaceMethod::InPlace;
                let text = format!(
                    "{why}: the restore first makes a safety dump, and the site sees the tables while they are loaded"
                );
                monitor.note(NoteKind::Info, text);
                in_place::spool(self, &mut reader, monitor)?
            }
        };
        reader.tell(connection);
        let mut session = Session::open(connection, Some(&connection.name), monitor)?;
        self.find_new_tables(&mut session)?;
        self.settle_half_read(&mut session, settings, &mut loaded, monitor)?;
        if self.way == ReplaceMethod::NewDatabase {
            self.defaults = unmovable::defaults(&mut session, &self.new)?;
        }
        self.undo = loaded.undo;
        if let Some(prefix) = settings.prefix.as_deref().filter(|_| reader.prefix().is_none()) {
            self.warn_of_prefix(prefix, monitor);
        }
        let report = self.compare(&mut session, settings, loaded.origin, &loaded.excluded, loaded.report)?;
        self.settle_foreign_keys(&mut session)?;
        drop(session);
        match self.way {
            ReplaceMethod::InPlace => in_place::save(self, connection, monitor)?,
            _ => self.save_others(connection)?,
        }
        Ok(report)
    }

    /// Makes room beside the live database, or says why the dump cannot be loaded there.
    fn why_direct(
        &self,
        connection: &Connection,
        charset: &str,
        collation: &str,
        monitor: &Monitor,
    ) -> Result<Option<String>> {
        let folders =
            unmovable::with_folders(&mut Session::open(connection, Some(&connection.name), monitor)?)?;
        if let Some(table) = folders.first() {
            let text =
                format!("the files of table {table} are in a folder of their own and cannot trade places");
            return Ok(Some(text));
        }
        match self.make_room(connection, charset, collation, monitor) {
            Ok(()) => Ok(None),
            Err(error) if error.code() == Code::Permission => Ok(Some(format!(
                "{} may not create the databases {} and {} (to avoid this, grant all on `{}\\_bam\\_%`.*)",
                connection.user, self.new, self.old, connection.name
            ))),
            Err(error) => Err(error),
        }
    }

    /// Makes the two databases, each with a mark, and tries out what the swap will need.
    fn make_room(
        &self,
        connection: &Connection,
        charset: &str,
        collation: &str,
        monitor: &Monitor,
    ) -> Result<()> {
        let mut session = self.my_turn(connection, None, monitor)?;
        let mark = quote(&self.mark());
        for database in [&self.new, &self.old] {
            let name = quote(database);
            session.run(&format!("CREATE DATABASE {name} CHARACTER SET {charset} COLLATE {collation}"))?;
            session.run(&format!("CREATE TABLE {name}.{mark} (id int PRIMARY KEY)"))?;
        }
        let (new, old) = (quote(&self.new), quote(&self.old));
        session.run(&format!(
            "CREATE TABLE {new}.bam_try (id int PRIMARY KEY); INSERT INTO {new}.bam_try VALUES (1); \
             RENAME TABLE {new}.bam_try TO {old}.bam_try; DROP TABLE {old}.bam_try"
        ))
    }

    /// The table by which a database is known as ours.
    fn mark(&self) -> String {
        format!("bam_{}", self.id)
    }

    /// Loads the dump into the new database; one that nobody vouches for as a user who may change nothing else.
    fn load_beside(
        &mut self,
        connection: &Connection,
        reader: &mut DumpReader<'_>,
        untrusted: bool,
        monitor: &Monitor,
    ) -> Result<Loaded> {
        self.way = ReplaceMethod::NewDatabase;
        let restricted = if untrusted { self.make_restricted_user(connection, monitor)? } else { None };
        let loaded = self.load_into_new(restricted.as_ref().unwrap_or(connection), reader, monitor);
        loaded.map_err(|error| match &restricted {
            Some(_) if error.code() == Code::Permission => error
                .context("nothing proves whose the backup is, so it may change its own database alone")
                .hint("look at what is refused; if it is right, restore it as a user of the site's own database"),
            _ => error,
        })
    }

    fn load_into_new(
        &self,
        connection: &Connection,
        reader: &mut DumpReader<'_>,
        monitor: &Monitor,
    ) -> Result<Loaded> {
        load::load(&self.guard(), connection, &self.new, false, monitor, |loader| {
            self.take_in(reader, monitor, &mut |step| match step {
                Step::Later { .. } => Ok(()),
                step => loader.take(step),
            })
        })
    }

    /// Reads the dump to its end: every step goes to `each`, what comes later also into a script.
    pub(crate) fn take_in(
        &self,
        reader: &mut DumpReader<'_>,
        monitor: &Monitor,
        each: &mut dyn FnMut(&Step<'_>) -> Result<()>,
    ) -> Result<Loaded> {
        let (mut later, mut events) = (self.script(&self.after())?, self.script(&self.events())?);
        let mut undo = Vec::new();
        let mut current = String::new();
        while let Some(step) = reader.next()? {
            each(&step)?;
            match step {
                Step::Session(sql) => {
                    later.sql(&sql)?;
                    events.sql(&sql)?;
                }
                Step::Table { name, .. } => {
                    if name != current {
                        monitor.set_current(&name);
                        current = name;
                    }
                }
                Step::Later { sql, undo: drop } => {
                    let statement = Statement::parse(&sql.text);
                    if statement.kind == Kind::Charset {
                        // Around routines and around events.
                        events.sql(&sql)?;
                    }
                    let script = if statement.object == "EVENT" { &mut events } else { &mut later };
                    if let Some(drop) = drop {
                        script.statement(drop.as_bytes())?;
                        undo.push(drop);
                    }
                    script.sql(&sql)?;
                }
            }
        }
        reader.check_content()?;
        finish_file(later.into_out(), &self.after())?;
        finish_file(events.into_out(), &self.events())?;
        let report =
            LoadReport { statements: reader.statements(), bytes: reader.bytes(), ..LoadReport::default() };
        Ok(Loaded {
            origin: reader.origin(),
            excluded: reader.excluded(),
            unread: reader.unread(),
            undo,
            report,
        })
    }

    /// A session that may change things: nothing of a killed run gets in between.
    pub(crate) fn my_turn<'c>(
        &self,
        connection: &'c Connection,
        database: Option<&str>,
        monitor: &'c Monitor,
    ) -> Result<Session<'c>> {
        self.guard().end_leftovers(connection, monitor)?;
        let mut session = Session::open_held(connection, database, Some(self.guard().inherit()?), monitor)?;
        let got = session.column(&format!("SELECT GET_LOCK({}, 0)", string(&self.guard().lock_name(0))))?;
        if got.first().is_none_or(|got| got != "1") {
            return Err(Error::new(Code::Locked, "another restore of this database is under way"));
        }
        session.run(&format!("SET SESSION lock_wait_timeout={SWAP_WAIT}, foreign_key_checks=0"))?;
        if !lenience::on(&mut session, &[lenience::KEYS])?.is_empty() {
            let mut asking = Session::open(connection, database, monitor)?;
            for set in lenience::found(&mut asking, &[lenience::KEYS], (connection, database), monitor)? {
                session.run(&set)?;
            }
        }
        Ok(session)
    }

    /// Runs one of our scripts on a database.
    pub(crate) fn run(
        &self,
        connection: &Connection,
        database: &str,
        path: &Path,
        monitor: &Monitor,
    ) -> Result<()> {
        let script = File::open(path).at("cannot read", path)?;
        let lock = self.guard().lock_option(0);
        let options: &[&str] = if self.lenient { &[client::FORCE, &lock] } else { &[&lock] };
        let held = Some(self.guard().inherit()?);
        client::run_file(connection, Some(database), script, options, held, monitor)
    }

    /// What ends with us, or can be ended after us.
    pub(crate) fn guard(&self) -> ChildGuard {
        ChildGuard {
            clients: self.clients(),
            databases: [self.new.clone(), self.old.clone()],
            restricted_user: self.restricted_user_name(),
        }
    }

    /// The databases beside the live one.
    pub(crate) fn own_databases(&self) -> [&str; 2] {
        [&self.new, &self.old]
    }

    /// Which clients of ours are at work: each holds a lock on this file.
    pub(crate) fn clients(&self) -> PathBuf {
        self.file("clients")
    }

    /// A new private file.
    pub(crate) fn create(&self, path: &Path) -> Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600).open(path).at("cannot write", path)
    }

    pub(crate) fn file(&self, what: &str) -> PathBuf {
        self.state_dir.join(format!("{}-{what}", self.id))
    }

    /// A new script of ours: what it waits for, it does not wait for for ever.
    fn script(&self, path: &Path) -> Result<Script<BufWriter<File>>> {
        let mut script = Script::new(BufWriter::new(self.create(path)?));
        script.statement(format!("SET SESSION lock_wait_timeout={SWAP_WAIT}").as_bytes())?;
        Ok(script)
    }

    /// What is run once the new tables are in place.
    pub(crate) fn after(&self) -> PathBuf {
        self.file("after.sql")
    }

    /// The same for events, which run by themselves.
    pub(crate) fn events(&self) -> PathBuf {
        self.file("events.sql")
    }

    /// What the old views, triggers, routines and events are made from again, should the swap be taken back.
    fn before(&self) -> PathBuf {
        self.file("before.sql")
    }

    /// The part of it that is run then.
    fn bring_back(&self) -> PathBuf {
        self.file("bring-back.sql")
    }
}

/// Whether somebody else held what was asked for, for too long.
pub(crate) fn is_busy(error: &Error) -> bool {
    ["1205", "1213"].iter().any(|number| error.message().contains(&format!("ERROR {number} ")))
}

/// What a `DROP … IF EXISTS name` removes, to be compared: names of routines and the like know no case.
pub(crate) fn identity(drop: &str) -> String {
    if drop.starts_with("DROP VIEW ") { drop.to_owned() } else { drop.to_lowercase() }
}

/// The live triggers and their tables.
pub(crate) fn triggers_in(session: &mut Session<'_>) -> Result<Vec<(String, String)>> {
    let rows = session.rows(
        "SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE()",
    )?;
    rows.into_iter().map(|row| columns(row).map(|[trigger, table]| (trigger, table))).collect()
}

/// The live database's character set and collation; makes the database where there is none.
fn find_or_make(connection: &Connection, monitor: &Monitor) -> Result<(String, String)> {
    let mut session = Session::open(connection, None, monitor)?;
    let name = string(&connection.name);
    let sql = format!(
        "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA \
         WHERE SCHEMA_NAME = {name}"
    );
    let mut rows = session.rows(&sql)?;
    if rows.is_empty() {
        session
            .run(&format!("CREATE DATABASE {} CHARACTER SET utf8mb4", quote(&connection.name)))
            .map_err(|error| error.context(format!("the database {} does not exist", connection.name)))?;
        monitor.note(NoteKind::Info, format!("created the database {}", connection.name));
        rows = session.rows(&sql)?;
    }
    let [charset, collation] = columns(rows.pop().unwrap_or_default())?;
    Ok((charset, collation))
}

/// Tables and sequences of a database, by name; none where it does not exist.
pub(crate) fn tables_in(session: &mut Session<'_>, database: &str) -> Result<Vec<String>> {
    let mut tables = session.column(&format!(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} AND TABLE_TYPE <> 'VIEW'",
        string(database)
    ))?;
    tables.sort();
    Ok(tables)
}

/// The live views, routines and events.
pub(crate) fn objects_in(session: &mut Session<'_>) -> Result<Vec<(&'static str, Vec<String>)>> {
    let mut all = Vec::new();
    for (object, sql) in [
        ("VIEW", "SELECT TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = DATABASE()"),
        (
            "PROCEDURE",
            "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() \
             AND ROUTINE_TYPE = 'PROCEDURE'",
        ),
        (
            "FUNCTION",
            "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() \
             AND ROUTINE_TYPE = 'FUNCTION'",
        ),
        (
            "PACKAGE",
            "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() \
             AND ROUTINE_TYPE = 'PACKAGE'",
        ),
        (
            "PACKAGE BODY",
            "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() \
             AND ROUTINE_TYPE = 'PACKAGE BODY'",
        ),
        ("EVENT", "SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE()"),
    ] {
        all.push((object, session.column(sql)?));
    }
    Ok(all)
}

pub(crate) fn finish_file(file: BufWriter<File>, path: &Path) -> Result<()> {
    let file = file.into_inner().map_err(|error| Error::io("cannot write", path, error.into_error()))?;
    file.sync_all().at("cannot write", path)
}

pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(Error::io("cannot remove", path, cause)),
        _ => Ok(()),
    }
}
