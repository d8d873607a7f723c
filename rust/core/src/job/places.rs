//! The destinations of a job: opened, prepared, the failed ones set aside with their errors.

use super::damaged::{self, Damaged};
use super::keys::Ring;
use super::local::Local;
use super::made::{self, Made};
use super::{choose, lock, recall};
use crate::catalog::{Backup, Copy, FileName, Listing, SiteIdentity, Sites, Wanted, hex};
use crate::config::{self, DestinationType, Document};
use crate::destination::{self, Broken, Destination, Keeping, Snapshots, same};
use crate::{Code, Error, Fact, Monitor, NoteKind, Result, look, threads};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How one destination fared.
#[derive(Debug)]
pub struct Outcome {
    /// Its machine name.
    pub destination: String,
    /// Whether the backup is there now.
    pub result: Result<()>,
}

impl Outcome {
    /// The same once more.
    pub fn again(&self) -> Outcome {
        let result = self.result.as_ref().copied().map_err(Error::again);
        Outcome { destination: self.destination.clone(), result }
    }
}

/// The destinations named, or all of the document. One whose settings are wrong fails when it is asked for something, or
/// at once where it is the only one; an unknown name fails the whole.
pub fn open(document: &Document, names: &[String]) -> Result<Vec<Arc<dyn Destination>>> {
    let all: Vec<String>;
    let names = if names.is_empty() {
        all = document.destinations.keys().cloned().collect();
        &all
    } else {
        names
    };
    let mut places: Vec<Arc<dyn Destination>> = Vec::new();
    let mut broken = None;
    for name in names {
        let config = choose::destination(document, name)?;
        let opened = match config.kind {
            DestinationType::Restic => repository(document, name, config),
            _ => destination::open(name, config, &document.site),
        };
        match opened {
            Ok(place) => {
                if let (false, Ok(state_dir)) = (place.pushes(), lock::state_dir(document)) {
                    let which = Sha256::digest(place.describe().as_bytes());
                    let which = hex(which.get(..8).unwrap_or_default());
                    place.remember_silence(state_dir.join(format!("silent-{which}")));
                }
                places.push(place.into());
            }
            Err(why) => {
                broken.get_or_insert_with(|| why.again());
                places.push(Arc::new(Broken::new(name, config, why.without(Fact::Destination, name))));
            }
        }
    }
    match broken {
        Some(why) if places.len() == 1 => Err(why),
        _ => Ok(places),
    }
}

/// A repository, which opens with the site's keys where it has none of its own.
pub fn repository(
    document: &Document,
    name: &str,
    config: &config::Destination,
) -> Result<Box<dyn Destination>> {
    let (keys, no_key) = match config.key_file {
        Some(_) => (Vec::new(), None),
        None => Ring::of(document).secrets(),
    };
    let keeping = Keeping { keys, no_key, state_dir: lock::state_dir(document).ok() };
    destination::open_repository(name, config, &document.site, keeping)
}

/// The folders on this machine that hold backups: never archived, never taken away by a restore.
pub fn local_folders(document: &Document) -> Vec<PathBuf> {
    document.destinations.values().filter_map(|place| place.folder(&document.site)).collect()
}

/// What of the site a place would take out of its backups: a folder that the place is, or holds, where what is backed up
/// reaches around it. Backups never contain backups.
pub fn swallows(document: &Document, place: &Path) -> Result<Option<PathBuf>> {
    let site = &document.site;
    let mut own = Vec::new();
    if !site.root.as_os_str().is_empty() {
        own.extend([site.root.clone(), site.docroot(), site.conf_dir(), site.public_dir()]);
        own.extend(site.private_dir());
    }
    let paths = document.sources.values().filter_map(|source| source.path.as_ref());
    own.extend(paths.filter_map(|path| site.resolve(path).ok()));
    let place = look::real_as_far(place)?;
    let real = own.iter().map(|folder| look::real_as_far(folder)).collect::<Result<Vec<_>>>()?;
    if !real.iter().any(|folder| place.starts_with(folder)) {
        return Ok(None);
    }
    Ok(own.into_iter().zip(real).find(|(_, real)| real.starts_with(&place)).map(|(folder, _)| folder))
}

/// What is said of such a place, and the next step.
pub fn swallowed(place: &Path, folder: &Path) -> Error {
    let text = match place == folder {
        true => format!("{} is a folder of the site itself", place.display()),
        false => format!("{} holds a folder of the site, {}", place.display(), folder.display()),
    };
    Error::new(
        Code::Config,
        format!("{text}: a place for backups is left out of all of them, and that with it"),
    )
    .hint("choose a folder of its own for backups, e.g. below /var/backups")
}

/// Destinations that answer.
pub type Ready = Vec<Arc<dyn Destination>>;

