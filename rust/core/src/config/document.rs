//! The types of the document. Every field is documented in docs/configuration.md.
//!
//! Unknown keys are errors. Serialising masks every secret ([`super::mask`]).

mod destination;
mod profile;

pub use destination::{CredentialsFrom, Destination, DestinationType};
pub use profile::{Compression, CompressionLevel, EncryptionKind, Notify, Profile, SourceSettings};

use super::{Keep, lenient, mask};
use crate::{Note, Secret};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The whole document. Maps are keyed by machine name.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, expecting = "a map of settings")]
pub struct Document {
    /// What the document is written as; default: 1 (`read::NEWEST_FORMAT`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<u64>,
    /// The site being backed up.
    #[serde(deserialize_with = "lenient::or_default")]
    pub site: Site,
    /// Its databases.
    #[serde(deserialize_with = "lenient::table", skip_serializing_if = "BTreeMap::is_empty")]
    pub databases: BTreeMap<String, Database>,
    /// What can be backed up.
    #[serde(deserialize_with = "lenient::table", skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, Source>,
    /// Where backups go.
    #[serde(deserialize_with = "lenient::table", skip_serializing_if = "BTreeMap::is_empty")]
    pub destinations: BTreeMap<String, Destination>,
    /// How backups are made.
    #[serde(deserialize_with = "lenient::table", skip_serializing_if = "BTreeMap::is_empty")]
    pub profiles: BTreeMap<String, Profile>,
    /// When they are made.
    #[serde(deserialize_with = "lenient::table", skip_serializing_if = "BTreeMap::is_empty")]
    pub schedules: BTreeMap<String, Schedule>,
    /// Keys.
    #[serde(deserialize_with = "lenient::or_default")]
    pub encryption: Encryption,
    /// What must hold at all times.
    #[serde(deserialize_with = "lenient::or_default")]
    pub policy: Policy,
    /// The profile of a source that is backed up without naming one; default: the only one with settings for it, else
    /// `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_profile: Option<String>,
    /// Where locks lie, and what is remembered of earlier runs; default: `/var/lib/bam/SITE` or `/var/tmp/bam-UID-SITE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_dir: Option<PathBuf>,
    /// What `keep: smart` keeps.
    #[serde(deserialize_with = "lenient::or_default")]
    pub smart_keep: SmartKeep,
    /// The file it was read from.
    #[serde(skip)]
    pub file: Option<PathBuf>,
    /// What was noticed while the document was read; [`Document::check`] tells it.
    #[serde(skip)]
    pub notes: Vec<Note>,
}

/// The Drupal site (or any folder with a database).
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, expecting = "a map of settings")]
pub struct Site {
    /// The docroot.
    pub root: PathBuf,
    /// `sites/default` or the multi-site's folder, relative to `root`.
    pub conf_path: String,
    /// Name, for `[site:name]`.
    pub name: String,
    /// The administrator's address, for `[site:mail]`.
    pub mail: String,
    /// Base URL.
    #[serde(serialize_with = "mask::text")]
    pub url: String,
    /// `url` is that of a request or a command line, not one that the site's settings name: it does not tell whose a
    /// backup is.
    #[serde(deserialize_with = "lenient::boolean", skip_serializing_if = "std::ops::Not::not")]
    pub url_uncertain: bool,
    /// Addresses that the site had or has besides: backups of theirs are this site's, too.
    #[serde(deserialize_with = "lenient::list", skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Time zone for names and tokens, e.g. `Europe/Berlin`; default: the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Drupal's version, for the sidecar.
    pub drupal_version: String,
    /// Public files, relative to `root` or absolute. Default `CONF_PATH/files`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_path: Option<PathBuf>,
    /// Private files, absolute or relative to `root`; none where the site has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_path: Option<PathBuf>,
    /// The Drupal module whose cron runs the site's schedules; none where none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// The temporary folder of the site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temporary_path: Option<PathBuf>,
    /// The program that puts the site into maintenance mode and back, and its arguments (php-shim's `bam-maintenance`).
    /// Whoever runs a job says where that is; an exported document does not.
    #[serde(deserialize_with = "lenient::list", skip_serializing)]
    pub maintenance_command: Vec<String>,
}

/// One database. The password may be in the URL, or come from `password`, `password_file` or `password_env`.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, expecting = "a map of settings")]
pub struct Database {
    /// `mysql://user:pass@host:port/name`, `pgsql://…`, `sqlite:/path`; user and password URL-encoded.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "mask::url")]
    pub url: Option<Secret>,
    /// Table prefix.
    pub prefix: String,
    /// Unix socket; wins over the host.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "mask::path")]
    pub socket: Option<PathBuf>,
    /// The password itself.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "mask::secret")]
    pub password: Option<Secret>,
    /// A file whose first line is the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// An environment variable that holds the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_env: Option<String>,
}

