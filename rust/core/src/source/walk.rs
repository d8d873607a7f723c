//! Walks a folder tree in the order of names, one listing for each level in memory.
//!
//! Folders are opened below their open parent and never through a link, so that nobody can lead the walk astray while it
//! goes. Symbolic links that lead out of the tree are followed once (shared storage is often attached so), where the
//! configuration names what they lead to, or as far as whoever made them may read it by themselves (`reach`): root must not
//! fetch for others what they may not see. Whatever would be met a second time, loops included, becomes a link to where it
//! was met first. Links inside the tree, and dangling ones, stay what they are (`links`); of those that lead out and to
//! nothing it is said that something is missing.

mod links;
mod losses;

pub use losses::{Bare, Losses, lost, withheld};

use super::attributes;
use super::exclude::Excludes;
use super::names::Names;
use super::reach::Reach;
use crate::archive::{Attribute, show, within_limits};
use crate::{Code, Error, Monitor, NoteKind, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Flags of everything that is opened: never wait for the other end of a fifo, never become a terminal's owner.
const OPEN: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// Folders this deep keep their descriptor open; below, only every [`KEPT`]th, and the one being read.
const SHALLOW: usize = 64;
const KEPT: usize = 32;

/// Scratch space for listing folders: a few hundred names at a time.
const LISTING: usize = 64 * 1024;

/// File systems made of what the kernel tells, not of files (statfs(2)): proc, sysfs, cgroup, cgroup2, debugfs, tracefs,
/// devpts, securityfs, bpf, pstore.
const UNREAL: [u32; 10] = [
    0x9fa0,
    0x6265_6572,
    0x27_e0eb,
    0x6367_7270,
    0x6462_6720,
    0x7472_6163,
    0x1cd1,
    0x7363_6673,
    0xcafe_4a11,
    0x6165_676c,
];

/// Whether something lies on a file system of [`UNREAL`].
fn is_unreal(opened: &OwnedFd) -> bool {
    fs::fstatfs(opened).is_ok_and(|fs| UNREAL.contains(&(fs.f_type as u32)))
}

/// What the walk came upon.
#[derive(Debug)]
pub struct Found {
    /// Path below the base.
    pub path: Vec<u8>,
    pub what: What,
    /// Where it really lies, without links on the way; empty unless [`Walk::left_out`] is kept.
    pub real: Vec<u8>,
}

#[derive(Debug)]
pub enum What {
    Folder {
        stat: Stat,
        attributes: Vec<Attribute>,
        /// It is behind a link out of the tree.
        followed: bool,
    },
    Link(Stat, Vec<u8>),
    File(Place),
}

/// A file that is yet to be opened: its folder, and how.
#[derive(Debug)]
pub struct Place {
    pub dir: Arc<OwnedFd>,
    /// Where its name begins in the path.
    pub name: usize,
    /// It is the target of a link that leads out, and this.
    pub follow: Option<Id>,
    /// Whoever made the link on the way here, who must be able to read it.
    pub reach: Option<Arc<Reach>>,
}

/// Where a link leads.
struct Outside<'p> {
    real: &'p [u8],
    id: Id,
    reach: Option<Arc<Reach>>,
}

/// What device and inode number tell apart.
pub type Id = (u64, u64);

pub fn id(stat: &Stat) -> Id {
    #[allow(clippy::unnecessary_cast, reason = "the types differ between architectures")]
    (stat.st_dev as u64, stat.st_ino as u64)
}

/// One open folder on the way down.
struct Level {
    dir: Option<Arc<OwnedFd>>,
    names: Names,
    /// How long the path is here.
    len: usize,
    id: Id,
    /// Which of the trees it belongs to.
    tree: usize,
    /// It was reached through a link.
    followed: bool,
    /// By whoever made that link, or one further up.
    reach: Option<Arc<Reach>>,
}

/// A folder whose content is archived as a whole: the base, or the target of a link that leads out.
struct Tree {
    real: Vec<u8>,
    /// Path below the base.
    at: Vec<u8>,
}

