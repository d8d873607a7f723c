//! Retention: old backups of a schedule go, at each of its destinations.

use crate::catalog::{Backup, Copy, Decision, Rule, is_future};
use crate::config::Document;
use crate::destination::Destination;
use crate::job::choose::unknown;
use crate::job::damaged::Damaged;
use crate::job::made::{self, Made};
use crate::job::{lock, places, trust};
use crate::{Code, Error, Monitor, NoteKind, Result};
use serde_json::{Value, json};
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
) -> Result<Value> {
    let _lock = lock::acquire(document)?;
    let known: Vec<&str> = document.schedules.keys().map(String::as_str).collect();
    if let Some(name) = schedules.iter().find(|name| !document.schedules.contains_key(*name)) {
        return Err(unknown("schedule", name, &known));
    }
    let mut decisions = Vec::new();
    for name in known.iter().filter(|name| schedules.is_empty() || schedules.iter().any(|s| s == *name)) {
        let settings = document.schedules.get(*name);
        let all = places::open(document, settings.map_or(&[], |schedule| &schedule.destinations))?;
        decisions.extend(apply(document, name, &all, dry_run, site, monitor)?);
    }
    // Moved in, where json! would copy: there may be very many.
    let mut told = json!({ "dry_run": dry_run, "decisions": null });
    told["decisions"] = Value::Array(decisions);
    Ok(told)
}

/// One schedule's rule at its destinations, `all`, with the lock held.
pub fn apply(
    document: &Document,
    schedule: &str,
    all: &[Arc<dyn Destination>],
    dry_run: bool,
    site: Option<&str>,
    monitor: &Arc<Monitor>,
) -> Result<Vec<Value>> {
    let Some(settings) = document.schedules.get(schedule) else { return Ok(Vec::new()) };
    let known = Damaged::of(document);
    let is_damaged = |backup: &Backup, copy: &Copy| !copy.whole || known.has(&backup.file, copy);
    let rule = Rule::of(document, schedule, &settings.keep, &is_damaged);
    let listing = places::list(NoteKind::Missing, document, all, site, monitor)?;
    // What is not seen is not counted, and stays.
    if let Some(note) = listing.incomplete() {
        monitor.note(note.kind, note.text);
    }
    // Each site's by themselves: the newest of one must not push out another's.
    let sites = listing.by_site();
    let now = jiff::Timestamp::now().as_second();
    let mut told = Vec::new();
    for place in all.iter().filter(|place| !listing.unreachable.contains_key(place.id())) {
        let mut decisions = Vec::new();
        tell_of_the_future(schedule, place.id(), sites.iter().flatten(), now, monitor);
        for backups in &sites {
            // What this site's key has not sealed pushes nothing out that it has. It goes when enough newer ones are sealed.
            let (sealed, other) = by_seal(document, place, schedule, backups, monitor)?;
            decisions.extend(rule.decide(&sealed, place.id(), now));
            for backup in other {
                let id = backup.id;
                let mut among = sealed.clone();
                among.insert(among.partition_point(|known| known.id > id), backup);
                let decided = rule.decide(&among, place.id(), now);
                decisions.extend(decided.into_iter().filter(|decision| decision.id == id));
            }
        }
        let mut erased = match dry_run {
            true => BTreeMap::new(),
            false => erase(document, &**place, &decisions, monitor)?,
        };
        let mut gone = Gone::default();
        for decision in decisions {
            let done = erased.remove(&decision.file);
            told.push(tell(schedule, &**place, decision, done, &mut gone, monitor));
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
    let ours =
        |backup: &Backup| backup.schedule.as_deref() == Some(schedule) && backup.copy_at(place).is_some();
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

/// Lets those go from a place of which it was decided, and gives what became of each.
fn erase(
    document: &Document,
    place: &dyn Destination,
    decisions: &[Decision],
    monitor: &Monitor,
) -> Result<BTreeMap<String, Result<()>>> {
    let go: Vec<&str> = decisions.iter().filter(|one| !one.keep).map(|one| one.file.as_str()).collect();
    let mut done = BTreeMap::new();
    monitor.check()?;
    place.remove_all(&go, &mut |file, erased| {
        if erased.is_ok() {
            // At once: a kill must not make it look as if somebody else had.
            made::erased(document, file, monitor);
        }
        done.insert(file.to_owned(), erased);
        monitor.check()
    })?;
    Ok(done)
}

/// Tells of one decision, and what became of it; `done` is `None` where nothing was to be.
fn tell(
    schedule: &str,
    place: &dyn Destination,
    decision: Decision,
    done: Option<Result<()>>,
    gone: &mut Gone,
    monitor: &Monitor,
) -> Value {
    let is_done = matches!(done, Some(Ok(())));
    let is_tried = done.is_some();
    let error = done.and_then(Result::err);
    // A refusal is how it is found out, where the settings do not say so.
    let refused = |error: &Error| error.code() == Code::Permission;
    let stays = place.guards() && !decision.keep && (!is_tried || error.as_ref().is_some_and(refused));
    let error = error.filter(|_| !stays);
    gone.guarded += usize::from(stays);
    gone.erased |= is_done;
    if let Some(failed) = &error {
        let text = format!("{} should go from {} but did not: {failed}", decision.file, place.id());
        monitor.note(NoteKind::Missing, text);
    }
    json!({
        "schedule": schedule,
        "destination": place.id(),
        "id": decision.id,
        "file": decision.file,
        "keep": decision.keep || stays,
        "reason": if stays { GUARDED.to_owned() } else { decision.reason },
        "error": error.as_ref().map(ToString::to_string),
        "failure": error,
    })
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
        let asked = backup.schedule.as_deref() == Some(schedule) && backup.copy_at(place.id()).is_some();
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
