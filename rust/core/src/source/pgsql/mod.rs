//! PostgreSQL: dumped by `pg_dump` as plain SQL, which `psql` reads.
//!
//! A site lives in one schema of its database, the connection's `current_schema()`, as a rule `public`: that is dumped and
//! restored. The dump is `pg_dump`'s own behind a few lines of ours, which are comments to everybody else:
//!
//! ```text
//! -- bam PostgreSQL dump 1
//! -- bam-schema: "public"       as JSON, what the dump calls the schema
//! -- bam-prefix: ""             the site's table prefix
//! -- bam-excluded: []           tables that were left out although the database has them
//! CREATE EXTENSION IF NOT EXISTS …
//! …                             what pg_dump says, all large objects of the database included
//! -- PostgreSQL database dump complete
//! ```

mod client;
mod database;
mod depend;
mod dress;
mod dump;
mod large;
mod replace;
mod rights;
mod script;
mod session;
mod splitter;

pub(crate) use database::remove;
pub(crate) use dump::{dump, tables};
pub use replace::Replacement;
pub(crate) use rights::rights;
pub(crate) use script::contents;
