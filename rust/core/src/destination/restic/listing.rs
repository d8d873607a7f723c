//! Which backups its snapshots are, and what this machine remembers of them.

use super::afar::{Afar, KEYS};
use super::known::size_of;
use super::{Repository, remembered};
use crate::catalog::{Sidecar, key};
use crate::destination::snapshots::{FILE, Grouped, PART, PARTS, RUN, Snapshot, backups};
use crate::destination::{Listed, check_name};
use crate::regular;
use crate::{Code, Error, Fact, Note, NoteKind, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{MutexGuard, PoisonError};

/// More than any cache of a listing is.
const CACHE_MOST: u64 = 256 << 20;
/// Characters of a snapshot's whole name.
pub(super) const NAME: usize = 64;

/// The last listing of this process, with what it saved and forgot since.
#[derive(Default)]
pub(super) struct Seen {
    pub all: Option<Vec<Snapshot>>,
    /// It was made for who lists next.
    pub is_new: bool,
}

/// A backup as its snapshots tell of it.
pub(super) struct Found {
    pub listed: Listed,
    /// What makes it exist: a snapshot, or several of what was copied twice; the last one counts.
    pub wholes: Vec<String>,
    /// Its other snapshots.
    pub parts: Vec<String>,
    /// Parts that are not there.
    pub lacks: Vec<String>,
}

impl Repository {
    /// The names of its snapshots, where a folder of this machine tells them, or a server that can be asked without restic.
    /// Fails where that does not answer.
    pub(super) fn names(&self, hurry: bool) -> Result<Option<Vec<String>>> {
        let names = match (&self.access.local, self.afar()) {
            (Some(folder), _) => names_in(&folder.join("snapshots")),
            (None, Some(afar)) => {
                // One after the other, over one connection.
                let _turn = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
                afar.names(&self.access, hurry, &self.job())?
            }
            (None, None) => None,
        };
        Ok(names.map(|mut names| {
            names.retain(|name| is_whole(name));
            names.sort();
            names
        }))
    }

    /// What is remembered, where that is all snapshots that there are: one never changes, and its name is its hash.
    fn remembered(&self, hurry: bool) -> Result<Option<Vec<Snapshot>>> {
        let known = self.recall();
        if known.is_none() && self.access.local.is_some() {
            return Ok(None);
        }
        // Of a server, whatever is remembered: restic would wait for ever for one that does not answer.
        let names = self.names(hurry)?;
        let (Some(names), Some(mut known)) = (names, known) else { return Ok(None) };
        known.retain(|one| names.binary_search(&one.id).is_ok());
        let mut ids: Vec<&str> = known.iter().map(|snapshot| snapshot.id.as_str()).collect();
        ids.sort_unstable();
        Ok(ids.iter().eq(names.iter()).then_some(known))
    }

    /// That there is no repository means something else where one is remembered that held snapshots.
    pub(super) fn gone(&self, error: Error) -> Error {
        let held = self.recall().map_or(0, |known| known.len());
        if error.code() != Code::NotFound || held == 0 {
            return error;
        }
        let text =
            format!("there is no repository at {} any more, which held {held} snapshots", self.access.shown);
        Error::new(Code::Destination, text)
            .hint("is its disk mounted, its address the right one? `bam destination init` makes a new one")
            .with(Fact::Destination, &self.access.id)
    }

    fn recall(&self) -> Option<Vec<Snapshot>> {
        parse(&remembered::read(self.cache.as_ref()?, CACHE_MOST)?).ok()
    }

    /// All snapshots, by what is remembered where nothing has changed, or else as restic lists them. With `hurry` a server
    /// that did not answer lately is not waited for long.
    pub(super) fn list_now(&self, hurry: bool) -> Result<Vec<Snapshot>> {
        let all = match self.remembered(hurry)? {
            Some(all) => all,
            // Of a place that we may only read, too.
            None => {
                let all = self.list_by_restic()?;
                self.remember(&all);
                all
            }
        };
        *self.seen() = Seen { all: Some(all.clone()), is_new: false };
        Ok(all)
    }

    fn list_by_restic(&self) -> Result<Vec<Snapshot>> {
        parse(&self.call(["snapshots", "--json", "--no-lock"], self.access.looking())?)
    }

    /// Fails where a new repository would be made over one, or over what is left of one.
    pub(super) fn check_free(&self) -> Result<()> {
        self.check_answer()?;
        match self.list_by_restic() {
            Err(error) if error.code() == Code::NotFound => {}
            Ok(_) => {
                let text = format!("there is a repository at {} already", self.access.shown);
                return Err(Error::new(Code::Usage, text).hint("it is ready to be used"));
            }
            Err(error) => return Err(error),
        }
        let has_left = match &self.access.local {
            Some(folder) => {
                ["keys", "data"].iter().any(|part| size_of(&folder.join(part)).is_ok_and(|bytes| bytes > 0))
            }
            None => match Afar::of(&self.access, KEYS) {
                Some(afar) => {
                    afar.names(&self.access, true, &self.job())?.is_some_and(|keys| !keys.is_empty())
                }
                None => false,
            },
        };
        if !has_left {
            return Ok(());
        }
        let text =
            format!("{} holds what is left of a repository, without its file config", self.access.shown);
        Err(Error::new(Code::Integrity, text)
            .hint("put back that file, from a copy of this repository; or choose another folder, or empty this one")
            .with(Fact::Destination, &self.access.id))
    }

    /// Fails where its server does not answer, as far as that is found out without restic.
    fn check_answer(&self) -> Result<()> {
        if self.access.local.is_none() { self.names(true).map(drop) } else { Ok(()) }
    }

    /// How many snapshots are there, where there are any, as far as that is told without restic.
    pub(super) fn held(&self) -> Option<usize> {
        self.names(true).ok().flatten().map(|names| names.len()).filter(|held| *held > 0)
    }

    /// That restic finds no repository means something else where its snapshots are.
    pub(super) fn headless(&self, error: Error) -> Error {
        if error.code() != Code::NotFound {
            return error;
        }
        self.held().map_or(error, |held| self.access.without_config(held))
    }

    /// The listing that this process knows.
    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The listing that was just made ready, once; else a new one.
    fn listed(&self) -> Result<Vec<Snapshot>> {
        let mut seen = self.seen();
        match (std::mem::take(&mut seen.is_new), &seen.all) {
            (true, Some(all)) => Ok(all.clone()),
            _ => {
                drop(seen);
                self.list_now(true)
            }
        }
    }

    /// Takes note of a snapshot that was saved from here, so that nobody has to list it; gives its whole name, where that is known.
    pub(super) fn learn(&self, saved: Snapshot) -> String {
        let whole = Snapshot { id: self.whole_name(&saved.id).unwrap_or_else(|| saved.id.clone()), ..saved };
        let id = whole.id.clone();
        let mut seen = self.seen();
        seen.is_new = false;
        if let Some(all) = &mut seen.all {
            all.push(whole.clone());
        }
        if id.len() == NAME
            && let Some(mut known) = self.recall()
        {
            known.retain(|one| one.id != id);
            known.push(whole);
            self.remember(&known);
        }
        id
    }

    /// The one name that begins so: restic 0.14 tells no more of it.
    fn whole_name(&self, begins: &str) -> Option<String> {
        if is_whole(begins) || (self.access.local.is_none() && self.cache.is_none()) {
            return None;
        }
        let mut names = self.names(true).ok()??;
        names.retain(|name| name.starts_with(begins));
        <[String; 1]>::try_from(names).ok().map(|[name]| name)
    }

    /// Whether none of these is gone, as far as that is told without restic.
    pub(super) fn has_all(&self, snapshots: &[String]) -> bool {
        let Ok(Some(names)) = self.names(true) else { return true };
        snapshots.iter().all(|id| names.iter().any(|name| name.starts_with(id.as_str())))
    }

    /// Takes note that snapshots are gone.
    pub(super) fn unlearn(&self, gone: &[String]) {
        let mut seen = self.seen();
        seen.is_new = false;
        if let Some(all) = &mut seen.all {
            all.retain(|one| !gone.iter().any(|id| one.id.starts_with(id.as_str())));
        }
    }

    pub(super) fn remember(&self, listed: &[Snapshot]) {
        let Some(cache) = &self.cache else { return };
        let known: Vec<Value> = listed
            .iter()
            .map(|one| {
                let original = one.copied.then_some("");
                json!({ "id": one.id, "tags": one.tags, "hostname": one.host, "original": original })
            })
            .collect();
        // Without it the next listing takes longer, and that is all.
        let _ = remembered::write(cache, Value::Array(known).to_string().as_bytes());
    }

    /// Its backups by file name and number, the newest last; those that are not whole are told of.
    pub(super) fn backups(&self, told: &mut Vec<Note>) -> Result<Vec<Found>> {
        let all = self.listed()?;
        let verified = self.verified();
        let mut found = Vec::new();
        for one in backups(&all) {
            if check_name(&one.name).is_err() {
                continue;
            }
            let one = backup(&one, &verified);
            if !one.lacks.is_empty() {
                let text = format!(
                    "{} is not whole: its snapshot of the {} is gone; nobody can restore it",
                    one.listed.name,
                    one.lacks.join(" and of the ")
                );
                told.push(Note { kind: NoteKind::Missing, text });
            }
            found.push(one);
        }
        found.sort_by(|a, b| (&a.listed.name, a.listed.mtime).cmp(&(&b.listed.name, b.listed.mtime)));
        Ok(found)
    }

    /// The backup of a name.
    pub(super) fn find(&self, name: &str) -> Result<Option<Found>> {
        Ok(self.backups(&mut Vec::new())?.into_iter().rfind(|found| found.listed.name == name))
    }

    pub(super) fn verified(&self) -> BTreeMap<String, Value> {
        let text = self.verified.as_ref().and_then(|file| regular::read(file).ok());
        text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }
}

/// Whether a name is a snapshot's: its hash.
pub(super) fn is_whole(name: &str) -> bool {
    name.len() == NAME && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The names in a folder of this machine, where they can be read.
fn names_in(folder: &Path) -> Option<Vec<String>> {
    crate::entries::names(folder).ok()?.map(|name| name.ok()?.into_string().ok()).collect()
}

/// A backup, and which of its parts are not there.
fn backup(found: &Grouped<'_>, verified: &BTreeMap<String, Value>) -> Found {
    let (whole, name) = (found.whole, found.name.clone());
    let wanted = whole.tag(PARTS).unwrap_or_default();
    let lacks = wanted
        .split('+')
        .filter(|part| !part.is_empty() && found.part(part).is_none())
        .map(str::to_owned)
        .collect();
    let mut sidecar = Sidecar::new();
    for field in &whole.tags {
        let Some((name, _)) = field.split_once('=') else { continue };
        if ![PART, FILE, PARTS, RUN].contains(&name) {
            sidecar.set(name, whole.tag(name).unwrap_or_default());
        }
    }
    if let Some(time) = verified.get(&format!("{}/{name}", whole.id)).and_then(Value::as_u64) {
        sidecar.set_number(key::VERIFIED, time);
    }
    let mtime = sidecar.number(key::DATESTAMP).and_then(|time| i64::try_from(time).ok());
    let listed = Listed {
        name,
        size: sidecar.number(key::CONTENT_SIZE).unwrap_or_default(),
        mtime: mtime.unwrap_or_default(),
        sidecar: Some(sidecar.to_string()),
    };
    let (twins, parts): (Vec<_>, Vec<_>) = found.others.iter().partition(|one| one.is_last());
    let id = |one: &Snapshot| one.id.clone();
    let wholes = twins.into_iter().chain([whole]).map(id).collect();
    Found { listed, wholes, parts: parts.into_iter().map(id).collect(), lacks }
}

/// `restic snapshots --json`, or what is remembered of it.
pub(crate) fn parse(text: &[u8]) -> Result<Vec<Snapshot>> {
    let wrong =
        |cause| Error::new(Code::Destination, "restic's list of snapshots cannot be read").because(cause);
    let all: Option<Vec<Value>> = serde_json::from_slice(text).map_err(wrong)?;
    let one = |value: &Value| {
        let tags = value["tags"].as_array().into_iter().flatten();
        Some(Snapshot {
            id: value["id"].as_str()?.to_owned(),
            tags: tags.filter_map(Value::as_str).map(str::to_owned).collect(),
            host: value["hostname"].as_str().unwrap_or_default().to_owned(),
            copied: value["original"].is_string(),
        })
    };
    Ok(all.unwrap_or_default().iter().filter_map(one).collect())
}