pub struct Walk<'a> {
    base: PathBuf,
    /// Its path in the archive.
    prefix: &'a [u8],
    excludes: &'a Excludes,
    /// Folders that links may lead into, whoever made them.
    named: &'a [PathBuf],
    reaches: HashMap<u32, Arc<Reach>>,
    ignore_errors: bool,
    monitor: &'a Monitor,
    levels: Vec<Level>,
    /// Path below the base of what is being looked at.
    path: Vec<u8>,
    trees: Vec<Tree>,
    tree_by_id: HashMap<Id, usize>,
    tree_by_path: HashMap<Vec<u8>, usize>,
    listing: Vec<u8>,
    /// Access control lists that are not kept were told of.
    told_of_lists: bool,
    pub losses: Losses,
    /// See [`FileTree::apart`](super::files::FileTree::apart).
    apart: Option<&'a (Vec<u8>, PathBuf)>,
    /// Real paths of what is not found, where somebody wants to know.
    pub left_out: Option<Vec<Vec<u8>>>,
}

impl<'a> Walk<'a> {
    /// Opens `base`, a folder; what it says of the folder comes along.
    pub fn new(
        (base, prefix): (&Path, &'a [u8]),
        excludes: &'a Excludes,
        named: &'a [PathBuf],
        apart: Option<&'a (Vec<u8>, PathBuf)>,
        ignore_errors: bool,
        monitor: &'a Monitor,
    ) -> Result<(Self, Stat, Vec<Attribute>)> {
        let failed = |e: Errno| Error::io("cannot read the folder", base, e.into());
        let dir = open(fs::CWD, base, OFlags::DIRECTORY).map_err(failed)?;
        let stat = fs::fstat(&dir).map_err(failed)?;
        let mut walk = Walk {
            base: super::exclude::plain_path(base),
            prefix,
            excludes,
            named,
            reaches: HashMap::new(),
            ignore_errors,
            monitor,
            levels: Vec::new(),
            path: Vec::new(),
            trees: Vec::new(),
            tree_by_id: HashMap::new(),
            tree_by_path: HashMap::new(),
            listing: Vec::with_capacity(LISTING),
            told_of_lists: false,
            losses: Losses::default(),
            apart,
            left_out: None,
        };
        let real = base.canonicalize().map_err(|e| Error::io("cannot read the folder", base, e))?;
        if excludes.contains(&walk.base) || excludes.contains(&real) {
            let text = format!("the folder {} is itself excluded, or is where backups go", base.display());
            return Err(Error::new(Code::Config, text)
                .hint("choose another folder for backups, or change what the profile excludes"));
        }
        let tree = walk.add_tree(real.as_os_str().as_bytes(), id(&stat));
        if let Some((at, folder)) = apart {
            // Whatever leads there before the walk comes to its place is a link to that.
            let folder = folder.as_os_str().as_bytes().to_vec();
            walk.tree_by_path.insert(folder.clone(), walk.trees.len());
            walk.trees.push(Tree { real: folder, at: at.clone() });
        }
        let names = Names::read(&dir, &mut walk.listing).map_err(failed)?;
        let attributes = walk.attributes(&dir);
        walk.push(dir, names, id(&stat), tree, true, None);
        Ok((walk, stat, attributes))
    }

    /// What else a folder has; says once where it has what is not kept. What cannot be read counts as lost.
    fn attributes(&mut self, dir: &OwnedFd) -> Vec<Attribute> {
        if !self.told_of_lists
            && let Some(list) = attributes::foreign_list(dir)
        {
            self.told_of_lists = true;
            let text = format!(
                "files have access control lists that no archive has a place for ({list}, {} for one): owners and \
                 permissions are kept, these lists are not",
                self.absolute().display()
            );
            self.monitor.note(NoteKind::Warning, text);
        }
        attributes::of(dir).unwrap_or_else(|cause| {
            self.losses.bare.add(&self.path, cause);
            Vec::new()
        })
    }

    /// The next thing worth archiving.
    pub fn next(&mut self) -> Result<Option<Found>> {
        loop {
            self.monitor.check()?;
            let Some(level) = self.levels.last_mut() else { return Ok(None) };
            self.path.truncate(level.len);
            let Some((name, kind)) = level.names.next() else {
                self.levels.pop();
                continue;
            };
            let known = self.excludes.knows(name);
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            let at = self.path.len();
            self.path.extend_from_slice(name);
            let tree = level.tree;
            let excluded = known && self.is_excluded(tree)
                || kind != FileType::Unknown && self.fits_pattern(kind == FileType::Directory);
            let real = if self.left_out.is_some() { self.real(tree) } else { Vec::new() };
            if !excluded {
                let Some(dir) = self.dir()? else { continue };
                if let Some(what) = self.look(dir, at, kind)? {
                    return Ok(Some(Found { path: self.path.clone(), what, real }));
                }
            }
            if let Some(left_out) = &mut self.left_out {
                left_out.push(real);
            }
        }
    }

    /// Looks closer at the name that begins at `at`.
    fn look(&mut self, dir: Arc<OwnedFd>, at: usize, kind: FileType) -> Result<Option<What>> {
        match kind {
            FileType::RegularFile => {
                let reach = self.levels.last().and_then(|level| level.reach.clone());
                Ok(Some(What::File(Place { dir, name: at, follow: None, reach })))
            }
            FileType::Directory => self.folder(&dir, at, None),
            FileType::Symlink => self.link(dir, at),
            FileType::Unknown => {
                match fs::statat(&dir, self.name(at), AtFlags::SYMLINK_NOFOLLOW) {
                    Err(e) => self.lost(e).map(|()| None),
                    // A type that stat does not know either would come back here for ever.
                    Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
                        FileType::Unknown => Ok(self.skip("of unknown type")),
                        kind if self.fits_pattern(kind == FileType::Directory) => Ok(None),
                        kind => self.look(dir, at, kind),
                    },
                }
            }
            FileType::Socket => Ok(self.skip("a socket")),
            FileType::Fifo => Ok(self.skip("a fifo")),
            FileType::CharacterDevice | FileType::BlockDevice => Ok(self.skip("a device")),
        }
    }

