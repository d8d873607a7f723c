//! SFTP writes through the ssh program, for uploads on fast lines.
//!
//! libssh2 encrypts 16 bytes at a time, which costs several times what the cipher does; OpenSSH's own client encrypts
//! whole packets. So, where it is installed and gets in with a key, it carries the bytes of large files. Whatever fails
//! here means only that libssh2 goes on.
//!
//! The protocol is version 3, draft-ietf-secsh-filexfer-02; `limits@openssh.com` is in OpenSSH's PROTOCOL, 4.8.

use super::stripes::{STRIPE, Stripes, WINDOW};
use crate::Monitor;
use crate::destination::follow::Follow;
use crate::destination::ssh::openssh::{HOST, Running, Settings};
use crate::destination::ssh::server::Server;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

const INIT: u8 = 1;
const VERSION: u8 = 2;
const OPEN: u8 = 3;
const WRITE: u8 = 6;
const STATUS: u8 = 101;
const HANDLE: u8 = 102;
const EXTENDED: u8 = 200;
const EXTENDED_REPLY: u8 = 201;
/// Open for writing, nothing else.
const FOR_WRITING: u32 = 2;
const LIMITS: &[u8] = b"limits@openssh.com";
/// What every server takes in one write (draft, section 3), and the most that we send.
const WRITE_LEAST: usize = 32 << 10;
const WRITE_MOST: usize = 255 << 10;
/// No answer is longer.
const ANSWER_MOST: usize = 256 << 10;
/// How often a wait looks around.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Bytes that were written and have no answer yet.
struct Unanswered {
    id: u32,
    at: u64,
    /// It has its answer, others before it have not.
    answered: bool,
}

/// An SFTP session of the ssh program's, with one file open for writing.
pub(crate) struct ProgramSession {
    _ssh: Running,
    to: ChildStdin,
    from: ChildStdout,
    /// The server's bytes that are no whole answer yet.
    incoming: Vec<u8>,
    /// One request, of which `sent` bytes are on their way.
    outgoing: Vec<u8>,
    sent: usize,
    handle: Vec<u8>,
    write_most: usize,
    last_id: u32,
    unanswered: VecDeque<Unanswered>,
    /// What is still to be written of the stripe.
    stripe: Range<u64>,
    /// When the server last said something.
    heard: Instant,
    patience: Duration,
}

/// Requests are text and numbers in the order in which they are put.
fn text(request: &mut Vec<u8>, bytes: &[u8]) {
    request.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    request.extend_from_slice(bytes);
}

/// Takes the front of an answer apart.
struct Answer<'a>(&'a [u8]);

impl<'a> Answer<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (&front, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(front)
    }

    fn number(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (front, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(front)
    }
}

