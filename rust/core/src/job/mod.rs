//! Jobs: putting the rooms in a row, threads, progress, cancelling, locks.
//!
//! A [`Job`] runs one [`Request`] on a thread of its own; whoever started it polls, may cancel, and at the end takes
//! the result. Knows nothing of formats: those belong to the rooms it calls.
//!
//! ```text
//! backup/   sources ── pipeline ── deliver ── seal: a new backup, at every destination
//! open/     a backup brought here, proven, decoded
//! repository/  the same in a repository: saved as it lies, read as the archive that it would be
//! restore/  what was opened, put in place of what the site has: staged, swapped, tidied
//! verify/   every byte read, a part read, or a restore for trial
//! copies/   what becomes of backups later: replicated, pruned, removed, exported, imported, encrypted anew
//! check/    whether the configuration, and all it names, is so
//! status/   how the backups stand against the policy
//! across/   what changed between two, which hold a file, how they grow
//! ```
//!
//! Beside these lies what they share: the [`Request`], which source and profile it means (`choose`), which backup
//! (`select`), the destinations (`places`), lock and state folder (`lock`, `state`, `state_format`), what is remembered there (`memory`), keys and what is taken without
//! proof (`keys`, `trust`, `made`), what the web server hands out (`web`), maintenance mode (`site`). `schedule` runs what is due, in turn.

mod absent;
pub mod across;
mod answer;
mod backup;
pub mod check;
pub mod choose;
mod copies;
mod damaged;
mod ids;
pub(crate) mod index;
pub mod keys;
mod local;
pub mod lock;
mod made;
mod member_path;
mod memory;
mod mount;
mod open;
pub mod pipe;
mod places;
mod recall;
pub(crate) mod repository;
mod request;
pub(crate) mod restore;
pub mod schedule;
mod scope;
mod select;
pub mod site;
mod site_folders;
pub mod state;
mod state_format;
mod status;
mod trust;
mod verify;
mod web;

use answer::as_value;
pub use answer::{Answer, List};
pub use copies::prune::Decided;
pub use copies::raw;
pub use open::decrypt::{decrypt, keys_of};
pub use open::look;
pub use request::{Elsewhere, RecoverWay, Rekey, Request, Restore};
pub use restore::elsewhere;
pub use restore::recover::bring_back;
pub use select::{Meant, meant, other_site};
pub use verify::drill;
pub use web::refuse_plain;

use crate::config::Document;
use crate::{Code, Error, Monitor, Note, NoteKind, Phase, Progress, Result, Told, threads};
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use serde_json::{Value, json};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// A running request. Dropping it cancels the work, waits for it and leaves nothing behind.
#[derive(Debug)]
pub struct Job {
    watch: Watch,
    thread: Option<JoinHandle<Result<Answer>>>,
}

/// A job from outside: any number of threads wait for its end, whoever takes its result.
#[derive(Debug, Clone)]
pub struct Watch {
    monitor: Arc<Monitor>,
    ended: Receiver<()>,
}

/// What [`Watch::poll`] saw.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Poll {
    /// The counters.
    #[serde(flatten)]
    pub progress: Progress,
    /// Whether [`Job::finish`] would return at once.
    pub finished: bool,
}

impl Job {
    /// Starts the work on a thread of its own. Mistakes in the request show at [`Job::finish`].
    pub fn start(document: Document, request: Request) -> Result<Job> {
        let monitor = Arc::new(Monitor::new());
        let (over, ended) = bounded::<()>(0);
        let inner = Arc::clone(&monitor);
        let thread = threads::spawn("bam-job", move || {
            // Dropped at the end, a panic included: that is what wakes `poll`.
            let _over = over;
            let result = run(&document, &request, &inner);
            inner.phase(Phase::Done);
            result
        })?;
        Ok(Job { watch: Watch { monitor, ended }, thread: Some(thread) })
    }

    /// As [`Watch::poll`].
    pub fn poll(&self, wait: Duration) -> Poll {
        self.watch.poll(wait)
    }

    /// As [`Watch::cancel`].
    pub fn cancel(&self) {
        self.watch.cancel();
    }

    /// What other threads need to wait for its end, and to stop it.
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// The counters and the cancel flag, for whoever watches or stops the job from another thread.
    pub fn monitor(&self) -> Arc<Monitor> {
        Arc::clone(&self.watch.monitor)
    }

