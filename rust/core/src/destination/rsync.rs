//! A folder on an SSH server, through the rsync program.
//!
//! rsync moves the bytes; everything else (looking, renaming, removing) goes by SFTP on the same server, after the
//! same check of the host key. As rsync wants whole files, an upload starts when the backup is complete.

use super::folder::Folder;
use super::names;
use super::retry::{Patience, Trouble};
use super::sftp::Sftp;
use super::upload::{finish_part, no_room, open_part};
use super::{Destination, Existing, Follow, Listed, Stat, known_hosts};
use crate::config::document;
use crate::{Code, Error, Monitor, Result, ResultExt};
use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fmt::Write;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// Where rsync finds the local file: it may have no name.
const SOURCE: i32 = 3;
/// OpenSSH's ciphers, fastest first where there are AES instructions (tests/bench/transfer).
const CIPHERS: &str = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes256-ctr,\
    chacha20-poly1305@openssh.com";
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
        let workshop = tempfile::tempdir().map_err(Error::from)?;
        let ssh = write_ssh_config(folder, workshop.path())?;
        let mut said = tempfile::tempfile().map_err(Error::from)?;
        let mut command = Command::new("rsync");
        command.args(["--protect-args", "--copy-links", "--inplace"]);
        command.arg(if offset > 0 { "--append-verify" } else { "--whole-file" });
        command
            .arg(format!("--timeout={}", folder.server.patience.timeout.as_secs()))
            .arg("-e")
            .arg(ssh)
            .arg("--")
            .arg(format!("/proc/self/fd/{SOURCE}"))
            .arg(format!("bam:{}", remote_path(&folder.path(&part))))
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said.try_clone().map_err(Error::from)?)
            .process_group(0);
        let source: OwnedFd = file.reader()?.into();
        command
            .fd_mappings(vec![FdMapping { parent_fd: source, child_fd: SOURCE }])
            .map_err(|_| Error::new(Code::Internal, "cannot hand the backup to rsync"))?;
        let child = command.spawn().map_err(|cause| {
            Error::new(Code::Unsupported, "cannot run the program rsync")
                .because(cause)
                .hint("install it (apt-get install rsync), here and on the server, or use type sftp")
        })?;
        drop(command);
        let status = Running(child).wait(folder, monitor)?;
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

/// A configuration for ssh that accepts exactly the key that was checked, and asks nobody. Returns the command.
fn write_ssh_config(folder: &Folder, workshop: &Path) -> Result<String> {
    let server = &folder.server;
    let (known, config) = (workshop.join("known_hosts"), workshop.join("config"));
    let key = &folder.connection.host_key;
    fs::write(&known, known_hosts::line("bam", 22, key) + "\n").at("cannot write", &known)?;
    let algorithms = match known_hosts::key_type(key) {
        "ssh-rsa" => "rsa-sha2-512,rsa-sha2-256",
        other => other,
    };
    let silence = (server.patience.timeout.as_secs() / 3).max(1);
    let mut text = format!(
        "Host bam\nHostName {}\nPort {}\nUser {}\nHostKeyAlias bam\nStrictHostKeyChecking yes\n\
         UserKnownHostsFile {}\nGlobalKnownHostsFile /dev/null\nHostKeyAlgorithms {algorithms}\nCheckHostIP no\n\
         UpdateHostKeys no\nBatchMode yes\nPasswordAuthentication no\nCompression no\nCiphers {CIPHERS}\n\
         ServerAliveInterval {silence}\nServerAliveCountMax 3\nConnectTimeout {}\nControlMaster no\nControlPath none\n\
         ClearAllForwardings yes\nLogLevel ERROR\n",
        server.location.host,
        server.location.port,
        quoted(&server.user()?)?,
        quoted(&known.to_string_lossy().replace('%', "%%"))?,
        server.patience.timeout.as_secs(),
    );
    if let Some(identity) = &server.identity_file {
        let identity = quoted(&identity.to_string_lossy().replace('%', "%%"))?;
        let _ = write!(text, "IdentityFile {identity}\nIdentitiesOnly yes\n");
    }
    fs::write(&config, text).at("cannot write", &config)?;
    let config = config.to_string_lossy();
    // rsync splits it at blanks and knows quotes, but no way to write a quote inside of them.
    if config.contains('\'') {
        return Err(Error::new(
            Code::Config,
            format!("the temporary folder has a quote in its name: {config}"),
        )
        .hint("set TMPDIR to another folder"));
    }
    Ok(format!("ssh -F '{config}'"))
}

/// As ssh_config(5) takes values with blanks.
fn quoted(value: &str) -> Result<String> {
    if value.contains(['"', '\n', '\\']) {
        return Err(Error::new(Code::Config, format!("ssh's settings cannot hold this: {value:?}"))
            .hint("rename the file, or use type sftp"));
    }
    Ok(format!("\"{value}\""))
}

/// A running rsync with the ssh that it started; ended when dropped.
struct Running(Child);

impl Running {
    fn wait(mut self, folder: &Folder, monitor: &Monitor) -> Result<ExitStatus, Trouble> {
        loop {
            if let Some(status) = self.0.try_wait().map_err(Error::from)? {
                return Ok(status);
            }
            monitor.check()?;
            let _ = folder.connection.session.keepalive_send();
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            if let Some(group) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process_group(group, Signal::TERM);
            }
            let _ = self.0.wait();
        }
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

    fn describe(&self) -> String {
        self.remote.server.location.describe("rsync+ssh")
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

    fn list(&self) -> Result<Vec<Listed>> {
        self.remote.list()
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
