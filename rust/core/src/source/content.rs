//! The content of one file: its holes, reading it without disturbing the page cache, and whether it changed meanwhile.

use super::attributes;
use super::unread::not_read;
use super::walk::{Place, id, open};
use crate::archive::{Attribute, EntryKind, Segment, plan_segments};
use crate::{Error, Monitor};
use rustix::fd::OwnedFd;
use rustix::fs::{self, Advice, FileType, OFlags, SeekFrom, Stat};
use rustix::io::{Errno, ReadWriteFlags, pread, preadv2};
use std::io::{self, IoSliceMut, Read};
use std::num::NonZeroU64;
use std::path::Path;

/// Files up to this size are read at once when they are opened ahead.
const SMALL: u64 = 32 * 1024;

/// Holes in smaller files are not looked for.
const MIN_SPARSE: u64 = 64 * 1024;

/// From this size on, reading far ahead pays.
const LARGE: u64 = 1024 * 1024;

/// How much a file that was not cached may fill of the page cache before it is taken out again.
const CACHED: u64 = 8 * 1024 * 1024;

/// An open file, or a small one that was read already.
#[derive(Debug)]
pub struct Opened {
    /// What it was when it was opened.
    pub stat: Stat,
    /// Its access control list and extended attributes, or why they cannot be read: its content may be all the same.
    pub attributes: Result<Vec<Attribute>, Errno>,
    /// `None` once everything was read.
    file: Option<OwnedFd>,
    /// What was read ahead, from its beginning.
    head: Vec<u8>,
    /// From where on the page cache did not hold it.
    cold: Option<u64>,
    changed: bool,
}

