//! Running the restic program: found, of a version that fits, its secrets in memory that it alone reads, its locks waited
//! for, its words made errors.

use super::access::Access;
use crate::destination::ssh::openssh::Settings;
use crate::{Cancel, Code, Error, Fact, Result, threads};
use command_fds::{CommandFdExt, FdMapping};
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const PROGRAM: &str = "restic";
/// The oldest version that does all that is asked of it: Debian 12's.
const OLDEST: (u32, u32) = (0, 14);
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

/// How long somebody else's lock is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(600);
/// How long restic may take to give its lock back when it is stopped.
const STOPPING: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(50);
/// Bytes of what it says on stderr that are kept.
const SAID: u64 = 64 << 10;

/// Why restic did not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// There is no repository.
    Absent,
    /// None of its keys is this.
    WrongKey,
    /// Somebody holds its lock.
    Locked,
    /// It cannot be locked: we may only read there.
    ReadOnly,
    /// All else.
    Other,
}

/// What restic is asked for.
pub(super) struct Call {
    pub args: Vec<OsString>,
    /// An option each, with the file that it gets as `/dev/fd/N`.
    pub files: Vec<(&'static str, Vec<u8>)>,
    /// Ends it.
    pub cancel: Cancel,
}

impl Call {
    pub fn new<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>, cancel: &Cancel) -> Call {
        let args = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        Call { args, files: Vec::new(), cancel: cancel.clone() }
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
    _ssh: Option<Settings>,
}

impl Running {
    pub fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Waits for its end.
    pub fn wait(&mut self, cancel: &Cancel) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.status = Some(status);
                return Ok(status);
            }
            cancel.check()?;
            std::thread::sleep(TICK);
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
        while matches!(self.child.try_wait(), Ok(None)) {
            if begun.elapsed() > STOPPING {
                if let Some(group) = group {
                    let _ = kill_process_group(group, Signal::KILL);
                }
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(TICK);
        }
    }
}

