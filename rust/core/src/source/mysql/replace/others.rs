//! What stands beside the tables that are replaced: objects that the backup does not have, saved and brought back.

use super::super::connect::rights::Definers;
use super::super::connect::session::{Session, quote};
use super::super::dump::{FIRST_LINE, LAST_LINE, MARKER, objects};
use super::super::load::dump_reader::{DumpReader, Origin, Step};
use super::super::schema::{self, Schema};
use super::{MysqlReplacement, finish_file, identity, objects_in, tables_in, triggers_in};
use crate::config::Connection;
use crate::source::dump_types::{DumpSettings, LoadReport, LoadSettings};
use crate::source::sql::{Kind, Statement};
use crate::{Code, Error, Monitor, NoteKind, Result, ResultExt};
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};

impl MysqlReplacement {
    /// Dumps of others do not tell their prefix: says so where tables seem to have another than the site's.
    pub(super) fn warn_of_prefix(&self, ours: &str, monitor: &Monitor) {
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
    pub(super) fn compare(
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
        let mut touched =
            if whole { self.drop_others(session, &hidden, &goes, &mut report)? } else { Vec::new() };
        touched.extend(self.replaced_others(session)?);
        self.touched = Some(touched);
        Ok(report)
    }

    /// Adds to the script after the swap what drops the live objects that go; gives the statements.
    fn drop_others(
        &self,
        session: &mut Session<'_>,
        hidden: &[(&'static str, String)],
        goes: &dyn Fn(&String) -> bool,
        report: &mut LoadReport,
    ) -> Result<Vec<String>> {
        let (mut touched, mut script) = (Vec::new(), Vec::new());
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
        Ok(touched)
    }

    /// The live objects in whose place others come, and the triggers of tables that move.
    fn replaced_others(&self, session: &mut Session<'_>) -> Result<Vec<String>> {
        let mut touched = Vec::new();
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
        Ok(touched)
    }

    /// Saves the live views, triggers, routines and events that the swap touches, as a dump of ours.
    pub(super) fn save_others(&self, connection: &Connection) -> Result<()> {
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
    pub(super) fn bring_back_others(&self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        let Some(touched) = &self.touched else {
            return self.run(connection, &connection.name, &self.before(), monitor);
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
            let mut file = File::open(self.before()).at("cannot read", &self.before())?;
            let quiet = Monitor::new();
            let mut reader = DumpReader::new(&mut file, None, false, &quiet).with_definers(definers);
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
            done = self
                .patiently(connection, monitor, || self.run(connection, &connection.name, &path, monitor));
            if done.as_ref().err().is_none_or(|error| error.code() != Code::Permission) {
                break;
            }
        }
        done
    }
}
