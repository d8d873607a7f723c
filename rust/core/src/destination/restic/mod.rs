//! A repository of snapshots, kept by the restic program.
//!
//! ```text
//! access.rs    where it is and how it opens: address, key, credentials
//! afar.rs      the names of its snapshots at a server, without restic
//! copying.rs   what one gets from another, and the ways to both, with the host keys of their servers
//! listing.rs   which backups its snapshots are, and what this machine remembers of them
//! calls.rs     what restic is called for: to save, to read, to forget
//! known.rs     what this machine remembers of it: how large it is, when it was looked at
//! nodes.rs     what a snapshot holds
//! saving.rs    what restic tells while it saves
//! meant.rs     which files it means
//! lock.rs      its locks waited for, its keys tried
//! mounting.rs  snapshots as a folder
//! pipes.rs     what restic reads and prints
//! pulse.rs     whether it is still at something
//! program.rs   restic as a child: started with its secrets, waited for, ended
//! failure.rs   its complaints as errors
//! version.rs   which restic there is
//! ```
//!
//! A backup is up to three snapshots (see [`super::snapshots`]). It lists as a file does; what it is put together from, its
//! readers know: [`Destination::open`] says so.

mod access;
mod afar;
mod calls;
mod copying;
mod failure;
mod known;
pub(crate) mod listing;
mod lock;
mod meant;
mod mounting;
pub(crate) mod nodes;
mod pipes;
mod program;
mod pulse;
mod reading;
mod remembered;
mod saving;
mod version;
mod ways;

pub use access::{SCHEMES, is_credential, scheme};

use self::access::Access;
use self::afar::Afar;
use self::listing::Found;
use super::snapshots::{self, Snapshots, tag};
use super::ssh::server::Server;
use super::{Destination, Existing, Follow, Listed, Stat, Which, missing};
use crate::catalog::{Sidecar, key};
use crate::config::document;
use crate::look;
use crate::{Cancel, Code, Error, Monitor, Note, Result, ResultExt, Secret, whole_file};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, OnceLock, PoisonError};

/// How many backups one call forgets: what has been forgotten is remembered here after each.
const FORGOTTEN_AT_ONCE: usize = 100;

/// The server that a repository is reached at by SSH; `None`: by other ways, or on this machine.
pub(crate) fn server_of(id: &str, config: &document::Destination) -> Result<Option<Server>> {
    Access::of(id, config, &document::Site { root: "/".into(), ..document::Site::default() })
        .map(|access| access.server)
}

/// What a repository gets from the site that uses it.
#[derive(Debug, Default)]
pub struct Keeping {
    /// The site's keys, the current one first; where the destination has none of its own.
    pub keys: Vec<Secret>,
    /// Why there is none.
    pub no_key: Option<Error>,
    /// A private folder, for caches.
    pub state_dir: Option<PathBuf>,
}

/// A repository.
pub struct Repository {
    access: Access,
    /// Where the listing is remembered.
    cache: Option<PathBuf>,
    /// When copies were verified, by file.
    verified: Option<PathBuf>,
    /// What is remembered besides.
    known: Option<PathBuf>,
    /// The folder where small files of snapshots are remembered.
    small: Option<PathBuf>,
    /// The server refused to delete.
    refused: AtomicBool,
    /// A file that is there as long as it does.
    refusal: Option<PathBuf>,
    job: Mutex<Cancel>,
    seen: Mutex<listing::Seen>,
    /// Its server, once it was asked for names.
    afar: OnceLock<Option<Afar>>,
    /// Who asks that server.
    asking: Mutex<()>,
    /// Where it is remembered that it does not answer.
    silence: OnceLock<PathBuf>,
}

impl Repository {
    /// The repository as configured. Asks nobody yet.
    pub fn from_config(
        id: &str,
        config: &document::Destination,
        site: &document::Site,
        keeping: Keeping,
    ) -> Result<Repository> {
        let mut access = Access::of(id, config, site)?;
        if config.key_file.is_none() {
            access.keys = keeping.keys;
            access.no_key = keeping.no_key.map(std::sync::Arc::new);
        }
        let which = Sha256::digest(access.shown.as_bytes());
        let which = crate::catalog::hex(which.get(..8).unwrap_or_default());
        let of_state = |name: String| keeping.state_dir.as_ref().map(|dir| dir.join(name));
        access.cache = of_state("restic-cache".into());
        let (cache, verified) =
            (of_state(format!("restic-{which}.json")), of_state(format!("restic-{which}-verified.json")));
        let known = of_state(format!("restic-{which}-known.json"));
        let small = of_state(format!("restic-{which}-small"));
        Ok(Repository {
            access,
            cache,
            verified,
            known,
            small,
            refused: AtomicBool::new(false),
            refusal: of_state(format!("restic-{which}-guards")),
            job: Mutex::default(),
            seen: Mutex::default(),
            afar: OnceLock::new(),
            asking: Mutex::default(),
            silence: OnceLock::new(),
        })
    }

