//! A vendor's client program as a child process: found in the PATH, fed and read without ever blocking past a
//! cancel, killed when dropped, its complaints kept.

use crate::monitor::{Cancel, TICK};
use crate::{Code, Error, Monitor, Result, child, threads};
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::ffi::OsStr;
use std::ffi::OsString;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// How much of what a program says on stderr is kept.
const STDERR_KEPT: usize = 16 * 1024;
/// The descriptor on which a child finds its secret option file.
const SECRET_FD: i32 = 3;
/// The descriptor that a child only keeps open.
const HELD_FD: i32 = 4;

/// The path under which the child reads what [`spawn`] got as `secret`.
pub(crate) const SECRET_PATH: &str = "/dev/fd/3";

/// The first of `names` that the PATH has; otherwise an error that names the Debian `package`.
pub(crate) fn find(names: &[&'static str], package: &str) -> Result<(PathBuf, &'static str)> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    for name in names {
        for folder in std::env::split_paths(&path).filter(|folder| folder.is_absolute()) {
            let file = folder.join(name);
            let found = file.metadata();
            if found.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0) {
                return Ok((file, name));
            }
        }
    }
    Err(Error::new(Code::NotFound, format!("the program {} is not installed", names.join(" or ")))
        .hint(format!("install it, e.g. apt install {package}")))
}

/// A running client program. Dropping it kills it.
pub(crate) struct Tool {
    child: Child,
    name: OsString,
    said: Receiver<Vec<u8>>,
    /// Of the job that reads or writes it.
    cancel: Cancel,
}

/// Starts a program; its stderr is kept. `secret` is a file in memory, readable at [`SECRET_PATH`] by the program alone:
/// libpq takes passwords from nothing but files, and only from those that nobody else may read.
pub(crate) fn spawn(command: Command, secret: &[u8], stdin: Stdio, stdout: Stdio) -> io::Result<Tool> {
    spawn_holding(command, secret, None, stdin, stdout)
}

/// The same; the program keeps `held` open until it ends, we do not.
pub(crate) fn spawn_holding(
    mut command: Command,
    secret: &[u8],
    held: Option<OwnedFd>,
    stdin: Stdio,
    stdout: Stdio,
) -> io::Result<Tool> {
    let secret = Some((SECRET_FD, child::memory_file_of(secret)?.into()));
    child::hand(&mut command, secret.into_iter().chain(held.map(|held| (HELD_FD, held))))?;
    let mut child = command.stdin(stdin).stdout(stdout).stderr(Stdio::piped()).spawn()?;
    let stderr = child.stderr.take().ok_or(ErrorKind::BrokenPipe)?;
    let (sender, said) = bounded(1);
    // Dropped where there is no thread for it, it is killed.
    let tool = Tool { child, name: command.get_program().to_owned(), said, cancel: Cancel::default() };
    threads::spawn("bam-stderr", move || {
        // Nobody listens any more where the program was given up.
        let _ = sender.send(keep(stderr));
    })?;
    Ok(tool)
}

/// Reads all of a program's stderr, and keeps its beginning and its end.
fn keep(mut stderr: ChildStderr) -> Vec<u8> {
    let (mut kept, mut block) = (Vec::new(), [0; 4096]);
    loop {
        match stderr.read(&mut block) {
            // Whoever stops reading lets the program wait for ever.
            Err(cause) if cause.kind() == ErrorKind::Interrupted => continue,
            Ok(0) | Err(_) => break,
            Ok(n) => kept.extend_from_slice(block.get(..n).unwrap_or_default()),
        }
        if kept.len() > STDERR_KEPT {
            let excess = kept.len() - STDERR_KEPT;
            kept.drain(STDERR_KEPT / 2..STDERR_KEPT / 2 + excess);
        }
    }
    kept
}

