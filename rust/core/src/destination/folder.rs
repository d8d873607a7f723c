//! A folder on a server, through one SFTP connection: small operations, and the orders in which names change.
//!
//! Protocol version 3 (all that OpenSSH speaks) cannot rename onto an existing name. A backup that replaces
//! another moves it to `.NAME.old` first; as that happens only when the new one is whole, [`Folder::settle`]
//! finishes whatever was cut short after it.

use super::names::{self, Kind, SIDECAR_MAX, check_name};
use super::retry::Trouble;
use super::server::{Connection, Server, is_broken};
use super::{Existing, Listed, Stat, missing, taken};
use crate::{Code, Error, Monitor, Result};
use ssh2::{ErrorCode, FileStat, OpenFlags, OpenType};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How fast a server hashes at least, in bytes a second: bounds the wait for its answer.
const SLOWEST_HASH: u64 = 5_000_000;

/// One connection and the folder it works in.
pub(super) struct Folder {
    pub connection: Connection,
    pub server: Server,
    /// Permissions of files.
    pub mode: u32,
}

impl Folder {
    pub fn path(&self, file: &str) -> PathBuf {
        self.server.path(file)
    }

    /// For messages.
    pub fn place(&self) -> String {
        self.server.location.describe("sftp")
    }

    /// A connection that is broken is cut at once: closing files on it would only wait again.
    pub fn trouble(&self, what: &str, path: &Path, cause: &ssh2::Error) -> Trouble {
        let trouble = self.server.trouble(&format!("{what} {}", path.display()), cause);
        if trouble.broken {
            self.connection.cut();
        }
        trouble
    }

    /// The same for what came through `Read` or `Write`, which keep only the words: the code is found by them.
    pub fn io_trouble(&self, what: &str, path: &Path, cause: &io::Error) -> Trouble {
        const SFTP_PROTOCOL: ErrorCode = ErrorCode::Session(-31);
        let last = ssh2::Error::last_session_error(&self.connection.session);
        let said = cause.to_string();
        let status = || {
            (1..=21).map(|code| ssh2::Error::from_errno(ErrorCode::SFTP(code))).find(|e| e.message() == said)
        };
        match last {
            _ if cause.kind() == ErrorKind::UnexpectedEof => {
                let what = format!("{}: {what} {}: it ends early", self.server.host(), path.display());
                Error::new(Code::Destination, what).into()
            }
            Some(error) if error.code() == SFTP_PROTOCOL => {
                self.trouble(what, path, &status().unwrap_or(error))
            }
            Some(error) => self.trouble(what, path, &error),
            None => Trouble::broken(format!("{}: {what} {}: {said}", self.server.host(), path.display())),
        }
    }

    pub fn stat(&self, file: &str) -> Result<Option<FileStat>, Trouble> {
        let path = self.path(file);
        match self.connection.sftp.lstat(&path) {
            Ok(stat) => Ok(Some(stat)),
            Err(cause) if is_missing(&cause) => Ok(None),
            Err(cause) => Err(self.trouble("cannot look at", &path, &cause)),
        }
    }

    fn is_there(&self, file: &str) -> Result<bool, Trouble> {
        Ok(self.stat(file)?.is_some())
    }

    /// A whole backup's size and age.
    pub fn stat_backup(&self, name: &str) -> Result<Option<Stat>, Trouble> {
        check_name(name)?;
        Ok(self.stat(name)?.filter(FileStat::is_file).map(|stat| to_stat(&stat)))
    }

    /// Whether there was something to remove.
    pub fn remove(&self, file: &str) -> Result<bool, Trouble> {
        let path = self.path(file);
        match self.connection.sftp.unlink(&path) {
            Ok(()) => Ok(true),
            Err(cause) if is_missing(&cause) => Ok(false),
            Err(cause) => Err(self.trouble("cannot remove", &path, &cause)),
        }
    }

    /// Fails where `to` is taken (some servers overwrite: look before).
    fn rename(&self, from: &str, to: &str) -> Result<(), Trouble> {
        let (from, to) = (self.path(from), self.path(to));
        self.connection
            .sftp
            .rename(&from, &to, None)
            .map_err(|cause| self.trouble("cannot put in place", &to, &cause))
    }

