//! Replacing a live database by a dump, in steps that survive a kill (see [`crate::source::database`]).
//!
//! Where the user may create databases, the dump is loaded into a *new* one beside the live one, and all tables trade
//! places in a single `RENAME TABLE`, the live ones going to an *old* one; the server does all of it or nothing
//! (<https://mariadb.com/kb/en/atomic-ddl/>). Views, triggers, routines and events cannot be renamed across
//! databases: they follow from scripts, which were tried beforehand ([`preflight`]), and those of the live ones
//! that go are saved first. Elsewhere see [`in_place`].
//!
//! `restricted_user` is the user a dump is loaded as that nobody vouches for; `preflight` tries out the swap; `adapt` makes the new
//! tables fit the site; `foreign_keys` and `unmovable` are what a renamed table does not carry along by itself; `in_place` is
//! for users who may create no database.

mod adapt;
mod foreign_keys;
mod in_place;
mod preflight;
mod restricted_user;
mod unmovable;

use super::connect::child_guard::ChildGuard;
use super::connect::client;
use super::connect::lenience;
use super::connect::rights::Definers;
use super::connect::session::{Session, quote, string};
use super::dump::objects;
use super::dump::{FIRST_LINE, LAST_LINE, MARKER};
use super::load;
use super::load::dump_reader::{DumpReader, Origin, Step};
use super::load::script::Script;
use super::schema::{self, Schema, columns};
use crate::config::Connection;
use crate::source::dump_types::{DumpSettings, LoadReport, LoadSettings};
use crate::source::sql::{Kind, Statement};
use crate::{Code, Error, Monitor, NoteKind, Result, ResultExt};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Seconds to wait for whoever uses the tables when they trade places: as long as PHP lets a page take. All others wait
/// behind us meanwhile.
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

    /// See [`crate::source::database::Replacement::load`].
    pub(crate) fn load(
        &mut self,
        connection: &Connection,
        input: impl Read,
        settings: &LoadSettings,
        monitor: &Monitor,
    ) -> Result<LoadReport> {
        self.lenient = settings.ignore_errors;
        let (charset, collation) = find_or_make(connection, monitor)?;
        let mut session = Session::open(connection, None, monitor)?;
        let (definers, server) = (Definers::of(&mut session)?, session.server()?);
        drop(session);
        let mut reader = DumpReader::new(input, settings.tables.clone(), settings.ignore_errors, monitor)
            .with_server(server)
            .with_prefix(settings.prefix.clone())
            .with_definers(definers)
            .with_only_database(settings.database.clone());
        let loaded = match self.why_direct(connection, &charset, &collation, monitor)? {
            None => {
                self.way = ReplaceMethod::NewDatabase;
                let restricted =
                    if settings.untrusted { self.make_restricted_user(connection, monitor)? } else { None };
                let loaded =
                    self.load_into_new(restricted.as_ref().unwrap_or(connection), &mut reader, monitor);
                loaded.map_err(|error| match &restricted {
                    Some(_) if error.code() == Code::Permission => error
                        .context("nothing proves whose the backup is, so it may change its own database alone")
                        .hint("look at what is refused; if it is right, restore it as a user of the site's own database"),
                    _ => error,
                })?
            }
            Some(why) => {
                self.way = ReplaceMethod::InPlace;
                let text = format!(
                    "{why}: the restore first makes a safety dump, and the site sees the tables while they are loaded"
                );
                monitor.note(NoteKind::Info, text);
                in_place::spool(self, &mut reader, monitor)?
            }
        };
        if let Some((from, to)) = reader.translation() {
            let text =
                format!("the backup's tables have the prefix \"{from}\": they get the site's, \"{to}\"");
            monitor.note(NoteKind::Info, text);
        }
        reader.tell(connection);
        let mut session = Session::open(connection, Some(&connection.name), monitor)?;
        if self.way == ReplaceMethod::NewDatabase {
            self.defaults = unmovable::defaults(&mut session, &self.new)?;
            self.tables = tables_in(&mut session, &self.new)?;
            let mark = self.mark();
            self.tables.retain(|table| *table != mark);
        }
        self.undo = loaded.undo;
        if let Some(prefix) = settings.prefix.as_deref().filter(|_| reader.prefix().is_none()) {
            self.warn_of_prefix(prefix, monitor);
        }
        let report = self.compare(&mut session, settings, loaded.origin, &loaded.excluded, loaded.report)?;
        self.check_foreign_keys(&mut session)?;
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

    fn load_into_new<R: Read>(
        &self,
        connection: &Connection,
        reader: &mut DumpReader<'_, R>,
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
    pub(crate) fn take_in<R: Read>(
        &self,
        reader: &mut DumpReader<'_, R>,
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
        Ok(Loaded { origin: reader.origin(), excluded: reader.excluded(), undo, report })
    }

    /// Dumps of others do not tell their prefix: says so where tables seem to have another than the site's.
    fn warn_of_prefix(&self, ours: &str, monitor: &Monitor) {
        let has = |name: &str| self.tables.iter().any(|table| table == name);
        // Tables that every Drupal has.
        let of_core =
            |prefix: &&str| ["users", "variable"].iter().all(|name| has(&format!("{prefix}{name}")));
        let theirs = self.tables.iter().filter_map(|table| table.strip_suffix("system"));
        if let Some(theirs) =
            theirs.filter(of_core).find(|theirs| *theirs != ours).filter(|_| !of_core(&ours))
        {
            let text = format!(
                "the backup's tables have the prefix \"{theirs}\", the site's settings say \"{ours}\": the site will not \
                 see what was restored until settings.php says the same"
            );
            monitor.note(NoteKind::Warning, text);
        }
    }

    /// Decides which live tables and views go. A dump of ours tells what it left out; of others that is not known,
    /// so nothing goes but what comes back.
    fn compare(
        &mut self,
        session: &mut Session<'_>,
        settings: &LoadSettings,
        origin: Origin,
        excluded: &[String],
        mut report: LoadReport,
    ) -> Result<LoadReport> {
        let live = tables_in(session, &session.database())?;
        let whole = origin == Origin::Bam && settings.tables.is_none();
        let new = self.tables.clone();
        let goes = |name: &String| whole && !excluded.contains(name) && !new.contains(name);
        report.tables = self.tables.len() as u64;
        if settings.tables.is_some() {
            report.names.clone_from(&self.tables);
        }
        for table in live {
            if self.tables.contains(&table) {
                self.moved.push(table);
            } else if goes(&table) {
                report.removed.push(table.clone());
                self.moved.push(table);
            } else if settings.tables.is_none() {
                report.kept.push(table);
            }
        }
        let hidden = schema::hidden_routines(session)?;
        for (object, name) in &hidden {
            if self.undo.contains(&format!("DROP {object} IF EXISTS {}", quote(name))) && !self.lenient {
                let text = format!("{object} {name} would be replaced, but its definition cannot be read");
                return Err(Error::new(Code::Permission, text)
                    .hint("restore as its definer or as the server's administrator, or with ignore_errors"));
            }
        }
        let mut touched = Vec::new();
        if whole {
            let mut script = Vec::new();
            for (object, names) in objects_in(session)? {
                // Dropped in Oracle's mode alone; those that come back replace themselves, others stay.
                if object.starts_with("PACKAGE") {
                    continue;
                }
                for name in names.iter().filter(|name| goes(name)) {
                    let drop = format!("DROP {object} IF EXISTS {}", quote(name));
                    if hidden.contains(&(object, name.clone())) {
                        report.kept.push(name.clone());
                    } else if !self.undo.contains(&drop) {
                        report.removed.push(name.clone());
                        writeln!(script, "{drop};")?;
                        touched.push(drop);
                    }
                }
            }
            let path = self.after();
            let mut file = OpenOptions::new().append(true).open(&path).at("cannot write", &path)?;
            // The script may have ended with another delimiter.
            file.write_all(b"DELIMITER ;\n").at("cannot write", &path)?;
            file.write_all(&script).at("cannot write", &path)?;
            file.sync_all().at("cannot write", &path)?;
        }
        let ours: BTreeSet<String> = self.undo.iter().map(|drop| identity(drop)).collect();
        for (object, names) in objects_in(session)? {
            for name in names {
                let drop = format!("DROP {object} IF EXISTS {}", quote(&name));
                // A view may have the name of a table that comes.
                if ours.contains(&identity(&drop)) || object == "VIEW" && self.tables.contains(&name) {
                    touched.push(drop);
                }
            }
        }
        for (trigger, table) in triggers_in(session)? {
            let drop = format!("DROP TRIGGER IF EXISTS {}", quote(&trigger));
            if self.moved.contains(&table) || ours.contains(&identity(&drop)) {
                touched.push(drop);
            }
        }
        self.touched = Some(touched);
        Ok(report)
    }

    /// Saves the live views, triggers, routines and events that the swap touches, as a dump of ours.
    fn save_others(&self, connection: &Connection) -> Result<()> {
        let path = self.before();
        let mut text = [FIRST_LINE, "\n", MARKER, "\n"].concat().into_bytes();
        if self.touched.as_ref().is_none_or(|touched| !touched.is_empty()) {
            // What cannot be saved, a broken view for one, is no news in this job's notes.
            let quiet = Monitor::new();
            let mut session = Session::open(connection, Some(&connection.name), &quiet)?;
            let mut schema = Schema::read(&mut session, &DumpSettings::default(), "")?;
            drop(session);
            text.extend(objects::others(connection, true, &mut schema, &quiet)?.text);
        }
        text.extend_from_slice(LAST_LINE.as_bytes());
        let mut file = BufWriter::new(self.create(&path)?);
        file.write_all(&text).at("cannot write", &path)?;
        finish_file(file, &path)
    }

    /// Makes those again that are missing.
    fn bring_back_others(&self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        let Some(touched) = &self.touched else {
            return self.run(connection, &connection.name, &self.before());
        };
        let mut session = self.my_turn(connection, Some(&connection.name), monitor)?;
        let mut there = BTreeSet::new();
        for (object, names) in objects_in(&mut session)? {
            there.extend(
                names.iter().map(|name| identity(&format!("DROP {object} IF EXISTS {}", quote(name)))),
            );
        }
        for (trigger, _) in triggers_in(&mut session)? {
            there.insert(identity(&format!("DROP TRIGGER IF EXISTS {}", quote(&trigger))));
        }
        drop(session);
        let touched: BTreeSet<String> = touched.iter().map(|drop| identity(drop)).collect();
        let missing: BTreeSet<&String> = touched.difference(&there).collect();
        if missing.is_empty() {
            return Ok(());
        }
        // A user who may not set definers becomes the definer.
        let mut done = Ok(());
        for definers in [Definers::Keep, Definers::Strip] {
            let path = self.bring_back();
            let mut script = self.script(&path)?;
            let file = File::open(self.before()).at("cannot read", &self.before())?;
            let quiet = Monitor::new();
            let mut reader = DumpReader::new(file, None, false, &quiet).with_definers(definers);
            while let Some(step) = reader.next()? {
                match step {
                    Step::Session(sql) => script.sql(&sql)?,
                    Step::Later { sql, undo: Some(drop) } if missing.contains(&identity(&drop)) => {
                        script.statement(drop.as_bytes())?;
                        script.sql(&sql)?;
                    }
                    // Around routines. The rest of these are DROPs, also of what is not missing.
                    Step::Later { sql, undo: None } if Statement::parse(&sql.text).kind == Kind::Charset => {
                        script.sql(&sql)?;
                    }
                    _ => {}
                }
            }
            finish_file(script.into_out(), &path)?;
            done = self.patiently(connection, monitor, || self.run(connection, &connection.name, &path));
            if done.as_ref().err().is_none_or(|error| error.code() != Code::Permission) {
                break;
            }
        }
        done
    }

    /// Ends what must not be left half done, whoever holds the tables: after a while those sessions are ended.
    pub(crate) fn patiently(
        &self,
        connection: &Connection,
        monitor: &Monitor,
        mut work: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        for _ in 1..TRIES {
            match work() {
                Err(error) if is_busy(&error) => {}
                done => return done,
            }
            let mut session = self.my_turn(connection, Some(&connection.name), monitor)?;
            let holders = session.column(&format!(
                "SELECT ID FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND DB = DATABASE() \
                 AND COMMAND NOT IN ('Daemon', 'Binlog Dump') AND TIME >= {IN_THE_WAY}"
            ))?;
            if !holders.is_empty() {
                let text = format!(
                    "ended sessions of the database server that held tables of the site for more than {SWAP_WAIT} \
                     seconds: {}",
                    holders.join(", ")
                );
                monitor.note(NoteKind::Warning, text);
                client::kill(connection, &holders, client::Kill::Soft)?;
            }
        }
        work()
    }

    /// See [`crate::source::database::Replacement::swap`].
    pub(crate) fn swap(&self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        match self.way {
            ReplaceMethod::Undecided => {
                return Err(Error::new(Code::Internal, "nothing was loaded that could be swapped"));
            }
            ReplaceMethod::InPlace => in_place::swap(self, connection, monitor)?,
            ReplaceMethod::NewDatabase => {
                let mut session = self.my_turn(connection, Some(&connection.name), monitor)?;
                if !self.swapped(&mut session)? {
                    if triggers_in(&mut session)?.iter().any(|(_, table)| self.moved.contains(table)) {
                        self.wait_for_tables(connection, monitor)?;
                    }
                    self.drop_triggers(&mut session, &self.moved)?;
                    let views = objects_in(&mut session)?;
                    let views = views.into_iter().filter(|(object, _)| *object == "VIEW");
                    for view in views.flat_map(|(_, names)| names).filter(|name| self.tables.contains(name)) {
                        session.run(&format!("DROP VIEW {}", quote(&view)))?;
                    }
                    self.trade(
                        &mut session,
                        [(&self.moved, None, Some(&self.old)), (&self.tables, Some(&self.new), None)],
                    )?;
                }
                for statement in &self.defaults {
                    session.run(statement)?;
                }
            }
        }
        // The new data is live: from here on the way forward is the short one.
        [self.after(), self.events()].iter().filter(|path| path.exists()).try_for_each(|path| {
            self.patiently(connection, monitor, || self.run(connection, &connection.name, path))
        })
    }

    /// What takes one table after the other begins with this: if somebody holds one of them, it gives up here, when
    /// nothing is changed.
    pub(crate) fn wait_for_tables(&self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        let tables: Vec<String> = self.moved.iter().map(|table| format!("{} WRITE", quote(table))).collect();
        if tables.is_empty() {
            return Ok(());
        }
        // An error ends a session, and not every table can be locked.
        let mut waiting = Session::open(connection, Some(&connection.name), monitor)?;
        let locked = waiting.run(&format!(
            "SET SESSION lock_wait_timeout={SWAP_WAIT}; LOCK TABLES {}; UNLOCK TABLES",
            tables.join(", ")
        ));
        match locked {
            Err(error) if is_busy(&error) || error.code() == Code::Cancelled => Err(error),
            _ => Ok(()),
        }
    }

    /// See [`crate::source::database::Replacement::revert`].
    pub(crate) fn revert(&self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        match self.way {
            ReplaceMethod::Undecided => return Ok(()),
            ReplaceMethod::InPlace => return in_place::revert(self, connection, monitor),
            ReplaceMethod::NewDatabase => {}
        }
        if !self.before().exists() {
            // The load did not get to its end; nothing live has changed.
            return Ok(());
        }
        self.patiently(connection, monitor, || {
            let mut session = self.my_turn(connection, Some(&connection.name), monitor)?;
            if self.swapped(&mut session)? {
                for drop in &self.undo {
                    session.run(drop)?;
                }
                self.drop_triggers(&mut session, &self.tables)?;
                self.trade(
                    &mut session,
                    [(&self.tables, None, Some(&self.new)), (&self.moved, Some(&self.old), None)],
                )?;
            }
            Ok(())
        })?;
        self.bring_back_others(connection, monitor)
    }

    /// See [`crate::source::database::Replacement::clean`].
    pub(crate) fn clean(&self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        if self.way == ReplaceMethod::InPlace {
            self.guard().end_leftovers(connection, monitor)?;
        } else {
            let mut session = self.my_turn(connection, None, monitor)?;
            for database in [&self.new, &self.old] {
                let there = session.column(&format!(
                    "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {}",
                    string(database)
                ))?;
                let tables = tables_in(&mut session, database)?;
                // Killed before it got its mark, it is empty.
                if !there.is_empty() && (tables.is_empty() || tables.contains(&self.mark())) {
                    foreign_keys::drop_database(&mut session, database, connection, monitor)?;
                }
            }
        }
        self.forget_trials(connection, monitor)?;
        if self.way != ReplaceMethod::InPlace {
            self.dismiss(connection, monitor)?;
        }
        for path in [self.after(), self.events(), self.before(), self.bring_back(), self.clients()] {
            remove(&path)?;
        }
        // Of a version that kept two scripts.
        remove(&self.file("before-without-definers.sql"))?;
        in_place::clean(self)
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
    pub(crate) fn run(&self, connection: &Connection, database: &str, path: &Path) -> Result<()> {
        let script = File::open(path).at("cannot read", path)?;
        let lock = self.guard().lock_option(0);
        let options: &[&str] = if self.lenient { &[client::FORCE, &lock] } else { &[&lock] };
        client::run_file(connection, Some(database), script, options, Some(self.guard().inherit()?))
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

    /// Whether the new tables are live.
    fn swapped(&self, session: &mut Session<'_>) -> Result<bool> {
        if self.tables.is_empty() {
            let live = tables_in(session, &session.database())?;
            return Ok(!self.moved.iter().any(|table| live.contains(table)));
        }
        let waiting = tables_in(session, &self.new)?;
        Ok(!self.tables.iter().any(|table| waiting.contains(table)))
    }

    /// One RENAME of lists of tables; `None` is the live database.
    fn trade(
        &self,
        session: &mut Session<'_>,
        moves: [(&Vec<String>, Option<&String>, Option<&String>); 2],
    ) -> Result<()> {
        let live = session.database();
        let place = |database: Option<&String>| quote(database.unwrap_or(&live));
        let mut renames = Vec::new();
        for (tables, from, to) in moves {
            for table in tables {
                let table = quote(table);
                renames.push(format!("{}.{table} TO {}.{table}", place(from), place(to)));
            }
        }
        match renames.is_empty() {
            true => Ok(()),
            false => session.run_whole(&format!("RENAME TABLE {}", renames.join(", "))),
        }
    }

    /// Tables with triggers cannot move to another database.
    pub(crate) fn drop_triggers(&self, session: &mut Session<'_>, tables: &[String]) -> Result<()> {
        for (trigger, table) in triggers_in(session)? {
            if tables.contains(&table) {
                session.run(&format!("DROP TRIGGER IF EXISTS {}", quote(&trigger)))?;
            }
        }
        Ok(())
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
