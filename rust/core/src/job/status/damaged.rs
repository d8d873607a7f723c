//! What `status` does not count, either: copies whose bytes were read since they were written, and found damaged.

use super::unproven::Unproven;
use crate::catalog::Listing;
use crate::config::Document;
use crate::job::damaged::Damaged;
use std::collections::BTreeSet;

/// The places that hold a copy which was found damaged.
pub fn places(known: &Damaged, listing: &Listing) -> BTreeSet<String> {
    let copies =
        listing.backups.iter().flat_map(|backup| backup.copies.iter().map(move |copy| (backup, copy)));
    copies
        .filter(|(backup, copy)| known.has(&backup.file, copy))
        .map(|(_, copy)| copy.destination.clone())
        .collect()
}

/// Takes the copies that were found damaged out of a listing, and backups that have no other.
pub fn take_out(known: &Damaged, document: &Document, listing: &mut Listing) -> Vec<Unproven> {
    let mut found = Vec::new();
    for backup in &mut listing.backups {
        let copies = std::mem::take(&mut backup.copies);
        // One that is not whole is told of as that.
        let (out, counted): (Vec<_>, Vec<_>) =
            copies.into_iter().partition(|copy| copy.whole && known.has(&backup.file, copy));
        backup.copies = counted;
        if out.is_empty() {
            continue;
        }
        backup.verified = backup.copies.iter().filter_map(|copy| copy.verified).max();
        let file = &backup.file;
        let places: Vec<_> = out.iter().map(|copy| copy.destination.as_str()).collect();
        let good = |at: &str| document.destinations.contains_key(at);
        let next = match backup.copies.iter().any(|copy| copy.whole && good(&copy.destination)) {
            _ if out.iter().all(|copy| copy.repository) => {
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
