//! What can be asked of the engine. The same shape over the C ABI: `{"job": "backup", "what": "db"}`.

use crate::config::{Database, EncryptionKind};
use serde::Deserialize;
use std::path::PathBuf;

/// One request. Names are machine names of the document; an `id` is a backup's ID, its file name, or `latest`.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "job", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Backs up now. `what` is a source, else a profile, else a schedule; default `db`.
    Backup {
        /// A source, profile or schedule.
        #[serde(default)]
        what: Option<String>,
        /// Where to; default `manual`, or the schedule's destinations.
        #[serde(default)]
        destinations: Vec<String>,
        /// The profile; default as docs/configuration.md tells.
        #[serde(default)]
        profile: Option<String>,
        /// A text kept with the backup instead of the profile's.
        #[serde(default)]
        description: Option<String>,
    },
    /// Runs a schedule now, due or not: backs up, completes copies that are missing, deletes what is too old.
    Run {
        /// The schedule.
        schedule: String,
    },
    /// Completes copies that are missing at destinations which their backup was made for.
    Replicate {
        /// Of which site: its address or name, or `all`; default the document's own.
        #[serde(default)]
        site: Option<String>,
    },
    /// How the backups stand against the policy.
    Status {
        /// Of which site: its address or name, or `all`; default the document's own.
        #[serde(default)]
        site: Option<String>,
    },
    /// Looks whether what the document says is so: site, keys, databases, destinations.
    Check {
        /// Only this destination.
        #[serde(default)]
        destination: Option<String>,
    },
    /// Makes the repository of a destination, where there is none yet.
    Init {
        /// The destination.
        destination: String,
    },
    /// The key of a destination's server, asked for without logging in.
    HostKey {
        /// The destination.
        destination: String,
    },
    /// Writes a backup into a folder outside the destinations, with a checksum and instructions.
    Export {
        /// Which backup.
        id: String,
        /// The folder.
        path: PathBuf,
        /// Make it where it is missing.
        #[serde(default)]
        create: bool,
        /// The machine that the copy counts as; default by the file system that it lies on.
        #[serde(default)]
        host: Option<String>,
        /// A program to put beside it: bam itself.
        #[serde(default)]
        program: Option<PathBuf>,
        /// Also what nothing proves to be unchanged.
        #[serde(default)]
        unauthenticated: bool,
        /// Only of this source.
        #[serde(default)]
        source: Option<String>,
        /// Of which site: its address or name, or `all`; default the document's own.
        #[serde(default)]
        site: Option<String>,
    },
    /// Forgets exported copies: the disk was lost, overwritten or given away.
    Forget {
        /// A backup's ID or file name, a path that they lie below, or the disk or machine that they count as.
        what: String,
        /// Only those below this path.
        #[serde(default)]
        path: Option<PathBuf>,
    },
    /// Takes a backup file in, after checking it.
    Import {
        /// Where it is; a sidecar beside it comes along.
        file: PathBuf,
        /// Where it goes; default `manual`.
        #[serde(default)]
        destination: Option<String>,
        /// Take it although nothing proves that it is unchanged.
        #[serde(default)]
        unauthenticated: bool,
    },
    /// Deletes what is too old by the schedules' `keep`.
    Prune {
        /// Which; default all.
        #[serde(default)]
        schedules: Vec<String>,
        /// Only tell what would go, and why.
        #[serde(default)]
        dry_run: bool,
        /// Of which site: its address or name, or `all`; default the document's own.
        #[serde(default)]
        site: Option<String>,
    },
    /// Lists backups, newest first.
    Backups {
        /// Where to look; default everywhere.
        #[serde(default)]
        destinations: Vec<String>,
        /// Of which site: its address or name, or `all`; default the document's own.
        #[serde(default)]
        site: Option<String>,
    },
    /// Says which backup a restore or a deletion would mean, and changes nothing.
    Find {
        /// Which backup.
        id: String,
        /// Only with a copy there.
        #[serde(default)]
        destination: Option<String>,
        /// With `latest`: of this source.
        #[serde(default)]
        source: Option<String>,
        /// Of which site: its address or name, or `all`; default the document's own.
        #[serde(default)]
        site: Option<String>,
    },
    /// Counts backups and their bytes: by source, destination and month.
    Stats {
        /// Where to look; default everywhere.
        #[serde(default)]
        destinations: Vec<String>,
        /// Only of this source.
        #[serde(default)]
        source: Option<String>,
        /// Of which site: its address or name, or `all`; default the document's own.
        #[serde(default)]
        site: Option<String>,
    },
    /// Shows a backup in a repository as a folder, until it is cancelled.
    Mount {
        /// Which backup.
        id: String,
        /// Where: an empty folder.
        folder: PathBuf,
        /// Only with a copy there.
        #[serde(default)]
        destinations: Vec<String>,
        /// With `latest`: of this source.
        #[serde(default)]
        source: Option<String>,
        /// Of which site: its address or name, or `all`; default the document's own.
        #[serde(default)]
        site: Option<String>,
    },
    /// Restores one backup.
    Restore(Restore),
    /// Reads every byte of every copy and checks it.
    Verify {
        /// Also what nothing proves to be unchanged: it is read through, and not recorded as verified.
        #[serde(default)]
        unauthenticated: bool,
        /// Which backup; default all.
        #[serde(default)]
        id: Option<String>,
        /// Where to look; default everywhere.
        #[serde(default)]
        destinations: Vec<String>,
        /// Read only so many percent of each copy, and do not record it as a verification.
        #[serde(default)]
        sample: Option<f64>,
        /// Only of this source.
        #[serde(default)]
        source: Option<String>,
        /// Of which site: its address or name, or `all`; default the document's own.
        #[serde(default)]
        site: Option<String>,
    },
    /// Restores a backup into a scratch folder and a scratch database, compares, and throws it away.
    Drill {
        /// Also what nothing proves to be unchanged.
        #[serde(default)]
        unauthenticated: bool,
        /// Which backup; default the newest of every source.
        #[serde(default)]
        id: Option<String>,
        /// Where to look; default everywhere.
        #[serde(default)]
        destinations: Vec<String>,
        /// Only of this source.
        #[serde(default)]
        source: Option<String>,
        /// Of which site: its address or name, or `all`; default the document's own.
        #[serde(default)]
        site: Option<String>,
    },
    /// Encrypts existing backups anew, with the current key.
    Rekey(Rekey),
    /// Finishes or takes back a restore that was killed.
    Recover {
        /// Which of the two; default the one that its state suggests.
        #[serde(default)]
        way: RecoverWay,
    },
    /// Erases one backup at every destination.
    Delete {
        /// Which backup.
        id: String,
        /// Where; default everywhere.
        #[serde(default)]
        destinations: Vec<String>,
        /// Only of this source.
        #[serde(default)]
        source: Option<String>,
        /// Of which site: its address or name, or `all`; default the document's own.
        #[serde(default)]
        site: Option<String>,
    },
}

