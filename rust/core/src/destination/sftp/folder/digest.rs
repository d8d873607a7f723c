//! SHA-256 of a file, made by the server.

use super::{Folder, SLOWEST_HASH, parse_digest, quote};
use crate::destination::ssh::retry::Trouble;
use crate::destination::ssh::server::is_broken;
use crate::{Monitor, Result};
use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

impl Folder {
    /// SHA-256 of a file, computed on the server where we may run a program there.
    pub fn sha256(&self, file: &str, monitor: &Monitor) -> Result<Option<[u8; 32]>, Trouble> {
        let Some(size) = self.stat(file)?.and_then(|stat| stat.size) else { return Ok(None) };
        let path = quote(&self.path(file).to_string_lossy());
        // The fastest first: coreutils knows no SHA instructions.
        let command =
            format!("openssl dgst -sha256 -r {path} || sha256sum -- {path} || shasum -a 256 -- {path}");
        let answer = self.run(&command, self.patience_to_hash(size), monitor)?;
        Ok(answer.and_then(|answer| parse_digest(&answer)))
    }

    /// How long to wait for the digest of so many bytes.
    pub fn patience_to_hash(&self, size: u64) -> Duration {
        self.server.patience.timeout + Duration::from_secs(size / SLOWEST_HASH)
    }

    /// Runs a command without input and returns the start of its output; `None` where we may not.
    pub(super) fn run(
        &self,
        command: &str,
        patience: Duration,
        monitor: &Monitor,
    ) -> Result<Option<Vec<u8>>, Trouble> {
        let session = &self.connection.session;
        let started = session.channel_session().and_then(|mut channel| {
            channel.exec(command)?;
            // An account that may only use SFTP gets an SFTP server here, too, which ends at the end of its input.
            channel.send_eof()?;
            Ok(channel)
        });
        let mut channel = match started {
            Ok(channel) => channel,
            Err(cause) if is_broken(&cause) => {
                return Err(self.server.trouble("cannot run sha256sum", None, &cause));
            }
            Err(_) => return Ok(None),
        };
        session.set_blocking(false);
        let answer = self.read_answer(&mut channel, patience, monitor);
        session.set_blocking(true);
        answer
    }

    /// What a program says, to its end or to the first 256 bytes. The session must not block.
    pub fn read_answer(
        &self,
        channel: &mut ssh2::Channel,
        patience: Duration,
        monitor: &Monitor,
    ) -> Result<Option<Vec<u8>>, Trouble> {
        let until = Instant::now() + patience;
        let (mut answer, mut buffer) = (Vec::new(), [0; 256]);
        while answer.len() < buffer.len() {
            monitor.check()?;
            match channel.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => answer.extend_from_slice(buffer.get(..read).unwrap_or_default()),
                Err(cause) if cause.kind() == ErrorKind::WouldBlock && Instant::now() < until => {
                    self.connection.wait(Duration::from_millis(200));
                    self.connection.keep_alive();
                }
                Err(cause) => {
                    return Err(Trouble::broken(format!(
                        "{}: no answer from sha256sum: {cause}",
                        self.server.host()
                    )));
                }
            }
        }
        Ok(Some(answer))
    }
}
