//! Files that appear under their name when they are whole, and not before.

use crate::look;
use crate::{Code, Error, Monitor, Result, ResultExt};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use tempfile::TempPath;

/// What one read moves.
const BLOCK: usize = 256 * 1024;

/// Writes `path`, readable by its owner only, through `work`. Where a file of that name exists it is an error
/// ([`Code::Usage`]), unless `replace` says that its time is over; until the new one is whole the old one stays.
pub fn write<T>(
    path: &Path,
    replace: bool,
    work: impl FnOnce(&mut BufWriter<File>) -> Result<T>,
) -> Result<T> {
    if !replace && look::exists(path)? {
        return Err(exists(path));
    }
    refuse_device(path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (part, name) = Part::new(folder).at("cannot write to", folder)?;
    let mut out = BufWriter::with_capacity(BLOCK, part);
    let done = work(&mut out)?;
    let part = out.into_inner().map_err(io::IntoInnerError::into_error).at("cannot write", path)?;
    part.sync_all().at("cannot write", path)?;
    match name.give(&part, path, replace) {
        Ok(()) => Ok(done),
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => Err(exists(path)),
        Err(cause) => Err(Error::io("cannot write", path, cause)),
    }
}

/// Refuses to put a file in the place of a device, a pipe or a folder, also where a link leads there (`/dev/stdout`).
///
/// # Errors
///
/// [`Code::Usage`]; it cannot be looked at.
pub fn refuse_device(path: &Path) -> Result<()> {
    match look::follow(path)? {
        Some(found) if !found.is_file() => {
            Err(Error::of_path(Code::Usage, path, "is no file, and is not replaced").hint("name a file"))
        }
        _ => Ok(()),
    }
}

/// What a file is called until it is whole.
enum Part {
    /// Nothing: should we be killed, it is gone.
    Nameless,
    /// Where the file system knows no such files.
    Named(TempPath),
}

impl Part {
    fn new(folder: &Path) -> io::Result<(File, Part)> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        if let Ok(file) = rustix::fs::openat(CWD, folder, flags, Mode::RUSR | Mode::WUSR) {
            return Ok((File::from(file), Part::Nameless));
        }
        let named = tempfile::Builder::new().prefix(".bam-").suffix(".part").tempfile_in(folder)?;
        let (file, path) = named.into_parts();
        Ok((file, Part::Named(path)))
    }

    fn give(self, file: &File, path: &Path, replace: bool) -> io::Result<()> {
        match (self, replace) {
            (Part::Named(part), true) => part.persist(path).map_err(|cause| cause.error),
            (Part::Named(part), false) => part.persist_noclobber(path).map_err(|cause| cause.error),
            (Part::Nameless, false) => link(file, path),
            // No call gives a file the name of another; a killed run may have stopped between these two.
            (Part::Nameless, true) => {
                let beside = beside(path);
                match fs::remove_file(&beside) {
                    Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
                    _ => link(file, &beside)?,
                }
                fs::rename(&beside, path).inspect_err(|_| drop(fs::remove_file(&beside)))
            }
        }
    }
}

/// open(2), at O_TMPFILE, has this way.
fn link(file: &File, path: &Path) -> io::Result<()> {
    let from = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(rustix::fs::linkat(CWD, from, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".bam-new");
    path.with_file_name(name)
}

/// Copies everything in blocks, until `monitor` says to stop; how many bytes it was. Errors of the engine keep their
/// kind.
pub fn copy(mut from: impl Read, to: &mut (impl Write + ?Sized), monitor: &Monitor) -> Result<u64> {
    let mut block = vec![0; BLOCK];
    let mut copied = 0;
    loop {
        monitor.check()?;
        match from.read(&mut block) {
            Ok(0) => return Ok(copied),
            Ok(count) => {
                to.write_all(block.get(..count).unwrap_or_default())?;
                copied += count as u64;
            }
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause.into()),
        }
    }
}

fn exists(path: &Path) -> Error {
    Error::of_path(Code::Usage, path, "exists already").hint("choose another name")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_fails_leaves_what_was_there() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("file");
        let torn = |out: &mut BufWriter<File>| {
            out.write_all(b"half")?;
            Err::<(), _>(Error::new(Code::Integrity, "torn"))
        };
        write(&path, false, torn).expect_err("torn");
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 0);

        write(&path, false, |out| Ok(out.write_all(b"whole")?)).expect("written");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(write(&path, false, |_| Ok(())).expect_err("it exists").code(), Code::Usage);
        write(&path, true, torn).expect_err("torn");
        assert_eq!(fs::read(&path).expect("read"), b"whole");
        write(&path, true, |out| Ok(out.write_all(b"new")?)).expect("replaced");
        assert_eq!(fs::read(&path).expect("read"), b"new");
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1);
        std::os::unix::fs::symlink("/dev/null", dir.path().join("link")).expect("linked");
        for no_file in [Path::new("/dev/null"), &dir.path().join("link"), dir.path()] {
            assert_eq!(write(no_file, true, |_| Ok(())).expect_err("no file").code(), Code::Usage);
        }
        fs::remove_file(dir.path().join("link")).expect("removed");
        // What a run left that was killed in the moment before.
        fs::write(beside(&path), "of a killed run").expect("written");
        write(&path, true, |out| Ok(out.write_all(b"newer")?)).expect("replaced");
        assert_eq!(fs::read(&path).expect("read"), b"newer");
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1);
    }

    #[test]
    fn without_nameless_files_it_is_the_same() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("file");
        for (replace, text) in [(false, "whole"), (true, "new")] {
            let named = tempfile::NamedTempFile::new_in(dir.path()).expect("made");
            fs::write(named.path(), text).expect("written");
            let (file, name) = named.into_parts();
            Part::Named(name).give(&file, &path, replace).expect("named");
            assert_eq!(fs::read(&path).expect("read"), text.as_bytes());
        }
        let named = tempfile::NamedTempFile::new_in(dir.path()).expect("made").into_parts();
        let refused = Part::Named(named.1).give(&named.0, &path, false).expect_err("it exists");
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1);
    }

    #[test]
    fn a_cancelled_copy_stops() {
        let monitor = Monitor::new();
        assert_eq!(copy(&b"all of it"[..], &mut Vec::new(), &monitor).expect("copied"), 9);
        monitor.cancel();
        assert_eq!(
            copy(io::repeat(0), &mut io::sink(), &monitor).expect_err("stopped").code(),
            Code::Cancelled
        );
    }
}
