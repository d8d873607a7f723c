//! Trying out, before anything live changes, what the swap does and what taking it back would take.
//!
//! - Rights on the live database: by making one object of each kind there, and removing it again.
//! - Views, triggers and routines: by running the script that makes them in the new database, on the new tables. Tables
//!   that stay have empty stand-ins there.
//! - Events: likewise in the old database, which is empty, so that none of them finds anything to change.

use super::{MysqlReplacement, ReplaceMethod, SWAP_WAIT, objects_in, tables_in};
use crate::config::Connection;
use crate::source::mysql::connect::client;
use crate::source::mysql::connect::session::{Session, quote, string};
use crate::{Code, Error, Monitor, Result};
use std::collections::BTreeSet;
use std::io::{Seek, Write};

/// The server's numbers for what is not there: a table, a function, what a view refers to, a column.
const MISSING: [&str; 4] = ["ERROR 1146 ", "ERROR 1305 ", "ERROR 1356 ", "ERROR 1054 "];

/// A kind of object: a statement that makes one, what removes it, and the privileges for both. `{}` is its name.
struct Kind {
    name: &'static str,
    make: &'static str,
    drop: &'static str,
    privileges: &'static str,
}

const KINDS: [Kind; 4] = [
    Kind {
        name: "VIEW",
        make: "CREATE VIEW {} AS SELECT 1 AS a",
        drop: "DROP VIEW {}",
        privileges: "CREATE VIEW, SHOW VIEW, DROP",
    },
    Kind {
        name: "FUNCTION",
        make: "CREATE FUNCTION {}() RETURNS int DETERMINISTIC NO SQL RETURN 1",
        drop: "DROP FUNCTION {}",
        privileges: "CREATE ROUTINE, ALTER ROUTINE, EXECUTE",
    },
    Kind {
        name: "PROCEDURE",
        make: "CREATE PROCEDURE {}() SELECT 1",
        drop: "DROP PROCEDURE {}",
        privileges: "CREATE ROUTINE, ALTER ROUTINE, EXECUTE",
    },
    Kind {
        name: "EVENT",
        make: "CREATE EVENT {} ON SCHEDULE EVERY 1 YEAR STARTS '2037-01-01 00:00:00' DISABLE DO SELECT 1",
        drop: "DROP EVENT {}",
        privileges: "EVENT",
    },
];

impl MysqlReplacement {
    /// See [`crate::source::database::Replacement::check`].
    pub(crate) fn check(&mut self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        if self.way == ReplaceMethod::Undecided {
            return Ok(());
        }
        let mut session = self.my_turn(connection, Some(&connection.name), monitor)?;
        self.check_foreign_keys(&mut session)?;
        match self.lenient {
            true => drop(session),
            false => self.try_rights(session, connection, monitor)?,
        }
        match self.way {
            ReplaceMethod::NewDatabase if !self.undo.is_empty() => self.preflight(connection, monitor),
            _ => Ok(()),
        }
    }

    /// What our trials are called.
    fn trial(&self) -> String {
        format!("bam_try_{}", self.id)
    }

    /// Makes and removes one of each kind that comes or goes.
    fn try_rights(&self, mut session: Session<'_>, connection: &Connection, monitor: &Monitor) -> Result<()> {
        let touched = self.touched.iter().flatten();
        let kinds: BTreeSet<&str> =
            self.undo.iter().chain(touched).filter_map(|drop| drop.split(' ').nth(1)).collect();
        let account = session.column("SELECT CURRENT_USER()")?.pop().unwrap_or_default();
        let account = match account.rsplit_once('@') {
            Some((user, host)) => format!("{}@{}", string(user), string(host)),
            None => account,
        };
        let (name, live) = (quote(&self.trial()), quote(&connection.name));
        let refused = |what: &str, privileges: &str, error: Error| {
            // Why the server's settings forbid it is said with the error already.
            let by_setting = error.code() != Code::Permission || error.message().contains("1419");
            let error = error.context(format!("the restore needs a {what}, and cannot make one"));
            match by_setting {
                true => error,
                false => error.hint(format!("GRANT {privileges} ON {live}.* TO {account}")),
            }
        };
        let table = "CREATE, ALTER, DROP, INSERT";
        self.forget_trials(connection, monitor)?;
        session
            .run(&format!("CREATE TABLE {name} (id int PRIMARY KEY)"))
            .map_err(|error| refused("TABLE", table, error))?;
        if self.way == ReplaceMethod::NewDatabase {
            let old = quote(&self.old);
            session
                .run(&format!(
                    "RENAME TABLE {name} TO {old}.{name}; RENAME TABLE {old}.{name} TO {live}.{name}"
                ))
                .map_err(|error| refused("TABLE", table, error))?;
        }
        if kinds.contains("TRIGGER") {
            session
                .run(&format!(
                    "CREATE TRIGGER {name} BEFORE INSERT ON {name} FOR EACH ROW SET NEW.id = 1; DROP TRIGGER {name}"
                ))
                .map_err(|error| refused("TRIGGER", "TRIGGER", error))?;
        }
        session.run(&format!("DROP TABLE {name}"))?;
        for kind in KINDS
            .iter()
            .filter(|kind| kinds.contains(kind.name) || kind.name == "PROCEDURE" && kinds.contains("PACKAGE"))
        {
            let trial = [kind.make, kind.drop].join("; ").replace("{}", &name);
            session.run(&trial).map_err(|error| refused(kind.name, kind.privileges, error))?;
        }
        Ok(())
    }

