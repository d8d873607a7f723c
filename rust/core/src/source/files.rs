//! A folder tree as a source: every file, folder and link of it, as members of an archive.
//!
//! The archive stays whole whatever happens to the tree meanwhile, and the report says what happened: files that
//! changed while they were read, that vanished, that could not be read. Reading leaves the page cache of the
//! machine as it was, so that a backup does not slow the site down.

use super::content::{Body, Cut, Opened};
use super::exclude::Excludes;
use super::prefetch;
use super::unread::Unread;
use super::walk::{Bare, Found, Id, Losses, Place, Walk, What, id, lost, withheld};
use crate::archive::{Attribute, Entry, EntryKind, Extras, show};
use crate::{Code, Error, Monitor, NoteKind, Result};
use rustix::fs::{AtFlags, Stat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// A folder to back up.
#[derive(Debug, Clone, Default)]
pub struct FileTree {
    /// The folder; may be reached through links.
    pub base: PathBuf,
    /// Its path in the archive, as in [`Entry::path`]; empty for an archive of this folder alone.
    pub prefix: Vec<u8>,
    /// What is left out.
    pub excludes: Excludes,
    /// Real paths of folders that links may lead into, whoever made them.
    pub named: Vec<PathBuf>,
    /// A folder behind a link of the tree that the archive has from a tree of its own: its path below `base`, and its real
    /// path. What is in it comes from there.
    pub apart: Option<(Vec<u8>, PathBuf)>,
    /// Go on without what cannot be read, with a note of [`NoteKind::Missing`].
    pub ignore_errors: bool,
    /// How many threads open files ahead; 0 opens each when it is its turn. Default: as many as pay.
    pub threads: Option<usize>,
}

/// What a walk found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeReport {
    /// Regular files, further names of them not counted.
    pub files: u64,
    /// Folders.
    pub directories: u64,
    /// Symbolic and hard links.
    pub links: u64,
    /// Bytes of the files, holes included.
    pub bytes: u64,
    /// Files that changed while they were read: the archive has a mixture of before and after.
    pub changed: u64,
    /// Files and folders that were gone before they could be read.
    pub vanished: u64,
    /// Sockets, devices and the like.
    pub skipped: u64,
    /// What could not be read and was ignored, as asked for.
    pub missing: u64,
    /// What of that is not in the archive, with all below it, or not to its end, as paths in it ([`Unread`]).
    pub unread: Vec<Vec<u8>>,
    /// Folders behind links out of the tree, as paths in the archive: the first [`MAX_FOLLOWED`] of them.
    pub followed: Vec<Vec<u8>>,
}

/// How many folders behind links are told.
pub const MAX_FOLLOWED: usize = 100;

/// How much of memory those files with several names may take that are remembered. Beyond that, further names are
/// archived as files of their own.
pub(super) const MAX_LINKED: usize = 12 << 20;
/// What one takes besides its path.
pub(super) const LINKED: usize = 64;

/// Threads that open files ahead. They mostly wait for the disk, so their number does not follow the cores'.
const THREADS: usize = 6;

/// Gets each member with its body: empty for what is no file, its segments one after the other for a sparse file.
pub type Visit<'v> = dyn FnMut(&Entry, &mut dyn Read) -> Result<()> + 'v;

impl FileTree {
    /// Walks the tree and calls `visit` for the folder itself, then for everything in it, ordered by the bytes of
    /// names, folders before what they hold.
    ///
    /// Errors: the folder cannot be read; something in it cannot (unless errors are ignored); `visit` fails; the job
    /// is cancelled.
    pub fn walk(&self, monitor: &Monitor, visit: &mut Visit<'_>) -> Result<TreeReport> {
        let (walk, base, attributes) = self.begin(self.ignore_errors, monitor)?;
        let pass = Pass {
            tree: self,
            monitor,
            visit,
            linked: HashMap::new(),
            linked_bytes: 0,
            losses: Losses::default(),
            report: TreeReport::default(),
        };
        pass.run(walk, &base, attributes)
    }

    /// A walk that is at its beginning, and what the folder is.
    pub(super) fn begin<'a>(
        &'a self,
        ignore_errors: bool,
        monitor: &'a Monitor,
    ) -> Result<(Walk<'a>, Stat, Vec<Attribute>)> {
        let (at, apart) = ((self.base.as_path(), self.prefix.as_slice()), self.apart.as_ref());
        Walk::new(at, &self.excludes, &self.named, apart, ignore_errors, monitor)
    }

    /// About how many bytes a walk would read, without opening a file. What cannot be looked at does not count.
    pub fn measure(&self, monitor: &Monitor) -> Result<u64> {
        let (mut walk, ..) = self.begin(true, monitor)?;
        let mut bytes = 0;
        while let Some(Found { path, what, .. }) = walk.next()? {
            monitor.check()?;
            let What::File(place) = what else { continue };
            let flags = match place.follow {
                Some(_) => AtFlags::empty(),
                None => AtFlags::SYMLINK_NOFOLLOW,
            };
            let name = OsStr::from_bytes(path.get(place.name..).unwrap_or_default());
            bytes += rustix::fs::statat(&place.dir, name, flags)
                .map_or(0, |stat| u64::try_from(stat.st_size).unwrap_or_default());
        }
        Ok(bytes)
    }
}

/// One walk over a tree.
struct Pass<'a, 'v> {
    tree: &'a FileTree,
    monitor: &'a Monitor,
    visit: &'a mut Visit<'v>,
    /// Files that were archived and may be met again, by another name.
    linked: HashMap<Id, Vec<u8>>,
    linked_bytes: usize,
    losses: Losses,
    report: TreeReport,
}