    /// Goes down into a folder; with `real`, through a link to that path outside, as far as whoever made it can read.
    fn folder(&mut self, dir: &OwnedFd, at: usize, real: Option<Outside<'_>>) -> Result<Option<What>> {
        if !within_limits(&self.path) {
            let shown: String = show(&self.path).chars().take(80).collect();
            let text = format!("{shown}… lies too deep, or its path is too long: left out");
            self.monitor.note(NoteKind::Missing, text);
            self.losses.miss(&self.path);
            return Ok(None);
        }
        let flags = if real.is_some() { OFlags::DIRECTORY } else { OFlags::DIRECTORY | OFlags::NOFOLLOW };
        let opened = open(dir, self.name(at), flags).and_then(|dir| {
            let stat = fs::fstat(&dir)?;
            Ok((dir, stat))
        });
        let (dir, stat) = match opened {
            Ok(opened) => opened,
            Err(e) => return self.lost(e).map(|()| None),
        };
        // Met before: a bind mount, or the way back from outside.
        if let Some(first) = self.tree_by_id.get(&id(&stat)).copied() {
            let target = self.way_to(first, b"");
            return Ok(Some(What::Link(stat, target)));
        }
        if self.levels.last().is_none_or(|up| up.id.0 != id(&stat).0) && is_unreal(&dir) {
            return Ok(self.skip("part of a file system without files"));
        }
        let followed = real.is_some();
        let reach = match &real {
            Some(outside) => outside.reach.clone(),
            None => self.levels.last().and_then(|up| up.reach.clone()),
        };
        if reach.as_ref().is_some_and(|reach| !reach.reads(&stat)) {
            self.withhold();
            return Ok(None);
        }
        let names = match real.as_ref().is_some_and(|outside| self.is_apart(outside.real, &self.path)) {
            true => Names::default(),
            false => match Names::read(&dir, &mut self.listing) {
                Ok(names) => names,
                Err(e) => return self.lost(e).map(|()| None),
            },
        };
        let tree = match real {
            Some(outside) if outside.id != id(&stat) => return self.lost(Errno::NOENT).map(|()| None),
            Some(outside) => self.add_tree(outside.real, outside.id),
            None => self.levels.last().map_or(0, |up| up.tree),
        };
        let attributes = self.attributes(&dir);
        self.push(dir, names, id(&stat), tree, followed, reach);
        Ok(Some(What::Folder { stat, attributes, followed }))
    }

    /// Whether a real path, behind one below the base, is [`FileTree::apart`](super::files::FileTree::apart).
    fn is_apart(&self, real: &[u8], path: &[u8]) -> bool {
        self.apart.is_some_and(|(at, folder)| at == path && folder.as_os_str().as_bytes() == real)
    }

    fn add_tree(&mut self, real: &[u8], id: Id) -> usize {
        let real = if real == b"/" { Vec::new() } else { real.to_vec() };
        let number = self.trees.len();
        self.trees.push(Tree { real: real.clone(), at: self.path.clone() });
        self.tree_by_path.insert(real, number);
        self.tree_by_id.insert(id, number);
        number
    }