    fn afar(&self) -> Option<&Afar> {
        let open = || {
            let afar = Afar::of(&self.access, afar::SNAPSHOTS)?;
            if let Some(file) = self.silence.get() {
                afar.remember_silence(file.clone());
            }
            Some(afar)
        };
        self.afar.get_or_init(open).as_ref()
    }

    fn job(&self) -> Cancel {
        self.job.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Fails where nothing is to be forgotten there.
    fn may_forget(&self) -> Result<()> {
        if self.access.append_only {
            let text = format!("nothing is forgotten at {}: append_only is set", self.access.shown);
            return Err(
                Error::new(Code::Permission, text).hint("forget it by restic, on the machine that holds it")
            );
        }
        if self.is_refusing() { Err(self.access.guarded()) } else { Ok(()) }
    }

    /// Forgets backups by two calls of restic for all of them: each opens the repository, which takes longest. First go the
    /// snapshots that make them exist, so that none that is cut short lists as half a backup.
    fn forget_backups(&self, backups: &[&Found]) -> Result<()> {
        let wholes: Vec<String> = backups.iter().flat_map(|found| found.wholes.iter().cloned()).collect();
        self.forget(&wholes)?;
        // What of them is left the next run forgets.
        let parts: Vec<String> = backups.iter().flat_map(|found| found.parts.iter().cloned()).collect();
        let _ = self.forget(&parts);
        Ok(())
    }

    /// Forgets those that there are of these names together, and gives them if that worked; else each has to be tried alone.
    fn forget_together(&self, names: &[&str]) -> Result<BTreeSet<String>> {
        self.may_forget()?;
        let all = self.backups(&mut Vec::new())?;
        let there: BTreeMap<&str, &Found> =
            all.iter().map(|found| (found.listed.name.as_str(), found)).collect();
        let wanted: Vec<&Found> = names.iter().filter_map(|name| there.get(name).copied()).collect();
        self.forget_backups(&wanted)?;
        Ok(wanted.into_iter().map(|found| found.listed.name.clone()).collect())
    }

    /// Forgets one; `false` where there is none of the name.
    fn forget_one(&self, name: &str) -> Result<bool> {
        self.may_forget()?;
        let Some(found) = self.find(name)? else { return Ok(false) };
        self.forget_backups(&[&found]).map(|()| true)
    }
}

/// What a repository is not asked for, since it keeps no files.
fn no_file(place: &str) -> Error {
    Error::new(Code::Unsupported, format!("{place} is a repository: it keeps snapshots, not files"))
}

impl Destination for Repository {
    fn id(&self) -> &str {
        &self.access.id
    }

    fn host(&self) -> String {
        self.access.host()
    }

    fn folder(&self) -> String {
        self.access.shown.clone()
    }

    fn which(&self) -> Which {
        // Of both kinds the folder of its snapshots.
        let told = match (&self.access.local, self.afar()) {
            (Some(folder), _) => Some(Which::here(&folder.join(afar::SNAPSHOTS))),
            (None, Some(Afar::Ssh(folder))) => Some(folder.which()),
            (None, _) => None,
        };
        told.unwrap_or_else(|| Which::Name(self.host(), self.login(), self.folder()))
    }

    fn describe(&self) -> String {
        self.access.shown.clone()
    }

    fn attend(&self, job: &Cancel) {
        *self.job.lock().unwrap_or_else(PoisonError::into_inner) = job.clone();
    }

    fn remember_silence(&self, file: PathBuf) {
        let _ = self.silence.set(file);
    }

    fn snapshots(&self) -> Option<&dyn Snapshots> {
        Some(self)
    }

