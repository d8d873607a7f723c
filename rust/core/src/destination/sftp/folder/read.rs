//! Reading files of a folder on a server.

use super::{Folder, is_missing};
use crate::destination::missing;
use crate::destination::ssh::retry::Trouble;
use ssh2::{OpenFlags, OpenType};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes that libssh2 is asked for where servers answer with less than they were asked for, which the protocol allows:
/// of a buffer of this size it has one request on its way at a time, of a larger one several, and takes those behind
/// a short answer for an error.
const ONE_REQUEST: usize = 7_500;

impl Folder {
    pub fn read_text(&self, file: &str, most: u64) -> Result<Option<String>, Trouble> {
        let path = self.path(file);
        let opened = self.ask(|sftp| sftp.open_mode(&path, OpenFlags::READ, 0, OpenType::File));
        let mut handle = match opened {
            Err(cause) if is_missing(&cause) => return Ok(None),
            opened => opened.map_err(|cause| self.trouble("cannot open", &path, &cause))?,
        };
        let (mut bytes, mut buffer) = (Vec::new(), [0; ONE_REQUEST]);
        let _allowed = self.connection.watch.at_most(self.server.patience.request());
        while (bytes.len() as u64) < most {
            let read = handle.read(&mut buffer);
            match read.map_err(|cause| self.io_trouble("cannot read", &path, &cause))? {
                0 => break,
                read => bytes.extend_from_slice(buffer.get(..read).unwrap_or_default()),
            }
        }
        bytes.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Reads some bytes at `offset`, where the last read ended unless that is said to have been elsewhere; 0 at the end
    /// of the file. `short` remembers whether the server answers with less than it is asked for.
    pub fn read_some(
        &self,
        handle: &mut ssh2::File,
        path: &Path,
        buffer: &mut [u8],
        offset: u64,
        short: &mut bool,
    ) -> Result<usize, Trouble> {
        let trouble = |cause| self.io_trouble("cannot read", path, &cause);
        if !*short {
            match handle.read(buffer) {
                Err(_) if self.was_short() => {
                    *short = true;
                    // What is on its way is forgotten by a step aside.
                    let moved = handle.seek(SeekFrom::Start(offset + 1));
                    moved.and_then(|_| handle.seek(SeekFrom::Start(offset))).map_err(trouble)?;
                }
                read => return read.map_err(trouble),
            }
        }
        let length = buffer.len().min(ONE_REQUEST);
        handle.read(buffer.get_mut(..length).unwrap_or_default()).map_err(trouble)
    }

    /// Whether a read failed as libssh2 does at an answer behind a short one. Its words are kept by the session alone.
    fn was_short(&self) -> bool {
        let last = ssh2::Error::last_session_error(&self.connection.session);
        last.is_some_and(|error| error.message().contains("Unexpected Offset"))
    }

    /// Reads `buffer.len()` bytes at `offset`.
    pub fn read_at(
        &self,
        handle: &mut ssh2::File,
        file: &str,
        buffer: &mut [u8],
        offset: u64,
    ) -> Result<(), Trouble> {
        let path = self.path(file);
        let _allowed = self.connection.watch.at_most(self.server.patience.longer());
        let sought = handle.seek(SeekFrom::Start(offset));
        sought.map_err(|cause| self.io_trouble("cannot read", &path, &cause))?;
        let (mut got, mut short) = (0, false);
        while let Some(rest) = buffer.get_mut(got..).filter(|rest| !rest.is_empty()) {
            match self.read_some(handle, &path, rest, offset + got as u64, &mut short)? {
                0 => return Err(self.io_trouble("cannot read", &path, &ErrorKind::UnexpectedEof.into())),
                read => got += read,
            }
        }
        Ok(())
    }

    /// Up to `length` bytes of a backup from `offset` on, fewer only at its end.
    pub fn read_range(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>, Trouble> {
        if self.stat_backup(name)?.is_none() {
            return Err(missing(name, &self.place()).into());
        }
        let (path, mut handle) = (self.path(name), self.open(name, OpenFlags::READ)?);
        let sought = handle.seek(SeekFrom::Start(offset));
        sought.map_err(|cause| self.io_trouble("cannot read", &path, &cause))?;
        let (mut bytes, mut got, mut short) = (vec![0; length], 0, false);
        while got < length {
            let _allowed = self.connection.watch.at_most(self.server.patience.longer());
            // libssh2 asks for four times as much as it is to read: in the end that is what is wanted.
            let ask = (length - got).div_ceil(4).max(ONE_REQUEST).min(length - got);
            let rest = bytes.get_mut(got..got + ask).unwrap_or_default();
            match self.read_some(&mut handle, &path, rest, offset + got as u64, &mut short)? {
                0 => break,
                read => got += read,
            }
        }
        bytes.truncate(got);
        Ok(bytes)
    }
}