/// Makes each ready for a backup. Returns the ready ones, and how the others failed.
pub fn prepare(places: Ready, monitor: &Monitor) -> Result<(Ready, Vec<Outcome>)> {
    let bug = |_| Err(Error::new(Code::Internal, "preparing it stopped at a bug in bam"));
    let prepared = threads::at_once("bam-prepare", &places, |place| place.prepare(monitor))
        .into_iter()
        .map(|done| done.unwrap_or_else(bug))
        .collect::<Vec<Result<()>>>();
    monitor.check()?;
    let (mut ready, mut failed) = (Vec::new(), Vec::new());
    for (place, prepared) in places.into_iter().zip(prepared) {
        match prepared {
            Ok(()) => ready.push(place),
            Err(error) => failed.push(Outcome { destination: place.id().to_owned(), result: Err(error) }),
        }
    }
    Ok((ready, failed))
}

/// Of destinations that are one place the first; the others have failed.
pub fn once_each(places: Ready, failed: &mut Vec<Outcome>) -> Ready {
    let mut once = Ready::new();
    for place in places {
        let before: Vec<&dyn Destination> = once.iter().map(AsRef::as_ref).collect();
        match same::proven(&*place, &before).and_then(|at| before.get(at)) {
            None => once.push(place),
            Some(other) => {
                let error = same::error(place.id(), other.id(), &place.describe());
                failed.push(Outcome { destination: place.id().to_owned(), result: Err(error) });
            }
        }
    }
    once
}

/// Removes what broken uploads left at a place, except what `resumable` names. Only what bears the name of a backup is
/// looked at. That it does not work is told, and no more: the backup that comes may work all the same.
pub fn clean(place: &dyn Destination, resumable: &[String], monitor: &Monitor) -> Result<()> {
    let keep = |name: &str| FileName::parse(name).is_none() || resumable.iter().any(|file| file == name);
    match place.clean_parts(&keep) {
        Err(error) if error.code() == Code::Cancelled => Err(error),
        Err(error) => {
            let text = format!("what broken uploads left at {} could not be removed: {error}", place.id());
            monitor.note(NoteKind::Warning, text);
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}

/// The same as [`list_made`]; a place whose folder is not there is told of, too: a wrong path is no place without backups.
/// `gap` is what it is that somebody may miss of a place that is not there or cannot be asked. Where one copy of a backup that is
/// named is enough, nothing is missing once it is found: that is a [`NoteKind::Warning`].
pub fn list(
    gap: NoteKind,
    document: &Document,
    places: &[Arc<dyn Destination>],
    site: Option<&str>,
    monitor: &Monitor,
) -> Result<Listing> {
    let listing = list_made(gap, document, places, site, monitor)?;
    for (name, why) in listing.unreachable.iter().filter(|(name, _)| listing.absent.contains(*name)) {
        // It says how to make it.
        monitor.note(NoteKind::Warning, format!("destination {name}: {why}"));
    }
    for place in places {
        let empty = !listing.backups.iter().any(|backup| backup.copy_at(place.id()).is_some());
        if !empty || listing.unreachable.contains_key(place.id()) || !matches!(place.is_there(), Ok(false)) {
            continue;
        }
        let text = format!("destination {}: there is no folder {}", place.id(), place.describe());
        // Folders of this machine are there from the first backup on; of a server somebody may have mistyped the path.
        match place.pushes() {
            true => monitor.note(NoteKind::Info, text),
            false => monitor.note(gap, text + "; if backups should be there, correct its path"),
        }
    }
    Ok(listing)
}

/// The backups at these places that are the document's own site's, or those of the site that is asked for. A place that
/// cannot be listed is a note, and so is what was passed over; when no place can be listed, that is a failure. Of repositories
/// that nobody made yet nothing is said.
pub fn list_made(
    gap: NoteKind,
    document: &Document,
    places: &[Arc<dyn Destination>],
    site: Option<&str>,
    monitor: &Monitor,
) -> Result<Listing> {
    if places.is_empty() {
        return Err(Error::new(Code::Config, "no destination is known: where backups are nobody says").hint(
            "add one with `bam destination add`; or name the place, `bam backups --from PLACE`, or a file, --file FILE",
        ));
    }
    let listing = list_all(gap, document, places, monitor)?.of_sites(&Sites::of(document, site))?;
    for note in &listing.notes {
        monitor.note(note.kind, note.text.clone());
    }
    tell_of_doubles(&listing, monitor);
    Ok(listing)
}

/// Says of destinations that are the place of another, once in a job.
pub fn tell_of_doubles(listing: &Listing, monitor: &Monitor) {
    for (name, other) in &listing.same {
        let text = format!("{name} is the same place as {other}: what lies there is one copy");
        if !monitor.notes().iter().any(|note| note.text == text) {
            monitor.note(NoteKind::Warning, text);
        }
    }
}

/// Refuses a source that neither the configuration nor any backup knows: a slip of the pen is no source without backups.
pub fn check_source(document: &Document, listing: &Listing, source: Option<&str>) -> Result<()> {
    let Some(source) = source.filter(|source| !document.sources.contains_key(*source)) else { return Ok(()) };
    let backups = listing.backups.iter().chain(&listing.others);
    let of_backups: BTreeSet<&str> = backups.filter_map(|backup| backup.about.source.as_deref()).collect();
    // A place that could not be asked may have some of it.
    if of_backups.contains(source) || !listing.unreachable.is_empty() {
        return Ok(());
    }
    let known: BTreeSet<&str> = document.sources.keys().map(String::as_str).chain(of_backups).collect();
    Err(choose::unknown("source", source, &known.into_iter().collect::<Vec<_>>()))
}

/// The backup of a listing that is meant; what is to be said about the choice becomes notes.
pub fn find<'l>(
    document: &Document,
    listing: &'l Listing,
    what: &str,
    source: Option<&str>,
    destination: Option<&str>,
    monitor: &Monitor,
) -> Result<&'l Backup> {
    check_source(document, listing, source)?;
    let now = jiff::Timestamp::now().as_second();
    let found = listing.find(&Wanted { what, source, destination, now })?;
    for note in found.notes {
        monitor.note(note.kind, note.text);
    }
    Ok(found.backup)
}

