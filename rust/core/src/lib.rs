//! The bam engine: backs up and restores Drupal sites in one streaming pass.
//!
//! The rooms, in the order in which data walks through them on a backup (a restore walks back):
//!
//! | room | owns |
//! | --- | --- |
//! | [`config`] | the configuration document; parsers for PHP's `var_export` and `serialize` |
//! | [`source`] | walking files, excludes; dumping and loading databases |
//! | [`archive`] | tar layouts, and extracting them safely |
//! | [`compress`] | gzip, zstd, bzip2, zip; detecting what a file is |
//! | [`encrypt`] | the `.enc` container, key derivation, the MAC, readers of legacy formats |
//! | [`destination`] | put, get, list, delete, stat |
//! | [`catalog`] | sidecars, backup IDs, names, listing, retention |
//! | [`job`] | putting the rooms in a row: threads, progress, cancelling, locks |
//!
//! Every room reports through [`Error`] and [`Monitor`]. The engine prints nothing and holds no `unsafe`.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests let nothing fail to close, and are refused no thread")
)]

pub mod accounts;
pub mod archive;
pub mod catalog;
pub mod child;
pub mod compress;
pub mod config;
pub mod destination;
pub mod encrypt;
pub mod entries;
pub mod environment;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod job;
mod limits;
mod long_path;
pub mod look;
mod monitor;
mod mounts;
pub mod regular;
mod secret;
pub mod source;
mod sync;
mod temporary;
pub mod threads;
pub mod whole_file;

pub use error::{Code, Error, Fact, Result, ResultExt, Told};
pub use monitor::{Cancel, Monitor, Note, NoteKind, Phase, Progress};
pub use secret::Secret;
