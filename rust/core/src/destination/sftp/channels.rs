//! Keeping a line full: bytes of one file over several SFTP channels.
//!
//! An OpenSSH server takes 2 MiB per channel (CHAN_SES_WINDOW_DEFAULT) and round trip, which is 40 MB/s at 50 ms
//! whatever the line could carry: on such lines several channels take turns with stripes of the file. On short and
//! fast lines encryption is the limit: there the ssh program takes over ([`ProgramSession`]) or, where it cannot, a second
//! connection helps on a second processor.

use super::folder::Folder;
use super::program::ProgramSession;
use super::stripes::{STRIPE, Stripes, WINDOW};
use crate::Monitor;
use crate::destination::follow::Follow;
use crate::destination::ssh::retry::Trouble;
use crate::destination::ssh::server::Server;
use ssh2::{BlockDirections, OpenFlags};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

/// How many channels a long line gets.
const CHANNELS: usize = 4;
/// Bytes from which on further channels and connections are worth opening.
const MUCH: u64 = 32 << 20;
/// Bytes that show how fast a line is: where they take longer than `slow` of
/// [`Patience`](crate::destination::Patience), the line, not encryption, is the limit.
const SAMPLE: u64 = 8 << 20;
/// Bytes read from the local file at once.
const BLOCK: usize = 256 << 10;
/// Why the bytes stopped.
pub(crate) enum Failure {
    Trouble(Trouble),
    /// The server refused a write.
    Write(io::Error),
}

impl<T: Into<Trouble>> From<T> for Failure {
    fn from(trouble: T) -> Self {
        Failure::Trouble(trouble.into())
    }
}

/// One channel with its own handle on the part.
struct Channel<'a> {
    remote: Handle<'a>,
    /// Bytes without an answer are `buffer[start..end]`; moved to the front when the end is reached.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Where `start` is in the file, and where the stripe ends.
    acked: u64,
    stripe_end: u64,
}

enum Handle<'a> {
    Given(&'a mut ssh2::File),
    Own(ssh2::File),
}

impl<'a> Channel<'a> {
    fn new(remote: Handle<'a>) -> Self {
        Channel { remote, buffer: vec![0; 2 * WINDOW], start: 0, end: 0, acked: 0, stripe_end: 0 }
    }

    fn file(&mut self) -> &mut ssh2::File {
        match &mut self.remote {
            Handle::Given(file) => file,
            Handle::Own(file) => file,
        }
    }

    fn unanswered(&self) -> usize {
        self.end - self.start
    }

    fn take_stripe(&mut self, from: u64, length: u64) -> io::Result<()> {
        self.file().seek(SeekFrom::Start(from))?;
        (self.acked, self.stripe_end) = (from, from.saturating_add(length));
        Ok(())
    }

    /// Reads what is there of the stripe, as far as the window goes.
    fn fill(&mut self, file: &Follow, available: u64) -> crate::Result<()> {
        loop {
            let read_to = self.acked + self.unanswered() as u64;
            let ready = available.min(self.stripe_end).saturating_sub(read_to);
            let ready = usize::try_from(ready).unwrap_or(usize::MAX).min(BLOCK);
            if ready == 0 || self.unanswered() > WINDOW - BLOCK {
                return Ok(());
            }
            if self.buffer.len() - self.end < BLOCK {
                self.buffer.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.unanswered());
            }
            let block = self.buffer.get_mut(self.end..self.end + ready).unwrap_or_default();
            file.read_exact_at(block, read_to)?;
            self.end += ready;
        }
    }

    /// Shows libssh2 all bytes without an answer, as it wants them; it sends those that it did not have yet.
    fn write(&mut self) -> io::Result<usize> {
        let (start, end) = (self.start, self.end);
        let Channel { remote, buffer, .. } = self;
        let bytes = buffer.get(start..end).unwrap_or_default();
        let written = match remote {
            Handle::Given(file) => file.write(bytes)?,
            Handle::Own(file) => file.write(bytes)?,
        };
        self.start += written;
        self.acked += written as u64;
        Ok(written)
    }
}

