//! A backup file on this machine, as it is: fetched, its bytes compared with what its sidecar says. What proves whose it
//! is, and opens it, is `open`'s.

use super::damaged;
use super::index::{Claim, Claims, Parts};
use super::repository::Kept;
use crate::catalog::{FileName, Sidecar, key};
use crate::config::Document;
use crate::destination::{Destination, SIDECAR_MAX};
use crate::encrypt;
use crate::regular;
use crate::{Code, Error, Monitor, Result, ResultExt, temporary};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;

/// Bytes read at once while fetching and hashing.
pub(super) const BLOCK: usize = 1024 * 1024;

/// Bytes that tell how a file is encrypted, and the salt of ours.
const PREFIX: usize = 32;

/// A backup file on this machine, or one of which only parts come here.
pub struct Local {
    /// Its file name, which says what it promises to be.
    pub name: String,
    /// Where it is, for messages.
    pub place: String,
    pub(super) file: File,
    pub(super) sidecar: Option<Sidecar>,
    /// Where it lies in a repository: then the file is empty, and it is read from there.
    pub(super) kept: Option<Kept>,
    /// Where only parts of it are read: then the file is not.
    pub(super) parts: Option<Parts>,
    /// Named by its path, wherever it lies.
    pub by_hand: bool,
    /// Another copy shows that it was encrypted when it was made.
    pub never_plain: bool,
    /// The destination that it was fetched from.
    pub(super) from: Option<Arc<dyn Destination>>,
}

impl Local {
    /// A file anywhere on this machine, with the sidecar beside it.
    pub fn from_path(path: &Path) -> Result<Local> {
        let file = regular::open(path).at("cannot read", path)?;
        if !file.metadata().at("cannot look at", path)?.is_file() {
            return Err(Error::of_path(Code::Usage, path, "is not a file"));
        }
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let mut beside = path.as_os_str().to_owned();
        beside.push(".info");
        let beside = Path::new(&beside);
        let sidecar = match read_sidecar(beside) {
            Ok(text) => Some(Sidecar::parse(&String::from_utf8_lossy(&text))),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => None,
            Err(cause) => return Err(Error::io("cannot read", beside, cause)),
        };
        sidecar.as_ref().map_or(Ok(()), |sidecar| sidecar.check_format(&name))?;
        Ok(Local::of(&name, &path.display().to_string(), file, sidecar))
    }

    /// A backup at a destination; from a remote one it is copied into a temporary file without a name in `spool_dir`.
    pub fn fetch(
        place: &Arc<dyn Destination>,
        name: &str,
        spool_dir: &Path,
        monitor: &Monitor,
    ) -> Result<Local> {
        if let Some(kept) = Kept::of(place, name)? {
            let sidecar = kept.about.sidecar.clone();
            sidecar.check_format(name)?;
            monitor.expect(sidecar.number(key::CONTENT_SIZE).unwrap_or_default());
            return Ok(Local {
                name: Kept::name(name),
                place: kept.place(),
                file: temporary::file(spool_dir)?,
                sidecar: Some(sidecar),
                kept: Some(kept),
                parts: None,
                by_hand: false,
                never_plain: false,
                from: Some(Arc::clone(place)),
            });
        }
        let sidecar = place.sidecar(name)?.map(|text| Sidecar::parse(&text));
        sidecar.as_ref().map_or(Ok(()), |sidecar| sidecar.check_format(name))?;
        let file = match place.local_path(name) {
            Some(path) => File::open(&path).at("cannot read", &path)?,
            None => {
                // Read when it is fetched, when it is checked, and when it is decoded.
                let size = sidecar.as_ref().and_then(|sidecar| sidecar.number(key::FILE_SIZE));
                monitor.expect(size.unwrap_or_default().saturating_mul(3));
                let mut input = place.open(name)?;
                let mut spool = temporary::file(spool_dir)?;
                let mut block = vec![0; BLOCK];
                loop {
                    monitor.check()?;
                    let read = input.read(&mut block)?;
                    if read == 0 {
                        break;
                    }
                    monitor.add_in(read as u64);
                    spool
                        .write_all(block.get(..read).unwrap_or_default())
                        .at("cannot keep the download in", spool_dir)?;
                }
                spool
            }
        };
        let (name, from) = (name.to_owned(), Some(Arc::clone(place)));
        let place = place.describe();
        Ok(Local {
            name,
            place,
            file,
            sidecar,
            kept: None,
            parts: None,
            by_hand: false,
            never_plain: false,
            from,
        })
    }

