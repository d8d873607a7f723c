//! Where bytes come from and go back to: folders and databases.
//!
//! Owns walking files, excludes, and dumping and loading databases: MariaDB and MySQL on this machine over their own
//! protocol, servers elsewhere and PostgreSQL through the vendors' clients, SQLite through its library.
//! Knows nothing of compression, encryption and destinations.

mod answer;
mod attributes;
pub mod composer;
mod content;
pub mod database;
pub mod digests;
mod drupal;
mod dump_types;
pub mod exclude;
pub mod files;
#[cfg(test)]
mod files_tests;
pub mod machine;
pub mod mysql;
mod names;
pub mod outline;
pub mod path_set;
pub mod pattern;
pub mod pgsql;
mod prefetch;
pub(crate) mod reach;
pub mod rights;
mod short_tries;
pub mod siblings;
pub(crate) mod sql;
pub mod sqlite;
pub mod table_places;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod tool;
pub mod unread;
pub(crate) mod unread_tables;
mod untouched;
mod walk;
