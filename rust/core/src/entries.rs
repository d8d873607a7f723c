//! The names in a folder. Not by `fs::read_dir`, which panics where the folder fails to close.

use rustix::fs::{CWD, Dir, Mode, OFlags};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

/// Each name once, in the folder's own order.
pub(crate) fn names(folder: &Path) -> io::Result<impl Iterator<Item = io::Result<OsString>> + use<>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(CWD, folder, flags, Mode::empty())?;
    let names = Dir::new(opened)?.map(|entry| match entry {
        Ok(entry) => Ok(OsString::from_vec(entry.file_name().to_bytes().to_vec())),
        Err(cause) => Err(cause.into()),
    });
    Ok(names.filter(|name| !name.as_ref().is_ok_and(|name| name == "." || name == "..")))
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
        let none = names(&dir.path().join("none")).err().expect("none").kind();
        let file = names(&dir.path().join("plain")).err().expect("a file").kind();
        assert_eq!((none, file), (io::ErrorKind::NotFound, io::ErrorKind::NotADirectory));
    }
}
