//! Puts members of an archive into folders, and nowhere else.
//!
//! Whatever the archive says, nothing is written outside the roots: paths are resolved below an open root
//! (see `beneath`), files are made anew (never written through a link or into a file that was there), names with
//! `..` are refused, devices are skipped. Set-user-ID bits are dropped unless asked for.

mod metadata;
mod names;

use super::attributes::Attributes;
use super::beneath::{make_dir_all, open_dir};
use super::later::Later;
use super::pending::Pending;
use super::place::{
    LOOK, Place, in_place_of_root, leads_out, make_folder, refuse_climbing, refuse_deep, replacing, split,
    times,
};
use super::{Entry, EntryKind, Member, Owners, Reader, Segment, show};
use crate::{Code, Error, Monitor, NoteKind, Result, ResultExt};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{BufRead, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DEFAULT_ACL: &str = "system.posix_acl_default";

/// What to restore besides content, modes and times.
#[derive(Debug, Clone, Copy)]
pub struct ExtractOptions {
    /// Give files their owners back. Only root can; the default is to do it when we are root.
    pub owners: bool,
    /// Go by owners' numbers even where this machine knows their names.
    pub numeric_owners: bool,
    /// Restore set-user-ID and set-group-ID bits of files, too. Only for archives whose origin is proven.
    pub special_bits: bool,
}

impl Default for ExtractOptions {
    fn default() -> Self {
        let owners = rustix::process::geteuid().is_root();
        ExtractOptions { owners, numeric_owners: false, special_bits: false }
    }
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExtractReport {
    /// Regular files, further names of them included.
    pub files: u64,
    /// Folders that the archive holds.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Bytes of file content written.
    pub bytes: u64,
    /// Members that cannot be restored by design (devices, fifos, unknown types).
    pub skipped: u64,
    /// Hard links whose content was not selected, and not found by [`Extractor::complete`]. The first have notes.
    pub missing: u64,
    /// Their paths in the archive; no more than [`WAITING_NAMED`].
    pub waiting: Vec<Vec<u8>>,
}

/// How many hard links without content a report names.
const WAITING_NAMED: usize = 1000;

/// Chooses members and says where they go; `None` leaves a member out.
type Select<'a> = Box<dyn FnMut(&[u8]) -> Option<Place> + 'a>;

/// Extracts members into its roots.
pub struct Extractor<'a> {
    roots: Vec<Root>,
    select: Select<'a>,
    options: ExtractOptions,
    owners: Owners,
    monitor: &'a Monitor,
    /// The folder of the last member: the next one mostly lies there, too.
    parent: Option<(Place, Arc<OwnedFd>)>,
    /// What folders get at the end, when nothing disturbs their times any more.
    folders: Pending,
    /// Hard links whose content is not there yet.
    later: Later,
    /// Kinds of attributes that were told not to be restored.
    told: Vec<&'static str>,
    report: ExtractReport,
}

struct Root {
    path: PathBuf,
    dir: OwnedFd,
    /// What is made in it gets an access control list from it, which no archive meant.
    inherits: bool,
}

impl Root {
    fn open(path: &Path) -> Result<Root> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = fs::open(path, flags, Mode::empty()).at("cannot open the folder", path)?;
        let inherits = match fs::getxattr_query(path, DEFAULT_ACL) {
            Err(Errno::NODATA | Errno::NOTSUP) => false,
            found => found.at("cannot read the access control list of", path)? > 0,
        };
        Ok(Root { path: path.to_path_buf(), dir, inherits })
    }
}

/// The mode of folders that the archive does not mention; their owner is that of the first member in them.
const UNMENTIONED: u32 = 0o755;

impl<'a> Extractor<'a> {
    /// Extracts into `roots`, existing folders, what `select` chooses by its path in the archive.
    pub fn new(
        roots: &[&Path],
        options: ExtractOptions,
        monitor: &'a Monitor,
        select: impl FnMut(&[u8]) -> Option<Place> + 'a,
    ) -> Result<Self> {
        Ok(Extractor {
            roots: roots.iter().map(|path| Root::open(path)).collect::<Result<_>>()?,
            select: Box::new(select),
            options,
            owners: Owners::of_this_machine(),
            monitor,
            parent: None,
            folders: Pending::new(),
            later: Later::new(),
            told: Vec::new(),
            report: ExtractReport::default(),
        })
    }

    /// Adds a root while it runs; gives its number.
    pub fn add_root(&mut self, path: &Path) -> Result<usize> {
        self.roots.push(Root::open(path)?);
        Ok(self.roots.len() - 1)
    }

