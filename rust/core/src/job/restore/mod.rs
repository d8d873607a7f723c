//! Restoring: find the backup, prove it, put the new data beside the old, then make it live in one go.
//!
//! A restore runs through this room so: the backup that is meant is opened and proven (`super::open`); `plan` says what
//! it would change; `folders` (with `docroots`) says where on the site each member of the archive goes, `keep` and
//! `left_out` what of the site stays, `behind` and `unlinked` what becomes of links to other places; `apply` (for some
//! paths or tables `partial`, for another place than the site `elsewhere`) writes the new data beside the old; `journal`
//! has each step on disk; `swap` and `swap_path` let old and new trade
//! places, `carry` with what outlives it and `crate::mounts` with what cannot be renamed; `erase` removes the old data, and
//! `leftovers` remembers what could not be removed. After a kill, `recover` goes on from the journal.

pub(super) mod apply;
mod behind;
mod carry;
mod docroots;
pub mod elsewhere;
pub(super) mod erase;
pub(super) mod folders;
pub(crate) mod journal;
mod keep;
mod left_out;
mod leftovers;
mod partial;
mod plan;
pub(super) mod recover;
mod swap;
mod swap_path;
mod target;
mod unlinked;

use self::apply::Applied;
use self::journal::{AS_BEFORE, Journal};
use self::left_out::LeftOut;
use self::target::Target;
use super::local::Local;
use super::open::Opened;
use super::request::{RecoverWay, Restore};
use super::select::{Criteria, which};
use super::{choose, lock, places, recall, site_folders, trust};
use crate::archive::Layout;
use crate::catalog::{FileName, Kind, Recalled, SiteIdentity, Sites, key};
use crate::config::{Connection, Document, Driver, Source, SourceType};
use crate::look;
use crate::{Code, Error, Monitor, NoteKind, Phase, Result};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Restores one backup. The result is described in docs/json.md.
pub fn run(document: &Document, ask: &Restore, monitor: &Arc<Monitor>) -> Result<Value> {
    let started = Instant::now();
    if let Some(to) = &ask.elsewhere {
        return elsewhere::run(document, ask, to, monitor);
    }
    // Looking takes no lock and changes nothing.
    let _lock = if ask.dry_run { None } else { Some(lock::acquire(document)?) };
    let state_dir = lock::state_dir(document)?;
    if !ask.dry_run {
        recover::recover(document, &state_dir, RecoverWay::Either, monitor)?;
    } else if let Some(pending) = recover::pending(&state_dir) {
        monitor.note(NoteKind::Warning, format!("{pending}; what is shown here may not be so before that"));
    }
    let need = match ask.dry_run || !ask.paths.is_empty() || !ask.tables.is_empty() {
        true => Need::Parts,
        false => Need::All,
    };
    let done = onto_the_site(document, ask, need, &state_dir, monitor);
    // Nobody expects a look to change anything.
    let mut result = if ask.dry_run { done? } else { done.map_err(untouched)? };
    if let Value::Object(result) = &mut result {
        result.insert("seconds".into(), started.elapsed().as_secs_f64().into());
    }
    Ok(result)
}

/// A failure before anything was begun, unless it says more itself. What was asked for wrongly is answered in fewer words.
pub fn untouched(error: Error) -> Error {
    match error.code() {
        Code::Usage | Code::Config | Code::NotFound => error,
        _ => error.leaving(AS_BEFORE),
    }
}

