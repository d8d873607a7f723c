//! Reading what is to be a file. A named pipe in its place would keep whoever opens it waiting for somebody who writes
//! to it, perhaps with a lock held.

use rustix::fs::{CWD, FileType, Mode, OFlags};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The file system of pipes without a name (`PIPEFS_MAGIC`).
const PIPES: u64 = 0x5049_5045;

/// What is there in place of a file.
#[derive(Debug)]
pub(crate) struct Irregular(&'static str);

impl fmt::Display for Irregular {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it is {}, not a file", self.0)
    }
}

impl std::error::Error for Irregular {}

impl Irregular {
    /// Whether an error says that there is no file, but something else.
    pub(crate) fn is(cause: &io::Error) -> bool {
        cause.get_ref().is_some_and(|inner| inner.is::<Irregular>())
    }
}

/// Opens a file that somebody has named. That may be a pipe without a name or a device, too: what a shell hands over
/// (`<(…)`, `/dev/stdin`) was meant, and has somebody at its other end.
///
/// # Errors
///
/// It cannot be opened, or is something else, which is not waited for.
pub fn open(path: &Path) -> io::Result<File> {
    let (file, kind) = start(path)?;
    let handed_over = match kind {
        FileType::RegularFile => return Ok(file),
        FileType::CharacterDevice => true,
        FileType::Fifo => u64::try_from(rustix::fs::fstatfs(&file)?.f_type) == Ok(PIPES),
        _ => false,
    };
    if !handed_over {
        return Err(irregular(kind));
    }
    // From here on it is waited for.
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
    Ok(file)
}

/// All of what [`open`] opens.
///
/// # Errors
///
/// As of [`open`]; it cannot be read.
pub fn read_named(path: &Path) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    open(path)?.read_to_end(&mut all)?;
    Ok(all)
}

/// All of a file of our own; as [`open`], and nothing but a file.
///
/// # Errors
///
/// As of [`open`]; it cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let (mut file, kind) = start(path)?;
    if kind != FileType::RegularFile {
        return Err(irregular(kind));
    }
    let mut all = Vec::new();
    file.read_to_end(&mut all)?;
    Ok(all)
}

/// The same as text.
///
/// # Errors
///
/// As of [`read`]; it is not UTF-8.
pub fn read_to_string(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|cause| io::Error::new(io::ErrorKind::InvalidData, cause))
}

/// Opens without waiting, and tells what it is.
fn start(path: &Path) -> io::Result<(File, FileType)> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|cause| match cause {
        // What a socket answers.
        rustix::io::Errno::NXIO => io::Error::other(Irregular("a socket or a device without a driver")),
        cause => cause.into(),
    })?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&opened)?.st_mode);
    Ok((File::from(opened), kind))
}

fn irregular(kind: FileType) -> io::Error {
    io::Error::other(Irregular(match kind {
        FileType::Fifo => "a named pipe",
        FileType::Directory => return io::ErrorKind::IsADirectory.into(),
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something else",
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;
    use std::os::fd::AsRawFd;

    #[test]
    fn nobody_waits_for_what_is_no_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        rustix::fs::mknodat(CWD, at("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("made");
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).expect("bound");
        fs::write(at("file"), "text").expect("written");
        std::os::unix::fs::symlink("pipe", at("link")).expect("linked");
        for name in ["pipe", "link"] {
            for error in [open(&at(name)).expect_err(name), read(&at(name)).expect_err(name)] {
                assert!(
                    Irregular::is(&error) && error.to_string() == "it is a named pipe, not a file",
                    "{error}"
                );
            }
        }
        assert!(Irregular::is(&open(&at("socket")).expect_err("a socket")));
        assert_eq!(read_to_string(&at("file")).expect("a file"), "text");
        assert_eq!(open(&at("none")).expect_err("none").kind(), io::ErrorKind::NotFound);
        assert_eq!(read(dir.path()).expect_err("a folder").kind(), io::ErrorKind::IsADirectory);
        assert!(Irregular::is(&read(Path::new("/dev/null")).expect_err("a device")));
        assert!(open(Path::new("/dev/null")).is_ok());
        let error = crate::Error::io("cannot read", &at("pipe"), read(&at("pipe")).expect_err("a pipe"));
        assert!(error.code() == crate::Code::Config && error.next_step().is_some(), "{error}");
    }

    #[test]
    fn what_a_shell_hands_over_is_waited_for() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
        let mut file = open(Path::new(&path)).expect("opened");
        let writes = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(50));
            writer.write_all(b"late").expect("written");
        });
        drop(reader);
        let mut text = String::new();
        file.read_to_string(&mut text).expect("read");
        writes.join().expect("written");
        assert_eq!(text, "late");
    }
}
