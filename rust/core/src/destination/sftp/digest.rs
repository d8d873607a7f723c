//! Hashing a part on the server while it is still being sent, so that nobody waits for that at the end.
//!
//! Over a connection of its own, for a connection that carries file data has no time for others. Whatever fails here
//! means only that the part is hashed afterwards.

use super::folder::{Folder, parse_digest, quote};
use crate::Monitor;
use crate::destination::follow::Follow;
use crate::destination::ssh::server::Server;
use crate::threads;
use ssh2::Channel;
use std::io::{ErrorKind, Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

/// Bytes from which on this is worth a connection.
const MUCH: u64 = 32 << 20;
/// The server is told of so many bytes, or a multiple.
const BLOCK: u64 = 1 << 20;
/// How often it is told.
const EVERY: Duration = Duration::from_millis(100);

/// A server that hashes along. Dropped, it stops.
pub(crate) struct Along<'scope> {
    end: Sender<()>,
    /// `None`: there was none to be had; then the digest is asked for at the end.
    thread: Option<ScopedJoinHandle<'scope, Option<[u8; 32]>>>,
}

impl<'scope> Along<'scope> {
    /// Starts hashing `part`, of which `file` says how far the server has it ([`Follow::done`]).
    pub fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        folder: &Folder,
        part: &'env str,
        file: &'env Follow,
        monitor: &'env Monitor,
    ) -> Along<'scope> {
        let (end, ended) = channel();
        // Not the folder itself: its connection belongs to the thread that sends.
        let (server, mode) = (folder.server.clone(), folder.mode);
        let work = move || along(server, mode, part, file, &ended, monitor);
        let thread = threads::spawn_scoped(scope, "bam-digest", work).ok();
        Along { end, thread }
    }

    /// The digest, now that all of the part is there. `None` where the server does not tell.
    pub fn finish(self) -> Option<[u8; 32]> {
        let _ = self.end.send(());
        drop(self.end);
        self.thread?.join().ok().flatten()
    }
}

fn along(
    server: Server,
    mode: u32,
    part: &str,
    file: &Follow,
    ended: &Receiver<()>,
    monitor: &Monitor,
) -> Option<[u8; 32]> {
    while file.done_so_far() < MUCH {
        if ended.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
            return None;
        }
    }
    let folder = Folder { connection: server.connect().ok()?, server, mode };
    let path = quote(&folder.path(part).to_string_lossy());
    // dd reads exactly what it is told and leaves the rest for the next.
    let script = format!(
        "exec 3<{path} || exit 1; echo ready; \
         {{ while read n && [ \"$n\" != end ]; do dd bs={BLOCK} count=\"$n\" <&3 2>/dev/null; done; cat <&3; }} | \
         {{ openssl dgst -sha256 -r || sha256sum || shasum -a 256; }}"
    );
    let mut channel = folder.connection.session.channel_session().ok()?;
    channel.exec(&format!("sh -c {}", quote(&script))).ok()?;
    if !is_ready(&folder, &mut channel, ended) {
        return None;
    }
    let mut told = 0;
    loop {
        match ended.recv_timeout(EVERY) {
            Ok(()) => break,
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => {}
        }
        let blocks = file.done_so_far() / BLOCK;
        if blocks > told {
            channel.write_all(format!("{}\n", blocks - told).as_bytes()).ok()?;
            told = blocks;
        }
    }
    channel.write_all(b"end\n").ok()?;
    channel.send_eof().ok()?;
    let size = file.finished_size()?;
    folder.connection.session.set_blocking(false);
    let answer = folder.read_answer(&mut channel, folder.patience_to_hash(size), monitor).ok()??;
    parse_digest(&answer)
}

/// Whether there is a shell that does it. An account that may only use SFTP gets an SFTP server, which says nothing.
fn is_ready(folder: &Folder, channel: &mut Channel, ended: &Receiver<()>) -> bool {
    let mut said = [0; 6];
    let mut got = 0;
    folder.connection.session.set_blocking(false);
    while let Some(rest) = said.get_mut(got..).filter(|rest| !rest.is_empty()) {
        match channel.read(rest) {
            Ok(0) => break,
            Ok(read) => got += read,
            Err(cause) if cause.kind() == ErrorKind::WouldBlock => {
                if ended.try_recv() != Err(std::sync::mpsc::TryRecvError::Empty) {
                    break;
                }
                folder.connection.wait(EVERY);
            }
            Err(_) => break,
        }
    }
    folder.connection.session.set_blocking(true);
    &said == b"ready\n"
}