/// Finds the backup, proves it, and puts it in place.
fn onto_the_site(
    document: &Document,
    ask: &Restore,
    need: Need,
    state_dir: &Path,
    monitor: &Arc<Monitor>,
) -> Result<Value> {
    let local = find(document, ask, need, state_dir, monitor)?;
    // A file that is named may be looked into, whosesoever it is; onto the site goes the site's own.
    if let (Some(_), Some(sidecar)) = (&ask.file, local.sidecar()) {
        Sites::of(document, ask.site.as_deref()).check(&SiteIdentity::of_sidecar(sidecar), &local.name)?;
    }
    let opened = local.prove(document, ask.unauthenticated, monitor)?;
    if opened.is_in_parts() && !ask.dry_run {
        let text = format!(
            "only what is wanted of {} is read, and proven; `bam verify` reads and proves all of it",
            opened.file()
        );
        monitor.note(NoteKind::Info, text);
    }
    let source_name = source_of(document, ask, &opened)?;
    let source = choose::source(document, &source_name)?;
    check_kind(document, source, &source_name, &opened)?;
    let (files, database) = (source.kind != SourceType::Database, source.kind != SourceType::Files);
    partial::check(&ask.paths, &ask.tables, files, database, opened.file())?;
    compare_sites(document, &opened, monitor);
    if !ask.dry_run {
        monitor.note(NoteKind::Info, format!("restoring {} onto {source_name}", opened.file()));
    }
    monitor.phase(Phase::Restoring);
    let mut result = json!({
        "id": opened.sidecar().and_then(|s| s.number(key::ID)),
        "file": opened.file(),
        "source": source_name,
    });
    let done = put(document, ask, &source_name, source, &opened, state_dir, monitor).map_err(|error| {
        opened.remember(document, &error, monitor);
        let unnamed =
            error.is_bare() || error.code() == Code::Integrity && !error.message().contains(opened.file());
        if unnamed { error.context(opened.file()) } else { error }
    })?;
    if let (Value::Object(result), Value::Object(done)) = (&mut result, done) {
        result.extend(done);
    }
    Ok(result)
}

/// Warns where the site has another base path than the one that was backed up: texts keep their links.
fn compare_sites(document: &Document, opened: &Opened, monitor: &Monitor) {
    let base = |url: &str| {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        rest.split_once('/').map_or("", |(_, path)| path).trim_matches('/').to_owned()
    };
    let Some(theirs) = opened.sidecar().and_then(|sidecar| sidecar.get(key::SITE_URL)) else { return };
    let ours = &document.site.url;
    if !ours.is_empty() && !theirs.is_empty() && base(theirs) != base(ours) {
        let text = format!(
            "the backup is of {theirs}, this site is {ours}: links and images in texts that name the path /{} do not fit here",
            base(theirs)
        );
        monitor.note(NoteKind::Warning, text);
    }
}

/// How much of a backup is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// All of it.
    All,
    /// Parts, of which the index tells where they are, if there is one.
    Parts,
    /// The same of archives; all of a dump.
    Members,
}

/// Brings the backup to this machine: a file by its path, else from the destination asked for, else from the
/// nearest that has it. Nothing but parts of it where no more is needed.
pub fn find(
    document: &Document,
    ask: &Restore,
    need: Need,
    state_dir: &Path,
    monitor: &Arc<Monitor>,
) -> Result<Local> {
    let parts = |name: &str| match need {
        // What nothing proves is read as it is.
        _ if ask.unauthenticated => false,
        Need::All => false,
        Need::Members => !FileName::parse(name).is_some_and(|name| name.kind.is_database()),
        Need::Parts => true,
    };
    if let Some(path) = &ask.file {
        let local = Local::from_path(path)?;
        return if parts(&local.name) { local.in_parts() } else { Ok(local) };
    }
    let id = ask.id.as_deref().ok_or_else(which)?;
    let names: Vec<String> = ask.destination.iter().cloned().collect();
    // A source besides an ID or a name says where to put it; with `latest` it says which.
    let made_from = ask.source.as_deref().filter(|_| id == "latest");
    let there = Criteria::new(Some(id), &names, made_from, ask.site.as_deref());
    let there = there.list_for_one(document, monitor)?;
    let listed = there.listing;
    let backup = places::find(document, &listed, id, made_from, ask.destination.as_deref(), monitor)?;
    let whose = backup.identity().describe();
    if backup.own == Some(false) {
        monitor.note(NoteKind::Warning, format!("{} is of another site: {whose}", backup.file));
    } else if listed.asked.as_ref().is_some_and(|asked| asked.only_own().is_none()) {
        // Whose it would be was left open.
        monitor.note(NoteKind::Info, format!("{} is of {whose}", backup.file));
    }
    // What proves nothing is found out when it is opened; this it would not notice without a key.
    if backup.recalled == Some(Recalled::Changed)
        && !ask.unauthenticated
        && let Some(text) = recall::tell(backup)
    {
        return Err(Error::new(Code::Integrity, text));
    }
    let never_plain = trust::is_known_encrypted(document, &listed, backup);
    let known = |local: Local| Ok(local.known_encrypted(never_plain));
    let get: places::Get = if parts(&backup.file) { Local::reach } else { Local::fetch };
    places::get_nearest(document, get, &there.places, backup, state_dir, monitor, known)
}

