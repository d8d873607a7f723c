//! Tables that could not be read to their end when the dump was made: what the live database has of them is better.

use super::{Loaded, MysqlReplacement, ReplaceMethod, tables_in};
use crate::config::names_table;
use crate::source::dump_types::LoadSettings;
use crate::source::mysql::connect::session::{Session, quote};
use crate::source::unread_tables;
use crate::{Monitor, Result};

impl MysqlReplacement {
    /// Once the new tables are there: takes those out again that are not whole and that the live database has, and says so;
    /// where it has none, or the settings want them, they are taken as they are.
    pub(super) fn settle_half_read(
        &mut self,
        session: &mut Session<'_>,
        settings: &LoadSettings,
        loaded: &mut Loaded,
        monitor: &Monitor,
    ) -> Result<()> {
        loaded.report.unread.clone_from(&loaded.unread);
        let live = if settings.take_unread { Vec::new() } else { tables_in(session, &session.database())? };
        let prefix = settings.prefix.as_deref().unwrap_or_default();
        let is_asked =
            |table: &String| settings.tables.as_ref().is_none_or(|only| names_table(only, table, prefix));
        let unread = std::mem::take(&mut loaded.unread);
        let (stay, others): (Vec<String>, Vec<String>) =
            unread.into_iter().filter(is_asked).partition(|table| live.contains(table));
        for table in others.iter().filter(|table| self.tables.contains(table)) {
            unread_tables::tell_taken(table, monitor);
        }
        for table in &stay {
            unread_tables::tell_kept(table, monitor);
            // It is there where nothing but the end of the dump told.
            if self.way == ReplaceMethod::NewDatabase && self.tables.contains(table) {
                let table = [&self.new, table].map(|name| quote(name)).join(".");
                session.run(&format!("SET foreign_key_checks=0; DROP TABLE {table}"))?;
            }
        }
        self.tables.retain(|table| !stay.contains(table));
        // What the dump was without stays, too.
        loaded.excluded.extend(stay);
        Ok(())
    }
}
