//! A local folder.
//!
//! Replacing a backup of the same name takes two renames, data then sidecar. In between, the new sidecar lies in
//! `.NAME.info.part` while `.NAME.part` is gone: readers take it for the sidecar, and the next
//! [`Destination::clean_parts`] finishes the job. A new backup gets its sidecar first, so that it needs none of this.
//!
//! `create` makes the folder and files in it, `hidden` knows whose unfinished files are, `writing` is an upload under way,
//! `disk` what all of them ask of the system.

mod create;
mod disk;
mod hidden;
mod writing;

pub(super) use self::disk::mode_of;

use self::disk::{flock, is_there, read_text, remove_if_there};
use self::writing::Writing;
use super::lease::this_host;
use super::names::{self, Kind, SIDECAR_MAX, check_name};
use super::{Destination, Existing, Follow, Listed, Marks, Stat, Upload, Which, missing, taken, unreadable};
use crate::config::document;
use crate::look;
use crate::{Code, Error, Fact, Monitor, Note, Result, ResultExt, Told};
use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, RenameFlags};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::OnceLock;

/// A folder on this machine.
#[derive(Debug, Clone)]
pub struct Directory {
    id: String,
    path: PathBuf,
    mode: Mode,
    /// The settings say so.
    mode_is_set: bool,
    group: Option<String>,
    gid: OnceLock<Gid>,
    /// The folder lies where the web server serves files from.
    served: bool,
}

impl Directory {
    /// A folder with the usual permissions: files 0600, folders 0700.
    pub fn new(id: &str, path: impl Into<PathBuf>) -> Self {
        Directory {
            id: id.into(),
            path: path.into(),
            mode: Mode::from_raw_mode(0o600),
            mode_is_set: false,
            group: None,
            gid: OnceLock::new(),
            served: false,
        }
    }

    /// The folder as configured: absolute, relative to the site's root, or a stream URI (`private://backup_migrate`).
    pub fn from_config(id: &str, config: &document::Destination, site: &document::Site) -> Result<Self> {
        let Some(path) = &config.path else {
            return Err(Error::new(Code::Config, format!("destination {id}: a directory needs a path"))
                .hint(format!("set destinations.{id}.path in the configuration")));
        };
        let path = site.resolve(path).within(Fact::Destination, id)?;
        let mut directory = Directory::new(id, path);
        if let Some(mode) = mode_of(id, config)? {
            directory.mode = mode;
            directory.mode_is_set = true;
        }
        directory.group = config.chgrp.clone();
        directory.served = !site.root.as_os_str().is_empty() && directory.path.starts_with(&site.root);
        Ok(directory)
    }

    fn at(&self, file: &str) -> PathBuf {
        self.path.join(file)
    }

    fn sync_folder(&self) -> Result<()> {
        File::open(&self.path).and_then(|folder| folder.sync_all()).at("cannot flush", &self.path)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        fs::rename(self.at(from), self.at(to)).at("cannot put in place", &self.at(to))
    }

    /// Lets the data appear under its name, unless that is taken.
    fn appear(&self, name: &str) -> Result<()> {
        let (from, to) = (self.at(&names::part(name)), self.at(name));
        match rustix::fs::renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE) {
            Err(rustix::io::Errno::EXIST) => Err(taken(name, &self.describe())),
            // Some network file systems cannot do it in one step.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                if is_there(&to)? {
                    return Err(taken(name, &self.describe()));
                }
                fs::rename(&from, &to).at("cannot put in place", &to)
            }
            other => other.at("cannot put in place", &to),
        }
    }

    /// Removes data and sidecar, which we hold. Where the sidecar stays the data does.
    fn erase(&self, name: &str) -> Result<()> {
        remove_if_there(&self.at(&names::sidecar_part(name)))?;
        // As a part without data, the backup is gone from every listing, and `settle` would finish the removal.
        self.rename(name, &names::part(name))?;
        let sidecar = self.sync_folder().and_then(|()| remove_if_there(&self.at(&names::sidecar(name))));
        if let Err(error) = sidecar {
            // What cannot be put back either, the caller finds gone.
            let _ = self.appear(name).and_then(|()| self.sync_folder());
            return Err(error);
        }
        remove_if_there(&self.at(&names::part(name))).map(drop)
    }

    /// The names in the folder that are wanted, as far as they are UTF-8; a folder that is not there yet is empty.
    fn names(&self, wanted: &dyn Fn(&str) -> bool) -> Result<Vec<String>> {
        let all = match crate::entries::names(&self.path) {
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            all => all.at("cannot list", &self.path)?,
        };
        let mut names = Vec::new();
        for name in all {
            let name = name.at("cannot list", &self.path)?;
            names.extend(name.to_str().filter(|name| wanted(name)).map(str::to_owned));
        }
        Ok(names)
    }

    /// What is known of a file; `None` where a name is none's, or is gone since the folder was read.
    fn file(&self, name: &str) -> Result<Option<fs::Metadata>> {
        let path = self.at(name);
        match fs::symlink_metadata(&path) {
            Ok(metadata) => Ok(Some(metadata).filter(fs::Metadata::is_file)),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(Error::io("cannot look at", &path, cause)),
        }
    }

    /// The files of the folder by name.
    fn files(&self) -> Result<BTreeMap<String, fs::Metadata>> {
        let mut files = BTreeMap::new();
        for name in self.names(&|_| true)? {
            if let Some(metadata) = self.file(&name)? {
                files.insert(name, metadata);
            }
        }
        Ok(files)
    }

    fn open_file(&self, name: &str) -> Result<File> {
        check_name(name)?;
        let path = self.at(name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        match rustix::fs::openat(CWD, &path, flags, Mode::empty()) {
            Err(rustix::io::Errno::NOENT) => Err(missing(name, &self.describe())),
            opened => {
                let file = File::from(opened.at("cannot open", &path)?);
                if !file.metadata().at("cannot look at", &path)?.is_file() {
                    return Err(missing(name, &self.describe()));
                }
                Ok(file)
            }
        }
    }
}

