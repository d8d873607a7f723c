//! Places that take snapshots instead of files: streams and folders as they lie, of which the place keeps what is new.
//!
//! Beside [`super::Destination`], through which such a place lists its backups as all others do. What a backup is put
//! together from is the caller's: each snapshot has tags, and the one with [`PART`]`=`[`WHOLE`], which is saved last, makes
//! the backup exist.

use crate::catalog::FileName;
use crate::source::unread::Unread;
use crate::{Monitor, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
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
/// The tag of the run that saved it: two machines may come to the same number in the same second.
pub const RUN: &str = "bam_run";
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

/// What all snapshots of a backup have in common, and no other backup's: number, site, run.
pub type Group = (u64, Option<String>, Option<String>);

impl Snapshot {
    /// Whose it is, where it is a backup's.
    pub fn group(&self) -> Option<Group> {
        let number = self.tag(ID)?.parse().ok()?;
        self.tag(PART).map(|_| (number, self.tag(SITE), self.tag(RUN)))
    }

    /// Whether it makes a backup exist.
    pub fn is_last(&self) -> bool {
        self.tag(PART).as_deref() == Some(WHOLE)
    }
}

/// A backup as its snapshots tell of it.
#[derive(Debug, Clone)]
pub struct Grouped<'a> {
    /// The name that it, and no other, has at this place.
    pub name: String,
    /// What makes it exist; of what was copied twice the one listed last.
    pub whole: &'a Snapshot,
    /// All its other snapshots.
    pub others: Vec<&'a Snapshot>,
}

impl<'a> Grouped<'a> {
    /// What a part of it is kept as.
    pub fn part(&self, part: &str) -> Option<&'a Snapshot> {
        self.others.iter().rfind(|one| one.tag(PART).as_deref() == Some(part)).copied()
    }
}

/// The backups that snapshots are. File names are for their runs to choose, which may not know of each other: of several
/// with one name the newest has it, and the others each one more like it.
pub fn backups(all: &[Snapshot]) -> Vec<Grouped<'_>> {
    let mut groups: BTreeMap<Group, Vec<&Snapshot>> = BTreeMap::new();
    for one in all {
        if let Some(group) = one.group() {
            groups.entry(group).or_default().push(one);
        }
    }
    let (mut found, mut taken) = (Vec::new(), BTreeSet::new());
    for (group, mut others) in groups.into_iter().rev() {
        let Some(at) = others.iter().rposition(|one| one.is_last()) else { continue };
        let whole = others.remove(at);
        let Some(file) = whole.tag(FILE) else { continue };
        let name = if taken.contains(&file) { another(&file, &group) } else { file };
        taken.insert(name.clone());
        found.push(Grouped { name, whole, others });
    }
    found
}

/// The name of a backup whose own is another's.
fn another(file: &str, group: &Group) -> String {
    let which = Sha256::digest(format!("{group:?}"));
    let which = crate::catalog::hex(which.get(..3).unwrap_or_default());
    let name = FileName::parse(file).map(|name| FileName { base: format!("{}-{which}", name.base), ..name });
    name.map_or_else(|| file.to_owned(), |name| name.to_string())
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
    /// What could not be read.
    pub lost: Lost,
}

/// What could not be read.
#[derive(Debug, Clone, Default)]
pub struct Lost {
    /// The first of it, and why; also what was gone.
    pub told: Vec<(String, String)>,
    /// How many more there are that were not gone.
    pub further: u64,
    /// All that was not gone, as paths below `/`.
    pub unread: Unread,
}

impl Lost {
    /// How many are told.
    const MOST: usize = 1000;

    /// Takes in one more, of which `meant` tells the files.
    pub fn add(&mut self, path: &str, cause: String, meant: impl FnOnce(&str) -> Vec<Vec<u8>>) {
        let is_gone = has_vanished(&cause);
        if !is_gone {
            for path in meant(path) {
                self.unread.add(path.strip_prefix(b"/").unwrap_or(&path));
            }
        }
        if self.told.len() < Self::MOST {
            self.told.push((path.to_owned(), cause));
        } else if !is_gone {
            self.further += 1;
        }
    }
}

/// Whether what restic could not read was gone.
pub fn has_vanished(cause: &str) -> bool {
    cause.to_ascii_lowercase().contains("no such file")
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

impl Checked {
    /// Whether it holds now, and not `before`: what was found damaged where data was read, only reading all of it disproves.
    pub fn tells_more_than(&self, before: &Checked) -> bool {
        let all = self.sample.is_some_and(|percent| percent >= 100.0);
        !self.ok || before.ok || before.sample.is_none() || all
    }
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
    /// Its bytes.
    pub size: u64,
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

    /// Whether none of these is gone, where that can be told without opening the place; `true` where it cannot.
    fn are_there(&self, snapshots: &[String]) -> bool;

    /// Whether the last look at its structure found it damaged.
    fn is_damaged(&self) -> bool;

    /// Gives the room free that nothing needs any more.
    fn prune(&self, monitor: &Monitor) -> Result<()>;

    /// Looks whether its structure is whole, and, with `percent`, reads so much of its data. What was found is remembered.
    fn check(&self, percent: Option<f64>, monitor: &Monitor) -> Result<()>;

    /// Shows the snapshots that have all of these tags below an empty folder, until the job is cancelled.
    fn mount(&self, tags: &[String], folder: &Path, monitor: &Monitor) -> Result<()>;

    /// What is known of it without opening it.
    fn known(&self) -> Known;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(id: &str, part: &str, number: u64, site: &str, run: &str, file: &str) -> Snapshot {
        let mut tags = vec![tag(PART, part), tag(ID, &number.to_string()), tag(SITE, site), tag(RUN, run)];
        if part == WHOLE {
            tags.push(tag(FILE, file));
        }
        Snapshot { id: id.into(), tags, ..Snapshot::default() }
    }

    #[test]
    fn backups_of_one_name_and_one_second_stay_apart() {
        let all = [
            snapshot("a", FILES, 7, "live", "1", ""),
            snapshot("b", FILES, 7, "stage", "2", ""),
            snapshot("B", WHOLE, 7, "stage", "2", "x.tar"),
            snapshot("A", WHOLE, 7, "live", "1", "x.tar"),
            snapshot("c", FILES, 7, "live", "3", ""),
            snapshot("C", WHOLE, 7, "live", "3", "x.tar"),
            snapshot("C2", WHOLE, 7, "live", "3", "x.tar"),
            snapshot("d", FILES, 8, "live", "4", ""),
        ];
        let told = |all: &[Snapshot]| {
            let mut told: Vec<_> = backups(all)
                .into_iter()
                .map(|one| (one.whole.id.clone(), one.part(FILES).map(|part| part.id.clone()), one.name))
                .collect();
            told.sort();
            told
        };
        let found = told(&all);
        let parts: Vec<_> = found.iter().map(|(whole, part, _)| (whole.as_str(), part.as_deref())).collect();
        assert_eq!(parts, [("A", Some("a")), ("B", Some("b")), ("C2", Some("c"))]);
        let names: BTreeSet<_> = found.iter().map(|(.., name)| name).collect();
        assert_eq!(names.len(), 3, "{names:?}");
        assert!(names.contains(&"x.tar".to_owned()) && names.iter().all(|name| name.ends_with(".tar")));
        let mut turned = all.to_vec();
        turned.swap(0, 3);
        turned.swap(1, 5);
        assert_eq!(told(&turned), found, "whatever the order of the list");
    }
}