    /// Extracts everything into one folder.
    pub fn into_folder(root: &Path, options: ExtractOptions, monitor: &'a Monitor) -> Result<Self> {
        Self::new(&[root], options, monitor, |path| Some(Place { root: 0, path: path.to_vec() }))
    }

    /// Extracts all that is left in `reader` and finishes.
    pub fn run(mut self, reader: &mut Reader<impl Read>) -> Result<ExtractReport> {
        while let Some(member) = reader.next_member()? {
            self.take(&member, reader)?;
        }
        self.finish()
    }

    /// Extracts one member when it is selected; says whether it was. `body` is the reader it comes from.
    pub fn take(&mut self, member: &Member, body: &mut impl BufRead) -> Result<bool> {
        self.monitor.check()?;
        let entry = &member.entry;
        refuse_climbing(&entry.path, &entry.path)?;
        let Some(place) = (self.select)(&entry.path) else { return Ok(false) };
        refuse_deep(&place.path)?;
        refuse_climbing(&place.path, &entry.path)?;
        self.monitor.set_current(show(&entry.path));
        self.monitor.add_entry();
        let attributes = self.attributes(member);
        match &entry.kind {
            EntryKind::Special(flag) => {
                let what = match flag {
                    b'3' | b'4' => "a device",
                    b'6' => "a fifo",
                    _ => "of a type that bam does not know",
                };
                self.monitor.note(NoteKind::Info, format!("{} is {what}: skipped", show(&entry.path)));
                self.report.skipped += 1;
            }
            EntryKind::Directory => self.folder(entry, place, attributes)?,
            EntryKind::Symlink(target) => self.symlink(entry, &place, target, attributes)?,
            EntryKind::Hardlink(target) => self.hard_link(entry, &place, target, attributes)?,
            EntryKind::File { size } => {
                let whole = [Segment { offset: 0, len: *size }];
                self.file(entry, &place, &whole, None, body, attributes)?;
            }
            EntryKind::Sparse { size, data } => {
                self.file(entry, &place, data, Some(*size), body, attributes)?;
            }
        }
        Ok(true)
    }

    /// Gives folders their modes, owners and times, the innermost first.
    pub fn finish(mut self) -> Result<ExtractReport> {
        self.tell_waiting()?;
        let folders = std::mem::replace(&mut self.folders, Pending::new());
        folders.each_back(&mut |place, attributes, extras| {
            self.monitor.check()?;
            self.set_folder(&place, attributes, &extras)
                .map_err(|e| self.failed("cannot set the mode of", &place, e))
        })?;
        Ok(self.report)
    }

    fn folder(&mut self, entry: &Entry, place: Place, attributes: Attributes) -> Result<()> {
        self.report.directories += 1;
        if let Some((parent, name)) = split(&place) {
            let dir = self.parent(entry, parent, attributes)?;
            if let Err(e) = make_folder(dir.as_fd(), name) {
                return Err(self.failed("cannot make the folder", &place, e));
            }
            self.later.forget(&place)?;
        }
        self.folders.set(&place, attributes, &entry.extras.attributes)
    }

    fn symlink(&mut self, entry: &Entry, place: &Place, target: &[u8], attributes: Attributes) -> Result<()> {
        let (parent, name) = split(place).ok_or_else(|| in_place_of_root(entry))?;
        if leads_out(&place.path, target) {
            let text = format!("{} is a symbolic link that leads out: {}", show(&entry.path), show(target));
            self.monitor.note(NoteKind::Info, text);
        }
        let dir = self.parent(entry, parent, attributes)?;
        let mut was_folder = false;
        let made = replacing(&dir, name, &mut was_folder, || fs::symlinkat(target, &dir, name));
        self.replaced(place, was_folder)?;
        let made = made.and_then(|()| {
            self.own(attributes, |uid, gid| fs::chownat(&dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW))?;
            let times = times((entry.mtime, entry.extras.nanos));
            fs::utimensat(&dir, name, &times, AtFlags::SYMLINK_NOFOLLOW)
        });
        self.report.symlinks += 1;
        made.map_err(|e| self.failed("cannot make the symbolic link", place, e))
    }