impl Marks for Directory {
    fn mark(&self, name: &str, text: &str) -> Result<()> {
        self.create_new_with(name, text).map(drop)
    }

    fn shows(&self, name: &str, text: &str) -> Result<bool> {
        match read_text(&self.at(name), SIDECAR_MAX) {
            Err(error) if error.code() == Code::Permission => {
                Ok(self.file(name)?.is_some_and(|file| file.len() == text.len() as u64))
            }
            read => Ok(read?.as_deref() == Some(text)),
        }
    }

    fn unmark(&self, name: &str) -> Result<()> {
        remove_if_there(&self.at(name)).map(drop)
    }
}

impl Destination for Directory {
    fn id(&self) -> &str {
        &self.id
    }

    fn host(&self) -> String {
        this_host()
    }

    fn folder(&self) -> String {
        fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone()).display().to_string()
    }

    fn which(&self) -> Which {
        Which::here(&self.path)
    }

    fn marks(&self) -> Option<&dyn Marks> {
        Some(self)
    }

    fn describe(&self) -> String {
        self.path.display().to_string()
    }

    fn is_there(&self) -> Result<bool> {
        match fs::metadata(&self.path) {
            Ok(found) if found.is_dir() => Ok(true),
            Ok(_) => Err(Error::of_path(Code::Config, &self.path, "is no folder")
                .hint(format!("correct destinations.{}.path", self.id))),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(false),
            Err(cause) => Err(Error::io("cannot look at", &self.path, cause)),
        }
    }

    fn try_out(&self) -> Result<()> {
        let path = self.create_new_with(&names::trial(), names::TRIAL)?;
        let back = read_text(&path, SIDECAR_MAX);
        fs::remove_file(&path).at("cannot remove", &path)?;
        match back?.as_deref() {
            Some(names::TRIAL) => Ok(()),
            _ => Err(names::trial_failed(&self.describe())),
        }
    }

    fn prepare(&self, _monitor: &Monitor) -> Result<()> {
        if !look::is_folder(&self.path)? {
            let folder = self.make()?;
            self.dress(&folder, &self.path, Mode::from_raw_mode(self.folder_mode()))?;
        }
        rustix::fs::accessat(
            CWD,
            &self.path,
            rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK,
            AtFlags::EACCESS,
        )
        .at("cannot write to", &self.path)?;
        if self.served { self.keep_web_out() } else { Ok(()) }
    }

    fn clean_parts(&self, keep: &dyn Fn(&str) -> bool) -> Result<Vec<String>> {
        self.clean(keep)
    }

    fn free_space(&self) -> Result<Option<u64>> {
        let room = rustix::fs::statvfs(&self.path).at("cannot ask for the free space of", &self.path)?;
        Ok(Some(room.f_bavail.saturating_mul(room.f_frsize)))
    }

    fn look(&self, found: &mut dyn FnMut(Listed), told: &mut Vec<Note>) -> Result<()> {
        let mut names = self.names(&|name| names::kind(name) == Kind::Data(name))?;
        names.sort_unstable();
        for name in names {
            let Some(metadata) = self.file(&name)? else { continue };
            match self.sidecar(&name) {
                Ok(sidecar) => {
                    let (size, mtime) = (metadata.size(), metadata.mtime());
                    found(Listed { name, size, mtime, sidecar });
                }
                Err(error) => told.push(unreadable(&name, &error)),
            }
        }
        Ok(())
    }

    fn stat(&self, name: &str) -> Result<Option<Stat>> {
        check_name(name)?;
        let path = self.at(name);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() => {
                Ok(Some(Stat { size: metadata.size(), mtime: metadata.mtime() }))
            }
            Ok(_) => Ok(None),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(Error::io("cannot look at", &path, cause)),
        }
    }

    fn sidecar(&self, name: &str) -> Result<Option<String>> {
        check_name(name)?;
        let replacing = names::sidecar_part(name);
        if !is_there(&self.at(&names::part(name)))?
            && let Some(text) = read_text(&self.at(&replacing), SIDECAR_MAX)?
        {
            return Ok(Some(text));
        }
        read_text(&self.at(&names::sidecar(name)), SIDECAR_MAX)
    }

    fn open(&self, name: &str) -> Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.open_file(name)?))
    }

    fn open_at(&self, name: &str, offset: u64) -> Result<Option<Box<dyn Read + Send>>> {
        let mut file = self.open_file(name)?;
        file.seek(SeekFrom::Start(offset)).at("cannot read", &self.at(name))?;
        Ok(Some(Box::new(file)))
    }

    fn local_path(&self, name: &str) -> Option<PathBuf> {
        check_name(name).ok().map(|()| self.at(name))
    }

    fn remove(&self, name: &str) -> Result<()> {
        if self.stat(name)?.is_none() {
            return Err(missing(name, &self.describe()));
        }
        // On a full disk there may be no room for a lease, but removing is what makes some.
        let held = match self.claim(name) {
            Err(error) if error.code() == Code::Space => None,
            claimed => Some(claimed?),
        };
        let erased = self.erase(name);
        // Of what is erased half it says whose that is, so that the next run ends it.
        if held.is_some() && (erased.is_ok() || is_there(&self.at(name))?) {
            let let_go = remove_if_there(&self.at(&names::lease(name)));
            erased.and(let_go.map(drop))?;
        } else {
            erased?;
        }
        self.sync_folder()
    }

    fn write_sidecar(&self, name: &str, text: &str) -> Result<()> {
        if self.stat(name)?.is_none() {
            return Err(missing(name, &self.describe()));
        }
        let new = names::sidecar_new(name);
        self.create_with(&new, text)?;
        self.rename(&new, &names::sidecar(name))?;
        self.sync_folder()
    }

    fn pushes(&self) -> bool {
        true
    }

    fn begin(&self, name: &str, existing: Existing) -> Result<Box<dyn Upload>> {
        if existing == Existing::Keep && self.stat(name)?.is_some() {
            return Err(taken(name, &self.describe()));
        }
        let held = self.claim(name)?;
        // Another run may have ended since we looked.
        if existing == Existing::Keep && self.stat(name)?.is_some() {
            remove_if_there(&self.at(&names::lease(name)))?;
            return Err(taken(name, &self.describe()));
        }
        let (file, path) = match self.create(&names::part(name)) {
            Ok(made) => made,
            Err(error) => {
                let _ = remove_if_there(&self.at(&names::lease(name)));
                return Err(error);
            }
        };
        flock(&file).at("cannot lock", &path)?;
        let place = self.clone();
        Ok(Box::new(Writing {
            place,
            name: name.into(),
            existing,
            file,
            path,
            bytes: 0,
            started: 0,
            done: false,
            _held: held,
        }))
    }

    fn follow(
        &self,
        name: &str,
        existing: Existing,
        file: &Follow,
        sidecar: &dyn Fn() -> Result<String>,
        monitor: &Monitor,
    ) -> Result<()> {
        let mut upload = self.begin(name, existing)?;
        let (mut buffer, mut offset) = (vec![0; 1 << 20], 0);
        loop {
            let read = file.read_at(&mut buffer, offset, monitor)?;
            if read == 0 {
                return upload.commit(&sidecar()?);
            }
            upload.write_all(buffer.get(..read).unwrap_or_default())?;
            offset += read as u64;
        }
    }

    fn sha256(&self, name: &str, monitor: &Monitor) -> Result<Option<[u8; 32]>> {
        let mut file = self.open_file(name)?;
        let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 18]);
        loop {
            monitor.check()?;
            match file.read(&mut buffer) {
                Ok(0) => return Ok(Some(hash.finalize().into())),
                Ok(read) => hash.update(buffer.get(..read).unwrap_or_default()),
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                Err(cause) => return Err(Error::io("cannot read", &self.at(name), cause)),
            }
        }
    }
}
