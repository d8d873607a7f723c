//! A backup on its way into a folder.

use super::super::lease::Held;
use super::super::{Destination, Existing, Upload, names, taken};
use super::Directory;
use super::disk::remove_if_there;
use crate::{Result, ResultExt};
use rustix::fs::{Advice, FlockOperation};
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::num::NonZeroU64;
use std::path::PathBuf;

/// Bytes after which the kernel is told to start writing back, so that the last flush has little left to do.
const WRITE_BACK: u64 = 8 << 20;
/// How far behind the end written pages are given up, so that a large backup does not push others' files out of
/// memory. Followers are usually nearer than this; those that are not read from the disk.
const KEEP_CACHED: u64 = 128 << 20;

/// A backup on its way into a [`Directory`].
pub(super) struct Writing {
    pub(super) place: Directory,
    pub(super) name: String,
    pub(super) existing: Existing,
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    /// Bytes whose writing back was started.
    pub(super) started: u64,
    pub(super) done: bool,
    pub(super) _held: Held,
}

impl Write for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match self.file.write(bytes) {
            Err(cause) if cause.kind() == ErrorKind::Interrupted => return Err(cause),
            written => written.at("cannot write", &self.place.at(&self.name))?,
        };
        self.bytes += written as u64;
        if self.bytes - self.started >= WRITE_BACK {
            // DONTNEED starts writing dirty pages back and drops clean ones (Linux, mm/fadvise.c).
            let advise = |from: u64, to: u64| {
                if let Some(length) = NonZeroU64::new(to.saturating_sub(from)) {
                    let _ = rustix::fs::fadvise(&self.file, from, Some(length), Advice::DontNeed);
                }
            };
            advise(self.started, self.bytes);
            advise(self.started.saturating_sub(KEEP_CACHED), self.bytes.saturating_sub(KEEP_CACHED));
            self.started = self.bytes;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for Writing {
    fn reader(&self) -> Result<File> {
        self.file.try_clone().at("cannot open", &self.path)
    }

    fn commit(mut self: Box<Self>, sidecar: &str) -> Result<()> {
        self.file.sync_all().at("cannot write", &self.place.at(&self.name))?;
        let (place, name) = (&self.place, &self.name);
        place.create_with(&names::sidecar_part(name), sidecar)?;
        if self.existing == Existing::Replace && place.stat(name)?.is_some() {
            place.rename(&names::part(name), name)?;
            place.rename(&names::sidecar_part(name), &names::sidecar(name))?;
        } else {
            if place.stat(name)?.is_some() {
                return Err(taken(name, &place.describe()));
            }
            place.rename(&names::sidecar_part(name), &names::sidecar(name))?;
            place.appear(name)?;
        }
        self.done = true;
        place.sync_folder()?;
        remove_if_there(&place.at(&names::lease(name))).map(drop)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.done {
            let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
            let _ = self.place.settle(&self.name);
        }
    }
}
