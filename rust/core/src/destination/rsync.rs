//! A folder on an SSH server, through the rsync program.
//!
//! rsync moves the bytes; everything else (looking, renaming, removing) goes by SFTP on the same server, after the
//! same check of the host key. As rsync wants whole files, an upload starts when the backup is complete.

use super::names;
use super::sftp::Sftp;
use super::sftp::folder::Folder;
use super::sftp::upload::{finish_part, no_room, open_part};
use super::ssh::openssh::{HOST, Running, Settings};
use super::ssh::retry::{Patience, Trouble};
use super::{Destination, Existing, Follow, Listed, Marks, Stat, Which};
use crate::config::document;
use crate::monitor::TICK;
use crate::{Cancel, Code, Error, Monitor, Note, Result, child};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// Where rsync finds the local file: it may have no name.
const SOURCE: i32 = 3;
/// Exit codes of rsync(1) that another try may cure: socket, stream, killed, timeouts; ssh's own.
const BROKEN: [i32; 6] = [10, 12, 20, 30, 35, 255];

/// A folder on an SSH server, through the rsync program.
pub struct Rsync {
    remote: Sftp,
}

impl Rsync {
    /// The folder as configured. Connects at the first request.
    pub fn from_config(id: &str, config: &document::Destination) -> Result<Self> {
        let remote = Sftp::from_config(id, config)?;
        if remote.server.password.is_some() {
            return Err(Error::new(
                Code::Config,
                format!("destination {id}: rsync cannot log in with a password"),
            )
            .hint(format!("set destinations.{id}.identity_file, or use type sftp")));
        }
        Ok(Rsync { remote })
    }

    /// The same with other waits than the usual.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Rsync { remote: self.remote.with_patience(patience) }
    }

    /// Brings the part up to date from `offset`.
    fn transfer(
        &self,
        folder: &Folder,
        name: &str,
        file: &Follow,
        offset: u64,
        monitor: &Monitor,
    ) -> Result<(), Trouble> {
        let part = names::part(name);
        let remote = open_part(folder, name, file, offset)?;
        let ssh = Settings::write(&folder.server, &folder.connection.host_key)?;
        let mut said = crate::temporary::somewhere()?;
        let mut command = Command::new("rsync");
        crate::environment::clean(&mut command);
        command.args(["--protect-args", "--copy-links", "--inplace"]);
        command.arg(if offset > 0 { "--append-verify" } else { "--whole-file" });
        command
            .arg(format!("--timeout={}", folder.server.patience.timeout.as_secs()))
            .arg("-e")
            .arg(ssh.shell()?)
            .arg("--")
            .arg(format!("/proc/self/fd/{SOURCE}"))
            .arg(format!("{HOST}:{}", remote_path(&folder.path(&part))))
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said.try_clone().map_err(Error::from)?)
            .process_group(0);
        let source: OwnedFd = file.reader()?.into();
        child::hand(&mut command, [(SOURCE, source)])
            .map_err(|_| Error::new(Code::Internal, "cannot hand the backup to rsync"))?;
        let child = command.spawn().map_err(|cause| {
            let install = "install it (apt-get install rsync), here and on the server, or use type sftp";
            child::cannot_run("rsync", install, cause)
        })?;
        drop(command);
        let status = wait(Running(child), folder, monitor)?;
        if !status.success() {
            return Err(explain(folder, status, &last_words(&mut said)));
        }
        finish_part(folder, name, remote, file.wait_finished(monitor)?)
    }
}