/// Sends the file from `acked` on, to its end. `acked` always says up to where the server has all bytes.
pub(crate) fn send(
    folder: &Folder,
    part: &str,
    remote: &mut ssh2::File,
    file: &Follow,
    acked: &mut u64,
    monitor: &Monitor,
) -> Result<(), Failure> {
    let mut channels = vec![Channel::new(Handle::Given(remote))];
    let long = folder.connection.round_trip() >= folder.server.patience.long;
    if long && is_much(file, *acked, monitor)? {
        while channels.len() < CHANNELS {
            let Some(own) = another(folder, part) else { break };
            channels.push(Channel::new(Handle::Own(own)));
        }
    }
    let stripes = Stripes::new(*acked);
    let sender = stripes.join();
    // Not the folder itself: its connection is used here.
    let help = Help {
        server: folder.server.clone(),
        key: folder.connection.host_key.clone(),
        part,
        mode: folder.mode,
        from: *acked,
        file,
        stripes: &stripes,
        monitor,
    };
    let sent = std::thread::scope(|scope| {
        if !long {
            // Without a thread there is no help.
            let _ =
                std::thread::Builder::new().name("bam-sftp-help".into()).spawn_scoped(scope, || help.run());
        }
        let sent = drive(folder, &mut channels, file, &stripes, sender, monitor);
        stripes.end();
        sent
    });
    *acked = stripes.whole();
    if sent.is_ok() {
        *acked = file.finished_size().unwrap_or(*acked);
    }
    sent
}

/// What comes to the first connection's help once it has shown that the line is fast.
struct Help<'a> {
    server: Server,
    /// The server's host key.
    key: Vec<u8>,
    part: &'a str,
    mode: u32,
    /// Where the upload began.
    from: u64,
    file: &'a Follow,
    stripes: &'a Stripes,
    monitor: &'a Monitor,
}

impl Help<'_> {
    fn run(&self) {
        let started = Instant::now();
        loop {
            let seen = self.stripes.seen();
            if self.stripes.whole() >= self.from.saturating_add(SAMPLE) {
                break;
            }
            if self.stripes.is_over() || started.elapsed() > self.server.patience.slow {
                return;
            }
            self.stripes.wait(seen, Duration::from_millis(50));
        }
        if self.file.finished_size().is_some_and(|size| size < self.stripes.whole() + MUCH) {
            return;
        }
        let path = self.server.path(self.part);
        if let Some(mut session) = ProgramSession::start(&self.server, &self.key, &path, self.stripes) {
            let sender = self.stripes.join_alone();
            session.drive(self.file, self.stripes, sender, self.monitor);
            // Nothing more comes from it when others send the same.
            drop(session);
            self.stripes.give_back(sender);
        }
        if !self.stripes.is_over() {
            self.second_connection();
        }
    }

    /// What fails before it took a stripe does not matter.
    fn second_connection(&self) {
        let Ok(connection) = self.server.connect() else { return };
        let folder = Folder { connection, server: self.server.clone(), mode: self.mode };
        let Ok(remote) = folder.open(self.part, OpenFlags::WRITE) else { return };
        let (file, stripes) = (self.file, self.stripes);
        let sender = stripes.join();
        let mut channels = [Channel::new(Handle::Own(remote))];
        if drive(&folder, &mut channels, file, stripes, sender, self.monitor).is_err() {
            stripes.leave(sender);
        }
        if file.finished_size().is_none_or(|size| stripes.whole() < size) {
            // Something is wrong: nobody waits for a file to be closed.
            folder.connection.cut();
        }
    }
}

/// Whether further channels, which cost some round trips, are worth it. Gives a file that has just begun to grow
/// some time.
fn is_much(file: &Follow, from: u64, monitor: &Monitor) -> crate::Result<bool> {
    let until = Instant::now() + Duration::from_secs(3);
    loop {
        let available =
            file.wait(from.saturating_add(MUCH - 1), until - Instant::now().min(until), monitor)?;
        let much = available.bytes.saturating_sub(from) >= MUCH;
        if much || available.finished || Instant::now() >= until {
            return Ok(much);
        }
    }
}

