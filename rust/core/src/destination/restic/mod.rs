//! A repository of snapshots, kept by the restic program.
//!
//! ```text
//! access.rs    where it is and how it opens: address, key, credentials, the host key of its server
//! nodes.rs     what a snapshot holds
//! program.rs   restic at work: found, started, its locks waited for, its words made errors
//! saving.rs    what it tells while it saves
//! ```
//!
//! A backup is up to three snapshots (see [`super::snapshots`]). It lists as a file does; what it is put together from, its
//! readers know: [`Destination::open`] says so.

mod access;
mod nodes;
mod program;
mod saving;

pub use access::{SCHEMES, is_credential, scheme};

use self::access::Access;
use self::nodes::Nodes;
use self::program::{Call, Feed, with_lock};
use super::snapshots::{FILE, ID, PART, PARTS, SITE, Saved, Snapshot, Snapshots, WHOLE};
use super::snapshots::{Folders, Node, tag};
use super::ssh::server::Server;
use super::{Destination, Existing, Follow, Listed, Stat, missing};
use crate::catalog::{Sidecar, key};
use crate::config::document;
use crate::{Cancel, Code, Error, Monitor, Note, NoteKind, Result, ResultExt, Secret, whole_file};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The server that a repository is reached at by SSH; `None`: by other ways, or on this machine.
pub(crate) fn server_of(id: &str, config: &document::Destination) -> Result<Option<Server>> {
    Access::of(id, config, &document::Site { root: "/".into(), ..document::Site::default() })
        .map(|access| access.server)
}

/// More than any cache of a listing is.
const CACHE_MOST: u64 = 256 << 20;

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
    job: Mutex<Cancel>,
}

