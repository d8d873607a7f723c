//! Writes GNU tar.

use super::{BLOCK, Entry, EntryKind, Extras, Owners, header, sparse};
use crate::Result;
use std::io::{Read, Write};

/// How much is gathered before it is passed on: headers, small files and padding travel together.
const BUFFER: usize = 256 * 1024;

/// What became of one member.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Appended {
    /// Bytes that the body lacked; NULs stand for them in the archive.
    pub padded: u64,
}

/// Writes a tar to `W`, in the order of the calls, without ever going back.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
    owners: Owners,
    buffer: Vec<u8>,
    /// How much of `buffer` is waiting.
    filled: usize,
    written: u64,
    /// Who is told what stands outside of contents, and where.
    note: Option<Note<W>>,
    /// What it is to be told next.
    noted: Vec<u8>,
    noting: bool,
}

/// Takes bytes of the tar, in order, and the offset of the first.
pub type Note<W> = fn(&mut W, u64, &[u8]) -> Result<()>;

impl<W: Write> Writer<W> {
    /// A writer that adds the names this machine has for owners.
    pub fn new(out: W) -> Self {
        Self::with_owners(out, Owners::of_this_machine())
    }

    /// A writer that takes the names of owners from `owners`.
    pub fn with_owners(out: W, owners: Owners) -> Self {
        let buffer = vec![0; BUFFER];
        Writer { out, owners, buffer, filled: 0, written: 0, note: None, noted: Vec::new(), noting: false }
    }

    /// Tells the output of everything but the content of files: the tar's outline ([`super::outline`]).
    #[must_use]
    pub fn noting(self, note: Note<W>) -> Self {
        Writer { note: Some(note), ..self }
    }

    /// Whatever is written by `work` belongs to the outline.
    fn outlined(&mut self, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let (at, outer) = (self.written, self.noting);
        self.noting = self.note.is_some();
        let done = work(self);
        self.noting = outer;
        if let (Some(note), false) = (self.note, outer) {
            note(&mut self.out, at, &self.noted)?;
            self.noted.clear();
        }
        done
    }

    /// Adds one member. `body` gives the content of a file (of a sparse one its segments, one after the other)
    /// and is not touched for anything else. What it gives beyond the announced size is left; what it lacks is
    /// made up with NULs, so that the archive stays whole whatever happens to a file while it is read.
    ///
    /// Errors of `body` pass through unchanged and leave the archive unusable.
    pub fn append(&mut self, entry: &Entry, body: &mut dyn Read) -> Result<Appended> {
        self.head(entry)?;
        self.body(entry.kind.body_len(), body)
    }

    /// Adds one file whose content, all of it, `body` writes to the output in its own way.
    pub fn append_by(&mut self, entry: &Entry, body: impl FnOnce(&mut W) -> Result<()>) -> Result<()> {
        self.head(entry)?;
        self.pass_on()?;
        body(&mut self.out)?;
        let size = entry.kind.body_len();
        self.written += size;
        self.pad(size)
    }

    fn head(&mut self, entry: &Entry) -> Result<()> {
        self.outlined(|tar| tar.headers(entry))
    }

    fn headers(&mut self, entry: &Entry) -> Result<()> {
        let name = self.owners.user_name(entry.uid);
        let group = self.owners.group_name(entry.gid);
        let mut header = header::build(entry, name.as_bytes(), group.as_bytes())?;
        let mut extensions = Vec::new();
        if let (EntryKind::Sparse { size, data }, Some(gnu)) = (&entry.kind, header.as_gnu_mut()) {
            extensions = sparse::encode(gnu, *size, data);
        }
        header.set_cksum();
        if !entry.extras.is_empty() {
            let records = entry.extras.records(entry.mtime, &self.owners);
            self.put(header::extended(records.len() as u64).as_bytes())?;
            self.put(&records)?;
            self.pad(records.len() as u64)?;
        }
        if let EntryKind::Symlink(target) | EntryKind::Hardlink(target) = &entry.kind {
            self.long(b'K', target, header::LINK_LEN)?;
        }
        self.long(b'L', &header::stored_path(entry), header::NAME_LEN)?;
        self.put(header.as_bytes())?;
        self.put(&extensions)
    }

