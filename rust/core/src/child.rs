//! What all programs that we start have in common: open files of ours that they get, and the wait for their end.

use crate::{Code, Error, Result, look, threads};
use command_fds::{CommandFdExt, FdMapping};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fs::{File, Permissions};
use std::io::{self, ErrorKind, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

/// How often a child is looked at where the system does not tell of its end.
const LOOK: Duration = Duration::from_millis(10);

/// An empty file in memory, without a name; nobody else may read it, and programs get it by [`hand`] alone.
pub(crate) fn memory_file() -> Result<File> {
    let made = memfd_create("bam", MemfdFlags::CLOEXEC).map_err(io::Error::from).and_then(|file| {
        let file = File::from(file);
        file.set_permissions(Permissions::from_mode(0o600))?;
        Ok(file)
    });
    made.map_err(untold)
}

fn untold(cause: io::Error) -> Error {
    Error::from(cause).context("what another program is to read cannot be kept in memory")
}

/// One that holds this, to be read from its beginning.
///
/// # Errors
///
/// Those of the system, which may have no memory left.
pub fn memory_file_of(content: &[u8]) -> Result<File> {
    let mut file = memory_file()?;
    file.write_all(content).and_then(|()| file.rewind()).map_err(untold)?;
    Ok(file)
}

/// Lets a program have open files as descriptors of these numbers, at `/dev/fd/` and the number.
pub(crate) fn hand(command: &mut Command, files: impl IntoIterator<Item = (i32, OwnedFd)>) -> io::Result<()> {
    let mapping = |(child_fd, parent_fd)| FdMapping { parent_fd, child_fd };
    command.fd_mappings(files.into_iter().map(mapping).collect()).map_err(io::Error::other)?;
    Ok(())
}

/// That a program cannot be started: where it is not there, with how to `install` it.
pub(crate) fn cannot_run(program: &str, install: &str, cause: io::Error) -> Error {
    if cause.kind() == ErrorKind::NotFound {
        return Error::new(Code::Unsupported, format!("the program {program} is not installed"))
            .hint(install);
    }
    let failed = Error::new(Code::Unsupported, format!("cannot run the program {program}"));
    match cause.kind() {
        ErrorKind::WouldBlock => failed.because(cause).hint(threads::TOO_MANY),
        ErrorKind::PermissionDenied => {
            let path = in_path(program).map_or_else(|| program.to_owned(), |path| path.display().to_string());
            Error::new(Code::Unsupported, format!("cannot run the program {path}"))
                .because(cause)
                .hint(format!("let the user who runs this execute it, e.g. with `chmod a+rx {path}`"))
        }
        _ => failed.because(cause),
    }
}

/// Where a program lies that the system has found and could not run.
fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let is_file = |file: &PathBuf| look::is_file(file).unwrap_or(false);
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(is_file)
}

/// Waits for the end of a child, but not longer than that; `None`: it goes on.
///
/// # Errors
///
/// Those of the system, which knows of no such child.
pub fn wait(child: &mut Child, at_most: Duration) -> io::Result<Option<ExitStatus>> {
    if let Some(status) = child.try_wait()? {
        return Ok(Some(status));
    }
    let told = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // Linux 5.3 has it, and few containers forbid it.
    match told.map(|pid| pidfd_open(pid, PidfdFlags::empty())) {
        Some(Ok(end)) => {
            let at_most = Timespec::try_from(at_most).map_err(|_| ErrorKind::InvalidInput)?;
            match poll(&mut [PollFd::new(&end, PollFlags::IN)], Some(&at_most)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(cause) => return Err(cause.into()),
            }
        }
        _ => std::thread::sleep(at_most.min(LOOK)),
    }
    child.try_wait()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Stdio;

    #[test]
    fn the_end_of_a_child_is_waited_for() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("cat");
        assert_eq!(wait(&mut child, Duration::from_millis(1)).expect("waited"), None);
        drop(child.stdin.take());
        let mut ended = None;
        while ended.is_none() {
            ended = wait(&mut child, Duration::from_secs(60)).expect("waited");
        }
        assert!(ended.is_some_and(|status| status.success()));
    }

    #[test]
    fn a_program_that_is_not_there_is_to_be_installed_and_another_not() {
        let told = |kind| cannot_run("restic", "install it", io::Error::from(kind)).to_string();
        assert!(told(ErrorKind::NotFound).contains("install it"));
        let many = told(ErrorKind::WouldBlock);
        assert!(many.contains("ulimit") && !many.contains("install"), "{many}");
        assert!(!told(ErrorKind::PermissionDenied).contains("install"));
    }

    #[test]
    fn a_program_reads_what_it_was_handed() {
        let mut command = Command::new("cat");
        let files =
            [(5, memory_file_of(b"one ").expect("a file")), (3, memory_file_of(b"two").expect("a file"))];
        hand(&mut command, files.map(|(number, file)| (number, file.into()))).expect("handed");
        let read = command.args(["/dev/fd/5", "/dev/fd/3"]).output().expect("cat");
        assert_eq!(read.stdout, b"one two");
    }
}