impl Pass<'_, '_> {
    fn run(mut self, walk: Walk<'_>, base: &Stat, attributes: Vec<Attribute>) -> Result<TreeReport> {
        self.bare(b"", base, EntryKind::Directory, attributes)?;
        let threads = self.tree.threads.unwrap_or(THREADS);
        let in_walk = prefetch::run(walk, threads, &mut |(Found { path, what, .. }, opened)| {
            self.monitor.check()?;
            match (what, opened) {
                (What::Folder { stat, attributes, followed }, _) => {
                    if followed && self.report.followed.len() < MAX_FOLLOWED {
                        self.report.followed.push(self.archived(&path));
                    }
                    self.bare(&path, &stat, EntryKind::Directory, attributes)
                }
                (What::Link(stat, target), _) => {
                    self.bare(&path, &stat, EntryKind::Symlink(target), Vec::new())
                }
                // Opening ahead needs descriptors, which the others have given back by now.
                (What::File(place), Some(Err(Errno::MFILE | Errno::NFILE)) | None) => {
                    self.file(&path, &place, Opened::new(&path, &place))
                }
                (What::File(place), Some(opened)) => self.file(&path, &place, opened),
            }
        })?;
        let losses = [std::mem::take(&mut self.losses), in_walk];
        self.report.vanished = losses.iter().map(|l| l.vanished).sum();
        self.report.skipped = losses.iter().map(|l| l.skipped).sum();
        self.report.missing += losses.iter().map(|l| l.missing).sum::<u64>();
        let mut unread = Unread::default();
        losses.iter().for_each(|losses| unread.join(&losses.unread));
        self.report.unread = unread.paths().map(|path| self.archived(path)).collect();
        let bare = losses.into_iter().map(|losses| losses.bare).reduce(Bare::and).unwrap_or_default();
        self.report.missing += bare.tell(self.monitor);
        Ok(self.report)
    }

    /// A member without a body.
    fn bare(&mut self, path: &[u8], stat: &Stat, kind: EntryKind, attributes: Vec<Attribute>) -> Result<()> {
        match kind {
            EntryKind::Directory => self.report.directories += 1,
            _ => self.report.links += 1,
        }
        let entry = self.entry(path, stat, kind, attributes);
        self.monitor.add_entry();
        (self.visit)(&entry, &mut io::empty())
    }

    fn file(&mut self, path: &[u8], place: &Place, opened: Result<Opened, Errno>) -> Result<()> {
        let (base, ignore_errors) = (&self.tree.base, self.tree.ignore_errors);
        let opened = match opened {
            Ok(opened) => opened,
            Err(Errno::ACCESS) if place.reach.is_some() => {
                self.monitor.note(NoteKind::Missing, withheld(path));
                self.losses.miss(path);
                return Ok(());
            }
            Err(e) => return lost(path, e, base, ignore_errors, self.monitor, &mut self.losses),
        };
        let stat = &opened.stat;
        if stat.st_nlink > 1 || place.follow.is_some() {
            if let Some(first) = self.linked.get(&id(stat)) {
                return self.bare(path, stat, EntryKind::Hardlink(first.clone()), Vec::new());
            }
            if self.linked_bytes < MAX_LINKED {
                let first = self.archived(path);
                self.linked_bytes += first.len() + LINKED;
                self.linked.insert(id(stat), first);
            }
        }
        self.report.files += 1;
        self.report.bytes += opened.size();
        self.monitor.add_entry();
        self.monitor.set_current(show(path));
        let attributes = opened.attributes.clone().unwrap_or_else(|cause| {
            self.losses.bare.add(path, cause);
            Vec::new()
        });
        let entry = self.entry(path, stat, opened.kind(), attributes);
        let absolute = base.join(OsStr::from_bytes(path));
        let mut body = Body::new(&opened, &entry.kind, &absolute, ignore_errors, self.monitor);
        (self.visit)(&entry, &mut body)?;
        if let Some(cut) = body.finish() {
            let name = show(path);
            let text = match cut {
                Cut::Failed(cause) => {
                    format!("{name} could not be read to its end ({cause}): NULs stand for the rest")
                }
                Cut::Shortened => {
                    format!("{name} became shorter while it was read: NULs stand for the rest")
                }
            };
            self.monitor.note(NoteKind::Missing, text);
            self.report.missing += 1;
            // Of one with several names those after it have no content of their own that a restore could do without.
            if stat.st_nlink < 2 && !self.losses.unread.add_cut(path) {
                let text =
                    "could not be read to its end, nor could many before it: more than can be recorded";
                return Err(Error::of_path(Code::Io, &absolute, text)
                    .hint("look at the disk: `dmesg` tells of its errors"));
            }
        } else if opened.is_changed() {
            self.monitor.note(NoteKind::Warning, format!("{} changed while it was read", show(path)));
            self.report.changed += 1;
        }
        Ok(())
    }

    /// A path below the base as the archive has it.
    fn archived(&self, path: &[u8]) -> Vec<u8> {
        match (self.tree.prefix.as_slice(), path) {
            (prefix, b"") => prefix.to_vec(),
            (b"", path) => path.to_vec(),
            (prefix, path) => [prefix, b"/", path].concat(),
        }
    }

    fn entry(&self, path: &[u8], stat: &Stat, kind: EntryKind, attributes: Vec<Attribute>) -> Entry {
        Entry {
            path: self.archived(path),
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            #[allow(clippy::unnecessary_cast, reason = "unsigned on some architectures")]
            mtime: stat.st_mtime as i64,
            #[allow(clippy::unnecessary_cast, reason = "signed on some architectures")]
            extras: Extras { nanos: stat.st_mtime_nsec as u32, attributes },
        }
    }
}
