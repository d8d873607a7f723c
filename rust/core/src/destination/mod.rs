//! Where backups go: put, get, list, remove, stat. One file per kind of place.
//!
//! Owns how a backup appears and vanishes: bytes go to a hidden `.NAME.part`, are flushed to disk, the sidecar
//! `NAME.info` is put in place, the data is renamed, the folder is flushed. Whatever a listing shows is whole.
//! Knows nothing of what a backup contains or what its sidecar says.
//!
//! Local kinds are pushed to ([`Destination::begin`]); slow kinds pull ([`Destination::follow`]): each reads, at
//! its own pace, a local file that may still be growing, so that no destination waits for another.
//!
//! ```text
//! directory.rs   a local folder; pushed to
//! sftp/          a folder on a server, over SFTP; follows
//! rsync.rs       the same, its bytes moved by rsync
//! object/        a bucket at an S3 server, or a folder on a WebDAV server; follows
//! restic/        a repository of snapshots, kept by restic ([`snapshots`])
//! ssh/           the way to a server, for sftp and rsync
//! follow/        a local file that is read while it is still being written
//! ```
//!
//! Beside these: `names`, what lies beside a backup; `same`, destinations that are one place; `lease`, whose an unfinished one is; `named`, which adds a destination's
//! name to its errors.
//!
//! To add a kind: implement [`Destination`] in a file of its own here, name it in
//! [`DestinationType`] and in [`open`], and let it pass the tests in
//! `rust/core/tests/it/destinations/`, which are the same for every kind.

mod address;
mod broken;
mod directory;
mod follow;
pub(crate) mod lease;
mod named;
mod names;
pub(crate) mod object;
pub mod restic;
mod rsync;
pub(crate) mod same;
pub(crate) mod sftp;
pub mod snapshots;
pub(crate) mod ssh;

pub use address::at_address;
pub(crate) use address::is_address;
pub use broken::Broken;
pub use directory::Directory;
pub use follow::{Available, Follow, Growing, Spool};
pub(crate) use names::SIDECAR_MAX;
pub use names::check_name;
pub use object::Objects;
pub use rsync::Rsync;
pub use sftp::Sftp;
pub use ssh::host_key::{HostKey, host_key};
pub use ssh::retry::Patience;

use crate::config::document::{self, DestinationType};
use crate::{Cancel, Code, Error, Monitor, Note, NoteKind, Result};
use named::Named;
pub use restic::{Keeping, Repository};
pub use same::{Marks, Which};
pub use snapshots::Snapshots;
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;

/// A backup file as a listing shows it: whole, with its sidecar where it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// File name, without a path.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Unix time of the last change of the data.
    pub mtime: i64,
    /// The text of `NAME.info`.
    pub sidecar: Option<String>,
}

/// Size and age of one backup file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Bytes.
    pub size: u64,
    /// Unix time of the last change.
    pub mtime: i64,
}

/// What an upload does where the name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Fail and leave it alone.
    Keep,
    /// Take its place in one step, once the new one is whole.
    Replace,
}

/// A place that holds backups. Shared by threads; every method may block on disk or network.
pub trait Destination: Send + Sync {
    /// The machine name in the configuration.
    fn id(&self) -> &str;

    /// The machine that holds the bytes: this one's name for a folder, the server's for a remote place.
    fn host(&self) -> String;

    /// Whether that is this machine.
    fn is_here(&self) -> bool {
        self.host() == lease::this_host()
    }

    /// The folder there, the same for all destinations that mean it.
    fn folder(&self) -> String;

    /// As whom its server is asked, which may show each user a folder of their own by one and the same path.
    fn login(&self) -> String {
        String::new()
    }

    /// Which place it is, as far as that is known without asking a server that is not connected.
    fn which(&self) -> Which {
        Which::Name(self.host(), self.login(), self.folder())
    }

    /// The place as one that shows a file to all who have that place; `None` for those where that costs more than it is worth.
    fn marks(&self) -> Option<&dyn Marks> {
        None
    }

    /// The place in words, without secrets: `/srv/backups`, `sftp://backup@host/backups`.
    fn describe(&self) -> String;

    /// Says which job it works for from now on: once that is cancelled, no wait goes on. Places that are handed a
    /// [`Monitor`] take its flag by themselves.
    fn attend(&self, _job: &Cancel) {}

    /// Names a file for it to remember in that it did not answer, and since when: for a while, looking at it is then given
    /// up sooner.
    fn remember_silence(&self, _file: PathBuf) {}

    /// The place as one that takes snapshots; `None` for those that keep files.
    fn snapshots(&self) -> Option<&dyn Snapshots> {
        None
    }

    /// Whether the folder is there. Fails where that cannot be found out.
    fn is_there(&self) -> Result<bool>;

    /// Writes a small hidden file into the folder, which must be there, reads it back and removes it.
    fn try_out(&self) -> Result<()>;

    /// Makes sure that a backup could be written: reachable, there (made where missing), writable.
    fn prepare(&self, monitor: &Monitor) -> Result<()>;

    /// Removes what broken uploads left behind, except of names that `keep` wants to be left alone: those that are to be
    /// resumed, and those that are no backup's. Nothing without our mark is touched, and nothing of a run that is
    /// still going, on whatever machine. Returns the names.
    fn clean_parts(&self, keep: &dyn Fn(&str) -> bool) -> Result<Vec<String>>;

    /// Free bytes for us, where the place can say.
    fn free_space(&self) -> Result<Option<u64>>;

    /// All whole backups, foreign files included, sorted by name. Names that are not UTF-8 are not ours: left out. So
    /// is a backup whose sidecar cannot be read, of which `told` gets a note that it is missing: what it is nobody knows.
    /// `found` gets each as it is read; where looking fails, what it got is not all.
    fn look(&self, found: &mut dyn FnMut(Listed), told: &mut Vec<Note>) -> Result<()>;

