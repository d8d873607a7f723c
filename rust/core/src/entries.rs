//! The names in a folder. Not by `fs::read_dir`, which panics where the folder fails to close.

use crate::look::is_gone;
use crate::{Result, ResultExt};
use rustix::fs::{CWD, Dir, FileType, Mode, OFlags};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Each name once, in the folder's own order.
///
/// # Errors
///
/// Those of opening the folder; while it is read, in place of a name.
pub fn names(folder: &Path) -> io::Result<impl Iterator<Item = io::Result<OsString>> + use<>> {
    Ok(kinds(folder)?.map(|entry| Ok(entry?.0)))
}

/// The same with what each is, as far as the file system tells without being asked for each.
///
/// # Errors
///
/// As of [`names`].
pub(crate) fn kinds(
    folder: &Path,
) -> io::Result<impl Iterator<Item = io::Result<(OsString, FileType)>> + use<>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(CWD, folder, flags, Mode::empty())?;
    let entries = Dir::new(opened)?.map(|entry| match entry {
        Ok(entry) => Ok((OsString::from_vec(entry.file_name().to_bytes().to_vec()), entry.file_type())),
        Err(cause) => Err(cause.into()),
    });
    Ok(entries.filter(|entry| !entry.as_ref().is_ok_and(|(name, _)| name == "." || name == "..")))
}

/// The paths of what is in a folder; nothing where there is none.
///
/// # Errors
///
/// It cannot be opened or read.
pub fn paths(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed = names(folder).and_then(|names| names.map(|name| Ok(folder.join(name?))).collect());
    match listed {
        Err(cause) if is_gone(&cause) => Ok(Vec::new()),
        listed => listed.at("cannot list the folder", folder),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn names_are_those_of_read_dir() {
        let dir = tempfile::tempdir().expect("a folder");
        for name in [".hidden", "plain", "..x"] {
            fs::write(dir.path().join(name), "").expect("written");
        }
        fs::write(dir.path().join(OsString::from_vec(vec![0xff])), "").expect("written");
        let sorted = |mut names: Vec<OsString>| {
            names.sort();
            names
        };
        let ours = names(dir.path()).expect("opened").map(|name| name.expect("read")).collect();
        let theirs = fs::read_dir(dir.path()).expect("opened").map(|entry| entry.expect("read").file_name());
        assert_eq!(sorted(ours), sorted(theirs.collect()));
        assert!(paths(dir.path()).expect("listed").contains(&dir.path().join("plain")));
        assert_eq!(paths(&dir.path().join("none")).expect("none"), Vec::<PathBuf>::new());
        assert_eq!(paths(&dir.path().join("plain")).expect("a file"), Vec::<PathBuf>::new());
        paths(&dir.path().join("x".repeat(300))).expect_err("what cannot be looked at is not empty");
        let none = names(&dir.path().join("none")).err().expect("none").kind();
        let file = names(&dir.path().join("plain")).err().expect("a file").kind();
        assert_eq!((none, file), (io::ErrorKind::NotFound, io::ErrorKind::NotADirectory));
    }
}
