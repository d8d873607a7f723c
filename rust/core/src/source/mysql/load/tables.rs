//! What is known of each table while it is loaded, and when its indexes are made.

use super::super::connect::session::Session;
use super::indexes::{self, Facts};
use super::queues::Chunk;
use super::{AS_BEFORE, AS_UTF8, LARGE, Loader, OVER, TableLoad};
use crate::{Code, Error, Result};

impl Loader<'_, '_> {
    pub(super) fn number(&mut self, name: &str) -> usize {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = self.queues.add_table();
        self.tables.push(TableLoad {
            name: name.to_owned(),
            facts: None,
            counts: true,
            ordered: false,
            rows: 0,
            last: 0,
            large: LARGE,
            indexes: Vec::new(),
        });
        self.numbers.insert(name.to_owned(), number);
        number
    }

    pub(super) fn forget(&mut self, number: usize) {
        if let Some(table) = self.tables.get_mut(number) {
            (table.facts, table.counts) = (None, true);
        }
    }

    /// What the server says of a table, of which nothing but rows may be under way when it is asked first.
    pub(super) fn facts(&mut self, number: usize) -> Result<&Facts> {
        let known = self.tables.get(number).is_some_and(|table| table.facts.is_some());
        if !known {
            if !self.queues.progress(number).begun {
                self.queues.wait_for(number)?;
            }
            let unknown = self.tables.iter().filter(|table| table.facts.is_none()).count();
            let name = self.tables.get(number).map(|table| table.name.clone()).unwrap_or_default();
            let mut found = indexes::facts(&mut self.asking, (unknown < 10).then_some(name.as_str()))?;
            for (at, table) in self.tables.iter_mut().enumerate() {
                // One that is being changed is asked for later.
                if at == number || table.facts.is_none() && self.queues.progress(at).pending == 0 {
                    table.facts = found.remove(&table.name);
                }
            }
        }
        match self.tables.get_mut(number) {
            Some(table) => Ok(table.facts.get_or_insert_default()),
            None => Err(Error::new(Code::Internal, "a table of the dump is lost")),
        }
    }

    pub(super) fn may_spread(&mut self, number: usize) -> Result<bool> {
        let ordered = self.tables.get(number).is_none_or(|table| table.ordered);
        let over_wire = !self.over_wire.is_empty();
        let facts = self.facts(number)?;
        // Rows of a table with unique keys can meet a deadlock, after which a client is gone.
        Ok(!ordered && facts.transactional && !facts.hashed && (over_wire || !facts.unique))
    }

    /// See [`Facts::counted_place`].
    pub(super) fn counted_place(&mut self, number: usize, head: &[u8]) -> Result<Option<Option<usize>>> {
        if !self.tables.get(number).is_none_or(|table| table.counts) {
            return Ok(Some(None));
        }
        Ok(self.facts(number)?.counted_place(head))
    }

    /// Drops the indexes of a large table that are cheaper to build when the rows are in; with `keep` only where one of
    /// them is of words, since then all of it is read again in any case.
    pub(super) fn defer_indexes(&mut self, number: usize, keep: bool) -> Result<()> {
        if !self.facts(number)?.transactional {
            return Ok(());
        }
        let Some(table) = self.tables.get(number) else { return Ok(()) };
        let Some(facts) = &table.facts else { return Ok(()) };
        let Some((drop, add)) = indexes::deferrable(&mut self.asking, &table.name, facts)? else {
            return Ok(());
        };
        if keep && !add.iter().any(|statement| statement.contains(" ADD FULLTEXT KEY ")) {
            return Ok(());
        }
        self.queues.wait_for(number)?;
        match self.asking.run(&drop) {
            Ok(()) => {
                if let Some(table) = self.tables.get_mut(number) {
                    table.indexes = add;
                }
                Ok(())
            }
            Err(error) if error.code() == Code::Cancelled => Err(error),
            Err(_) => {
                // The server needs one of them: they stay. An error ends a session.
                self.asking = Session::open(self.connection, Some(self.database), self.monitor)?;
                Ok(())
            }
        }
    }

    /// Builds the indexes of a table that wait for its rows.
    pub(super) fn build_indexes(&mut self, number: usize) -> Result<()> {
        let Some(table) = self.tables.get_mut(number) else { return Ok(()) };
        let statements = std::mem::take(&mut table.indexes);
        if statements.is_empty() {
            return Ok(());
        }
        self.queues.wait_for(number)?;
        let text = [AS_UTF8, statements.concat().as_bytes(), AS_BEFORE].concat();
        let chunk = Chunk { text, tables: vec![number], commit: true, ..Chunk::default() };
        self.queues.give(self.choose(None, &chunk)?, chunk);
        Ok(())
    }

    /// The same for all tables that seem to have all their rows.
    pub(super) fn build_what_is_over(&mut self) -> Result<()> {
        let over = |it: &TableLoad| !it.indexes.is_empty() && it.last + OVER < self.total;
        match self.tables.iter().position(over) {
            Some(number) if self.queues.progress(number).pending == 0 => self.build_indexes(number),
            _ => Ok(()),
        }
    }
}
