//! Starting the restic program, its secrets in memory that it alone reads, and ending it so that it leaves no lock.

use super::access::Access;
use super::pulse::Pulse;
use super::version::{INSTALL, PROGRAM, check_version};
use super::ways::{self, Ways};
use crate::{Cancel, Code, Error, Result, child, entries};
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Where restic finds what it must not get by its arguments: these descriptors of its own.
const REPOSITORY_FD: i32 = 3;
const PASSWORD_FD: i32 = 4;
const FILES_FD: i32 = 5;

/// What restic and the ssh that it starts see of our environment, besides the repository's own credentials.
const KEPT: [&str; 20] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "XDG_CONFIG_HOME",
    "TZ",
    "GOMAXPROCS",
    "GOGC",
    "GOMEMLIMIT",
    "FAKETIME",
];

/// How long restic may take to give its lock back when it is stopped.
const STOPPING: Duration = Duration::from_secs(10);
/// What takes stale locks away, and takes none itself.
pub(super) const UNLOCK: &str = "unlock";
pub(super) const TICK: Duration = Duration::from_millis(50);
/// Bytes of what it says on stderr that are kept.
const SAID: u64 = 64 << 10;

/// What restic is asked for.
pub(super) struct Call {
    pub args: Vec<OsString>,
    /// An option each, with the file that it gets as `/dev/fd/N`.
    pub files: Vec<(&'static str, Vec<u8>)>,
    /// The repository that it copies from.
    pub from: Option<Access>,
    /// Ends it.
    pub cancel: Cancel,
    /// How long it may show no sign of life while it is waited for; `None`: for ever.
    pub limit: Option<Duration>,
}

impl Call {
    pub fn new<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>, cancel: &Cancel) -> Call {
        let args = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        Call { args, files: Vec::new(), from: None, cancel: cancel.clone(), limit: None }
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub fn within(self, limit: Duration) -> Self {
        Call { limit: Some(limit), ..self }
    }
}

/// A restic at work; stopped when dropped. Its output has to be open as long: one that cannot print dies, and leaves its lock.
pub(super) struct Running {
    child: Child,
    said: File,
    status: Option<ExitStatus>,
    /// Where it may leave a lock.
    locks: Vec<Access>,
    /// It printed something, which it does not before it knows of its lock.
    pub printed: bool,
    /// ssh's settings, which vanish with it.
    _ways: Ways,
}

impl Running {
    pub fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take().inspect(|pipe| widen(pipe))
    }

    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take().inspect(|pipe| widen(pipe))
    }

    pub fn pulse(&self, call: &Call) -> Pulse {
        Pulse::of(self.child.id(), call)
    }

    /// Waits for its end.
    pub fn wait(&mut self, cancel: &Cancel) -> Result<ExitStatus> {
        loop {
            if let Some(status) = child::wait(&mut self.child, TICK)? {
                self.status = Some(status);
                if status.signal().is_some() {
                    self.take_lock_away();
                }
                return Ok(status);
            }
            cancel.check()?;
        }
    }

    /// What it said on stderr.
    pub fn said(&mut self) -> String {
        let mut text = Vec::new();
        let _ =
            self.said.seek(SeekFrom::Start(0)).and_then(|_| (&self.said).take(SAID).read_to_end(&mut text));
        String::from_utf8_lossy(&text).into_owned()
    }

    /// The file that holds all of it.
    pub fn all_said(&self) -> Result<File> {
        self.said
            .try_clone()
            .map_err(|cause| Error::new(Code::Io, "cannot read what restic said").because(cause))
    }

    /// Ends it early, so that nothing becomes of what it was doing: an interrupt lets it take its lock away.
    pub fn stop(&mut self) {
        if self.status.is_some() {
            return;
        }
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let tell = |signal| group.map(|group| kill_process_group(group, signal));
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = tell(Signal::INT);
        }
        if self.wait_at_most(STOPPING).is_none() {
            let _ = tell(Signal::KILL);
            self.status = self.child.wait().ok();
        }
        // 0.14 knows of its lock 0.2 s after it took it.
        let knew = self.printed && self.status.is_some_and(|status| status.signal().is_none());
        if !knew && !self.status.is_some_and(|status| status.success()) {
            self.take_lock_away();
        }
    }

    fn wait_at_most(&mut self, time: Duration) -> Option<ExitStatus> {
        let begun = Instant::now();
        while self.status.is_none() && begun.elapsed() < time {
            match child::wait(&mut self.child, TICK) {
                Ok(status) => self.status = status,
                Err(_) => break,
            }
        }
        self.status
    }

    /// Takes away the lock that it may have left, now that it is gone: restic itself holds such a one for stale.
    fn take_lock_away(&mut self) {
        let has_none =
            |folder: &Path| entries::names(&folder.join("locks")).is_ok_and(|mut all| all.next().is_none());
        for access in std::mem::take(&mut self.locks) {
            if access.local.as_deref().is_some_and(has_none) {
                continue;
            }
            let call = Call::new([UNLOCK, "--quiet"], &Cancel::default());
            // Where that fails, whoever is hindered by it tries again.
            if let Ok(mut unlock) = start(&access, &call, Stdio::null()) {
                unlock.wait_at_most(STOPPING);
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Starts restic on a repository.
pub(super) fn start(access: &Access, call: &Call, stdin: Stdio) -> Result<Running> {
    check_version().map_err(|error| error.about(&access.shown))?;
    let from = call.from.as_ref();
    let ways = Ways::to(access, from, &call.cancel)?;
    let mut command = Command::new(PROGRAM);
    command.env_clear();
    for name in KEPT {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env("LC_ALL", "C");
    for (name, value) in ways::credentials(access, from)? {
        command.env(name, value);
    }
    if let Some(folder) = ways.folder()? {
        command.env("PATH", first_in_path(&folder));
    }
    command.arg("--repository-file").arg(format!("/dev/fd/{REPOSITORY_FD}"));
    command.arg("--password-file").arg(format!("/dev/fd/{PASSWORD_FD}"));
    match &access.cache {
        Some(cache) => command.arg("--cache-dir").arg(cache),
        None => command.arg("--no-cache"),
    };
    if let Some(file) = &access.ca_file {
        command.arg("--cacert").arg(file);
    }
    if let Some(option) = ways.option()? {
        command.arg("-o").arg(option);
    }
    command.args(&call.args);
    let mut files = vec![
        (REPOSITORY_FD, access.hand_over(access.repository.expose())?.into()),
        (PASSWORD_FD, access.hand_over(access.password()?)?.into()),
    ];
    let mut named = call.files.clone();
    if let Some(from) = from {
        named.push(("--from-repository-file", ways.address_of_other(from)));
        named.push(("--from-password-file", from.password()?.to_vec()));
    }
    for ((option, content), fd) in named.iter().zip(FILES_FD..) {
        command.arg(option).arg(format!("/dev/fd/{fd}"));
        files.push((fd, access.hand_over(content)?.into()));
    }
    let said = crate::temporary::somewhere()?;
    command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(said.try_clone().map_err(Error::from)?)
        .process_group(0);
    child::hand(&mut command, files)
        .map_err(|_| Error::new(Code::Internal, "cannot hand the repository's settings to restic"))?;
    let child =
        command.spawn().map_err(|cause| child::cannot_run(PROGRAM, INSTALL, cause).about(&access.shown))?;
    let is_lockless = call.args.iter().any(|arg| arg == UNLOCK || arg == "--no-lock");
    let locks = [Some(access), from].into_iter().flatten().filter(|_| !is_lockless).cloned().collect();
    Ok(Running { child, said, status: None, locks, printed: false, _ways: ways })
}

/// Lets more wait in a pipe, so that both ends take turns less often. Where the system does not allow it, it stays as it is.
fn widen(pipe: impl AsFd) {
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, 1 << 20);
}

/// PATH with a folder before all others.
fn first_in_path(folder: &Path) -> OsString {
    let mut path = folder.as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}
