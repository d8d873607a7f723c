//! The trade of places: tried out, done, taken back, and what is left of it cleaned away.

use super::depend::{self, Goes};
use super::{PgsqlReplacement, in_place};
use crate::config::Connection;
use crate::source::pgsql::connect::client::QUIET;
use crate::source::pgsql::connect::database::has_schema;
use crate::source::pgsql::connect::session::{my_turn, quote, rows, transaction};
use crate::source::pgsql::large;
use crate::source::short_tries;
use crate::{Code, Error, Monitor, Result};

/// Seconds to wait for whoever still reads the old data, when the new is live already.
const CLEAN_WAIT: u32 = 10;
/// The same in the last try to take back.
const REVERT_WAIT: u32 = 30;

impl PgsqlReplacement {
    /// See [`crate::source::database::Replacement::check`]. The server can take back everything but large objects: the
    /// swap and its way back are run in a transaction that comes to nothing.
    pub(crate) fn check(&mut self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        if self.live.is_empty() || has_schema(connection, &self.old, monitor)? {
            return Ok(());
        }
        let goes = match &self.tables {
            Some(tables) => Goes::Only(tables),
            None => Goes::AllBut(&self.kept),
        };
        depend::refuse(connection, &self.live, goes, monitor)?;
        let mut all = self.there_statements();
        all.extend(self.back_statements());
        short_tries::run(short_tries::LAST, is_busy, monitor, |wait| {
            let sql =
                format!("{}BEGIN;\n{};\n{};\nROLLBACK", my_turn(&self.new), at_most(wait), all.join(";\n"));
            rows(connection, &sql, monitor).map(drop)
        })
        .map_err(|error| match is_busy(&error) {
            true => in_use(error),
            false => error.context("the new data cannot be put in place"),
        })
    }

    /// See [`crate::source::database::Replacement::swap`].
    pub(crate) fn swap(&self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        if self.live.is_empty() {
            return Err(Error::new(Code::Internal, "nothing was loaded that could be swapped"));
        }
        self.wait(connection, monitor)?;
        if has_schema(connection, &self.old, monitor)? {
            return Ok(());
        }
        let mut all = self.there_statements();
        all.extend(self.large_objects.then(|| large::swap(&self.map())));
        self.trade(&all, short_tries::LAST, connection, monitor)
    }

    /// What makes the new data live.
    fn there_statements(&self) -> Vec<String> {
        let (live, new, old) = (quote(&self.live), quote(&self.new), quote(&self.old));
        let mut all = Vec::new();
        if let Some(tables) = &self.tables {
            all.push(format!("CREATE SCHEMA {old}"));
            all.extend(
                tables
                    .iter()
                    .map(|it| format!("ALTER TABLE IF EXISTS {live}.{} SET SCHEMA {old}", quote(it))),
            );
            all.extend(tables.iter().map(|it| format!("ALTER TABLE {new}.{} SET SCHEMA {live}", quote(it))));
        } else if self.in_place {
            all.push(format!("CREATE SCHEMA {old}"));
            all.push(in_place::move_all(&self.live, &self.old, &self.kept));
            all.push(in_place::move_all(&self.new, &self.live, &[]));
        } else {
            all.push(match self.there {
                true => format!("ALTER SCHEMA {live} RENAME TO {old}"),
                // By this it is known that they have traded places.
                false => format!("CREATE SCHEMA {old}"),
            });
            all.push(format!("ALTER SCHEMA {new} RENAME TO {live}"));
            all.extend(self.carried(&self.live));
        }
        all
    }

    /// See [`crate::source::database::Replacement::revert`].
    pub(crate) fn revert(&self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        self.wait(connection, monitor)?;
        if self.live.is_empty() || !has_schema(connection, &self.old, monitor)? {
            return Ok(());
        }
        let mut all = self.back_statements();
        all.extend(self.large_objects.then(|| large::revert(&self.map())));
        self.trade(&all, REVERT_WAIT, connection, monitor)
    }

