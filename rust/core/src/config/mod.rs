//! The configuration document (docs/configuration.md): what a site has and where its backups go.
//!
//! Owns the document's types, reading it from JSON or YAML, checking it, and the parsers for what PHP wrote
//! (`var_export`, `serialize`, CTools exports). Knows nothing of running anything.

mod address;
mod builtin;
mod check;
pub(crate) mod connection;
mod cron;
pub mod document;
pub mod duration;
mod exposure;
pub mod import;
#[cfg(test)]
mod import_tests;
mod keep;
mod lenient;
mod locate;
mod mask;
mod misplaced;
pub mod php;
mod read;
mod remarks;
mod shape;
mod site;

pub(crate) use address::hide;
pub use address::without_password;
pub use builtin::{names_table, show_table};
pub use connection::{Connection, Driver};
pub use cron::{CRON_NONE, parse_cron};
pub use document::*;
pub use keep::{Count, Keep, KeepPeriods};
pub use mask::{HIDDEN, to_yaml};
pub use shape::by_shape;
pub(crate) use site::docroot_of;

/// `keep` of a schedule: all backups.
pub const KEEP_ALL: i64 = 0;
/// `keep` of a schedule: fewer the older they are ([`SmartKeep`]).
pub const KEEP_SMART: i64 = -2;
