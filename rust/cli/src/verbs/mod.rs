//! The verbs: each reads its arguments, asks where something has to be confirmed, runs a job of the engine, and says how
//! its result looks to people. With `--json` the engine's result (docs/json.md) goes out as it is.
//!
//! What they share lies beside this room: the configuration, running a job (`work`), signals, tables and sizes (`print`).

pub mod backup;
pub mod check;
pub mod copies;
pub mod decrypt;
pub mod destination;
pub mod import_settings;
pub mod keygen;
pub mod lists;
pub mod look;
pub mod restore;
pub mod schedule;
pub mod status;