/// Starts restic on a repository.
pub(super) fn start(access: &Access, call: &Call, stdin: Stdio) -> Result<Running> {
    check_version()?;
    let (address, ssh) = access.address(&call.cancel)?;
    let mut command = Command::new(PROGRAM);
    command.env_clear();
    for name in KEPT {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env("LC_ALL", "C");
    for (name, value) in access.credentials()? {
        command.env(name, value);
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
    if let Some(ssh) = &ssh {
        command.arg("-o").arg(format!(
            "sftp.command={} {} -s sftp",
            ssh.shell()?,
            crate::destination::ssh::openssh::HOST
        ));
    }
    command.args(&call.args);
    let mut mappings = vec![mapped(&address, REPOSITORY_FD)?, mapped(access.password()?, PASSWORD_FD)?];
    for ((option, content), fd) in call.files.iter().zip(FILES_FD..) {
        command.arg(option).arg(format!("/dev/fd/{fd}"));
        mappings.push(mapped(content, fd)?);
    }
    let said = tempfile::tempfile().map_err(Error::from)?;
    command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(said.try_clone().map_err(Error::from)?)
        .process_group(0);
    command
        .fd_mappings(mappings)
        .map_err(|_| Error::new(Code::Internal, "cannot hand the repository's settings to restic"))?;
    let child = command.spawn().map_err(|cause| {
        Error::new(Code::Unsupported, "cannot run the program restic").because(cause).hint(INSTALL)
    })?;
    Ok(Running { child, said, status: None, _ssh: ssh })
}

/// A file in memory that only the program and what it starts can read.
fn mapped(content: &[u8], child_fd: i32) -> Result<FdMapping> {
    let mut file = File::from(memfd_create("bam", MemfdFlags::CLOEXEC).map_err(io::Error::from)?);
    file.write_all(content)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(FdMapping { parent_fd: OwnedFd::from(file), child_fd })
}

/// What it printed, once it is done.
pub(super) fn output(access: &Access, call: &Call) -> Result<Vec<u8>> {
    with_lock(access, &call.cancel, &mut |_| {}, || {
        let mut printed = Vec::new();
        lines(access, call, None, &mut |line| {
            printed.extend_from_slice(line);
            printed.push(b'\n');
            Ok(())
        })
        .and_then(|ended| ended.check(access))
        .map(|_| std::mem::take(&mut printed))
    })
}

/// How it ended.
pub(super) struct Ended {
    pub status: ExitStatus,
    pub said: String,
}

impl Ended {
    /// Fails where it did.
    pub fn check(self, access: &Access) -> Result<Ended> {
        if self.status.success() { Ok(self) } else { Err(access.explain(self.status, &self.said)) }
    }
}

/// Writes what a program reads.
pub(super) type Feed<'a> = dyn FnMut(&mut dyn Write) -> Result<()> + 'a;

/// Runs it to its end: what it prints goes to `each` line by line, what it reads comes from `feed`. Where `feed` fails it
/// is killed before it sees an end.
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
            running.kill();
        }
    }
    let done = take_all(&printed, &call.cancel, each).and_then(|()| running.wait(&call.cancel));
    if done.is_err() {
        drop(printed);
        drop(running);
        let _ = reader.join();
        return Err(fed.err().filter(|error| !is_broken_pipe(error)).unwrap_or_else(|| match done {
            Err(error) => error,
            Ok(_) => Error::new(Code::Internal, "restic ended and did not"),
        }));
    }
    let _ = reader.join();
    let ended = Ended { status: done?, said: running.said() };
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
    cancel: &Cancel,
    each: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    loop {
        match printed.recv_timeout(TICK) {
            Ok(line) => each(&line)?,
            Err(RecvTimeoutError::Timeout) => cancel.check()?,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

/// Does it again for as long as somebody else holds the repository's lock; `tell` hears once who. One that restic itself
/// holds for stale is taken away by it.
pub(super) fn with_lock<T>(
    access: &Access,
    cancel: &Cancel,
    tell: &mut dyn FnMut(&Error),
    mut work: impl FnMut() -> Result<T>,
) -> Result<T> {
    let (begun, mut told) = (Instant::now(), false);
    loop {
        match work() {
            Err(error) if error.code() == Code::Key && access.try_next_key() => {}
            Err(error) if error.code() == Code::Locked => {
                if begun.elapsed() > access.patience.unwrap_or(LOCK_PATIENCE) {
                    return Err(error);
                }
                if !told {
                    tell(&error);
                    told = true;
                }
                let unlock = Call::new(["unlock", "--quiet"], cancel);
                lines(access, &unlock, None, &mut |_| Ok(()))?;
                let pause = Instant::now();
                while pause.elapsed() < Duration::from_secs(2) {
                    cancel.check()?;
                    std::thread::sleep(TICK);
                }
            }
            done => return done,
        }
    }
}

/// A reader of what it prints that ends with an error where restic does.
pub(super) struct Output {
    running: Running,
    stdout: ChildStdout,
    access: Access,
    cancel: Cancel,
    ended: bool,
}

/// Starts a restic whose output is read as it comes.
pub(super) fn reading(access: &Access, call: &Call) -> Result<Output> {
    let mut running = start(access, call, Stdio::null())?;
    let stdout = running.stdout().ok_or_else(|| Error::new(Code::Internal, "restic has no output"))?;
    Ok(Output { running, stdout, access: access.clone(), cancel: call.cancel.clone(), ended: false })
}

impl Read for Output {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended || buffer.is_empty() {
            return Ok(0);
        }
        let read = self.stdout.read(buffer)?;
        if read == 0 {
            self.ended = true;
            let status = self.running.wait(&self.cancel)?;
            if !status.success() {
                let said = self.running.said();
                return Err(self.access.explain(status, &said).into());
            }
        }
        Ok(read)
    }
}

/// Why it failed, by what it said: the words are those of 0.14 to 0.18.
pub(super) fn why(status: ExitStatus, said: &str) -> Why {
    let said = said.to_ascii_lowercase();
    match status.code() {
        Some(10) => Why::Absent,
        Some(11) => Why::Locked,
        Some(12) => Why::WrongKey,
        _ if said.contains("wrong password or no key found") => Why::WrongKey,
        _ if said.contains("already locked") => Why::Locked,
        _ if said.contains("is there a repository at the following location")
            || said.contains("repository does not exist") =>
        {
            Why::Absent
        }
        _ if said.contains("unable to create lock") => Why::ReadOnly,
        _ => Why::Other,
    }
}

const INSTALL: &str = "install it: apt-get install restic (0.14 or newer)";

/// Fails where restic is not there, or too old. Asked once.
pub(super) fn check_version() -> Result<()> {
    static FOUND: OnceLock<(u32, u32)> = OnceLock::new();
    let found = match FOUND.get() {
        Some(found) => *found,
        None => {
            let printed =
                Command::new(PROGRAM).arg("version").env("LC_ALL", "C").stdin(Stdio::null()).output();
            let printed = printed.map_err(|cause| match cause.kind() {
                io::ErrorKind::NotFound => Error::new(
                    Code::Unsupported,
                    "the program restic, which keeps repositories, is not installed",
                )
                .hint(INSTALL),
                _ => Error::new(Code::Unsupported, "cannot run the program restic")
                    .because(cause)
                    .hint(INSTALL),
            })?;
            let text = String::from_utf8_lossy(&printed.stdout).into_owned();
            let found = version(&text).ok_or_else(|| {
                Error::new(Code::Unsupported, "the program restic does not tell its version").hint(INSTALL)
            })?;
            *FOUND.get_or_init(|| found)
        }
    };
    if found < OLDEST {
        let text = format!("restic {}.{} is too old: 0.14 or newer is needed", found.0, found.1);
        return Err(Error::new(Code::Unsupported, text).hint(INSTALL));
    }
    Ok(())
}

/// Of `restic 0.14.0 compiled with go1.19.8 on linux/amd64`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("restic ")?.split(['.', ' ', '-']);
    Some((numbers.next()?.trim_start_matches('v').parse().ok()?, numbers.next()?.parse().ok()?))
}

