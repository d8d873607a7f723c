//! A folder tree as a source: every file, folder and link of it, as members of an archive.
//!
//! The archive stays whole whatever happens to the tree meanwhile, and the report says what happened: files that
//! changed while they were read, that vanished, that could not be read. Reading leaves the page cache of the
//! machine as it was, so that a backup does not slow the site down.

use super::exclude::Excludes;
use super::walk::{Found, Id, Losses, Place, Walk, What, id, lost, open};
use crate::archive::{Entry, EntryKind, Segment, plan_segments, show};
use crate::{Error, Monitor, NoteKind, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{self, Advice, FileType, OFlags, SeekFrom, Stat};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, IoSliceMut, Read};
use std::num::NonZeroU64;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A folder to back up.
#[derive(Debug, Clone, Default)]
pub struct FileTree {
    /// The folder; may be reached through links.
    pub base: PathBuf,
    /// Its path in the archive, as in [`Entry::path`]; empty for an archive of this folder alone.
    pub prefix: Vec<u8>,
    /// What is left out.
    pub excludes: Excludes,
    /// Go on without what cannot be read, with a note of [`NoteKind::Missing`].
    pub ignore_errors: bool,
}

/// What a walk found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
}

/// How many files with several names are remembered. Beyond that, further names are archived as files of their own, so
/// that memory stays bounded.
const MAX_LINKED: usize = 100_000;

/// Holes in smaller files are not looked for.
const MIN_SPARSE: u64 = 64 * 1024;

/// From this size on, reading far ahead pays.
const LARGE: u64 = 1024 * 1024;

/// Gets each member with its body: empty for what is no file, its segments one after the other for a sparse file.
pub type Visit<'v> = dyn FnMut(&Entry, &mut dyn Read) -> Result<()> + 'v;

impl FileTree {
    /// Walks the tree and calls `visit` for the folder itself, then for everything in it, ordered by the bytes of
    /// names, folders before what they hold.
    ///
    /// Errors: the folder cannot be read; something in it cannot (unless errors are ignored); `visit` fails; the job
    /// is cancelled.
    pub fn walk(&self, monitor: &Monitor, visit: &mut Visit<'_>) -> Result<TreeReport> {
        let (walk, base) = Walk::new(&self.base, &self.excludes, self.ignore_errors, monitor)?;
        let pass = Pass {
            tree: self,
            monitor,
            visit,
            linked: HashMap::new(),
            losses: Losses::default(),
            report: TreeReport::default(),
        };
        pass.run(walk, &base)
    }
}

/// One walk over a tree.
struct Pass<'a, 'v> {
    tree: &'a FileTree,
    monitor: &'a Monitor,
    visit: &'a mut Visit<'v>,
    /// Files that were archived and may be met again, by another name.
    linked: HashMap<Id, Vec<u8>>,
    losses: Losses,
    report: TreeReport,
}

impl Pass<'_, '_> {
    fn run(mut self, mut walk: Walk<'_>, base: &Stat) -> Result<TreeReport> {
        self.bare(b"", base, EntryKind::Directory)?;
        while let Some(Found { path, what }) = walk.next()? {
            match what {
                What::Folder(stat) => self.bare(&path, &stat, EntryKind::Directory)?,
                What::Link(stat, target) => self.bare(&path, &stat, EntryKind::Symlink(target))?,
                What::File(place) => self.file(&path, &place)?,
            }
        }
        let losses = [self.losses, walk.losses];
        self.report.vanished = losses.iter().map(|l| l.vanished).sum();
        self.report.skipped = losses.iter().map(|l| l.skipped).sum();
        self.report.missing += losses.iter().map(|l| l.missing).sum::<u64>();
        Ok(self.report)
    }

