//! The types of the document. Every field is documented in docs/configuration.md.

use crate::Secret;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The whole document. Maps are keyed by machine name.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Document {
    /// The site being backed up.
    pub site: Site,
    /// Its databases.
    pub databases: BTreeMap<String, Database>,
    /// What can be backed up.
    pub sources: BTreeMap<String, Source>,
    /// Where backups go.
    pub destinations: BTreeMap<String, Destination>,
    /// How backups are made.
    pub profiles: BTreeMap<String, Profile>,
    /// When they are made.
    pub schedules: BTreeMap<String, Schedule>,
    /// Keys.
    pub encryption: Encryption,
    /// What must hold at all times.
    pub policy: Policy,
    /// Where locks and status files lie; default: `bam` in the temporary folder, 0700, one file per site.
    pub state_dir: Option<PathBuf>,
}

/// The Drupal site (or any folder with a database).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
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
    pub url: String,
    /// Drupal's version, for the sidecar.
    pub drupal_version: String,
    /// Public files, relative to `root` or absolute. Default `CONF_PATH/files`.
    pub public_path: Option<PathBuf>,
    /// Private files, absolute or relative to `root`; none where the site has none.
    pub private_path: Option<PathBuf>,
    /// The temporary folder of the site.
    pub temporary_path: Option<PathBuf>,
}

/// One database. The password may be in the URL, or come from `password`, `password_file` or `password_env`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Database {
    /// `mysql://user:pass@host:port/name`, `pgsql://…`, `sqlite:/path`; user and password URL-encoded.
    pub url: Option<Secret>,
    /// Table prefix.
    pub prefix: String,
    /// Unix socket; wins over the host.
    pub socket: Option<PathBuf>,
    /// The password itself.
    pub password: Option<Secret>,
    /// A file whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// An environment variable that holds the password.
    pub password_env: Option<String>,
}

/// What kind of thing a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
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
#[derive(Debug, Clone, Deserialize)]
pub struct Source {
    /// What kind of thing it is.
    #[serde(rename = "type")]
    pub kind: SourceType,
    /// For people; default the machine name.
    #[serde(default)]
    pub name: Option<String>,
    /// For `database` and `archive`: which one; default `db`.
    #[serde(default)]
    pub database: Option<String>,
    /// For `files`: relative to `site.root`, or absolute.
    #[serde(default)]
    pub path: Option<PathBuf>,
}

/// What kind of place a destination is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DestinationType {
    /// A local folder.
    Directory,
    /// A folder on an SSH server, by the SFTP protocol.
    Sftp,
    /// A folder on an SSH server, through the rsync program.
    Rsync,
}

/// One destination.
#[derive(Debug, Clone, Deserialize)]
pub struct Destination {
    /// What kind of place it is.
    #[serde(rename = "type")]
    pub kind: DestinationType,
    /// For people; default the machine name.
    #[serde(default)]
    pub name: Option<String>,
    /// For `directory`.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// For `sftp` and `rsync`: `sftp://user[:pass]@host[:port]/path`, `[user@]host:path`.
    #[serde(default)]
    pub url: Option<Secret>,
    /// The password, where it is not in the URL.
    #[serde(default)]
    pub password: Option<Secret>,
    /// A file whose first line is the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// An environment variable that holds the password.
    #[serde(default)]
    pub password_env: Option<String>,
    /// The private key for SSH.
    #[serde(default)]
    pub identity_file: Option<PathBuf>,
    /// Where known host keys are; default `~/.ssh/known_hosts`.
    #[serde(default)]
    pub known_hosts: Option<PathBuf>,
    /// The one host key to accept, `SHA256:…` as `ssh-keygen -l` prints it.
    #[serde(default)]
    pub host_key: Option<String>,
    /// Octal permissions of files, e.g. `"0640"`; folders get the matching search bits. Default 0600 and 0700.
    #[serde(default)]
    pub chmod: Option<String>,
    /// The group that files get.
    #[serde(default)]
    pub chgrp: Option<String>,
}

/// How a backup is compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Compression {
    #[default]
    Gzip,
    Zstd,
    Bzip2,
    Zip,
    None,
}

/// How hard the compressor tries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum CompressionLevel {
    Fast,
    #[default]
    Default,
    Best,
}

