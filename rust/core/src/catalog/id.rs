//! Backup IDs: the number by which people ask for a backup.

use super::{Sidecar, key};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The Unix time of a backup, and its number: the same on every machine, at every destination, after every disaster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BackupId(pub u64);

impl BackupId {
    /// The ID of a backup made at `now` (Unix time): the first second from then on that no other backup has.
    pub fn new(now: i64, taken: impl Fn(BackupId) -> bool) -> BackupId {
        let mut id = BackupId(u64::try_from(now).unwrap_or(0));
        while taken(id) {
            id = BackupId(id.0.saturating_add(1));
        }
        id
    }

    /// What a listed file says of itself: `bam_id`, else B&M's `datestamp`, else when the file was changed.
    pub fn of(sidecar: Option<&Sidecar>, mtime: i64) -> BackupId {
        let told =
            sidecar.and_then(|sidecar| sidecar.number(key::ID).or_else(|| sidecar.number(key::DATESTAMP)));
        BackupId(told.unwrap_or_else(|| u64::try_from(mtime).unwrap_or(0)))
    }

    /// Unix time.
    pub fn seconds(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for BackupId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(BackupId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_says_of_itself_comes_before_when_it_was_changed() {
        let mut sidecar = Sidecar::new();
        assert_eq!(BackupId::of(None, 7), BackupId(7));
        assert_eq!(BackupId::of(Some(&sidecar), 7), BackupId(7));
        sidecar.set(key::DATESTAMP, "6");
        assert_eq!(BackupId::of(Some(&sidecar), 7), BackupId(6), "Backup and Migrate's");
        sidecar.set(key::ID, "5");
        assert_eq!(BackupId::of(Some(&sidecar), 7), BackupId(5));
        sidecar.set(key::ID, "five");
        assert_eq!(BackupId::of(Some(&sidecar), 7), BackupId(6), "what is no number says nothing");
        assert_eq!(BackupId::of(None, -1), BackupId(0), "before 1970");
    }

    #[test]
    fn an_id_is_the_time_where_that_is_free() {
        assert_eq!(BackupId::new(5, |_| false), BackupId(5));
        assert_eq!(BackupId::new(-5, |id| id.0 < 2), BackupId(2));
        assert_eq!(BackupId(u64::MAX).seconds(), i64::MAX);
        assert_eq!("12".parse(), Ok(BackupId(12)));
    }
}