/// Onto which source: the one asked for, the one it was made from, else the built-in one of its kind.
fn source_of(document: &Document, ask: &Restore, opened: &Opened) -> Result<String> {
    if let Some(source) = &ask.source {
        return Ok(source.clone());
    }
    let made_from = opened.sidecar().and_then(|s| s.get(key::SOURCE_ID)).map(str::to_owned);
    if let Some(source) = &made_from
        && document.sources.contains_key(source)
    {
        return Ok(source.clone());
    }
    match (opened.kind(), made_from) {
        (Some(Kind::SiteArchive), _) => Ok("archive".into()),
        (Some(kind), None) if kind.is_database() => Ok("db".into()),
        (_, Some(source)) => Err(Error::new(
            Code::Usage,
            format!(
                "{} was made from the source \"{source}\", which the configuration does not have",
                opened.file()
            ),
        )
        .hint("say onto which source to restore it")),
        (_, None) => {
            Err(Error::new(Code::Usage, format!("{} does not say what it was made from", opened.file()))
                .hint("say onto which source to restore it"))
        }
    }
}

/// Refuses before anything is read what cannot end well.
fn check_kind(document: &Document, source: &Source, source_name: &str, opened: &Opened) -> Result<()> {
    let Some(kind) = opened.kind() else { return Ok(()) };
    let fits = match source.kind {
        SourceType::Database => kind.is_database(),
        SourceType::Files => kind == Kind::Tar,
        // drush names its archives like any tar; one without a site inside is refused when its layout is known.
        SourceType::Archive => matches!(kind, Kind::SiteArchive | Kind::Tar),
    };
    if fits {
        return match source.kind {
            SourceType::Database => {
                let connection = document.connection(source.database.as_deref().unwrap_or("db"))?;
                check_driver(kind.driver(), &connection, opened.file())
            }
            _ => Ok(()),
        };
    }
    Err(Error::new(
        Code::Usage,
        format!("{} holds {} and cannot be restored onto \"{source_name}\"", opened.file(), in_words(kind)),
    )
    .hint("name another source"))
}

/// Refuses to load a dump into another kind of database than it came from. `dump` is not known of every file.
pub fn check_driver(dump: Option<Driver>, connection: &Connection, what: &str) -> Result<()> {
    match dump {
        Some(dump) if dump != connection.driver => Err(Error::new(
            Code::Usage,
            format!(
                "{what} holds a {} database and cannot be loaded into {}, which is {}",
                dump.in_words(),
                connection.label(),
                connection.driver.in_words()
            ),
        )
        .hint("name a database of the kind it came from")),
        _ => Ok(()),
    }
}

fn in_words(kind: Kind) -> &'static str {
    match kind {
        Kind::Mysql | Kind::Pgsql | Kind::Sql | Kind::Sqlite => "a database",
        Kind::Tar => "files",
        Kind::SiteArchive => "a whole site",
    }
}

