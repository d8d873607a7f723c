//! What is there.

use super::place::{Place, check_object_name, read_small, text, to_stat};
use crate::destination::names::{self, Kind, SIDECAR_MAX, SIDECARS_MAX};
use crate::destination::{Listed, Stat, too_much, unreadable};
use crate::{Code, Error, Note, Result};
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use opendal::ErrorKind;
use std::collections::BTreeMap;

/// More names than any folder of backups has.
const NAMES_MAX: usize = 200_000;
/// Sidecars that are asked for at once.
const AT_ONCE: usize = 8;

impl Place {
    /// All files with their sizes and ages, none of folders further down; `None` where there is no such folder.
    pub fn files(&self) -> Result<Option<BTreeMap<String, Stat>>> {
        let listed = self.ask("cannot list", self.patience.looking().longer(), || async {
            let mut files = BTreeMap::new();
            let mut lister = match self.op.lister("/").await {
                Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
                lister => lister?,
            };
            loop {
                match lister.try_next().await {
                    Ok(Some(entry)) if entry.metadata().is_file() => {
                        files.insert(entry.name().to_owned(), to_stat(entry.metadata()));
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => return Ok(Some(files)),
                    Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
                    Err(cause) => return Err(cause),
                }
                if files.len() > NAMES_MAX {
                    return Ok(Some(files));
                }
            }
        })?;
        match listed {
            Some(files) if files.len() > NAMES_MAX => Err(too_much(&self.describe())),
            listed => Ok(listed),
        }
    }

    /// All whole backups.
    pub fn look(&self, found: &mut dyn FnMut(Listed), told: &mut Vec<Note>) -> Result<()> {
        let Some(files) = self.files()? else { return Ok(()) };
        let mut bytes = 0;
        let names: Vec<(&String, &Stat)> = files
            .iter()
            .filter(|(name, _)| names::kind(name) == Kind::Data(name) && check_object_name(name).is_ok())
            .collect();
        for some in names.chunks(AT_ONCE) {
            let sidecars = self.sidecars(some, &files)?;
            for ((name, stat), sidecar) in some.iter().zip(sidecars) {
                let sidecar = match sidecar {
                    // One that is about to take another's place.
                    Ok(_) if files.contains_key(&names::sidecar_part(name)) => self.sidecar(name),
                    sidecar => sidecar,
                };
                match sidecar {
                    Ok(sidecar) => {
                        bytes += sidecar.as_ref().map_or(0, String::len);
                        if bytes > SIDECARS_MAX {
                            return Err(too_much(&self.describe()));
                        }
                        let Stat { size, mtime } = **stat;
                        found(Listed { name: (*name).clone(), size, mtime, sidecar });
                    }
                    Err(error) if error.code() == Code::Cancelled => return Err(error),
                    Err(error) => told.push(unreadable(name, &error)),
                }
            }
        }
        Ok(())
    }

    /// Their sidecars, asked for together. Fails where the connection does.
    fn sidecars(
        &self,
        names: &[(&String, &Stat)],
        files: &BTreeMap<String, Stat>,
    ) -> Result<Vec<Result<Option<String>>>> {
        let read = self.ask("cannot read", self.patience.looking().longer(), || async {
            let asked = names.iter().map(|(name, _)| async {
                let file = names::sidecar(name);
                match files.contains_key(&file) {
                    true => read_small(&self.op, &file, SIDECAR_MAX).await,
                    false => Ok(None),
                }
            });
            let answers = join_all(asked).await;
            match answers.iter().position(|answer| answer.as_ref().is_err_and(opendal::Error::is_temporary)) {
                Some(at) => {
                    Err(answers.into_iter().nth(at).and_then(opendal::Result::err).unwrap_or_else(|| {
                        opendal::Error::new(ErrorKind::Unexpected, "a sidecar was not read")
                    }))
                }
                None => Ok(answers),
            }
        })?;
        let told = |answer: opendal::Result<Option<Vec<u8>>>, name: &str| match answer {
            Ok(bytes) => bytes.map(|bytes| text(&names::sidecar(name), bytes)).transpose(),
            Err(cause) => Err(Error::from(self.trouble("cannot read", &cause))),
        };
        Ok(read.into_iter().zip(names).map(|(answer, (name, _))| told(answer, name)).collect())
    }

    /// Whether the bucket, or the folder, is there.
    pub fn is_there(&self) -> Result<bool> {
        if self.dav.is_some() {
            return self.dav_is_there();
        }
        // A bucket that is not there is a mistake: nobody here makes one.
        self.peek().map(|()| true)
    }

    /// Makes sure that a backup could go there: a folder is made, a bucket is not.
    pub fn make(&self) -> Result<()> {
        if self.dav.is_some() {
            return self.dav_make();
        }
        self.peek()
    }

    /// Asks for one name.
    fn peek(&self) -> Result<()> {
        self.ask("cannot list", self.looking(), || async {
            let mut lister = self.op.lister_with("/").limit(1).await?;
            lister.try_next().await.map(drop)
        })
    }
}
