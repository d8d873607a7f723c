//! Object storage: a bucket at a server that speaks S3, below a prefix; and a folder on a WebDAV server.
//!
//! A bucket has no renaming, but an object appears only when all of it is there. So the data goes to its own name, in parts
//! that are put together at the end; before that its sidecar is put there, which no listing shows by itself. What another
//! run must know lies in `.NAME.lease`, as with the other kinds; the data carries its run's name (`bam-run`), so that whoever
//! finds a lease knows whether the data that is there is what it was written for. A WebDAV server has renaming: there a
//! part is sent to `.NAME.part`.
//!
//! ```text
//! settings.rs   from the configuration to a place: address, keys, TLS
//! driver.rs     what requests run on
//! line.rs       how requests are sent and how long they may take
//! trouble.rs    what servers say, in our words, and what to change
//! place.rs      the small operations
//! listing.rs    what is there
//! glance.rs     the names in a folder, for a repository
//! leases.rs     whose an unfinished one is, and what becomes of it
//! multipart.rs  uploads in parts that nobody finished
//! upload.rs     sending to a bucket
//! dav.rs        a client of WebDAV servers
//! dav_upload.rs sending to one
//! reading.rs    reading back
//! ```

mod dav;
mod dav_upload;
mod driver;
pub(crate) mod glance;
mod leases;
mod line;
mod listing;
mod multipart;
mod place;
mod reading;
mod settings;
mod trouble;
mod upload;

pub(crate) use self::glance::Glance;

use self::place::Place;
use super::lease::Held;
use super::names::{self, SIDECAR_MAX, check_name};
use super::{Destination, Existing, Follow, Listed, Marks, Patience, Stat, missing, taken};
use crate::config::document;
use crate::look;
use crate::{Cancel, Code, Error, Monitor, Note, NoteKind, Result};
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A bucket, or a folder on a WebDAV server.
pub struct Objects {
    place: Arc<Place>,
    /// The settings say that nothing is deleted from here.
    append_only: bool,
    /// The server refused to delete.
    refused: AtomicBool,
    /// A file that is there as long as it does.
    refusal: Mutex<Option<PathBuf>>,
}

impl Objects {
    /// The place as configured. Connects at the first request.
    pub fn from_config(id: &str, config: &document::Destination) -> Result<Self> {
        Ok(Objects {
            place: Arc::new(settings::place(id, config)?),
            append_only: config.append_only,
            refused: AtomicBool::new(false),
            refusal: Mutex::default(),
        })
    }

    /// The same with other waits than the usual.
    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        if let Some(place) = Arc::get_mut(&mut self.place) {
            place.patience = patience;
        }
        self
    }

    /// Deletes a file; that the server refuses is remembered.
    fn delete(&self, file: &str) -> Result<()> {
        let done = self.place.delete(file);
        let refused = match &done {
            Ok(()) => false,
            Err(error) if error.code() == Code::Permission => true,
            Err(_) => return done,
        };
        self.refused.store(refused, Ordering::Relaxed);
        if let Some(file) = &*self.refusal() {
            // What cannot be remembered is found out again.
            let _ = if refused { fs::write(file, "") } else { fs::remove_file(file) };
        }
        done
    }

    fn refusal(&self) -> MutexGuard<'_, Option<PathBuf>> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refuse_replacing(&self) -> Error {
        Error::new(
            Code::Config,
            format!("{} is append-only: no backup there is overwritten", self.place.describe()),
        )
        .hint("set append_timestamp: 1 in the profile, so that each backup has a name of its own")
    }

    fn upload(
        &self,
        name: &str,
        existing: Existing,
        file: &Follow,
        sidecar: &dyn Fn() -> Result<String>,
        monitor: &Monitor,
    ) -> Result<()> {
        let held = Held::new();
        // A lease that could not be removed again would only be in the way.
        if !self.append_only {
            self.claim(name, &held)?;
        }
        file.begun();
        let upload =
            upload::Uploading { place: &self.place, held: &held, name, existing, file, sidecar, monitor };
        let sent = match self.place.dav {
            Some(_) => upload.by_dav(),
            None => upload.by_parts(self.append_only),
        };
        if sent.is_err() {
            // What is taken back is taken back in a cancelled job, too.
            self.place.attend(Cancel::default());
        }
        if !self.append_only
            && let Err(error) = self.settle_own(name, &held)
        {
            let text =
                format!("what an upload needed on its way stays at {}: {error}", self.place.describe());
            monitor.note(NoteKind::Info, text);
        }
        sent
    }
}

impl Marks for Objects {
    fn mark(&self, name: &str, text: &str) -> Result<()> {
        self.place.write(name, text, false).map(drop)
    }

    fn shows(&self, name: &str, text: &str) -> Result<bool> {
        Ok(self.place.read_text(name, SIDECAR_MAX)?.as_deref() == Some(text))
    }

    fn unmark(&self, name: &str) -> Result<()> {
        self.delete(name)
    }

    fn is_bucket(&self) -> bool {
        self.place.dav.is_none()
    }
}

