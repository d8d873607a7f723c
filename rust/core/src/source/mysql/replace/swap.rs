//! The moment in which the new tables take the place of the old ones, and the way back.

use super::super::connect::client;
use super::super::connect::session::{Session, quote, string};
use super::{
    IN_THE_WAY, MysqlReplacement, ReplaceMethod, SWAP_WAIT, TRIES, foreign_keys, in_place, is_busy,
    objects_in, remove, tables_in, triggers_in,
};
use crate::config::Connection;
use crate::look;
use crate::source::short_tries;
use crate::{Code, Error, Monitor, NoteKind, Result};

impl MysqlReplacement {
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
                match self.clear_the_way(connection, monitor)? {
                    false => short_tries::run(short_tries::LAST, is_busy, monitor, |wait| {
                        self.trade_places(wait, connection, monitor)
                    })?,
                    // The site lacks them already: it is better off waiting than going on so.
                    true => self.trade_places(short_tries::LAST, connection, monitor)?,
                }
                if !self.defaults.is_empty() {
                    let mut session = self.my_turn(connection, Some(&connection.name), monitor)?;
                    self.defaults.iter().try_for_each(|statement| session.run(statement))?;
                }
            }
        }
        // The new data is live: from here on the way forward is the short one.
        for path in [self.after(), self.events()] {
            if look::exists(&path)? {
                self.patiently(connection, monitor, || {
                    self.run(connection, &connection.name, &path, monitor)
                })?;
            }
        }
        Ok(())
    }

    /// Drops the triggers of the tables that go, which cannot move to another database with them, and views with the
    /// names of new tables; says whether there were any. They go one by one: first all tables are locked, so that who
    /// holds one of them makes it give up while nothing is changed.
    fn clear_the_way(&self, connection: &Connection, monitor: &Monitor) -> Result<bool> {
        short_tries::run(short_tries::LAST, is_busy, monitor, |wait| {
            let mut session = self.my_turn(connection, Some(&connection.name), monitor)?;
            if self.swapped(&mut session)? {
                return Ok(false);
            }
            let triggers: Vec<String> = triggers_in(&mut session)?
                .into_iter()
                .filter(|(_, table)| self.moved.contains(table))
                .map(|(trigger, _)| format!("DROP TRIGGER IF EXISTS {}", quote(&trigger)))
                .collect();
            let objects = objects_in(&mut session)?.into_iter().filter(|(object, _)| *object == "VIEW");
            let views: Vec<String> = objects
                .flat_map(|(_, names)| names)
                .filter(|name| self.tables.contains(name))
                .map(|name| format!("DROP VIEW IF EXISTS {}", quote(&name)))
                .collect();
            session.run(&format!("SET SESSION lock_wait_timeout={wait}"))?;
            if !triggers.is_empty() {
                match session.run(&self.lock_statement()) {
                    Err(error) if is_busy(&error) || error.code() == Code::Cancelled => return Err(error),
                    Err(_) => {
                        // An error ends a session, and not every table can be locked.
                        session = self.my_turn(connection, Some(&connection.name), monitor)?;
                    }
                    Ok(()) => {}
                }
                triggers.iter().try_for_each(|drop| session.run(drop))?;
                session.run("UNLOCK TABLES")?;
            }
            views.iter().try_for_each(|drop| session.run(drop))?;
            Ok(!triggers.is_empty() || !views.is_empty())
        })
    }

    /// The tables trade places, if they have not done so yet; for each of them others are waited for that many seconds.
    fn trade_places(&self, wait: u32, connection: &Connection, monitor: &Monitor) -> Result<()> {
        let mut session = self.my_turn(connection, Some(&connection.name), monitor)?;
        if self.swapped(&mut session)? {
            return Ok(());
        }
        session.run(&format!("SET SESSION lock_wait_timeout={wait}"))?;
        self.trade(
            &mut session,
            [(&self.moved, None, Some(&self.old)), (&self.tables, Some(&self.new), None)],
        )
    }

    /// What locks all live tables that go; there must be some.
    fn lock_statement(&self) -> String {
        let tables: Vec<String> = self.moved.iter().map(|table| format!("{} WRITE", quote(table))).collect();
        format!("LOCK TABLES {}", tables.join(", "))
    }

    /// What takes one table after the other begins with this: if somebody holds one of them, it gives up here, when
    /// nothing is changed.
    pub(crate) fn wait_for_tables(&self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        if self.moved.is_empty() {
            return Ok(());
        }
        short_tries::run(short_tries::LAST, is_busy, monitor, |wait| {
            // An error ends a session, and not every table can be locked.
            let mut waiting = Session::open(connection, Some(&connection.name), monitor)?;
            let locked = waiting.run(&format!(
                "SET SESSION lock_wait_timeout={wait}; {}; UNLOCK TABLES",
                self.lock_statement()
            ));
            match locked {
                Err(error) if is_busy(&error) || error.code() == Code::Cancelled => Err(error),
                _ => Ok(()),
            }
        })
    }

    /// See [`crate::source::database::Replacement::revert`].
    pub(crate) fn revert(&self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        match self.way {
            ReplaceMethod::Undecided => return Ok(()),
            ReplaceMethod::InPlace => return in_place::revert(self, connection, monitor),
            ReplaceMethod::NewDatabase => {}
        }
        if !look::exists(&self.before())? {
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
    /// Whether the new tables are live.
    pub(super) fn swapped(&self, session: &mut Session<'_>) -> Result<bool> {
        if self.tables.is_empty() {
            let live = tables_in(session, &session.database())?;
            return Ok(!self.moved.iter().any(|table| live.contains(table)));
        }
        let waiting = tables_in(session, &self.new)?;
        Ok(!self.tables.iter().any(|table| waiting.contains(table)))
    }

    /// One RENAME of lists of tables; `None` is the live database.
    pub(super) fn trade(
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
}
