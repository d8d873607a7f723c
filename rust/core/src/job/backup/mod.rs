//! Backing up: from the choice of source, profile and destinations to backups that are in place.
//!
//! A backup runs through this room so: `sources` says which folders and which database are meant; `write` makes a tar
//! or a dump of them for the `pipeline`, which compresses and encrypts; `deliver` brings the stream to every destination in
//! one pass and hashes it, under a name that `naming` found; `seal` makes the sidecar and its MAC; then [`run`] puts file
//! and sidecar in place everywhere.

pub(super) mod deliver;
mod expected;
mod naming;
pub(super) mod pipeline;
pub(super) mod seal;
pub(super) mod sources;
pub(super) mod write;
pub(super) mod writers;

use self::deliver::Delivery;
use self::expected::Expected;
use self::naming::Named;
use self::pipeline::{Cipher, Ended, Pipeline};
use self::seal::Seal;
use self::sources::BackupPlan;
use self::writers::Written;
use super::choose::{self, Choice};
use super::copies::replicate;
use super::index::Claims;
use super::places::Outcome;
use super::repository::save::{self, Saving};
use super::restore::recover;
use super::{ids, keys, lock, made, places, web};
use crate::catalog::{BackupId, Listing, NEWEST_FORMAT, Sidecar, SiteIdentity, hex, key};
use crate::config::{Compression, Document, EncryptionKind, Profile, by_shape, hide};
use crate::destination::{Destination, Existing, SIDECAR_MAX};
use crate::{Code, Error, Fact, Monitor, NoteKind, Phase, Result};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// What was asked for.
pub struct BackupRequest<'a> {
    /// A source, profile or schedule.
    pub what: Option<&'a str>,
    /// Where to.
    pub destinations: &'a [String],
    /// The profile.
    pub profile: Option<&'a str>,
    /// A description instead of the profile's.
    pub description: Option<&'a str>,
}

/// Makes one backup. The result is described in docs/json.md.
pub fn run(document: &Document, ask: &BackupRequest<'_>, monitor: &Arc<Monitor>) -> Result<Value> {
    let choice = choose::choose(document, ask.what, ask.destinations, ask.profile)?;
    let profile = choose::profile(document, &choice.profile)?;
    let _lock = lock::acquire(document)?;
    let state_dir = lock::state_dir(document)?;
    recover::before_a_backup(document, &state_dir, monitor)?;
    make(document, &choice, &profile, ask.description, monitor)
}

/// The same when the choice is made and the lock held.
pub fn make(
    document: &Document,
    choice: &Choice,
    profile: &Profile,
    description: Option<&str>,
    monitor: &Arc<Monitor>,
) -> Result<Value> {
    let mut refused = BTreeSet::new();
    loop {
        match attempt(document, choice, profile, description, &mut refused, monitor) {
            Err(error) if error.is_of_a_name() && profile.append_timestamp != 2 && refused.len() < TRIES => {
                monitor.note(NoteKind::Info, format!("{}; taking another name", error.message()));
            }
            done => return done,
        }
    }
}

/// How many names are tried: others may write to the same place at the same moment.
const TRIES: usize = 20;

