//! `restic mount`: snapshots as a folder, by the kernel's FUSE.

use super::Repository;
use super::lock::with_lock;
use super::pipes;
use super::program::Call;
use crate::{Code, Error, Monitor, Result};
use crate::{look, mounts};
use std::path::Path;

impl Repository {
    pub(super) fn mount_at(&self, tags: &[String], folder: &Path, monitor: &Monitor) -> Result<()> {
        can_mount()?;
        let call = Call::new(["mount", "--path-template", "ids/%i", "--tag"], &monitor.flag())
            .arg(tags.join(","))
            .arg(folder);
        let told = format!("{} is shown at {}; an interrupt ends it", self.access.shown, folder.display());
        let done = with_lock(&self.access, &monitor.flag(), || {
            let ended = pipes::lines(&self.access, &call, None, &mut |line| {
                if line.starts_with(b"Now serving") {
                    monitor.set_current(told.as_str());
                }
                Ok(())
            })?;
            ended.check(&self.access).map(drop)
        });
        // As far as the kernel tells.
        if mounts::is_listed(folder).unwrap_or(false) {
            let text = format!("{} is still in use and stays mounted", folder.display());
            return Err(Error::new(Code::Locked, text)
                .hint(format!("leave it, then: fusermount -u '{}'", folder.display())));
        }
        done
    }
}

/// Fails where the kernel or the program that asks it is not there.
fn can_mount() -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has = |name: &str| {
        std::env::split_paths(&path).any(|folder| look::exists(&folder.join(name)).unwrap_or(false))
    };
    if !has("fusermount") && !has("fusermount3") {
        return Err(Error::new(
            Code::Unsupported,
            "nothing can be mounted here: the program fusermount is not installed",
        )
        .hint("install it: apt-get install fuse3; or look into the backup with `bam ls` and `bam cat`"));
    }
    if !look::exists(Path::new("/dev/fuse")).unwrap_or(false) {
        return Err(Error::new(Code::Unsupported, "nothing can be mounted here: there is no /dev/fuse")
            .hint("a container has to be given it; or look into the backup with `bam ls` and `bam cat`"));
    }
    Ok(())
}
