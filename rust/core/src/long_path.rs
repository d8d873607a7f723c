//! Looking at what lies deeper than a path can name: the system takes at most 4096 bytes (PATH_MAX), folders go deeper.

use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

/// Bytes of a path that are given to the system at once.
const MOST: usize = 3500;

/// A path that the system takes, for as long as this lives.
struct Short {
    path: PathBuf,
    _folder: Option<OwnedFd>,
}

/// Opens folder after folder where the path is too long, and names the rest below the last one.
fn short(path: &Path) -> io::Result<Short> {
    let (mut folder, mut rest) = (None::<OwnedFd>, PathBuf::new());
    if path.as_os_str().len() <= MOST {
        return Ok(Short { path: path.to_owned(), _folder: None });
    }
    for component in path.components() {
        if rest.as_os_str().len() + component.as_os_str().len() > MOST {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let from = folder.as_ref().map_or(CWD, AsFd::as_fd);
            folder = Some(rustix::fs::openat(from, &rest, flags, Mode::empty())?);
            rest = PathBuf::new();
        }
        rest.push(component);
    }
    let path = match &folder {
        Some(folder) => PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(rest),
        None => rest,
    };
    Ok(Short { path, _folder: folder })
}

/// As [`Path::symlink_metadata`].
pub(crate) fn look(path: &Path) -> io::Result<Metadata> {
    short(path)?.path.symlink_metadata()
}

/// As [`Path::read_link`].
pub(crate) fn read_link(path: &Path) -> io::Result<PathBuf> {
    short(path)?.path.read_link()
}

/// As [`File::open`].
pub(crate) fn open(path: &Path) -> io::Result<File> {
    File::open(&short(path)?.path)
}

/// As [`crate::entries::names`].
pub(crate) fn names(
    folder: &Path,
) -> io::Result<impl Iterator<Item = io::Result<std::ffi::OsString>> + use<>> {
    let short = short(folder)?;
    crate::entries::names(&short.path)
}
