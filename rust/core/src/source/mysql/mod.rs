//! MariaDB and MySQL: dumped and loaded straight or through their own clients, as plain SQL that these clients read.
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

mod adapt;
mod client;
mod console;
mod direct;
mod dump;
mod exact;
mod foreign_keys;
mod guest;
mod indexes;
mod inserts;
mod intake;
mod inventory;
mod lane;
mod lanes;
mod leash;
mod loader;
mod long_rows;
mod merge;
mod moving;
mod objects;
mod privileges;
mod rehearse;
mod replace;
mod rights;
mod schema;
mod script;
mod select;
mod session;
mod straight;
mod wire;

pub(crate) use dump::dump;
pub(crate) use inventory::{contents, fingerprints, remove, tables};
pub(crate) use privileges::rights;
pub use replace::Replacement;
