//! How a backup appears and is replaced, in orders that survive a kill, and whose an unfinished one is.

use super::{Folder, to_stat};
use crate::destination::lease::{self, Found, Held, LEASE_MAX, Lease, STALE_PROBE};
use crate::destination::names::{self, Kind, SIDECAR_MAX};
use crate::destination::ssh::retry::Trouble;
use crate::destination::{Existing, taken};
use crate::{Code, Error, Result};
use ssh2::OpenFlags;
use std::collections::BTreeSet;
use std::time::Duration;

impl Folder {
    /// Who makes the hidden files of `name`; `None` where nothing says that they are ours.
    pub(super) fn holder(&self, name: &str) -> Result<Option<Found>, Trouble> {
        let file = names::lease(name);
        let lease = match self.read_text(&file, LEASE_MAX) {
            Ok(None) => return Ok(None),
            Ok(Some(text)) if text.is_empty() => None,
            Ok(Some(text)) => match Lease::parse(&text) {
                Some(lease) => Some(lease),
                None => return Ok(None),
            },
            // Somebody else's: nothing is known of that run but its age.
            Err(trouble) if trouble.error.code() == Code::Permission => Some(Lease::default()),
            Err(trouble) => return Err(trouble),
        };
        let changed = |file: &str| Ok::<_, Trouble>(self.stat(file)?.map(|stat| to_stat(&stat).mtime));
        let Some(made) = changed(&file)? else { return Ok(None) };
        let last = changed(&names::part(name))?.map_or(made, |part| part.max(made));
        let age = u64::try_from(self.now()?.saturating_sub(last)).unwrap_or_default();
        Ok(Some(Found { lease, age: Duration::from_secs(age) }))
    }

    /// The server's time: that of a file made now. Its clock and ours may differ.
    pub(super) fn now(&self) -> Result<i64, Trouble> {
        let probe = names::probe();
        drop(self.create(&probe)?);
        let stat = self.stat(&probe);
        self.remove(&probe)?;
        Ok(stat?.map_or(0, |stat| to_stat(&stat).mtime))
    }

    /// Fails where another run is writing `name` now.
    pub(super) fn refuse_where_held(&self, name: &str) -> Result<(), Trouble> {
        match self.holder(name)? {
            Some(found) if !found.is_over() => Err(found.refusal(name, &self.place()).into()),
            _ => Ok(()),
        }
    }

    /// Fails where the hidden files of `name` are those of a run that goes on, or nobody's that we know.
    pub fn refuse_claimed(&self, name: &str) -> Result<(), Trouble> {
        if self.holder(name)?.is_some() {
            return self.refuse_where_held(name);
        }
        for file in [names::part(name), names::lease(name)] {
            if self.is_there(&file)? {
                self.refuse_where_held(name)?;
                return Err(lease::in_the_way(&file, &self.place()).into());
            }
        }
        Ok(())
    }

    /// Says that the hidden files of `name` are made by us, from now on. What a run left that has ended stays for the
    /// caller to use. `again`: we may have tried it before, over a connection that was lost meanwhile.
    pub fn claim(&self, name: &str, held: &Held, again: bool) -> Result<(), Trouble> {
        let (file, draft) = (names::lease(name), names::draft(held.run()));
        if again {
            self.remove(&draft)?;
        }
        let holder = self.holder(name)?;
        let is_new = holder.is_none();
        match holder {
            Some(Found { lease: Some(lease), .. }) if held.is(&lease) => return Ok(()),
            Some(Found { lease: None, .. }) if again => {}
            Some(found) if !found.is_over() => return Err(found.refusal(name, &self.place()).into()),
            Some(_) => {}
            None => self.refuse_claimed(name)?,
        }
        if !is_new {
            // Over the one of a run that has ended, in one step where we may; else as a new file.
            let mut handle = match self.open(&file, OpenFlags::WRITE) {
                Err(trouble) if !trouble.broken => self.create(&file)?,
                opened => opened?,
            };
            return self.fill(&mut handle, &file, &held.text());
        }
        // Whole under its name, or not at all: of an empty one nobody could tell whose it is.
        let mut handle = self.create(&draft)?;
        self.fill(&mut handle, &draft, &held.text())?;
        drop(handle);
        match self.rename(&draft, &file) {
            Err(trouble) if !trouble.broken => {
                self.remove(&draft)?;
                match self.holder(name)? {
                    // A request of ours whose answer was lost came late.
                    Some(Found { lease: Some(lease), .. }) if held.is(&lease) => Ok(()),
                    // Another run was quicker.
                    Some(found) if !found.is_over() => Err(found.refusal(name, &self.place()).into()),
                    _ => Err(trouble),
                }
            }
            renamed => renamed,
        }
    }

