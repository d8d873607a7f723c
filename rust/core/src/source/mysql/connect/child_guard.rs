//! Making sure that nothing of a killed run is still at work.
//!
//! The clients we start outlive us when we are killed: each goes on with what it was given already, and the server
//! with the statement it has. Whoever finishes or takes back the replacement must not get in between. So
//!
//! - each client that changes something holds a lock (`flock(2)`) on a file in the state folder, inherited from us: the
//!   kernel keeps it until the last such client has ended, however it ends;
//! - what it asked the server for is known by its database, one of the two beside the live one, or, in the live
//!   one, by the user-level lock that it takes first (`GET_LOCK`); such sessions are killed. Our own connections to
//!   the server, which end with us, are known by the same.

use super::client::{self, Kill};
use super::session::{Session, string};
use crate::config::Connection;
use crate::{Code, Error, Monitor, Result, ResultExt};
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long what a killed run left may take to end: the server may have to roll back a transaction.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long a session may take to end by itself, as it does when its client has gone.
const GRACE: Duration = Duration::from_secs(3);
/// A session that was asked to stop has so long before it is made to.
const AGAIN: Duration = Duration::from_secs(5);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);
/// Connections that may load into the live database at a time, each with a lock of its own; see [`ChildGuard::lock_name`].
const MOST_LOCKS: usize = 16;

/// The guard of one replacement's children.
#[derive(Debug)]
pub(crate) struct ChildGuard {
    /// The file that the clients hold a lock on.
    pub(crate) clients: PathBuf,
    /// The databases beside the live one.
    pub(crate) databases: [String; 2],
    /// The user that dumps are loaded as which nobody vouches for.
    pub(crate) restricted_user: String,
}

impl ChildGuard {
    /// What a client that changes something must inherit.
    pub(crate) fn inherit(&self) -> Result<OwnedFd> {
        let path = &self.clients;
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .at("cannot write", path)?;
        flock(&file, FlockOperation::NonBlockingLockShared)
            .map_err(|cause| Error::io("cannot lock", path, cause.into()))?;
        Ok(file.into())
    }

    /// Locks are known to the whole server: two replacements may have the same id, of different databases.
    fn lock_prefix(&self) -> String {
        let [new, _] = &self.databases;
        let digest = Sha256::digest(new.as_bytes());
        let short: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("bam.{short}.")
    }

    /// The user-level lock of a connection to the live database.
    pub(crate) fn lock_name(&self, connection: usize) -> String {
        format!("{}{connection}", self.lock_prefix())
    }

    /// Takes that lock, or is an error.
    pub(crate) fn lock_statement(&self, connection: usize) -> String {
        // Only when the lock is not to be had, the subquery is looked at, and is one.
        let lock = string(&self.lock_name(connection));
        format!("DO IF(GET_LOCK({lock}, 10) = 1, 1, (SELECT 1 UNION SELECT 2))")
    }

    /// A client's option by which it does so before anything else, or ends.
    pub(crate) fn lock_option(&self, connection: usize) -> String {
        format!("--init-command={}", self.lock_statement(connection))
    }

    /// Ends what a killed run of the replacement left behind, and returns when nothing of it is at work any more.
    /// Those of our own clients that hold the guard must have ended.
    pub(crate) fn end_leftovers(&self, connection: &Connection, monitor: &Monitor) -> Result<()> {
        let mut session = Session::open(connection, None, monitor)?;
        let locks: Vec<String> = (0..MOST_LOCKS)
            .map(|number| format!("IS_USED_LOCK({})", string(&self.lock_name(number))))
            .collect();
        let [new, old] = self.databases.each_ref().map(|name| string(name));
        // Everybody sees their own sessions, and may end them.
        let leftovers = format!(
            "SELECT ID FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND (DB IN ({new}, {old}) \
             OR ID IN ({}) OR INFO LIKE {}) AND USER IN \
             ((SELECT USER FROM information_schema.PROCESSLIST WHERE ID = CONNECTION_ID()), {})",
            locks.join(", "),
            string(&format!("%GET_LOCK(%{}%", self.lock_prefix())),
            string(&self.restricted_user),
        );
        let begun = Instant::now();
        let mut killed: Option<Instant> = None;
        loop {
            // First the clients: one that has not connected yet shows in no list.
            let clients = self.has_clients()?;
            let sessions = session.column(&leftovers)?;
            if !clients && sessions.is_empty() {
                return match std::fs::remove_file(&self.clients) {
                    Err(cause) if cause.kind() != ErrorKind::NotFound => {
                        Err(Error::io("cannot remove", &self.clients, cause))
                    }
                    _ => Ok(()),
                };
            }
            if begun.elapsed() > PATIENCE {
                let what = match sessions.is_empty() {
                    true => "a client program of an earlier restore is still running".to_owned(),
                    false => format!(
                        "the server still works for an earlier restore (session {})",
                        sessions.join(", ")
                    ),
                };
                return Err(Error::new(Code::Locked, what).hint(
                    "wait until SHOW PROCESSLIST shows it no more, or KILL it, then run `bam recover`",
                ));
            }
            if killed.map_or(begun.elapsed() > GRACE, |last| last.elapsed() > AGAIN) {
                client::kill(connection, &sessions, if killed.is_none() { Kill::Soft } else { Kill::Hard })?;
                killed = Some(Instant::now());
            }
            monitor.check()?;
            std::thread::sleep(PAUSE);
        }
    }

    fn has_clients(&self) -> Result<bool> {
        let path = &self.clients;
        let file = match File::open(path) {
            Ok(file) => file,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(false),
            Err(cause) => return Err(Error::io("cannot read", path, cause)),
        };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(false),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
            Err(cause) => Err(Error::io("cannot lock", path, cause.into())),
        }
    }
}