/// A further channel; servers may refuse it.
fn another(folder: &Folder, part: &str) -> Option<ssh2::File> {
    let sftp = folder.connection.session.sftp().ok()?;
    // The handle keeps its channel open.
    sftp.open_mode(folder.path(part), OpenFlags::WRITE, 0, ssh2::OpenType::File).ok()
}

/// Sends with these channels what [`Stripes`] gives them, until all of the file is there.
fn drive(
    folder: &Folder,
    channels: &mut [Channel<'_>],
    file: &Follow,
    stripes: &Stripes,
    sender: usize,
    monitor: &Monitor,
) -> Result<(), Failure> {
    let session = &folder.connection.session;
    session.set_blocking(false);
    let sent = take_turns(folder, channels, file, stripes, sender, monitor);
    session.set_blocking(true);
    sent
}

fn take_turns(
    folder: &Folder,
    channels: &mut [Channel<'_>],
    file: &Follow,
    stripes: &Stripes,
    sender: usize,
    monitor: &Monitor,
) -> Result<(), Failure> {
    let connection = &folder.connection;
    let mut heard = Instant::now();
    // A packet that is half sent must go on before anything else is sent: libssh2 takes no other then.
    let mut half_sent = None;
    let mut whole = stripes.whole();
    loop {
        monitor.check()?;
        let seen = stripes.seen();
        if stripes.is_over() {
            return Ok(());
        }
        if stripes.has_failed() {
            let lost = "a second connection was lost in the middle of an upload";
            return Err(Trouble::broken(format!("{}: {lost}", folder.server.host())).into());
        }
        let available = file.wait(whole, Duration::ZERO, monitor)?;
        let moved = one_turn(folder, channels, file, stripes, (sender, available.bytes), &mut half_sent)?;
        // Channels without a stripe have nothing outstanding.
        let open =
            channels.iter().filter(|channel| channel.acked < channel.stripe_end).map(|channel| channel.acked);
        whole = stripes.tell(sender, open.min());
        file.done(whole);
        if moved {
            heard = Instant::now();
        } else if channels.iter().any(|channel| channel.unanswered() > 0) {
            let patience = folder.server.patience.timeout;
            if heard.elapsed() > patience {
                connection.cut();
                let silence =
                    format!("no answer for {} seconds in the middle of an upload", patience.as_secs());
                return Err(Trouble::broken(format!("{}: {silence}", folder.server.host())).into());
            }
            connection.wait(Duration::from_millis(200));
        } else if available.finished && whole >= available.bytes {
            return Ok(());
        } else {
            stripes.rest(seen, file, available, whole, monitor)?;
            connection.keep_alive();
            heard = Instant::now();
        }
    }
}

/// Lets each channel send what it can now, of `available` bytes. Whether one did; and which has half a packet sent.
fn one_turn(
    folder: &Folder,
    channels: &mut [Channel<'_>],
    file: &Follow,
    stripes: &Stripes,
    (sender, available): (usize, u64),
    half_sent: &mut Option<usize>,
) -> Result<bool, Failure> {
    let mut moved = false;
    for (number, channel) in channels.iter_mut().enumerate() {
        if half_sent.is_some_and(|half| half != number) {
            continue;
        }
        let idle = channel.unanswered() == 0 && channel.acked == channel.stripe_end;
        if idle && let Some(from) = stripes.take(sender, available) {
            channel.take_stripe(from, STRIPE).map_err(Failure::Write)?;
        }
        channel.fill(file, available)?;
        if channel.unanswered() == 0 {
            continue;
        }
        *half_sent = None;
        match channel.write() {
            Ok(_) => moved = true,
            Err(cause) if cause.kind() == ErrorKind::WouldBlock => {
                let out = folder.connection.session.block_directions();
                if matches!(out, BlockDirections::Outbound | BlockDirections::Both) {
                    *half_sent = Some(number);
                    break;
                }
            }
            Err(cause) => return Err(Failure::Write(cause)),
        }
    }
    Ok(moved)
}
