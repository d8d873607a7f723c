//! Places that take snapshots instead of files: streams and folders as they lie, of which the place keeps what is new.
//!
//! Beside [`super::Destination`], through which such a place lists its backups as all others do. What a backup is put
//! together from is the caller's: each snapshot has tags, and the one with [`PART`]`=`[`WHOLE`], which is saved last, makes
//! the backup exist.

use crate::{Monitor, Result};
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::path::Path;

/// The tag that says what a snapshot is of a backup: [`WHOLE`], [`DATABASE`] or [`FILES`].
pub const PART: &str = "bam_part";
/// The last snapshot of a backup, which holds what there is to say about it.
pub const WHOLE: &str = "backup";
/// The dump.
pub const DATABASE: &str = "database";
/// The folders as they lie.
pub const FILES: &str = "files";
/// The tag of a backup's number.
pub const ID: &str = "bam_id";
/// The tag of whose it is.
pub const SITE: &str = "bam_site";
/// The tag, in the last snapshot, of the backup's file name.
pub const FILE: &str = "bam_file";
/// The tag, in the last snapshot, of the parts that there are besides, separated by `+`.
pub const PARTS: &str = "bam_parts";
/// The file in the last snapshot.
pub const ABOUT: &str = "bam.json";

/// One snapshot as the place lists it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Its own name.
    pub id: String,
    /// `name` or `name=value`, percent-encoded.
    pub tags: Vec<String>,
    /// The machine or site that it says it is of.
    pub host: String,
    /// Whether it was copied from another place, and may be older there than here.
    pub copied: bool,
}

impl Snapshot {
    /// The value of a tag, decoded.
    pub fn tag(&self, name: &str) -> Option<String> {
        let value = self.tags.iter().find_map(|tag| tag.strip_prefix(name)?.strip_prefix('='))?;
        Some(percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned())
    }
}

/// A tag with a value: what a comma, a control character or `%` would break is percent-encoded.
pub fn tag(name: &str, value: &str) -> String {
    const ENCODED: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS.add(b',').add(b'%');
    format!("{name}={}", percent_encoding::percent_encode(value.trim().as_bytes(), ENCODED))
}

/// What became of a snapshot.
#[derive(Debug, Clone, Default)]
pub struct Saved {
    /// Its name, or the beginning of it.
    pub id: String,
    /// Bytes that it added to the place, before compression.
    pub added: u64,
    /// Regular files.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// What could not be read, and why.
    pub lost: Vec<(String, String)>,
}

/// What is known of a place without opening it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Known {
    /// Bytes that it takes.
    pub size: Option<u64>,
    /// Unix time at which that was found; `None`: now.
    pub size_time: Option<i64>,
    /// The last look at whether it is whole.
    pub check: Option<Checked>,
}

/// A look at whether a place is whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// Unix time at which it ended.
    pub time: i64,
    /// How much of the data was read, in percent; `None`: the structure alone was looked at.
    pub sample: Option<f64>,
    /// Whether it was found whole.
    pub ok: bool,
    /// What was found otherwise.
    pub error: Option<String>,
}

/// One thing in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The absolute path that it had; bytes that are no UTF-8 are replaced.
    pub path: String,
    /// Unix time of its last change, and nanoseconds upwards from there.
    pub mtime: i64,
    /// Below 1 000 000 000.
    pub nanos: u32,
    /// A regular file.
    pub is_file: bool,
}

/// What is saved as it lies.
#[derive(Debug, Clone, Default)]
pub struct Folders {
    /// Absolute paths.
    pub targets: Vec<Vec<u8>>,
    /// Absolute paths that are left out, with all below them.
    pub left_out: Vec<Vec<u8>>,
    /// The snapshot that this one mostly repeats.
    pub parent: Option<String>,
}

/// A place that takes snapshots. Everything read from it is proven by the place: who has not its key cannot have made it.
pub trait Snapshots: Send + Sync {
    /// Makes it where there is none yet. Fails with [`crate::Code::Usage`] where there is one.
    fn init(&self, monitor: &Monitor) -> Result<()>;

    /// All snapshots, whosesoever.
    fn all(&self) -> Result<Vec<Snapshot>>;

    /// The same, of a server as it was last listed here, with what was saved and forgotten from here since: it is not asked again.
    fn last_listed(&self) -> Result<Vec<Snapshot>>;

    /// Saves what `write` writes as the file `name`. `write` may be called again, from the beginning. Where it fails, no
    /// snapshot comes to be.
    fn save_stream(
        &self,
        name: &str,
        host: &str,
        tags: &[String],
        write: &mut dyn FnMut(&mut dyn Write) -> Result<()>,
        monitor: &Monitor,
    ) -> Result<Saved>;

    /// Saves folders.
    fn save_folders(
        &self,
        folders: &Folders,
        host: &str,
        tags: &[String],
        monitor: &Monitor,
    ) -> Result<Saved>;

    /// One file of a snapshot.
    fn read(&self, snapshot: &str, path: &[u8]) -> Result<Box<dyn Read + Send>>;

    /// One small file of a snapshot, of at most `most` bytes. It is remembered: a snapshot never changes.
    fn read_small(&self, snapshot: &str, path: &[u8], most: u64) -> Result<Vec<u8>>;

    /// All of a snapshot as a tar, by the absolute paths that it had; with `below` only what lies below a folder.
    fn read_tar(&self, snapshot: &str, below: Option<&[u8]>) -> Result<Box<dyn Read + Send>>;

    /// All folders, files and symbolic links of a snapshot, in the order of [`Snapshots::read_tar`].
    fn nodes(&self, snapshot: &str) -> Result<Box<dyn Iterator<Item = Node> + Send>>;

    /// A path of a snapshot, and all below it, likewise; the path itself comes first.
    fn nodes_below(&self, snapshot: &str, path: &[u8]) -> Result<Box<dyn Iterator<Item = Node> + Send>>;

    /// Remembers a small file that was just saved, as [`Snapshots::read_small`] gives it.
    fn remember_small(&self, snapshot: &str, content: &[u8]);

    /// Copies snapshots of another place, with their tags; those that are here already are not copied again. Each comes to be
    /// when all of it is here.
    fn copy_from(&self, from: &dyn Snapshots, snapshots: &[String], monitor: &Monitor) -> Result<()>;

    /// The place as what it is, for another of its kind.
    fn repository(&self) -> &super::Repository;

    /// Forgets snapshots. What only they held stays until [`Snapshots::prune`].
    fn forget(&self, snapshots: &[String]) -> Result<()>;

    /// Gives the room free that nothing needs any more.
    fn prune(&self, monitor: &Monitor) -> Result<()>;

    /// Looks whether its structure is whole, and, with `percent`, reads so much of its data. What was found is remembered.
    fn check(&self, percent: Option<f64>, monitor: &Monitor) -> Result<()>;

    /// Shows the snapshots that have all of these tags below an empty folder, until the job is cancelled.
    fn mount(&self, tags: &[String], folder: &Path, monitor: &Monitor) -> Result<()>;

    /// What is known of it without opening it.
    fn known(&self) -> Known;
}