/// A backup as its snapshots tell of it.
struct Found {
    listed: Listed,
    /// All its snapshots.
    snapshots: Vec<String>,
    /// Parts that are not there.
    lacks: Vec<String>,
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
        Ok(Repository { access, cache, verified, job: Mutex::default() })
    }

    fn job(&self) -> Cancel {
        self.job.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The names of its snapshots, where a folder of this machine tells them.
    fn names(&self) -> Option<Vec<String>> {
        let folder = self.access.local.as_ref()?.join("snapshots");
        let mut names: Vec<String> = crate::entries::names(&folder)
            .ok()?
            .map(|name| name.ok().and_then(|name| name.into_string().ok()))
            .collect::<Option<_>>()?;
        names.retain(|name| name.len() == 64);
        names.sort();
        Some(names)
    }

    /// What is remembered of the listing, if it is of these snapshots.
    fn remembered(&self, names: &[String]) -> Option<Vec<Snapshot>> {
        let mut text = Vec::new();
        fs::File::open(self.cache.as_ref()?).ok()?.take(CACHE_MOST).read_to_end(&mut text).ok()?;
        let known = parse(&text).ok()?;
        let mut ids: Vec<&str> = known.iter().map(|snapshot| snapshot.id.as_str()).collect();
        ids.sort_unstable();
        ids.iter().eq(names.iter()).then_some(known)
    }

    /// Its backups by file name and number, the newest last; those that are not whole are told of.
    fn backups(&self, told: &mut Vec<Note>) -> Result<Vec<Found>> {
        let all = self.all()?;
        let verified = self.verified();
        let group = |snapshot: &Snapshot| Some((snapshot.tag(ID)?, snapshot.tag(SITE)));
        let mut parts: BTreeMap<_, Vec<(String, String)>> = BTreeMap::new();
        for snapshot in &all {
            if let (Some(group), Some(part)) = (group(snapshot), snapshot.tag(PART)) {
                parts.entry(group).or_default().push((part, snapshot.id.clone()));
            }
        }
        let mut found = Vec::new();
        for whole in all.iter().filter(|snapshot| snapshot.tag(PART).as_deref() == Some(WHOLE)) {
            let (Some(group), Some(name)) = (group(whole), whole.tag(FILE)) else { continue };
            if super::check_name(&name).is_err() {
                continue;
            }
            let of_it = parts.get(&group).cloned().unwrap_or_default();
            let wanted = whole.tag(PARTS).unwrap_or_default();
            let lacks: Vec<String> = wanted
                .split('+')
                .filter(|part| !part.is_empty() && !of_it.iter().any(|(there, _)| there == part))
                .map(str::to_owned)
                .collect();
            let mut sidecar = Sidecar::new();
            for field in &whole.tags {
                let Some((name, _)) = field.split_once('=') else { continue };
                if ![PART, FILE, PARTS].contains(&name) {
                    sidecar.set(name, whole.tag(name).unwrap_or_default());
                }
            }
            if let Some(time) = verified.get(&format!("{}/{name}", whole.id)).and_then(Value::as_u64) {
                sidecar.set_number(key::VERIFIED, time);
            }
            let size = sidecar.number(key::CONTENT_SIZE).unwrap_or_default();
            let mtime = sidecar.number(key::DATESTAMP).and_then(|time| i64::try_from(time).ok());
            if !lacks.is_empty() {
                let text = format!(
                    "{name} is not whole: its snapshot of the {} is gone; nobody can restore it",
                    lacks.join(" and of the ")
                );
                told.push(Note { kind: NoteKind::Missing, text });
            }
            found.push(Found {
                listed: Listed {
                    name,
                    size,
                    mtime: mtime.unwrap_or_default(),
                    sidecar: Some(sidecar.to_string()),
                },
                snapshots: of_it.into_iter().map(|(_, id)| id).collect(),
                lacks,
            });
        }
        found.sort_by(|a, b| (&a.listed.name, a.listed.mtime).cmp(&(&b.listed.name, b.listed.mtime)));
        Ok(found)
    }

    /// The newest backup of a name.
    fn find(&self, name: &str) -> Result<Option<Found>> {
        Ok(self.backups(&mut Vec::new())?.into_iter().rfind(|found| found.listed.name == name))
    }

    fn verified(&self) -> BTreeMap<String, Value> {
        let text = self.verified.as_ref().and_then(|file| fs::read(file).ok());
        text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    fn call<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<Vec<u8>> {
        program::output(&self.access, &Call::new(args, &self.job()))
    }

    /// Saves; `monitor` hears what it tells meanwhile.
    fn save(&self, call: &Call, mut write: Option<&mut Feed<'_>>, monitor: &Monitor) -> Result<Saved> {
        self.locking(monitor, || {
            let mut report = saving::Report::default();
            let feed: Option<&mut Feed<'_>> = match &mut write {
                Some(write) => Some(&mut **write),
                None => None,
            };
            let ended = program::lines(&self.access, call, feed, &mut |line| {
                report.line(line, monitor);
                Ok(())
            })?;
            ended.said.lines().for_each(|line| report.line(line.as_bytes(), monitor));
            // 3: something could not be read; the snapshot is there.
            match (ended.status.code(), report.saved) {
                (Some(0 | 3), Some(saved)) => Ok(Saved { lost: report.lost, ..saved }),
                _ => Err(self.access.explain(ended.status, &ended.said)),
            }
        })
    }

    fn locking<T>(&self, monitor: &Monitor, work: impl FnMut() -> Result<T>) -> Result<T> {
        let tell = &mut |error: &Error| monitor.note(NoteKind::Info, format!("waiting: {}", error.message()));
        with_lock(&self.access, &monitor.flag(), tell, work)
    }

    fn run(&self, call: &Call, monitor: &Monitor) -> Result<()> {
        self.locking(monitor, || {
            program::lines(&self.access, call, None, &mut |_| Ok(()))?.check(&self.access).map(drop)
        })
    }
}

/// `restic snapshots --json`, or what is remembered of it.
fn parse(text: &[u8]) -> Result<Vec<Snapshot>> {
    let wrong =
        |cause| Error::new(Code::Destination, "restic's list of snapshots cannot be read").because(cause);
    let all: Option<Vec<Value>> = serde_json::from_slice(text).map_err(wrong)?;
    let one = |value: &Value| {
        let tags = value["tags"].as_array().into_iter().flatten();
        Some(Snapshot {
            id: value["id"].as_str()?.to_owned(),
            tags: tags.filter_map(Value::as_str).map(str::to_owned).collect(),
            host: value["hostname"].as_str().unwrap_or_default().to_owned(),
        })
    };
    Ok(all.unwrap_or_default().iter().filter_map(one).collect())
}

/// Where restic takes a path for a pattern: each byte of it that would mean something else stands for itself. A line cannot
/// hold a line break, nor begin or end with a blank, and `$` begins a variable.
fn as_pattern(path: &[u8]) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(path.len());
    for byte in path {
        match byte {
            b'*' | b'?' | b'[' | b'\\' => pattern.extend([b'\\', *byte]),
            b'$' => pattern.extend(b"$$"),
            b' ' => pattern.extend(b"[ ]"),
            // Ranges of three or fewer around it.
            b'\t' | b'\n' | 0x0b => pattern.extend(b"[\t-\x0b]"),
            b'\r' | 0x0c => pattern.extend(b"[\x0c-\x0e]"),
            other => pattern.push(*other),
        }
    }
    pattern
}

