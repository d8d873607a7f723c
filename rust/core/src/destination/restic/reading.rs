//! What restic prints, read as it comes; where the repository is locked, reading waits.

use super::access::Access;
use super::lock::Wait;
use super::program::{Call, Running, TICK, start};
use super::pulse::Pulse;
use crate::{Code, Error, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Read};
use std::process::{ChildStdout, Stdio};

/// A reader of what it prints that ends with an error where restic does. Where the repository is locked, reading waits.
pub(super) struct Output {
    // Before its output: it is stopped while that is open.
    running: Running,
    pulse: Pulse,
    stdout: ChildStdout,
    access: Access,
    call: Call,
    wait: Wait,
    /// Something came: it is not begun anew.
    came: bool,
    ended: bool,
}

/// Starts a restic whose output is read as it comes.
pub(super) fn open(access: &Access, call: Call) -> Result<Output> {
    let wait = Wait::at(access);
    let (running, stdout) = started(access, &call)?;
    let (access, pulse) = (access.clone(), running.pulse(&call));
    Ok(Output { running, pulse, stdout, access, call, wait, came: false, ended: false })
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
        let error = match error.code() {
            Code::Destination if error.next_step().is_none() => error.hint(
                "`bam verify` tells whether the repository is damaged; where the backup has another copy, --destination names its place",
            ),
            Code::Integrity => error.of_bytes(),
            _ => error,
        };
        if self.came {
            return Err(error);
        }
        self.wait.until_next_try(&self.access, &self.call.cancel, error)?;
        (self.running, self.stdout) = started(&self.access, &self.call)?;
        self.pulse = self.running.pulse(&self.call);
        Ok(())
    }

    /// Whether there is something to read, or no more will come; waits for it, but not long.
    fn has_come(&self) -> io::Result<bool> {
        let at_most = Timespec::try_from(TICK).map_err(|_| io::ErrorKind::InvalidInput)?;
        match poll(&mut [PollFd::new(&self.stdout, PollFlags::IN)], Some(&at_most)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(cause) => Err(cause.into()),
        }
    }
}

impl Read for Output {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.ended && !buffer.is_empty() {
            if !self.has_come()? {
                self.call.cancel.check()?;
                self.pulse.check(&self.access)?;
                continue;
            }
            self.pulse.beat();
            let read = self.stdout.read(buffer)?;
            if read > 0 {
                self.came = true;
                self.running.printed = true;
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