impl Request {
    /// Its name, as JSON has it.
    pub fn name(&self) -> &'static str {
        match self {
            Request::Backup { .. } => "backup",
            Request::Run { .. } => "run",
            Request::Replicate { .. } => "replicate",
            Request::Status { .. } => "status",
            Request::Check { .. } => "check",
            Request::Init { .. } => "init",
            Request::HostKey { .. } => "host_key",
            Request::Export { .. } => "export",
            Request::Forget { .. } => "forget",
            Request::Import { .. } => "import",
            Request::Prune { .. } => "prune",
            Request::Backups { .. } => "backups",
            Request::Find { .. } => "find",
            Request::Stats { .. } => "stats",
            Request::Mount { .. } => "mount",
            Request::Restore(_) => "restore",
            Request::Verify { .. } => "verify",
            Request::Drill { .. } => "drill",
            Request::Rekey(_) => "rekey",
            Request::Recover { .. } => "recover",
            Request::Delete { .. } => "delete",
        }
    }

    /// Whether it goes by what the site remembers of its runs.
    pub(super) fn remembers(&self) -> bool {
        !matches!(
            self,
            Request::Check { .. }
                | Request::Init { .. }
                | Request::HostKey { .. }
                | Request::Find { .. }
                | Request::Recover { .. }
        )
    }
}

/// What to encrypt anew, where, and how.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rekey {
    /// Which backups; none: all that are encrypted.
    pub ids: Vec<String>,
    /// Where; none: everywhere.
    pub destinations: Vec<String>,
    /// Of which site: its address or name, or `all`; default the document's own.
    pub site: Option<String>,
    /// `aes256` or `age`; default the encryption that a backup has, and `aes256` for the aes module's.
    pub to: Option<EncryptionKind>,
    /// Take what no MAC proves, although the new file will have one.
    pub unauthenticated: bool,
}

/// What to restore, from where, onto what.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Restore {
    /// Which backup. Not needed where `file` is given.
    pub id: Option<String>,
    /// Of which site: its address or name, or `all`; default the document's own. A file of another site needs it, too.
    pub site: Option<String>,
    /// Restore onto this source; default the one it was made from.
    pub source: Option<String>,
    /// Take it from this destination; default the nearest that has it.
    pub destination: Option<String>,
    /// A backup file anywhere on this machine.
    pub file: Option<PathBuf>,
    /// Go on although nothing proves that the backup is unchanged.
    pub unauthenticated: bool,
    /// For site archives: the code, too. settings.php stays as it is.
    pub code: bool,
    /// Replace settings.php, too, where the backup has it and it is among what is restored.
    pub settings: bool,
    /// Only these files and folders: as the backup has them, relative to the docroot (of a files source, to its
    /// folder), or absolute.
    pub paths: Vec<PathBuf>,
    /// Only these tables, with or without prefix; `cache_*` stands for all that begin so.
    pub tables: Vec<String>,
    /// Of a dump of several MariaDB or MySQL databases only this one.
    pub only: Option<String>,
    /// Only tell what would be replaced, added and lost.
    pub dry_run: bool,
    /// Not onto the site, but there. Then nothing of the document counts but its destinations and keys.
    pub elsewhere: Option<Box<Elsewhere>>,
}

/// Where else than onto the site a restore goes: a folder, a database, or both.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Elsewhere {
    /// A folder that is empty or does not exist yet; then it is made, 0700. With it, what is not loaded into `database`.
    pub folder: Option<PathBuf>,
    /// A database; made where it does not exist. A SQLite path must be absolute.
    pub database: Option<Database>,
    /// Replace what the database holds.
    pub replace: bool,
    /// Where the journal lies meanwhile; default: a folder of its own, removed at the end.
    pub state_dir: Option<PathBuf>,
}

/// Which way to end a restore that was interrupted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecoverWay {
    /// The one that its state suggests: back before the swap, forward from there on, back where forward fails.
    #[default]
    Either,
    /// The old data is to be live.
    TakeBack,
    /// The new data is to be live.
    Finish,
}
