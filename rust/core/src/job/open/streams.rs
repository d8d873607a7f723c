//! What an opened backup is read through.

use crate::compress;
use crate::compress::detect::What;
use crate::monitor::Meter;
use crate::{Error, Result};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// A file whose errors say where it is: they come out many layers above.
pub struct Named {
    pub file: File,
    pub place: String,
    pub meter: Meter,
}

/// What is read from a repository, counted.
pub struct Metered {
    pub inner: Box<dyn Read + Send>,
    pub meter: Meter,
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.meter.add(read as u64);
        Ok(read)
    }
}

impl Read for Named {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.file.read(buffer) {
            Err(cause) if cause.kind() != io::ErrorKind::Interrupted => {
                Err(Error::io("cannot read", Path::new(&self.place), cause).into())
            }
            Ok(read) => {
                self.meter.add(read as u64);
                Ok(read)
            }
            interrupted => interrupted,
        }
    }
}

/// A reader and what its first bytes are.
pub fn peek(mut input: impl Read + Send + 'static) -> Result<(Box<dyn Read + Send>, What)> {
    let mut prefix = Vec::with_capacity(compress::detect::PREFIX);
    (&mut input).take(compress::detect::PREFIX as u64).read_to_end(&mut prefix)?;
    let what = compress::detect::what(&prefix);
    Ok((Box::new(io::Cursor::new(prefix).chain(input)), what))
}