impl Tool {
    /// The child's output; may be taken once. Reading ends with an error soon after `stop` is set.
    pub(crate) fn output<'m>(
        &mut self,
        monitor: &'m Monitor,
        stop: Option<&'m AtomicBool>,
    ) -> io::Result<Output<'m>> {
        let pipe = self.child.stdout.take().ok_or(ErrorKind::BrokenPipe)?;
        self.cancel = monitor.flag();
        // Fewer turns between the child and us; where the system says no, the usual 64 KiB do.
        let _ = rustix::pipe::fcntl_setpipe_size(&pipe, 1 << 20);
        Ok(Output { pipe, monitor, stop })
    }

    /// The child's input; may be taken once. The child sees its end when it is dropped.
    pub(crate) fn input<'m>(&mut self, monitor: &'m Monitor) -> io::Result<Input<'m>> {
        let pipe = self.child.stdin.take().ok_or(ErrorKind::BrokenPipe)?;
        self.cancel = monitor.flag();
        let _ = rustix::pipe::fcntl_setpipe_size(&pipe, 1 << 20);
        let flags = rustix::fs::fcntl_getfl(&pipe)?;
        rustix::fs::fcntl_setfl(&pipe, flags | OFlags::NONBLOCK)?;
        Ok(Input { pipe, monitor })
    }

    /// Lets the program have so many bytes of memory and seconds of a processor: an answer without end takes either.
    pub(crate) fn limit(&self, bytes: u64, seconds: u64) {
        for (resource, most) in [(Resource::Data, bytes), (Resource::Cpu, seconds)] {
            let limit = Rlimit { current: Some(most), maximum: Some(most) };
            // Where that is not allowed, nothing else is lost by it.
            let _ = prlimit(Some(Pid::from_child(&self.child)), resource, limit);
        }
    }

    /// Waits for the end; gives the exit status and what was said on stderr. The output must have been read to its end.
    /// Fails with [`Code::Cancelled`] soon after a cancel: a program may close its output and live on, or leave another that
    /// holds its stderr.
    pub(crate) fn wait(mut self) -> Result<(ExitStatus, String)> {
        drop(self.child.stdin.take());
        let status = loop {
            match child::wait(&mut self.child, TICK) {
                Ok(Some(status)) => break status,
                Ok(None) => self.cancel.check()?,
                Err(cause) => {
                    let text = format!("lost {}", self.name.display());
                    return Err(Error::new(Code::Io, text).because(cause));
                }
            }
        };
        let said = loop {
            match self.said.recv_timeout(TICK) {
                Ok(said) => break said,
                Err(RecvTimeoutError::Timeout) => self.cancel.check()?,
                Err(RecvTimeoutError::Disconnected) => break Vec::new(),
            }
        };
        Ok((status, String::from_utf8_lossy(&said).into_owned()))
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn wait_for(
    pipe: impl AsFd,
    flags: PollFlags,
    monitor: &Monitor,
    stop: Option<&AtomicBool>,
) -> io::Result<()> {
    let tick = Timespec::try_from(TICK).map_err(|_| ErrorKind::InvalidInput)?;
    loop {
        monitor.check()?;
        if stop.is_some_and(|stop| stop.load(Relaxed)) {
            return Err(ErrorKind::BrokenPipe.into());
        }
        match poll(&mut [PollFd::new(&pipe, flags)], Some(&tick)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(cause) => return Err(cause.into()),
        }
    }
}

/// Reads what a child writes; fails with [`Code::Cancelled`] soon after a cancel, however long the child is silent.
pub(crate) struct Output<'m> {
    pipe: ChildStdout,
    monitor: &'m Monitor,
    stop: Option<&'m AtomicBool>,
}

impl Read for Output<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            wait_for(&self.pipe, PollFlags::IN, self.monitor, self.stop)?;
            match self.pipe.read(buffer) {
                // A signal that is none of this pipe's business; not every reader up there knows of it.
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }
}

/// Writes what a child reads; likewise.
pub(crate) struct Input<'m> {
    pipe: ChildStdin,
    monitor: &'m Monitor,
}

impl Write for Input<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.pipe.write(bytes) {
                Err(cause) if cause.kind() == ErrorKind::WouldBlock => {
                    wait_for(&self.pipe, PollFlags::OUT, self.monitor, None)?;
                }
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A command with the C locale, and without those of our environment variables that would change where it connects.
pub(crate) fn command(program: impl AsRef<OsStr>, unset: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.env("LC_ALL", "C");
    crate::environment::clean(&mut command);
    for name in unset {
        command.env_remove(name);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Pid, Signal, kill_process};

    /// What a shell's script prints; then it is waited for, cancelled.
    fn cancelled(script: &str) -> (String, Result<(ExitStatus, String)>) {
        let (monitor, mut command) = (Monitor::new(), command("sh", &[]));
        command.args(["-c", script]);
        let mut tool = spawn(command, &[], Stdio::null(), Stdio::piped()).expect("started");
        let mut printed = String::new();
        tool.output(&monitor, None).and_then(|mut out| out.read_to_string(&mut printed)).expect("its end");
        monitor.cancel();
        (printed, tool.wait())
    }

    #[test]
    fn a_program_that_closed_its_output_and_lives_on_keeps_nobody_from_cancelling() {
        let (printed, waited) = cancelled("echo $$; exec >&-; exec sleep 3600");
        assert_eq!(waited.expect_err("it goes on").code(), Code::Cancelled);
        let program = printed.trim().parse().ok().and_then(Pid::from_raw).expect("its number");
        assert!(rustix::process::test_kill_process(program).is_err(), "it is killed");
    }

    #[test]
    fn what_a_program_left_behind_keeps_nobody_from_cancelling() {
        let (printed, waited) = cancelled("sleep 3600 >&- & echo $!");
        let left = printed.trim().parse().ok().and_then(Pid::from_raw).expect("its number");
        kill_process(left, Signal::KILL).expect("it goes on");
        assert_eq!(waited.expect_err("its stderr is open").code(), Code::Cancelled);
    }
}
