//! What the fuzzers of `rust/fuzz` reach that is nobody else's business. There only with `--cfg fuzzing`.
//!
//! Each function takes what a stranger could have written and checks what must hold whatever that is.

use crate::Secret;
use crate::destination::ssh::known_hosts::{KnownHosts, parse_pin};
use crate::destination::ssh::location::Location;
use crate::source::sql::{self, Item, Splitter, Statement};
use std::io::{self, Read};
use std::path::Path;

/// A file of known host keys, and the address and pinned key of a server.
pub fn ssh(text: &str) {
    let mut known = KnownHosts::default();
    known.parse(Path::new("known_hosts"), text);
    let host = text.split([' ', ',', '\n']).next().unwrap_or_default();
    known.key_types(host, 22);
    known.check(host, 2222, text.as_bytes());
    let _ = parse_pin(text);
    if let Ok(location) = Location::parse(&Secret::new(text)) {
        let _ = (location.machine(), location.folder(), location.describe("sftp"));
        assert!(!location.host.starts_with('-'), "an option to ssh");
    }
}

/// A dump of MariaDB's or MySQL's: it is cut into the same statements in whatever pieces it comes, and nothing that
/// looks at one of them fails.
pub fn mysql(dump: &[u8]) {
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
        assert!(sql::rows(text) <= text.len() as u64);
    }
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
