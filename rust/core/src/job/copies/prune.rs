//! Retention: old backups of a schedule go, at each of its destinations.

use super::half;
use crate::catalog::{Backup, BackupId, Copy, Decision, Rule, is_future};
use crate::config::Document;
use crate::destination::Destination;
use crate::job::choose::unknown;
use crate::job::damaged::Damaged;
use crate::job::made::{self, Made};
use crate::job::{Answer, List, lock, places, recall, trust};
use crate::{Code, Error, Monitor, NoteKind, Result};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why what is too old stays.
const GUARDED: &str = "nothing is deleted there, the server guards old copies";

/// Applies the rules of the schedules named, or of all. With `dry_run` it only tells what would go and why.
pub fn run(
    document: &Document,
    schedules: &[String],
    dry_run: bool,
    site: Option<&str>,
    monitor: &Arc<Monitor>,
) -> Result<Answer> {
    let _lock = lock::acquire(document)?;
    let known: Vec<&str> = document.schedules.keys().map(String::as_str).collect();
    if let Some(name) = schedules.iter().find(|name| !document.schedules.contains_key(*name)) {
        return Err(unknown("schedule", name, &known));
    }
    let mut decisions = Vec::new();
    for name in known.iter().filter(|name| schedules.is_empty() || schedules.iter().any(|s| s == *name)) {
        let settings = document.schedules.get(*name);
        let all = places::open(document, settings.map_or(&[], |schedule| &schedule.destinations))?;
        decisions.append(&mut apply(document, name, &all, dry_run, site, monitor)?);
    }
    let told = json!({ "dry_run": dry_run, "decisions": null });
    Ok(Answer::with(told, List::Decisions(decisions)))
}

/// One schedule's rule at its destinations, `all`, with the lock held.
pub fn apply(
    document: &Document,
    schedule: &str,
    all: &[Arc<dyn Destination>],
    dry_run: bool,
    site: Option<&str>,
    monitor: &Arc<Monitor>,
) -> Result<Vec<Decided>> {
    let Some(settings) = document.schedules.get(schedule) else { return Ok(Vec::new()) };
    let known = Damaged::of(document);
    let is_damaged = |backup: &Backup, copy: &Copy| !copy.whole || known.has(&backup.file, copy);
    let rule = Rule::of(document, schedule, &settings.keep, &is_damaged);
    let listing = places::list(NoteKind::Missing, document, all, site, monitor)?;
    // What is not seen is not counted, and stays.
    recall::tell_with_left_out(&listing, monitor);
    // Each site's by themselves: the newest of one must not push out another's.
    let sites = listing.by_site();
    let now = jiff::Timestamp::now().as_second();
    let (mut told, name) = (Vec::new(), Arc::from(schedule));
    for place in all.iter().filter(|place| !listing.unreachable.contains_key(place.id())) {
        // Of each site; most have one here.
        let (mut decisions, at) = (Vec::new(), Arc::from(place.id()));
        tell_of_the_future(schedule, place.id(), sites.iter().flatten(), now, monitor);
        for backups in &sites {
            // What this site's key has not sealed pushes nothing out that it has. It goes when enough newer ones are sealed.
            let (sealed, other) = by_seal(document, place, schedule, backups, monitor)?;
            decisions.push(rule.decide(&sealed, place.id(), now));
            let mut of_other = Vec::new();
            for backup in other {
                let id = backup.id;
                let mut among = sealed.clone();
                among.insert(among.partition_point(|known| known.id > id), backup);
                let decided = rule.decide(&among, place.id(), now);
                of_other.extend(decided.into_iter().filter(|decision| decision.id == id));
            }
            decisions.push(of_other);
        }
        let mut erased = match dry_run {
            true => BTreeMap::new(),
            false => erase(document, &**place, &decisions, monitor)?,
        };
        let mut gone = Gone::default();
        for mut decision in decisions.into_iter().flatten() {
            let done = erased.remove(&decision.file);
            let error = settle(&**place, &mut decision, done, &mut gone, monitor);
            told.push(Decided { schedule: Arc::clone(&name), destination: Arc::clone(&at), decision, error });
        }
        if gone.guarded > 0 {
            let text = format!(
                "{} of {schedule} at {} {}: {GUARDED}; delete them by its own tools or rules",
                gone.guarded,
                place.id(),
                if gone.guarded == 1 {
                    "is older than the rule wants and stays"
                } else {
                    "are older than the rule wants and stay"
                }
            );
            monitor.note(NoteKind::Info, text);
        }
        // What was forgotten takes room until then. One that was stopped is made good by the next.
        if let (true, Some(repository)) = (gone.erased, place.snapshots())
            && let Err(error) = repository.prune(monitor)
        {
            if error.code() == Code::Cancelled {
                return Err(error);
            }
            monitor.note(NoteKind::Warning, format!("{} gave no room free: {error}", place.id()));
        }
    }
    Ok(told)
}

/// Says that what a wrong clock dated in the future stays: nobody else would look for why a rule lets so much be.
fn tell_of_the_future<'b>(
    schedule: &str,
    place: &str,
    backups: impl Iterator<Item = &'b &'b Backup>,
    now: i64,
    monitor: &Monitor,
) {
    let ours = |backup: &Backup| {
        backup.about.schedule.as_deref() == Some(schedule) && backup.copy_at(place).is_some()
    };
    let count = backups.filter(|backup| ours(backup) && is_future(backup.time, now)).count();
    if count > 0 {
        let stay =
            if count == 1 { "is dated in the future and stays" } else { "are dated in the future and stay" };
        let text = format!("{count} of {schedule} at {place} {stay}: the clock was wrong then, or is now");
        monitor.note(NoteKind::Warning, text);
    }
}

