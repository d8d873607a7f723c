//! A folder on a server, through one SFTP connection: small operations, and the orders in which names change.
//!
//! Protocol version 3 (all that OpenSSH speaks) cannot rename onto an existing name. A backup that replaces
//! another moves it to `.NAME.old` first; as that happens only when the new one is whole, [`Folder::settle`]
//! finishes whatever was cut short after it.

mod appear;
mod digest;
mod read;

use crate::catalog::digest_of_hex;
use crate::destination::lease::Held;
use crate::destination::names::{self, Kind, SIDECAR_MAX, SIDECARS_MAX, check_name};
use crate::destination::ssh::retry::Trouble;
use crate::destination::ssh::server::{Connection, Server, is_broken};
use crate::destination::{Listed, Stat, missing, too_much, unreadable};
use crate::{Code, Error, Note, NoteKind, Result};
use ssh2::{ErrorCode, FileStat, OpenFlags, OpenType};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Most files, and entries of any kind, of a folder of backups.
const FILES_MAX: usize = 250_000;
const ENTRIES_MAX: usize = 1_000_000;

/// How fast a server hashes at least, in bytes a second: bounds the wait for its answer.
const SLOWEST_HASH: u64 = 5_000_000;

/// One connection and the folder it works in.
pub(crate) struct Folder {
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
        let trouble = self.server.trouble(what, Some(path), cause);
        let trouble = self.server.told(&self.connection.watch, trouble);
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
                self.server.failed(Code::Destination, what, Some(path), "it ends early").into()
            }
            Some(error) if error.code() == SFTP_PROTOCOL => {
                self.trouble(what, path, &status().unwrap_or(error))
            }
            Some(error) => self.trouble(what, path, &error),
            None => Trouble {
                error: self.server.failed(Code::Destination, what, Some(path), &said),
                broken: true,
            },
        }
    }

    /// A small request, which is given up where its answer does not end.
    pub fn ask<T>(&self, request: impl FnOnce(&ssh2::Sftp) -> T) -> T {
        let _allowed = self.connection.watch.at_most(self.server.patience.request());
        request(&self.connection.sftp)
    }

    pub fn stat(&self, file: &str) -> Result<Option<FileStat>, Trouble> {
        let path = self.path(file);
        match self.ask(|sftp| sftp.lstat(&path)) {
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
        match self.ask(|sftp| sftp.unlink(&path)) {
            Ok(()) => Ok(true),
            Err(cause) if is_missing(&cause) => Ok(false),
            Err(cause) => Err(self.trouble("cannot remove", &path, &cause)),
        }
    }

    /// Fails where `to` is taken (some servers overwrite: look before).
    fn rename(&self, from: &str, to: &str) -> Result<(), Trouble> {
        let (from, to) = (self.path(from), self.path(to));
        self.ask(|sftp| sftp.rename(&from, &to, None))
            .map_err(|cause| self.trouble("cannot put in place", &to, &cause))
    }

    pub fn open(&self, file: &str, flags: OpenFlags) -> Result<ssh2::File, Trouble> {
        let path = self.path(file);
        // Made for us alone; `dress` widens it to what the settings say.
        let opened = self.ask(|sftp| sftp.open_mode(&path, flags, 0o600, OpenType::File));
        opened.map_err(|cause| self.trouble("cannot open", &path, &cause))
    }

    /// A new file with our permissions, in the place of any that is there.
    pub fn create(&self, file: &str) -> Result<ssh2::File, Trouble> {
        match self.create_new(file) {
            Err(trouble) if !trouble.broken && self.remove(file)? => self.create_new(file),
            created => created,
        }
    }

    /// The same where nothing is.
    fn create_new(&self, file: &str) -> Result<ssh2::File, Trouble> {
        let mut handle = self.open(file, OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUSIVE)?;
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
        let _allowed = self.connection.watch.at_most(Duration::from_secs(660));
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
    pub fn create_with(&self, file: &str, text: &str) -> Result<(), Trouble> {
        let mut handle = self.create(file)?;
        self.fill(&mut handle, file, text)?;
        self.fsync(&mut handle, file)
    }

    fn fill(&self, handle: &mut ssh2::File, file: &str, text: &str) -> Result<(), Trouble> {
        let _allowed = self.connection.watch.at_most(self.server.patience.request());
        let written = handle.write_all(text.as_bytes());
        written.map_err(|cause| self.io_trouble("cannot write", &self.path(file), &cause))
    }

    /// Makes a file, which tells whether we may write, and asks for the free bytes around it; `None` where the
    /// server cannot say.
    pub fn free_space(&self) -> Result<Option<u64>, Trouble> {
        let probe = names::probe();
        let mut handle = self.create(&probe)?;
        let room = self.room_around(&mut handle);
        drop(handle);
        self.remove(&probe)?;
        room
    }

    /// Free bytes for us where an open file lies (fstatvfs@openssh.com).
    pub fn room_around(&self, handle: &mut ssh2::File) -> Result<Option<u64>, Trouble> {
        match self.ask(|_| handle.statvfs()) {
            Ok(room) => Ok(Some(room.f_bavail.saturating_mul(room.f_frsize))),
            Err(cause) if is_broken(&cause) => {
                Err(self.trouble("cannot ask for the free space of", &self.path(""), &cause))
            }
            Err(_) => Ok(None),
        }
    }

    /// Whether the folder itself is there.
    pub fn is_made(&self) -> Result<bool, Trouble> {
        let path = Path::new(&self.server.location.path);
        match self.ask(|sftp| sftp.stat(path)) {
            Ok(stat) if stat.is_dir() => Ok(true),
            Ok(_) => Err(self.no_folder().into()),
            Err(cause) if is_missing(&cause) => Ok(false),
            Err(cause) => Err(self.trouble("cannot look at", path, &cause)),
        }
    }

    /// That something else bears the name of the folder.
    fn no_folder(&self) -> Error {
        Error::new(Code::Destination, format!("{} is not a folder", self.place()))
            .hint("correct the path of this destination, or take away what is there instead")
    }

    /// See [`crate::destination::Destination::try_out`].
    pub fn try_out(&self) -> Result<(), Trouble> {
        let name = names::trial();
        let tried = self.create_with(&name, names::TRIAL).and_then(|()| self.read_text(&name, SIDECAR_MAX));
        let removed = self.remove(&name);
        match tried?.as_deref() {
            Some(names::TRIAL) => removed.map(drop),
            _ => Err(names::trial_failed(&self.place()).into()),
        }
    }

    /// Makes the folder, with its parents, where it is missing.
    pub fn make(&self) -> Result<(), Trouble> {
        if self.is_made()? {
            return Ok(());
        }
        let path = Path::new(&self.server.location.path);
        let mut missing: Vec<&Path> = Vec::new();
        for parent in path.ancestors().filter(|parent| !parent.as_os_str().is_empty()) {
            if self.ask(|sftp| sftp.stat(parent)).is_ok() {
                break;
            }
            missing.push(parent);
        }
        let mode = self.mode | (self.mode & 0o444) >> 2;
        for folder in missing.into_iter().rev() {
            let made = self.ask(|sftp| sftp.mkdir(folder, i32::try_from(mode).unwrap_or(0o700)));
            made.map_err(|cause| self.trouble("cannot create the folder", folder, &cause))?;
        }
        Ok(())
    }

    /// All files by name, as far as they are UTF-8; `None`: there is no such folder.
    pub fn files(&self) -> Result<Option<BTreeMap<String, Stat>>, Trouble> {
        let path = Path::new(&self.server.location.path);
        let mut folder = match self.ask(|sftp| sftp.opendir(path)) {
            // Servers say of a file, too, that there is no such folder.
            Err(cause) if is_missing(&cause) => return self.is_made().map(|_| None),
            opened => opened.map_err(|cause| self.trouble("cannot list", path, &cause))?,
        };
        let _allowed = self.connection.watch.at_most(self.server.patience.longer());
        let (mut files, mut bare) = (BTreeMap::new(), Vec::new());
        for _ in 0..ENTRIES_MAX {
            match folder.readdir() {
                Ok((name, stat)) => match name.to_str() {
                    // What a listing tells besides names is up to the server.
                    Some(name) if stat.size.is_none() || stat.perm.is_none() || stat.mtime.is_none() => {
                        bare.push(name.to_owned());
                    }
                    Some(name) if stat.is_file() => drop(files.insert(name.to_owned(), to_stat(&stat))),
                    _ => {}
                },
                Err(cause) if cause.code() == NO_MORE => {
                    for name in bare {
                        let stat = self.stat(&name)?.filter(FileStat::is_file);
                        files.extend(stat.map(|stat| (name, to_stat(&stat))));
                    }
                    return Ok(Some(files));
                }
                Err(cause) => return Err(self.trouble("cannot list", path, &cause)),
            }
            if files.len() + bare.len() > FILES_MAX {
                break;
            }
        }
        // Nothing more is believed to come to an end on this connection.
        self.connection.cut();
        Err(Trouble { error: too_much(&self.place()), broken: false })
    }

    /// `last` is the name that was told last: what was cut off goes on behind it.
    pub fn look(
        &self,
        last: &mut Option<String>,
        found: &mut dyn FnMut(Listed),
        told: &mut Vec<Note>,
    ) -> Result<(), Trouble> {
        let Some(files) = self.files()? else {
            let text = format!("there is no folder {} (yet)", self.place());
            told.push(Note { kind: NoteKind::Warning, text });
            return Ok(());
        };
        let mut bytes = 0;
        for (name, &Stat { size, mtime }) in &files {
            if names::kind(name) != Kind::Data(name) || last.as_ref().is_some_and(|last| name <= last) {
                continue;
            }
            let has_sidecar =
                [names::sidecar(name), names::sidecar_new(name)].iter().any(|file| files.contains_key(file));
            match if has_sidecar { self.sidecar(name) } else { Ok(None) } {
                Ok(sidecar) => {
                    bytes += sidecar.as_ref().map_or(0, String::len);
                    if bytes > SIDECARS_MAX {
                        return Err(too_much(&self.place()).into());
                    }
                    found(Listed { name: name.clone(), size, mtime, sidecar });
                }
                Err(trouble) if trouble.broken || trouble.error.code() == Code::Cancelled => {
                    return Err(trouble);
                }
                Err(trouble) => told.push(unreadable(name, &trouble.error)),
            }
            *last = Some(name.clone());
        }
        Ok(())
    }

    pub fn sidecar(&self, name: &str) -> Result<Option<String>, Trouble> {
        check_name(name)?;
        match self.read_text(&names::sidecar(name), SIDECAR_MAX)? {
            // Between the two steps of `write_sidecar`, its new text is whole.
            None => {
                let new = self.read_text(&names::sidecar_new(name), SIDECAR_MAX)?;
                Ok(new.filter(|text| names::is_our_text(text)))
            }
            text => Ok(text),
        }
    }

    pub fn write_sidecar(&self, name: &str, text: &str) -> Result<(), Trouble> {
        if self.stat_backup(name)?.is_none() {
            return Err(missing(name, &self.place()).into());
        }
        let new = names::sidecar_new(name);
        // A text that was cut off from its name is the only one.
        self.settle_sidecar(name)?;
        self.create_with(&new, text)?;
        self.remove(&names::sidecar(name))?;
        self.rename(&new, &names::sidecar(name))
    }

    /// Removes a backup: as a part without data it is gone from every listing.
    pub fn remove_backup(&self, name: &str) -> Result<(), Trouble> {
        if self.stat_backup(name)?.is_none() {
            return Err(missing(name, &self.place()).into());
        }
        // On a full disk there may be no room for a lease, but removing is what makes some.
        let held = Held::new();
        let claimed = match self.claim(name, &held, false) {
            Err(trouble) if trouble.error.code() == Code::Space => false,
            claimed => claimed.map(|()| true)?,
        };
        let erased = self.erase(name);
        // Of what is erased half it says whose that is, so that the next run ends it.
        if claimed && (erased.is_ok() || (!cut_off(&erased) && self.is_there(name)?)) {
            let let_go = self.remove(&names::lease(name));
            return erased.and(let_go.map(drop));
        }
        erased
    }

    /// Removes data and sidecar, which we hold. Where the sidecar stays the data does, as long as the server answers.
    fn erase(&self, name: &str) -> Result<(), Trouble> {
        self.remove(&names::part(name))?;
        self.rename(name, &names::part(name))?;
        if let Err(trouble) = self.remove(&names::sidecar(name)) {
            if !trouble.broken {
                // What cannot be put back either, the caller finds gone.
                let _ = self.rename(&names::part(name), name);
            }
            return Err(trouble);
        }
        self.remove(&names::sidecar_new(name))?;
        self.remove(&names::part(name)).map(drop)
    }
}

fn to_stat(stat: &FileStat) -> Stat {
    let mtime = stat.mtime.and_then(|time| i64::try_from(time).ok()).unwrap_or_default();
    Stat { size: stat.size.unwrap_or_default(), mtime }
}

fn cut_off<T>(done: &Result<T, Trouble>) -> bool {
    done.as_ref().is_err_and(|trouble| trouble.broken)
}

/// The end of a folder, as ssh2 tells it (LIBSSH2_ERROR_FILE).
const NO_MORE: ErrorCode = ErrorCode::Session(-16);

fn is_missing(cause: &ssh2::Error) -> bool {
    matches!(cause.code(), ErrorCode::SFTP(2 | 10))
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

/// In single quotes, as any shell takes it.
pub(crate) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// 64 hexadecimal digits and a blank; anything else is no answer.
pub(crate) fn parse_digest(answer: &[u8]) -> Option<[u8; 32]> {
    let (hex, rest) = answer.split_at_checked(64)?;
    // sha256sum puts a backslash before the digest of a file with an odd name; such names do not get here.
    if !rest.first().is_some_and(u8::is_ascii_whitespace) {
        return None;
    }
    digest_of_hex(hex)
}
