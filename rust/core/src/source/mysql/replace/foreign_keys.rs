//! Foreign keys between what stays and what goes. They follow a table that is renamed: nothing may point to the old data when
//! it is thrown away, and what is new must not go on pointing to where it was loaded.

use super::{MysqlReplacement, ReplaceMethod};
use crate::config::Connection;
use crate::source::mysql::connect::session::{Session, quote, string, text};
use crate::source::mysql::schema::columns;
use crate::{Code, Error, Monitor, Result};

/// The servers' numbers for a table that others refer to: MariaDB's (`ER_ROW_IS_REFERENCED_2`) and MySQL's
/// (`ER_FK_CANNOT_DROP_PARENT`).
const REFERENCED: [&str; 2] = ["ERROR 1451 ", "ERROR 3730 "];

fn is_referenced(error: &Error) -> bool {
    REFERENCED.iter().any(|number| error.message().contains(number))
}

impl MysqlReplacement {
    /// Refuses what would leave a foreign key behind, of this database or of another one.
    pub(crate) fn check_foreign_keys(&self, session: &mut Session<'_>) -> Result<()> {
        let rows = session.rows(
            "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, REFERENCED_TABLE_NAME \
             FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE UNIQUE_CONSTRAINT_SCHEMA = DATABASE() \
             ORDER BY 1, 2, 3",
        )?;
        let live = session.database();
        for row in rows {
            let [database, table, key, referenced] = columns(row)?;
            let here = database == live;
            if !self.moved.contains(&referenced) || here && self.moved.contains(&table) {
                continue;
            }
            if here {
                let text = format!(
                    "table {table}, which stays, has a foreign key to {referenced}, which is replaced"
                );
                return Err(Error::new(Code::Unsupported, text)
                    .hint("restore the two together, or drop the foreign key"));
            }
            // A table that is dropped and made again under its name keeps those of other databases.
            if self.way == ReplaceMethod::NewDatabase {
                let place = format!("{}.{}", quote(&database), quote(&table));
                let add = definition(session, &place, &key, &live)?;
                let text = format!(
                    "table {database}.{table}, of another database, has a foreign key, {key}, to {referenced}, which is \
                     replaced: it would point to the old data"
                );
                return Err(Error::new(Code::Unsupported, text).hint(format!(
                    "drop it, restore, and add it again: ALTER TABLE {place} DROP FOREIGN KEY {}; bam restore …; \
                     ALTER TABLE {place} ADD {add}",
                    quote(&key)
                )));
            }
        }
        Ok(())
    }

    /// Once the new tables are there: refuses what would leave a foreign key behind, and lets theirs refer to what stays.
    pub(crate) fn settle_foreign_keys(&self, session: &mut Session<'_>) -> Result<()> {
        self.check_foreign_keys(session)?;
        match self.way {
            ReplaceMethod::NewDatabase => self.point_to_what_stays(session),
            _ => Ok(()),
        }
    }

    /// Lets foreign keys of the new tables refer to the live ones that stay. In the database beside it they refer to tables
    /// that are not there, and would go on doing so.
    fn point_to_what_stays(&self, session: &mut Session<'_>) -> Result<()> {
        let rows = session.rows(&format!(
            "SELECT TABLE_NAME, CONSTRAINT_NAME, REFERENCED_TABLE_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS \
             WHERE CONSTRAINT_SCHEMA = {new} AND UNIQUE_CONSTRAINT_SCHEMA = {new} ORDER BY 1, 2",
            new = string(&self.new)
        ))?;
        let live = session.database();
        for row in rows {
            let [table, key, referenced] = columns(row)?;
            if self.tables.contains(&referenced) || self.moved.contains(&referenced) {
                continue;
            }
            let place = format!("{}.{}", quote(&self.new), quote(&table));
            let add = definition(session, &place, &key, &live)?;
            session
                .run(&format!(
                    "SET foreign_key_checks=0; ALTER TABLE {place} DROP FOREIGN KEY {}; ALTER TABLE {place} ADD {add}",
                    quote(&key)
                ))
                .map_err(|error| {
                    error
                        .context(format_args!("table {table}, foreign key {key} to {referenced}, which stays"))
                        .hint("restore the two together")
                })?;
        }
        Ok(())
    }
}

/// A foreign key as SQL writes it, with the database of the table that it refers to.
fn definition(session: &mut Session<'_>, place: &str, key: &str, live: &str) -> Result<String> {
    let shown = session.rows(&format!("SHOW CREATE TABLE {place}"))?;
    let shown = shown.into_iter().next().and_then(|row| row.into_iter().nth(1)).map(text).unwrap_or_default();
    let begin = format!("CONSTRAINT {} ", quote(key));
    let line = shown.lines().map(str::trim).find(|line| line.starts_with(&begin)).unwrap_or(&begin);
    let line = line.trim_end_matches(',');
    let database = format!(" REFERENCES {}.", quote(live));
    Ok(match line.contains(&database) {
        true => line.to_owned(),
        false => line.replacen(" REFERENCES ", &database, 1),
    })
}

/// Drops one of the databases beside the live one. Keys from outside that nobody showed us keep it: for want of a right
/// to see them no other database may lose the table that it refers to.
pub(crate) fn drop_database(
    session: &mut Session<'_>,
    database: &str,
    connection: &Connection,
    monitor: &Monitor,
) -> Result<()> {
    let drop = format!("SET foreign_key_checks=1; DROP DATABASE IF EXISTS {}", quote(database));
    match session.run(&drop) {
        Err(error) if is_referenced(&error) => {}
        done => return done,
    }
    // Its own tables may refer to each other in a ring.
    let mut session = Session::open(connection, None, monitor)?;
    for row in session.rows(&format!(
        "SELECT TABLE_NAME, CONSTRAINT_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS \
         WHERE CONSTRAINT_SCHEMA = {}",
        string(database)
    ))? {
        let [table, key] = columns(row)?;
        let table = format!("{}.{}", quote(database), quote(&table));
        session.run(&format!(
            "SET foreign_key_checks=0; ALTER TABLE {table} DROP FOREIGN KEY {}",
            quote(&key)
        ))?;
    }
    session.run(&drop).map_err(|error| match is_referenced(&error) {
        true => Error::new(
            Code::Database,
            format!(
                "the old tables stay, in the database {database}: a table of another database, which {} may not see, \
                 has a foreign key to one of them",
                connection.user
            ),
        )
        .because(error)
        .hint(format!(
            "as the server's administrator, find it (SELECT * FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE \
             UNIQUE_CONSTRAINT_SCHEMA = {}), let it refer to {} again, then DROP DATABASE {}",
            string(database),
            connection.name,
            quote(database)
        )),
        false => error,
    })
}
