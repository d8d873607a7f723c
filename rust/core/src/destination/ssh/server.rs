//! A connection to an SSH server: the host key is checked before anything about us is said.

use super::known_hosts;
use super::location::Location;
use super::retry::{Patience, Trouble};
use super::watch::Watch;
use crate::accounts::Account;
use crate::config::connection;
use crate::config::document;
use crate::monitor::TICK;
use crate::threads;
use crate::{Cancel, Code, Error, Fact, Result, Secret};
use crossbeam_channel::RecvTimeoutError;
use rustix::event::{PollFd, PollFlags, Timespec};
use ssh2::{BlockDirections, ErrorCode, MethodType, Session};
use std::io::ErrorKind;
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Ciphers of the connection. libssh2 hands AES to OpenSSL 16 bytes at a time, which costs more than the cipher;
/// ChaCha20 is its own plain C. Client processor time for 512 MiB (libssh2 1.11, OpenSSL 3.0, one Xeon core with
/// AES and SHA instructions): aes128-ctr with hmac-sha2-256 1.5 s, chacha20-poly1305 1.9 s, aes128-gcm 2.3 s.
const CIPHERS: [&str; 6] = [
    "aes128-ctr",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes192-ctr",
];
/// What guards the CTR ciphers' bytes; the others bring it along.
const MACS: &str = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512";

/// Without SHA instructions, hashing costs more than ChaCha20.
fn ciphers() -> String {
    let mut order = CIPHERS;
    if !hashes_fast() {
        order.swap(0, 1);
    }
    order.join(",")
}

#[cfg(target_arch = "x86_64")]
fn hashes_fast() -> bool {
    std::arch::is_x86_feature_detected!("sha")
}

#[cfg(target_arch = "aarch64")]
fn hashes_fast() -> bool {
    std::arch::is_aarch64_feature_detected!("sha2")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn hashes_fast() -> bool {
    false
}

/// Error codes of libssh2.h after which the connection is of no more use.
const BROKEN: [i32; 15] = [-1, -2, -3, -4, -7, -9, -11, -12, -13, -14, -26, -27, -30, -43, -45];

/// A server and how to get in. Opens no connection by itself.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// The destination's machine name, for hints.
    pub id: String,
    pub location: Location,
    pub identity_file: Option<PathBuf>,
    pub password: Option<Secret>,
    /// Where keys are looked up, the first being where new ones go.
    pub known_hosts: Vec<PathBuf>,
    /// The fingerprint of the one key to accept; then no file counts.
    pub pin: Option<String>,
    pub patience: Patience,
    /// The job that all connections belong to, shared by all clones.
    pub job: Arc<Mutex<Cancel>>,
}

/// A server that proved to hold a key, whosever it is.
pub(crate) struct Met {
    pub session: Session,
    pub socket: TcpStream,
    /// The key in its binary form.
    pub key: Vec<u8>,
    pub watch: Watch,
}

/// A server that proved to be the right one and let us in.
pub(crate) struct Connection {
    pub session: Session,
    pub socket: TcpStream,
    pub sftp: ssh2::Sftp,
    /// The server's key in its binary form.
    pub host_key: Vec<u8>,
    pub watch: Watch,
}

impl Connection {
    /// How long a small request takes.
    pub fn round_trip(&self) -> Duration {
        let asked = Instant::now();
        let _ = self.sftp.stat(Path::new("."));
        asked.elapsed()
    }

    /// Whether its other end has an address of this machine.
    pub fn ends_here(&self) -> bool {
        let addresses = self.socket.peer_addr().ok().zip(self.socket.local_addr().ok());
        addresses.is_some_and(|(theirs, ours)| theirs.ip().is_loopback() || theirs.ip() == ours.ip())
    }

    /// Waits until the server has something for us, or takes more from us, but not longer than `patience`.
    pub fn wait(&self, patience: Duration) {
        let flags = match self.session.block_directions() {
            BlockDirections::Outbound => PollFlags::OUT,
            BlockDirections::Both => PollFlags::IN | PollFlags::OUT,
            BlockDirections::None | BlockDirections::Inbound => PollFlags::IN,
        };
        let patience = Timespec::try_from(patience).ok();
        // A failure shows at the next read or write.
        let _ = rustix::event::poll(&mut [PollFd::new(&self.socket, flags)], patience.as_ref());
    }

    /// Tells the server that we are still there, every 15 seconds; not while a request is only half sent.
    pub fn keep_alive(&self) {
        // Switched on for this alone: libssh2 would do the same while it waits by itself.
        self.session.set_keepalive(true, 15);
        let _ = self.session.keepalive_send();
        self.session.set_keepalive(true, 0);
        // What the system did not take of it libssh2 never sends, nor anything after it.
        if matches!(self.session.block_directions(), BlockDirections::Outbound | BlockDirections::Both) {
            self.cut();
        }
    }

