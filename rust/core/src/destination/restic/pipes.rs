//! What restic reads and prints while it works.

use super::access::Access;
use super::program::{Call, TICK, start};
use crate::{Code, Error, Result, threads};
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::process::{ExitStatus, Stdio};

/// How it ended.
pub(super) struct Ended {
    pub status: ExitStatus,
    /// The beginning of what it said on stderr.
    pub said: String,
    all: File,
}

impl Ended {
    /// Fails where it did.
    pub fn check(self, access: &Access) -> Result<Ended> {
        if self.status.success() { Ok(self) } else { Err(access.explain(self.status, &self.said)) }
    }

    /// All that it said on stderr, line by line.
    pub fn each_line(&mut self, each: &mut dyn FnMut(&[u8])) -> Result<()> {
        let unread = |cause| Error::new(Code::Io, "cannot read what restic said").because(cause);
        self.all.seek(SeekFrom::Start(0)).map_err(unread)?;
        for line in BufReader::new(&self.all).split(b'\n') {
            each(&line.map_err(unread)?);
        }
        Ok(())
    }
}

/// Writes what a program reads.
pub(super) type Feed<'a> = dyn FnMut(&mut dyn Write) -> Result<()> + 'a;

/// Runs it to its end: what it prints goes to `each` line by line, what it reads comes from `feed`. Where `feed` fails it
/// is ended before it sees an end.
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
            running.stop();
        }
    }
    let mut pulse = running.pulse(call);
    let mut idle = || call.cancel.check().and_then(|()| pulse.check(access));
    let mut heard = |line: &[u8]| {
        running.printed = true;
        each(line)
    };
    let done = take_all(&printed, &mut idle, &mut heard).and_then(|()| running.wait(&call.cancel));
    if done.is_err() {
        running.stop();
        // Not before: it could print no more.
        drop(printed);
        let _ = reader.join();
        return Err(fed.err().filter(|error| !is_broken_pipe(error)).unwrap_or_else(|| match done {
            Err(error) => error,
            Ok(_) => Error::new(Code::Internal, "restic ended and did not"),
        }));
    }
    let _ = reader.join();
    let ended = Ended { status: done?, said: running.said(), all: running.all_said()? };
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
    idle: &mut dyn FnMut() -> Result<()>,
    each: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    loop {
        match printed.recv_timeout(TICK) {
            Ok(line) => each(&line)?,
            Err(RecvTimeoutError::Timeout) => idle()?,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}
