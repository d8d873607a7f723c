//! Where in a dump the rows of its tables stand, so that those of one table can be read without the others.

use super::sql::renamed;
use crate::config::names_table;
use crate::{Code, Error, Result};
use std::collections::BTreeMap;
use std::ops::Range;

/// Where the rows of a dump's tables stand. Whatever stands in none of the ranges belongs to no table's rows, or nobody
/// knows whose: it is always read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TablePlaces {
    /// The table prefix of the site that was dumped.
    pub prefix: String,
    /// All tables of the dump, by name.
    pub tables: Vec<PlacedTable>,
    /// Whole statements with rows, in their order: the table's number, and from where to where in the dump.
    pub ranges: Vec<(usize, Range<u64>)>,
}

/// A table of a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedTable {
    /// Its name in the dump, prefix included.
    pub name: String,
    /// How many rows were written; `None`: nobody counted them.
    pub rows: Option<u64>,
    /// Bytes of the statements in its ranges, without what ends them.
    pub bytes: u64,
}

/// Which tables of a dump are wanted.
#[derive(Debug, Clone, Copy)]
pub struct WantedTables<'w> {
    /// Their names, there or at this site, with or without prefix ([`names_table`]); `None`: all.
    pub only: Option<&'w [String]>,
    /// The dump's prefix, where it is known.
    pub theirs: Option<&'w str>,
    /// The prefix that takes its place; `None`: it stays.
    pub ours: Option<&'w str>,
}

impl WantedTables<'_> {
    /// Whether the dump's table of this name is wanted.
    pub fn has(&self, table: &str) -> bool {
        let Some(only) = self.only else { return true };
        names_table(only, table, self.theirs.unwrap_or_default()) || names_table(only, &self.here(table), "")
    }

    /// The name that the table gets.
    pub fn here(&self, table: &str) -> String {
        match (self.theirs, self.ours) {
            (Some(from), Some(to)) => renamed(table, from, to).into_owned(),
            _ => table.to_owned(),
        }
    }
}

impl TablePlaces {
    /// Whether a table is one that whoever loads the dump may take for named by `only`, at a site with the prefix `ours`.
    fn may_be_wanted(&self, table: &str, only: &[String], ours: Option<&str>) -> bool {
        let wanted = WantedTables { only: Some(only), theirs: Some(&self.prefix), ours };
        wanted.has(table) || names_table(only, &wanted.here(table), ours.unwrap_or_default())
    }

    /// How many rows each of these tables has, by the dump's names; `None` where that is not known of all of them, so that
    /// nothing would show that some are missing.
    pub fn counts(&self, only: &[String], ours: Option<&str>) -> Option<BTreeMap<String, u64>> {
        let tables = self.tables.iter().filter(|table| self.may_be_wanted(&table.name, only, ours));
        tables.map(|table| Some((table.name.clone(), table.rows?))).collect()
    }

    /// What need not be read for these tables.
    pub fn without_others(&self, only: &[String], ours: Option<&str>) -> Vec<Range<u64>> {
        self.gaps(|table| !self.may_be_wanted(&table.name, only, ours))
    }

    /// What need not be read where nothing but the number of rows is asked.
    pub fn without_counted(&self) -> Vec<Range<u64>> {
        self.gaps(|table| table.rows.is_some())
    }

    /// The ranges of some tables, those that follow one another as one.
    fn gaps(&self, passed: impl Fn(&PlacedTable) -> bool) -> Vec<Range<u64>> {
        let passed: Vec<bool> = self.tables.iter().map(passed).collect();
        let mut gaps: Vec<Range<u64>> = Vec::new();
        for (_, range) in self.ranges.iter().filter(|(table, _)| passed.get(*table) == Some(&true)) {
            match gaps.last_mut().filter(|last| last.end == range.start) {
                Some(last) => last.end = range.end,
                None => gaps.push(range.clone()),
            }
        }
        gaps
    }