    /// Makes whatever is still to be said (closing files, leaving) fail at once instead of waiting for an answer.
    pub fn cut(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
        // Nor does it look at the socket where another request is half sent.
        self.session.set_timeout(1);
    }
}

impl Server {
    pub fn from_config(id: &str, config: &document::Destination) -> Result<Server> {
        let here = |error: Error| error.within(Fact::Destination, id);
        let Some(url) = &config.url else {
            return Err(here(Error::new(Code::Config, "this kind needs a url"))
                .hint(format!("set destinations.{id}.url, e.g. to sftp://user@host/backups")));
        };
        let location = Location::parse(url).map_err(here)?;
        let password = connection::password(
            location.password.is_some(),
            config.password.as_ref(),
            config.password_file.as_deref(),
            config.password_env.as_deref(),
        )
        .map_err(here)?;
        let known_hosts = match &config.known_hosts {
            Some(file) => vec![at_home(file)],
            None => vec![at_home(Path::new("~/.ssh/known_hosts")), "/etc/ssh/ssh_known_hosts".into()],
        };
        if config.chgrp.is_some() {
            return Err(here(Error::new(Code::Config, "chgrp works in local folders only"))
                .hint("give the folder on the server the group and the setgid bit"));
        }
        let mut patience = Patience::default();
        if let Some(seconds) = config.timeout {
            patience.timeout = Duration::from_secs(seconds.max(1));
            patience.looking = patience.timeout;
        }
        Ok(Server {
            id: id.to_owned(),
            password: password.or_else(|| location.password.clone()),
            location,
            identity_file: config.identity_file.as_deref().map(at_home),
            known_hosts,
            pin: config.host_key.as_deref().map(known_hosts::parse_pin).transpose().map_err(here)?,
            patience,
            job: Arc::default(),
        })
    }

    /// From now on connections belong to this job.
    pub fn attend(&self, job: Cancel) {
        *self.job.lock().unwrap_or_else(PoisonError::into_inner) = job;
    }

