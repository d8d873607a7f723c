//! What a folder tree consists of, for a program that reads it by itself: where it really lies, what is left out of it, and
//! which links the archive has where the disk has something else.

use super::files::{FileTree, LINKED, MAX_LINKED};
use super::unread::Unread;
use super::walk::{Found, Id, Place, What, id, lost, withheld};
use crate::{Monitor, NoteKind, Result};
use rustix::fs::{AtFlags, Stat};
use rustix::io::Errno;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// A link that stands in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its path in the archive.
    pub path: Vec<u8>,
    /// Where it leads; of a further name of a file, that file's path in the archive.
    pub target: Vec<u8>,
    /// It is a further name of a file.
    pub hard: bool,
    /// Permission bits.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Unix time of the last change.
    pub mtime: i64,
}

/// What a tree consists of.
#[derive(Debug, Clone, Default)]
pub struct Outline {
    /// Real paths of folders and files, and where in the archive each stands.
    pub places: Vec<(Vec<u8>, Vec<u8>)>,
    /// Real paths that are left out, with all below them.
    pub left_out: Vec<Vec<u8>>,
    /// Links of the archive that are something else on the disk, and further names of files.
    pub links: Vec<Link>,
    /// Further names of files, which a program that does not know of them counts as files; and their bytes.
    pub further: (u64, u64),
    /// Folders behind links out of the tree, as paths in the archive.
    pub followed: Vec<Vec<u8>>,
    /// What could not be read and is left out, as asked for.
    pub missing: u64,
    /// That as paths in the archive, with all below them.
    pub unread: Unread,
}

/// Files with several names, by what they are: the path in the archive of the first one.
#[derive(Default)]
struct Linked {
    first: HashMap<Id, Vec<u8>>,
    /// About how much memory they take.
    bytes: usize,
}

impl Outline {
    /// Notes a file, where it is more than a file at its place with one name. Fails where it cannot be looked at.
    fn file(
        &mut self,
        place: &Place,
        path: &[u8],
        archived: Vec<u8>,
        real: &[u8],
        linked: &mut Linked,
        monitor: &Monitor,
    ) -> Result<(), Errno> {
        let name = OsStr::from_bytes(path.get(place.name..).unwrap_or_default());
        let followed = place.follow.is_some();
        let flags = if followed { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
        let stat = rustix::fs::statat(&place.dir, name, flags)?;
        if place.reach.as_ref().is_some_and(|reach| !reach.reads(&stat)) {
            monitor.note(NoteKind::Missing, withheld(path));
            self.missing += 1;
            self.unread.add(&archived);
            self.left_out.push(real.to_vec());
            return Ok(());
        }
        if stat.st_nlink < 2 && !followed {
            return Ok(());
        }
        if let Some(first) = linked.first.get(&id(&stat)) {
            self.links.push(link(archived, first.clone(), true, &stat));
            if followed {
                self.left_out.push(real.to_vec());
            } else {
                self.further.0 += 1;
                self.further.1 += u64::try_from(stat.st_size).unwrap_or_default();
            }
            return Ok(());
        }
        if followed {
            let target = Path::new(OsStr::from_bytes(real)).canonicalize();
            let target = target.map_err(|cause| Errno::from_io_error(&cause).unwrap_or(Errno::IO))?;
            self.places.push((target.into_os_string().into_vec(), archived.clone()));
            self.left_out.push(real.to_vec());
        }
        if linked.bytes < MAX_LINKED {
            linked.bytes += archived.len() + LINKED;
            linked.first.insert(id(&stat), archived);
        }
        Ok(())
    }
}

impl FileTree {
    /// Walks the tree as [`FileTree::walk`] does, and opens no file. The same errors.
    pub fn outline(&self, monitor: &Monitor) -> Result<Outline> {
        let (mut walk, ..) = self.begin(self.ignore_errors, monitor)?;
        walk.left_out = Some(Vec::new());
        let mut outline = Outline::default();
        let mut linked = Linked::default();
        while let Some(Found { path, what, real }) = walk.next()? {
            monitor.check()?;
            let archived = self.path_of(&path);
            match what {
                What::Folder { followed: true, .. } => {
                    outline.followed.push(archived);
                    outline.left_out.push(real);
                }
                What::Folder { .. } => {}
                What::Link(stat, target) => {
                    let there = rustix::fs::readlink(real.as_slice(), Vec::new());
                    if there.is_ok_and(|there| there.as_bytes() == target) {
                        continue;
                    }
                    outline.links.push(link(archived, target, false, &stat));
                    outline.left_out.push(real);
                }
                What::File(place) => {
                    if let Err(cause) = outline.file(&place, &path, archived, &real, &mut linked, monitor) {
                        lost(&path, cause, &self.base, self.ignore_errors, monitor, &mut walk.losses)?;
                        outline.left_out.push(real);
                    }
                }
            }
        }
        let trees = walk.trees().map(|(real, at)| {
            let real = if real.is_empty() { b"/" } else { real };
            (real.to_vec(), self.path_of(at))
        });
        outline.places.extend(trees.collect::<Vec<_>>());
        outline.missing += walk.losses.missing;
        walk.losses.unread.paths().for_each(|path| outline.unread.add(&self.path_of(path)));
        outline.left_out.extend(walk.left_out.take().unwrap_or_default());
        // What is a place of its own is not left out for having been met elsewhere, too.
        let places: HashSet<&[u8]> = outline.places.iter().map(|(real, _)| real.as_slice()).collect();
        outline.left_out.retain(|path| !places.contains(path.as_slice()));
        outline.left_out.sort();
        outline.left_out.dedup();
        Ok(outline)
    }

    fn path_of(&self, path: &[u8]) -> Vec<u8> {
        match (self.prefix.as_slice(), path) {
            (prefix, b"") => prefix.to_vec(),
            (b"", path) => path.to_vec(),
            (prefix, path) => [prefix, b"/", path].concat(),
        }
    }
}

fn link(path: Vec<u8>, target: Vec<u8>, hard: bool, stat: &Stat) -> Link {
    #[allow(clippy::unnecessary_cast, reason = "the types differ between architectures")]
    let mtime = stat.st_mtime as i64;
    Link { path, target, hard, mode: stat.st_mode & 0o7777, uid: stat.st_uid, gid: stat.st_gid, mtime }
}