impl Snapshots for Repository {
    fn init(&self, monitor: &Monitor) -> Result<()> {
        match self.all() {
            Err(error) if error.code() == Code::NotFound => {}
            Ok(_) => {
                return Err(Error::new(
                    Code::Usage,
                    format!("there is a repository at {} already", self.access.shown),
                )
                .hint("it is ready to be used"));
            }
            Err(error) => return Err(error),
        }
        if let Some(folder) = self.access.local.as_deref().and_then(Path::parent) {
            fs::create_dir_all(folder).at("cannot make the folder", folder)?;
        }
        self.run(&Call::new(["init", "--quiet"], &monitor.flag()), monitor)
    }

    fn all(&self) -> Result<Vec<Snapshot>> {
        if let Some(known) = self.names().and_then(|names| self.remembered(&names)) {
            return Ok(known);
        }
        // Of a place that we may only read, too.
        let listed = parse(&self.call(["snapshots", "--json", "--no-lock"])?)?;
        if let Some(cache) = &self.cache {
            let known: Vec<Value> = listed
                .iter()
                .map(|one| json!({ "id": one.id, "tags": one.tags, "hostname": one.host }))
                .collect();
            // Without it the next listing takes longer, and that is all.
            let _ = whole_file::write(cache, true, |file| {
                file.write_all(Value::Array(known).to_string().as_bytes()).at("cannot write", cache)
            });
        }
        Ok(listed)
    }

    fn save_stream(
        &self,
        name: &str,
        host: &str,
        tags: &[String],
        write: &mut dyn FnMut(&mut dyn Write) -> Result<()>,
        monitor: &Monitor,
    ) -> Result<Saved> {
        let call = Call::new(["backup", "--json", "--stdin", "--stdin-filename", name], &monitor.flag());
        self.save(&tagged(call, host, tags), Some(write), monitor)
    }

    fn save_folders(
        &self,
        folders: &Folders,
        host: &str,
        tags: &[String],
        monitor: &Monitor,
    ) -> Result<Saved> {
        let call = Call::new(["backup", "--json"], &monitor.flag());
        let mut call = tagged(call, host, tags);
        if let Some(parent) = &folders.parent {
            call = call.arg("--parent").arg(parent);
        }
        let mut targets = Vec::new();
        for target in &folders.targets {
            targets.extend_from_slice(target);
            targets.push(0);
        }
        let mut left_out = Vec::new();
        for path in &folders.left_out {
            left_out.extend(as_pattern(path));
            left_out.push(b'\n');
        }
        call.files = vec![("--files-from-raw", targets), ("--exclude-file", left_out)];
        self.save(&call, None, monitor)
    }

    fn read(&self, snapshot: &str, path: &[u8]) -> Result<Box<dyn Read + Send>> {
        use std::os::unix::ffi::OsStrExt;
        let call =
            Call::new(["dump", "--quiet", snapshot], &self.job()).arg(std::ffi::OsStr::from_bytes(path));
        Ok(Box::new(program::reading(&self.access, &self.reader(call))?))
    }

    fn read_tar(&self, snapshot: &str, below: Option<&[u8]>) -> Result<Box<dyn Read + Send>> {
        use std::os::unix::ffi::OsStrExt;
        let path = std::ffi::OsStr::from_bytes(below.unwrap_or(b"/"));
        let call = Call::new(["dump", "--quiet", "--archive", "tar", snapshot], &self.job()).arg(path);
        Ok(Box::new(program::reading(&self.access, &self.reader(call))?))
    }

    fn nodes(&self, snapshot: &str) -> Result<Box<dyn Iterator<Item = Node> + Send>> {
        let call = self.reader(Call::new(["ls", "--json", snapshot], &self.job()));
        Ok(Box::new(Nodes::new(program::reading(&self.access, &call)?)))
    }

    fn forget(&self, snapshots: &[String]) -> Result<()> {
        if snapshots.is_empty() {
            return Ok(());
        }
        let call = Call::new(["forget", "--quiet"], &self.job());
        self.call(call.args.into_iter().chain(snapshots.iter().map(Into::into))).map(drop)
    }

    fn prune(&self, monitor: &Monitor) -> Result<()> {
        self.run(&Call::new(["prune", "--quiet"], &monitor.flag()), monitor)
    }

