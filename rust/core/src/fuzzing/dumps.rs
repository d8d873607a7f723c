//! Dumps of databases.

use crate::Monitor;
use crate::config::Driver;
use crate::source::database::{contents, digests, fingerprints};
use crate::source::mysql::load::long_rows;
use crate::source::sql::{self, Item, Splitter, Statement};
use std::io::{self, Read};

/// A dump of MariaDB's or MySQL's: it is cut into the same statements in whatever pieces it comes, and nothing that
/// looks at one of them fails.
pub fn mysql(dump: &[u8]) {
    read(Some(Driver::Mysql), dump);
    let (whole, ended) = items(dump);
    let (piecewise, ended_too) = items(Dribble(dump));
    assert_eq!((&whole, ended), (&piecewise, ended_too), "the pieces do not matter");
    for (text, delimiter) in whole.iter().filter_map(|(text, delimiter)| Some((text, delimiter.as_ref()?))) {
        let statement = Statement::parse(text);
        let _ = sql::check_reach(text, delimiter, &statement);
        let _ = (sql::without_database(text), sql::without_definer(text), sql::without_directories(text));
        let _ =
            (sql::used_database(text), sql::trigger_table(text), sql::names_in(text), sql::definer_of(text));
        let _ =
            (sql::without_schema(text, b"d7"), sql::with_prefix(text, "a_", "b_"), sql::column_list(text));
        let _ = long_rows::parts(text, b"INSERT INTO `t` VALUES", 2048, |_| Ok(()));
        assert!(sql::rows(text) <= text.len() as u64);
    }
}

/// A dump in PostgreSQL's SQL, as `psql` reads it.
pub fn pgsql(dump: &[u8]) {
    read(Some(Driver::Pgsql), dump);
}

/// A file of SQLite's.
pub fn sqlite(dump: &[u8]) {
    read(Some(Driver::Sqlite), dump);
}

/// Reads it in the three ways in which dumps are read; nothing is done by it.
fn read(driver: Option<Driver>, dump: &[u8]) {
    let (monitor, spool) = (Monitor::new(), std::env::temp_dir());
    let _ = contents(driver, &mut &*dump, None, &spool, &monitor);
    let _ = digests(driver, &mut &*dump, &spool, &monitor);
    let _ = fingerprints(driver, &mut &*dump, &monitor);
}

type Cut = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// What the dump consists of, and whether it came to an end.
fn items(dump: impl Read) -> (Cut, bool) {
    let mut splitter = Splitter::new(dump);
    let mut found = Vec::new();
    loop {
        match splitter.advance() {
            Ok(Some(item)) => found.push(match splitter.item(item) {
                Item::Comment(text) => (text.to_vec(), None),
                Item::Statement { text, delimiter } => (text.to_vec(), Some(delimiter.to_vec())),
            }),
            Ok(None) => return (found, true),
            Err(_) => return (found, false),
        }
    }
}

/// Gives one byte at a time.
struct Dribble<'a>(&'a [u8]);

impl Read for Dribble<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = out.len().min(1);
        self.0.read(out.get_mut(..n).unwrap_or_default())
    }
}
