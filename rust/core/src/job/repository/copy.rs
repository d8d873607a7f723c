//! A backup of one repository copied into another: its parts first, and last what makes it exist.
//!
//! A kill leaves parts without the last one, which are no backup; the next run copies what is missing and goes on.

use crate::catalog::Backup;
use crate::destination::snapshots::{FILE, ID, PARTS, SITE, Snapshot, backups};
use crate::destination::{Destination, Snapshots};
use crate::{Code, Error, Monitor, NoteKind, Phase, Result};
use std::sync::Arc;

/// Copies a backup from the first of the places that has it whole.
pub fn copy(
    to: &Arc<dyn Destination>,
    from: &[Arc<dyn Destination>],
    backup: &Backup,
    monitor: &Monitor,
) -> Result<()> {
    let bug = || Error::new(Code::Internal, "this place takes no snapshots");
    monitor.phase(Phase::Finishing);
    monitor.set_current(format!("{} to {}", backup.file, to.id()));
    to.attend(&monitor.flag());
    to.prepare(monitor)?;
    let mut last = None;
    for place in from {
        place.attend(&monitor.flag());
        let copied = of_snapshots(
            to.snapshots().ok_or_else(bug)?,
            place.snapshots().ok_or_else(bug)?,
            (&place.describe(), &to.describe()),
            backup,
            monitor,
        );
        match copied {
            Ok(()) => return Ok(()),
            Err(error) if error.code() == Code::Cancelled => return Err(error),
            Err(error) => {
                if from.len() > 1 {
                    let text = format!("the copy at {} is of no use: {error}", place.id());
                    monitor.note(NoteKind::Warning, text);
                }
                last = Some(error);
            }
        }
    }
    Err(last.unwrap_or_else(|| Error::new(Code::NotFound, format!("no destination has {}", backup.file))))
}

fn of_snapshots(
    to: &dyn Snapshots,
    from: &dyn Snapshots,
    places: (&str, &str),
    backup: &Backup,
    monitor: &Monitor,
) -> Result<()> {
    let there = from.all()?;
    let (file, id) = (&*backup.file, backup.id.to_string());
    let found =
        backups(&there).into_iter().find(|one| one.name == file && one.whole.tag(ID) == Some(id.clone()));
    let whole = found
        .map(|one| one.whole)
        .ok_or_else(|| Error::new(Code::NotFound, format!("{} holds no backup named {file}", places.0)))?;
    let is_it = |one: &&Snapshot| one.is_last() && one.group() == whole.group();
    to.copy_from(from, &parts(&there, whole, places.0)?, monitor)?;
    monitor.check()?;
    parts(&to.all()?, whole, places.1)?;
    to.copy_from(from, std::slice::from_ref(&whole.id), monitor)?;
    let here = to.all()?;
    // Somebody may have forgotten them in between, as what a killed run had left.
    parts(&here, whole, places.1).map(drop).inspect_err(|_| {
        let copy = here.iter().filter(is_it).map(|one| one.id.clone()).collect::<Vec<_>>();
        if let Err(error) = to.forget(&copy) {
            monitor
                .note(NoteKind::Warning, format!("{file} stays at {} and is not whole: {error}", places.1));
        }
    })?;
    if let Err(error) = forget_broken(to, &here, whole) {
        let text = format!("{file} is at {} and beside it stays one that is not whole: {error}", places.1);
        monitor.note(NoteKind::Missing, text);
    }
    Ok(())
}

/// Forgets what another run saved of the same backup and is not whole: nobody can restore it, and now there is one that is.
fn forget_broken(to: &dyn Snapshots, here: &[Snapshot], whole: &Snapshot) -> Result<()> {
    let is_same = |one: &Snapshot| [ID, SITE, FILE].iter().all(|tag| one.tag(tag) == whole.tag(tag));
    let broken: Vec<_> = backups(here)
        .into_iter()
        .filter(|one| one.whole.group() != whole.group() && is_same(one.whole))
        .filter(|one| parts(here, one.whole, "").is_err())
        .collect();
    // First what makes it exist.
    to.forget(&broken.iter().map(|one| one.whole.id.clone()).collect::<Vec<_>>())?;
    to.forget(&broken.iter().flat_map(|one| &one.others).map(|one| one.id.clone()).collect::<Vec<_>>())
}

/// The snapshots that a backup is put together from, besides the last. Fails where one is not there.
fn parts(all: &[Snapshot], whole: &Snapshot, place: &str) -> Result<Vec<String>> {
    let named = whole.tag(PARTS).unwrap_or_default();
    named
        .split('+')
        .filter(|part| !part.is_empty())
        .map(|part| {
            super::part(all, whole, part).map(|one| one.id.clone()).ok_or_else(|| {
                let file = whole.tag(FILE).unwrap_or_default();
                Error::new(Code::Integrity, format!("{place} has no snapshot of the {part} of {file}"))
                    .hint("`bam replicate` tries again; where the source itself lacks it, make a new backup")
            })
        })
        .collect()
}