    /// Removes what broken uploads left behind, and tells of which backups; see `Destination::clean_parts`.
    pub fn clean(&self, keep: &dyn Fn(&str) -> bool) -> Result<Vec<String>, Trouble> {
        let files = self.files()?.unwrap_or_default();
        let mut cleaned = Vec::new();
        let hidden: BTreeSet<&str> = files.keys().filter_map(|file| names::kind(file).hidden_of()).collect();
        // A replacement that was cut short hides a backup: nothing is resumed there, it is finished.
        let is_replaced = |name: &str| files.contains_key(&names::old(name));
        for name in hidden.into_iter().filter(|name| !keep(name) || is_replaced(name)) {
            let settled = match self.holder(name) {
                Ok(Some(found)) if found.is_over() => self.settle(name).map(|()| true),
                Ok(Some(_)) => Ok(false),
                Ok(None) => self.settle_sidecar(name),
                Err(trouble) => Err(trouble),
            };
            match settled {
                Ok(true) => cleaned.push(name.to_owned()),
                Ok(false) => {}
                // What others left is theirs to clean.
                Err(trouble) if trouble.error.code() == Code::Permission => {}
                Err(trouble) => return Err(trouble),
            }
        }
        let is_probe = |file: &str, size| names::kind(file) == Kind::Probe && size <= LEASE_MAX;
        let probes = files.iter().filter(|(file, stat)| is_probe(file, stat.size));
        let probes: Vec<_> = probes.collect();
        if !probes.is_empty() {
            let old = self.now()?.saturating_sub_unsigned(STALE_PROBE.as_secs());
            for (probe, _) in probes.into_iter().filter(|(_, stat)| stat.mtime < old) {
                self.remove(probe)?;
            }
        }
        Ok(cleaned)
    }

    /// What a killed change of a sidecar left: the next text, ours by what it says, of a backup that is there.
    pub(super) fn settle_sidecar(&self, name: &str) -> Result<bool, Trouble> {
        let new = names::sidecar_new(name);
        let ours = self.read_text(&new, SIDECAR_MAX)?.is_some_and(|text| names::is_our_text(&text));
        if !ours || !self.is_there(name)? || self.is_there(&names::part(name))? {
            return Ok(false);
        }
        if !self.is_there(&names::sidecar(name))? {
            self.rename(&new, &names::sidecar(name))?;
            return Ok(true);
        }
        self.remove(&new)
    }

    /// Lets the whole and flushed part of `name` appear, with its sidecar. Few round trips for a new name, as
    /// lines may be long.
    pub fn appear(&self, name: &str, existing: Existing, size: u64, sidecar: &str) -> Result<(), Trouble> {
        self.put_in_place(name, existing, sidecar)?;
        // A server that says yes to everything is found out here.
        let there = |file: &str| Ok::<_, Trouble>(self.stat(file)?.map(|stat| to_stat(&stat).size));
        for (file, size) in [(name.to_owned(), size), (names::sidecar(name), sidecar.len() as u64)] {
            let found = there(&file)?;
            if found != Some(size) {
                let found = found.map_or("not there".to_owned(), |found| format!("{found} bytes long"));
                let what = format!("{}: {file} was put in place, but is {found}", self.place());
                return Err(Error::new(Code::Destination, format!("{what} instead of {size}"))
                    .hint("look at the folder on the server; its SFTP server does not do what it says")
                    .into());
            }
        }
        Ok(())
    }

    pub(super) fn put_in_place(&self, name: &str, existing: Existing, sidecar: &str) -> Result<(), Trouble> {
        self.create_with(&names::sidecar_part(name), sidecar)?;
        if existing == Existing::Replace && self.stat_backup(name)?.is_some() {
            self.rename(name, &names::old(name))?;
            return self.finish_appearing(name);
        }
        let in_place = self.rename(&names::sidecar_part(name), &names::sidecar(name));
        if let Err(trouble) = in_place {
            if trouble.broken {
                return Err(trouble);
            }
            if self.stat_backup(name)?.is_some() {
                return Err(taken(name, &self.place()).into());
            }
            // Without data, the sidecar that is there belongs to nothing.
            self.finish_sidecar(name)?;
        }
        match self.rename(&names::part(name), name) {
            Err(trouble) if !trouble.broken && self.stat_backup(name)?.is_some() => {
                Err(taken(name, &self.place()).into())
            }
            renamed => renamed,
        }
    }

    pub(super) fn finish_sidecar(&self, name: &str) -> Result<(), Trouble> {
        self.remove(&names::sidecar(name))?;
        self.remove(&names::sidecar_new(name))?;
        self.rename(&names::sidecar_part(name), &names::sidecar(name))
    }

    pub(super) fn finish_appearing(&self, name: &str) -> Result<(), Trouble> {
        if self.is_there(&names::sidecar_part(name))? {
            self.finish_sidecar(name)?;
        }
        if self.is_there(&names::part(name))? {
            self.rename(&names::part(name), name)?;
        }
        self.remove(&names::old(name))?;
        Ok(())
    }

    /// Finishes a replacement that was cut short. Whether there was one.
    pub fn finish_replacing(&self, name: &str) -> Result<bool, Trouble> {
        let there = self.is_there(&names::old(name))?;
        if there {
            self.finish_appearing(name)?;
        }
        Ok(there)
    }

    /// Finishes or takes back what a broken upload of `name` left.
    pub(super) fn settle(&self, name: &str) -> Result<(), Trouble> {
        if self.finish_replacing(name)? {
            return self.remove(&names::lease(name)).map(drop);
        }
        let (data, part) = (self.is_there(name)?, self.is_there(&names::part(name))?);
        if part && !data {
            // The sidecar was put there for this part.
            self.remove(&names::sidecar(name))?;
        }
        if data && !self.is_there(&names::sidecar(name))? && self.is_there(&names::sidecar_new(name))? {
            self.rename(&names::sidecar_new(name), &names::sidecar(name))?;
        }
        self.remove(&names::sidecar_new(name))?;
        self.remove(&names::sidecar_part(name))?;
        self.remove(&names::part(name))?;
        self.remove(&names::lease(name))?;
        Ok(())
    }
}
