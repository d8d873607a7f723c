//! What an error can be about, as data.

/// What a part of an [`crate::Error`] says. [`Fact::name`] is stable: scripts and the C ABI see it (docs/json.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fact {
    /// What was being done, as a verb: `read`, `log in`; else the name of the job.
    Operation,
    /// The file or folder, of this machine or of a server.
    Path,
    /// What is neither file nor database, kind and name: `table users`, `trigger t`.
    Object,
    /// The database, as messages call it; never with a password.
    Database,
    /// The destination, by its name in the configuration.
    Destination,
    /// The backup's file name.
    Backup,
    /// Why it failed, in the words of the operating system, the server or the library.
    Cause,
}

impl Fact {
    /// Its key in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Fact::Operation => "operation",
            Fact::Path => "path",
            Fact::Object => "object",
            Fact::Database => "database",
            Fact::Destination => "destination",
            Fact::Backup => "backup",
            Fact::Cause => "cause",
        }
    }

    /// What stands before its value in a message, where the value alone would not say what it is.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Fact::Database => "database",
            Fact::Destination => "destination",
            Fact::Operation | Fact::Path | Fact::Object | Fact::Backup | Fact::Cause => "",
        }
    }
}