/// What rsync said last, in one line.
fn last_words(said: &mut File) -> String {
    let mut text = Vec::new();
    let _ = said.seek(SeekFrom::Start(0)).and_then(|_| said.take(64 << 10).read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.get(lines.len().saturating_sub(3)..).unwrap_or_default().join("; ")
}

fn explain(folder: &Folder, status: ExitStatus, said: &str) -> Trouble {
    if said.contains("No space left on device") || said.contains("quota exceeded") {
        return no_room(folder, None).into();
    }
    let error =
        Error::new(Code::Destination, format!("{}: rsync failed ({status}): {said}", folder.server.host()));
    match status.code() {
        Some(127) => error.hint("install rsync on the server, or use type sftp").into(),
        code => Trouble { error, broken: code.is_none_or(|code| BROKEN.contains(&code)) },
    }
}

/// A path that rsync takes neither for an option, nor for a server's module, nor for a pattern.
fn remote_path(path: &Path) -> String {
    let path = path.to_string_lossy();
    if path.starts_with('/') { path.into_owned() } else { format!("./{path}") }
}

/// Waits for rsync, while the other connection is kept alive.
fn wait(mut running: Running, folder: &Folder, monitor: &Monitor) -> Result<ExitStatus, Trouble> {
    loop {
        if let Some(status) = child::wait(&mut running.0, TICK).map_err(Error::from)? {
            return Ok(status);
        }
        monitor.check()?;
        folder.connection.keep_alive();
    }
}

impl Destination for Rsync {
    fn id(&self) -> &str {
        self.remote.id()
    }

    fn host(&self) -> String {
        self.remote.host()
    }

    fn folder(&self) -> String {
        self.remote.folder()
    }

    fn login(&self) -> String {
        self.remote.server.location.user.clone().unwrap_or_default()
    }

    fn which(&self) -> Which {
        self.remote.which()
    }

    fn marks(&self) -> Option<&dyn Marks> {
        self.remote.marks()
    }

    fn describe(&self) -> String {
        self.remote.server.location.describe("rsync+ssh")
    }

    fn attend(&self, job: &Cancel) {
        self.remote.attend(job);
    }

    fn remember_silence(&self, file: PathBuf) {
        self.remote.remember_silence(file);
    }

    fn is_there(&self) -> Result<bool> {
        self.remote.is_there()
    }

    fn try_out(&self) -> Result<()> {
        self.remote.try_out()
    }

    fn prepare(&self, monitor: &Monitor) -> Result<()> {
        self.remote.prepare(monitor)
    }

    fn clean_parts(&self, keep: &dyn Fn(&str) -> bool) -> Result<Vec<String>> {
        self.remote.clean_parts(keep)
    }

    fn free_space(&self) -> Result<Option<u64>> {
        self.remote.free_space()
    }

    fn look(&self, found: &mut dyn FnMut(Listed), told: &mut Vec<Note>) -> Result<()> {
        self.remote.look(found, told)
    }

    fn stat(&self, name: &str) -> Result<Option<Stat>> {
        self.remote.stat(name)
    }

    fn sidecar(&self, name: &str) -> Result<Option<String>> {
        self.remote.sidecar(name)
    }

    fn open(&self, name: &str) -> Result<Box<dyn Read + Send>> {
        self.remote.open(name)
    }

    fn open_at(&self, name: &str, offset: u64) -> Result<Option<Box<dyn Read + Send>>> {
        self.remote.open_at(name, offset)
    }

    fn read_range(&self, name: &str, offset: u64, length: usize) -> Result<Option<Vec<u8>>> {
        self.remote.read_range(name, offset, length)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.remote.remove(name)
    }

    fn write_sidecar(&self, name: &str, text: &str) -> Result<()> {
        self.remote.write_sidecar(name, text)
    }

    fn follow(
        &self,
        name: &str,
        existing: Existing,
        file: &Follow,
        sidecar: &dyn Fn() -> Result<String>,
        monitor: &Monitor,
    ) -> Result<()> {
        names::check_name(name)?;
        self.remote.attend(&monitor.flag());
        // rsync wants all of it; a name that it cannot have is known before.
        if existing == Existing::Keep {
            self.remote.refuse_taken(name)?;
        }
        file.begun();
        file.wait_finished(monitor)?;
        let transfer = |folder: &Folder, offset: u64, _: &mut Option<u64>| {
            self.transfer(folder, name, file, offset, monitor).map(|()| None)
        };
        self.remote.follow_by(name, existing, file, sidecar, monitor, &transfer)
    }

    fn sha256(&self, name: &str, monitor: &Monitor) -> Result<Option<[u8; 32]>> {
        self.remote.sha256(name, monitor)
    }
}