impl Access {
    /// What restic said, as an error.
    pub(super) fn explain(&self, status: ExitStatus, said: &str) -> Error {
        let words = self.without_secrets(&last_words(said));
        let place = &self.shown;
        let error = match why(status, said) {
            Why::Absent => Error::new(Code::NotFound, format!("there is no repository at {place}"))
                .hint(format!("correct the address, or make it: `bam destination init {}`", self.id)),
            Why::WrongKey => Error::new(
                Code::Key,
                format!("the repository {place} does not open with this key"),
            )
            .hint(format!(
                "is it the key that the repository was made with? destinations.{}.key_file names another",
                self.id
            )),
            Why::Locked => Error::new(Code::Locked, format!("the repository {place} is in use: {words}"))
                .hint(
                    "wait until the other program is done; `restic unlock` takes away a lock that is stale",
                ),
            Why::ReadOnly => {
                Error::new(Code::Permission, format!("the repository {place} cannot be written to: {words}"))
                    .hint("give the user who runs this the right to write there")
            }
            Why::Other if said.contains("no space left on device") => {
                Error::new(Code::Space, format!("the repository {place} has no room: {words}"))
                    .hint("free some space there")
            }
            Why::Other if status.code().is_none() => {
                Error::new(Code::Destination, format!("restic was ended from outside ({status}) at {place}"))
            }
            Why::Other => Error::new(Code::Destination, format!("restic failed at {place}: {words}")),
        };
        error.with(Fact::Destination, &self.id)
    }
}

/// What it said last, in one line.
fn last_words(said: &str) -> String {
    let lines: Vec<&str> = said
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('{') && !line.starts_with("created new cache"))
        .collect();
    lines.get(lines.len().saturating_sub(3)..).unwrap_or_default().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(version("restic 0.14.0 compiled with go1.19.8 on linux/amd64\n"), Some((0, 14)));
        assert_eq!(version("restic 0.18.1-dev (compiled manually)"), Some((0, 18)));
        assert_eq!(version("bash: restic"), None);
        assert!((0, 9) < OLDEST && (1, 0) > OLDEST);
    }
}
