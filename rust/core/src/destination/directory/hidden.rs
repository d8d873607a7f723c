//! The hidden files of an upload: whose they are, and what becomes of those that a killed run left.

use super::Directory;
use super::disk::{changed, is_there, lock_part, read_text, remove_if_there};
use crate::destination::Destination;
use crate::destination::lease::{self, Found, Held, LEASE_MAX, Lease};
use crate::destination::names::{self, Kind, SIDECAR_MAX};
use crate::{Code, Result, ResultExt};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::time::{Duration, SystemTime};

impl Directory {
    /// Who makes the hidden files of `name`; `None` where nothing says that they are ours.
    pub(super) fn holder(&self, name: &str) -> Result<Option<Found>> {
        let path = self.at(&names::lease(name));
        let Some(made) = changed(&path)? else { return Ok(None) };
        let last = made.max(changed(&self.at(&names::part(name)))?.unwrap_or(made));
        let age = SystemTime::now().duration_since(last).unwrap_or(Duration::ZERO);
        match read_text(&path, LEASE_MAX) {
            Ok(Some(text)) if text.is_empty() => Ok(Some(Found { lease: None, age })),
            Ok(Some(text)) => Ok(Lease::parse(&text).map(|lease| Found { lease: Some(lease), age })),
            // Ended since we looked.
            Ok(None) => Ok(None),
            // Somebody else's: nothing is known of that run but its age.
            Err(error) if error.code() == Code::Permission => {
                Ok(Some(Found { lease: Some(Lease::default()), age }))
            }
            Err(error) => Err(error),
        }
    }

    /// Fails where another run is writing `name` now.
    pub(super) fn refuse_where_held(&self, name: &str) -> Result<()> {
        match self.holder(name)? {
            Some(found) if !found.is_over() => Err(found.refusal(name, &self.describe())),
            _ => Ok(()),
        }
    }

    /// Says that the hidden files of `name` are made by us, from now on; settles what a run left that has ended.
    pub(super) fn claim(&self, name: &str) -> Result<Held> {
        match self.holder(name)? {
            Some(found) => {
                if !found.is_over() || !self.settle(name)? {
                    return Err(found.refusal(name, &self.describe()));
                }
            }
            None => {
                for file in [names::part(name), names::lease(name)] {
                    if is_there(&self.at(&file))? {
                        self.refuse_where_held(name)?;
                        return Err(lease::in_the_way(&file, &self.describe()));
                    }
                }
            }
        }
        let held = Held::new();
        let made = self.create_at_once(&names::lease(name), &held.text()).and_then(|done| match done {
            true => Ok(None),
            false => self.create(&names::lease(name)).map(Some),
        });
        let (mut handle, path) = match made {
            Ok(None) => return Ok(held),
            Ok(Some(made)) => made,
            Err(error) => {
                // Another run may have been quicker.
                self.refuse_where_held(name)?;
                return Err(error);
            }
        };
        let written = handle.write_all(held.text().as_bytes());
        if written.is_err() {
            let _ = fs::remove_file(&path);
        }
        written.at("cannot write", &path)?;
        Ok(held)
    }

    /// What a killed change of a sidecar left: the next text, ours by what it says, of a backup that is there.
    pub(super) fn settle_sidecar(&self, name: &str) -> Result<bool> {
        let busy = is_there(&self.at(&names::part(name)))? || !is_there(&self.at(name))?;
        let new = self.at(&names::sidecar_new(name));
        let ours = !busy && read_text(&new, SIDECAR_MAX)?.is_some_and(|text| names::is_our_text(&text));
        Ok(ours && remove_if_there(&new)?)
    }

    /// Finishes or takes back what a killed upload of `name` left. Nothing, when someone is at it right now.
    pub(super) fn settle(&self, name: &str) -> Result<bool> {
        let part = self.at(&names::part(name));
        if is_there(&part)? {
            let Some(_lock) = lock_part(&part)? else { return Ok(false) };
            // Without data of its own, the sidecar was put there for this part.
            if !is_there(&self.at(name))? {
                remove_if_there(&self.at(&names::sidecar(name)))?;
            }
            remove_if_there(&self.at(&names::sidecar_part(name)))?;
            remove_if_there(&self.at(&names::sidecar_new(name)))?;
            remove_if_there(&part)?;
            remove_if_there(&self.at(&names::lease(name)))?;
            return Ok(true);
        }
        let mut changed = remove_if_there(&self.at(&names::sidecar_new(name)))?;
        if is_there(&self.at(&names::sidecar_part(name)))? {
            if is_there(&self.at(name))? {
                self.rename(&names::sidecar_part(name), &names::sidecar(name))?;
            } else {
                remove_if_there(&self.at(&names::sidecar_part(name)))?;
            }
            changed = true;
        }
        Ok(remove_if_there(&self.at(&names::lease(name)))? || changed)
    }

    /// See [`Destination::clean_parts`].
    pub(super) fn clean(&self, keep: &dyn Fn(&str) -> bool) -> Result<Vec<String>> {
        let mut cleaned = Vec::new();
        let files = self.files()?;
        let hidden: BTreeSet<&str> = files.keys().filter_map(|file| names::kind(file).hidden_of()).collect();
        for name in hidden.into_iter().filter(|name| !keep(name)) {
            let settled = self.holder(name).and_then(|found| match found {
                Some(found) => Ok(found.is_over() && self.settle(name)?),
                None => self.settle_sidecar(name),
            });
            match settled {
                Ok(true) => cleaned.push(name.to_owned()),
                Ok(false) => {}
                // What others left is theirs to clean.
                Err(error) if error.code() == Code::Permission => {}
                Err(error) => return Err(error),
            }
        }
        for (file, found) in files.iter().filter(|(file, _)| names::kind(file) == Kind::Probe) {
            let age = found.modified().ok().and_then(|time| time.elapsed().ok()).unwrap_or_default();
            if age > lease::STALE_PROBE && found.len() <= names::TRIAL.len() as u64 {
                // Another's, perhaps: then it is his.
                let _ = remove_if_there(&self.at(file));
            }
        }
        if !cleaned.is_empty() {
            self.sync_folder()?;
        }
        Ok(cleaned)
    }
}