/// All backups at these places, whosesoever.
pub fn list_all(
    gap: NoteKind,
    document: &Document,
    places: &[Arc<dyn Destination>],
    monitor: &Monitor,
) -> Result<Listing> {
    let asked: Vec<&dyn Destination> = places.iter().map(AsRef::as_ref).collect();
    asked.iter().for_each(|place| place.attend(&monitor.flag()));
    let mut listing = Listing::of(&asked)?;
    settle(document, places, &mut listing, monitor)?;
    monitor.check()?;
    if !places.is_empty() && listing.unreachable.len() == places.len() {
        let told: Vec<String> =
            listing.unreachable.iter().map(|(name, why)| format!("{name}: {why}")).collect();
        return Err(Error::new(
            Code::Destination,
            format!("no destination can be listed: {}", told.join("; ")),
        ));
    }
    let notes = monitor.notes();
    // A backup that is being made may have said it already.
    let is_told = |name: &str| {
        let begins = format!("no copy at {name}: ");
        notes.iter().any(|note| note.kind == NoteKind::Missing && note.text.starts_with(&begins))
    };
    for (name, why) in listing.unreachable.iter().filter(|(name, _)| !listing.absent.contains(*name)) {
        if !is_told(name) {
            monitor.note(gap, format!("destination {name} is left out: {why}"));
        }
    }
    Ok(listing)
}

/// Decides which of several contradicting copies is the backup, by what this site is and remembers; and where none is what
/// it remembers, that stands in. `places` are those of the listing.
pub fn settle(
    document: &Document,
    places: &[Arc<dyn Destination>],
    listing: &mut Listing,
    monitor: &Monitor,
) -> Result<()> {
    let mut made = Made::of(document);
    made::end_erasing(document, places, &mut made, listing, monitor);
    listing.settle(SiteIdentity::of(document).as_ref(), &|file, sidecar| {
        made.is_as_made(file, sidecar) == Some(true)
    })?;
    recall::stand_in(document, places, &made, listing, monitor)
}

/// [`Local::fetch`], or [`Local::reach`] where only parts of a copy may be needed.
pub type Get = fn(&Arc<dyn Destination>, &str, &Path, &Monitor) -> Result<Local>;

/// Brings a backup to this machine from its nearest copy that `accept` takes, and gives what that makes of it.
pub fn fetch_nearest<T>(
    document: &Document,
    places: &[Arc<dyn Destination>],
    backup: &Backup,
    spool_dir: &Path,
    monitor: &Monitor,
    accept: impl Fn(Local) -> Result<T>,
) -> Result<T> {
    get_nearest(document, Local::fetch, places, backup, spool_dir, monitor, accept)
}

/// As [`fetch_nearest`], in the way that is said: whole copies first, those found damaged, and those in repositories found so, last, then
/// folders, then repositories of this machine, then in the order of the places. A copy that is passed over is told of, and
/// one that is found damaged remembered.
pub fn get_nearest<T>(
    document: &Document,
    get: Get,
    places: &[Arc<dyn Destination>],
    backup: &Backup,
    spool_dir: &Path,
    monitor: &Monitor,
    accept: impl Fn(Local) -> Result<T>,
) -> Result<T> {
    let mut copies: Vec<_> =
        places.iter().filter_map(|place| Some((backup.distinct_copy_at(place.id())?, place))).collect();
    let known = Damaged::of(document);
    let is_damaged = |copy: &Copy, place: &Arc<dyn Destination>| {
        known.has(&backup.file, copy) || place.snapshots().is_some_and(Snapshots::is_damaged)
    };
    copies.sort_by_key(|(copy, place)| {
        (!copy.whole, is_damaged(copy, place), !place.pushes(), !place.is_here())
    });
    let mut last = None;
    for (_, place) in copies {
        match get(place, &backup.file, spool_dir, monitor).and_then(&accept) {
            Ok(accepted) => return Ok(accepted),
            Err(error) if error.code() == Code::Cancelled => return Err(error),
            Err(error) => {
                damaged::note(document, &**place, &backup.file, &error, monitor);
                monitor.note(NoteKind::Warning, format!("the copy at {} is of no use: {error}", place.id()));
                last = Some(error.context(format!("the copy at {}", place.id())));
            }
        }
    }
    Err(last.unwrap_or_else(|| Error::new(Code::NotFound, format!("no destination has {}", backup.file))))
}