    pub fn open(&self, file: &str, flags: OpenFlags) -> Result<ssh2::File, Trouble> {
        let path = self.path(file);
        // Made for us alone; `dress` widens it to what the settings say.
        let opened = self.connection.sftp.open_mode(&path, flags, 0o600, OpenType::File);
        opened.map_err(|cause| self.trouble("cannot open", &path, &cause))
    }

    /// A new file with our permissions, in the place of any that is there.
    pub fn create(&self, file: &str) -> Result<ssh2::File, Trouble> {
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
        let mut handle = match self.open(file, flags) {
            Err(trouble) if !trouble.broken && self.remove(file)? => self.open(file, flags)?,
            opened => opened?,
        };
        if self.mode != 0o600 {
            let stat = FileStat {
                size: None,
                uid: None,
                gid: None,
                perm: Some(self.mode),
                atime: None,
                mtime: None,
            };
            let path = self.path(file);
            handle
                .setstat(stat)
                .map_err(|cause| self.trouble("cannot set the permissions of", &path, &cause))?;
        }
        Ok(handle)
    }

    /// Flushes to the server's disk where it can (fsync@openssh.com).
    pub fn fsync(&self, handle: &mut ssh2::File, file: &str) -> Result<(), Trouble> {
        // A large file takes its time.
        self.connection.session.set_timeout(600_000);
        let flushed = handle.fsync();
        self.connection.session.set_timeout(millis(self.server.patience.timeout));
        match flushed {
            Err(cause) if is_broken(&cause) || matches!(cause.code(), ErrorCode::SFTP(3 | 4 | 14 | 15)) => {
                Err(self.trouble("cannot flush", &self.path(file), &cause))
            }
            // Flushed, or unknown to the server.
            _ => Ok(()),
        }
    }

    /// Writes a small file whole and flushed.
    fn create_with(&self, file: &str, text: &str) -> Result<(), Trouble> {
        let mut handle = self.create(file)?;
        let written = handle.write_all(text.as_bytes());
        written.map_err(|cause| self.io_trouble("cannot write", &self.path(file), &cause))?;
        self.fsync(&mut handle, file)
    }