    /// A member without a body.
    fn bare(&mut self, path: &[u8], stat: &Stat, kind: EntryKind) -> Result<()> {
        match kind {
            EntryKind::Directory => self.report.directories += 1,
            _ => self.report.links += 1,
        }
        let entry = self.entry(path, stat, kind);
        self.monitor.add_entry();
        (self.visit)(&entry, &mut io::empty())
    }

    fn file(&mut self, path: &[u8], place: &Place) -> Result<()> {
        let (file, stat) = match open_file(path, place) {
            Ok(opened) => opened,
            Err(e) => {
                let (base, ignore) = (&self.tree.base, self.tree.ignore_errors);
                return lost(path, e, base, ignore, self.monitor, &mut self.losses);
            }
        };
        let archived = self.archived(path);
        if stat.st_nlink > 1 || place.follow {
            if let Some(first) = self.linked.get(&id(&stat)) {
                return self.bare(path, &stat, EntryKind::Hardlink(first.clone()));
            }
            if self.linked.len() < MAX_LINKED {
                self.linked.insert(id(&stat), archived);
            }
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let kind = match segments(&file, &stat, size) {
            Some(data) => EntryKind::Sparse { size, data },
            None => EntryKind::File { size },
        };
        self.report.files += 1;
        self.report.bytes += size;
        self.monitor.add_entry();
        self.monitor.set_current(show(path));
        let entry = self.entry(path, &stat, kind);
        let absolute = self.tree.base.join(OsStr::from_bytes(path));
        let mut body = Body::new(&file, &absolute, &entry.kind, self);
        (self.visit)(&entry, &mut body)?;
        if let Some(cause) = body.finish() {
            let text =
                format!("{} could not be read to its end ({cause}): NULs stand for the rest", show(path));
            self.monitor.note(NoteKind::Missing, text);
            self.report.missing += 1;
            return Ok(());
        }
        if fs::fstat(&file).map_or(true, |now| state(&now) != state(&stat)) {
            self.report.changed += 1;
            self.monitor.note(NoteKind::Warning, format!("{} changed while it was read", show(path)));
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

    fn entry(&self, path: &[u8], stat: &Stat, kind: EntryKind) -> Entry {
        Entry {
            path: self.archived(path),
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            #[allow(clippy::unnecessary_cast, reason = "unsigned on some architectures")]
            mtime: stat.st_mtime as i64,
        }
    }
}

/// Opens a file the walk found and makes sure that it is one.
fn open_file(path: &[u8], place: &Place) -> Result<(OwnedFd, Stat), Errno> {
    let name = path.get(place.name..).unwrap_or_default();
    let file = open(&place.dir, name, if place.follow { OFlags::empty() } else { OFlags::NOFOLLOW })?;
    let stat = fs::fstat(&file)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok((file, stat)),
        // It was, a moment ago.
        _ => Err(Errno::NOENT),
    }
}

/// What changes when a file's content does.
fn state(stat: &Stat) -> (i64, u64, u64, u64, u64) {
    #[allow(clippy::unnecessary_cast, reason = "the types differ between architectures")]
    (
        stat.st_size as i64,
        stat.st_mtime as u64,
        stat.st_mtime_nsec as u64,
        stat.st_ctime as u64,
        stat.st_ctime_nsec as u64,
    )
}

/// The segments of a file that has holes worth leaving out.
fn segments(file: &OwnedFd, stat: &Stat, size: u64) -> Option<Vec<Segment>> {
    #[allow(clippy::unnecessary_cast, reason = "the types differ between architectures")]
    let stored = (stat.st_blocks as u64).saturating_mul(512);
    if stored.saturating_add(MIN_SPARSE) > size {
        return None;
    }
    let mut at = 0;
    plan_segments(
        size,
        std::iter::from_fn(|| {
            // ENXIO: nothing but a hole from here on. Any other error: what follows is taken as data.
            let offset = match fs::seek(file, SeekFrom::Data(at)) {
                Ok(offset) => offset,
                Err(Errno::NXIO) => return None,
                Err(_) => at,
            };
            let end = fs::seek(file, SeekFrom::Hole(offset)).unwrap_or(size).min(size);
            at = end;
            (offset < end).then(|| Segment { offset, len: end - offset })
        }),
    )
}

/// Reads the segments of a file, one after the other.
struct Body<'a> {
    file: &'a OwnedFd,
    path: &'a Path,
    monitor: &'a Monitor,
    ignore_errors: bool,
    segments: Vec<Segment>,
    /// Which segment, and how far into it.
    at: usize,
    done: u64,
    /// From where on the file was not in the page cache.
    cold: Option<u64>,
    failed: Option<Errno>,
}

/// How much a cold file may fill of the page cache before it is taken out again.
const CACHED: u64 = 8 * 1024 * 1024;

impl<'a> Body<'a> {
    fn new(file: &'a OwnedFd, path: &'a Path, kind: &EntryKind, pass: &Pass<'a, '_>) -> Self {
        let segments = match kind {
            EntryKind::Sparse { data, .. } => data.clone(),
            kind => vec![Segment { offset: 0, len: kind.size() }],
        };
        if kind.size() >= LARGE {
            // Advice may be ignored, and so may its failure.
            let _ = fs::fadvise(file, 0, None, Advice::Sequential);
        }
        let (monitor, ignore_errors) = (pass.monitor, pass.tree.ignore_errors);
        Body { file, path, monitor, ignore_errors, segments, at: 0, done: 0, cold: None, failed: None }
    }