    /// Adds a regular file that is in memory, owned by whoever runs this. Its content belongs to the outline.
    pub fn append_bytes(&mut self, path: &[u8], mode: u32, mtime: i64, content: &[u8]) -> Result<()> {
        let entry = Entry {
            path: path.to_vec(),
            kind: EntryKind::File { size: content.len() as u64 },
            mode,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            mtime,
            extras: Extras::default(),
        };
        self.outlined(|tar| tar.append(&entry, &mut &*content).map(drop))
    }

    /// Bytes of tar so far.
    pub fn bytes(&self) -> u64 {
        self.written
    }

    /// Writes the end mark and gives the output back. An archive without it is cut off.
    pub fn finish(mut self) -> Result<W> {
        self.outlined(|tar| tar.zeros(2 * BLOCK as u64))?;
        self.pass_on()?;
        Ok(self.out)
    }

    /// A name too long for its field goes before the member, as content of a member of its own.
    fn long(&mut self, flag: u8, name: &[u8], room: usize) -> Result<()> {
        if name.len() <= room {
            return Ok(());
        }
        self.put(header::long_name(flag, name.len() as u64 + 1).as_bytes())?;
        self.put(name)?;
        self.zeros(1)?;
        self.pad(name.len() as u64 + 1)
    }

    fn body(&mut self, size: u64, body: &mut dyn Read) -> Result<Appended> {
        let mut left = size;
        while left > 0 {
            if self.filled == self.buffer.len() {
                self.pass_on()?;
            }
            let space = self.buffer.get_mut(self.filled..).unwrap_or_default();
            let wanted = usize::try_from(left).map_or(space.len(), |left| left.min(space.len()));
            let got = match body.read(space.get_mut(..wanted).unwrap_or_default()) {
                Ok(0) => break,
                Ok(got) => got.min(wanted),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e.into()),
            };
            if self.noting {
                self.noted.extend_from_slice(space.get(..got).unwrap_or_default());
            }
            self.filled += got;
            self.written += got as u64;
            left -= got as u64;
        }
        self.zeros(left)?;
        self.pad(size)?;
        Ok(Appended { padded: left })
    }

    fn pad(&mut self, size: u64) -> Result<()> {
        self.zeros(size.wrapping_neg() % BLOCK as u64)
    }

    fn put(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.written += bytes.len() as u64;
        if self.noting {
            self.noted.extend_from_slice(bytes);
        }
        while !bytes.is_empty() {
            if self.filled == self.buffer.len() {
                self.pass_on()?;
            }
            let space = self.buffer.get_mut(self.filled..).unwrap_or_default();
            let (now, later) = bytes.split_at(bytes.len().min(space.len()));
            space.get_mut(..now.len()).unwrap_or_default().copy_from_slice(now);
            self.filled += now.len();
            bytes = later;
        }
        Ok(())
    }

    fn zeros(&mut self, count: u64) -> Result<()> {
        self.written += count;
        let mut left = count;
        if self.noting {
            self.noted.resize(self.noted.len() + usize::try_from(count).unwrap_or_default(), 0);
        }
        while left > 0 {
            if self.filled == self.buffer.len() {
                self.pass_on()?;
            }
            let space = self.buffer.get_mut(self.filled..).unwrap_or_default();
            let now = usize::try_from(left).map_or(space.len(), |left| left.min(space.len()));
            space.get_mut(..now).unwrap_or_default().fill(0);
            self.filled += now;
            left -= now as u64;
        }
        Ok(())
    }

    fn pass_on(&mut self) -> Result<()> {
        self.out.write_all(self.buffer.get(..self.filled).unwrap_or_default())?;
        self.filled = 0;
        Ok(())
    }
}
