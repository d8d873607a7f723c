//! Reading a part of a backup that lies in a repository, which gives no more than that; an archive is read as [`Opened::members`] does.

use super::Opened;
use super::streams::Metered;
use crate::archive::{Input, Layout, Reader};
use crate::catalog::Kind;
use crate::job::repository::Share;
use crate::job::restore::apply::begin;
use crate::{Monitor, Result};
use std::io::Read;

impl Opened {
    /// As [`Opened::decode`], of which a backup in a repository gives no more than its dump.
    pub fn decode_database(&self) -> Result<Box<dyn Read + Send>> {
        match &self.local.kept {
            Some(kept) => self.metered(kept.only(Share::database()).stream()?),
            None => self.decode(),
        }
    }

    /// How a backup in a repository is laid out; `None` of files, which have to be read for it.
    pub fn kept_layout(&self) -> Result<Option<Layout>> {
        let Some(kept) = &self.local.kept else { return Ok(None) };
        let mut reader = Reader::of(Box::new(kept.only(Share::nothing()).stream()?));
        begin(&mut reader, None, self.kind() == Some(Kind::Tar)).map(|(layout, _)| Some(layout))
    }

    /// As [`Opened::members`], of which a backup in a repository gives no more than its dump.
    pub fn database_members(&self) -> Result<Reader<Box<dyn Input>>> {
        match &self.local.kept {
            Some(_) => Ok(Reader::of(Box::new(self.decode_database()?))),
            None => self.members(),
        }
    }

    /// As [`Opened::members`], of which a backup in a repository gives no more than the folders that hold what is wanted of
    /// the archive's paths, and the dump where that is wanted.
    pub fn members_around(
        &self,
        wanted: &mut dyn FnMut(&[u8]) -> bool,
        database: bool,
        monitor: &Monitor,
    ) -> Result<Reader<Box<dyn Input>>> {
        let Some(kept) = &self.local.kept else { return self.members() };
        match kept.around(wanted, monitor)? {
            Some(folders) => {
                let share = Share { folders: Some(folders), no_database: !database };
                Ok(Reader::of(Box::new(self.metered(kept.only(share).stream()?)?)))
            }
            None => self.members(),
        }
    }

    /// A plain file of a backup in a repository, by one of the paths that it may have; `None`: it is found by reading the
    /// archive, or not at all.
    pub fn kept_file(&self, paths: &[Vec<u8>], monitor: &Monitor) -> Result<Option<Box<dyn Read + Send>>> {
        let Some(kept) = &self.local.kept else { return Ok(None) };
        for path in paths {
            if let Some(content) = kept.file(path, monitor)? {
                return self.metered(content).map(Some);
            }
        }
        Ok(None)
    }

    pub(super) fn metered(&self, inner: Box<dyn Read + Send>) -> Result<Box<dyn Read + Send>> {
        Ok(Box::new(Metered { inner, meter: self.meter.clone() }))
    }
}
