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
//!
//! The rooms are those of `mysql`: `connect/`, `dump/`, `load/`, `replace/`; `large` is what all of them have to know of
//! large objects.

mod connect;
mod dump;
mod large;
mod load;
mod replace;

pub(crate) use connect::database::remove;
pub(crate) use connect::rights::rights;
pub(crate) use dump::{dump, tables};
pub(crate) use load::script::{contents, digests};
pub use replace::PgsqlReplacement;
