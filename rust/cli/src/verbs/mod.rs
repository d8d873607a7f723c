//! The verbs: each reads its arguments, asks where something has to be confirmed, runs a job of the engine, and says how
//! its result looks to people. With `--json` the engine's result (docs/json.md) goes out as it is.
//!
//! What they share lies beside this room: the configuration, questions (`confirm`), running a job (`work`) and
//! reading its `result`, `signals`, tables and sizes (`print`), `notify`.

pub mod across;
pub mod backup;
pub mod backups;
pub mod check;
pub mod copies;
pub mod decrypt;
pub mod delete;
pub mod destination;
pub mod drill;
pub mod import_settings;
pub mod keygen;
pub mod lists;
pub mod look;
pub mod recover;
pub mod rekey;
pub mod restore;
pub mod run;
pub mod schedule;
pub mod status;
pub mod verify;
