//! Which folder it is, by whatever name of the server and whatever path.

use super::Sftp;
use super::folder::Folder;
use crate::destination::names::SIDECAR_MAX;
use crate::destination::ssh::retry::Trouble;
use crate::destination::ssh::server::is_broken;
use crate::destination::{Marks, Which};
use crate::{Code, Result};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

impl Sftp {
    /// As the server says it over the connection that there is; `None`: there is none, or it does not say.
    pub(super) fn which_as_told(&self) -> Option<Which> {
        let folder = self.idle().take()?;
        let told = folder.which();
        self.keep(folder, told).ok().flatten()
    }
}

impl Folder {
    fn which(&self) -> Result<Option<Which>, Trouble> {
        let path = Path::new(&self.server.location.path);
        let real = match self.ask(|sftp| sftp.realpath(path)) {
            Err(cause) if is_broken(&cause) => return Err(self.trouble("cannot look at", path, &cause)),
            Err(_) => return Ok(None),
            Ok(real) => real,
        };
        if self.connection.ends_here() && self.is_ours(&real)? {
            return Ok(Some(Which::here(&real)));
        }
        let Ok(login) = self.server.user() else { return Ok(None) };
        Ok(Some(Which::Server(self.connection.host_key.clone(), login, real.display().to_string())))
    }

    /// Whether a path leads to what it leads to on this machine: a login may be shown another root, and a port may lead on to
    /// another machine.
    fn is_ours(&self, real: &Path) -> Result<bool, Trouble> {
        // Somebody may be writing into it just now.
        for _ in 0..2 {
            if self.is_as_here(Path::new("/"))? && self.is_as_here(real)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_as_here(&self, path: &Path) -> Result<bool, Trouble> {
        let theirs = match self.ask(|sftp| sftp.stat(path)) {
            Err(cause) if is_broken(&cause) => return Err(self.trouble("cannot look at", path, &cause)),
            Err(_) => return Ok(false),
            Ok(theirs) => theirs,
        };
        let Ok(ours) = fs::metadata(path) else { return Ok(false) };
        Ok((theirs.uid, theirs.gid, theirs.perm, theirs.size)
            == (Some(ours.uid()), Some(ours.gid()), Some(ours.mode()), Some(ours.size()))
            && theirs.mtime == u64::try_from(ours.mtime()).ok())
    }
}

impl Marks for Sftp {
    fn mark(&self, name: &str, text: &str) -> Result<()> {
        self.looking(|folder| folder.create_with(name, text))
    }

    fn shows(&self, name: &str, text: &str) -> Result<bool> {
        self.looking(|folder| match folder.read_text(name, SIDECAR_MAX) {
            Err(trouble) if trouble.error.code() == Code::Permission => {
                Ok(folder.stat(name)?.is_some_and(|file| file.size == Some(text.len() as u64)))
            }
            read => Ok(read?.as_deref() == Some(text)),
        })
    }

    fn unmark(&self, name: &str) -> Result<()> {
        self.looking(|folder| folder.remove(name).map(drop))
    }
}
