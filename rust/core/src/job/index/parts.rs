//! A backup of which single parts are read where it lies, and their decryption.

use super::{Claim, Claims};
use crate::destination::Destination;
use crate::encrypt::kdf::Keys;
use crate::encrypt::{age, enc};
use crate::monitor::Meter;
use crate::{Code, Error, Result};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that are read at once where it is not known how many will be needed: more than the header of an age file has.
const AHEAD: u64 = 16 * 1024;
/// And at the most.
const AT_ONCE: u64 = 1 << 20;

/// The file of a backup that has an index.
#[derive(Clone)]
pub struct Parts {
    at: At,
    /// Its name and its place, for messages.
    name: String,
    place: String,
    size: u64,
    claims: Claims,
}

#[derive(Clone)]
enum At {
    Here(Arc<File>),
    There(Arc<dyn Destination>),
}

impl Parts {
    /// An open file.
    pub fn here(file: File, name: &str, place: &str, claims: Claims) -> io::Result<Parts> {
        let size = file.metadata()?.len();
        let at = At::Here(Arc::new(file));
        Ok(Parts { at, name: name.to_owned(), place: place.to_owned(), size, claims })
    }

    /// A file at a destination; `None` where there is no such.
    pub fn there(from: &Arc<dyn Destination>, name: &str, claims: Claims) -> Result<Option<Parts>> {
        let Some(stat) = from.stat(name)? else { return Ok(None) };
        let (at, place) = (At::There(Arc::clone(from)), from.describe());
        Ok(Some(Parts { at, name: name.to_owned(), place, size: stat.size, claims }))
    }

    /// Bytes of the file.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Where its index is.
    pub fn claim(&self) -> Claim {
        self.claims.index
    }

    /// Where it is that the places of its tables are told, if they are.
    pub fn tables(&self) -> Option<Claim> {
        self.claims.tables
    }

    /// The first bytes, fewer where there are no more; `None` where the place gives out no parts.
    pub fn first(&self, length: usize) -> Result<Option<Vec<u8>>> {
        self.some(0, length)
    }

    /// `length` bytes from `offset` on: all of them.
    pub fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        match self.some(offset, length)? {
            Some(bytes) if bytes.len() == length => Ok(bytes),
            Some(_) => Err(self.damaged("it ends too early")),
            None => Err(Error::new(Code::Internal, format!("{} gives out no parts", self.place))),
        }
    }

    fn some(&self, offset: u64, length: usize) -> Result<Option<Vec<u8>>> {
        match &self.at {
            At::There(place) => place.read_range(&self.name, offset, length),
            At::Here(file) => {
                let (mut bytes, mut got) = (vec![0; length], 0);
                while let Some(rest) = bytes.get_mut(got..).filter(|rest| !rest.is_empty()) {
                    match file.read_at(rest, offset.saturating_add(got as u64)) {
                        Ok(0) => break,
                        Ok(read) => got += read,
                        Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                        Err(cause) => return Err(Error::io("cannot read", Path::new(&self.place), cause)),
                    }
                }
                bytes.truncate(got);
                Ok(Some(bytes))
            }
        }
    }

    /// That it is not what was written.
    pub fn damaged(&self, what: &str) -> Error {
        let text = format!("{} at {} is damaged: {what}", self.name, self.place);
        Error::new(Code::Integrity, text).hint("use another copy of this backup").of_bytes()
    }
}

/// Reads a file's parts in a row, as whoever decrypts in chunks does.
pub struct Row {
    parts: Parts,
    place: Arc<RowPlace>,
    /// What was read ahead, from where on.
    ahead: (u64, Vec<u8>),
}

/// Where a [`Row`] is, for whoever has handed it on.
#[derive(Default)]
struct RowPlace {
    at: AtomicU64,
    /// All before this will be needed, and nothing behind it.
    until: AtomicU64,
}

impl Row {
    /// From the start.
    fn new(parts: Parts, place: &Arc<RowPlace>) -> Row {
        Row { parts, place: Arc::clone(place), ahead: (0, Vec::new()) }
    }
}

impl Read for Row {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let at = self.place.at.load(Relaxed);
        let left = self.parts.size.saturating_sub(at);
        if left == 0 || out.is_empty() {
            return Ok(0);
        }
        let inside = |ahead: &(u64, Vec<u8>)| {
            usize::try_from(at.checked_sub(ahead.0)?).ok().filter(|inside| *inside < ahead.1.len())
        };
        if inside(&self.ahead).is_none() {
            let needed = match self.place.until.load(Relaxed).saturating_sub(at) {
                0 => AHEAD,
                needed => needed.min(AT_ONCE),
            };
            let length = usize::try_from(needed.min(left)).unwrap_or_default();
            self.ahead = (at, self.parts.read(at, length)?);
        }
        let from = inside(&self.ahead).unwrap_or_default();
        let got = self.ahead.1.get(from..).unwrap_or_default().read(out)?;
        self.place.at.store(at + got as u64, Relaxed);
        Ok(got)
    }
}

impl Seek for Row {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(by) => self.place.at.load(Relaxed).checked_add_signed(by),
            SeekFrom::End(by) => self.parts.size.checked_add_signed(by),
        };
        let to = to.ok_or(io::ErrorKind::InvalidInput)?;
        self.place.at.store(to, Relaxed);
        Ok(to)
    }
}

/// Parts of a backup, decrypted. Nothing here proves them: [`super::Index`] does.
pub struct Clear {
    parts: Parts,
    how: How,
    meter: Meter,
}

enum How {
    Plain,
    Enc(Keys),
    Age(Box<AgeParts>),
}

struct AgeParts {
    reader: Mutex<age::AgeReader<Row>>,
    place: Arc<RowPlace>,
    /// Bytes before the first chunk.
    header: u64,
}

impl Clear {
    /// What is not encrypted.
    pub fn plain(parts: Parts, meter: Meter) -> Clear {
        Clear { parts, how: How::Plain, meter }
    }

    /// A container of these keys.
    pub fn enc(parts: Parts, keys: Keys, meter: Meter) -> Clear {
        Clear { parts, how: How::Enc(keys), meter }
    }

    /// What age encrypted; `None`: none of these opens it.
    pub fn age(parts: Parts, identities: &age::Identities, meter: Meter) -> Result<Option<Clear>> {
        let place = Arc::default();
        let reader = age::AgeReader::new(Row::new(parts.clone(), &place), identities)?;
        let header = place.at.load(Relaxed);
        Ok(reader.map(|reader| {
            let how = How::Age(Box::new(AgeParts { reader: Mutex::new(reader), place, header }));
            Clear { parts, how, meter }
        }))
    }

    /// The file.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// `length` bytes from `offset` on of what was encrypted.
    pub fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let bytes = match &self.how {
            How::Plain => self.parts.read(offset, length)?,
            How::Enc(keys) => enc::range(keys, offset, length, |from, count| self.parts.read(from, count))?,
            How::Age(age) => {
                let mut reader = age.reader.lock().unwrap_or_else(PoisonError::into_inner);
                let until = age.header.saturating_add(age::sealed(offset.saturating_add(length as u64)));
                age.place.until.store(until, Relaxed);
                let mut bytes = Vec::with_capacity(length);
                reader.seek(SeekFrom::Start(offset))?;
                (&mut *reader).take(length as u64).read_to_end(&mut bytes)?;
                if bytes.len() < length {
                    return Err(self.parts.damaged("it ends too early"));
                }
                bytes
            }
        };
        self.meter.add(length as u64);
        Ok(bytes)
    }
}
