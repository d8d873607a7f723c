//! Starting the restic program, its secrets in memory that it alone reads, and ending it.

use super::access::Access;
use super::version::{INSTALL, PROGRAM, check_version};
use super::ways::{self, Ways};
use crate::{Cancel, Code, Error, Result, child};
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
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
}

impl Call {
    pub fn new<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>, cancel: &Cancel) -> Call {
        let args = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        Call { args, files: Vec::new(), from: None, cancel: cancel.clone() }
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }
}

/// A restic at work; stopped when dropped.
pub(super) struct Running {
    child: Child,
    said: File,
    status: Option<ExitStatus>,
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

    /// Waits for its end.
    pub fn wait(&mut self, cancel: &Cancel) -> Result<ExitStatus> {
        loop {
            if let Some(status) = child::wait(&mut self.child, TICK)? {
                self.status = Some(status);
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

    /// Ends it at once, so that nothing becomes of what it was doing.
    pub fn kill(&mut self) {
        if self.status.is_none() {
            let _ = self.child.kill();
            self.status = self.child.wait().ok();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.status.is_some() || !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // An interrupt lets it take its lock away.
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::INT);
        }
        let begun = Instant::now();
        while let Ok(None) = child::wait(&mut self.child, TICK) {
            if begun.elapsed() > STOPPING {
                if let Some(group) = group {
                    let _ = kill_process_group(group, Signal::KILL);
                }
                let _ = self.child.wait();
                return;
            }
        }
    }
}

/// Starts restic on a repository.
pub(super) fn start(access: &Access, call: &Call, stdin: Stdio) -> Result<Running> {
    check_version()?;
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
        (REPOSITORY_FD, child::memory_file_of(access.repository.expose())?.into()),
        (PASSWORD_FD, child::memory_file_of(access.password()?)?.into()),
    ];
    let mut named = call.files.clone();
    if let Some(from) = from {
        named.push(("--from-repository-file", ways.address_of_other(from)));
        named.push(("--from-password-file", from.password()?.to_vec()));
    }
    for ((option, content), fd) in named.iter().zip(FILES_FD..) {
        command.arg(option).arg(format!("/dev/fd/{fd}"));
        files.push((fd, child::memory_file_of(content)?.into()));
    }
    let said = tempfile::tempfile().map_err(Error::from)?;
    command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(said.try_clone().map_err(Error::from)?)
        .process_group(0);
    child::hand(&mut command, files)
        .map_err(|_| Error::new(Code::Internal, "cannot hand the repository's settings to restic"))?;
    let child = command.spawn().map_err(|cause| {
        Error::new(Code::Unsupported, "cannot run the program restic").because(cause).hint(INSTALL)
    })?;
    Ok(Running { child, said, status: None, _ways: ways })
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
