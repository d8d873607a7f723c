//! The kinds of failure, their stable names and exit codes.

/// What kind of failure it was. Stable: scripts and the C ABI see [`Code::name`], and exit codes follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// The request itself is wrong: an unknown argument, source, profile or destination.
    Usage,
    /// The configuration document cannot be read or contradicts itself.
    Config,
    /// What was asked for does not exist: a backup, a file, a folder.
    NotFound,
    /// Reading or writing failed.
    Io,
    /// A disk or quota is full.
    Space,
    /// The operating system or a server refused access.
    Permission,
    /// A database server or its client failed.
    Database,
    /// A destination could not be reached or refused.
    Destination,
    /// A key is missing or unusable.
    Key,
    /// Bytes are not what they should be: wrong MAC, damaged or truncated data, wrong key.
    Integrity,
    /// Another run holds the lock.
    Locked,
    /// The user cancelled.
    Cancelled,
    /// Done, but not everywhere.
    Partial,
    /// A format, cipher or feature that bam does not handle.
    Unsupported,
    /// A bug in bam.
    Internal,
}

impl Code {
    /// The stable lower-case name, as the C ABI and JSON output give it.
    pub fn name(self) -> &'static str {
        match self {
            Code::Usage => "usage",
            Code::Config => "config",
            Code::NotFound => "not_found",
            Code::Io => "io",
            Code::Space => "space",
            Code::Permission => "permission",
            Code::Database => "database",
            Code::Destination => "destination",
            Code::Key => "key",
            Code::Integrity => "integrity",
            Code::Locked => "locked",
            Code::Cancelled => "cancelled",
            Code::Partial => "partial",
            Code::Unsupported => "unsupported",
            Code::Internal => "internal",
        }
    }

    /// The exit code of the `bam` command for this failure.
    pub fn exit_code(self) -> u8 {
        match self {
            Code::Usage | Code::Config => 2,
            Code::Partial => 3,
            Code::Integrity => 4,
            Code::Locked => 5,
            Code::Cancelled => 130,
            _ => 1,
        }
    }
}