impl Destination for Objects {
    fn id(&self) -> &str {
        &self.place.id
    }

    fn host(&self) -> String {
        self.place.host.clone()
    }

    fn folder(&self) -> String {
        self.place.folder.clone()
    }

    fn login(&self) -> String {
        self.place.dav.as_ref().map(|dav| dav.user.clone()).unwrap_or_default()
    }

    fn marks(&self) -> Option<&dyn Marks> {
        // What cannot be deleted again would stay.
        (!self.guards()).then_some(self)
    }

    fn describe(&self) -> String {
        self.place.describe()
    }

    fn attend(&self, job: &Cancel) {
        self.place.attend(job.clone());
    }

    fn remember_silence(&self, file: PathBuf) {
        *self.refusal() = Some(file.with_extension("guarded"));
        self.place.silence.remember_in(file);
    }

    fn is_there(&self) -> Result<bool> {
        self.place.is_there()
    }

    fn try_out(&self) -> Result<()> {
        // One that stays should be the same each time.
        let trial = if self.append_only { ".bam-trial-0".to_owned() } else { names::trial() };
        self.place.write(&trial, names::TRIAL, false)?;
        let back = self.place.read_text(&trial, 4096)?;
        if !self.append_only {
            self.delete(&trial)?;
        }
        if back.as_deref() != Some(names::TRIAL) {
            return Err(names::trial_failed(&self.place.describe()));
        }
        Ok(())
    }

    fn prepare(&self, monitor: &Monitor) -> Result<()> {
        self.place.attend(monitor.flag());
        self.place.make()
    }

    fn clean_parts(&self, keep: &dyn Fn(&str) -> bool) -> Result<Vec<String>> {
        if self.append_only {
            return Ok(Vec::new());
        }
        self.clean(keep)
    }

    fn free_space(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    fn look(&self, found: &mut dyn FnMut(Listed), told: &mut Vec<Note>) -> Result<()> {
        self.place.look(found, told)
    }

    fn stat(&self, name: &str) -> Result<Option<Stat>> {
        self.place.stat_backup(name)
    }

    fn sidecar(&self, name: &str) -> Result<Option<String>> {
        check_name(name)?;
        self.place.sidecar(name)
    }

    fn open(&self, name: &str) -> Result<Box<dyn Read + Send>> {
        Ok(Box::new(reading::Reading::of(&self.place, name, 0)?))
    }

    fn open_at(&self, name: &str, offset: u64) -> Result<Option<Box<dyn Read + Send>>> {
        Ok(Some(Box::new(reading::Reading::of(&self.place, name, offset)?)))
    }

    fn read_range(&self, name: &str, offset: u64, length: usize) -> Result<Option<Vec<u8>>> {
        reading::range(&self.place, name, offset, length).map(Some)
    }

    fn guards(&self) -> bool {
        self.append_only
            || self.refused.load(Ordering::Relaxed)
            || self.refusal().as_ref().is_some_and(|file| look::exists(file).unwrap_or(true))
    }

    fn remove(&self, name: &str) -> Result<()> {
        if self.place.stat_backup(name)?.is_none() {
            return Err(missing(name, &self.place.describe()));
        }
        if self.append_only {
            return Err(Error::new(
                Code::Permission,
                format!("{} is append-only: nothing is deleted from here", self.place.describe()),
            )
            .hint("delete it at the server, by its own tools, or by the rules that it has for old objects"));
        }
        let held = Held::new();
        self.claim(name, &held)?;
        let gone = self.delete(name).and_then(|()| self.delete(&names::sidecar(name)));
        let settled = self.settle_own(name, &held);
        gone.and(settled)
    }

    fn write_sidecar(&self, name: &str, text: &str) -> Result<()> {
        if self.place.stat_backup(name)?.is_none() {
            return Err(missing(name, &self.place.describe()));
        }
        self.place.write(&names::sidecar(name), text, false).map(drop)
    }

    fn follow(
        &self,
        name: &str,
        existing: Existing,
        file: &Follow,
        sidecar: &dyn Fn() -> Result<String>,
        monitor: &Monitor,
    ) -> Result<()> {
        place::check_object_name(name)?;
        self.place.attend(monitor.flag());
        let existing = match existing {
            Existing::Keep | Existing::Replace if self.place.stat_backup(name)?.is_none() => existing,
            Existing::Keep => return Err(taken(name, &self.place.describe())),
            Existing::Replace if self.append_only => return Err(self.refuse_replacing()),
            Existing::Replace => existing,
        };
        // Nor is one overwritten that comes meanwhile.
        let existing = if self.append_only { Existing::Keep } else { existing };
        self.upload(name, existing, file, sidecar, monitor)
    }

    fn sha256(&self, name: &str, _monitor: &Monitor) -> Result<Option<[u8; 32]>> {
        match self.place.stat_backup(name)? {
            // What a server calls ETag is none: only reading it back would tell.
            Some(_) => Ok(None),
            None => Err(missing(name, &self.place.describe())),
        }
    }
}
