//! What restic reads and prints while it works.

use super::access::Access;
use super::lock::Wait;
use super::program::{Call, Running, TICK, start};
use crate::{Cancel, Code, Error, Result, threads};
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{ChildStdout, ExitStatus, Stdio};

/// How it ended.
pub(super) struct Ended {
    pub status: ExitStatus,
    pub said: String,
}

impl Ended {
    /// Fails where it did.
    pub fn check(self, access: &Access) -> Result<Ended> {
        if self.status.success() { Ok(self) } else { Err(access.explain(self.status, &self.said)) }
    }
}

/// Writes what a program reads.
pub(super) type Feed<'a> = dyn FnMut(&mut dyn Write) -> Result<()> + 'a;

/// Runs it to its end: what it prints goes to `each` line by line, what it reads comes from `feed`. Where `feed` fails it
/// is killed before it sees an end.
pub(super) fn lines(
    access: &Access,
    call: &Call,
    feed: Option<&mut Feed<'_>>,
    each: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<Ended> {
    let stdin = if feed.is_some() { Stdio::piped() } else { Stdio::null() };
    let mut running = start(access, call, stdin)?;
    let stdout = running.stdout().ok_or_else(|| Error::new(Code::Internal, "restic has no output"))?;
    let (send, printed) = bounded(64);
    let reader = threads::spawn("bam-restic", move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(io::Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    })?;
    let mut fed = Ok(());
    if let (Some(feed), Some(mut stdin)) = (feed, running.stdin()) {
        fed = feed(&mut stdin).and_then(|()| Ok(stdin.flush()?));
        let is_torn = fed.as_ref().err().is_some_and(is_broken_pipe);
        if fed.is_err() && !is_torn {
            running.kill();
        }
    }
    let done = take_all(&printed, &call.cancel, each).and_then(|()| running.wait(&call.cancel));
    if done.is_err() {
        drop(printed);
        drop(running);
        let _ = reader.join();
        return Err(fed.err().filter(|error| !is_broken_pipe(error)).unwrap_or_else(|| match done {
            Err(error) => error,
            Ok(_) => Error::new(Code::Internal, "restic ended and did not"),
        }));
    }
    let _ = reader.join();
    let ended = Ended { status: done?, said: running.said() };
    match fed {
        // It ended before it had read all: why, it says itself.
        Err(error) if is_broken_pipe(&error) && !ended.status.success() => Ok(ended),
        Err(error) => Err(error),
        Ok(()) => Ok(ended),
    }
}

fn is_broken_pipe(error: &Error) -> bool {
    std::error::Error::source(error)
        .and_then(|cause| cause.downcast_ref::<io::Error>())
        .is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

fn take_all(
    printed: &Receiver<Vec<u8>>,
    cancel: &Cancel,
    each: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    loop {
        match printed.recv_timeout(TICK) {
            Ok(line) => each(&line)?,
            Err(RecvTimeoutError::Timeout) => cancel.check()?,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

/// A reader of what it prints that ends with an error where restic does. Where the repository is locked, reading waits.
pub(super) struct Output {
    running: Running,
    stdout: ChildStdout,
    access: Access,
    call: Call,
    wait: Wait,
    /// Something came: it is not begun anew.
    came: bool,
    ended: bool,
}

/// Starts a restic whose output is read as it comes.
pub(super) fn reading(access: &Access, call: Call) -> Result<Output> {
    let (running, stdout) = started(access, &call)?;
    let (access, wait) = (access.clone(), Wait::default());
    Ok(Output { running, stdout, access, call, wait, came: false, ended: false })
}

fn started(access: &Access, call: &Call) -> Result<(Running, ChildStdout)> {
    let mut running = start(access, call, Stdio::null())?;
    let stdout = running.stdout().ok_or_else(|| Error::new(Code::Internal, "restic has no output"))?;
    Ok((running, stdout))
}

impl Output {
    /// Fails where restic did, unless it had said nothing yet and is worth another try, which is begun.
    fn end(&mut self) -> Result<()> {
        let status = self.running.wait(&self.call.cancel)?;
        if status.success() {
            self.ended = true;
            return Ok(());
        }
        let error = self.access.explain(status, &self.running.said());
        if self.came {
            return Err(error);
        }
        self.wait.until_next_try(&self.access, &self.call.cancel, error)?;
        (self.running, self.stdout) = started(&self.access, &self.call)?;
        Ok(())
    }
}

impl Read for Output {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.ended && !buffer.is_empty() {
            let read = self.stdout.read(buffer)?;
            if read > 0 {
                self.came = true;
                return Ok(read);
            }
            if let Err(error) = self.end() {
                self.ended = true;
                return Err(error.into());
            }
        }
        Ok(0)
    }
}