/// Makes a backup under a name that is not among `refused`. Where its name turns out to be taken everywhere (see
/// [`Error::is_of_a_name`]), that is added to them.
fn attempt(
    document: &Document,
    choice: &Choice,
    profile: &Profile,
    description: Option<&str>,
    refused: &mut BTreeSet<String>,
    monitor: &Arc<Monitor>,
) -> Result<Value> {
    let started = Instant::now();
    let (source, places) = (&choice.source, choice.destinations.join(", "));
    let text = format!("backing up {source} with profile {} to {places}", choice.profile);
    monitor.note(NoteKind::Info, text);
    let plan = Arc::new(BackupPlan::of(document, choice, profile, monitor)?);
    plan.check_excludes()?;
    if matches!(profile.encryption, EncryptionKind::Aes256 | EncryptionKind::AesModule) {
        keys::warn_if_inside(document, &plan.folders(), plan.has_database(), monitor);
    }
    let all = places::open(document, &choice.destinations)?;
    let (repositories, all): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|place| place.snapshots().is_some());
    // In a repository nothing is compressed or encrypted as the profile says: it does both itself.
    let plain =
        Profile { compression: Compression::None, encryption: EncryptionKind::None, ..profile.clone() };
    let profile = if all.is_empty() { &plain } else { profile };
    let starting = match all.is_empty() {
        true => None,
        false => Some((
            Cipher::start(document, profile.encryption)?,
            Seal::start(document, profile.encryption, monitor)?,
        )),
    };
    let encrypted = profile.encryption != EncryptionKind::None;
    let (ready, repositories, mut failed) = prepare(document, all, repositories, encrypted, monitor)?;
    let listing = list_and_clean(document, &ready, &repositories, monitor)?;
    let description = in_the_clear(description.unwrap_or(&profile.description), monitor);
    let state_dir = lock::state_dir(document)?;
    let now = jiff::Timestamp::now().as_second();
    let id = ids::give(&state_dir, now, &numbers(document, &listing)?)?;
    let run = Run {
        document,
        choice,
        profile,
        plan: &plan,
        description: &description,
        state_dir: &state_dir,
        id: (id, now),
        monitor,
    };
    let Some((cipher, seal)) = starting.filter(|_| !ready.is_empty()) else {
        let named = run.name(&listing, refused)?;
        let (saved, outcomes) = run.to_repositories(&named, &repositories)?;
        let at = arrived(&outcomes);
        if !at.is_empty() {
            made::remember(document, &named.file(), &run.sidecar(&named), &at, monitor);
        }
        failed.extend(outcomes);
        return report(choice, &named, &failed, saved, None, started, monitor);
    };
    let (named, delivery) = run.begin(&listing, &ready, &failed, refused)?;
    let archives = run.to_archives(&named, cipher, seal, delivery);
    let (outcomes, bytes, written) =
        run.and_to_repositories(archives, failed, &named, &ready, &repositories)?;
    let told = report(choice, &named, &outcomes, bytes, written.as_ref(), started, monitor);
    if told.as_ref().is_err_and(Error::is_of_a_name) {
        refused.insert(named.file());
    }
    told
}

/// Makes the places ready that take archives, and the repositories; gives both, and those that cannot be used. Fails
/// where none can.
fn prepare(
    document: &Document,
    all: Vec<Arc<dyn Destination>>,
    repositories: Vec<Arc<dyn Destination>>,
    encrypted: bool,
    monitor: &Arc<Monitor>,
) -> Result<(places::Ready, places::Ready, Vec<Outcome>)> {
    let (prepared, mut failed) = places::prepare(all, monitor)?;
    let (repositories, lost) = places::prepare(repositories, monitor)?;
    failed.extend(lost);
    let mut ready = places::Ready::new();
    for place in prepared {
        match web::refuse_served(document, &*place, encrypted, monitor) {
            Ok(()) => ready.push(place),
            Err(error) => failed.push(Outcome { destination: place.id().to_owned(), result: Err(error) }),
        }
    }
    let ready = places::once_each(ready, &mut failed);
    let repositories = places::once_each(repositories, &mut failed);
    if ready.is_empty() && repositories.is_empty() {
        return Err(first_failure(failed));
    }
    Ok((ready, repositories, failed))
}

/// What is there already. What broken uploads left goes, but where the backup still lacks that copy: there it is resumed.
fn list_and_clean(
    document: &Document,
    ready: &places::Ready,
    repositories: &places::Ready,
    monitor: &Arc<Monitor>,
) -> Result<Listing> {
    let everywhere: places::Ready = ready.iter().chain(repositories).cloned().collect();
    let listing = places::list_all(NoteKind::Missing, document, &everywhere, monitor)?;
    let resumable = replicate::resumable(document, &listing)?;
    for place in ready {
        let here = resumable.iter().filter(|(_, missing)| missing.iter().any(|name| name == place.id()));
        let here: Vec<String> = here.map(|(file, _)| file.clone()).collect();
        places::clean(&**place, &here, monitor)?;
    }
    Ok(listing)
}

