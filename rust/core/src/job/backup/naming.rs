//! What a backup is called: a name that nothing has, or that of the site's own backup which it replaces.

use super::sources::BackupPlan;
use crate::catalog::{BackupId, FileName, Listing, Relation, SiteIdentity, Tokens};
use crate::config::{Document, Profile};
use crate::destination::Existing;
use crate::job::made::{self, Made};
use crate::{Code, Error, Result};
use std::collections::BTreeSet;

/// What the backup is called.
pub(super) struct Named {
    pub(super) id: BackupId,
    pub(super) name: FileName,
    pub(super) existing: Existing,
}

impl Named {
    /// The name of backup `id`, made at `now` (Unix time): one that neither is in the listing nor was refused.
    pub(super) fn find(
        document: &Document,
        profile: &Profile,
        plan: &BackupPlan,
        listing: &Listing,
        source: &str,
        (id, now): (BackupId, i64),
        refused: &BTreeSet<String>,
    ) -> Result<Named> {
        // However they are encrypted: a plain backup that is called as an encrypted one would pass for that one, exchanged.
        let listed = listing.backups.iter().map(|backup| &*backup.file);
        let taken = listed.chain(refused.iter().map(String::as_str));
        let files: BTreeSet<String> = taken.filter_map(made::plain_name).collect();
        // Of the same second at a place that is not asked now: names with a time are the site's own only once.
        let made = Made::of(document);
        let is_there = |file: &str| {
            made::plain_name(file).is_some_and(|plain| files.contains(&plain))
                || profile.append_timestamp == 1 && made.keeps(file)
        };
        let name = FileName::of(profile, plan.kind(), &Tokens::of(&document.site, now));
        let name = name.free(profile, |candidate| Ok::<_, Error>(is_there(candidate)))?;
        let existing = if profile.append_timestamp == 2 { Existing::Replace } else { Existing::Keep };
        if existing == Existing::Replace {
            own_alone(document, source, listing, &name.to_string())?;
        }
        Ok(Named { id, name, existing })
    }

    pub(super) fn file(&self) -> String {
        self.name.to_string()
    }

    /// The name inside a zip: without compression and encryption.
    pub(super) fn entry(&self) -> String {
        format!("{}.{}", self.name.base, self.name.kind.extension())
    }
}

/// A profile that replaces replaces the site's own backup of the same source, and nothing else's.
fn own_alone(document: &Document, source: &str, listing: &Listing, file: &str) -> Result<()> {
    let (own, plain) = (SiteIdentity::of(document), made::plain_name(file));
    for there in listing.backups.iter().filter(|there| made::plain_name(&there.file) == plain) {
        let theirs = there.identity();
        let whose = if own.as_ref().is_some_and(|own| own.relation(theirs) == Relation::Other) {
            theirs.describe()
        } else if let Some(other) = there.about.source.as_deref().filter(|other| *other != source) {
            format!("the source {other}")
        } else {
            continue;
        };
        let places: Vec<&str> = there.copies.iter().map(|copy| copy.place.destination.as_str()).collect();
        let text =
            format!("{} at {} is a backup of {whose} and is not replaced", there.file, places.join(", "));
        return Err(Error::new(Code::Usage, text).hint(
            "give the profile a file name of its own, e.g. with [site:name], or the site a folder of its own",
        ));
    }
    Ok(())
}
