//! The ssh program as a way to a server whose key was checked already: it accepts that key alone, and asks nobody.

use super::known_hosts;
use super::server::Server;
use crate::monitor::TICK;
use crate::temporary::Folder;
use crate::{Code, Error, Result, ResultExt, child};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

/// How long a program that is told to end may take.
const STOPPING: Duration = Duration::from_secs(10);

/// OpenSSH's ciphers, fastest first where there are AES instructions (tests/bench/transfer).
const CIPHERS: &str = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes256-ctr,\
    chacha20-poly1305@openssh.com";
/// The server's name for ssh and for what starts it.
pub(crate) const HOST: &str = "bam";
/// The same of a second one, for what talks to two.
pub(crate) const OTHER_HOST: &str = "bam-other";

/// Settings for ssh in a folder that vanishes with them.
pub(crate) struct Settings {
    /// For ssh's option -F.
    pub file: PathBuf,
    folder: Folder,
}

impl Settings {
    /// For the server that holds this key.
    pub fn write(server: &Server, key: &[u8]) -> Result<Settings> {
        Settings::of_servers(&[(HOST, server, key)])
    }

    /// For several servers, each under a name of its own and with the key that it holds.
    pub fn of_servers(servers: &[(&str, &Server, &[u8])]) -> Result<Settings> {
        let folder = Folder::new(".bam-ssh-")?;
        let (known, file) = (folder.path().join("known_hosts"), folder.path().join("config"));
        let lines = servers.iter().map(|(name, _, key)| known_hosts::line(name, 22, key) + "\n");
        fs::write(&known, lines.collect::<String>()).at("cannot write", &known)?;
        let mut text = String::new();
        for (name, server, key) in servers {
            text += &block(name, server, key, &known)?;
        }
        fs::write(&file, text).at("cannot write", &file)?;
        Ok(Settings { file, folder })
    }

    /// A folder with a program `ssh` that uses these settings, for who starts ssh by its name: it comes first in PATH.
    pub fn program(&self) -> Result<PathBuf> {
        let program = self.folder.path().join("ssh");
        let text = format!("#!/bin/sh\nPATH=${{PATH#*:}}\nexec {} \"$@\"\n", self.shell()?);
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o700)
            .open(&program)
            .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
            .at("cannot write", &program)?;
        Ok(self.folder.path().to_owned())
    }

    /// The command as rsync takes it: it splits at blanks and knows quotes, but no way to write a quote inside of them.
    pub fn shell(&self) -> Result<String> {
        let file = self.file.to_string_lossy();
        if file.contains('\'') {
            return Err(Error::new(
                Code::Config,
                format!("the temporary folder has a quote in its name: {file}"),
            )
            .hint("set TMPDIR to another folder"));
        }
        Ok(format!("ssh -F '{file}'"))
    }
}

/// What ssh_config(5) says of one server.
fn block(name: &str, server: &Server, key: &[u8], known: &Path) -> Result<String> {
    let algorithms = match known_hosts::key_type(key) {
        "ssh-rsa" => "rsa-sha2-512,rsa-sha2-256",
        other => other,
    };
    let silence = (server.patience.timeout.as_secs() / 3).max(1);
    let mut text = format!(
        "Host {name}\nHostName {}\nPort {}\nUser {}\nHostKeyAlias {name}\nStrictHostKeyChecking yes\n\
         UserKnownHostsFile {}\nGlobalKnownHostsFile /dev/null\nHostKeyAlgorithms {algorithms}\nCheckHostIP no\n\
         UpdateHostKeys no\nBatchMode yes\nPasswordAuthentication no\nCompression no\nCiphers {CIPHERS}\n\
         ServerAliveInterval {silence}\nServerAliveCountMax 3\nConnectTimeout {}\nControlMaster no\n\
         ControlPath none\nClearAllForwardings yes\nLogLevel ERROR\n",
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
    Ok(text)
}

/// As ssh_config(5) takes values with blanks.
fn quoted(value: &str) -> Result<String> {
    if value.contains(['"', '\n', '\\']) {
        return Err(Error::new(Code::Config, format!("ssh's settings cannot hold this: {value:?}"))
            .hint("rename the file, or use type sftp"));
    }
    Ok(format!("\"{value}\""))
}

/// A running program with what it started, in a process group of its own; ended when dropped.
pub(crate) struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            let group = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
            let tell = |signal| group.map(|group| kill_process_group(group, signal));
            let (_, told) = (tell(Signal::TERM), Instant::now());
            while matches!(child::wait(&mut self.0, TICK), Ok(None)) {
                if told.elapsed() >= STOPPING {
                    let _ = tell(Signal::KILL);
                    let _ = self.0.wait();
                }
            }
        }
    }
}