fn put(
    document: &Document,
    ask: &Restore,
    source_name: &str,
    source: &Source,
    opened: &Opened,
    state_dir: &Path,
    monitor: &Arc<Monitor>,
) -> Result<Value> {
    let document = &Document { site: site_folders::in_one_form(&document.site)?, ..document.clone() };
    if (ask.code || ask.settings) && source.kind != SourceType::Archive {
        let text = format!("{source_name} is not the whole site: --code and --settings change nothing here");
        monitor.note(NoteKind::Warning, text);
    }
    let survey = match source.kind {
        SourceType::Database => None,
        _ => opened.foreign_layout(monitor)?,
    };
    let folder = match source.kind {
        SourceType::Files => Some(super::scope::folder(document, source_name, source)?),
        _ => None,
    };
    let base = folder.as_ref().map(|folder| folder.canonicalize().unwrap_or_else(|_| folder.clone()));
    // What the backup left out it says itself; those of old do not.
    let recorded = opened.sidecar().and_then(LeftOut::of);
    let told = opened.sidecar().map(LeftOut::told_by).unwrap_or_default();
    told.tell(true, monitor);
    let keep = |live: &Path| {
        let own = match &base {
            Some(base) => live.starts_with(base),
            None => {
                let places = crate::job::scope::archive_places(&document.site)?;
                let places =
                    places.iter().map(|(at, _)| look::real_as_far(at)).collect::<Result<Vec<_>>>()?;
                places.iter().any(|at| live.starts_with(at))
            }
        };
        let base = base.as_deref().filter(|base| live.starts_with(base)).unwrap_or(live);
        // Of what was left out behind links by its own path the backup does not speak.
        keep::of(document, source_name, source, (base, live), (recorded.is_none() || !own, ask.settings))
    };
    let target = Target {
        document,
        state_dir,
        id: apply::unique_id(),
        database: source.database.clone().unwrap_or_else(|| "db".into()),
        folder,
        // Whoever names a path of the code wants it.
        code: ask.code || !ask.paths.is_empty(),
        settings: ask.settings,
        tables: &ask.tables,
        unread_tables: told.tables,
        only: ask.only.as_deref(),
        translate: true,
        authentic: opened.is_authentic(),
        keep: &keep,
        others: if ask.paths.is_empty() { site_folders::of_others(&document.site)? } else { Vec::new() },
        recorded: recorded.as_ref(),
    };
    if ask.dry_run {
        let plan = plan::of(&target, opened, survey, &ask.paths, monitor)?;
        return Ok(json!({ "dry_run": true, "files": plan.files, "tables": plan.tables }));
    }
    partial::note(monitor, &ask.tables);
    let mut journal = Journal::begin(state_dir, opened.file())?;
    match stage(&mut journal, &target, source.kind, ask, opened, survey, monitor) {
        Ok(applied) => {
            journal.commit(document, monitor)?;
            Ok(json!({ "applied": applied }))
        }
        Err(error) => Err(journal.give_up(error, document, monitor)),
    }
}

/// Makes the new data beside the old, and tries all that can fail when they trade places.
fn stage(
    journal: &mut Journal,
    target: &Target<'_>,
    kind: SourceType,
    ask: &Restore,
    opened: &Opened,
    survey: Option<Layout>,
    monitor: &Arc<Monitor>,
) -> Result<Applied> {
    let document = target.document;
    // A file that changes in one step is no reason to send visitors away.
    if ask.paths.is_empty() || !ask.tables.is_empty() {
        journal.go_offline(document, monitor)?;
    }
    let applied = match kind {
        SourceType::Database => apply::dump(target, journal, opened, monitor)?,
        _ if ask.paths.is_empty() && ask.tables.is_empty() => {
            apply::tar(target, journal, opened, survey, monitor)?
        }
        _ => partial::stage(target, journal, opened, survey, &ask.paths, monitor)?,
    };
    journal.adapt(document, monitor)?;
    apply::spare_databases(target, journal)?;
    journal.check(document, &|live| apply::kept(target, &applied.stay, live), monitor)?;
    Ok(applied)
}
