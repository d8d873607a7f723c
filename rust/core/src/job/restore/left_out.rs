//! What a backup says of itself that its members do not: what it left out on purpose or could not read, which a restore
//! leaves as it is, and which of its folders were behind links.

use crate::archive::show;
use crate::catalog::{Sidecar, key};
use crate::config::show_table;
use crate::job::member_path::below;
use crate::source::pattern::Patterns;
use crate::{Monitor, NoteKind};
use std::collections::{BTreeSet, HashSet};

/// How many paths are told.
const TOLD: usize = 5;

/// Paths in the archive.
#[derive(Debug, Default)]
pub struct LeftOut {
    /// These, with all that is below them.
    pub paths: Vec<Vec<u8>>,
    /// Of what could not be read, the same: whatever else is there stays; or a file that is in it, but could not be read
    /// to its end.
    pub unread: BTreeSet<Vec<u8>>,
    /// Tables that could not be read, or not to their end; the first of them where they are many.
    pub tables: Vec<String>,
    /// How many things are missing in all.
    pub missing: u64,
    /// What fits these was left out on purpose, too.
    pub patterns: Patterns,
    /// Folders that were behind links out of the tree. As many as are recorded.
    pub followed: HashSet<Vec<u8>>,
}

impl LeftOut {
    /// As the sidecar has it; `None` where it says nothing, as those of old.
    pub fn of(sidecar: &Sidecar) -> Option<LeftOut> {
        sidecar.has(key::EXCLUDED).then(|| LeftOut::told_by(sidecar))
    }

    /// The same of any sidecar, of a database's, too.
    pub fn told_by(sidecar: &Sidecar) -> LeftOut {
        let lines = sidecar.list(key::EXCLUDED_PATTERNS);
        let lines = lines.iter().filter_map(|line| std::str::from_utf8(line).ok());
        let followed = sidecar.list(key::FOLLOWED).into_iter().collect();
        let tables = sidecar.list(key::UNREAD_TABLES);
        let missing = sidecar.number(key::MISSING).unwrap_or_default();
        let mut unread: BTreeSet<Vec<u8>> = sidecar.paths(key::UNREAD).into_iter().collect();
        // Up to 0.3.0 it was not said what: it may be anything.
        if missing > 0 && !sidecar.has(key::UNREAD) {
            unread.insert(Vec::new());
        }
        LeftOut {
            paths: sidecar.list(key::EXCLUDED),
            unread,
            tables: tables.iter().map(|table| String::from_utf8_lossy(table).into_owned()).collect(),
            missing,
            patterns: Patterns::of(lines),
            followed,
        }
    }

    /// Tells what a restore cannot bring back: onto the site, or elsewhere, where nothing is in its place.
    pub fn tell(&self, onto_site: bool, monitor: &Monitor) {
        if self.missing == 0 {
            return;
        }
        // Of one failure several tables may be the loss.
        let missing = self.missing.max((self.tables.len() + self.unread.len()) as u64);
        let things = if missing == 1 { "thing" } else { "things" };
        let mut text = format!(
            "{missing} {things} could not be read when this backup was made, or held nothing, and did not get in, or not whole"
        );
        let tables = self.tables.iter().map(|table| format!("table {}", show_table(table)));
        // The empty one is all that there is.
        let paths = self.unread.iter().filter(|path| !path.is_empty()).map(|path| show(path));
        let named: Vec<String> = tables.take(TOLD).chain(paths.take(TOLD)).collect();
        if named.is_empty() {
            text.push_str("; it does not record which");
        } else {
            let more = if self.unread.len().max(self.tables.len()) > TOLD { " …" } else { "" };
            text.push_str(&format!(": {}{more}", named.join(", ")));
        }
        if onto_site {
            text.push_str("; where the site has them, they stay");
        }
        monitor.note(NoteKind::Missing, text);
    }

    /// Whether this path was left out as a whole, or anything that is below it by name.
    pub fn speaks_of(&self, path: &[u8]) -> bool {
        self.paths.iter().any(|it| below(path, it).is_some()) || self.patterns.exclude_at_or_above(path, b"")
    }
}
