//! The small operations at a place, each with an end.

use super::dav::Dav;
use super::driver::Driver;
use super::multipart::Multiparts;
use crate::destination::Stat;
use crate::destination::names::{self, SIDECAR_MAX, check_name};
use crate::destination::ssh::retry::{Patience, Trouble};
use crate::destination::ssh::silence::{HURRIED, Silence};
use crate::monitor::TICK;
use crate::{Cancel, Code, Error, Result};
use opendal::{ErrorKind, Metadata, Operator};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// What an object's metadata call the run that made it.
pub(super) const RUN: &str = "bam-run";

/// Where objects are, and how to get at them.
pub(super) struct Place {
    pub id: String,
    /// The machine that holds them.
    pub host: String,
    /// Bucket and prefix, or the folder's address.
    pub folder: String,
    pub op: Operator,
    pub patience: Patience,
    pub silence: Silence,
    /// What opendal has no word for.
    pub multiparts: Option<Multiparts>,
    pub dav: Option<Dav>,
    pub job: Mutex<Cancel>,
    pub driver: OnceLock<Driver>,
}

/// An answer that opendal has been asked for.
type Asked<'a, T> = Pin<&'a mut dyn Future<Output = opendal::Result<T>>>;

/// As other places, and nothing that opendal would trim.
pub(super) fn check_object_name(name: &str) -> Result<()> {
    check_name(name)?;
    if name.trim() != name {
        return Err(Error::new(Code::Usage, format!("the backup name {name:?} begins or ends with a blank"))
            .hint("use another file name"));
    }
    Ok(())
}

impl Place {
    pub fn describe(&self) -> String {
        match self.dav {
            Some(_) => self.folder.clone(),
            None => format!("s3://{}", self.folder),
        }
    }

    pub fn attend(&self, job: Cancel) {
        *self.job.lock().unwrap_or_else(PoisonError::into_inner) = job;
    }

    pub fn job(&self) -> Cancel {
        self.job.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn driver(&self) -> Result<&Handle> {
        if let Some(driver) = self.driver.get() {
            return Ok(driver.handle());
        }
        let made = Driver::start()?;
        Ok(self.driver.get_or_init(|| made).handle())
    }

    /// Waits for an answer, no longer than `limit`, and not once the job is cancelled.
    pub fn wait<T>(
        &self,
        what: &str,
        limit: Duration,
        asked: impl Future<Output = opendal::Result<T>>,
    ) -> Result<T, Trouble> {
        self.wait_for(what, limit, pin!(asked))
    }

    /// Compiled once for each kind of answer, not for each question.
    fn wait_for<T>(&self, what: &str, limit: Duration, mut asked: Asked<'_, T>) -> Result<T, Trouble> {
        let (until, job) = (Instant::now() + limit, self.job());
        self.driver()?.block_on(async {
            loop {
                match tokio::time::timeout(TICK, asked.as_mut()).await {
                    Ok(answer) => return answer.map_err(|cause| self.trouble(what, &cause)),
                    Err(_) => job.check()?,
                }
                if Instant::now() > until {
                    let text = format!("{}: {what}: no answer within {} s", self.describe(), limit.as_secs());
                    return Err(Trouble::broken(text));
                }
            }
        })
    }

    /// How long somebody waits who only looks.
    pub fn looking(&self) -> Duration {
        if self.silence.is_fresh() { HURRIED } else { self.patience.looking().request() }
    }

    /// Asks, and once more where the connection was to blame.
    pub fn ask<T, F: Future<Output = opendal::Result<T>>>(
        &self,
        what: &str,
        limit: Duration,
        asked: impl Fn() -> F,
    ) -> Result<T> {
        let mut answer = self.wait(what, limit, asked());
        if matches!(&answer, Err(trouble) if trouble.broken) && !self.silence.is_fresh() {
            answer = self.wait(what, limit, asked());
        }
        match answer {
            Ok(answer) => {
                self.silence.is_over();
                Ok(answer)
            }
            Err(trouble) if trouble.broken => Err(self.silence.goes_on(trouble.error, limit <= HURRIED)),
            Err(trouble) => Err(trouble.error),
        }
    }

    /// What is known of a file; `None` where there is none.
    pub fn stat(&self, file: &str) -> Result<Option<Metadata>> {
        self.ask("cannot look at", self.looking(), || async {
            match self.op.stat(file).await {
                Ok(found) => Ok(found.is_file().then_some(found)),
                Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
                Err(cause) => Err(cause),
            }
        })
    }

    pub fn stat_backup(&self, name: &str) -> Result<Option<Stat>> {
        check_object_name(name)?;
        Ok(self.stat(name)?.map(|found| to_stat(&found)))
    }

    /// A small file's text; `None` where there is none.
    pub fn read_text(&self, file: &str, most: u64) -> Result<Option<String>> {
        let read = self.ask("cannot read", self.looking(), || read_small(&self.op, file, most))?;
        read.map(|bytes| text(file, bytes)).transpose()
    }

    /// Puts a small file there; `false` where there is one already and `new` wants none.
    pub fn write(&self, file: &str, text: &str, new: bool) -> Result<bool> {
        // A WebDAV server is not asked for it by opendal.
        let condition = new && self.dav.is_none();
        if new && !condition && self.stat(file)?.is_some() {
            return Ok(false);
        }
        self.ask("cannot write", self.patience.longer(), || async {
            let bytes = text.as_bytes().to_vec();
            match self.op.write_with(file, bytes).if_not_exists(condition).await {
                Ok(_) => Ok(true),
                Err(cause) if condition && cause.kind() == ErrorKind::ConditionNotMatch => Ok(false),
                Err(cause) => Err(cause),
            }
        })
    }

    pub fn delete(&self, file: &str) -> Result<()> {
        self.ask("cannot delete", self.patience.request(), || self.op.delete(file))
    }

    /// The sidecar that belongs to the data that is there.
    pub fn sidecar(&self, name: &str) -> Result<Option<String>> {
        if let Some(text) = self.next_sidecar(name)? {
            return Ok(Some(text));
        }
        self.read_text(&names::sidecar(name), SIDECAR_MAX)
    }

    /// The sidecar of data that replaced other, before it is in its place.
    pub fn next_sidecar(&self, name: &str) -> Result<Option<String>> {
        let next = names::sidecar_part(name);
        if self.stat(&next)?.is_none() || !self.is_replaced(name)? {
            return Ok(None);
        }
        self.read_text(&next, SIDECAR_MAX)
    }
}

/// A file no longer than `most`.
pub(super) async fn read_small(op: &Operator, file: &str, most: u64) -> opendal::Result<Option<Vec<u8>>> {
    let found = match op.stat(file).await {
        Ok(found) if found.is_file() => found,
        Ok(_) => return Ok(None),
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(cause),
    };
    let size = found.content_length();
    if size > most {
        let text = format!("{file} has {size} bytes, {most} are allowed");
        return Err(opendal::Error::new(ErrorKind::Unexpected, text));
    }
    if size == 0 {
        return Ok(Some(Vec::new()));
    }
    match op.read_with(file).range(0..size).await {
        Ok(bytes) => Ok(Some(bytes.to_vec())),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(cause),
    }
}

pub(super) fn text(file: &str, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| Error::new(Code::Integrity, format!("{file} is no text in UTF-8")))
}

pub(super) fn to_stat(found: &Metadata) -> Stat {
    let mtime = found.last_modified().map_or(0, |time| time.into_inner().as_second());
    Stat { size: found.content_length(), mtime }
}