    /// Waits for the end and takes the result (docs/json.md).
    pub fn finish(mut self) -> Result<Answer> {
        self.join()
    }

    fn join(&mut self) -> Result<Answer> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(Error::new(Code::Internal, "the job stopped at a bug in bam")
                .hint("please report it with the command that led here")),
            None => Err(Error::new(Code::Internal, "the job was finished already")),
        }
    }
}

impl Watch {
    /// Waits until the work ends, at most `wait`, and tells the counters.
    pub fn poll(&self, wait: Duration) -> Poll {
        let finished = self.ended.recv_timeout(wait) == Err(RecvTimeoutError::Disconnected);
        Poll { progress: self.monitor.snapshot(), finished }
    }

    /// Asks the work to stop; [`Job::finish`] then fails with [`Code::Cancelled`] unless it was done already.
    pub fn cancel(&self) {
        self.monitor.cancel();
    }

    /// What the job has had to say so far.
    pub fn notes(&self) -> Vec<Note> {
        self.monitor.notes()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.cancel();
            let _ = self.join();
        }
    }
}

/// Runs a request on the calling thread. The result has the job's `notes` and its `exit_code`: 0, or 3 where
/// something is missing (docs/json.md).
pub fn run(document: &Document, request: &Request, monitor: &Arc<Monitor>) -> Result<Answer> {
    for note in document.notes.iter().cloned().chain(document.exposed()) {
        monitor.note(note.kind, note.text);
    }
    if request.remembers() {
        memory::tell(document, monitor);
    }
    let result = told(document, request, monitor).map_err(|error| match monitor.snapshot().current {
        // An error that nobody on its way could say more about.
        at if error.is_bare() && !at.is_empty() => error.context(format!("at {at}")),
        _ => error,
    });
    // Where nobody nearer to the failure said what was being done.
    let mut result = result.doing(request.name())?;
    if let Value::Object(map) = result.value_mut() {
        let notes = monitor.notes();
        let partial = notes.iter().any(|note| note.kind == NoteKind::Missing);
        let code = if partial { Code::Partial.exit_code() } else { 0 };
        map.entry("exit_code").or_insert(code.into());
        map.insert("notes".into(), json!(notes));
    }
    Ok(result)
}

/// What there is.
fn backups(
    document: &Document,
    destinations: &[String],
    site: Option<&str>,
    monitor: &Arc<Monitor>,
) -> Result<Answer> {
    let all = places::open(document, destinations)?;
    let listing = places::list(NoteKind::Missing, document, &all, site, monitor)?;
    recall::tell_with_left_out(&listing, monitor);
    if destinations.is_empty() && site.is_none() {
        made::tell_of_gone(document, &listing, None, monitor);
    }
    if site.is_none() {
        let asked: Vec<&str> = all.iter().map(|place| place.id()).collect();
        absent::tell(document, &asked, &listing, None, monitor)?;
    }
    let (unreachable, other_sites) = (json!(listing.unreachable), listing.other_sites());
    let told = json!({ "backups": null, "unreachable": unreachable, "other_sites": other_sites });
    Ok(Answer::with(told, List::Backups(listing.backups)))
}

/// Looks at one destination.
fn check_one(document: &Document, name: &str, monitor: &Arc<Monitor>) -> Result<Value> {
    let looked = check::destination(document, name, monitor)?;
    let code = check::exit_code(&looked);
    // Whoever sets it up has to see the key before anything is said to the server.
    let key = match code {
        0 => None,
        _ => crate::destination::host_key(name, choose::destination(document, name)?).ok().flatten(),
    };
    Ok(json!({ "looked": looked, "host_key": key, "exit_code": code }))
}

/// Makes a repository.
fn init(document: &Document, destination: &String, monitor: &Arc<Monitor>) -> Result<Value> {
    let config = choose::destination(document, destination)?;
    let place = places::open(document, std::slice::from_ref(destination))?.pop();
    let snapshots = place.as_ref().and_then(|place| place.snapshots()).ok_or_else(|| {
        Error::new(Code::Usage, format!("{destination} is no repository: nothing has to be made there"))
            .hint("the first backup makes its folder")
    })?;
    if let Some(folder) = config.folder(&document.site) {
        web::refuse_served_folder(document, folder.parent().unwrap_or(&folder), true, monitor)?;
    }
    snapshots.init(monitor)?;
    Ok(json!({ "name": destination, "repository": place.as_ref().map(|place| place.describe()) }))
}