impl Opened {
    /// Opens a file that the walk found and makes sure that it is one.
    pub fn new(path: &[u8], place: &Place) -> Result<Self, Errno> {
        let name = path.get(place.name..).unwrap_or_default();
        let flags = if place.follow.is_some() { OFlags::empty() } else { OFlags::NOFOLLOW };
        let file = open(&place.dir, name, flags)?;
        let stat = fs::fstat(&file)?;
        // The link leads elsewhere than a moment ago.
        if place.follow.is_some_and(|expected| expected != id(&stat)) {
            return Err(Errno::NOENT);
        }
        if place.reach.as_ref().is_some_and(|reach| !reach.reads(&stat)) {
            return Err(Errno::ACCESS);
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let attributes = attributes::of(&file);
                Ok(Opened {
                    stat,
                    attributes,
                    file: Some(file),
                    head: Vec::new(),
                    cold: None,
                    changed: false,
                })
            }
            // It was, a moment ago.
            _ => Err(Errno::NOENT),
        }
    }

    /// Size in bytes when it was opened.
    pub fn size(&self) -> u64 {
        u64::try_from(self.stat.st_size).unwrap_or(0)
    }

    /// Reads a small file, and lets the kernel begin with a larger one. What goes wrong here goes wrong again when
    /// the body is read, and is told then.
    pub fn read_ahead(&mut self) {
        let size = self.size();
        let Some(file) = self.file.as_ref().filter(|_| size > 0) else { return };
        if size > SMALL {
            let _ = fs::fadvise(file, 0, NonZeroU64::new(SMALL), Advice::WillNeed);
            return;
        }
        let mut head = vec![0; size as usize];
        let mut filled = 0;
        while let Some(space) = head.get_mut(filled..).filter(|space| !space.is_empty()) {
            match read_at(file, space, filled as u64, &mut self.cold) {
                Ok(0) => break,
                Ok(got) => filled += got,
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
        self.changed = self.is_changed();
        if let (Some(file), Some(from)) = (&self.file, self.cold) {
            uncache(file, from, size);
        }
        head.truncate(filled);
        self.head = head;
        self.file = None;
    }

    /// Whether the file is not what it was when it was opened.
    pub fn is_changed(&self) -> bool {
        let Some(file) = &self.file else { return self.changed };
        fs::fstat(file).map_or(true, |now| state(&now) != state(&self.stat))
    }

    /// What kind of member it is: sparse where it has holes worth leaving out.
    pub fn kind(&self) -> EntryKind {
        let size = self.size();
        match self.file.as_ref().and_then(|file| segments(file, &self.stat, size)) {
            Some(data) => EntryKind::Sparse { size, data },
            None => EntryKind::File { size },
        }
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

/// Reads what the page cache holds without waiting. What it does not hold is read from disk, and `cold` says from where
/// on, so that it can be taken out of the cache again: a backup must not push out what the site needs.
fn read_at(file: &OwnedFd, buf: &mut [u8], offset: u64, cold: &mut Option<u64>) -> Result<usize, Errno> {
    if cold.is_none() {
        match preadv2(file, &mut [IoSliceMut::new(buf)], offset, ReadWriteFlags::NOWAIT) {
            // Not cached, or a file system that cannot tell.
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => *cold = Some(offset),
            done => return done,
        }
    }
    pread(file, buf, offset)
}

fn uncache(file: &OwnedFd, from: u64, to: u64) {
    if let Some(len) = NonZeroU64::new(to.saturating_sub(from)) {
        // Advice may be ignored, and so may its failure.
        let _ = fs::fadvise(file, from, Some(len), Advice::DontNeed);
    }
}

/// Reads the segments of a file, one after the other.
pub struct Body<'a> {
    opened: &'a Opened,
    path: &'a Path,
    monitor: &'a Monitor,
    ignore_errors: bool,
    segments: Vec<Segment>,
    /// Which segment, and how far into it.
    at: usize,
    done: u64,
    cold: Option<u64>,
    cut: Option<Cut>,
}

/// Why a body ended before its time.
#[derive(Debug, Clone, Copy)]
pub enum Cut {
    /// It could not be read on, which was ignored.
    Failed(Errno),
    /// The file has become shorter.
    Shortened,
}

impl<'a> Body<'a> {
    /// The body of a member of this kind; `path` is for messages.
    pub fn new(
        opened: &'a Opened,
        kind: &EntryKind,
        path: &'a Path,
        ignore_errors: bool,
        monitor: &'a Monitor,
    ) -> Self {
        let segments = match kind {
            EntryKind::Sparse { data, .. } => data.clone(),
            kind => vec![Segment { offset: 0, len: kind.size() }],
        };
        if let Some(file) = opened.file.as_ref().filter(|_| kind.size() >= LARGE) {
            let _ = fs::fadvise(file, 0, None, Advice::Sequential);
        }
        let cold = opened.cold;
        Body { opened, path, monitor, ignore_errors, segments, at: 0, done: 0, cold, cut: None }
    }

    fn read_at(&mut self, buf: &mut [u8], offset: u64) -> Result<usize, Errno> {
        let Some(file) = &self.opened.file else {
            let from = usize::try_from(offset).ok().and_then(|from| self.opened.head.get(from..));
            // Reading from memory does not fail.
            return Ok(from.unwrap_or_default().read(buf).unwrap_or(0));
        };
        let got = read_at(file, buf, offset, &mut self.cold)?;
        let to = offset + got as u64;
        if let Some(from) = self.cold.filter(|from| to.saturating_sub(*from) >= CACHED) {
            uncache(file, from, to);
            self.cold = Some(to);
        }
        Ok(got)
    }

    /// Ends reading; why it was not read to the end that it had.
    pub fn finish(self) -> Option<Cut> {
        if let (Some(file), Some(from), Some(last)) = (&self.opened.file, self.cold, self.segments.last()) {
            uncache(file, from, last.offset.saturating_add(last.len));
        }
        self.cut
    }
}

impl Read for Body<'_> {
    /// A file that has become shorter ends the body, and with `ignore_errors` a stretch that cannot be read: whoever archives
    /// it fills up with NULs, and [`Body::finish`] tells.
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
                    self.cut = Some(Cut::Failed(cause));
                    return Ok(0);
                }
                Err(cause) => {
                    return Err(not_read(Error::io("cannot read", self.path, cause.into())).into());
                }
            };
            if got == 0 && most > 0 {
                self.cut = Some(Cut::Shortened);
            }
            self.done += got as u64;
            self.monitor.add_in(got as u64);
            return Ok(got);
        }
        Ok(0)
    }
}