    /// The same as [`Local::fetch`] where nothing but parts of it are needed: of one that has an index no more is read.
    pub fn reach(
        place: &Arc<dyn Destination>,
        name: &str,
        spool_dir: &Path,
        monitor: &Monitor,
    ) -> Result<Local> {
        if place.snapshots().is_some() || place.local_path(name).is_some() {
            return Local::fetch(place, name, spool_dir, monitor)?.in_parts();
        }
        let sidecar = place.sidecar(name)?.map(|text| Sidecar::parse(&text));
        sidecar.as_ref().map_or(Ok(()), |sidecar| sidecar.check_format(name))?;
        let parts = match sidecar.as_ref().and_then(|sidecar| claims(name, sidecar)) {
            Some(claims) => Parts::there(place, name, claims)?,
            None => None,
        };
        let parts =
            parts.map(|parts| suits(&parts, name, sidecar.as_ref()).map(|suits| suits.then_some(parts)));
        let Some(parts) = parts.transpose()?.flatten() else {
            return Local::fetch(place, name, spool_dir, monitor);
        };
        Ok(Local {
            name: name.to_owned(),
            place: place.describe(),
            file: temporary::file(spool_dir)?,
            sidecar,
            kept: None,
            parts: Some(parts),
            by_hand: false,
            never_plain: false,
            from: Some(Arc::clone(place)),
        })
    }

    /// The same of a file on this machine.
    pub fn in_parts(mut self) -> Result<Local> {
        let claims = self.sidecar.as_ref().and_then(|sidecar| claims(&self.name, sidecar));
        if let (None, Some(claims)) = (&self.kept, claims) {
            let file = self.file.try_clone().map_err(|e| self.failed(e))?;
            let parts = Parts::here(file, &self.name, &self.place, claims).map_err(|e| self.failed(e))?;
            self.parts = suits(&parts, &self.name, self.sidecar.as_ref())?.then_some(parts);
        }
        Ok(self)
    }

    /// An open file that is at no destination.
    pub fn of(name: &str, place: &str, file: File, sidecar: Option<Sidecar>) -> Local {
        let (name, place) = (name.to_owned(), place.to_owned());
        Local {
            name,
            place,
            file,
            sidecar,
            kept: None,
            parts: None,
            by_hand: true,
            never_plain: false,
            from: None,
        }
    }

    /// The same, where another copy is known to be encrypted or not.
    pub fn known_encrypted(self, never_plain: bool) -> Local {
        Local { never_plain, ..self }
    }

    /// The same with another sidecar; what is found out by it says nothing of the copy as it lies there.
    pub(super) fn under(self, sidecar: Sidecar) -> Local {
        Local { sidecar: Some(sidecar), from: None, ..self }
    }

    /// What the sidecar says.
    pub fn sidecar(&self) -> Option<&Sidecar> {
        self.sidecar.as_ref()
    }

    /// The same as [`Local::checked`]; what is found damaged is remembered.
    pub(super) fn checked_of(self, document: &Document, monitor: &Monitor) -> Result<Local> {
        let (from, name) = (self.from.clone(), self.name.clone());
        self.checked(monitor).inspect_err(|error| {
            if let Some(place) = from {
                damaged::note(document, &*place, &name, error, monitor);
            }
        })
    }

    /// Checks the bytes against the SHA-256 that the sidecar tells, which takes no key.
    pub fn checked(mut self, monitor: &Monitor) -> Result<Local> {
        self.must_be_a_file()?;
        match self.sidecar.as_ref().and_then(|s| s.digest(key::SHA256)) {
            Some(expected) => self.check_hash(&expected, monitor).map(|()| self),
            None => Err(self.damaged("its sidecar has no SHA-256")),
        }
    }

    /// Refuses what lies in a repository: there is no file to be handed on.
    pub(super) fn must_be_a_file(&self) -> Result<()> {
        if self.kept.is_none() {
            return Ok(());
        }
        Err(Error::new(
            Code::Unsupported,
            format!("{} is in the repository {}, which keeps no files", self.name, self.place),
        )
        .hint("restore it to a folder with --into, or name a second destination when a backup is made"))
    }

    /// The file itself.
    pub fn into_file(self) -> File {
        self.file
    }