    /// The same, with nothing said of what is left out.
    fn list(&self) -> Result<Vec<Listed>> {
        let mut all = Vec::new();
        self.look(&mut |listed| all.push(listed), &mut Vec::new())?;
        Ok(all)
    }

    /// Size and age, `None` where there is no such backup.
    fn stat(&self, name: &str) -> Result<Option<Stat>>;

    /// The text of `NAME.info`, `None` where there is none.
    fn sidecar(&self, name: &str) -> Result<Option<String>>;

    /// Reads a backup from its start. Fails with [`Code::NotFound`] where there is none.
    fn open(&self, name: &str) -> Result<Box<dyn Read + Send>>;

    /// The same from `offset` on; `None` where a backup can only be read from its start.
    fn open_at(&self, _name: &str, _offset: u64) -> Result<Option<Box<dyn Read + Send>>> {
        Ok(None)
    }

    /// `length` bytes of a backup from `offset` on, fewer only where it ends, and hardly more of the way there; `None` where
    /// it can only be read from its start.
    fn read_range(&self, name: &str, offset: u64, length: usize) -> Result<Option<Vec<u8>>> {
        let Some(reader) = self.open_at(name, offset)? else { return Ok(None) };
        let mut bytes = Vec::with_capacity(length);
        reader.take(length as u64).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Where the file is, when this machine can open it directly.
    fn local_path(&self, _name: &str) -> Option<PathBuf> {
        None
    }

    /// Whether old backups are guarded there: nothing is deleted, because the settings say so or the server refused to.
    fn guards(&self) -> bool {
        false
    }

    /// Removes data and sidecar; killed half-way, no listing shows a half. Fails with [`Code::NotFound`] where
    /// there is none.
    fn remove(&self, name: &str) -> Result<()>;

    /// The same of several. `told` hears of each as soon as it is known what became of it; where it fails, that is the end.
    fn remove_all(&self, names: &[&str], told: &mut dyn FnMut(&str, Result<()>) -> Result<()>) -> Result<()> {
        names.iter().try_for_each(|name| told(name, self.remove(name)))
    }

    /// Replaces the sidecar of a backup in one step.
    fn write_sidecar(&self, name: &str, text: &str) -> Result<()>;

    /// Whether [`Destination::begin`] works: the place is fast enough to be pushed to.
    fn pushes(&self) -> bool {
        false
    }

    /// Starts an upload that the caller pushes.
    fn begin(&self, _name: &str, _existing: Existing) -> Result<Box<dyn Upload>> {
        Err(Error::new(Code::Internal, format!("{} cannot be pushed to, only followed", self.describe())))
    }

    /// Uploads a local file, which may still be growing, under `name`; blocks until the backup is in place.
    /// `sidecar` is asked for once the file is finished, and may block until the text is known.
    fn follow(
        &self,
        name: &str,
        existing: Existing,
        file: &Follow,
        sidecar: &dyn Fn() -> Result<String>,
        monitor: &Monitor,
    ) -> Result<()>;

    /// SHA-256 of the data, `None` where only reading all of it back would tell.
    fn sha256(&self, name: &str, monitor: &Monitor) -> Result<Option<[u8; 32]>>;
}

/// A backup that is being pushed. Dropping it without [`Upload::commit`] takes back what was written.
pub trait Upload: Write + Send {
    /// A second handle, for [`Follow`]: reads what was written so far, whatever becomes of the name.
    fn reader(&self) -> Result<File>;

    /// Flushes, puts the sidecar in place and lets the backup appear.
    fn commit(self: Box<Self>, sidecar: &str) -> Result<()>;
}

/// The destination `id` as configured; its errors have its name. Connects to nothing yet.
pub fn open(id: &str, config: &document::Destination, site: &document::Site) -> Result<Box<dyn Destination>> {
    match config.kind {
        DestinationType::Directory => Ok(Box::new(Named(Directory::from_config(id, config, site)?))),
        DestinationType::Sftp => Ok(Box::new(Named(Sftp::from_config(id, config)?))),
        DestinationType::Rsync => Ok(Box::new(Named(Rsync::from_config(id, config)?))),
        DestinationType::S3 | DestinationType::Webdav => {
            Ok(Box::new(Named(Objects::from_config(id, config)?)))
        }
        DestinationType::Restic => open_repository(id, config, site, Keeping::default()),
    }
}

/// A repository, with what the site that uses it gives it.
pub fn open_repository(
    id: &str,
    config: &document::Destination,
    site: &document::Site,
    keeping: Keeping,
) -> Result<Box<dyn Destination>> {
    Ok(Box::new(Named(Repository::from_config(id, config, site, keeping)?)))
}

/// `NAME exists already`, the same for every kind.
fn taken(name: &str, place: &str) -> Error {
    Error::new(Code::Destination, format!("{place} holds a backup named {name} already"))
        .hint("use another file name, or the profile setting that overwrites")
        .of_a_name()
}

/// `no NAME here`, the same for every kind.
fn missing(name: &str, place: &str) -> Error {
    Error::new(Code::NotFound, format!("{place} holds no backup named {name}"))
}

/// Why a backup is left out of a listing.
fn unreadable(name: &str, error: &Error) -> Note {
    let text = format!("{name} is left out, as its sidecar cannot be read: {error}");
    Note { kind: NoteKind::Missing, text }
}

/// More than any listing of backups is.
fn too_much(place: &str) -> Error {
    Error::new(Code::Destination, format!("the listing of {place} is too long to be one of backups"))
        .hint("give the backups a folder of their own")
}