    fn is_there(&self) -> Result<bool> {
        if let Some(folder) = &self.access.local {
            if look::exists(&folder.join("config"))? {
                return Ok(true);
            }
            return self.held().map_or(Ok(false), |held| Err(self.access.without_config(held)));
        }
        match self.all() {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Code::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn try_out(&self) -> Result<()> {
        let monitor = Monitor::new();
        let tags = [tag("bam_check", "1")];
        let mut write = |out: &mut dyn Write| Ok(out.write_all(b"bam was here\n")?);
        let saved = self.save_stream("bam-check", "bam-check", &tags, &mut write, &monitor)?;
        match self.forget(&[saved.id]) {
            // One that guards what it has is usable.
            Err(error) if error.code() == Code::Permission => Ok(()),
            done => done,
        }
    }

    fn prepare(&self, monitor: &Monitor) -> Result<()> {
        self.attend(&monitor.flag());
        // The list may be remembered, and then nobody has asked for a key.
        self.access.password()?;
        self.list_now(false)?;
        self.seen().is_new = true;
        Ok(())
    }

    fn clean_parts(&self, _keep: &dyn Fn(&str) -> bool) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn free_space(&self) -> Result<Option<u64>> {
        let Some(folder) = &self.access.local else { return Ok(None) };
        let room = rustix::fs::statvfs(folder).at("cannot ask for the free space of", folder)?;
        Ok(Some(room.f_bavail.saturating_mul(room.f_frsize)))
    }

    fn look(&self, found: &mut dyn FnMut(Listed), told: &mut Vec<Note>) -> Result<()> {
        let all = self.backups(told).map_err(|error| self.gone(error))?;
        all.into_iter().filter(|one| one.lacks.is_empty()).for_each(|one| found(one.listed));
        Ok(())
    }

    fn stat(&self, name: &str) -> Result<Option<Stat>> {
        Ok(self.find(name)?.map(|found| Stat { size: found.listed.size, mtime: found.listed.mtime }))
    }

    fn sidecar(&self, name: &str) -> Result<Option<String>> {
        Ok(self.find(name)?.and_then(|found| found.listed.sidecar))
    }

    fn open(&self, _name: &str) -> Result<Box<dyn Read + Send>> {
        Err(no_file(&self.access.shown).hint("restore it, or look into it with `bam ls` and `bam cat`"))
    }

    fn guards(&self) -> bool {
        self.access.append_only || self.is_refusing()
    }

    fn remove(&self, name: &str) -> Result<()> {
        if self.forget_one(name)? { Ok(()) } else { Err(missing(name, &self.access.shown)) }
    }

    fn remove_all(&self, names: &[&str], told: &mut dyn FnMut(&str, Result<()>) -> Result<()>) -> Result<()> {
        for names in names.chunks(FORGOTTEN_AT_ONCE) {
            let gone = self.forget_together(names);
            for name in names {
                let done = match &gone {
                    Ok(gone) if gone.contains(*name) => Ok(()),
                    Ok(_) => Err(missing(name, &self.access.shown)),
                    // It may have gone meanwhile.
                    Err(_) => self.forget_one(name).map(drop),
                };
                told(name, done)?;
            }
        }
        Ok(())
    }

    fn write_sidecar(&self, name: &str, text: &str) -> Result<()> {
        // Of what may change in a sidecar only this is kept, on this machine: a snapshot never changes.
        let Some(file) = &self.verified else { return Ok(()) };
        let Some(time) = Sidecar::parse(text).number(key::VERIFIED) else { return Ok(()) };
        let all = self.all()?;
        let found = snapshots::backups(&all).into_iter().find(|one| one.name == name);
        let id = found.map(|one| one.whole.id.clone());
        let mut verified = self.verified();
        verified.retain(|known, _| all.iter().any(|one| known.starts_with(&one.id)));
        verified.insert(format!("{}/{name}", id.unwrap_or_default()), time.into());
        whole_file::write(file, true, |out| {
            out.write_all(json!(verified).to_string().as_bytes()).at("cannot write", file)
        })
    }

    fn follow(
        &self,
        _name: &str,
        _existing: Existing,
        _file: &Follow,
        _sidecar: &dyn Fn() -> Result<String>,
        _monitor: &Monitor,
    ) -> Result<()> {
        Err(no_file(&self.access.shown)
            .hint("a backup comes into it when it is made, or from another repository: name it among the destinations of `bam backup`"))
    }

    fn sha256(&self, _name: &str, _monitor: &Monitor) -> Result<Option<[u8; 32]>> {
        Ok(None)
    }
}
