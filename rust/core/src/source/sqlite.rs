//! SQLite: a database is one file, copied page by page through SQLite's own backup API
//! (<https://www.sqlite.org/backup.html>), which respects other connections, their locks and their write-ahead log.
//!
//! Drupal 7 keeps a prefixed site's tables in a file of their own, `FILE-PREFIX`
//! (`DatabaseConnection_sqlite::__construct`): that is then the database.
//!
//! ```text
//! connect.rs   opening a database, and what SQLite says about it
//! defined.rs   functions and collations that the application defines
//! nameless.rs  databases in files without a name
//! copy.rs      copying page by page
//! dump.rs      dumping, and what a database or a dump holds
//! digests.rs   what is compared of a dump's tables
//! replace.rs   replacing a database
//! ```

mod connect;
mod copy;
mod defined;
mod digests;
mod dump;
mod nameless;
mod replace;

pub(crate) use connect::{check_is_there, files};
pub(crate) use digests::digests;
pub(crate) use dump::{contents, dump, tables};
pub use replace::SqliteReplacement;
