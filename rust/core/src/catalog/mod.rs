//! What backups there are: sidecars, names, IDs, listings; whose they are, which may go, and whether there are enough.
//!
//! Owns what a backup is called and what is known about it. Knows nothing of transport: listings come from
//! [`crate::destination`], decisions go back to whoever asked.

mod backup;
mod blocks;
mod contested;
pub mod date;
mod find;
mod id;
mod identity;
mod listing;
#[cfg(test)]
mod listing_tests;
mod name;
mod periods;
mod policy;
mod retention;
mod sidecar;
mod sites;
#[cfg(test)]
mod sites_tests;
mod smart;
mod texts;
mod tokens;
mod when;

pub use backup::{About, Backup, Copy, Place, Recalled};
pub use blocks::Blocks;
pub use contested::DIFFERS;
pub use find::{Found, Wanted, is_future};
pub use id::BackupId;
pub use identity::{Relation, SiteIdentity, SiteUrl};
pub use listing::Listing;
pub use name::{FileName, Kind};
pub use policy::{SourceStatus, Status, status};
pub use retention::{Decision, Rule};
pub use sidecar::{NEWEST_FORMAT, Sidecar, digest_of_hex, hex, key};
pub use sites::{SiteCount, Sites};
pub use texts::Kept;
pub use tokens::Tokens;
pub use when::next_run;
