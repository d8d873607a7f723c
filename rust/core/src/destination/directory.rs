//! A local folder.
//!
//! Replacing a backup of the same name takes two renames, data then sidecar. In between, the new sidecar lies in
//! `.NAME.info.part` while `.NAME.part` is gone: readers take it for the sidecar, and the next
//! [`Destination::clean_parts`] finishes the job. A new backup gets its sidecar first, so that it needs none of this.

mod disk;
mod writing;

pub(super) use self::disk::mode_of;
use self::disk::{changed, flock, is_there, lock_part, look_up_group, make_for, read_text, remove_if_there};
use self::writing::Writing;
use super::lease::{self, Found, Held, LEASE_MAX, Lease, this_host};
use super::names::{self, Kind, SIDECAR_MAX, check_name};
use super::{Destination, Existing, Follow, Listed, Stat, Upload, missing, taken, unreadable};
use crate::config::document;
use crate::{Code, Error, Fact, Monitor, Note, Result, ResultExt, Told};
use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, RenameFlags};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

/// Bytes after which the kernel is told to start writing back, so that the last flush has little left to do.
const WRITE_BACK: u64 = 8 << 20;
/// How far behind the end written pages are given up, so that a large backup does not push others' files out of
/// memory. Followers are usually nearer than this; those that are not read from the disk.
const KEEP_CACHED: u64 = 128 << 20;

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

    /// Permissions of folders: the files' with the search bit wherever there is a read bit.
    fn folder_mode(&self) -> u32 {
        let mode = self.mode.as_raw_mode();
        mode | (mode & 0o444) >> 2
    }

    fn gid(&self) -> Result<Option<Gid>> {
        let Some(group) = &self.group else { return Ok(None) };
        if let Some(gid) = self.gid.get() {
            return Ok(Some(*gid));
        }
        let gid = look_up_group(group)?;
        Ok(Some(*self.gid.get_or_init(|| gid)))
    }

    /// Group and permissions of what root writes without being told: the folder's group may read it, where the folder is
    /// made for one. So the site's user sees root's backups, too.
    fn shared(&self) -> Option<(Gid, Mode)> {
        if !rustix::process::geteuid().is_root() || self.group.is_some() {
            return None;
        }
        let folder = fs::metadata(&self.path).ok()?;
        let made_for_it = folder.gid() != 0 && (folder.uid() != 0 || folder.mode() & 0o050 == 0o050);
        let readable = Mode::from_raw_mode(0o640);
        made_for_it
            .then(|| (Gid::from_raw(folder.gid()), if self.mode_is_set { self.mode } else { readable }))
    }

    /// Makes the folder and those above it. What root makes in a folder of somebody else is that one's, who could have made
    /// it: the site's user must be able to use what root has made before.
    fn make(&self) -> Result<File> {
        let above = self.path.ancestors().find(|folder| folder.is_dir());
        let rest = above.and_then(|above| Some((above, self.path.strip_prefix(above).ok()?)));
        let plain = |rest: &Path| rest.components().all(|part| matches!(part, Component::Normal(_)));
        if rustix::process::geteuid().is_root()
            && self.group.is_none()
            && let Some((above, rest)) = rest.filter(|(_, rest)| plain(rest))
        {
            let owner = fs::metadata(above).at("cannot look at", above)?;
            if owner.uid() != 0 {
                return make_for(above, rest, &owner).at("cannot create the folder", &self.path);
            }
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)
            .at("cannot create the folder", &self.path)?;
        File::open(&self.path).at("cannot open", &self.path)
    }

    /// Gives a file its group and permissions, whatever the umask; the group first, as chown clears bits.
    fn dress(&self, file: &File, path: &Path, mode: Mode) -> Result<()> {
        if let Some(gid) = self.gid()? {
            rustix::fs::fchown(file, None, Some(gid)).at("cannot set the group of", path)?;
        }
        rustix::fs::fchmod(file, mode).at("cannot set the permissions of", path)
    }

    /// A new file that nobody else made, never through a symlink.
    fn create(&self, file: &str) -> Result<(File, PathBuf)> {
        let path = self.at(file);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(CWD, &path, flags, Mode::from_raw_mode(0o600));
        let handle = File::from(made.at("cannot create", &path)?);
        if let Err(error) = self.share(&handle, &path) {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        Ok((handle, path))
    }

    /// Gives a new file the group and the mode that the folder's files have.
    fn share(&self, handle: &File, path: &Path) -> Result<()> {
        match self.shared() {
            Some((gid, mode)) => rustix::fs::fchown(handle, None, Some(gid))
                .at("cannot set the group of", path)
                .and_then(|()| rustix::fs::fchmod(handle, mode).at("cannot set the permissions of", path)),
            None => self.dress(handle, path, self.mode),
        }
    }

    /// Writes a small file that appears with its text in it, so that a kill leaves no empty one; `false` where the file
    /// system has no files without a name.
    fn create_at_once(&self, file: &str, text: &str) -> Result<bool> {
        let path = self.at(file);
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        let Ok(made) = rustix::fs::openat(CWD, &self.path, flags, Mode::from_raw_mode(0o600)) else {
            return Ok(false);
        };
        let mut handle = File::from(made);
        self.share(&handle, &path)?;
        handle.write_all(text.as_bytes()).at("cannot write", &path)?;
        // One that a power cut left empty would count for ten minutes as one that is just being written.
        handle.sync_all().at("cannot write", &path)?;
        // open(2), O_TMPFILE: how such a file gets a name without further rights.
        let nameless = format!("/proc/self/fd/{}", handle.as_raw_fd());
        match rustix::fs::linkat(CWD, nameless, CWD, &path, AtFlags::SYMLINK_FOLLOW) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::EXIST) => {
                Err(Error::io("cannot create", &path, rustix::io::Errno::EXIST.into()))
            }
            Err(_) => Ok(false),
        }
    }

    /// Writes a small file whole and flushed; takes it back on failure.
    fn create_with(&self, file: &str, text: &str) -> Result<PathBuf> {
        remove_if_there(&self.at(file))?;
        self.create_new_with(file, text)
    }

    /// The same for a name that nothing has.
    fn create_new_with(&self, file: &str, text: &str) -> Result<PathBuf> {
        let (mut handle, path) = self.create(file)?;
        let written = handle.write_all(text.as_bytes()).and_then(|()| handle.sync_all());
        if written.is_err() {
            let _ = fs::remove_file(&path);
        }
        written.at("cannot write", &path)?;
        Ok(path)
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

    /// Who makes the hidden files of `name`; `None` where nothing says that they are ours.
    fn holder(&self, name: &str) -> Result<Option<Found>> {
        let path = self.at(&names::lease(name));
        let Some(made) = changed(&path)? else { return Ok(None) };
        let last = made.max(changed(&self.at(&names::part(name)))?.unwrap_or(made));
        let age = SystemTime::now().duration_since(last).unwrap_or(Duration::ZERO);
        match read_text(&path, LEASE_MAX) {
            Ok(Some(text)) if text.is_empty() => Ok(Some(Found { lease: None, age })),
            Ok(Some(text)) => Ok(Lease::parse(&text).map(|lease| Found { lease: Some(lease), age })),
            // Ended since we looked.
            Ok(None) => Ok(None),
            // Somebody else's: nothing is known of that run but its age.
            Err(error) if error.code() == Code::Permission => {
                Ok(Some(Found { lease: Some(Lease::default()), age }))
            }
            Err(error) => Err(error),
        }
    }

    /// Fails where another run is writing `name` now.
    fn refuse_where_held(&self, name: &str) -> Result<()> {
        match self.holder(name)? {
            Some(found) if !found.is_over() => Err(found.refusal(name, &self.describe())),
            _ => Ok(()),
        }
    }

    /// Says that the hidden files of `name` are made by us, from now on; settles what a run left that has ended.
    fn claim(&self, name: &str) -> Result<Held> {
        match self.holder(name)? {
            Some(found) => {
                if !found.is_over() || !self.settle(name)? {
                    return Err(found.refusal(name, &self.describe()));
                }
            }
            None => {
                for file in [names::part(name), names::lease(name)] {
                    if is_there(&self.at(&file))? {
                        self.refuse_where_held(name)?;
                        return Err(lease::in_the_way(&file, &self.describe()));
                    }
                }
            }
        }
        let held = Held::new();
        let made = self.create_at_once(&names::lease(name), &held.text()).and_then(|done| match done {
            true => Ok(None),
            false => self.create(&names::lease(name)).map(Some),
        });
        let (mut handle, path) = match made {
            Ok(None) => return Ok(held),
            Ok(Some(made)) => made,
            Err(error) => {
                // Another run may have been quicker.
                self.refuse_where_held(name)?;
                return Err(error);
            }
        };
        let written = handle.write_all(held.text().as_bytes());
        if written.is_err() {
            let _ = fs::remove_file(&path);
        }
        written.at("cannot write", &path)?;
        Ok(held)
    }

    /// What a killed change of a sidecar left: the next text, ours by what it says, of a backup that is there.
    fn settle_sidecar(&self, name: &str) -> Result<bool> {
        let busy = is_there(&self.at(&names::part(name)))? || !is_there(&self.at(name))?;
        let new = self.at(&names::sidecar_new(name));
        let ours = !busy && read_text(&new, SIDECAR_MAX)?.is_some_and(|text| names::is_our_text(&text));
        Ok(ours && remove_if_there(&new)?)
    }

    /// Finishes or takes back what a killed upload of `name` left. Nothing, when someone is at it right now.
    fn settle(&self, name: &str) -> Result<bool> {
        let part = self.at(&names::part(name));
        if is_there(&part)? {
            let Some(_lock) = lock_part(&part)? else { return Ok(false) };
            // Without data of its own, the sidecar was put there for this part.
            if !is_there(&self.at(name))? {
                remove_if_there(&self.at(&names::sidecar(name)))?;
            }
            remove_if_there(&self.at(&names::sidecar_part(name)))?;
            remove_if_there(&self.at(&names::sidecar_new(name)))?;
            remove_if_there(&part)?;
            remove_if_there(&self.at(&names::lease(name)))?;
            return Ok(true);
        }
        let mut changed = remove_if_there(&self.at(&names::sidecar_new(name)))?;
        if is_there(&self.at(&names::sidecar_part(name)))? {
            if is_there(&self.at(name))? {
                self.rename(&names::sidecar_part(name), &names::sidecar(name))?;
            } else {
                remove_if_there(&self.at(&names::sidecar_part(name)))?;
            }
            changed = true;
        }
        Ok(remove_if_there(&self.at(&names::lease(name)))? || changed)
    }

    /// The files of the folder by name, as far as they are UTF-8; a folder that is not there yet is empty.
    fn files(&self) -> Result<BTreeMap<String, fs::Metadata>> {
        let names = match crate::entries::names(&self.path) {
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
            names => names.at("cannot list", &self.path)?,
        };
        let mut files = BTreeMap::new();
        for name in names {
            let name = name.at("cannot list", &self.path)?;
            let Some(name) = name.to_str() else { continue };
            let path = self.at(name);
            match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_file() => drop(files.insert(name.to_owned(), metadata)),
                Ok(_) => {}
                // Gone since the folder was read.
                Err(cause) if cause.kind() == ErrorKind::NotFound => {}
                Err(cause) => return Err(Error::io("cannot look at", &path, cause)),
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

    /// Drupal's own line of defence for folders below the docroot; Apache reads it, nothing else does.
    fn keep_web_out(&self) -> Result<()> {
        let path = self.at(".htaccess");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(CWD, &path, flags, Mode::from_raw_mode(0o644)) {
            Err(rustix::io::Errno::EXIST) => Ok(()),
            made => {
                let text = "# Backups are not for the web.\n\
                    <IfModule mod_authz_core.c>\n  Require all denied\n</IfModule>\n\
                    <IfModule !mod_authz_core.c>\n  Deny from all\n</IfModule>\n";
                File::from(made.at("cannot create", &path)?)
                    .write_all(text.as_bytes())
                    .at("cannot write", &path)
            }
        }
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
        if !self.path.is_dir() {
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
        let mut cleaned = Vec::new();
        let files = self.files()?;
        let hidden: BTreeSet<&str> = files.keys().filter_map(|file| names::kind(file).hidden_of()).collect();
        for name in hidden.into_iter().filter(|name| !keep(name)) {
            let settled = self.holder(name).and_then(|found| match found {
                Some(found) => Ok(found.is_over() && self.settle(name)?),
                None => self.settle_sidecar(name),
            });
            match settled {
                Ok(true) => cleaned.push(name.to_owned()),
                Ok(false) => {}
                // What others left is theirs to clean.
                Err(error) if error.code() == Code::Permission => {}
                Err(error) => return Err(error),
            }
        }
        for (file, found) in files.iter().filter(|(file, _)| names::kind(file) == Kind::Probe) {
            let age = found.modified().ok().and_then(|time| time.elapsed().ok()).unwrap_or_default();
            if age > lease::STALE_PROBE && found.len() <= names::TRIAL.len() as u64 {
                // Another's, perhaps: then it is his.
                let _ = remove_if_there(&self.at(file));
            }
        }
        if !cleaned.is_empty() {
            self.sync_folder()?;
        }
        Ok(cleaned)
    }

    fn free_space(&self) -> Result<Option<u64>> {
        let room = rustix::fs::statvfs(&self.path).at("cannot ask for the free space of", &self.path)?;
        Ok(Some(room.f_bavail.saturating_mul(room.f_frsize)))
    }

    fn look(&self, told: &mut Vec<Note>) -> Result<Vec<Listed>> {
        let files = self.files()?;
        let mut listed = Vec::new();
        for (file, metadata) in &files {
            if names::kind(file) != Kind::Data(file) {
                continue;
            }
            match self.sidecar(file) {
                Ok(sidecar) => {
                    let (size, mtime) = (metadata.size(), metadata.mtime());
                    listed.push(Listed { name: file.clone(), size, mtime, sidecar });
                }
                Err(error) => told.push(unreadable(file, &error)),
            }
        }
        Ok(listed)
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
        // As a part without data, the backup is gone from every listing, and `settle` would finish the removal.
        remove_if_there(&self.at(&names::sidecar_part(name)))?;
        self.rename(name, &names::part(name))?;
        self.sync_folder()?;
        remove_if_there(&self.at(&names::sidecar(name)))?;
        remove_if_there(&self.at(&names::part(name)))?;
        if held.is_some() {
            remove_if_there(&self.at(&names::lease(name)))?;
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
