//! Files without a name, for what is too much for memory: gone with the process, however that ends.

use crate::{Result, ResultExt};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const READING: &str = "cannot read a temporary file back from";

/// A file without a name on the disk of `folder`, readable for nobody else (mode 0600).
pub(crate) fn file(folder: &Path) -> Result<File> {
    tempfile::tempfile_in(folder).at("cannot make a temporary file in", folder)
}

/// The same, which says in its errors where it is.
#[derive(Debug)]
pub(crate) struct Temporary {
    file: File,
    folder: PathBuf,
}

impl Temporary {
    /// On the disk of `folder`.
    pub fn new(folder: &Path) -> Result<Temporary> {
        Ok(Temporary { file: file(folder)?, folder: folder.to_owned() })
    }

    /// As `pread(2)`.
    pub fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        Ok(self.file.read_at(into, at).at(READING, &self.folder)?)
    }
}

impl Write for Temporary {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.file.write(bytes).at("cannot write a temporary file in", &self.folder)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Temporary {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        Ok(self.file.read(into).at(READING, &self.folder)?)
    }
}

impl Seek for Temporary {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        Ok(self.file.seek(to).at(READING, &self.folder)?)
    }
}