    /// Removes what [`Self::try_rights`] of a killed run left behind, or an error in it.
    pub(crate) fn forget_trials(&self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        let mut session = Session::open(connection, None, monitor)?;
        let (live, name) = (string(&connection.name), string(&self.trial()));
        let left = session.column(&format!(
            "SELECT IF(TABLE_TYPE = 'VIEW', 'VIEW', 'TABLE') FROM information_schema.TABLES \
             WHERE TABLE_SCHEMA = {live} AND TABLE_NAME = {name} \
             UNION ALL SELECT ROUTINE_TYPE FROM information_schema.ROUTINES \
             WHERE ROUTINE_SCHEMA = {live} AND ROUTINE_NAME = {name} \
             UNION ALL SELECT 'EVENT' FROM information_schema.EVENTS WHERE EVENT_SCHEMA = {live} AND EVENT_NAME = {name}"
        ))?;
        for object in left {
            let name = format!("{}.{}", quote(&connection.name), quote(&self.trial()));
            session.run(&format!("DROP {object} IF EXISTS {name}"))?;
        }
        Ok(())
    }

    /// Runs both scripts beside the live database, and removes what they made: tables with triggers cannot move.
    fn preflight(&self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        let stand_ins = self.make_stand_ins(connection, monitor)?;
        let made = self
            .run(connection, &self.new, &self.after(), monitor)
            .and_then(|()| self.run(connection, &self.old, &self.events(), monitor));
        let made = match made {
            // What they refer to may be a view or a function that stays.
            Err(error)
                if MISSING.iter().any(|number| error.message().contains(number))
                    && self.others_stay(connection, monitor)? =>
            {
                Ok(())
            }
            made => made,
        };
        // A failure is followed by throwing both databases away.
        made.map_err(|error| error.context("what the backup holds besides tables cannot be made"))?;
        let mut session = self.my_turn(connection, Some(&self.new), monitor)?;
        for drop in &self.undo {
            let elsewhere = if drop.starts_with("DROP EVENT ") { &self.old } else { &self.new };
            session.run(&format!("USE {}; {drop}", quote(elsewhere)))?;
        }
        session.run(&format!("USE {}", quote(&self.new)))?;
        for table in stand_ins {
            session.run(&format!("DROP TABLE IF EXISTS {}", quote(&table)))?;
        }
        Ok(())
    }

    /// Gives the new database the tables that stay, without rows.
    fn make_stand_ins(&self, connection: &Connection, monitor: &Monitor) -> Result<Vec<String>> {
        let mut session = self.my_turn(connection, Some(&connection.name), monitor)?;
        let live = tables_in(&mut session, &connection.name)?;
        drop(session);
        let stay: Vec<String> = live
            .into_iter()
            .filter(|table| !self.moved.contains(table) && !self.tables.contains(table))
            .collect();
        if stay.is_empty() {
            return Ok(stay);
        }
        let mut script = crate::child::memory_file()?;
        writeln!(script, "SET SESSION sql_mode='', foreign_key_checks=0, lock_wait_timeout={SWAP_WAIT};")?;
        for table in &stay {
            let name = quote(table);
            writeln!(script, "CREATE TABLE IF NOT EXISTS {name} LIKE {}.{name};", quote(&connection.name))?;
        }
        script.rewind()?;
        // Not everything can be made like another; what then fails is not held against the backup.
        match client::run_file(
            connection,
            Some(&self.new),
            script,
            &[client::FORCE],
            Some(self.guard().inherit()?),
            monitor,
        ) {
            Err(error) if error.code() == Code::Cancelled => Err(error),
            _ => Ok(stay),
        }
    }

    /// Whether there are tables, views or routines in the live database that the swap leaves alone.
    fn others_stay(&self, connection: &Connection, monitor: &Monitor) -> Result<bool> {
        let mut session = Session::open(connection, Some(&connection.name), monitor)?;
        let touched: BTreeSet<&String> = self.touched.iter().flatten().collect();
        let live = objects_in(&mut session)?;
        let stays = |object: &str, name: &String| {
            object != "EVENT" && !touched.contains(&format!("DROP {object} IF EXISTS {}", quote(name)))
        };
        Ok(live.iter().any(|(object, names)| names.iter().any(|name| stays(object, name)))
            || tables_in(&mut session, &connection.name)?.iter().any(|table| !self.moved.contains(table)))
    }
}