    pub fn job(&self) -> Cancel {
        self.job.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same server, to have a look at.
    pub fn looking(&self) -> Server {
        Server { patience: self.patience.looking(), ..self.clone() }
    }

    pub fn host(&self) -> String {
        known_hosts::host_name(&self.location.host, self.location.port)
    }

    /// A file of the folder that the url names.
    pub fn path(&self, file: &str) -> PathBuf {
        Path::new(&self.location.path).join(file)
    }

    /// Whom to log in as.
    pub fn user(&self) -> Result<String> {
        match &self.location.user {
            Some(user) => Ok(user.clone()),
            None => this_user().ok_or_else(|| {
                Error::new(
                    Code::Config,
                    "the destination's url names no user, and this process's has no name",
                )
                .hint(format!("write the user into destinations.{}.url", self.id))
            }),
        }
    }

    /// Connects, checks the host key, logs in, starts SFTP.
    pub fn connect(&self) -> Result<Connection, Trouble> {
        let Met { session, socket, key, watch } = self.meet()?;
        let allowed = watch.at_most(self.patience.longer());
        let entered = self.log_in(&session).and_then(|()| {
            session.sftp().map_err(|cause| {
                let trouble = self.trouble("cannot start SFTP", None, &cause);
                let error = trouble.error.hint("the server must offer the sftp subsystem to this user");
                Trouble { error, ..trouble }
            })
        });
        drop(allowed);
        let sftp = entered.map_err(|trouble| self.told(&watch, trouble))?;
        Ok(Connection { session, socket, sftp, host_key: key, watch })
    }

    /// Why the connection is really gone, where it was us who shut it.
    pub fn told(&self, watch: &Watch, trouble: Trouble) -> Trouble {
        match watch.why(&self.host()) {
            Some((error, again)) => Trouble { error, broken: again && trouble.broken },
            None => trouble,
        }
    }

    /// TCP and key exchange, which proves that the server holds the key that it shows. Says nothing about us.
    pub fn handshake(&self, key_types: &str) -> Result<Met, Trouble> {
        let socket = self.dial()?;
        let watch = Watch::start(&socket, &self.job())?;
        let allowed = watch.at_most(self.patience.request());
        let what = "cannot agree on an encrypted connection";
        let start = || -> Result<(Session, TcpStream), ssh2::Error> {
            let mut session = Session::new()?;
            session.set_timeout(u32::try_from(self.patience.timeout.as_millis()).unwrap_or(u32::MAX));
            session.set_compress(false);
            session.method_pref(MethodType::HostKey, key_types)?;
            let ciphers = ciphers();
            session.method_pref(MethodType::CryptCs, &ciphers)?;
            session.method_pref(MethodType::CryptSc, &ciphers)?;
            session.method_pref(MethodType::MacCs, MACS)?;
            session.method_pref(MethodType::MacSc, MACS)?;
            let own = socket.try_clone().map_err(|_| ssh2::Error::unknown())?;
            session.set_tcp_stream(socket);
            session.handshake()?;
            Ok((session, own))
        };
        let started = start().map_err(|cause| self.told(&watch, self.trouble(what, None, &cause)));
        drop(allowed);
        let (session, socket) = started?;
        let key = session.host_key().map(|(key, _)| key.to_vec());
        let key =
            key.ok_or_else(|| Trouble::broken(format!("{}: the server showed no host key", self.host())))?;
        Ok(Met { session, socket, key, watch })
    }

    /// On a thread of its own: looking the name up and connecting know no cancel flag.
    fn dial(&self) -> Result<TcpStream, Trouble> {
        let host = self.host();
        let cannot = |cause: std::io::Error| {
            let error =
                Error::new(Code::Destination, format!("cannot reach {host}")).because(cause).doing("connect");
            Trouble { error: error.hint("check the host, the port and the network"), broken: true }
        };
        let (sender, answer) = crossbeam_channel::bounded(1);
        let place = (self.location.host.clone(), self.location.port);
        let patience = self.patience.timeout;
        let dial = move || drop(sender.send(reach(&place, patience)));
        threads::spawn("bam-dial", dial)?;
        let (job, until) = (self.job(), Instant::now() + self.patience.request());
        loop {
            job.check()?;
            match answer.recv_timeout(TICK) {
                Ok(reached) => return reached.map_err(cannot),
                Err(RecvTimeoutError::Timeout) if Instant::now() < until => {}
                Err(_) => return Err(cannot(ErrorKind::TimedOut.into())),
            }
        }
    }

    /// `HOST: cannot read PATH: why`
    pub fn failed(&self, code: Code, what: &str, path: Option<&Path>, said: &str) -> Error {
        let told = match path {
            Some(path) => format!("{}: {what} {}", self.host(), path.display()),
            None => format!("{}: {what}", self.host()),
        };
        let error =
            Error::new(code, told).caused_by(said).doing(what.strip_prefix("cannot ").unwrap_or(what));
        match path {
            Some(path) if code == Code::Permission => error.with(Fact::Path, path.display()).hint(
                "on that machine, let the user who logs in read and write in this folder; or name another one",
            ),
            Some(path) => error.with(Fact::Path, path.display()),
            None => error,
        }
    }

    /// Puts libssh2's words into ours.
    pub fn trouble(&self, what: &str, path: Option<&Path>, cause: &ssh2::Error) -> Trouble {
        let said = match cause.code() {
            ErrorCode::Session(-9) => {
                format!("no answer for {} seconds", self.patience.timeout.as_secs())
            }
            ErrorCode::Session(-13 | -43 | -7) => "the connection was cut".to_owned(),
            ErrorCode::SFTP(code) => sftp_status(code).to_owned(),
            ErrorCode::Session(_) => cause.message().to_owned(),
        };
        let code = match cause.code() {
            ErrorCode::SFTP(2 | 10) => Code::NotFound,
            ErrorCode::SFTP(3 | 12) => Code::Permission,
            ErrorCode::SFTP(14 | 15) => Code::Space,
            _ => Code::Destination,
        };
        Trouble { error: self.failed(code, what, path, &said), broken: is_broken(cause) }
    }
}

/// Whether the connection, not the request, failed.
pub(crate) fn is_broken(cause: &ssh2::Error) -> bool {
    match cause.code() {
        ErrorCode::Session(code) => BROKEN.contains(&code),
        ErrorCode::SFTP(code) => matches!(code, 6 | 7),
    }
}

/// The status codes of draft-ietf-secsh-filexfer-13, section 9.1, in words.
fn sftp_status(code: i32) -> &'static str {
    match code {
        2 | 10 => "no such file or folder",
        3 => "permission denied",
        // All that OpenSSH says of a full disk, too.
        4 => "the server failed and does not say why",
        6 | 7 => "the connection was lost",
        8 => "the server cannot do that",
        11 => "it exists already",
        12 => "the server's disk is read-only",
        14 => "the server's disk is full",
        15 => "the quota on the server is used up",
        19 => "it is no folder",
        _ => "the server refused",
    }
}

/// A socket to the first address of a name that takes one.
fn reach(place: &(String, u16), patience: Duration) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::other("its name has no address");
    for address in (place.0.as_str(), place.1).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(socket) => {
                // Requests are small: waiting for more of them would only add latency.
                socket.set_nodelay(true)?;
                return Ok(socket);
            }
            Err(cause) => last = cause,
        }
    }
    Err(last)
}

/// Expands a leading `~/`.
pub(crate) fn at_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

fn this_user() -> Option<String> {
    let named = ["USER", "LOGNAME"].iter().find_map(|key| std::env::var(key).ok().filter(|v| !v.is_empty()));
    named.or_else(|| Account::by_uid(rustix::process::geteuid().as_raw()).map(|account| account.name))
}