/// How a backup is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum EncryptionKind {
    /// The `.enc` container. B&M's `aes` means this, too.
    #[serde(rename = "aes256", alias = "aes")]
    Aes256,
    /// What the Drupal module aes 7.x writes (`.aes`).
    #[serde(rename = "aes-module")]
    AesModule,
    /// In the clear.
    #[default]
    #[serde(rename = "none", alias = "0", alias = "")]
    None,
}

/// A profile: how backups are made.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Profile {
    /// For people; default the machine name.
    pub name: Option<String>,
    /// File name with tokens, e.g. `[site:name]`.
    pub filename: String,
    /// 0 never overwrite (`-1`, `-2` …), 1 timestamp, 2 overwrite.
    pub append_timestamp: u8,
    /// PHP `date()` format of the timestamp.
    pub timestamp_format: String,
    /// Compression.
    pub compression: Compression,
    /// How hard it tries.
    pub compression_level: CompressionLevel,
    /// Encryption.
    pub encryption: EncryptionKind,
    /// A text kept with the backup; tokens allowed.
    pub description: String,
    /// Maintenance mode while the backup is made.
    pub site_offline: bool,
    /// Its message.
    pub site_offline_message: String,
    /// Go on without what cannot be read.
    pub ignore_errors: bool,
    /// Who hears of it.
    pub notify: Notify,
    /// Settings per source.
    pub sources: BTreeMap<String, SourceSettings>,
}

impl Default for Profile {
    fn default() -> Self {
        Profile {
            name: None,
            filename: "[site:name]".into(),
            append_timestamp: 1,
            timestamp_format: r"Y-m-d\TH-i-s".into(),
            compression: Compression::default(),
            compression_level: CompressionLevel::default(),
            encryption: EncryptionKind::default(),
            description: String::new(),
            site_offline: false,
            site_offline_message: String::new(),
            ignore_errors: false,
            notify: Notify::default(),
            sources: BTreeMap::new(),
        }
    }
}

/// Mail addresses; tokens allowed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Notify {
    /// On success.
    pub success: Vec<String>,
    /// On failure, partial success included.
    pub failure: Vec<String>,
}

/// What a profile says about one source. Table names that do not exist are no error.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct SourceSettings {
    /// Tables whose rows are left out.
    pub nodata_tables: Vec<String>,
    /// Tables that are left out.
    pub exclude_tables: Vec<String>,
    /// Lock the tables while they are dumped, for engines without transactions.
    pub lock_tables: bool,
    /// Paths that are left out: relative to the source, absolute, or stream URIs.
    /// `None`: the kind's default excludes.
    pub exclude: Option<Vec<String>>,
}

/// A schedule: when backups are made.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Schedule {
    /// For people; default the machine name.
    pub name: Option<String>,
    /// Source.
    pub source: String,
    /// Destinations, the first being the main one.
    pub destinations: Vec<String>,
    /// Profile.
    pub profile: String,
    /// Seconds between runs.
    pub every: u64,
    /// A crontab expression; wins over `every`.
    pub cron: Option<String>,
    /// How many to keep: 0 all, -2 smart delete.
    pub keep: i64,
    /// Whether it runs.
    pub enabled: bool,
    /// Unix time of the last run, where Drupal keeps it.
    pub last_run: Option<u64>,
}

/// Keys.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Encryption {
    /// A file whose first line is the passphrase.
    pub key_file: Option<PathBuf>,
    /// The passphrase itself.
    pub key: Option<Secret>,
    /// An environment variable that holds it.
    pub key_env: Option<String>,
    /// PBKDF2 iterations for new backups; default 600 000.
    pub iterations: Option<u32>,
    /// The settings of the Drupal module aes 7.x, to read (and on request write) its files.
    pub aes_module: Option<AesModule>,
}

/// Settings of the Drupal module aes 7.x.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct AesModule {
    /// `phpseclib` or `mcrypt`.
    pub implementation: String,
    /// `rijndael-128` (mcrypt only).
    pub cipher: String,
    /// The key string (variable `aes_key`).
    pub key: Option<Secret>,
    /// The file it is in (variable `aes_key_path`).
    pub key_file: Option<PathBuf>,
    /// Variable `aes_encryption_iv`, base64.
    pub iv: Option<Secret>,
}

/// What must hold at all times; `status` reports against it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// How many copies.
    pub copies: Option<u32>,
    /// Whether each must be on another machine.
    pub distinct_hosts: bool,
    /// How old the newest backup may be, e.g. `8d`.
    pub max_age: Option<String>,
    /// How often backups are verified, e.g. `30d`.
    pub verify_every: Option<String>,
}
