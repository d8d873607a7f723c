//! The configuration document (docs/configuration.md): what a site has and where its backups go.
//!
//! Owns the document's types, reading it from JSON or YAML, checking it, and the parsers for what PHP wrote
//! (`var_export`, `serialize`, CTools exports). Knows nothing of running anything.

pub(crate) mod connection;
pub mod document;

pub use connection::{Connection, Driver};
pub use document::*;
