//! Hard links: further names of files. Where the first name is not extracted, or comes later, they wait for a second pass.

use super::{Extractor, WAITING_NAMED};
use crate::archive::attributes::Attributes;
use crate::archive::beneath::open_dir;
use crate::archive::place::{Place, in_place_of_root, refuse_climbing, replacing, split};
use crate::archive::{Entry, EntryKind, Reader, Segment, show};
use crate::{Code, Error, NoteKind, Result, ResultExt};
use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{BufReader, Read};

/// How many that wait in vain are told by their names.
const TOLD: usize = 10;

impl Extractor<'_> {
    pub(super) fn hard_link(
        &mut self,
        entry: &Entry,
        place: &Place,
        target: &[u8],
        attributes: Attributes,
    ) -> Result<()> {
        refuse_climbing(target, &entry.path)?;
        if place.path.is_empty() {
            return Err(in_place_of_root(entry));
        }
        let first = (self.select)(target);
        if first.as_ref() == Some(place) {
            return Ok(());
        }
        if let Some(first) = &first
            && self.link(entry, place, first, attributes)?
        {
            return Ok(());
        }
        self.later.add(target, place, &entry.path)
    }

    /// Whether names wait for content, which a second pass over the archive may bring: [`Extractor::complete`].
    pub fn waits(&self) -> Result<bool> {
        self.later.is_empty().map(|none| !none)
    }

    /// Whether one of them waits for the content of the member at `path`.
    pub fn waits_for(&self, path: &[u8]) -> Result<bool> {
        self.later.first_of(path).map(|place| place.is_some())
    }

    /// Gives names that wait the content that the archive has under a path that was not extracted: to the first of them, the
    /// others become further names of that. Reads the archive from its start until none waits.
    pub fn complete(&mut self, reader: &mut Reader<impl Read>) -> Result<()> {
        while self.waits()?
            && let Some(member) = reader.next_member()?
        {
            self.monitor.check()?;
            let entry = &member.entry;
            let Some(first) = self.later.first_of(&entry.path)? else { continue };
            self.monitor.set_current(show(&first.path));
            let attributes = self.attributes(&member);
            match &entry.kind {
                EntryKind::File { size } => {
                    let whole = [Segment { offset: 0, len: *size }];
                    self.file(entry, &first, &whole, None, reader, attributes)?;
                }
                EntryKind::Sparse { size, data } => {
                    self.file(entry, &first, data, Some(*size), reader, attributes)?;
                }
                EntryKind::Symlink(target) => {
                    self.symlink(entry, &first, target, attributes)?;
                    while let Some(place) = self.later.first_of(&entry.path)? {
                        self.symlink(entry, &place, target, attributes)?;
                    }
                }
                // Nothing that has further names.
                EntryKind::Directory | EntryKind::Hardlink(_) | EntryKind::Special(_) => continue,
            }
            while let Some(place) = self.later.first_of(&entry.path)? {
                if !self.link(entry, &place, &first, attributes)? {
                    return Err(Error::of_path(Code::Io, self.path(&first), "is gone while it is restored"));
                }
            }
        }
        Ok(())
    }

    /// Tells which names still wait.
    pub(super) fn tell_waiting(&mut self) -> Result<()> {
        let (monitor, report) = (self.monitor, &mut self.report);
        self.later.each(&mut |name, content| {
            report.missing += 1;
            if report.missing <= TOLD as u64 {
                let text =
                    format!("{} has its content under {}, which was not found", show(&name), show(&content));
                monitor.note(NoteKind::Missing, text);
            }
            if report.waiting.len() < WAITING_NAMED {
                report.waiting.push(name);
            }
        })?;
        if report.missing > TOLD as u64 {
            let more = report.missing - TOLD as u64;
            monitor.note(NoteKind::Missing, format!("likewise {more} more names of files"));
        }
        Ok(())
    }

    /// Makes `place` a further name of the file at `first`; `false` where there is none.
    fn link(&mut self, entry: &Entry, place: &Place, first: &Place, attributes: Attributes) -> Result<bool> {
        let (parent, name) = split(place).ok_or_else(|| in_place_of_root(entry))?;
        let content = self.open_first(first).map_err(|e| self.failed("cannot open", first, e))?;
        let Some((first_dir, first_name, content)) = content else { return Ok(false) };
        let dir = self.parent(entry, parent, attributes)?;
        let mut was_folder = false;
        let linked = replacing(&dir, name, &mut was_folder, || {
            fs::linkat(&first_dir, &first_name, &dir, name, AtFlags::empty())
        });
        self.replaced(place, was_folder)?;
        match linked {
            Ok(()) => self.report.files += 1,
            // Other file system, too many names, no such thing here: a copy is the next best.
            Err(Errno::XDEV | Errno::MLINK | Errno::PERM | Errno::OPNOTSUPP) => {
                let size = content.metadata().at("cannot look at", &self.path(place))?.len();
                let whole = [Segment { offset: 0, len: size }];
                self.file(entry, place, &whole, None, &mut BufReader::new(content), attributes)?;
            }
            Err(e) => return Err(self.failed("cannot link", place, e)),
        }
        Ok(true)
    }

    /// The file that a hard link names, with its folder; `None` when there is none.
    fn open_first(&self, first: &Place) -> Result<Option<(OwnedFd, Vec<u8>, File)>, Errno> {
        let Some((parent, name)) = split(first) else { return Ok(None) };
        let opened = open_dir(self.root(first)?, &parent.path).and_then(|dir| {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file = fs::openat(&dir, name, flags, Mode::empty())?;
            let regular = fs::FileType::from_raw_mode(fs::fstat(&file)?.st_mode).is_file();
            Ok(regular.then(|| (dir, name.to_vec(), File::from(file))))
        });
        match opened {
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::XDEV) => Ok(None),
            other => other,
        }
    }
}
