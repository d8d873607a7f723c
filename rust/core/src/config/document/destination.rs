//! Where backups go.

use crate::Secret;
use crate::config::{lenient, mask};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What kind of place a destination is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DestinationType {
    /// A local folder.
    Directory,
    /// A folder on an SSH server, by the SFTP protocol.
    Sftp,
    /// A folder on an SSH server, through the rsync program.
    Rsync,
    /// A bucket at a server that speaks S3.
    S3,
    /// A folder on a WebDAV server.
    Webdav,
    /// A repository of snapshots, through the restic program.
    Restic,
}

/// Where the keys to a bucket come from, if not from the document or a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CredentialsFrom {
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`.
    Environment,
}

/// One destination.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, expecting = "a map of settings")]
pub struct Destination {
    /// What kind of place it is.
    #[serde(rename = "type")]
    pub kind: DestinationType,
    /// For people; default the machine name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For `directory`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// For `sftp` and `rsync`: `sftp://user[:pass]@host[:port]/path`, `[user@]host:path`; for `s3` `s3://bucket/prefix`; for
    /// `webdav` `https://user@host/path`.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "mask::url")]
    pub url: Option<Secret>,
    /// For `restic`: a path, or an address as restic takes it, e.g. `sftp:user@host:/repo`.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "mask::url")]
    pub repository: Option<Secret>,
    /// For `restic`: a file whose first line is the repository's password; default: the site's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// For `restic`: variables that restic takes credentials from, e.g. `AWS_ACCESS_KEY_ID`, and the files whose first
    /// lines are their values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub credential_files: BTreeMap<String, PathBuf>,
    /// The password, where it is not in the URL.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "mask::secret")]
    pub password: Option<Secret>,
    /// A file whose first line is the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// An environment variable that holds the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_env: Option<String>,
    /// The private key for SSH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_file: Option<PathBuf>,
    /// Where known host keys are; default `~/.ssh/known_hosts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_hosts: Option<PathBuf>,
    /// The one host key to accept, `SHA256:…` as `ssh-keygen -l` prints it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_key: Option<String>,
    /// For `s3`: the server's address; default Amazon's in the region.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "mask::address")]
    pub endpoint: Option<String>,
    /// For `s3`: the bucket's region; default that of Amazon's address, else us-east-1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// For `s3`: whether the bucket is in the path, not in the host's name; default yes where there is an endpoint.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::optional_boolean"
    )]
    pub path_style: Option<bool>,
    /// For `s3`: the ID of the key, whose secret is the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key: Option<String>,
    /// For `s3`: the profile whose keys are taken, of `credentials_file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// For `s3`: where profiles are; default `~/.aws/credentials`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<PathBuf>,
    /// For `s3`: keys from elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<CredentialsFrom>,
    /// For `s3`, `webdav` and `restic`: certificates in PEM that are trusted besides the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// For `s3`, `webdav` and `restic`: nothing is deleted or overwritten there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not", deserialize_with = "lenient::boolean")]
    pub append_only: bool,
    /// Octal permissions of files, e.g. `"0640"`; folders get the matching search bits. Default 0600 and 0700.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::mode")]
    pub chmod: Option<String>,
    /// The group that files get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chgrp: Option<String>,
    /// How many seconds a server may be silent before it counts as dead; default 60.
    #[serde(
        default,
        deserialize_with = "lenient::optional_seconds",
        serialize_with = "crate::config::duration::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub timeout: Option<u64>,
}