    fn read_text(&self, file: &str) -> Result<Option<String>, Trouble> {
        let path = self.path(file);
        let handle = match self.connection.sftp.open_mode(&path, OpenFlags::READ, 0, OpenType::File) {
            Err(cause) if is_missing(&cause) => return Ok(None),
            opened => opened.map_err(|cause| self.trouble("cannot open", &path, &cause))?,
        };
        let mut bytes = Vec::new();
        let read = handle.take(SIDECAR_MAX).read_to_end(&mut bytes);
        read.map_err(|cause| self.io_trouble("cannot read", &path, &cause))?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Reads `buffer.len()` bytes at `offset`.
    pub fn read_at(
        &self,
        handle: &mut ssh2::File,
        file: &str,
        buffer: &mut [u8],
        offset: u64,
    ) -> Result<(), Trouble> {
        let read = handle.seek(SeekFrom::Start(offset)).and_then(|_| handle.read_exact(buffer));
        read.map_err(|cause| self.io_trouble("cannot read", &self.path(file), &cause))
    }

    /// Makes a file, which tells whether we may write, and asks for the free bytes around it; `None` where the
    /// server cannot say.
    pub fn free_space(&self) -> Result<Option<u64>, Trouble> {
        let probe = names::part(&format!("bam-{}", std::process::id()));
        let mut handle = self.create(&probe)?;
        let room = self.room_around(&mut handle);
        drop(handle);
        self.remove(&probe)?;
        room
    }

    /// Free bytes for us where an open file lies (fstatvfs@openssh.com).
    pub fn room_around(&self, handle: &mut ssh2::File) -> Result<Option<u64>, Trouble> {
        match handle.statvfs() {
            Ok(room) => Ok(Some(room.f_bavail.saturating_mul(room.f_frsize))),
            Err(cause) if is_broken(&cause) => {
                Err(self.trouble("cannot ask for the free space of", &self.path(""), &cause))
            }
            Err(_) => Ok(None),
        }
    }

    /// Makes the folder, with its parents, where it is missing.
    pub fn make(&self) -> Result<(), Trouble> {
        let path = Path::new(&self.server.location.path);
        match self.connection.sftp.stat(path) {
            Ok(stat) if stat.is_dir() => return Ok(()),
            Ok(_) => {
                return Err(Error::new(Code::Destination, format!("{} is not a folder", self.place())).into());
            }
            Err(cause) if is_missing(&cause) => {}
            Err(cause) => return Err(self.trouble("cannot look at", path, &cause)),
        }
        let mut missing: Vec<&Path> = Vec::new();
        for parent in path.ancestors().filter(|parent| !parent.as_os_str().is_empty()) {
            if self.connection.sftp.stat(parent).is_ok() {
                break;
            }
            missing.push(parent);
        }
        let mode = self.mode | (self.mode & 0o444) >> 2;
        for folder in missing.into_iter().rev() {
            let made = self.connection.sftp.mkdir(folder, i32::try_from(mode).unwrap_or(0o700));
            made.map_err(|cause| self.trouble("cannot create the folder", folder, &cause))?;
        }
        Ok(())
    }

    /// All files by name, as far as they are UTF-8; a folder that is not there yet is empty.
    pub fn files(&self) -> Result<BTreeMap<String, FileStat>, Trouble> {
        let path = Path::new(&self.server.location.path);
        let found = match self.connection.sftp.readdir(path) {
            Err(cause) if is_missing(&cause) => return Ok(BTreeMap::new()),
            found => found.map_err(|cause| self.trouble("cannot list", path, &cause))?,
        };
        let files = found.into_iter().filter(|(_, stat)| stat.is_file());
        Ok(files.filter_map(|(path, stat)| Some((path.file_name()?.to_str()?.to_owned(), stat))).collect())
    }

    pub fn list(&self) -> Result<Vec<Listed>, Trouble> {
        let files = self.files()?;
        let mut listed = Vec::new();
        for (name, stat) in &files {
            if names::kind(name) == Kind::Data(name) {
                let has_sidecar = [names::sidecar(name), names::sidecar_new(name)]
                    .iter()
                    .any(|file| files.contains_key(file));
                let sidecar = if has_sidecar { self.sidecar(name)? } else { None };
                let Stat { size, mtime } = to_stat(stat);
                listed.push(Listed { name: name.clone(), size, mtime, sidecar });
            }
        }
        Ok(listed)
    }

    pub fn sidecar(&self, name: &str) -> Result<Option<String>, Trouble> {
        check_name(name)?;
        match self.read_text(&names::sidecar(name))? {
            // Between the two steps of `write_sidecar`, its new text is whole.
            None => self.read_text(&names::sidecar_new(name)),
            text => Ok(text),
        }
    }

    pub fn write_sidecar(&self, name: &str, text: &str) -> Result<(), Trouble> {
        if self.stat_backup(name)?.is_none() {
            return Err(missing(name, &self.place()).into());
        }
        let new = names::sidecar_new(name);
        // A text that was cut off from its name is the only one.
        if !self.is_there(&names::sidecar(name))? && self.is_there(&new)? {
            self.rename(&new, &names::sidecar(name))?;
        }
        self.create_with(&new, text)?;
        self.remove(&names::sidecar(name))?;
        self.rename(&new, &names::sidecar(name))
    }

    /// Removes a backup: as a part without data it is gone from every listing.
    pub fn remove_backup(&self, name: &str) -> Result<(), Trouble> {
        if self.stat_backup(name)?.is_none() {
            return Err(missing(name, &self.place()).into());
        }
        self.remove(&names::part(name))?;
        self.rename(name, &names::part(name))?;
        self.remove(&names::sidecar(name))?;
        self.remove(&names::sidecar_new(name))?;
        self.remove(&names::part(name))?;
        Ok(())
    }

    /// Lets the whole and flushed part of `name` appear, with its sidecar. Few round trips for a new name, as
    /// lines may be long.
    pub fn appear(&self, name: &str, existing: Existing, sidecar: &str) -> Result<(), Trouble> {
        self.create_with(&names::sidecar_part(name), sidecar)?;
        if existing == Existing::Replace && self.stat_backup(name)?.is_some() {
            self.rename(name, &names::old(name))?;
            return self.finish_appearing(name);
        }
        let in_place = self.rename(&names::sidecar_part(name), &names::sidecar(name));
        if let Err(trouble) = in_place {
            if trouble.broken {
                return Err(trouble);
            }
            if self.stat_backup(name)?.is_some() {
                return Err(taken(name, &self.place()).into());
            }
            // Without data, the sidecar that is there belongs to nothing.
            self.finish_sidecar(name)?;
        }
        match self.rename(&names::part(name), name) {
            Err(trouble) if !trouble.broken && self.stat_backup(name)?.is_some() => {
                Err(taken(name, &self.place()).into())
            }
            renamed => renamed,
        }
    }

    fn finish_sidecar(&self, name: &str) -> Result<(), Trouble> {
        self.remove(&names::sidecar(name))?;
        self.remove(&names::sidecar_new(name))?;
        self.rename(&names::sidecar_part(name), &names::sidecar(name))
    }

    fn finish_appearing(&self, name: &str) -> Result<(), Trouble> {
        if self.is_there(&names::sidecar_part(name))? {
            self.finish_sidecar(name)?;
        }
        if self.is_there(&names::part(name))? {
            self.rename(&names::part(name), name)?;
        }
        self.remove(&names::old(name))?;
        Ok(())
    }

    /// Finishes a replacement that was cut short. Whether there was one.
    pub fn finish_replacing(&self, name: &str) -> Result<bool, Trouble> {
        let there = self.is_there(&names::old(name))?;
        if there {
            self.finish_appearing(name)?;
        }
        Ok(there)
    }

    /// Finishes or takes back what a broken upload of `name` left.
    pub fn settle(&self, name: &str) -> Result<(), Trouble> {
        if self.finish_replacing(name)? {
            return Ok(());
        }
        let (data, part) = (self.is_there(name)?, self.is_there(&names::part(name))?);
        if part && !data {
            // The sidecar was put there for this part.
            self.remove(&names::sidecar(name))?;
        }
        if data && !self.is_there(&names::sidecar(name))? && self.is_there(&names::sidecar_new(name))? {
            self.rename(&names::sidecar_new(name), &names::sidecar(name))?;
        }
        self.remove(&names::sidecar_new(name))?;
        self.remove(&names::sidecar_part(name))?;
        self.remove(&names::part(name))?;
        Ok(())
    }

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
    fn run(&self, command: &str, patience: Duration, monitor: &Monitor) -> Result<Option<Vec<u8>>, Trouble> {
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
                return Err(self.server.trouble("cannot run sha256sum", &cause));
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
                    let _ = self.connection.session.keepalive_send();
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

fn to_stat(stat: &FileStat) -> Stat {
    let mtime = stat.mtime.and_then(|time| i64::try_from(time).ok()).unwrap_or_default();
    Stat { size: stat.size.unwrap_or_default(), mtime }
}

fn is_missing(cause: &ssh2::Error) -> bool {
    matches!(cause.code(), ErrorCode::SFTP(2 | 10))
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

/// In single quotes, as any shell takes it.
pub(super) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// 64 hexadecimal digits and a blank; anything else is no answer.
pub(super) fn parse_digest(answer: &[u8]) -> Option<[u8; 32]> {
    let (hex, rest) = answer.split_at_checked(64)?;
    // sha256sum puts a backslash before the digest of a file with an odd name; such names do not get here.
    if !rest.first().is_some_and(u8::is_ascii_whitespace) {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(hex.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = pair.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u8::from_str_radix(pair, 16).ok())??;
    }
    Some(digest)
}