    fn check(&self, percent: Option<f64>, monitor: &Monitor) -> Result<()> {
        let mut call = Call::new(["check", "--quiet"], &monitor.flag());
        if let Some(percent) = percent {
            call = call.arg(format!("--read-data-subset={percent}%"));
        }
        self.locking(monitor, || {
            let ended = program::lines(&self.access, &call, None, &mut |_| Ok(()))?;
            if ended.status.success() {
                return Ok(());
            }
            let error = self.access.explain(ended.status, &ended.said);
            match error.code() {
                // What it found, and no failure of its own.
                Code::Destination if ended.status.code() == Some(1) => Err(Error::new(
                    Code::Integrity,
                    format!("the repository {} is damaged: {}", self.access.shown, error.message()),
                )
                .hint(
                    "docs/repositories.md says what can be saved; make a new backup to another place first",
                )),
                _ => Err(error),
            }
        })
    }
}

impl Repository {
    /// A call that only reads: where we may not write, it goes without a lock.
    fn reader(&self, mut call: Call) -> Call {
        use rustix::fs::{Access, access};
        let is_ours = |folder: &PathBuf| access(folder.join("locks"), Access::WRITE_OK).is_ok();
        if self.access.local.as_ref().is_some_and(|folder| !is_ours(folder)) {
            call.args.push("--no-lock".into());
        }
        call
    }
}

fn tagged(mut call: Call, host: &str, tags: &[String]) -> Call {
    call = call.arg("--host").arg(host);
    for tag in tags {
        call = call.arg("--tag").arg(tag);
    }
    call
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

    fn describe(&self) -> String {
        self.access.shown.clone()
    }

    fn attend(&self, job: &Cancel) {
        *self.job.lock().unwrap_or_else(PoisonError::into_inner) = job.clone();
    }

    fn snapshots(&self) -> Option<&dyn Snapshots> {
        Some(self)
    }

    fn is_there(&self) -> Result<bool> {
        if let Some(folder) = &self.access.local {
            return Ok(folder.join("config").exists());
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
        self.forget(&[saved.id])
    }

    fn prepare(&self, _monitor: &Monitor) -> Result<()> {
        self.all().map(drop)
    }

    fn clean_parts(&self, _keep: &dyn Fn(&str) -> bool) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn free_space(&self) -> Result<Option<u64>> {
        let Some(folder) = &self.access.local else { return Ok(None) };
        let room = rustix::fs::statvfs(folder).at("cannot ask for the free space of", folder)?;
        Ok(Some(room.f_bavail.saturating_mul(room.f_frsize)))
    }

    fn look(&self, told: &mut Vec<Note>) -> Result<Vec<Listed>> {
        let all = self.backups(told)?;
        Ok(all.into_iter().filter(|found| found.lacks.is_empty()).map(|found| found.listed).collect())
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
        self.access.append_only
    }

    fn remove(&self, name: &str) -> Result<()> {
        if self.access.append_only {
            let text = format!("nothing is forgotten at {}: append_only is set", self.access.shown);
            return Err(
                Error::new(Code::Permission, text).hint("forget it by restic, on the machine that holds it")
            );
        }
        let found = self.find(name)?.ok_or_else(|| missing(name, &self.access.shown))?;
        // At once: none of its parts is left alone.
        self.forget(&found.snapshots)
    }

    fn write_sidecar(&self, name: &str, text: &str) -> Result<()> {
        // Of what may change in a sidecar only this is kept, on this machine: a snapshot never changes.
        let Some(file) = &self.verified else { return Ok(()) };
        let Some(time) = Sidecar::parse(text).number(key::VERIFIED) else { return Ok(()) };
        let all = self.all()?;
        let id = all.iter().rfind(|one| one.tag(FILE).as_deref() == Some(name)).map(|one| one.id.clone());
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
            .hint("a backup comes into it when it is made: name it among the destinations of `bam backup`"))
    }

    fn sha256(&self, _name: &str, _monitor: &Monitor) -> Result<Option<[u8; 32]>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stand_for_themselves_in_patterns() {
        assert_eq!(as_pattern(b"/a b/[x]*?\\$HOME"), b"/a[ ]b/\\[x]\\*\\?\\\\$$HOME");
        assert_eq!(as_pattern(b"/a\nb"), b"/a[\t-\x0b]b");
    }

    #[test]
    fn tags_come_back_as_they_were() {
        let snapshot =
            Snapshot { tags: vec![tag("x", "a, b%2C \u{fc}\n"), tag("y", "")], ..Snapshot::default() };
        assert_eq!(snapshot.tag("x").as_deref(), Some("a, b%2C \u{fc}"));
        assert_eq!((snapshot.tag("y").as_deref(), snapshot.tag("z")), (Some(""), None));
    }
}
