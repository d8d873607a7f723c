//! How backups are made.

use crate::Secret;
use crate::config::{lenient, mask};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a backup is compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum CompressionLevel {
    Fast,
    #[default]
    Default,
    Best,
}

/// How a backup is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum EncryptionKind {
    /// The `.enc` container. B&M's `aes` means this, too.
    #[serde(rename = "aes256")]
    Aes256,
    /// What the Drupal module aes 7.x writes (`.aes`).
    #[serde(rename = "aes-module")]
    AesModule,
    /// To the public keys in `encryption.recipients` (`.age`).
    #[serde(rename = "age")]
    Age,
    /// In the clear.
    #[default]
    #[serde(rename = "none")]
    None,
}

/// A profile: how backups are made.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, expecting = "a map of settings")]
pub struct Profile {
    /// For people; default the machine name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// File name with tokens, e.g. `[site:name]`.
    pub filename: String,
    /// 0 never overwrite (`-1`, `-2` …), 1 timestamp, 2 overwrite.
    #[serde(deserialize_with = "lenient::append_timestamp")]
    pub append_timestamp: u8,
    /// PHP `date()` format of the timestamp.
    pub timestamp_format: String,
    /// Compression.
    #[serde(deserialize_with = "lenient::compression")]
    pub compression: Compression,
    /// How hard it tries.
    pub compression_level: CompressionLevel,
    /// Encryption.
    #[serde(deserialize_with = "lenient::encryption")]
    pub encryption: EncryptionKind,
    /// A text kept with the backup; tokens allowed.
    pub description: String,
    /// Maintenance mode while the backup is made.
    #[serde(deserialize_with = "lenient::boolean")]
    pub site_offline: bool,
    /// Its message.
    pub site_offline_message: String,
    /// Go on without what cannot be read.
    #[serde(deserialize_with = "lenient::boolean")]
    pub ignore_errors: bool,
    /// Who hears of it.
    #[serde(deserialize_with = "lenient::or_default")]
    pub notify: Notify,
    /// Settings per source.
    #[serde(deserialize_with = "lenient::table", skip_serializing_if = "BTreeMap::is_empty")]
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
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, expecting = "a map of settings")]
pub struct Notify {
    /// On success.
    #[serde(deserialize_with = "lenient::list", skip_serializing_if = "Vec::is_empty")]
    pub success: Vec<String>,
    /// On failure, partial success included.
    #[serde(deserialize_with = "lenient::list", skip_serializing_if = "Vec::is_empty")]
    pub failure: Vec<String>,
    /// A URL that gets a JSON message by POST after each scheduled run.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "mask::secret")]
    pub webhook: Option<Secret>,
    /// A URL that is asked for after each scheduled run, with `/fail` behind it when the run failed.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "mask::secret")]
    pub ping: Option<Secret>,
}

/// What a profile says about one source. Table names that do not exist are no error; `cache_*` names all that begin so
/// ([`crate::config::names_table`]).
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, expecting = "a map of settings")]
pub struct SourceSettings {
    /// Tables whose rows are left out.
    #[serde(deserialize_with = "lenient::list", skip_serializing_if = "Vec::is_empty")]
    pub nodata_tables: Vec<String>,
    /// Tables that are left out.
    #[serde(deserialize_with = "lenient::list", skip_serializing_if = "Vec::is_empty")]
    pub exclude_tables: Vec<String>,
    /// Lock the tables while they are dumped, for engines without transactions.
    #[serde(deserialize_with = "lenient::boolean")]
    pub lock_tables: bool,
    /// Paths that are left out: relative to the source, absolute, or stream URIs.
    /// `None`: the kind's default excludes.
    #[serde(deserialize_with = "lenient::lines", skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Vec<String>>,
}