/// The places that have it.
fn arrived(outcomes: &[Outcome]) -> Vec<String> {
    outcomes
        .iter()
        .filter(|outcome| outcome.result.is_ok())
        .map(|outcome| outcome.destination.clone())
        .collect()
}

/// A description as the sidecar may have it, which is in the clear wherever the backup goes.
fn in_the_clear(written: &str, monitor: &Monitor) -> String {
    let description = by_shape(written.to_owned());
    if description != written {
        monitor.note(NoteKind::Warning, "what looks like a password in the description is left out");
    }
    description
}

/// How each place fared, the bytes that were read and those that came of them, and of archives what was written.
type Delivered = (Vec<Outcome>, (u64, u64), Option<Written>);

/// One backup that is being made.
struct Run<'a> {
    document: &'a Document,
    choice: &'a Choice,
    profile: &'a Profile,
    plan: &'a Arc<BackupPlan>,
    description: &'a str,
    state_dir: &'a Path,
    /// Its number, and when it is made (Unix time).
    id: (BackupId, i64),
    monitor: &'a Arc<Monitor>,
}

impl Run<'_> {
    /// A name that neither is in the listing nor was refused.
    fn name(&self, listing: &Listing, refused: &BTreeSet<String>) -> Result<Named> {
        let Run { document, profile, plan, choice, id, .. } = *self;
        Named::find(document, profile, plan, listing, &choice.source, id, refused)
    }

    /// Finds a name and begins with it everywhere; one that turns out to be taken is not tried again.
    fn begin(
        &self,
        listing: &Listing,
        ready: &places::Ready,
        failed: &[Outcome],
        refused: &mut BTreeSet<String>,
    ) -> Result<(Named, Delivery)> {
        loop {
            let named = self.name(listing, refused)?;
            let failed = failed.iter().map(Outcome::again).collect();
            let (file, existing) = (named.file(), named.existing);
            match Delivery::start(&file, existing, ready, failed, self.state_dir, self.monitor) {
                Err(error) if error.is_of_a_name() && existing == Existing::Keep && refused.len() < TRIES => {
                    refused.insert(file);
                }
                started => return Ok((named, started?)),
            }
        }
    }

    /// What the sidecar says before anything is read.
    fn sidecar(&self, named: &Named) -> Sidecar {
        let mut sidecar = describe(self.document, self.choice, self.plan, named, self.description);
        sidecar.set_list(key::COPIES, &self.choice.destinations);
        sidecar
    }

    /// Writes the archive, which is on its way everywhere at once. How each place fared, and the bytes that were read.
    fn to_archives(
        &self,
        named: &Named,
        cipher: Cipher,
        seal: seal::Starting,
        delivery: Delivery,
    ) -> Result<(Vec<Outcome>, u64, Written)> {
        let (plan, monitor) = (self.plan, self.monitor);
        let (kind, level) = (self.profile.compression, self.profile.compression_level);
        let mut pipeline = Pipeline::start(kind, level, &named.entry(), cipher, delivery)?;
        let expected = Expected::start(self.choice, plan, self.state_dir, monitor);
        monitor.phase(Phase::BackingUp);
        let before = monitor.missing();
        let wrote = match plan.write(&mut pipeline, named.id.0, self.state_dir, monitor) {
            Ok(wrote) => wrote,
            Err(error) => return Err(pipeline.abandon(error)),
        };
        expected.remember();
        let bytes_in = pipeline.bytes();
        let Ended { finished, keys, index } = pipeline.finish()?;
        monitor.phase(Phase::Finishing);
        let mut sidecar = describe(self.document, self.choice, plan, named, self.description);
        wrote.describe(&mut sidecar);
        let absent = plan.absent().len() as u64;
        sidecar.set_missing(monitor.missing().saturating_sub(before) + absent);
        plan.describe_excludes(&mut sidecar);
        if let Some(Claims { index, tables }) = index {
            sidecar.set(key::INDEX, index.to_string());
            if let Some(tables) = tables {
                sidecar.set(key::INDEX_TABLES, tables.to_string());
            }
        }
        seal.seal()?.stamp(&mut sidecar, &finished.written, keys.as_ref());
        sidecar.set_list(key::COPIES, &self.choice.destinations);
        sidecar.check_length(SIDECAR_MAX)?;
        let written = finished.written.clone();
        let outcomes = finished.commit(&sidecar.to_string());
        let at = arrived(&outcomes);
        if !at.is_empty() {
            made::remember(self.document, &named.file(), &sidecar, &at, monitor);
        }
        Ok((outcomes, bytes_in, written))
    }

    /// Saves into the repositories, too, after the archives; where no archive reached its place, a repository may.
    fn and_to_repositories(
        &self,
        archives: Result<(Vec<Outcome>, u64, Written)>,
        mut failed: Vec<Outcome>,
        named: &Named,
        ready: &places::Ready,
        repositories: &places::Ready,
    ) -> Result<Delivered> {
        let (mut outcomes, mut bytes, written) = match archives {
            Ok((outcomes, bytes, written)) => (outcomes, (bytes, written.bytes), Some(written)),
            Err(error)
                if !repositories.is_empty() && error.code() != Code::Cancelled && !error.is_of_a_name() =>
            {
                let lost = |place: &Arc<dyn Destination>| Outcome {
                    destination: place.id().to_owned(),
                    result: Err(error.again()),
                };
                failed.extend(ready.iter().map(lost));
                (failed, (0, 0), None)
            }
            Err(error) => return Err(error),
        };
        if !repositories.is_empty() {
            let (saved, more) = self.to_repositories(named, repositories)?;
            bytes = (bytes.0 + saved.0, bytes.1 + saved.1);
            made::lies_at(self.document, &named.file(), &arrived(&more), self.monitor);
            outcomes.extend(more);
        }
        Ok((outcomes, bytes, written))
    }

    /// Saves into each repository, one after the other: each reads the source for itself. How each fared, and the bytes
    /// that were read and added.
    fn to_repositories(
        &self,
        named: &Named,
        repositories: &[Arc<dyn Destination>],
    ) -> Result<((u64, u64), Vec<Outcome>)> {
        let (monitor, sidecar) = (self.monitor, self.sidecar(named));
        let (mut bytes, mut outcomes) = ((0, 0), Vec::new());
        if repositories.len() > 1 {
            let names: Vec<&str> = repositories.iter().map(|place| place.id()).collect();
            let text = format!("the repositories {} are written one after the other", names.join(", "));
            monitor.note(NoteKind::Info, text);
        }
        for place in repositories {
            monitor.phase(Phase::BackingUp);
            place.attend(&monitor.flag());
            let (file, replaces) = (named.file(), named.existing == Existing::Replace && !place.guards());
            let saving =
                Saving { document: self.document, plan: self.plan, file: &file, sidecar: &sidecar, replaces };
            let saved = match place.snapshots() {
                Some(snapshots) if place.guards() => save::save(snapshots, &saving, monitor),
                Some(snapshots) => save::forget_leftovers(snapshots, sidecar.get(key::SITE))
                    .and_then(|()| save::save(snapshots, &saving, monitor)),
                None => Err(Error::new(Code::Internal, "this place takes no snapshots")),
            };
            let result = match saved {
                Ok(done) => {
                    bytes = (bytes.0 + done.bytes, bytes.1 + done.added);
                    Ok(())
                }
                Err(error) if error.code() == Code::Cancelled => return Err(error),
                Err(error) => Err(error),
            };
            outcomes.push(Outcome { destination: place.id().to_owned(), result });
        }
        Ok((bytes, outcomes))
    }
}