    /// How it is encrypted, as its name and its first bytes tell.
    pub fn encryption(&mut self) -> Result<encrypt::Kind> {
        let prefix = self.first()?;
        Ok(encrypt::detect(&self.name, &prefix))
    }

    /// Its first bytes.
    pub(super) fn first(&mut self) -> Result<Vec<u8>> {
        if let Some(parts) = &self.parts {
            return Ok(parts.first(PREFIX)?.unwrap_or_default());
        }
        let mut prefix = vec![0; PREFIX];
        let got = read_prefix(&mut self.file, &mut prefix).map_err(|e| self.failed(e))?;
        prefix.truncate(got);
        Ok(prefix)
    }

    /// Remembers a failure that says that the copy at a destination is damaged.
    pub(super) fn remember(&self, document: &Document, error: &Error, monitor: &Monitor) {
        if let Some(place) = &self.from {
            let name = self.kept.as_ref().map_or(&self.name, |kept| &kept.listed);
            damaged::note(document, &**place, name, error, monitor);
        }
    }

    /// Compares the size with what the sidecar says, and gives it.
    pub(super) fn check_size(&self) -> Result<u64> {
        let size = match &self.parts {
            Some(parts) => parts.size(),
            None => self.file.metadata().map_err(|e| self.failed(e))?.len(),
        };
        match self.sidecar.as_ref().and_then(|s| s.number(key::FILE_SIZE)) {
            Some(promised) if promised != size => {
                Err(self.damaged(&format!("it has {size} bytes and should have {promised}")).of_bytes())
            }
            _ => Ok(size),
        }
    }

    /// Compares the size and the SHA-256.
    pub(super) fn check_hash(&mut self, expected: &[u8; 32], monitor: &Monitor) -> Result<()> {
        let size = self.check_size()?;
        monitor.expect(size);
        self.file.rewind().map_err(|e| self.failed(e))?;
        let (mut hash, mut block) = (Sha256::new(), vec![0; BLOCK]);
        loop {
            monitor.check()?;
            let read = self.file.read(&mut block).map_err(|e| self.failed(e))?;
            if read == 0 {
                break;
            }
            monitor.add_in(read as u64);
            hash.update(block.get(..read).unwrap_or_default());
        }
        if hash.finalize().as_slice() != expected {
            return Err(self.damaged("its SHA-256 is not what its sidecar says").of_bytes());
        }
        Ok(())
    }

    /// That it is not what its sidecar says.
    pub(super) fn damaged(&self, what: &str) -> Error {
        Error::new(Code::Integrity, format!("{} at {} is damaged: {what}", self.name, self.place))
            .hint("use another copy of this backup")
    }

    /// That it cannot be read.
    pub(super) fn failed(&self, cause: io::Error) -> Error {
        Error::io("cannot read", Path::new(&self.place), cause)
    }
}

/// Where the index of a backup is, if it has one.
fn claims(name: &str, sidecar: &Sidecar) -> Option<Claims> {
    let claim = |key: &str| sidecar.get(key).and_then(Claim::parse);
    let (index, tables) = (claim(key::INDEX)?, claim(key::INDEX_TABLES));
    // Of a dump there are no parts but its tables.
    let dump = FileName::parse(name)?.kind.is_database();
    (!dump || tables.is_some()).then_some(Claims { index, tables })
}

/// Whether parts of it can be read, and are proven as well as all of it would be.
fn suits(parts: &Parts, name: &str, sidecar: Option<&Sidecar>) -> Result<bool> {
    let has = |key: &str| sidecar.is_some_and(|sidecar| sidecar.digest(key).is_some());
    let Some(prefix) = parts.first(PREFIX)? else { return Ok(false) };
    Ok(has(key::SHA256)
        && match encrypt::detect(name, &prefix) {
            // What has no MAC is opened by trying, which takes all of it.
            encrypt::Kind::Enc => has(key::HMAC_SHA256),
            encrypt::Kind::Age | encrypt::Kind::None => true,
            encrypt::Kind::AesModule => false,
        })
}

/// A sidecar, as much of it as one may have.
fn read_sidecar(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    regular::open(path)?.take(SIDECAR_MAX).read_to_end(&mut text)?;
    Ok(text)
}

/// Fills as much of `buffer` as there is.
pub(super) fn read_prefix(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    file.rewind()?;
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..)
        && !rest.is_empty()
    {
        match file.read(rest)? {
            0 => break,
            read => filled += read,
        }
    }
    file.rewind()?;
    Ok(filled)
}
