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
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that are read at once where it is not known how many will be needed.
const AHEAD: usize = 128 * 1024;

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
    at: u64,
    /// What was read ahead, from where on.
    ahead: (u64, Vec<u8>),
}

impl Row {
    /// From the start.
    pub fn new(parts: Parts) -> Row {
        Row { parts, at: 0, ahead: (0, Vec::new()) }
    }
}

impl Read for Row {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = self.parts.size.saturating_sub(self.at);
        if left == 0 || out.is_empty() {
            return Ok(0);
        }
        let inside = |ahead: &(u64, Vec<u8>), at: u64| {
            usize::try_from(at.checked_sub(ahead.0)?).ok().filter(|inside| *inside < ahead.1.len())
        };
        if inside(&self.ahead, self.at).is_none() {
            let length = usize::try_from(left).unwrap_or(AHEAD).min(AHEAD);
            self.ahead = (self.at, self.parts.read(self.at, length)?);
        }
        let from = inside(&self.ahead, self.at).unwrap_or_default();
        let got = self.ahead.1.get(from..).unwrap_or_default().read(out)?;
        self.at += got as u64;
        Ok(got)
    }
}

impl Seek for Row {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.parts.size.checked_add_signed(by),
        };
        self.at = to.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
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
    Age(Box<Mutex<age::AgeReader<Row>>>),
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
        let reader = age::AgeReader::new(Row::new(parts.clone()), identities)?;
        Ok(reader.map(|reader| Clear { parts, how: How::Age(Box::new(Mutex::new(reader))), meter }))
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
            How::Age(reader) => {
                let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
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