impl ProgramSession {
    /// Logs in and opens `path`. `None` where that does not work, or when the upload is over before.
    pub fn start(server: &Server, key: &[u8], path: &Path, stripes: &Stripes) -> Option<ProgramSession> {
        if server.password.is_some() && server.identity_file.is_none() {
            return None;
        }
        let settings = Settings::write(server, key).ok()?;
        let mut command = Command::new("ssh");
        crate::environment::clean(&mut command);
        command.arg("-F").arg(&settings.file).args(["-s", HOST, "sftp"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut child = command.spawn().ok()?;
        let (to, from) = (child.stdin.take(), child.stdout.take());
        let ssh = Running(child);
        let (to, from) = (to?, from?);
        for pipe in [to.as_fd(), from.as_fd()] {
            let flags = rustix::fs::fcntl_getfl(pipe).ok()?;
            rustix::fs::fcntl_setfl(pipe, flags | OFlags::NONBLOCK).ok()?;
        }
        // Where the system says no, the usual 64 KiB do.
        let _ = rustix::pipe::fcntl_setpipe_size(&to, 1 << 20);
        let mut session = ProgramSession {
            _ssh: ssh,
            to,
            from,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            sent: 0,
            handle: Vec::new(),
            write_most: WRITE_LEAST,
            last_id: 0,
            unanswered: VecDeque::new(),
            stripe: 0..0,
            heard: Instant::now(),
            patience: server.patience.timeout,
        };
        session.introduce(path, stripes)?;
        Some(session)
    }

    /// The beginning of the conversation, question by question.
    fn introduce(&mut self, path: &Path, stripes: &Stripes) -> Option<()> {
        self.outgoing.extend_from_slice(&[0, 0, 0, 5, INIT, 0, 0, 0, 3]);
        let version = self.ask(VERSION, stripes)?;
        let mut version = Answer(&version);
        let _number = version.number()?;
        let mut knows_limits = false;
        while let (Some(name), Some(_)) = (version.text(), version.text()) {
            knows_limits |= name == LIMITS;
        }
        if knows_limits {
            self.request(EXTENDED, |request| text(request, LIMITS));
            let limits = self.ask(EXTENDED_REPLY, stripes)?;
            let mut limits = Answer(&limits);
            // An id, then the most for a packet, a read, and a write.
            let (_, _, _) = (limits.number()?, limits.take::<8>()?, limits.take::<8>()?);
            let most = usize::try_from(u64::from_be_bytes(limits.take()?)).unwrap_or(usize::MAX);
            self.write_most = most.clamp(WRITE_LEAST, WRITE_MOST);
        }
        self.request(OPEN, |request| {
            text(request, path.as_os_str().as_bytes());
            request.extend_from_slice(&FOR_WRITING.to_be_bytes());
            // No attributes.
            request.extend_from_slice(&[0; 4]);
        });
        let handle = self.ask(HANDLE, stripes)?;
        let mut handle = Answer(&handle);
        handle.number()?;
        handle.text()?.clone_into(&mut self.handle);
        Some(())
    }

    /// Puts a request with the next id.
    fn request(&mut self, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
        self.last_id = self.last_id.wrapping_add(1);
        self.outgoing.clear();
        self.sent = 0;
        self.outgoing.extend_from_slice(&[0, 0, 0, 0, kind]);
        self.outgoing.extend_from_slice(&self.last_id.to_be_bytes());
        body(&mut self.outgoing);
        let length = u32::try_from(self.outgoing.len() - 4).unwrap_or(u32::MAX);
        if let Some(front) = self.outgoing.first_chunk_mut() {
            *front = length.to_be_bytes();
        }
    }

    /// Sends the request and waits for its answer, without its kind; `None` if it is of another.
    fn ask(&mut self, kind: u8, stripes: &Stripes) -> Option<Vec<u8>> {
        while !stripes.is_over() && self.heard.elapsed() < self.patience {
            self.send().ok()?;
            self.hear().ok()?;
            if let Some(answer) = self.answer().ok()? {
                return answer.split_first().filter(|(got, _)| **got == kind).map(|(_, rest)| rest.to_vec());
            }
            self.wait();
        }
        None
    }

    /// Sends the file, as [`Stripes`] gives it, until it is over or something is wrong.
    pub fn drive(&mut self, file: &Follow, stripes: &Stripes, sender: usize, monitor: &Monitor) {
        // Others say what, if it is more than this session's own trouble.
        let _ = self.go(file, stripes, sender, monitor);
    }

    fn go(
        &mut self,
        file: &Follow,
        stripes: &Stripes,
        sender: usize,
        monitor: &Monitor,
    ) -> crate::Result<()> {
        self.heard = Instant::now();
        let mut whole = stripes.whole();
        loop {
            let seen = stripes.seen();
            if stripes.is_over() {
                return Ok(());
            }
            monitor.check()?;
            let available = file.wait(whole, Duration::ZERO, monitor)?;
            // Turn after turn, as long as the pipe takes it.
            while self.is_sent() && self.put_write(file, available.bytes, stripes, sender)? {
                self.send()?;
            }
            self.send()?;
            self.hear()?;
            while let Some(answer) = self.answer()? {
                self.take_answer(&answer)?;
            }
            let first = self.unanswered.front().map(|write| write.at);
            whole = stripes.tell(sender, first.or((!self.stripe.is_empty()).then_some(self.stripe.start)));
            file.done(whole);
            if !self.is_sent() || !self.unanswered.is_empty() {
                if self.heard.elapsed() > self.patience {
                    return Err(io::Error::from(ErrorKind::TimedOut).into());
                }
                self.wait();
                continue;
            }
            self.heard = Instant::now();
            stripes.rest(seen, file, available, whole, monitor)?;
        }
    }

    fn is_sent(&self) -> bool {
        self.sent == self.outgoing.len()
    }

    /// Puts the next write, if there is something to be written and the server may get more.
    fn put_write(
        &mut self,
        file: &Follow,
        available: u64,
        stripes: &Stripes,
        sender: usize,
    ) -> crate::Result<bool> {
        if self.stripe.is_empty()
            && let Some(from) = stripes.take(sender, available)
        {
            self.stripe = from..from.saturating_add(STRIPE);
        }
        let at = self.stripe.start;
        let on_its_way = self.unanswered.front().map_or(0, |first| at.saturating_sub(first.at));
        let ready = available.min(self.stripe.end).saturating_sub(at);
        let length = usize::try_from(ready).unwrap_or(usize::MAX).min(self.write_most);
        if length == 0 || on_its_way > WINDOW as u64 {
            return Ok(false);
        }
        let handle = std::mem::take(&mut self.handle);
        self.request(WRITE, |request| {
            text(request, &handle);
            request.extend_from_slice(&at.to_be_bytes());
            request.extend_from_slice(&u32::try_from(length).unwrap_or(0).to_be_bytes());
            request.resize(request.len() + length, 0);
        });
        self.handle = handle;
        if let Some(from) = self.outgoing.len().checked_sub(length)
            && let Some(block) = self.outgoing.get_mut(from..)
        {
            file.read_exact_at(block, at)?;
        }
        self.unanswered.push_back(Unanswered { id: self.last_id, at, answered: false });
        self.stripe.start += length as u64;
        if file.finished_size().is_some_and(|size| self.stripe.start >= size) {
            self.stripe.start = self.stripe.end;
        }
        Ok(true)
    }

    fn take_answer(&mut self, answer: &[u8]) -> io::Result<()> {
        let mut rest = Answer(answer);
        let status = (rest.take(), rest.number(), rest.number());
        let (Some([STATUS]), Some(id), Some(0)) = status else { return Err(ErrorKind::InvalidData.into()) };
        // In the order of the writes, as a rule.
        let place = self.unanswered.iter().position(|write| write.id == id).ok_or(ErrorKind::InvalidData)?;
        if let Some(write) = self.unanswered.get_mut(place) {
            write.answered = true;
        }
        while self.unanswered.front().is_some_and(|write| write.answered) {
            self.unanswered.pop_front();
        }
        Ok(())
    }

    /// Sends what the pipe takes.
    fn send(&mut self) -> io::Result<()> {
        while let Some(rest) = self.outgoing.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.to.write(rest) {
                Ok(sent) => self.sent += sent,
                Err(cause) if cause.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
        }
        Ok(())
    }

    /// Takes what there is from the server.
    fn hear(&mut self) -> io::Result<()> {
        let mut block = [0; 4096];
        loop {
            match self.from.read(&mut block) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    self.heard = Instant::now();
                    self.incoming.extend_from_slice(block.get(..read).unwrap_or_default());
                }
                Err(cause) if cause.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
        }
    }

    /// The next whole answer of what was heard, its kind first.
    fn answer(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut heard = Answer(&self.incoming);
        let Some(length) = heard.number() else { return Ok(None) };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > ANSWER_MOST {
            return Err(ErrorKind::InvalidData.into());
        }
        let Some(answer) = heard.0.get(..length).map(<[u8]>::to_vec) else { return Ok(None) };
        self.incoming.drain(..4 + length);
        Ok(Some(answer))
    }

    /// Waits for an answer or for room in the pipe.
    fn wait(&self) {
        let mut ends = vec![PollFd::new(&self.from, PollFlags::IN)];
        if !self.is_sent() {
            ends.push(PollFd::new(&self.to, PollFlags::OUT));
        }
        // A failure shows at the next read or write.
        let _ = poll(&mut ends, Some(&TICK));
    }
}