/// The result alone.
#[allow(clippy::too_many_lines, reason = "a table: each request, and the room that does it")]
fn told(document: &Document, request: &Request, monitor: &Arc<Monitor>) -> Result<Answer> {
    let told = match request {
        Request::Backup { what, destinations, profile, description } => {
            let ask = backup::BackupRequest {
                what: what.as_deref(),
                destinations,
                profile: profile.as_deref(),
                description: description.as_deref(),
            };
            backup::run(document, &ask, monitor)?
        }
        Request::Backups { destinations, site } => {
            return backups(document, destinations, site.as_deref(), monitor);
        }
        Request::Find { id, destination, source, site } => {
            let ask = Restore {
                id: Some(id.clone()),
                destination: destination.clone(),
                source: source.clone(),
                site: site.clone(),
                ..Restore::default()
            };
            let meant = select::meant(document, &ask, monitor)?;
            json!({ "backup": as_value(&meant.backup)?, "other_site": meant.other_site })
        }
        Request::Stats { destinations, source, site } => {
            let ask = select::Criteria::new(None, destinations, source.as_deref(), site.as_deref());
            across::stats::run(document, &ask, monitor)?
        }
        Request::Mount { id, folder, destinations, source, site } => {
            let ask = select::Criteria::new(Some(id), destinations, source.as_deref(), site.as_deref());
            mount::run(document, &ask, folder, monitor)?
        }
        Request::Restore(ask) => restore::run(document, ask, monitor)?,
        Request::Verify { id, destinations, sample, source, site, unauthenticated } => {
            let ask = select::Criteria::new(id.as_deref(), destinations, source.as_deref(), site.as_deref());
            match sample {
                None => verify::run(document, &ask, *unauthenticated, monitor)?,
                Some(percent) => verify::sample::run(document, &ask, *percent, monitor)?,
            }
        }
        Request::Drill { id, destinations, source, site, unauthenticated } => {
            let ask = select::Criteria::new(id.as_deref(), destinations, source.as_deref(), site.as_deref());
            drill::run(document, &ask, *unauthenticated, monitor)?
        }
        Request::Rekey(ask) => copies::rekey::run(document, ask, monitor)?,
        Request::Run { schedule } => schedule::run(document, schedule, monitor)?,
        Request::Replicate { site } => copies::replicate::run(document, site.as_deref(), monitor)?,
        Request::Prune { schedules, dry_run, site } => {
            return copies::prune::run(document, schedules, *dry_run, site.as_deref(), monitor);
        }
        Request::Export { id, path, create, host, program, unauthenticated, source, site } => {
            let ask = select::Criteria::new(Some(id), &[], source.as_deref(), site.as_deref());
            let (host, program) = (host.as_deref(), program.as_deref());
            let (create, unauthenticated) = (*create, *unauthenticated);
            let how = copies::export::Export { to: path, create, host, program, unauthenticated };
            copies::export::export(document, &ask, &how, monitor)?
        }
        Request::Forget { what, path } => {
            let _lock = lock::acquire(document)?;
            copies::exports::forget(document, what, path.as_deref())?
        }
        Request::Import { file, destination, unauthenticated } => {
            let to = destination.as_deref().unwrap_or("manual");
            copies::export::import(document, file, to, *unauthenticated, monitor)?
        }
        Request::Status { site } => status::run(document, site.as_deref(), monitor)?,
        Request::Check { destination: None } => check::run(document, monitor)?,
        Request::Check { destination: Some(name) } => check_one(document, name, monitor)?,
        Request::Init { destination } => init(document, destination, monitor)?,
        Request::HostKey { destination } => {
            let config = choose::destination(document, destination)?;
            json!({ "host_key": crate::destination::host_key(destination, config)? })
        }
        Request::Delete { id, destinations, source, site } => {
            let ask = select::Criteria::new(Some(id), destinations, source.as_deref(), site.as_deref());
            copies::remove::run(document, &ask, monitor)?
        }
        Request::Recover { way } => {
            let _lock = lock::acquire(document)?;
            let found = restore::recover::recover(document, &lock::state_dir(document)?, *way, monitor)?;
            json!({ "found": found })
        }
    };
    Ok(told.into())
}