/// What went from a place.
#[derive(Default)]
struct Gone {
    /// Something did.
    erased: bool,
    /// How many should, but stay.
    guarded: usize,
}

/// What became of one that was to go.
type Done = std::result::Result<(), Box<Error>>;

/// Lets those go from a place of which it was decided, and gives what became of each.
fn erase(
    document: &Document,
    place: &dyn Destination,
    decisions: &[Vec<Decision>],
    monitor: &Monitor,
) -> Result<BTreeMap<Arc<str>, Done>> {
    let go: Vec<(&str, BackupId)> =
        decisions.iter().flatten().filter(|one| !one.keep).map(|one| (&*one.file, one.id)).collect();
    let (names, ids): (Vec<&str>, BTreeMap<_, _>) = go.into_iter().map(|one| (one.0, one)).unzip();
    let mut done = BTreeMap::new();
    monitor.check()?;
    place.remove_all(&names, &mut |file, erased| {
        if let (Ok(()), Some(id)) = (&erased, ids.get(file)) {
            // At once: a kill must not make it look as if somebody else had.
            made::erased(document, file, *id, false, monitor);
        }
        done.insert(file.into(), erased.map_err(Box::new));
        monitor.check()
    })?;
    Ok(done)
}

/// A decision, and what became of it.
#[derive(Debug)]
pub struct Decided {
    /// Machine name of the schedule.
    pub schedule: Arc<str>,
    /// Machine name of the destination.
    pub destination: Arc<str>,
    /// The decision.
    pub decision: Decision,
    /// Why it was not carried out.
    pub error: Option<Box<Error>>,
}

impl Serialize for Decided {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut told = serializer.serialize_struct("Decided", 8)?;
        told.serialize_field("schedule", &*self.schedule)?;
        told.serialize_field("destination", &*self.destination)?;
        told.serialize_field("id", &self.decision.id)?;
        told.serialize_field("file", &*self.decision.file)?;
        told.serialize_field("keep", &self.decision.keep)?;
        told.serialize_field("reason", &*self.decision.reason)?;
        told.serialize_field("error", &self.error.as_ref().map(ToString::to_string))?;
        told.serialize_field("failure", &self.error)?;
        told.end()
    }
}

/// Counts what became of a decision, and gives what to tell of it; `done` is `None` where nothing was to be.
fn settle(
    place: &dyn Destination,
    decision: &mut Decision,
    done: Option<Done>,
    gone: &mut Gone,
    monitor: &Monitor,
) -> Option<Box<Error>> {
    let is_done = matches!(done, Some(Ok(())));
    let is_tried = done.is_some();
    let error = done.and_then(Done::err);
    // A refusal is how it is found out, where the settings do not say so.
    let refused = |error: &Error| error.code() == Code::Permission;
    let stays = place.guards() && !decision.keep && (!is_tried || error.as_deref().is_some_and(refused));
    let error = error.filter(|_| !stays);
    gone.guarded += usize::from(stays);
    gone.erased |= is_done;
    if let Some(failed) = &error {
        let text = half::erased(place, &decision.file, failed).unwrap_or_else(|| {
            format!("{} should go from {} but did not: {failed}", decision.file, place.id())
        });
        monitor.note(NoteKind::Missing, text);
    }
    if stays {
        (decision.keep, decision.reason) = (true, GUARDED.into());
    }
    error
}

/// Backups as they are, but for those of the schedule that have no MAC, which come apart. Those with a MAC that no key at
/// hand proves are not retention's: they may be another site's that says the same of itself. Where the site has no key,
/// all are alike.
fn by_seal<'b>(
    document: &Document,
    place: &Arc<dyn Destination>,
    schedule: &str,
    backups: &[&'b Backup],
    monitor: &Monitor,
) -> Result<(Vec<&'b Backup>, Vec<&'b Backup>)> {
    if !trust::has_key(document) {
        return Ok((backups.to_vec(), Vec::new()));
    }
    let (mut made, mut derived, mut left) = (Made::of(document), false, 0);
    let (mut sealed, mut other) = (Vec::new(), Vec::new());
    for &backup in backups {
        monitor.check()?;
        let asked =
            backup.about.schedule.as_deref() == Some(schedule) && backup.copy_at(place.id()).is_some();
        match asked.then(|| trust::is_sealed(document, place, backup, &mut made, monitor)).transpose() {
            Err(error) if error.code() == Code::Cancelled => return Err(error),
            Ok(Some(trust::Sealed::Known) | None) => sealed.push(backup),
            Ok(Some(trust::Sealed::Proven)) => {
                derived = true;
                sealed.push(backup);
            }
            Ok(Some(trust::Sealed::Not)) => other.push(backup),
            Ok(Some(trust::Sealed::Otherwise)) | Err(_) => left += 1,
        }
    }
    if left > 0 {
        let text = format!(
            "{left} of {schedule} at {} stay: no key at hand proves whose they are (add the key to encryption.keys, or erase \
             them by name with `bam delete`)",
            place.id()
        );
        monitor.note(NoteKind::Warning, text);
    }
    if derived {
        made.keep(document, monitor);
    }
    Ok((sealed, other))
}