/// What kind of thing a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceType {
    /// One database.
    Database,
    /// One folder.
    Files,
    /// The docroot, its files, and the database.
    Archive,
}

/// One source.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, expecting = "a map of settings")]
pub struct Source {
    /// What kind of thing it is.
    #[serde(rename = "type")]
    pub kind: SourceType,
    /// For people; default the machine name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For `database` and `archive`: which one; default `db`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// For `files`: relative to `site.root`, or absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// For `archive`: how much of the code; default all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<SourceCode>,
}

/// How much of a site's code an archive holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceCode {
    /// All of it.
    All,
    /// What Composer cannot bring back from `composer.lock`: the site's own code, patches, configuration.
    Composer,
}

/// A schedule: when backups are made.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, expecting = "a map of settings")]
pub struct Schedule {
    /// For people; default the machine name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Source; default `db`.
    pub source: String,
    /// Destinations, the first being the main one.
    #[serde(deserialize_with = "lenient::list", skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<String>,
    /// Profile; default `default`.
    pub profile: String,
    /// Seconds between runs; 0: only when asked.
    #[serde(deserialize_with = "lenient::seconds")]
    pub every: u64,
    /// A crontab expression, or `none`: only when asked. Wins over `every`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// Which stay at each destination.
    pub keep: Keep,
    /// Whether it runs by itself; default yes.
    #[serde(deserialize_with = "lenient::boolean")]
    pub enabled: bool,
    /// Unix time of the last run, where Drupal keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run: Option<u64>,
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule {
            name: None,
            source: "db".into(),
            destinations: Vec::new(),
            profile: "default".into(),
            every: 0,
            cron: None,
            keep: Keep::All,
            enabled: true,
            last_run: None,
        }
    }
}

/// How many backups of each age `keep: smart` keeps (B&M's variables `backup_migrate_smart_keep_*`).
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, expecting = "a map of settings")]
pub struct SmartKeep {
    /// All backups of so many last seconds.
    pub subhourly: u64,
    /// One an hour, for so many hours.
    pub hourly: u64,
    /// One a day, for so many days.
    pub daily: u64,
    /// One a week, for so many weeks; none: forever.
    pub weekly: Option<u64>,
}

impl Default for SmartKeep {
    fn default() -> Self {
        SmartKeep { subhourly: 3600, hourly: 24, daily: 30, weekly: None }
    }
}

/// Keys.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, expecting = "a map of settings")]
pub struct Encryption {
    /// A file whose first line is the passphrase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// The passphrase itself.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "mask::secret")]
    pub key: Option<Secret>,
    /// An environment variable that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
    /// More keys, for older backups: key files, and folders of them.
    #[serde(deserialize_with = "lenient::paths", skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<PathBuf>,
    /// age public keys (`age1…`) that `encryption: age` encrypts to.
    #[serde(deserialize_with = "lenient::list", skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
    /// PBKDF2 iterations for new backups; default 600 000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iterations: Option<u32>,
    /// The settings of the Drupal module aes 7.x, to read (and on request write) its files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aes_module: Option<AesModule>,
}

/// Settings of the Drupal module aes 7.x.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, expecting = "a map of settings")]
pub struct AesModule {
    /// `phpseclib` or `mcrypt`.
    pub implementation: String,
    /// `rijndael-128` (mcrypt only).
    pub cipher: String,
    /// The key string (variable `aes_key`).
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "mask::secret")]
    pub key: Option<Secret>,
    /// The file it is in (variable `aes_key_path`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// Variable `aes_encryption_iv`, base64.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "mask::secret")]
    pub iv: Option<Secret>,
}

/// What must hold at all times; `status` reports against it.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, expecting = "a map of settings")]
pub struct Policy {
    /// How many copies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copies: Option<u32>,
    /// Whether each must be on another machine; they must, unless the document says otherwise.
    #[serde(deserialize_with = "lenient::boolean")]
    pub distinct_hosts: bool,
    /// How old the newest backup may be, in seconds; written `8d`.
    #[serde(
        deserialize_with = "lenient::optional_seconds",
        serialize_with = "super::duration::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_age: Option<u64>,
    /// How often backups are verified, in seconds; written `30d`.
    #[serde(
        deserialize_with = "lenient::optional_seconds",
        serialize_with = "super::duration::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub verify_every: Option<u64>,
}

impl Policy {
    /// Whether it asks for anything.
    pub fn wants(&self) -> bool {
        self.copies.is_some_and(|copies| copies > 0) || self.max_age.is_some() || self.verify_every.is_some()
    }
}

impl Default for Policy {
    fn default() -> Self {
        Policy { copies: None, distinct_hosts: true, max_age: None, verify_every: None }
    }
}