    /// Reads what the page cache holds without waiting; what it does not hold is read from disk, and remembered
    /// to be taken out of the cache.
    fn read_at(&mut self, buf: &mut [u8], offset: u64) -> Result<usize, Errno> {
        if self.cold.is_none() {
            match preadv2(self.file, &mut [IoSliceMut::new(buf)], offset, ReadWriteFlags::NOWAIT) {
                // Not cached, or a file system that cannot tell.
                Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
                done => return done,
            }
        }
        let got = rustix::io::pread(self.file, &mut *buf, offset)?;
        let from = *self.cold.get_or_insert(offset);
        let to = offset + got as u64;
        if to - from.min(to) >= CACHED {
            self.uncache(from, to);
            self.cold = Some(to);
        }
        Ok(got)
    }

    fn uncache(&self, from: u64, to: u64) {
        if let Some(len) = NonZeroU64::new(to.saturating_sub(from)) {
            let _ = fs::fadvise(self.file, from, Some(len), Advice::DontNeed);
        }
    }

    /// Ends reading; what went wrong and was ignored.
    fn finish(self) -> Option<Errno> {
        if let (Some(from), Some(last)) = (self.cold, self.segments.last()) {
            self.uncache(from, last.offset.saturating_add(last.len));
        }
        self.failed
    }
}

impl Read for Body<'_> {
    /// With `ignore_errors` a stretch that cannot be read ends the body: whoever archives it fills up with NULs, and
    /// [`Body::finish`] tells.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.monitor.check()?;
        while let Some(segment) = self.segments.get(self.at).copied() {
            if self.done == segment.len {
                (self.at, self.done) = (self.at + 1, 0);
                continue;
            }
            let most = usize::try_from(segment.len - self.done).map_or(buf.len(), |left| left.min(buf.len()));
            let space = buf.get_mut(..most).unwrap_or_default();
            let got = match self.read_at(space, segment.offset + self.done) {
                Ok(got) => got,
                Err(Errno::INTR) => continue,
                Err(cause) if self.ignore_errors => {
                    self.failed = Some(cause);
                    return Ok(0);
                }
                Err(cause) => {
                    return Err(Error::io("cannot read", self.path, cause.into())
                        .hint("check the disk, exclude the file, or set ignore_errors in the profile")
                        .into());
                }
            };
            self.done += got as u64;
            self.monitor.add_in(got as u64);
            return Ok(got);
        }
        Ok(0)
    }
}
