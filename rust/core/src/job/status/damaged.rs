//! What `status` does not count, either: copies whose bytes were read since they were written, and found damaged.

use super::unproven::Unproven;
use crate::catalog::{Copy, Listing};
use crate::config::Document;
use crate::job::damaged::Damaged;
use std::collections::BTreeSet;

/// The places that hold a copy which was found damaged.
pub fn places(known: &Damaged, listing: &Listing) -> BTreeSet<String> {
    let copies =
        listing.backups.iter().flat_map(|backup| backup.copies.iter().map(move |copy| (backup, copy)));
    copies
        .filter(|(backup, copy)| known.has(&backup.file, copy))
        .map(|(_, copy)| copy.place.destination.clone())
        .collect()
}

/// Takes the copies that were found damaged out of a listing, and backups that have no other.
pub fn take_out(known: &Damaged, document: &Document, listing: &mut Listing) -> Vec<Unproven> {
    let mut found = Vec::new();
    for backup in &mut listing.backups {
        let file = &backup.file;
        // One that is not whole is told of as that.
        let is_damaged = |copy: &mut Copy| copy.whole && known.has(file, copy);
        let out: Vec<_> = backup.copies.extract_if(.., is_damaged).collect();
        if out.is_empty() {
            continue;
        }
        backup.verified = backup.copies.iter().filter_map(|copy| copy.verified).max();
        let places: Vec<_> = out.iter().map(|copy| copy.place.destination.as_str()).collect();
        let good = |at: &str| document.destinations.contains_key(at);
        let next = match backup.copies.iter().any(|copy| copy.whole && good(&copy.place.destination)) {
            _ if out.iter().all(|copy| copy.place.repository) => {
                "docs/repositories.md tells how a repository is mended".to_owned()
            }
            true => "`bam replicate` puts a good copy in its place".to_owned(),
            false => format!(
                "no destination has a good copy: make a new backup, then erase this one, `bam delete {file}`"
            ),
        };
        let text = format!(
            "{file} at {} was read and is damaged, so it does not count; {next}; once it is mended, `bam verify {file}`",
            places.join(", ")
        );
        found.push(Unproven::damaged(backup, text));
    }
    listing.backups.retain(|backup| !backup.copies.is_empty());
    found
}
