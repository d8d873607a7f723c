//! What servers and programs answer, and what bam keeps for itself.

use crate::Code;
use crate::destination::lease::Lease;
use crate::destination::object::glance::names_of;
use crate::destination::restic::{listing, nodes::Nodes};
use crate::destination::sftp::folder::parse_digest;
use crate::destination::snapshots::backups;
use crate::job::Request;
use crate::job::repository::About;
use crate::job::restore::journal::Journal;
use crate::source::mysql::connect::rights::Grant;
use std::collections::BTreeSet;
use std::path::Path;

/// What servers and programs answer, and other runs leave at a place: lists of restic and of its REST server, a digest, a
/// lease, what a user may do.
pub fn answers(text: &[u8]) {
    if let Ok(all) = listing::parse(text) {
        let found = backups(&all);
        let names: BTreeSet<_> = found.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names.len(), found.len(), "each has a name of its own");
        assert!(found.iter().map(|one| 1 + one.others.len()).sum::<usize>() <= all.len());
    }
    assert!(Nodes::new(text).all(|node| node.nanos < 1_000_000_000));
    let _ = (names_of(text), parse_digest(text));
    if let Ok(text) = std::str::from_utf8(text) {
        let _ = (Lease::parse(text), Grant::parse(text));
    }
}

/// What bam wrote itself, once somebody has been at it: a journal, and what is said of a backup in a repository; and what is
/// asked of it.
pub fn kept(text: &[u8]) {
    match Journal::read(Path::new("restore.json"), text) {
        Ok(journal) => drop((journal.leftovers(), journal.state(), journal.database().map(str::to_owned))),
        Err(error) => assert!(matches!(error.code(), Code::Integrity | Code::Unsupported)),
    }
    let _ = About::from_json(text, "bam.json");
    let _ = serde_json::from_slice::<Request>(text);
}
