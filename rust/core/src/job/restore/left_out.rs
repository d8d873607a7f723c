//! What a backup says of itself that its members do not: what it left out on purpose, which a restore leaves as it is,
//! and which of its folders were behind links.

use crate::catalog::{Sidecar, key};
use crate::job::member_path::below;
use crate::source::pattern::Patterns;
use std::collections::HashSet;

/// Paths in the archive.
#[derive(Debug, Default)]
pub struct LeftOut {
    /// These, with all that is below them.
    pub paths: Vec<Vec<u8>>,
    /// And what fits these.
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
            LeftOut { paths: sidecar.list(key::EXCLUDED), patterns: Patterns::of(lines), followed }
        })
    }

    /// Whether this path was left out as a whole, or anything that is below it by name.
    pub fn speaks_of(&self, path: &[u8]) -> bool {
        self.paths.iter().any(|it| below(path, it).is_some()) || self.patterns.exclude_at_or_above(path, b"")
    }
}