    fn push(
        &mut self,
        dir: OwnedFd,
        names: Names,
        id: Id,
        tree: usize,
        followed: bool,
        reach: Option<Arc<Reach>>,
    ) {
        let last = self.levels.len().saturating_sub(1);
        if last >= SHALLOW
            && !last.is_multiple_of(KEPT)
            && let Some(up) = self.levels.last_mut()
        {
            up.dir = None;
        }
        let len = self.path.len();
        self.levels.push(Level { dir: Some(Arc::new(dir)), names, len, id, tree, followed, reach });
    }

    /// The folder being walked; opened anew where it was closed on the way down. `None` if it is gone.
    fn dir(&mut self) -> Result<Option<Arc<OwnedFd>>> {
        let open_at = self.levels.iter().rposition(|level| level.dir.is_some());
        let Some(from) = open_at else { return Ok(None) };
        let Some(mut dir) = self.levels.get(from).and_then(|level| level.dir.clone()) else {
            return Ok(None);
        };
        let mut start = self.levels.get(from).map_or(0, |level| level.len);
        for level in self.levels.get(from + 1..).unwrap_or_default() {
            let name = self.path.get(start..level.len).unwrap_or_default();
            let name = name.strip_prefix(b"/").unwrap_or(name);
            let flags = if level.followed { OFlags::DIRECTORY } else { OFlags::DIRECTORY | OFlags::NOFOLLOW };
            let opened = open(&*dir, name, flags).and_then(|next| Ok((id(&fs::fstat(&next)?), next)));
            match opened {
                Ok((found, next)) if found == level.id => dir = Arc::new(next),
                Ok(_) => return self.lost(Errno::NOENT).map(|()| None),
                Err(e) => return self.lost(e).map(|()| None),
            }
            start = level.len;
        }
        if let Some(level) = self.levels.last_mut() {
            level.dir = Some(Arc::clone(&dir));
        }
        Ok(Some(dir))
    }

    fn is_excluded(&self, tree: usize) -> bool {
        if self.excludes.contains(&self.absolute()) {
            return true;
        }
        self.excludes.contains(Path::new(OsStr::from_bytes(&self.real(tree))))
    }

    /// Where the current path, which belongs to a tree, really lies.
    fn real(&self, tree: usize) -> Vec<u8> {
        let Some(Tree { real, at }) = self.trees.get(tree) else { return Vec::new() };
        let rest = self.path.strip_prefix(at.as_slice()).unwrap_or(&self.path);
        let rest = rest.strip_prefix(b"/").unwrap_or(rest);
        [real.as_slice(), b"/", rest].concat()
    }

    /// The real paths of the trees whose content is found here, the base's first, and where each lies below the base.
    pub fn trees(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let trees = self.trees.iter().map(|tree| (tree.real.as_slice(), tree.at.as_slice()));
        trees.filter(|(real, at)| !self.is_apart(real, at))
    }

    /// Whether a pattern leaves out what is being looked at.
    fn fits_pattern(&self, is_folder: bool) -> bool {
        let patterns = self.excludes.patterns();
        match self.prefix {
            _ if patterns.is_empty() => false,
            b"" => patterns.exclude(&self.path, is_folder),
            prefix => patterns.exclude(&[prefix, b"/", self.path.as_slice()].concat(), is_folder),
        }
    }

    fn name(&self, at: usize) -> &[u8] {
        self.path.get(at..).unwrap_or_default()
    }

    fn absolute(&self) -> PathBuf {
        self.base.join(OsStr::from_bytes(&self.path))
    }

    fn skip(&mut self, what: &str) -> Option<What> {
        self.monitor.note(NoteKind::Info, format!("{} is {what}: skipped", show(&self.path)));
        self.losses.skipped += 1;
        None
    }

    /// Something that was listed could not be opened.
    fn lost(&mut self, cause: Errno) -> Result<()> {
        let path = std::mem::take(&mut self.path);
        let lost = lost(&path, cause, &self.base, self.ignore_errors, self.monitor, &mut self.losses);
        self.path = path;
        lost
    }
}

/// Opens for reading without a trace in the access time where that is permitted.
pub fn open(
    dir: impl rustix::fd::AsFd,
    name: impl rustix::path::Arg + Copy,
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    match fs::openat(&dir, name, OPEN | flags | OFlags::NOATIME, Mode::empty()) {
        // Only the owner and root may.
        Err(Errno::PERM) => fs::openat(&dir, name, OPEN | flags, Mode::empty()),
        done => done,
    }
}