    /// Whether it can be what a dump's writer noted: every range in its order, and of a table that there is.
    pub fn makes_sense(&self) -> bool {
        let mut end = 0;
        self.ranges.iter().all(|(table, range)| {
            let right = *table < self.tables.len() && end <= range.start && range.start < range.end;
            end = range.end;
            right
        })
    }
}

/// Compares the rows that come of a dump, of which parts are left out, with those that it has.
#[derive(Debug, Default)]
pub struct RowCounts {
    has: BTreeMap<String, u64>,
    came: BTreeMap<String, u64>,
}

impl RowCounts {
    /// So many rows these tables have.
    pub fn new(has: BTreeMap<String, u64>) -> Self {
        RowCounts { has, came: BTreeMap::new() }
    }

    /// Rows of a table came; `rows` counts them, where it matters.
    pub fn add(&mut self, table: &str, rows: impl FnOnce() -> u64) {
        if self.has.contains_key(table) {
            *self.came.entry(table.to_owned()).or_default() += rows();
        }
    }

    /// Fails where other rows came of those tables that are wanted.
    pub fn check(&self, wanted: impl Fn(&str) -> bool) -> Result<()> {
        for (table, rows) in self.has.iter().filter(|(table, _)| wanted(table)) {
            let came = self.came.get(table).copied().unwrap_or_default();
            if came != *rows {
                let text = format!(
                    "table {table} has {rows} rows in the backup, and {came} came: they are not where its index says"
                );
                return Err(Error::new(Code::Integrity, text).hint(
                    "restore the whole backup into a database of its own (--into-database), and copy the table from there",
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> TablePlaces {
        let table = |name: &str, rows| PlacedTable { name: name.into(), rows, bytes: 10 };
        TablePlaces {
            prefix: "d7_".into(),
            tables: vec![table("d7_node", Some(3)), table("d7_users", Some(0)), table("odd", None)],
            ranges: vec![(0, 10..20), (1, 20..30), (2, 30..40), (0, 45..50), (1, 50..60), (0, 60..70)],
        }
    }

    #[test]
    fn others_are_passed_over() {
        let (places, only) = (places(), |name: &str| vec![name.to_owned()]);
        assert!(places.makes_sense());
        assert_eq!(places.without_others(&only("node"), None), [20..40, 50..60]);
        assert_eq!(places.without_others(&only("new_node"), Some("new_")), [20..40, 50..60]);
        assert_eq!(places.without_others(&only("*"), None), []);
        assert_eq!(places.without_others(&only("none"), None), [10..40, 45..70]);
        assert_eq!(places.without_counted(), [10..30, 45..70]);
        assert_eq!(places.counts(&only("node"), None), Some([("d7_node".to_owned(), 3)].into()));
        assert_eq!(places.counts(&only("odd"), None), None);
        assert_eq!(places.counts(&only("none"), None), Some(BTreeMap::new()));
    }

    #[test]
    fn rows_that_are_missing_are_seen() {
        let mut counts = RowCounts::new([("a".to_owned(), 3), ("b".to_owned(), 2)].into());
        counts.add("a", || 2);
        counts.add("c", || panic!("nobody asks"));
        let error = counts.check(|_| true).unwrap_err();
        assert_eq!((error.code(), error.message().contains("table a has 3")), (Code::Integrity, true));
        counts.add("a", || 1);
        counts.check(|table| table == "a").unwrap();
        assert!(counts.check(|_| true).is_err());
    }

    #[test]
    fn ranges_that_no_dump_has_make_no_sense() {
        let ranges =
            [vec![(3, 0..1)], vec![(0, 5..5)], vec![(0, 5..9), (0, 8..10)], vec![(0, 5..9), (0, 1..2)]];
        for wrong in ranges {
            assert!(!TablePlaces { ranges: wrong, ..places() }.makes_sense());
        }
    }
}
