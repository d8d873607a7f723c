//! Folders opened below a root so that no `..`, no absolute path and no symbolic link leads out of it, not even
//! one that somebody puts there at the same moment.
//!
//! The kernel does it where it can (openat2(2) with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS, Linux 5.6); elsewhere
//! every component is opened on its own with O_NOFOLLOW.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, openat, openat2};
use rustix::io::{Errno, Result};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A handle for `*at` calls; needs no read permission.
const HANDLE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Paths are resolved in pieces shorter than PATH_MAX, so that trees may be deeper than that.
const PIECE: usize = 4000;

/// How often a lookup is repeated that something renamed under it (openat2(2), EAGAIN).
const TRIES: usize = 16;

/// Set once the kernel, or a sandbox, has refused openat2.
static NO_OPENAT2: AtomicBool = AtomicBool::new(false);

/// Opens the folder `path` below `root`. ELOOP or ENOTDIR where a component is a symbolic link or no folder, EXDEV
/// where it climbs out.
pub fn open_dir(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd> {
    if !NO_OPENAT2.load(Relaxed) {
        match in_pieces(root, path, PIECE, by_kernel) {
            Err(Errno::NOSYS | Errno::PERM) => NO_OPENAT2.store(true, Relaxed),
            done => return done,
        }
    }
    in_pieces(root, path, 0, by_component)
}

/// Opens the folder `path` below `root` and makes what is missing of it with mode 0700; `made` hears of each folder
/// that was made.
pub fn make_dir_all(root: BorrowedFd<'_>, path: &[u8], mut made: impl FnMut(&[u8])) -> Result<OwnedFd> {
    let mut end = 0;
    in_pieces(root, path, 0, |at, name| {
        end += name.len();
        if valid(name)? {
            match mkdirat(at, name, Mode::RWXU) {
                Ok(()) => made(path.get(..end).unwrap_or(path)),
                Err(Errno::EXIST) => {}
                Err(e) => return Err(e),
            }
        }
        end += 1;
        by_component(at, name)
    })
}

/// Resolves `path` by pieces that end at a slash and are at most `limit` bytes long, or else one component.
fn in_pieces(
    root: BorrowedFd<'_>,
    mut path: &[u8],
    limit: usize,
    mut open: impl FnMut(BorrowedFd<'_>, &[u8]) -> Result<OwnedFd>,
) -> Result<OwnedFd> {
    let mut at: Option<OwnedFd> = None;
    loop {
        let (piece, rest) = cut(path, limit);
        at = Some(open(at.as_ref().map_or(root, AsFd::as_fd), piece)?);
        match rest {
            Some(rest) => path = rest,
            None => return at.ok_or(Errno::INVAL),
        }
    }
}

fn cut(path: &[u8], limit: usize) -> (&[u8], Option<&[u8]>) {
    if path.len() <= limit {
        return (path, None);
    }
    let slash = |b: &u8| *b == b'/';
    let head = path.get(..limit).unwrap_or_default();
    match head.iter().rposition(slash).or_else(|| path.iter().position(slash)) {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..)),
        None => (path, None),
    }
}

fn by_kernel(at: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd> {
    let path = if path.is_empty() { b"." } else { path };
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    for _ in 1..TRIES {
        match openat2(at, path, HANDLE, Mode::empty(), how) {
            Err(Errno::AGAIN) => {}
            done => return done,
        }
    }
    openat2(at, path, HANDLE, Mode::empty(), how)
}

fn by_component(at: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd> {
    openat(at, if valid(name)? { name } else { b"." }, HANDLE, Mode::empty())
}

/// Whether `name` is a component that leads one step down; `..` is an error.
fn valid(name: &[u8]) -> Result<bool> {
    match name {
        b".." => Err(Errno::XDEV),
        b"" | b"." => Ok(false),
        _ => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn neither_way_leaves_the_root() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir_all(temp.path().join("root/a/b")).unwrap();
        fs::create_dir(temp.path().join("outside")).unwrap();
        symlink("../../outside", temp.path().join("root/a/out")).unwrap();
        symlink("b", temp.path().join("root/a/in")).unwrap();
        fs::write(temp.path().join("root/file"), "").unwrap();
        let root = fs::File::open(temp.path().join("root")).unwrap();
        let kernel = |path: &[u8]| in_pieces(root.as_fd(), path, PIECE, by_kernel).map(drop);
        let walk = |path: &[u8]| in_pieces(root.as_fd(), path, 0, by_component).map(drop);
        for good in ["", ".", "a/b", "a/./b"] {
            assert_eq!((kernel(good.as_bytes()), walk(good.as_bytes())), (Ok(()), Ok(())), "{good}");
        }
        for bad in ["..", "a/../..", "a/out", "a/out/x", "a/in", "file", "a/b/../../.."] {
            assert!(kernel(bad.as_bytes()).is_err() && walk(bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(walk(b"/etc"), Err(Errno::NOENT), "taken as below the root");
        assert_eq!(kernel(b"/etc"), Err(Errno::XDEV));
    }

    #[test]
    fn folders_are_made_at_any_depth() {
        let temp = tempfile::tempdir().unwrap();
        let root = fs::File::open(temp.path()).unwrap();
        let deep = vec![vec![b'd'; 200]; 40].join(&b'/');
        let mut made = 0;
        make_dir_all(root.as_fd(), &deep, |_| made += 1).unwrap();
        assert_eq!(made, 40);
        assert!(deep.len() > 4096);
        open_dir(root.as_fd(), &deep).unwrap();
        make_dir_all(root.as_fd(), &deep, |_| panic!("made again")).unwrap();
        assert_eq!(make_dir_all(root.as_fd(), b"x/../../y", |_| {}).unwrap_err(), Errno::XDEV);
    }
}
