//! MariaDB and MySQL: dumped and loaded by the server's protocol or through their own clients, as plain SQL that these clients read.
//!
//! A dump has this order, so that a restore can load the tables beside the live ones, swap them in, and only then
//! make what hangs on names:
//!
//! ```text
//! header     character set, time zone, checks off; what was left out
//! structure  DROP and CREATE of all sequences and tables, by name
//! rows       INSERTs, one table after another, or several interleaved statement by statement
//! -- bam: views, triggers, routines, events   each after what it needs, with its definer
//! footer     what the header changed, put back
//! -- Dump completed
//! ```
//!
//! ```text
//! connect/   clients, connections, sessions, rights
//! dump/      schema ── rows, of several tables at a time ── objects: one SQL file
//! load/      statements of a dump ── rows over several connections: a database beside the live one
//! replace/   load ── preflight ── swap ── clean, or revert: the live database by the loaded one
//! ```
//!
//! Beside these: `schema`, what a database consists of, and `inventory`, what a database or a dump has, in numbers.

pub(crate) mod connect;
mod dump;
mod inventory;
pub(crate) mod load;
mod replace;
mod schema;

pub(crate) use connect::privileges::rights;
pub(crate) use dump::dump;
pub(crate) use inventory::{contents, digests, fingerprints, remove, tables};
pub use replace::MysqlReplacement;