    /// Runs one of the two, all or nothing, once every lock that it takes is to be had.
    fn trade(
        &self,
        statements: &[String],
        last: u32,
        connection: &Connection,
        monitor: &Monitor,
    ) -> Result<()> {
        let done = short_tries::run(last, is_busy, monitor, |wait| {
            let all = [&[at_most(wait)], statements].concat();
            transaction(connection, &self.new, &all, monitor)
        });
        done.map_err(|error| if is_busy(&error) { in_use(error) } else { error })
    }

    /// What makes the old data live again.
    fn back_statements(&self) -> Vec<String> {
        let (live, new, old) = (quote(&self.live), quote(&self.new), quote(&self.old));
        let mut all = Vec::new();
        if let Some(tables) = &self.tables {
            all.extend(tables.iter().map(|it| format!("ALTER TABLE {live}.{} SET SCHEMA {new}", quote(it))));
            all.extend(
                tables
                    .iter()
                    .map(|it| format!("ALTER TABLE IF EXISTS {old}.{} SET SCHEMA {live}", quote(it))),
            );
            all.push(format!("DROP SCHEMA {old}"));
        } else if self.in_place {
            all.push(in_place::move_all(&self.live, &self.new, &self.kept));
            all.push(in_place::move_all(&self.old, &self.live, &[]));
            all.push(format!("DROP SCHEMA {old}"));
        } else {
            all.extend(self.carried(&self.old));
            all.push(format!("ALTER SCHEMA {live} RENAME TO {new}"));
            all.push(match self.there {
                true => format!("ALTER SCHEMA {old} RENAME TO {live}"),
                false => format!("DROP SCHEMA {old}"),
            });
        }
        all
    }

    /// See [`crate::source::database::Replacement::clean`].
    pub(crate) fn clean(&self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        // Whatever the journal says: the load may have been killed at its very end.
        if has_schema(connection, &self.map(), monitor)? {
            large::clean(connection, &self.map(), &self.new, monitor)?;
        }
        // One after the other: each object takes a lock, of which a server has not that many.
        [&self.new, &self.old].into_iter().try_for_each(|schema| {
            let drop = format!("DROP SCHEMA IF EXISTS {} CASCADE", quote(schema));
            let done =
                transaction(connection, &self.new, &[QUIET.into(), at_most(CLEAN_WAIT), drop], monitor);
            done.map_err(|error| match is_busy(&error) {
                true => Error::new(
                    error.code(),
                    format!("the schema {schema}, which is not needed any more, is still in use"),
                )
                .because(error)
                .hint(format!("it goes with a later run, or by: DROP SCHEMA {} CASCADE", quote(schema))),
                false => error,
            })
        })
    }

    /// What stays goes from the schema that the other rename made the old (or the new) one to the live (or old) one.
    fn carried(&self, to: &str) -> Vec<String> {
        let from = quote(if to == self.live { &self.old } else { &self.live });
        let to = quote(to);
        let extensions =
            self.extensions.iter().map(|it| format!("ALTER EXTENSION {} SET SCHEMA {to}", quote(it)));
        let tables = self.kept.iter().map(|it| format!("ALTER TABLE {from}.{} SET SCHEMA {to}", quote(it)));
        extensions.chain(tables).collect()
    }

    /// Until what a killed run of this replacement has under way is done.
    fn wait(&self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        rows(connection, my_turn(&self.new).trim_end().trim_end_matches(';'), monitor).map(drop)
    }
}

/// How long the transaction waits for each lock.
fn at_most(seconds: u32) -> String {
    format!("SET LOCAL lock_timeout = '{seconds}s'")
}

/// Whether somebody else held what was asked for, for too long (`lock_not_available`, `deadlock_detected`).
fn is_busy(error: &Error) -> bool {
    ["55P03", "40P01"].iter().any(|state| error.message().contains(state))
}

fn in_use(error: Error) -> Error {
    error.context("a table that is to be replaced is in use")
}