/// The numbers that are taken, as far as can be seen at once: where the backup goes, and in the other folders of this
/// machine. What lies at servers that are not asked now, this site gave and remembers ([`ids`]).
fn numbers(document: &Document, listing: &Listing) -> Result<BTreeSet<BackupId>> {
    let elsewhere = ids::in_folders(document)?;
    Ok(listing.backups.iter().chain(&elsewhere).map(|backup| backup.id).collect())
}

fn describe(
    document: &Document,
    choice: &Choice,
    plan: &BackupPlan,
    named: &Named,
    description: &str,
) -> Sidecar {
    let site = &document.site;
    let mut sidecar = Sidecar::new();
    sidecar.set(key::FILENAME, &named.name.base);
    sidecar.set(key::DESCRIPTION, description);
    sidecar.set_number(key::DATESTAMP, named.id.0);
    sidecar.set(key::GENERATOR, "bam");
    sidecar.set(key::GENERATOR_VERSION, env!("CARGO_PKG_VERSION"));
    sidecar.set(key::SITE_URL, hide(&site.url));
    sidecar.set(key::SITE_NAME, &site.name);
    if let Some(identity) = SiteIdentity::of(document) {
        sidecar.set(key::SITE, identity.words());
    }
    sidecar.set(key::DRUPAL_VERSION, &site.drupal_version);
    sidecar.set(key::SOURCE_ID, &choice.source);
    sidecar.set(key::SOURCE_TYPE, plan.sidecar_type());
    sidecar.set(key::SOURCE_NAME, plan.label());
    sidecar.set(key::PROFILE, &choice.profile);
    if let Some(schedule) = &choice.schedule {
        sidecar.set(key::SCHEDULE_ID, schedule);
    }
    sidecar.set_number(key::ID, named.id.0);
    sidecar.set_number(key::FORMAT, NEWEST_FORMAT);
    sidecar
}

