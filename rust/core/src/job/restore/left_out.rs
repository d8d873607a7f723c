//! What a backup says of itself that its members do not: what it left out on purpose or could not read, which a restore
//! leaves as it is, and which of its folders were behind links.

use crate::archive::show;
use crate::catalog::{Sidecar, key};
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
    /// Of what could not be read, the same; or a file that is in it, but could not be read to its end.
    pub unread: BTreeSet<Vec<u8>>,
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
        sidecar.has(key::EXCLUDED).then(|| {
            let lines = sidecar.list(key::EXCLUDED_PATTERNS);
            let lines = lines.iter().filter_map(|line| std::str::from_utf8(line).ok());
            let followed = sidecar.list(key::FOLLOWED).into_iter().collect();
            LeftOut {
                paths: sidecar.list(key::EXCLUDED),
                unread: sidecar.list(key::UNREAD).into_iter().collect(),
                missing: sidecar.number(key::MISSING).unwrap_or_default(),
                patterns: Patterns::of(lines),
                followed,
            }
        })
    }

    /// Tells what a restore cannot bring back, onto the site or elsewhere.
    pub fn tell(&self, onto_site: bool, monitor: &Monitor) {
        if self.missing == 0 {
            return;
        }
        let things = if self.missing == 1 { "thing" } else { "things" };
        let mut text = format!(
            "{} {things} could not be read when this backup was made, and did not get in, or not whole",
            self.missing
        );
        if !self.unread.is_empty() {
            let named: Vec<String> = self.unread.iter().take(TOLD).map(|path| show(path)).collect();
            let more = if self.unread.len() > TOLD { " …" } else { "" };
            let stay = if onto_site { "; where the site has them, they stay" } else { "" };
            text.push_str(&format!(": {}{more}{stay}", named.join(", ")));
        }
        monitor.note(NoteKind::Missing, text);
    }

    /// Whether this path was left out as a whole, or anything that is below it by name.
    pub fn speaks_of(&self, path: &[u8]) -> bool {
        self.paths.iter().any(|it| below(path, it).is_some()) || self.patterns.exclude_at_or_above(path, b"")
    }
}
