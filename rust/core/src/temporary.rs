//! Files without a name, for what is too much for memory: gone with the process, however that ends. What has to have a name,
//! because other code opens it by that, tells by it of which process it is, and what a killed run left goes at the next.

use crate::{Result, ResultExt, entries};
use rustix::process::{Pid, test_kill_process};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::path::{Path, PathBuf};

const READING: &str = "cannot read a temporary file back from";

/// A file without a name on the disk of `folder`, readable for nobody else (mode 0600).
pub(crate) fn file(folder: &Path) -> Result<File> {
    tempfile::tempfile_in(folder).at("cannot make a temporary file in", folder)
}

/// One in the usual place (TMPDIR).
pub(crate) fn somewhere() -> Result<File> {
    file(&std::env::temp_dir())
}

/// The beginning of this process's names of a kind: something random follows.
pub(crate) fn prefix(kind: &str) -> String {
    format!("{kind}{}-", std::process::id())
}

/// Removes what bears a name of this kind and is of a process of ours that is gone: files, and folders of files. What
/// cannot be removed does no harm.
pub(crate) fn sweep(folder: &Path, kind: &str) {
    let us = rustix::process::geteuid().as_raw();
    for path in entries::paths(folder).unwrap_or_default() {
        let name = path.file_name().and_then(|name| name.to_str());
        let process = name.and_then(|name| name.strip_prefix(kind)?.split('-').next()?.parse().ok());
        let is_gone = |process| test_kill_process(process) == Err(rustix::io::Errno::SRCH);
        let ours = || fs::symlink_metadata(&path).is_ok_and(|found| found.uid() == us);
        if process.and_then(Pid::from_raw).is_some_and(is_gone) && ours() {
            remove(&path);
        }
    }
}

fn remove(path: &Path) {
    // No link is followed: of what is no folder nothing is listed.
    if fs::symlink_metadata(path).is_ok_and(|found| found.is_dir()) {
        for inside in entries::paths(path).unwrap_or_default() {
            let _ = fs::remove_file(inside);
        }
        let _ = fs::remove_dir(path);
    } else {
        let _ = fs::remove_file(path);
    }
}

/// A folder for files that other programs open by name, for nobody else (0700); goes with this.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// In the usual place. `kind`: what names begin with, one for each use.
    pub fn new(kind: &str) -> Result<Folder> {
        let place = std::env::temp_dir();
        sweep(&place, kind);
        let made = tempfile::Builder::new()
            .prefix(&prefix(kind))
            .make_in(&place, |path| DirBuilder::new().mode(0o700).create(path));
        let (_, path) = made.at("cannot make a temporary folder in", &place)?.into_parts();
        Ok(Folder(path.keep().map_err(|error| error.error).at("cannot keep a folder in", &place)?))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// A file without a name, which says in its errors where it is.
#[derive(Debug)]
pub(crate) struct Temporary {
    file: File,
    folder: PathBuf,
}

impl Temporary {
    /// On the disk of `folder`.
    pub fn new(folder: &Path) -> Result<Temporary> {
        Ok(Temporary { file: file(folder)?, folder: folder.to_owned() })
    }

    /// As `pread(2)`.
    pub fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        Ok(self.file.read_at(into, at).at(READING, &self.folder)?)
    }
}

impl Write for Temporary {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.file.write(bytes).at("cannot write a temporary file in", &self.folder)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Temporary {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        Ok(self.file.read(into).at(READING, &self.folder)?)
    }
}

impl Seek for Temporary {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        Ok(self.file.seek(to).at(READING, &self.folder)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_goes_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        let mut child = std::process::Command::new("true").spawn().expect("a process");
        let gone = child.id();
        child.wait().expect("ended");
        fs::write(at("theirs"), "x").expect("written");
        for folder in [format!("x-{gone}-a"), format!("{}a", prefix("x-")), format!("y-{gone}-a")] {
            fs::create_dir(at(&folder)).expect("made");
            fs::write(at(&folder).join("file"), "x").expect("written");
            std::os::unix::fs::symlink(at("theirs"), at(&folder).join("link")).expect("linked");
        }
        std::os::unix::fs::symlink(at(&format!("y-{gone}-a")), at(&format!("x-{gone}-link")))
            .expect("linked");
        fs::write(at(&format!("x-{gone}-b")), "x").expect("written");
        sweep(dir.path(), "x-");
        let mut left = entries::paths(dir.path()).expect("listed");
        left.sort();
        let mut expected = vec![at("theirs"), at(&format!("{}a", prefix("x-"))), at(&format!("y-{gone}-a"))];
        expected.sort();
        assert_eq!(left, expected);
        assert_eq!(entries::paths(&at(&format!("y-{gone}-a"))).expect("listed").len(), 2);
    }

    #[test]
    fn a_folder_is_nobody_elses_and_goes() {
        let folder = Folder::new(".bam-test-").expect("made");
        let path = folder.path().to_owned();
        fs::write(path.join("file"), "x").expect("written");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o700);
        drop(folder);
        assert!(fs::symlink_metadata(&path).is_err());
    }
}
