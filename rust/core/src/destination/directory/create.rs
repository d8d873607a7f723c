//! Making the folder and files in it: never through a symlink, with the permissions and the group that they are to have.

use super::Directory;
use super::disk::{look_up_group, make_for, remove_if_there};
use crate::look;
use crate::{Code, Error, Fact, Result, ResultExt};
use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags};
use std::fs::{self, DirBuilder, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

impl Directory {
    /// Makes the folder and those above it. What root makes in a folder of somebody else is that one's, who could have made
    /// it: the site's user must be able to use what root has made before.
    pub(super) fn make(&self) -> Result<File> {
        let mut above = Some(self.path.as_path());
        while let Some(folder) = above.filter(|folder| !folder.as_os_str().is_empty()) {
            if let Some(found) = look::follow(folder)? {
                if !found.is_dir() {
                    let what = format!("cannot create the folder {}", self.path.display());
                    return Err(Error::new(Code::Io, what)
                        .caused_by(format!("{} is no folder", folder.display()))
                        .doing("create the folder")
                        .with(Fact::Path, self.path.display())
                        .hint("correct the path of this destination"));
                }
                break;
            }
            above = folder.parent();
        }
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
    pub(super) fn dress(&self, file: &File, path: &Path, mode: Mode) -> Result<()> {
        if let Some(gid) = self.gid()? {
            rustix::fs::fchown(file, None, Some(gid)).at("cannot set the group of", path)?;
        }
        rustix::fs::fchmod(file, mode).at("cannot set the permissions of", path)
    }

    /// A new file that nobody else made, never through a symlink.
    pub(super) fn create(&self, file: &str) -> Result<(File, PathBuf)> {
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
    pub(super) fn share(&self, handle: &File, path: &Path) -> Result<()> {
        match self.shared() {
            Some((gid, mode)) => rustix::fs::fchown(handle, None, Some(gid))
                .at("cannot set the group of", path)
                .and_then(|()| rustix::fs::fchmod(handle, mode).at("cannot set the permissions of", path)),
            None => self.dress(handle, path, self.mode),
        }
    }

    /// Writes a small file that appears with its text in it, so that a kill leaves no empty one; `false` where the file
    /// system has no files without a name.
    pub(super) fn create_at_once(&self, file: &str, text: &str) -> Result<bool> {
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
    pub(super) fn create_with(&self, file: &str, text: &str) -> Result<PathBuf> {
        remove_if_there(&self.at(file))?;
        self.create_new_with(file, text)
    }

    /// The same for a name that nothing has.
    pub(super) fn create_new_with(&self, file: &str, text: &str) -> Result<PathBuf> {
        let (mut handle, path) = self.create(file)?;
        let written = handle.write_all(text.as_bytes()).and_then(|()| handle.sync_all());
        if written.is_err() {
            let _ = fs::remove_file(&path);
        }
        written.at("cannot write", &path)?;
        Ok(path)
    }

    /// Group and permissions of what root writes without being told: the folder's group may read it, where the folder is
    /// made for one. So the site's user sees root's backups, too.
    pub(super) fn shared(&self) -> Option<(Gid, Mode)> {
        if !rustix::process::geteuid().is_root() || self.group.is_some() {
            return None;
        }
        let folder = fs::metadata(&self.path).ok()?;
        let made_for_it = folder.gid() != 0 && (folder.uid() != 0 || folder.mode() & 0o050 == 0o050);
        let readable = Mode::from_raw_mode(0o640);
        made_for_it
            .then(|| (Gid::from_raw(folder.gid()), if self.mode_is_set { self.mode } else { readable }))
    }

    pub(super) fn gid(&self) -> Result<Option<Gid>> {
        let Some(group) = &self.group else { return Ok(None) };
        if let Some(gid) = self.gid.get() {
            return Ok(Some(*gid));
        }
        let gid = look_up_group(group)?;
        Ok(Some(*self.gid.get_or_init(|| gid)))
    }

    /// Permissions of folders: the files' with the search bit wherever there is a read bit.
    pub(super) fn folder_mode(&self) -> u32 {
        let mode = self.mode.as_raw_mode();
        mode | (mode & 0o444) >> 2
    }

    /// Drupal's own line of defence for folders below the docroot; Apache reads it, nothing else does.
    pub(super) fn keep_web_out(&self) -> Result<()> {
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