    fn file(
        &mut self,
        entry: &Entry,
        place: &Place,
        data: &[Segment],
        sparse_size: Option<u64>,
        body: &mut impl BufRead,
        attributes: Attributes,
    ) -> Result<()> {
        let (parent, name) = split(place).ok_or_else(|| in_place_of_root(entry))?;
        let dir = self.parent(entry, parent, attributes)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut was_folder = false;
        let made =
            replacing(&dir, name, &mut was_folder, || fs::openat(&dir, name, flags, Mode::RUSR | Mode::WUSR));
        self.replaced(place, was_folder)?;
        let file = File::from(made.map_err(|e| self.failed("cannot make the file", place, e))?);
        let filled = self.fill(entry, place, &file, data, sparse_size, body).and_then(|()| {
            self.set_file(&file, entry, place, attributes)
                .map_err(|e| self.failed("cannot set the mode of", place, e))
        });
        if filled.is_err() {
            // Half a file is worse than none; should this fail, too, the first error is the one that matters.
            let _ = fs::unlinkat(&dir, name, AtFlags::empty());
        }
        self.report.files += 1;
        filled
    }

    fn fill(
        &mut self,
        entry: &Entry,
        place: &Place,
        file: &File,
        data: &[Segment],
        sparse_size: Option<u64>,
        body: &mut impl BufRead,
    ) -> Result<()> {
        if let Some(size) = sparse_size {
            file.set_len(size).at("cannot make the file", &self.path(place))?;
        }
        for segment in data {
            let mut done = 0;
            while done < segment.len {
                let chunk = body.fill_buf()?;
                let most = usize::try_from(segment.len - done).unwrap_or(usize::MAX).min(chunk.len());
                let chunk = chunk.get(..most).unwrap_or_default();
                if chunk.is_empty() {
                    let text = format!("the content of {} is cut off", show(&entry.path));
                    return Err(Error::new(Code::Integrity, text));
                }
                file.write_all_at(chunk, segment.offset + done).at("cannot write", &self.path(place))?;
                body.consume(most);
                done += most as u64;
                self.report.bytes += most as u64;
                self.monitor.add_out(most as u64);
                self.monitor.check()?;
            }
        }
        Ok(())
    }

    /// The handle of a folder, made with its parents where it is missing.
    fn parent(&mut self, entry: &Entry, place: Place, attributes: Attributes) -> Result<Arc<OwnedFd>> {
        if let Some((_, dir)) = self.parent.as_ref().filter(|(at, _)| *at == place) {
            return Ok(Arc::clone(dir));
        }
        let mut made = Vec::new();
        let dir = self.open_parent(&place, &mut made).map_err(|e| match e {
            Errno::LOOP | Errno::NOTDIR | Errno::XDEV => Error::new(
                Code::Integrity,
                format!("{} lies below a symbolic link or a file: refused", show(&entry.path)),
            )
            .hint(LOOK),
            e => self.failed("cannot open the folder", &place, e),
        })?;
        for len in made {
            let unmentioned = Attributes { mode: UNMENTIONED, mtime: None, ..attributes };
            let path = place.path.get(..len).unwrap_or_default().to_vec();
            self.folders.set(&Place { root: place.root, path }, unmentioned, &[])?;
        }
        let dir = Arc::new(dir);
        self.parent = Some((place, Arc::clone(&dir)));
        Ok(dir)
    }

    fn open_parent(&self, place: &Place, made: &mut Vec<usize>) -> Result<OwnedFd, Errno> {
        // From the last folder down is a shorter way than from the root.
        let below = self.parent.as_ref().and_then(|(at, dir)| {
            let rest = place.path.strip_prefix(at.path.as_slice())?.strip_prefix(b"/")?;
            (at.root == place.root && !at.path.is_empty()).then_some((dir.as_fd(), rest))
        });
        let opened = match below {
            Some((dir, rest)) => open_dir(dir, rest),
            None => open_dir(self.root(place)?, &place.path),
        };
        if !matches!(opened, Err(Errno::NOENT)) {
            return opened;
        }
        make_dir_all(self.root(place)?, &place.path, |path| made.push(path.len()))
    }

    /// Something was put at `place`, in place of a folder where `was_folder`.
    fn replaced(&mut self, place: &Place, was_folder: bool) -> Result<()> {
        if was_folder {
            self.folders.forget(place)?;
            self.parent.take_if(|(at, _)| at.root == place.root && at.path.starts_with(&place.path));
        }
        // What comes last counts.
        self.later.forget(place)
    }

    fn root(&self, place: &Place) -> Result<BorrowedFd<'_>, Errno> {
        self.roots.get(place.root).map(|root| root.dir.as_fd()).ok_or(Errno::BADF)
    }

    fn path(&self, place: &Place) -> PathBuf {
        let root = self.roots.get(place.root).map_or(Path::new(""), |root| &root.path);
        root.join(std::ffi::OsStr::from_bytes(&place.path))
    }

    fn failed(&self, what: &str, place: &Place, cause: Errno) -> Error {
        Error::io(what, &self.path(place), cause.into())
    }
}
