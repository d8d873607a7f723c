//! Links on the way: which are followed, and where what they lead to lies in the archive.

use super::{Outside, Place, Walk, What, id, is_unreal, withheld};
use crate::archive::show;
use crate::look::{self, is_gone};
use crate::source::exclude::plain_path;
use crate::source::reach::Reach;
use crate::{NoteKind, Result};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

impl Walk<'_> {
    pub(super) fn link(&mut self, dir: Arc<OwnedFd>, at: usize) -> Result<Option<What>> {
        let read = fs::readlinkat(&dir, self.name(at), Vec::new());
        let stat = fs::statat(&dir, self.name(at), AtFlags::SYMLINK_NOFOLLOW);
        let (target, stat) = match (read, stat) {
            (Ok(target), Ok(stat)) => (target.into_bytes(), stat),
            // No link any more.
            (Err(Errno::INVAL), _) => return self.lost(Errno::NOENT).map(|()| None),
            (Err(e), _) | (_, Err(e)) => return self.lost(e).map(|()| None),
        };
        let opened = fs::openat(&dir, self.name(at), OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let (handle, to) = match opened.and_then(|handle| fs::fstat(&handle).map(|to| (handle, to))) {
            Ok(found) => found,
            Err(cause) if is_gone(&cause.into()) || cause == Errno::NAMETOOLONG => {
                self.leads_to_nothing(&target);
                return Ok(Some(What::Link(stat, target)));
            }
            Err(cause) => return self.lost(cause).map(|()| Some(What::Link(stat, target))),
        };
        let real = match self.real_path(&handle) {
            Ok(real) => real,
            Err(cause) => return self.lost(cause).map(|()| Some(What::Link(stat, target))),
        };
        let here = self.levels.last().map_or(0, |level| level.tree);
        if let Some((tree, rest)) = self.tree_of(&real).filter(|_| !self.is_apart(&real, &self.path)) {
            // A relative link moves along with its tree; so does any link of the base, which returns to its place.
            let moves_along = tree == here && (tree == 0 || !target.starts_with(b"/"));
            let target = if moves_along { target } else { self.way_to(tree, rest) };
            return Ok(Some(What::Link(stat, target)));
        }
        if self.excludes.contains(Path::new(OsStr::from_bytes(&real))) {
            return Ok(None);
        }
        let Ok(reach) = self.may_follow(&stat, &real, &to) else {
            let text = format!(
                "{} is a link to {}, which its owner may not read: it stays a link (where that belongs into the backup, \
                 make a source of type files of it, or let root make the link)",
                show(&self.path),
                show(&real)
            );
            self.monitor.note(NoteKind::Warning, text);
            return Ok(Some(What::Link(stat, target)));
        };
        match FileType::from_raw_mode(to.st_mode) {
            FileType::Directory if self.fits_pattern(true) => Ok(None),
            FileType::Directory => self.folder(&dir, at, Some(Outside { real: &real, id: id(&to), reach })),
            // What the kernel tells is no file's content.
            FileType::RegularFile if is_unreal(&handle) => Ok(Some(What::Link(stat, target))),
            FileType::RegularFile => {
                Ok(Some(What::File(Place { dir, name: at, follow: Some(id(&to)), reach })))
            }
            _ => Ok(Some(What::Link(stat, target))),
        }
    }

    /// The link at the current path leads to nothing. Where it leads out of the tree, perhaps to a disk that is not mounted,
    /// what belongs behind it is missing from the backup.
    fn leads_to_nothing(&mut self, target: &[u8]) {
        let here = self.levels.last().map_or(0, |level| level.tree);
        let real = self.real(here);
        let link = Path::new(OsStr::from_bytes(&real));
        let by_text = || plain_path(&link.parent().unwrap_or(link).join(OsStr::from_bytes(target)));
        let end = look::real_beyond(link).unwrap_or_else(|_| by_text());
        let mut own = [0, here].into_iter().filter_map(|tree| self.trees.get(tree));
        let is_inside = own.any(|tree| end.starts_with(OsStr::from_bytes(&tree.real)));
        // A pattern may leave out folders alone, as this would be one.
        if is_inside || self.excludes.contains(&end) || self.fits_pattern(true) {
            return;
        }
        let text = format!(
            "{} is a link to {}, where nothing is: what belongs there is not in this backup (mount it, or remove the link, \
             or exclude it)",
            show(&self.path),
            show(target)
        );
        self.monitor.note(NoteKind::Missing, text);
        self.losses.miss(&self.path);
    }

    /// Whether a link that leads out is followed, and as whom: nobody in particular where the configuration names the
    /// folder, else whoever made the link, and the one further up who may have made what this one was found in.
    fn may_follow(&mut self, link: &Stat, real: &[u8], to: &Stat) -> Result<Option<Arc<Reach>>, ()> {
        let path = Path::new(OsStr::from_bytes(real));
        if self.named.iter().any(|named| path.starts_with(named)) {
            return Ok(None);
        }
        let above = self.levels.last().and_then(|level| level.reach.clone());
        let maker =
            Arc::clone(self.reaches.entry(link.st_uid).or_insert_with(|| Arc::new(Reach::of(link.st_uid))));
        for reach in [Some(&maker), above.as_ref()].into_iter().flatten() {
            if !(reach.reads(to) && reach.gets_to(real)) {
                return Err(());
            }
        }
        // Root's links are followed as root, but not from where another's has led.
        Ok(if link.st_uid == 0 { above } else { Some(maker) })
    }

    /// What the maker of a link may not read does not come along behind it.
    pub(super) fn withhold(&mut self) {
        let text = withheld(&self.path);
        self.monitor.note(NoteKind::Missing, text);
        self.losses.miss(&self.path);
    }

    /// The path of what a link leads to, without links.
    fn real_path(&self, handle: &OwnedFd) -> rustix::io::Result<Vec<u8>> {
        let known = fs::readlinkat(fs::CWD, format!("/proc/self/fd/{}", handle.as_raw_fd()), Vec::new());
        known.map(CString::into_bytes).or_else(|failed| {
            let real = self.absolute().canonicalize();
            real.map(|path| path.into_os_string().into_encoded_bytes())
                .map_err(|cause| Errno::from_io_error(&cause).unwrap_or(failed))
        })
    }

    /// The innermost tree in which this real path lies, and the rest of it.
    fn tree_of<'p>(&self, real: &'p [u8]) -> Option<(usize, &'p [u8])> {
        let mut end = real.len();
        loop {
            let (head, rest) = real.split_at_checked(end)?;
            let head = if head == b"/" { b"" } else { head };
            if let Some(tree) = self.tree_by_path.get(head) {
                return Some((*tree, rest.strip_prefix(b"/").unwrap_or(rest)));
            }
            end = head.iter().rposition(|b| *b == b'/')?;
        }
    }

    /// A relative link from the current path to where something of a tree is archived.
    pub(super) fn way_to(&self, tree: usize, rest: &[u8]) -> Vec<u8> {
        let at = self.trees.get(tree).map_or(&b""[..], |tree| &tree.at);
        let parts = |path: &'_ [u8]| -> Vec<Vec<u8>> {
            path.split(|b| *b == b'/').filter(|part| !part.is_empty()).map(<[u8]>::to_vec).collect()
        };
        let mut from = parts(&self.path);
        from.pop();
        let to = [parts(at), parts(rest)].concat();
        let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
        let ups = from.iter().skip(common).map(|_| b"..".to_vec());
        let way: Vec<Vec<u8>> = ups.chain(to.into_iter().skip(common)).collect();
        if way.is_empty() { b".".to_vec() } else { way.join(&b'/') }
    }
}
