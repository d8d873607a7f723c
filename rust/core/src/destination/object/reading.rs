//! Reading back, in ranges, the next of which is on its way while one is used.

use super::place::{Place, check_object_name};
use crate::destination::missing;
use crate::destination::ssh::retry::Backoff;
use crate::{Code, Error, Result};
use opendal::{Buffer, ErrorKind};
use std::io::{self, Read};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Bytes of one request.
const RANGE: u64 = 4 << 20;

/// A backup that is being read, over as many requests as it takes.
pub(super) struct Reading {
    place: Arc<Place>,
    name: String,
    size: u64,
    /// What it was when reading began: bytes of two backups are never mixed.
    etag: Option<String>,
    /// Bytes that were handed on or are in `ready`.
    offset: u64,
    ready: Buffer,
    next: Option<JoinHandle<opendal::Result<Buffer>>>,
}

impl Reading {
    pub fn of(place: &Arc<Place>, name: &str, offset: u64) -> Result<Reading> {
        check_object_name(name)?;
        let Some(found) = place.stat(name)? else { return Err(missing(name, &place.describe())) };
        Ok(Reading {
            place: Arc::clone(place),
            name: name.to_owned(),
            size: found.content_length(),
            etag: found.etag().filter(|etag| !etag.starts_with("W/")).map(str::to_owned),
            offset,
            ready: Buffer::new(),
            next: None,
        })
    }

    fn ask(&self, offset: u64) -> Result<JoinHandle<opendal::Result<Buffer>>> {
        let (op, name, etag) = (self.place.op.clone(), self.name.clone(), self.etag.clone());
        let range = offset..(offset + RANGE).min(self.size);
        Ok(self.place.driver()?.spawn(async move {
            let read = op.read_with(&name).range(range);
            match etag {
                Some(etag) => read.if_match(&etag).await,
                None => read.await,
            }
        }))
    }

    fn fill(&mut self) -> Result<()> {
        let mut backoff = Backoff::new(self.place.patience);
        loop {
            let next = match self.next.take() {
                Some(next) => next,
                None => self.ask(self.offset)?,
            };
            let read = self.place.wait("cannot read", self.place.patience.longer(), async {
                match next.await {
                    Ok(read) => read,
                    Err(_) => {
                        Err(opendal::Error::new(opendal::ErrorKind::Unexpected, "reading it was stopped"))
                    }
                }
            });
            match read {
                Ok(bytes) if bytes.is_empty() => {
                    let text = format!("{}/{} ends early", self.place.describe(), self.name);
                    return Err(Error::new(Code::Destination, text));
                }
                Ok(bytes) => {
                    self.offset += bytes.len() as u64;
                    self.ready = bytes;
                    if self.offset < self.size {
                        self.next = Some(self.ask(self.offset)?);
                    }
                    return Ok(());
                }
                Err(trouble) if trouble.broken => backoff.wait(trouble.error, &self.place.job())?,
                Err(trouble) => return Err(trouble.error),
            }
        }
    }
}

/// One range of a backup.
pub(super) fn range(place: &Place, name: &str, offset: u64, length: usize) -> Result<Vec<u8>> {
    check_object_name(name)?;
    let range = offset..offset.saturating_add(length as u64);
    let read = place.ask("cannot read", place.patience.longer(), || async {
        match place.op.read_with(name).range(range.clone()).await {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(cause),
        }
    })?;
    read.ok_or_else(|| missing(name, &place.describe()))
}

impl Read for Reading {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.ready.is_empty() && self.offset < self.size && !out.is_empty() {
            self.fill()?;
        }
        self.ready.read(out)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(next) = &self.next {
            next.abort();
        }
    }
}