fn first_failure(failed: Vec<Outcome>) -> Error {
    let first = failed.into_iter().find_map(|o| o.result.err().map(|error| (o.destination, error)));
    match first {
        Some((destination, error)) => error.within(Fact::Destination, destination),
        None => Error::new(Code::Usage, "no destination is given"),
    }
}

fn report(
    choice: &Choice,
    named: &Named,
    outcomes: &[Outcome],
    (bytes_in, bytes_out): (u64, u64),
    written: Option<&Written>,
    started: Instant,
    monitor: &Monitor,
) -> Result<Value> {
    let mut there = 0;
    let destinations: Vec<Value> = outcomes
        .iter()
        .map(|outcome| {
            if outcome.result.is_ok() {
                there += 1;
            }
            let error = outcome.result.as_ref().err();
            let told = error.map(ToString::to_string);
            json!({"name": outcome.destination, "ok": error.is_none(), "error": told, "failure": error})
        })
        .collect();
    if there == 0 {
        let is_of_a_name =
            outcomes.iter().filter_map(|outcome| outcome.result.as_ref().err()).any(Error::is_of_a_name);
        let error = Error::new(
            Code::Destination,
            format!(
                "the backup reached no destination: {}",
                outcomes
                    .iter()
                    .filter_map(|o| o.result.as_ref().err().map(|e| format!("{}: {e}", o.destination)))
                    .collect::<Vec<_>>()
                    .join("; ")
            ),
        );
        return Err(if is_of_a_name { error.of_a_name() } else { error });
    }
    for outcome in outcomes {
        if let Err(error) = &outcome.result {
            monitor.note(NoteKind::Missing, format!("no copy at {}: {error}", outcome.destination));
        }
    }
    Ok(json!({
        "id": named.id,
        "file": named.file(),
        "source": choice.source,
        "profile": choice.profile,
        "schedule": choice.schedule,
        "destinations": destinations,
        "bytes_in": bytes_in,
        "bytes_out": bytes_out,
        "sha256": written.map(|written| hex(&written.sha256)),
        "seconds": started.elapsed().as_secs_f64(),
    }))
}
